//! Proves a backup: checked, restored whole into an embedded scratch server, read back, compared, to the row.
//!
//! The phases, in order: *verify* (nothing runs if the text holds anything that no dump holds), *prepare* (the scratch
//! server), *restore* (strict), *compare* (every table's rows and content, sequences, large objects), *definitions*
//! (every object by name, settings, extensions, roles, owners and grants), *checks* (is it sound in itself, does it hold what the configuration expects), *cleanup*
//! (nothing is left, and that is checked). `passed` means that all of them were done; what could not run is an error,
//! never a pass. Where the configuration names a server to drill on, the same is done in scratch databases of that one
//! ([`on_server`]). The report is kept beside the ledger, where there is one, as JSON and as a page for people.

mod checks;
mod compare;
mod definitions;
mod extensions;
mod objects;
mod on_server;
mod page;
mod place;
mod report;
mod scope;
mod session;
mod settings;
mod single;

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{Instrument as _, info, warn};

use crate::catalog::Catalog;
use crate::config::{self, Server};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{Job, JobResult, KeptReport};
use crate::outcome::Progress;
use crate::pg::binaries::{self, Binaries};
use crate::pg::fence::Holds;
use crate::pg::preload;
use crate::pg::scratch::{self, Scratch};
use crate::pg::version::Version;
use crate::recorder::{Attempt, ledger_directory};
use crate::restore::cluster::{self, Job as Restoring, Only};
use crate::restore::given::Given;
use crate::store::{remove, reports};
use crate::verify::{self, Checked};
pub use on_server::sweep;
use place::Place;
pub use report::{Check, CheckKind, CheckStatus, Report};
pub use scope::Scope;

/// What to do beside the proof.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to restore.
    pub scope: Scope,
    /// Keep the scratch server until asked to stop, for a look at it.
    pub keep: bool,
    /// When it was due, where the schedule asks for it.
    pub due: Option<DateTime<Utc>>,
}

/// Drills one backup. The report says how it went; the failure, if there is one, goes with it.
pub async fn run(
    archive: &Path,
    server: &Server,
    options: Options,
    progress: &Progress,
) -> (Report, Option<Failure>) {
    let mut report = Report::new(archive, server, &options.scope);
    let directory = ledger_directory(archive, &server.directory);
    let _held = remove::hold(archive);
    let mut attempt = match Attempt::begin(Job::Drill, &server.name, directory) {
        Ok(attempt) => attempt,
        Err(error) => return (report, Some(error)),
    };
    report.job_id = attempt.job_id().to_owned();
    attempt.was_due(options.due);
    progress.belongs_to(attempt.job_id());
    report.started_at = attempt.started_at();
    for done in scratch::sweep() {
        info!(job_id = attempt.job_id(), "{done}");
    }
    let mut made = None;
    let work = Box::pin(attempted(
        archive,
        server,
        options,
        progress,
        &mut made,
        &mut report,
    ));
    let work = work.instrument(attempt.span());
    let mut result = tokio::select! {
        result = work => result,
        () = tokio::time::sleep(server.drill.timeout) => {
            // Threads that still read the archive end at this, not at its end.
            progress.cancel();
            Err(Failure::new(FailureKind::Timeout, format!("drill {}: the time for it was up", archive.display())).remedy("give it more with drill.timeout"))
        }
    };
    if let Some(given) = made {
        progress.stage("cleanup", 0);
        let clear = on_server::clear(given, &mut report, result);
        result = clear.instrument(attempt.span()).await;
    }
    report.duration_seconds = attempt.seconds();
    report.finished_at = Utc::now();
    report.result = JobResult::of(Job::Drill, result.as_ref().err());
    report.message = result.as_ref().err().map(Failure::sentence);
    attempt.about(archive, report.backup_finished_at);
    attempt.measured(report.facts());
    if let Some(kept) = directory.and_then(|directory| keep_report(directory, &report)) {
        attempt.reported(kept);
    }
    attempt.end(result.as_ref().err());
    (report, result.err())
}

/// Keeps the report beside the ledger. The drill counts without it: what cannot be written is said, and no more.
fn keep_report(directory: &Path, report: &Report) -> Option<KeptReport> {
    let warn = |error: Failure| warn!(job_id = report.job_id, "{}", error.sentence());
    let kept = report.to_keep();
    let json = match serde_json::to_vec_pretty(&kept) {
        Ok(json) => json,
        Err(error) => {
            warn(Failure::new(FailureKind::Io, "write the report as JSON").because(error));
            return None;
        }
    };
    let mut named = reports::keep(directory, &report.job_id, &json)
        .map_err(warn)
        .ok()?;
    let page = page::render(&kept);
    if let Err(error) = reports::keep_page(directory, &report.job_id, &page, &mut named) {
        warn(error);
    }
    Some(named)
}

async fn attempted(
    archive: &Path,
    server: &Server,
    options: Options,
    progress: &Progress,
    made: &mut Option<Given>,
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    let judged = verify::check(archive, progress).await?;
    report.phase("verify", began);
    report.findings.clone_from(&judged.report.findings);
    report.backup_finished_at = verify::backup_time(&judged);
    if let Some(fault) = judged.fault {
        return Err(fault);
    }
    let mut checked = judged.checked;
    single::name_database(&mut checked);
    let whole = checked.catalog.clone();
    let only = options.scope.narrow(&mut checked, report)?;
    let expected = expected(&checked);
    report.dumped_version.clone_from(&expected.server_version);
    can_be_proven(archive, expected)?;
    if let Some(named) = &server.drill.server {
        let part = Part {
            archive,
            whole: &whole,
            only,
            checks: options.scope.checks(&server.drill),
        };
        return Box::pin(on_server::attempted(
            &part, server, named, &checked, made, options, progress, report,
        ))
        .await;
    }

    let began = Instant::now();
    progress.stage("prepare", 0);
    let binaries = find_server(expected, server).await?;
    // Longer than the drill itself may take: the drill's own end comes first.
    let mut scratch = Scratch::start(
        &binaries,
        &preload::settings(expected, &binaries.directory),
        server.drill.timeout + Duration::from_secs(600),
        progress,
    )
    .await?;
    if server.drill.fence_required && scratch.fence() != Holds::Fully {
        let what = format!(
            "drill {}: the scratch server's fence is required, and {}",
            archive.display(),
            scratch.fence().describe()
        );
        return Err(Failure::new(FailureKind::Scratch, what)
            .remedy("drill on Linux 6.12 or newer with Landlock, or do without scratch: { fence: required }"));
    }
    report.scratch_version = binaries.version.to_string();
    report.phase("prepare", began);

    let part = Part {
        archive,
        whole: &whole,
        only,
        checks: options.scope.checks(&server.drill),
    };
    let proven = Box::pin(prove(
        &part,
        &checked,
        &mut scratch,
        &binaries,
        progress,
        report,
    ))
    .await;
    if options.keep && !matches!(&proven, Err(error) if error.kind() == FailureKind::Cancelled) {
        keep(&scratch, progress).await;
    }
    let began = Instant::now();
    progress.stage("cleanup", 0);
    let stopped = scratch.stop().await;
    report.phase("cleanup", began);
    proven.and(stopped)
}

fn expected(checked: &Checked) -> &Catalog {
    checked
        .manifest
        .as_ref()
        .map_or(&checked.catalog, |manifest| &manifest.catalog)
}

/// What the drill cannot prove, it does not begin.
fn can_be_proven(archive: &Path, expected: &Catalog) -> Result<()> {
    if expected.tables() == 0 && expected.inserts == 0 {
        let what = format!(
            "drill {}: it holds no table's data, so there is nothing to compare",
            archive.display()
        );
        return Err(Failure::new(FailureKind::Scratch, what)
            .remedy("if the server has tables, take a backup of all of it (not --globals-only, not --schema-only)"));
    }
    if expected.inserts > 0 {
        let what = format!(
            "drill {}: {} INSERT statements name their table's columns otherwise than those before, and cannot be compared",
            archive.display(),
            expected.inserts
        );
        return Err(Failure::new(FailureKind::Scratch, what).remedy("dump without --inserts"));
    }
    Ok(())
}

async fn find_server(expected: &Catalog, server: &Server) -> Result<Binaries> {
    let text = expected.server_version.clone().unwrap_or_default();
    let version = Version::from_text(&text).unwrap_or(Version { major: 0, minor: 0 });
    let configured = server.pg_bin.clone();
    let found =
        tokio::task::spawn_blocking(move || binaries::for_server(version, configured.as_deref()))
            .await;
    found.map_err(|error| {
        Failure::new(FailureKind::Io, "look for PostgreSQL's binaries").because(error)
    })?
}

/// What of a backup is proven.
struct Part<'a> {
    archive: &'a Path,
    /// All that is in it, with the places.
    whole: &'a Catalog,
    /// None: everything.
    only: Option<Only>,
    /// What is asked of it in the end.
    checks: config::Drill,
}

async fn prove(
    part: &Part<'_>,
    checked: &Checked,
    scratch: &mut Scratch,
    binaries: &Binaries,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let (archive, expected) = (part.archive, expected(checked));
    let held = if scratch.fence() == Holds::Nothing {
        CheckStatus::NotDone
    } else {
        CheckStatus::Passed
    };
    report.check("fence", held, scratch.fence().describe().to_owned());
    extensions::are_there(archive, expected, scratch, binaries.version).await?;
    let began = Instant::now();
    progress.stage("restore", expected.bytes);
    let target = single::prepare(archive, expected, scratch, binaries, progress, report).await?;
    let mut tablespaces = || scratch.tablespace_directory(binaries.run_as.as_ref());
    let job = Restoring {
        archive,
        catalog: part.whole,
        only: part.only.as_ref(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        progress,
    };
    let restored = cluster::into_scratch(&job, &target, &mut tablespaces).await?;
    report.restore_seconds = restored.seconds;
    report.phase("restore", began);
    for lacking in &restored.lacking {
        report.check(lacking.what, CheckStatus::NotDone, lacking.detail.clone());
    }
    scratch.begin_reading(binaries.version);

    compared(checked, Place::Embedded(scratch), progress, report).await?;

    let began = Instant::now();
    progress.stage("definitions", 0);
    objects::check(checked, &Place::Embedded(scratch), report).await?;
    if part.only.is_none() {
        settings::check(&checked.catalog, &restored.unset, scratch, report).await?;
    }
    definitions::check(
        &restored.definitions,
        expected,
        scratch,
        binaries,
        progress,
        report,
    )
    .await?;
    report.phase("definitions", began);

    asked(part, checked, Place::Embedded(scratch), progress, report).await?;
    report.verdict()
}

/// Reads everything back and compares it.
async fn compared(
    checked: &Checked,
    place: Place<'_>,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let expected = expected(checked);
    let began = Instant::now();
    progress.stage(
        "compare",
        expected
            .databases
            .iter()
            .flat_map(|database| &database.tables)
            .map(|table| table.bytes)
            .sum(),
    );
    compare::all(
        expected,
        checked.manifest.as_ref(),
        &place,
        progress,
        report,
    )
    .await?;
    report.phase("compare", began);
    Ok(())
}

/// Asks what is asked beyond equality.
async fn asked(
    part: &Part<'_>,
    checked: &Checked,
    place: Place<'_>,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let expected = expected(checked);
    let began = Instant::now();
    progress.stage("checks", 0);
    let drilled = checks::Drilled {
        expected,
        manifest: checked.manifest.as_ref(),
        scratch: place,
        finished_at: report.backup_finished_at,
        progress,
    };
    checks::all(&part.checks, &drilled, report).await?;
    report.phase("checks", began);
    Ok(())
}

/// Waits, with the server up, until asked to stop.
async fn keep(scratch: &Scratch, progress: &Progress) {
    let target = scratch.target();
    info!(
        "the scratch server is kept: psql -h {} -U {} -d postgres; Ctrl-C ends it",
        target.host, target.user
    );
    progress.cancelled().await;
}
