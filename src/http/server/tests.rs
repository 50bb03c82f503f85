use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::status::Shared;
use crate::status::tests::{at, config};

struct Served {
    address: SocketAddr,
    shared: Shared,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn served() -> Served {
    let shared = Shared::new(config(&["a"]).servers.into_iter().map(Arc::new), at(0, 0));
    shared.write(|snapshot| snapshot.loaded = true);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, App::new(shared.clone()), stop.clone()));
    Served {
        address,
        shared,
        stop,
        task,
    }
}

impl Served {
    /// Sends bytes as they are and reads until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        String::from_utf8(answer).expect("text")
    }

    async fn ask(&self, method: &str, path: &str) -> String {
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

#[track_caller]
fn begins(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "wanted {status}: {answer}"
    );
}

#[tokio::test]
async fn routes_answer_with_type_and_care() {
    let served = served().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/livez", "text/plain"),
        ("/-/healthy", "text/plain"),
    ] {
        let answer = served.ask("GET", path).await;
        begins(&answer, 200);
        for header in [
            format!("content-type: {content_type}"),
            "cache-control: no-store".into(),
            "x-content-type-options: nosniff".into(),
        ] {
            assert!(answer.contains(&header), "{path} lacks {header}: {answer}");
        }
    }
    let page = served.ask("GET", "/").await;
    assert!(
        page.contains("content-security-policy: default-src 'none'; style-src 'unsafe-inline'"),
        "{page}"
    );
    let accept = "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n";
    assert!(served.raw(accept).await.contains("version=0.0.4"));
}

#[tokio::test]
async fn other_paths_methods_and_bodies_are_refused() {
    let served = served().await;
    begins(&served.ask("GET", "/metricsx").await, 404);
    begins(&served.ask("POST", "/none").await, 404);
    let answer = served.ask("POST", "/metrics").await;
    begins(&answer, 405);
    assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    begins(
        &served
            .raw("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            .await,
        400,
    );
    begins(
        &served
            .raw("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .await,
        400,
    );
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(HEADER_BYTES)
    );
    begins(&served.raw(&long).await, 431);
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let served = served().await;
    let answer = served.ask("HEAD", "/metrics").await;
    begins(&answer, 200);
    assert!(
        answer.contains("content-length: ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn ready_flips() {
    let served = served().await;
    begins(&served.ask("GET", "/-/ready").await, 200);
    served.shared.write(|snapshot| snapshot.loaded = false);
    begins(&served.ask("GET", "/readyz").await, 503);
    begins(&served.ask("GET", "/metrics").await, 503);
    begins(&served.ask("GET", "/livez").await, 200);
    served
        .shared
        .write(|snapshot| (snapshot.loaded, snapshot.draining) = (true, true));
    begins(&served.ask("GET", "/-/ready").await, 503);
    begins(&served.ask("GET", "/metrics").await, 200);
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let served = served().await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(served.address)
        .await
        .expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost:")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let took = started.elapsed();
    assert!(
        took >= HEADER_TIMEOUT - Duration::from_secs(1) && took < HEADER_TIMEOUT * 3,
        "{took:?}"
    );
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_and_places_come_back() {
    let served = served().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(
            TcpStream::connect(served.address)
                .await
                .expect("a connection"),
        );
    }
    // Connections are accepted in order, so this one comes after all that are held.
    let mut over = TcpStream::connect(served.address)
        .await
        .expect("a connection");
    let mut answer = String::new();
    over.read_to_string(&mut answer).await.expect("an answer");
    begins(&answer, 503);
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut stream = TcpStream::connect(served.address)
            .await
            .expect("a connection");
        let _ = stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        if answer.starts_with(b"HTTP/1.1 200 ") {
            break;
        }
        assert!(Instant::now() < deadline, "no place came back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_port() {
    let served = served().await;
    let mut idle = TcpStream::connect(served.address)
        .await
        .expect("a connection");
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("an answer");
    served.stop.cancel();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed");
    served.task.await.expect("ended");
    assert!(TcpStream::connect(served.address).await.is_err());
}
