//! The only place that makes backups appear in a directory.
//!
//! A file is written under a hidden temporary name, synced, judged by its maker, renamed, and the directory is synced: a
//! crash at any instant leaves no file or a whole one. A backup is an archive and its manifest; the manifest is complete
//! on disk before the archive gets its name, so that a crash between the two renames is mended by [`sweep`] at the next
//! start. All of it needs the directory's [`Lock`].

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use super::lock::Lock;
use super::{ARCHIVE_SUFFIX, MANIFEST_SUFFIX, manifest_path};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::{Manifest, SIZE_LIMIT};

/// What temporary names end with.
const PARTIAL_SUFFIX: &str = ".partial";

/// An archive in the making; removed unless published.
#[derive(Debug)]
pub struct Pending {
    directory: PathBuf,
    name: String,
    done: bool,
}

fn partial_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}{PARTIAL_SUFFIX}"))
}

fn failed(what: &str, path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let what = format!("{what} {}", path.display());
    move |error| {
        let kind = FailureKind::of_io(&error);
        let remedy = match kind {
            FailureKind::NoSpace => "free space on the volume, or make it larger",
            FailureKind::Directory => {
                "make the directory writable for the user that pgvigil runs as"
            }
            _ => "check the volume",
        };
        Failure::io(what.clone(), error).remedy(remedy)
    }
}

/// Begins a file that will be called `name`; gives it open for writing, mode 0600.
pub fn begin(directory: &Path, name: &str, _lock: &Lock) -> Result<(Pending, File)> {
    let path = partial_path(directory, name);
    let file = create(&path)?;
    Ok((
        Pending {
            directory: directory.to_owned(),
            name: name.to_owned(),
            done: false,
        },
        file,
    ))
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create file", path))
}

impl Pending {
    /// Where the archive will be.
    pub fn destination(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Publishes the archive, written and flushed, with its manifest.
    pub fn publish(mut self, archive: &File, manifest: &Manifest) -> Result<PathBuf> {
        let destination = self.destination();
        let json = manifest.to_json().map_err(|error| {
            Failure::new(FailureKind::Io, "write the manifest as JSON").because(error)
        })?;
        archive
            .sync_all()
            .map_err(failed("sync archive", &destination))?;
        let manifest_name = format!("{}{MANIFEST_SUFFIX}", self.name);
        let manifest_partial = partial_path(&self.directory, &manifest_name);
        let mut file = create(&manifest_partial)?;
        file.write_all(&json)
            .and_then(|()| file.sync_all())
            .map_err(failed("write manifest", &manifest_partial))?;
        rename(&partial_path(&self.directory, &self.name), &destination)?;
        let finished = sync_directory(&self.directory)
            .and_then(|()| rename(&manifest_partial, &manifest_path(&destination)))
            .and_then(|()| sync_directory(&self.directory));
        if finished.is_err() {
            // A backup is both files or none: take the archive back, and let the partial manifest go with us.
            let _ = fs::remove_file(&destination);
        }
        finished?;
        self.done = true;
        Ok(destination)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is swept at the next start.
            for name in [self.name.clone(), format!("{}{MANIFEST_SUFFIX}", self.name)] {
                let _ = fs::remove_file(partial_path(&self.directory, &name));
            }
        }
    }
}

/// Renames without ever replacing a file.
fn rename(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::renameat_with(
        rustix::fs::CWD,
        from,
        rustix::fs::CWD,
        to,
        RenameFlags::NOREPLACE,
    ) {
        // Some network file systems do not know the flag; names hold the second, and the lock keeps other writers out.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => {
            fs::rename(from, to)
        }
        other => other.map_err(std::io::Error::from),
    }
    .map_err(failed("publish file", to))
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(failed("sync directory", directory))
}

/// Clears what a killed run left: publishes a manifest whose archive had its name already, removes every other partial
/// file of ours. Gives what was done, for the log.
pub fn sweep(directory: &Path, _lock: &Lock) -> Result<Vec<String>> {
    let mut done = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("list directory", directory))? {
        let entry = entry.map_err(failed("list directory", directory))?;
        let Ok(file_name) = entry.file_name().into_string() else {
            continue;
        };
        let Some(name) = file_name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(PARTIAL_SUFFIX))
        else {
            continue;
        };
        let archive_name = name.strip_suffix(MANIFEST_SUFFIX).unwrap_or(name);
        if !archive_name.starts_with("postgresql_backup_")
            || !archive_name.ends_with(ARCHIVE_SUFFIX)
        {
            continue;
        }
        let archive = directory.join(archive_name);
        if name != archive_name && belongs(&entry.path(), &archive) {
            rename(&entry.path(), &manifest_path(&archive))?;
            done.push(format!(
                "published the manifest of {archive_name}, which a killed run had left behind"
            ));
        } else {
            fs::remove_file(entry.path()).map_err(failed("remove file", &entry.path()))?;
            done.push(format!(
                "removed {file_name}, which a killed run had left behind"
            ));
        }
    }
    Ok(done)
}

/// Whether a manifest left behind is whole and is that of a published archive without one.
fn belongs(partial: &Path, archive: &Path) -> bool {
    let manifest = File::open(partial)
        .ok()
        .and_then(|file| {
            let mut text = Vec::new();
            file.take(SIZE_LIMIT)
                .read_to_end(&mut text)
                .ok()
                .map(|_| text)
        })
        .and_then(|text| Manifest::from_json(&text).ok());
    let size = fs::metadata(archive).map(|facts| facts.len());
    !manifest_path(archive).exists()
        && matches!((manifest, size), (Some(manifest), Ok(size)) if manifest.archive.bytes == size)
}
