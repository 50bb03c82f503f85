//! Clients that wait, crawl, talk nonsense or do not listen: scrapes go on, and the memory stays small.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::config;
use crate::support::place::Place;
use crate::support::sidecar::Sidecar;

const SECOND: Duration = Duration::from_secs(1);

/// How long the flood lasts.
const FLOOD: Duration = Duration::from_secs(8);

/// What a sidecar may take, however many talk to it.
const MEMORY_KIB: u64 = 64 << 10;

const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// The begin of a TLS handshake, as a client sends it who takes the port for one of HTTPS.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn scrapes_go_on_whatever_others_do() {
    open_many_files();
    let place = Place::new();
    let sidecar = Sidecar::start(&place, &config::write_alone(&place, ""));
    assert!(sidecar.memory_kib("VmRSS:") < MEMORY_KIB / 2);
    let address = sidecar.address;

    let idle: Vec<_> = (0..1_000).map(|_| connect(address)).collect();
    let over = Arc::new(AtomicBool::new(false));
    let nonsense = Arc::new(AtomicUsize::new(0));
    let mut others = Vec::new();
    for act in [crawl, ask_only] {
        let over = Arc::clone(&over);
        others.push(std::thread::spawn(move || act(address, &over)));
    }
    for kind in 0..5 {
        let (over, nonsense) = (Arc::clone(&over), Arc::clone(&nonsense));
        others.push(std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                talk_nonsense(address, kind);
                nonsense.fetch_add(1, Ordering::Relaxed);
                // It is the sidecar that is measured, not how many threads share its cores.
                std::thread::sleep(Duration::from_millis(2));
            }
        }));
    }

    let (begun, mut scrapes, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while begun.elapsed() < FLOOD {
        let asked = Instant::now();
        let answer = sidecar.get("/metrics");
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("pgvigil_scrape_duration_seconds"));
        slowest = slowest.max(asked.elapsed());
        scrapes += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    over.store(true, Ordering::Relaxed);
    for other in others {
        other.join().unwrap();
    }
    drop(idle);

    assert!(
        slowest < SECOND,
        "the slowest of {scrapes} scrapes took {slowest:?}"
    );
    assert!(scrapes > 20, "{scrapes} scrapes");
    let nonsense = nonsense.load(Ordering::Relaxed);
    assert!(nonsense > 100, "{nonsense} clients talked nonsense");
    let most = sidecar.memory_kib("VmHWM:");
    eprintln!("{scrapes} scrapes, the slowest {slowest:?}, {nonsense} other clients, {most} KiB");
    assert!(most < MEMORY_KIB, "{most} KiB at most");
    sidecar.stop();
}

/// 200 clients that send the head of a request a byte at a time, and come back when they are thrown out.
fn crawl(address: SocketAddr, over: &AtomicBool) {
    let begin = || {
        let mut stream = connect(address);
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
        stream
    };
    let mut streams: Vec<_> = (0..200).map(|_| begin()).collect();
    while !over.load(Ordering::Relaxed) {
        for stream in &mut streams {
            if stream.write_all(b"x").is_err() {
                *stream = begin();
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn talk_nonsense(address: SocketAddr, kind: usize) {
    let mut stream = connect(address);
    let _ = match kind {
        0 => stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(256 << 10)).as_bytes()),
        1 => stream.write_all(b"\0\xff\r\n\r\n\x7f bad bad bad\r\n\r\n"),
        2 => stream.write_all(TLS_HELLO),
        3 => stream
            .write_all(b"GET /metrics HTTP/1.1\r\n")
            .and_then(|()| stream.shutdown(Shutdown::Write)),
        _ => stream.write_all(&SCRAPE.repeat(200)),
    };
    let _ = stream.read(&mut [0; 64]);
}

/// 50 clients that ask without end and listen to nothing.
fn ask_only(address: SocketAddr, over: &AtomicBool) {
    let mut streams: Vec<_> = (0..50).map(|_| connect(address)).collect();
    while !over.load(Ordering::Relaxed) {
        for stream in &mut streams {
            stream.set_nonblocking(true).unwrap();
            let full = std::io::ErrorKind::WouldBlock;
            if stream
                .write(&SCRAPE.repeat(1_000))
                .is_err_and(|error| error.kind() != full)
            {
                *stream = connect(address);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, 5 * SECOND).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    stream.set_write_timeout(Some(SECOND)).unwrap();
    stream
}

/// So many connections are more than some shells let a process have.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
