//! Materialized views without data. pg_dump creates each WITH NO DATA and refreshes those that had data; a refresh that
//! fails ends the restore. So one that is empty afterwards was not refreshed at the source either: told, not held against
//! the backup.

use super::tally::{Tally, Words};
use super::{FIRST_OF_USERS, Restored};
use crate::error::Result;

const SQL: &str = "\
    select count(*), '{}'::text[], \
           coalesce(array_agg(c.oid::pg_catalog.regclass::text order by c.oid) filter (where not c.relispopulated), '{}') \
      from pg_catalog.pg_class c where c.relkind = 'm' and c.oid >= $1";

pub(super) fn tally() -> Tally {
    Tally::new(Words {
        name: "materialized views",
        things: "materialized views",
        good: "all refreshed that the dump refreshes",
        wrong: "not refreshed",
        noted: "without data, as in the dump",
    })
}

pub(super) async fn look(restored: &Restored<'_>, tally: &mut Tally) -> Result<()> {
    restored.count(SQL, FIRST_OF_USERS, tally).await
}
