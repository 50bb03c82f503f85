//! Killed at any moment: nothing partial stays behind the next run, nothing keeps running, what is published is whole.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::place::Place;
use crate::support::program::{Done, Running, all_gone, pgvigil};
use crate::support::{sample, wait_until};

/// Moments of a run that it is killed at.
const MOMENTS: u32 = 10;

/// How long what a killed run started may take to end.
const CLEANED_UP: Duration = Duration::from_secs(15);

fn run(place: &Place, verb: &str) -> Running {
    pgvigil(place)
        .on(sample::system(), place)
        .args([verb, "--json"])
        .start()
}

fn done(place: &Place, verb: &str) -> Done {
    run(place, verb).wait(Duration::from_secs(60)).exits(0)
}

/// How long a whole run takes here and now.
fn measured(place: &Place, verb: &str) -> Duration {
    let began = Instant::now();
    done(place, verb);
    began.elapsed()
}

/// Kills it after a part of the time that it takes. The wait is the fault itself, not a hope.
fn killed_after(mut running: Running, time: Duration) {
    std::thread::sleep(time);
    if !running.has_ended() {
        running.signal(Signal::KILL);
    }
    running.wait(Duration::from_secs(10));
}

#[test]
fn a_backup_killed_at_any_moment() {
    let place = Place::new();
    // The first one also starts the server.
    done(&place, "backup");
    let whole = measured(&place, "backup");
    for moment in 0..MOMENTS {
        killed_after(
            run(&place, "backup"),
            whole * (2 * moment + 1) / (2 * MOMENTS),
        );
        all_gone(&place, CLEANED_UP);
        // A backup is published from its rename on, even where its manifest still is to come.
        let before = place.archives();
        done(&place, "backup");
        let archives = place.archives();
        assert_eq!(archives.len(), before.len() + 1, "none is lost, one is new");
        let mut wanted: Vec<_> = archives
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .flat_map(|name| [name.to_owned(), format!("{name}.manifest.json")])
            .collect();
        wanted.sort();
        assert_eq!(place.names(), wanted, "killed at moment {moment}");
    }
    let verified = pgvigil(&place)
        .on(sample::system(), &place)
        .args(["verify", "--all", "--json"])
        .run()
        .exits(0)
        .json();
    for report in verified.as_array().unwrap() {
        assert_eq!(report["passed"], true, "{report}");
        assert_eq!(report["compared_with_manifest"], true, "{report}");
    }
    the_ledger_has_no_gap(&place);
}

/// Every line is whole and follows the one before it, whatever was killed.
fn the_ledger_has_no_gap(place: &Place) {
    let entries = place.ledger();
    assert!(entries.len() > MOMENTS as usize);
    let text = std::fs::read(place.backups().join("ledger.jsonl")).unwrap();
    let mut previous = pgvigil::ledger::GENESIS.to_owned();
    for (index, (entry, line)) in entries
        .iter()
        .zip(text.split(|byte| *byte == b'\n'))
        .enumerate()
    {
        assert_eq!(entry["sequence"], Value::from(index + 1), "{entry}");
        assert_eq!(entry["previous"], previous, "{entry}");
        previous = pgvigil::ledger::digest(line);
    }
}

#[test]
fn a_drill_killed_at_any_moment() {
    let place = Place::new();
    sample::backup().put(&place);
    let whole = measured(&place, "drill");
    let mut left_something = 0;
    for moment in 0..MOMENTS {
        killed_after(
            run(&place, "drill"),
            whole * (2 * moment + 1) / (2 * MOMENTS),
        );
        all_gone(&place, CLEANED_UP);
        // The wardens have ended, and removed what they had to.
        if place.scratch_directories().is_empty() {
            continue;
        }
        // Killed in the milliseconds in which no warden had the directory yet: the next drill sweeps it.
        left_something += 1;
        done(&place, "drill");
        assert_eq!(place.scratch_directories(), Vec::<String>::new());
    }
    assert!(left_something <= 1, "left something {left_something} times");
    done(&place, "drill");
    all_gone(&place, CLEANED_UP);
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
}

#[test]
fn a_drill_that_is_asked_to_end() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        sample::backup().put(&place);
        let running = run(&place, "drill");
        wait_until("a scratch server runs", Duration::from_secs(60), || {
            let mut directories = place.scratch_directories().into_iter();
            directories.any(|name| {
                let data = place.tmp().join(name).join("data");
                data.join("postmaster.pid").exists()
            })
        });
        running.signal(signal);
        let ended = running.wait(Duration::from_secs(30)).exits(3);
        assert_eq!(ended.json()["result"], "error");
        assert_eq!(place.scratch_directories(), Vec::<String>::new());
        assert_eq!(place.processes(), Vec::<String>::new());
        assert_eq!(place.ledger()[0]["reason"], "cancelled");
        assert_eq!(place.ledger()[0]["result"], "error");
    }
}

/// What a run leaves whose warden was killed too, the next drill finds.
#[test]
fn what_a_killed_warden_leaves_is_swept() {
    let place = Place::new();
    sample::backup().put(&place);
    let left = place.tmp().join("pgvigil-scratch-1-00000001");
    std::fs::create_dir_all(left.join("data")).unwrap();
    // The first process was not started when this says.
    std::fs::write(left.join("pgvigil-scratch"), "1 1\n").unwrap();
    let other = place.tmp().join("pgvigil-scratch-not-ours");
    std::fs::create_dir(&other).unwrap();
    done(&place, "drill");
    assert!(!left.exists());
    assert!(other.exists(), "without its mark it is not ours to remove");
}
