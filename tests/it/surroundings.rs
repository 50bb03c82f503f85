//! What a dump expects of the machine it is restored on, and the scratch server does not have: said, and no false alarm.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::{Done, pgvigil};
use crate::support::programs::{self, Programs};
use crate::support::sample;

const SECTION_END: &str = "--\n-- PostgreSQL database dump complete\n--\n";

/// The system's dump as text with some of it replaced.
fn changed(dump: &[u8], replaced: &[(&str, &str)]) -> Vec<u8> {
    let mut dump = dump.to_vec();
    for (what, by) in replaced {
        let mut found = 0;
        let mut next = Vec::with_capacity(dump.len());
        let mut rest = dump.as_slice();
        while let Some(at) = memchr::memmem::find(rest, what.as_bytes()) {
            next.extend_from_slice(&rest[..at]);
            next.extend_from_slice(by.as_bytes());
            rest = &rest[at + what.len()..];
            found += 1;
        }
        next.extend_from_slice(rest);
        assert!(found > 0, "{what} is not in the dump");
        dump = next;
    }
    dump
}

/// The dump with text at the end of the section of `app_db`.
fn with(dump: &[u8], text: &str) -> Vec<u8> {
    let section = memchr::memmem::find(dump, b"\\connect app_db\n").unwrap();
    let end = section + memchr::memmem::find(&dump[section..], SECTION_END.as_bytes()).unwrap();
    [&dump[..end], text.as_bytes(), &dump[end..]].concat()
}

fn drill(dump: &[u8], programs: &Programs) -> (Place, PathBuf, Done) {
    let place = Place::new();
    let path = place.backups().join("foreign.sql.gz");
    std::fs::write(&path, gzip(dump)).unwrap();
    let done = pgvigil(&place)
        .args(["drill", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .args(["--pg-bin", programs.directory.to_str().unwrap()])
        .about(&path)
        .run();
    (place, path, done)
}

#[track_caller]
fn passes(dump: &[u8], programs: &Programs) -> Value {
    let report = drill(dump, programs).2.exits(0).json();
    assert_eq!(report["result"], "passed");
    report
}

/// It is the drill that could not run; the sentence says why.
#[track_caller]
fn cannot_run(dump: &[u8], says: &[&str]) {
    let (place, _, done) = drill(dump, &programs::system());
    let done = done.exits(3);
    for part in says {
        assert!(done.sentence().contains(part), "{part}: {}", done.stderr);
    }
    assert_eq!(done.json()["result"], "error");
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
}

fn details<'a>(report: &'a Value, name: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().filter(|check| check["name"] == name);
    named
        .inspect(|check| assert_eq!(check["status"], "not_done"))
        .map(|check| check["detail"].as_str().unwrap())
        .collect()
}

/// Letters beyond ASCII are letters under a locale; a fallback must know them too, or the check fails.
const LETTERS: &str = "CREATE TABLE public.letters (\n    t text,\n    CONSTRAINT letters_t_check CHECK ((t ~ '^\\w+$'::text))\n);\nCOPY public.letters (t) FROM stdin;\nStraße\n\\.\n";

#[test]
fn a_database_whose_locale_is_not_here() {
    for (server, used) in [
        (sample::system(), "C was"),
        (sample::eighteen(), "C.UTF-8 was"),
    ] {
        let dump = with(&server.dump(), LETTERS);
        let dump = changed(
            &dump,
            &[
                (
                    "ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C'",
                    "ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'de_DE.UTF-8'",
                ),
                (
                    "ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'C'",
                    "ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE.ISO-8859-1'",
                ),
                (
                    "\\connect app_db\n",
                    "ALTER DATABASE app_db SET lc_messages TO 'de_DE.UTF-8';\nALTER ROLE app SET lc_monetary TO 'de_DE.UTF-8';\n\\connect app_db\n",
                ),
            ],
        );
        let report = passes(&dump, server.programs());
        let said = details(&report, "locale");
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(
            said[0]
                .contains("de_DE.ISO-8859-1 is not on this machine: C was used for database latin"),
            "{said:#?}"
        );
        assert!(
            said[1].contains("de_DE.UTF-8 is not") && said[1].contains(used),
            "{said:#?}"
        );
        assert!(
            said[2].contains("lc_messages = de_DE.UTF-8, lc_monetary"),
            "{said:#?}"
        );
    }
}

#[test]
fn a_collation_whose_locale_is_not_here() {
    let collation = "CREATE COLLATION public.german (provider = libc, locale = 'de_DE.UTF-8');\n";
    cannot_run(
        &with(&sample::system().dump(), collation),
        &["german", "de_DE.UTF-8", "locale-gen de_DE.UTF-8"],
    );
}

/// All of them at once, before anything is restored.
#[test]
fn extensions_that_are_not_here() {
    let needed = "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\nCREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;\n";
    cannot_run(
        &with(&sample::system().dump(), needed),
        &[
            "2 extensions",
            "postgis (of database app_db)",
            "-postgis-3",
            "-pgvector",
        ],
    );
}

/// The view works only where the server loads the library at its start.
#[test]
fn a_library_that_must_be_loaded_at_start() {
    let view = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;\n\
        CREATE MATERIALIZED VIEW public.calls AS SELECT count(*) AS n FROM public.pg_stat_statements WITH NO DATA;\n\
        REFRESH MATERIALIZED VIEW public.calls;\n";
    passes(&with(&sample::system().dump(), view), &programs::system());
}

/// What databases and roles set for their own sessions is restored, and does not hold for ours.
#[test]
fn settings_of_databases_and_roles() {
    let first = "ALTER DATABASE app_db SET \"TimeZone\" TO 'Asia/Kathmandu';\n";
    let settings = "ALTER DATABASE app_db SET \"cron.timezone\" TO 'Mars/Olympus';\n\
        ALTER ROLE app SET \"timescaledb.license\" TO 'x';\n\
        ALTER DATABASE app_db SET session_preload_libraries TO 'auto_explain', 'no_such_library';\n\
        ALTER DATABASE app_db SET local_preload_libraries TO 'no_such_plugin';\n\
        ALTER DATABASE app_db SET default_transaction_read_only TO 'on';\n\
        ALTER DATABASE app_db SET role TO 'readers';\n\
        ALTER DATABASE app_db SET statement_timeout TO '1ms';\n";
    for server in [sample::system(), sample::eighteen()] {
        let settings = format!("{first}{settings}");
        let dump = changed(&server.dump(), &[(first, &settings)]);
        passes(&dump, server.programs());
    }
}

/// Nothing connects to anyone: not a subscription, not a foreign server.
#[test]
fn what_reaches_out() {
    let objects = "CREATE SUBSCRIPTION far CONNECTION 'host=203.0.113.1 connect_timeout=600' PUBLICATION p WITH (connect = false, slot_name = 'far');\n\
        CREATE EXTENSION IF NOT EXISTS postgres_fdw WITH SCHEMA public;\n\
        CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '203.0.113.1');\n\
        CREATE USER MAPPING FOR app SERVER elsewhere OPTIONS (\"user\" 'x', password 'y');\n\
        CREATE FOREIGN TABLE public.remote (a integer) SERVER elsewhere;\n";
    passes(
        &with(&sample::system().dump(), objects),
        &programs::system(),
    );
}

/// Event triggers that refuse whatever is done do not keep us from looking at what was restored.
#[test]
fn what_forbids() {
    let forbid = "CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'forbidden'; END $$;\n\
        CREATE EVENT TRIGGER forbid_dropping ON sql_drop EXECUTE FUNCTION public.forbid();\n\
        CREATE EVENT TRIGGER forbid_all ON ddl_command_start EXECUTE FUNCTION public.forbid();\n";
    let login = "CREATE EVENT TRIGGER forbid_login ON login EXECUTE FUNCTION public.forbid();\n\
        ALTER EVENT TRIGGER forbid_login ENABLE ALWAYS;\n";
    for (server, text) in [
        (sample::system(), forbid.to_owned()),
        (sample::eighteen(), format!("{forbid}{login}")),
    ] {
        let report = passes(&with(&server.dump(), &text), server.programs());
        let checks = report["checks"].as_array().unwrap();
        let btree = checks
            .iter()
            .find(|check| check["name"] == "btree indexes")
            .unwrap();
        assert_eq!(btree["status"], "passed", "{report:#}");
    }
}

#[test]
fn a_subscription_that_connects_is_no_dump_s() {
    let text = "CREATE SUBSCRIPTION far CONNECTION 'host=203.0.113.1' PUBLICATION p;\n";
    let dump = with(&sample::system().dump(), text);
    let done = drill(&dump, &programs::system()).2.exits(1);
    assert!(
        done.sentence().contains("connects to its publisher"),
        "{}",
        done.stderr
    );
}
