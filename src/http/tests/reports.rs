//! What is read: types, care, gzip, and that nothing else is there.

use std::io::Read;

use super::*;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::status::{Paused, Running};

#[tokio::test]
async fn reports_answer_with_type_and_care() {
    let served = Served::start().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/-/healthy", "text/plain; charset=utf-8"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/backups", "application/json"),
        ("/api/v1/openapi.yaml", "application/yaml"),
    ] {
        let reply = served.ask("GET", path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    let page = served.ask("GET", "/").await;
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let accept = "Accept: application/openmetrics-text\r\n";
    let reply = served.send("GET", "/metrics?x=1", accept, "").await;
    assert!(
        reply
            .header("content-type")
            .is_some_and(|kind| kind.contains("version=0.0.4"))
    );
}

#[tokio::test]
async fn other_paths_methods_and_bodies_are_refused() {
    let served = Served::start().await;
    for (method, path) in [
        ("GET", "/metricsx"),
        ("POST", "/none"),
        ("GET", "/../etc/passwd"),
    ] {
        assert_eq!(served.ask(method, path).await.status, 404, "{path}");
    }
    served.ask("GET", "/api/v2/status").await.is_problem(404);
    for path in ["/", "/metrics", "/livez", "/api/v1/status"] {
        let reply = served.ask("POST", path).await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
    }
    for path in ["/-/reload", "/api/v1/servers/a/backup"] {
        let reply = served.ask("GET", path).await;
        reply.is_problem(405);
        assert_eq!(reply.header("allow"), Some("POST"), "{path}");
    }
    assert_eq!(served.send("GET", "/", "", "abc").await.status, 400);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let empty = format!("GET / HTTP/1.1\r\nHost: x\r\n{chunked}\r\n0\r\n\r\n");
    assert_eq!(served.raw(&empty).await.status, 400);
    let long = format!("X: {}\r\n", "x".repeat(20 << 10));
    assert_eq!(served.send("GET", "/", &long, "").await.status, 431);
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let served = Served::start().await;
    for path in ["/metrics", "/api/v1/status"] {
        let reply = served.ask("HEAD", path).await;
        assert_eq!(reply.status, 200);
        assert!(
            reply.header("content-length").is_some() && reply.body.is_empty(),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn ready_flips() {
    let served = Served::start().await;
    let status = async |path| served.ask("GET", path).await.status;
    assert_eq!(status("/-/ready").await, 200);
    served.shared.write(|snapshot| snapshot.loaded = false);
    for path in [
        "/readyz",
        "/metrics",
        "/api/v1/status",
        "/api/v1/backups",
        "/api/v1/backups?server=a",
    ] {
        assert_eq!(status(path).await, 503, "{path}");
    }
    assert_eq!((status("/livez").await, status("/").await), (200, 200));
    served
        .shared
        .write(|snapshot| (snapshot.loaded, snapshot.draining) = (true, true));
    assert_eq!(
        (status("/-/ready").await, status("/metrics").await),
        (503, 200)
    );
    assert_eq!(
        served.ask("GET", "/api/v1/status").await.json()["draining"],
        true
    );
}

#[tokio::test]
async fn gzip_is_for_who_accepts_it() {
    let served = Served::start().await;
    for path in [
        "/metrics",
        "/",
        "/api/v1/status",
        "/api/v1/backups",
        "/api/v1/backups?server=a",
    ] {
        let plain = served
            .send("GET", path, "Accept-Encoding: gzip;q=0\r\n", "")
            .await;
        let packed = served
            .send("GET", path, "Accept-Encoding: gzip\r\n", "")
            .await;
        for reply in [&plain, &packed] {
            assert_eq!(
                (reply.status, reply.header("vary")),
                (200, Some("Accept-Encoding"))
            );
        }
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(packed.body.as_slice());
        decoder.read_to_string(&mut text).expect("gzip");
        assert_eq!(text[..9], plain.text()[..9], "{path}");
    }
}

#[tokio::test]
async fn the_status_tells_what_is_known() {
    let served = Served::start().await;
    let progress = Progress::default();
    progress.belongs_to("7");
    progress.stage("dump", 100);
    progress.add(77);
    served.shared.update_nth(0, |view| {
        view.running = Some(Running {
            job: Job::Backup,
            started_at: at(6, 59),
            progress,
        });
        view.queued = vec![Job::Drill];
        view.paused = Some(Paused {
            pause: crate::config::Pause {
                reason: "upgrade".to_owned(),
                until: None,
            },
            since: at(6, 0),
            configured: true,
        });
        view.next.backup = Some(at(12, 0));
        view.interval.backup = Duration::from_secs(86_400);
        view.unreadable = Some("no <such> directory".to_owned());
    });
    let json = served.ask("GET", "/api/v1/status").await.json();
    let server = &json["servers"][0];
    assert_eq!(server["name"], "a");
    assert_eq!(server["verdict"]["level"], "bad", "the morning is long ago");
    assert_eq!(server["unreadable"], "no <such> directory");
    assert_eq!(
        server["running"],
        serde_json::json!({"job": "backup", "job_id": "7", "since": "2026-06-01T06:59:00Z", "stage": "dump", "bytes_done": 77, "bytes_expected": 100})
    );
    assert_eq!(server["queued"], serde_json::json!(["drill"]));
    assert_eq!(server["paused"]["reason"], "upgrade");
    assert_eq!(server["paused"]["until"], serde_json::Value::Null);
    assert_eq!(server["next_run"]["backup"], "2026-06-01T12:00:00Z");
    assert_eq!(server["expected_interval_seconds"]["backup"], 86_400.0);
    assert_eq!(server["newest_backup"]["file_name"], "new");
    assert_eq!(server["newest_backup"]["verified"]["result"], "passed");
    assert_eq!(
        server["newest_backup"]["drilled"]["at"],
        "2026-06-01T06:00:00Z"
    );
    assert_eq!(server["objectives"]["max_age_seconds"], 172_800.0);
    assert_eq!(server["last_problem"]["job"], "verify");
}

#[tokio::test]
async fn backups_are_listed_the_newest_first_and_by_server() {
    let served = Served::start().await;
    let all = served.ask("GET", "/api/v1/backups").await.json();
    let one = served.ask("GET", "/api/v1/backups?server=%61").await.json();
    assert_eq!(all, one);
    let backups = &one["servers"][0]["backups"];
    let names: Vec<_> = (0..3)
        .map(|n| backups[n]["file_name"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(names, ["by-hand", "new", "old"]);
    assert_eq!(backups[0]["made_by_pgvigil"], false);
    assert_eq!(backups[0]["duration_seconds"], serde_json::Value::Null);
    assert_eq!(backups[1]["databases"][0]["rows"], 42);
    assert_eq!(backups[2]["verified"]["result"], "failed");
    served
        .ask("GET", "/api/v1/backups?server=b")
        .await
        .is_problem(404);
    for query in ["server=a&server=a", "sever=a", "server=%ff"] {
        served
            .ask("GET", &format!("/api/v1/backups?{query}"))
            .await
            .is_problem(400);
    }
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_request() {
    let served = Served::start().await;
    let up = async || {
        served
            .ask("GET", "/metrics")
            .await
            .text()
            .contains("pgvigil_up{server=\"a\"} 1")
    };
    for wanted in [true, false, true, false] {
        served.shared.update_nth(0, |view| view.up = wanted);
        assert_eq!(up().await, wanted);
    }
}
