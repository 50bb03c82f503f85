//! Where a server's task and those who ask for something meet: wishes on one side, what runs on the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::config::{Mode, Pause};
use crate::ledger::Job;
use crate::status::control::Refusal;
use crate::status::{BackupSummary, Paused};
use crate::store::agenda::KeptPause;

/// A server's desk. Clones share it.
#[derive(Clone)]
pub(super) struct Desk(Arc<Inner>);

struct Inner {
    papers: Mutex<Papers>,
    changed: Notify,
    config: RwLock<Arc<config::Server>>,
    retired: CancellationToken,
}

#[derive(Default)]
struct Papers {
    queue: VecDeque<Job>,
    running: Option<Job>,
    pause: Option<KeptPause>,
    /// Whether the directory is to be read again.
    to_read: bool,
    /// Files of someone else that are known here alone, since the directory cannot be written to.
    unwritten: Vec<BackupSummary>,
}

impl Desk {
    pub(super) fn new(config: Arc<config::Server>) -> Self {
        Self(Arc::new(Inner {
            papers: Mutex::default(),
            changed: Notify::new(),
            config: RwLock::new(config),
            retired: CancellationToken::new(),
        }))
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Arc<config::Server> {
        Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another configuration counts for what begins from now on.
    pub(super) fn configure(&self, config: Arc<config::Server>) {
        *self
            .0
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = config;
        self.0.changed.notify_one();
    }

    /// The server is no longer in the configuration: its tasks end when the job at work has.
    pub(super) fn retire(&self) {
        self.0.retired.cancel();
    }

    /// Whether it was taken out of the configuration.
    pub(super) fn is_retired(&self) -> bool {
        self.0.retired.is_cancelled()
    }

    /// Is cancelled when it was taken out of the configuration.
    pub(super) fn retired(&self) -> CancellationToken {
        self.0.retired.clone()
    }

    /// Resolves when somebody has put something on the desk.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Puts a job in line.
    pub(super) fn ask_for(&self, job: Job) -> Result<(), Refusal> {
        let (config, name) = (self.config(), job.name());
        if job == Job::Backup && matches!(config.backup.mode, Mode::Observe(_)) {
            let why = format!(
                "backups of {} are taken by something else (backup.mode is observe)",
                config.name
            );
            return Err(Refusal::Conflict(why));
        }
        self.with(|papers| {
            if papers.running == Some(job) || papers.queue.contains(&job) {
                let state = if papers.running == Some(job) {
                    "runs"
                } else {
                    "waits"
                };
                let why = format!("a {name} of {} {state} already", config.name);
                return Err(Refusal::Conflict(why));
            }
            papers.queue.push_back(job);
            Ok(())
        })?;
        self.0.changed.notify_one();
        Ok(())
    }

    /// The first job in line, taken out of it.
    pub(super) fn take(&self) -> Option<Job> {
        self.with(|papers| papers.queue.pop_front())
    }

    /// The jobs in line.
    pub(super) fn queue(&self) -> Vec<Job> {
        self.with(|papers| papers.queue.iter().copied().collect())
    }

    /// Says what runs.
    pub(super) fn set_running(&self, job: Option<Job>) {
        self.with(|papers| papers.running = job);
    }

    /// The last pause, over or not.
    pub(super) fn pause(&self) -> Option<KeptPause> {
        self.with(|papers| papers.pause.clone())
    }

    /// Replaces the last pause.
    pub(super) fn set_pause(&self, pause: Option<KeptPause>) {
        self.with(|papers| papers.pause = pause);
        self.0.changed.notify_one();
    }

    /// Asks for the directory to be read again, with what else is known of its files.
    pub(super) fn read_again(&self, unwritten: Vec<BackupSummary>) {
        self.with(|papers| (papers.to_read, papers.unwritten) = (true, unwritten));
        self.0.changed.notify_one();
    }

    /// Asks for the directory to be read again.
    pub(super) fn look_again(&self) {
        self.with(|papers| papers.to_read = true);
        self.0.changed.notify_one();
    }

    /// Whether the directory is to be read again; that is then no longer asked for.
    pub(super) fn is_to_read(&self) -> bool {
        self.with(|papers| std::mem::take(&mut papers.to_read))
    }

    /// Files of someone else that are known here alone.
    pub(super) fn unwritten(&self) -> Vec<BackupSummary> {
        self.with(|papers| papers.unwritten.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Papers) -> T) -> T {
        look(&mut self.0.papers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A pause as the reports show it, while it holds.
pub(super) fn shown(pause: Option<&KeptPause>, now: DateTime<Utc>) -> Option<Paused> {
    let pause = pause.filter(|pause| pause.holds(now))?;
    Some(Paused {
        pause: Pause {
            reason: pause.reason.clone(),
            until: pause.until,
        },
        since: pause.since,
        configured: pause.configured,
    })
}

/// The pause to keep when the configuration asks for one, or does so no longer; `None`: the one that is kept stands.
pub(super) fn reconciled(
    wanted: Option<&Pause>,
    kept: Option<&KeptPause>,
    now: DateTime<Utc>,
) -> Option<KeptPause> {
    let held = kept.filter(|kept| kept.holds(now));
    match wanted {
        Some(wanted) => {
            let same = |kept: &&KeptPause| {
                kept.configured && kept.reason == wanted.reason && kept.until == wanted.until
            };
            if kept.filter(same).is_some() {
                return None;
            }
            Some(KeptPause {
                reason: wanted.reason.clone(),
                since: held.map_or(now, |held| held.since),
                until: wanted.until,
                configured: true,
            })
        }
        None => held.filter(|held| held.configured).map(|held| KeptPause {
            until: Some(now),
            ..held.clone()
        }),
    }
}
