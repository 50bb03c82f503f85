//! Grants what people ask of the running sidecar.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::desk::{self, Desk};
use super::server::blocking;
use super::{Context, reload};
use crate::config::Pause;
use crate::error::Result as Outcome;
use crate::status::control::{Ask, Control, Refusal};
use crate::store::agenda::KeptPause;

/// The desks of all servers by name, and the ear of whoever reloads.
pub(super) struct Counter {
    context: Context,
    desks: RwLock<BTreeMap<String, (u64, Desk)>>,
    reload: mpsc::Sender<Reload>,
}

/// A wish to read the configuration again, and where to say what became of it.
pub(super) type Reload = (reload::Why, oneshot::Sender<Outcome<()>>);

impl Counter {
    pub(super) fn new(context: Context, reload: mpsc::Sender<Reload>) -> Self {
        Self {
            context,
            desks: RwLock::default(),
            reload,
        }
    }

    /// Replaces the desks by those of the configuration in force.
    pub(super) fn open(&self, desks: BTreeMap<String, (u64, Desk)>) {
        *self.desks.write().unwrap_or_else(PoisonError::into_inner) = desks;
    }

    fn desk(&self, server: &str) -> Result<(u64, Desk), Refusal> {
        let desks = self.desks.read().unwrap_or_else(PoisonError::into_inner);
        desks.get(server).cloned().ok_or(Refusal::UnknownServer)
    }
}

/// Somebody's word, granted through the shared counter.
pub(super) struct Clerk(pub(super) Arc<Counter>);

impl Control for Clerk {
    fn ask(&self, wish: Ask) -> BoxFuture<'static, Result<(), Refusal>> {
        let counter = Arc::clone(&self.0);
        async move {
            if counter.context.stop.is_draining() {
                return Err(Refusal::Draining);
            }
            match wish {
                Ask::Start { server, job } => {
                    let (id, desk) = counter.desk(&server)?;
                    desk.ask_for(job)?;
                    tracing::info!(server, job = job.name(), "job asked for");
                    let shared = &counter.context.shared;
                    shared.update(id, |view| view.queued = desk.queue());
                    Ok(())
                }
                Ask::Pause { server, pause } => {
                    let (id, desk) = counter.desk(&server)?;
                    pause_it(&counter.context, id, &desk, pause).await
                }
                Ask::Resume { server } => {
                    let (id, desk) = counter.desk(&server)?;
                    resume(&counter.context, id, &desk).await
                }
                Ask::Reload => {
                    let (tell, hear) = oneshot::channel();
                    let asked = counter.reload.send((reload::Why::Asked, tell)).await;
                    asked.map_err(|_| Refusal::Draining)?;
                    hear.await
                        .map_err(|_| Refusal::Draining)?
                        .map_err(Refusal::Failed)
                }
            }
        }
        .boxed()
    }
}

async fn pause_it(context: &Context, id: u64, desk: &Desk, pause: Pause) -> Result<(), Refusal> {
    let now = context.clock.now();
    let before = desk.pause().filter(|kept| kept.holds(now));
    if before.as_ref().is_some_and(|kept| kept.configured) {
        return Err(configured(desk));
    }
    let kept = KeptPause {
        reason: pause.reason,
        since: before.map_or(now, |before| before.since),
        until: pause.until,
        configured: false,
    };
    keep(context, id, desk, kept).await?;
    tracing::info!(server = desk.config().name, "paused");
    Ok(())
}

async fn resume(context: &Context, id: u64, desk: &Desk) -> Result<(), Refusal> {
    let now = context.clock.now();
    match desk.pause().filter(|kept| kept.holds(now)) {
        None => {
            let why = format!("{} is not paused", desk.config().name);
            Err(Refusal::Conflict(why))
        }
        Some(kept) if kept.configured => Err(configured(desk)),
        Some(kept) => {
            let over = KeptPause {
                until: Some(now),
                ..kept
            };
            keep(context, id, desk, over).await?;
            tracing::info!(server = desk.config().name, "resumed");
            Ok(())
        }
    }
}

fn configured(desk: &Desk) -> Refusal {
    Refusal::Conflict(format!(
        "the configuration pauses {}: change `paused` there",
        desk.config().name
    ))
}

/// Nothing is promised that a restart would forget: on disk first.
async fn keep(context: &Context, id: u64, desk: &Desk, pause: KeptPause) -> Result<(), Refusal> {
    let (runner, config, written) = (Arc::clone(&context.runner), desk.config(), pause.clone());
    blocking(move || runner.keep_pause(&config, &written))
        .await
        .map_err(Refusal::Failed)?;
    let now = context.clock.now();
    context
        .shared
        .update(id, |view| view.paused = desk::shown(Some(&pause), now));
    desk.set_pause(Some(pause));
    Ok(())
}
