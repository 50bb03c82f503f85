//! How much room there is on a volume, and how much of it a directory takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Entries that are looked at in a directory and those below it: a volume of backups has a few thousand.
pub const ENTRIES_LIMIT: usize = 200_000;

/// What files take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Their sizes in all.
    pub bytes: u64,
    /// Whether all of them were looked at.
    pub is_all: bool,
}

/// What the file system says of the volume a directory lies on, and what was promised of it.
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
    /// Inodes in all; 0 where the file system makes them as it needs them.
    pub files: u64,
    /// What the claim for the volume asked for; 0 where nobody said.
    pub requested_bytes: u64,
    /// What the directory takes.
    pub directory_bytes: u64,
}

impl Space {
    /// How full it is, 0 to 1 and above: the worse of what the file system says and what was promised. A claim may be a
    /// directory on a disk that is much larger, where nothing but this number says that it is used up.
    pub fn fill_ratio(&self) -> f64 {
        let promised = ratio(self.directory_bytes, self.requested_bytes);
        // As df says it: blocks kept for root count as neither.
        let usable = self.used_bytes.saturating_add(self.available_bytes);
        ratio(self.used_bytes, usable).max(promised)
    }

    /// Whether nobody could tell.
    pub fn is_unknown(&self) -> bool {
        self.size_bytes == 0
    }

    /// What can still be written, by the file system and by what was promised.
    pub fn left_bytes(&self) -> u64 {
        match self.requested_bytes {
            0 => self.available_bytes,
            requested => self
                .available_bytes
                .min(requested.saturating_sub(self.directory_bytes)),
        }
    }

    /// Whether so many files cannot be made.
    pub fn lacks_files(&self, wanted: u64) -> bool {
        self.files > 0 && self.files_free < wanted
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
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
        files: facts.f_files,
        ..Space::default()
    })
}

/// Sums up the files in a directory and in those below it, up to `limit` of them. Links are not followed, other volumes not
/// entered, and what cannot be looked at or goes away meanwhile is left out.
pub fn directory_bytes(directory: &Path, limit: usize) -> std::io::Result<Taken> {
    let device = fs::metadata(directory)?.dev();
    let mut left = limit;
    let mut sum: u64 = 0;
    let mut below: Vec<PathBuf> = Vec::new();
    let mut listed = Some(fs::read_dir(directory)?);
    while let Some(entries) = listed {
        for entry in entries.flatten() {
            if left == 0 {
                return Ok(Taken {
                    bytes: sum,
                    is_all: false,
                });
            }
            left -= 1;
            // Of the entry itself, not of what it links to.
            let Ok(facts) = entry.metadata() else {
                continue;
            };
            if facts.is_dir() && facts.dev() == device {
                below.push(entry.path());
            } else if facts.is_file() {
                sum = sum.saturating_add(facts.len());
            }
        }
        listed = std::iter::from_fn(|| below.pop()).find_map(|path| fs::read_dir(path).ok());
    }
    Ok(Taken {
        bytes: sum,
        is_all: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_disk_and_claim_counts() {
        let space = Space {
            size_bytes: 100,
            available_bytes: 15,
            used_bytes: 45,
            ..Space::default()
        };
        assert_eq!((space.fill_ratio(), space.left_bytes()), (0.75, 15));
        let claimed = |requested_bytes, directory_bytes| Space {
            requested_bytes,
            directory_bytes,
            ..space
        };
        assert_eq!(claimed(20, 10).fill_ratio(), 0.75);
        assert_eq!(claimed(20, 10).left_bytes(), 10);
        assert_eq!(claimed(20, 18).fill_ratio(), 0.9);
        assert_eq!(claimed(20, 30).fill_ratio(), 1.5);
        assert_eq!(claimed(20, 30).left_bytes(), 0);
        assert_eq!(claimed(1_000, 30).left_bytes(), 15);
        assert_eq!(claimed(0, 30).fill_ratio(), 0.75);
        assert_eq!(Space::default().fill_ratio(), 0.0);
    }

    #[test]
    fn files_are_lacking_only_where_they_are_counted() {
        let space = |files, files_free| Space {
            files,
            files_free,
            ..Space::default()
        };
        assert!(!space(0, 0).lacks_files(3));
        assert!(space(100, 2).lacks_files(3));
        assert!(!space(100, 3).lacks_files(3));
    }

    #[test]
    fn a_directory_is_summed_up_with_those_below_and_without_links() {
        let directory = tempfile::tempdir().expect("tempdir");
        let elsewhere = tempfile::tempdir().expect("tempdir");
        fs::write(elsewhere.path().join("large"), [0; 5_000]).expect("write");
        let path = directory.path();
        fs::create_dir_all(path.join("a/b")).expect("directories");
        fs::write(path.join("one"), [0; 10]).expect("write");
        fs::write(path.join("a/two"), [0; 200]).expect("write");
        fs::write(path.join("a/b/.three"), [0; 3_000]).expect("write");
        for (to, name) in [
            (elsewhere.path(), "directory"),
            (&elsewhere.path().join("large"), "file"),
            (path, "loop"),
        ] {
            std::os::unix::fs::symlink(to, path.join(name)).expect("link");
        }
        let sum = |limit| directory_bytes(path, limit).expect("a sum");
        assert_eq!((sum(100).bytes, sum(100).is_all), (3_210, true));
        assert!(!sum(1).is_all);
        assert!(directory_bytes(&path.join("missing"), 100).is_err());
    }
}
