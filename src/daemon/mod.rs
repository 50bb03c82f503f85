//! The sidecar: runs what is due, keeps the snapshot fresh, serves it, and ends in order.
//!
//! It knows when jobs run and what became of them, not how they work: that is behind [`Runner`]. It records nothing;
//! jobs write their own ledger entries, and the snapshot is read back from disk after each.
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

mod clock;
mod plan;
mod server;
mod stop;
mod tasks;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::error::{Failure, FailureKind, Result};
use crate::http;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::status::{Loaded, Shared, Space};

use clock::{Clock, SystemClock};
use tasks::Tasks;

pub use stop::Stop;

/// How long running jobs may take to end: what is left of Kubernetes' grace period of 30 s when the port is closed too.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long the port may take to close.
const CLOSING: Duration = Duration::from_secs(3);

/// Jobs at once, over all servers: a sidecar shares its node with the databases it protects.
const JOBS: usize = 2;

/// The work itself, as the daemon sees it.
pub trait Runner: Send + Sync + 'static {
    /// Runs a job to its end and records it. Ends soon after `progress` was cancelled, cleaned up.
    fn run(
        &self,
        server: config::Server,
        job: Job,
        progress: Progress,
    ) -> BoxFuture<'static, Result<()>>;

    /// Reads what the disk says about a server. May block.
    fn load(&self, server: &config::Server) -> Result<Loaded>;

    /// Whether PostgreSQL answers; bounded in time.
    fn probe(&self, server: config::Server) -> BoxFuture<'static, bool>;

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
    room: Arc<Semaphore>,
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
}

/// Runs the sidecar until it is told to stop. `listening` hears the address once the port is open.
pub async fn serve(
    config: Config,
    runner: Arc<dyn Runner>,
    stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    serve_by(config, runner, Arc::new(SystemClock), stop, listening).await
}

async fn serve_by(
    config: Config,
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    let listener = listen(config.http.listen, listening).await?;
    for note in config::notes(&config) {
        tracing::info!("{note}");
    }
    let servers: Vec<_> = config.servers.into_iter().map(Arc::new).collect();
    let shared = Shared::new(servers.iter().cloned(), clock.now());
    let context = Context {
        runner,
        shared,
        clock,
        stop,
        room: Arc::new(Semaphore::new(JOBS)),
    };

    let closing = CancellationToken::new();
    let mut services = Tasks::default();
    services.spawn(
        "http",
        serve_http(listener, context.shared.clone(), closing.clone()),
    );
    let mut workers = Tasks::default();
    let unread = server::Unread::new(servers.len());
    let ids = context.shared.read(|snapshot| {
        let ids = snapshot.servers.iter().map(|view| view.id);
        ids.collect::<Vec<_>>()
    });
    for (id, config) in ids.into_iter().zip(servers) {
        let name = config.name.clone();
        services.spawn(
            format!("probe of {name}"),
            watch::probe(context.clone(), id, Arc::clone(&config)),
        );
        services.spawn(
            format!("space of {name}"),
            watch::space(context.clone(), id, Arc::clone(&config)),
        );
        workers.spawn(
            format!("jobs of {name}"),
            server::run(context.clone(), id, config, unread.clone()),
        );
    }

    tokio::select! {
        biased;
        () = context.stop.aborted() => Err(aborted()),
        result = run(&context, &mut services, &mut workers, &closing) => result,
    }
}

/// From the first job to the last answer.
async fn run(
    context: &Context,
    services: &mut Tasks,
    workers: &mut Tasks,
    closing: &CancellationToken,
) -> Result<()> {
    let mut result = tokio::select! {
        biased;
        () = context.stop.draining() => Ok(()),
        ended = services.next() => Err(ended),
        ended = workers.next() => Err(ended),
    };
    if let Err(failure) = &result {
        tracing::error!("{}", failure.sentence());
    }
    tracing::info!("shutting down");
    context.shared.write(|snapshot| snapshot.draining = true);
    context.stop.drain();
    result = result.and(workers.finish(PATIENCE).await);
    closing.cancel();
    result.and(services.finish(CLOSING).await)
}

async fn serve_http(
    listener: TcpListener,
    shared: Shared,
    closing: CancellationToken,
) -> Result<()> {
    http::server::serve(listener, http::App::new(shared), closing).await;
    Ok(())
}

async fn listen(address: SocketAddr, listening: impl FnOnce(SocketAddr)) -> Result<TcpListener> {
    let refused = |error: std::io::Error| {
        Failure::new(FailureKind::Io, format!("listen on {address}"))
            .because(error)
            .remedy("end what listens there, or choose another http.listen")
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    tracing::info!(address = %bound, "listening");
    listening(bound);
    Ok(listener)
}

fn aborted() -> Failure {
    Failure::new(
        FailureKind::Cancelled,
        "stopped at once, as a second signal asked; the next start cleans up",
    )
}

#[cfg(test)]
mod tests;
