//! What the databases of a server share, as far as a restore into it needs to know: the databases themselves, roles,
//! tablespaces, and who may do what.

use std::collections::{BTreeMap, BTreeSet};

use super::connect::{ServerError, Session, Target};
use super::live;
use super::version::Version;
use crate::error::{Failure, FailureKind, Result};

/// A server at one moment.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its version.
    pub version: Version,
    /// Its version as it says it.
    pub version_text: String,
    /// What we may do.
    pub rights: Rights,
    /// The superuser that initdb made.
    pub bootstrap: String,
    /// Whether it follows another server and takes no changes.
    pub is_standby: bool,
    /// Its databases by name.
    pub databases: BTreeMap<String, SharedDatabase>,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// Those of them whose password ends to be valid at some time.
    pub expiring_roles: BTreeSet<String>,
    /// Its tablespaces.
    pub tablespaces: BTreeSet<String>,
}

/// What the connected role may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Everything.
    pub superuser: bool,
    /// CREATEDB.
    pub databases: bool,
    /// CREATEROLE.
    pub roles: bool,
}

/// A database from the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedDatabase {
    /// pg_database_size.
    pub bytes: u64,
    /// Sessions in it, our own not counted.
    pub sessions: u64,
    /// Who is connected: `application (user)`, a few of them.
    pub clients: Vec<String>,
    /// Logical replication slots, which keep it from being dropped.
    pub slots: Vec<String>,
    /// Transactions prepared for two-phase commit in it.
    pub prepared: u64,
    /// Whether it takes connections.
    pub allows_connections: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Subscriptions in it, which keep it from being dropped.
    pub subscriptions: u64,
    /// Whether it belongs to whoever asks, or to a superuser.
    pub is_ours_or_superusers: bool,
}

const SERVER: &str = "select r.rolsuper, r.rolcreatedb, r.rolcreaterole, b.rolname, pg_catalog.pg_is_in_recovery() \
    from pg_catalog.pg_roles r, pg_catalog.pg_roles b where r.rolname = current_user and b.oid = 10";

/// Sizes only where we may ask for them.
const DATABASES: &str = "select d.datname, \
      case when r.rolsuper or pg_catalog.has_database_privilege(d.oid, 'CONNECT') then pg_catalog.pg_database_size(d.oid) else 0 end, \
      (select count(*) from pg_catalog.pg_stat_activity a where a.datid = d.oid and a.pid <> pg_backend_pid()), \
      array(select distinct coalesce(nullif(a.application_name, ''), a.backend_type) || coalesce(' (' || a.usename || ')', '') \
            from pg_catalog.pg_stat_activity a where a.datid = d.oid and a.pid <> pg_backend_pid() order by 1 limit 5), \
      array(select s.slot_name::text from pg_catalog.pg_replication_slots s where s.database = d.datname order by 1), \
      (select count(*) from pg_catalog.pg_prepared_xacts x where x.database = d.datname), \
      d.datallowconn, pg_catalog.shobj_description(d.oid, 'pg_database'), \
      (select count(*) from pg_catalog.pg_subscription p where p.subdbid = d.oid), \
      d.datdba = r.oid or exists (select from pg_catalog.pg_roles o where o.oid = d.datdba and o.rolsuper) \
    from pg_catalog.pg_database d, pg_catalog.pg_roles r where r.rolname = current_user";

/// Whether anyone has made anything in a database.
const IS_EMPTY: &str = "select not exists (select from pg_catalog.pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')) \
    and not exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema') \
    and not exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
                     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema') \
    and not exists (select from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
                     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema') \
    and not exists (select from pg_catalog.pg_largeobject_metadata) \
    and not exists (select from pg_catalog.pg_extension where extname <> 'plpgsql') \
    and not exists (select from pg_catalog.pg_event_trigger) \
    and not exists (select from pg_catalog.pg_publication) \
    and not exists (select from pg_catalog.pg_foreign_data_wrapper) \
    and not exists (select from pg_catalog.pg_default_acl) \
    and not exists (select from pg_catalog.pg_cast where oid >= 16384) \
    and not exists (select from pg_catalog.pg_collation c join pg_catalog.pg_namespace n on n.oid = c.collnamespace where n.nspname = 'public') \
    and not exists (select from pg_catalog.pg_operator o join pg_catalog.pg_namespace n on n.oid = o.oprnamespace where n.nspname = 'public') \
    and not exists (select from pg_catalog.pg_ts_config c join pg_catalog.pg_namespace n on n.oid = c.cfgnamespace where n.nspname = 'public')";

fn failed(what: String) -> impl Fn(tokio_postgres::Error) -> Failure {
    move |error| Failure::new(FailureKind::Connect, what.clone()).because(ServerError::from(&error))
}

/// Looks at a server; gives the session too, in the target's own database.
pub async fn look(target: &Target) -> Result<(Session, Shared)> {
    let (session, version, version_text) = live::open(target).await?;
    let ask = || failed(format!("ask {target} what it holds"));
    let server = session.query_one(SERVER, &[]).await.map_err(ask())?;
    let rows = session.query(DATABASES, &[]).await.map_err(ask())?;
    let count =
        |row: &tokio_postgres::Row, index| u64::try_from(row.get::<_, i64>(index)).unwrap_or(0);
    let databases = rows
        .iter()
        .map(|row| {
            let database = SharedDatabase {
                bytes: count(row, 1),
                sessions: count(row, 2),
                clients: row.get(3),
                slots: row.get(4),
                prepared: count(row, 5),
                allows_connections: row.get(6),
                comment: row.get(7),
                subscriptions: count(row, 8),
                is_ours_or_superusers: row.get(9),
            };
            (row.get(0), database)
        })
        .collect();
    let roles = names(&session, "select rolname from pg_catalog.pg_roles")
        .await
        .map_err(ask())?;
    let expiring = "select rolname from pg_catalog.pg_roles where rolvaliduntil is not null";
    let expiring_roles = names(&session, expiring).await.map_err(ask())?;
    let tablespaces = names(&session, "select spcname from pg_catalog.pg_tablespace")
        .await
        .map_err(ask())?;
    let shared = Shared {
        version,
        version_text,
        rights: Rights {
            superuser: server.get(0),
            databases: server.get(1),
            roles: server.get(2),
        },
        bootstrap: server.get(3),
        is_standby: server.get(4),
        databases,
        roles,
        expiring_roles,
        tablespaces,
    };
    Ok((session, shared))
}

async fn names(
    session: &Session,
    query: &str,
) -> std::result::Result<BTreeSet<String>, tokio_postgres::Error> {
    let rows = session.query(query, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether nobody has made anything in a database.
pub async fn is_empty(target: &Target, database: &str) -> Result<bool> {
    let session = target.session(database).await?;
    let row = session
        .query_one(IS_EMPTY, &[])
        .await
        .map_err(failed(format!("look into database {database} of {target}")))?;
    session.close().await;
    Ok(row.get(0))
}
