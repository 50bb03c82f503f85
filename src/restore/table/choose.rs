//! Which tables of a section are meant, and where their rows are.

use std::collections::{HashMap, HashSet};

use super::definitions::Definitions;
use super::family::Family;
use super::name::Name;
use super::part::Kind;
use super::pattern::Pattern;
use crate::catalog::{Database, Table};
use crate::error::{Failure, FailureKind, Result};

/// The tables that are restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Those that are no partition of another one of them.
    pub(super) roots: Vec<Name>,
    /// All, partitions behind their table.
    pub(super) all: Vec<Name>,
    /// For each of all the one of the roots that it belongs to.
    pub(super) root_of: HashMap<Name, Name>,
    /// What was meant by a wildcard and is not restored.
    pub(super) notes: Vec<String>,
    /// What was named and cannot be restored.
    pub(super) refusals: Vec<String>,
}

/// Finds the tables that patterns mean.
pub(super) fn choose(
    patterns: &[Pattern],
    definitions: &Definitions,
    family: &Family,
    section: &Database,
) -> Result<Choice> {
    let known = Known {
        family,
        with_rows: section.tables.iter().map(name_of).collect(),
        with_inserts: of_kind(definitions, &Kind::Insert),
    };
    let mut seen = HashSet::new();
    let with_rows = section.tables.iter().map(name_of);
    let there: Vec<Name> = definitions
        .tables()
        .cloned()
        .chain(with_rows)
        .filter(|name| seen.insert(name.clone()))
        .collect();
    let mut choice = Choice::default();
    let mut chosen: Vec<Name> = Vec::new();
    for pattern in patterns {
        let fitting: Vec<&Name> = there.iter().filter(|name| pattern.fits(name)).collect();
        let what = format!(
            "restore table {} of database {}",
            pattern.text,
            section.label()
        );
        if fitting.is_empty() {
            return Err(Failure::new(
                FailureKind::Usage,
                format!("{what}: the backup has no such table"),
            )
            .remedy("see `pgvigil inspect` for the tables"));
        }
        if fitting.len() > 1 && !pattern.is_wild() {
            let names: Vec<_> = fitting.iter().map(ToString::to_string).collect();
            return Err(Failure::new(
                FailureKind::Usage,
                format!("{what}: there are several, {}", names.join(", ")),
            )
            .remedy("write schema.table"));
        }
        for name in fitting {
            match known.without_rows(name) {
                None => chosen.push(name.clone()),
                Some(why) if pattern.is_wild() && !why.inserts => choice
                    .notes
                    .push(format!("table {name} is left out: {}", why.text)),
                Some(why) => choice.refusals.push(format!("table {name}: {}", why.text)),
            }
        }
    }
    if chosen.is_empty() && choice.refusals.is_empty() {
        choice
            .refusals
            .push("no table is left to restore".to_owned());
    }
    choice.all = family.with_partitions(&chosen);
    // A foreign table that is a partition has no rows in a dump.
    let foreign = of_kind(definitions, &Kind::ForeignTable);
    choice.all.retain(|name| {
        if foreign.contains(name) {
            let why = "a foreign table's rows are on its server";
            choice
                .notes
                .push(format!("table {name} is left out: {why}"));
        }
        !foreign.contains(name)
    });
    choice.root_of = family.roots(&choice.all);
    choice.roots = choice
        .all
        .iter()
        .filter(|name| choice.root_of.get(*name) == Some(*name))
        .cloned()
        .collect();
    Ok(choice)
}

/// A table's name.
pub(super) fn name_of(table: &Table) -> Name {
    Name::new(&table.schema, &table.name)
}

struct Why {
    text: String,
    inserts: bool,
}

fn of_kind<'a>(definitions: &'a Definitions, kind: &Kind) -> HashSet<&'a Name> {
    definitions
        .all
        .iter()
        .filter(|defined| defined.part.kind == *kind)
        .map(|defined| &defined.part.on)
        .collect()
}

struct Known<'a> {
    family: &'a Family,
    with_rows: HashSet<Name>,
    with_inserts: HashSet<&'a Name>,
}

impl Known<'_> {
    /// Why there are no rows of a table to restore, if there are none.
    fn without_rows(&self, name: &Name) -> Option<Why> {
        let why = |text: String, inserts| Some(Why { text, inserts });
        if self.with_inserts.contains(name) {
            let text = "its rows are INSERT statements (pg_dump --inserts), which this version does not restore by the table: \
                 restore the whole database elsewhere and copy it from there";
            return why(text.to_owned(), true);
        }
        let members = self.family.with_partitions(std::slice::from_ref(name));
        if members.iter().any(|member| self.with_rows.contains(member)) {
            return None;
        }
        if let Some(parent) = self
            .family
            .above(name)
            .find(|above| self.with_rows.contains(*above))
        {
            let text = format!(
                "its rows are in the backup as those of table {parent}, of which it is a partition: restore that one"
            );
            return why(text, false);
        }
        let text = "the backup has its definition and not its rows (it was dumped without them)";
        why(text.to_owned(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(tables: &[&str]) -> Database {
        let tables = tables.iter().map(|name| Table {
            schema: "s".into(),
            name: (*name).into(),
            ..Table::default()
        });
        Database {
            tables: tables.collect(),
            ..Database::default()
        }
    }

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        for text in [
            "CREATE TABLE s.p (a integer)\nPARTITION BY LIST (a);",
            "CREATE TABLE s.p1 (a integer);",
            "CREATE TABLE s.h (a integer)\nPARTITION BY HASH (a);",
            "CREATE TABLE s.h1 (a integer);",
            "CREATE TABLE s.t (a integer);",
            "CREATE TABLE x.t (a integer);",
            "CREATE TABLE s.i (a integer);",
            "CREATE FOREIGN TABLE s.p2 (a integer) SERVER x;",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.p1 DEFAULT;",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.p2 FOR VALUES IN (1);",
            "ALTER TABLE ONLY s.h ATTACH PARTITION s.h1 FOR VALUES WITH (modulus 1, remainder 0);",
            "INSERT INTO s.i VALUES (1);",
        ] {
            definitions
                .add("", text.as_bytes(), true)
                .expect("room for it");
        }
        definitions
    }

    fn chosen(patterns: &[&str]) -> Result<Choice> {
        let patterns: Vec<_> = patterns
            .iter()
            .map(|text| Pattern::parse(text).expect("a pattern"))
            .collect();
        let definitions = definitions();
        let family = Family::of(&definitions);
        choose(
            &patterns,
            &definitions,
            &family,
            &section(&["p1", "h", "t"]),
        )
    }

    #[test]
    fn partitions_come_along_and_foreign_ones_do_not() {
        let choice = chosen(&["s.p"]).expect("chosen");
        assert_eq!(choice.roots, [Name::new("s", "p")]);
        assert_eq!(choice.all, [Name::new("s", "p"), Name::new("s", "p1")]);
        assert!(choice.notes[0].contains("s.p2"), "{:?}", choice.notes);
        let choice = chosen(&["s.p1"]).expect("chosen");
        assert_eq!(choice.roots, [Name::new("s", "p1")]);
    }

    #[test]
    fn what_has_no_rows_is_refused_by_name_and_left_out_by_wildcard() {
        for (pattern, why) in [
            ("s.h1", "table s.h,"),
            ("x.t", "without them"),
            ("s.i", "INSERT"),
        ] {
            let choice = chosen(&[pattern]).expect("chosen");
            assert!(choice.refusals[0].contains(why), "{:?}", choice.refusals);
        }
        let choice = chosen(&["*.*"]).expect("chosen");
        assert_eq!(choice.roots.len(), 3, "{:?}", choice.roots);
        assert_eq!(choice.refusals.len(), 1, "{:?}", choice.refusals);
        assert!(choice.notes.iter().any(|note| note.contains("x.t")));
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_an_error() {
        assert!(chosen(&["nowhere"]).is_err());
        assert!(chosen(&["t"]).is_err(), "two schemas have one");
        assert!(chosen(&["s.t", "s.t"]).expect("once").all.len() == 1);
    }
}
