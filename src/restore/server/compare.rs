//! Reads restored databases back and compares them with the backup, before they are put in place.

use std::time::Instant;

use super::Request;
use super::policy::ServerPolicy;
use crate::catalog::Database;
use crate::catalog::diff::{Difference, ObjectKind, compare_database};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::pg::measure;
use crate::restore::policy::Policy as _;

/// What was compared.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) rows: u64,
    pub(super) seconds: f64,
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
        let mut actual = measure::database(target, &renamed, settings, progress).await?;
        actual.name.clone_from(&database.name);
        let mut differences = Vec::new();
        compare_database(database, &actual, &mut differences);
        if request.manifest.is_none() {
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
