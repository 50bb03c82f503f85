use std::fs;

use chrono::TimeZone;

use super::*;
use crate::ledger::{Entry, GENESIS, Job, JobResult, digest};
use crate::manifest::{ArchiveFacts, FORMAT_VERSION, Source};

fn manifest(bytes: u64) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        pgvigil_version: "0".into(),
        server: "s".into(),
        started_at: DateTime::UNIX_EPOCH,
        finished_at: DateTime::UNIX_EPOCH,
        duration_seconds: 0.0,
        source: Source::default(),
        archive: ArchiveFacts {
            bytes,
            ..ArchiveFacts::default()
        },
        catalog: crate::catalog::Catalog::default(),
    }
}

fn entry() -> Entry {
    Entry {
        sequence: 0,
        previous: String::new(),
        job_id: "j".into(),
        server: "s".into(),
        job: Job::Backup,
        started_at: DateTime::UNIX_EPOCH,
        finished_at: DateTime::UNIX_EPOCH,
        duration_seconds: 1.0,
        result: JobResult::Passed,
        reason: None,
        message: None,
        backup: None,
        backup_finished_at: None,
        drill: None,
        report: None,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("list")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("utf-8")
        })
        .collect();
    names.sort();
    names
}

const NAME: &str = "postgresql_backup_20251115_020000.sql.gz";

#[test]
fn names_hold_the_time() {
    let time = Utc
        .with_ymd_and_hms(2025, 11, 15, 2, 0, 0)
        .single()
        .expect("a time");
    assert_eq!(archive_name(time), NAME);
    assert_eq!(time_in_name(NAME), Some(time));
    assert_eq!(time_in_name("other.sql.gz"), None);
}

#[test]
fn published_files_are_whole_and_private() {
    let directory = tempfile::tempdir().expect("tempdir");
    let lock = lock::take(directory.path()).expect("lock");
    let (pending, file) = publish::begin(directory.path(), NAME, &lock).expect("begin");
    assert_eq!(
        list(directory.path()).expect("list"),
        [],
        "nothing is published yet"
    );
    let path = pending.publish(&file, &manifest(0)).expect("publish");
    assert_eq!(
        names(directory.path()),
        [NAME.to_owned(), format!("{NAME}.manifest.json")]
    );
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(
        fs::metadata(&path).expect("metadata").permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(read_manifest(&path).expect("manifest"), Some(manifest(0)));
    assert_eq!(find(directory.path(), "latest").expect("latest"), path);
}

#[test]
fn an_abandoned_file_is_removed_and_a_name_is_never_taken_twice() {
    let directory = tempfile::tempdir().expect("tempdir");
    let lock = lock::take(directory.path()).expect("lock");
    drop(publish::begin(directory.path(), NAME, &lock).expect("begin"));
    assert_eq!(names(directory.path()), [""; 0]);
    fs::write(directory.path().join(NAME), "older").expect("write");
    let (pending, file) = publish::begin(directory.path(), NAME, &lock).expect("begin");
    pending
        .publish(&file, &manifest(0))
        .expect_err("the name is taken");
    assert_eq!(names(directory.path()), [NAME]);
    assert_eq!(
        fs::read(directory.path().join(NAME)).expect("read"),
        b"older"
    );
}

#[test]
fn sweep_mends_a_crash_between_the_two_renames() {
    let directory = tempfile::tempdir().expect("tempdir");
    let lock = lock::take(directory.path()).expect("lock");
    fs::write(directory.path().join(NAME), "12345").expect("write");
    fs::write(
        directory
            .path()
            .join(format!(".{NAME}.manifest.json.partial")),
        manifest(5).to_json().expect("json"),
    )
    .expect("write");
    fs::write(
        directory
            .path()
            .join(".postgresql_backup_20251116_020000.sql.gz.partial"),
        "half",
    )
    .expect("write");
    fs::write(directory.path().join(".other.partial"), "not ours").expect("write");
    assert_eq!(
        publish::sweep(directory.path(), &lock)
            .expect("sweep")
            .len(),
        2
    );
    assert_eq!(
        names(directory.path()),
        [
            ".other.partial".to_owned(),
            NAME.to_owned(),
            format!("{NAME}.manifest.json")
        ]
    );
}

#[test]
fn one_writer_at_a_time() {
    let directory = tempfile::tempdir().expect("tempdir");
    let held = lock::take(directory.path()).expect("lock");
    assert_eq!(
        lock::take(directory.path()).expect_err("held").kind(),
        FailureKind::Busy
    );
    drop(held);
    lock::take(directory.path()).expect("free again");
    assert_eq!(
        lock::take(&directory.path().join("missing"))
            .expect_err("missing")
            .kind(),
        FailureKind::Directory
    );
}

#[test]
fn the_ledger_chains_its_lines_and_survives_a_cut_one() {
    let directory = tempfile::tempdir().expect("tempdir");
    ledger::append(directory.path(), &mut entry()).expect("append");
    let file = directory.path().join(ledger::FILE_NAME);
    let first = fs::read(&file).expect("read");
    fs::write(&file, [&first[..], b"{\"sequence\":2,\"prev"].concat()).expect("write");
    ledger::append(directory.path(), &mut entry()).expect("append");
    let entries = ledger::read(directory.path()).expect("read");
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.sequence)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(entries[0].previous, GENESIS);
    assert_eq!(entries[1].previous, digest(&first[..first.len() - 1]));
}
