//! What people may ask of the sidecar while it runs. The daemon answers; the reports only pass on.

use futures_util::future::BoxFuture;

use crate::config::Pause;
use crate::error::Failure;
use crate::ledger::Job;

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run a job of a server now: a backup, a verification or a drill.
    Start {
        /// The server.
        server: String,
        /// The job.
        job: Job,
    },
    /// Run nothing of a server by itself for a while.
    Pause {
        /// The server.
        server: String,
        /// Why, and until when.
        pause: Pause,
    },
    /// End the pause of a server.
    Resume {
        /// The server.
        server: String,
    },
    /// Read the configuration again.
    Reload,
}

/// Why a wish is not granted.
#[derive(Debug)]
pub enum Refusal {
    /// There is no server of that name.
    UnknownServer,
    /// It cannot be done now, and why: the same job waits or runs already, the configuration holds the pause, someone else
    /// takes the backups.
    Conflict(String),
    /// The process is about to end.
    Draining,
    /// It was tried and failed.
    Failed(Failure),
}

/// Who grants wishes.
pub trait Control: Send + Sync + 'static {
    /// Grants a wish, or says why not. A job is only put in line: what becomes of it stands in the status.
    fn ask(&self, wish: Ask) -> BoxFuture<'static, Result<(), Refusal>>;
}
