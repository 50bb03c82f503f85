//! What the tests stand on: a place of their own, the program, throwaway servers, and faults to order.

pub(crate) mod archive;
pub(crate) mod config;
pub(crate) mod fake;
pub(crate) mod http;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod programs;
pub(crate) mod random;
pub(crate) mod sample;
pub(crate) mod server;
pub(crate) mod sidecar;
pub(crate) mod volume;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Waits until a condition holds; panics with its name at the deadline.
pub(crate) fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds() {
        assert!(
            Instant::now() < end,
            "waited {deadline:?} in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that no other process of this machine listens on: of all those of the loopback device, the one with our number.
pub(crate) fn own_address(port: u16) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 64 | high, middle, low), port))
}

/// What a program says that reads all of its input first.
pub(crate) fn fed(program: &mut Command, input: &[u8]) -> Output {
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Whether the tests run as root; PostgreSQL does not, so its servers then run as `nobody`.
pub(crate) fn are_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The unprivileged user: its ids in /etc/passwd.
pub(crate) fn nobody() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = passwd
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .expect("a user `nobody` in /etc/passwd");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
