//! The warden: a small process between us and each program that we run.
//!
//! It holds one end of a pipe (its standard input), we hold the other. When ours closes, for whatever reason — we let go,
//! we panicked, we were killed with SIGKILL — the warden ends the program's whole process group, and whatever else the
//! program started, and removes the directory that is to go with it. It also holds the deadline, so that a program cannot
//! outlive it even if we hang. Nothing here sends a signal to a process that may be gone: what is signalled is a child
//! that was not reaped yet.
//!
//! It is this same executable, started as `pgvigil warden …`; people never type that.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper,
};

/// Exit code after the deadline, as timeout(1) has it.
pub const DEADLINE_CODE: u8 = 124;
/// Exit code when the program could not be started.
pub const START_CODE: u8 = 127;

/// How long a program may take to end after the polite signal.
const GRACE: Duration = Duration::from_secs(10);

/// The file without which [`Order::remove`] removes nothing: it marks a directory as ours to remove.
pub const MARKER: &str = "pgvigil-scratch";

/// What the warden was told.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// Seconds until the program is ended.
    #[arg(long)]
    pub deadline: u64,
    /// Ask the program to end with SIGQUIT instead of SIGTERM: PostgreSQL's immediate shutdown.
    #[arg(long)]
    pub quit: bool,
    /// Run the program as this user.
    #[arg(long)]
    pub uid: Option<u32>,
    /// Run the program in this group.
    #[arg(long)]
    pub gid: Option<u32>,
    /// Remove this directory of ours when the program has ended.
    #[arg(long)]
    pub remove: Option<PathBuf>,
    /// But keep it when the program ended well: what it made is used further.
    #[arg(long)]
    pub keep_if_good: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

enum Woken {
    Ended,
    LetGo,
    Deadline,
}

/// Runs the program to its end; the exit code is its own, 128 and its signal's number, or one of this module's.
pub fn run(order: &Order) -> ExitCode {
    let code = watch(order).unwrap_or_else(|error| {
        let program = order
            .command
            .first()
            .map(|program| program.to_string_lossy().into_owned())
            .unwrap_or_default();
        eprintln!("could not run {program}: {error}");
        START_CODE
    });
    if let Some(directory) = order
        .remove
        .as_ref()
        .filter(|directory| directory.join(MARKER).exists() && !(order.keep_if_good && code == 0))
    {
        // Whoever waits for us checks that it is gone.
        let _ = fs::remove_dir_all(directory);
    }
    ExitCode::from(code)
}

fn watch(order: &Order) -> io::Result<u8> {
    // What the program leaves behind becomes ours, so that it can be ended and reaped, and not the first process'.
    let _ = set_child_subreaper(Pid::from_raw(1));
    let mut child = start(order)?;
    let deadline = Instant::now() + Duration::from_secs(order.deadline);
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("a process without a number"))?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let woken = wait(&handle, true, deadline)?;
    if !matches!(woken, Woken::Ended) {
        let polite = if order.quit {
            Signal::QUIT
        } else {
            Signal::TERM
        };
        let _ = kill_process_group(pid, polite);
        wait(&handle, false, Instant::now() + GRACE)?;
    }
    // The rest of the group, and the leader if it does not listen. It is not reaped yet, so the number is still its own.
    let _ = kill_process_group(pid, Signal::KILL);
    let status = child.wait()?;
    end_orphans();
    Ok(match (woken, status.code(), status.signal()) {
        (Woken::Deadline, ..) => DEADLINE_CODE,
        (_, Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (_, _, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        _ => u8::MAX,
    })
}

/// Ends and reaps what the program left behind, also where it had left the group.
fn end_orphans() {
    let until = Instant::now() + GRACE;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) if Instant::now() < until => {
                // Children of ours, so their numbers are theirs until we reap them.
                for orphan in children() {
                    let _ = kill_process(orphan, Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let listed = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let numbers = listed
        .split_whitespace()
        .filter_map(|number| number.parse().ok());
    numbers
        .filter(|number: &i32| *number > 0)
        .filter_map(Pid::from_raw)
        .collect()
}

fn start(order: &Order) -> io::Result<Child> {
    let (program, arguments) = order
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no program"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0);
    if let (Some(uid), Some(gid)) = (order.uid, order.gid) {
        // The other user may not see where we are.
        command.uid(uid).gid(gid).current_dir("/");
    }
    command.spawn()
}

fn wait(handle: &impl AsFd, leash: bool, until: Instant) -> io::Result<Woken> {
    let stdin = io::stdin();
    loop {
        let Some(left) = until.checked_duration_since(Instant::now()) else {
            return Ok(Woken::Deadline);
        };
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut ready = vec![PollFd::new(handle, PollFlags::IN)];
        if leash {
            ready.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut ready, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        // Nobody ever writes into the leash: readable means closed.
        let mut woken = ready.iter().map(|fd| !fd.revents().is_empty());
        match (woken.next(), woken.next()) {
            (Some(true), _) => return Ok(Woken::Ended),
            (_, Some(true)) => return Ok(Woken::LetGo),
            _ => {}
        }
    }
}
