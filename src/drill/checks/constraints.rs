//! Constraints that PostgreSQL never checked. A restore makes a constraint NOT VALID only where the dump says so, which it
//! does where the source had it so: told, not held against the backup. Those NOT ENFORCED are never checked anywhere.

use super::tally::{Tally, Words};
use super::{FIRST_OF_USERS, Restored};
use crate::error::Result;

/// conenforced came with PostgreSQL 18.
const SQL: &str = "\
    select count(*), '{}'::text[], \
           coalesce(array_agg(pg_catalog.format('%I on %s', c.conname, coalesce(nullif(c.conrelid, 0)::pg_catalog.regclass::text, \
                                                c.contypid::pg_catalog.regtype::text)) order by c.oid) \
                    filter (where not c.convalidated \
                            and coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)), '{}') \
      from pg_catalog.pg_constraint c where c.oid >= $1";

pub(super) fn tally() -> Tally {
    Tally::new(Words {
        name: "constraints",
        things: "constraints",
        good: "none broken by the restore",
        wrong: "not valid",
        noted: "NOT VALID, as in the dump",
    })
}

pub(super) async fn look(restored: &Restored<'_>, tally: &mut Tally) -> Result<()> {
    restored.count(SQL, FIRST_OF_USERS, tally).await
}
