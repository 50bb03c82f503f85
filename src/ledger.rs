//! The ledger: the append-only record of everything that was attempted, one JSON line each.
//!
//! Each line holds the SHA-256 of the line before it (of the bytes without the newline; the first holds zeros), so that
//! an edit, a gap or another order shows. What no chain can show, a change of the last line or its removal, is what the
//! [`Head`] is for. This module is the format, [`check`] tells whether a ledger holds together, [`evidence`] what it says
//! about a period; `store::ledger` is the file.

pub mod check;
pub mod evidence;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Failure, FailureKind};

/// Which job an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// A backup was to be taken.
    Backup,
    /// A backup was to be checked.
    Verify,
    /// A backup was to be restored and compared.
    Drill,
    /// A backup was to be restored onto a server, by a person.
    Restore,
    /// Backups that are no longer wanted were to be removed.
    Prune,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobResult {
    /// Good; for a drill, proven.
    Passed,
    /// The backup is at fault, or there is none.
    Failed,
    /// The job could not run.
    Error,
    /// The time for it was up, and it was ended.
    Timeout,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub sequence: u64,
    /// SHA-256 of the line before, in hex.
    pub previous: String,
    /// Ties log lines, ledger and reports together.
    pub job_id: String,
    /// The server's name in the configuration.
    pub server: String,
    /// Which job.
    pub job: Job,
    /// When it was due, where the schedule asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Wall time.
    pub duration_seconds: f64,
    /// How it ended.
    pub result: JobResult,
    /// Why it did not pass.
    pub reason: Option<FailureKind>,
    /// The sentence that people saw.
    pub message: Option<String>,
    /// The archive's file name, where there is one.
    pub backup: Option<String>,
    /// When that backup was finished, where its manifest says it; of a file of someone else that is no backup, when it was
    /// last written.
    pub backup_finished_at: Option<DateTime<Utc>>,
    /// How large the backup is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// Whether someone else took the backup, and it was found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// The volume as it was afterwards, where it could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeFacts>,
    /// What was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PruneFacts>,
    /// What a drill measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillFacts>,
    /// What a restore put where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreFacts>,
    /// The report of a drill, where it could be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<KeptReport>,
}

/// A drill's report that is kept beside the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReport {
    /// The report as JSON, relative to the ledger's directory.
    pub file: String,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// That of the page for people beside it (`.md` for `.json`), where it could be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_sha256: Option<String>,
}

/// The last entry as it was written: kept beside the ledger, and what a person notes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub sequence: u64,
    /// SHA-256 of its line, in hex.
    pub digest: String,
}

/// How large a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// The archive.
    pub bytes: u64,
    /// The dump text in it.
    pub uncompressed_bytes: u64,
    /// All databases on the server when the dump began, 0 where unknown.
    pub database_bytes: u64,
}

/// A volume at one time, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFacts {
    /// What was taken.
    pub used_bytes: u64,
    /// What could still be written.
    pub available_bytes: u64,
    /// What the directory of the backups took of it.
    pub directory_bytes: u64,
}

/// What was removed because it was no longer wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneFacts {
    /// Archives removed, with their manifests.
    pub removed: Vec<String>,
    /// Their size in all.
    pub bytes: u64,
    /// Backups kept.
    pub kept: u64,
}

/// What a drill measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillFacts {
    /// Databases compared.
    pub databases: u64,
    /// Tables compared.
    pub tables: u64,
    /// Rows compared.
    pub rows: u64,
    /// Things that are not equal.
    pub mismatches: u64,
    /// Wall time of the restore alone.
    pub restore_seconds: f64,
    /// What was drilled, where it was not all of the backup: then it is no proof of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Wall time of each phase, in order.
    pub phases: Vec<Phase>,
}

/// What a restore put where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestoreFacts {
    /// The server: `host:port`.
    pub target: String,
    /// Databases, or `database: schema.table`, by their names there.
    pub restored: Vec<String>,
    /// Rows loaded.
    pub rows: u64,
    /// Wall time of loading.
    pub restore_seconds: f64,
    /// The backup of what was replaced, if one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_backup: Option<String>,
}

/// A phase of a drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
}

impl Entry {
    /// An attempt that begins and did not run yet.
    pub fn begun(
        job: Job,
        server: impl Into<String>,
        job_id: impl Into<String>,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self {
            sequence: 0,
            previous: String::new(),
            job_id: job_id.into(),
            server: server.into(),
            job,
            scheduled_for: None,
            started_at,
            finished_at: started_at,
            duration_seconds: 0.0,
            result: JobResult::Error,
            reason: None,
            message: None,
            backup: None,
            backup_finished_at: None,
            sizes: None,
            observed: false,
            volume: None,
            pruned: None,
            drill: None,
            restore: None,
            report: None,
        }
    }

    /// Whether it is about a part of a backup only.
    pub fn is_partial(&self) -> bool {
        self.drill
            .as_ref()
            .is_some_and(|facts| facts.scope.is_some())
    }
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Backup,
        Self::Verify,
        Self::Drill,
        Self::Restore,
        Self::Prune,
    ];

    /// Its name in logs, messages and addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::Restore => "restore",
            Self::Prune => "prune",
        }
    }
}

impl JobResult {
    /// How a job ended.
    pub fn of(job: Job, failure: Option<&Failure>) -> Self {
        match failure.map(Failure::kind) {
            None => Self::Passed,
            Some(FailureKind::Timeout) => Self::Timeout,
            Some(kind) if kind.policy().exit_code == 1 => Self::Failed,
            // A backup that was not taken is a failed one, whatever the reason.
            Some(_) if job == Job::Backup => Self::Failed,
            Some(_) => Self::Error,
        }
    }

    /// Its name in logs and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

impl std::fmt::Display for Head {
    /// `12:9f86d0…`, as [`std::str::FromStr`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.sequence, self.digest)
    }
}

/// A text that does not name an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry's number, a colon and 64 hex digits")]
pub struct NotAHead;

impl std::str::FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (sequence, digest) = text.split_once(':').ok_or(NotAHead)?;
        let is_digest =
            digest.len() == GENESIS.len() && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        match sequence.parse() {
            Ok(sequence) if is_digest => Ok(Self {
                sequence,
                digest: digest.to_ascii_lowercase(),
            }),
            _ => Err(NotAHead),
        }
    }
}

/// What the first line holds as its predecessor's digest.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The digest of a line, without its newline, in hex.
pub fn digest(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
