//! Reads the configuration again: on SIGHUP, when asked over HTTP, and when the file has changed.
//!
//! All or nothing: a file that cannot be used changes nothing but the message that says so. Servers whose part is the same
//! notice nothing; one that changed goes on under the new words with its next job; one that is gone ends when its job has.
//! Secrets need no reload: they are read where they are used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Context;
use super::control::Reload;
use super::server::blocking;
use crate::config::document::SIZE_LIMIT;
use crate::config::{Config, raw};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger;
use crate::status::Snapshot;

/// How often the file is looked at. Kubernetes takes up to a minute to bring a changed ConfigMap.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why it is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A signal.
    Signal,
    /// Somebody asked over HTTP.
    Asked,
    /// The file has other content.
    Changed,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Asked => "asked",
            Self::Changed => "the file has changed",
        }
    }
}

/// Watches the file and the signal until the drain.
pub(super) async fn watch(
    context: Context,
    path: Option<PathBuf>,
    wishes: mpsc::Sender<Reload>,
) -> Result<()> {
    let mut known = digest(path.clone()).await;
    loop {
        let why = tokio::select! {
            () = context.stop.draining() => return Ok(()),
            () = context.stop.reload_asked() => Some(Why::Signal),
            () = tokio::time::sleep(LOOK_EVERY) => None,
        };
        let now = digest(path.clone()).await;
        // A file that is gone for a moment is being replaced.
        let mut changed = now.is_some() && now != known;
        // What was refused when somebody asked may be mended, or taken back, before it was looked at here.
        let refused = |snapshot: &Snapshot| snapshot.configuration_error.is_some();
        if !changed && context.shared.read(refused) {
            changed = read(path.clone()).await.is_ok();
        }
        if now.is_some() {
            known = now;
        }
        let Some(why) = why.or(changed.then_some(Why::Changed)) else {
            continue;
        };
        let (tell, hear) = oneshot::channel();
        if wishes.send((why, tell)).await.is_err() {
            return Ok(());
        }
        // What became of it is logged and shown by whoever did it.
        let _ = context.before_drain(hear).await;
    }
}

/// Reads the file and checks what it names.
pub(super) async fn read(path: Option<PathBuf>) -> Result<Config> {
    let Some(path) = path else {
        let what = "read the configuration again: there is no file";
        return Err(Failure::new(FailureKind::Config, what));
    };
    blocking(move || raw::read(&path)).await
}

async fn digest(path: Option<PathBuf>) -> Option<String> {
    let path = path?;
    blocking(move || digest_of(&path)).await
}

fn digest_of(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).ok()?;
    Some(ledger::digest(&bytes))
}
