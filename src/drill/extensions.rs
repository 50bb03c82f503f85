//! Extensions that the dump needs and the scratch server does not have: all of them at once, before anything is restored,
//! with the packages that bring them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::catalog::Catalog;
use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::ServerError;
use crate::pg::scratch::Scratch;
use crate::pg::version::Version;

/// Extensions of PostgreSQL's own contrib, also those that newer versions have no more.
const CONTRIB: [&str; 51] = [
    "adminpack",
    "amcheck",
    "autoinc",
    "bloom",
    "btree_gin",
    "btree_gist",
    "chkpass",
    "citext",
    "cube",
    "dblink",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "file_fdw",
    "fuzzystrmatch",
    "hstore",
    "insert_username",
    "intagg",
    "intarray",
    "isn",
    "lo",
    "ltree",
    "moddatetime",
    "old_snapshot",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_logicalinspect",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_surgery",
    "pg_trgm",
    "pg_visibility",
    "pg_walinspect",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "plpgsql",
    "postgres_fdw",
    "refint",
    "seg",
    "sslinfo",
    "tablefunc",
    "tcn",
    "timetravel",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "xml2",
    "pg_overexplain",
];

/// Extensions and what Debian's package (also apt.postgresql.org's) is called behind `postgresql-15-`.
const PACKAGES: [(&str, &str); 33] = [
    ("address_standardizer", "postgis-3"),
    ("address_standardizer_data_us", "postgis-3"),
    ("age", "age"),
    ("h3", "h3"),
    ("hll", "hll"),
    ("http", "http"),
    ("hypopg", "hypopg"),
    ("ip4r", "ip4r"),
    ("mysql_fdw", "mysql-fdw"),
    ("ogr_fdw", "ogr-fdw"),
    ("oracle_fdw", "oracle-fdw"),
    ("orafce", "orafce"),
    ("pg_cron", "cron"),
    ("pg_hint_plan", "pg-hint-plan"),
    ("pg_partman", "partman"),
    ("pg_qualstats", "pg-qualstats"),
    ("pg_repack", "repack"),
    ("pg_squeeze", "squeeze"),
    ("pg_stat_kcache", "pg-stat-kcache"),
    ("pg_wait_sampling", "pg-wait-sampling"),
    ("pgaudit", "pgaudit"),
    ("pglogical", "pglogical"),
    ("pgrouting", "pgrouting"),
    ("pgtap", "pgtap"),
    ("postgis", "postgis-3"),
    ("postgis_raster", "postgis-3"),
    ("postgis_sfcgal", "postgis-3"),
    ("postgis_tiger_geocoder", "postgis-3"),
    ("postgis_topology", "postgis-3"),
    ("prefix", "prefix"),
    ("rum", "rum"),
    ("tds_fdw", "tds-fdw"),
    ("vector", "pgvector"),
];

/// Fails with all that is missing.
pub(super) async fn are_there(
    archive: &Path,
    expected: &Catalog,
    scratch: &Scratch,
    version: Version,
) -> Result<()> {
    let wanted = wanted(expected);
    if wanted.is_empty() {
        return Ok(());
    }
    let session = scratch.target().session(&scratch.target().database).await?;
    let rows = session
        .query(
            "select name::text from pg_catalog.pg_available_extensions",
            &[],
        )
        .await
        .map_err(|error| {
            Failure::new(FailureKind::Scratch, "list the extensions at hand")
                .because(ServerError::from(&error))
        })?;
    session.close().await;
    let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing: BTreeMap<_, _> = wanted
        .into_iter()
        .filter(|(name, _)| !there.contains(*name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("drill {}: {}", archive.display(), describe(&missing));
    Err(Failure::new(FailureKind::Scratch, what).remedy(remedy(missing.keys(), version)))
}

/// Extensions and the databases that have them.
fn wanted(expected: &Catalog) -> BTreeMap<&str, Vec<&str>> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for database in &expected.databases {
        for extension in &database.extensions {
            wanted.entry(extension).or_default().push(database.label());
        }
    }
    wanted
}

fn describe(missing: &BTreeMap<&str, Vec<&str>>) -> String {
    let each: Vec<_> = missing
        .iter()
        .map(|(name, databases)| match databases.as_slice() {
            [only] => format!("{name} (of database {only})"),
            [first, rest @ ..] => format!("{name} (of database {first} and {} more)", rest.len()),
            [] => (*name).to_owned(),
        })
        .collect();
    let (count, is) = match each.len() {
        1 => ("an extension".to_owned(), "is"),
        more => (format!("{more} extensions"), "are"),
    };
    format!(
        "the backup needs {count} that {is} not installed where the drill runs: {}",
        each.join(", ")
    )
}

fn remedy<'a>(missing: impl Iterator<Item = &'a &'a str>, version: Version) -> String {
    let packages: BTreeSet<_> = missing
        .map(|name| package(name, version).unwrap_or_else(|| format!("the package of {name}")))
        .collect();
    let packages: Vec<_> = packages.into_iter().collect();
    format!(
        "install {} (Debian's names) for PostgreSQL {}, then drill again",
        packages.join(", "),
        version.major
    )
}

/// The package that brings an extension, where it is known.
fn package(name: &str, version: Version) -> Option<String> {
    let major = version.major;
    if CONTRIB.contains(&name) {
        return Some(format!(
            "postgresql-{major} (on Alpine postgresql{major}-contrib)"
        ));
    }
    if name == "timescaledb" {
        return Some(format!("timescaledb-2-postgresql-{major}"));
    }
    if name.starts_with("pl") {
        for language in ["plperl", "plpython3", "pltcl"] {
            // plpython3u, hstore_plperl's kind is part of contrib.
            if name.starts_with(language) {
                return Some(format!("postgresql-{language}-{major}"));
            }
        }
    }
    let (_, suffix) = PACKAGES.iter().find(|(known, _)| *known == name)?;
    Some(format!("postgresql-{major}-{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Database;

    const FIFTEEN: Version = Version {
        major: 15,
        minor: 0,
    };

    #[test]
    fn all_are_named_with_their_packages() {
        let database = |name: &str, extensions: &[&str]| Database {
            name: name.to_owned(),
            extensions: extensions.iter().map(|name| (*name).to_owned()).collect(),
            ..Database::default()
        };
        let catalog = Catalog {
            databases: vec![
                database("a", &["postgis", "vector"]),
                database("b", &["postgis", "own_thing"]),
            ],
            ..Catalog::default()
        };
        let wanted = wanted(&catalog);
        assert_eq!(
            describe(&wanted),
            "the backup needs 3 extensions that are not installed where the drill runs: own_thing (of database b), \
             postgis (of database a and 1 more), vector (of database a)"
        );
        assert_eq!(
            remedy(wanted.keys(), FIFTEEN),
            "install postgresql-15-pgvector, postgresql-15-postgis-3, the package of own_thing (Debian's names) for \
             PostgreSQL 15, then drill again"
        );
    }

    #[test]
    fn packages() {
        for (name, expected) in [
            ("pg_cron", Some("postgresql-15-cron")),
            ("plpython3u", Some("postgresql-plpython3-15")),
            ("timescaledb", Some("timescaledb-2-postgresql-15")),
            (
                "hstore",
                Some("postgresql-15 (on Alpine postgresql15-contrib)"),
            ),
            ("own_thing", None),
        ] {
            assert_eq!(package(name, FIFTEEN).as_deref(), expected, "{name}");
        }
    }
}
