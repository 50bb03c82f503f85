//! What a person types, and what comes back: reports on standard output, sentences on standard error, exit codes.

use std::fs;

use crate::support::config;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::sample;

#[test]
fn help_names_every_verb_and_the_exit_codes() {
    let place = Place::new();
    let done = pgvigil(&place).args(["--help"]).run().exits(0);
    for word in [
        "serve",
        "backup",
        "verify",
        "drill",
        "list",
        "inspect",
        "check",
        "demo",
        "Exit codes",
    ] {
        assert!(done.stdout.contains(word), "{word}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("warden"), "that is none for people");
    assert_eq!(done.stderr, "");
    let version = pgvigil(&place).args(["--version"]).run().exits(0);
    assert_eq!(
        version.stdout.trim(),
        format!("pgvigil {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn what_is_typed_wrong_is_usage() {
    let place = Place::new();
    for arguments in [
        &["bakcup"][..],
        &[],
        &["verify", "--every"],
        &["verify", "--all", "x.sql.gz"],
        &["backup", "--log-level", "loud"],
        &["drill", "no-such-file.sql.gz"],
        &["inspect", "no-such-file.sql.gz"],
        &["serve"],
        &["list", "--server", "unknown"],
        &["backup", "unknown"],
    ] {
        let done = pgvigil(&place).args(arguments).run().exits(2);
        assert_ne!(done.stderr, "", "{arguments:?}");
        assert_eq!(done.stdout, "", "{arguments:?}");
    }
}

#[test]
fn without_any_backup_the_remedy_is_said() {
    let place = Place::new();
    for verb in [
        &["verify", "latest"][..],
        &["verify", "--all"],
        &["drill"],
        &["inspect"],
    ] {
        let done = pgvigil(&place)
            .args(verb)
            .args(["--directory", place.backups().to_str().unwrap()])
            .run()
            .exits(2);
        assert!(
            done.sentence().contains("take one with `pgvigil backup`"),
            "{verb:?}: {}",
            done.stderr
        );
    }
    let listed = |more: &[&str]| {
        pgvigil(&place)
            .args(["list", "--directory", place.backups().to_str().unwrap()])
            .args(more)
            .run()
            .exits(0)
    };
    assert_eq!(listed(&[]).stdout, "no backups yet\n");
    assert_eq!(listed(&["--json"]).json(), serde_json::json!([]));
}

#[test]
fn reports_are_for_people_or_one_json_document() {
    let place = Place::new();
    let path = sample::backup().put(&place);
    let name = path.file_name().unwrap().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let done = pgvigil(&place)
            .on(sample::system(), &place)
            .args(arguments)
            .run()
            .exits(0);
        assert_eq!(done.stderr, "", "{arguments:?}");
        done
    };
    for arguments in [
        &["list"][..],
        &["inspect"],
        &["inspect", name],
        &["inspect", path.to_str().unwrap()],
        &["verify"],
        &["verify", name],
        &["verify", "--all"],
        &["check"],
    ] {
        let text = run(arguments);
        assert!(
            serde_json::from_str::<serde_json::Value>(&text.stdout).is_err(),
            "{arguments:?}: {}",
            text.stdout
        );
        run(&[arguments, &["--json"]].concat()).json();
    }

    let list = run(&["list", "--json"]).json();
    assert_eq!(list[0]["name"], name);
    assert_eq!(list[0]["manifest"], true);
    assert_eq!(list[0]["verified"]["result"], "passed");
    assert_eq!(list[0]["proven"], serde_json::Value::Null);
    assert!(run(&["list"]).stdout.contains(name));

    let inspected = run(&["inspect", "--json"]).json();
    let databases: Vec<_> = inspected["catalog"]["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|database| database["name"].as_str().unwrap())
        .collect();
    for database in ["app_db", "we'ird \"db", "latin", "bytes"] {
        assert!(databases.contains(&database), "{database}: {databases:?}");
    }
    let text = run(&["inspect"]).stdout;
    for table in ["weird\"na me\\.", "Straße", "public.orders"] {
        assert!(text.contains(table), "{table}: {text}");
    }

    let items = run(&["check", "--json"]).json();
    for item in items.as_array().unwrap() {
        assert_eq!(item["good"], true, "{item}");
    }
}

/// What `inspect` reads from a file without a manifest is what the manifest says.
#[test]
fn inspect_reads_a_file_that_has_no_manifest() {
    let place = Place::new();
    let path = place.join("bare.sql.gz");
    fs::write(&path, &sample::backup().archive).unwrap();
    let read = pgvigil(&place)
        .args(["inspect", "--json"])
        .about(&path)
        .run()
        .exits(0)
        .json();
    let manifest: serde_json::Value = serde_json::from_slice(&sample::backup().manifest).unwrap();
    assert_eq!(read, manifest["catalog"]);
}

#[test]
fn check_says_what_is_wrong_and_changes_nothing() {
    let place = Place::new();
    let missing = place.join("missing");
    let done = pgvigil(&place)
        .reaching(sample::system())
        .args(["check", "--json", "--directory", missing.to_str().unwrap()])
        .run()
        .exits(3);
    let items = done.json();
    let item = |what: &str| {
        let mut items = items.as_array().unwrap().iter();
        items
            .find(|item| item["what"] == what)
            .unwrap_or_else(|| panic!("{what} was not looked at"))
            .clone()
    };
    assert_eq!(item("connection")["good"], true);
    assert_eq!(item("pg_dumpall")["good"], true);
    assert_eq!(item("scratch server")["good"], true);
    assert_eq!(item("directory")["good"], false);
    assert!(!missing.exists());

    pgvigil(&place)
        .on(sample::system(), &place)
        .args(["check"])
        .run()
        .exits(0);
    assert_eq!(place.names(), Vec::<String>::new());
    assert!(place.ledger().is_empty());
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let place = Place::new();
    let server = sample::system();
    let path = config::write(&place, server, &server.programs().directory, "30m");
    let good = fs::read_to_string(&path).unwrap();
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        pgvigil(&place)
            .args(["check", "--config", path.to_str().unwrap()])
            .run()
    };
    check(&good).exits(0);
    for (what, text, says) in [
        (
            "an unknown key",
            good.replace("timeout:", "time_out:"),
            "line 6",
        ),
        (
            "a duration",
            good.replace("30m", "30 minutes"),
            "servers[0].backup.timeout",
        ),
        (
            "a password",
            good.replace("user: postgres", "user: postgres, password: hunter2"),
            "password_file",
        ),
        ("no server", "servers: []\n".to_owned(), "servers"),
        ("no YAML", "servers: [\n".to_owned(), "line "),
        ("nothing", String::new(), "servers"),
    ] {
        let done = check(&text).exits(2);
        let sentence = done.sentence();
        assert!(sentence.contains(says), "{what}: {sentence}");
        assert!(
            sentence.contains(path.to_str().unwrap()),
            "{what}: {sentence}"
        );
        assert!(!done.stderr.contains("hunter2"), "{sentence}");
    }
    fs::remove_file(&path).unwrap();
    let done = pgvigil(&place)
        .args(["check", "--config", path.to_str().unwrap()])
        .run()
        .exits(2);
    assert!(done.sentence().contains("--config"), "{}", done.stderr);

    fs::write(&path, &good).unwrap();
    let done = pgvigil(&place)
        .args(["check", "--config", path.to_str().unwrap()])
        .args(["--directory", "."])
        .run()
        .exits(2);
    assert!(done.sentence().contains("--directory"), "{}", done.stderr);
}

/// With --json, an error is a document too, and standard error still has its sentence.
#[test]
fn an_error_is_a_json_document_too() {
    let place = Place::new();
    let done = pgvigil(&place)
        .env("PGHOST", place.tmp())
        .env("PGUSER", "postgres")
        .args(["backup", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .run()
        .exits(3);
    let document = done.json();
    assert_eq!(document["result"], "error");
    assert_eq!(document["reason"], "connect");
    assert_eq!(document["message"], done.sentence());
}

#[test]
fn variables_that_are_not_known_are_refused_and_not_ignored() {
    let place = Place::new();
    let done = pgvigil(&place)
        .reaching(sample::system())
        .env("PGSERVICE", "production")
        .args(["backup", "--directory", place.backups().to_str().unwrap()])
        .run()
        .exits(2);
    assert!(done.sentence().contains("PGSERVICE"), "{}", done.stderr);
}
