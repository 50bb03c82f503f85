//! Will the next value of a sequence be free? For each column that a sequence feeds (serial, identity, a default with
//! nextval): the sequence is not behind the column's values.
//!
//! That a sequence has the value of the dump is compared elsewhere. One that is behind with the dump's own value was behind
//! at the source too: told, not held against the backup.

use std::time::Instant;

use super::tally::{Tally, Words};
use super::{Budget, FIRST_OF_USERS, Restored};
use crate::catalog::Sequence;
use crate::config::expect::decimal::Decimal;
use crate::error::Result;
use crate::sql::name::{quote_identifier, quote_qualified};

/// Sequences and the columns of whole numbers that they feed; a parent table speaks for its children. Left out: sequences that begin again by design (CYCLE), and
/// those of extensions, whose values no dump sets.
const PAIRS: &str = "\
    with pairs as ( \
        select d.objid as sequence, d.refobjid as relation, d.refobjsubid::int as number from pg_catalog.pg_depend d \
         where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
           and d.refobjsubid > 0 and d.deptype in ('a', 'i') \
        union \
        select d.refobjid, f.adrelid, f.adnum::int from pg_catalog.pg_depend d join pg_catalog.pg_attrdef f on f.oid = d.objid \
         where d.classid = 'pg_catalog.pg_attrdef'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
           and d.deptype = 'n') \
    select m.nspname::text, s.relname::text, q.seqincrement, n.nspname::text, t.relname::text, a.attname::text \
      from pairs p \
      join pg_catalog.pg_sequence q on q.seqrelid = p.sequence \
      join pg_catalog.pg_class s on s.oid = p.sequence join pg_catalog.pg_namespace m on m.oid = s.relnamespace \
      join pg_catalog.pg_class t on t.oid = p.relation join pg_catalog.pg_namespace n on n.oid = t.relnamespace \
      join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = p.number \
      join pg_catalog.pg_type y on y.oid = a.atttypid \
     where t.relkind in ('r', 'p') and not q.seqcycle and s.oid >= $1 \
       and not exists (select from pg_catalog.pg_inherits h join pairs o on o.relation = h.inhparent \
                        where h.inhrelid = p.relation and o.sequence = p.sequence) \
       and case y.typtype when 'd' then y.typbasetype else y.oid end \
           in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype) \
       and not exists (select from pg_catalog.pg_depend e where e.classid = 'pg_catalog.pg_class'::regclass \
                          and e.objid = s.oid and e.deptype = 'e') \
     order by 1, 2, 4, 5, 6";

/// A sequence and a column that it feeds.
struct Pair {
    sequence: (String, String),
    increment: i64,
    table: (String, String),
    column: String,
}

/// How a sequence stands to a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its next value is beyond all of them.
    Ahead,
    /// It is behind, with the dump's own value.
    AsInTheDump,
    /// It is behind, and the dump says otherwise or nothing.
    Behind,
}

pub(super) fn tally() -> Tally {
    Tally::new(Words {
        name: "sequence positions",
        things: "columns fed by sequences",
        good: "none whose sequence fell behind in the backup",
        wrong: "whose sequence is behind",
        noted: "whose sequence is behind, as in the source, where the next inserts collide too",
    })
}

pub(super) async fn look(
    restored: &Restored<'_>,
    budget: &mut Budget,
    tally: &mut Tally,
) -> Result<()> {
    let database = &restored.database.name;
    let pairs = match restored.query(PAIRS, &[&FIRST_OF_USERS]).await? {
        Ok(pairs) => pairs,
        Err(refusal) => {
            tally.not_done(|| format!("not done in database {database}: {}", refusal.said));
            return Ok(());
        }
    };
    for row in pairs {
        let pair = Pair {
            sequence: (row.get(0), row.get(1)),
            increment: row.get(2),
            table: (row.get(3), row.get(4)),
            column: row.get(5),
        };
        let began = Instant::now();
        one(restored, &pair, budget, tally).await?;
        budget.used_since(began);
    }
    if let Err(refusal) = restored.run("set statement_timeout = 0").await? {
        tally.not_done(|| format!("not done in database {database}: {}", refusal.said));
    }
    Ok(())
}

async fn one(
    restored: &Restored<'_>,
    pair: &Pair,
    budget: &Budget,
    tally: &mut Tally,
) -> Result<()> {
    let sequence = quote_qualified(&pair.sequence.0, &pair.sequence.1);
    let extreme = if pair.increment > 0 { "max" } else { "min" };
    let sql = format!(
        "select s.last_value, s.is_called, (select pg_catalog.{extreme}({}) from {})::text from {sequence} s",
        quote_identifier(&pair.column),
        quote_qualified(&pair.table.0, &pair.table.1),
    );
    let name = |what: &str| {
        format!(
            "{}.{} for {}.{}.{} of database {}{what}",
            pair.sequence.0,
            pair.sequence.1,
            pair.table.0,
            pair.table.1,
            pair.column,
            restored.database.name
        )
    };
    let Some(bound) = budget.statement("session") else {
        tally.out_of_time(name(""));
        return Ok(());
    };
    let bounded = restored.run(&bound).await?;
    let answer = match bounded {
        Ok(()) => restored.query(&sql, &[]).await?,
        Err(refusal) => Err(refusal),
    };
    let rows = match answer {
        Ok(rows) => rows,
        Err(refusal) if refusal.is_timeout() => {
            tally.out_of_time(name(""));
            return Ok(());
        }
        Err(refusal) => {
            tally.left.add(name(&format!(": {}", refusal.said)));
            return Ok(());
        }
    };
    tally.seen += 1;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let there = Sequence {
        schema: pair.sequence.0.clone(),
        name: pair.sequence.1.clone(),
        value: row.get(0),
        called: row.get(1),
    };
    // No rows, or a NaN: nothing to be behind of.
    let value: Option<String> = row.get(2);
    let Some(number) = value.as_deref().and_then(Decimal::parse) else {
        return Ok(());
    };
    let mut sequences = restored.database.sequences.iter();
    let dumped =
        sequences.find(|sequence| sequence.schema == there.schema && sequence.name == there.name);
    let told = format!(
        " (at {}; the column is at {})",
        there.value,
        value.unwrap_or_default()
    );
    match standing(&there, dumped, pair.increment, &number) {
        Standing::Ahead => {}
        Standing::AsInTheDump => tally.noted.add(name(&told)),
        Standing::Behind => tally.wrong.add(name(&told)),
    }
    Ok(())
}

fn standing(
    there: &Sequence,
    dumped: Option<&Sequence>,
    increment: i64,
    extreme: &Decimal,
) -> Standing {
    if !is_behind(there, increment, extreme) {
        return Standing::Ahead;
    }
    match dumped {
        Some(dumped) if is_behind(dumped, increment, extreme) => Standing::AsInTheDump,
        _ => Standing::Behind,
    }
}

/// Whether the next values would meet one that is there. One that was never called gives its own value next.
fn is_behind(sequence: &Sequence, increment: i64, extreme: &Decimal) -> bool {
    let value = Decimal::from(sequence.value);
    let beyond = if increment > 0 {
        value.cmp(extreme)
    } else {
        extreme.cmp(&value)
    };
    if sequence.called {
        beyond.is_lt()
    } else {
        beyond.is_le()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: i64, called: bool) -> Sequence {
        Sequence {
            value,
            called,
            ..Sequence::default()
        }
    }

    #[test]
    fn behind_or_not() {
        for (value, called, increment, extreme, behind) in [
            (5, true, 1, 5, false),
            (5, true, 1, 6, true),
            (5, false, 1, 5, true),
            (6, false, 1, 5, false),
            (-5, true, -1, -5, false),
            (-5, true, -1, -6, true),
            (-5, false, -1, -5, true),
            (i64::MAX, true, 1, i64::MAX, false),
        ] {
            assert_eq!(
                is_behind(&at(value, called), increment, &Decimal::from(extreme)),
                behind,
                "{value} {called} {increment} {extreme}"
            );
        }
    }

    #[test]
    fn the_backup_is_at_fault_only_if_the_dump_says_otherwise() {
        let most = Decimal::from(100);
        let behind = at(1, false);
        let ahead = at(100, true);
        assert_eq!(standing(&ahead, Some(&ahead), 1, &most), Standing::Ahead);
        assert_eq!(
            standing(&behind, Some(&behind), 1, &most),
            Standing::AsInTheDump
        );
        assert_eq!(standing(&behind, Some(&ahead), 1, &most), Standing::Behind);
        assert_eq!(standing(&behind, None, 1, &most), Standing::Behind);
    }
}
