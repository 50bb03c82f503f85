//! The demonstrations: they show what they promise, end when they are asked to, and leave nothing.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::place::{Place, executable};
use crate::support::program::{Pgvigil, all_gone, pgvigil};
use crate::support::sidecar::Sidecar;
use crate::support::{are_root, programs};

/// The sample is larger than those of the tests, and the program is not optimized here.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_demonstration_serves_its_page_until_it_is_asked_to_end() {
    let place = Place::new();
    let command = if are_root() {
        place.give_to_nobody();
        pgvigil(&place).under_nobody()
    } else {
        pgvigil(&place)
    };
    let command = command
        .args(["demo", "--listen", "127.0.0.1:0", "--pg-bin"])
        .about(&programs::system().directory);
    let demo = Sidecar::started_within(command, PATIENCE);
    assert!(demo.get("/").body.contains("demo"));
    let metrics = demo.metrics();
    for series in [
        "pgvigil_up{server=\"demo\"} 1",
        "pgvigil_drill_mismatches{server=\"demo\"} 0",
        "pgvigil_backup_expected_interval_seconds{server=\"demo\"} 600",
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    demo.end_by(Signal::INT);
    all_gone(&place, Duration::from_secs(20));
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
}

#[test]
fn the_demonstration_with_alerts_shows_what_is_told() {
    let place = Place::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/demo");
    let done = Pgvigil::by(script, &place)
        .env("PGVIGIL", executable())
        .args(["--once"])
        .start()
        .wait(PATIENCE)
        .exits(0);
    let mut rest = done.stdout.as_str();
    for told in [
        "the page says: Yes",
        "    | CRITICAL: A PostgreSQL backup is damaged. [demo]\n    | CRITICAL PgvigilBackupCorrupt, since ",
        "    | Verification found 1 damaged backup(s) of demo. They may not restore.\n    | What to do: https://",
        "    | RESOLVED: A PostgreSQL backup is damaged. [demo]\n    | RESOLVED PgvigilBackupCorrupt, from ",
        "the page says: Yes",
    ] {
        let at = rest
            .find(told)
            .unwrap_or_else(|| panic!("{told:?} in {}", done.stdout));
        rest = &rest[at..];
    }
    all_gone(&place, Duration::from_secs(20));
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
}

#[test]
fn where_nobody_may_mount_the_demonstration_with_alerts_says_what_to_do() {
    if !programs::alertmanager().is_absolute() {
        // An installed one has its files in /usr/share, and nothing is to be mounted.
        return;
    }
    let place = Place::new();
    symlink("/bin/false", place.join("unshare")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/demo");
    let done = Pgvigil::by(script, &place)
        .env("PATH", format!("{}:{path}", place.join(".").display()))
        .env("PGVIGIL", executable())
        .args(["--once"])
        .start()
        .wait(PATIENCE)
        .exits(1);
    assert_eq!(done.stdout, "", "nothing has begun");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(
        done.stderr
            .contains("install Debian's package prometheus-alertmanager"),
        "{}",
        done.stderr
    );
}
