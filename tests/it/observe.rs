//! Backups that the runbook's CronJob makes, by its own commands: watched over as if they were ours, and never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::http::{from_disk, of_sample, value};
use crate::support::place::Place;
use crate::support::program::{all_gone, pgvigil};
use crate::support::server::Server;
use crate::support::sidecar::Sidecar;
use crate::support::{are_root, config, sample, wait_until};

const SECOND: Duration = Duration::from_secs(1);

/// What the CronJob runs every night.
const BACKUP: &str = r#"
set -e
pg_dumpall --clean --if-exists | gzip > "$BACKUP_DIR/postgresql_backup_$(date -u +%Y%m%d_%H%M%S).sql.gz"
"#;

/// And then.
const RETENTION: &str =
    r#"find "$BACKUP_DIR" -name "postgresql_backup_*.sql.gz" -mtime +"$RETENTION_DAYS" -delete"#;

/// A job of someone else: a shell with PostgreSQL's programs and the directory.
fn shell(server: &Server, place: &Place, script: &str) -> Command {
    let mut command = server.client("/bin/bash");
    let path = format!("{}:/usr/bin:/bin", server.programs().directory.display());
    command
        .env_remove("PGCLIENTENCODING")
        .env("PATH", path)
        .env("BACKUP_DIR", place.backups())
        .env("RETENTION_DAYS", "7")
        .args(["-c", script]);
    command
}

fn run(server: &Server, place: &Place, script: &str) {
    let output = shell(server, place, script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

/// A configuration that watches over what the job writes.
fn watching(place: &Place, server: &Server, pattern: &str, settle: &str) -> PathBuf {
    let path = config::write(place, server, &server.programs().directory, "5s");
    let text = fs::read_to_string(&path).unwrap();
    let taken = "backup: { schedule: never, timeout: 5s }";
    assert!(text.contains(taken), "{text}");
    let watched =
        format!("backup: {{ mode: observe, pattern: '{pattern}', settle: {settle}, timeout: 5s }}");
    fs::write(&path, text.replace(taken, &watched)).unwrap();
    path
}

const RUNBOOK: &str = "postgresql_backup_*.sql.gz";

fn written(path: &Path) -> f64 {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (since.as_secs_f64() * 1_000.0).floor() / 1_000.0
}

fn size(path: &Path) -> f64 {
    fs::metadata(path).unwrap().len() as f64
}

/// Waits until a number of files was looked at.
fn looked_at(sidecar: &Sidecar, files: u32) {
    wait_until("the files were looked at", 30 * SECOND, || {
        of_sample(&sidecar.metrics(), "backup_attempts_total") >= f64::from(files)
    });
}

fn failures(metrics: &str, reason: &str) -> f64 {
    let series = format!(
        "pgvigil_backup_failures_total{{server=\"{}\",reason=\"{reason}\"}}",
        config::NAME
    );
    value(metrics, &series)
}

#[test]
fn what_a_cronjob_writes_is_watched_over_like_our_own() {
    let (place, server) = (Place::new(), sample::system());
    let config = watching(&place, server, RUNBOOK, "1s");
    run(server, &place, BACKUP);
    let newest = place.archives().pop().unwrap();
    // One from more than a week ago, from before pgvigil came.
    let old = place
        .backups()
        .join("postgresql_backup_20200101_020000.sql.gz");
    fs::copy(&newest, &old).unwrap();
    let touch = format!("touch -d '2020-01-01 02:03:00 UTC' '{}'", old.display());
    run(server, &place, &touch);
    let bytes = fs::read(&newest).unwrap();

    let sidecar = Sidecar::start(&place, &config);
    looked_at(&sidecar, 2);
    let metrics = sidecar.metrics();
    for (name, wanted) in [
        ("backups", 2.0),
        ("backup_attempts_total", 2.0),
        ("backup_last_success_timestamp_seconds", written(&newest)),
        ("backup_last_size_bytes", size(&newest)),
        ("backup_last_failure_timestamp_seconds", 0.0),
        ("backup_oldest_timestamp_seconds", written(&old)),
        ("backup_expected_interval_seconds", 86_400.0),
        ("backup_in_progress", 0.0),
        ("verify_corrupt_backups", 0.0),
    ] {
        assert_eq!(of_sample(&metrics, name), wanted, "{name}");
    }
    for happened in [
        "verify_last_success_timestamp_seconds",
        "backup_next_run_timestamp_seconds",
        "backup_last_uncompressed_size_bytes",
    ] {
        assert!(of_sample(&metrics, happened) > 0.0, "{happened}");
    }
    assert!(of_sample(&metrics, "backup_last_duration_seconds") < 60.0);
    assert!(of_sample(&metrics, "backup_age_seconds") < 600.0);
    let rows = "pgvigil_backup_database_rows{server=\"sample\",database=\"we'ird \\\"db\"}";
    assert!(value(&metrics, rows) > 0.0);

    // A drill of it compares with its manifest; times and bytea read as ever, though nobody knows the dump's settings.
    let with = |verb: &[&str]| pgvigil(&place).args(verb).args(["--config"]).about(&config);
    let drilled = with(&["drill", "latest", "--json"]).run().exits(0).json();
    assert_eq!(drilled["result"], "passed", "{drilled}");
    let manifest = fs::read(format!("{}.manifest.json", newest.display())).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert!(manifest["observed"]["written_at"].is_string(), "{manifest}");
    let version = manifest["source"]["server_version"].as_str().unwrap();
    let major = server.programs().major.to_string();
    assert!(version.starts_with(&major), "{version}");
    let listed = with(&["list", "--json"]).run().exits(0).json();
    assert_eq!(listed[0]["time"], "2020-01-01T02:00:00Z");
    assert_eq!(listed[1]["proven"]["result"], "passed", "{listed}");
    assert!(listed[1]["observed"].as_bool().unwrap());
    sidecar.stop();

    let again = Sidecar::start(&place, &config);
    let first = again.metrics();
    for proven in [
        "drill_last_success_timestamp_seconds",
        "drill_rows_compared",
    ] {
        assert!(of_sample(&first, proven) > 0.0, "{proven}");
    }
    let at = of_sample(&first, "drill_proven_backup_timestamp_seconds");
    assert_eq!(at, written(&newest));
    assert!(
        again
            .get("/")
            .body
            .contains("Yes: the newest backup is whole")
    );
    let entries = place.ledger().len();
    // Long enough to look at everything again, if it were to.
    std::thread::sleep(3 * SECOND);
    assert_eq!(from_disk(&first), from_disk(&again.metrics()));
    assert_eq!(place.ledger().len(), entries);

    run(server, &place, RETENTION);
    assert!(!old.exists(), "it was old enough");
    wait_until("it is gone from what is kept", 10 * SECOND, || {
        of_sample(&again.metrics(), "backups") == 1.0
    });
    let manifests = place.names().into_iter();
    let manifests: Vec<_> = manifests.filter(|name| name.contains("manifest")).collect();
    let newest_name = newest.file_name().unwrap().to_str().unwrap();
    assert_eq!(manifests, [format!("{newest_name}.manifest.json")]);
    again.stop();

    let refused = with(&["backup"]).run().exits(2);
    assert!(
        refused.sentence().contains("backup.mode is observe"),
        "{}",
        refused.sentence()
    );
    with(&["verify", "--all"]).run().exits(0);
    with(&["ledger", "verify"]).run().exits(0);
    assert!(fs::read(&newest).unwrap() == bytes, "it was never touched");
    all_gone(&place, 5 * SECOND);
}

#[test]
fn nothing_is_taken_while_it_is_written() {
    let (place, server) = (Place::new(), sample::system());
    let config = watching(&place, server, "nightly-*.gz", "2s");
    let sidecar = Sidecar::start(&place, &config);
    // A piece each 300 ms, for longer than it has to rest.
    let slowly = r#"
        pg_dumpall --clean --if-exists | gzip > "$BACKUP_DIR/../whole"
        exec > "$BACKUP_DIR/nightly-1.gz"
        for piece in $(seq 0 14); do
            tail -c +$((piece * 1000 + 1)) "$BACKUP_DIR/../whole" | head -c 1000
            sleep 0.3
        done
        tail -c +15001 "$BACKUP_DIR/../whole""#;
    let mut job = shell(server, &place, slowly).spawn().unwrap();
    wait_until("it is seen to be written", 10 * SECOND, || {
        of_sample(&sidecar.metrics(), "backup_in_progress") == 1.0
    });
    while job.try_wait().unwrap().is_none() {
        assert_eq!(place.ledger().len(), 0, "it is still being written");
        std::thread::sleep(SECOND / 20);
    }
    looked_at(&sidecar, 1);
    let metrics = sidecar.metrics();
    assert_eq!(of_sample(&metrics, "backup_in_progress"), 0.0);
    let archive = place.backups().join("nightly-1.gz");
    assert_eq!(size(&archive), size(&place.join("whole")));
    assert_eq!(
        of_sample(&metrics, "backup_last_size_bytes"),
        size(&archive)
    );
    assert_eq!(
        of_sample(&metrics, "backup_last_success_timestamp_seconds"),
        written(&archive)
    );

    // The next night writes over it, and is killed: yesterday's backup is gone.
    run(
        server,
        &place,
        r#"head -c 5000 "$BACKUP_DIR/../whole" > "$BACKUP_DIR/nightly-1.gz""#,
    );
    looked_at(&sidecar, 2);
    let metrics = sidecar.metrics();
    assert_eq!(failures(&metrics, "dump_incomplete"), 1.0);
    assert_eq!(of_sample(&metrics, "backup_last_size_bytes"), 0.0);
    assert!(
        sidecar
            .get("/")
            .body
            .contains("No: no file is a whole backup.")
    );
    sidecar.stop();
}

#[test]
fn what_is_cut_is_flagged_however_it_was_cut() {
    let (place, server) = (Place::new(), sample::system());
    let config = watching(&place, server, RUNBOOK, "1s");
    // Of this night, one each second.
    let day = chrono::Utc::now().format("%Y%m%d");
    let name = |second: u32| {
        let name = format!("postgresql_backup_{day}_00000{second}.sql.gz");
        place.backups().join(name)
    };
    let script = |second: u32, commands: &str| {
        let script = format!("FILE='{}'\n{commands}", name(second).display());
        run(server, &place, &script);
    };
    script(1, "pg_dumpall --clean --if-exists | gzip > $FILE");
    // gzip killed in the middle, as by a node that fails.
    script(
        2,
        "(pg_dumpall --clean --if-exists; head -c 1000000 /dev/urandom; sleep 2) | gzip > $FILE & until test -s $FILE; do sleep 0.1; done; kill -9 $!; wait || true",
    );
    // pg_dumpall killed: gzip ends well, and `gunzip -t` is content.
    script(
        3,
        "pg_dumpall --clean --if-exists | head -c 20000 | gzip > $FILE; gunzip -t $FILE",
    );
    // No connection: twenty bytes of gzip.
    script(4, "pg_dumpall -h /nowhere 2> /dev/null | gzip > $FILE");
    script(5, ": > $FILE");
    assert_eq!(size(&name(4)), 20.0);
    assert!(size(&name(2)) > 0.0);

    let sidecar = Sidecar::start(&place, &config);
    looked_at(&sidecar, 5);
    let metrics = sidecar.metrics();
    assert_eq!(of_sample(&metrics, "backups"), 5.0);
    assert_eq!(of_sample(&metrics, "verify_corrupt_backups"), 4.0);
    assert_eq!(failures(&metrics, "dump_incomplete"), 4.0);
    assert_eq!(
        of_sample(&metrics, "backup_last_size_bytes"),
        size(&name(1))
    );
    assert!(of_sample(&metrics, "backup_last_failure_timestamp_seconds") > 0.0);
    let page = sidecar.get("/").body;
    assert!(
        page.contains("Not from the newest backup: it is damaged."),
        "{page}"
    );
    sidecar.stop();

    let listed = pgvigil(&place)
        .args(["list", "--config"])
        .about(&config)
        .run()
        .exits(0);
    assert_eq!(
        listed.stdout.matches("FAILED").count(),
        4,
        "{}",
        listed.stdout
    );
    let again = Sidecar::start(&place, &config);
    std::thread::sleep(3 * SECOND);
    assert_eq!(from_disk(&metrics), from_disk(&again.metrics()));
    // Written again, it counts; nobody has to tell.
    script(
        5,
        "pg_dumpall --clean --if-exists | gzip > $BACKUP_DIR/new; mv $BACKUP_DIR/new $FILE",
    );
    looked_at(&again, 6);
    let metrics = again.metrics();
    assert_eq!(of_sample(&metrics, "verify_corrupt_backups"), 3.0);
    let success = of_sample(&metrics, "backup_last_success_timestamp_seconds");
    assert!(success > of_sample(&metrics, "backup_last_failure_timestamp_seconds"));
    again.stop();
}

#[test]
fn a_directory_that_may_only_be_read_is_watched_over_in_memory() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, server) = (Place::new(), sample::system());
    let config = watching(&place, server, RUNBOOK, "1s");
    run(server, &place, BACKUP);
    let archive = place.archives().pop().unwrap();
    fs::write(place.backups().join("postgresql_backup_1.sql.gz"), "").unwrap();
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o644)).unwrap();
    if are_root() {
        place.give_to_nobody();
    }
    fs::set_permissions(place.backups(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = place.names();
    let command = if are_root() {
        pgvigil(&place).under_nobody()
    } else {
        pgvigil(&place)
    };
    let sidecar = Sidecar::by(command, &config);
    looked_at(&sidecar, 2);
    let metrics = sidecar.metrics();
    for (name, wanted) in [
        ("backup_last_success_timestamp_seconds", written(&archive)),
        ("backup_last_size_bytes", size(&archive)),
        ("verify_corrupt_backups", 1.0),
        ("backup_attempts_total", 2.0),
    ] {
        assert_eq!(of_sample(&metrics, name), wanted, "{name}");
    }
    assert!(of_sample(&metrics, "verify_last_success_timestamp_seconds") > 0.0);
    let page = sidecar.get("/").body;
    assert!(page.contains("write manifest"), "{page}");
    sidecar.stop();
    assert_eq!(place.names(), before, "nothing was written");
    fs::set_permissions(place.backups(), fs::Permissions::from_mode(0o755)).unwrap();
}
