//! One kept backup.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::ledger::JobResult;
use crate::status::{BackupSummary, DatabaseSummary, KeptBackup};

/// A kept backup and what became of it.
#[derive(Serialize)]
pub(super) struct Backup<'a> {
    file_name: &'a str,
    made_by_pgvigil: bool,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    duration_seconds: Option<f64>,
    size_bytes: u64,
    uncompressed_size_bytes: Option<u64>,
    databases: Vec<Database<'a>>,
    verified: Option<Ended>,
    drilled: Option<Ended>,
}

/// One database of a backup.
#[derive(Serialize)]
struct Database<'a> {
    name: &'a str,
    rows: u64,
    size_on_server_bytes: u64,
}

/// How a job about a backup ended.
#[derive(Serialize)]
struct Ended {
    result: &'static str,
    at: DateTime<Utc>,
}

impl<'a> From<&'a KeptBackup> for Backup<'a> {
    fn from(kept: &'a KeptBackup) -> Self {
        let BackupSummary {
            file_name,
            started_at,
            finished_at,
            duration_seconds,
            bytes,
            uncompressed_bytes,
            databases,
            has_manifest,
        } = &kept.summary;
        Self {
            file_name,
            made_by_pgvigil: *has_manifest,
            started_at: *started_at,
            finished_at: *finished_at,
            duration_seconds: Some(*duration_seconds).filter(|duration| *duration > 0.0),
            size_bytes: *bytes,
            uncompressed_size_bytes: known(*uncompressed_bytes),
            databases: databases.iter().map(Database::from).collect(),
            verified: kept.verified.map(Ended::from),
            drilled: kept.drilled.map(Ended::from),
        }
    }
}

impl<'a> From<&'a DatabaseSummary> for Database<'a> {
    fn from(database: &'a DatabaseSummary) -> Self {
        Self {
            name: &database.name,
            rows: database.rows,
            size_on_server_bytes: database.bytes_on_server,
        }
    }
}

impl From<(JobResult, DateTime<Utc>)> for Ended {
    fn from((result, at): (JobResult, DateTime<Utc>)) -> Self {
        Self {
            result: result.name(),
            at,
        }
    }
}

/// A number of which 0 says that it is unknown.
pub(super) fn known(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}
