//! A place on disk for each test, and what is left in it.
//!
//! All places lie in one directory of this process, which a warden removes when the process ends, however it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{are_root, nobody};

/// The directory of this process and what removes it.
struct Root {
    path: PathBuf,
    _leash: Child,
}

/// Where the program is for every user: the build directory may be in a home that others cannot enter.
pub(crate) fn executable() -> PathBuf {
    root().join("pgvigil")
}

/// The directory of this process.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<Root> = OnceLock::new();
    &ROOT.get_or_init(make_root).path
}

fn make_root() -> Root {
    // Short, because sockets lie in it: their paths hold 107 bytes.
    let path = PathBuf::from(format!("/tmp/pgv-it-{}", std::process::id()));
    make(&path);
    fs::write(path.join("pgvigil-scratch"), "").unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_pgvigil"));
    let executable = path.join("pgvigil");
    if fs::hard_link(built, &executable).is_err() {
        fs::copy(built, &executable).unwrap();
    }
    let leash = leashed(&executable)
        .arg("--remove")
        .arg(&path)
        .args(["--", "sleep", "86400"])
        .spawn()
        .unwrap();
    Root {
        path,
        _leash: leash,
    }
}

/// A warden of ours; what it runs ends when this process does.
pub(crate) fn leashed(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .args(["warden", "--deadline", "86400", "--quit"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    // A Ctrl-C is for us; the warden sees that we are gone.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn make(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A test's own directory: `backups`, `tmp` (its TMPDIR and mark) and whatever it puts there.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = root().join(format!("{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        make(&path);
        let place = Self { path };
        make(&place.tmp());
        make(&place.backups());
        fs::set_permissions(place.backups(), fs::Permissions::from_mode(0o700)).unwrap();
        place
    }

    /// Makes the unprivileged user the owner of what is there.
    pub(crate) fn give_to_nobody(&self) {
        assert!(are_root(), "only root gives files away");
        let (uid, gid) = nobody();
        for path in [self.path.clone(), self.tmp(), self.backups()] {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn backups(&self) -> PathBuf {
        self.join("backups")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.join("tmp")
    }

    /// All names in the backup directory, hidden ones too, but the ledger's.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = names(&self.backups());
        names.retain(|name| name != "ledger.jsonl");
        names
    }

    /// The published archives.
    pub(crate) fn archives(&self) -> Vec<PathBuf> {
        let mut names = self.names();
        names.retain(|name| name.ends_with(".sql.gz") && !name.starts_with('.'));
        names.iter().map(|name| self.backups().join(name)).collect()
    }

    /// The ledger's entries.
    pub(crate) fn ledger(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.backups().join("ledger.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Scratch directories in the place.
    pub(crate) fn scratch_directories(&self) -> Vec<String> {
        let mut names = names(&self.tmp());
        names.retain(|name| name.starts_with("pgvigil-scratch-"));
        names
    }

    /// Processes that belong to this place: by TMPDIR, by an argument, or by where they work.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = self.path.to_str().unwrap();
        let tmpdir = format!("TMPDIR={}", self.tmp().display());
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let (path, pid) = (process.path(), process.file_name());
            if !pid.as_encoded_bytes()[0].is_ascii_digit() {
                continue;
            }
            let words = |name: &str| {
                let text = fs::read(path.join(name)).unwrap_or_default();
                String::from_utf8_lossy(&text).replace('\0', " ")
            };
            let (arguments, environment) = (words("cmdline"), words("environ"));
            let works_here = fs::read_link(path.join("cwd"))
                .is_ok_and(|directory| directory.starts_with(&self.path));
            let named = |text: &str, what: &str| {
                text.split([' ', '='])
                    .any(|word| Path::new(word).starts_with(what))
            };
            // An ended process that nobody has waited for yet has neither.
            if works_here || named(&arguments, own) || environment.contains(&format!("{tmpdir} ")) {
                found.push(format!("{}: {arguments}", pid.display()));
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The warden removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("list {}: {error}", directory.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
