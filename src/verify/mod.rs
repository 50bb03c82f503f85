//! Checks a backup by reading all of it: every member, every byte, every statement, and all of that against the manifest.
//!
//! Findings are collected; a fault does not hide the next one. A foreign file has no manifest, so that only what the file
//! itself proves is checked, and that is said.

mod digest;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tracing::Instrument as _;

use crate::archive::file::{self, Known};
use crate::archive::reader::Summary;
use crate::catalog::builder::{Builder, STATEMENT_LIMIT};
use crate::catalog::diff::{self, ObjectKind};
use crate::catalog::{Catalog, DumpKind};
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::finding::{Finding, FindingKind, Findings, Level};
use crate::ledger::Job;
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::recorder::{Attempt, ledger_directory};
use crate::sql::scanner::Scanner;
use crate::store;
pub use digest::same_as_published;

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The archive.
    pub archive: PathBuf,
    /// Whether it passed: nothing puts the backup at fault.
    pub passed: bool,
    /// Whether it is one of our archives, not just any gzip file.
    pub indexed: bool,
    /// Whether there is a manifest that its content was compared with.
    pub compared_with_manifest: bool,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of dump text.
    pub uncompressed_bytes: u64,
    /// gzip members.
    pub members: u64,
    /// Databases, tables and rows seen.
    pub databases: u64,
    /// Tables with data.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Wall time.
    pub duration_seconds: f64,
    /// All that was found.
    pub findings: Findings,
}

/// A check's report, and what it read on the way.
#[derive(Debug)]
pub struct Checked {
    /// The report.
    pub report: Report,
    /// What is in the archive, as far as it could be read.
    pub catalog: Catalog,
    /// The manifest, if there is a readable one of this file.
    pub manifest: Option<Manifest>,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// How long a check that was told to end may take; a thread that does not listen is left to itself.
const LISTENING: Duration = Duration::from_secs(10);

/// Checks one backup within `limit` and records that in the ledger of the server's directory, if it lies there. `due` is
/// when the schedule asked for it.
pub async fn run(
    archive: &Path,
    server: &Server,
    limit: Option<Duration>,
    due: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<Checked> {
    let directory = ledger_directory(archive, &server.directory);
    let mut attempt = Attempt::begin(Job::Verify, &server.name, directory)?;
    attempt.was_due(due);
    progress.belongs_to(attempt.job_id());
    let work = async {
        match limit {
            Some(limit) => check_within(archive, limit, progress).await,
            None => check(archive, progress).await,
        }
    };
    let result = work.instrument(attempt.span()).await;
    let finished_at = result
        .as_ref()
        .ok()
        .and_then(|checked| Some(checked.manifest.as_ref()?.finished_at));
    record(attempt, archive, finished_at, &result);
    result.map(|judged| judged.checked)
}

/// Records how a check ended.
pub(crate) fn record(
    mut attempt: Attempt,
    archive: &Path,
    finished_at: Option<DateTime<Utc>>,
    result: &Result<Judged>,
) {
    attempt.about(archive, finished_at);
    attempt.end(
        result
            .as_ref()
            .map_or_else(Some, |checked| checked.fault.as_ref()),
    );
}

/// A check and the failure it amounts to.
pub(crate) struct Judged {
    pub(crate) checked: Checked,
    pub(crate) fault: Option<Failure>,
}

impl std::ops::Deref for Judged {
    type Target = Checked;

    fn deref(&self) -> &Checked {
        &self.checked
    }
}

async fn check_within(archive: &Path, limit: Duration, progress: &Progress) -> Result<Judged> {
    let part = progress.part();
    within(archive, limit, progress, &part, check(archive, &part)).await
}

/// Checks what a file itself proves, whatever manifest there is; no ledger entry.
pub(crate) async fn check_alone(
    archive: &Path,
    limit: Duration,
    progress: &Progress,
) -> Result<Judged> {
    let part = progress.part();
    let work = judge(archive, || Ok(None), &part);
    within(archive, limit, progress, &part, work).await
}

async fn within(
    archive: &Path,
    limit: Duration,
    progress: &Progress,
    part: &Progress,
    work: impl Future<Output = Result<Judged>>,
) -> Result<Judged> {
    let mut work = std::pin::pin!(work);
    if let Ok(result) = tokio::time::timeout(limit, &mut work).await {
        return result;
    }
    part.cancel();
    let _ = tokio::time::timeout(LISTENING, work).await;
    progress.check()?;
    let what = format!("verify {}: the time for it was up", archive.display());
    Err(Failure::new(FailureKind::Timeout, what)
        .remedy("look at the volume, or give it more with verify.timeout"))
}

/// Checks one backup; no ledger entry.
pub(crate) async fn check(archive: &Path, progress: &Progress) -> Result<Judged> {
    let beside = archive.to_owned();
    judge(archive, move || store::read_manifest(&beside), progress).await
}

async fn judge(
    archive: &Path,
    manifest: impl FnOnce() -> Result<Option<Manifest>> + Send + 'static,
    progress: &Progress,
) -> Result<Judged> {
    let (path, progress) = (archive.to_owned(), progress.clone());
    let work = tokio::task::spawn_blocking(move || read_all(&path, manifest(), &progress));
    let checked = work.await.map_err(|error| {
        Failure::new(FailureKind::Io, "verify: a thread broke").because(error)
    })??;
    let fault = fault(&checked.report);
    Ok(Judged { checked, fault })
}

/// What several checks amount to: a backup at fault (exit code 1) says more than a file that could not be read (3).
pub fn worst(failures: Vec<Failure>) -> Option<Failure> {
    failures
        .into_iter()
        .min_by_key(|failure| failure.kind().policy().exit_code)
}

/// The failure that a report's findings amount to.
pub fn fault(report: &Report) -> Option<Failure> {
    let first = report.findings.errors().next()?;
    let unsafe_text = matches!(
        first.kind,
        FindingKind::MetaCommand | FindingKind::RefusedStatement
    );
    let kind = if unsafe_text {
        FailureKind::Unsafe
    } else {
        FailureKind::Damaged
    };
    let more = report.findings.errors().count() as u64 - 1 + report.findings.not_shown;
    let others = if more > 0 {
        format!(" (and {more} more findings)")
    } else {
        String::new()
    };
    let what = format!(
        "verify {}: {}: {}{others}",
        report.archive.display(),
        first.place,
        first.message
    );
    Some(Failure::new(kind, what).remedy(first.remedy.clone()))
}

fn read_all(
    path: &Path,
    manifest: Result<Option<Manifest>>,
    progress: &Progress,
) -> Result<Checked> {
    let began = std::time::Instant::now();
    let mut findings = Findings::default();
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => {
            let place = store::manifest_path(path).display().to_string();
            findings.push(Finding::error(
                FindingKind::BadManifest,
                place,
                error.sentence(),
            ));
            None
        }
    };
    let expected_bytes = manifest
        .as_ref()
        .map_or(0, |manifest| manifest.archive.uncompressed_bytes);
    progress.stage("verify", expected_bytes);
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut builder = Builder::new();
    let mut sink = |text: &[u8]| {
        scanner.feed(text, &mut builder);
        progress.add(text.len() as u64);
        progress.check().is_ok()
    };
    let archive_id = manifest
        .as_ref()
        .and_then(|manifest| u64::from_str_radix(&manifest.archive.archive_id, 16).ok());
    let known = Known {
        ours: manifest.as_ref().is_some_and(Manifest::is_ours),
        archive_id,
    };
    let (indexed, summary) = file::read(path, known, &mut sink).map_err(|error| {
        Failure::io(format!("read archive {}", path.display()), error)
            .remedy("check that the file is there and readable")
    })?;
    progress.check()?;
    let manifest = manifest.filter(|manifest| is_about(manifest, path, &summary));
    let whole = summary.text_is_whole;
    let (catalog, text_findings) = builder.finish(&scanner);
    collect(&mut findings, &summary, text_findings, whole);
    judge_manifest(
        &mut findings,
        path,
        manifest.as_ref(),
        &summary,
        &catalog,
        indexed,
    );
    let report = Report {
        archive: path.to_owned(),
        passed: findings.is_good(),
        indexed,
        compared_with_manifest: manifest.is_some(),
        bytes: summary.bytes,
        uncompressed_bytes: summary.uncompressed_bytes,
        members: summary.members,
        databases: catalog.databases.len() as u64,
        tables: catalog.tables(),
        rows: catalog.rows(),
        duration_seconds: began.elapsed().as_secs_f64(),
        findings,
    };
    Ok(Checked {
        report,
        catalog,
        manifest,
        sha256: summary.sha256,
    })
}

/// Whether a manifest is about the file that was read. Someone else may write another backup under a name that was there
/// before; what has changed while nobody wrote it is damaged.
fn is_about(manifest: &Manifest, path: &Path, summary: &Summary) -> bool {
    manifest.archive.sha256 == summary.sha256
        || std::fs::metadata(path).map_or(true, |facts| {
            manifest.fits(facts.len(), store::modified(&facts))
        })
}

/// Joins what the file and the text say. Behind damage, an open end of the text says nothing new.
fn collect(findings: &mut Findings, summary: &Summary, text: Findings, whole: bool) {
    findings.extend(summary.findings.clone());
    for finding in text.list {
        if whole || !finding.kind.is_open_end() {
            findings.push(finding);
        }
    }
    findings.not_shown += text.not_shown;
}

fn judge_manifest(
    findings: &mut Findings,
    archive: &Path,
    manifest: Option<&Manifest>,
    summary: &Summary,
    catalog: &Catalog,
    indexed: bool,
) {
    if catalog.kind == DumpKind::Database && !manifest.is_some_and(Manifest::is_ours) {
        let message = "the dump is of one database: roles and other databases are not in it";
        findings
            .push(Finding::error(FindingKind::NotDone, "the whole dump", message).at(Level::Note));
    }
    let Some(manifest) = manifest else {
        let what = if indexed {
            "an archive of ours without its manifest"
        } else {
            "a foreign archive: there is no manifest"
        };
        let level = if indexed { Level::Warning } else { Level::Note };
        let message = format!("{what}; missing rows or tables cannot be noticed");
        findings.push(Finding::error(FindingKind::NoManifest, "the directory", message).at(level));
        return;
    };
    let facts = &manifest.archive;
    if facts.sha256 != summary.sha256 {
        let message = format!(
            "the file has {} bytes and SHA-256 {}, the manifest says {} and {}",
            summary.bytes, summary.sha256, facts.bytes, facts.sha256
        );
        findings.push(Finding::error(
            FindingKind::DigestMismatch,
            "the whole file",
            message,
        ));
    }
    judge_name(findings, manifest, archive);
    if !summary.text_is_whole {
        return;
    }
    for difference in diff::compare(&manifest.catalog, catalog) {
        let kind = match difference.kind {
            ObjectKind::Table => FindingKind::TableDiffers,
            ObjectKind::Sequence => FindingKind::SequenceDiffers,
            ObjectKind::LargeObjects => FindingKind::LargeObjectsDiffer,
            ObjectKind::Object => FindingKind::ObjectDiffers,
            ObjectKind::Database | ObjectKind::Roles => FindingKind::CatalogMismatch,
        };
        findings.push(Finding::error(
            kind,
            match difference.database.as_str() {
                "" => "the cluster".to_owned(),
                database => format!("database {database}"),
            },
            difference.to_string(),
        ));
    }
    if !diff::has_same_inventory(&manifest.catalog, catalog) {
        let message = "the manifest is of a pgvigil that did not list objects as this one does: missing indexes, functions, grants and \
                       the like are noticed by the file's digest alone";
        findings
            .push(Finding::error(FindingKind::NotDone, "the manifest", message).at(Level::Note));
    }
}

/// An old backup under a newer one's name would be taken for that one. A name that says no time claims nothing.
fn judge_name(findings: &mut Findings, manifest: &Manifest, archive: &Path) {
    let name = archive.file_name().and_then(|name| name.to_str());
    let (Some(name), own) = (name, manifest.archive.file_name.as_str()) else {
        return;
    };
    if name != own && store::time_in_name(name).is_some() {
        let message =
            format!("its name says another time than when it was made: it was published as {own}");
        findings.push(Finding::error(
            FindingKind::CatalogMismatch,
            "the file's name",
            message,
        ));
    }
}

/// When the checked backup was made: its manifest's word, else its name's or its file's time.
pub fn backup_time(checked: &Checked) -> Option<DateTime<Utc>> {
    let name = checked.report.archive.file_name()?.to_str()?;
    checked
        .manifest
        .as_ref()
        .map(|manifest| manifest.finished_at)
        .or_else(|| store::time_in_name(name))
}
