//! One server's task: waits for what is due, runs one job at a time, reads the disk after each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Context;
use super::plan::Plan;
use crate::config;
use crate::drill;
use crate::error::Result;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::status::{Running, ServerStatus};

/// How long to wait before a second attempt: enough for a server to restart, short against any schedule.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// How many servers' directories were not read yet.
#[derive(Clone)]
pub(super) struct Unread(Arc<AtomicUsize>);

struct Task {
    context: Context,
    id: u64,
    server: Arc<config::Server>,
}

impl Unread {
    /// None was read.
    pub(super) fn new(servers: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(servers)))
    }

    /// One more was read; true for the last.
    fn count_down(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// Runs a server's jobs until the drain.
pub(super) async fn run(
    context: Context,
    id: u64,
    server: Arc<config::Server>,
    unread: Unread,
) -> Result<()> {
    let task = Task {
        context,
        id,
        server,
    };
    let mut plan = Plan::new(&task.server, task.context.clock.now());
    task.publish(&plan);
    let mut readable = task.reload().await;
    if unread.count_down() {
        task.context.shared.write(|snapshot| snapshot.loaded = true);
        tracing::info!("ready");
    }
    drill::sweep(&task.server).await;
    while !task.context.stop.is_draining() {
        let now = task.context.clock.now();
        if let Some(job) = plan.due(now) {
            readable = task.job(job).await;
            plan.done(job, task.context.clock.now());
            task.publish(&plan);
        } else if task.context.pause(plan.wait(now)).await.is_some() && !readable {
            readable = task.reload().await;
        }
    }
    Ok(())
}

/// Runs what may block on a thread of its own; a panic goes on in the caller.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Task {
    /// Runs a job, again where that can help; whether the disk could be read afterwards.
    async fn job(&self, job: Job) -> bool {
        let retries = if job == Job::Backup {
            self.server.backup.retries
        } else {
            0
        };
        let mut readable = true;
        for left in (0..=retries).rev() {
            let Some(result) = self.attempt(job).await else {
                break;
            };
            readable = self.reload().await;
            let retry = result.is_err_and(|failure| failure.kind().policy().retry);
            if !retry || left == 0 || self.context.pause(RETRY_DELAY).await.is_none() {
                break;
            }
            tracing::info!(server = %self.server.name, job = job.name(), left, "trying again");
        }
        readable
    }

    /// One attempt; `None` where the drain came first.
    async fn attempt(&self, job: Job) -> Option<Result<()>> {
        let stop = &self.context.stop;
        let room = self
            .context
            .before_drain(self.context.room.acquire())
            .await?;
        let progress = Progress::default();
        let running = Running {
            job,
            started_at: self.context.clock.now(),
            progress: progress.clone(),
        };
        self.context
            .shared
            .update(self.id, |view| view.running = Some(running));
        tracing::info!(server = %self.server.name, job = job.name(), "job started");
        let mut work = self
            .context
            .runner
            .run((*self.server).clone(), job, progress.clone());
        let result = tokio::select! {
            result = &mut work => result,
            () = stop.draining() => {
                progress.cancel();
                work.await
            }
        };
        drop(room);
        self.context
            .shared
            .update(self.id, |view| view.running = None);
        match &result {
            Ok(()) => tracing::info!(server = %self.server.name, job = job.name(), "job passed"),
            Err(failure) => {
                let reason = failure.kind().policy().label;
                tracing::error!(server = %self.server.name, job = job.name(), reason, "{}", failure.sentence());
            }
        }
        Some(result)
    }

    /// Reads the disk; what was known stays where that fails.
    async fn reload(&self) -> bool {
        let (runner, server) = (Arc::clone(&self.context.runner), Arc::clone(&self.server));
        let read = blocking(move || {
            runner
                .load(&server)
                .map(|loaded| ServerStatus::new(&loaded))
        })
        .await;
        let error = read.as_ref().err().map(|failure| failure.sentence());
        if let Some(error) = &error {
            tracing::error!(server = %self.server.name, "{error}");
        }
        self.context.shared.update(self.id, |view| {
            if let Ok(status) = read {
                view.status = status;
            }
            view.unreadable = error.clone();
        });
        error.is_none()
    }

    fn publish(&self, plan: &Plan) {
        let (next, interval) = (plan.next(), plan.interval(self.context.clock.now()));
        self.context.shared.update(self.id, |view| {
            (view.next, view.interval) = (next, interval);
        });
    }
}
