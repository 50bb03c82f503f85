//! `pgvigil list`

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::args::Args;
use super::{Verb, context, render, terminal};
use crate::error::Result;
use crate::ledger::{Entry, Job, JobResult};
use crate::store::{self, BackupFile};

#[derive(Serialize)]
struct Row {
    server: String,
    name: String,
    time: DateTime<Utc>,
    bytes: u64,
    uncompressed_bytes: Option<u64>,
    databases: Option<usize>,
    rows: Option<u64>,
    duration_seconds: Option<f64>,
    manifest: bool,
    observed: bool,
    verified: Option<State>,
    proven: Option<State>,
}

/// How the latest attempt on a backup ended.
#[derive(Serialize)]
struct State {
    result: JobResult,
    at: DateTime<Utc>,
}

pub(super) fn run(args: &Args) -> Verb {
    let mut rows = Vec::new();
    for server in context::servers(args)? {
        let entries = store::ledger::read(&server.directory)?;
        for file in store::list(&server.directory, server.archives())? {
            rows.push(row(&server.name, file, &entries)?);
        }
    }
    if args.json {
        terminal::print_json(&rows)?;
    } else if rows.is_empty() {
        terminal::print("no backups yet\n")?;
    } else {
        let header = [
            "SERVER",
            "BACKUP",
            "TIME",
            "SIZE",
            "DATABASES",
            "ROWS",
            "TOOK",
            "VERIFIED",
            "PROVEN",
        ];
        let cells: Vec<_> = rows.iter().map(cells).collect();
        terminal::print(&render::table(&header, &cells))?;
    }
    Ok(())
}

fn row(server: &str, file: BackupFile, entries: &[Entry]) -> Result<Row> {
    // A manifest that cannot be read is verify's finding; the list goes on.
    let manifest = store::current_manifest(&file.path).ok().flatten();
    let observed = manifest.as_ref().filter(|manifest| !manifest.is_ours());
    let latest = |job| {
        let mut of_it = entries
            .iter()
            .filter(|entry| entry.job == job && entry.backup.as_deref() == Some(&file.name))
            .filter(|entry| !entry.is_partial() || entry.result == JobResult::Failed);
        of_it.next_back().map(|entry| State {
            result: entry.result,
            at: entry.finished_at,
        })
    };
    Ok(Row {
        server: server.to_owned(),
        // A name of someone else may say its time otherwise than ours do.
        time: observed.map_or_else(|| file.time(), |manifest| manifest.started_at),
        observed: observed.is_some(),
        bytes: file.bytes,
        uncompressed_bytes: manifest
            .as_ref()
            .map(|manifest| manifest.archive.uncompressed_bytes),
        databases: manifest
            .as_ref()
            .map(|manifest| manifest.catalog.databases.len()),
        rows: manifest.as_ref().map(|manifest| manifest.catalog.rows()),
        duration_seconds: manifest.as_ref().map(|manifest| manifest.duration_seconds),
        manifest: manifest.is_some(),
        verified: latest(Job::Verify),
        proven: latest(Job::Drill),
        name: file.name,
    })
}

fn cells(row: &Row) -> Vec<String> {
    let unknown = || "?".to_owned();
    let state = |state: &Option<State>| match state {
        None => "no".to_owned(),
        Some(State {
            result: JobResult::Passed,
            at,
        }) => format!("yes, {}", at.format("%Y-%m-%d")),
        Some(State {
            result: JobResult::Failed,
            ..
        }) => "FAILED".to_owned(),
        Some(State {
            result: JobResult::Error,
            ..
        }) => "error".to_owned(),
        Some(State {
            result: JobResult::Timeout,
            ..
        }) => "timeout".to_owned(),
    };
    vec![
        row.server.clone(),
        row.name.clone(),
        row.time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        render::bytes(row.bytes),
        row.databases
            .map_or_else(unknown, |databases| databases.to_string()),
        row.rows.map_or_else(unknown, render::count),
        row.duration_seconds.map_or_else(unknown, render::seconds),
        state(&row.verified),
        state(&row.proven),
    ]
}
