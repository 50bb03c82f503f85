//! The page of one backup: whether it is whole and proven, how to restore it, what is in it, and its drill's report.

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::report::{self, Report};
use super::{Frame, catalog, moment, server, server_path};
use crate::config::units::{format_bytes, format_seconds};
use crate::ledger::JobResult;
use crate::manifest::Manifest;
use crate::status::{KeptBackup, Level, Snapshot};
use crate::store;

/// Largest manifest that is read for a page, some twenty thousand tables: whoever may look at pages must not be able to
/// make the process take more memory than a sidecar has.
const MANIFEST_LIMIT: u64 = 12 << 20;

/// A kept backup, and what is read of it when someone asks.
pub(in crate::http) struct Backup {
    server: String,
    directory: PathBuf,
    kept: KeptBackup,
    manifest: Result<Option<Manifest>, String>,
    report: Option<Result<Report, String>>,
    /// Whether the archive is there, with the size that it had.
    is_there: bool,
}

impl Backup {
    /// A backup that is known to be there; names of others lead nowhere.
    pub(in crate::http) fn find(
        snapshot: &Snapshot,
        server: &str,
        file_name: &str,
    ) -> Option<Self> {
        let mut servers = snapshot.servers.iter();
        let view = servers.find(|view| view.config.name == server)?;
        let mut backups = view.status.backups.iter();
        let kept = backups.find(|kept| kept.summary.file_name == file_name)?;
        Some(Self {
            server: server.to_owned(),
            directory: view.config.directory.clone(),
            kept: kept.clone(),
            manifest: Ok(None),
            report: None,
            is_there: true,
        })
    }

    /// Reads its manifest and the report of its last drill; blocks.
    pub(in crate::http) fn read(mut self) -> Self {
        let archive = self.path();
        self.is_there =
            fs::metadata(&archive).is_ok_and(|facts| facts.len() == self.kept.summary.bytes);
        if self.kept.summary.has_manifest {
            self.manifest = store::current_manifest_up_to(MANIFEST_LIMIT, &archive)
                .map_err(|failure| failure.sentence());
        }
        self.report = self.kept.report.as_ref().map(|kept| {
            let bytes = store::reports::read(&self.directory, kept)
                .map_err(|failure| failure.sentence())??;
            serde_json::from_slice(&bytes)
                .map_err(|error| format!("{} is no report: {error}", kept.file))
        });
        self
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.kept.summary.file_name)
    }

    /// Whether it restores, as far as is known.
    fn answer(&self) -> (Level, &'static str) {
        let result = |how: Option<(JobResult, _)>| how.map(|(result, _)| result);
        match (result(self.kept.verified), result(self.kept.drilled)) {
            _ if !self.is_there => (
                Level::Bad,
                "No: the file is gone, or is not as long as it was.",
            ),
            (Some(JobResult::Failed), _) => (Level::Bad, "No: the last verification found damage."),
            (_, Some(JobResult::Failed)) => (
                Level::Bad,
                "Do not count on it: its last test restore failed, see below.",
            ),
            (_, Some(JobResult::Passed)) => (
                Level::Good,
                "Yes: a test restore of this very backup gave back every row.",
            ),
            (Some(_), _) => (
                Level::Doubtful,
                "Probably: it is whole, but was not restored in a drill.",
            ),
            _ if self.kept.summary.has_manifest => (
                Level::Doubtful,
                "Probably: it was complete when it was taken; not verified since.",
            ),
            _ => (
                Level::Doubtful,
                "Unknown: pgvigil did not make it and has not found it to be whole.",
            ),
        }
    }
}

/// The page at `now`.
pub(in crate::http) fn render(backup: &Backup, now: DateTime<Utc>) -> String {
    let (kept, name) = (&backup.kept, &backup.kept.summary.file_name);
    let path = quoted(&backup.path().display().to_string());
    let (level, answer) = backup.answer();
    let body = html! {
        nav aria-label="Up" { a href="/" { "All servers" } " / " a href=(server_path(&backup.server)) { (backup.server) } }
        h1 { (name) }
        p class={ "verdict " (super::class(level)) } { "Does it restore?" strong { (answer) } }
        (facts(backup, now))
        (how_to(&path))
        h2 id="drill" { "Test restore" }
        @match &backup.report {
            Some(Ok(told)) => (report::render(told, now)),
            Some(Err(why)) => { p.bad { "The report cannot be shown: " (why) "." } },
            None => { p {
                @match kept.drilled {
                    Some(_) => "No report of it was kept.",
                    None => "This backup was not restored in a drill yet.",
                }
                " To do it now: " code { "pgvigil --config FILE drill " (path) }
            } },
        }
        h2 id="catalog" { "What is in it" }
        @match &backup.manifest {
            Ok(Some(manifest)) => (catalog::render(&manifest.catalog)),
            Ok(None) => { p { "Nobody looked into it yet: there is no manifest beside it. To look: " code { "pgvigil --config FILE verify " (path) } } },
            Err(why) => { p.bad { (why) "." } p { "To see it: " code { "pgvigil inspect " (path) } } },
        }
    };
    let frame = Frame {
        title: &format!("{name} – {} – pgvigil", backup.server),
        level: Some(level),
        wish: None,
        now,
    };
    frame.around(&body)
}

fn facts(backup: &Backup, now: DateTime<Utc>) -> Markup {
    let (kept, summary) = (&backup.kept, &backup.kept.summary);
    html! {
        table {
            tbody {
                tr { th scope="row" { "Finished" } td { (moment::told(summary.finished_at, now)) } }
                @if summary.duration_seconds > 0.0 { tr { th scope="row" { "Took" } td { (format_seconds(summary.duration_seconds)) } } }
                tr { th scope="row" { "Size" } td {
                    (format_bytes(summary.bytes))
                    @if summary.uncompressed_bytes > 0 { ", " (format_bytes(summary.uncompressed_bytes)) " of dump" }
                } }
                tr { th scope="row" { "Verified" } td { (server::mark(kept.verified, now, "✓ whole", "✗ damaged")) } }
                tr { th scope="row" { "Restored in a drill" } td { (server::mark(kept.drilled, now, "✓ proven", "✗ failed")) } }
                @if let Ok(Some(manifest)) = &backup.manifest {
                    tr { th scope="row" { "PostgreSQL" } td { (manifest.source.server_version) ", dumped with " (manifest.source.tool_version) } }
                    tr { th scope="row" { "Made by" } td { "pgvigil " (manifest.pgvigil_version) @if manifest.observed.is_some() { ", which found it: someone else took it" } } }
                }
                tr { th scope="row" { "File" } td { code { (backup.path().display()) } } }
            }
        }
    }
}

fn how_to(path: &str) -> Markup {
    html! {
        h2 id="restore" { "To restore it" }
        p { "What would happen, without touching anything:" }
        pre { "pgvigil restore " (path) " --to postgresql://USER@HOST:5432/postgres --dry-run" }
        p { "One database beside the one there is, or one table:" }
        pre {
            "pgvigil restore " (path) " --to postgresql://USER@HOST:5432/postgres --database DB --as DB_restored\n"
            "pgvigil extract " (path) " --database DB --table SCHEMA.TABLE | less"
        }
        p { "Without pgvigil; the file is plain gzip, but mind that a pg_dumpall file drops and makes databases anew:" }
        pre { "gunzip -c " (path) " | less" }
    }
}

/// For a shell to take as one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
