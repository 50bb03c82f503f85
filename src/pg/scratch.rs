//! The embedded scratch server: a throwaway PostgreSQL that nothing but us can reach, and that is gone afterwards.
//!
//! initdb into a directory of its own, a socket in it that only its owner (and root) can reach, no TCP, durability off,
//! and a bootstrap superuser that no dump contains, so that `DROP ROLE postgres` and `CREATE ROLE postgres` of a dump
//! just work and *every* error counts. Never root: dropped to another user where we are. Its environment is empty, and a
//! [`fence`](super::fence) keeps what a dump's functions do inside of its directory.
//!
//! The directory goes when the server ends, whoever ended it: its warden sees to that also when we are killed. What a
//! killed warden leaves, [`sweep`] finds at the next start.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::claim::{self, Claim};
use super::connect::Target;
use super::fence::{self, Holds};
use super::process::{Fence, How, Program, Running, output};
use super::user::RunAs;
use super::version::Version;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;

/// What every scratch directory's name begins with.
const PREFIX: &str = "pgvigil-scratch-";

/// How long initdb and starting may take; both are seconds on a slow machine.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Where the server's socket is, in its directory.
const SOCKET: &str = "s";

/// Where tablespaces are, in its directory.
const TABLESPACES: &str = "tablespaces";

/// sun_path of a socket address holds this many bytes.
const SOCKET_PATH_LIMIT: usize = 107;

/// A running scratch server. Dropping it ends it and removes everything.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    server: Option<Running>,
    target: Target,
    user: String,
    fence: Holds,
    tablespaces: usize,
    _claim: Claim,
}

/// Settings that make a throwaway server fast and keep it to itself.
const SETTINGS: [&str; 21] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_replication_slots=0",
    "max_logical_replication_workers=0",
    "archive_mode=off",
    "autovacuum=off",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=1d",
    "max_connections=40",
    // Dumping the definitions locks every table at once: 80 000 of them.
    "max_locks_per_transaction=2048",
    "restart_after_crash=off",
    "logging_collector=off",
    "jit=off",
    // In its own directory, not in /dev/shm, which its fence keeps it out of.
    "dynamic_shared_memory_type=mmap",
];

impl Scratch {
    /// Makes and starts one, with `settings` beside our own. It is ended after `deadline`, whatever happens.
    pub async fn start(
        binaries: &Binaries,
        settings: &[String],
        deadline: Duration,
        progress: &Progress,
    ) -> Result<Self> {
        let user = format!("pgvigil_scratch_{:08x}", random_id()?);
        let mut scratch = Self::start_with(&user, binaries, settings, deadline, progress).await?;
        let session = scratch.target.session("postgres").await?;
        session
            .batch_execute(&format!("create database {user}"))
            .await
            .map_err(|error| {
                Failure::new(FailureKind::Scratch, "prepare the scratch server")
                    .because(super::connect::ServerError::from(&error))
            })?;
        session.close().await;
        scratch.target.database = user;
        Ok(scratch)
    }

    /// The same with a bootstrap superuser of this name, and no database but PostgreSQL's own.
    pub async fn start_as(
        user: &str,
        binaries: &Binaries,
        deadline: Duration,
        progress: &Progress,
    ) -> Result<Self> {
        Self::start_with(user, binaries, &[], deadline, progress).await
    }

    async fn start_with(
        user: &str,
        binaries: &Binaries,
        settings: &[String],
        deadline: Duration,
        progress: &Progress,
    ) -> Result<Self> {
        let id = random_id()?;
        let (directory, claim) = make_directory(binaries, id)?;
        // From here on the directory has an owner that removes it.
        let mut scratch = Self {
            target: Target::local(&directory.join(SOCKET), user, "postgres"),
            server: None,
            directory,
            user: user.to_owned(),
            fence: Holds::Nothing,
            tablespaces: 0,
            _claim: claim,
        };
        let initdb = scratch.initdb(binaries);
        let (_, ended) = run_blocking(move || output(&initdb)).await?;
        if ended.how != How::Success {
            return Err(cannot_start(
                &format!("initdb {}", ended.how),
                &ended.stderr,
            ));
        }
        scratch.server = Some(
            scratch
                .server_program(binaries, settings, deadline)
                .start()
                .map_err(|error| Failure::io("start the scratch server", error))?,
        );
        scratch.wait_until_ready(progress).await?;
        scratch.fence = fs::read(scratch.fence_report())
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ok(scratch)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn fence_report(&self) -> PathBuf {
        self.directory.join("fence.json")
    }

    /// From here on what was restored is read: no trigger of the dump is to run.
    pub fn begin_reading(&mut self, version: Version) {
        self.target = self.target.for_reading(version);
    }

    /// What its fence holds.
    pub fn fence(&self) -> Holds {
        self.fence
    }

    /// A new directory that the server may write to, for a tablespace.
    pub fn tablespace_directory(&mut self, run_as: Option<&RunAs>) -> Result<PathBuf> {
        self.tablespaces += 1;
        let path = self
            .directory
            .join(TABLESPACES)
            .join(self.tablespaces.to_string());
        make_private(&path, run_as)
            .map_err(|error| Failure::io(format!("make directory {}", path.display()), error))?;
        Ok(path)
    }

    /// A directory of ours, closed to the server, that goes with it.
    pub fn private_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        make_private(&path, None)
            .map_err(|error| Failure::io(format!("make directory {}", path.display()), error))?;
        Ok(path)
    }

    /// How to reach it: its own superuser, in a database of its own that no dump touches.
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn initdb(&self, binaries: &Binaries) -> Program {
        let mut program = self.program(binaries, "initdb", START_DEADLINE).args([
            "--no-sync",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--username",
            &self.user,
            "--pgdata",
        ]);
        program.arguments.push(self.data().into());
        program.remove = Some(self.directory.clone());
        program.keep_if_good = true;
        program
    }

    fn server_program(
        &self,
        binaries: &Binaries,
        settings: &[String],
        deadline: Duration,
    ) -> Program {
        let mut program = self.program(binaries, "postgres", deadline);
        program.arguments.extend([
            "-D".into(),
            self.data().into(),
            "-k".into(),
            self.directory.join(SOCKET).into(),
        ]);
        for setting in SETTINGS
            .into_iter()
            .chain(settings.iter().map(String::as_str))
        {
            program.arguments.extend(["-c".into(), setting.into()]);
        }
        program.quit = true;
        program.remove = Some(self.directory.clone());
        if fence::can_be_run_by_others() || binaries.run_as.is_none() {
            program.fence = Some(self.fence_around(binaries));
        }
        program
    }

    fn fence_around(&self, binaries: &Binaries) -> Fence {
        // PostgreSQL's installation: the directory above its programs.
        let installation = binaries.directory.canonicalize().ok();
        let installation = installation.and_then(|programs| programs.parent().map(Path::to_owned));
        let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        Fence {
            read: std::env::split_paths(&libraries)
                .filter(|directory| directory.is_absolute())
                .chain(installation)
                .collect(),
            write: vec![
                self.data(),
                self.directory.join(SOCKET),
                self.directory.join(TABLESPACES),
            ],
            report: self.fence_report(),
        }
    }

    fn program(&self, binaries: &Binaries, name: &str, deadline: Duration) -> Program {
        let mut program = Program::new(binaries.program(name), deadline);
        // Nothing of ours reaches code that a dump brings along.
        program
            .environment
            .retain(|(name, _)| name == "LC_ALL" || name == "LD_LIBRARY_PATH");
        program
            .environment
            .push(("PATH".to_owned(), "/usr/bin:/bin".into()));
        program.run_as.clone_from(&binaries.run_as);
        program
    }

    async fn wait_until_ready(&mut self, progress: &Progress) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            progress.check()?;
            if self.server.as_mut().is_none_or(Running::has_ended) {
                let stderr = self
                    .server
                    .take()
                    .and_then(|server| server.wait().ok())
                    .map(|ended| ended.stderr);
                return Err(cannot_start(
                    "the server ended at once",
                    &stderr.unwrap_or_default(),
                ));
            }
            match self.target.session("postgres").await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Ends it and makes sure that nothing is left.
    pub async fn stop(mut self) -> Result<()> {
        let server = self.server.take();
        let directory = self.directory.clone();
        run_blocking(move || {
            drop(server);
            remove(&directory)
        })
        .await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.server.take());
        // What cannot be removed now is swept at the next start.
        let _ = remove(&self.directory);
    }
}

/// Runs blocking work on a thread of its own.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    let failed = |cause: crate::error::Cause| {
        Failure::new(FailureKind::Scratch, "work on the scratch server").because(cause)
    };
    result
        .map_err(|error| failed(error.into()))?
        .map_err(|error| failed(error.into()))
}

fn cannot_start(what: &str, stderr: &str) -> Failure {
    let last = stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    Failure::new(
        FailureKind::Scratch,
        format!("start a scratch server: {what}: {last}"),
    )
    .remedy("check that TMPDIR has free space and that every user can pass through its parents, and the PostgreSQL binaries")
}

/// A random number from the kernel.
pub fn random_id() -> Result<u32> {
    let mut bytes = [0; 4];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|error| Failure::io("read random bytes from /dev/urandom", error))?;
    Ok(u32::from_le_bytes(bytes))
}

fn parent() -> PathBuf {
    let usual = std::env::temp_dir();
    let socket =
        usual.as_os_str().len() + PREFIX.len() + "0123456789-01234567/s/.s.PGSQL.5432".len();
    if socket > SOCKET_PATH_LIMIT {
        PathBuf::from("/tmp")
    } else {
        usual
    }
}

fn make_directory(binaries: &Binaries, id: u32) -> Result<(PathBuf, Claim)> {
    let directory = parent().join(format!("{PREFIX}{}-{id:08x}", std::process::id()));
    let make = || {
        make_private(&directory, None)?;
        let claim = Claim::make(&directory)?;
        make_private(&directory.join(SOCKET), binaries.run_as.as_ref())?;
        make_private(&directory.join(TABLESPACES), binaries.run_as.as_ref())?;
        make_private(&directory.join("data"), binaries.run_as.as_ref())?;
        // Last, so that the marker is ours.
        give(&directory, binaries.run_as.as_ref())?;
        Ok(claim)
    };
    let claim = make().map_err(|error| {
        let _ = remove(&directory);
        Failure::io(
            format!("make scratch directory {}", directory.display()),
            error,
        )
        .remedy("make TMPDIR point to a writable directory")
    })?;
    Ok((directory, claim))
}

fn make_private(path: &Path, run_as: Option<&RunAs>) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    give(path, run_as)
}

fn give(path: &Path, run_as: Option<&RunAs>) -> io::Result<()> {
    run_as.map_or(Ok(()), |user| chown(path, Some(user.uid), Some(user.gid)))
}

/// Removes a scratch directory, if it is there and is one.
fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what killed runs left. Gives what was done.
pub fn sweep() -> Vec<String> {
    claim::sweep(&parent(), PREFIX)
}
