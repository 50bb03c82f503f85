//! What a server's task keeps on disk: its agenda, under the directory's lock, and the last pause.

use std::sync::Arc;

use super::{Task, blocking, desk, rules};
use crate::config::Server;
use crate::error::{Failure, FailureKind};
use crate::ledger::Job;
use crate::store::lock::Lock;

impl Task {
    /// Takes the directory's lock for a moment, where it is free: to mark what was interrupted, and where the schedules
    /// begin to count. Where it is not free, whoever has it is at work, and the next round tries again.
    pub(super) async fn tidy(&mut self, server: &Arc<Server>) {
        let (runner, config) = (Arc::clone(&self.context.runner), Arc::clone(server));
        let claimed = blocking(move || runner.claim(&config, Job::Backup)).await;
        match claimed {
            Ok(lock) => {
                self.recall(server).await;
                self.take_up(server).await;
                self.keep(server, &Arc::new(lock)).await;
            }
            Err(_) => {
                let now = self.now();
                self.agenda.adopt(&rules(server), now);
            }
        }
    }

    /// With the lock held: what somebody began and did not end was interrupted.
    pub(super) async fn take_up(&mut self, server: &Arc<Server>) {
        let (rules, now) = (rules(server), self.now());
        self.agenda.adopt(&rules, now);
        self.skip_paused(server, now);
        if let Some(begun) = self.agenda.recover(&rules, now) {
            let failure = Failure::new(
                FailureKind::Interrupted,
                format!(
                    "{} of server {}: pgvigil ended in the middle of it",
                    begun.job.name(),
                    server.name
                ),
            )
            .remedy("look for a kill, a node that failed, or a memory limit that is too small");
            tracing::warn!(server = server.name, "{}", failure.sentence());
            let (runner, config) = (Arc::clone(&self.context.runner), Arc::clone(server));
            blocking(move || runner.record(&config, begun, &failure)).await;
        }
    }

    /// Reads the agenda from disk. What cannot be read is begun anew: due times count from now.
    pub(super) async fn recall(&mut self, server: &Arc<Server>) {
        let (runner, config) = (Arc::clone(&self.context.runner), Arc::clone(server));
        match blocking(move || runner.recall(&config)).await {
            Ok(Some(agenda)) => self.agenda.catch_up(agenda),
            Ok(None) => {}
            Err(failure) => {
                tracing::error!(server = server.name, "{}", failure.sentence());
            }
        }
    }

    pub(super) async fn keep(&mut self, server: &Arc<Server>, lock: &Arc<Lock>) {
        let (runner, config, lock, agenda) = (
            Arc::clone(&self.context.runner),
            Arc::clone(server),
            Arc::clone(lock),
            self.agenda.clone(),
        );
        let kept = blocking(move || runner.keep(&config, &agenda, &lock)).await;
        self.is_kept = kept.is_ok();
        if let Err(failure) = kept {
            tracing::warn!(server = server.name, "{}", failure.sentence());
        }
    }

    /// Holds the pause of the configuration against the one on disk.
    pub(super) async fn settle_pause(&self, server: &Arc<Server>) {
        let now = self.now();
        if let Some(pause) =
            desk::reconciled(server.paused.as_ref(), self.desk.pause().as_ref(), now)
        {
            let (runner, config, written) = (
                Arc::clone(&self.context.runner),
                Arc::clone(server),
                pause.clone(),
            );
            if let Err(failure) = blocking(move || runner.keep_pause(&config, &written)).await {
                tracing::warn!(server = server.name, "{}", failure.sentence());
            }
            self.desk.set_pause(Some(pause));
        }
    }
}
