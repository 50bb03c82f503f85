//! What a running job tells the outside: where it is, and that it should stop.
//!
//! Jobs know nothing of terminals, metrics or HTTP: they hold a [`Progress`] and count. The command line draws it, the
//! daemon exports it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::error::{Failure, FailureKind, Result};

/// A handle on a job's progress and on the wish to end it. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    state: Arc<State>,
    cancel: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    job_id: Mutex<String>,
    stage: Mutex<&'static str>,
    bytes: AtomicU64,
    expected: AtomicU64,
}

impl Progress {
    /// Says which attempt it is: what ties log lines, ledger and status together.
    pub fn belongs_to(&self, job_id: &str) {
        job_id.clone_into(
            &mut self
                .state
                .job_id
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The attempt at work; empty before it has begun.
    pub fn job_id(&self) -> String {
        let job_id = self.state.job_id.lock();
        job_id.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a stage of which `expected` bytes are foreseen (0: unknown).
    pub fn stage(&self, stage: &'static str, expected: u64) {
        *self
            .state
            .stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = stage;
        self.state.bytes.store(0, Ordering::Relaxed);
        self.state.expected.store(expected, Ordering::Relaxed);
    }

    /// Counts bytes of the current stage.
    pub fn add(&self, bytes: u64) {
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Stage, bytes done, bytes expected (0: unknown).
    pub fn now(&self) -> (&'static str, u64, u64) {
        let stage = *self
            .state
            .stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (
            stage,
            self.state.bytes.load(Ordering::Relaxed),
            self.state.expected.load(Ordering::Relaxed),
        )
    }

    /// Whether both are about the same job.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// A handle on a part of the job: it counts for the whole, ends with it, and can be ended alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            cancel: self.cancel.child_token(),
        }
    }

    /// Asks the job to end; it cleans up first.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Resolves when the job was asked to end.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// An error once the job was asked to end; long loops call it between steps.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
        }
        Ok(())
    }
}
