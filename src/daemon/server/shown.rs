//! What a server's task shows: what the disk says, what runs next, and whether it is paused.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Task, blocking, desk, rules};
use crate::config::{Mode, Server};
use crate::error::Failure;
use crate::ledger::Job;
use crate::schedule::Schedule;
use crate::status::{PerJob, ServerStatus};
use crate::store::agenda::KeptPause;

impl Task {
    /// Reads the disk; what was known stays where that fails.
    pub(super) async fn reload(&self) -> bool {
        let (runner, server) = (Arc::clone(&self.context.runner), self.desk.config());
        let (name, unwritten) = (server.name.clone(), self.desk.unwritten());
        let read = blocking(move || {
            let status = runner.load(&server).map(|mut loaded| {
                loaded.complete(unwritten);
                ServerStatus::new(&loaded)
            })?;
            let pause: Option<KeptPause> = runner.recall_pause(&server)?;
            Ok((status, pause))
        })
        .await;
        let error = read.as_ref().err().map(Failure::sentence);
        if let Some(error) = &error {
            tracing::error!(server = name, "{error}");
        }
        let status = read.ok().map(|(status, pause)| {
            if pause.is_some() {
                self.desk.set_pause(pause);
            }
            status
        });
        self.context.shared.update(self.id, |view| {
            if let Some(status) = status {
                view.status = status;
            }
            view.unreadable.clone_from(&error);
        });
        error.is_none()
    }

    pub(super) fn publish(&mut self, server: &Arc<Server>) {
        let (now, rules) = (self.now(), rules(server));
        let paused = desk::shown(self.desk.pause().as_ref(), now);
        let over = paused.as_ref().map(|paused| paused.pause.until);
        let next = |job| {
            let next = self.agenda.next(&rules, job, now)?;
            // Not before a pause is over, and never where nobody knows when that is.
            over.map_or(Some(next), |until| until.map(|until| next.max(until)))
        };
        // Also where something else takes the backups: then it says when one is expected.
        let expected = server
            .backup
            .schedule
            .as_ref()
            .filter(|_| server.backup.mode != Mode::Take)
            .and_then(|schedule| schedule.next_after(now));
        let next = PerJob {
            backup: next(Job::Backup).or(expected),
            verify: next(Job::Verify),
            drill: next(Job::Drill),
            ..PerJob::default()
        };
        let interval = self.interval(server, now);
        self.context.shared.update(self.id, |view| {
            (view.next, view.interval, view.paused) = (next, interval, paused);
        });
    }

    fn interval(&mut self, server: &Arc<Server>, now: DateTime<Utc>) -> PerJob<Duration> {
        if let Some((of, day, interval)) = &self.interval
            && Arc::ptr_eq(of, server)
            && *day == now.date_naive()
        {
            return *interval;
        }
        // With jitter one run may begin at once and the next one late.
        let longest = |schedule: &Option<Schedule>, jitter| {
            let schedule = schedule.as_ref();
            schedule.map_or(Duration::ZERO, |schedule| {
                schedule.expected_interval(now) + jitter
            })
        };
        let interval = PerJob {
            backup: longest(&server.backup.schedule, server.backup.jitter),
            verify: longest(&server.verify.schedule, server.verify.jitter),
            drill: longest(&server.drill.schedule, server.drill.jitter),
            ..PerJob::default()
        };
        self.interval = Some((Arc::clone(server), now.date_naive(), interval));
        interval
    }
}
