//! The ledger: the append-only record of everything that was attempted, one JSON line each.
//!
//! Each line holds the SHA-256 of the line before it (of the bytes without the newline; the first holds zeros), so that
//! an edit, a gap or another order shows. This module is the format; `store::ledger` is the file.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::FailureKind;

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
    /// When that backup was finished, where its manifest says it.
    pub backup_finished_at: Option<DateTime<Utc>>,
    /// What a drill measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillFacts>,
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
    /// Wall time of each phase, in order.
    pub phases: Vec<Phase>,
}

/// A phase of a drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
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
