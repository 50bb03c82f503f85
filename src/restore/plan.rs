//! What a restore will do to a server, before it does any of it: everything that the server will hold afterwards and does
//! not hold now, everything that goes, and everything of the same kind that stays as it is.

use std::path::PathBuf;

use serde::Serialize;

/// A restore, planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The archive.
    pub archive: PathBuf,
    /// The server.
    pub target: TargetFacts,
    /// What is done to what, in the order of the work.
    pub items: Vec<Item>,
    /// What is dumped before anything goes.
    pub safety_backup: Option<String>,
    /// What to know: what is not restored, what happens to triggers, and the like.
    pub notes: Vec<String>,
    /// Why it will not be done as asked, each with what to do. With one of these, nothing is done.
    pub refusals: Vec<String>,
    /// What to do before a restore, and whether it is done.
    pub checks: Vec<PreCheck>,
    /// Rows to load.
    pub rows: u64,
    /// Bytes of dump text to load.
    pub bytes: u64,
    /// How long it will take, from the last drill's measurement; none where there was no drill.
    pub expected_seconds: Option<f64>,
}

/// The server that is restored into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetFacts {
    /// Host name, address or socket directory.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user that acts.
    pub user: String,
    /// PostgreSQL's version, as the server says it.
    pub version: String,
}

impl TargetFacts {
    /// The server's name, as a person types it to confirm: `host:port`, or the directory of its socket.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// One thing and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What kind of thing it is.
    pub kind: ItemKind,
    /// Its name on the server.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// Size, connections, attributes: what a person wants to know of it before agreeing.
    pub detail: String,
}

/// Kinds of things that a restore touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A role.
    Role,
    /// A tablespace.
    Tablespace,
    /// A database.
    Database,
    /// A table.
    Table,
    /// A sequence.
    Sequence,
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is not there, and is made.
    Create,
    /// It is there, and what the backup has takes its place.
    Replace,
    /// It is there, and is changed to what the backup says.
    Change,
    /// It is there, and rows are added to it.
    Append,
    /// It is there, and stays as it is.
    LeaveAlone,
    /// It is in the backup, and not restored.
    Omit,
}

/// One point of the list to go through before a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreCheck {
    /// What it is about.
    pub name: &'static str,
    /// Whether it is as it should be; false asks for a person's attention.
    pub good: bool,
    /// What was found.
    pub detail: String,
}
