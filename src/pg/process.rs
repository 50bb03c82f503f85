//! Runs programs: under a [`warden`], in their own process group, with a deadline, standard error drained all the while.
//!
//! Reading to the end comes first, judging the exit after: [`Running::wait`] gives [`Ended`], and only the caller knows
//! what it means.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use super::user::RunAs;
use super::warden::{DEADLINE_CODE, START_CODE};

/// Most of standard error that is kept: the end of it, where programs say why they gave up. pg_dump quotes the statement
/// that failed, and one that locks many tables has up to 100 kB.
const STDERR_TAIL: usize = 128 * 1024;

/// Most of standard output that [`output`] keeps.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments; never a secret among them.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(String, OsString)>,
    /// As whom to run it; `None` as ourselves.
    pub run_as: Option<RunAs>,
    /// How long it may run.
    pub deadline: Duration,
    /// End it with SIGQUIT instead of SIGTERM.
    pub quit: bool,
    /// A directory of ours that goes when it ends.
    pub remove: Option<PathBuf>,
    /// It stays when the program ends well.
    pub keep_if_good: bool,
    /// What it may reach; `None`: whatever its user may.
    pub fence: Option<Fence>,
}

/// What a fenced program may reach beside what every program needs.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    /// May be read.
    pub read: Vec<PathBuf>,
    /// May be written to.
    pub write: Vec<PathBuf>,
    /// Where the fence says what held.
    pub report: PathBuf,
}

/// A running program. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    warden: Child,
    leash: Leash,
    stdout: Option<ChildStdout>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    started: Instant,
    deadline: Duration,
}

/// What keeps a program alive; letting go ends it. Clones hold the same.
#[derive(Clone, Debug)]
pub struct Leash(Arc<Mutex<Option<ChildStdin>>>);

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Exit status 0.
    Success,
    /// Another exit status.
    Code(i32),
    /// Killed by a signal.
    Signal(i32),
    /// Ended because its time was up.
    Deadline,
    /// Ended because we let go.
    LetGo,
    /// It could not be started.
    NotStarted,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Success => f.write_str("ended well"),
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Deadline => f.write_str("was ended at its deadline"),
            Self::LetGo => f.write_str("was ended on request"),
            Self::NotStarted => f.write_str("could not be started"),
        }
    }
}

impl Program {
    /// A program run as ourselves with an empty environment but `PATH`.
    pub fn new(path: impl Into<PathBuf>, deadline: Duration) -> Self {
        let environment = ["PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)))
            .chain([("LC_ALL".to_owned(), OsString::from("C"))])
            .collect();
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment,
            run_as: None,
            deadline,
            quit: false,
            remove: None,
            fence: None,
            keep_if_good: false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Starts it with its standard output in a pipe.
    pub fn start(&self) -> io::Result<Running> {
        // The warden counts whole seconds: what it was told is what its verdict is held against.
        let begun = u64::from(self.deadline.subsec_nanos() > 0);
        let deadline = Duration::from_secs((self.deadline.as_secs() + begun).max(1));
        // /proc/self/exe is us even after an upgrade replaced the file.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("warden")
            .args(["--deadline", &deadline.as_secs().to_string()]);
        if self.quit {
            command.arg("--quit");
        }
        if let Some(user) = &self.run_as {
            command.args([
                "--uid",
                &user.uid.to_string(),
                "--gid",
                &user.gid.to_string(),
            ]);
        }
        if let Some(directory) = &self.remove {
            command.arg("--remove").arg(directory);
        }
        if self.keep_if_good {
            command.arg("--keep-if-good");
        }
        command.arg("--");
        if let Some(fence) = &self.fence {
            command
                .args(["/proc/self/exe", "fence", "--report"])
                .arg(&fence.report);
            for path in &fence.read {
                command.arg("--read").arg(path);
            }
            for path in &fence.write {
                command.arg("--write").arg(path);
            }
            command.arg("--");
        }
        command.arg(&self.path).args(&self.arguments);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Its own group: a Ctrl-C at the terminal is for us, and we decide what it means for the program.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        // Before the warden begins to count, or its deadline would seem to come early.
        let started = Instant::now();
        let mut warden = command.spawn()?;
        let leash = Leash(Arc::new(Mutex::new(warden.stdin.take())));
        let stdout = warden.stdout.take();
        let stderr = warden.stderr.take().map(|pipe| spawn(move || tail(pipe)));
        Ok(Running {
            warden,
            leash,
            stdout,
            stderr,
            started,
            deadline,
        })
    }
}

/// Runs a program to its end and gives what it wrote to standard output, up to a megabyte.
pub fn output(program: &Program) -> io::Result<(Vec<u8>, Ended)> {
    let mut running = program.start()?;
    let mut text = Vec::new();
    if let Some(pipe) = running.stdout() {
        pipe.take(OUTPUT_LIMIT).read_to_end(&mut text)?;
    }
    Ok((text, running.wait()?))
}

/// Reads to the end, keeping the end.
fn tail(mut pipe: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..read).unwrap_or(&[]));
        if kept.len() > 2 * STDERR_TAIL {
            kept.drain(..kept.len() - STDERR_TAIL);
        }
    }
    kept.split_off(kept.len().saturating_sub(STDERR_TAIL))
}

impl Leash {
    /// Ends the program; its warden sees to it.
    pub fn let_go(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_held(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

impl Running {
    /// Its standard output, once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// What keeps it alive.
    pub fn leash(&self) -> Leash {
        self.leash.clone()
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.warden.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Waits for its end. Read its output to the end before, or it may wait for you.
    pub fn wait(mut self) -> io::Result<Ended> {
        drop(self.stdout.take());
        let status = self.warden.wait()?;
        let stderr = self
            .stderr
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        let late = self.started.elapsed() >= self.deadline;
        let how = match status.code() {
            Some(0) => How::Success,
            Some(code) if code == i32::from(DEADLINE_CODE) && late => How::Deadline,
            _ if !self.leash.is_held() => How::LetGo,
            Some(code) if code == i32::from(START_CODE) => How::NotStarted,
            Some(code @ 129..=192) => How::Signal(code - 128),
            Some(code) => How::Code(code),
            None => {
                How::Signal(std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0))
            }
        };
        Ok(Ended {
            how,
            stderr: String::from_utf8_lossy(&stderr).trim().to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.leash.let_go();
        drop(self.stdout.take());
        // The warden needs as long as the program needs to end, and no longer than its grace.
        let _ = self.warden.wait();
    }
}
