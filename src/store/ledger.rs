//! The ledger's file: append, read. The format is `crate::ledger`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{Entry, GENESIS, digest};

/// The ledger's name in a server's directory.
pub const FILE_NAME: &str = "ledger.jsonl";

/// Longest line that is read. An entry has a few hundred bytes; its message may hold a server's whole error text.
const LINE_LIMIT: u64 = 1 << 20;

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

fn failed(directory: &Path) -> impl Fn(std::io::Error) -> Failure {
    let what = format!("write to ledger {}", path(directory).display());
    move |error| {
        Failure::io(what.clone(), error)
            .remedy("make the directory writable and check its free space")
    }
}

/// Appends an entry; its `sequence` and `previous` are filled in here. A line that a crash had cut is dropped first.
pub fn append(directory: &Path, entry: &mut Entry) -> Result<()> {
    let failed = failed(directory);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path(directory))
        .map_err(&failed)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let (last, end) = last_line(&mut file).map_err(&failed)?;
    let last_sequence = match &last {
        Some(line) => {
            serde_json::from_slice::<Entry>(line)
                .map_err(|error| {
                    Failure::new(
                        FailureKind::Io,
                        format!(
                            "continue ledger {}: its last line is not an entry",
                            path(directory).display()
                        ),
                    )
                    .because(error)
                    .remedy("move the file away and keep it: someone wrote into it")
                })?
                .sequence
        }
        None => 0,
    };
    entry.sequence = last_sequence + 1;
    entry.previous = last.map_or_else(|| GENESIS.to_owned(), |line| digest(&line));
    let mut line = serde_json::to_vec(entry).map_err(|error| {
        Failure::new(FailureKind::Io, "write a ledger entry as JSON").because(error)
    })?;
    line.push(b'\n');
    if line.len() as u64 > LINE_LIMIT {
        return Err(failed(too_long()));
    }
    file.set_len(end).map_err(&failed)?;
    file.seek(SeekFrom::Start(end)).map_err(&failed)?;
    if let Err(error) = file.write_all(&line).and_then(|()| file.sync_all()) {
        // A full disk must not leave half a line behind; cutting a file back needs no space.
        let _ = file.set_len(end);
        return Err(failed(error));
    }
    Ok(())
}

/// The last whole line without its newline, and where the next one goes.
fn last_line(file: &mut File) -> std::io::Result<(Option<Vec<u8>>, u64)> {
    let size = file.seek(SeekFrom::End(0))?;
    let window = size.min(2 * LINE_LIMIT);
    file.seek(SeekFrom::Start(size - window))?;
    let mut tail = Vec::new();
    file.take(window).read_to_end(&mut tail)?;
    let Some(end) = memchr::memrchr(b'\n', &tail) else {
        // Only a file that never had a whole line may begin anew.
        return if window == size {
            Ok((None, 0))
        } else {
            Err(too_long())
        };
    };
    let begin = tail
        .get(..end)
        .and_then(|before| memchr::memrchr(b'\n', before))
        .map_or(0, |newline| newline + 1);
    let line = tail.get(begin..end).unwrap_or(&[]).to_vec();
    Ok((Some(line), size - window + end as u64 + 1))
}

fn too_long() -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "it has a line that no pgvigil wrote: move the file away and keep it",
    )
}

/// All entries, the oldest first. A cut last line is passed over; any other line that is no entry is an error.
pub fn read(directory: &Path) -> Result<Vec<Entry>> {
    let path = path(directory);
    let what = || format!("read ledger {}", path.display());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io(what(), error)),
    };
    let mut reader = BufReader::new(file);
    let mut entries = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::io(what(), error))?;
        if line.len() as u64 == LINE_LIMIT && !line.ends_with(b"\n") {
            return Err(Failure::io(what(), too_long()));
        }
        if line.pop() != Some(b'\n') {
            return Ok(entries);
        }
        let entry = serde_json::from_slice(&line).map_err(|error| {
            Failure::new(
                FailureKind::Io,
                format!("{}: line {} is not an entry", what(), entries.len() + 1),
            )
            .because(error)
            .remedy("move the file away and keep it: someone wrote into it")
        })?;
        entries.push(entry);
    }
}
