//! The configuration is read again while it runs.

use super::*;
use crate::status::control::{Ask, Refusal};

struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("pgvigil.yaml")
    }

    /// Servers as `name` or `name: more keys`.
    fn write(&self, servers: &[&str]) {
        let mut text = "http: { listen: '127.0.0.1:0' }\nservers:\n".to_owned();
        for server in servers {
            let (name, more) = server.split_once(": ").unwrap_or((server, ""));
            let more = if more.is_empty() {
                String::new()
            } else {
                format!(", {more}")
            };
            text.push_str(&format!(
                "  - {{ name: {name}, directory: /b/{name}{more} }}\n"
            ));
        }
        std::fs::write(self.path(), text).expect("written");
    }

    async fn served(&self) -> Served<FakeRunner> {
        let config = config::raw::read(&self.path()).expect("a configuration");
        let served = served_as(config, Some(self.path()), Arc::new(FakeRunner::default())).await;
        served.until("/-/ready", "HTTP/1.1 200").await;
        served
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_go_and_change_without_a_restart() {
    let file = File::new();
    file.write(&["a", "b"]);
    let served = file.served().await;
    served
        .until(
            "/metrics",
            "pgvigil_objective_max_age_seconds{server=\"b\"} 172800",
        )
        .await;
    file.write(&["b: objectives: { max_age: 1h }", "c"]);
    served.control.ask(Ask::Reload).await.expect("in force");
    let metrics = served.get("/metrics").await;
    for line in [
        "pgvigil_objective_max_age_seconds{server=\"b\"} 3600",
        "pgvigil_objective_max_age_seconds{server=\"c\"} 172800",
        "pgvigil_config_last_reload_successful 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    assert!(!metrics.contains("server=\"a\""), "gone");
    served.runner.started.lock().expect("a lock").clear();
    eventually("b and c have backups", || {
        let started = served.runner.started.lock().expect("a lock");
        ["b", "c"].into_iter().all(|name| {
            started
                .iter()
                .any(|(server, job)| server == name && *job == Job::Backup)
        })
    })
    .await;
    let started = served.runner.started.lock().expect("a lock").clone();
    assert!(started.iter().all(|(server, _)| server != "a"), "a is gone");
    served.stop.drain();
    served.end().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_said() {
    let file = File::new();
    file.write(&["a"]);
    let served = file.served().await;
    std::fs::write(file.path(), "servers: [{ name: a, colour: blue }]").expect("written");
    let refused = served.control.ask(Ask::Reload).await;
    let Err(Refusal::Failed(failure)) = refused else {
        panic!("not refused");
    };
    assert_eq!(failure.kind(), FailureKind::Config);
    let metrics = served.get("/metrics").await;
    assert!(metrics.contains("pgvigil_config_last_reload_successful 0"));
    assert!(metrics.contains("pgvigil_objective_max_age_seconds{server=\"a\"} 172800"));
    file.write(&["a"]);
    served
        .until("/metrics", "pgvigil_config_last_reload_successful 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_not_disturbed() {
    let file = File::new();
    file.write(&["a"]);
    let config = config::raw::read(&file.path()).expect("a configuration");
    let runner = Arc::new(FakeRunner::with(Job::Backup, &[Act::UntilCancelled]));
    let served = served_as(config, Some(file.path()), runner).await;
    served
        .until("/metrics", "pgvigil_backup_in_progress{server=\"a\"} 1")
        .await;
    file.write(&["a: objectives: { max_age: 1h }"]);
    served.control.ask(Ask::Reload).await.expect("in force");
    let metrics = served.get("/metrics").await;
    assert!(metrics.contains("pgvigil_backup_in_progress{server=\"a\"} 1"));
    assert!(metrics.contains("pgvigil_objective_max_age_seconds{server=\"a\"} 3600"));
    file.write(&["b"]);
    served.control.ask(Ask::Reload).await.expect("in force");
    assert!(!served.get("/metrics").await.contains("server=\"a\""));
    served.stop.drain();
    served
        .end()
        .await
        .expect("the job of the server that is gone is ended too");
}
