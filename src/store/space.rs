//! How much room there is.

use std::path::Path;

/// What the file system says of the volume a directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub size: u64,
    /// Bytes that this user may still write.
    pub available: u64,
    /// Bytes used.
    pub used: u64,
    /// Free inodes.
    pub files_free: u64,
}

/// Asks statvfs(3).
pub fn of(directory: &Path) -> std::io::Result<Space> {
    let facts = rustix::fs::statvfs(directory)?;
    Ok(Space {
        size: facts.f_blocks * facts.f_frsize,
        available: facts.f_bavail * facts.f_frsize,
        used: (facts.f_blocks - facts.f_bfree.min(facts.f_blocks)) * facts.f_frsize,
        files_free: facts.f_favail,
    })
}
