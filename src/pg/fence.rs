//! The fence around a scratch server. A dump is code that a superuser of that server runs: functions, triggers, index
//! expressions. What such code can reach is decided here, and not by reading it.
//!
//! With Landlock (Linux 5.13 and newer), the server's process and all it starts may write below its own directory only,
//! read PostgreSQL's installation and the system's libraries and nothing else (not the backups, not our secrets, not
//! another server's files), run PostgreSQL's own program and no other, open no TCP connection (6.7), and neither signal
//! processes outside nor reach abstract sockets (6.12). What the kernel at hand cannot do is said, not assumed: sockets in
//! the file system are kept apart by their permissions alone, and UDP is not covered.
//!
//! It is this same executable, started by the warden as `pgvigil fence …` under the server's user: it fences itself in,
//! writes what held into a file, and becomes the program.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use super::warden::START_CODE;

/// The newest rules that are asked for; an older kernel holds as many of them as it knows.
const RULES: ABI = ABI::V6;

/// Files and directories of the system that programs need to start and to show time and text. Not all of /etc: that is
/// where secrets are.
const SYSTEM: [&str; 14] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl/openssl.cnf",
    "/var/cache/postgresql",
    "/sys/devices/system",
    "/proc/sys/kernel",
    "/dev/urandom",
];

/// Loads programs; a kernel asks for the right to run it with each of them.
const LOADERS: [&str; 3] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
];

/// What the fence was told.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// May be read, beside what every program needs.
    #[arg(long)]
    pub read: Vec<PathBuf>,
    /// May be written to.
    #[arg(long)]
    pub write: Vec<PathBuf>,
    /// Where to say what held.
    #[arg(long)]
    pub report: PathBuf,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

/// What holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// All of it.
    Fully,
    /// As much as this kernel knows.
    Partly,
    /// Nothing: this kernel has no Landlock, or it is off.
    #[default]
    Nothing,
}

impl Holds {
    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Fully => "own files only, no other program, no TCP, no signals (Landlock)",
            Self::Partly => "as far as this kernel's Landlock goes: own files only",
            Self::Nothing => {
                "no Landlock on this kernel: only the other user, the private socket and the empty environment"
            }
        }
    }
}

/// Fences itself in and becomes the program.
pub fn run(order: &Order) -> ExitCode {
    let Some((program, arguments)) = order.command.split_first() else {
        return ExitCode::from(START_CODE);
    };
    // A fence that cannot be put up is said in the report; whether to go on is for whoever reads it.
    let prepared = fs::File::create(&order.report).and_then(|report| {
        let holds = put_up(order, Path::new(program)).map_err(io::Error::other)?;
        serde_json::to_writer(report, &holds).map_err(io::Error::other)
    });
    if let Err(error) = prepared {
        eprintln!("could not fence the server in: {error}");
        return ExitCode::from(START_CODE);
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("could not run {}: {error}", program.to_string_lossy());
    ExitCode::from(START_CODE)
}

fn put_up(order: &Order, program: &Path) -> Result<Holds, RulesetError> {
    let read = AccessFs::from_read(RULES) & !AccessFs::Execute;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?;
    let rules = SYSTEM
        .iter()
        .map(Path::new)
        .chain(order.read.iter().map(PathBuf::as_path))
        .try_fold(rules, |rules, path| allow(rules, path, read))?;
    let rules = order.write.iter().try_fold(rules, |rules, path| {
        allow(rules, path, AccessFs::from_all(RULES) & !AccessFs::Execute)
    })?;
    let rules = LOADERS
        .iter()
        .map(Path::new)
        .chain([program])
        .try_fold(rules, |rules, path| {
            allow(rules, path, AccessFs::Execute | AccessFs::ReadFile)
        })?;
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    let rules = ["/dev/null", "/dev/zero"]
        .iter()
        .try_fold(rules, |rules, path| allow(rules, Path::new(path), devices))?;
    let RestrictionStatus { ruleset, .. } = rules.restrict_self()?;
    Ok(match ruleset {
        RulesetStatus::FullyEnforced => Holds::Fully,
        RulesetStatus::PartiallyEnforced => Holds::Partly,
        RulesetStatus::NotEnforced => Holds::Nothing,
    })
}

/// Allows access to a path, if it is there; of a file, what makes sense for files.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(handle) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(RULES)
    };
    rules.add_rule(PathBeneath::new(handle, access))
}

/// What a fence would hold on this kernel. Asks without fencing anything in.
pub fn possible() -> Holds {
    let known = |rules: ABI| {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(rules))
            .and_then(|ruleset| {
                if rules < RULES {
                    Ok(ruleset)
                } else {
                    ruleset
                        .handle_access(AccessNet::from_all(rules))?
                        .scope(Scope::from_all(rules))
                }
            })
            .and_then(Ruleset::create)
            .is_ok()
    };
    match () {
        () if !can_be_run_by_others() => Holds::Nothing,
        () if known(RULES) => Holds::Fully,
        () if known(ABI::V1) => Holds::Partly,
        () => Holds::Nothing,
    }
}

/// Whether the user that the server runs as may run this executable; else there is no fence.
pub fn can_be_run_by_others() -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata("/proc/self/exe").is_ok_and(|facts| facts.permissions().mode() & 0o001 != 0)
}
