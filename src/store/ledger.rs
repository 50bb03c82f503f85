//! The ledger's file: append, read, check. The format is `crate::ledger`.
//!
//! The directory remembers its head, the number and digest of the last entry: what shows that the end of the ledger was
//! changed or cut off. It is an extended attribute of the directory (xattr(7)), so that it is no file that could be taken
//! for a leftover, and stays when an editor replaces the ledger. A file system without attributes has no such memory, and
//! a copy of the directory may have none. Both are written under the ledger's flock(2).

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, XattrFlags, flock, getxattr, setxattr};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::reports;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::check::{Checked, Checker, KeptHead, Line};
use crate::ledger::{Entry, GENESIS, Head, digest, hex};

/// The ledger's name in a server's directory.
pub const FILE_NAME: &str = "ledger.jsonl";

/// The name of its head, an attribute of the directory.
pub const HEAD_NAME: &str = "user.pgvigil.ledger_head";

/// Longest line that is read. An entry has a few hundred bytes; its message may hold a server's whole error text.
const LINE_LIMIT: u64 = 1 << 20;

/// Longest message that is written: JSON may need six bytes for one of them, and the line has to stay below its limit.
const MESSAGE_LIMIT: usize = 64 << 10;

/// Largest head: a number and a digest.
const HEAD_LIMIT: usize = 4096;

const BEGIN_ANEW: &str = "someone wrote into it: move it away and keep it; a new one begins after `setfattr -x user.pgvigil.ledger_head DIRECTORY`";

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
    let last = last.map(|line| parse_last(directory, &line)).transpose()?;
    let head = read_head(directory)?;
    let fits = remembers(&head, last.as_ref(), &mut file).map_err(&failed)?;
    entry.sequence = last
        .as_ref()
        .map_or(1, |(last, _)| last.sequence.saturating_add(1));
    entry.previous = last.map_or_else(|| GENESIS.to_owned(), |(_, digest)| digest);
    shorten(&mut entry.message);
    let line = serde_json::to_vec(entry).map_err(|error| {
        Failure::new(FailureKind::Io, "write a ledger entry as JSON").because(error)
    })?;
    write_at(&mut file, end, &line).map_err(&failed)?;
    if !fits {
        // The entry counts, but the head goes on to say that the ledger before it is not what was written.
        let what = format!(
            "continue ledger {}: its end is not what {HEAD_NAME} remembers",
            path(directory).display()
        );
        return Err(Failure::new(FailureKind::Io, what)
            .remedy("see `pgvigil ledger verify` and find out who wrote into it"));
    }
    write_head(
        directory,
        &Head {
            sequence: entry.sequence,
            digest: digest(&line),
        },
    )
    .map_err(&failed)
}

fn parse_last(directory: &Path, line: &[u8]) -> Result<(Entry, String)> {
    let entry = serde_json::from_slice(line).map_err(|error| {
        let what = format!(
            "continue ledger {}: its last line is not an entry",
            path(directory).display()
        );
        Failure::new(FailureKind::Io, what)
            .because(error)
            .remedy(BEGIN_ANEW)
    })?;
    Ok((entry, digest(line)))
}

fn write_at(file: &mut File, end: u64, line: &[u8]) -> std::io::Result<()> {
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    let written = file
        .write_all(&[line, b"\n"].concat())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // A full disk must not leave half a line behind; cutting a file back needs no space.
        let _ = file.set_len(end);
    }
    written
}

fn shorten(message: &mut Option<String>) {
    if let Some(text) = message
        && text.len() > MESSAGE_LIMIT
    {
        let end = (0..=MESSAGE_LIMIT).rfind(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

/// The last whole line without its newline, and where the next one goes.
fn last_line(file: &mut File) -> std::io::Result<(Option<Vec<u8>>, u64)> {
    let size = file.seek(SeekFrom::End(0))?;
    let window = size.min(2 * LINE_LIMIT);
    file.seek(SeekFrom::Start(size - window))?;
    let mut tail = Vec::new();
    file.take(window).read_to_end(&mut tail)?;
    let Some(end) = memchr::memrchr(b'\n', &tail) else {
        // Nothing of ours is that long, and what is not ours is not cut away.
        return if window < size {
            Err(std::io::Error::other(
                "its end is one line longer than any entry",
            ))
        } else {
            Ok((None, 0))
        };
    };
    let begin = tail
        .get(..end)
        .and_then(|before| memchr::memrchr(b'\n', before))
        .map_or(0, |newline| newline + 1);
    let line = tail.get(begin..end).unwrap_or(&[]).to_vec();
    Ok((Some(line), size - window + end as u64 + 1))
}

/// What the directory remembers. A file system without attributes remembers nothing.
fn read_head(directory: &Path) -> Result<KeptHead> {
    let mut text = [0; HEAD_LIMIT];
    let length = match getxattr(directory, HEAD_NAME, &mut text) {
        Ok(length) => length,
        Err(Errno::NODATA | Errno::NOENT | Errno::OPNOTSUPP) => return Ok(KeptHead::Missing),
        Err(error) => {
            let what = format!(
                "read the ledger's head of directory {}",
                directory.display()
            );
            return Err(Failure::io(what, error.into()));
        }
    };
    Ok(
        match serde_json::from_slice(text.get(..length).unwrap_or(&[])) {
            Ok(head) => KeptHead::Entry(head),
            Err(error) => KeptHead::Unreadable(error.to_string()),
        },
    )
}

fn write_head(directory: &Path, head: &Head) -> std::io::Result<()> {
    let json = serde_json::to_vec(head)?;
    match setxattr(directory, HEAD_NAME, &json, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether the ledger holds the entry that its head remembers. That is the last one, or after a crash the one before it;
/// only where the head could not be written is it further back, and looked for. A ledger from before there were heads has
/// none.
fn remembers(
    head: &KeptHead,
    last: Option<&(Entry, String)>,
    file: &mut File,
) -> std::io::Result<bool> {
    let head = match head {
        KeptHead::Missing => return Ok(true),
        KeptHead::Unreadable(_) => return Ok(false),
        KeptHead::Entry(head) => head,
    };
    if last.is_some_and(|(last, digest)| *digest == head.digest || last.previous == head.digest) {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut lines = Lines::new(BufReader::new(file));
    while let Some(line) = lines.next_line()? {
        if matches!(line, Line::Whole(text) if digest(text) == head.digest) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The lines of a ledger, in bounded memory.
struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    digest: String,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            digest: String::new(),
        }
    }

    fn next_line(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.fill()?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(Line::Whole(&self.line)));
        }
        let mut hasher = Sha256::new();
        let mut too_long = false;
        while !self.line.is_empty() {
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                hasher.update(&self.line);
                self.digest = hex(&hasher.finalize());
                return Ok(Some(Line::TooLong(&self.digest)));
            }
            too_long |= self.line.len() as u64 == LINE_LIMIT;
            hasher.update(&self.line);
            self.fill()?;
        }
        self.digest = hex(&hasher.finalize());
        // A crash can cut a line short, but not make it longer than any.
        Ok(Some(if too_long {
            Line::TooLong(&self.digest)
        } else {
            Line::Cut
        }))
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.line.clear();
        self.reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut self.line)
            .map(drop)
    }
}

fn open(directory: &Path) -> Result<Option<File>> {
    let path = path(directory);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io(reading(directory), error)),
    }
}

fn reading(directory: &Path) -> String {
    format!("read ledger {}", path(directory).display())
}

/// All entries, the oldest first. A cut last line is passed over; any other line that is no entry is an error.
pub fn read(directory: &Path) -> Result<Vec<Entry>> {
    let Some(file) = open(directory)? else {
        return Ok(Vec::new());
    };
    let mut lines = Lines::new(BufReader::new(file));
    let mut entries = Vec::new();
    loop {
        let line = lines
            .next_line()
            .map_err(|error| Failure::io(reading(directory), error))?;
        let no_entry = |why: Option<serde_json::Error>| {
            let what = format!(
                "{}: line {} is not an entry",
                reading(directory),
                entries.len() + 1
            );
            let failure = Failure::new(FailureKind::Io, what).remedy(BEGIN_ANEW);
            match why {
                Some(error) => failure.because(error),
                None => failure,
            }
        };
        match line {
            None | Some(Line::Cut) => return Ok(entries),
            Some(Line::Whole(text)) => {
                let entry = serde_json::from_slice(text).map_err(|error| no_entry(Some(error)))?;
                entries.push(entry);
            }
            Some(Line::TooLong(_)) => return Err(no_entry(None)),
        }
    }
}

/// Checks the whole ledger and the reports that it names; `each` sees every entry. `None` where there never was one.
pub fn check(
    directory: &Path,
    known: Option<Head>,
    each: &mut dyn FnMut(Entry),
) -> Result<Option<Checked>> {
    let failed = |error| Failure::io(reading(directory), error);
    let file = open(directory)?;
    if let Some(file) = &file {
        // Keeps a job from writing between our looks at ledger and head. Where locks are not to be had, a check that meets
        // a job may find the head one entry behind, which is a note.
        let _ = flock(file, FlockOperation::LockShared);
    }
    let head = read_head(directory)?;
    if file.is_none() && head == KeptHead::Missing {
        return Ok(None);
    }
    let mut checker = Checker::new(head, known);
    if let Some(file) = &file {
        let mut lines = Lines::new(BufReader::new(file));
        while let Some(line) = lines.next_line().map_err(failed)? {
            let Some(entry) = checker.line(line) else {
                continue;
            };
            if let Some(kept) = &entry.report {
                for finding in reports::check(directory, kept, &checker.place())? {
                    checker.push(finding);
                }
            }
            each(entry);
        }
    }
    Ok(Some(checker.finish()))
}
