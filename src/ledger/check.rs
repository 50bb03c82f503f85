//! Does a ledger hold together? Lines go in, one after the other; findings come out. No files, no clock.
//!
//! The chain shows every change but one at its end: of the last line, nothing after it holds the digest. That line is
//! held against what *witnesses* remember: the head beside the ledger, and an entry that a person noted elsewhere. Who
//! may write the directory can rewrite ledger and head alike; only the noted entry shows that.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Entry, GENESIS, Head, digest};
use crate::finding::{Finding, FindingKind, Findings, Level};

/// How far back an entry may lie without a word. Jobs that end at once write in any order, and clocks are slewed; neither
/// amounts to seconds.
const SLACK: TimeDelta = TimeDelta::seconds(10);

/// One line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its newline.
    Whole(&'a [u8]),
    /// A line that is longer than any entry, by its digest.
    TooLong(&'a str),
    /// The last line, which has no newline.
    Cut,
}

/// What is beside the ledger to remember its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptHead {
    /// An entry.
    Entry(Head),
    /// Nothing.
    Missing,
    /// Something else, and why.
    Unreadable(String),
}

/// What was found out about a ledger.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Lines that are entries.
    pub entries: u64,
    /// When the first of them began.
    pub first_at: Option<DateTime<Utc>>,
    /// When the last of them ended.
    pub last_at: Option<DateTime<Utc>>,
    /// The last of them: what a person may note.
    pub last: Option<Head>,
    /// Findings that put the ledger at fault, those not listed included.
    pub faults: u64,
    /// Everything found.
    pub findings: Findings,
}

impl Checked {
    /// Whether nothing puts the ledger at fault.
    pub fn is_good(&self) -> bool {
        self.faults == 0
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        // Counted here: the list keeps only so many, and a fault behind many warnings is a fault.
        if finding.level == Level::Error {
            self.faults += 1;
        }
        self.findings.push(finding);
    }
}

/// Something that remembers an entry.
#[derive(Debug)]
struct Witness {
    name: &'static str,
    entry: Head,
    seen: bool,
}

/// A ledger under check.
#[derive(Debug)]
pub struct Checker {
    line: u64,
    /// Number of the line before.
    sequence: u64,
    /// Digest of the line before.
    previous: String,
    head: Option<Witness>,
    known: Option<Witness>,
    head_missing: bool,
    checked: Checked,
}

impl Checker {
    /// Begins; `known` is an entry that someone noted.
    pub fn new(head: KeptHead, known: Option<Head>) -> Self {
        let witness = |name, entry| Witness {
            name,
            entry,
            seen: false,
        };
        let mut checker = Self {
            line: 0,
            sequence: 0,
            previous: GENESIS.to_owned(),
            head: None,
            known: known.map(|known| witness("your note", known)),
            head_missing: head == KeptHead::Missing,
            checked: Checked::default(),
        };
        match head {
            KeptHead::Entry(head) => checker.head = Some(witness("the ledger's head", head)),
            KeptHead::Missing => {}
            KeptHead::Unreadable(why) => checker.checked.push(Finding::error(
                FindingKind::BadHead,
                "head",
                format!("it cannot be read: {why}"),
            )),
        }
        checker
    }

    /// Where we are.
    pub fn place(&self) -> String {
        format!("line {}", self.line)
    }

    /// Takes the next line; gives its entry, if it is one.
    pub fn line(&mut self, line: Line<'_>) -> Option<Entry> {
        self.line += 1;
        match line {
            Line::Whole(text) => match serde_json::from_slice::<Entry>(text) {
                Ok(entry) => {
                    self.entry(&entry, digest(text));
                    Some(entry)
                }
                Err(error) => {
                    self.no_entry(digest(text), &format!("it is not an entry: {error}"));
                    None
                }
            },
            Line::TooLong(digest) => {
                self.no_entry(digest.to_owned(), "it is longer than any entry");
                None
            }
            Line::Cut => {
                let cut = Finding::error(
                    FindingKind::CutLine,
                    self.place(),
                    "it ends without a newline",
                );
                self.checked.push(cut.at(Level::Note));
                None
            }
        }
    }

    /// Adds a finding about the line just taken.
    pub fn push(&mut self, finding: Finding) {
        self.checked.push(finding);
    }

    fn fault(&mut self, kind: FindingKind, message: impl Into<String>) {
        self.checked
            .push(Finding::error(kind, self.place(), message));
    }

    fn no_entry(&mut self, digest: String, why: &str) {
        self.fault(FindingKind::NotAnEntry, why);
        // The lines after it are held against what is there, so that one fault is told once.
        self.sequence = self.sequence.saturating_add(1);
        self.previous = digest;
    }

    fn entry(&mut self, entry: &Entry, digest: String) {
        self.sequence_of(entry);
        if entry.previous != self.previous {
            let before = if self.line == 1 {
                "the zeros that a ledger begins with".to_owned()
            } else {
                format!("the digest of line {}", self.line - 1)
            };
            self.fault(
                FindingKind::BrokenChain,
                format!("its `previous` is not {before}: one of the two was changed, or lines between them are gone"),
            );
        }
        self.times_of(entry);
        for witness in [&mut self.head, &mut self.known].into_iter().flatten() {
            witness.seen |=
                witness.entry.sequence == entry.sequence && witness.entry.digest == digest;
        }
        self.sequence = entry.sequence;
        self.previous.clone_from(&digest);
        self.checked.entries += 1;
        self.checked.last = Some(Head {
            sequence: entry.sequence,
            digest,
        });
    }

    fn sequence_of(&mut self, entry: &Entry) {
        let due = self.sequence.saturating_add(1);
        let message = match entry.sequence {
            number if number == due => return,
            number if number == due.saturating_add(1) => {
                format!("entry {due} is missing before it")
            }
            number if number > due => {
                format!("entries {due} to {} are missing before it", number - 1)
            }
            number => {
                format!("it is entry {number} where {due} was due: it is repeated or out of order")
            }
        };
        self.fault(FindingKind::WrongSequence, message);
    }

    fn times_of(&mut self, entry: &Entry) {
        if entry.observed {
            // Its times are those of a file of someone else, which may have been there for long.
            return;
        }
        let message = match self.checked.last_at {
            Some(before) if before - entry.finished_at > SLACK => Some(format!(
                "it ended at {}, the one before it at {before}",
                entry.finished_at
            )),
            _ if entry.started_at - entry.finished_at > SLACK => Some(format!(
                "it ended at {} and began at {}",
                entry.finished_at, entry.started_at
            )),
            _ => None,
        };
        if let Some(message) = message {
            let finding = Finding::error(FindingKind::TimeBackwards, self.place(), message);
            self.checked.push(finding.at(Level::Warning));
        }
        self.checked.first_at.get_or_insert(entry.started_at);
        self.checked.last_at = Some(entry.finished_at);
    }

    /// Ends.
    pub fn finish(mut self) -> Checked {
        let witnesses = [self.head.take(), self.known.take()];
        let end = self.checked.last.as_ref().map_or(0, |last| last.sequence);
        if self.head_missing && self.checked.entries > 0 {
            let finding = Finding::error(
                FindingKind::BadHead,
                "head",
                "nothing remembers the last entry: the directory is a copy, or its file system keeps no attributes",
            );
            self.checked.push(finding.at(Level::Warning));
        }
        for (index, witness) in witnesses.into_iter().enumerate() {
            let Some(Witness { name, entry, seen }) = witness else {
                continue;
            };
            match seen {
                true if index == 0 => self.behind(end.saturating_sub(entry.sequence)),
                true => {}
                false if entry.sequence > end => self.checked.push(Finding::error(
                    FindingKind::EntryRemoved,
                    "end",
                    format!(
                        "{name} remembers entry {}, and the ledger ends with {end}",
                        entry.sequence
                    ),
                )),
                false => self.checked.push(Finding::error(
                    FindingKind::EntryChanged,
                    format!("entry {}", entry.sequence),
                    format!("it is not as {name} remembers it"),
                )),
            }
        }
        self.checked
    }

    /// A crash between an entry and its head leaves the head one behind; more means that it could not be written.
    fn behind(&mut self, entries: u64) {
        let level = match entries {
            0 => return,
            1 => Level::Note,
            _ => Level::Warning,
        };
        let message = format!("it does not yet remember the last entries ({entries})");
        let finding = Finding::error(FindingKind::BadHead, "head", message);
        self.checked.push(finding.at(level));
    }
}

#[cfg(test)]
pub(super) mod tests;
