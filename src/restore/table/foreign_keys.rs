//! Foreign keys, asked instead of fired: rows that were loaded past their triggers are checked before the commit.

use super::name::Name;
use super::work::Work;
use crate::error::{Failure, FailureKind, Result};
use crate::sql::name::quote_identifier;

/// A foreign key of the live database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForeignKey {
    name: String,
    from: Name,
    to: Name,
    /// A partitioned table is read with its partitions, any other without its children, as PostgreSQL does it.
    from_only: bool,
    to_only: bool,
    /// MATCH FULL: all columns are NULL, or none.
    full: bool,
    columns: Vec<String>,
    keys: Vec<String>,
    /// `key = column`, as SQL names the operator.
    operators: Vec<String>,
}

/// Keys of the tables, of their partitions, and those of other tables that point to them. Of a key that partitions have
/// from their parent only the topmost that is asked for, and never the copies that PostgreSQL keeps for the partitions of
/// the table pointed to.
const KEYS: &str = "with ours(oid) as ( \
         select unnest($1::oid[]) union select t.relid from unnest($1::oid[]) o(oid) cross join lateral pg_catalog.pg_partition_tree(o.oid) t), \
       pointed(oid) as ( \
         select oid from ours union select a.relid from ours cross join lateral pg_catalog.pg_partition_ancestors(ours.oid) a(relid)) \
     select c.conname::text, fn.nspname::text, f.relname::text, pn.nspname::text, p.relname::text, \
        f.relkind <> 'p', p.relkind <> 'p', c.confmatchtype = 'f', \
        array(select a.attname::text from unnest(c.conkey) with ordinality k(num, i) join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num order by k.i), \
        array(select a.attname::text from unnest(c.confkey) with ordinality k(num, i) join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num order by k.i), \
        array(select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) from unnest(c.conpfeqop) with ordinality k(op, i) \
              join pg_catalog.pg_operator o on o.oid = k.op join pg_catalog.pg_namespace n on n.oid = o.oprnamespace order by k.i) \
       from pg_catalog.pg_constraint c \
       join pg_catalog.pg_class f on f.oid = c.conrelid join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace \
       join pg_catalog.pg_class p on p.oid = c.confrelid join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace \
      where c.contype = 'f' and c.convalidated \
        and (c.conrelid in (select oid from ours) or c.confrelid in (select oid from pointed)) \
        and not exists (select from pg_catalog.pg_constraint up where up.oid = c.conparentid \
             and (up.conrelid = c.conrelid or up.conrelid in (select oid from ours) or up.confrelid in (select oid from pointed))) \
      order by 1, 2, 3";

/// The keys to check after rows of tables have changed.
pub(super) async fn of(work: &Work<'_>, oids: &[u32]) -> Result<Vec<ForeignKey>> {
    let rows = work.ask("list foreign keys", KEYS, &[&oids]).await?;
    let text = |row: &tokio_postgres::Row, index| row.get::<_, String>(index);
    Ok(rows
        .iter()
        .map(|row| ForeignKey {
            name: text(row, 0),
            from: Name::new(text(row, 1), text(row, 2)),
            to: Name::new(text(row, 3), text(row, 4)),
            from_only: row.get(5),
            to_only: row.get(6),
            full: row.get(7),
            columns: row.get(8),
            keys: row.get(9),
            operators: row.get(10),
        })
        .collect())
}

/// Checks keys; the failure has the name and the count of each that does not hold.
pub(super) async fn check(work: &Work<'_>, keys: &[ForeignKey]) -> Result<()> {
    let mut violated = Vec::new();
    for key in keys {
        let what = format!("check foreign key {} of table {}", key.name, key.from);
        let rows = work.ask(&what, &key.question(), &[]).await?;
        let count: i64 = rows.first().map_or(0, |row| row.get(0));
        if count > 0 {
            violated.push(format!(
                "{count} rows of table {} point to no row of table {} (foreign key {})",
                key.from, key.to, key.name
            ));
        }
    }
    if violated.is_empty() {
        return Ok(());
    }
    let what = format!("check foreign keys after the load: {}", violated.join("; "));
    Err(Failure::new(FailureKind::Target, what).remedy(
        "restore the tables on both ends together (--table for each), or this one under a new name with --as",
    ))
}

impl ForeignKey {
    /// Both tables.
    pub(super) fn tables(&self) -> [&Name; 2] {
        [&self.from, &self.to]
    }

    /// How many rows point nowhere.
    fn question(&self) -> String {
        let table =
            |name: &Name, only| format!("{}{}", if only { "only " } else { "" }, name.quoted());
        let any = |test: &str, joined: &str| {
            let tests: Vec<_> = self
                .columns
                .iter()
                .map(|column| format!("f.{} {test}", quote_identifier(column)))
                .collect();
            tests.join(joined)
        };
        let points = if self.full {
            any("is not null", " or ")
        } else {
            any("is not null", " and ")
        };
        let same: Vec<_> = self
            .columns
            .iter()
            .zip(&self.keys)
            .zip(&self.operators)
            .map(|((column, key), operator)| {
                let (column, key) = (quote_identifier(column), quote_identifier(key));
                format!("p.{key} {operator} f.{column}")
            })
            .collect();
        format!(
            "select count(*) from {} f where ({points}) and not exists (select from {} p where {})",
            table(&self.from, self.from_only),
            table(&self.to, self.to_only),
            same.join(" and ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_the_semantics_of_the_match_type() {
        let mut key = ForeignKey {
            from: Name::new("s", "f"),
            to: Name::new("s", "P"),
            from_only: true,
            columns: vec!["a".into(), "b".into()],
            keys: vec!["x".into(), "Y".into()],
            operators: vec!["operator(pg_catalog.=)".into(), "operator(o.==)".into()],
            ..ForeignKey::default()
        };
        assert_eq!(
            key.question(),
            "select count(*) from only \"s\".\"f\" f where (f.\"a\" is not null and f.\"b\" is not null) \
             and not exists (select from \"s\".\"P\" p where p.\"x\" operator(pg_catalog.=) f.\"a\" and p.\"Y\" operator(o.==) f.\"b\")"
        );
        key.full = true;
        assert!(
            key.question()
                .contains("(f.\"a\" is not null or f.\"b\" is not null)")
        );
    }
}
