//! Triggers that stay still while rows come, and are afterwards as they were.

use super::fill::Silence;
use super::work::Work;
use crate::error::Result;
use crate::sql::name::{quote_identifier, quote_qualified};

/// Triggers of tables and of their partitions, with whether they fire on replicas, always, or ordinarily.
const TRIGGERS: &str = "select n.nspname::text, c.relname::text, t.tgname::text, t.tgenabled::text from pg_catalog.pg_trigger t \
     join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where not t.tgisinternal and t.tgenabled = any($2::text[]::\"char\"[]) and c.oid in ( \
         select unnest($1::oid[]) union select p.relid from unnest($1::oid[]) o(oid) cross join lateral pg_catalog.pg_partition_tree(o.oid) p) \
    order by 1, 2, 3";

/// What puts triggers back.
#[derive(Debug, Default)]
pub(super) struct Silenced {
    again: Vec<String>,
}

const WHAT: &str = "keep triggers from firing";

/// Keeps the triggers of tables from firing, in this transaction.
pub(super) async fn silence(work: &Work<'_>, silence: Silence, oids: &[u32]) -> Result<Silenced> {
    // Those that fire all the same.
    let firing: &[&str] = match silence {
        Silence::NotNeeded => return Ok(Silenced::default()),
        Silence::Replica => &["A", "R"],
        Silence::Disable => &["O", "A"],
    };
    let mut silenced = Silenced::default();
    for row in work.ask(WHAT, TRIGGERS, &[&oids, &firing]).await? {
        let (schema, table, name, state): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let (table, name) = (quote_qualified(&schema, &table), quote_identifier(&name));
        let word = match state.as_str() {
            "A" => "always ",
            "R" => "replica ",
            _ => "",
        };
        work.run(
            WHAT,
            &format!("alter table only {table} disable trigger {name}"),
        )
        .await?;
        silenced.again.push(format!(
            "alter table only {table} enable {word}trigger {name}"
        ));
    }
    if silence == Silence::Replica {
        work.run(WHAT, "set local session_replication_role = replica")
            .await?;
        silenced
            .again
            .push("reset session_replication_role".to_owned());
    }
    Ok(silenced)
}

impl Silenced {
    /// Puts them back. What is deferred is checked first: a table with pending checks cannot be altered.
    pub(super) async fn end(self, work: &Work<'_>) -> Result<()> {
        work.run("check what is deferred", "set constraints all immediate")
            .await?;
        for sql in self.again {
            work.run("have triggers fire again", &sql).await?;
        }
        Ok(())
    }
}
