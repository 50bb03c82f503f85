//! Small files that are written whole: the ledger's head, reports of drills. Readers see the old one or the new one, and
//! so does whoever looks after a crash. Unlike [`super::publish`] this needs no lock: callers choose names that no other
//! writer uses at the same time, or name what is written under until it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file of mode 0600, in the place of one of that name.
pub(super) fn write(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    write_under(directory, name, &format!(".{name}.partial"), bytes)
}

/// The same, under another name until it is whole.
pub(super) fn write_under(
    directory: &Path,
    name: &str,
    partial: &str,
    bytes: &[u8],
) -> std::io::Result<()> {
    let partial = directory.join(partial);
    let written = write_partial(&partial, bytes)
        .and_then(|()| fs::rename(&partial, directory.join(name)))
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // A full disk must not keep half a file; what cannot be removed is written over the next time.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write_partial(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // What a crash left under this name goes first: its mode and its links are not ours to trust.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
