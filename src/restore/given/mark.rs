//! What is ours on a server that others use, and whether its maker is still there.
//!
//! The mark is the comment on the first role, `pgvigil_scratch_<id>_r0`. It is made in one transaction together with all
//! other roles, before any database, and dropped last: whatever we are killed at, what is left can be found from it. As
//! long as the maker lives, a session of his holds the advisory lock (our class, the id), which every session of the
//! server can see. A drill that has neither the lock nor a mark of its form is nobody's to sweep.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::names::{Id, Kind, PREFIX, statement};
use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::{ServerError, Session};

/// The first half of the advisory locks' keys: `pgvg`.
const CLASS: i32 = 0x7067_7667;

/// How often a database that someone keeps open is tried, and how long is waited before the next attempt.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// The comment.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The id; marks it as ours.
    pgvigil_scratch: String,
}

const MARKED: &str = "select r.rolname::text, pg_catalog.shobj_description(r.oid, 'pg_authid') from pg_catalog.pg_roles r \
     where pg_catalog.starts_with(r.rolname::text, $1) and r.rolname ~ '_r0$' and not r.rolcanlogin and not r.rolsuper \
       and pg_catalog.pg_has_role(r.oid, 'MEMBER')";

/// The lock is seen whatever database its holder is in.
const HELD: &str = "select exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objsubid = 2 \
     and classid::int8 = $1 and objid::int8 = $2 and granted and pid <> pg_catalog.pg_backend_pid())";

const DATABASES: &str = "select datname::text from pg_catalog.pg_database where pg_catalog.starts_with(datname::text, $1) order by 1";

const ROLES: &str = "select rolname::text from pg_catalog.pg_roles where pg_catalog.starts_with(rolname::text, $1) order by 1 desc";

fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = what.to_owned();
    move |error| Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error))
}

/// The comment on the first role.
pub(super) fn comment(id: &Id) -> String {
    let note = Note {
        pgvigil_scratch: id.as_str().to_owned(),
    };
    serde_json::to_string(&note).unwrap_or_default()
}

/// Takes the lock of an id for this session; false if another one has it.
pub(super) async fn claim(session: &Session, id: &Id) -> Result<bool> {
    let what = failed("mark a drill as alive on its server");
    let row = session
        .query_one(
            "select pg_catalog.pg_try_advisory_lock($1, $2)",
            &[&CLASS, &id.key()],
        )
        .await
        .map_err(&what)?;
    if !row.get::<_, bool>(0) {
        return Ok(false);
    }
    // The same key in another database is another lock.
    let (class, key) = (
        i64::from(CLASS.cast_unsigned()),
        i64::from(id.key().cast_unsigned()),
    );
    let row = session
        .query_one(HELD, &[&class, &key])
        .await
        .map_err(&what)?;
    let held: bool = row.get(0);
    if held {
        release(session, id).await;
    }
    Ok(!held)
}

/// Takes over from the session that held the lock, which may be busy with a statement that nobody waits for any more.
pub(super) async fn wait_for_predecessor(session: &Session, id: &Id) -> Result<()> {
    loop {
        if claim(session, id).await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn release(session: &Session, id: &Id) {
    // The end of the session releases it too.
    let _ = session
        .query_one(
            "select pg_catalog.pg_advisory_unlock($1, $2)",
            &[&CLASS, &id.key()],
        )
        .await;
}

/// Drops what killed drills left on the server; gives what was done. What others may drop and we may not is left to them.
pub(super) async fn sweep(session: &Session) -> Result<Vec<String>> {
    let rows = session
        .query(MARKED, &[&PREFIX])
        .await
        .map_err(failed("look for what killed drills left"))?;
    let mut done = Vec::new();
    for row in rows {
        let Some(id) = left_over(row.get(0), row.get(1)) else {
            continue;
        };
        if !claim(session, &id).await? {
            continue;
        }
        let left = clear(session, &id).await;
        release(session, &id).await;
        let id = id.as_str();
        let text = match left {
            Ok(()) => {
                let text = format!(
                    "dropped the databases and roles that a killed drill had left ({PREFIX}{id})"
                );
                info!("{text}");
                text
            }
            Err(failure) => {
                let text = format!("a killed drill left something: {}", failure.sentence());
                warn!("{text}");
                text
            }
        };
        done.push(text);
    }
    Ok(done)
}

/// The id of a first role, if it is ours in every way: its name, and a comment that fits the name.
fn left_over(name: &str, comment: Option<&str>) -> Option<Id> {
    let (id, kind) = Id::of(name)?;
    let note: Note = serde_json::from_str(comment?).ok()?;
    let ours = kind == Kind::Role && id.role(0) == name && note.pgvigil_scratch == id.as_str();
    ours.then_some(id)
}

/// Drops everything of an id, the mark last, and looks whether anything is left.
pub(super) async fn clear(session: &Session, id: &Id) -> Result<()> {
    let mut failure = None;
    // The first database first: statements that are still under way are run from there, a CREATE DATABASE among them.
    let first = id.database(0);
    if ours(session, DATABASES, id).await?.contains(&first) {
        failure = drop_database(session, &first).await.err();
    }
    for name in ours(session, DATABASES, id).await? {
        failure = drop_database(session, &name).await.err().or(failure);
    }
    let mut roles = ours(session, ROLES, id).await?;
    let mark = id.role(0);
    roles.retain(|name| *name != mark);
    if failure.is_none() {
        roles.push(mark);
    }
    for name in &roles {
        let text = statement("DROP ROLE", name, "")?;
        if let Err(error) = session.batch_execute(&text).await {
            failure = Some(failed(&format!("drop role {name}"))(error));
            break;
        }
    }
    let mut left = ours(session, DATABASES, id).await?;
    left.extend(ours(session, ROLES, id).await?);
    match (left.is_empty(), failure) {
        (true, _) => Ok(()),
        (false, failure) => {
            let failure = failure
                .unwrap_or_else(|| Failure::new(FailureKind::Scratch, "clear up behind the drill"));
            Err(failure.remedy(format!(
                "left on the scratch server, and dropped by the next drill there: {}",
                left.join(", ")
            )))
        }
    }
}

/// Databases or roles of an id that are there.
async fn ours(session: &Session, query: &str, id: &Id) -> Result<Vec<String>> {
    let begin = format!("{PREFIX}{}_", id.as_str());
    let rows = session
        .query(query, &[&begin])
        .await
        .map_err(failed("list scratch databases and roles"))?;
    let names = rows.iter().map(|row| row.get::<_, String>(0));
    Ok(names
        .filter(|name| Id::of(name).is_some_and(|(of, _)| of == *id))
        .collect())
}

/// Drops a database. Who else is in it is ended; where PostgreSQL does not let us end someone (an autovacuum worker is a
/// superuser's from version 18 on), it is waited for.
async fn drop_database(session: &Session, name: &str) -> Result<()> {
    let plain = statement("ALTER DATABASE", name, " IS_TEMPLATE false")?;
    // Of a database whose owner we are; if not, the next statement says so.
    let _ = session.batch_execute(&plain).await;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for after in [" WITH (FORCE)", ""] {
            let text = statement("DROP DATABASE", name, after)?;
            match session.batch_execute(&text).await {
                Ok(()) => return Ok(()),
                Err(error)
                    if error.code()
                        == Some(&tokio_postgres::error::SqlState::INVALID_CATALOG_NAME) =>
                {
                    return Ok(());
                }
                Err(error) if session.is_closed() => {
                    return Err(failed(&format!("drop database {name}"))(error));
                }
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.map_or_else(
        || Failure::new(FailureKind::Scratch, format!("drop database {name}")),
        failed(&format!("drop database {name}")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_in_every_way_is_left_over() {
        let note = |id: &str| format!("{{\"pgvigil_scratch\":\"{id}\"}}");
        let ours = note("0123abcd");
        let name = "pgvigil_scratch_0123abcd_r0";
        let id = left_over(name, Some(&ours)).expect("ours");
        assert_eq!(comment(&id), ours);
        for (name, comment) in [
            (name, None),
            (name, Some("mine")),
            (name, Some(note("99999999").as_str())),
            ("pgvigil_scratch_0123abcd_r1", Some(ours.as_str())),
            ("pgvigil_scratch_0123abcd_0", Some(ours.as_str())),
            ("pgvigil_scratch_0123abcd_r00", Some(ours.as_str())),
            ("app", Some(ours.as_str())),
        ] {
            assert!(left_over(name, comment).is_none(), "{name} {comment:?}");
        }
    }
}
