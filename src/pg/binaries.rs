//! Finds PostgreSQL's programs by version: in the configured directory, in the versioned folders of Debian and of the RPM
//! packages, on PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{How, Program, output};
use super::user::{RunAs, are_root, to_drop_to};
use super::version::Version;
use crate::error::{Failure, FailureKind, Result};

/// How long a program may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// A directory of programs and their version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// The version of the program that was asked for.
    pub version: Version,
    /// As whom it can be run, where we are root and it must not be.
    pub run_as: Option<RunAs>,
}

impl Binaries {
    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The pg_dumpall to dump a server with: the oldest one that is not older than the server, so that the dump restores there.
pub fn for_dump(server: Version, configured: Option<&Path>) -> Result<Binaries> {
    let (fitting, seen) = search("pg_dumpall", server, configured, &[None])?;
    fitting.ok_or_else(|| {
        Failure::new(FailureKind::Version, format!("dump a server of version {server}: {}", describe("pg_dumpall", &seen, configured)))
            .remedy(format!("install the client programs of PostgreSQL {} or newer, or name their directory with --pg-bin (pg_bin in the configuration)", server.major))
    })
}

/// The binaries to run a throwaway server with: the oldest that are not older than the dump's server.
pub fn for_server(dump: Version, configured: Option<&Path>) -> Result<Binaries> {
    let users: Vec<Option<RunAs>> = if are_root() {
        to_drop_to().into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let (fitting, seen) = search("initdb", dump, configured, &users)?;
    fitting.ok_or_else(|| {
        let names: Vec<_> = users.iter().flatten().map(|user| user.name.as_str()).collect();
        let whom = if names.is_empty() { String::new() } else { format!(" that {} may run", names.join(" or ")) };
        Failure::new(FailureKind::Scratch, format!("start a scratch server for a dump of version {dump}: {}{whom}", describe("initdb", &seen, configured)))
            .remedy(format!("install the server programs of PostgreSQL {} or newer where every user can reach them, or name their directory with --pg-bin", dump.major))
    })
}

fn describe(program: &str, seen: &[Binaries], configured: Option<&Path>) -> String {
    match (
        seen.iter().max_by_key(|binaries| binaries.version),
        configured,
    ) {
        (Some(newest), _) => format!(
            "the newest {program} found is {} in {}",
            newest.version,
            newest.directory.display()
        ),
        (None, Some(directory)) => format!("there is no {program} in {}", directory.display()),
        (None, None) => format!(
            "there is no {program} on PATH or in /usr/lib/postgresql/*/bin or /usr/pgsql-*/bin"
        ),
    }
}

type Search = (Option<Binaries>, Vec<Binaries>);

fn search(
    program: &str,
    wanted: Version,
    configured: Option<&Path>,
    users: &[Option<RunAs>],
) -> Result<Search> {
    let directories = configured.map_or_else(usual_directories, |directory| {
        // The program may be run from elsewhere.
        vec![std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())]
    });
    let mut seen = Vec::new();
    for directory in directories
        .iter()
        .filter(|directory| directory.join(program).is_file())
    {
        if let Some(binaries) = users
            .iter()
            .find_map(|user| version_of(directory, program, user.as_ref()).transpose())
            .transpose()?
        {
            seen.push(binaries);
        }
    }
    // The first of equals: versioned folders come before PATH, where Debian has a wrapper that starts slowly.
    let mut fitting: Option<&Binaries> = None;
    for binaries in seen
        .iter()
        .filter(|binaries| binaries.version.major >= wanted.major)
    {
        if fitting.is_none_or(|best| binaries.version.major < best.version.major) {
            fitting = Some(binaries);
        }
    }
    Ok((fitting.cloned(), seen))
}

/// Asks a program for its version. What it prints counts, not how it exits; one that hangs is an error.
fn version_of(directory: &Path, name: &str, user: Option<&RunAs>) -> Result<Option<Binaries>> {
    let path = directory.join(name);
    let mut program = Program::new(&path, VERSION_DEADLINE).args(["--version"]);
    program.run_as = user.cloned();
    let (text, ended) = output(&program)
        .map_err(|error| Failure::io(format!("run {} --version", path.display()), error))?;
    if ended.how == How::Deadline {
        return Err(Failure::new(
            FailureKind::Version,
            format!(
                "run {} --version: no answer within 10 seconds",
                path.display()
            ),
        )
        .remedy("look at that program, or name another directory with --pg-bin"));
    }
    let version = Version::from_text(&String::from_utf8_lossy(&text));
    Ok(version.map(|version| Binaries {
        directory: directory.to_owned(),
        version,
        run_as: user.cloned(),
    }))
}

fn usual_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.parse::<u32>().is_ok())
            })
            .map(|entry| entry.path().join("bin"))
            .collect();
        found.sort();
        directories.extend(found);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&path).filter(|directory| directory.is_absolute()));
    directories.push(PathBuf::from("/usr/local/pgsql/bin"));
    directories
}
