//! What is known about each server: one picture for the metrics, the page and JSON.
//!
//! [`ServerStatus`] is made from disk facts alone (ledger and kept backups), so a restart changes nothing. What lives only
//! in the process (a running job, whether the server answers, the volume's space) stands beside it in [`ServerView`].
//! [`Shared`] is where the daemon writes and the reports read.

pub mod control;
mod link;
mod outlook;
mod record;
mod trend;
mod verdict;
mod view;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::error::FailureKind;
use crate::ledger::{Entry, Job, JobResult, KeptReport, Phase};
use crate::manifest::Manifest;

pub use crate::store::space::Space;
pub use link::{SEGMENT, server_path};
pub use outlook::Outlook;
use record::Record;
pub use trend::{Restored, Taken, Trend};
pub use verdict::{Level, Verdict, answer, verdict};
pub use view::{Notified, Paused, PerJob, Running, ServerView, Shared, Snapshot};

/// What the disk says about one server.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The ledger, in its order.
    pub entries: Vec<Entry>,
    /// The backups kept, in any order.
    pub backups: Vec<BackupSummary>,
    /// What is to be expected.
    pub outlook: Outlook,
}

/// What reports need to know of one kept backup; the catalog itself would fill the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupSummary {
    /// The archive's name.
    pub file_name: String,
    /// When the dump began; of a foreign file, as `finished_at`.
    pub started_at: DateTime<Utc>,
    /// When the archive was complete; of a foreign file, when it was last written.
    pub finished_at: DateTime<Utc>,
    /// Wall time of the backup, 0 where unknown.
    pub duration_seconds: f64,
    /// Size of the archive.
    pub bytes: u64,
    /// Bytes of dump text in it, 0 where unknown.
    pub uncompressed_bytes: u64,
    /// The databases in it.
    pub databases: Vec<DatabaseSummary>,
    /// Whether pgvigil made it, or found it to be whole; all that is known of another file is that it is there.
    pub has_manifest: bool,
}

/// A kept backup, and what the ledger says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptBackup {
    /// The backup.
    pub summary: BackupSummary,
    /// How its last check ended that could run, and when.
    pub verified: Option<(JobResult, DateTime<Utc>)>,
    /// How its last drill of all of it ended that could run, and when.
    pub drilled: Option<(JobResult, DateTime<Utc>)>,
    /// That drill's report, where it was kept.
    pub report: Option<KeptReport>,
}

/// One database of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    /// Its name.
    pub name: String,
    /// Rows of all its tables.
    pub rows: u64,
    /// Its size on the server when the dump began.
    pub bytes_on_server: u64,
}

/// What the disk says about one server, counted.
#[derive(Clone, Debug, Default)]
pub struct ServerStatus {
    /// Whether the disk was ever read: nothing counted is not nothing there.
    pub is_known: bool,
    /// Attempts to take a backup.
    pub backup: History,
    /// Verifications.
    pub verify: History,
    /// Drills.
    pub drill: History,
    /// Removals of what is no longer wanted.
    pub prune: History,
    /// When the first attempt of the ledger began, of whatever job: since when there is something to be late with.
    pub first_entry_at: Option<DateTime<Utc>>,
    /// What the last drill that compared anything measured.
    pub last_drill: DrillStatus,
    /// When the newest backup that a drill proved was finished.
    pub proven_backup_at: Option<DateTime<Utc>>,
    /// The newest backup with a manifest.
    pub newest: Option<BackupSummary>,
    /// All backups kept and what became of them, the newest first.
    pub backups: Vec<KeptBackup>,
    /// How its last verification ended.
    pub newest_verified: Option<JobResult>,
    /// A file of someone else that is newer than the newest backup, and that was found not to be whole.
    pub newer_is_cut: Option<String>,
    /// Kept backups.
    pub kept: u64,
    /// Their size in all.
    pub kept_bytes: u64,
    /// When the oldest of them was finished.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Kept backups whose last verification failed.
    pub corrupt: u64,
    /// Backups removed, in the ledger.
    pub pruned: u64,
    /// What is to be expected.
    pub outlook: Outlook,
    /// The last thing that did not pass, unless the same job has passed since.
    pub problem: Option<Problem>,
    /// How things went lately.
    pub trend: Trend,
}

/// The attempts at one kind of job.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the last one began.
    pub last_attempt: Option<DateTime<Utc>>,
    /// When the last one passed.
    pub last_success: Option<DateTime<Utc>>,
    /// When the last one found the backup at fault.
    pub last_failure: Option<DateTime<Utc>>,
    /// When the last one could not run.
    pub last_error: Option<DateTime<Utc>>,
    /// Wall time of the last one that could run.
    pub last_duration_seconds: f64,
    /// Wall time of the last one that passed.
    pub success_duration_seconds: f64,
    /// How many.
    pub attempts: u64,
    /// How many did not pass, by reason.
    pub failures: BTreeMap<FailureKind, u64>,
}

/// What a drill measured.
#[derive(Clone, Debug, Default)]
pub struct DrillStatus {
    /// Tables compared.
    pub tables: u64,
    /// Rows compared.
    pub rows: u64,
    /// Things that are not equal.
    pub mismatches: u64,
    /// Wall time of the restore alone.
    pub restore_seconds: f64,
    /// Wall time of each phase.
    pub phases: Vec<Phase>,
}

/// Something that did not pass.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which job.
    pub job: Job,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How.
    pub result: JobResult,
    /// The backup it is about, where there is one.
    pub backup: Option<String>,
    /// The sentence for people.
    pub sentence: String,
}

impl Loaded {
    /// Adds what is known of files whose manifests could not be written.
    pub fn complete(&mut self, known: Vec<BackupSummary>) {
        for summary in known {
            let file = self.backups.iter_mut().find(|file| {
                !file.has_manifest
                    && file.file_name == summary.file_name
                    && file.bytes == summary.bytes
            });
            if let Some(file) = file {
                *file = summary;
            }
        }
    }
}

impl BackupSummary {
    /// The summary of a backup that pgvigil made, or found to be whole.
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let sizes: HashMap<&str, u64> = manifest
            .source
            .database_sizes
            .iter()
            .map(|size| (size.database.as_str(), size.bytes))
            .collect();
        let databases = manifest
            .catalog
            .databases
            .iter()
            .map(|database| DatabaseSummary {
                name: database.label().to_owned(),
                rows: database.rows(),
                bytes_on_server: sizes
                    .get(database.name.as_str())
                    .copied()
                    .unwrap_or_default(),
            });
        Self {
            file_name: manifest.archive.file_name.clone(),
            started_at: manifest.started_at,
            finished_at: manifest.finished_at,
            duration_seconds: manifest.duration_seconds,
            bytes: manifest.archive.bytes,
            uncompressed_bytes: manifest.archive.uncompressed_bytes,
            databases: databases.collect(),
            has_manifest: true,
        }
    }

    /// The summary of a file without a manifest.
    pub fn foreign(file_name: impl Into<String>, written_at: DateTime<Utc>, bytes: u64) -> Self {
        Self {
            file_name: file_name.into(),
            started_at: written_at,
            finished_at: written_at,
            duration_seconds: 0.0,
            bytes,
            uncompressed_bytes: 0,
            databases: Vec::new(),
            has_manifest: false,
        }
    }
}

impl History {
    fn count(&mut self, entry: &Entry) {
        self.attempts += 1;
        let ended = Some(entry.finished_at);
        self.last_attempt = self.last_attempt.max(Some(entry.started_at));
        if matches!(entry.result, JobResult::Passed | JobResult::Failed) {
            self.last_duration_seconds = entry.duration_seconds;
        }
        match entry.result {
            JobResult::Passed => {
                self.last_success = self.last_success.max(ended);
                self.success_duration_seconds = entry.duration_seconds;
            }
            JobResult::Failed => self.last_failure = self.last_failure.max(ended),
            // A backup that was not taken in time is a failed one.
            JobResult::Timeout if entry.job == Job::Backup => {
                self.last_failure = self.last_failure.max(ended);
            }
            JobResult::Error | JobResult::Timeout => self.last_error = self.last_error.max(ended),
        }
        if entry.result != JobResult::Passed {
            *self
                .failures
                .entry(entry.reason.unwrap_or(FailureKind::Io))
                .or_default() += 1;
        }
    }

    /// When the last one ended that did not pass, for whatever reason.
    pub fn last_not_passed(&self) -> Option<DateTime<Utc>> {
        self.last_failure.max(self.last_error)
    }
}

impl ServerStatus {
    /// Counts what was found on disk.
    pub fn new(loaded: &Loaded) -> Self {
        let mut status = Self {
            is_known: true,
            outlook: loaded.outlook.clone(),
            trend: Trend::new(loaded),
            ..Self::default()
        };
        status.first_entry_at = loaded.entries.iter().map(|entry| entry.started_at).min();
        for entry in &loaded.entries {
            status.count(entry);
        }
        let record = Record::of(&loaded.entries);
        for backup in &loaded.backups {
            status.kept += 1;
            status.kept_bytes = status.kept_bytes.saturating_add(backup.bytes);
            status.oldest_at = Some(
                status
                    .oldest_at
                    .map_or(backup.finished_at, |oldest| oldest.min(backup.finished_at)),
            );
            let ended = |entry: &Entry| (entry.result, entry.finished_at);
            let verified = record.last(backup, Record::verified).map(ended);
            status.corrupt += u64::from(verified.is_some_and(|(how, _)| how == JobResult::Failed));
            let drill = record.last(backup, Record::drilled);
            status.backups.push(KeptBackup {
                summary: backup.clone(),
                verified,
                drilled: drill.map(ended),
                report: drill.and_then(|entry| entry.report.clone()),
            });
        }
        status
            .backups
            .sort_by_key(|backup| std::cmp::Reverse(backup.summary.started_at));
        let newest = loaded
            .backups
            .iter()
            .filter(|backup| backup.has_manifest)
            .max_by_key(|backup| backup.finished_at);
        if let Some(newest) = newest {
            status.newest_verified = record
                .last(newest, Record::verified)
                .map(|entry| entry.result);
            // The ledger may be lost or behind; the manifest is published only with a whole backup.
            status.backup.last_success = status.backup.last_success.max(Some(newest.finished_at));
            status.backup.last_attempt = status.backup.last_attempt.max(Some(newest.started_at));
            status.backup.success_duration_seconds = newest.duration_seconds;
        }
        status.newest = newest.cloned();
        let since = newest.map_or(DateTime::<Utc>::MIN_UTC, |newest| newest.finished_at);
        let is_cut = |backup: &&BackupSummary| {
            !backup.has_manifest
                && backup.finished_at > since
                && record
                    .last(backup, Record::found)
                    .is_some_and(|entry| entry.result == JobResult::Failed)
        };
        let cut = loaded.backups.iter().filter(is_cut);
        status.newer_is_cut = cut
            .max_by_key(|backup| backup.finished_at)
            .map(|backup| backup.file_name.clone());
        status
    }

    fn count(&mut self, entry: &Entry) {
        let history = match entry.job {
            Job::Backup => &mut self.backup,
            Job::Verify => &mut self.verify,
            // They say nothing of the backups to come.
            Job::Restore => return,
            Job::Prune => &mut self.prune,
            // A part that passes proves no backup; one that fails is at fault all the same.
            Job::Drill if entry.is_partial() && entry.result == JobResult::Passed => return,
            Job::Drill => &mut self.drill,
        };
        history.count(entry);
        if let Some(facts) = &entry.pruned {
            self.pruned += facts.removed.len() as u64;
        }
        if let (Job::Drill, Some(facts)) = (entry.job, &entry.drill) {
            self.last_drill = DrillStatus {
                tables: facts.tables,
                rows: facts.rows,
                mismatches: facts.mismatches,
                restore_seconds: facts.restore_seconds,
                phases: facts.phases.clone(),
            };
        }
        if entry.job == Job::Drill && entry.result == JobResult::Passed {
            self.proven_backup_at = self.proven_backup_at.max(entry.backup_finished_at);
        }
        if let Some(problem) = Problem::of(entry) {
            self.problem = Some(problem);
        } else if self
            .problem
            .as_ref()
            .is_some_and(|problem| problem.job == entry.job)
        {
            self.problem = None;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
