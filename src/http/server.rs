//! Sockets and their limits: how many, how slow, how large, and how to end.
//!
//! Whoever connects gets a place, even where all are taken: then it is that of the connection that has waited longest for
//! a request. So neither idle clients nor those that send their requests a byte a minute keep Prometheus out.

mod guard;
mod places;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::web::Peer;
use guard::Guarded;
use places::{Place, Places};

/// Connections at once, where the process may open as many files. Prometheus in pairs, a kubelet and some browsers need
/// ten; the others are there so that a flood has to renew a thousand connections before one of the ten is in danger.
pub const CONNECTIONS: usize = 1_024;

/// How long a client may take to send a request's head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept after an answer: longer than the usual scrape intervals, so that it is used again.
const IDLE: Duration = Duration::from_secs(120);

/// How long a client may take to take an answer: Prometheus' own limit for a scrape.
const TAKING: Duration = Duration::from_secs(10);

/// Largest request head; browsers with many cookies send up to 8 KiB.
const HEADER_BYTES: usize = 16 << 10;

/// How much a client may still send, and for how long, when it was told why its request is not taken. Without this, what
/// it sent and nobody read would have the kernel throw the answer away.
const LEFTOVERS: u64 = 64 << 10;
const LEFTOVER_TIME: Duration = Duration::from_secs(1);

/// How long the requests in flight may take when the server ends; they are answered from memory.
const DRAIN: Duration = Duration::from_secs(2);

/// How long to wait after a failed accept, which mostly means that the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client is told when all connections are being answered.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\nRetry-After: 1\r\nConnection: close\r\n\r\ntoo many connections\n";

/// Serves until `stop`; then takes no more connections, ends what is in flight, and returns.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) {
    serve_up_to(capacity(raise_open_files()), listener, app, stop).await;
}

async fn serve_up_to(capacity: usize, listener: TcpListener, app: App, stop: CancellationToken) {
    let places = Places::new(capacity);
    let web = app.web();
    let mut watch = pin!(web.watch());
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            never = watch.as_mut() => match never {},
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept connection");
                    places.dismiss_one();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        match places.take() {
            Some(place) => {
                connections.spawn(connection(stream, peer, app.clone(), place, stop.clone()));
            }
            None => refuse(&stream),
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is left then is aborted with the set.
    let _ = tokio::time::timeout(DRAIN, all).await;
}

/// Serves one connection while it has its place.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: App,
    place: Place,
    stop: CancellationToken,
) {
    let place = Arc::new(place);
    let served = async {
        let accepted = tokio::select! {
            accepted = app.web().accept(stream) => accepted,
            () = stop.cancelled() => None,
        };
        if let Some((stream, shown)) = accepted {
            let client = (peer.ip(), shown);
            talk(stream, client, app.clone(), Arc::clone(&place), stop).await;
        }
    };
    tokio::select! {
        () = place.dismissed() => {}
        () = served => {}
    }
}

/// Whatever a client does wrong is its own affair and not worth a line in the log.
async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    client: (IpAddr, Peer),
    app: App,
    place: Arc<Place>,
    stop: CancellationToken,
) {
    let guarded = Guarded::new(stream, Arc::clone(&place));
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, place) = (app.clone(), Arc::clone(&place));
        let (peer, shown) = client.clone();
        place.asked();
        Box::pin(async move {
            let answer = app.admit(request, peer, &shown).await;
            place.answered();
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // `Guarded` tells waiting for a request from waiting for the rest of its head.
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(guarded), service);
    tokio::select! {
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {}
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        }
    }
    let guarded = connection.into_parts().io.into_inner();
    if let Some(stream) = guarded.into_patient() {
        let _ = tokio::time::timeout(LEFTOVER_TIME, part(stream)).await;
    }
}

/// Says that there is nothing more to come, and hears the client out.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut stream.take(LEFTOVERS), &mut tokio::io::sink()).await;
    }
}

/// Best effort: a client that does not take the answer at once gets none.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(FULL);
}

/// Lets the process open as many files as it may at all, and says how many that are.
fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "raise the limit of open files");
            limit.current
        }
    };
    // No limit at all is none.
    now.unwrap_or(u64::MAX)
}

/// How many connections there may be: half of the files at most, the others are for backups.
fn capacity(files: u64) -> usize {
    usize::try_from(files / 2).map_or(CONNECTIONS, |half| half.clamp(1, CONNECTIONS))
}

#[cfg(test)]
mod tests;
