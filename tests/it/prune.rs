//! What must stay stays, byte for byte: prune removes backups by the policy, and nothing else in the directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{FlockOperation, flock};

use crate::support::config::with_policy;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::{are_root, nobody, programs, sample};

fn name(begun: DateTime<Utc>) -> String {
    begun
        .format("postgresql_backup_%Y%m%d_%H%M%S.sql.gz")
        .to_string()
}

fn ago(days: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(days) - TimeDelta::hours(1)
}

/// Puts the sample's backup as one from so many days ago.
fn put(directory: &Path, days: i64) -> PathBuf {
    sample::backup().put_as(directory, ago(days))
}

fn policy(place: &Place, backup: &str, retention: &str) -> PathBuf {
    let server = sample::system();
    with_policy(
        place,
        server,
        &programs::system().directory,
        backup,
        retention,
    )
}

/// All there is, links not followed: what a path is, and what it holds.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let what = if kind.is_dir() {
                directories.push(path.clone());
                "directory".to_owned()
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else {
                format!("{:?}", fs::read(&path).unwrap())
            };
            found.insert(path, what);
        }
    }
    found.retain(|path, _| !path.ends_with("ledger.jsonl"));
    found
}

fn age(path: &Path, days: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400))
        .unwrap();
}

#[test]
fn only_unwanted_backups_go_whatever_else_there_is() {
    let place = Place::new();
    let directory = place.backups();
    let config = policy(&place, "", "keep_days: 7, keep_min: 2");
    let config = config.to_str().unwrap();
    let recent: Vec<_> = (0..3).map(|days| put(&directory, days)).collect();
    let damaged_recent = put(&directory, 5);
    let damaged_old = put(&directory, 20);
    let proven = put(&directory, 30);
    let unwanted: Vec<_> = [9, 10, 40]
        .into_iter()
        .map(|days| put(&directory, days))
        .collect();
    // Shorter than its manifest says, and not verified since.
    let cut = put(&directory, 12);
    fs::write(&cut, &sample::backup().archive[..100]).unwrap();
    for path in [&damaged_recent, &damaged_old] {
        let mut bytes = sample::backup().archive.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        fs::write(path, bytes).unwrap();
        let verify = pgvigil(&place)
            .args(["verify", "--config", config])
            .about(path)
            .run();
        assert_eq!(verify.status.code(), Some(1));
    }
    let drill = pgvigil(&place)
        .args(["drill", "--config", config])
        .about(&proven)
        .run();
    drill.exits(0);

    // Everything else that may lie there.
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        age(&path, 100);
        path
    };
    let archive = &sample::backup().archive;
    let foreign = write(&name(ago(50)), archive);
    write("before_the_upgrade.sql.gz", archive);
    write("postgresql_backup_20200101_000000.sql.gz.txt", b"x");
    write("postgresql_backup_20209999_000000.sql.gz", archive);
    write("postgresql_backup_2020-01-01.sql.gz", archive);
    write("postgresql_backup_20200101_000000.sql.gz ", archive);
    write(".postgresql_backup_20200101_000000.sql.gz.partial", b"x");
    write("notes", b"x");
    let newer = put(&directory, 60);
    let manifest = PathBuf::from(format!("{}.manifest.json", newer.display()));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("\"format_version\": 1", "\"format_version\": 99"),
    )
    .unwrap();
    let other_name = put(&directory, 61);
    fs::rename(&other_name, directory.join(name(ago(62)))).unwrap();
    let moved = PathBuf::from(format!("{}.manifest.json", other_name.display()));
    fs::rename(
        &moved,
        directory.join(format!("{}.manifest.json", name(ago(62)))),
    )
    .unwrap();
    let inside = directory.join(name(ago(70)));
    fs::create_dir(&inside).unwrap();
    put(&inside, 71);
    let before_restore = directory.join("before_restore");
    fs::create_dir(&before_restore).unwrap();
    put(&before_restore, 80);
    let outside = put(&place.tmp(), 90);
    let link = directory.join(name(ago(90)));
    symlink(&outside, &link).unwrap();
    fs::copy(
        format!("{}.manifest.json", outside.display()),
        format!("{}.manifest.json", link.display()),
    )
    .unwrap();
    let nowhere = put(&directory, 91);
    fs::remove_file(&nowhere).unwrap();
    symlink("/nowhere", &nowhere).unwrap();
    let orphan = put(&directory, 92);
    fs::remove_file(&orphan).unwrap();
    write(&format!("{}.manifest.json", name(ago(93))), b"no manifest");
    write("other.sql.gz.manifest.json", &sample::backup().manifest);

    let before = (tree(&directory), tree(&place.tmp()));
    let dry = pgvigil(&place)
        .args(["prune", "--dry-run", "--json", "--config", config])
        .run()
        .exits(0);
    assert_eq!(before.0, tree(&directory), "a dry run does nothing");
    let entries = place.ledger().len();

    let done = pgvigil(&place)
        .args(["prune", "--json", "--config", config])
        .run()
        .exits(0);
    let mut gone: Vec<PathBuf> = unwanted
        .iter()
        .chain([&damaged_old, &cut])
        .cloned()
        .collect();
    gone.extend(
        gone.clone()
            .iter()
            .map(|path| format!("{}.manifest.json", path.display()).into()),
    );
    gone.push(format!("{}.manifest.json", orphan.display()).into());
    let mut expected = before.0;
    for path in &gone {
        assert!(
            expected.remove(path).is_some(),
            "{} was there",
            path.display()
        );
    }
    let after = tree(&directory);
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert_eq!(after, expected);
    assert_eq!(before.1, tree(&place.tmp()), "nothing outside");

    let (dry, done) = (dry.json(), done.json());
    assert_eq!(
        (&dry[0]["dry_run"], &done[0]["dry_run"]),
        (&true.into(), &false.into())
    );
    for key in ["files", "removed", "freed_bytes", "kept", "orphans"] {
        assert_eq!(dry[0][key], done[0][key], "{key}");
    }
    let why = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let files = done[0]["files"].as_array().unwrap();
        let of_it = files
            .iter()
            .find(|file| file["name"] == name)
            .map(|file| &file["reasons"]);
        of_it.map_or_else(|| "not judged".to_owned(), ToString::to_string)
    };
    assert_eq!(
        why(&recent[0]),
        r#"["newest good","younger than 7 days","keep_min 2"]"#
    );
    assert_eq!(
        why(&damaged_recent),
        r#"["not good: does not count, kept 7 days as evidence"]"#
    );
    assert_eq!(why(&proven), r#"["newest proven"]"#);
    assert_eq!(why(&foreign), r#"["foreign, adopt is off"]"#);
    assert_eq!(why(&newer), r#"["foreign, adopt is off"]"#);
    assert_eq!(why(&cut), r#"["not good, and older than 7 days"]"#);
    for path in [
        &link,
        &nowhere,
        &inside,
        &directory.join("before_the_upgrade.sql.gz"),
    ] {
        assert_eq!(why(path), "not judged");
    }

    let ledger = place.ledger();
    assert_eq!(ledger.len(), entries + 1);
    let last = &ledger[entries];
    assert_eq!(
        (&last["job"], &last["result"]),
        (&"prune".into(), &"passed".into())
    );
    assert_eq!(last["pruned"]["removed"], done[0]["removed"]);
    assert_eq!(last["pruned"]["removed"].as_array().unwrap().len(), 5);
    let shown = pgvigil(&place)
        .args(["ledger", "show", "--config", config])
        .run()
        .exits(0);
    assert!(
        shown.stdout.contains("removed 5 backups, "),
        "{}",
        shown.stdout
    );
    pgvigil(&place)
        .args(["ledger", "verify", "--config", config])
        .run()
        .exits(0);

    let again = pgvigil(&place)
        .args(["prune", "--config", config])
        .run()
        .exits(0);
    assert!(
        again.stdout.contains("removed 0 backups"),
        "{}",
        again.stdout
    );
    assert_eq!(place.ledger().len(), entries + 1, "nothing to say");
    assert_eq!(after, tree(&directory));
}

#[test]
fn files_of_others_go_only_where_they_are_adopted() {
    let place = Place::new();
    let directory = place.backups();
    let observe = "mode: observe, pattern: 'dump-*.sql.gz'";
    let archive = &sample::backup().archive;
    for days in 0..12 {
        let path = directory.join(format!("dump-{days:02}.sql.gz"));
        fs::write(&path, archive).unwrap();
        age(&path, days);
    }
    let other = directory.join("other.sql.gz");
    fs::write(&other, archive).unwrap();
    age(&other, 100);
    let before = tree(&directory);
    let run = |retention: &str| {
        let config = policy(&place, observe, retention);
        pgvigil(&place)
            .args(["prune", "--config"])
            .about(&config)
            .run()
            .exits(0)
    };
    assert!(run("keep_days: 7").stdout.contains("removed 0 backups"));
    // Nobody knows yet whether any of them is whole.
    let text = run("keep_days: 7, adopt: true").stdout;
    assert!(
        text.contains("there is no good backup; removal waits for one"),
        "{text}"
    );
    assert_eq!(tree(&directory), before);
    for days in 0..3 {
        let path = directory.join(format!("dump-{days:02}.sql.gz"));
        let config = policy(&place, observe, "keep_days: 7");
        pgvigil(&place)
            .args(["verify", "--config"])
            .about(&config)
            .about(&path)
            .run()
            .exits(0);
    }
    let text = run("keep_days: 7, adopt: true").stdout;
    assert!(text.contains("removed 5 backups, "), "{text}");
    let left: Vec<_> = place.names();
    assert_eq!(left.len(), 8, "{left:?}");
    assert!(
        left.contains(&"dump-06.sql.gz".to_owned()) && left.contains(&"other.sql.gz".to_owned())
    );
}

#[test]
fn without_a_configuration_or_while_another_works_nothing_is_done() {
    let place = Place::new();
    for days in 0..12 {
        put(&place.backups(), days);
    }
    let before = tree(&place.backups());
    let done = pgvigil(&place)
        .args(["prune", "--directory"])
        .about(&place.backups())
        .run()
        .exits(2);
    assert!(
        done.sentence().contains("nobody has said what to keep"),
        "{}",
        done.stderr
    );
    let config = policy(&place, "", "keep_days: 7");
    let held = fs::File::open(place.backups()).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    let busy = pgvigil(&place)
        .args(["prune", "--json", "--config"])
        .about(&config)
        .run()
        .exits(3);
    assert_eq!(busy.json()["reason"], "busy");
    let dry = pgvigil(&place)
        .args(["prune", "--dry-run", "--config"])
        .about(&config)
        .run()
        .exits(0);
    assert!(
        dry.stdout.contains("would remove 5 backups"),
        "{}",
        dry.stdout
    );
    assert_eq!(tree(&place.backups()), before);
    drop(held);
    // Someone reads one of them.
    let reading = fs::File::open(place.backups().join(name(ago(10)))).or_else(|_| {
        // The clock has moved on by a second since it was put there.
        fs::File::open(place.archives().remove(1))
    });
    let reading = reading.unwrap();
    flock(&reading, FlockOperation::NonBlockingLockShared).unwrap();
    let done = pgvigil(&place)
        .args(["prune", "--config"])
        .about(&config)
        .run()
        .exits(0);
    assert!(
        done.stdout.contains("keep: in use") && done.stdout.contains("removed 4 backups"),
        "{}",
        done.stdout
    );
}

/// In a directory with the sticky bit, files of others cannot be removed.
#[test]
fn one_that_cannot_be_removed_does_not_stop_the_others() {
    if !are_root() {
        // Nobody else can make files that he may not remove. The unit tests have the same with files that changed.
        return;
    }
    let place = Place::new();
    let files: Vec<_> = (0..12).map(|days| put(&place.backups(), days)).collect();
    let config = policy(&place, "", "keep_days: 7");
    place.give_to_nobody();
    let (uid, gid) = nobody();
    for path in place.names() {
        std::os::unix::fs::chown(place.backups().join(path), Some(uid), Some(gid)).unwrap();
    }
    let stuck = &files[9];
    for path in [&place.backups(), stuck] {
        std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap();
    }
    fs::set_permissions(place.backups(), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(stuck, fs::Permissions::from_mode(0o644)).unwrap();
    let command = pgvigil(&place)
        .args(["prune", "--config"])
        .about(&config)
        .under_nobody();
    let done = command.run().exits(3);
    assert!(
        done.stdout.contains("removed 4 backups"),
        "{}\n{}",
        done.stdout,
        done.stderr
    );
    assert!(
        done.stdout.contains("NOT REMOVED: remove "),
        "{}",
        done.stdout
    );
    assert!(stuck.exists() && !files[8].exists() && !files[10].exists());
    let ledger = place.ledger();
    assert_eq!(ledger[0]["result"], "error");
    assert_eq!(ledger[0]["pruned"]["removed"].as_array().unwrap().len(), 4);
}
