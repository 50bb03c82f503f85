//! Sequences that a table owns: after rows have come, they must not give out a number that is in use.

use super::live::LiveTable;
use super::name::Name;
use super::work::Work;
use crate::catalog::Sequence;
use crate::error::Result;
use crate::sql::name::{quote_identifier, quote_literal};

const OWNED: &str = "select n.nspname::text, s.relname::text, a.attname::text, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, \
       a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) \
  from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S' \
  join pg_catalog.pg_namespace n on n.oid = s.relnamespace join pg_catalog.pg_sequence q on q.seqrelid = s.oid \
  join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid \
 where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = $1 and d.deptype in ('a', 'i') order by 1, 2";

struct Owned {
    name: Name,
    column: String,
    increment: i64,
    min: i64,
    max: i64,
    cache: i64,
    numbers: bool,
}

/// Moves the sequences of a live table on, to the furthest of where they are, where the backup has them, and the values
/// in their columns. Gives those that were moved.
pub(super) async fn advance(
    work: &Work<'_>,
    table: &LiveTable,
    backup: &[Sequence],
) -> Result<Vec<Name>> {
    let what = format!("move the sequences of table {}", table.name);
    let mut moved = Vec::new();
    for row in work.ask(&what, OWNED, &[&table.oid]).await? {
        let owned = Owned {
            name: Name::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            column: row.get(2),
            increment: row.get(3),
            min: row.get(4),
            max: row.get(5),
            cache: row.get(6),
            numbers: row.get(7),
        };
        let mut wanted = backup
            .iter()
            .find(|known| known.schema == owned.name.schema && known.name == owned.name.name)
            .and_then(|known| owned.last(known.value, known.called));
        if owned.numbers {
            let extreme = if owned.increment > 0 { "max" } else { "min" };
            let ask = format!(
                "select {extreme}({})::int8 from {}",
                quote_identifier(&owned.column),
                table.name.quoted()
            );
            let rows = work.ask(&what, &ask, &[]).await?;
            let value: Option<i64> = rows.first().and_then(|row| row.get(0));
            wanted = owned.further(wanted, value);
        }
        let Some(wanted) = wanted.map(|value| value.clamp(owned.min, owned.max)) else {
            continue;
        };
        if !owned.is_further(wanted, owned.now(work, &what).await?) {
            continue;
        }
        // This takes the lock that keeps others from drawing numbers, and gives the sequence a new file, so that setval,
        // which no rollback takes back, goes with the transaction all the same.
        let name = owned.name.quoted();
        work.run(
            &what,
            &format!("alter sequence {name} cache {}", owned.cache),
        )
        .await?;
        if owned.is_further(wanted, owned.now(work, &what).await?) {
            let set = format!(
                "select pg_catalog.setval({}, {wanted}, true)",
                quote_literal(&name)
            );
            work.run(&what, &set).await?;
            moved.push(owned.name);
        }
    }
    Ok(moved)
}

impl Owned {
    /// The last number given out; none if there is none.
    fn last(&self, value: i64, called: bool) -> Option<i64> {
        if called {
            return Some(value);
        }
        let before = value.checked_sub(self.increment)?;
        (self.min..=self.max).contains(&before).then_some(before)
    }

    async fn now(&self, work: &Work<'_>, what: &str) -> Result<Option<i64>> {
        let ask = format!("select last_value, is_called from {}", self.name.quoted());
        let rows = work.ask(what, &ask, &[]).await?;
        Ok(rows
            .first()
            .and_then(|row| self.last(row.get(0), row.get(1))))
    }

    fn further(&self, one: Option<i64>, other: Option<i64>) -> Option<i64> {
        match (one, other) {
            (Some(one), Some(other)) if self.increment > 0 => Some(one.max(other)),
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn is_further(&self, wanted: i64, now: Option<i64>) -> bool {
        now.is_none_or(|now| {
            if self.increment > 0 {
                wanted > now
            } else {
                wanted < now
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(increment: i64) -> Owned {
        Owned {
            name: Name::default(),
            column: String::new(),
            increment,
            min: -100,
            max: 100,
            cache: 1,
            numbers: true,
        }
    }

    #[test]
    fn further_is_in_the_direction_of_the_sequence() {
        let (up, down) = (owned(2), owned(-3));
        assert_eq!(up.further(Some(3), Some(9)), Some(9));
        assert_eq!(down.further(Some(3), Some(9)), Some(3));
        assert_eq!(up.further(None, Some(9)), Some(9));
        assert!(up.is_further(4, Some(3)) && !down.is_further(4, Some(3)));
        assert!(up.is_further(4, None));
    }

    #[test]
    fn a_number_that_was_not_given_out_is_not_the_last() {
        assert_eq!(owned(2).last(6, true), Some(6));
        assert_eq!(owned(2).last(6, false), Some(4));
        assert_eq!(owned(2).last(-100, false), None);
        assert_eq!(owned(-3).last(i64::MAX, false), None);
    }
}
