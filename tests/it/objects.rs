//! Every kind of object is looked for by name, before and after a dump and after a restore, on every version, and nothing
//! is missed that is there.

use serde_json::Value;

use crate::support::fake::{self, REAL};
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::programs::{self, Programs};
use crate::support::sample;
use crate::support::server::Server;

const OBJECTS: &str = include_str!("support/objects.sql");

fn filled(programs: &Programs) -> Server {
    let server = Server::start(programs);
    server.script(OBJECTS, &[]);
    server
}

fn backed_up(server: &Server) -> Place {
    let place = Place::new();
    pgvigil(&place)
        .on(server, &place)
        .args(["backup"])
        .run()
        .exits(0);
    place
}

/// Drills the last backup; nothing may be amiss. Gives the checks by name.
fn proven(place: &Place, by: &Programs) -> impl Fn(&str) -> String + use<> {
    let report = pgvigil(place)
        .args(["drill", "--json", "--directory"])
        .about(&place.backups())
        .args(["--pg-bin"])
        .about(&by.directory)
        .about(&place.archives().pop().unwrap())
        .run()
        .exits(0)
        .json();
    assert_eq!(report["mismatches"], Value::Array(vec![]));
    move |name| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["status"], "passed", "{check}");
        check["detail"].as_str().unwrap().to_owned()
    }
}

#[test]
fn no_kind_raises_a_false_alarm_on_the_systems_version() {
    let server = filled(&programs::system());
    // Its library is not in every build of version 18.
    server.psql(
        "objects",
        "CREATE SUBSCRIPTION mail CONNECTION 'host=x password=secret' PUBLICATION news WITH (connect = false, slot_name = NONE)",
    );
    let place = backed_up(&server);
    let check = proven(&place, server.programs());
    assert!(
        check("objects").starts_with("131 objects are there"),
        "{}",
        check("objects")
    );
    assert!(check("extensions").contains("extension hstore of database objects was 1.7, is "));
    assert!(
        check("settings").starts_with("5 settings")
            && check("settings").ends_with("with their values")
    );
    // Passwords are in the archive alone.
    let manifest = format!("{}.manifest.json", place.archives()[0].display());
    let manifest = std::fs::read_to_string(manifest).unwrap();
    assert!(manifest.contains("mail") && !manifest.contains("secret"));
}

#[test]
fn no_kind_raises_a_false_alarm_on_version_18() {
    let server = filled(&programs::eighteen());
    let check = proven(&backed_up(&server), server.programs());
    assert!(check("objects").contains("constraints"));
    check("settings");
}

#[test]
fn no_kind_raises_a_false_alarm_across_versions() {
    let server = filled(&programs::system());
    let check = proven(&backed_up(&server), &programs::eighteen());
    check("objects");
    assert!(check("settings").ends_with("are there"));
}

/// What comes and goes while the dump is made may be in it or not.
#[test]
fn objects_that_come_and_go_meanwhile() {
    let server = filled(&programs::system());
    let sql = |sql: &str| {
        let psql = server.programs().program("psql");
        format!(
            "'{}' -XqAt -v ON_ERROR_STOP=1 -d objects -c 'SET search_path = public; {sql}' || exit 9",
            psql.display()
        )
    };
    let before = sql(
        "DROP TRIGGER instead ON seen; DROP INDEX only_here; ALTER TABLE no_rows RENAME TO renamed; DROP VIEW circle_2; \
         CREATE VIEW circle_2 AS SELECT 1; REVOKE SELECT ON parent FROM clerk; DROP POLICY \"only, own\" ON parent",
    );
    let after = sql(
        "CREATE INDEX late ON parent (a); CREATE FUNCTION late() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$; ALTER FUNCTION same(pair, pair) RENAME TO other",
    );
    let place = Place::new();
    let fake = fake::dumpall(
        &place,
        server.programs(),
        &format!("{before}\n{REAL} || exit 8\n{after}"),
    );
    pgvigil(&place)
        .reaching(&server)
        .args(["backup", "--pg-bin", fake.to_str().unwrap(), "--directory"])
        .about(&place.backups())
        .run()
        .exits(0);
}

/// Manifests from before there were inventories still serve; what they cannot say is said.
#[test]
fn a_manifest_that_lists_no_objects() {
    let place = Place::new();
    let path = sample::backup().put(&place);
    let mut manifest: Value = serde_json::from_slice(&sample::backup().manifest).unwrap();
    manifest["source"]
        .as_object_mut()
        .unwrap()
        .remove("extension_versions")
        .unwrap();
    let catalog = manifest["catalog"].as_object_mut().unwrap();
    catalog.remove("inventory").unwrap();
    for database in catalog["databases"].as_array_mut().unwrap() {
        database
            .as_object_mut()
            .unwrap()
            .remove("inventory")
            .unwrap();
    }
    std::fs::write(
        format!("{}.manifest.json", path.display()),
        manifest.to_string(),
    )
    .unwrap();
    let report = pgvigil(&place)
        .args(["verify", "--json"])
        .about(&path)
        .run()
        .exits(0)
        .json();
    let findings = report["findings"]["list"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        (&findings[0]["kind"], &findings[0]["level"]),
        (&"not_done".into(), &"note".into())
    );
    proven(&place, &programs::system())("objects");
}
