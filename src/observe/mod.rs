//! Watches over backups that someone else makes: a file is looked at once it rests ([`state`]), read whole, and counts as a
//! backup, or as a failed one, from then on ([`take`]).
//!
//! - What was found is written beside the file (a manifest) and into the ledger, so that a restart reads nothing again.
//!   Where the directory cannot be written to, it is kept in memory, and that is said.
//! - A file that is written again under its name is another backup, and is looked at again.
//! - The archives are never changed or removed; when one goes, its manifest goes too.
//! - One file at a time, the oldest first; [`look`] is cheap, [`take`] reads a whole file.

mod name;
mod state;
mod take;
mod times;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use crate::config::{Observe, Server};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{Entry, Job, JobResult};
use crate::manifest::Manifest;
use crate::recorder;
use crate::store::{self, BackupFile, found, lock};
use state::{Facts, Moment, State, Tracked};
pub use take::{Taken, take};

/// Longest time between two looks: what a listing of the directory costs is nothing against a backup.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is known of a directory from one look to the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// Whose files: directory and pattern. Those of others are other files.
    of: Option<(PathBuf, String)>,
    /// Whether the directory was looked at before.
    looked: bool,
    files: BTreeMap<String, Tracked>,
    /// What the ledger said of files when we began, and what was added since.
    recorded: HashMap<String, Recorded>,
    /// Manifests that could not be written.
    unwritten: BTreeMap<String, Manifest>,
    /// Manifests without an archive that are not ours to remove.
    left: BTreeSet<String>,
    /// What is wrong, by what it is about.
    trouble: BTreeMap<String, String>,
}

/// What the ledger says of a file of someone else.
#[derive(Clone, Debug, PartialEq)]
struct Recorded {
    result: JobResult,
    bytes: u64,
    finished_at: DateTime<Utc>,
    backup_finished_at: Option<DateTime<Utc>>,
}

/// What a look at the directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The file whose turn it is to be read: see [`take`].
    pub ready: Option<String>,
    /// Since when a file is being written.
    pub growing: Option<DateTime<Utc>>,
    /// Whether files came, went or changed, so that what is known of the directory is to be read again.
    pub changed: bool,
    /// How long to wait before the next look, where nothing is ready.
    pub again: Duration,
    /// What keeps us from doing all of it, for people.
    pub trouble: Option<String>,
}

impl Memory {
    /// Manifests that could not be written beside their archives.
    pub fn unwritten(&self) -> impl Iterator<Item = &Manifest> {
        self.unwritten.values()
    }

    fn trouble(&mut self, about: &str, failure: &Failure) {
        let sentence = failure.sentence();
        if self.trouble.get(about) != Some(&sentence) {
            warn!("{sentence}");
            self.trouble.insert(about.to_owned(), sentence);
        }
    }

    fn no_trouble(&mut self, about: &str) {
        self.trouble.remove(about);
    }

    fn remember(&mut self, entry: &Entry) {
        if let (Job::Backup, true, Some(name), Some(sizes)) =
            (entry.job, entry.observed, &entry.backup, entry.sizes)
        {
            let recorded = Recorded {
                result: entry.result,
                bytes: sizes.bytes,
                finished_at: entry.finished_at,
                backup_finished_at: entry.backup_finished_at,
            };
            self.recorded.insert(name.clone(), recorded);
        }
    }

    /// Whether the manifest of a whole backup is gone: then it is read again.
    fn lost_manifest(&self, file: &BackupFile) -> bool {
        let whole = |recorded: &Recorded| recorded.result == JobResult::Passed;
        self.recorded.get(&file.name).is_some_and(whole)
            && !self.unwritten.contains_key(&file.name)
            && !store::manifest_path(&file.path).exists()
    }

    /// Whether a file was looked at before: its manifest says so, or the ledger that it is no backup.
    fn was_judged(&self, file: &BackupFile) -> bool {
        let failed = self.recorded.get(&file.name).is_some_and(|recorded| {
            recorded.result == JobResult::Failed
                && recorded.bytes == file.bytes
                && recorded.backup_finished_at == Some(file.modified)
        });
        // A manifest that cannot be read is said when the file's turn comes.
        failed || matches!(store::current_manifest(&file.path), Ok(Some(_)))
    }
}

/// Looks at the directory of a server whose backups someone else makes. Reads no archive.
pub async fn look(server: &Server, memory: &mut Memory) -> Result<Seen> {
    let Some(observe) = server.observes().cloned() else {
        return Err(Failure::new(
            FailureKind::Usage,
            format!(
                "observe backups of server {}: it is not in that mode",
                server.name
            ),
        ));
    };
    let (server, mut known) = (server.clone(), std::mem::take(memory));
    let work = tokio::task::spawn_blocking(move || {
        let seen = look_at(&server, &observe, &mut known, Moment::now());
        (known, seen)
    });
    let (known, seen) = work.await.map_err(|error| {
        Failure::new(FailureKind::Io, "observe backups: a thread broke").because(error)
    })?;
    *memory = known;
    seen
}

fn look_at(server: &Server, observe: &Observe, memory: &mut Memory, now: Moment) -> Result<Seen> {
    let directory = &server.directory;
    let files = store::list(directory, &observe.pattern)?;
    let of = Some((directory.clone(), observe.pattern.clone()));
    if memory.of != of {
        *memory = Memory {
            of,
            ..Memory::default()
        };
    }
    if !memory.looked {
        // A ledger that cannot be read is said by those who show it; without it some files are read once more.
        let mut entries = store::ledger::read(directory).unwrap_or_default();
        recorder::add_unwritten(directory, &mut entries);
        entries.iter().for_each(|entry| memory.remember(entry));
    }
    let mut changed = meet(memory, &files, now);
    changed |= catch_up(server, observe, memory)?;
    memory.looked = true;
    let mut seen = Seen {
        changed,
        again: observe.settle.clamp(Duration::from_secs(1), LOOK_EVERY),
        ..Seen::default()
    };
    for file in &files {
        let Some(tracked) = memory.files.get(&file.name) else {
            continue;
        };
        match tracked.state(server.settles(observe, file.bytes), now) {
            State::Growing { since, left } => {
                seen.growing = Some(seen.growing.map_or(since, |first| first.min(since)));
                seen.again = seen.again.min(left);
            }
            State::Waiting { left } => seen.again = seen.again.min(left),
            State::Ready if seen.ready.is_none() => seen.ready = Some(file.name.clone()),
            State::Ready | State::Known => {}
        }
    }
    let mut troubles = memory.trouble.values();
    seen.trouble = troubles.next().map(|first| match troubles.count() {
        0 => first.clone(),
        more => format!("{first} (and {more} more)"),
    });
    Ok(seen)
}

/// Takes in what is there now; whether what is known of the directory has to be read again.
fn meet(memory: &mut Memory, files: &[BackupFile], now: Moment) -> bool {
    let mut changed = false;
    for file in files {
        let facts = Facts {
            bytes: file.bytes,
            written_at: file.modified,
        };
        let lost = memory.lost_manifest(file);
        if let Some(tracked) = memory.files.get_mut(&file.name) {
            let known = tracked.is_known();
            tracked.meet(facts, now);
            if lost {
                tracked.unjudge();
            }
            changed |= known && !tracked.is_known();
            continue;
        }
        let judged = memory.was_judged(file);
        let tracked = Tracked::new(facts, now, memory.looked, judged);
        memory.files.insert(file.name.clone(), tracked);
        changed |= memory.looked;
    }
    let there: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let before = memory.files.len();
    memory.files.retain(|name, _| there.contains(name.as_str()));
    memory
        .recorded
        .retain(|name, _| there.contains(name.as_str()));
    memory
        .unwritten
        .retain(|name, _| there.contains(name.as_str()));
    memory
        .trouble
        .retain(|about, _| about.is_empty() || there.contains(about.as_str()));
    changed || memory.files.len() < before
}

/// Writes manifests that could not be written before, and removes those whose archives someone has removed; whether what
/// is known of the directory has to be read again.
fn catch_up(server: &Server, observe: &Observe, memory: &mut Memory) -> Result<bool> {
    let directory = &server.directory;
    let orphans = found::orphans(directory, &observe.pattern)?;
    memory.left.retain(|name| orphans.contains(name));
    let orphans = orphans
        .into_iter()
        .filter(|name| !memory.left.contains(name));
    let orphans: Vec<_> = orphans.collect();
    if orphans.is_empty() && memory.unwritten.is_empty() {
        return Ok(false);
    }
    let lock = match lock::take(directory, "observe") {
        Ok(lock) => lock,
        // Its time comes.
        Err(busy) if busy.kind() == FailureKind::Busy => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut removed = false;
    for name in orphans {
        match found::sweep(directory, &name, &lock) {
            Ok(true) => {
                info!(server = %server.name, "removed the manifest of {name}, which someone has removed");
                removed = true;
            }
            Ok(false) => _ = memory.left.insert(name),
            Err(error) => {
                memory.trouble("", &error);
                memory.left.insert(name);
            }
        }
    }
    while let Some((name, manifest)) = memory.unwritten.pop_first() {
        if let Err(failure) = found::put(&directory.join(&name), &manifest, &lock) {
            memory.trouble("", &failure);
            memory.unwritten.insert(name, manifest);
            break;
        }
        memory.no_trouble("");
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
