use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use chrono::TimeDelta;

use super::*;
use crate::config::Mode;
use crate::ledger::evidence::{Period, sum_up};
use crate::outcome::Progress;
use crate::verify;

const NAME: &str = "postgresql_backup_20251115_020000.sql.gz";

/// A directory that someone else writes into, and what is remembered of it.
struct Watched {
    _directory: tempfile::TempDir,
    server: Server,
    memory: Memory,
}

impl Watched {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().display();
        let text = format!(
            "{{ servers: [{{ name: a, directory: '{path}' }}], http: {{ listen: '127.0.0.1:0' }} }}"
        );
        let config = crate::config::raw::parse(&text, std::path::Path::new("test"));
        let mut server = config.expect("a configuration").servers.remove(0);
        server.backup.mode = Mode::Observe(Observe {
            settle: Duration::ZERO,
            ..Observe::default()
        });
        server.backup.timeout = Duration::ZERO;
        Self {
            _directory: directory,
            server,
            memory: Memory::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.directory.join(name)
    }

    /// Writes a file, last written to at `written_at`.
    fn write(&self, name: &str, bytes: &[u8], written_at: DateTime<Utc>) {
        fs::write(self.path(name), bytes).expect("written");
        let file = File::options().write(true).open(self.path(name));
        let times = FileTimes::new().set_modified(SystemTime::from(written_at));
        file.expect("open").set_times(times).expect("times set");
    }

    async fn look(&mut self) -> Seen {
        look(&self.server, &mut self.memory).await.expect("looked")
    }

    /// Takes what is ready, until nothing is; gives the names, with a mark for those that are no backups.
    async fn take_all(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(name) = self.look().await.ready {
            match self.take(&name).await {
                Taken::Whole => names.push(name),
                Taken::NotWhole(failure) => {
                    names.push(format!("{name}: {}", failure.kind().policy().label));
                }
                other => panic!("{other:?}"),
            }
        }
        names
    }

    async fn take(&mut self, name: &str) -> Taken {
        let progress = Progress::default();
        take(&self.server, &mut self.memory, name, &progress)
            .await
            .expect("taken")
    }

    /// The process ends and another one begins.
    fn restart(&mut self) {
        self.memory = Memory::default();
    }

    fn entries(&self) -> Vec<Entry> {
        store::ledger::read(&self.server.directory).expect("a ledger")
    }

    fn manifest(&self, name: &str) -> Option<Manifest> {
        store::read_manifest(&self.path(name)).expect("readable")
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// When the file of [`NAME`] was complete.
fn written() -> DateTime<Utc> {
    at("2025-11-15T02:03:00Z")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

/// A dump of a cluster with one role.
fn dump(role: &str) -> Vec<u8> {
    gzip(&format!(
        "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE {role};\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
    ))
}

#[tokio::test]
async fn a_whole_file_is_a_backup_and_a_restart_reads_nothing_again() {
    let mut watched = Watched::new();
    watched.write(NAME, &dump("a"), written());
    assert_eq!(watched.take_all().await, [NAME]);
    let manifest = watched.manifest(NAME).expect("a manifest");
    assert!(!manifest.is_ours());
    assert_eq!(manifest.started_at, at("2025-11-15T02:00:00Z"));
    assert_eq!(
        (manifest.finished_at, manifest.duration_seconds),
        (written(), 180.0)
    );
    let [check, backup] = &watched.entries()[..] else {
        panic!("two entries: {:?}", watched.entries());
    };
    assert_eq!(
        (check.job, check.observed, check.result),
        (Job::Verify, false, JobResult::Passed)
    );
    assert_eq!(
        (backup.job, backup.observed, backup.result),
        (Job::Backup, true, JobResult::Passed)
    );
    assert_eq!(
        (backup.started_at, backup.finished_at),
        (manifest.started_at, written())
    );
    assert_eq!(
        backup.sizes.map(|sizes| sizes.bytes),
        Some(manifest.archive.bytes)
    );

    watched.restart();
    assert_eq!(watched.take_all().await, [""; 0]);
    assert_eq!(watched.entries().len(), 2);
    // A manifest that someone removed is made again; the backup is recorded once.
    fs::remove_file(store::manifest_path(&watched.path(NAME))).expect("removed");
    assert!(watched.look().await.changed);
    assert_eq!(watched.take_all().await, [NAME]);
    let backups = watched
        .entries()
        .into_iter()
        .filter(|entry| entry.job == Job::Backup);
    assert_eq!(backups.count(), 1);
    assert!(watched.manifest(NAME).is_some());
}

#[tokio::test]
async fn files_from_before_are_taken_the_oldest_first_and_the_ledger_holds_together() {
    let mut watched = Watched::new();
    let mut names: Vec<_> = (1..=7)
        .map(|day| format!("postgresql_backup_202511{day:02}_020000.sql.gz"))
        .collect();
    for (day, name) in (0..7_i32).zip(&names).rev() {
        watched.write(
            name,
            &dump("a"),
            at("2025-11-01T02:01:00Z") + TimeDelta::days(day.into()),
        );
    }
    watched.write("other.sql.gz", b"x", written());
    assert_eq!(watched.take_all().await, names);
    let checked = store::ledger::check(&watched.server.directory, None, &mut |_| {});
    let checked = checked.expect("read").expect("a ledger");
    assert!(checked.findings.list.is_empty(), "{:?}", checked.findings);
    let period = Period {
        from: at("2025-11-01T00:00:00Z"),
        to: at("2025-11-07T12:00:00Z"),
    };
    let gap = sum_up(&watched.entries(), period).longest_without_backup;
    assert_eq!(gap.seconds, 86_400);

    // The job's own retention.
    let oldest = names.remove(0);
    fs::remove_file(watched.path(&oldest)).expect("removed");
    assert!(watched.look().await.changed);
    assert!(!store::manifest_path(&watched.path(&oldest)).exists());
    assert!(watched.manifest(&names[0]).is_some());
    assert!(!watched.look().await.changed);
}

#[tokio::test]
async fn what_is_cut_or_damaged_is_a_failed_backup_until_it_is_written_again() {
    let mut watched = Watched::new();
    let whole = dump("a");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x55;
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("1", whole[..whole.len() - 9].to_vec(), "dump_incomplete"),
        (
            "2",
            gzip("--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n"),
            "dump_incomplete",
        ),
        ("3", gzip(""), "dump_incomplete"),
        ("4", Vec::new(), "dump_incomplete"),
        ("5", damaged, "damaged"),
    ];
    let name = |case: &str| format!("postgresql_backup_{case}.sql.gz");
    let mut wanted = Vec::new();
    for (case, bytes, reason) in &cases {
        watched.write(&name(case), bytes, written());
        wanted.push(format!("{}: {reason}", name(case)));
    }
    assert_eq!(watched.take_all().await, wanted);
    let failed: Vec<_> = watched
        .entries()
        .into_iter()
        .filter(|entry| entry.result == JobResult::Failed)
        .collect();
    assert_eq!(failed.len(), 10, "a check and a backup each");
    watched.restart();
    assert_eq!(watched.take_all().await, [""; 0], "known from the ledger");
    watched.write(&name("1"), &whole, written() + TimeDelta::seconds(1));
    assert_eq!(watched.take_all().await, [name("1")]);
    assert!(watched.manifest(&name("1")).is_some());
}

#[tokio::test]
async fn a_file_that_is_written_again_is_another_backup() {
    let mut watched = Watched::new();
    let name = "postgresql_backup_latest.sql.gz";
    let path = watched.path(name);
    watched.write(name, &dump("a"), written());
    assert_eq!(watched.take_all().await, [name]);

    watched.write(name, &dump("a_longer_one"), written() + TimeDelta::days(1));
    assert_eq!(store::current_manifest(&path).expect("read"), None);
    let judged = verify::check(&path, &Progress::default())
        .await
        .expect("read");
    assert!(
        judged.fault.is_none(),
        "it is not held against the old manifest"
    );
    assert!(watched.look().await.changed);
    assert_eq!(watched.take_all().await, [name]);
    let manifest = watched.manifest(name).expect("a manifest");
    assert_eq!(manifest.catalog.roles, ["a_longer_one"]);
    assert_eq!(manifest.finished_at, written() + TimeDelta::days(1));

    watched.write(name, &gzip(""), written() + TimeDelta::days(2));
    assert_eq!(
        watched.take_all().await,
        [format!("{name}: dump_incomplete")]
    );
    assert_eq!(watched.manifest(name), None, "it was of what is gone");
}

#[tokio::test]
async fn what_changes_while_nobody_writes_is_damage() {
    let mut watched = Watched::new();
    watched.write(NAME, &dump("aaaa"), written());
    assert_eq!(watched.take_all().await, [NAME]);
    let other = dump("bbbb");
    assert_eq!(other.len(), dump("aaaa").len(), "for the test's sake");
    watched.write(NAME, &other, written());
    let judged = verify::check(&watched.path(NAME), &Progress::default()).await;
    let fault = judged.expect("read").fault.expect("a fault");
    assert_eq!(fault.kind(), FailureKind::Damaged);
    assert!(fault.sentence().contains("SHA-256"), "{}", fault.sentence());
}

#[tokio::test]
async fn an_empty_file_may_still_become_a_backup_while_one_may_take() {
    let mut watched = Watched::new();
    watched.server.backup.timeout = Duration::from_secs(1800);
    watched.write(NAME, &[], Utc::now() - TimeDelta::minutes(29));
    let seen = watched.look().await;
    assert!(seen.growing.is_some() && seen.ready.is_none(), "{seen:?}");
    assert_eq!(store::archives(&watched.server).expect("listed"), []);
    watched.write(NAME, &dump("a"), Utc::now());
    assert_eq!(watched.take_all().await, [NAME]);
}

#[tokio::test]
async fn nothing_is_said_of_a_file_that_moves_while_it_is_read() {
    let mut watched = Watched::new();
    watched.write(NAME, &dump("a"), written());
    let ready = watched.look().await.ready.expect("ready");
    watched.write(NAME, &dump("b")[..20], written() + TimeDelta::seconds(1));
    assert!(matches!(watched.take(&ready).await, Taken::Moved));
    assert!(watched.look().await.ready.is_some());
    fs::remove_file(watched.path(NAME)).expect("removed");
    assert!(matches!(watched.take(&ready).await, Taken::Moved));
    assert_eq!(watched.entries(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_of_a_file_that_grows_while_it_is_read() {
    let mut watched = Watched::new();
    let text = "-- to be read for a while\n".repeat(1_000_000);
    watched.write(NAME, &gzip(&text), written());
    let ready = watched.look().await.ready.expect("ready");
    let (progress, path) = (Progress::default(), watched.path(NAME));
    let reading = progress.clone();
    let writer = std::thread::spawn(move || {
        while reading.now().1 == 0 {
            std::thread::yield_now();
        }
        let file = File::options().append(true).open(path);
        file.expect("open").write_all(b"more").expect("written");
    });
    let taken = take(&watched.server, &mut watched.memory, &ready, &progress).await;
    writer.join().expect("written");
    assert!(matches!(taken, Ok(Taken::Moved)), "{taken:?}");
    assert_eq!(watched.entries(), []);
}

#[tokio::test]
async fn what_cannot_be_written_is_kept_and_written_later() {
    let mut watched = Watched::new();
    watched.write(NAME, &dump("a"), written());
    // Directories where files should be: nobody, not even root, writes those.
    let manifest = watched.path(&format!(".{NAME}.manifest.json.partial"));
    for path in [&manifest, &watched.path(store::ledger::FILE_NAME)] {
        fs::create_dir(path).expect("made");
    }
    assert_eq!(watched.take_all().await, [NAME]);
    let trouble = watched.look().await.trouble.expect("trouble");
    assert!(trouble.contains("write manifest"), "{trouble}");
    assert_eq!(watched.memory.unwritten().count(), 1);
    let mut entries = Vec::new();
    recorder::add_unwritten(&watched.server.directory, &mut entries);
    let jobs: Vec<_> = entries.iter().map(|entry| entry.job).collect();
    assert_eq!(jobs, [Job::Backup, Job::Verify], "in the order of time");

    fs::remove_dir(&manifest).expect("removed");
    watched.look().await;
    assert_eq!(watched.look().await.trouble, None);
    assert_eq!(watched.memory.unwritten().count(), 0);
    assert!(watched.manifest(NAME).is_some());
}

#[tokio::test]
async fn a_backup_of_ours_stays_ours() {
    let mut watched = Watched::new();
    watched.write(NAME, &dump("a"), written());
    assert_eq!(watched.take_all().await, [NAME]);
    let ours = Manifest {
        observed: None,
        ..watched.manifest(NAME).expect("a manifest")
    };
    fs::write(
        store::manifest_path(&watched.path(NAME)),
        ours.to_json().expect("JSON"),
    )
    .expect("written");
    let entries = watched.entries().len();
    watched.restart();
    assert_eq!(watched.take_all().await, [""; 0]);
    watched.write(NAME, &dump("a"), written() + TimeDelta::hours(1));
    watched.take_all().await;
    assert_eq!(watched.manifest(NAME), Some(ours));
    let after = &watched.entries()[entries..];
    assert!(
        after.iter().all(|entry| entry.job == Job::Verify),
        "{after:?}"
    );
}
