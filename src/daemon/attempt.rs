//! One attempt of a job, watched: it is ended when its time is up, and let go when it does not listen, so that nothing that
//! hangs keeps the next run from its turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Context, Work};
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::Job;
use crate::outcome::Progress;

/// What a job may take beyond its own deadline: it ends its programs, cleans up and writes its record.
const GRACE: Duration = Duration::from_secs(120);

/// How long a job that was told to end may take, before it is let go.
const LISTENING: Duration = Duration::from_secs(30);

/// A job in which nothing moves for so long makes room for others: it waits for something, and uses nothing.
const STALL: Duration = Duration::from_secs(60);

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How an attempt ended, and whether it left a record of its own.
pub(super) struct Ended {
    pub(super) result: Result<()>,
    /// False where it was let go: nobody has recorded it.
    pub(super) recorded: bool,
}

/// Runs a job to its end.
pub(super) async fn run(
    context: &Context,
    server: Arc<Server>,
    work: Work,
    progress: &Progress,
    room: OwnedSemaphorePermit,
) -> Ended {
    let limit = limit(&server, work.job) + GRACE;
    let what = format!("{} of server {}", work.job.name(), server.name);
    let mut room = Some(room);
    let mut running = context.runner.run(server, work, progress.clone());
    let (mut moved, mut moved_at) = (progress.now(), Instant::now());
    let mut told_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            result = &mut running => return Ended { result, recorded: true },
            () = context.stop.draining(), if told_at.is_none() => {
                progress.cancel();
                told_at = Some(Instant::now());
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                let now = progress.now();
                if now != moved {
                    (moved, moved_at) = (now, Instant::now());
                }
                if moved_at.elapsed() >= STALL && room.take().is_some() {
                    tracing::debug!(job_id = progress.job_id(), "nothing moves: makes room for jobs of other servers");
                }
                if told_at.is_none() && moved_at.elapsed() >= limit {
                    tracing::error!(job_id = progress.job_id(), "{what} hangs beyond its deadline: it is told to end");
                    progress.cancel();
                    told_at = Some(Instant::now());
                }
                // A drain has a limit of its own.
                let deaf = told_at.is_some_and(|at| at.elapsed() >= LISTENING);
                if deaf && !context.stop.is_draining() {
                    return Ended { result: Err(deaf_to(&what)), recorded: false };
                }
            }
        }
    }
}

fn deaf_to(what: &str) -> Failure {
    Failure::new(
        FailureKind::Timeout,
        format!("{what}: it hung beyond its deadline and did not end when it was told to"),
    )
    .remedy("look at the volume: a dead network file system hangs whoever reads it")
}

/// How long a job may take, or one backup of a verification: so long nothing may move in it, and so long it waits for its
/// directory.
pub(super) fn limit(server: &Server, job: Job) -> Duration {
    match job {
        Job::Verify => server.verify.timeout,
        Job::Drill => server.drill.timeout,
        Job::Backup | Job::Restore | Job::Prune => server.backup.timeout,
    }
}
