//! A backup that will not fit is not begun: nothing old is lost, the volume does not fill, and the policy makes room first.
//!
//! The volume is a tmpfs in a mount namespace of its own, so that nothing stays mounted however a test ends.

use std::fs;

use chrono::{TimeDelta, Utc};

use crate::support::config::with_policy;
use crate::support::fake::{self, REAL};
use crate::support::place::{Place, executable};
use crate::support::program::{Done, Pgvigil};
use crate::support::{are_root, sample};

/// What a run on a small volume came to.
struct Ran {
    done: Done,
    /// What the volume held before and afterwards, the ledger apart: digests and names.
    before: Vec<String>,
    after: Vec<String>,
    ledger: Vec<serde_json::Value>,
    dumped: bool,
}

/// Takes a backup on a volume with these mount options, that holds the sample's backup from so many days ago each, and a
/// file of so many KiB that nobody knows.
fn run(options: &str, days: &[i64], other_kib: usize, when_short: &str) -> Ran {
    let place = Place::new();
    let server = sample::system();
    let script = format!("touch '{}'\n{REAL}", place.join("dumped").display());
    let fake = fake::dumpall(&place, server.programs(), &script);
    let backup = format!("when_short: {when_short}");
    let config = with_policy(&place, server, &fake, &backup, "keep_days: 7");
    let stock = place.join("stock");
    fs::create_dir(&stock).unwrap();
    for days in days {
        sample::backup().put_as(
            &stock,
            Utc::now() - TimeDelta::days(*days) - TimeDelta::hours(1),
        );
    }
    fs::write(stock.join("other"), vec![7; other_kib << 10]).unwrap();
    let list = "sha256sum $(ls -A | grep -v '^ledger.jsonl$')";
    let shell = format!(
        "set -e; mount -t tmpfs -o {options} none '{0}'; cp -p '{1}'/* '{0}'; cd '{0}'; {list} > ../before; \
         set +e; '{2}' backup --json --config '{3}'; code=$?; {list} > ../after; cp ledger.jsonl ..; exit $code",
        place.backups().display(),
        stock.display(),
        executable().display(),
        config.display()
    );
    let mut arguments = vec!["--mount"];
    if !are_root() {
        arguments.push("--map-root-user");
    }
    arguments.extend(["sh", "-c", &shell]);
    let done = Pgvigil::by("unshare", &place)
        .env("PGVIGIL_LOG_LEVEL", "warn")
        .args(arguments)
        .run();
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(place.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let ledger = lines("ledger.jsonl");
    Ran {
        before: lines("before"),
        after: lines("after"),
        ledger: ledger
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        dumped: place.join("dumped").exists(),
        done,
    }
}

#[track_caller]
fn refused(ran: Ran, says: &str) {
    let done = ran.done.exits(3);
    let document = done.json();
    assert_eq!(document["reason"], "no_space", "{document}");
    let message = document["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
    assert!(message.contains("backup.when_short: warn"), "{message}");
    assert!(!ran.before.is_empty());
    assert_eq!(
        ran.before, ran.after,
        "nothing old is lost, and nothing new is there"
    );
    assert!(!ran.dumped, "the dump was not begun");
    let last = ran.ledger.last().unwrap();
    assert_eq!(
        (&last["job"], &last["reason"]),
        (&"backup".into(), &"no_space".into())
    );
}

#[test]
fn what_will_not_fit_is_refused_before_the_volume_fills() {
    let ran = run("size=3m", &[0, 1, 2], 2_000, "refuse");
    assert_eq!(ran.ledger.len(), 1, "nothing was pruned: {:?}", ran.ledger);
    refused(ran, "it will have about ");
}

#[test]
fn what_the_policy_no_longer_wants_makes_room_first() {
    let ran = run(
        "size=3m",
        &[0, 1, 9, 10, 11, 12, 13, 14, 15, 16],
        1_400,
        "refuse",
    );
    ran.done.exits(0);
    let jobs: Vec<_> = ran
        .ledger
        .iter()
        .map(|entry| entry["job"].as_str().unwrap())
        .collect();
    assert_eq!(jobs, ["prune", "backup"]);
    assert_eq!(
        ran.ledger[0]["pruned"]["removed"].as_array().unwrap().len(),
        8
    );
    let sizes = &ran.ledger[1]["sizes"];
    assert!(sizes["bytes"].as_u64() > Some(50_000), "{sizes}");
    assert!(
        sizes["database_bytes"].as_u64() > sizes["uncompressed_bytes"].as_u64(),
        "{sizes}"
    );
    // The two new ones and what there was of the last week, and the file that nobody knows.
    assert_eq!(ran.after.len(), 7, "{:?}", ran.after);
    assert_eq!(
        ran.after
            .iter()
            .filter(|line| ran.before.contains(line))
            .count(),
        5
    );
}

#[test]
fn where_it_is_to_be_tried_all_the_same_it_is_and_that_is_said() {
    let ran = run("size=3m", &[0, 1, 2], 2_000, "warn");
    let done = ran.done.exits(0);
    assert!(
        done.stderr.contains("going on, as backup.when_short says"),
        "{}",
        done.stderr
    );
    assert_eq!(ran.after.len(), ran.before.len() + 2);
}

#[test]
fn a_volume_without_inodes_is_as_short() {
    // The root, seven files, and two more: the ledger and an archive.
    let ran = run("size=20m,nr_inodes=10", &[0, 1, 2], 1, "refuse");
    refused(ran, "files can still be made");
}

#[test]
fn where_there_is_room_and_where_nothing_is_known_it_is_taken() {
    for days in [&[0, 9][..], &[]] {
        let ran = run("size=3m", days, 1, "refuse");
        ran.done.exits(0);
        assert_eq!(
            ran.after.len(),
            ran.before.len() + 2,
            "and nothing was pruned"
        );
    }
}
