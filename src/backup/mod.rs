//! Takes a backup. The stages, in order:
//!
//! 1. the directory is locked, and what a killed run left there is swept;
//! 2. the server says its version and what it holds; a pg_dumpall that is not older is found;
//! 3. there is room for a backup as large as is to be expected, if need be after a prune ([`room`]);
//! 4. pg_dumpall's output streams once through the scanner and the compressor into a hidden file ([`pipeline`]);
//! 5. the child is judged: exit status 0, nothing else;
//! 6. the text is judged: end markers of every database and of the cluster, nothing open;
//! 7. the catalog is judged: every database, table and other object that the server held before and after is in the dump;
//! 8. only then are archive and manifest published.
//!
//! Whatever fails, nothing is published, nothing partial stays, and the error says which of these it was.

mod locks;
mod pipeline;
mod room;
pub mod safety;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{Instrument as _, info};

use crate::catalog::DumpKind;
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::finding::Findings;
use crate::ledger::Job;
use crate::manifest::{ArchiveFacts, FORMAT_VERSION, Manifest, Source};
use crate::outcome::Progress;
use crate::pg::binaries::{self, Binaries};
use crate::pg::connect::Target;
use crate::pg::live::{self, Live};
use crate::pg::lock_waits::{self, Watch};
use crate::pg::process::{Ended, How, Leash, Program};
use crate::pg::{dump, scratch};
use crate::recorder::Attempt;
use crate::store::lock::{self, Lock};
use crate::store::{self, publish};
use pipeline::Piped;

/// A backup that was published.
#[derive(Debug)]
pub struct Report {
    /// The archive.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// What is odd about the text; it does not make the backup less whole.
    pub warnings: Findings,
}

/// Why a backup is taken now, and what is there for it.
#[derive(Debug, Default)]
pub struct Occasion {
    /// When it was due, where the schedule asks for it.
    pub due: Option<DateTime<Utc>>,
    /// The directory's lock, where it is held already.
    pub lock: Option<Arc<Lock>>,
}

/// Takes one backup of a server.
pub async fn run(server: &Server, occasion: Occasion, progress: &Progress) -> Result<Report> {
    if server.observes().is_some() {
        let what = format!(
            "take a backup of server {}: its backup.mode is observe, so something else takes its backups",
            server.name
        );
        return Err(Failure::new(FailureKind::Usage, what)
            .remedy("run the job that takes them, or set backup.mode to take"));
    }
    let mut attempt = Attempt::begin(Job::Backup, &server.name, Some(&server.directory))?;
    attempt.was_due(occasion.due);
    progress.belongs_to(attempt.job_id());
    let work = Box::pin(attempted(server, &attempt, occasion.lock, progress));
    let result = work.instrument(attempt.span()).await;
    if let Ok(report) = &result {
        attempt.about(&report.path, Some(report.manifest.finished_at));
        attempt.is_large(room::sizes(&report.manifest));
    }
    attempt.end(result.as_ref().err());
    result
}

async fn attempted(
    server: &Server,
    attempt: &Attempt,
    lock: Option<Arc<Lock>>,
    progress: &Progress,
) -> Result<Report> {
    let deadline = Instant::now() + server.backup.timeout;
    let lock = match lock {
        Some(lock) => lock,
        None => Arc::new(lock::take(&server.directory, "backup")?),
    };
    for done in publish::sweep(&server.directory, &lock)? {
        info!("{done}");
    }
    progress.stage("look at the server", 0);
    let target = Target::resolve(&server.connection)?.called(sessions(attempt));
    let before = within(deadline, progress, live::look(&target)).await?;
    let binaries = find_dumpall(&before, server).await?;
    room::make(server, before.bytes(), &lock, progress).await?;
    let name = unused_name(server, &lock).await?;
    let (pending, file) = publish::begin(&server.directory, &name, &lock)?;

    progress.stage("backup", before.bytes());
    let left = deadline.saturating_duration_since(Instant::now());
    let lock_timeout = server.backup.lock_timeout;
    let program = dump::dumpall(&binaries, &target, left)?;
    let program = dump::with_lock_timeout(program, lock_timeout);
    let waits = lock_waits::watch(&target, attempt.job_id(), lock_timeout);
    let (piped, file) = dump_into(file, program, &waits, progress).await?;
    drop(waits);
    judge_kind(&piped, DumpKind::Cluster)?;
    progress.stage("compare with the server", 0);
    let after = within(
        deadline + Duration::from_secs(60),
        progress,
        live::look(&target),
    )
    .await?;
    judge_catalog(&before, &after, &piped)?;

    let manifest = manifest(server, attempt, &before, &binaries, &name, &piped);
    let path = pending.publish(&file, &manifest)?;
    Ok(Report {
        path,
        manifest,
        warnings: piped.findings,
    })
}

/// What the sessions of an attempt are called on the server, pg_dump's too.
fn sessions(attempt: &Attempt) -> String {
    format!("pgvigil-{}", attempt.job_id())
}

/// Runs a piece of work until it is done, its time is up, or someone asks to stop.
async fn within<T>(
    deadline: Instant,
    progress: &Progress,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = progress.cancelled() => Err(stopped()),
        () = tokio::time::sleep_until(deadline.into()) => Err(late()),
    }
}

fn stopped() -> Failure {
    Failure::new(FailureKind::Cancelled, "take a backup: stopped on request")
}

fn late() -> Failure {
    Failure::new(
        FailureKind::Timeout,
        "take a backup: the time for it was up",
    )
    .remedy("look for locks and a slow network, or give it more with backup.timeout")
}

async fn find_dumpall(live: &Live, server: &Server) -> Result<Binaries> {
    let (version, configured) = (live.version, server.pg_bin.clone());
    let found =
        tokio::task::spawn_blocking(move || binaries::for_dump(version, configured.as_deref()))
            .await;
    found.map_err(|error| Failure::new(FailureKind::Io, "look for pg_dumpall").because(error))?
}

/// A name that no file has: names hold the second, so this waits for the next one at the most.
async fn unused_name(server: &Server, _lock: &Lock) -> Result<String> {
    loop {
        let name = store::archive_name(Utc::now());
        let taken = server
            .directory
            .join(&name)
            .try_exists()
            .map_err(|error| Failure::io("look into the directory", error))?;
        if !taken {
            return Ok(name);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs pg_dumpall or pg_dump into the archive and judges how it ended.
async fn dump_into(
    file: File,
    program: Program,
    waits: &Watch,
    progress: &Progress,
) -> Result<(Piped, File)> {
    let result = run_into(file, program, waits, progress).await;
    if result.is_err() {
        waits.end_sessions().await;
    }
    result
}

async fn run_into(
    file: File,
    program: Program,
    waits: &Watch,
    progress: &Progress,
) -> Result<(Piped, File)> {
    let deadline = Instant::now() + program.deadline;
    let path = program.path.clone();
    let failed = move |error| Failure::io(format!("run {}", path.display()), error);
    let mut running = program.start().map_err(&failed)?;
    let leash = running.leash();
    let (handle, at_work) = (leash.clone(), progress.clone());
    let archive_id = u64::from(scratch::random_id()?) << 32 | u64::from(scratch::random_id()?);
    let work = tokio::task::spawn_blocking(move || {
        let stdout = running.stdout();
        let piped = stdout.map(|stdout| pipeline::run(stdout, file, archive_id, &at_work));
        if !matches!(piped, Some(Ok(_))) {
            // Nobody reads any more: end it now instead of at its deadline.
            handle.let_go();
        }
        (piped, running.wait())
    });
    let (piped, ended) = end_on_request(work, &leash, progress).await?;
    let ended = ended.map_err(&failed)?;
    let (piped, file) = piped
        .ok_or_else(|| Failure::new(FailureKind::Io, "read from pg_dumpall: it has no output"))??;
    judge_exit(&ended, deadline, waits, progress)?;
    judge_text(&piped, &ended)?;
    Ok((piped, file))
}

/// Waits for blocking work; lets its program go when someone asks to stop.
async fn end_on_request<T>(
    mut work: tokio::task::JoinHandle<T>,
    leash: &Leash,
    progress: &Progress,
) -> Result<T> {
    let result = tokio::select! {
        result = &mut work => result,
        () = progress.cancelled() => {
            leash.let_go();
            work.await
        }
    };
    result.map_err(|error| {
        Failure::new(FailureKind::Io, "take a backup: a thread broke").because(error)
    })
}

fn judge_exit(ended: &Ended, deadline: Instant, waits: &Watch, progress: &Progress) -> Result<()> {
    progress.check()?;
    match ended.how {
        How::Success => Ok(()),
        How::Deadline => Err(locks::late(deadline, waits).unwrap_or_else(late)),
        how => Err(locks::timed_out(ended, waits).unwrap_or_else(|| {
            Failure::new(
                FailureKind::DumpFailed,
                format!(
                    "take a backup: pg_dumpall {how}{}",
                    last_words(&ended.stderr)
                ),
            )
            .remedy("nothing was published; see what pg_dumpall says and run it again")
        })),
    }
}

/// Most characters of a line in an error's sentence: pg_dump quotes statements that lock thousands of tables.
const LONGEST_WORDS: usize = 500;

/// What a program said last, for an error's sentence.
fn last_words(stderr: &str) -> String {
    let lines: Vec<_> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let shortened = |line: &&str| match line.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => (*line).to_owned(),
    };
    match lines.split_at_checked(lines.len().saturating_sub(3)) {
        Some((_, last)) if !last.is_empty() => {
            let last: Vec<_> = last.iter().map(shortened).collect();
            format!(" and said: {}", last.join(" / "))
        }
        _ => " and said nothing".to_owned(),
    }
}

fn incomplete(why: String) -> Failure {
    Failure::new(
        FailureKind::DumpIncomplete,
        format!("take a backup: pg_dumpall ended well, but {why}"),
    )
    .remedy("nothing was published; run it again and look at what ended pg_dumpall early")
}

fn judge_text(piped: &Piped, ended: &Ended) -> Result<()> {
    // Other findings do not stop the backup: text that no dump should hold is verify's to blame and drill's to refuse, and
    // a backup that raises an alarm is worth more than none.
    if let Some(finding) = piped
        .findings
        .errors()
        .find(|finding| finding.kind.is_open_end())
    {
        return Err(incomplete(format!(
            "{}, at {}{}",
            finding.message,
            finding.place,
            last_words(&ended.stderr)
        )));
    }
    Ok(())
}

fn judge_kind(piped: &Piped, kind: DumpKind) -> Result<()> {
    if piped.catalog.kind == kind {
        return Ok(());
    }
    let whole = match kind {
        DumpKind::Cluster => "the cluster",
        _ => "a database",
    };
    Err(incomplete(format!(
        "what it wrote is not a dump of {whole}"
    )))
}

fn judge_catalog(before: &Live, after: &Live, piped: &Piped) -> Result<()> {
    let missing = before.missing_from(after, &piped.catalog);
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let more = if missing.len() > 1 {
        format!(" and {} more", missing.len() - 1)
    } else {
        String::new()
    };
    Err(incomplete(format!(
        "{first}{more} of the server is not in the dump"
    )))
}

fn manifest(
    server: &Server,
    attempt: &Attempt,
    live: &Live,
    binaries: &Binaries,
    name: &str,
    piped: &Piped,
) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        pgvigil_version: env!("CARGO_PKG_VERSION").to_owned(),
        server: server.name.clone(),
        started_at: attempt.started_at(),
        finished_at: Utc::now(),
        duration_seconds: attempt.seconds(),
        source: Source {
            server_version: live.version_text.clone(),
            tool_version: binaries.version.to_string(),
            sessions: live
                .databases
                .values()
                .map(|database| database.settings.clone())
                .collect(),
            database_sizes: live.sizes(),
            extension_versions: live.extension_versions(),
        },
        archive: ArchiveFacts {
            file_name: name.to_owned(),
            bytes: piped.written.bytes,
            uncompressed_bytes: piped.written.uncompressed_bytes,
            members: piped.written.members,
            archive_id: format!("{:016x}", piped.archive_id),
            sha256: piped.written.sha256.clone(),
        },
        observed: None,
        catalog: piped.catalog.clone(),
    }
}
