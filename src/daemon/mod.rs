//! The sidecar: runs what is due, keeps the snapshot fresh, serves it, and ends in order.
//!
//! It knows when jobs run and what became of them, not how they work: that is behind [`Runner`]. Jobs write their own ledger
//! entries, and the snapshot is read back from disk after each; only what never began is recorded from here.
//!
//! Order of start: the port is opened first (not ready), then the disk is read, then jobs may run (ready).
//! Order of end, which [`serve`] follows:
//! 1. not ready, so that nobody counts on us;
//! 2. no new job starts, running ones are asked to end and clean up;
//! 3. they are waited for, up to [`PATIENCE`]; metrics are served all the while;
//! 4. the port is closed and the requests in flight are answered.
//!
//! A task that panics or ends by itself takes the process down the same way, with an error: a sidecar that half works
//! looks alive. A second signal ends everything at once.

mod attempt;
mod clock;
mod control;
mod desk;
mod files;
mod reload;
mod server;
mod stop;
mod supervisor;
mod tasks;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::agenda::{Agenda, Begun};
use crate::config::{self, Config};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::status::control::Control;
use crate::status::{Loaded, Shared, Space};
use crate::store::agenda::KeptPause;
use crate::store::lock::Lock;
use crate::web::Web;

use clock::{Clock, SystemClock};
use supervisor::Supervisor;

pub use stop::Stop;

/// How long running jobs may take to end: what is left of Kubernetes' grace period of 30 s when the port is closed too.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long the port may take to close.
const CLOSING: Duration = Duration::from_secs(3);

/// A job to run.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which.
    pub job: Job,
    /// When it was due, where the schedule asks for it.
    pub due: Option<DateTime<Utc>>,
    /// The server's directory is ours for as long as this is held.
    pub lock: Arc<Lock>,
}

/// The work itself, as the daemon sees it. What is no future may block.
pub trait Runner: Send + Sync + 'static {
    /// Takes the lock of the server's directory, or says who has it.
    fn claim(&self, server: &config::Server, job: Job) -> Result<Lock>;

    /// Runs a job to its end and records it. Ends soon after `progress` was cancelled, cleaned up.
    fn run(
        &self,
        server: Arc<config::Server>,
        work: Work,
        progress: Progress,
    ) -> BoxFuture<'static, Result<()>>;

    /// Records an attempt that never began, or that nobody could end.
    fn record(&self, server: &config::Server, begun: Begun, failure: &Failure);

    /// The agenda as it was kept.
    fn recall(&self, server: &config::Server) -> Result<Option<Agenda>>;

    /// Keeps the agenda, under the lock.
    fn keep(&self, server: &config::Server, agenda: &Agenda, lock: &Lock) -> Result<()>;

    /// The last pause that was kept.
    fn recall_pause(&self, server: &config::Server) -> Result<Option<KeptPause>>;

    /// Keeps a pause.
    fn keep_pause(&self, server: &config::Server, pause: &KeptPause) -> Result<()>;

    /// Reads what the disk says about a server.
    fn load(&self, server: &config::Server) -> Result<Loaded>;

    /// Whether PostgreSQL answers; bounded in time.
    fn probe(&self, server: Arc<config::Server>) -> BoxFuture<'static, bool>;

    /// Space on the volume of a server's directory. What the directory takes is summed up where it is not `known`, which
    /// is work that grows with it. May block.
    fn space(&self, server: &config::Server, known: Option<u64>) -> Option<Space>;
}

/// What all tasks share.
#[derive(Clone)]
struct Context {
    runner: Arc<dyn Runner>,
    shared: Shared,
    clock: Arc<dyn Clock>,
    stop: Stop,
    room: Arc<RwLock<Arc<Semaphore>>>,
}

impl Context {
    /// What `work` gives, or `None` where the drain came first.
    async fn before_drain<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.draining() => None,
            value = work => Some(value),
        }
    }

    /// Waits; `None` where the drain came first.
    async fn pause(&self, duration: Duration) -> Option<()> {
        self.before_drain(self.clock.sleep(duration)).await
    }

    /// Room for jobs, over all servers.
    fn room(&self) -> Arc<Semaphore> {
        Arc::clone(&self.room.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another number of jobs may run at once. Those at work go on, so for a while there may be more.
    fn make_room(&self, jobs: u32) {
        let room = Arc::new(Semaphore::new(jobs as usize));
        *self.room.write().unwrap_or_else(PoisonError::into_inner) = room;
    }
}

/// Runs the sidecar until it is told to stop; `path` is where the configuration can be read again. `listening` hears the
/// address once the port is open.
pub async fn serve(
    config: Config,
    path: Option<PathBuf>,
    runner: Arc<dyn Runner>,
    stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    let clock = Arc::new(SystemClock);
    let (serving, _) = serve_by(config, path, runner, clock, stop, listening).await?;
    serving.await
}

/// What runs the sidecar, and what grants wishes meanwhile.
type Started = (BoxFuture<'static, Result<()>>, Arc<dyn Control>);

/// Starts everything.
async fn serve_by(
    config: Config,
    path: Option<PathBuf>,
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<Started> {
    let web = rules(&config.http).await?;
    let (listener, address) = listen(config.http.listen).await?;
    listening(address);
    let servers = config.servers.iter().cloned().map(Arc::new);
    let context = Context {
        runner,
        shared: Shared::new(servers, clock.now()),
        clock,
        stop,
        room: Arc::new(RwLock::new(Arc::new(Semaphore::new(config.jobs as usize)))),
    };
    let mut supervisor = Supervisor::start(context.clone(), config, path, listener, web)?;
    let control = supervisor.control();
    let serving = async move {
        tokio::select! {
            biased;
            () = context.stop.aborted() => Err(aborted()),
            result = supervisor.run() => result,
        }
    };
    Ok((serving.boxed(), control))
}

/// Who may talk to the port.
async fn rules(config: &config::Http) -> Result<Web> {
    match config.web_config_file.clone() {
        Some(path) => server::blocking(move || Web::read(&path)).await,
        None => Ok(Web::open()),
    }
}

async fn listen(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr)> {
    let refused = |error: std::io::Error| {
        Failure::new(FailureKind::Io, format!("listen on {address}"))
            .because(error)
            .remedy("end what listens there, or choose another http.listen")
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tracing::info!(address = %bound, "listening");
    Ok((listener.into_std().map_err(refused)?, bound))
}

fn aborted() -> Failure {
    Failure::new(
        FailureKind::Cancelled,
        "stopped at once, as a second signal asked; the next start cleans up",
    )
}

#[cfg(test)]
mod tests;
