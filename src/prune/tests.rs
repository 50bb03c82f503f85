use std::fs;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::*;
use crate::catalog::Catalog;
use crate::config::{Config, raw};
use crate::ledger::{Entry, JobResult};
use crate::manifest::{ArchiveFacts, FORMAT_VERSION, Manifest, Source};
use crate::store::{self, remove};

fn now() -> DateTime<Utc> {
    "2026-06-15T12:00:00Z".parse().expect("a time")
}

fn server(directory: &Path) -> Server {
    let text = format!(
        "{{ servers: [{{ name: a, directory: {} }}] }}",
        directory.display()
    );
    let config: Config = raw::parse(&text, Path::new("test")).expect("a configuration");
    config.servers.into_iter().next().expect("a server")
}

/// Puts a backup of ours, which is no archive but has the size that its manifest says.
fn put(directory: &Path, begun: DateTime<Utc>) -> PathBuf {
    let path = directory.join(store::archive_name(begun));
    fs::write(&path, "archive").expect("write");
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        pgvigil_version: "0".into(),
        server: "a".into(),
        started_at: begun,
        finished_at: begun,
        duration_seconds: 0.0,
        source: Source::default(),
        archive: ArchiveFacts {
            file_name: store::archive_name(begun),
            bytes: 7,
            archive_id: "1".into(),
            ..ArchiveFacts::default()
        },
        catalog: Catalog::default(),
        observed: None,
    };
    let json = manifest.to_json().expect("json");
    fs::write(store::manifest_path(&path), json).expect("write");
    path
}

/// Ten days of backups, the oldest first: those of the eighth and ninth day ago are not wanted.
fn ten_days(directory: &Path) -> Vec<PathBuf> {
    let days = (0..10).rev();
    days.map(|days| put(directory, now() - TimeDelta::days(days)))
        .collect()
}

fn pruned(server: &Server, meanwhile: impl FnOnce()) -> Report {
    let lock = lock::take(&server.directory, "test").expect("lock");
    let plan = plan(server, now()).expect("a plan");
    meanwhile();
    let progress = Progress::default();
    let work = Work::begin(server, &lock, &progress).expect("begin");
    work.done(plan).expect("done")
}

fn ledger(server: &Server) -> Vec<Entry> {
    store::ledger::read(&server.directory).expect("a ledger")
}

#[test]
fn what_is_not_wanted_goes_and_the_ledger_says_so() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (server, files) = (server(directory.path()), ten_days(directory.path()));
    let preview = preview(&server, now()).expect("a preview");
    let report = pruned(&server, || ());
    assert_eq!(report.removed.len(), 2);
    assert_eq!(
        (report.removed.clone(), report.kept, report.freed_bytes),
        (preview.removed, 8, 14)
    );
    for (index, path) in files.iter().enumerate() {
        assert_eq!(path.exists(), index > 1, "{}", path.display());
        assert_eq!(store::manifest_path(path).exists(), index > 1);
    }
    let entries = ledger(&server);
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!((entry.job, entry.result), (Job::Prune, JobResult::Passed));
    let facts = entry.pruned.clone().expect("facts");
    assert_eq!(
        (facts.removed, facts.bytes, facts.kept),
        (report.removed, 14, 8)
    );
    assert!(pruned(&server, || ()).removed.is_empty());
    assert_eq!(ledger(&server).len(), 1, "nothing to say");
}

/// Whatever the name leads to by now, it is not what was judged.
#[test]
fn a_file_that_is_another_by_now_stays_and_the_others_go() {
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let touch = |path: &Path| {
        let file = fs::File::options().write(true).open(path).expect("open");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .expect("touch");
    };
    let replace = |path: &Path| {
        let other = path.with_extension("other");
        fs::write(&other, "archive").expect("write");
        let times = fs::metadata(path).expect("facts");
        let file = fs::File::options().write(true).open(&other).expect("open");
        file.set_modified(times.modified().expect("a time"))
            .expect("touch");
        fs::rename(&other, path).expect("rename");
    };
    let grow = |path: &Path| fs::write(path, "archive and more").expect("write");
    let link = |path: &Path| {
        fs::remove_file(path).expect("remove");
        std::os::unix::fs::symlink(elsewhere.path(), path).expect("link");
    };
    let directory_instead = |path: &Path| {
        fs::remove_file(path).expect("remove");
        fs::create_dir(path).expect("a directory");
    };
    let changes: [&dyn Fn(&Path); 5] = [&touch, &replace, &grow, &link, &directory_instead];
    for change in changes {
        let directory = tempfile::tempdir().expect("tempdir");
        let (server, files) = (server(directory.path()), ten_days(directory.path()));
        let report = pruned(&server, || change(&files[0]));
        assert!(files[0].symlink_metadata().is_ok() && elsewhere.path().exists());
        assert!(store::manifest_path(&files[0]).exists());
        assert!(!files[1].exists());
        assert_eq!(report.removed.len(), 1);
        let failure = report.failure.expect("a failure").sentence();
        assert!(
            failure.contains("no longer the file that was judged"),
            "{failure}"
        );
        let entries = ledger(&server);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].result, JobResult::Error);
        assert_eq!(
            entries[0].pruned.as_ref().map(|facts| facts.removed.len()),
            Some(1)
        );
    }
}

#[test]
fn what_someone_reads_stays_until_the_next_time() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (server, files) = (server(directory.path()), ten_days(directory.path()));
    let held = remove::hold(&files[0]);
    let report = pruned(&server, || ());
    assert!(files[0].exists() && !files[1].exists());
    assert_eq!((report.in_use.len(), report.kept), (1, 9));
    assert!(report.failure.is_none());
    drop(held);
    assert_eq!(pruned(&server, || ()).removed.len(), 1);
}

#[test]
fn many_are_told_in_several_entries_and_a_stop_is_obeyed() {
    let directory = tempfile::tempdir().expect("tempdir");
    let server = server(directory.path());
    ten_days(directory.path());
    for hour in 0..BATCH as i64 {
        put(
            directory.path(),
            now() - TimeDelta::days(20) - TimeDelta::hours(hour),
        );
    }
    let lock = lock::take(&server.directory, "test").expect("lock");
    let progress = Progress::default();
    progress.cancel();
    let work = Work::begin(&server, &lock, &progress).expect("begin");
    let report = work
        .done(plan(&server, now()).expect("a plan"))
        .expect("done");
    assert!(report.removed.is_empty());
    assert_eq!(
        report.failure.map(|failure| failure.kind()),
        Some(FailureKind::Cancelled)
    );
    drop(lock);
    assert_eq!(pruned(&server, || ()).removed.len(), BATCH + 2);
    let told = ledger(&server);
    let told: Vec<_> = told
        .iter()
        .filter_map(|entry| entry.pruned.as_ref())
        .map(|facts| facts.removed.len())
        .collect();
    assert_eq!(told[told.len() - 2..], [BATCH, 2]);
}

#[tokio::test]
async fn where_the_ledger_cannot_be_read_nothing_is_judged_and_nothing_goes() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (server, files) = (server(directory.path()), ten_days(directory.path()));
    fs::write(directory.path().join("ledger.jsonl"), "no entry\n").expect("write");
    let lock = lock::take(&server.directory, "test").expect("lock");
    let failed = after_backup(&server, &lock, &Progress::default()).await;
    assert_eq!(
        failed.err().map(|failure| failure.kind()),
        Some(FailureKind::Io)
    );
    assert!(files.iter().all(|path| path.exists()));
}
