//! Fills the sample server from the `*.sql` files.

use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session, Target};

const GLOBALS: &str = include_str!("globals.sql");
const EXTENSIONS: &str = include_str!("extensions.sql");
const EXTENSION_TABLES: &str = include_str!("extension_tables.sql");

/// The databases of the sample and what goes into each.
pub(super) const DATABASES: [(&str, &str); 3] = [
    ("shop", include_str!("shop.sql")),
    ("Analytics db", include_str!("analytics.sql")),
    ("legacy", include_str!("legacy.sql")),
];

/// The database that has the extensions.
const WITH_EXTENSIONS: &str = "shop";

/// Runs all of it; gives what has to be said about it.
pub(super) async fn fill(target: &Target, progress: &Progress) -> Result<String> {
    let session = target.session("postgres").await?;
    // CREATE DATABASE cannot be one of several statements.
    for statement in statements(GLOBALS) {
        run(&session, "globals.sql", statement).await?;
    }
    session.close().await;
    let mut told = String::new();
    for (database, sql) in DATABASES {
        progress.check()?;
        let session = target.session(database).await?;
        run(&session, database, sql).await?;
        if database == WITH_EXTENSIONS {
            told.push_str(&extensions(&session).await?);
        }
        session.close().await;
    }
    Ok(told)
}

/// Statements of a file in which each ends with a semicolon at a line's end.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(";\n")
        .filter(|statement| statement.trim_end().ends_with(';'))
}

async fn run(session: &Session, what: &str, sql: &str) -> Result<()> {
    session.batch_execute(sql).await.map_err(|error| {
        Failure::new(
            FailureKind::Scratch,
            format!("fill the sample server: {what}"),
        )
        .because(ServerError::from(&error))
    })
}

/// The contrib extensions that these binaries have; a table of each only where all are there.
async fn extensions(session: &Session) -> Result<String> {
    let mut missing = Vec::new();
    for statement in statements(EXTENSIONS) {
        let name = statement.split_whitespace().nth(2).unwrap_or("");
        let available = session
            .query_opt(
                "select from pg_catalog.pg_available_extensions where name = $1",
                &[&name],
            )
            .await
            .map_err(|error| {
                Failure::new(FailureKind::Scratch, "look for extensions")
                    .because(ServerError::from(&error))
            })?;
        if available.is_some() {
            run(session, name, statement).await?;
        } else {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        run(session, "extension_tables.sql", EXTENSION_TABLES).await?;
        return Ok(String::new());
    }
    Ok(format!(
        "not in the sample: {}, which these binaries lack (Debian's postgresql-contrib has them)\n",
        missing.join(", ")
    ))
}
