//! Where backups live: a directory with archives, their manifests and the ledger.
//!
//! [`publish`] is the only place that makes backups appear, [`remove`] the only one that makes them disappear, [`found`]
//! keeps manifests beside those of others, [`lock`] keeps two writers apart, [`ledger`] appends, reads and checks the
//! record, [`agenda`] remembers what was due, [`alerts`] which alerts hold, [`reports`] keeps what drills say, [`record`] writes the small files of all of
//! them, [`space`] says how much room there is. This module names, lists and finds.

pub mod agenda;
pub mod alerts;
pub mod found;
pub mod ledger;
pub mod lock;
pub mod publish;
mod record;
pub mod remove;
pub mod reports;
pub mod space;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use rustix::fs::{Mode, OFlags};

use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::{Manifest, SIZE_LIMIT};
use crate::wildcard;

/// What every archive of ours is called, the runbook's name for it; the time is UTC.
const NAME_FORMAT: &str = "postgresql_backup_%Y%m%d_%H%M%S.sql.gz";

/// What archives end with.
pub const ARCHIVE_SUFFIX: &str = ".sql.gz";

/// What a manifest's name adds to its archive's.
pub const MANIFEST_SUFFIX: &str = ".manifest.json";

/// One archive in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its file name.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: DateTime<Utc>,
}

impl BackupFile {
    /// When the backup was begun: what the name says, else when the file was written.
    pub fn time(&self) -> DateTime<Utc> {
        time_in_name(&self.name).unwrap_or(self.modified)
    }

    /// Whether it was last written to so long ago. A time in the future tells nothing: another machine's clock set it.
    pub fn is_at_rest(&self, settle: Duration, now: DateTime<Utc>) -> bool {
        (now - self.modified)
            .to_std()
            .map_or(true, |age| age >= settle)
    }
}

/// The name of a backup begun at this time.
pub fn archive_name(begun: DateTime<Utc>) -> String {
    begun.format(NAME_FORMAT).to_string()
}

/// The time in an archive's name.
pub fn time_in_name(name: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(name, NAME_FORMAT)
        .ok()
        .map(|time| time.and_utc())
}

/// Whether this is the name of an archive of ours, to the letter.
pub fn is_archive_name(name: &str) -> bool {
    time_in_name(name).is_some_and(|time| archive_name(time) == name)
}

/// The manifest's path beside an archive.
pub fn manifest_path(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(MANIFEST_SUFFIX);
    PathBuf::from(name)
}

/// The archives of a server, the oldest first; those of someone else that may still be written to are not among them.
pub fn archives(server: &Server) -> Result<Vec<BackupFile>> {
    let mut files = list(&server.directory, server.archives())?;
    if let Some(observe) = server.observes() {
        let now = Utc::now();
        files.retain(|file| file.is_at_rest(server.settles(observe, file.bytes), now));
    }
    Ok(files)
}

/// All files of a directory whose names fit a pattern, the oldest first; hidden ones are none.
pub fn list(directory: &Path, pattern: &str) -> Result<Vec<BackupFile>> {
    let failed = |error| {
        Failure::io(format!("list directory {}", directory.display()), error)
            .remedy("check that it exists and is readable")
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') || !wildcard::fits(pattern, &name) {
            continue;
        }
        // A file that goes away while we look was pruned by someone; it is not listed.
        let Ok(facts) = fs::metadata(entry.path()) else {
            continue;
        };
        if facts.is_file() {
            files.push(BackupFile {
                name,
                path: entry.path(),
                bytes: facts.len(),
                modified: modified(&facts),
            });
        }
    }
    files.sort_by(|a, b| (a.time(), &a.name).cmp(&(b.time(), &b.name)));
    Ok(files)
}

/// When a file was last written to.
pub fn modified(facts: &fs::Metadata) -> DateTime<Utc> {
    facts
        .modified()
        .map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from)
}

/// Finds a backup by path, by name in the server's directory, or as `latest`.
pub fn find(server: &Server, wanted: &str) -> Result<PathBuf> {
    let directory = &server.directory;
    if wanted == "latest" {
        let newest = archives(server)?.pop().map(|file| file.path);
        return newest.ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!("find a backup in {}: there is none", directory.display()),
            )
            .remedy(where_from(server))
        });
    }
    let named = directory.join(wanted);
    [Path::new(wanted).to_owned(), named]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!(
                    "find backup {wanted}: there is no such file, and none of that name in {}",
                    directory.display()
                ),
            )
            .remedy("see `pgvigil list` for the names")
        })
}

/// What to do where a server has no backups.
pub fn where_from(server: &Server) -> &'static str {
    if server.observes().is_some() {
        "look at the job that takes them, and whether backup.pattern fits their names"
    } else {
        "take one with `pgvigil backup`, or name a file"
    }
}

/// The manifest beside an archive, if it is about the file as it is now; `None` where there is none.
pub fn current_manifest(archive: &Path) -> Result<Option<Manifest>> {
    current_manifest_up_to(SIZE_LIMIT, archive)
}

/// The same, for whoever has no memory for the largest.
pub fn current_manifest_up_to(limit: u64, archive: &Path) -> Result<Option<Manifest>> {
    let manifest = read_manifest_up_to(limit, archive)?;
    Ok(manifest.filter(|manifest| {
        manifest.is_ours()
            || fs::metadata(archive).is_ok_and(|facts| manifest.fits(facts.len(), modified(&facts)))
    }))
}

/// The manifest beside an archive, which may have been written again since; `None` where there is none.
pub fn read_manifest(archive: &Path) -> Result<Option<Manifest>> {
    read_manifest_up_to(SIZE_LIMIT, archive)
}

fn read_manifest_up_to(limit: u64, archive: &Path) -> Result<Option<Manifest>> {
    let path = manifest_path(archive);
    let what = || format!("read manifest {}", path.display());
    let file = match open_file(&path) {
        Ok(Some(file)) => file,
        Ok(None) => {
            return Err(Failure::new(
                FailureKind::Damaged,
                format!("{}: it is not a file", what()),
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(what(), error)),
    };
    let mut text = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::io(what(), error))?;
    if text.len() as u64 > limit {
        return Err(Failure::new(
            FailureKind::Damaged,
            format!("{}: it is larger than {} MiB", what(), limit >> 20),
        ));
    }
    let manifest = Manifest::from_json(&text).map_err(|error| {
        Failure::new(FailureKind::Damaged, what())
            .because(error)
            .remedy("restore it from a copy, or remove it to use the archive without one")
    })?;
    Ok(Some(manifest))
}

/// Opens a file for reading; `None` where it is something else.
fn open_file(path: &Path) -> std::io::Result<Option<fs::File>> {
    // Not blocking: opening a pipe in its place would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let is_file = file.metadata()?.is_file();
    Ok(is_file.then_some(file))
}

#[cfg(test)]
mod tests;
