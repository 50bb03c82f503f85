//! Others on the same directory, and what a killed one left.

use super::*;
use crate::agenda::{Due, Rule, Rules};

/// Nights up to now.
fn days_since(first: DateTime<Utc>, clock: &FastClock) -> usize {
    usize::try_from((clock.now() - first).num_days()).expect("later") + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_on_one_directory_run_each_due_time_once() {
    let disk = Arc::new(Disk::default());
    let runner = || {
        Arc::new(FakeRunner {
            disk: Arc::clone(&disk),
            ..FakeRunner::default()
        })
    };
    // One clock for both, or the days of one would be the nights of the other.
    let clock = Arc::new(FastClock(Instant::now()));
    let (one, other) = (
        served_by(config(&["a"]), None, runner(), Arc::clone(&clock)).await,
        served_by(config(&["a"]), None, runner(), Arc::clone(&clock)).await,
    );
    let both = || one.runner.count(Job::Backup) + other.runner.count(Job::Backup);
    eventually("a week", || {
        clock.now() > at(1, 0) + chrono::TimeDelta::days(7)
    })
    .await;
    let (runs, days) = (both(), days_since(at(2, 0), &clock));
    assert!(
        runs <= days + 1 && runs + 2 >= days,
        "{runs} backups in {days} days"
    );
    one.stop.drain();
    other.stop.drain();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_one_began_is_recorded_and_run_again() {
    let runner = Arc::new(FakeRunner::default());
    let mut agenda = Agenda::default();
    let rule = |schedule: &str| Rule {
        schedule: Some(schedule.parse().expect("a schedule")),
        jitter: Duration::ZERO,
        retries: 1,
        retry_delay: Duration::from_secs(30),
    };
    let rules = Rules {
        server: "a".to_owned(),
        backup: rule("0 2 * * *"),
        verify: rule("0 5 * * *"),
        drill: rule("0 6 * * 0"),
    };
    let due = at(2, 0) - chrono::TimeDelta::days(1);
    agenda.adopt(&rules, due - chrono::TimeDelta::hours(1));
    agenda.begin(
        Due {
            job: Job::Backup,
            at: due,
            attempt: 1,
        },
        due,
    );
    let kept = agenda.clone();
    runner
        .disk
        .agendas
        .lock()
        .expect("a lock")
        .insert("a".to_owned(), kept);
    let served = served_as(config(&["a"]), None, runner).await;
    eventually("it is run again", || served.runner.count(Job::Backup) == 1).await;
    let recorded = served.runner.disk.recorded.lock().expect("a lock").clone();
    let [(server, begun, kind)] = recorded.as_slice() else {
        panic!("one record: {recorded:?}");
    };
    assert_eq!((server.as_str(), *kind), ("a", FailureKind::Interrupted));
    assert_eq!((begun.due, begun.attempt), (Some(due), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_directory_is_waited_for_and_its_holder_named() {
    let served = served(&["a"], FakeRunner::default()).await;
    served.until("/-/ready", "HTTP/1.1 200").await;
    let runs = served.runner.count(Job::Backup);
    let held = loop {
        match served.runner.disk.claim("a") {
            Ok(lock) => break lock,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    let runs_then = served.runner.count(Job::Backup).max(runs);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        served.runner.count(Job::Backup) <= runs_then + 1,
        "two days in which it is held"
    );
    let now = served.runner.count(Job::Backup);
    drop(held);
    eventually("it goes on", || served.runner.count(Job::Backup) > now).await;
}
