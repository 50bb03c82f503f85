//! What people ask for while it runs.

use super::*;
use crate::config::Pause;
use crate::status::control::{Ask, Refusal};

fn start(server: &str, job: Job) -> Ask {
    Ask::Start {
        server: server.to_owned(),
        job,
    }
}

fn pause(until: Option<DateTime<Utc>>) -> Ask {
    Ask::Pause {
        server: "a".to_owned(),
        pause: Pause {
            reason: "moves".to_owned(),
            until,
        },
    }
}

fn resume() -> Ask {
    Ask::Resume {
        server: "a".to_owned(),
    }
}

fn conflict(refused: std::result::Result<(), Refusal>) -> String {
    match refused {
        Err(Refusal::Conflict(why)) => why,
        other => panic!("no conflict: {other:?}"),
    }
}

/// Nothing is due: only what is asked for runs.
fn idle(names: &[&str]) -> Config {
    let mut config = config(names);
    for server in &mut config.servers {
        server.backup.schedule = None;
        server.verify.schedule = None;
        server.drill.schedule = None;
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_asked_for_once_and_runs_also_while_paused() {
    let runner = Arc::new(FakeRunner::with(Job::Drill, &[Act::UntilCancelled]));
    let served = served_as(idle(&["a", "b"]), None, runner).await;
    served.until("/-/ready", "HTTP/1.1 200").await;
    served.control.ask(pause(None)).await.expect("paused");
    served
        .control
        .ask(start("a", Job::Drill))
        .await
        .expect("in line");
    eventually("it runs", || served.runner.count(Job::Drill) == 1).await;
    let why = conflict(served.control.ask(start("a", Job::Drill)).await);
    assert_eq!(why, "a drill of a runs already");
    served
        .control
        .ask(start("a", Job::Backup))
        .await
        .expect("in line");
    let why = conflict(served.control.ask(start("a", Job::Backup)).await);
    assert_eq!(why, "a backup of a waits already");
    let unknown = served.control.ask(start("c", Job::Backup)).await;
    assert!(matches!(unknown, Err(Refusal::UnknownServer)));
    served
        .control
        .ask(start("b", Job::Verify))
        .await
        .expect("in line");
    eventually("another server's runs beside it", || {
        served.runner.count(Job::Verify) == 1
    })
    .await;
    served.stop.drain();
    let refused = served.control.ask(start("a", Job::Verify)).await;
    assert!(matches!(refused, Err(Refusal::Draining)));
    served.end().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_is_shown_is_kept_and_ends() {
    let served = served(&["a"], FakeRunner::default()).await;
    served.until("/-/ready", "HTTP/1.1 200").await;
    served.control.ask(pause(None)).await.expect("paused");
    served
        .until("/metrics", "pgvigil_backup_paused{server=\"a\"} 1")
        .await;
    served
        .until(
            "/metrics",
            "pgvigil_backup_pause_info{server=\"a\",reason=\"moves\"} 1",
        )
        .await;
    let before = served.runner.count(Job::Backup);
    // About ten days.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(served.runner.count(Job::Backup), before, "nothing runs");
    served.control.ask(resume()).await.expect("resumed");
    let why = conflict(served.control.ask(resume()).await);
    assert_eq!(why, "a is not paused");
    eventually("backups again", || {
        served.runner.count(Job::Backup) > before + 1
    })
    .await;
    let kept = served.runner.disk.pauses.lock().expect("a lock")["a"].clone();
    assert!(kept.until.is_some(), "over, and on disk: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_s_pause_can_be_ended_there_alone() {
    let mut config = config(&["a"]);
    config.servers[0].paused = Some(Pause {
        reason: "not yet".to_owned(),
        until: None,
    });
    let served = served_as(config, None, Arc::new(FakeRunner::default())).await;
    served
        .until("/metrics", "pgvigil_backup_paused{server=\"a\"} 1")
        .await;
    for wish in [resume(), pause(None)] {
        let why = conflict(served.control.ask(wish).await);
        assert!(why.contains("the configuration pauses a"), "{why}");
    }
    assert_eq!(served.runner.count(Job::Backup), 0);
}
