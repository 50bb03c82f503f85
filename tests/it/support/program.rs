//! pgvigil as a child: an environment of nothing but what a test gives, everything captured, a deadline.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::place::{Place, executable};
use super::server::Server;
use super::{nobody, wait_until};

/// No single command of these tests takes nearly as long.
const DEADLINE: Duration = Duration::from_secs(120);

/// The program about to be run.
pub(crate) struct Pgvigil {
    command: Command,
}

/// The program at work.
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    told: String,
}

/// The program when it has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    told: String,
}

/// pgvigil in a place, with errors only in its log.
pub(crate) fn pgvigil(place: &Place) -> Pgvigil {
    Pgvigil::by(executable(), place)
}

impl Pgvigil {
    /// Another program in the same surroundings, to start ours.
    pub(crate) fn by(program: impl AsRef<OsStr>, place: &Place) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", place.join("."))
            .env("TMPDIR", place.tmp())
            .env("PGVIGIL_LOG_LEVEL", "error")
            .current_dir(place.join("."))
            .stdin(Stdio::null());
        Self { command }
    }

    /// The server is this one, the directory that of the place, and the programs are the server's.
    pub(crate) fn on(self, server: &Server, place: &Place) -> Self {
        self.reaching(server)
            .args(["--pg-bin", server.programs().directory.to_str().unwrap()])
            .args(["--directory", place.backups().to_str().unwrap()])
    }

    /// The server is this one.
    pub(crate) fn reaching(mut self, server: &Server) -> Self {
        self.command
            .env("PGHOST", server.socket())
            .env("PGUSER", "postgres");
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn about(self, path: &Path) -> Self {
        self.args([path])
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// As the unprivileged user.
    pub(crate) fn under_nobody(mut self) -> Self {
        let (uid, gid) = nobody();
        self.command.uid(uid).gid(gid);
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let told = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running {
            child,
            stdout: std::thread::spawn(|| read(stdout)),
            stderr: std::thread::spawn(|| read(stderr)),
            told,
        }
    }

    pub(crate) fn run(self) -> Done {
        self.start().wait(DEADLINE)
    }
}

fn read(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its standard error, for who wants to read along instead of afterwards.
    pub(crate) fn stderr_of(mut command: Pgvigil) -> (Child, std::process::ChildStderr) {
        let mut child = command
            .command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        (child, stderr)
    }

    pub(crate) fn wait(mut self, deadline: Duration) -> Done {
        let end = Instant::now() + deadline;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!(
                    "{} did not end within {deadline:?}; it said: {}",
                    self.told,
                    self.stderr.join().unwrap()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Done {
            status,
            stdout: self.stdout.join().unwrap(),
            stderr: self.stderr.join().unwrap(),
            told: self.told,
        }
    }
}

impl Done {
    /// Panics with everything there is unless this was the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "exit code of {} (signal {:?})\nstdout: {}\nstderr: {}",
            self.told,
            self.status.signal(),
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "{}: {error} in: {}\nstderr: {}",
                self.told, self.stdout, self.stderr
            )
        })
    }

    /// The one sentence on standard error, where there is nothing else.
    #[track_caller]
    pub(crate) fn sentence(&self) -> &str {
        let lines: Vec<_> = self.stderr.lines().collect();
        match lines.as_slice() {
            [line] => line
                .strip_prefix("pgvigil: ")
                .unwrap_or_else(|| panic!("{}: not a sentence: {line}", self.told)),
            _ => panic!("{}: not one sentence: {}", self.told, self.stderr),
        }
    }
}

/// Waits until nothing of a place runs any more.
#[track_caller]
pub(crate) fn all_gone(place: &Place, deadline: Duration) {
    let mut left = Vec::new();
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        left = place.processes();
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("still running after {deadline:?}: {left:#?}");
}

/// Waits for a child that reads along; kills it at the deadline.
pub(crate) fn ends_within(child: &mut Child, deadline: Duration) -> ExitStatus {
    wait_until("the program has ended", deadline, || {
        child.try_wait().unwrap().is_some()
    });
    child.wait().unwrap()
}
