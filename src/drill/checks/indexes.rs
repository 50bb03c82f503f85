//! No index is left invalid. pg_dump leaves invalid indexes out, but for those of partitioned tables that lack an index of
//! a partition: such a one is restored as it was.

use super::tally::{Tally, Words};
use super::{FIRST_OF_USERS, Restored};
use crate::error::Result;

const SQL: &str = "\
    select count(*), \
           coalesce(array_agg(i.indexrelid::pg_catalog.regclass::text order by i.indexrelid) filter (where not whole and c.relkind <> 'I'), '{}'), \
           coalesce(array_agg(i.indexrelid::pg_catalog.regclass::text order by i.indexrelid) filter (where not whole and c.relkind = 'I'), '{}') \
      from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid \
      cross join lateral (select i.indisvalid and i.indisready and i.indislive) v(whole) \
     where i.indexrelid >= $1";

pub(super) fn tally() -> Tally {
    Tally::new(Words {
        name: "indexes",
        things: "indexes",
        good: "none invalid",
        wrong: "invalid or not ready",
        noted: "of partitioned tables lack those of partitions, as in the dump",
    })
}

pub(super) async fn look(restored: &Restored<'_>, tally: &mut Tally) -> Result<()> {
    restored.count(SQL, FIRST_OF_USERS, tally).await
}
