//! Rows that come as INSERT statements, counted and hashed as the COPY text of the same rows.

use std::collections::hash_map::Entry;

use super::{Builder, Section};
use crate::catalog::Table;
use crate::catalog::hash::RowHasher;
use crate::finding::{Finding, FindingKind, Level};
use crate::sql::insert::{self, InsertHeader, Outcome, Reader};
use crate::sql::scanner::{self, Position};

/// The statement in hand.
#[derive(Default)]
pub(super) struct Inserts {
    reader: Reader,
    rows: RowHasher,
    /// Which table the last header named, in this section.
    known: Option<(Vec<u8>, usize)>,
}

impl Inserts {
    /// Takes the next bytes of a statement.
    pub(super) fn feed(&mut self, text: &[u8]) {
        let rows = &mut self.rows;
        self.reader.feed(text, &mut |copy: &[u8]| rows.feed(copy));
    }

    /// Ends the statement: what it was, and its rows.
    pub(super) fn end(&mut self) -> (Outcome, RowHasher) {
        (self.reader.end(), std::mem::take(&mut self.rows))
    }

    /// Says the section's client_encoding.
    pub(super) fn encoding(&mut self, name: &str) {
        self.reader.encoding(name);
    }

    /// Forgets the section.
    pub(super) fn leave_section(&mut self) {
        self.known = None;
        self.reader.encoding("");
    }
}

impl Builder {
    /// Ends a statement of any kind.
    pub(super) fn end_statement(&mut self, statement: scanner::Statement<'_>) {
        match self.inserts.end() {
            (Outcome::Other, _) => {
                self.statement(statement.text, statement.whole, statement.at);
            }
            (Outcome::Rows, rows) => self.inserted(&rows, statement.at),
            (Outcome::Unread, _) => self.refuse_insert(statement.text, statement.at),
        }
    }

    /// Says which rows were not counted.
    pub(super) fn say_inserts(&mut self) {
        if self.catalog.inserts > 0 {
            let message = format!(
                "{} INSERT statements name their table's columns otherwise than those before, so that their rows are not counted",
                self.catalog.inserts
            );
            self.findings.push(
                Finding::error(FindingKind::NotDone, "the whole dump", message).at(Level::Warning),
            );
        }
    }

    /// Adds an INSERT's rows to its table.
    fn inserted(&mut self, rows: &RowHasher, at: Position) {
        self.count_statement(at);
        let header = self.inserts.reader.last_header();
        let known = self.inserts.known.as_ref();
        let index = match known.filter(|(known, _)| known == header) {
            Some((_, index)) => Some(*index),
            None => self.insert_target(at),
        };
        let Some(index) = index else { return };
        let table = self
            .section
            .as_mut()
            .and_then(|section| section.database.tables.get_mut(index));
        if let Some(table) = table {
            table.rows += rows.rows;
            table.bytes += rows.bytes;
            table.hash.add(rows.hash.0);
        }
    }

    /// The table that the last INSERT names.
    fn insert_target(&mut self, at: Position) -> Option<usize> {
        let header = self.inserts.reader.last_header().to_vec();
        let Some(read) = insert::header(&self.decoded(&header)) else {
            self.refuse_insert(&header, at);
            return None;
        };
        let has_room = self.has_room(at);
        let Some(section) = &mut self.section else {
            let message = "INSERT outside of a database's section";
            self.find(FindingKind::Malformed, at.to_string(), message);
            return None;
        };
        let index = section.insert_into(read, has_room);
        match index {
            Some(index) => self.inserts.known = Some((header, index)),
            // Rows of one table with its columns in several orders cannot be read back as one.
            None => self.catalog.inserts += 1,
        }
        index
    }

    /// An INSERT that is not of literal values.
    fn refuse_insert(&mut self, text: &[u8], at: Position) {
        let shown = crate::sql::statement::shown(text);
        self.find(
            FindingKind::RefusedStatement,
            at.to_string(),
            format!("an INSERT of anything but values: {shown:?}"),
        );
    }
}

impl Section {
    /// Where an INSERT's table stands; none where it is there with other columns, or there is no room for it.
    fn insert_into(&mut self, header: InsertHeader, has_room: bool) -> Option<usize> {
        let schema = header.schema.unwrap_or_else(|| "public".to_owned());
        let all_columns = header.columns.is_empty();
        let tables = &mut self.database.tables;
        match self.by_name.entry((schema, header.table)) {
            Entry::Occupied(entry) => {
                let index = *entry.get();
                let table = tables.get(index)?;
                (table.all_columns == all_columns && table.columns == header.columns)
                    .then_some(index)
            }
            Entry::Vacant(entry) if has_room => {
                let index = tables.len();
                let (schema, name) = entry.key().clone();
                entry.insert(index);
                tables.push(Table {
                    schema,
                    name,
                    columns: header.columns,
                    all_columns,
                    ..Table::default()
                });
                Some(index)
            }
            Entry::Vacant(_) => None,
        }
    }
}
