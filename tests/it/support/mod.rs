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
