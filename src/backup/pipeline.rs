//! The dump's way into the archive: one pass through the scanner, blocks cut at sections, compressed in parallel.
//!
//! Everything is bounded: one buffer, one block in the making, and the writer's queue; when the disk is slow, reading
//! waits, and with it pg_dumpall.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::thread::available_parallelism;

use crate::archive::cutter::Cutter;
use crate::archive::writer::{WriteError, Writer, Written};
use crate::catalog::Catalog;
use crate::catalog::builder::{Builder, STATEMENT_LIMIT};
use crate::error::{Failure, FailureKind, Result};
use crate::finding::Findings;
use crate::outcome::Progress;
use crate::sql::meta::{self, Meta};
use crate::sql::scanner::{Event, Scanner, Sink};

/// Bytes read at once; a pipe holds 64 KiB by default.
const BUFFER: usize = 128 * 1024;

/// Most compressing threads: each has a block in hand, and the memory budget is 64 MiB.
const MOST_WORKERS: usize = 8;

/// What came through.
#[derive(Debug)]
pub(super) struct Piped {
    pub(super) catalog: Catalog,
    pub(super) findings: Findings,
    pub(super) written: Written,
    pub(super) archive_id: u64,
}

/// Builds the catalog and notes where sections begin.
struct Tee {
    builder: Builder,
    borders: Vec<u64>,
}

impl Sink for Tee {
    fn event(&mut self, event: Event<'_>) {
        match &event {
            Event::Meta { line, at, .. } if matches!(meta::parse(line), Meta::Connect(_)) => {
                self.borders.push(at.offset);
            }
            // The rows begin behind the COPY line's newline.
            Event::CopyBegin(_, statement) => self.borders.push(statement.end + 1),
            Event::CopyEnd(at) => self.borders.push(at.offset),
            _ => {}
        }
        self.builder.event(event);
    }

    fn part(&mut self, text: &[u8]) {
        self.builder.part(text);
    }
}

/// Reads to the end and writes the whole archive to `file`; gives the file back, not synced yet.
pub(super) fn run(
    mut input: impl Read,
    file: File,
    archive_id: u64,
    progress: &Progress,
) -> Result<(Piped, File)> {
    let workers = available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_WORKERS);
    let mut writer = Writer::new(file, archive_id, workers);
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut tee = Tee {
        builder: Builder::new(),
        borders: Vec::new(),
    };
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; BUFFER];
    let mut good = true;
    while good {
        let room = cutter.room().min(BUFFER);
        let read = match input.read(buffer.get_mut(..room).unwrap_or(&mut [])) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::io("read from pg_dumpall", error)),
        };
        let text = buffer.get(..read).unwrap_or(&[]);
        cutter.push(text);
        scanner.feed(text, &mut tee);
        progress.add(read as u64);
        let end = cutter.end();
        let seen = tee
            .borders
            .iter()
            .take_while(|border| **border <= end)
            .count();
        for border in tee.borders.drain(..seen) {
            good = good
                && cutter
                    .border(border)
                    .is_none_or(|block| writer.block(block));
        }
        if cutter.room() == 0 {
            good = good && writer.block(cutter.full(scanner.in_copy(), scanner.decided()));
        }
    }
    if let Some(block) = cutter.finish() {
        writer.block(block);
    }
    let (file, written) = writer.finish().map_err(failed)?;
    let (catalog, findings) = tee.builder.finish(&scanner);
    Ok((
        Piped {
            catalog,
            findings,
            written,
            archive_id,
        },
        file,
    ))
}

fn failed(error: WriteError) -> Failure {
    match error {
        WriteError::Io(error) => {
            let remedy = match FailureKind::of_io(&error) {
                FailureKind::NoSpace => {
                    "free space on the volume, or make it larger; nothing was published"
                }
                _ => "check the volume; nothing was published",
            };
            Failure::io("write the archive", error).remedy(remedy)
        }
        broken @ WriteError::Broken(_) => {
            Failure::new(FailureKind::Io, "write the archive").because(broken)
        }
    }
}
