//! Temporary databases of a restore: made, put in place by rename, dropped, and swept when their maker was killed.
//!
//! All are called `pgvigil_restore_<id>_…`. The first, `…_0`, holds nothing: it is where we are connected while others are
//! renamed, and its comment lists the others. As long as someone is connected to it, the restore is alive; if nobody is,
//! what the comment lists is left over. What the comment does not list is nobody's to drop.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::policy::role_mark;
use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::scratch::random_id;
use crate::pg::shared::{self, Shared, SharedDatabase};
use crate::pg::version::Version;
use crate::sql::name::{quote_identifier, quote_literal};

/// What every name begins with.
const PREFIX: &str = "pgvigil_restore_";

/// How often sessions are asked to end before their database is dropped all the same.
const ENDINGS: usize = 50;

/// How long sessions of a database that is replaced have to end.
const PATIENCE: Duration = Duration::from_millis(200);

/// The comment on the first database.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Marks it as ours.
    pgvigil_restore: String,
    /// Databases that go if nobody is connected to the first.
    databases: Vec<String>,
    /// Those of them that go only as long as nobody has made anything in them: no backup was taken of these.
    #[serde(default)]
    empty: Vec<String>,
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

/// Whether a database takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replacing {
    /// There is none of its name.
    Nothing,
    /// One in which nobody has made anything.
    Empty,
    /// One that is in use.
    InUse,
}

fn new_name(id: &str, n: usize) -> String {
    format!("{PREFIX}{id}_{n}")
}

fn old_name(id: &str, n: usize) -> String {
    format!("{PREFIX}{id}_old_{n}")
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
        version: Version,
        replacing: &[Replacing],
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
        let target = target.in_database(&first).for_restoring(version);
        let session = target.session(&first).await?;
        let numbered = || (1..).zip(replacing);
        let note = Note {
            pgvigil_restore: id.clone(),
            databases: numbered()
                .flat_map(|(n, _)| [new_name(&id, n), old_name(&id, n)])
                .collect(),
            empty: numbered()
                .filter(|(_, replacing)| **replacing == Replacing::Empty)
                .map(|(n, _)| old_name(&id, n))
                .collect(),
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
        new_name(&self.id, n)
    }

    /// Makes a database that the dump does not make: with encoding, locale and owner of the one whose place it takes, if
    /// there is one, else as the server has it.
    pub(super) async fn make_like(&self, name: &str, other: &str) -> Result<()> {
        let ask = "select format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I CONNECTION LIMIT %s', \
             $1::text, pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, pg_catalog.pg_get_userbyid(datdba), datconnlimit) \
             from pg_catalog.pg_database where datname = $2";
        let like = self
            .session
            .query_opt(ask, &[&name, &other])
            .await
            .map_err(failed(&format!("look at database {other}")))?;
        let make = like.map_or_else(
            || {
                format!(
                    "CREATE DATABASE {} TEMPLATE template0",
                    quote_identifier(name)
                )
            },
            |row| row.get(0),
        );
        self.execute(&format!("make a database for {other}"), &make)
            .await
    }

    /// Where the n-th database's predecessor goes.
    pub(super) fn old_name(&self, n: usize) -> String {
        old_name(&self.id, n)
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
                // If they cannot be ended, the renaming fails and says why.
                let _ = ending.execute(end, &[&names]).await;
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
            // Whoever holds a database longer than this keeps others from connecting to it while we wait.
            run("SET LOCAL lock_timeout = '30s'").await?;
            for (from, to) in renames {
                let text = format!(
                    "ALTER DATABASE {} RENAME TO {}",
                    quote_identifier(from),
                    quote_identifier(to)
                );
                run(&text).await?;
            }
            let note = Note {
                pgvigil_restore: self.id.clone(),
                databases: self.note.databases.clone(),
                empty: self.note.empty.clone(),
                in_place: true,
            };
            run(&note.as_comment(&self.target.database)).await?;
            // What was loaded without waiting for the disk is on it when this is.
            run("SET LOCAL synchronous_commit = on").await?;
            run("COMMIT").await
        };
        let result: Result<()> = tokio::select! {
            result = work => result,
            () = end_others => Ok(()),
        };
        if result.is_err() {
            let _ = self.session.batch_execute("ROLLBACK").await;
        }
        ending.close().await;
        result
    }

    /// The number in all its names.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nobody has made anything in one of its databases.
    pub(super) async fn is_empty(&self, name: &str) -> Result<bool> {
        shared::is_empty(&self.target, name).await
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

    /// Whether the restored databases are in place, as the server says; none where it does not answer.
    pub(super) async fn is_in_place(&self) -> Option<bool> {
        let session = self.target.session(&self.target.database).await.ok()?;
        let comment = session
            .query_one(
                "select pg_catalog.shobj_description(oid, 'pg_database') from pg_catalog.pg_database where datname = current_database()",
                &[],
            )
            .await
            .ok()?;
        session.close().await;
        let comment: Option<String> = comment.get(0);
        Some(left_over(&self.target.database, comment.as_deref())?.in_place)
    }

    /// Drops all that is left of them, with a session of its own and after all other sessions of ours have ended; gives
    /// what could not be dropped.
    pub(super) async fn clear(&self, version_major: u32) -> Vec<String> {
        let unknown = || vec!["its temporary databases".to_owned()];
        let Ok(session) = self.target.session(&self.target.database).await else {
            return unknown();
        };
        let mut all = self.note.databases.clone();
        all.push(self.target.database.clone());
        for _ in 0..ENDINGS {
            let ended = session
                .query_one(
                    "select count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity \
                     where datname = any($1) and pid <> pg_backend_pid()",
                    &[&all],
                )
                .await;
            if ended.is_ok_and(|row| row.get::<_, i64>(0) == 0) {
                break;
            }
            tokio::time::sleep(PATIENCE).await;
        }
        let there = session
            .query(
                "select datname from pg_catalog.pg_database where datname = any($1)",
                &[&self.note.databases],
            )
            .await;
        let Ok(there) = there else {
            return unknown();
        };
        let mut left = Vec::new();
        for row in there {
            let name: String = row.get(0);
            let _ = end_subscriptions(&self.target, &session, &name).await;
            let dropped = async {
                session.batch_execute(&ordinary(&name)).await?;
                session
                    .batch_execute(&drop_statement(&name, version_major))
                    .await
            };
            if dropped.await.is_err() {
                left.push(name);
            }
        }
        session.close().await;
        left
    }

    /// Drops roles and tablespaces, those that others build on after these; gives what could not be dropped.
    pub(super) async fn drop_all(&self, mut statements: Vec<(String, String)>) -> Vec<String> {
        let Ok(session) = self.target.session(&self.target.database).await else {
            return statements.into_iter().map(|(what, _)| what).collect();
        };
        loop {
            let mut left = Vec::new();
            for (what, text) in &statements {
                if session.batch_execute(text).await.is_err() {
                    left.push((what.clone(), text.clone()));
                }
            }
            if left.is_empty() || left.len() == statements.len() {
                session.close().await;
                return left.into_iter().map(|(what, _)| what).collect();
            }
            statements = left;
        }
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

/// A subscription keeps its database from being dropped. Those of a database of ours never had a slot of their own.
async fn end_subscriptions(target: &Target, outside: &Session, name: &str) -> Result<()> {
    let ask = "select s.subname from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid where d.datname = $1";
    let rows = outside
        .query(ask, &[&name])
        .await
        .map_err(failed("list subscriptions"))?;
    if rows.is_empty() {
        return Ok(());
    }
    let session = target.session(name).await?;
    for row in rows {
        let subscription = quote_identifier(row.get(0));
        for text in [
            format!("ALTER SUBSCRIPTION {subscription} DISABLE"),
            format!("ALTER SUBSCRIPTION {subscription} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {subscription}"),
        ] {
            session
                .batch_execute(&text)
                .await
                .map_err(failed("drop a subscription of a temporary database"))?;
        }
    }
    session.close().await;
    Ok(())
}

/// Drops what killed restores left on the server. What cannot be dropped is said, and keeps nobody from restoring.
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
        let mut kept = false;
        if database.sessions > 0 || !database.is_ours_or_superusers {
            continue;
        }
        for name in &note.databases {
            if !shared.databases.contains_key(name) {
                continue;
            }
            let what = format!("drop {name}, which a killed restore left");
            let dropped = async {
                if note.empty.contains(name) && !shared::is_empty(target, name).await? {
                    let why = format!(
                        "drop {name}, which a killed restore has replaced: it was empty then and is not any more"
                    );
                    let remedy = "look into it, and rename or drop it";
                    return Err(Failure::new(FailureKind::Target, why).remedy(remedy));
                }
                if !note.in_place {
                    end_subscriptions(target, outside, name).await?;
                }
                for text in [ordinary(name), drop_statement(name, shared.version.major)] {
                    outside.batch_execute(&text).await.map_err(failed(&what))?;
                }
                Ok::<(), Failure>(())
            };
            match dropped.await {
                Ok(()) => info!("dropped database {name}, which a killed restore had left"),
                Err(failure) => {
                    warn!("{}", failure.sentence());
                    kept = true;
                }
            }
        }
        // Roles are known by their comment, which they got when they were made.
        let mark = role_mark(&note.pgvigil_restore);
        let made = outside
            .query(
                "select rolname from pg_catalog.pg_roles where pg_catalog.shobj_description(oid, 'pg_authid') = $1",
                &[&mark],
            )
            .await
            .map_err(failed("list the roles that a killed restore made"))?;
        for row in made {
            let role = quote_identifier(row.get(0));
            let text = if note.in_place {
                format!("COMMENT ON ROLE {role} IS NULL")
            } else {
                format!("DROP ROLE IF EXISTS {role}")
            };
            if let Err(error) = outside.batch_execute(&text).await {
                let what = format!("clear role {role}, which a killed restore made");
                warn!("{}", failed(&what)(error).sentence());
            }
        }
        if note.in_place {
            warn!(
                "a restore was killed after its databases were in place: what it was to change of roles may be missing; restore again with --replace, or compare them with the backup"
            );
        }
        if kept {
            continue;
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
