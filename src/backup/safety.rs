//! A backup of what a restore is about to replace, taken from the server that is restored into.
//!
//! It is a backup like any other, in a directory of its own below that of the backups: it is of another moment, maybe of
//! another server, and neither `latest` nor retention nor a metric may take it for one of the schedule's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use tracing::Instrument as _;

use super::{Piped, dump_into, judge_catalog, judge_kind, manifest, unused_name, within};
use crate::catalog::DumpKind;
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::pg::binaries::Binaries;
use crate::pg::connect::Target;
use crate::pg::dump;
use crate::pg::live::{self, Live};
use crate::pg::lock_waits;
use crate::recorder::Attempt;
use crate::store::{lock, publish};

/// The directory, below that of the backups.
pub const DIRECTORY: &str = "before_restore";

/// What is about to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The whole cluster, or several of its databases.
    Cluster,
    /// A database.
    Database(String),
    /// Tables of a database: (schema, name).
    Tables(String, Vec<(String, String)>),
}

impl What {
    /// As people read it.
    pub fn describe(&self) -> String {
        match self {
            Self::Cluster => "all databases of the target".to_owned(),
            Self::Database(name) => format!("database {name} of the target"),
            Self::Tables(database, tables) => {
                let names: Vec<_> = tables
                    .iter()
                    .map(|(schema, name)| format!("{schema}.{name}"))
                    .collect();
                format!("{} of database {database} of the target", names.join(", "))
            }
        }
    }
}

/// Where such backups of a server go.
pub fn directory(server: &Server) -> PathBuf {
    server.directory.join(DIRECTORY)
}

/// Takes it. `server` says where and how long; `target` is who is dumped.
pub async fn run(
    server: &Server,
    target: &Target,
    what: &What,
    progress: &Progress,
) -> Result<PathBuf> {
    let directory = directory(server);
    make(&directory)?;
    let mut there = server.clone();
    there.directory.clone_from(&directory);
    let mut attempt = Attempt::begin(Job::Backup, &server.name, Some(&directory))?;
    let work = Box::pin(attempted(&there, target, what, &attempt, progress));
    let result = work.instrument(attempt.span()).await;
    if let Ok(path) = &result {
        attempt.about(path, Some(Utc::now()));
    }
    attempt.end(result.as_ref().err());
    // Whatever is wrong with this one, the backup that is to be restored is not at fault.
    result.map_err(|failure| {
        Failure::new(
            FailureKind::Target,
            format!("save {}: {}", what.describe(), failure.sentence()),
        )
        .also("nothing was restored; without this backup only with --no-safety-backup")
    })
}

fn make(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Failure::io(
            format!("make directory {}", directory.display()),
            error,
        )
        .remedy("make the directory of the backups writable")),
        _ => Ok(()),
    }
}

async fn attempted(
    server: &Server,
    target: &Target,
    what: &What,
    attempt: &Attempt,
    progress: &Progress,
) -> Result<PathBuf> {
    let deadline = Instant::now() + server.backup.timeout;
    let lock = lock::take(&server.directory, "backup before a restore")?;
    publish::sweep(&server.directory, &lock)?;
    progress.stage("safety backup", 0);
    let target = &target.called(super::sessions(attempt));
    let look = async || match what {
        What::Cluster => live::look(target).await,
        What::Database(name) | What::Tables(name, _) => live::look_at(target, name).await,
    };
    let before = within(deadline, progress, look()).await?;
    let binaries = super::find_dumpall(&before, server).await?;
    let name = unused_name(server, &lock).await?;
    let (pending, file) = publish::begin(&server.directory, &name, &lock)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let (mut program, kind) = program(&binaries, target, what, left)?;
    if let What::Tables(database, _) = what
        && live::encoding(target, database).await? != "SQL_ASCII"
    {
        // The tables' names are given in UTF-8. In a database of raw bytes they are what they are.
        program
            .environment
            .push(("PGCLIENTENCODING".to_owned(), "UTF8".into()));
    }
    let lock_timeout = server.backup.lock_timeout;
    let program = dump::with_lock_timeout(program, lock_timeout);
    let waits = lock_waits::watch(target, attempt.job_id(), lock_timeout);
    let (piped, file) = dump_into(file, program, &waits, progress).await?;
    drop(waits);
    judge_kind(&piped, kind)?;
    if !matches!(what, What::Tables(..)) {
        let later = deadline + Duration::from_secs(60);
        let after = within(later, progress, look()).await?;
        judge_catalog(&before, &after, &piped)?;
    }
    publish_it(
        server, attempt, &before, &binaries, &name, piped, pending, &file,
    )
}

fn program(
    binaries: &Binaries,
    target: &Target,
    what: &What,
    time: Duration,
) -> Result<(crate::pg::process::Program, DumpKind)> {
    Ok(match what {
        What::Cluster => (dump::dumpall(binaries, target, time)?, DumpKind::Cluster),
        What::Database(name) => (
            dump::dump(binaries, target, name, &[], time)?,
            DumpKind::Database,
        ),
        What::Tables(database, tables) => (
            dump::dump(binaries, target, database, tables, time)?,
            DumpKind::Database,
        ),
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "all that a backup is made of, once"
)]
fn publish_it(
    server: &Server,
    attempt: &Attempt,
    live: &Live,
    binaries: &Binaries,
    name: &str,
    piped: Piped,
    pending: publish::Pending,
    file: &std::fs::File,
) -> Result<PathBuf> {
    let manifest = manifest(server, attempt, live, binaries, name, &piped);
    pending.publish(file, &manifest)
}
