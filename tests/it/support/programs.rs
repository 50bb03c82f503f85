//! PostgreSQL's programs at hand: the system's, and version 18.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::are_root;

/// A directory of programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) directory: PathBuf,
    pub(crate) major: u32,
}

const NEEDED: [&str; 5] = ["initdb", "postgres", "psql", "pg_dump", "pg_dumpall"];

/// The newest of the system that is older than 18.
pub(crate) fn system() -> Programs {
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL in /usr/lib/postgresql: run .ci/install test");
    folders
        .flatten()
        .filter_map(|folder| Some((folder.file_name().to_str()?.parse().ok()?, folder.path())))
        .filter(|(major, _)| *major < 18)
        .max()
        .map(|(major, path)| Programs::checked(path.join("bin"), major))
        .expect("PostgreSQL 14 to 17 in /usr/lib/postgresql: run .ci/install test")
}

/// PostgreSQL 18, from the cache.
pub(crate) fn eighteen() -> Programs {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/postgresql-18/bin");
    Programs::checked(cache, 18)
}

/// promtool, from PATH or the cache.
pub(crate) fn promtool() -> PathBuf {
    tool("promtool")
}

/// amtool, from PATH or the cache.
pub(crate) fn amtool() -> PathBuf {
    tool("amtool")
}

/// Prometheus, from PATH or the cache.
pub(crate) fn prometheus() -> PathBuf {
    tool("prometheus")
}

/// Alertmanager, from PATH or the cache; Debian's name for it.
pub(crate) fn alertmanager() -> PathBuf {
    tool("prometheus-alertmanager")
}

/// Where a program of the cache sees its own `/usr/share`: Debian's servers read their pages and messages from there.
pub(crate) fn at_home(program: &Path) -> Command {
    let share = program
        .parent()
        .and_then(Path::parent)
        .map(|usr| usr.join("share/prometheus"))
        .filter(|share| share.is_dir() && !share.starts_with("/usr"));
    let Some(share) = share else {
        return Command::new(program);
    };
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !are_root() {
        command.arg("--map-root-user");
    }
    let shell = "mount --bind \"$0\" /usr/share && exec \"$@\"";
    command.args(["sh", "-c", shell]);
    command.arg(share.parent().unwrap()).arg(program);
    command
}

fn tool(name: &str) -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(".cache/{name}/usr/bin/{name}"));
    [PathBuf::from(name), cache]
        .into_iter()
        .find(|path| {
            Command::new(path)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success())
        })
        .unwrap_or_else(|| panic!("{name} on PATH or in .cache/{name}: run .ci/install test"))
}

impl Programs {
    fn checked(directory: PathBuf, major: u32) -> Self {
        for program in NEEDED {
            assert!(
                directory.join(program).is_file(),
                "{program} is missing in {}: run .ci/install test",
                directory.display()
            );
        }
        Self { directory, major }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
