//! What a running server holds, as far as a whole dump of it must hold it too: databases, tables and other objects by
//! name; the settings that change how values read, and the versions of extensions.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::connect::{ServerError, Session, Target};
use super::objects::{self, Found, Which};
use super::version::Version;
use crate::catalog::Catalog;
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::{DatabaseSize, ExtensionVersion, SessionSettings};

/// Databases that pg_dumpall dumps: those that take connections and are not half dropped.
const DATABASES: &str = "select oid, datname, pg_catalog.pg_database_size(oid) from pg_catalog.pg_database \
     where datallowconn and datconnlimit <> -2 order by datname";

/// Tables of which pg_dump writes data: ordinary ones outside of the system's schemas that no extension owns. Not
/// partitioned parents, foreign tables or views, which have no rows of their own; not temporary tables. Names come as bytes,
/// because in a database of encoding SQL_ASCII they can be any. The last column names the partitioned ancestors, through
/// which pg_dump may load a partition's rows: it does so for hash partitions by an enum.
const TABLES: &str = "with e(enc) as (select case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end) \
     select c.oid, convert_to(n.nspname::text, e.enc), convert_to(c.relname::text, e.enc), \
       array(select convert_to(an.nspname || E'\\t' || ac.relname, e.enc) from pg_catalog.pg_partition_ancestors(c.oid) a(oid) \
             join pg_catalog.pg_class ac on ac.oid = a.oid and ac.relkind = 'p' \
             join pg_catalog.pg_namespace an on an.oid = ac.relnamespace) \
       from e cross join pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     where c.relkind = 'r' and c.relpersistence <> 't' \
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
       and not exists (select from pg_catalog.pg_depend d \
            where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.objsubid = 0 \
              and d.refclassid = 'pg_catalog.pg_extension'::regclass and d.deptype = 'e')";

/// A database may limit its statements to less than listing its tables takes; pg_dump lifts the same limits.
const PATIENT: &str = "set statement_timeout = 0; set lock_timeout = 0";

const SETTINGS: &str = "select current_setting('TimeZone'), current_setting('bytea_output'), current_setting('lc_monetary')";

/// A server at one moment.
#[derive(Debug)]
pub struct Live {
    /// Its version.
    pub version: Version,
    /// Its version as it says it.
    pub version_text: String,
    /// Its databases by name.
    pub databases: BTreeMap<String, LiveDatabase>,
    /// Objects that belong to no database.
    objects: Vec<Found>,
}

/// A database at one moment.
#[derive(Debug)]
pub struct LiveDatabase {
    oid: u32,
    /// pg_database_size.
    pub bytes: u64,
    tables: HashMap<u32, LiveTable>,
    objects: Vec<Found>,
    extensions: Vec<(String, String)>,
    /// Settings of a session of ours there.
    pub settings: SessionSettings,
}

/// A table at one moment.
#[derive(Debug, PartialEq, Eq)]
struct LiveTable {
    schema: String,
    name: String,
    /// Its partitioned ancestors: (schema, name).
    ancestors: Vec<(String, String)>,
}

fn failed(what: String) -> impl Fn(tokio_postgres::Error) -> Failure {
    move |error| Failure::new(FailureKind::Connect, what.clone()).because(ServerError::from(&error))
}

/// Connects for questions about the cluster, and asks for the version.
pub async fn open(target: &Target) -> Result<(Session, Version, String)> {
    let session = target.session(&target.database).await?;
    let ask = "select current_setting('server_version_num'), current_setting('server_version')";
    let row = session
        .query_one(ask, &[])
        .await
        .map_err(failed(format!("ask {target} for its version")))?;
    let number: String = row.get(0);
    let version = number.parse().map(Version::from_number).map_err(|error| {
        Failure::new(
            FailureKind::Connect,
            format!("ask {target} for its version: it says {number:?}"),
        )
        .because(error)
    })?;
    Ok((session, version, row.get(1)))
}

/// Asks for the version alone.
pub async fn version(target: &Target) -> Result<Version> {
    let (session, version, _) = open(target).await?;
    session.close().await;
    Ok(version)
}

/// Asks a database for its encoding.
pub async fn encoding(target: &Target, database: &str) -> Result<String> {
    let session = target.session(database).await?;
    let row = session
        .query_one("select pg_catalog.getdatabaseencoding()::text", &[])
        .await
        .map_err(failed(format!("ask database {database} for its encoding")))?;
    session.close().await;
    Ok(row.get(0))
}

/// Looks at everything, one database after the other.
pub async fn look(target: &Target) -> Result<Live> {
    let (session, version, version_text) = open(target).await?;
    let rows = session
        .query(DATABASES, &[])
        .await
        .map_err(failed(format!("list the databases of {target}")))?;
    let mut databases = BTreeMap::new();
    for row in rows {
        let (oid, name, bytes): (u32, String, i64) = (row.get(0), row.get(1), row.get(2));
        match look_into(target, &name, oid, u64::try_from(bytes).unwrap_or(0)).await {
            Ok(database) => {
                databases.insert(name, database);
            }
            // Dropped since we listed it: that is no database a dump must hold.
            Err(_) if !exists(&session, oid).await => {}
            Err(error) => return Err(error),
        }
    }
    let objects = objects::of_cluster(&session, Which::Own)
        .await
        .map_err(failed(format!("list the roles of {target}")))?;
    session.close().await;
    Ok(Live {
        version,
        version_text,
        databases,
        objects,
    })
}

/// Looks at one database, for which no right on others is needed.
pub async fn look_at(target: &Target, database: &str) -> Result<Live> {
    let (session, version, version_text) = open(&target.in_database(database)).await?;
    let row = session
        .query_one(
            "select oid, pg_catalog.pg_database_size(oid) from pg_catalog.pg_database where datname = current_database()",
            &[],
        )
        .await
        .map_err(failed(format!("look at database {database} of {target}")))?;
    session.close().await;
    let (oid, bytes): (u32, i64) = (row.get(0), row.get(1));
    let looked = look_into(target, database, oid, u64::try_from(bytes).unwrap_or(0)).await?;
    Ok(Live {
        version,
        version_text,
        databases: BTreeMap::from([(database.to_owned(), looked)]),
        objects: Vec::new(),
    })
}

async fn exists(session: &Session, oid: u32) -> bool {
    // A server that does not answer has not dropped anything.
    session
        .query_opt(
            "select from pg_catalog.pg_database where oid = $1 and datallowconn",
            &[&oid],
        )
        .await
        .map_or(true, |row| row.is_some())
}

async fn look_into(target: &Target, name: &str, oid: u32, bytes: u64) -> Result<LiveDatabase> {
    let session = target.session(name).await?;
    session
        .batch_execute(PATIENT)
        .await
        .map_err(failed(format!("set up a session in database {name}")))?;
    let settings = session
        .query_one(SETTINGS, &[])
        .await
        .map_err(failed(format!("ask database {name} for its settings")))?;
    let rows = session
        .query(TABLES, &[])
        .await
        .map_err(failed(format!("list the tables of database {name}")))?;
    let tables = rows
        .into_iter()
        .map(|row| (row.get(0), live_table(&row)))
        .collect();
    let extensions = objects::extensions(&session)
        .await
        .map_err(failed(format!("list the extensions of database {name}")))?;
    let objects = objects::of_database(&session, Which::Own)
        .await
        .map_err(failed(format!("list the objects of database {name}")))?;
    let settings = SessionSettings {
        database: name.to_owned(),
        timezone: settings.get(0),
        bytea_output: settings.get(1),
        lc_monetary: settings.get(2),
    };
    session.close().await;
    Ok(LiveDatabase {
        oid,
        bytes,
        tables,
        objects,
        extensions,
        settings,
    })
}

fn live_table(row: &tokio_postgres::Row) -> LiveTable {
    let ancestors: Vec<&[u8]> = row.get(3);
    let split = |name: String| {
        name.split_once('\t')
            .map(|(schema, name)| (schema.to_owned(), name.to_owned()))
    };
    LiveTable {
        schema: name_of(row.get(1)),
        name: name_of(row.get(2)),
        ancestors: ancestors
            .into_iter()
            .map(name_of)
            .filter_map(split)
            .collect(),
    }
}

/// A name as the catalog of a dump has it.
fn name_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Live {
    /// Sizes for the manifest.
    pub fn sizes(&self) -> Vec<DatabaseSize> {
        self.databases
            .iter()
            .map(|(name, database)| DatabaseSize {
                database: name.clone(),
                bytes: database.bytes,
            })
            .collect()
    }

    /// Versions of extensions for the manifest.
    pub fn extension_versions(&self) -> Vec<ExtensionVersion> {
        let all = self.databases.iter().flat_map(|(database, live)| {
            live.extensions
                .iter()
                .map(move |(name, version)| ExtensionVersion {
                    database: database.clone(),
                    name: name.clone(),
                    version: version.clone(),
                })
        });
        all.collect()
    }

    /// Bytes of all databases.
    pub fn bytes(&self) -> u64 {
        self.databases.values().map(|database| database.bytes).sum()
    }

    /// What was there before and after a dump, under the same name, and is not in the dump. What was created, dropped or
    /// renamed meanwhile may or may not be in it.
    pub fn missing_from(&self, after: &Self, dump: &Catalog) -> Vec<String> {
        let stayed = after.objects.iter().collect();
        let mut missing: Vec<_> = objects::lost(&self.objects, &stayed, dump, None)
            .iter()
            .map(ToString::to_string)
            .collect();
        for (name, before) in &self.databases {
            let Some(after) = after
                .databases
                .get(name)
                .filter(|after| after.oid == before.oid)
            else {
                continue;
            };
            let Some(dumped) = dump
                .databases
                .iter()
                .find(|database| database.name == *name)
            else {
                missing.push(format!("database {name}"));
                continue;
            };
            let tables: HashSet<(&str, &str)> = dumped
                .tables
                .iter()
                .map(|table| (table.schema.as_str(), table.name.as_str()))
                .collect();
            let is_dumped = |table: &LiveTable| {
                let own = (table.schema.as_str(), table.name.as_str());
                let mut through = table
                    .ancestors
                    .iter()
                    .map(|(schema, name)| (schema.as_str(), name.as_str()));
                tables.contains(&own) || through.any(|root| tables.contains(&root))
            };
            let mut lost: Vec<_> = before
                .tables
                .iter()
                .filter(|(oid, table)| after.tables.get(oid) == Some(table) && !is_dumped(table))
                .map(|(_, table)| {
                    format!("table {}.{} of database {name}", table.schema, table.name)
                })
                .collect();
            lost.sort();
            let without_data: HashSet<String> = lost.iter().cloned().collect();
            missing.append(&mut lost);
            let stayed = after.objects.iter().collect();
            let lost = objects::lost(&before.objects, &stayed, dump, dumped.inventory.as_ref());
            missing.extend(
                lost.iter()
                    .map(|object| format!("{object} of database {name}"))
                    // A table is looked for by its data too.
                    .filter(|object| !without_data.contains(object)),
            );
        }
        missing
    }
}
