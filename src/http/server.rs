//! Sockets and their limits: how many, how slow, how large, and how to end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;

/// Connections at once. Prometheus in pairs, a kubelet and some browsers need ten; more is an accident or an attack.
pub const CONNECTIONS: usize = 100;

/// How long a client may take to send a request's head, and how long an idle connection is kept.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest request head; browsers with many cookies send up to 8 KiB.
const HEADER_BYTES: usize = 16 << 10;

/// How long the requests in flight may take when the server ends; they are answered from memory.
const DRAIN: Duration = Duration::from_secs(2);

/// How long to wait after a failed accept, which mostly means that the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client over the limit is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n";

/// Serves until `stop`; then takes no more connections, ends what is in flight, and returns.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        if connections.len() < CONNECTIONS {
            connections.spawn(connection(stream, app.clone(), stop.clone()));
        } else {
            refuse(&stream);
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is left then is aborted with the set.
    let _ = tokio::time::timeout(DRAIN, all).await;
}

/// Serves one connection. Whatever a client does wrong is its own affair and not worth a line in the log.
async fn connection(stream: TcpStream, app: App, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let answer = app.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Best effort: a client that does not take the answer at once gets none.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(FULL);
}

#[cfg(test)]
mod tests;
