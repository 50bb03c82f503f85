//! What holds, kept beside each server's backups, so that a restart neither ends an alert nor has one wait anew.
//!
//! Alerts about no server are not kept: the dead man's switch waits for nothing, and a configuration that cannot be read
//! lets nobody start. Where a directory cannot be written to, its alerts begin anew.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::state::{Alerts, Kept};
use crate::error::{Failure, Result};
use crate::store;

/// How often it is said again that alerts hold: well within the time for which that is believed.
const AGAIN: TimeDelta = TimeDelta::minutes(10);

/// How long reading may take at the start. A volume that hangs has everyone else's alerts wait no longer.
const READING: Duration = Duration::from_secs(10);

/// How long one file may keep others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Files that are read or written at once: each takes a thread. More, where some hang.
const AT_ONCE: usize = 8;

/// What is on disk.
pub(super) struct Memory {
    /// Where it is not known what a file says, it is written.
    known: HashMap<String, Written>,
    room: Arc<Semaphore>,
    saves: JoinSet<Option<Saved>>,
    /// Servers whose files are being written.
    busy: HashSet<String>,
    /// Servers whose files could not be written the last time.
    failing: HashSet<String>,
}

/// What a file says, in short, and since when.
#[derive(Clone, Copy)]
struct Written {
    digest: u64,
    at: DateTime<Utc>,
}

struct Saved {
    server: String,
    written: Written,
    result: Result<()>,
}

/// The alerts that hold, by server.
pub(super) fn by_server(alerts: &Alerts) -> BTreeMap<String, Vec<Kept>> {
    let mut servers: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
    for kept in alerts.kept() {
        if let Some(server) = kept.labels.get("server") {
            servers.entry(server.clone()).or_default().push(kept);
        }
    }
    for kept in servers.values_mut() {
        kept.sort_by(|a, b| (&a.alert, &a.labels).cmp(&(&b.alert, &b.labels)));
    }
    servers
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
            saves: JoinSet::new(),
            busy: HashSet::new(),
            failing: HashSet::new(),
        }
    }
}

/// Work that may block, when there is room for it. `None` where it panicked, or the runtime ends.
pub(super) async fn blocking<T: Send + 'static>(
    room: Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let permit = room.acquire_owned().await.ok()?;
    let mut work = tokio::task::spawn_blocking(work);
    let done = tokio::time::timeout(PATIENCE, &mut work).await;
    drop(permit);
    match done {
        Ok(done) => done.ok(),
        // A volume that hangs is waited for, but not by the others.
        Err(_) => work.await.ok(),
    }
}

impl Memory {
    /// What was kept before the process began.
    pub(super) async fn recall(
        &mut self,
        directories: &BTreeMap<String, PathBuf>,
        now: DateTime<Utc>,
    ) -> Vec<Kept> {
        let mut reading = JoinSet::new();
        for (server, directory) in directories.clone() {
            let room = Arc::clone(&self.room);
            reading.spawn(blocking(room, move || {
                (server, store::alerts::read::<Kept>(&directory, now))
            }));
        }
        let mut all = Vec::new();
        let read = async {
            while let Some(read) = reading.join_next().await {
                match read {
                    Ok(Some((server, Ok(mut kept)))) => {
                        // A file is about its own server alone, whoever put it there.
                        kept.retain(|kept| kept.labels.get("server") == Some(&server));
                        let written = Written {
                            digest: digest(&kept),
                            at: DateTime::UNIX_EPOCH,
                        };
                        self.known.insert(server, written);
                        all.extend(kept);
                    }
                    Ok(Some((server, Err(failure)))) => {
                        tracing::warn!(server, "{}", failure.sentence());
                    }
                    Ok(None) | Err(_) => {
                        tracing::error!("read alerts that were kept: it broke off");
                    }
                }
            }
        };
        if tokio::time::timeout(READING, read).await.is_err() {
            tracing::warn!(
                "read alerts that were kept: not done after {} s; the others begin anew",
                READING.as_secs()
            );
        }
        all
    }

    /// Has written what has changed, and now and then what has not.
    pub(super) fn keep(
        &mut self,
        mut servers: BTreeMap<String, Vec<Kept>>,
        directories: &BTreeMap<String, PathBuf>,
        now: DateTime<Utc>,
    ) {
        self.known
            .retain(|server, _| directories.contains_key(server));
        self.failing
            .retain(|server| directories.contains_key(server));
        for (server, directory) in directories {
            let kept = servers.remove(server).unwrap_or_default();
            let digest = digest(&kept);
            let same = self.known.get(server).is_some_and(|known| {
                known.digest == digest && (kept.is_empty() || now - known.at < AGAIN)
            });
            if same || !self.busy.insert(server.clone()) {
                continue;
            }
            let (server, directory) = (server.clone(), directory.clone());
            let room = Arc::clone(&self.room);
            self.saves.spawn(blocking(room, move || Saved {
                result: store::alerts::write(&directory, now, kept),
                server,
                written: Written { digest, at: now },
            }));
        }
    }

    /// Hears what became of one file; waits for as long as there is none.
    pub(super) async fn next(&mut self) {
        match self.saves.join_next().await {
            Some(Ok(Some(saved))) => self.heard(saved),
            Some(Ok(None) | Err(_)) => {
                tracing::error!("write alerts that hold: it broke off");
                self.busy.clear();
            }
            None => std::future::pending().await,
        }
    }

    fn heard(&mut self, saved: Saved) {
        self.busy.remove(&saved.server);
        match saved.result {
            Ok(()) => {
                self.failing.remove(&saved.server);
                self.known.insert(saved.server, saved.written);
            }
            Err(failure) => self.complain(saved.server, &failure),
        }
    }

    /// Once, until it is better.
    fn complain(&mut self, server: String, failure: &Failure) {
        if !self.failing.contains(&server) {
            tracing::warn!(
                server,
                "{}; after a restart its alerts begin anew",
                failure.sentence()
            );
            self.failing.insert(server);
        }
    }
}

/// All but the values, which change all the time.
fn digest(kept: &[Kept]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for one in kept {
        (
            &one.alert,
            &one.labels,
            one.active_at,
            one.fired_at,
            one.keep_firing_since,
        )
            .hash(&mut hasher);
    }
    hasher.finish()
}
