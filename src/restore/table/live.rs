//! What the live database holds of what a restore names: tables, names that are taken, roles, and who depends on what.

use std::collections::{HashMap, HashSet};

use tokio_postgres::types::ToSql;

use super::name::{Name, Taken};
use super::work::failed;
use crate::error::Result;
use crate::pg::connect::Session;

/// A table of the live database.
#[derive(Clone, Debug)]
pub(super) struct LiveTable {
    pub(super) oid: u32,
    pub(super) name: Name,
    /// relkind: `r` a table, `p` a partitioned one, others are something else.
    pub(super) kind: String,
    pub(super) columns: Vec<LiveColumn>,
    /// About so many rows; none where nobody has counted.
    pub(super) rows: Option<f64>,
    /// With its indexes.
    pub(super) bytes: i64,
    /// Whether the user is its owner, or acts as it.
    pub(super) owned: bool,
    /// Whether policies hold for the user.
    pub(super) policies_apply: bool,
    /// The table that it is a partition or a child of.
    pub(super) parent: Option<Name>,
    /// Triggers that would fire, among them those of its partitions.
    pub(super) triggers: Vec<String>,
    /// Whether there are rules on it.
    pub(super) rules: bool,
    /// Publications that name it.
    pub(super) publications: Vec<String>,
}

/// A column of it.
#[derive(Clone, Debug)]
pub(super) struct LiveColumn {
    pub(super) name: String,
    pub(super) generated: bool,
    /// It takes no NULL and has nothing to put in its place.
    pub(super) required: bool,
}

/// The user's rights.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rights {
    /// May set session_replication_role, so that no trigger fires.
    pub(super) replica: bool,
}

/// A foreign key of another table that points to a table of ours.
#[derive(Clone, Debug)]
pub(super) struct Pointing {
    pub(super) constraint: String,
    pub(super) from: Name,
    pub(super) to: Name,
}

const TABLES: &str = "select c.oid, n.nspname, c.relname, c.relkind::text, c.reltuples::float8, pg_catalog.pg_total_relation_size(c.oid), \
       pg_catalog.pg_has_role(c.relowner, 'usage'), pg_catalog.row_security_active(c.oid), \
       (select array[pn.nspname::text, p.relname::text] from pg_catalog.pg_inherits i \
          join pg_catalog.pg_class p on p.oid = i.inhparent join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace \
         where i.inhrelid = c.oid order by i.inhseqno limit 1), \
       array(select distinct t.tgname::text from pg_catalog.pg_trigger t where not t.tgisinternal and t.tgenabled <> 'D' \
             and (t.tgrelid = c.oid or t.tgrelid in (select relid from pg_catalog.pg_partition_tree(c.oid))) order by 1), \
       c.relhasrules, \
       array(select p.pubname::text from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid \
             where r.prrelid = c.oid order by 1), \
       array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum), \
       array(select a.attgenerated <> '' from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum), \
       array(select a.attnotnull and not a.atthasdef and a.attidentity = '' from pg_catalog.pg_attribute a \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) \
  from unnest($1::text[], $2::text[]) w(schema, name) \
  join pg_catalog.pg_namespace n on n.nspname = w.schema \
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name";

fn pairs<'a>(names: impl IntoIterator<Item = &'a Name>) -> (Vec<&'a str>, Vec<&'a str>) {
    names
        .into_iter()
        .map(|name| (name.schema.as_str(), name.name.as_str()))
        .unzip()
}

async fn ask(
    session: &Session,
    what: &str,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<tokio_postgres::Row>> {
    session
        .query(sql, params)
        .await
        .map_err(|error| failed(what, &error, &[]))
}

/// The relations of these names that are there.
pub(super) async fn tables(session: &Session, names: &[Name]) -> Result<HashMap<Name, LiveTable>> {
    let (schemas, relations) = pairs(names);
    let rows = ask(
        session,
        "look at the live tables",
        TABLES,
        &[&schemas, &relations],
    )
    .await?;
    let tables = rows.iter().map(|row| {
        let (columns, generated, required): (Vec<String>, Vec<bool>, Vec<bool>) =
            (row.get(12), row.get(13), row.get(14));
        let name = Name::new(row.get::<_, String>(1), row.get::<_, String>(2));
        let parent: Option<Vec<String>> = row.get(8);
        let table = LiveTable {
            oid: row.get(0),
            name: name.clone(),
            kind: row.get(3),
            columns: columns
                .into_iter()
                .zip(generated)
                .zip(required)
                .map(|((name, generated), required)| LiveColumn {
                    name,
                    generated,
                    required: required && !generated,
                })
                .collect(),
            rows: Some(row.get(4)).filter(|rows: &f64| *rows >= 0.0),
            bytes: row.get(5),
            owned: row.get(6),
            policies_apply: row.get(7),
            parent: parent.and_then(|parent| match parent.as_slice() {
                [schema, name] => Some(Name::new(schema, name)),
                _ => None,
            }),
            triggers: row.get(9),
            rules: row.get(10),
            publications: row.get(11),
        };
        (name, table)
    });
    Ok(tables.collect())
}

/// All names that are taken in schemas, and which of the schemas there are.
pub(super) async fn taken(
    session: &Session,
    schemas: &[String],
) -> Result<(Taken, HashSet<String>)> {
    const WHAT: &str = "list the names that are taken";
    let sql = "select n.nspname::text, x.name::text from pg_catalog.pg_namespace n cross join lateral ( \
            select relname as name from pg_catalog.pg_class where relnamespace = n.oid \
            union select typname from pg_catalog.pg_type where typnamespace = n.oid \
            union select stxname from pg_catalog.pg_statistic_ext where stxnamespace = n.oid) x \
         where n.nspname = any($1::text[])";
    let mut taken = Taken::default();
    for row in ask(session, WHAT, sql, &[&schemas]).await? {
        taken.add(&Name::new(row.get::<_, String>(0), row.get::<_, String>(1)));
    }
    let sql = "select nspname::text from pg_catalog.pg_namespace where nspname = any($1::text[])";
    let there = ask(session, WHAT, sql, &[&schemas]).await?;
    Ok((taken, there.iter().map(|row| row.get(0)).collect()))
}

/// The roles of these that are there, and whether the user may give things to them.
pub(super) async fn roles(session: &Session, names: &[String]) -> Result<HashMap<String, bool>> {
    let sql = "select rolname::text, pg_catalog.pg_has_role(oid, 'member') from pg_catalog.pg_roles where rolname = any($1::text[])";
    let rows = ask(session, "look up roles", sql, &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The tablespaces of these that are there.
pub(super) async fn tablespaces(session: &Session, names: &[String]) -> Result<HashSet<String>> {
    let sql = "select spcname::text from pg_catalog.pg_tablespace where spcname = any($1::text[])";
    let rows = ask(session, "look up tablespaces", sql, &[&names]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What the user may do.
pub(super) async fn rights(session: &Session, major: u32) -> Result<Rights> {
    let parameter = if major >= 15 {
        " or pg_catalog.has_parameter_privilege('session_replication_role', 'set')"
    } else {
        ""
    };
    let sql =
        format!("select rolsuper{parameter} from pg_catalog.pg_roles where rolname = current_user");
    let rows = ask(session, "look up the user's rights", &sql, &[]).await?;
    Ok(Rights {
        replica: rows.first().is_some_and(|row| row.get(0)),
    })
}

/// Foreign keys that point to tables, also by way of the table that they are partitions of. Those of the tables
/// themselves are among them.
pub(super) async fn pointing(session: &Session, oids: &[u32]) -> Result<Vec<Pointing>> {
    let sql = "select c.conname::text, n.nspname::text, t.relname::text, pn.nspname::text, p.relname::text \
         from pg_catalog.pg_constraint c \
         join pg_catalog.pg_class t on t.oid = c.conrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace \
         join pg_catalog.pg_class p on p.oid = c.confrelid join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace \
        where c.contype = 'f' and c.confrelid in ( \
             select unnest($1::oid[]) union select a.relid from unnest($1::oid[]) o(oid) \
              cross join lateral pg_catalog.pg_partition_ancestors(o.oid) a(relid)) \
          and not exists (select from pg_catalog.pg_constraint up where up.oid = c.conparentid and up.conrelid = c.conrelid) \
        order by 1, 2, 3";
    let rows = ask(session, "list foreign keys", sql, &[&oids]).await?;
    let text = |row: &tokio_postgres::Row, index| row.get::<_, String>(index);
    Ok(rows
        .iter()
        .map(|row| Pointing {
            constraint: text(row, 0),
            from: Name::new(text(row, 1), text(row, 2)),
            to: Name::new(text(row, 3), text(row, 4)),
        })
        .collect())
}

/// Foreign keys of periods, which take another question than the one that is asked here.
pub(super) async fn periods(session: &Session, major: u32, oids: &[u32]) -> Result<Vec<String>> {
    if major < 18 {
        return Ok(Vec::new());
    }
    let sql = "select conname::text from pg_catalog.pg_constraint where contype = 'f' and conperiod \
         and (conrelid = any($1::oid[]) or confrelid = any($1::oid[])) order by 1";
    let rows = ask(session, "list foreign keys", sql, &[&oids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What would go with tables, or keeps them from going: views, functions, other tables' keys and defaults.
pub(super) async fn dependants(session: &Session, oids: &[u32]) -> Result<Vec<String>> {
    let sql = "with ours(oid) as (select unnest($1::oid[])), \
       named(class, oid) as ( \
         select 'pg_class'::regclass::oid, oid from ours \
         union select 'pg_type'::regclass::oid, t.oid from pg_catalog.pg_type t join pg_catalog.pg_class c \
             on c.oid = t.typrelid or c.reltype = t.typelem and t.typelem <> 0 where c.oid in (select oid from ours) \
         union select 'pg_class'::regclass::oid, d.objid from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S' \
             where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from ours) and d.deptype in ('a', 'i') \
         union select 'pg_constraint'::regclass::oid, c.oid from pg_catalog.pg_constraint c where c.conrelid in (select oid from ours)) \
     select distinct case when w.ev_class is null then pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) \
              else pg_catalog.pg_describe_object('pg_class'::regclass, w.ev_class, 0) end \
       from pg_catalog.pg_depend d left join pg_catalog.pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid join named on named.class = d.refclassid and named.oid = d.refobjid \
      where d.deptype = 'n' \
        and not (d.classid = 'pg_class'::regclass and d.objid in (select oid from ours)) \
        and not (d.classid = 'pg_constraint'::regclass and exists (select from pg_catalog.pg_constraint x where x.oid = d.objid and x.conrelid in (select oid from ours))) \
        and not (d.classid = 'pg_rewrite'::regclass and exists (select from pg_catalog.pg_rewrite x where x.oid = d.objid and x.ev_class in (select oid from ours))) \
        and not (d.classid = 'pg_attrdef'::regclass and exists (select from pg_catalog.pg_attrdef x where x.oid = d.objid and x.adrelid in (select oid from ours))) \
        and not (d.classid = 'pg_policy'::regclass and exists (select from pg_catalog.pg_policy x where x.oid = d.objid and x.polrelid in (select oid from ours))) \
        and not (d.classid = 'pg_trigger'::regclass and exists (select from pg_catalog.pg_trigger x where x.oid = d.objid and x.tgrelid in (select oid from ours))) \
      order by 1";
    let rows = ask(
        session,
        "list what depends on the live tables",
        sql,
        &[&oids],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The partitions of tables, and theirs: all that hold rows and are not among the tables.
pub(super) async fn partitions(session: &Session, oids: &[u32]) -> Result<Vec<Name>> {
    let sql = "select distinct n.nspname::text, c.relname::text from unnest($1::oid[]) o(oid) \
         cross join lateral pg_catalog.pg_partition_tree(o.oid) t join pg_catalog.pg_class c on c.oid = t.relid \
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace where t.isleaf and t.relid <> all($1::oid[]) order by 1, 2";
    let rows = ask(session, "list partitions", sql, &[&oids]).await?;
    let text = |row: &tokio_postgres::Row, index| row.get::<_, String>(index);
    Ok(rows
        .iter()
        .map(|row| Name::new(text(row, 0), text(row, 1)))
        .collect())
}

/// The names of tables and of what goes with them.
pub(super) async fn owned(session: &Session, oids: &[u32]) -> Result<Vec<Name>> {
    let sql = "with ours(oid) as ( \
             select unnest($1::oid[]) union select t.relid from unnest($1::oid[]) o(oid) cross join lateral pg_catalog.pg_partition_tree(o.oid) t), \
           owned(oid) as ( \
             select oid from ours union select indexrelid from pg_catalog.pg_index where indrelid in (select oid from ours) \
             union select d.objid from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S' \
              where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from ours) and d.deptype in ('a', 'i')) \
         select n.nspname::text, x.name::text from ( \
             select relnamespace as schema, relname as name from pg_catalog.pg_class where oid in (select oid from owned) \
             union select stxnamespace, stxname from pg_catalog.pg_statistic_ext where stxrelid in (select oid from ours) \
             union select t.typnamespace, t.typname from pg_catalog.pg_type t \
               join pg_catalog.pg_class c on c.reltype in (t.oid, t.typelem) where c.oid in (select oid from ours)) x \
         join pg_catalog.pg_namespace n on n.oid = x.schema";
    let rows = ask(session, "list what the live tables own", sql, &[&oids]).await?;
    let text = |row: &tokio_postgres::Row, index| row.get::<_, String>(index);
    Ok(rows
        .iter()
        .map(|row| Name::new(text(row, 0), text(row, 1)))
        .collect())
}
