//! The names under which tables, and all that they own, are made.

use std::collections::HashMap;

use super::choose::Choice;
use super::definitions::Definitions;
use super::make::{Facts, Made, Roots};
use super::name::{Name, behind, fitting};
use super::part::Kind;

/// What is behind the name of a table that is restored beside the live one.
const SUFFIX: &str = "_restored";

/// The name that a root gets beside the live one.
pub(super) fn beside(root: &Name, rename: Option<&Name>) -> Name {
    rename
        .cloned()
        .unwrap_or_else(|| Name::new(&root.schema, fitting(&root.name, SUFFIX)))
}

/// Gives names to the tables and to all that they own.
pub(super) fn name_all(
    made: &mut Made,
    choice: &Choice,
    roots: &Roots,
    definitions: &Definitions,
    facts: &mut Facts,
) {
    let owners = definitions.owners();
    let mut owned: HashMap<&Name, Vec<&Name>> = HashMap::new();
    for (name, table) in &owners {
        owned.entry(table).or_default().push(name);
    }
    owned.values_mut().for_each(|names| names.sort());
    let mut new_roots: HashMap<&Name, Name> = HashMap::new();
    for root in &choice.roots {
        let new = roots.get(root).cloned().flatten();
        let name = new.clone().unwrap_or_else(|| root.clone());
        if !facts.schemas.contains(&name.schema) {
            made.refusals.push(no_schema(root, &name));
        } else if facts.taken.has(&name) {
            made.refusals.push(format!(
                "table {root}: {name} is there already: choose another name with --as"
            ));
        }
        facts.taken.add(&name);
        new_roots.insert(root, name);
    }
    for table in &choice.all {
        let root = choice.root_of.get(table).unwrap_or(table);
        let Some(new_root) = new_roots.get(root) else {
            continue;
        };
        let renamed = roots.get(root).is_some_and(Option::is_some);
        let new = if !renamed {
            if table != root {
                keep(made, facts, table);
            }
            table.clone()
        } else if table == root {
            new_root.clone()
        } else {
            // A partition stays in its schema, unless its table goes to another one.
            let moved = new_root.schema != root.schema;
            let schema = if moved {
                &new_root.schema
            } else {
                &table.schema
            };
            derived(facts, schema, (root, new_root), &table.name)
        };
        if table != root && !facts.schemas.contains(&new.schema) {
            made.refusals.push(no_schema(table, &new));
        }
        made.tables.push(new.clone());
        for name in owned.get(table).into_iter().flatten() {
            if renamed {
                let new = derived(facts, &new.schema, (table, &new), &name.name);
                made.renames.relations.insert((*name).clone(), new);
            } else {
                keep(made, facts, name);
            }
        }
        if renamed {
            made.renames.relations.insert(table.clone(), new);
        }
    }
    for defined in definitions.about(&choice.all) {
        let part = &defined.part;
        let (key, sequence) = match &part.kind {
            Kind::Key(name) => (Some(name), None),
            Kind::Identity(sequence) => (None, Some(sequence)),
            Kind::OwnedBy(_) => (None, Some(&part.on)),
            _ => continue,
        };
        if let Some(name) = key
            && let Some(new) = made
                .renames
                .relations
                .get(&Name::new(&part.on.schema, name))
        {
            let of = (part.on.clone(), name.clone());
            made.renames.constraints.insert(of, new.name.clone());
        }
        made.sequences
            .extend(sequence.map(|name| (name.clone(), made.renames.of(name))));
    }
}

fn no_schema(table: &Name, new: &Name) -> String {
    format!(
        "table {table}: the live database has no schema {}: create it first",
        new.schema
    )
}

/// A name that stays must be free.
fn keep(made: &mut Made, facts: &mut Facts, name: &Name) {
    if facts.taken.has(name) {
        made.refusals.push(format!(
            "{name}, which comes with the table, is there already in the live database: rename or drop it, or restore under a new name with --as"
        ));
    }
    facts.taken.add(name);
}

/// The new name of what was named after a table, or beside it.
fn derived(facts: &mut Facts, schema: &str, (old, new): (&Name, &Name), name: &str) -> Name {
    match behind(&old.name, name) {
        Some(rest) => facts.taken.free(schema, &new.name, rest),
        None => facts.taken.free(schema, name, SUFFIX),
    }
}
