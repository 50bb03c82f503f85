//! What lives only in the process, beside what the disk says: the snapshot that the daemon writes and the reports read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ServerStatus;
use crate::config;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::store::space::Space;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A job that runs now.
#[derive(Clone, Debug)]
pub struct Running {
    /// Which.
    pub job: Job,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// How far.
    pub progress: Progress,
}

/// A pause as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Why, and until when.
    pub pause: crate::config::Pause,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Whether the configuration says so; then only it can end the pause.
    pub configured: bool,
}

/// One value for each kind of job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerJob<T> {
    /// Of backups.
    pub backup: T,
    /// Of verifications.
    pub verify: T,
    /// Of drills.
    pub drill: T,
    /// Of restores, which nobody schedules.
    pub restore: T,
    /// Of removals, which follow backups.
    pub prune: T,
}

/// Everything known about one server.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// Tells this view from an earlier one of a server of the same name.
    pub id: u64,
    /// What is wanted.
    pub config: Arc<config::Server>,
    /// What the disk says; empty until it was read.
    pub status: ServerStatus,
    /// Why the disk could not be read the last time.
    pub unreadable: Option<String>,
    /// Whether PostgreSQL answers.
    pub up: bool,
    /// The job that runs.
    pub running: Option<Running>,
    /// Whom the next job waits for.
    pub waiting: Option<String>,
    /// Since when a backup of someone else is being written.
    pub observed_growing: Option<DateTime<Utc>>,
    /// What keeps us from watching over such backups as we should.
    pub observe_trouble: Option<String>,
    /// Jobs that someone asked for and that wait for their turn, in order.
    pub queued: Vec<Job>,
    /// Set while nothing runs by itself.
    pub paused: Option<Paused>,
    /// When the jobs are due.
    pub next: PerJob<Option<DateTime<Utc>>>,
    /// The usual time between two runs, zero where none are scheduled.
    pub interval: PerJob<Duration>,
    /// Space on the volume.
    pub space: Space,
}

/// Everything known.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the configuration was last read with success.
    pub configured_at: DateTime<Utc>,
    /// Why it could not be read the last time; the one before is in force then.
    pub configuration_error: Option<String>,
    /// Whether the disk was read once.
    pub loaded: bool,
    /// Whether the process is about to end.
    pub draining: bool,
    /// The servers, in the order of the configuration.
    pub servers: Vec<ServerView>,
    /// How it goes with each Alertmanager that we are to send alerts to, in the order of the configuration.
    pub notified: Vec<Notified>,
    /// Where alerts do not arrive that we are to send, and why: a sentence for people; no secret is in it.
    pub notify_problem: Option<String>,
}

/// How it goes with one Alertmanager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// Its address.
    pub alertmanager: String,
    /// Alerts that it took, each time they were sent.
    pub sent: u64,
    /// Alerts that it did not take.
    pub failed: u64,
    /// When it last took some.
    pub last_success: Option<DateTime<Utc>>,
}

/// The snapshot that the daemon writes and the reports read. Clones share it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Versioned>);

/// A snapshot, and how often it was changed.
#[derive(Debug)]
struct Versioned {
    snapshot: RwLock<Snapshot>,
    version: AtomicU64,
}

impl<T> PerJob<T> {
    /// The value of a job.
    pub fn get(&self, job: Job) -> &T {
        match job {
            Job::Backup => &self.backup,
            Job::Verify => &self.verify,
            Job::Drill => &self.drill,
            Job::Restore => &self.restore,
            Job::Prune => &self.prune,
        }
    }

    /// The value of a job, to change.
    pub fn get_mut(&mut self, job: Job) -> &mut T {
        match job {
            Job::Backup => &mut self.backup,
            Job::Verify => &mut self.verify,
            Job::Drill => &mut self.drill,
            Job::Restore => &mut self.restore,
            Job::Prune => &mut self.prune,
        }
    }
}

impl ServerView {
    /// A server of which nothing is known yet.
    pub fn new(config: Arc<config::Server>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            config,
            status: ServerStatus::default(),
            unreadable: None,
            up: false,
            running: None,
            waiting: None,
            observed_growing: None,
            observe_trouble: None,
            queued: Vec::new(),
            paused: None,
            next: PerJob::default(),
            interval: PerJob::default(),
            space: Space::default(),
        }
    }
}

impl Shared {
    /// A snapshot in which nothing is known yet.
    pub fn new(
        servers: impl IntoIterator<Item = Arc<config::Server>>,
        configured_at: DateTime<Utc>,
    ) -> Self {
        let servers = servers.into_iter().map(ServerView::new).collect();
        Self(Arc::new(Versioned {
            snapshot: RwLock::new(Snapshot {
                configured_at,
                configuration_error: None,
                loaded: false,
                draining: false,
                servers,
                notified: Vec::new(),
                notify_problem: None,
            }),
            version: AtomicU64::new(0),
        }))
    }

    /// Looks at the snapshot. Nothing in it is ever half written, so a panicked writer does not matter.
    pub fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        let snapshot = self.0.snapshot.read();
        look(&snapshot.unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the snapshot.
    pub fn write(&self, change: impl FnOnce(&mut Snapshot)) {
        let snapshot = self.0.snapshot.write();
        change(&mut snapshot.unwrap_or_else(PoisonError::into_inner));
        // Counted afterwards: who sees the new number sees the change too.
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Counts the changes: as long as it stays, so does the snapshot, but for the progress of running jobs.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Changes what is known about one server; nothing where a reload has taken it out.
    pub fn update(&self, id: u64, change: impl FnOnce(&mut ServerView)) {
        self.write(|snapshot| {
            if let Some(view) = snapshot.servers.iter_mut().find(|view| view.id == id) {
                change(view);
            }
        });
    }

    /// Changes what is known about a server by its place in the configuration.
    #[cfg(test)]
    pub(crate) fn update_nth(&self, place: usize, change: impl FnOnce(&mut ServerView)) {
        self.write(|snapshot| {
            if let Some(view) = snapshot.servers.get_mut(place) {
                change(view);
            }
        });
    }
}
