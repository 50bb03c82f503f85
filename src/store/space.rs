//! How much room there is on a volume.

use std::path::Path;

/// What the file system says of the volume a directory lies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub size_bytes: u64,
    /// What an ordinary user can still write.
    pub available_bytes: u64,
    /// What is taken.
    pub used_bytes: u64,
    /// Inodes left.
    pub files_free: u64,
}

impl Space {
    /// How full the file system is for an ordinary user, 0 to 1, as df says it: blocks kept for root count as neither.
    pub fn fill_ratio(&self) -> f64 {
        match self.used_bytes.saturating_add(self.available_bytes) {
            0 => 0.0,
            usable => self.used_bytes as f64 / usable as f64,
        }
    }
}

/// Asks statvfs(3).
pub fn of(directory: &Path) -> std::io::Result<Space> {
    let facts = rustix::fs::statvfs(directory)?;
    Ok(Space {
        size_bytes: facts.f_blocks * facts.f_frsize,
        available_bytes: facts.f_bavail * facts.f_frsize,
        used_bytes: facts.f_blocks.saturating_sub(facts.f_bfree) * facts.f_frsize,
        files_free: facts.f_favail,
    })
}
