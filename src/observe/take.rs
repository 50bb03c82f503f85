//! Reads one file of someone else, and says and records whether it is a backup.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::state::Facts;
use super::times::{Said, Times, times};
use super::{Memory, Recorded};
use crate::config::{Observe, Server};
use crate::error::{Failure, FailureKind, Result};
use crate::finding::FindingKind;
use crate::ledger::{Job, JobResult, Sizes};
use crate::manifest::{ArchiveFacts, FORMAT_VERSION, Manifest, Observed, Source};
use crate::outcome::Progress;
use crate::recorder::Attempt;
use crate::store::lock::{self, Lock};
use crate::store::{self, found};
use crate::verify::{self, Judged};

/// How long to leave a file alone that could not be read to its end: what is wrong with the volume takes people to mend,
/// and each try is an entry of the ledger.
const AGAIN: Duration = Duration::from_secs(3600);

/// How long to leave a file alone that may not be opened, which costs nothing to try.
const OPEN_AGAIN: Duration = Duration::from_secs(30);

/// How reading a file ended.
#[derive(Debug)]
pub enum Taken {
    /// It is a whole backup.
    Whole,
    /// It is none, and why.
    NotWhole(Failure),
    /// It could not be read, and why; it is tried again later.
    Unread(Failure),
    /// It was written to meanwhile, or is gone: nothing is said of it.
    Moved,
}

/// Reads a file that rests. An error means that it is still to be read: someone asked to stop, or another pgvigil is at work.
pub async fn take(
    server: &Server,
    memory: &mut Memory,
    name: &str,
    progress: &Progress,
) -> Result<Taken> {
    let (Some(observe), Some(facts)) = (
        server.observes(),
        memory.files.get(name).map(|tracked| tracked.facts()),
    ) else {
        return Ok(Taken::Moved);
    };
    let archive = server.directory.join(name);
    let lock = lock::take(&server.directory, "observe")?;
    match as_it_is(archive.clone()).await {
        Ok(now) if now == facts => {}
        Ok(_) => return Ok(Taken::Moved),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Taken::Moved),
        Err(error) => {
            let failure = Failure::io(format!("read archive {}", archive.display()), error)
                .remedy("let the user that pgvigil runs as read what the job writes");
            return Ok(unread(memory, name, OPEN_AGAIN, failure));
        }
    }
    let attempt = Attempt::begin(Job::Verify, &server.name, Some(&server.directory))?;
    progress.belongs_to(attempt.job_id());
    let result = verify::check_alone(&archive, server.verify.timeout, progress).await;
    if matches!(&result, Err(failure) if failure.kind() == FailureKind::Cancelled) {
        // It is read again after the restart; half a check is nothing to keep.
        return result.map(|_| Taken::Moved);
    }
    if as_it_is(archive.clone()).await.ok() != Some(facts) {
        return Ok(Taken::Moved);
    }
    let file = Found {
        server,
        observe,
        archive: &archive,
        name,
        facts,
    };
    Ok(file.judge(memory, attempt, result, &lock))
}

/// How a file is now, seen through an open one: what a network file system remembers is then brought up to date.
async fn as_it_is(archive: std::path::PathBuf) -> std::io::Result<Facts> {
    let look = move || {
        let facts = File::open(&archive)?.metadata()?;
        Ok(Facts {
            bytes: facts.len(),
            written_at: store::modified(&facts),
        })
    };
    tokio::task::spawn_blocking(look)
        .await
        .map_err(std::io::Error::other)?
}

fn unread(memory: &mut Memory, name: &str, again: Duration, failure: Failure) -> Taken {
    memory.trouble(name, &failure);
    if let Some(tracked) = memory.files.get_mut(name) {
        tracked.wait_until(Instant::now() + again);
    }
    Taken::Unread(failure)
}

/// A file that was read.
struct Found<'a> {
    server: &'a Server,
    observe: &'a Observe,
    archive: &'a Path,
    name: &'a str,
    facts: Facts,
}

impl Found<'_> {
    /// Says what the file is, and records it: the manifest first, then the ledger; whatever a crash leaves out of that is
    /// made up for when the file is read again.
    fn judge(
        &self,
        memory: &mut Memory,
        check: Attempt,
        result: Result<Judged>,
        lock: &Lock,
    ) -> Taken {
        let times = self.times(result.as_ref().ok());
        let whole = matches!(&result, Ok(judged) if judged.fault.is_none());
        verify::record(
            check,
            self.archive,
            whole.then_some(times.finished_at),
            &result,
        );
        let judged = match result {
            Ok(judged) => judged,
            Err(failure) => return unread(memory, self.name, AGAIN, failure),
        };
        memory.no_trouble(self.name);
        let sizes = Sizes {
            bytes: self.facts.bytes,
            uncompressed_bytes: judged.report.uncompressed_bytes,
            database_bytes: 0,
        };
        let failure = not_whole(&judged);
        let old = store::read_manifest(self.archive).ok().flatten();
        // One of ours has its manifest and its entry.
        if old.is_none_or(|old| !old.is_ours()) {
            match &failure {
                None => self.keep(memory, judged, times, lock),
                Some(_) => self.forget(memory, lock),
            }
            self.record(memory, times, sizes, failure.as_ref());
        }
        if let Some(tracked) = memory.files.get_mut(self.name) {
            tracked.judge();
        }
        failure.map_or(Taken::Whole, Taken::NotWhole)
    }

    fn times(&self, judged: Option<&Judged>) -> Times {
        // Of a file that is cut the name and the file system are asked alone, so that it is known again after a restart.
        let said =
            judged
                .filter(|judged| judged.fault.is_none())
                .map_or(Said::default(), |judged| Said {
                    started_on: judged.catalog.started_on.as_deref(),
                    completed_on: judged.catalog.completed_on.as_deref(),
                });
        times(
            self.name,
            self.facts.written_at,
            said,
            self.observe.timezone,
        )
    }

    fn keep(&self, memory: &mut Memory, judged: Judged, times: Times, lock: &Lock) {
        let manifest = self.manifest(judged, times);
        match found::put(self.archive, &manifest, lock) {
            Ok(()) => {
                memory.unwritten.remove(self.name);
                memory.no_trouble("");
            }
            Err(failure) => {
                memory.trouble("", &failure);
                memory.unwritten.insert(self.name.to_owned(), manifest);
            }
        }
    }

    /// The manifest is of what was there before.
    fn forget(&self, memory: &mut Memory, lock: &Lock) {
        memory.unwritten.remove(self.name);
        if let Err(failure) = found::remove(self.archive, lock) {
            memory.trouble("", &failure);
        }
    }

    fn manifest(&self, judged: Judged, times: Times) -> Manifest {
        let (report, sha256) = (&judged.report, judged.sha256.clone());
        let took = times.finished_at - times.started_at;
        Manifest {
            format_version: FORMAT_VERSION,
            pgvigil_version: env!("CARGO_PKG_VERSION").to_owned(),
            server: self.server.name.clone(),
            started_at: times.started_at,
            finished_at: times.finished_at,
            duration_seconds: took.to_std().unwrap_or_default().as_secs_f64(),
            source: Source {
                server_version: judged.catalog.server_version.clone().unwrap_or_default(),
                tool_version: judged.catalog.tool_version.clone().unwrap_or_default(),
                ..Source::default()
            },
            archive: ArchiveFacts {
                file_name: self.name.to_owned(),
                bytes: report.bytes,
                uncompressed_bytes: report.uncompressed_bytes,
                members: report.members,
                archive_id: String::new(),
                sha256,
            },
            observed: Some(Observed {
                written_at: self.facts.written_at,
            }),
            catalog: judged.checked.catalog,
        }
    }

    fn record(&self, memory: &mut Memory, times: Times, sizes: Sizes, failure: Option<&Failure>) {
        let recorded = Recorded {
            result: JobResult::of(Job::Backup, failure),
            bytes: sizes.bytes,
            finished_at: times.finished_at,
            backup_finished_at: Some(match failure {
                None => times.finished_at,
                Some(_) => self.facts.written_at,
            }),
        };
        if memory.recorded.get(self.name) == Some(&recorded) {
            return;
        }
        match Attempt::begin(Job::Backup, &self.server.name, Some(&self.server.directory)) {
            Ok(mut attempt) => {
                attempt.was_observed(times.started_at, times.finished_at);
                attempt.about(self.archive, recorded.backup_finished_at);
                attempt.is_large(sizes);
                attempt.end(failure);
                memory.recorded.insert(self.name.to_owned(), recorded);
            }
            Err(failure) => memory.trouble("", &failure),
        }
    }
}

/// Why a file is no whole backup, as those who wait for one say it.
fn not_whole(judged: &Judged) -> Option<Failure> {
    let fault = judged.fault.as_ref()?;
    let first = judged.report.findings.errors().next()?;
    let cut = first.kind.is_open_end()
        || matches!(first.kind, FindingKind::Truncated | FindingKind::EmptyFile);
    let kind = if cut {
        FailureKind::DumpIncomplete
    } else {
        fault.kind()
    };
    let what = format!(
        "backup of someone else, {}: {}: {}",
        judged.report.archive.display(),
        first.place,
        first.message
    );
    Some(Failure::new(kind, what).remedy(if cut {
        "look at the job that writes it: what ended it, and whether it ran out of space or time; then run it again"
    } else {
        "look at the job that writes it and at the disk that it lies on, and run it again"
    }))
}
