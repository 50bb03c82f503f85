//! What lives only in the process, beside what the disk says: the snapshot that the daemon writes and the reports read.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ServerStatus;
use crate::config;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::store::space::Space;

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
}

/// Everything known about one server.
#[derive(Clone, Debug)]
pub struct ServerView {
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
    /// When the configuration was read.
    pub configured_at: DateTime<Utc>,
    /// Whether the disk was read once.
    pub loaded: bool,
    /// Whether the process is about to end.
    pub draining: bool,
    /// The servers, in the order of the configuration.
    pub servers: Vec<ServerView>,
}

/// The snapshot that the daemon writes and the reports read. Clones share it.
#[derive(Clone, Debug)]
pub struct Shared(Arc<RwLock<Snapshot>>);

impl<T> PerJob<T> {
    /// The value of a job.
    pub fn get(&self, job: Job) -> &T {
        match job {
            Job::Backup => &self.backup,
            Job::Verify => &self.verify,
            Job::Drill => &self.drill,
            Job::Restore => &self.restore,
        }
    }

    /// The value of a job, to change.
    pub fn get_mut(&mut self, job: Job) -> &mut T {
        match job {
            Job::Backup => &mut self.backup,
            Job::Verify => &mut self.verify,
            Job::Drill => &mut self.drill,
            Job::Restore => &mut self.restore,
        }
    }
}

impl ServerView {
    /// A server of which nothing is known yet.
    pub fn new(config: Arc<config::Server>) -> Self {
        Self {
            config,
            status: ServerStatus::default(),
            unreadable: None,
            up: false,
            running: None,
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
        Self(Arc::new(RwLock::new(Snapshot {
            configured_at,
            loaded: false,
            draining: false,
            servers,
        })))
    }

    /// Looks at the snapshot. Nothing in it is ever half written, so a panicked writer does not matter.
    pub fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the snapshot.
    pub fn write(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes what is known about one server.
    pub fn update(&self, server: usize, change: impl FnOnce(&mut ServerView)) {
        self.write(|snapshot| {
            if let Some(view) = snapshot.servers.get_mut(server) {
                change(view);
            }
        });
    }
}
