//! Whatever goes wrong with a backup: nothing is published, nothing partial stays, the exit code says whose fault it is,
//! one sentence says what happened, and the ledger has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::fake::{self, REAL};
use crate::support::place::{Place, executable};
use crate::support::program::{Done, Pgvigil, all_gone, pgvigil};
use crate::support::server::Server;
use crate::support::{are_root, config, programs, sample};

/// The backup of the sample by a pg_dumpall that runs this script.
fn by(place: &Place, script: &str) -> Done {
    let server = sample::system();
    let fake = fake::dumpall(place, server.programs(), script);
    pgvigil(place)
        .reaching(server)
        .args(["backup", "--pg-bin", fake.to_str().unwrap()])
        .args(["--directory", place.backups().to_str().unwrap()])
        .run()
}

/// Nothing was published, nothing stays, and everyone is told the same.
#[track_caller]
fn nothing_but(place: &Place, done: Done, code: i32, reason: &str, says: &str) {
    let done = done.exits(code);
    let sentence = done.sentence();
    assert!(
        sentence.contains(says),
        "{says:?} is not said in: {sentence}"
    );
    assert_eq!(done.stdout, "", "no report of what is not there");
    assert_eq!(place.names(), Vec::<String>::new());
    let entries = place.ledger();
    let last = entries.last().expect("an entry in the ledger");
    assert_eq!(last["job"], "backup");
    let result = if reason == "timeout" {
        "timeout"
    } else {
        "failed"
    };
    assert_eq!(last["result"], result);
    assert_eq!(last["reason"], reason);
    assert_eq!(last["message"], sentence);
    assert_eq!(place.processes(), Vec::<String>::new());
}

#[test]
fn the_tool_fails_after_its_last_line() {
    let place = Place::new();
    let done = by(
        &place,
        &format!("{REAL}; echo 'pg_dumpall: error: server closed the connection' >&2; exit 1"),
    );
    nothing_but(
        &place,
        done,
        1,
        "dump_failed",
        "exited with status 1 and said: pg_dumpall: error: server closed the connection",
    );
}

#[test]
fn the_tool_is_killed_in_the_middle() {
    let place = Place::new();
    let done = by(&place, &format!("{REAL} | head -c 20000; kill -9 $$"));
    nothing_but(&place, done, 1, "dump_failed", "killed by signal 9");
}

/// Status 0 of a dump that ends early: what a pipe without `pipefail` gives.
#[test]
fn the_tool_ends_early_and_says_that_all_is_well() {
    for (what, cut) in [
        ("before a row", "sed '/^COPY /q'"),
        ("behind a row", "sed '/^COPY /{n;q}'"),
        ("inside a row", "sed '/^COPY /{n;q}' | head -c -9"),
        ("inside a statement", "sed '/^CREATE TABLE /q'"),
        (
            "between two databases",
            "sed '/^-- PostgreSQL database dump complete/q'",
        ),
        (
            "before the last marker",
            "sed '/^-- PostgreSQL database cluster dump complete/,$d'",
        ),
        ("inside the roles", "head -c 300"),
        ("before the first byte", "head -c 0"),
    ] {
        let place = Place::new();
        let done = by(&place, &format!("{REAL} | {cut}"));
        eprintln!("cut {what}: {}", done.stderr);
        nothing_but(
            &place,
            done,
            1,
            "dump_incomplete",
            "pg_dumpall ended well, but",
        );
    }
}

#[test]
fn the_tool_leaves_out_a_table() {
    let place = Place::new();
    let cut = r"sed '/^COPY sales\.far /,/^\\\.$/d'";
    let done = by(&place, &format!("{REAL} | {cut}"));
    nothing_but(
        &place,
        done,
        1,
        "dump_incomplete",
        "table sales.far of database app_db of the server is not in the dump",
    );
}

#[test]
fn the_tool_leaves_out_a_database() {
    let place = Place::new();
    let cut = r#"sed '/^-- Database "left_out" dump/,/^-- PostgreSQL database dump complete/d'"#;
    let done = by(&place, &format!("{REAL} | {cut}"));
    nothing_but(
        &place,
        done,
        1,
        "dump_incomplete",
        "database left_out of the server is not in the dump",
    );
}

/// The deadline ends the tool and all that it started, also what does not listen to SIGTERM.
#[test]
fn the_tool_hangs() {
    let place = Place::new();
    let server = sample::system();
    let script = format!(
        "{REAL} | head -c 5000\nsh -c 'trap \"\" TERM; while :; do sleep 1; done' &\nsleep 3600 &\nwait"
    );
    let fake = fake::dumpall(&place, server.programs(), &script);
    let config = config::write(&place, server, &fake, "2s");
    let began = Instant::now();
    let done = pgvigil(&place)
        .args(["backup", "--config", config.to_str().unwrap()])
        .run();
    let took = began.elapsed();
    nothing_but(&place, done, 3, "timeout", "the time for it was up");
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(20),
        "ended after {took:?}"
    );
}

/// What the tool leaves behind is ended with it, also what went into a session of its own.
#[test]
fn the_tool_leaves_a_daemon_behind() {
    let place = Place::new();
    let daemon = format!(
        "setsid sh -c ': {}; sleep 3600; :' &",
        place.backups().display()
    );
    let done = by(&place, &format!("{daemon}\n{REAL} | head -c 5000\nexit 1"));
    nothing_but(&place, done, 1, "dump_failed", "exited with status 1");
}

#[test]
fn nobody_listens() {
    let place = Place::new();
    let done = pgvigil(&place)
        .env("PGHOST", place.join("tmp"))
        .env("PGUSER", "postgres")
        .args(["backup", "--directory", place.backups().to_str().unwrap()])
        .run();
    nothing_but(&place, done, 3, "connect", "connect to database postgres");
}

#[test]
fn the_programs_are_older_than_the_server() {
    let place = Place::new();
    let server = sample::system();
    let version = "pg_dumpall (PostgreSQL) 9.6.24";
    let fake = fake::dumpall_of_version(&place, server.programs(), version, REAL);
    let done = pgvigil(&place)
        .reaching(server)
        .args(["backup", "--pg-bin", fake.to_str().unwrap()])
        .args(["--directory", place.backups().to_str().unwrap()])
        .run();
    nothing_but(&place, done, 3, "version", "9.6");

    let place = Place::new();
    let done = pgvigil(&place)
        .reaching(sample::eighteen())
        .args(["backup", "--pg-bin"])
        .about(&programs::system().directory)
        .args(["--directory", place.backups().to_str().unwrap()])
        .run();
    nothing_but(
        &place,
        done,
        3,
        "version",
        "install the client programs of PostgreSQL 18",
    );
}

#[test]
fn there_are_no_programs() {
    let place = Place::new();
    let done = pgvigil(&place)
        .reaching(sample::system())
        .args(["backup", "--pg-bin", place.tmp().to_str().unwrap()])
        .args(["--directory", place.backups().to_str().unwrap()])
        .run();
    nothing_but(&place, done, 3, "version", "there is no pg_dumpall in");
}

/// The password reaches pg_dumpall by its environment alone; a wrong one or none is said to be that.
#[test]
fn the_password_is_asked_for_and_never_shown() {
    const SECRET: &str = "hunter2-Pa55 w0rd";
    let server = Server::start(&programs::system());
    server.psql(
        "postgres",
        &format!("alter role postgres password '{SECRET}'"),
    );
    server.admit("local all all scram-sha-256\n");
    let take = |place: &Place, password: Option<&str>| {
        let seen = place.join("seen");
        let script = format!(
            "{{ printf '%s\\n' \"$@\"; cat /proc/$$/cmdline /proc/$PPID/cmdline; }} > '{0}'\nenv > '{0}-env'\n{REAL}",
            seen.display()
        );
        let fake = fake::dumpall(place, server.programs(), &script);
        let mut command = pgvigil(place)
            .reaching(&server)
            .env("PGVIGIL_LOG_LEVEL", "debug")
            .args(["backup", "--pg-bin", fake.to_str().unwrap()])
            .args(["--directory", place.backups().to_str().unwrap()]);
        if let Some(password) = password {
            command = command.env("PGPASSWORD", password);
        }
        command.run()
    };
    for (password, says) in [
        (Some("wrong-Pa55"), "password authentication failed"),
        (None, "password missing"),
    ] {
        let place = Place::new();
        let done = take(&place, password).exits(3);
        let said = done.stderr.lines().last().unwrap();
        assert!(said.contains(says), "{says:?} is not said in: {said}");
        assert!(!said.contains("wrong-Pa55"), "the password shows: {said}");
        assert_eq!(place.names(), Vec::<String>::new());
        assert_eq!(place.ledger()[0]["reason"], "auth");
    }

    let place = Place::new();
    let done = take(&place, Some(SECRET)).exits(0);
    let read =
        |name: &str| String::from_utf8_lossy(&fs::read(place.join(name)).unwrap()).into_owned();
    assert!(
        read("seen-env").contains(&format!("PGPASSWORD={SECRET}")),
        "the password gets to pg_dumpall"
    );
    assert!(read("seen").contains("--clean"), "the arguments were seen");
    let manifest = place.archives()[0].to_str().unwrap().to_owned() + ".manifest.json";
    for (what, text) in [
        ("the arguments of pg_dumpall and its warden", read("seen")),
        ("standard output", done.stdout),
        ("standard error", done.stderr),
        ("the ledger", read("backups/ledger.jsonl")),
        ("the manifest", fs::read_to_string(manifest).unwrap()),
    ] {
        assert!(!text.contains("hunter2"), "the password shows in {what}");
    }
}

/// The tmpfs is in a mount namespace of its own, so that nothing stays mounted however the test ends.
#[test]
fn the_directory_is_full() {
    let place = Place::new();
    let server = sample::system();
    // More than fits, of what does not compress.
    let script = format!("head -c 2000000 /dev/urandom | base64 | sed 's/^/-- /'\n{REAL}");
    let fake = fake::dumpall(&place, server.programs(), &script);
    let directory = place.backups();
    let shell = format!(
        "set -e; mount -t tmpfs -o size=300k none '{0}'; cd '{0}'; set +e; '{1}' backup --directory . --pg-bin '{2}'; code=$?; \
         ls -A | grep -v '^ledger.jsonl$'; exit $code",
        directory.display(),
        executable().display(),
        fake.display()
    );
    let mut arguments = vec!["--mount"];
    if !are_root() {
        arguments.push("--map-root-user");
    }
    arguments.extend(["sh", "-c", &shell]);
    let done = Pgvigil::by("unshare", &place)
        .reaching(server)
        .args(arguments)
        .run();
    assert!(
        !done.stderr.contains("unshare"),
        "this test needs mount namespaces (root, or user namespaces): {}",
        done.stderr
    );
    let done = done.exits(3);
    assert!(
        done.sentence().contains("free space on the volume"),
        "{}",
        done.stderr
    );
    assert_eq!(done.stdout, "", "files left in the directory");
    assert_eq!(place.names(), Vec::<String>::new(), "the tmpfs was used");
    all_gone(&place, Duration::from_secs(5));
}

#[test]
fn the_directory_is_missing() {
    let place = Place::new();
    let missing = place.join("missing");
    let done = pgvigil(&place)
        .reaching(sample::system())
        .args(["backup", "--directory", missing.to_str().unwrap()])
        .run()
        .exits(3);
    let sentence = done.sentence();
    assert!(
        sentence.contains(missing.to_str().unwrap()) && sentence.contains("create it"),
        "{sentence}"
    );
    assert!(!missing.exists(), "nobody asked to make it");
}

#[test]
fn the_directory_may_not_be_written() {
    let place = Place::new();
    let mut command = pgvigil(&place)
        .on(sample::system(), &place)
        .args(["backup"]);
    if are_root() {
        // Root may write anywhere.
        place.give_to_nobody();
        command = command.under_nobody();
    }
    fs::set_permissions(place.backups(), fs::Permissions::from_mode(0o500)).unwrap();
    let done = command.run().exits(3);
    let sentence = done.sentence();
    assert!(
        sentence.contains("make the directory writable"),
        "{sentence}"
    );
    assert_eq!(place.names(), Vec::<String>::new());
    assert!(place.ledger().is_empty());
}

/// Two at once: the second one does not wait, and does not disturb the first.
#[test]
fn another_pgvigil_is_at_work() {
    let place = Place::new();
    let server = sample::system();
    let script = format!(
        "touch '{0}'\nwhile [ ! -e '{0}.go' ]; do sleep 0.05; done\n{REAL}",
        place.join("begun").display()
    );
    let fake = fake::dumpall(&place, server.programs(), &script);
    let take = || {
        pgvigil(&place)
            .reaching(server)
            .args(["backup", "--pg-bin", fake.to_str().unwrap()])
            .args(["--directory", place.backups().to_str().unwrap()])
    };
    let first = take().start();
    crate::support::wait_until("the first has begun", Duration::from_secs(30), || {
        place.join("begun").exists()
    });
    let second = take().run().exits(3);
    assert!(
        second.sentence().contains("another pgvigil"),
        "{}",
        second.stderr
    );
    fs::write(place.join("begun.go"), "").unwrap();
    first.wait(Duration::from_secs(60)).exits(0);
    assert_eq!(place.archives().len(), 1);
}
