//! Removes backups that the policy no longer wants. What stays and why is [`crate::retention`]'s to say; here is what there
//! is ([`plan`]), what is done, and what is recorded.
//!
//! Per batch, in order: the archives go; that is synced; their manifests go; that is synced; one ledger entry says what
//! went. A crash at any instant leaves backups without damage, or manifests without archive, which the next run removes.
//! Names that are not those of backups never come into question, and neither does anything but regular files.

mod plan;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tracing::{error, info};

use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{Job, PruneFacts};
use crate::outcome::Progress;
use crate::recorder::Attempt;
use crate::store::lock::{self, Lock};
use crate::store::remove::{Removal, Remover};

pub use plan::Judged;
use plan::{Plan, plan};

/// Removals of one ledger entry, so that its line stays below the ledger's limit whatever the files are called.
const BATCH: usize = 500;

/// What a run came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The server's name.
    pub server: String,
    /// Whether nothing was done, and all of this only would be.
    pub dry_run: bool,
    /// The backups that were there, the oldest first, and what was thought of them.
    pub files: Vec<Judged>,
    /// Archives removed, with their manifests.
    pub removed: Vec<String>,
    /// Bytes that they had.
    pub freed_bytes: u64,
    /// Backups that are still there.
    pub kept: u64,
    /// Archives that stay for now, because someone reads them.
    pub in_use: Vec<String>,
    /// Manifests removed whose archives were gone already.
    pub orphans: Vec<String>,
    /// What could not be removed, and why.
    pub problems: Vec<String>,
    /// The same as one failure.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// Takes the directory's lock and removes what the policy no longer wants.
pub async fn take_and_run(server: &Server, progress: &Progress) -> Result<Report> {
    let lock = lock::take(&server.directory, "prune")?;
    run(server, &lock, Utc::now(), progress).await
}

/// What follows a backup that passed; an error, which is logged and in the ledger, if anything could not be removed.
pub async fn after_backup(server: &Server, lock: &Lock, progress: &Progress) -> Result<()> {
    let done = run(server, lock, Utc::now(), progress).await;
    let result = done.and_then(|report| report.failure.map_or(Ok(()), Err));
    if let Err(failure) = &result {
        error!(server = %server.name, "{}", failure.sentence());
    }
    result
}

/// Removes what the policy does not want at `now`. What goes wrong with one file does not stop the others, and is in the
/// report; an error means that nothing was judged.
pub async fn run(
    server: &Server,
    lock: &Lock,
    now: DateTime<Utc>,
    progress: &Progress,
) -> Result<Report> {
    // The thread has what it needs to go on to its end, the lock too, if nobody waits for it any more.
    let (server, lock, progress) = (server.clone(), lock.clone(), progress.clone());
    let work = tokio::task::spawn_blocking(move || {
        let plan = match plan(&server, now) {
            Ok(plan) => plan,
            Err(failure) => {
                let attempt = begin(&server)?;
                attempt.end(Some(&failure));
                return Err(failure);
            }
        };
        Work::begin(&server, &lock, &progress)?.done(plan)
    });
    work.await
        .map_err(|error| Failure::new(FailureKind::Io, "prune: a thread broke").because(error))?
}

fn begin(server: &Server) -> Result<Attempt> {
    Attempt::begin(Job::Prune, &server.name, Some(&server.directory))
}

/// What a run at `now` would come to. Needs no lock, and may block.
pub fn preview(server: &Server, now: DateTime<Utc>) -> Result<Report> {
    plan(server, now).map(|plan| Report::of_plan(server, plan))
}

impl Report {
    fn of_plan(server: &Server, plan: Plan) -> Self {
        let mut report = Self::new(server, true, plan.files);
        for file in report.files.iter().filter(|file| !file.keep) {
            report.removed.push(file.name.clone());
            report.freed_bytes = report.freed_bytes.saturating_add(file.bytes);
        }
        report.kept -= report.removed.len() as u64;
        report.orphans = plan.orphans.into_iter().map(|(name, _)| name).collect();
        report
    }

    fn new(server: &Server, dry_run: bool, files: Vec<Judged>) -> Self {
        Self {
            server: server.name.clone(),
            dry_run,
            kept: files.len() as u64,
            files,
            removed: Vec::new(),
            freed_bytes: 0,
            in_use: Vec::new(),
            orphans: Vec::new(),
            problems: Vec::new(),
            failure: None,
        }
    }
}

/// A run at work.
struct Work<'a> {
    server: &'a Server,
    progress: &'a Progress,
    remover: Remover,
}

/// What became of one batch.
#[derive(Default)]
struct Batch {
    removed: Vec<String>,
    bytes: u64,
    in_use: Vec<String>,
    failures: Vec<Failure>,
}

impl<'a> Work<'a> {
    fn begin(server: &'a Server, lock: &Lock, progress: &'a Progress) -> Result<Self> {
        Ok(Self {
            server,
            progress,
            remover: Remover::open(&server.directory, lock)?,
        })
    }

    fn done(self, plan: Plan) -> Result<Report> {
        let mut report = Report::new(self.server, false, plan.files);
        let unwanted: Vec<_> = report.files.iter().filter(|file| !file.keep).collect();
        self.progress.stage("prune", 0);
        let mut failures = Vec::new();
        for (name, seen) in plan.orphans {
            match self.remover.remove(&name, &seen) {
                Ok(_) => report.orphans.push(name),
                Err(failure) => failures.push(failure),
            }
        }
        for name in &report.orphans {
            info!(server = %self.server.name, manifest = name, "removed a manifest whose archive is gone");
        }
        // What comes to nothing is no attempt.
        if unwanted.is_empty() && failures.is_empty() {
            return Ok(report);
        }
        // Once at least, so that what went wrong with manifests is recorded too.
        let batches = unwanted.chunks(BATCH);
        let batches: Vec<_> = if batches.len() == 0 {
            vec![&[][..]]
        } else {
            batches.collect()
        };
        for batch in batches {
            let attempt = begin(self.server)?;
            let mut ended = self.batch(batch, attempt.job_id());
            ended.failures.splice(0..0, failures.drain(..));
            report.kept -= ended.removed.len() as u64;
            let failure = self.record(attempt, &ended, report.kept);
            report.removed.append(&mut ended.removed);
            report.in_use.append(&mut ended.in_use);
            report.freed_bytes = report.freed_bytes.saturating_add(ended.bytes);
            let problems = ended.failures.iter().map(Failure::sentence);
            report.problems.extend(problems);
            report.failure = report.failure.take().or(failure);
        }
        Ok(report)
    }

    /// Removes the archives of a batch, then their manifests.
    fn batch(&self, files: &[&Judged], job_id: &str) -> Batch {
        let mut batch = Batch::default();
        let mut manifests = Vec::new();
        for file in files {
            if let Err(stopped) = self.progress.check() {
                batch.failures.push(stopped);
                break;
            }
            match self.remover.remove(&file.name, &file.seen) {
                Ok(Removal::Done) => {
                    info!(job_id, server = %self.server.name, backup = file.name, bytes = file.bytes, why = file.reasons.join(", "), "removed");
                    batch.removed.push(file.name.clone());
                    batch.bytes = batch.bytes.saturating_add(file.bytes);
                    manifests.extend(&file.manifest);
                }
                Ok(Removal::InUse) => batch.in_use.push(file.name.clone()),
                Err(failure) => batch.failures.push(failure),
            }
        }
        if batch.removed.is_empty() {
            return batch;
        }
        // An archive that came back without its manifest would be taken for someone else's.
        match self.remover.sync() {
            Ok(()) => {
                for (name, seen) in manifests {
                    batch.failures.extend(self.remover.remove(name, seen).err());
                }
                batch.failures.extend(self.remover.sync().err());
            }
            Err(failure) => batch.failures.push(failure),
        }
        batch
    }

    /// One ledger entry where there is something to say.
    fn record(&self, mut attempt: Attempt, batch: &Batch, kept: u64) -> Option<Failure> {
        let failure = self.summed_up(&batch.failures);
        attempt.removed(PruneFacts {
            removed: batch.removed.clone(),
            bytes: batch.bytes,
            kept,
        });
        attempt.end(failure.as_ref());
        failure
    }

    /// Several failures as one.
    fn summed_up(&self, failures: &[Failure]) -> Option<Failure> {
        let first = failures.first()?;
        let others = match failures.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let what = format!(
            "prune {}: {}{others}",
            self.server.directory.display(),
            first.sentence()
        );
        Some(Failure::new(first.kind(), what))
    }
}

#[cfg(test)]
mod tests;
