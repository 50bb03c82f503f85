//! One attempt of a job becomes one ledger entry, however it ends.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tracing::{Level, Span, error, error_span, event, info, warn};

use crate::agenda::Begun;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{
    DrillFacts, Entry, Job, JobResult, KeptReport, PruneFacts, RestoreFacts, Sizes, VolumeFacts,
};
use crate::pg::scratch::random_id;
use crate::store;

/// The target of what is logged of an attempt's end: a command that ends with its job's own sentence leaves that out.
pub const LOG_TARGET: &str = "pgvigil::job";

/// Entries that no ledger could take, by its directory. They are known while this process runs, so that what happens on a
/// full or read-only volume is seen; attempts begin in many places, and all of them end here.
static UNWRITTEN: Mutex<BTreeMap<PathBuf, VecDeque<Entry>>> = Mutex::new(BTreeMap::new());

/// Files of a directory that are looked at when an attempt ends: those of two thousand backups and what belongs to them.
const FILES_LIMIT: usize = 10_000;

/// How many of a directory are kept: the newest.
const UNWRITTEN_LIMIT: usize = 1_000;

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    directory: Option<PathBuf>,
    began: Instant,
    entry: Entry,
}

impl Attempt {
    /// Begins an attempt; `directory` is where its ledger is, `None` where it has none.
    pub fn begin(job: Job, server: &str, directory: Option<&Path>) -> Result<Self> {
        let attempt = Self::unannounced(job, server, directory)?;
        info!(
            job = job.name(),
            job_id = attempt.job_id(),
            server,
            "job started"
        );
        Ok(attempt)
    }

    /// An attempt of which nobody is told that it begins: it is over already, or never began its work.
    fn unannounced(job: Job, server: &str, directory: Option<&Path>) -> Result<Self> {
        let started_at = Utc::now();
        let job_id = format!(
            "{}-{:08x}",
            started_at.format("%Y%m%dT%H%M%S"),
            random_id()?
        );
        let entry = Entry::begun(job, server, job_id, started_at);
        Ok(Self {
            directory: directory.map(Path::to_owned),
            began: Instant::now(),
            entry,
        })
    }

    /// What its work runs in: all that is logged there is known to be its.
    pub fn span(&self) -> Span {
        // At the level of errors, so that those have it whatever else is logged.
        error_span!(
            "attempt",
            job_id = self.job_id(),
            server = self.entry.server
        )
    }

    /// When it began.
    pub fn started_at(&self) -> DateTime<Utc> {
        self.entry.started_at
    }

    /// Wall time so far.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Ties log lines, ledger and reports together.
    pub fn job_id(&self) -> &str {
        &self.entry.job_id
    }

    /// Says when it was due.
    pub fn was_due(&mut self, at: Option<DateTime<Utc>>) {
        self.entry.scheduled_for = at;
    }

    /// Adds how large the backup is.
    pub fn is_large(&mut self, sizes: Sizes) {
        self.entry.sizes = Some(sizes);
    }

    /// Adds what was removed.
    pub fn removed(&mut self, facts: PruneFacts) {
        self.entry.pruned = Some(facts);
    }

    /// It was someone else's, from then until then.
    pub fn was_observed(&mut self, started_at: DateTime<Utc>, finished_at: DateTime<Utc>) {
        self.entry.observed = true;
        self.entry.started_at = started_at;
        self.entry.finished_at = finished_at;
    }

    /// Names the backup it is about.
    pub fn about(&mut self, archive: &Path, finished_at: Option<DateTime<Utc>>) {
        self.entry.backup = archive
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        self.entry.backup_finished_at = finished_at;
    }

    /// Adds what a drill measured.
    pub fn measured(&mut self, facts: DrillFacts) {
        self.entry.drill = Some(facts);
    }

    /// Adds what a restore put where.
    pub fn restored(&mut self, facts: RestoreFacts) {
        self.entry.restore = Some(facts);
    }

    /// Names the report of a drill.
    pub fn reported(&mut self, report: KeptReport) {
        self.entry.report = Some(report);
    }

    /// Ends it: one ledger entry, one log line.
    pub fn end(mut self, failure: Option<&Failure>) {
        if self.entry.observed {
            let took = self.entry.finished_at - self.entry.started_at;
            self.entry.duration_seconds = took.to_std().unwrap_or_default().as_secs_f64();
        } else {
            self.entry.finished_at = Utc::now();
            self.entry.duration_seconds = self.seconds();
        }
        self.entry.result = JobResult::of(self.entry.job, failure);
        self.entry.reason = failure.map(Failure::kind);
        self.entry.message = failure.map(Failure::sentence);
        self.log_end(failure);
        let Some(directory) = &self.directory else {
            return;
        };
        // Without its directory a job has failed for that reason, which is said already.
        let unsaid = failure.is_none_or(|failure| {
            !matches!(
                failure.kind(),
                FailureKind::Directory | FailureKind::NoSpace
            )
        });
        // What is observed ended at another time.
        if !self.entry.observed {
            self.entry.volume = volume(directory);
        }
        // In the order of time.
        write_unwritten(directory);
        if let Err(error) = store::ledger::append(directory, &mut self.entry) {
            if unsaid {
                error!(
                    job_id = self.job_id(),
                    server = self.entry.server,
                    "{}",
                    error.sentence()
                );
            }
            keep_unwritten(directory, self.entry);
        }
    }

    fn log_end(&self, failure: Option<&Failure>) {
        let entry = &self.entry;
        macro_rules! ended {
            ($level:expr) => {
                event!(
                    target: LOG_TARGET, $level,
                    job = entry.job.name(), job_id = entry.job_id, server = entry.server,
                    result = entry.result.name(), reason = entry.reason.map(|kind| kind.policy().label),
                    seconds = (entry.duration_seconds * 1000.0).round() / 1000.0,
                    backup = entry.backup.as_deref(), error = entry.message.as_deref(), "job ended"
                )
            };
        }
        match failure {
            None => ended!(Level::INFO),
            // Someone asked for that.
            Some(failure) if failure.kind() == FailureKind::Cancelled => ended!(Level::WARN),
            Some(_) => ended!(Level::ERROR),
        }
    }
}

/// Records an attempt that never began its work, or that nobody could end.
pub fn record(server: &str, directory: &Path, begun: Begun, failure: &Failure) {
    match Attempt::unannounced(begun.job, server, Some(directory)) {
        Ok(mut attempt) => {
            attempt.entry.scheduled_for = begun.due;
            attempt.entry.started_at = begun.started_at;
            attempt.end(Some(failure));
        }
        Err(error) => warn!(server, "{}", error.sentence()),
    }
}

/// What is left of the volume, which is for the record alone: nothing fails where it cannot be asked.
fn volume(directory: &Path) -> Option<VolumeFacts> {
    let space = store::space::of(directory).ok()?;
    // Not of a directory that takes long to look through: the entry is to be written.
    let taken = store::space::directory_bytes(directory, FILES_LIMIT).ok()?;
    taken.is_all.then_some(VolumeFacts {
        used_bytes: space.used_bytes,
        available_bytes: space.available_bytes,
        directory_bytes: taken.bytes,
    })
}

fn keep_unwritten(directory: &Path, entry: Entry) {
    let mut unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = unwritten.entry(directory.to_owned()).or_default();
    kept.push_back(entry);
    if kept.len() > UNWRITTEN_LIMIT {
        kept.pop_front();
    }
}

/// Writes what could not be written before, if there is room now: each attempt is in the ledger, if late.
fn write_unwritten(directory: &Path) {
    let taken = UNWRITTEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(directory);
    let Some(mut left) = taken else { return };
    // One can be there all the same: only its head could not be written.
    if let Ok(entries) = store::ledger::read(directory) {
        let written: HashSet<&str> = entries.iter().map(|entry| entry.job_id.as_str()).collect();
        left.retain(|entry| !written.contains(entry.job_id.as_str()));
        while let Some(mut entry) = left.pop_front() {
            if store::ledger::append(directory, &mut entry).is_err() {
                left.push_front(entry);
                break;
            }
        }
    }
    left.into_iter()
        .for_each(|entry| keep_unwritten(directory, entry));
}

/// Adds to a ledger's entries those that it could not take, in the order of time.
pub fn add_unwritten(directory: &Path, entries: &mut Vec<Entry>) {
    let unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(kept) = unwritten.get(directory) else {
        return;
    };
    // One can be there all the same: only its head could not be written.
    let written: HashSet<&str> = entries.iter().map(|entry| entry.job_id.as_str()).collect();
    let missing = kept
        .iter()
        .filter(|entry| !written.contains(entry.job_id.as_str()));
    let missing: Vec<_> = missing.cloned().collect();
    if !missing.is_empty() {
        entries.extend(missing);
        entries.sort_by_key(|entry| entry.finished_at);
    }
}

/// The ledger that a job on this archive belongs into: the server directory's, if the archive lies in it.
pub fn ledger_directory<'a>(archive: &Path, directory: &'a Path) -> Option<&'a Path> {
    let parent = archive.parent().and_then(|parent| {
        if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        }
        .canonicalize()
        .ok()
    });
    (parent.is_some() && parent == directory.canonicalize().ok()).then_some(directory)
}

#[cfg(test)]
mod unwritten_tests {
    use super::*;
    use crate::store::ledger;

    fn attempt(directory: &Path) -> String {
        let attempt = Attempt::begin(Job::Verify, "a", Some(directory)).expect("begun");
        let id = attempt.job_id().to_owned();
        attempt.end(None);
        id
    }

    #[test]
    fn what_no_ledger_could_take_is_written_when_one_can() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path();
        // A ledger that cannot be opened for writing, also by root.
        std::fs::create_dir(here.join(ledger::FILE_NAME)).expect("made");
        let mut ids = vec![attempt(here), attempt(here)];
        std::fs::remove_dir(here.join(ledger::FILE_NAME)).expect("removed");
        ids.push(attempt(here));
        let entries = ledger::read(here).expect("read");
        let written: Vec<_> = entries.iter().map(|entry| entry.job_id.clone()).collect();
        assert_eq!(written, ids);
        let mut known = entries.clone();
        add_unwritten(here, &mut known);
        assert_eq!(known, entries, "none is left");
    }
}
