//! What goes into a dump comes out of it, to the row, whichever tool and options made it: dumped, drilled, every row equal.

use std::path::Path;

use serde_json::Value;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::programs::{self, Programs};
use crate::support::sample;
use crate::support::server::Server;

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

/// Backs a server up with pgvigil and drills the backup with these programs.
#[track_caller]
fn round_trip(server: &Server, programs: &Programs) -> Value {
    let place = Place::new();
    pgvigil(&place)
        .on(server, &place)
        .args(["backup"])
        .run()
        .exits(0);
    let path = place.archives().pop().unwrap();
    drill_at(&place, &path, programs)
}

/// Longer than any statement the catalog keeps: a value of 5 MB in one row, and a thousand rows in one statement.
#[test]
fn long_inserts() {
    let server = Server::start(&programs::system());
    server.script(
        "CREATE TABLE wide (n integer, b bytea, t text);\n\
         INSERT INTO wide SELECT 1, convert_to(string_agg(md5(i::text), ''), 'UTF8'), NULL FROM generate_series(1, 163840) AS i;\n\
         INSERT INTO wide SELECT 2, NULL, repeat(E'it''s \\\\ \\n', 50000);\n\
         CREATE TABLE long (n integer PRIMARY KEY, t text, twice integer GENERATED ALWAYS AS (n * 2) STORED, \"last one\" boolean);\n\
         INSERT INTO long (n, t, \"last one\") SELECT i, repeat(chr(i % 64 + 1) || 'é', 150), i % 3 = 0 FROM generate_series(1, 3000) AS i;\n\
         CREATE EXTENSION hstore;\n",
        &[],
    );
    let copied = contents(&server.dump());
    assert_eq!(copied.len(), 2);
    for form in ["--inserts", "--rows-per-insert=1000"] {
        let dump = server.dump_by("pg_dumpall", &[form]);
        assert_eq!(contents(&dump), copied, "{form}");
        assert_eq!(drill(&dump, server.programs())["rows"], 3_002, "{form}");
    }
}

/// Keys that point at themselves, at each other and round in circles; tables by the thousand.
#[test]
fn a_thousand_tables_and_keys_in_circles() {
    let server = Server::start(&programs::system());
    server.script(
        "CREATE SCHEMA many;\n\
         SELECT format('CREATE TABLE many.t%s (id serial PRIMARY KEY, next integer, note text)', i) FROM generate_series(0, 999) AS i \\gexec\n\
         SELECT format('INSERT INTO many.t%s (next, note) SELECT CASE WHEN n > 1 THEN n - 1 END, md5(n::text) FROM generate_series(1, 3) AS n', i) FROM generate_series(0, 999) AS i \\gexec\n\
         SELECT format('ALTER TABLE many.t%s ADD FOREIGN KEY (next) REFERENCES many.t%s', i, (i + 1) % 1000) FROM generate_series(0, 999) AS i \\gexec\n\
         CREATE TABLE self (id integer PRIMARY KEY, parent integer REFERENCES self);\n\
         INSERT INTO self SELECT i, nullif(i / 2, 0) FROM generate_series(1, 500) AS i;\n\
         CREATE TABLE a (id integer PRIMARY KEY, b integer NOT NULL);\n\
         CREATE TABLE b (id integer PRIMARY KEY, a integer NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED);\n\
         ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;\n\
         BEGIN; INSERT INTO a SELECT i, 101 - i FROM generate_series(1, 100) AS i; INSERT INTO b SELECT i, 101 - i FROM generate_series(1, 100) AS i; COMMIT;\n\
         CREATE TABLE whole (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);\n\
         CREATE TABLE whole_2023 PARTITION OF whole FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');\n\
         CREATE TABLE whole_2024 PARTITION OF whole FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);\n\
         CREATE TABLE whole_2024_0 PARTITION OF whole_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);\n\
         CREATE TABLE whole_2024_1 PARTITION OF whole_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);\n\
         INSERT INTO whole SELECT i, date '2023-01-01' + i FROM generate_series(0, 700) AS i;\n\
         ALTER TABLE whole ADD COLUMN id_before integer, ADD COLUMN at_before date;\n\
         UPDATE whole SET (id_before, at_before) = (id - 1, at - 1) WHERE id > 0;\n\
         ALTER TABLE whole ADD FOREIGN KEY (id_before, at_before) REFERENCES whole;\n",
        &[],
    );
    let report = round_trip(&server, &programs::eighteen());
    assert_eq!(report["rows"], 3000 + 500 + 200 + 701);
}

/// Each database is 300 files to make and to remove, which is what this waits for; with 200 it is as good, and slower.
#[test]
fn many_databases() {
    const COUNT: u32 = 50;
    let server = Server::start(&programs::system());
    let mut script = String::new();
    for i in 0..COUNT {
        script.push_str(&format!(
            "CREATE DATABASE tenant_{i} STRATEGY file_copy;\n\\connect tenant_{i}\nCREATE TABLE t AS SELECT {i} AS n;\n"
        ));
    }
    server.script(&script, &[]);
    let report = round_trip(&server, server.programs());
    assert_eq!(report["rows"], COUNT);
    assert_eq!(report["databases"], COUNT + 2);
}

#[test]
fn ten_thousand_large_objects() {
    let server = Server::start(&programs::system());
    server.script(
        "SELECT count(lo_from_bytea(0, CASE WHEN i % 10 > 0 THEN convert_to(repeat(md5(i::text), i % 100), 'UTF8') ELSE '' END)) FROM generate_series(1, 10000) AS i;\n\
         CREATE TABLE here AS SELECT oid FROM pg_largeobject_metadata;\n",
        &[],
    );
    let report = round_trip(&server, server.programs());
    let detail = check(&report, "large objects").unwrap()["detail"]
        .as_str()
        .unwrap();
    assert_eq!(detail, "10000 large objects: 0 databases differ");
}

/// Names as long as names can be, of letters of several bytes, quoted in every way.
#[test]
fn names_of_63_bytes() {
    for programs in [programs::system(), programs::eighteen()] {
        let server = Server::start(&programs);
        let name = |letter: &str| {
            let name = format!("\"'{}", letter.repeat(60 / letter.len()));
            assert!(name.len() > 59 && name.len() < 64, "{name}");
            name
        };
        let quote = |letter: &str| format!("\"{}\"", name(letter).replace('"', "\"\""));
        server.script(
            &format!(
                "CREATE ROLE {role};\nCREATE DATABASE {database} OWNER {role};\n\\connect -reuse-previous=on \"dbname='{connect}'\"\n\
                 CREATE SCHEMA {schema} AUTHORIZATION {role};\n\
                 CREATE TABLE {schema}.{table} ({column} serial PRIMARY KEY, \"select\" text);\n\
                 INSERT INTO {schema}.{table} (\"select\") SELECT '{value}' FROM generate_series(1, 10);\n\
                 CREATE INDEX {index} ON {schema}.{table} (\"select\");\n\
                 ALTER TABLE {schema}.{table} OWNER TO {role};\nGRANT SELECT ({column}) ON {schema}.{table} TO {role};\n",
                role = quote("я"),
                database = quote("日"),
                connect = name("日").replace('\'', "\\'").replace('"', "\"\""),
                schema = quote("é"),
                table = quote("😀"),
                column = quote("ß"),
                index = quote("x"),
                value = name("ж").replace('\'', "''"),
            ),
            &[],
        );
        assert_eq!(round_trip(&server, &programs)["rows"], 10);
        let dump = server.dump_by("pg_dumpall", &["--column-inserts"]);
        assert_eq!(drill(&dump, &programs)["rows"], 10);
    }
}

/// The sample as pgvigil backs it up: SQL_ASCII and LATIN1 with bytes of any kind, odd names, partitions, large objects.
#[test]
fn the_sample_by_each_version() {
    round_trip(sample::system(), &programs::system());
    round_trip(sample::system(), &programs::eighteen());
    round_trip(sample::eighteen(), &programs::eighteen());
}

/// The demonstration's sample, whose drill has everything equal.
#[test]
fn the_demonstration() {
    let place = Place::new();
    let programs = programs::system();
    let done = pgvigil(&place)
        .args(["demo", "--once", "--pg-bin"])
        .about(&programs.directory)
        .run()
        .exits(0);
    assert!(
        done.stdout.contains("PASSED") || done.stdout.contains("passed"),
        "{}",
        done.stdout
    );
}
