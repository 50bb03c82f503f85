//! One table of a backup, or a few, into a live database, while everything else in it stays as it is.
//!
//! ```text
//!  archive ── definitions (rows passed over) ─┐
//!  patterns ──────────────────────── choose ──┤              one transaction:
//!  live database ── what is there ────────────┴─ make | fill ── lock ─ make or empty ─ load ─ indexes, keys ─ check ─ commit
//! ```
//! The safe way is the default: a table beside the live one, under a new name, to look at and to merge from. A table that is
//! gone comes back under its own. Rows in place of the live ones, or added to them, or the whole table anew, only if asked.
//!
//! There is no scratch database on the live server, and the dump's text is never run as it comes: [`statement`] reads which
//! statement belongs to which table, [`rewrite`] gives it its new names, and each runs singly. Whatever goes wrong, the
//! transaction is rolled back and the database is as it was.
//!
//! What it does not guard against: a definition may call functions of the live database (in defaults, checks, index
//! expressions), as it did in the dumped one.

mod apply;
mod choose;
mod definitions;
mod describe;
mod family;
mod fill;
mod foreign_keys;
mod live;
mod load;
mod make;
pub mod name;
mod naming;
mod part;
pub mod pattern;
mod planning;
mod rewrite;
mod sequences;
mod source;
mod statement;
mod triggers;
mod work;

use std::path::PathBuf;
use std::time::Duration;

pub use apply::{Done, DoneTable};
pub use name::Name;
pub use planning::plan;

use crate::catalog::Sequence;
use crate::manifest::SessionSettings;
use fill::Fill;
use live::LiveTable;
use load::Load;
use make::Made;

/// How long a statement waits for a lock, unless told otherwise: while it waits for a table, all who come later wait for us.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What to restore, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The archive.
    pub archive: PathBuf,
    /// The database's section of the dump; empty for the only one of a pg_dump file, which does not say its name.
    pub database: String,
    /// The database on the target.
    pub into: String,
    /// Tables, see [`pattern::Pattern`].
    pub patterns: Vec<String>,
    /// The new name of the only table: `new` or `schema.new`, quoted as in SQL.
    pub rename: Option<String>,
    /// What happens to what is there.
    pub mode: Mode,
    /// Settings of the dump's session in the database, from the manifest: rows read back equal only under the same.
    pub settings: Option<SessionSettings>,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
}

/// What happens to a table that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It stays, and the backup's comes beside it under a new name; under its own if it is gone.
    #[default]
    NewName,
    /// Its rows go, and the backup's come.
    Truncate,
    /// Its rows stay, and the backup's are added.
    Append,
    /// It goes with its definition, and the backup's comes.
    Replace,
}

/// A restore of tables, planned.
#[derive(Clone, Debug)]
pub struct Planned {
    request: Request,
    /// The section's client_encoding.
    encoding: String,
    work: Task,
    loads: Vec<Load>,
    /// All tables that are meant, partitioned ones without rows of their own among them.
    tables: Vec<Name>,
    /// Values of sequences in the backup.
    sequences: Vec<Sequence>,
    /// Live tables that are replaced, filled, or left beside the new ones.
    live: Vec<LiveTable>,
    notes: Vec<String>,
    refusals: Vec<String>,
}

/// What is done around the rows.
#[derive(Clone, Debug)]
enum Task {
    /// Tables are made; `dropped` go before that.
    Make { made: Box<Made>, dropped: Vec<Name> },
    /// Live tables are filled.
    Fill { fill: Fill, empty: bool },
}

impl Planned {
    /// Live tables whose rows go: (schema, table), for a backup of them before that.
    pub fn tables_to_save(&self) -> Vec<(String, String)> {
        let gone = match &self.work {
            Task::Make { dropped, .. } => !dropped.is_empty(),
            Task::Fill { empty, .. } => *empty,
        };
        let live = self.live.iter().filter(|_| gone);
        live.map(|table| (table.name.schema.clone(), table.name.name.clone()))
            .collect()
    }

    /// Why it will not be done, each with what to do; empty where it can be.
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    /// What to know about it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
