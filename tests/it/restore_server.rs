//! Restores onto a running server: a whole cluster, or one database. What the plan names is there afterwards and equal;
//! everything else is as it was, to the byte of its dump.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::{Pgvigil, pgvigil};
use crate::support::server::Server;
use crate::support::{programs, sample};

/// What is on a server that is nobody's to touch.
const BYSTANDERS: &str = "\
CREATE ROLE bystander LOGIN PASSWORD 'secret';
CREATE ROLE readers LOGIN CONNECTION LIMIT 7;
GRANT bystander TO readers;
ALTER ROLE bystander SET work_mem = '7MB';
CREATE DATABASE bystanders OWNER bystander;
ALTER DATABASE bystanders SET work_mem = '5MB';
COMMENT ON DATABASE bystanders IS 'not yours';
CREATE DATABASE pgvigil_restore_of_mine;
\\connect bystanders
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 100) i;
GRANT SELECT ON t TO readers;
";

fn restore(place: &Place, server: &Server, backup: &Path) -> Pgvigil {
    pgvigil(place)
        .on(server, place)
        .args(["restore"])
        .about(backup)
        .args(["--to", &to(server)])
}

fn to(server: &Server) -> String {
    format!(
        "host={} user=postgres dbname=postgres",
        server.socket().display()
    )
}

/// A dump without what is different each time, and without the place of the tablespace.
fn told(server: &Server) -> String {
    let dump = String::from_utf8_lossy(&server.dump()).into_owned();
    dump.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(|line| match line.split_once(" LOCATION ") {
            Some((before, _)) if line.starts_with("CREATE TABLESPACE") => before,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Two dumps are the same; the first line that is not is said.
fn same(there: &str, wanted: &str, what: &str) {
    let (mut there, mut wanted) = (there.lines(), wanted.lines());
    loop {
        let (left, right) = (there.next(), wanted.next());
        assert_eq!(left, right, "{what}");
        if left.is_none() {
            return;
        }
    }
}

fn server() -> Server {
    Server::start(&programs::system())
}

/// With the tablespace of the sample, which is in use at its own place.
fn server_with_tablespace() -> Server {
    let server = server();
    let place = server.elsewhere();
    server.psql(
        "postgres",
        &format!("create tablespace elsewhere location '{}'", place.display()),
    );
    server
}

fn foreign(place: &Place, name: &str, text: &[u8]) -> PathBuf {
    let path = place.backups().join(name);
    fs::write(&path, gzip(text)).unwrap();
    path
}

#[test]
fn a_whole_cluster_onto_an_empty_server() {
    let (place, target) = (Place::new(), server_with_tablespace());
    let backup = sample::backup().put(&place);
    let plan = restore(&place, &target, &backup)
        .args(["--dry-run"])
        .run()
        .exits(0);
    for line in [
        "create role app",
        "create database app_db",
        "REPLACE database postgres",
        "[ok] archive verified",
        "leave alone tablespace elsewhere",
    ] {
        assert!(plan.stdout.contains(line), "{line}: {}", plan.stdout);
    }
    let done = restore(&place, &target, &backup)
        .args(["--yes", "--compare", "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(done["result"], "passed");
    assert_eq!(done["done"]["rows"], done["done"]["rows_compared"]);
    let wanted = told(sample::system()).replace("CREATE TABLESPACE elsewhere OWNER app", "");
    let there = told(&target).replace("CREATE TABLESPACE elsewhere OWNER postgres", "");
    same(&there, &wanted, "the whole cluster");
    assert!(place.join("before_restore").symlink_metadata().is_err());
}

#[test]
fn a_server_in_use_is_replaced_only_when_told_to() {
    let (place, target) = (Place::new(), server_with_tablespace());
    target.script(BYSTANDERS, &[]);
    target.script(
        "CREATE ROLE app NOLOGIN; CREATE DATABASE app_db; \\connect app_db\nCREATE TABLE old (a int); INSERT INTO old VALUES (1);",
        &[],
    );
    let before = told(&target);
    let backup = sample::backup().put(&place);
    let refused = restore(&place, &target, &backup)
        .args(["--yes"])
        .run()
        .exits(2);
    assert!(
        refused.sentence().contains("--replace"),
        "{}",
        refused.stderr
    );
    same(&told(&target), &before, "refused");
    let unasked = restore(&place, &target, &backup)
        .args(["--replace"])
        .run()
        .exits(2);
    assert!(unasked.sentence().contains("--yes"), "{}", unasked.stderr);
    same(&told(&target), &before, "not confirmed");

    // Someone is at work in what is replaced, and it has a comment that must not be taken for the old one's.
    let mut client = target
        .client("psql")
        .args(["-d", "app_db", "-c", "select pg_sleep(60)"])
        .spawn()
        .unwrap();
    let done = restore(&place, &target, &backup)
        .args(["--yes", "--replace", "--json"])
        .run()
        .exits(0)
        .json();
    assert!(!client.wait().unwrap().success(), "its session was ended");
    assert_eq!(
        done["done"]["notes"].as_array().map(Vec::len),
        Some(0),
        "{done}"
    );
    let after = told(&target);
    assert!(!after.contains("CREATE TABLE public.old"));
    assert_eq!(
        target.psql("app_db", "select count(*) from public.orders"),
        "3000"
    );
    assert_eq!(
        target.psql("postgres", "select rolcanlogin, rolconnlimit from pg_roles where rolname in ('app', 'readers') order by rolname"),
        "t|-1\nf|-1",
        "roles are as in the backup"
    );
    assert_eq!(
        target.psql("bystanders", "select count(*), min(b) from t"),
        "100|02e74f10e0327ad868d138f2b4fdd6f0"
    );
    assert_eq!(temporary(&target), "pgvigil_restore_of_mine");
    // What went was saved, and can be put back.
    let saved = place.backups().join("before_restore");
    let name = fs::read_dir(&saved)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .find(|name| name.ends_with(".sql.gz"))
        .unwrap();
    restore(&place, &target, &saved.join(name))
        .args(["--database", "app_db", "--as", "app_db_before", "--yes"])
        .run()
        .exits(0);
    assert_eq!(target.psql("app_db_before", "select * from old"), "1");
}

fn temporary(server: &Server) -> String {
    server.psql(
        "postgres",
        "select coalesce(string_agg(datname, ' '), '') from pg_database where datname like 'pgvigil%'",
    )
}

#[test]
fn as_any_superuser() {
    let (place, target) = (Place::new(), server_with_tablespace());
    target.psql(
        "postgres",
        "create role app superuser login password 'it''s mine'",
    );
    let backup = sample::backup().put(&place);
    let as_app = format!(
        "host={} user=app dbname=template1",
        target.socket().display()
    );
    pgvigil(&place)
        .on(&target, &place)
        .args(["restore"])
        .about(&backup)
        .args(["--to", &as_app, "--yes", "--replace"])
        .run()
        .exits(0);
    // The role that restores is in the dump, where it is no superuser.
    assert_eq!(
        target.psql(
            "postgres",
            "select rolsuper, rolcanlogin from pg_roles where rolname = 'app'"
        ),
        "f|t"
    );
    let wanted = told(sample::system()).replace("CREATE TABLESPACE elsewhere OWNER app", "");
    let there = told(&target).replace("CREATE TABLESPACE elsewhere OWNER postgres", "");
    same(&there, &wanted, "the whole cluster");
    pgvigil(&place)
        .on(&target, &place)
        .args(["restore"])
        .about(&backup)
        .args(["--to", &as_app, "--yes", "--replace"])
        .run()
        .exits(2);
}

#[test]
fn one_database_under_a_new_name_and_in_place() {
    for target in [server(), Server::start(&programs::eighteen())] {
        let place = Place::new();
        target.script(BYSTANDERS, &[]);
        let before = told(&target);
        let backup = sample::backup().put(&place);
        // The weird one names a role that is missing here.
        for (name, new) in [
            ("we'ird \"db", "o'ther \"db"),
            ("latin", "latin_restored"),
            ("bytes", "bytes"),
        ] {
            let done = restore(&place, &target, &backup)
                .args(["--database", name, "--as", new, "--yes", "--json"])
                .run()
                .exits(0)
                .json();
            assert_eq!(
                done["done"]["rows"], done["done"]["rows_compared"],
                "{done}"
            );
            target.psql(
                "postgres",
                &format!("drop database \"{}\"", new.replace('"', "\"\"")),
            );
        }
        same(&told(&target), &before, "nothing but the new databases");
        // In place of one that is there.
        target.psql("postgres", "create database latin");
        target.psql("latin", "create table mine (a int)");
        let refused = restore(&place, &target, &backup)
            .args(["--database", "latin", "--yes"])
            .run()
            .exits(2);
        assert!(refused.sentence().contains("--as"), "{}", refused.stderr);
        restore(&place, &target, &backup)
            .args(["--database", "latin", "--yes", "--replace"])
            .run()
            .exits(0);
        assert_eq!(target.psql("latin", "select count(*) from \"Straße\""), "3");
        target.psql("postgres", "drop database latin");
        same(&told(&target), &before, "as before");
    }
}

/// What keeps a dump from being restored, behind the data of a first table.
fn that_fails(with: &str) -> String {
    format!(
        "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE fresh;\nALTER ROLE fresh WITH LOGIN;\nCREATE DATABASE other WITH TEMPLATE = template0;\n\n\\connect other\n\n--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nCREATE TABLE public.a (n integer);\n\nCOPY public.a (n) FROM stdin;\n1\n1\n\\.\n\n{with}\n\n--\n-- PostgreSQL database dump complete\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n"
    )
}

#[test]
fn what_fails_leaves_the_server_as_it_was() {
    let (place, target) = (Place::new(), server());
    target.script(BYSTANDERS, &[]);
    let before = told(&target);
    for (with, code) in [
        ("ALTER TABLE public.a ADD CONSTRAINT p PRIMARY KEY (n);", 1),
        ("CREATE EXTENSION IF NOT EXISTS there_is_none;", 3),
        // Text that reaches out of its database.
        ("ALTER ROLE bystander WITH SUPERUSER;", 1),
        ("DROP ROLE bystander;", 1),
        ("ALTER ROLE ALL SET work_mem = '1MB';", 1),
        ("GRANT bystander TO fresh;", 1),
        ("CREATE TABLESPACE x LOCATION '/tmp';", 1),
        ("DROP\u{b}DATABASE bystanders;\nDROP\u{b}ROLE bystander;", 1),
        ("ALTER\u{b}SYSTEM SET work_mem = '1MB';", 1),
        ("CREATE USER mapping SUPERUSER;", 1),
        ("ALTER ROLE CURRENT_USER VALID UNTIL '2001-01-01';", 1),
        ("ALTER ROLE U&\"\\0062ystander\" SUPERUSER;", 1),
        ("GRANT bystander, fresh TO fresh;", 1),
        ("REVOKE bystander FROM fresh, readers;", 1),
        ("ALTER GROUP readers ADD USER fresh;", 1),
        ("DROP OWNED BY bystander CASCADE;", 1),
        ("GRANT CONNECT ON DATABASE other, bystanders TO fresh;", 1),
        ("ALTER DATABASE other RENAME TO elsewhere;", 1),
        ("CREATE DATABASE other TEMPLATE = bystanders;", 1),
        (
            "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);",
            1,
        ),
        ("DO $$ BEGIN END $$;", 1),
        ("\\! touch /tmp/pgvigil_was_here", 1),
    ] {
        let backup = foreign(&place, "bad.sql.gz", that_fails(with).as_bytes());
        // Each takes a second, and most of them do not depend on what is restored.
        let scopes: &[&[&str]] =
            if with.starts_with("ALTER TABLE") || with.starts_with("ALTER ROLE bystander") {
                &[&["--yes"], &["--yes", "--database", "other", "--as", "new"]]
            } else {
                &[&["--yes"]]
            };
        for scope in scopes {
            let done = restore(&place, &target, &backup)
                .args(*scope)
                .run()
                .exits(code);
            assert!(
                done.sentence().contains("the target is as it was before")
                    || done.sentence().contains("nothing was restored"),
                "{with}: {}",
                done.stderr
            );
            same(&told(&target), &before, "{with}");
        }
    }
    // Statements about other databases are passed over, and never run.
    for with in [
        "DROP DATABASE bystanders;",
        "ALTER DATABASE bystanders SET work_mem = '1MB';",
        "GRANT ALL ON DATABASE bystanders TO fresh;",
        "COMMENT ON DATABASE bystanders IS 'mine';",
        "UPDATE pg_catalog.pg_database SET datistemplate = true WHERE datname = 'bystanders';",
    ] {
        let backup = foreign(&place, "bad.sql.gz", that_fails(with).as_bytes());
        restore(&place, &target, &backup)
            .args(["--yes"])
            .run()
            .exits(0);
        target.psql("postgres", "drop database other");
        target.psql("postgres", "drop role fresh");
        same(&told(&target), &before, "{with}");
    }
}

#[test]
fn a_foreign_dump_and_one_of_a_single_database() {
    let (place, target) = (Place::new(), server());
    let source = sample::system();
    let dump = source
        .client("pg_dump")
        .env_remove("PGCLIENTENCODING")
        .args(["-d", "latin"])
        .output()
        .unwrap()
        .stdout;
    let backup = foreign(&place, "latin.sql.gz", &dump);
    let refused = restore(&place, &target, &backup)
        .args(["--yes"])
        .run()
        .exits(2);
    assert!(
        refused.sentence().contains("--database"),
        "{}",
        refused.stderr
    );
    restore(&place, &target, &backup)
        .args(["--database", "copy", "--yes"])
        .run()
        .exits(0);
    assert_eq!(target.psql("copy", "select count(*) from \"Straße\""), "3");
    let all = source
        .client("pg_dumpall")
        .env_remove("PGCLIENTENCODING")
        .output()
        .unwrap()
        .stdout;
    let backup = foreign(&place, "all.sql.gz", &all);
    restore(&place, &target, &backup)
        .args(["--database", "bytes", "--as", "bytes_too", "--yes"])
        .run()
        .exits(0);
    assert_eq!(target.psql("bytes_too", "select count(*) from raw"), "3");
    // A dump without --clean takes template1 for granted, and it stays the template that it is.
    restore(&place, &target, &backup)
        .args(["--database", "template1", "--yes"])
        .run()
        .exits(0);
    assert_eq!(
        target.psql(
            "postgres",
            "select datistemplate, pg_encoding_to_char(encoding), datcollate from pg_database where datname = 'template1'"
        ),
        "t|UTF8|C"
    );
    assert_eq!(temporary(&target), "");
}

#[test]
fn a_large_table_in_pieces_with_many_indexes() {
    let place = Place::new();
    let (source, target) = (server(), server());
    source.script(
        "CREATE DATABASE big;
        \\connect big
        CREATE TABLE a (id int PRIMARY KEY, b text, c text);
        INSERT INTO a SELECT i, repeat(md5(i::text), 30), CASE WHEN i % 1000 = 0 THEN repeat(md5(i::text), 50000) END FROM generate_series(1, 40000) i;
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, UNIQUE (a, id));
        INSERT INTO b SELECT i, i FROM generate_series(1, 40000) i;
        ALTER TABLE a ADD d int REFERENCES b (id);
        CREATE INDEX ON a (b); CREATE INDEX ON a (d); CREATE INDEX a_b ON a (md5(c)); COMMENT ON INDEX a_b IS 'x'; CREATE INDEX ON b (a); ALTER TABLE b CLUSTER ON b_pkey;
        CREATE TABLE p (n int, r text, PRIMARY KEY (n)) PARTITION BY RANGE (n);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (5000); CREATE TABLE p2 PARTITION OF p DEFAULT;
        INSERT INTO p SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
        CREATE INDEX ON p (r); CREATE TABLE q (n int REFERENCES p);
        CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM a; CREATE MATERIALIZED VIEW m2 AS SELECT * FROM m;
        CREATE UNIQUE INDEX ON m2 (count);
        CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
        CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no();",
        &[],
    );
    pgvigil(&place)
        .on(&source, &place)
        .args(["backup"])
        .run()
        .exits(0);
    let backup = place.archives().pop().unwrap();
    for jobs in ["1", "4"] {
        let done = restore(&place, &target, &backup)
            .args([
                "--yes",
                "--compare",
                "--jobs",
                jobs,
                "--replace",
                "--no-safety-backup",
                "--json",
            ])
            .run()
            .exits(0)
            .json();
        assert_eq!(
            done["done"]["rows"], done["done"]["rows_compared"],
            "{done}"
        );
        same(&told(&target), &told(&source), jobs);
    }
}

#[test]
fn killed_at_any_moment() {
    let (place, target) = (Place::new(), server());
    target.script(BYSTANDERS, &[]);
    target.psql("postgres", "create database latin");
    target.psql("latin", "create table mine as select 1 as a");
    let backup = sample::backup().put(&place);
    let before = told(&target);
    let run = || {
        restore(&place, &target, &backup)
            .args([
                "--database",
                "latin",
                "--yes",
                "--replace",
                "--no-safety-backup",
            ])
            .start()
    };
    let back = || {
        target.psql("postgres", "drop database latin");
        target.psql("postgres", "create database latin");
        target.psql("latin", "create table mine as select 1 as a");
    };
    let began = Instant::now();
    run().wait(Duration::from_secs(60)).exits(0);
    let whole = began.elapsed();
    back();
    same(&told(&target), &before, "as before");
    for moment in 0..10 {
        let mut running = run();
        std::thread::sleep(whole * (2 * moment + 1) / 20);
        if !running.has_ended() {
            running.signal(Signal::KILL);
        }
        running.wait(Duration::from_secs(10));
        // Either the old one or the new one, whole, and never none.
        let tables = target.psql("latin", "select string_agg(relname, ' ') from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'");
        assert!(
            ["mine", "Straße"].contains(&tables.as_str()),
            "moment {moment}: {tables}"
        );
        // The next restore sweeps; the server ends sessions of the killed one when it notices.
        crate::support::wait_until(
            "the killed one's sessions have ended",
            Duration::from_secs(20),
            || {
                target.psql(
                    "postgres",
                    "select count(*) from pg_stat_activity where application_name = 'pgvigil'",
                ) == "0"
            },
        );
        run().wait(Duration::from_secs(60)).exits(0);
        assert_eq!(
            temporary(&target),
            "pgvigil_restore_of_mine",
            "moment {moment}"
        );
        back();
        same(&told(&target), &before, "moment {moment}");
    }
}
