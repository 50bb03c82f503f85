//! A drill on a server that others use: proves what it can there, touches nothing of theirs, and leaves nothing, whatever
//! becomes of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::{Done, Pgvigil, pgvigil};
use crate::support::programs::{self, Programs};
use crate::support::server::Server;
use crate::support::{sample, wait_until};

/// What others have on the server: roles and databases named as in the dump, too.
const BYSTANDERS: &str = "
CREATE ROLE drill LOGIN CREATEDB CREATEROLE;
CREATE ROLE bystander LOGIN PASSWORD 'x';
CREATE ROLE app NOLOGIN CONNECTION LIMIT 3;
CREATE ROLE readers SUPERUSER;
CREATE ROLE \"O'Brien, \"\"Ops\"\" \\ 7\";
GRANT bystander TO app WITH ADMIN OPTION;
COMMENT ON ROLE app IS 'theirs';
ALTER ROLE app SET work_mem = '7MB';
CREATE DATABASE app_db OWNER bystander;
CREATE DATABASE left_out CONNECTION LIMIT 5;
ALTER DATABASE app_db SET timezone = 'Europe/Rome';
GRANT CONNECT ON DATABASE left_out TO readers;
CREATE TABLE public.theirs (n integer);
INSERT INTO public.theirs VALUES (1);
\\connect app_db
CREATE SCHEMA sales AUTHORIZATION app;
CREATE TABLE public.orders (id integer);
INSERT INTO public.orders SELECT generate_series(1, 10);
ALTER TABLE public.orders OWNER TO app;
GRANT SELECT ON public.orders TO readers;
";

fn server(programs: &Programs) -> Server {
    let server = Server::start(programs);
    server.script(BYSTANDERS, &[]);
    server
}

/// Everything that others have, as pg_dumpall tells it.
fn told(server: &Server) -> String {
    let bytes = server.dump();
    let text = String::from_utf8_lossy(&bytes);
    // The keys of psql's restricted mode are random.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Nothing of it is any other; the dumps themselves are too long to show.
#[track_caller]
fn unchanged(server: &Server, before: &str, after: &str) {
    let now = told(server);
    let other = now.lines().find(|line| !before.contains(line));
    assert!(now == before, "after {after}: {other:?}");
}

fn config(place: &Place, server: &Server, user: &str, more: &str) -> PathBuf {
    let path = place.join(&format!("{user}.yaml"));
    let text = format!(
        "servers:
  - name: sample
    connection: {{ host: /nowhere, user: nobody }}
    directory: '{}'
    pg_bin: '{}'
    backup: {{ schedule: never }}
    verify: {{ schedule: never }}
    drill: {{ schedule: never, scratch: {{ server: {{ host: '{}', user: {user} }} }}{more} }}
http: {{ listen: '127.0.0.1:0' }}
",
        place.backups().display(),
        server.programs().directory.display(),
        server.socket().display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn drill(place: &Place, config: &Path, archive: &Path) -> Pgvigil {
    pgvigil(place)
        .args(["--config", config.to_str().unwrap(), "drill", "--json"])
        .about(archive)
}

/// The sample's dump with some text put in front of a line, as a foreign archive.
fn changed(place: &Place, text: &str, before: &str) -> PathBuf {
    let dump = sample::system().dump();
    let at = dump
        .windows(before.len())
        .position(|window| window == before.as_bytes())
        .unwrap();
    let dump = [&dump[..at], text.as_bytes(), b"\n", &dump[at..]].concat();
    let path = place.backups().join("changed.sql.gz");
    std::fs::write(&path, gzip(&dump)).unwrap();
    path
}

fn status(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Nobody of ours is connected, so that whatever was killed has ended on the server too.
fn settled(server: &Server) {
    wait_until("sessions have ended", Duration::from_secs(60), || {
        server.psql(
            "postgres",
            "select count(*) from pg_stat_activity where usename = 'drill'",
        ) == "0"
    });
}

#[track_caller]
fn passes(done: Done, major: &str) -> Value {
    let report = done.exits(0).json();
    assert_eq!(report["result"], "passed");
    assert_eq!(report["mismatches"], Value::Array(vec![]));
    assert!(report["rows"].as_u64().unwrap() > 4000, "{report}");
    assert!(
        report["scratch_version"]
            .as_str()
            .unwrap()
            .starts_with(major)
    );
    for (check, expected) in [
        ("tables", "passed"),
        ("sequences", "passed"),
        ("large objects", "passed"),
        ("roles", "passed"),
        ("owners and grants", "passed"),
        ("fence", "not_done"),
        ("tablespaces", "not_done"),
        ("role attributes", "not_done"),
        ("btree indexes", "not_done"),
    ] {
        assert_eq!(status(&report, check), expected, "{check}: {report:#}");
    }
    let text = report.to_string();
    assert!(
        !text.contains("pgvigil_scratch_"),
        "names of the drill's own: {text}"
    );
    report
}

#[test]
fn the_sample_passes_on_15_and_nobody_notices() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let archive = sample::backup().put(&place);
    let config = config(&place, &server, "drill", "");
    let mut running = drill(&place, &config, &archive).start();
    let mut most = 0;
    while !running.has_ended() {
        let sessions = "select count(*) from pg_stat_activity where usename = 'drill'";
        most = most.max(server.psql("postgres", sessions).parse().unwrap());
    }
    passes(running.wait(Duration::from_secs(60)), "15");
    assert!((2..=7).contains(&most), "{most} sessions at once");
    unchanged(&server, &before, "the drill");
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
}

#[test]
fn the_sample_passes_on_18_and_nobody_notices() {
    let (place, server) = (Place::new(), server(&programs::eighteen()));
    let before = told(&server);
    pgvigil(&place)
        .on(sample::eighteen(), &place)
        .args(["backup"])
        .run()
        .exits(0);
    let archive = place.archives().pop().unwrap();
    let config = config(&place, &server, "drill", "");
    passes(drill(&place, &config, &archive).run(), "18");
    unchanged(&server, &before, "the drill");

    // A configured question is asked of the scratch database, not of the one of that name on the server.
    let more = ", checks: [{ name: orders, database: app_db, sql: 'select count(*) from orders', expect: '= 3000' }]";
    let config = self::config(&place, &server, "drill", more);
    let report = drill(&place, &config, &archive).run().exits(0).json();
    assert_eq!(status(&report, "orders"), "passed");
    unchanged(&server, &before, "the drill");

    // Of an older version: the texts of owners and grants cannot be compared, everything else can.
    let older = sample::backup().put(&place);
    let report = drill(&place, &config, &older).run().exits(0).json();
    assert_eq!(status(&report, "tables"), "passed");
    assert_eq!(status(&report, "owners and grants"), "not_done");
    unchanged(&server, &before, "a drill of an older dump");
}

/// Dumps of other forms: databases that the dump takes for granted, and objects made by their owners.
#[test]
fn foreign_dumps_of_other_forms_pass() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    for options in [
        &[][..],
        &[
            "--clean",
            "--use-set-session-authorization",
            "--quote-all-identifiers",
        ],
    ] {
        let mut dump = sample::system().client("pg_dumpall");
        let output = dump
            .env_remove("PGCLIENTENCODING")
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success());
        let archive = place.backups().join("foreign.sql.gz");
        std::fs::write(&archive, gzip(&output.stdout)).unwrap();
        let report = drill(&place, &config, &archive).run().exits(0).json();
        assert_eq!(
            status(&report, "owners and grants"),
            "passed",
            "{options:?}"
        );
        unchanged(&server, &before, &format!("{options:?}"));
    }
}

/// What a user without rights of his own can restore, although dumps take a superuser for granted.
#[test]
fn ordinary_things_pass() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    let text = "CREATE EXTENSION pgcrypto WITH SCHEMA public;
        COMMENT ON EXTENSION pgcrypto IS 'x';
        COMMENT ON EXTENSION plpgsql IS 'x';
        ALTER DATABASE app_db SET log_statement TO 'all';
        ALTER DATABASE app_db SET work_mem TO '5MB';
        ALTER DATABASE app_db CONNECTION LIMIT 1;
        ALTER DATABASE app_db IS_TEMPLATE = true;
        CREATE SCHEMA private AUTHORIZATION readers;
        CREATE TABLE private.t (a integer) TABLESPACE elsewhere;
        ALTER TABLE private.t OWNER TO app;
        ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA private GRANT SELECT ON TABLES TO readers;
        CREATE MATERIALIZED VIEW public.m AS SELECT count(*) FROM private.t;
        ALTER TABLE public.m OWNER TO postgres;
        REVOKE ALL ON TABLE private.t FROM app;
        GRANT SELECT,INSERT ON TABLE private.t TO app;
        REFRESH MATERIALIZED VIEW public.m;
        ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
        ALTER TABLE ONLY public.orders FORCE ROW LEVEL SECURITY;
        CREATE POLICY p ON public.orders TO app, readers USING (false);
        CREATE PUBLICATION p FOR TABLE public.orders;
        ALTER PUBLICATION p OWNER TO app;";
    let archive = changed(&place, text, "CREATE INDEX orders_at");
    let report = drill(&place, &config, &archive).run().exits(0).json();
    for (check, expected) in [
        ("owners and grants", "passed"),
        ("tables", "passed"),
        ("row security of owners", "not_done"),
        ("settings of databases", "not_done"),
        ("properties of databases", "not_done"),
        ("comments on extensions", "not_done"),
        ("grants on databases", "not_done"),
        ("tablespaces", "not_done"),
    ] {
        assert_eq!(status(&report, check), expected, "{check}: {report:#}");
    }
    unchanged(&server, &before, "the drill");
}

/// A backup at fault is found there too, and what cannot be done there is no fault of the backup.
#[test]
fn failed_and_impossible_drills_leave_nothing() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    let lost = "CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $s$ BEGIN IF NEW.id = 7 THEN RETURN NULL; END IF; RETURN NEW; END $s$;\n\
         CREATE TRIGGER lose BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.lose();\n";
    for (text, before_line, code, result, says) in [
        (lost, "COPY public.orders ", 1, "failed", "orders"),
        (
            "GRANT SELECT ON TABLE public.orders TO app;\nREVOKE ALL ON TABLE public.orders FROM app;",
            "GRANT SELECT ON TABLE public.orders TO readers;",
            1,
            "failed",
            "TO app;",
        ),
        (
            "ALTER TABLE public.orders ADD CONSTRAINT few CHECK (id < 10);",
            "CREATE INDEX orders_at",
            1,
            "failed",
            "few",
        ),
        // What needs a superuser.
        (
            "CREATE EXTENSION dblink WITH SCHEMA public;",
            "CREATE INDEX orders_at",
            3,
            "error",
            "superuser",
        ),
        (
            "CREATE FUNCTION public.c() RETURNS integer LANGUAGE internal AS 'pg_backend_pid';",
            "CREATE INDEX orders_at",
            3,
            "error",
            "superuser",
        ),
        (
            "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION public.none();",
            "CREATE INDEX orders_at",
            3,
            "error",
            "superuser",
        ),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false);",
            "CREATE INDEX orders_at",
            3,
            "error",
            "subscription",
        ),
    ] {
        let archive = changed(&place, text, before_line);
        let done = drill(&place, &config, &archive).run().exits(code);
        assert!(done.sentence().contains(says), "{says}: {}", done.stderr);
        assert_eq!(done.json()["result"], result, "{text}");
        unchanged(&server, &before, text);
    }
}

/// A dump that names what is not its own is refused, and has changed nothing.
#[test]
fn a_dump_that_reaches_for_others_changes_nothing() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    for (text, before_line) in [
        ("ALTER ROLE bystander NOLOGIN;", "CREATE DATABASE "),
        ("GRANT bystander TO app;", "CREATE DATABASE "),
        ("COMMENT ON ROLE bystander IS 'x';", "CREATE DATABASE "),
        ("CREATE TABLE public.planted ();", "CREATE DATABASE "),
        (
            "ALTER DATABASE nobodys RENAME TO x;",
            "CREATE INDEX orders_at",
        ),
        (
            "ALTER ROLE bystander IN DATABASE app_db SET work_mem = '1MB';",
            "CREATE INDEX orders_at",
        ),
        (
            "ALTER TABLE public.orders OWNER TO bystander;",
            "CREATE INDEX orders_at",
        ),
        (
            "GRANT SELECT ON public.orders TO bystander;",
            "CREATE INDEX orders_at",
        ),
        (
            "SET SESSION AUTHORIZATION bystander;",
            "CREATE INDEX orders_at",
        ),
        ("SET role = 'bystander';", "CREATE INDEX orders_at"),
        ("DROP ROLE bystander;", "CREATE INDEX orders_at"),
    ] {
        let archive = changed(&place, text, before_line);
        let done = drill(&place, &config, &archive).run().exits(1);
        assert_eq!(done.json()["result"], "failed", "{text}: {}", done.stderr);
        unchanged(&server, &before, text);
    }
    // pg_dumpall --clean drops databases that it leaves out otherwise: nothing is run of that.
    let text = "DROP DATABASE left_out;\nDROP DATABASE bystanders;\nDROP ROLE bystander;";
    let archive = changed(&place, text, "CREATE ROLE ");
    drill(&place, &config, &archive).run();
    unchanged(&server, &before, "the drill");
}

#[test]
fn a_stopped_drill_clears_up() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    let slow = "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $s$ BEGIN PERFORM pg_sleep(300); RETURN NULL; END $s$;\n\
         CREATE TRIGGER wait AFTER INSERT ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION public.wait();\n";
    let archive = changed(&place, slow, "COPY public.orders ");
    let running = drill(&place, &config, &archive).start();
    wait_until("it waits", Duration::from_secs(60), || {
        server.psql(
            "postgres",
            "select count(*) from pg_stat_activity where wait_event = 'PgSleep'",
        ) == "1"
    });
    let began = Instant::now();
    running.signal(Signal::TERM);
    let done = running.wait(Duration::from_secs(60)).exits(3);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(done.json()["result"], "error");
    assert_eq!(place.ledger()[0]["reason"], "cancelled");
    unchanged(&server, &before, "the drill");

    // The drill's own deadline comes to the same.
    let config = self::config(&place, &server, "drill", ", timeout: 10s");
    drill(&place, &config, &archive).run().exits(3);
    assert_eq!(place.ledger()[1]["reason"], "timeout");
    unchanged(&server, &before, "the drill");
}

/// Killed at ten moments, and what was left is gone with the next drill.
#[test]
fn what_a_killed_drill_leaves_is_swept() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let before = told(&server);
    let config = config(&place, &server, "drill", "");
    let archive = sample::backup().put(&place);
    // It ends early, but looks for leftovers first.
    let other = changed(
        &place,
        "CREATE ROLE nobodys SURPRISE;\nALTER ROLE nobody LOGIN;",
        "CREATE DATABASE ",
    );
    let began = Instant::now();
    drill(&place, &config, &archive).run().exits(0);
    let whole = began.elapsed();
    let mut left = 0;
    for moment in 0..10 {
        let running = drill(&place, &config, &archive).start();
        std::thread::sleep(whole * (2 * moment + 1) / 20);
        running.signal(Signal::KILL);
        running.wait(Duration::from_secs(60));
        settled(&server);
        left += usize::from(told(&server) != before);
        drill(&place, &config, &other).run().exits(1);
        unchanged(
            &server,
            &before,
            &format!("being killed at moment {moment}"),
        );
    }

    // `serve` looks for leftovers when it starts.
    let running = drill(&place, &config, &archive).start();
    wait_until("something is there", Duration::from_secs(60), || {
        server.psql(
            "postgres",
            "select count(*) from pg_database where datname ~ '^pgvigil_scratch_.*_2$'",
        ) == "1"
    });
    running.signal(Signal::KILL);
    running.wait(Duration::from_secs(60));
    settled(&server);
    let serving = pgvigil(&place)
        .args(["--config", config.to_str().unwrap(), "serve"])
        .start();
    wait_until("it is swept", Duration::from_secs(60), || {
        server.psql(
            "postgres",
            "select count(*) from pg_roles where rolname ~ '^pgvigil_scratch_'",
        ) == "0"
    });
    serving.signal(Signal::TERM);
    serving.wait(Duration::from_secs(60));
    unchanged(&server, &before, "serve has started");
    assert!(
        left >= 5,
        "only {left} of ten moments left anything: the test proves little"
    );
}

/// Two at once do not sweep each other, and a stranger's names are nobody's.
#[test]
fn drills_side_by_side_do_not_disturb_each_other() {
    let (place, other, server) = (Place::new(), Place::new(), server(&programs::system()));
    server.psql(
        "postgres",
        "create role pgvigil_scratch_00000000_r0; create role pgvigil_scratch_mine_r0; grant pgvigil_scratch_00000000_r0 to drill",
    );
    server.psql("postgres", "create database pgvigil_scratch_00000000_1");
    server.psql(
        "postgres",
        "alter database pgvigil_scratch_00000000_1 owner to drill",
    );
    let before = told(&server);
    let running: Vec<_> = [&place, &other, &other]
        .into_iter()
        .map(|place| {
            let archive = sample::backup().put(place);
            let config = config(place, &server, "drill", "");
            std::thread::sleep(Duration::from_millis(300));
            drill(place, &config, &archive).start()
        })
        .collect();
    for running in running {
        passes(running.wait(Duration::from_secs(120)), "15");
    }
    unchanged(&server, &before, "the drill");
}

#[test]
fn what_is_missing_is_said_in_one_sentence() {
    let (place, server) = (Place::new(), server(&programs::system()));
    server.psql(
        "postgres",
        "create role no_databases login createrole; create role no_roles login createdb; create role noinherit login createdb createrole noinherit; create role boss login superuser",
    );
    let before = told(&server);
    let archive = sample::backup().put(&place);
    for (user, says) in [
        ("no_databases", "user no_databases lacks CREATEDB there"),
        ("no_roles", "user no_roles lacks CREATEROLE there"),
        ("noinherit", "NOINHERIT"),
        ("boss", "boss is a superuser there"),
    ] {
        let config = config(&place, &server, user, "");
        let done = drill(&place, &config, &archive).run().exits(3);
        assert!(done.sentence().contains(says), "{says}: {}", done.stderr);
        assert_eq!(done.json()["result"], "error");
        unchanged(&server, &before, "the drill");
    }
    // Older than the dump.
    let newer = place.backups().join("newer.sql.gz");
    std::fs::write(&newer, gzip(&sample::eighteen().dump())).unwrap();
    let config = config(&place, &server, "drill", "");
    let done = drill(&place, &config, &newer).run().exits(3);
    let says = "it is PostgreSQL 15";
    assert!(
        done.sentence().contains(says) && done.sentence().contains("18"),
        "{}",
        done.stderr
    );
    unchanged(&server, &before, "the drill");

    // A superuser, where that was accepted; he can look into indexes too.
    let config = self::config(&place, &server, "boss", ", scratch_superuser: allowed");
    let report = drill(&place, &config, &archive).run().exits(0).json();
    assert_eq!(status(&report, "btree indexes"), "passed");
    unchanged(&server, &before, "the drill");
}

#[test]
fn check_says_what_a_server_is_good_for() {
    let (place, server) = (Place::new(), server(&programs::system()));
    let text = |user: &str, more: &str| {
        let path = config(&place, &server, user, more);
        let text = std::fs::read_to_string(&path).unwrap();
        let own = format!("host: '{}', user: postgres", server.socket().display());
        std::fs::write(&path, text.replace("host: /nowhere, user: nobody", &own)).unwrap();
        pgvigil(&place)
            .args(["--config", path.to_str().unwrap(), "check"])
            .run()
    };
    let said = text("drill", "").exits(0).stdout;
    for expected in [
        "scratch server: drill@",
        "no fence holds on a server that was named",
        "with the rights of user drill (no superuser)",
        "drills run on the server that is backed up",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = text("postgres", "").exits(3).stdout;
    assert!(
        said.contains("is a superuser there, and a dump is code"),
        "{said}"
    );
    let said = text("postgres", ", scratch_superuser: allowed")
        .exits(0)
        .stdout;
    assert!(
        said.contains("use one with CREATEDB and CREATEROLE only"),
        "{said}"
    );
}
