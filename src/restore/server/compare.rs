//! Reads restored databases back and compares them with the backup, before they are put in place.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::Request;
use super::policy::ServerPolicy;
use crate::catalog::diff::{Difference, ObjectKind, compare_database, same_content};
use crate::catalog::{Database, Table};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::pg::measure;
use crate::restore::Restored;
use crate::restore::policy::Policy as _;

/// What was compared.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) rows: u64,
    pub(super) seconds: f64,
}

/// Compares what was sent with what the backup is to hold: rows, bytes and content of each table, and how many rows the
/// server says that it took.
pub(super) fn sent(
    request: &Request<'_>,
    planned: &BTreeMap<String, (String, String)>,
    restored: &Restored,
) -> Result<()> {
    let mut sent: HashMap<(&str, &str, &str), Table> = HashMap::new();
    for piece in &restored.sent {
        let key = (
            piece.database.as_str(),
            piece.schema.as_str(),
            piece.table.as_str(),
        );
        let table = sent.entry(key).or_default();
        table.rows += piece.rows;
        table.bytes += piece.bytes;
        table.hash.add(piece.hash.0);
    }
    let failed = |what: String| {
        let what = format!("restore {}: {what}", request.archive.display());
        Failure::new(FailureKind::Damaged, what).remedy("use another backup")
    };
    let mut rows = 0;
    let databases = &request.catalog.databases;
    for database in databases
        .iter()
        .filter(|database| planned.contains_key(&database.name))
    {
        for table in database
            .tables
            .iter()
            .filter(|table| !table.data.is_empty())
        {
            let key = (
                database.name.as_str(),
                table.schema.as_str(),
                table.name.as_str(),
            );
            rows += table.rows;
            if !sent.get(&key).is_some_and(|sent| same_content(sent, table)) {
                return Err(failed(format!(
                    "the rows of table {}.{} of database {} are not those of its manifest",
                    table.schema,
                    table.name,
                    database.label()
                )));
            }
        }
    }
    if rows == restored.rows {
        Ok(())
    } else {
        let taken = restored.rows;
        Err(failed(format!("the server took {taken} rows of {rows}")))
    }
}

/// Compares all databases of the plan; anything that is not equal is a failure.
pub(super) async fn all(
    request: &Request<'_>,
    policy: &ServerPolicy,
    target: &Target,
    progress: &Progress,
) -> Result<Compared> {
    let began = Instant::now();
    let databases: Vec<(&Database, String)> = request
        .catalog
        .databases
        .iter()
        .filter_map(|database| Some((database, policy.database(&database.name)?)))
        .collect();
    let bytes = databases
        .iter()
        .flat_map(|(database, _)| &database.tables)
        .map(|table| table.bytes)
        .sum();
    progress.stage("compare", bytes);
    let mut rows = 0;
    for (database, on) in databases {
        let settings = request
            .manifest
            .and_then(|manifest| manifest.session(&database.name));
        let renamed = Database {
            name: on.clone(),
            ..database.clone()
        };
        let mut actual =
            measure::database(target, &renamed, settings, request.jobs, progress).await?;
        actual.name.clone_from(&database.name);
        let mut differences = Vec::new();
        compare_database(database, &actual, &mut differences);
        if !request.manifest.is_some_and(Manifest::is_ours) {
            differences = set_aside(target, &on, differences).await?;
        }
        rows += actual.rows();
        if let Some(first) = differences.first() {
            let what = format!(
                "compare the restored database with the backup: {first}{}",
                match differences.len() {
                    1 => String::new(),
                    many => format!(" (and {} more)", many - 1),
                }
            );
            return Err(Failure::new(FailureKind::NotEqual, what));
        }
    }
    Ok(Compared {
        rows,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A foreign archive does not say under which settings its values were written. Rows that are as many and only read
/// otherwise because of that are not called unequal.
async fn set_aside(
    target: &Target,
    on: &str,
    differences: Vec<Difference>,
) -> Result<Vec<Difference>> {
    let mut kept = Vec::new();
    for difference in differences {
        let same_rows =
            difference.expected.split(',').next() == difference.actual.split(',').next();
        let only_form = difference.kind == ObjectKind::Table
            && same_rows
            && measure::depends_on_session(target, on, &difference.object)
                .await?
                .any();
        if !only_form {
            kept.push(difference);
        }
    }
    Ok(kept)
}
