//! Parts of an archive's text: hopped to where it is one of ours, picked out of one pass over any other gzip file.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::definitions::Definitions;
use crate::archive::file::{self, Known};
use crate::archive::index::Index;
use crate::catalog::{Database, Range};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::sql::meta::{self, Meta};
use crate::sql::scanner::{Event, Scanner};

/// Longest statement that is kept.
const STATEMENT_LIMIT: usize = 4 << 20;

/// Bytes of text that are handed on at a time.
const PIECE: usize = 256 << 10;

/// Pieces in flight.
const QUEUE: usize = 12;

/// An archive to take parts of.
struct Source {
    path: PathBuf,
    indexed: Option<(File, Index)>,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)
            .map_err(|error| Failure::io(format!("open archive {}", path.display()), error))?;
        // Where there is no index the pass over the whole file says what is wrong, if anything is.
        let indexed = Index::read(&file).ok().map(|index| (file, index));
        Ok(Self {
            path: path.to_owned(),
            indexed,
        })
    }

    fn damaged(&self, why: impl Into<crate::error::Cause>) -> Failure {
        let what = format!("read archive {}", self.path.display());
        Failure::new(FailureKind::Damaged, what)
            .because(why)
            .remedy("see `pgvigil verify` for what is wrong with it, and use another backup")
    }

    /// Gives the text of ranges, which follow each other, with their numbers, until `take` is false.
    fn ranges(&self, ranges: &[Range], take: &mut dyn FnMut(usize, &[u8]) -> bool) -> Result<()> {
        let wanted: u64 = ranges.iter().map(|range| range.length).sum();
        let (mut given, mut going) = (0, true);
        let mut give = |number: usize, text: &[u8]| {
            given += text.len() as u64;
            going = going && take(number, text);
            going
        };
        match &self.indexed {
            Some((file, index)) => self.hop(file, index, ranges, &mut give)?,
            None => self.pass(ranges, &mut give)?,
        }
        if going && given < wanted {
            return Err(self.damaged("it is shorter than what is known of it"));
        }
        Ok(())
    }

    fn hop(
        &self,
        file: &File,
        index: &Index,
        ranges: &[Range],
        give: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        for (number, range) in ranges.iter().enumerate() {
            let mut text = index.text(file, *range);
            loop {
                let read = std::io::Read::read(&mut text, &mut buffer)
                    .map_err(|error| self.damaged(error))?;
                if read == 0 {
                    break;
                }
                if !give(number, buffer.get(..read).unwrap_or(&[])) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn pass(&self, ranges: &[Range], give: &mut dyn FnMut(usize, &[u8]) -> bool) -> Result<()> {
        let (mut offset, mut number) = (0u64, 0);
        let mut sink = |text: &[u8]| {
            let end = offset + text.len() as u64;
            while let Some(range) = ranges.get(number) {
                let range_end = range.offset.saturating_add(range.length);
                let from = range.offset.max(offset).min(end) - offset;
                let to = range_end.max(offset).min(end) - offset;
                let within = |at: u64| usize::try_from(at).unwrap_or(text.len());
                let part = text.get(within(from)..within(to)).unwrap_or(&[]);
                if !part.is_empty() && !give(number, part) {
                    return false;
                }
                if range_end > end {
                    break;
                }
                number += 1;
            }
            offset = end;
            number < ranges.len()
        };
        let (_, summary) = file::read(&self.path, Known::default(), &mut sink)
            .map_err(|error| Failure::io(format!("read archive {}", self.path.display()), error))?;
        match summary.findings.errors().next() {
            Some(finding) => Err(self.damaged(format!("{}: {}", finding.place, finding.message))),
            None => Ok(()),
        }
    }
}

/// Reads what a section defines; the rows are passed over.
pub(super) fn definitions(
    archive: &Path,
    section: &Database,
    progress: &Progress,
) -> Result<Definitions> {
    let source = Source::open(archive)?;
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut reading = Reading {
        definitions: Definitions::default(),
        encoding: &section.encoding,
        result: Ok(()),
    };
    let mut last = 0;
    let ranges = between(section);
    progress.stage(
        "read definitions",
        ranges.iter().map(|range| range.length).sum(),
    );
    source.ranges(&ranges, &mut |number, text| {
        // Between two ranges lie rows, which the scanner is to expect.
        if number != last && !scanner.in_copy() && reading.result.is_ok() {
            reading.result = Err(source.damaged("rows are not where its manifest has them"));
        }
        last = number;
        scanner.feed(text, &mut |event: Event<'_>| reading.event(&event));
        progress.add(text.len() as u64);
        reading.result.is_ok() && progress.check().is_ok()
    })?;
    progress.check()?;
    reading.result?;
    match scanner.at_rest() {
        Ok(()) => Ok(reading.definitions),
        Err(open) => Err(source.damaged(format!("the section ends {open}"))),
    }
}

/// A section's text without its tables' rows.
fn between(section: &Database) -> Vec<Range> {
    let mut rows: Vec<Range> = section
        .tables
        .iter()
        .flat_map(|table| table.data.iter().copied())
        .filter(|range| range.length > 0)
        .collect();
    rows.sort_by_key(|range| range.offset);
    let mut ranges = Vec::new();
    let mut from = section.range.offset;
    let end = from.saturating_add(section.range.length);
    for range in rows {
        ranges.push(Range {
            offset: from,
            length: range.offset.saturating_sub(from),
        });
        from = range.offset.saturating_add(range.length);
    }
    ranges.push(Range {
        offset: from,
        length: end.saturating_sub(from),
    });
    ranges
}

struct Reading<'a> {
    definitions: Definitions,
    encoding: &'a str,
    result: Result<()>,
}

impl Reading<'_> {
    fn event(&mut self, event: &Event<'_>) {
        if self.result.is_err() {
            return;
        }
        match event {
            Event::Statement(statement) => {
                let (text, whole) = (statement.text, statement.whole);
                self.result = self.definitions.add(self.encoding, text, whole);
            }
            Event::Malformed(why, _) => self.result = Err(tampered(why)),
            Event::Meta { line, inside, .. } => {
                let known = matches!(
                    meta::parse(line),
                    Meta::Connect(_) | Meta::Restrict(_) | Meta::Unrestrict(_) | Meta::RawEncoding
                );
                if *inside || !known {
                    self.result = Err(tampered("a backslash command that no dump holds"));
                }
            }
            Event::Comment(..) | Event::CopyBegin(..) | Event::CopyData(_) | Event::CopyEnd(_) => {}
        }
    }
}

fn tampered(why: &str) -> Failure {
    Failure::new(
        FailureKind::Unsafe,
        format!("read the section of the database: {why}"),
    )
    .remedy(
        "treat the file as tampered with (`pgvigil verify` says where), and do not feed it to psql",
    )
}

/// A piece of rows.
#[derive(Debug)]
pub(super) enum Piece {
    /// A run of rows of this table begins.
    Begin(usize),
    /// Rows.
    Rows(Bytes),
    /// The run ends.
    End,
}

/// Rows, and the thread that reads them.
pub(super) struct Rows {
    pub(super) receiver: Receiver<Piece>,
    reading: JoinHandle<Result<()>>,
}

impl Rows {
    /// Begins to read; `runs` say which rows are whose.
    pub(super) fn read(archive: &Path, mut runs: Vec<(Range, usize)>) -> Self {
        runs.retain(|(range, _)| range.length > 0);
        runs.sort_by_key(|(range, _)| range.offset);
        let (sender, receiver) = channel(QUEUE);
        let archive = archive.to_owned();
        let reading = tokio::task::spawn_blocking(move || read(&archive, &runs, &sender));
        Self { receiver, reading }
    }

    /// Waits for the reader after the last piece: whether all was read.
    pub(super) async fn finish(self) -> Result<()> {
        drop(self.receiver);
        self.reading.await.map_err(|error| {
            Failure::new(FailureKind::Io, "read the archive: a thread broke").because(error)
        })?
    }
}

fn read(archive: &Path, runs: &[(Range, usize)], sender: &Sender<Piece>) -> Result<()> {
    let source = Source::open(archive)?;
    let ranges: Vec<Range> = runs.iter().map(|(range, _)| *range).collect();
    let send = |piece| sender.blocking_send(piece).is_ok();
    let mut open = None;
    source.ranges(&ranges, &mut |number, text| {
        if open != Some(number) {
            let table = runs.get(number).map_or(usize::MAX, |(_, table)| *table);
            if open.is_some() && !send(Piece::End) || !send(Piece::Begin(table)) {
                return false;
            }
            open = Some(number);
        }
        text.chunks(PIECE)
            .all(|rows| send(Piece::Rows(Bytes::copy_from_slice(rows))))
    })?;
    // Without it the taker knows that something is missing.
    if open.is_some() {
        send(Piece::End);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::archive::writer::Writer;
    use crate::catalog::builder::Builder;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE s.a (x text);\nCOPY s.a (x) FROM stdin;\n1\n2\n\\.\n\nCOPY s.b (x) FROM stdin;\n\\.\n\
         COPY s.c (x) FROM stdin;\nCREATE TABLE s.no (x);\n\\.\n\nCREATE INDEX i ON s.a USING btree (x);\n--\n-- PostgreSQL database dump complete\n--\n";

    fn section() -> Database {
        let (mut scanner, mut builder) = (Scanner::new(1000), Builder::new());
        scanner.feed(DUMP.as_bytes(), &mut builder);
        let mut catalog = builder.finish(&scanner).0;
        catalog.databases.pop().expect("a section")
    }

    fn files(text: &[u8]) -> [tempfile::NamedTempFile; 2] {
        let file = || tempfile::NamedTempFile::new().expect("file");
        let ours = file();
        let mut writer = Writer::new(ours.reopen().expect("open"), 3, 1);
        for block in text.chunks(7) {
            assert!(writer.block(block.to_vec()));
        }
        writer.finish().expect("written");
        let foreign = file();
        let mut gzip = flate2::write::GzEncoder::new(
            foreign.reopen().expect("open"),
            flate2::Compression::fast(),
        );
        gzip.write_all(text).expect("written");
        gzip.finish().expect("written");
        [ours, foreign]
    }

    #[test]
    fn definitions_are_read_and_rows_are_not() {
        for file in files(DUMP.as_bytes()) {
            let of = definitions(file.path(), &section(), &Progress::default()).expect("read");
            let texts: Vec<_> = of.all.iter().map(|defined| defined.text.as_str()).collect();
            assert_eq!(
                texts,
                [
                    "CREATE TABLE s.a (x text);",
                    "CREATE INDEX i ON s.a USING btree (x);"
                ]
            );
        }
    }

    #[test]
    fn ranges_that_do_not_fit_are_damage() {
        let mut section = section();
        section.tables[0].data[0].offset -= 3;
        for file in files(DUMP.as_bytes()) {
            let result = definitions(file.path(), &section, &Progress::default());
            assert_eq!(
                result.err().map(|failure| failure.kind()),
                Some(FailureKind::Damaged)
            );
        }
    }

    #[test]
    fn what_no_dump_holds_ends_it() {
        for (text, kind) in [
            (
                DUMP.replace("CREATE INDEX", "\\! touch x\nCREATE INDEX"),
                FailureKind::Unsafe,
            ),
            (
                DUMP.replace("USING btree (x);", "USING btree (x)"),
                FailureKind::Damaged,
            ),
        ] {
            let mut section = section();
            section.range.length = text.len() as u64 - section.range.offset;
            for file in files(text.as_bytes()) {
                let result = definitions(file.path(), &section, &Progress::default());
                assert_eq!(result.err().map(|failure| failure.kind()), Some(kind));
            }
        }
    }

    #[tokio::test]
    async fn rows_come_in_runs() {
        let section = section();
        for file in files(DUMP.as_bytes()) {
            let runs = section.tables.iter().enumerate();
            let runs = runs.map(|(index, table)| (table.data[0], index)).collect();
            let mut rows = Rows::read(file.path(), runs);
            let mut told = String::new();
            while let Some(piece) = rows.receiver.recv().await {
                match piece {
                    Piece::Begin(table) => told.push_str(&format!("<{table}:")),
                    Piece::Rows(rows) => told.push_str(&String::from_utf8_lossy(&rows)),
                    Piece::End => told.push('>'),
                }
            }
            rows.finish().await.expect("read");
            assert_eq!(told, "<0:1\n2\n><2:CREATE TABLE s.no (x);\n>");
        }
    }
}
