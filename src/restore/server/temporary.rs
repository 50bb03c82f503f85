//! Temporary databases of a restore: made, put in place by rename, dropped, and swept when their maker was killed.
//!
//! All are called `pgvigil_restore_<id>_…`. The first, `…_0`, holds nothing: it is where we are connected while others are
//! renamed, and its comment lists the others. As long as someone is connected to it, the restore is alive; if nobody is,
//! what the comment lists is left over. What the comment does not list is nobody's to drop.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::scratch::random_id;
use crate::pg::shared::{self, Shared, SharedDatabase};
use crate::sql::name::{quote_identifier, quote_literal};

/// What every name begins with.
const PREFIX: &str = "pgvigil_restore_";

/// How long sessions of a database that is replaced have to end.
const PATIENCE: Duration = Duration::from_millis(200);

/// The comment on the first database.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Marks it as ours.
    pgvigil_restore: String,
    /// Databases that go if nobody is connected to the first.
    databases: Vec<String>,
    /// Roles that go too, as long as nothing was put in place and they have nothing.
    #[serde(default)]
    roles: Vec<String>,
    /// Whether the restored databases are in place.
    #[serde(default)]
    in_place: bool,
}

/// A template cannot be dropped.
fn ordinary(name: &str) -> String {
    format!(
        "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = {} AND datistemplate",
        quote_literal(name)
    )
}

impl Note {
    fn as_comment(&self, first: &str) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!(
            "COMMENT ON DATABASE {} IS {}",
            quote_identifier(first),
            quote_literal(&text)
        )
    }
}

/// The temporary databases of one restore.
pub(super) struct Temporary {
    id: String,
    /// The target, connected to the first database.
    pub(super) target: Target,
    /// Held as long as the restore lives.
    session: Session,
    note: Note,
}

fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = what.to_owned();
    move |error| Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error))
}

fn drop_statement(name: &str, version_major: u32) -> String {
    let force = if version_major >= 13 {
        " WITH (FORCE)"
    } else {
        ""
    };
    format!("DROP DATABASE IF EXISTS {}{force}", quote_identifier(name))
}

impl Temporary {
    /// Names for so many databases, and the first of them made.
    pub(super) async fn make(
        target: &Target,
        outside: &Session,
        count: usize,
        roles: Vec<String>,
    ) -> Result<Self> {
        let id = format!("{:08x}", random_id()?);
        let first = format!("{PREFIX}{id}_0");
        outside
            .batch_execute(&format!(
                "CREATE DATABASE {} TEMPLATE template0",
                quote_identifier(&first)
            ))
            .await
            .map_err(failed("make a temporary database on the target"))?;
        let target = target.in_database(&first).for_restoring();
        let session = target.session(&first).await?;
        let databases = (1..=count)
            .flat_map(|n| [format!("{PREFIX}{id}_{n}"), format!("{PREFIX}{id}_old_{n}")])
            .collect();
        let note = Note {
            pgvigil_restore: id.clone(),
            databases,
            roles,
            in_place: false,
        };
        session
            .batch_execute(&note.as_comment(&first))
            .await
            .map_err(failed("mark the temporary database"))?;
        Ok(Self {
            id,
            target,
            session,
            note,
        })
    }

    /// The temporary name of the n-th database, counted from 1.
    pub(super) fn name(&self, n: usize) -> String {
        format!("{PREFIX}{}_{n}", self.id)
    }

    /// Where the n-th database's predecessor goes.
    pub(super) fn old_name(&self, n: usize) -> String {
        format!("{PREFIX}{}_old_{n}", self.id)
    }

    /// Runs a statement in the first database.
    pub(super) async fn execute(&self, what: &str, text: &str) -> Result<()> {
        self.session
            .execute_typed(text, &[])
            .await
            .map(drop)
            .map_err(failed(what))
    }

    /// Renames databases, all of them or none: (from, to). Sessions in them are ended, and none can begin meanwhile: the
    /// rename holds the lock that a beginning session asks for.
    pub(super) async fn rename(&self, renames: &[(String, String)]) -> Result<()> {
        let ending = self.target.session(&self.target.database).await?;
        let names: Vec<&str> = renames.iter().map(|(from, _)| from.as_str()).collect();
        let end_others = async {
            loop {
                let end = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
                     where datname = any($1) and pid <> pg_backend_pid()";
                if let Err(error) = ending.execute(end, &[&names]).await {
                    return failed("end the sessions of the databases that are replaced")(error);
                }
                tokio::time::sleep(PATIENCE).await;
            }
        };
        let work = async {
            let run = async |text: &str| {
                self.session
                    .batch_execute(text)
                    .await
                    .map_err(failed("put the restored databases in place"))
            };
            run("BEGIN").await?;
            for (from, to) in renames {
                let text = format!(
                    "ALTER DATABASE {} RENAME TO {}",
                    quote_identifier(from),
                    quote_identifier(to)
                );
                if let Err(error) = run(&text).await {
                    let _ = run("ROLLBACK").await;
                    return Err(error);
                }
            }
            let note = Note {
                pgvigil_restore: self.id.clone(),
                databases: self.note.databases.clone(),
                roles: Vec::new(),
                in_place: true,
            };
            run(&note.as_comment(&self.target.database)).await?;
            // What was loaded without waiting for the disk is on it when this is.
            run("SET LOCAL synchronous_commit = on").await?;
            run("COMMIT").await
        };
        let result = tokio::select! {
            result = work => result,
            error = end_others => Err(error),
        };
        ending.close().await;
        result
    }

    /// Drops one of its databases.
    pub(super) async fn drop_database(&self, name: &str, version_major: u32) -> Result<()> {
        self.execute(
            &format!("make database {name} an ordinary one"),
            &ordinary(name),
        )
        .await?;
        self.execute(
            &format!("drop database {name}"),
            &drop_statement(name, version_major),
        )
        .await
    }

    /// Drops all that is left of them; gives what could not be dropped.
    pub(super) async fn clear(&self, version_major: u32) -> Vec<String> {
        let mut left = Vec::new();
        let there = self
            .session
            .query(
                "select datname from pg_catalog.pg_database where datname = any($1)",
                &[&self.note.databases],
            )
            .await;
        for row in there.unwrap_or_default() {
            let name: String = row.get(0);
            if self.drop_database(&name, version_major).await.is_err() {
                left.push(name);
            }
        }
        left
    }

    /// Drops the first, from another database.
    pub(super) async fn end(self, outside: &Session, version_major: u32) -> Result<()> {
        self.session.close().await;
        outside
            .batch_execute(&drop_statement(&self.target.database, version_major))
            .await
            .map_err(failed(&format!(
                "drop temporary database {}",
                self.target.database
            )))
    }
}

/// Drops what killed restores left on the server.
pub(super) async fn sweep(target: &Target, outside: &Session, shared: &Shared) -> Result<()> {
    let others: i64 = outside
        .query_one("select count(*) from pg_catalog.pg_stat_activity where application_name = 'pgvigil' and pid <> pg_backend_pid()", &[])
        .await
        .map_err(failed("look for other restores"))?
        .get(0);
    for (first, database) in &shared.databases {
        if others == 0 && is_unmarked(first, database) && shared::is_empty(target, first).await? {
            // Killed before it could say whose it is; there is nothing in it, and nobody who could have made it is left.
            outside
                .batch_execute(&drop_statement(first, shared.version.major))
                .await
                .map_err(failed(&format!(
                    "drop {first}, which a killed restore left"
                )))?;
            continue;
        }
        let Some(note) = left_over(first, database.comment.as_deref()) else {
            continue;
        };
        if database.sessions > 0 {
            continue;
        }
        for name in &note.databases {
            if !shared.databases.contains_key(name) {
                continue;
            }
            for text in [ordinary(name), drop_statement(name, shared.version.major)] {
                outside
                    .batch_execute(&text)
                    .await
                    .map_err(failed(&format!("drop {name}, which a killed restore left")))?;
            }
            info!("dropped database {name}, which a killed restore had left");
        }
        for role in note
            .roles
            .iter()
            .filter(|role| shared.roles.contains(*role))
        {
            let text = format!("DROP ROLE IF EXISTS {}", quote_identifier(role));
            match outside.batch_execute(&text).await {
                Ok(()) => info!("dropped role {role}, which a killed restore had made"),
                // Somebody uses it by now.
                Err(error) => warn!(
                    "{}",
                    failed(&format!("drop role {role}, which a killed restore made"))(error)
                        .sentence()
                ),
            }
        }
        if note.in_place {
            warn!(
                "a restore was killed after its databases were in place: what it was to change of roles may be missing; restore again with --replace, or compare them with the backup"
            );
        }
        outside
            .batch_execute(&drop_statement(first, shared.version.major))
            .await
            .map_err(failed(&format!(
                "drop {first}, which a killed restore left"
            )))?;
    }
    Ok(())
}

/// Whether a database could be a first one that has no note yet.
fn is_unmarked(name: &str, database: &SharedDatabase) -> bool {
    let id = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix("_0"));
    id.is_some_and(is_id) && database.comment.is_none() && database.sessions == 0
}

fn is_id(id: &str) -> bool {
    id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The note of a first database, if it is one of ours in every way: its name, its comment, and names that fit both.
fn left_over(first: &str, comment: Option<&str>) -> Option<Note> {
    let id = first.strip_prefix(PREFIX)?.strip_suffix("_0")?;
    let note: Note = serde_json::from_str(comment?).ok()?;
    let own = format!("{PREFIX}{id}_");
    let fits = note.pgvigil_restore == id
        && is_id(id)
        && note.databases.iter().all(|name| name.starts_with(&own));
    fits.then_some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_in_every_way_is_left_over() {
        let comment = |id: &str, name: &str| {
            format!("{{\"pgvigil_restore\":\"{id}\",\"databases\":[\"{name}\"]}}")
        };
        let ours = comment("0123abcd", "pgvigil_restore_0123abcd_1");
        assert!(left_over("pgvigil_restore_0123abcd_0", Some(&ours)).is_some());
        for (first, comment) in [
            ("pgvigil_restore_0123abcd_0", None),
            ("pgvigil_restore_0123abcd_0", Some("mine".to_owned())),
            ("pgvigil_restore_0123abcd_1", Some(ours.clone())),
            ("pgvigil_restore_99999999_0", Some(ours.clone())),
            ("app_db", Some(ours)),
            (
                "pgvigil_restore_0123abcd_0",
                Some(comment("0123abcd", "app_db")),
            ),
        ] {
            assert!(left_over(first, comment.as_deref()).is_none(), "{first}");
        }
    }
}
