//! What verification, drills and the check of the ledger find: typed, with a level, a place and a remedy, and collected instead of stopping at the
//! first.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing; proves nothing bad.
    Note,
    /// Something could not be checked, or will need attention.
    Warning,
    /// What was checked, a backup or the ledger, is at fault.
    Error,
}

/// What was found. The names are part of the JSON output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The file holds no bytes.
    EmptyFile,
    /// The file does not begin like gzip, or a member's header is malformed.
    BadHeader,
    /// Compressed data that does not inflate, or whose checksum or length is wrong.
    BadMember,
    /// A whole member that belongs elsewhere: order, repetition, or another backup.
    MisplacedMember,
    /// The file ends before the archive does.
    Truncated,
    /// Bytes after the end of the archive.
    TrailingGarbage,
    /// The file's size or digest is not the manifest's.
    DigestMismatch,
    /// There is no manifest beside the file.
    NoManifest,
    /// The manifest cannot be read.
    BadManifest,
    /// The content differs from the manifest's catalog.
    CatalogMismatch,
    /// The text is not a PostgreSQL dump.
    NotADump,
    /// An end marker is missing.
    MissingEndMarker,
    /// The text ends inside a statement, a quote or a COPY.
    NotAtRest,
    /// A backslash command other than those that a dump holds.
    MetaCommand,
    /// A statement that no dump holds or that reaches outside of the database.
    RefusedStatement,
    /// Text that does not follow the dump grammar.
    Malformed,
    /// A table whose rows or content differ.
    TableDiffers,
    /// A sequence whose value differs.
    SequenceDiffers,
    /// Large objects that differ.
    LargeObjectsDiffer,
    /// Another object, or a statement that defines something, that is missing, too much or other than it was.
    ObjectDiffers,
    /// A check that was not done, and why.
    NotDone,
    /// A line of the ledger that is no entry.
    NotAnEntry,
    /// A ledger entry whose `previous` is not the digest of the line before it.
    BrokenChain,
    /// A ledger entry with another number than was due: a gap, a repetition, another order.
    WrongSequence,
    /// The ledger's last line has no end.
    CutLine,
    /// A ledger entry that is older than the one before it.
    TimeBackwards,
    /// An entry that was written is not in the ledger as it was written.
    EntryChanged,
    /// An entry that was written is not in the ledger any more.
    EntryRemoved,
    /// What remembers the ledger's last entry is missing, behind, or not readable.
    BadHead,
    /// A drill's report that the ledger names is not there.
    ReportMissing,
    /// A drill's report is not the one whose digest the ledger holds.
    ReportChanged,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// How bad.
    pub level: Level,
    /// Where: a member and its file offset, a line and its dump offset, a table.
    pub place: String,
    /// What is wrong there.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How many findings are kept; a file of garbage must not become a list of garbage. Measured on nothing: a reader stops
/// long before.
const KEPT: usize = 200;

/// A bounded list of findings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// The first ones found.
    pub list: Vec<Finding>,
    /// How many more there were.
    pub not_shown: u64,
}

impl Finding {
    /// A finding that puts the backup at fault, with the remedy that goes with its kind.
    pub fn error(kind: FindingKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            level: Level::Error,
            place: place.into(),
            message: message.into(),
            remedy: kind.remedy().to_owned(),
        }
    }

    /// The same at another level.
    #[must_use]
    pub fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }
}

impl FindingKind {
    /// Whether this says that the dump's text ends too early, or is none.
    pub const fn is_open_end(self) -> bool {
        matches!(
            self,
            Self::NotAtRest | Self::MissingEndMarker | Self::NotADump
        )
    }

    /// What a person does about such a finding.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::EmptyFile | Self::NotADump => {
                "delete the file, take a new backup, and look at the job that wrote it"
            }
            Self::BadHeader | Self::BadMember | Self::MisplacedMember | Self::DigestMismatch => {
                "do not rely on this file: use another backup or a copy of this one, take a new one, and check the disk it lies on"
            }
            Self::Truncated | Self::MissingEndMarker | Self::NotAtRest => {
                "do not rely on this file: it ends too early; use another backup and take a new one"
            }
            Self::TrailingGarbage => {
                "find out what appended to the file; the part before it may still be whole"
            }
            Self::NoManifest => {
                "only what the file itself proves was checked; take backups with pgvigil to have content compared"
            }
            Self::BadManifest => {
                "restore the manifest from a copy, or remove it to have the file checked without one"
            }
            Self::CatalogMismatch => "the text is not what was backed up: use another backup",
            Self::MetaCommand | Self::RefusedStatement => {
                "no pg_dumpall writes this: treat the file as tampered with, and do not feed it to psql"
            }
            Self::Malformed => {
                "the text is not what pg_dumpall writes: check how the file was made"
            }
            Self::TableDiffers
            | Self::SequenceDiffers
            | Self::LargeObjectsDiffer
            | Self::ObjectDiffers => {
                "this backup does not give back what it holds: keep an older proven one and take a new one"
            }
            Self::NotDone => "see the reason; the check counts as not proven",
            Self::NotAnEntry
            | Self::BrokenChain
            | Self::WrongSequence
            | Self::EntryChanged
            | Self::EntryRemoved => {
                "do not take this ledger for evidence from here on: compare it with a copy and find out who wrote into it; to begin anew, move all ledger files away together and keep them"
            }
            Self::CutLine => {
                "nothing: a crash can cut the line that is being written, and the next job drops it"
            }
            Self::TimeBackwards => "check the clock of the machine: it was set back",
            Self::BadHead => {
                "compare with what you noted of an earlier check (--known): this alone cannot show whether the end of the ledger was changed"
            }
            Self::ReportMissing => {
                "put the report back from a copy of the directory; the ledger's entry stays valid without it"
            }
            Self::ReportChanged => {
                "do not rely on this report: put it back from a copy of the directory"
            }
        }
    }
}

impl Findings {
    /// Adds one, unless the list is long enough already.
    pub fn push(&mut self, finding: Finding) {
        if self.list.len() < KEPT {
            self.list.push(finding);
        } else {
            self.not_shown += 1;
        }
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        for finding in other.list {
            self.push(finding);
        }
        self.not_shown += other.not_shown;
    }

    /// Those that put the backup at fault.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.list
            .iter()
            .filter(|finding| finding.level == Level::Error)
    }

    /// Whether nothing puts the backup at fault.
    pub fn is_good(&self) -> bool {
        self.errors().next().is_none()
    }
}
