//! Do btree indexes say the same as their tables? amcheck reads each whole: order of the entries, structure, and whether
//! every row has its entry.
//!
//! The extension is made in a transaction that is rolled back, and so is each check: nothing of it stays, and locks do not
//! pile up. Event triggers of the dump do not see it (but for those ENABLE ALWAYS, which may refuse it).

use std::time::Instant;

use tokio_postgres::error::SqlState;

use super::tally::{Tally, Words};
use super::{Budget, FIRST_OF_USERS, Refusal, Restored};
use crate::error::Result;
use crate::sql::name::quote_identifier;

const MISSING: &str = "the extension amcheck is not installed where the drill runs: install PostgreSQL's contrib package \
     (postgresql-contrib; Debian has it in postgresql-NN)";

/// Where amcheck is, and where it could be.
const AMCHECK: &str = "\
    select a.installed_version is not null, n.nspname::text from pg_catalog.pg_available_extensions a \
      left join pg_catalog.pg_extension e on e.extname = a.name left join pg_catalog.pg_namespace n on n.oid = e.extnamespace \
     where a.name = 'amcheck'";

/// Each with whether it has an expression or predicate. Small ones first: more of them fit into the time there is.
const INDEXES: &str = "\
    select c.oid, c.oid::pg_catalog.regclass::text, i.indexprs is not null or i.indpred is not null from pg_catalog.pg_index i \
      join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_am a on a.oid = c.relam \
     where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence <> 't' \
       and i.indisvalid and i.indisready and i.indislive and c.oid >= $1 \
     order by pg_catalog.pg_relation_size(c.oid), 2";

pub(super) fn tally() -> Tally {
    Tally::new(Words {
        name: "btree indexes",
        things: "btree indexes",
        good: "none at odds with its table",
        wrong: "do not agree with their tables",
        noted: "with an expression that gives another value now than when they were built, so its function is not immutable, here as in the source",
    })
}

pub(super) async fn look(
    restored: &Restored<'_>,
    budget: &mut Budget,
    tally: &mut Tally,
) -> Result<()> {
    let database = &restored.database.name;
    let indexes = match restored.query(INDEXES, &[&FIRST_OF_USERS]).await? {
        Ok(indexes) => indexes,
        Err(refusal) => return not_done(tally, database, &refusal),
    };
    if indexes.is_empty() {
        return Ok(());
    }
    let there = match restored.query(AMCHECK, &[]).await? {
        Ok(there) => there,
        Err(refusal) => return not_done(tally, database, &refusal),
    };
    let Some(there) = there.first() else {
        tally.not_done(|| MISSING.to_owned());
        return Ok(());
    };
    let (begin, schema) = if there.get(0) {
        (String::new(), quote_identifier(there.get(1)))
    } else {
        let schema = quote_identifier(&restored.own_name);
        let create =
            format!("create schema {schema}; create extension amcheck with schema {schema};");
        (create, schema)
    };
    let begin = format!(
        "begin; set local session_replication_role = replica; set local search_path = pg_catalog; {begin} savepoint one"
    );
    let check = format!("select {schema}.bt_index_check($1::oid::regclass, $2)");
    match restored.run(&begin).await? {
        Ok(()) => {
            for row in indexes {
                let index = Index {
                    oid: row.get(0),
                    name: format!("{} of database {database}", row.get::<_, String>(1)),
                    computed: row.get(2),
                };
                let began = Instant::now();
                one(restored, &check, index, budget, tally).await?;
                budget.used_since(began);
            }
        }
        Err(refusal) => not_done(tally, database, &refusal)?,
    }
    if let Err(refusal) = restored.run("rollback").await? {
        not_done(tally, database, &refusal)?;
    }
    Ok(())
}

fn not_done(tally: &mut Tally, database: &str, refusal: &Refusal) -> Result<()> {
    tally.not_done(|| format!("not done in database {database}: {}", refusal.said));
    Ok(())
}

/// An index to look at.
struct Index {
    oid: u32,
    name: String,
    /// Whether functions of the dump decide what is in it.
    computed: bool,
}

async fn one(
    restored: &Restored<'_>,
    check: &str,
    index: Index,
    budget: &Budget,
    tally: &mut Tally,
) -> Result<()> {
    let Some(bound) = budget.statement("local") else {
        tally.out_of_time(index.name);
        return Ok(());
    };
    // Ends what the index before this one left, an error included.
    let bound = format!("rollback to savepoint one; {bound}");
    let ask = async |with_rows: bool| match restored.run(&bound).await? {
        Ok(()) => restored.query(check, &[&index.oid, &with_rows]).await,
        Err(refusal) => Ok(Err(refusal)),
    };
    let Err(refusal) = ask(true).await? else {
        tally.seen += 1;
        return Ok(());
    };
    if is_corrupt(&refusal.code) {
        tally.seen += 1;
        // A function that says it is immutable and is not makes an index disagree with its rows, wherever it is built.
        if index.computed && ask(false).await?.is_ok() {
            tally.noted.add(index.name);
        } else {
            tally.wrong.add(format!("{}: {}", index.name, refusal.said));
        }
    } else if refusal.is_timeout() {
        tally.out_of_time(index.name);
    } else {
        tally.left.add(format!("{}: {}", index.name, refusal.said));
    }
    Ok(())
}

/// What amcheck says of an index that is not sound; anything else means that it could not look.
fn is_corrupt(code: &SqlState) -> bool {
    *code == SqlState::INDEX_CORRUPTED || *code == SqlState::DATA_CORRUPTED
}
