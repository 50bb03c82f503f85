//! One writer at a time in a directory: flock(2) on the directory itself, so that no lock file is left anywhere and a
//! killed holder holds nothing.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Failure, FailureKind, Result};

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

/// Takes the directory's lock, or says that someone else has it.
pub fn take(directory: &Path) -> Result<Lock> {
    let what = || format!("lock directory {}", directory.display());
    let file = File::open(directory).map_err(|error| {
        Failure::io(format!("open directory {}", directory.display()), error)
            .remedy("create it, or name another with --directory")
    })?;
    if !file
        .metadata()
        .map_err(|error| Failure::io(what(), error))?
        .is_dir()
    {
        return Err(Failure::new(
            FailureKind::Directory,
            format!("{}: it is not a directory", what()),
        ));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _directory: file }),
        Err(Errno::WOULDBLOCK) => Err(Failure::new(
            FailureKind::Busy,
            format!("{}: another pgvigil takes a backup there", what()),
        )
        .remedy("wait until it is done")),
        Err(error) => Err(Failure::io(what(), error.into())),
    }
}
