//! One job at a time in a directory: flock(2) on the directory itself, so that no lock file is left anywhere and a killed
//! holder holds nothing.
//!
//! Who holds it is written into an extended attribute of the directory, for those who find it held: it is read only then,
//! so what a killed holder left there misleads nobody. A file system without attributes has nameless holders.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use chrono::{SubsecRound as _, Utc};
use rustix::fs::{FlockOperation, XattrFlags, flock, fsetxattr, getxattr};
use rustix::io::Errno;

use crate::error::{Failure, FailureKind, Result};

/// The attribute that names the holder.
const HOLDER: &str = "user.pgvigil.lock_holder";

/// Longest name of a holder that is read.
const HOLDER_LIMIT: usize = 512;

/// Held until it and its clones are dropped: work on another thread has a clone, and so holds it to its own end.
#[derive(Clone, Debug)]
pub struct Lock {
    _directory: Arc<File>,
}

/// Takes the directory's lock for some work ("backup"), or says who else has it.
pub fn take(directory: &Path, work: &str) -> Result<Lock> {
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
        Ok(()) => {
            // For people only; without it the lock holds all the same.
            let _ = fsetxattr(&file, HOLDER, me(work).as_bytes(), XattrFlags::empty());
            Ok(Lock {
                _directory: Arc::new(file),
            })
        }
        Err(Errno::WOULDBLOCK) => Err(Failure::new(
            FailureKind::Busy,
            format!("{}: it is held by {}", what(), holder(directory)),
        )
        .remedy("wait until that is done")),
        Err(error) => Err(Failure::io(what(), error.into())),
    }
}

/// Who we are, in the words that another pgvigil shows.
fn me(work: &str) -> String {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let now = Utc::now().trunc_subsecs(0);
    format!(
        "{work} of process {} on {host} since {}",
        std::process::id(),
        now.format("%Y-%m-%d %H:%M:%S UTC")
    )
}

fn holder(directory: &Path) -> String {
    let mut buffer = [0; HOLDER_LIMIT];
    let length = getxattr(directory, HOLDER, &mut buffer).unwrap_or(0);
    let name = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    // Whoever may write the directory chose the text; it goes to logs and terminals.
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() {
        "another pgvigil".to_owned()
    } else {
        format!("another pgvigil ({name})")
    }
}
