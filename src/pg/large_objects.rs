//! Large objects read by who owns them. PostgreSQL's own table of them is for superusers.

use super::connect::{ServerError, Session};
use crate::catalog::LargeObjects;
use crate::catalog::large_objects::LargeObjectHasher;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;

/// Bytes that are asked for at once.
const PIECE: i32 = 1 << 20;

/// Objects that are listed at once.
const LISTED: i64 = 10_000;

const MAY_READ_THE_TABLE: &str =
    "select pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')";

const OBJECTS: &str =
    "select oid from pg_catalog.pg_largeobject_metadata where oid > $1 order by oid limit $2";

fn failed(error: &tokio_postgres::Error) -> Failure {
    Failure::new(
        FailureKind::Scratch,
        "read large objects of the restored server",
    )
    .because(ServerError::from(error))
}

/// Whether the session may read the table that holds them all.
pub(super) async fn may_read_table(session: &Session) -> Result<bool> {
    let row = session.query_one(MAY_READ_THE_TABLE, &[]).await;
    row.map(|row| row.get(0)).map_err(|error| failed(&error))
}

/// Hashes all of them, one call after the other.
pub(super) async fn by_calls(session: &Session, progress: &Progress) -> Result<LargeObjects> {
    let mut hasher = LargeObjectHasher::default();
    let mut last = 0u32;
    let get = session
        .prepare("select pg_catalog.lo_get($1, $2, $3)")
        .await
        .map_err(|error| failed(&error))?;
    loop {
        let objects = session
            .query(OBJECTS, &[&last, &LISTED])
            .await
            .map_err(|error| failed(&error))?;
        if objects.is_empty() {
            return Ok(hasher.finish());
        }
        for row in objects {
            last = row.get(0);
            hasher.begin(last);
            let mut offset = 0i64;
            loop {
                progress.check()?;
                let row = session
                    .query_one(&get, &[&last, &offset, &PIECE])
                    .await
                    .map_err(|error| failed(&error))?;
                let piece: &[u8] = row.get(0);
                hasher.write(piece);
                offset += i64::from(PIECE);
                if piece.len() < PIECE.unsigned_abs() as usize {
                    break;
                }
            }
        }
    }
}
