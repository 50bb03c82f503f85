use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::tests::{Reply, Served};

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

async fn with_places(capacity: usize) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    Served::with(directory, None, move |listener, app, stop| {
        serve_up_to(capacity, listener, app, stop)
    })
    .await
}

/// Sends a request and reads the begin of its answer; the connection stays.
async fn livez(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(LIVEZ).await?;
    let mut answer = vec![0; 1_024];
    let mut length = 0;
    while !answer[..length].ends_with(b"healthy\n") {
        let read = stream.read(&mut answer[length..]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
    }
    Ok(())
}

/// Whether the server has closed a connection, soon.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let served = Served::start().await;
    let started = Instant::now();
    let slow = async |before: bool| {
        let mut stream = served.connect().await;
        if before {
            livez(&mut stream).await.expect("an answer");
        }
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost:")
            .await
            .expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        started.elapsed()
    };
    for took in [tokio::join!(slow(false), slow(true))]
        .map(|(a, b)| [a, b])
        .concat()
    {
        assert!(
            took >= HEADER_TIMEOUT - Duration::from_secs(1) && took < HEADER_TIMEOUT * 3,
            "{took:?}"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_is_used_again_after_a_while() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    livez(&mut stream).await.expect("an answer");
    // Longer than a head may take.
    tokio::time::sleep(HEADER_TIMEOUT + Duration::from_millis(500)).await;
    livez(&mut stream).await.expect("another answer");
}

#[tokio::test]
async fn who_has_waited_longest_makes_room() {
    let served = with_places(8).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(served.connect().await);
    }
    // The oldest has just been answered, so it is not the one that has waited longest.
    livez(&mut held[0]).await.expect("an answer");
    let mut slow = served.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost:")
        .await
        .expect("sent");
    assert!(is_closed(&mut held[1]).await);
    livez(&mut held[0]).await.expect("an answer");
    livez(&mut held[2]).await.expect("an answer");
    for _ in 0..50 {
        let mut stream = served.connect().await;
        livez(&mut stream).await.expect("everyone gets in");
        held.push(stream);
    }
    assert!(is_closed(&mut slow).await, "bytes of a head are no request");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_not_held_for_ever_nor_dropped_at_once() {
    let served = with_places(1).await;
    // More than the kernel takes off our hands.
    let mut loaded = crate::status::tests::morning();
    let one = loaded.backups[0].clone();
    loaded.backups = vec![one; 60_000];
    let status = crate::status::ServerStatus::new(&loaded);
    served.shared.update_nth(0, |view| view.status = status);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket.connect(served.address).await.expect("connected");
    stream
        .write_all(b"GET /api/v1/backups HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("sent");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    let mut other = served.connect().await;
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).await.expect("an answer");
    assert_eq!(Reply::parse(&answer).status, 503, "the only place is taken");
    loop {
        let mut stream = served.connect().await;
        if livez(&mut stream).await.is_ok() {
            break;
        }
        assert!(started.elapsed() < TAKING * 2, "the place never came back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(started.elapsed() > TAKING / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn who_only_asks_gets_no_further() {
    let served = Served::start().await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream = socket.connect(served.address).await.expect("connected");
    let request = format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8_000));
    let mut sent = 0;
    let asking = async {
        loop {
            stream.write_all(request.as_bytes()).await.expect("sent");
            sent += request.len();
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(4), asking).await;
    // What the kernel holds of both directions, and no more: it is megabytes, where reading on takes ten times that.
    assert!(
        sent < 24 << 20,
        "{sent} bytes were read of who takes no answer"
    );
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_port() {
    let served = Served::start().await;
    let mut idle = served.connect().await;
    livez(&mut idle).await.expect("an answer");
    served.stop.cancel();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed");
    served.task.await.expect("ended");
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[test]
fn half_of_the_files_are_for_others() {
    assert_eq!(capacity(u64::MAX), CONNECTIONS);
    assert_eq!(capacity(1_024), 512);
    assert_eq!(capacity(0), 1);
    let raised = raise_open_files();
    assert_eq!(Some(raised), getrlimit(Resource::Nofile).current);
}
