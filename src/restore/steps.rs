//! An archive as a stream of steps.

use std::path::Path;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::source::Source;
use crate::archive::file::{self, Known};
use crate::catalog::{Catalog, Database, Range};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::sql::copy::CopyHeader;
use crate::sql::meta::{self, Meta};
use crate::sql::scanner::{Event, Position, Scanner, Sink};

/// Longest statement that is restored: one INSERT of a large value may have this. PostgreSQL takes up to 1 GB, but a
/// statement is in memory several times on its way, and a drill has about 128 MiB.
const STATEMENT_LIMIT: usize = 64 << 20;

/// Steps in flight. Pieces of COPY data have a megabyte at the most.
const QUEUE: usize = 12;

/// A statement from which on no other waits in the queue.
const LONG: usize = 1 << 20;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Go on in this database.
    Connect(String),
    /// Run a statement.
    Statement(Vec<u8>, Position),
    /// Begin loading a table; the text is the COPY statement in the section's encoding.
    CopyBegin(Box<CopyHeader>, Vec<u8>, Position),
    /// Rows for it.
    CopyData(Bytes),
    /// The rows of the table that was begun stand at this range of the dump, and are read from there.
    CopyRange(Range),
    /// The end of its rows.
    CopyEnd,
    /// Text that must not be run.
    Refused(String, Position),
    /// A statement longer than any that is restored.
    TooLong(Position),
}

/// Steps, and the thread that makes them.
pub(super) struct Steps {
    /// The next steps; closed at the end of the archive.
    pub(super) receiver: Receiver<Step>,
    reading: JoinHandle<Result<()>>,
}

impl Steps {
    /// Begins to read all of an archive, data and all.
    pub(super) fn stream(archive: &Path, progress: &Progress) -> Self {
        let (sender, receiver) = channel(QUEUE);
        let (archive, progress) = (archive.to_owned(), progress.clone());
        let reading = tokio::task::spawn_blocking(move || stream(&archive, sender, &progress));
        Self { receiver, reading }
    }

    /// Begins to read what a dump says beside its rows: they are passed over where the archive has an index, and come as
    /// steps where it has none.
    pub(super) fn beside_rows(
        archive: &Path,
        catalog: &Catalog,
        progress: &Progress,
    ) -> Result<Self> {
        let Some(source) = Source::open(archive)? else {
            return Ok(Self::stream(archive, progress));
        };
        let mut data: Vec<Range> = catalog.databases.iter().flat_map(Database::data).collect();
        data.sort_by_key(|range| range.offset);
        let all = Range {
            offset: 0,
            length: catalog.bytes,
        };
        Ok(Self::of_part(&source, all, data, progress))
    }

    /// Begins to read a part of an archive without the rows of its tables, which stand at `data`, sorted.
    pub(super) fn of_part(
        source: &Source,
        part: Range,
        data: Vec<Range>,
        progress: &Progress,
    ) -> Self {
        let (sender, receiver) = channel(QUEUE);
        let (source, progress) = (source.clone(), progress.clone());
        let reading =
            tokio::task::spawn_blocking(move || part_of(&source, part, &data, sender, &progress));
        Self { receiver, reading }
    }

    /// Why there are no more steps where more had to come.
    pub(super) async fn ended_early(&mut self) -> Failure {
        let what = "read the archive: it ends inside of COPY data";
        match (&mut self.reading).await {
            Ok(Err(failure)) => failure,
            _ => Failure::new(FailureKind::Damaged, what).remedy("use another backup"),
        }
    }

    /// Waits for the reader after the last step: whether the archive was read to its end.
    pub(super) async fn finish(self) -> Result<()> {
        drop(self.receiver);
        self.reading.await.map_err(|error| {
            Failure::new(FailureKind::Io, "read the archive: a thread broke").because(error)
        })?
    }
}

struct Forward {
    sender: Sender<Step>,
    /// Nobody takes steps any more.
    closed: bool,
}

impl Forward {
    fn send(&mut self, step: Step) {
        self.closed = self.closed || self.sender.blocking_send(step).is_err();
    }

    /// Waits until all steps before are taken: long statements must not queue up.
    fn wait_until_empty(&mut self) {
        let empty = self.sender.reserve_many(QUEUE);
        self.closed = self.closed || Handle::current().block_on(empty).is_err();
    }
}

impl Sink for Forward {
    fn event(&mut self, event: Event<'_>) {
        let step = match event {
            Event::Comment(..) => return,
            Event::CopyData(data) => Step::CopyData(Bytes::copy_from_slice(data)),
            Event::CopyEnd(_) => Step::CopyEnd,
            Event::CopyBegin(header, statement) => {
                Step::CopyBegin(header, statement.text.to_vec(), statement.at)
            }
            Event::Statement(statement) if statement.whole => {
                if statement.text.len() > LONG {
                    self.wait_until_empty();
                }
                Step::Statement(statement.text.to_vec(), statement.at)
            }
            Event::Statement(statement) => Step::TooLong(statement.at),
            Event::Malformed(why, at) => Step::Refused(why.to_owned(), at),
            Event::Meta { line, at, inside } => match meta::parse(line) {
                Meta::Connect(name) if !inside => Step::Connect(name),
                Meta::Restrict(_) | Meta::Unrestrict(_) | Meta::RawEncoding if !inside => return,
                _ => Step::Refused("a backslash command".to_owned(), at),
            },
        };
        self.send(step);
    }
}

fn stream(archive: &Path, sender: Sender<Step>, progress: &Progress) -> Result<()> {
    let failed = |error| Failure::io(format!("read archive {}", archive.display()), error);
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut forward = Forward {
        sender,
        closed: false,
    };
    let mut sink = |text: &[u8]| {
        scanner.feed(text, &mut forward);
        progress.add(text.len() as u64);
        !forward.closed && progress.check().is_ok()
    };
    let (_, summary) = file::read(archive, Known::default(), &mut sink).map_err(failed)?;
    progress.check()?;
    let fault = summary
        .findings
        .errors()
        .next()
        .map(|finding| format!("{}: {}", finding.place, finding.message));
    let open = scanner
        .at_rest()
        .err()
        .map(|open| format!("the dump ends {open}"));
    match fault.or(open) {
        Some(why) if !forward.closed => Err(Failure::new(
            FailureKind::Damaged,
            format!("read archive {}: {why}", archive.display()),
        )
        .remedy("use another backup")),
        _ => Ok(()),
    }
}

fn part_of(
    source: &Source,
    part: Range,
    data: &[Range],
    sender: Sender<Step>,
    progress: &Progress,
) -> Result<()> {
    let mut scanner = Scanner::begin_at(STATEMENT_LIMIT, part.offset);
    let mut forward = Forward {
        sender,
        closed: false,
    };
    let end = part.offset.saturating_add(part.length);
    let mut at = part.offset;
    for range in data.iter().chain([&Range {
        offset: end,
        length: 0,
    }]) {
        let text = Range {
            offset: at,
            length: range.offset.saturating_sub(at),
        };
        source.read(text, |piece| {
            scanner.feed(&piece, &mut forward);
            progress.add(piece.len() as u64);
            progress.check()?;
            Ok(!forward.closed)
        })?;
        if range.offset == end || forward.closed {
            break;
        }
        if !scanner.skip_copy(range.length) {
            return Err(source.damaged(&format!(
                "there are no rows of a table at byte {} of the dump",
                range.offset
            )));
        }
        forward.send(Step::CopyRange(*range));
        at = range.offset.saturating_add(range.length);
    }
    match scanner.at_rest() {
        Err(open) if !forward.closed => Err(source.damaged(&format!("the text ends {open}"))),
        _ => Ok(()),
    }
}
