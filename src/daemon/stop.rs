//! The wish to end: first to drain, then, if asked again, at once.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Result};

/// Tells every task to end, and whether to read the configuration again. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
    reload: Arc<Notify>,
}

impl Stop {
    /// A stop that follows SIGTERM and SIGINT: the first drains, the second aborts; and SIGHUP, which asks to reload.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_signals() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", error));
        let (terminate, interrupt, hangup) = (
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
            listen(SignalKind::hangup())?,
        );
        let stop = Self::default();
        // Left to themselves: they wait for as long as there is a process to end.
        tokio::spawn(follow(stop.clone(), terminate, interrupt));
        tokio::spawn(follow_hangups(stop.clone(), hangup));
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

    /// Resolves when a signal asked to read the configuration again; several at once are one.
    pub async fn reload_asked(&self) {
        self.reload.notified().await;
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

async fn follow_hangups(stop: Stop, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        stop.reload.notify_one();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    async fn soon(what: impl Future<Output = ()>) {
        tokio::time::timeout(Duration::from_secs(10), what)
            .await
            .expect("soon");
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_aborts() {
        let stop = Stop::on_signals().expect("handlers");
        kill_process(getpid(), Signal::TERM).expect("sent");
        soon(stop.draining()).await;
        assert!(!stop.abort.is_cancelled());
        kill_process(getpid(), Signal::INT).expect("sent");
        soon(stop.aborted()).await;
    }
}
