//! Rows into live tables: what stands against it, and how it is done.

use std::collections::{HashMap, HashSet};

use super::choose::name_of;
use super::live::{LiveTable, Pointing, Rights};
use super::name::Name;
use crate::catalog::Table;

/// How triggers are kept from firing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Silence {
    /// There are none that would.
    #[default]
    NotNeeded,
    /// session_replication_role; foreign keys do not fire either, and are checked by query.
    Replica,
    /// Each trigger by itself; foreign keys fire.
    Disable,
}

/// Live tables to fill.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fill {
    pub(super) silence: Silence,
    /// Tables that one TRUNCATE empties.
    pub(super) truncated: Vec<Name>,
    /// Tables that other tables point to, which are emptied by DELETE.
    pub(super) deleted: Vec<Name>,
    pub(super) notes: Vec<String>,
    pub(super) refusals: Vec<String>,
}

/// What is known of the live tables.
pub(super) struct Live<'a> {
    pub(super) tables: &'a HashMap<Name, LiveTable>,
    pub(super) pointing: &'a [Pointing],
    pub(super) periods: &'a [String],
    /// Partitions of theirs that are not in the backup.
    pub(super) more_partitions: &'a [Name],
    pub(super) rights: Rights,
}

/// Plans to fill the live tables of these names. `empty` removes their rows first.
pub(super) fn fill(tables: &[&Table], live: &Live<'_>, empty: bool) -> Fill {
    let mut fill = Fill {
        silence: silence(live),
        ..Fill::default()
    };
    for table in tables {
        fill.table(table, live);
    }
    for key in live.periods {
        fill.refusals.push(format!(
            "foreign key {key} has a PERIOD, which cannot be checked after the load: restore under a new name"
        ));
    }
    let names: Vec<Name> = tables.iter().map(|table| name_of(table)).collect();
    if empty {
        fill.notes.push(
            "nobody reads or writes these tables until the restore has ended: their rows go and come in one transaction"
                .to_owned(),
        );
        fill.empty(&names, live);
    }
    if fill.silence == Silence::Disable && live.tables.values().any(|table| !table.owned) {
        fill.refusals.push(
            "triggers of the live tables would fire, and neither may this user set session_replication_role nor are the tables its own: \
             restore as their owner or as a superuser"
                .to_owned(),
        );
    }
    match fill.silence {
        Silence::Replica => fill.notes.push(
            "no trigger fires for these rows; foreign keys from and to the tables are checked after the load, and these tables are \
             locked against writes meanwhile"
                .to_owned(),
        ),
        Silence::Disable => fill
            .notes
            .push("no trigger fires for these rows; foreign keys are checked row by row".to_owned()),
        Silence::NotNeeded => {}
    }
    fill
}

fn silence(live: &Live<'_>) -> Silence {
    if live.rights.replica {
        Silence::Replica
    } else if live.tables.values().all(|table| table.triggers.is_empty()) {
        Silence::NotNeeded
    } else {
        Silence::Disable
    }
}

impl Fill {
    fn table(&mut self, table: &Table, live: &Live<'_>) {
        let name = name_of(table);
        let Some(there) = live.tables.get(&name) else {
            self.refusals.push(format!(
                "table {name}: the live database has no such table: restore it without --truncate or --append, which makes it"
            ));
            return;
        };
        if there.kind != "r" && there.kind != "p" {
            self.refusals.push(format!(
                "{name} is no table in the live database: restore under another name with --as"
            ));
            return;
        }
        if there.policies_apply {
            self.refusals.push(format!(
                "table {name}: row level security applies to this user: restore as a superuser, or as a role with BYPASSRLS"
            ));
        }
        self.columns(table, there);
        if there.kind == "p" && !live.more_partitions.is_empty() {
            self.refusals.push(format!(
                "table {name}: the live table has partitions that the backup does not have ({}), and their rows would go: restore under a new name with --as",
                list(live.more_partitions)
            ));
        }
        if !there.triggers.is_empty() {
            self.notes.push(format!(
                "triggers of table {name} that do not fire: {}",
                there.triggers.join(", ")
            ));
        }
    }

    fn columns(&mut self, table: &Table, there: &LiveTable) {
        let name = &there.name;
        let known: HashMap<&str, bool> = there
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.generated))
            .collect();
        let missing: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !known.contains_key(column.as_str()))
            .cloned()
            .collect();
        if !missing.is_empty() {
            self.refusals.push(format!(
                "table {name}: the live table lacks columns that the backup has ({}): add them, or restore under a new name",
                missing.join(", ")
            ));
        }
        let generated: Vec<_> = table
            .columns
            .iter()
            .filter(|column| known.get(column.as_str()) == Some(&true))
            .cloned()
            .collect();
        if !generated.is_empty() {
            self.refusals.push(format!(
                "table {name}: columns that the backup has values of are generated in the live table ({}): restore under a new name",
                generated.join(", ")
            ));
        }
        let dumped: HashSet<&String> = table.columns.iter().collect();
        let more = || {
            there
                .columns
                .iter()
                .filter(|column| !column.generated && !dumped.contains(&column.name))
        };
        let required: Vec<_> = more()
            .filter(|column| column.required)
            .map(|column| column.name.clone())
            .collect();
        if !required.is_empty() {
            self.refusals.push(format!(
                "table {name}: the live table has columns that are NOT NULL, have no default, and are not in the backup ({}): restore under a new name",
                required.join(", ")
            ));
        }
        let defaulted: Vec<_> = more()
            .filter(|column| !column.required)
            .map(|column| column.name.clone())
            .collect();
        if !defaulted.is_empty() {
            self.notes.push(format!(
                "columns of table {name} that are not in the backup get their defaults: {}",
                defaulted.join(", ")
            ));
        }
    }

    /// TRUNCATE takes a table only together with all that point to it.
    fn empty(&mut self, names: &[Name], live: &Live<'_>) {
        let mut together: Vec<&Name> = names.iter().collect();
        let outside = |together: &[&Name], name: &Name| {
            live.pointing
                .iter()
                .any(|key| key.to == *name && !together.contains(&&key.from))
        };
        // A key may also point to a table by way of what it is a partition of; then it is deleted from too.
        let indirect = live.pointing.iter().any(|key| !names.contains(&key.to));
        loop {
            let before = together.len();
            let kept = together.clone();
            together.retain(|name| !outside(&kept, name) && !indirect);
            if together.len() == before {
                break;
            }
        }
        self.truncated = together.iter().map(|name| (*name).clone()).collect();
        self.deleted = names
            .iter()
            .filter(|name| !together.contains(name))
            .cloned()
            .collect();
        for name in &self.deleted {
            let keys: Vec<_> = live
                .pointing
                .iter()
                .map(|key| format!("{} of table {}", key.constraint, key.from))
                .collect();
            if self.silence != Silence::Replica {
                self.refusals.push(format!(
                    "table {name}: foreign keys point to it ({}), and without session_replication_role their rows could be changed or deleted: \
                     restore as a superuser, or under a new name",
                    keys.join(", ")
                ));
            }
            if live.tables.get(name).is_some_and(|table| table.rules) {
                self.refusals.push(format!(
                    "table {name}: it has rules, which could turn the removal of its rows into something else: restore under a new name"
                ));
            }
        }
    }
}

/// Names, a few of them.
pub(super) fn list<T: std::fmt::Display>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = names.iter().take(SHOWN).map(T::to_string).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::live::LiveColumn;
    use super::*;

    fn live_table(name: &str, columns: &[(&str, bool, bool)]) -> (Name, LiveTable) {
        let name = Name::new("s", name);
        let columns = columns
            .iter()
            .map(|(name, generated, required)| LiveColumn {
                name: (*name).to_owned(),
                generated: *generated,
                required: *required,
            });
        let table = LiveTable {
            oid: 1,
            name: name.clone(),
            kind: "r".into(),
            columns: columns.collect(),
            rows: None,
            bytes: 0,
            owned: true,
            policies_apply: false,
            parent: None,
            triggers: Vec::new(),
            rules: false,
            publications: Vec::new(),
        };
        (name, table)
    }

    fn dumped(name: &str) -> Table {
        Table {
            schema: "s".into(),
            name: name.into(),
            columns: vec!["a".into(), "b".into()],
            ..Table::default()
        }
    }

    fn pointing(from: &str, to: &str) -> Pointing {
        Pointing {
            constraint: "f".into(),
            from: Name::new("s", from),
            to: Name::new("s", to),
        }
    }

    fn planned(columns: &[(&str, bool, bool)], keys: &[Pointing], replica: bool) -> Fill {
        let tables = ["t", "u"].map(|name| live_table(name, columns)).into();
        let live = Live {
            tables: &tables,
            pointing: keys,
            periods: &[],
            more_partitions: &[],
            rights: Rights { replica },
        };
        fill(&[&dumped("t"), &dumped("u")], &live, true)
    }

    const SAME: &[(&str, bool, bool)] = &[("a", false, true), ("b", false, false)];

    #[test]
    fn truncate_where_it_can_and_delete_where_it_must() {
        let fill = planned(SAME, &[pointing("u", "t"), pointing("t", "t")], true);
        assert_eq!((fill.truncated.len(), fill.deleted.len()), (2, 0));
        let fill = planned(SAME, &[pointing("x", "u"), pointing("u", "t")], true);
        assert_eq!(
            (fill.truncated.len(), fill.deleted.len()),
            (0, 2),
            "t cannot go without u"
        );
        assert_eq!(fill.refusals, [""; 0]);
        let fill = planned(SAME, &[pointing("x", "u")], true);
        assert_eq!(fill.truncated, [Name::new("s", "t")]);
        let fill = planned(SAME, &[pointing("x", "u")], false);
        assert!(
            fill.refusals[0].contains("f of table s.x"),
            "{:?}",
            fill.refusals
        );
        let fill = planned(SAME, &[pointing("x", "parent")], true);
        assert_eq!(fill.deleted.len(), 2);
    }

    #[test]
    fn columns_must_fit() {
        for (columns, refused, noted) in [
            (
                &[("a", false, false)][..],
                "lacks columns that the backup has (b)",
                "",
            ),
            (
                &[("a", false, false), ("b", true, false)],
                "are generated in the live table (b)",
                "",
            ),
            (
                &[("a", false, false), ("b", false, false), ("c", false, true)],
                "not in the backup (c)",
                "",
            ),
            (
                &[
                    ("a", false, false),
                    ("b", false, false),
                    ("c", false, false),
                ],
                "",
                "defaults: c",
            ),
            (
                &[("a", false, false), ("b", false, false), ("c", true, false)],
                "",
                "",
            ),
        ] {
            let fill = planned(columns, &[], true);
            let said = |texts: &[String], text: &str| texts.iter().any(|t| t.contains(text));
            assert_eq!(
                !refused.is_empty(),
                !fill.refusals.is_empty(),
                "{:?}",
                fill.refusals
            );
            assert!(
                refused.is_empty() || said(&fill.refusals, refused),
                "{:?}",
                fill.refusals
            );
            assert!(
                noted.is_empty() || said(&fill.notes, noted),
                "{:?}",
                fill.notes
            );
        }
    }
}
