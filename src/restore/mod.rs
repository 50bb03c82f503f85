//! The restore engine: a dump's text becomes statements and COPY streams on sessions of ours, and not one error is
//! tolerated.
//!
//! The text is never handed to anyone who would interpret it. [`steps`] parses it on a thread of its own and hands owned
//! steps through a bounded queue to [`runner`]. Every statement is read first and refused if no dump holds it; a
//! [`policy`] then decides whether it is run and in which form; it goes as a single one, because the extended protocol
//! takes no more. What the dump expects of this machine and does not find, [`surroundings`] replaces where no row depends on
//! it, and remembers.
//!
//! ```text
//!  archive ─ source ─ steps ─> runner ─ policy ─> lane (session)          in the order of the dump
//!               └──── rows ──> tasks ──────────> lanes (sessions)          tables, then indexes, side by side
//!                              cluster: databases side by side
//! ```
//!
//! An archive of ours is read where its parts stand: several tables at once, a large one in several pieces. Any other gzip
//! file is read once from its beginning; only its indexes and constraints are built side by side.

pub mod cluster;
pub mod given;
mod judge;
mod lane;
mod memberships;
pub mod plan;
mod policy;
mod rows;
mod runner;
mod scratch_policy;
pub mod server;
mod settings;
mod source;
mod steps;
mod surroundings;
pub mod table;
mod tasks;

use std::collections::BTreeSet;

use crate::catalog::definitions::Definitions;
pub use surroundings::Lacking;

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// Statements run, COPY not counted.
    pub statements: u64,
    /// Tables loaded.
    pub tables: u64,
    /// Rows loaded, as the server counted them.
    pub rows: u64,
    /// Wall time.
    pub seconds: f64,
    /// Roles, owners and grants that the dump defines.
    pub definitions: Definitions,
    /// What this machine lacks, and what was done instead.
    pub lacking: Vec<Lacking>,
    /// Parameters that this machine cannot set as databases and roles of the dump do.
    pub unset: BTreeSet<String>,
    /// Rows as they were sent, where that was to be known.
    pub(crate) sent: Vec<tasks::Sent>,
    /// Statements that wait for the end of everything.
    pub(crate) later: Vec<String>,
}

impl Restored {
    /// Adds what another part of the same restore did.
    fn add(&mut self, other: Self) {
        self.statements += other.statements;
        self.tables += other.tables;
        self.rows += other.rows;
        self.definitions.extend(other.definitions);
        self.later.extend(other.later);
        self.sent.extend(other.sent);
        self.lacking.extend(other.lacking);
        self.unset.extend(other.unset);
    }
}
