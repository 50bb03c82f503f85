//! What is inside a dump: databases, tables, rows, hashes, positions.
//!
//! [`builder`] makes a [`Catalog`] from scanner events while the dump streams by; [`diff`] compares two; [`hash`] defines
//! what "the same rows" means, [`large_objects`] the same for large objects; [`inventory`] lists everything else by name. The catalog is part of the manifest, so its
//! JSON form is a public format: [`VERSION`] changes when its meaning does.

pub mod builder;
pub mod definitions;
pub mod diff;
pub mod hash;
pub mod inventory;
pub mod large_objects;

use serde::{Deserialize, Serialize};

use hash::ContentHash;
use inventory::Inventory;

/// Version of the catalog's meaning, the content hash included.
pub const VERSION: u32 = 1;

/// What wrote the dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DumpKind {
    /// Neither begin marker was seen.
    #[default]
    Unknown,
    /// pg_dumpall: roles and databases.
    Cluster,
    /// pg_dump: one database.
    Database,
}

/// A run of dump text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Bytes of dump text before it.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What a dump holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// What wrote the dump.
    pub kind: DumpKind,
    /// Version of the server, as the dump says it.
    pub server_version: Option<String>,
    /// Version of pg_dump, as the dump says it.
    pub tool_version: Option<String>,
    /// When it began, as a verbose dump says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_on: Option<String>,
    /// When it was complete, as a verbose dump says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_on: Option<String>,
    /// Bytes of dump text.
    pub bytes: u64,
    /// Statements, COPY not counted.
    pub statements: u64,
    /// Roles created.
    pub roles: Vec<String>,
    /// Tablespaces created.
    pub tablespaces: Vec<String>,
    /// The databases in the order of the dump.
    pub databases: Vec<Database>,
    /// INSERT statements whose rows are not counted into tables, because they name the columns in another order than those
    /// before.
    pub inserts: u64,
    /// What belongs to no database: roles and their settings; none in manifests from before there were inventories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
}

/// One database's section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name; empty in a pg_dump of one database, which does not say it.
    pub name: String,
    /// The section's client_encoding.
    pub encoding: String,
    /// Where its text stands.
    pub range: Range,
    /// Whether its end marker was seen.
    pub complete: bool,
    /// Tables with data, in the order of the dump.
    pub tables: Vec<Table>,
    /// Sequence values set.
    pub sequences: Vec<Sequence>,
    /// Large objects.
    pub large_objects: LargeObjects,
    /// Extensions created.
    pub extensions: Vec<String>,
    /// Everything it defines; none in manifests from before there were inventories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
}

/// One table's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns of the data, in its order; generated ones are not among them.
    pub columns: Vec<String>,
    /// The rows come as INSERT statements without names of columns: they have all that are not generated, in the table's
    /// order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_columns: bool,
    /// Rows.
    pub rows: u64,
    /// Bytes of COPY text, newlines included.
    pub bytes: u64,
    /// Content hash, independent of the rows' order.
    pub hash: ContentHash,
    /// Where the rows stand; more than one run where the dump loads partitions through their root, none where they come as
    /// INSERT statements.
    pub data: Vec<Range>,
}

/// A sequence's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `last_value`.
    pub value: i64,
    /// `is_called`.
    pub called: bool,
}

/// All large objects of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjects {
    /// How many.
    pub count: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Content hash, independent of their order.
    pub hash: ContentHash,
}

impl Catalog {
    /// Tables in all databases.
    pub fn tables(&self) -> u64 {
        self.databases
            .iter()
            .map(|database| database.tables.len() as u64)
            .sum()
    }

    /// Rows in all tables.
    pub fn rows(&self) -> u64 {
        self.databases.iter().map(Database::rows).sum()
    }
}

impl Database {
    /// Where rows stand, table by table.
    pub fn data(&self) -> impl Iterator<Item = Range> {
        self.tables
            .iter()
            .flat_map(|table| table.data.iter().copied())
    }

    /// Rows in all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// How to name a database in a message; a pg_dump of one database does not say its name.
    pub fn label(&self) -> &str {
        if self.name.is_empty() {
            "(unnamed)"
        } else {
            &self.name
        }
    }
}
