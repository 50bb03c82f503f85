//! One database's section in the making.

use std::collections::HashMap;

use crate::catalog::inventory::Inventory;
use crate::catalog::large_objects::LargeObjectHasher;
use crate::catalog::{Database, Range, Sequence, Table};
use crate::sql::copy::CopyHeader;
use crate::sql::statement::{LargeObject, Statement};

/// What was read of a section so far.
pub(super) struct Section {
    pub(super) database: Database,
    pub(super) large_objects: LargeObjectHasher,
    /// Where each table stands in `database.tables`.
    pub(super) by_name: HashMap<(String, String), usize>,
}

impl Section {
    /// A section that begins at `offset` of the text, of the database that psql would be connected to.
    pub(super) fn new(name: String, offset: u64) -> Self {
        let database = Database {
            name,
            range: Range { offset, length: 0 },
            inventory: Some(Inventory::default()),
            ..Database::default()
        };
        Self {
            database,
            large_objects: LargeObjectHasher::default(),
            by_name: HashMap::new(),
        }
    }

    pub(super) fn statement(&mut self, statement: Statement) {
        match statement {
            Statement::Set { name, value } if name == "client_encoding" => {
                self.database.encoding = value;
            }
            Statement::SetSequence {
                schema,
                sequence,
                value,
                called,
            } => {
                let schema = schema.unwrap_or_else(|| "public".to_owned());
                self.database.sequences.push(Sequence {
                    schema,
                    name: sequence,
                    value,
                    called,
                });
            }
            Statement::CreateExtension(name) => self.database.extensions.push(name),
            Statement::LargeObject(LargeObject::Open(oid)) => self.large_objects.begin(oid),
            Statement::LargeObject(LargeObject::Write(data)) => self.large_objects.write(&data),
            Statement::LargeObject(LargeObject::Close) => self.large_objects.end(),
            _ => {}
        }
    }

    pub(super) fn begin_table(&mut self, header: CopyHeader) -> usize {
        let schema = header.schema.unwrap_or_else(|| "public".to_owned());
        let tables = &mut self.database.tables;
        // The same table again: rows of several partitions that are loaded through their root.
        let known = (schema.clone(), header.table.clone());
        let index = *self.by_name.entry(known).or_insert(tables.len());
        if index == tables.len() {
            tables.push(Table {
                schema,
                name: header.table,
                columns: header.columns,
                ..Table::default()
            });
        }
        index
    }
}
