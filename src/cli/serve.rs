//! `pgvigil serve`, and what the daemon calls to have work done.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::args::Args;
use super::{Verb, context};
use crate::agenda::{Agenda, Begun};
use crate::config::Server;
use crate::daemon::{self, Runner, Stop, Work};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::status::{BackupSummary, Loaded, Outlook};
use crate::store::BackupFile;
use crate::store::agenda::KeptPause;
use crate::store::lock::{self, Lock};
use crate::store::space::{self, Space};
use crate::{backup, drill, prune, recorder, store, verify};

/// How long a server may take to answer that it is there.
const PROBE: Duration = Duration::from_secs(3);

pub(super) async fn run(args: &Args) -> Verb {
    let config = context::config(args)?.ok_or_else(|| {
        Failure::new(FailureKind::Usage, "serve without a configuration")
            .remedy("name a file with --config (PGVIGIL_CONFIG); the README has an example")
    })?;
    let path = args.config.clone();
    daemon::serve(
        config,
        path,
        Arc::new(Jobs::default()),
        Stop::on_signals()?,
        |_| {},
    )
    .await?;
    Ok(())
}

/// The jobs as the daemon sees them.
#[derive(Default)]
pub(super) struct Jobs {
    /// What manifests amount to, by directory and archive: the disk is read after each job, and a manifest can be large.
    summaries: Mutex<HashMap<PathBuf, HashMap<String, Summary>>>,
}

/// A backup as it was last read, and the files that it was read from.
#[derive(Clone)]
struct Summary {
    of: [Option<(u64, DateTime<Utc>)>; 2],
    backup: BackupSummary,
}

impl Jobs {
    /// The backups of a server. What has not changed is not read again.
    fn backups(&self, server: &Server) -> Result<Vec<BackupSummary>> {
        let known = |summaries: &mut HashMap<_, _>| summaries.remove(&server.directory);
        let mut before = self.locked(known).unwrap_or_default();
        let mut now = HashMap::new();
        for file in store::archives(server)? {
            let of = [
                Some((file.bytes, file.modified)),
                facts(&store::manifest_path(&file.path)),
            ];
            let same = before.remove(&file.name).filter(|summary| summary.of == of);
            let summary = same.unwrap_or_else(|| Summary {
                of,
                backup: summary(&file),
            });
            now.insert(file.name, summary);
        }
        let backups = now.values().map(|summary| summary.backup.clone()).collect();
        self.locked(|summaries| summaries.insert(server.directory.clone(), now));
        Ok(backups)
    }

    fn locked<T>(
        &self,
        look: impl FnOnce(&mut HashMap<PathBuf, HashMap<String, Summary>>) -> T,
    ) -> T {
        look(
            &mut self
                .summaries
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

fn summary(file: &BackupFile) -> BackupSummary {
    // A manifest that cannot be read is verify's finding; the file is there all the same.
    match store::current_manifest(&file.path) {
        Ok(Some(manifest)) => BackupSummary::from_manifest(&manifest),
        Ok(None) | Err(_) => BackupSummary::foreign(file.name.clone(), file.modified, file.bytes),
    }
}

/// Size and time of a file; `None` where there is none.
fn facts(path: &Path) -> Option<(u64, DateTime<Utc>)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.len(), store::modified(&facts)))
}

impl Runner for Jobs {
    fn claim(&self, server: &Server, job: Job) -> Result<Lock> {
        lock::take(&server.directory, job.name())
    }

    fn run(
        &self,
        server: Arc<Server>,
        work: Work,
        progress: Progress,
    ) -> BoxFuture<'static, Result<()>> {
        async move {
            match work.job {
                Job::Backup => {
                    let occasion = backup::Occasion {
                        due: work.due,
                        lock: Some(work.lock),
                    };
                    backup::run(&server, occasion, &progress).await.map(drop)
                }
                Job::Verify => verify_all(&server, work.due, &progress).await,
                Job::Drill => drill_latest(&server, work.due, &progress).await,
                Job::Prune => prune::after_backup(&server, &work.lock, &progress).await,
                Job::Restore => Err(Failure::new(FailureKind::Usage, "restore on a schedule")),
            }
        }
        .boxed()
    }

    fn record(&self, server: &Server, begun: Begun, failure: &Failure) {
        recorder::record(&server.name, &server.directory, begun, failure);
    }

    fn recall(&self, server: &Server) -> Result<Option<Agenda>> {
        store::agenda::read(&server.directory)
    }

    fn keep(&self, server: &Server, agenda: &Agenda, lock: &Lock) -> Result<()> {
        store::agenda::write(&server.directory, agenda, lock)
    }

    fn recall_pause(&self, server: &Server) -> Result<Option<KeptPause>> {
        store::agenda::read_pause(&server.directory)
    }

    fn keep_pause(&self, server: &Server, pause: &KeptPause) -> Result<()> {
        store::agenda::write_pause(&server.directory, pause)
    }

    fn load(&self, server: &Server) -> Result<Loaded> {
        let backups = self.backups(server)?;
        let mut entries = store::ledger::read(&server.directory)?;
        recorder::add_unwritten(&server.directory, &mut entries);
        let space = self.space(server, None).unwrap_or_default();
        Ok(Loaded {
            outlook: Outlook::new(server, &entries, &backups, &space, Utc::now()),
            entries,
            backups,
        })
    }

    fn probe(&self, server: Arc<Server>) -> BoxFuture<'static, bool> {
        async move {
            let Ok(target) = Target::resolve(&server.connection) else {
                return false;
            };
            let asked = async {
                let session = target.session(&target.database).await.ok()?;
                let answer = session.simple_query("select 1").await.ok();
                session.close().await;
                answer
            };
            tokio::time::timeout(PROBE, asked)
                .await
                .is_ok_and(|answer| answer.is_some())
        }
        .boxed()
    }

    fn space(&self, server: &Server, known: Option<u64>) -> Option<Space> {
        let directory = &server.directory;
        let mut space = space::of(directory).ok()?;
        space.requested_bytes = server.volume.requested.unwrap_or_default();
        space.directory_bytes = match known {
            Some(bytes) => bytes,
            None => {
                space::directory_bytes(directory, space::ENTRIES_LIMIT)
                    .ok()?
                    .bytes
            }
        };
        Some(space)
    }
}

/// Checks every backup kept; the worst fault is what it ends with, when all have been looked at.
async fn verify_all(
    server: &Server,
    due: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<()> {
    let listed = server.clone();
    let files = super::blocking(move || store::archives(&listed)).await?;
    if files.is_empty() {
        return Err(nothing(Job::Verify, server, due));
    }
    let mut faults = Vec::new();
    for file in files {
        let limit = Some(server.verify.timeout);
        match verify::run(&file.path, server, limit, due, progress).await {
            Ok(checked) => faults.extend(verify::fault(&checked.report)),
            Err(error) if error.kind() == FailureKind::Cancelled => return Err(error),
            // A file that cannot be read must not keep the others from being checked.
            Err(error) => faults.push(error),
        }
    }
    verify::worst(faults).map_or(Ok(()), Err)
}

async fn drill_latest(
    server: &Server,
    due: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<()> {
    let listed = server.clone();
    let newest = super::blocking(move || newest(&listed)).await?;
    let newest = newest.ok_or_else(|| nothing(Job::Drill, server, due))?;
    let options = drill::Options {
        due,
        ..drill::Options::default()
    };
    let (_, failure) = drill::run(&newest.path, server, options, progress).await;
    failure.map_or(Ok(()), Err)
}

/// The newest backup. Of files of someone else it is the newest whole one, which has a manifest: that another one is cut
/// is known, and proves nothing about those that can be restored.
fn newest(server: &Server) -> Result<Option<BackupFile>> {
    let mut files = store::archives(server)?;
    let whole = |file: &BackupFile| matches!(store::current_manifest(&file.path), Ok(Some(_)));
    if server.observes().is_some()
        && let Some(index) = files.iter().rposition(whole)
    {
        return Ok(Some(files.swap_remove(index)));
    }
    Ok(files.pop())
}

/// A job without a backup is an attempt too: one that could not run.
fn nothing(job: Job, server: &Server, due: Option<DateTime<Utc>>) -> Failure {
    let what = format!(
        "{} backups of server {}: there are none",
        job.name(),
        server.name
    );
    let failure = Failure::new(FailureKind::Directory, what).remedy(store::where_from(server));
    let begun = Begun {
        job,
        due,
        attempt: 1,
        started_at: Utc::now(),
    };
    recorder::record(&server.name, &server.directory, begun, &failure);
    failure
}
