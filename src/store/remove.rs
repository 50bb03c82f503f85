//! The only place that makes backups disappear from a directory.
//!
//! A file is removed by its exact name in the opened directory, and only if it is what was judged: a regular file of the
//! same inode, size and time. No link is followed, and what someone reads at the moment ([`hold`]) stays.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, openat, statat};
use rustix::io::Errno;

use super::lock::Lock;
use crate::error::{Failure, FailureKind, Result};

/// A regular file as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its size.
    pub bytes: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// Looks at a name, following no link; `None` where there is nothing of that name, or no regular file.
pub fn look(path: &Path) -> Result<Option<Seen>> {
    match statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(facts) => Ok(Seen::of(&facts)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(Failure::io(
            format!("look at file {}", path.display()),
            error.into(),
        )),
    }
}

/// Held by who reads an archive, so that it is not removed meanwhile; until dropped.
#[derive(Debug)]
pub struct Held {
    _archive: Option<File>,
}

/// Keeps an archive from being removed. A file system without locks has nothing that could be held.
pub fn hold(archive: &Path) -> Held {
    let file = File::open(archive).ok();
    Held {
        _archive: file.filter(|file| flock(file, FlockOperation::NonBlockingLockShared).is_ok()),
    }
}

/// A directory from which files are removed.
#[derive(Debug)]
pub struct Remover {
    path: PathBuf,
    directory: OwnedFd,
}

/// What became of a file that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// Someone reads it; it stays for now.
    InUse,
}

impl Seen {
    fn of(facts: &Stat) -> Option<Self> {
        let is_file = FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile;
        is_file.then(|| Self {
            bytes: u64::try_from(facts.st_size).unwrap_or_default(),
            device: facts.st_dev,
            inode: facts.st_ino,
            modified: (
                facts.st_mtime,
                i64::try_from(facts.st_mtime_nsec).unwrap_or_default(),
            ),
        })
    }
}

impl Remover {
    /// Opens a directory to remove files from it.
    pub fn open(directory: &Path, _lock: &Lock) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| {
            Failure::io(
                format!("open directory {}", directory.display()),
                error.into(),
            )
        })?;
        Ok(Self {
            path: directory.to_owned(),
            directory: opened,
        })
    }

    /// Removes a file if it is still the one that was seen.
    pub fn remove(&self, name: &str, seen: &Seen) -> Result<Removal> {
        let failed = |error: Errno| {
            Failure::io(format!("remove {}", self.path.join(name).display()), error.into())
                .remedy("make the directory writable for the user that pgvigil runs as, and look whether the file is immutable")
        };
        // A name alone: nothing that leads out of the directory.
        if name.contains('/') || self.look(name).map_err(failed)? != Some(*seen) {
            let what = format!(
                "remove {}: it is no longer the file that was judged",
                self.path.join(name).display()
            );
            return Err(Failure::new(FailureKind::Io, what)
                .remedy("nothing was done to it; the next run judges it anew"));
        }
        let Some(_ours_alone) = self.lock_out_readers(name) else {
            return Ok(Removal::InUse);
        };
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()).map_err(failed)?;
        Ok(Removal::Done)
    }

    /// Makes what was removed stay removed.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.directory).map_err(|error| {
            Failure::io(
                format!("sync directory {}", self.path.display()),
                error.into(),
            )
        })
    }

    fn look(&self, name: &str) -> rustix::io::Result<Option<Seen>> {
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Seen::of(&facts)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `None` where someone reads it. Who may not open it, and a file system without locks, can tell nothing.
    fn lock_out_readers(&self, name: &str) -> Option<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(&self.directory, name, flags, Mode::empty()) else {
            return Some(None);
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => None,
            _ => Some(Some(file)),
        }
    }
}
