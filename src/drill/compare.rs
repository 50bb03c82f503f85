//! Reads every restored table back and compares it with what the dump held.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::place::Place;
use super::report::{CheckStatus, Report, SAME_MAJOR};
use super::session;
use crate::catalog::diff::{Difference, ObjectKind, compare_database};
use crate::catalog::{Catalog, Database, DumpKind};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::pg::connect::ServerError;
use crate::pg::measure;
use crate::pg::version::Version;

/// Databases read at once, and sessions that read each.
const AT_ONCE: usize = 2;

/// Compares all databases; mismatches go into the report.
pub(super) async fn all(
    expected: &Catalog,
    manifest: Option<&Manifest>,
    scratch: &Place<'_>,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let reading = expected
        .databases
        .iter()
        .map(|database| one(database, manifest, scratch, progress).boxed());
    // Collected first: a lazy map of borrowing futures is more than the compiler can prove to be Send.
    let reading: Vec<BoxFuture<'_, _>> = reading.collect();
    let measured: Vec<(&Database, Database)> = stream::iter(reading)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (database, actual) in measured {
        compare_database(database, &actual, &mut report.mismatches);
        report.databases += 1;
        report.tables += actual.tables.len() as u64;
        report.rows += actual.rows();
    }
    set_nameless_aside(report);
    if !manifest.is_some_and(Manifest::is_ours) {
        session::settle(expected, scratch, progress, report).await?;
    }
    summarize(expected, report);
    say_when_majors_differ(expected, report);
    roles(expected, scratch, report).await
}

/// Measures one database. A foreign dump does not say how its session read values; the scratch server's defaults serve.
async fn one<'a>(
    expected: &'a Database,
    manifest: Option<&Manifest>,
    scratch: &Place<'_>,
    progress: &Progress,
) -> Result<(&'a Database, Database)> {
    let settings = manifest.and_then(|manifest| manifest.session(&expected.name));
    Ok((
        expected,
        measure::database(scratch.target(), expected, settings, AT_ONCE, progress).await?,
    ))
}

/// In a database of encoding SQL_ASCII a table's name can be bytes that no client can write down. Such a table is
/// restored, but cannot be asked for.
fn set_nameless_aside(report: &mut Report) {
    let suspects = std::mem::take(&mut report.mismatches);
    for difference in suspects {
        if difference.object.contains(char::REPLACEMENT_CHARACTER) {
            let detail = format!(
                "{} of database {} has a name that is not text, and cannot be read back",
                difference.object, difference.database
            );
            report.check("content", CheckStatus::NotDone, detail);
        } else {
            report.mismatches.push(difference);
        }
    }
}

fn summarize(expected: &Catalog, report: &mut Report) {
    let sequences: usize = expected
        .databases
        .iter()
        .map(|database| database.sequences.len())
        .sum();
    let objects: u64 = expected
        .databases
        .iter()
        .map(|database| database.large_objects.count)
        .sum();
    let count = |kind| {
        report
            .mismatches
            .iter()
            .filter(|difference| difference.kind == kind)
            .count()
    };
    let status = |wrong: usize| {
        if wrong == 0 {
            CheckStatus::Passed
        } else {
            CheckStatus::Failed
        }
    };
    let (tables, values, large) = (
        count(ObjectKind::Table),
        count(ObjectKind::Sequence),
        count(ObjectKind::LargeObjects),
    );
    let rows = report.rows;
    report.check(
        "tables",
        status(tables),
        format!("{} tables, {rows} rows: {tables} differ", expected.tables()),
    );
    report.check(
        "sequences",
        status(values),
        format!("{sequences} sequences: {values} differ"),
    );
    report.check(
        "large objects",
        status(large),
        format!("{objects} large objects: {large} databases differ"),
    );
}

/// Text output of a few types changed between major versions: a difference there says nothing about the backup.
fn say_when_majors_differ(expected: &Catalog, report: &mut Report) {
    let dumped = expected
        .server_version
        .as_deref()
        .and_then(Version::from_text);
    let restored = Version::from_text(&report.scratch_version);
    if let (Some(dumped), Some(restored), false) = (dumped, restored, report.mismatches.is_empty())
        && dumped.major != restored.major
    {
        let detail = format!(
            "dumped from PostgreSQL {dumped}, restored into {restored}: a type's text output may differ; drill with the same major version"
        );
        report.check(SAME_MAJOR, CheckStatus::NotDone, detail);
    }
}

async fn roles(expected: &Catalog, scratch: &Place<'_>, report: &mut Report) -> Result<()> {
    if expected.kind == DumpKind::Database {
        // It has none, which was said.
        return Ok(());
    }
    let failed = |error: tokio_postgres::Error| {
        Failure::new(
            FailureKind::Scratch,
            "list the roles of the restored server",
        )
        .because(ServerError::from(&error))
    };
    let session = scratch.target().session(&scratch.target().database).await?;
    let rows = session
        .query("select rolname::text from pg_catalog.pg_roles", &[])
        .await
        .map_err(failed)?;
    session.close().await;
    let there: std::collections::HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing: Vec<_> = expected
        .roles
        .iter()
        .filter(|role| !there.contains(scratch.role(role)))
        .cloned()
        .collect();
    if missing.is_empty() {
        report.check(
            "roles",
            CheckStatus::Passed,
            format!("{} roles are there", expected.roles.len()),
        );
        return Ok(());
    }
    report.check(
        "roles",
        CheckStatus::Failed,
        format!("missing: {}", missing.join(", ")),
    );
    report.mismatches.push(Difference {
        database: String::new(),
        object: String::new(),
        kind: ObjectKind::Roles,
        expected: expected.roles.join(", "),
        actual: format!("all but {}", missing.join(", ")),
    });
    Ok(())
}
