use std::fs;

use chrono::TimeZone;

use super::*;
use crate::finding::FindingKind;
use crate::ledger::{Entry, GENESIS, Job, JobResult, digest};
use crate::manifest::{ArchiveFacts, FORMAT_VERSION, Source};

pub(super) fn manifest(bytes: u64) -> Manifest {
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
        observed: None,
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
        scheduled_for: None,
        sizes: None,
        observed: false,
        volume: None,
        pruned: None,
        restore: None,
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
    let lock = lock::take(directory.path(), "test").expect("lock");
    let (pending, file) = publish::begin(directory.path(), NAME, &lock).expect("begin");
    assert_eq!(
        list(directory.path(), "*.sql.gz").expect("list"),
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
    let listed = list(directory.path(), "*.sql.gz").expect("list");
    assert_eq!(listed.last().map(|file| &file.path), Some(&path));
}

#[test]
fn an_abandoned_file_is_removed_and_a_name_is_never_taken_twice() {
    let directory = tempfile::tempdir().expect("tempdir");
    let lock = lock::take(directory.path(), "test").expect("lock");
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
    let lock = lock::take(directory.path(), "test").expect("lock");
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
    let held = lock::take(directory.path(), "test").expect("lock");
    assert_eq!(
        lock::take(directory.path(), "test")
            .expect_err("held")
            .kind(),
        FailureKind::Busy
    );
    drop(held);
    lock::take(directory.path(), "test").expect("free again");
    assert_eq!(
        lock::take(&directory.path().join("missing"), "test")
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

fn check(directory: &Path) -> crate::ledger::check::Checked {
    ledger::check(directory, None, &mut |_| {})
        .expect("read")
        .expect("a ledger")
}

fn kinds(directory: &Path) -> Vec<FindingKind> {
    let findings = check(directory).findings.list;
    findings.iter().map(|finding| finding.kind).collect()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}

#[test]
fn the_end_of_the_ledger_is_remembered() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    assert!(
        ledger::check(here, None, &mut |_| {})
            .expect("read")
            .is_none()
    );
    for _ in 0..3 {
        ledger::append(here, &mut entry()).expect("append");
    }
    assert_eq!(kinds(here), []);
    assert_eq!(mode(&here.join(ledger::FILE_NAME)), 0o600);
    assert_eq!(names(here), [ledger::FILE_NAME]);
    let file = here.join(ledger::FILE_NAME);
    let whole = fs::read_to_string(&file).expect("read");
    let (shorter, _) = whole.trim_end().rsplit_once('\n').expect("lines");
    fs::write(&file, format!("{shorter}\n")).expect("write");
    assert_eq!(kinds(here), [FindingKind::EntryRemoved]);
    // What follows must not heal it: the entry is written, and the fault stays.
    let mut other = entry();
    other.job_id = "other".into();
    let error = ledger::append(here, &mut other).expect_err("said");
    assert!(error.sentence().contains("ledger verify"));
    assert_eq!(check(here).entries, 3);
    assert_eq!(kinds(here), [FindingKind::EntryChanged]);
    fs::remove_file(&file).expect("remove");
    assert_eq!(kinds(here), [FindingKind::EntryRemoved]);
}

#[test]
fn a_head_left_behind_catches_up() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    let mut old = [0; 200];
    ledger::append(here, &mut entry()).expect("append");
    let length = rustix::fs::getxattr(here, ledger::HEAD_NAME, &mut old)
        .expect("these tests need a temporary directory with extended attributes");
    for _ in 0..3 {
        ledger::append(here, &mut entry()).expect("append");
    }
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(here, ledger::HEAD_NAME, &old[..length], flags).expect("write");
    assert!(check(here).is_good());
    assert_eq!(kinds(here), [FindingKind::BadHead]);
    ledger::append(here, &mut entry()).expect("append");
    assert_eq!(kinds(here), []);
}

#[test]
fn a_line_longer_than_any_entry_is_passed_in_bounded_memory() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    ledger::append(here, &mut entry()).expect("append");
    let file = here.join(ledger::FILE_NAME);
    let mut text = fs::read(&file).expect("read");
    text.extend(std::iter::repeat_n(b'x', 5 << 20));
    fs::write(&file, &text).expect("write");
    assert_eq!(kinds(here), [FindingKind::NotAnEntry]);
    ledger::append(here, &mut entry()).expect_err("not cut away");
    assert_eq!(fs::metadata(&file).expect("there").len(), text.len() as u64);
    text.push(b'\n');
    fs::write(&file, &text).expect("write");
    assert_eq!(kinds(here), [FindingKind::NotAnEntry]);
    assert_eq!(
        ledger::read(here).expect_err("no entry").kind(),
        FailureKind::Io
    );
}

#[test]
fn a_long_message_stays_readable() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut long = entry();
    long.message = Some("\u{1}".repeat(2 << 20));
    ledger::append(directory.path(), &mut long).expect("append");
    assert_eq!(ledger::read(directory.path()).expect("read").len(), 1);
    assert_eq!(kinds(directory.path()), []);
}

#[test]
fn reports_are_kept_and_held_against_the_ledger() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    let mut kept = reports::keep(here, "j1", b"{}").expect("keep");
    reports::keep_page(here, "j1", "# page", &mut kept).expect("keep");
    assert_eq!(kept.file, "drills/drill_j1.json");
    let folder = here.join(reports::DIRECTORY);
    assert_eq!(names(&folder), ["drill_j1.json", "drill_j1.md"]);
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("drill_j1.json")), 0o600);
    let mut drill = entry();
    drill.report = Some(kept);
    ledger::append(here, &mut drill).expect("append");
    assert_eq!(kinds(here), []);

    fs::write(folder.join("drill_j1.md"), "# other").expect("write");
    assert_eq!(kinds(here), [FindingKind::ReportChanged]);
    fs::remove_file(folder.join("drill_j1.json")).expect("remove");
    assert_eq!(
        kinds(here),
        [FindingKind::ReportMissing, FindingKind::ReportChanged]
    );
    assert!(!check(here).is_good());
    assert_eq!(check(here).findings.list[0].place, "line 1");
}

#[test]
fn a_report_elsewhere_is_not_read() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    fs::write(here.join("secret"), "x").expect("write");
    fs::create_dir(here.join(reports::DIRECTORY)).expect("create");
    std::os::unix::fs::symlink("../secret", here.join("drills/link")).expect("link");
    for file in [
        "../secret",
        "/etc/passwd",
        "drills/../secret",
        "secret",
        "",
        "drills/link",
    ] {
        let kept = crate::ledger::KeptReport {
            file: file.to_owned(),
            sha256: digest(b"x"),
            page_sha256: None,
        };
        let findings = reports::check(here, &kept, "line 1").expect("checked");
        assert_eq!(
            findings.first().map(|finding| finding.kind),
            Some(FindingKind::ReportMissing),
            "{file}"
        );
    }
}

#[test]
fn old_entries_without_a_report_still_read() {
    let json = serde_json::to_string(&entry()).expect("JSON");
    assert!(!json.contains("report"));
    assert_eq!(
        serde_json::from_str::<Entry>(&json).expect("an entry"),
        entry()
    );
}

#[test]
fn an_agenda_and_a_pause_outlive_the_process() {
    let directory = tempfile::tempdir().expect("tempdir");
    let here = directory.path();
    assert_eq!(agenda::read(here).expect("read"), None);
    let lock = lock::take(here, "test").expect("lock");
    let mut kept = crate::agenda::Agenda::default();
    kept.format_version = crate::agenda::FORMAT_VERSION;
    agenda::write(here, &kept, &lock).expect("write");
    assert_eq!(agenda::read(here).expect("read"), Some(kept));
    let pause = agenda::KeptPause {
        reason: "moves".into(),
        since: DateTime::UNIX_EPOCH,
        until: None,
        configured: false,
    };
    agenda::write_pause(here, &pause).expect("write");
    assert_eq!(agenda::read_pause(here).expect("read"), Some(pause));
    assert_eq!(names(here), [agenda::PAUSE_FILE_NAME, agenda::FILE_NAME]);
    for text in ["{\"format_version\": 99}", "", "[]", "{"] {
        fs::write(here.join(agenda::FILE_NAME), text).expect("write");
        let error = agenda::read(here).expect_err(text).sentence();
        assert!(error.contains("remove it"), "{error}");
    }
}

#[test]
fn who_holds_the_lock_is_named() {
    let directory = tempfile::tempdir().expect("tempdir");
    let _held = lock::take(directory.path(), "verify").expect("lock");
    let error = lock::take(directory.path(), "backup")
        .expect_err("held")
        .sentence();
    let me = format!("(verify of process {} on ", std::process::id());
    assert!(error.contains(&me), "{error}");
}
