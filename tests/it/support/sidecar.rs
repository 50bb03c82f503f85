//! `pgvigil serve` as a child, and what it answers.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use super::http::Answer;
use super::http::exchange;
use super::place::Place;
use super::program::{Pgvigil, Running, ends_within, pgvigil};
use super::wait_until;

const SECOND: Duration = Duration::from_secs(1);

/// A sidecar at work.
pub(crate) struct Sidecar {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Sidecar {
    /// Once it is ready.
    pub(crate) fn start(place: &Place, config: &Path) -> Self {
        Self::by(pgvigil(place), config)
    }

    /// The same in other surroundings.
    pub(crate) fn by(command: Pgvigil, config: &Path) -> Self {
        Self::started_by(command.args(["serve", "--config"]).about(config))
    }

    /// A command that becomes `pgvigil serve`.
    pub(crate) fn started_by(command: Pgvigil) -> Self {
        Self::started_within(command, 30 * SECOND)
    }

    /// The same where a lot is done before.
    pub(crate) fn started_within(command: Pgvigil, deadline: Duration) -> Self {
        let sidecar = Self::launched_by(command, deadline);
        wait_until("it is ready", deadline, || {
            sidecar.get("/-/ready").status == 200
        });
        sidecar
    }

    /// Once it listens.
    pub(crate) fn launch(place: &Place, config: &Path) -> Self {
        let command = pgvigil(place).args(["serve", "--config"]);
        Self::launched_by(command.about(config), 30 * SECOND)
    }

    fn launched_by(command: Pgvigil, deadline: Duration) -> Self {
        let command = command.env("PGVIGIL_LOG_LEVEL", "info");
        let (child, stderr) = Running::stderr_of(command);
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&log);
        let lines = BufReader::new(stderr).lines().map_while(Result::ok);
        std::thread::spawn(move || lines.for_each(|line| heard.lock().unwrap().push(line)));
        let mut address = None;
        wait_until("a line of the log has address=", deadline, || {
            address = log.lock().unwrap().iter().find_map(|line: &String| {
                let word = line.split("address=").nth(1)?;
                word.split_whitespace().next()?.parse().ok()
            });
            address.is_some()
        });
        Self {
            child,
            address: address.unwrap(),
            log,
        }
    }

    /// The lines of the log that hold a text.
    pub(crate) fn said(&self, text: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    /// Asks for something with a token; the body is JSON.
    pub(crate) fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask("POST", path, &headers, body)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            self.address
        );
        exchange(self.address, &request).unwrap()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Its open files.
    pub(crate) fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, as the kernel does it when memory runs out.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A number of KiB that the kernel keeps of the process: `VmRSS`, `VmHWM`.
    pub(crate) fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mut lines = status.lines().map(|line| line.split_whitespace());
        let mut line = lines
            .find(|line| line.clone().next() == Some(what))
            .unwrap();
        line.nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn metrics(&self) -> String {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// SIGTERM, as Kubernetes does it.
    pub(crate) fn stop(self) {
        self.end_by(Signal::TERM);
    }

    /// The same by another signal, Ctrl-C for example.
    pub(crate) fn end_by(mut self, signal: Signal) {
        self.signal(signal);
        let status = ends_within(&mut self.child, 30 * SECOND);
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // Only where a test has ended before it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
