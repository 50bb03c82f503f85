//! A drill passes where everything is equal, and nowhere else: what is not equal is named, what cannot run is no fault of
//! the backup.

use std::path::Path;

use serde_json::Value;

use crate::support::archive::gzip;
use crate::support::fake::{self, REAL};
use crate::support::place::Place;
use crate::support::program::{Done, pgvigil};
use crate::support::{programs, sample};

/// Drills the sample's dump with some text put in front of a line.
fn with(place: &Place, text: &str, before: &str) -> Done {
    let dump = sample::system().dump();
    let at = dump
        .windows(before.len())
        .position(|window| window == before.as_bytes())
        .unwrap();
    let dump = [&dump[..at], text.as_bytes(), b"\n", &dump[at..]].concat();
    let path = place.backups().join("changed.sql.gz");
    std::fs::write(&path, gzip(&dump)).unwrap();
    drill(place, &path, &programs::system().directory)
}

fn drill(place: &Place, path: &Path, pg_bin: &Path) -> Done {
    pgvigil(place)
        .args(["drill", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .args(["--pg-bin", pg_bin.to_str().unwrap()])
        .about(path)
        .run()
}

#[track_caller]
fn fails(place: &Place, done: Done, reason: &str, says: &str) -> Value {
    let done = done.exits(1);
    assert!(done.sentence().contains(says), "{says}: {}", done.stderr);
    let report = done.json();
    assert_eq!(report["result"], "failed");
    assert_eq!(place.ledger()[0]["reason"], reason);
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
    assert_eq!(place.processes(), Vec::<String>::new());
    report
}

/// A trigger that spoils one row when it is loaded.
fn spoiling(body: &str) -> String {
    format!(
        "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS $s$ BEGIN IF NEW.id = 7 THEN {body} END IF; RETURN NEW; END $s$;\n\
         CREATE TRIGGER spoil BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.spoil();\n"
    )
}

/// The restore runs without an error; only reading back tells. The backup is one of ours, of a dump with that trigger.
#[test]
fn a_row_that_does_not_come_back() {
    for (what, body) in [
        ("lost", "RETURN NULL;"),
        ("changed", "NEW.net := NEW.net + 0.01;"),
        ("a null", "NEW.at := NULL;"),
    ] {
        let place = Place::new();
        let server = sample::system();
        let inserted = place.join("inserted.sql");
        std::fs::write(&inserted, spoiling(body)).unwrap();
        let put = format!("sed '/^COPY public\\.orders /e cat {}'", inserted.display());
        let fake = fake::dumpall(&place, server.programs(), &format!("{REAL} | {put}"));
        pgvigil(&place)
            .reaching(server)
            .args(["backup", "--pg-bin", fake.to_str().unwrap()])
            .args(["--directory", place.backups().to_str().unwrap()])
            .run()
            .exits(0);
        let path = place.archives().pop().unwrap();
        // A new ledger, as the README has it: the directory forgets the end of the old one.
        std::fs::remove_file(place.backups().join("ledger.jsonl")).unwrap();
        rustix::fs::removexattr(place.backups(), "user.pgvigil.ledger_head").unwrap();
        let done = drill(&place, &path, &server.programs().directory);
        let report = fails(&place, done, "not_equal", "orders");
        let mismatches = report["mismatches"].as_array().unwrap();
        assert_eq!(mismatches.len(), 1, "{what}: {mismatches:?}");
        assert_eq!(mismatches[0]["database"], "app_db", "{what}");
    }
}

/// The count of rows needs no manifest. Their content does: a foreign file does not say how its times are to be read, and
/// where that may be the reason the backup is not blamed.
#[test]
fn a_row_of_a_foreign_dump_that_does_not_come_back() {
    let place = Place::new();
    let done = with(&place, &spoiling("RETURN NULL;"), "COPY public.orders ");
    fails(&place, done, "not_equal", "orders");

    let place = Place::new();
    let done = with(&place, &spoiling("NEW.at := NULL;"), "COPY public.orders ").exits(3);
    assert!(done.sentence().contains("not proven"), "{}", done.stderr);
    assert_eq!(done.json()["result"], "error");
}

#[test]
fn a_sequence_that_stands_elsewhere() {
    let place = Place::new();
    // Whatever comes after the value was set.
    let text = "ALTER SEQUENCE public.orders_id_seq RESTART WITH 5;";
    let done = with(&place, text, "ALTER TABLE ONLY public.orders\n");
    fails(&place, done, "not_equal", "orders_id_seq");
}

#[test]
fn a_grant_that_is_not_there_afterwards() {
    let place = Place::new();
    let text =
        "GRANT SELECT ON TABLE public.orders TO app;\nREVOKE ALL ON TABLE public.orders FROM app;";
    let done = with(
        &place,
        text,
        "GRANT SELECT ON TABLE public.orders TO readers;",
    );
    let says = "grant to app on table public.orders of database app_db";
    let report = fails(&place, done, "not_equal", says);
    let checks = report["checks"].as_array().unwrap();
    let of_text = checks
        .iter()
        .find(|check| check["name"] == "owners and grants")
        .unwrap();
    assert_eq!(of_text["status"], "failed");
    assert!(of_text["detail"].as_str().unwrap().contains("TO app;"));
}

/// Nothing fails and every row is equal, but something is gone: the restored server's catalogs are asked.
#[test]
fn an_object_that_is_not_there_afterwards() {
    for (text, says) in [
        (
            "DROP INDEX public.orders_at;",
            "index public.orders_at of database app_db: expected present, found nothing",
        ),
        (
            "DROP FUNCTION sales.answer();",
            "function sales.answer() of database app_db",
        ),
        (
            "ALTER TABLE public.orders ADD CONSTRAINT c CHECK (id > 0); ALTER TABLE public.orders DROP CONSTRAINT c;",
            "constraint c on public.orders of database app_db",
        ),
        (
            "ALTER DATABASE app_db RESET timezone;",
            "setting timezone of database app_db",
        ),
        (
            "ALTER DATABASE app_db SET \"TimeZone\" TO 'UTC';",
            "found another value",
        ),
    ] {
        let place = Place::new();
        let done = with(
            &place,
            text,
            "GRANT SELECT ON TABLE public.orders TO readers;",
        );
        fails(&place, done, "not_equal", says);
    }
}

/// Strict: one statement that fails is enough.
#[test]
fn a_statement_that_fails() {
    let place = Place::new();
    let text = "ALTER TABLE public.orders ADD CONSTRAINT few CHECK (id < 10);";
    let done = with(&place, text, "CREATE INDEX orders_at");
    fails(&place, done, "restore_failed", "few");
}

/// What the scratch server lacks is an error of the drill; it says nothing of the backup.
#[test]
fn a_drill_that_cannot_run() {
    let place = Place::new();
    let path = sample::backup().put(&place);
    let done = drill(&place, &path, &place.tmp()).exits(3);
    assert!(done.sentence().contains("initdb"), "{}", done.stderr);
    assert_eq!(done.json()["result"], "error");
    assert_eq!(place.ledger()[0]["result"], "error");
    assert_eq!(place.ledger()[0]["reason"], "scratch");
}

/// A newer version restores what an older one dumped; what cannot be compared across versions is said.
#[test]
fn a_newer_version_proves_an_older_dump() {
    let place = Place::new();
    let path = sample::backup().put(&place);
    let report = drill(&place, &path, &programs::eighteen().directory)
        .exits(0)
        .json();
    assert_eq!(report["result"], "passed");
    assert_eq!(report["mismatches"], Value::Array(vec![]));
    let version = report["scratch_version"].as_str().unwrap();
    assert!(version.starts_with("18."), "{version}");
    let not_done: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "not_done")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(not_done, ["owners and grants"]);
}

/// An older version cannot restore what a newer one dumped.
#[test]
fn an_older_version_is_not_tried() {
    let place = Place::new();
    let text = sample::eighteen().dump();
    let path = place.backups().join("newer.sql.gz");
    std::fs::write(&path, gzip(&text)).unwrap();
    let done = drill(&place, &path, &programs::system().directory).exits(3);
    assert!(done.sentence().contains("18"), "{}", done.stderr);
}
