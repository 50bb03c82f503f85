//! Whose scratch directory is it? Its maker holds a lock on the marker in it for as long as it lives, in whatever
//! container it lives; a directory whose marker can be locked was left behind by a killed run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::warden::MARKER;

/// Held by the maker of a scratch directory.
#[derive(Debug)]
pub(super) struct Claim {
    _marker: File,
}

impl Claim {
    /// Marks a directory as ours.
    pub(super) fn make(directory: &Path) -> io::Result<Self> {
        let marker = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(MARKER))?;
        flock(&marker, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { _marker: marker })
    }

    /// Takes over a directory that was left behind; `None` where someone lives who made it, or where it is none of ours.
    fn take_over(directory: &Path) -> Option<Self> {
        if !fs::symlink_metadata(directory).ok()?.is_dir() {
            return None;
        }
        let marker = open_plain(&directory.join(MARKER)).ok()?;
        if marker.metadata().ok()?.uid() != rustix::process::geteuid().as_raw() {
            return None;
        }
        flock(&marker, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { _marker: marker })
    }
}

/// Opens a file only if it is one: in a directory that others can write to, it may be a pipe that never ends or a link.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Removes what killed runs left in `parent`: directories of this prefix, and servers still running in them. Gives what
/// was done.
pub(super) fn sweep(parent: &Path, prefix: &str) -> Vec<String> {
    let mut done = Vec::new();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let directory = entry.path();
        let Some(_claim) = Claim::take_over(&directory) else {
            continue;
        };
        end_server(&directory.join("data"));
        if fs::remove_dir_all(&directory).is_ok() {
            done.push(format!(
                "removed scratch server {}, which a killed run had left behind",
                directory.display()
            ));
        }
    }
    done
}

/// Ends a server that runs in this data directory.
fn end_server(data: &Path) {
    let mut text = String::new();
    let read = open_plain(&data.join("postmaster.pid"))
        .and_then(|file| file.take(64).read_to_string(&mut text));
    // A server that initdb runs writes its number negative.
    let pid = read
        .ok()
        .and_then(|_| text.lines().next()?.trim().parse().ok());
    let pid = pid
        .filter(|number: &i32| *number > 0)
        .and_then(Pid::from_raw);
    let Some(pid) = pid else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    // The number may be another's by now; a postmaster works in its data directory.
    if fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()))
        .is_ok_and(|directory| directory == data)
    {
        let _ = pidfd_send_signal(&handle, Signal::QUIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_left_behind_is_swept() {
        let parent = tempfile::tempdir().expect("tempdir");
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).expect("directory");
            path
        };
        let (left, held, other, pipe) = (
            make("x-left"),
            make("x-held"),
            make("y-other"),
            make("x-pipe"),
        );
        drop(Claim::make(&left).expect("claim"));
        drop(Claim::make(&other).expect("claim"));
        let _held = Claim::make(&held).expect("claim");
        let status = std::process::Command::new("mkfifo")
            .arg(pipe.join(MARKER))
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "mkfifo (coreutils) is needed"
        );
        assert_eq!(sweep(parent.path(), "x-").len(), 1);
        assert!(!left.exists() && held.exists() && other.exists() && pipe.exists());
    }
}
