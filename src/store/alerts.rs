//! Alerts of a server that hold, as `notify` keeps them: without them, each restart would have an alert that waits for an
//! hour wait anew, and one that fires end and begin again.
//!
//! They have a folder of their own: a change in the directory itself has the ledger and all manifests read again. Nobody
//! needs the directory's lock for them: several pods may write, each under a name of its own, and the last one counts.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::agenda::read_json;
use super::record;
use crate::error::{Failure, FailureKind, Result};

/// Where they are, in a server's directory.
pub const DIRECTORY: &str = "alerts";

/// The name of the file there.
pub const FILE_NAME: &str = "alerts.json";

/// What was kept so long ago says nothing about now: Prometheus' limit for the same.
const OUTAGE: TimeDelta = TimeDelta::hours(1);

/// Nobody writes a file for so long: who left it is gone.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// When they were known to hold.
    at: DateTime<Utc>,
    alerts: Vec<T>,
}

/// Reads them; none where there are none, or where they are old.
pub fn read<T: DeserializeOwned>(directory: &Path, now: DateTime<Utc>) -> Result<Vec<T>> {
    let kept: Option<Kept<T>> = read_json(
        &directory.join(DIRECTORY),
        FILE_NAME,
        "remove it: alerts then begin anew",
    )?;
    let fresh = kept.filter(|kept| (now - kept.at).abs() <= OUTAGE);
    Ok(fresh.map_or_else(Vec::new, |kept| kept.alerts))
}

/// Writes them in the place of those before.
pub fn write<T: Serialize>(directory: &Path, now: DateTime<Utc>, alerts: Vec<T>) -> Result<()> {
    let folder = directory.join(DIRECTORY);
    let what = || format!("write {}", folder.join(FILE_NAME).display());
    let mut text = serde_json::to_vec_pretty(&Kept { at: now, alerts })
        .map_err(|error| Failure::new(FailureKind::Io, what()).because(error))?;
    text.push(b'\n');
    let written = match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => {
            sweep(&folder);
            record::write_under(&folder, FILE_NAME, &partial_name(), &text)
        }
    };
    written.map_err(|error| {
        Failure::io(what(), error).remedy("make the directory writable and check its free space")
    })
}

/// A name that no other writer has: in another pod the process may have the same number.
fn partial_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!(".{FILE_NAME}.{}-{random:016x}.partial", std::process::id())
}

/// Whether a name is one of those.
fn is_partial(name: &str) -> bool {
    let middle = name
        .strip_prefix('.')
        .and_then(|name| name.strip_prefix(FILE_NAME))
        .and_then(|name| name.strip_prefix('.'))
        .and_then(|name| name.strip_suffix(".partial"));
    middle
        .and_then(|middle| middle.split_once('-'))
        .is_some_and(|(process, random)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            digits(process) && random.len() == 16 && random.bytes().all(hex)
        })
}

/// Removes what killed writers left. What cannot be removed harms nobody.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(is_partial);
        let is_old = || {
            let facts = entry.metadata().ok().filter(fs::Metadata::is_file);
            let modified = facts.and_then(|facts| facts.modified().ok());
            modified.is_some_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
        };
        if is_ours && is_old() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_hour_is_bridged_and_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let then = DateTime::<Utc>::UNIX_EPOCH;
        let read = |minutes| read::<String>(here, then + TimeDelta::minutes(minutes));
        assert_eq!(read(0).expect("none"), [""; 0]);
        write(here, then, vec!["a"]).expect("written");
        assert_eq!(read(60).expect("read"), ["a"]);
        assert_eq!(read(61).expect("read"), [""; 0]);
        assert_eq!(read(-61).expect("read"), [""; 0]);
        let file = here.join(DIRECTORY).join(FILE_NAME);
        std::fs::write(&file, "{").expect("written");
        let said = read(0).expect_err("broken").sentence();
        assert!(
            said.contains("alerts.json") && said.contains("remove it"),
            "{said}"
        );
        // A pipe in its place is not waited for.
        std::fs::remove_file(&file).expect("removed");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, mode).expect("a pipe");
        let said = read(0).expect_err("a pipe").sentence();
        assert!(said.contains("it is not a file"), "{said}");
    }

    #[test]
    fn what_is_said_again_leaves_the_directory_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        write(here, now, vec!["a"]).expect("written");
        let modified = || here.metadata().expect("facts").modified().expect("a time");
        let before = modified();
        std::thread::sleep(Duration::from_millis(20));
        write(here, now, vec!["b"]).expect("written");
        assert_eq!(modified(), before);
        assert_eq!(read::<String>(here, now).expect("read"), ["b"]);
    }

    #[test]
    fn many_write_at_once_and_nobody_is_in_the_way() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    for _ in 0..50 {
                        write(here, now, vec![writer; 2_000]).expect("written");
                        let kept = read::<i32>(here, now).expect("whole");
                        assert!(kept.len() == 2_000 && kept.iter().all(|one| *one == kept[0]));
                    }
                });
            }
        });
        let left = fs::read_dir(here.join(DIRECTORY)).expect("listed").count();
        assert_eq!(left, 1);
    }

    #[test]
    fn what_killed_writers_left_goes_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        write(here, now, vec!["a"]).expect("written");
        let folder = here.join(DIRECTORY);
        let put = |name: &str, age| {
            let file = fs::File::create(folder.join(name)).expect(name);
            let then = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(then).expect(name);
        };
        let (left, at_work) = (partial_name(), partial_name());
        put(&left, 3_700);
        put(&at_work, 3_500);
        let others = [
            ".alerts.json.partial",
            ".alerts.json.1-0123456789abcdeg.partial",
            ".alerts.json.-0123456789abcdef.partial",
            ".other.json.1-0123456789abcdef.partial",
            "alerts.json.1-0123456789abcdef.partial",
            ".alerts.json.1-0123456789abcdef",
        ];
        for name in others {
            put(name, 1_000_000);
        }
        write(here, now, vec!["b"]).expect("written");
        assert!(!folder.join(left).exists());
        assert!(folder.join(at_work).exists(), "somebody may be writing it");
        for name in others {
            assert!(folder.join(name).exists(), "{name}");
        }
    }
}
