//! What goes into a dump comes out of it, to the row, whichever tool and options made it: dumped, drilled, every row equal.

use std::path::Path;

use serde_json::Value;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::programs::{self, Programs};
use crate::support::sample;

/// Drills a dump as a foreign archive with these programs; gives the report.
#[track_caller]
fn drill(dump: &[u8], programs: &Programs) -> Value {
    let place = Place::new();
    let path = place.backups().join("foreign.sql.gz");
    std::fs::write(&path, gzip(dump)).unwrap();
    drill_at(&place, &path, programs)
}

#[track_caller]
fn drill_at(place: &Place, path: &Path, programs: &Programs) -> Value {
    let report = pgvigil(place)
        .args(["drill", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .args(["--pg-bin", programs.directory.to_str().unwrap()])
        .about(path)
        .run()
        .exits(0)
        .json();
    assert_eq!(report["result"], "passed");
    assert_eq!(report["mismatches"], Value::Array(vec![]));
    report
}

/// Every table of a catalog: where it is, its rows, bytes and hash.
fn contents(dump: &[u8]) -> Vec<String> {
    let place = Place::new();
    let path = place.backups().join("foreign.sql.gz");
    std::fs::write(&path, gzip(dump)).unwrap();
    let catalog = pgvigil(&place)
        .args(["inspect", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .about(&path)
        .run()
        .exits(0)
        .json();
    let mut tables = Vec::new();
    for database in catalog["databases"].as_array().unwrap() {
        for table in database["tables"].as_array().unwrap() {
            // A dump of inserts has nothing of a table without rows.
            if table["rows"] != 0 {
                tables.push(format!(
                    "{} {}.{} {} {} {}",
                    database["name"],
                    table["schema"],
                    table["name"],
                    table["rows"],
                    table["bytes"],
                    table["hash"]
                ));
            }
        }
    }
    tables
}

/// The rows of INSERT statements count and hash as the COPY of the same rows.
#[test]
fn inserts_hash_as_copies_do() {
    for server in [sample::system(), sample::eighteen()] {
        let copied = contents(&server.dump());
        assert!(copied.len() > 9, "{copied:#?}");
        for form in ["--inserts", "--column-inserts", "--rows-per-insert=7"] {
            let inserted = server.dump_by("pg_dumpall", &[form, "--on-conflict-do-nothing"]);
            assert_eq!(contents(&inserted), copied, "{form}");
        }
    }
}

/// Each form of rows restores and proves, also with every name quoted.
#[test]
fn dumps_of_inserts_are_proven() {
    let server = sample::system();
    for options in [
        ["--inserts", "--clean"],
        ["--column-inserts", "--quote-all-identifiers"],
        ["--rows-per-insert=100", "--no-role-passwords"],
    ] {
        let report = drill(&server.dump_by("pg_dumpall", &options), server.programs());
        assert_eq!(report["rows"], 4093, "{options:?}");
    }
    let dump = sample::eighteen().dump_by("pg_dumpall", &["--inserts"]);
    drill(&dump, &programs::eighteen());
}

/// A dump of one database, with and without its own CREATE DATABASE: roles and a database are made up, and said to be.
#[test]
fn dumps_of_one_database_are_proven() {
    let server = sample::system();
    for (options, made_up) in [
        (&["app_db"][..], true),
        (&["--create", "app_db"], false),
        (&["--clean", "--inserts", "app_db"], true),
        (&["--clean", "--create", "we'ird \"db"], false),
        (&["latin"], true),
        (&["bytes"], true),
        (&["--create", "postgres"], false),
    ] {
        // A database without tables proves nothing.
        if options.contains(&"postgres") {
            server.psql(
                "postgres",
                "create table if not exists here as select 1 as n",
            );
        }
        let report = drill(&server.dump_by("pg_dump", options), server.programs());
        let database = check(&report, "database");
        assert_eq!(database.is_some(), made_up, "{options:?}: {report:#}");
        let roles = check(&report, "roles").unwrap();
        assert_eq!(roles["status"], "not_done", "{options:?}");
        if options.contains(&"app_db") {
            let detail = roles["detail"].as_str().unwrap();
            assert!(
                detail.contains("made up: app, postgres, readers"),
                "{detail}"
            );
        }
        assert_eq!(
            check(&report, "owners and grants").unwrap()["status"],
            "passed"
        );
    }
}

fn check<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name)
}
