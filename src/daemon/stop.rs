//! The wish to end: first to drain, then, if asked again, at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Result};

/// Tells every task to end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Stop {
    /// A stop that follows SIGTERM and SIGINT: the first drains, the second aborts.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_signals() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", error));
        let (terminate, interrupt) = (
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        );
        let stop = Self::default();
        // Left to itself: it waits for as long as there is a process to end.
        tokio::spawn(follow(stop.clone(), terminate, interrupt));
        Ok(stop)
    }

    /// Asks to end in order.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Asks to end at once.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether the end was asked for.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Resolves when the end was asked for.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves when the end was asked for twice.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}

async fn follow(stop: Stop, mut terminate: Signal, mut interrupt: Signal) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let signal = next().await;
    tracing::info!(signal, "asked to stop");
    stop.drain();
    let signal = next().await;
    tracing::warn!(signal, "asked to stop at once");
    stop.abort();
}
