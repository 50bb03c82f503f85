//! Two catalogs compared: what was expected against what is there.

use serde::{Deserialize, Serialize};

use super::inventory::{Change, Inventory};
use super::{Catalog, Database, Table};

/// One thing that is not equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The database.
    pub database: String,
    /// The table, sequence or other thing in it; empty for the database itself.
    pub object: String,
    /// What kind of thing it is.
    pub kind: ObjectKind,
    /// What was expected.
    pub expected: String,
    /// What is there.
    pub actual: String,
}

/// Kinds of things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A database.
    Database,
    /// A table's rows and content.
    Table,
    /// A sequence's value.
    Sequence,
    /// All large objects of a database.
    LargeObjects,
    /// Roles of the cluster.
    Roles,
    /// Any other object, or a statement that defines something; `object` says which.
    Object,
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Table => "table",
            Self::Sequence => "sequence",
            Self::LargeObjects => "large objects",
            Self::Roles => "roles",
            Self::Object => "object",
        })
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind, self.object.as_str()) {
            (kind, "") => write!(f, "{kind}")?,
            // Its own words say what it is.
            (ObjectKind::Object | ObjectKind::Database, object) => f.write_str(object)?,
            (kind, object) => write!(f, "{kind} {object}")?,
        }
        match (self.kind, self.object.as_str(), self.database.as_str()) {
            (.., "") => {}
            (ObjectKind::Database, "", database) => write!(f, " {database}")?,
            (.., database) => write!(f, " of database {database}")?,
        }
        write!(f, ": expected {}, found {}", self.expected, self.actual)
    }
}

/// Everything in which `actual` is not `expected`.
pub fn compare(expected: &Catalog, actual: &Catalog) -> Vec<Difference> {
    let mut differences = Vec::new();
    if expected.roles != actual.roles {
        differences.push(Difference {
            database: String::new(),
            object: String::new(),
            kind: ObjectKind::Roles,
            expected: expected.roles.join(", "),
            actual: actual.roles.join(", "),
        });
    }
    let (wanted, there) = (&expected.inventory, &actual.inventory);
    compare_inventory("", wanted.as_ref(), there.as_ref(), &mut differences);
    let mut found = std::collections::HashMap::new();
    for database in &actual.databases {
        found.insert(&database.name, database);
    }
    for database in &expected.databases {
        match found.remove(&database.name) {
            Some(other) => {
                compare_database(database, other, &mut differences);
                let (wanted, there) = (&database.inventory, &other.inventory);
                compare_inventory(
                    &database.name,
                    wanted.as_ref(),
                    there.as_ref(),
                    &mut differences,
                );
            }
            None => differences.push(whole(&database.name, "present", "missing")),
        }
    }
    differences.extend(
        found
            .into_keys()
            .map(|name| whole(name, "absent", "present")),
    );
    differences
}

fn whole(name: &str, expected: &str, actual: &str) -> Difference {
    Difference {
        database: name.to_owned(),
        object: String::new(),
        kind: ObjectKind::Database,
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    }
}

/// Everything in which one database is not the other.
pub fn compare_database(expected: &Database, actual: &Database, differences: &mut Vec<Difference>) {
    let mut push = |kind, object: String, expected: String, actual: String, name: &str| {
        differences.push(Difference {
            database: name.to_owned(),
            object,
            kind,
            expected,
            actual,
        });
    };
    if expected.encoding != actual.encoding {
        push(
            ObjectKind::Database,
            "client_encoding".to_owned(),
            expected.encoding.clone(),
            actual.encoding.clone(),
            &expected.name,
        );
    }
    let mut tables: std::collections::HashMap<_, _> = actual
        .tables
        .iter()
        .map(|table| ((&table.schema, &table.name), table))
        .collect();
    for table in &expected.tables {
        let object = format!("{}.{}", table.schema, table.name);
        match tables.remove(&(&table.schema, &table.name)) {
            Some(other) if same_content(table, other) => {}
            Some(other) => push(
                ObjectKind::Table,
                object,
                content(table),
                content(other),
                &expected.name,
            ),
            None => push(
                ObjectKind::Table,
                object,
                content(table),
                "nothing".to_owned(),
                &expected.name,
            ),
        }
    }
    for ((schema, name), table) in tables {
        push(
            ObjectKind::Table,
            format!("{schema}.{name}"),
            "nothing".to_owned(),
            content(table),
            &expected.name,
        );
    }
    let mut sequences: std::collections::HashMap<_, _> = actual
        .sequences
        .iter()
        .map(|sequence| {
            (
                (&sequence.schema, &sequence.name),
                (sequence.value, sequence.called),
            )
        })
        .collect();
    for sequence in &expected.sequences {
        let wanted = (sequence.value, sequence.called);
        let object = format!("{}.{}", sequence.schema, sequence.name);
        match sequences.remove(&(&sequence.schema, &sequence.name)) {
            Some(value) if value == wanted => {}
            Some(value) => push(
                ObjectKind::Sequence,
                object,
                value_text(wanted),
                value_text(value),
                &expected.name,
            ),
            None => push(
                ObjectKind::Sequence,
                object,
                value_text(wanted),
                "nothing".to_owned(),
                &expected.name,
            ),
        }
    }
    for ((schema, name), value) in sequences {
        push(
            ObjectKind::Sequence,
            format!("{schema}.{name}"),
            "nothing".to_owned(),
            value_text(value),
            &expected.name,
        );
    }
    if expected.large_objects != actual.large_objects {
        let text = |objects: &super::LargeObjects| {
            format!(
                "{} objects, {} bytes, hash {}",
                objects.count, objects.bytes, objects.hash
            )
        };
        push(
            ObjectKind::LargeObjects,
            String::new(),
            text(&expected.large_objects),
            text(&actual.large_objects),
            &expected.name,
        );
    }
}

/// Whether objects can be compared: both list them, in the same way.
pub fn has_same_inventory(expected: &Catalog, actual: &Catalog) -> bool {
    match (&expected.inventory, &actual.inventory) {
        (Some(expected), Some(actual)) => expected.version == actual.version,
        _ => false,
    }
}

/// Everything in which an inventory is not the other; nothing where one of them is not there.
fn compare_inventory(
    database: &str,
    expected: Option<&Inventory>,
    actual: Option<&Inventory>,
    differences: &mut Vec<Difference>,
) {
    let (Some(expected), Some(actual)) = (expected, actual) else {
        return;
    };
    for change in expected.changes(actual) {
        let (object, expected, actual) = match change {
            Change::Missing(object) => (object.to_string(), "present", "nothing"),
            Change::Extra(object) => (object.to_string(), "nothing", "present"),
            Change::Differs(object) => (object.to_string(), "its definition", "another definition"),
            Change::StatementMissing(text) => (format!("statement {text}"), "present", "nothing"),
            Change::StatementExtra(text) => (format!("statement {text}"), "nothing", "present"),
            Change::Unlisted => (
                "statements that are only summed up".to_owned(),
                "the same",
                "others",
            ),
        };
        differences.push(Difference {
            database: database.to_owned(),
            object,
            kind: ObjectKind::Object,
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        });
    }
}

/// Whether two tables hold the same rows.
pub fn same_content(a: &Table, b: &Table) -> bool {
    (a.rows, a.bytes, a.hash) == (b.rows, b.bytes, b.hash)
}

fn content(table: &Table) -> String {
    format!(
        "{} rows, {} bytes, hash {}",
        table.rows, table.bytes, table.hash
    )
}

fn value_text((value, called): (i64, bool)) -> String {
    format!("{value} ({})", if called { "called" } else { "not called" })
}
