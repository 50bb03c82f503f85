use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::promql::Expression;
use crate::status::tests::{at, config, morning};
use crate::status::{Notified, Running, ServerStatus, Space};

fn seven() -> DateTime<Utc> {
    at(7, 0)
}

fn unread(names: &[&str]) -> Shared {
    Shared::new(config(names).servers.into_iter().map(Arc::new), at(0, 30))
}

fn shared(names: &[&str]) -> Shared {
    let shared = unread(names);
    shared.write(|snapshot| {
        for view in &mut snapshot.servers {
            view.status.is_known = true;
        }
    });
    shared
}

fn render(shared: &Shared) -> String {
    Exporter::with_clock(shared.clone(), seven)
        .render()
        .expect("metrics")
}

#[track_caller]
fn has(text: &str, line: &str) {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let near: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
    assert!(
        text.lines().any(|one| one == line),
        "no {line}\namong {near:#?}"
    );
}

#[test]
fn what_the_disk_says_is_left_out_until_it_was_read() {
    let shared = unread(&["a", "b"]);
    shared.update_nth(1, |view| view.status = ServerStatus::new(&morning()));
    let text = render(&shared);
    let names = |server: &str| -> BTreeSet<String> {
        let label = format!("{{server=\"{server}\"");
        let lines = text.lines().filter_map(|line| line.split_once(&label));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    let (unread, read) = (names("a"), names("b"));
    assert!(unread.is_subset(&read));
    for name in &unread {
        let kept = [
            "up",
            "_objective_",
            "_volume_",
            "_directory_size_",
            "_next_run_",
            "_expected_interval_",
            "_in_progress",
            "_progress_bytes",
            "_paused",
        ];
        assert!(kept.iter().any(|part| name.contains(part)), "{name}");
    }
    for name in read.difference(&unread) {
        assert!(
            !name.contains("objective") && !name.contains("in_progress"),
            "{name}"
        );
    }
    for name in [
        "up",
        "objective_max_age_seconds",
        "backup_paused",
        "drill_next_run_timestamp_seconds",
    ] {
        assert!(unread.contains(&format!("pgvigil_{name}")), "{name}");
    }
    for name in [
        "backup_last_success_timestamp_seconds",
        "backups",
        "backup_failures_total",
        "verify_corrupt_backups",
        "drill_attempts_total",
        "prune_last_success_timestamp_seconds",
        "volume_full_timestamp_seconds",
        "ledger_first_entry_timestamp_seconds",
    ] {
        let name = format!("pgvigil_{name}");
        assert!(read.contains(&name) && !unread.contains(&name), "{name}");
    }
}

#[test]
fn every_series_exists_from_the_start() {
    let text = render(&shared(&["a", "b"]));
    has(&text, "pgvigil_up{server=\"b\"} 0");
    has(
        &text,
        "pgvigil_backup_last_success_timestamp_seconds{server=\"a\"} 0",
    );
    has(
        &text,
        "pgvigil_backup_failures_total{server=\"a\",reason=\"no_space\"} 0",
    );
    has(
        &text,
        "pgvigil_drill_failures_total{server=\"a\",reason=\"not_equal\"} 0",
    );
    has(
        &text,
        "pgvigil_drill_phase_duration_seconds{server=\"a\",phase=\"restore\"} 0",
    );
    for name in [
        "volume_requested_bytes",
        "backup_directory_size_bytes",
        "volume_full_timestamp_seconds",
        "backup_predicted_size_bytes",
        "backup_median_size_bytes",
        "prune_last_success_timestamp_seconds",
        "prune_last_failure_timestamp_seconds",
        "pruned_backups_total",
    ] {
        has(&text, &format!("pgvigil_{name}{{server=\"b\"}} 0"));
    }
    has(&text, "pgvigil_backup_age_seconds{server=\"a\"} inf");
    has(
        &text,
        "pgvigil_ledger_first_entry_timestamp_seconds{server=\"a\"} 0",
    );
    has(
        &text,
        "pgvigil_objective_max_age_seconds{server=\"a\"} 172800",
    );
    has(
        &text,
        "pgvigil_config_last_reload_success_timestamp_seconds 1780273800",
    );
    has(
        &text,
        &format!(
            "pgvigil_build_info{{version=\"{}\",revision=\"unknown\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
    );
    for name in [
        "process_start_time_seconds",
        "pgvigil_scrape_duration_seconds",
        "process_resident_memory_bytes",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn a_morning_is_told() {
    let shared = shared(&["a"]);
    let progress = Progress::default();
    progress.stage("dump", 0);
    progress.add(77);
    shared.update_nth(0, |view| {
        view.status = ServerStatus::new(&morning());
        view.up = true;
        view.running = Some(Running {
            job: Job::Backup,
            started_at: at(6, 59),
            progress,
        });
        view.next.backup = Some(at(12, 0));
        view.paused = Some(crate::status::Paused {
            pause: crate::config::Pause {
                reason: "moves".to_owned(),
                until: Some(at(9, 0)),
            },
            since: at(6, 0),
            configured: false,
        });
        view.space = Space {
            size_bytes: 100,
            available_bytes: 25,
            used_bytes: 75,
            files_free: 9,
            ..Space::default()
        };
    });
    let text = render(&shared);
    has(&text, "pgvigil_up{server=\"a\"} 1");
    has(&text, "pgvigil_backup_age_seconds{server=\"a\"} 14400");
    has(&text, "pgvigil_backup_attempts_total{server=\"a\"} 2");
    has(
        &text,
        "pgvigil_backup_failures_total{server=\"a\",reason=\"connect\"} 1",
    );
    has(&text, "pgvigil_backup_in_progress{server=\"a\"} 1");
    has(&text, "pgvigil_backup_progress_bytes{server=\"a\"} 77");
    has(&text, "pgvigil_backup_paused{server=\"a\"} 1");
    has(
        &text,
        "pgvigil_backup_pause_info{server=\"a\",reason=\"moves\"} 1",
    );
    has(
        &text,
        &format!(
            "pgvigil_backup_paused_until_timestamp_seconds{{server=\"a\"}} {}",
            at(9, 0).timestamp()
        ),
    );
    has(
        &text,
        &format!(
            "pgvigil_backup_in_progress_since_timestamp_seconds{{server=\"a\"}} {}",
            at(6, 59).timestamp()
        ),
    );
    has(&text, "pgvigil_verify_attempts_total{server=\"a\"} 4");
    has(
        &text,
        "pgvigil_backup_last_duration_seconds{server=\"a\"} 600",
    );
    has(
        &text,
        "pgvigil_backup_database_rows{server=\"a\",database=\"app_db\"} 42",
    );
    has(
        &text,
        "pgvigil_backup_database_size_bytes{server=\"a\",database=\"app_db\"} 8192",
    );
    has(&text, "pgvigil_backups{server=\"a\"} 3");
    has(&text, "pgvigil_verify_corrupt_backups{server=\"a\"} 1");
    has(&text, "pgvigil_drill_tables_compared{server=\"a\"} 7");
    has(
        &text,
        "pgvigil_drill_phase_duration_seconds{server=\"a\",phase=\"compare\"} 30",
    );
    has(
        &text,
        "pgvigil_drill_phase_duration_seconds{server=\"a\",phase=\"restore\"} 90",
    );
    has(&text, "pgvigil_volume_fill_ratio{server=\"a\"} 0.75");
    let proven = format!(
        "pgvigil_drill_proven_backup_timestamp_seconds{{server=\"a\"}} {}",
        at(3, 0).timestamp()
    );
    has(&text, &proven);
    // The first attempt failed; it is one all the same.
    let first = morning().entries[0].started_at.timestamp();
    has(
        &text,
        &format!("pgvigil_ledger_first_entry_timestamp_seconds{{server=\"a\"}} {first}"),
    );
}

#[test]
fn what_is_to_be_expected_is_told() {
    let shared = shared(&["a"]);
    let mut loaded = morning();
    let mut removed = crate::status::tests::entry(
        Job::Prune,
        crate::ledger::JobResult::Passed,
        at(6, 30),
        None,
    );
    removed.pruned = Some(crate::ledger::PruneFacts {
        removed: vec!["x".to_owned(), "y".to_owned()],
        ..Default::default()
    });
    loaded.entries.push(removed);
    loaded.outlook = crate::status::Outlook {
        predicted_bytes: Some(1_100),
        usual_bytes: Some(900),
        volume: crate::forecast::Foreseen {
            full_at: Some(at(23, 0)),
            left: vec![],
        },
    };
    shared.update_nth(0, |view| {
        view.status = ServerStatus::new(&loaded);
        view.space = Space {
            size_bytes: 1_000,
            available_bytes: 900,
            used_bytes: 100,
            requested_bytes: 100,
            directory_bytes: 90,
            ..Space::default()
        };
    });
    let text = render(&shared);
    for (name, value) in [
        ("volume_requested_bytes", 100),
        ("backup_directory_size_bytes", 90),
        ("volume_full_timestamp_seconds", at(23, 0).timestamp()),
        ("backup_predicted_size_bytes", 1_100),
        ("backup_median_size_bytes", 900),
        (
            "prune_last_success_timestamp_seconds",
            at(6, 30).timestamp(),
        ),
        ("prune_last_failure_timestamp_seconds", 0),
        ("pruned_backups_total", 2),
    ] {
        has(&text, &format!("pgvigil_{name}{{server=\"a\"}} {value}"));
    }
    has(&text, "pgvigil_volume_fill_ratio{server=\"a\"} 0.9");
}

#[test]
fn database_names_are_escaped() {
    let shared = shared(&["a"]);
    let mut loaded = morning();
    loaded.backups[0].databases[0].name = "we\"ird\\\n".to_owned();
    shared.update_nth(0, |view| view.status = ServerStatus::new(&loaded));
    has(
        &render(&shared),
        "pgvigil_backup_database_rows{server=\"a\",database=\"we\\\"ird\\\\\\n\"} 42",
    );
}

#[test]
fn names_and_help_keep_the_conventions() {
    let text = render(&shared(&["a"]));
    for line in text
        .lines()
        .filter(|line| line.starts_with("# TYPE pgvigil_"))
    {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        assert!(text.contains(&format!("# HELP {name} ")), "{line}");
    }
    let helps = text
        .lines()
        .filter(|line| line.starts_with("# HELP pgvigil_"));
    assert!(
        helps.clone().all(|line| line.ends_with('.')),
        "a help text is a sentence"
    );
}

#[test]
fn a_scrape_does_not_grow_with_the_backups() {
    let lines = |backups: usize| {
        let shared = shared(&["a"]);
        let mut loaded = morning();
        loaded.backups = (0..backups)
            .map(|n| crate::status::tests::backup(&format!("b{n}"), at(3, 0)))
            .collect();
        shared.update_nth(0, |view| view.status = ServerStatus::new(&loaded));
        render(&shared)
            .lines()
            .filter(|line| line.starts_with("pgvigil_"))
            .count()
    };
    assert_eq!(lines(1), lines(1_000));
}

#[test]
fn a_backup_that_someone_else_writes_is_in_progress() {
    let shared = shared(&["a"]);
    shared.update_nth(0, |view| view.observed_growing = Some(at(2, 1)));
    let text = render(&shared);
    has(&text, "pgvigil_backup_in_progress{server=\"a\"} 1");
    has(
        &text,
        &format!(
            "pgvigil_backup_in_progress_since_timestamp_seconds{{server=\"a\"}} {}",
            at(2, 1).timestamp()
        ),
    );
}

#[test]
fn what_became_of_notifications_is_told() {
    let shared = shared(&["a"]);
    assert!(!render(&shared).contains("pgvigil_notifications"));
    shared.write(|snapshot| {
        snapshot.notified = vec![
            Notified {
                alertmanager: "http://one:9093".to_owned(),
                sent: 3,
                failed: 1,
                last_success: Some(at(2, 0)),
            },
            Notified {
                alertmanager: "http://two:9093".to_owned(),
                ..Notified::default()
            },
        ];
    });
    let text = render(&shared);
    for (name, one, two) in [
        ("sent_total", "3", "0"),
        ("failed_total", "1", "0"),
        ("last_success_timestamp_seconds", "1780279200", "0"),
    ] {
        let of = |which: &str| {
            format!("pgvigil_notifications_{name}{{alertmanager=\"http://{which}:9093\"}}")
        };
        has(&text, &format!("{} {one}", of("one")));
        has(&text, &format!("{} {two}", of("two")));
    }
}

/// Whoever evaluates rules here sees what Prometheus reads, and the labels that it would add.
#[test]
fn samples_are_those_of_the_text() {
    let shared = shared(&["a", "b"]);
    shared.update_nth(1, |view| {
        view.up = true;
        view.space.size_bytes = 7;
    });
    let text = render(&shared);
    let (lines, names): (Vec<_>, BTreeSet<String>) = text
        .lines()
        .filter(|line| line.starts_with("pgvigil_") && !line.starts_with("pgvigil_scrape"))
        .map(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            (line.to_owned(), name.to_owned())
        })
        .unzip();
    let labels = BTreeMap::from([("zone".to_owned(), "z1".to_owned())]);
    let samples = shared.read(|snapshot| samples(snapshot, seven(), &names, &labels));
    let mut found = Vec::new();
    for name in &names {
        let selector = Expression::parse(name).expect(name);
        for sample in selector.evaluate(&samples, 0.0).expect(name) {
            assert_eq!(sample.labels.get("zone"), "z1");
            let own = sample.labels.iter().filter(|(name, _)| *name != "zone");
            let mut own: Vec<_> = own.map(|(n, v)| format!("{n}=\"{v}\"")).collect();
            // The text has the server first, and the version of the program.
            own.sort_by_key(|label| {
                !label.starts_with("server=") && !label.starts_with("version=")
            });
            let braces = if own.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", own.join(","))
            };
            found.push(format!("{name}{braces} {}", sample.value));
        }
    }
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(found), sorted(lines));
    let few = BTreeSet::from(["pgvigil_up".to_owned()]);
    let few = shared.read(|snapshot| super::samples(snapshot, seven(), &few, &labels));
    let selected = |name| Expression::parse(name).expect(name).evaluate(&few, 0.0);
    assert_eq!(selected("pgvigil_up").map(|all| all.len()), Ok(2));
    assert_eq!(selected("pgvigil_volume_size_bytes"), Ok(Vec::new()));
}
