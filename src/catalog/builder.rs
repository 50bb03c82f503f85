//! Scanner events in, [`Catalog`] out, while the dump streams by; and findings about text that no dump holds.

mod inserts;
mod section;

use std::borrow::Cow;

use super::hash::RowHasher;
use super::inventory::{Entry, Inventory};
use super::{Catalog, DumpKind, Range, VERSION};
use crate::finding::{Finding, FindingKind, Findings};
use crate::sql::copy::{self, CopyHeader};
use crate::sql::encoding;
use crate::sql::meta::{self, Meta};
use crate::sql::scanner::{self, Event, Position, Scanner, Sink};
use crate::sql::statement::{self, Statement};
use crate::sql::toc::{self, Marker};
use section::Section;

/// Longest statement of which the catalog reads anything: a COPY header of 1 600 columns has about 200 kB, a piece of a
/// large object 32 kB.
pub const STATEMENT_LIMIT: usize = 1 << 20;

/// Most items of a catalog: roles, tables, sequences. PostgreSQL itself is slow with a tenth of that, and a small file of
/// garbage must not fill the memory.
const MOST_ITEMS: usize = 1_000_000;

/// Builds a catalog.
pub struct Builder {
    catalog: Catalog,
    findings: Findings,
    /// The database psql would be connected to.
    connected: String,
    section: Option<Section>,
    table: Option<OpenTable>,
    inserts: inserts::Inserts,
    cluster_end: bool,
    restricted: Option<String>,
    items: usize,
}

struct OpenTable {
    index: usize,
    rows: RowHasher,
    offset: u64,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty catalog.
    pub fn new() -> Self {
        Self {
            catalog: Catalog {
                version: VERSION,
                inventory: Some(Inventory::default()),
                ..Catalog::default()
            },
            findings: Findings::default(),
            connected: String::new(),
            section: None,
            table: None,
            inserts: inserts::Inserts::default(),
            cluster_end: false,
            restricted: None,
            items: 0,
        }
    }

    /// Ends the dump: the catalog, and all that was found wrong with the text.
    pub fn finish(mut self, scanner: &Scanner) -> (Catalog, Findings) {
        let end = scanner.position();
        if let Err(open) = scanner.at_rest() {
            let place = self.open_place(end);
            self.find(
                FindingKind::NotAtRest,
                place,
                format!("the dump ends {open}"),
            );
        }
        self.end_section(end.offset);
        self.catalog.bytes = end.offset;
        if self.catalog.kind == DumpKind::Unknown {
            self.find(
                FindingKind::NotADump,
                "the beginning".to_owned(),
                "there is no PostgreSQL dump in this text",
            );
        } else if !self.cluster_end && self.catalog.kind == DumpKind::Cluster {
            let place = format!("the end, {end}");
            self.find(
                FindingKind::MissingEndMarker,
                place,
                "\"PostgreSQL database cluster dump complete\" is missing",
            );
        }
        let open: Vec<_> = self
            .catalog
            .databases
            .iter()
            .filter(|database| !database.complete)
            .map(|database| database.label().to_owned())
            .collect();
        for name in open {
            self.find(
                FindingKind::MissingEndMarker,
                format!("database {name}"),
                "\"PostgreSQL database dump complete\" is missing",
            );
        }
        self.say_inserts();
        (self.catalog, self.findings)
    }

    fn find(&mut self, kind: FindingKind, place: String, message: impl Into<String>) {
        self.findings.push(Finding::error(kind, place, message));
    }

    /// Where an open end stands, with the table if rows were being read.
    fn open_place(&self, end: Position) -> String {
        let database = self
            .section
            .as_ref()
            .map_or("", |section| section.database.label());
        let table = self
            .table
            .as_ref()
            .and_then(|open| self.section.as_ref()?.database.tables.get(open.index));
        match table {
            Some(table) => format!(
                "table {}.{} of database {database}, {end}",
                table.schema, table.name
            ),
            None => format!("the end, {end}"),
        }
    }

    fn comment(&mut self, line: &[u8], at: Position) {
        match toc::marker(line) {
            Some(Marker::ClusterBegin) if self.catalog.kind == DumpKind::Unknown => {
                self.catalog.kind = DumpKind::Cluster;
            }
            Some(Marker::ClusterBegin) => {
                self.cluster_end = false;
                let message = "another dump of a cluster begins: two files were joined";
                self.find(FindingKind::Malformed, at.to_string(), message);
            }
            Some(Marker::ClusterEnd) => self.cluster_end = true,
            Some(Marker::DatabaseBegin) => {
                self.end_section(at.offset);
                if self.catalog.kind == DumpKind::Unknown {
                    self.catalog.kind = DumpKind::Database;
                }
                self.section = Some(Section::new(self.connected.clone(), at.offset));
            }
            Some(Marker::DatabaseEnd) => {
                if let Some(section) = &mut self.section {
                    section.database.complete = true;
                }
            }
            Some(Marker::ServerVersion(version)) => self.catalog.server_version = Some(version),
            Some(Marker::ToolVersion(version)) => self.catalog.tool_version = Some(version),
            // That of the whole dump comes before those of its databases, and its end after theirs.
            Some(Marker::Started(time)) if self.catalog.started_on.is_none() => {
                self.catalog.started_on = Some(time);
            }
            Some(Marker::Completed(time)) => self.catalog.completed_on = Some(time),
            Some(Marker::Started(_)) | None => {}
        }
    }

    fn end_section(&mut self, offset: u64) {
        self.end_table(offset);
        self.inserts.leave_section();
        let Some(mut section) = self.section.take() else {
            return;
        };
        section.database.range.length = offset.saturating_sub(section.database.range.offset);
        section.database.large_objects = section.large_objects.finish();
        self.catalog.databases.push(section.database);
    }

    fn meta(&mut self, line: &[u8], at: Position, inside: bool) {
        let parsed = if inside {
            Meta::Other
        } else {
            meta::parse(line)
        };
        match parsed {
            Meta::Connect(name) => {
                self.connected.clone_from(&name);
                if let Some(section) = &mut self.section
                    && !section.database.complete
                {
                    section.database.name = name;
                }
            }
            Meta::Restrict(key) if self.restricted.is_none() => self.restricted = Some(key),
            Meta::Unrestrict(key) if self.restricted.as_ref() == Some(&key) => {
                self.restricted = None;
            }
            Meta::RawEncoding => {}
            _ => {
                let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
                self.find(
                    FindingKind::MetaCommand,
                    at.to_string(),
                    format!("backslash command {shown:?}"),
                );
            }
        }
    }

    /// A statement's text in UTF-8, so that names are the same wherever they are written.
    fn decoded<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let encoding = self
            .section
            .as_ref()
            .map_or("", |section| section.database.encoding.as_str());
        match encoding::decode(encoding, text) {
            Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            _ => Cow::Borrowed(text),
        }
    }

    /// Whether the catalog has room for one more item.
    fn has_room(&mut self, at: Position) -> bool {
        self.items += 1;
        if self.items == MOST_ITEMS + 1 {
            let message = format!("more than {MOST_ITEMS} roles, tables, sequences and extensions");
            self.find(FindingKind::Malformed, at.to_string(), message);
        }
        self.items <= MOST_ITEMS
    }

    fn begin_table(&mut self, mut header: CopyHeader, statement: scanner::Statement<'_>) {
        if let Some(decoded) = copy::header(&self.decoded(statement.text)) {
            header = decoded;
        }
        if !self.has_room(statement.at) {
            return;
        }
        match &mut self.section {
            Some(section) => {
                let index = section.begin_table(header);
                // The data begins after the COPY line's newline.
                self.table = Some(OpenTable {
                    index,
                    rows: RowHasher::new(),
                    offset: statement.end + 1,
                });
            }
            None => self.find(
                FindingKind::Malformed,
                statement.at.to_string(),
                "COPY outside of a database's section",
            ),
        }
    }

    fn count_statement(&mut self, at: Position) {
        self.catalog.statements += 1;
        if self.cluster_end {
            let message = "a statement behind the end marker of the cluster";
            self.find(FindingKind::Malformed, at.to_string(), message);
        }
    }

    fn statement(&mut self, text: &[u8], whole: bool, at: Position) {
        self.count_statement(at);
        let decoded = self.decoded(text);
        let text = decoded.as_ref();
        self.list(text, whole);
        match statement::read(text) {
            // A cut statement may look wrong only because it is cut; its first words are still true.
            Statement::Refused(why) if whole || statement_begins_refused(text) => {
                let shown = statement::shown(text);
                let message = format!("{why}: {shown:?}");
                self.find(FindingKind::RefusedStatement, at.to_string(), message);
            }
            Statement::CreateRole(_)
            | Statement::CreateTablespace { .. }
            | Statement::CreateExtension(_)
            | Statement::SetSequence { .. }
                if !self.has_room(at) => {}
            Statement::CreateRole(name) => self.catalog.roles.push(name),
            Statement::CreateTablespace { name, .. } => self.catalog.tablespaces.push(name),
            other => {
                if let Some(section) = &mut self.section {
                    if let Statement::Set { name, value } = &other
                        && name == "client_encoding"
                    {
                        self.inserts.encoding(value);
                    }
                    section.statement(other);
                }
            }
        }
    }

    fn list(&mut self, text: &[u8], whole: bool) {
        let Some(entry) = Entry::read(text, whole) else {
            return;
        };
        let inventory = match &mut self.section {
            Some(section) if !entry.is_cluster_wide() => &mut section.database.inventory,
            _ => &mut self.catalog.inventory,
        };
        if let Some(inventory) = inventory {
            inventory.add(entry);
        }
    }

    fn end_table(&mut self, offset: u64) {
        let (Some(open), Some(section)) = (self.table.take(), &mut self.section) else {
            return;
        };
        let Some(table) = section.database.tables.get_mut(open.index) else {
            return;
        };
        table.rows += open.rows.rows;
        table.bytes += open.rows.bytes;
        table.hash.add(open.rows.hash.0);
        table.data.push(Range {
            offset: open.offset,
            length: offset.saturating_sub(open.offset),
        });
    }
}

/// Whether a statement is refused by its first words alone.
fn statement_begins_refused(text: &[u8]) -> bool {
    let begin = text.get(..text.len().min(100)).unwrap_or(text);
    matches!(
        statement::read(begin),
        Statement::Refused(
            "no dump holds such a statement" | "ALTER SYSTEM changes the server that runs it"
        )
    )
}

impl Sink for Builder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::CopyData(data) => {
                if let Some(table) = &mut self.table {
                    table.rows.feed(data);
                }
            }
            Event::Comment(line, at) => self.comment(line, at),
            Event::Statement(statement) => self.end_statement(statement),
            Event::CopyBegin(header, statement) => {
                self.inserts.end();
                self.begin_table(*header, statement);
            }
            Event::CopyEnd(at) => self.end_table(at.offset),
            Event::Meta { line, at, inside } => {
                self.inserts.end();
                self.meta(line, at, inside);
            }
            Event::Malformed(why, at) => self.find(FindingKind::Malformed, at.to_string(), why),
        }
    }

    fn part(&mut self, text: &[u8]) {
        self.inserts.feed(text);
    }
}

#[cfg(test)]
mod tests;
