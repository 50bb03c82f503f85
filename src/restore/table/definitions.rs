//! All that a section of a dump says of its tables, rows left out.

use std::collections::{HashMap, HashSet};

use super::name::Name;
use super::part::{Kind, Part};
use super::statement::read;
use crate::error::{Failure, FailureKind, Result};
use crate::sql::encoding::decode;
use crate::sql::statement::{self, Statement, shown};

/// Most bytes of statements that are kept: some hundred thousand tables.
const MOST_BYTES: usize = 256 << 20;

/// A statement of the dump about a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    /// As the dump has it, in UTF-8.
    pub(super) text: String,
    /// What it is.
    pub(super) part: Part,
    /// default_tablespace where it stands.
    pub(super) tablespace: String,
    /// default_table_access_method where it stands.
    pub(super) access_method: String,
    /// Why it must not be run, where it must not.
    pub(super) refused: Option<String>,
}

/// The statements of a section in the order of the dump.
#[derive(Clone, Debug, Default)]
pub(super) struct Definitions {
    pub(super) all: Vec<Defined>,
    bytes: usize,
    tablespace: String,
    access_method: String,
}

impl Definitions {
    /// Takes the next statement, in the section's encoding.
    pub(super) fn add(&mut self, encoding: &str, text: &[u8], whole: bool) -> Result<()> {
        let decoded = decode(encoding, text);
        let undecodable = decoded.is_none();
        let text = decoded.map_or_else(
            || String::from_utf8_lossy(text).into_owned(),
            |text| text.into_owned(),
        );
        if let Statement::Set { name, value } = statement::read(text.as_bytes()) {
            match name.as_str() {
                "default_tablespace" => self.tablespace = value,
                "default_table_access_method" => self.access_method = value,
                _ => {}
            }
            return Ok(());
        }
        let Some(part) = read(&text) else {
            return Ok(());
        };
        // One row tells as much as all of them.
        let known = part.kind == Kind::Insert
            && self
                .all
                .last()
                .is_some_and(|last| last.part.kind == Kind::Insert && last.part.on == part.on);
        if known {
            return Ok(());
        }
        let refused = match statement::read(text.as_bytes()) {
            Statement::Refused(why) => Some(why.to_owned()),
            _ if !whole => Some("it is too long".to_owned()),
            _ if undecodable => Some(format!("it is no text in the encoding {encoding}")),
            _ => None,
        };
        self.bytes += text.len();
        if self.bytes > MOST_BYTES {
            let what = "read the definitions of tables: the section has more than 256 MiB of them";
            return Err(Failure::new(FailureKind::Damaged, what)
                .remedy("restore the whole database elsewhere and copy the table from there"));
        }
        self.all.push(Defined {
            text,
            part,
            tablespace: self.tablespace.clone(),
            access_method: self.access_method.clone(),
            refused,
        });
        Ok(())
    }

    /// The tables that are made, partitioned ones too, foreign ones not.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Name> {
        self.all
            .iter()
            .filter(|defined| matches!(defined.part.kind, Kind::Table { .. }))
            .map(|defined| &defined.part.on)
    }

    /// What belongs to which table: owned sequences, indexes, statistics objects.
    pub(super) fn owners(&self) -> HashMap<Name, Name> {
        let mut owners = HashMap::new();
        for Defined { part, .. } in &self.all {
            let beside = |name: &String| Name::new(&part.on.schema, name);
            let (owned, table) = match &part.kind {
                Kind::OwnedBy(table) | Kind::Statistics(table) => (part.on.clone(), table),
                Kind::Identity(sequence) => (sequence.clone(), &part.on),
                Kind::Key(index) | Kind::Index(index) => (beside(index), &part.on),
                _ => continue,
            };
            owners.insert(owned, table.clone());
        }
        owners
    }

    /// The statements about tables and what belongs to them, in the order of the dump.
    pub(super) fn about(&self, tables: &[Name]) -> Vec<&Defined> {
        let owners = self.owners();
        let tables: HashSet<&Name> = tables.iter().collect();
        self.all
            .iter()
            .filter(|defined| {
                let on = &defined.part.on;
                tables.contains(owners.get(on).unwrap_or(on))
            })
            .collect()
    }

    /// All foreign keys, by their tables.
    pub(super) fn foreign_keys(&self) -> HashSet<(&Name, &str)> {
        self.all
            .iter()
            .filter_map(|defined| match &defined.part.kind {
                Kind::ForeignKey(key, _) => Some((&defined.part.on, key.as_str())),
                _ => None,
            })
            .collect()
    }
}

impl Defined {
    /// The statement's beginning, for messages.
    pub(super) fn shown(&self) -> String {
        shown(self.text.as_bytes()).replace('\n', " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &[&str] = &[
        "SET default_tablespace = fast;",
        "CREATE TABLE s.p (a integer)\nPARTITION BY LIST (a);",
        "SET default_tablespace = '';",
        "CREATE TABLE s.p1 (a integer)\nPARTITION BY LIST (a);",
        "CREATE TABLE s.p11 (a integer);",
        "CREATE TABLE s.t (a integer);",
        "CREATE SEQUENCE s.q;",
        "ALTER TABLE s.q OWNER TO app;",
        "ALTER SEQUENCE s.q OWNED BY s.t.a;",
        "ALTER TABLE ONLY s.p ATTACH PARTITION s.p1 FOR VALUES IN (1);",
        "ALTER TABLE ONLY s.p1 ATTACH PARTITION s.p11 DEFAULT;",
        "ALTER TABLE ONLY s.t ADD CONSTRAINT t_pkey PRIMARY KEY (a);",
        "COMMENT ON INDEX s.t_pkey IS 'x';",
        "CREATE TABLE s.bad AS SELECT 1;",
        "INSERT INTO s.t VALUES (1);",
        "INSERT INTO s.t VALUES (2);",
    ];

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        for text in DUMP {
            definitions
                .add("UTF8", text.as_bytes(), true)
                .expect("room for it");
        }
        definitions
    }

    #[test]
    fn statements_go_with_the_table_that_owns_what_they_are_about() {
        let definitions = definitions();
        let about = definitions.about(&[Name::new("s", "t")]);
        let about: Vec<_> = about.iter().map(|defined| defined.text.as_str()).collect();
        assert_eq!(
            about,
            [
                DUMP[5], DUMP[6], DUMP[7], DUMP[8], DUMP[11], DUMP[12], DUMP[14]
            ]
        );
    }

    #[test]
    fn a_statement_that_no_dump_holds_is_marked() {
        let definitions = definitions();
        let bad = &definitions.about(&[Name::new("s", "bad")])[0];
        assert!(bad.refused.is_some());
        assert_eq!(definitions.all[0].tablespace, "fast");
        assert_eq!(definitions.all[1].tablespace, "");
    }
}
