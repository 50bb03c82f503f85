//! Which tables are partitions of which, as the dump says it.

use std::collections::{HashMap, HashSet};

use super::definitions::Definitions;
use super::name::Name;
use super::part::Kind;

/// Tables and their partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    /// Tables that are made, and whether each is partitioned.
    tables: HashMap<Name, bool>,
    children: HashMap<Name, Vec<Name>>,
    parents: HashMap<Name, Name>,
}

impl Family {
    /// Reads them.
    pub(super) fn of(definitions: &Definitions) -> Self {
        let mut family = Self::default();
        for defined in &definitions.all {
            let on = &defined.part.on;
            match &defined.part.kind {
                Kind::Table { partitioned, .. } => {
                    family.tables.insert(on.clone(), *partitioned);
                }
                Kind::Attach(partition) => {
                    let children = family.children.entry(on.clone()).or_default();
                    children.push(partition.clone());
                    family.parents.insert(partition.clone(), on.clone());
                }
                _ => {}
            }
        }
        family
    }

    /// Whether the dump has the table's definition.
    pub(super) fn is_defined(&self, table: &Name) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether a table is partitioned.
    pub(super) fn is_partitioned(&self, table: &Name) -> bool {
        self.tables.get(table) == Some(&true)
    }

    /// The table that one is a partition of.
    pub(super) fn parent(&self, table: &Name) -> Option<&Name> {
        self.parents.get(table)
    }

    /// The tables above one, the nearest first.
    pub(super) fn above<'a>(&'a self, table: &'a Name) -> impl Iterator<Item = &'a Name> {
        // A dump that attaches tables in a circle must not hold us.
        std::iter::successors(self.parent(table), |above| self.parent(above))
            .take(self.parents.len())
    }

    /// Tables with their partitions, and theirs, behind them; each once.
    pub(super) fn with_partitions(&self, tables: &[Name]) -> Vec<Name> {
        let mut all: Vec<Name> = Vec::new();
        let mut seen: HashSet<&Name> = HashSet::new();
        for table in tables {
            let mut next = vec![table];
            while let Some(table) = next.pop() {
                if seen.insert(table) {
                    all.push(table.clone());
                    next.extend(self.children.get(table).into_iter().flatten().rev());
                }
            }
        }
        all
    }

    /// For each of some tables the topmost of them above it.
    pub(super) fn roots(&self, tables: &[Name]) -> HashMap<Name, Name> {
        let chosen: HashSet<&Name> = tables.iter().collect();
        let root = |table| {
            let above = self.above(table).take_while(|above| chosen.contains(above));
            above.last().unwrap_or(table)
        };
        tables
            .iter()
            .map(|table| (table.clone(), root(table).clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(statements: &[&str]) -> Family {
        let mut definitions = Definitions::default();
        for text in statements {
            definitions
                .add("UTF8", text.as_bytes(), true)
                .expect("room for it");
        }
        Family::of(&definitions)
    }

    #[test]
    fn partitions_come_with_their_table() {
        let family = family(&[
            "CREATE TABLE s.p (a integer)\nPARTITION BY LIST (a);",
            "CREATE TABLE s.p11 (a integer);",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.p1 FOR VALUES IN (1);",
            "ALTER TABLE ONLY s.p1 ATTACH PARTITION s.p11 DEFAULT;",
        ]);
        let [p, p1, p11] = ["p", "p1", "p11"].map(|name| Name::new("s", name));
        let all = family.with_partitions(std::slice::from_ref(&p));
        assert_eq!(all, [p.clone(), p1.clone(), p11.clone()]);
        assert_eq!(family.roots(&all)[&p11], p);
        assert_eq!(
            family.roots(&[p11.clone(), p.clone()])[&p11],
            p11,
            "the one between is not meant"
        );
        assert!(family.is_partitioned(&p) && !family.is_partitioned(&p11));
        assert!(!family.is_defined(&p1));
    }

    #[test]
    fn partitions_in_a_circle_come_to_an_end() {
        let family = family(&[
            "ALTER TABLE ONLY s.a ATTACH PARTITION s.b DEFAULT;",
            "ALTER TABLE ONLY s.b ATTACH PARTITION s.a DEFAULT;",
        ]);
        let all = family.with_partitions(&[Name::new("s", "a")]);
        assert_eq!(all.len(), 2);
        family.roots(&all);
    }
}
