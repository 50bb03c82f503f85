//! Who may act, what is passed on, and every answer to it.

use super::*;
use crate::config::Pause;
use crate::error::{Failure, FailureKind};
use crate::http::actions::{GUESSES, WISHES};
use crate::http::body;
use crate::ledger::Job;

const BACKUP: &str = "/api/v1/servers/a/backup";
const PAUSE: &str = "/api/v1/servers/a/pause";
const RELOAD: &str = "/-/reload";

#[tokio::test]
async fn wishes_are_passed_on() {
    let served = Served::start().await;
    let server = || "a".to_owned();
    for (name, job) in [
        ("backup", Job::Backup),
        ("verify", Job::Verify),
        ("drill", Job::Drill),
    ] {
        let reply = served
            .post(&format!("/api/v1/servers/%61/{name}"), "")
            .await;
        assert_eq!(reply.status, 202, "{reply:?}");
        assert_eq!(
            reply.json(),
            serde_json::json!({"server": "a", "job": name, "state": "queued"})
        );
        assert_eq!(
            served.asked().last(),
            Some(&Ask::Start {
                server: server(),
                job
            })
        );
    }
    let body = r#"{"reason": "upgrade", "until": "2096-01-01T00:00:00Z"}"#;
    let reply = served.post(PAUSE, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["until"], "2096-01-01T00:00:00Z");
    let pause = Pause {
        reason: "upgrade".to_owned(),
        until: "2096-01-01T00:00:00Z".parse().ok(),
    };
    assert_eq!(
        served.asked().last(),
        Some(&Ask::Pause {
            server: server(),
            pause
        })
    );
    let reply = served.post("/api/v1/servers/a/resume", "{}").await;
    assert_eq!(
        (reply.status, &reply.json()["paused"]),
        (200, &false.into())
    );
    assert_eq!(
        served.asked().last(),
        Some(&Ask::Resume { server: server() })
    );
    let reply = served.post(RELOAD, "").await;
    assert_eq!(
        (reply.status, &reply.json()["reloaded"]),
        (200, &true.into())
    );
    assert_eq!(served.asked().last(), Some(&Ask::Reload));
}

#[tokio::test]
async fn nobody_acts_without_the_token() {
    let served = Served::start().await;
    for headers in [
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\n").repeat(2),
        format!("X-Token: {TOKEN}\r\n"),
    ] {
        let reply = served.send("POST", BACKUP, &headers, "").await;
        reply.is_problem(401);
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer realm=\"pgvigil\"")
        );
    }
    for token in ["x", &TOKEN[1..], &TOKEN.to_uppercase()] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let reply = served.send("POST", BACKUP, &headers, "").await;
        reply.is_problem(401);
        assert!(reply.head.contains("invalid_token"), "{reply:?}");
    }
    let reply = served
        .send("POST", &format!("{BACKUP}?token={TOKEN}"), "", "")
        .await;
    reply.is_problem(401);
    // Who may not act does not learn which servers there are.
    served
        .ask("POST", "/api/v1/servers/none/backup")
        .await
        .is_problem(401);
    assert_eq!(served.asked(), []);
    let headers = format!("authorization: bearer   {TOKEN}\r\n");
    assert_eq!(served.send("POST", BACKUP, &headers, "").await.status, 202);
}

#[tokio::test]
async fn nobody_acts_where_there_is_no_token() {
    let served = Served::read_only().await;
    for headers in [
        format!("Authorization: Bearer {TOKEN}\r\n"),
        "Authorization: Bearer \r\n".into(),
        String::new(),
    ] {
        let reply = served.send("POST", RELOAD, &headers, "").await;
        reply.is_problem(403);
        assert!(reply.text().contains("http.token_file"), "{reply:?}");
    }
    let served = Served::start().await;
    fs::write(served.directory.path().join("token"), "\n").expect("written");
    served.post(RELOAD, "").await.is_problem(500);
    served
        .send("POST", RELOAD, "Authorization: Bearer \r\n", "")
        .await
        .is_problem(401);
    fs::remove_file(served.directory.path().join("token")).expect("removed");
    served.post(RELOAD, "").await.is_problem(500);
    assert_eq!(served.asked(), []);
    fs::write(
        served.directory.path().join("token"),
        "another-token-for-tests",
    )
    .expect("written");
    served.post(RELOAD, "").await.is_problem(401);
    let headers = "Authorization: Bearer another-token-for-tests\r\n";
    assert_eq!(served.send("POST", RELOAD, headers, "").await.status, 200);
}

#[tokio::test]
async fn bodies_are_small_json_or_none() {
    let served = Served::start().await;
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(body::LIMIT));
    served
        .post("/api/v1/servers/none/backup", "")
        .await
        .is_problem(404);
    assert_eq!(served.post("/api/v1/servers/a/prune", "").await.status, 404);
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        ("{\"reason\": \"x\", \"for\": \"2x\"}", 400),
        (long.as_str(), 413),
    ] {
        served.post(PAUSE, body).await.is_problem(status);
    }
    served.post(BACKUP, "{\"x\": 1}").await.is_problem(400);
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/jsonx\r\n",
    ] {
        let headers = format!("{right}{kind}");
        served
            .send("POST", PAUSE, &headers, "{\"reason\": \"x\"}")
            .await
            .is_problem(415);
    }
    let headers = format!("{right}content-type: Application/JSON; charset=utf-8\r\n");
    assert_eq!(
        served
            .send("POST", PAUSE, &headers, "{\"reason\": \"x\"}")
            .await
            .status,
        200
    );
    assert_eq!(served.asked().len(), 1);
}

#[tokio::test]
async fn a_body_without_a_length_is_not_read_to_its_end() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    let head = format!(
        "POST {PAUSE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    for _ in 0..6 {
        stream.write_all(chunk.as_bytes()).await.expect("sent");
    }
    // Its end never comes.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    Reply::parse(&answer).is_problem(413);
    // One that fits is taken.
    let body = "{\"reason\": \"x\"}";
    let whole = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let whole = whole.replacen("Host: x", "Host: x\r\nConnection: close", 1);
    assert_eq!(served.raw(&whole).await.status, 200);
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let served = Served::start().await;
    let begun = format!(
        "POST {PAUSE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    served.raw(&begun).await.is_problem(408);
    assert_eq!(served.asked(), []);
}

#[tokio::test]
async fn refusals_have_their_status() {
    let served = Served::start().await;
    let refused = async |refusal: fn() -> Refusal, status| {
        *served.daemon.refuse.lock().unwrap() = Some(refusal);
        let reply = served.post(BACKUP, "").await;
        reply.is_problem(status);
        reply
    };
    let reply = refused(
        || Refusal::Conflict("a backup runs already".to_owned()),
        409,
    )
    .await;
    assert_eq!(reply.json()["error"], "a backup runs already");
    refused(|| Refusal::UnknownServer, 404).await;
    let reply = refused(|| Refusal::Draining, 503).await;
    assert!(reply.header("retry-after").is_some());
    let failed = || {
        Refusal::Failed(Failure::new(FailureKind::Config, "read configuration x").remedy("mend it"))
    };
    let reply = refused(failed, 500).await;
    assert_eq!(reply.json()["error"], "read configuration x; mend it");
    *served.daemon.refuse.lock().unwrap() = None;
    let before = served.asked().len();
    served.shared.write(|snapshot| snapshot.draining = true);
    served.post(RELOAD, "").await.is_problem(503);
    assert_eq!(
        served.asked().len(),
        before,
        "who is about to end is not asked"
    );
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let served = Served::start().await;
    for _ in 0..WISHES.burst {
        assert_eq!(served.post(BACKUP, "").await.status, 202);
    }
    let reply = served.post(BACKUP, "").await;
    reply.is_problem(429);
    let wait: u64 = reply
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .expect("seconds");
    assert!((1..=WISHES.every.as_secs()).contains(&wait), "{wait}");
    assert_eq!(served.asked().len(), WISHES.burst as usize);
}

#[tokio::test]
async fn who_guesses_waits_and_nobody_else() {
    let served = Served::start().await;
    let wrong = "Authorization: Bearer wrong\r\n";
    for _ in 0..GUESSES.burst {
        served.send("POST", RELOAD, wrong, "").await.is_problem(401);
    }
    let reply = served.send("POST", RELOAD, wrong, "").await;
    reply.is_problem(429);
    assert!(reply.header("retry-after").is_some());
    // Not looked at: otherwise guessing would go on at full speed.
    served.post(RELOAD, "").await.is_problem(429);
    // From another address.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.2:0".parse().unwrap())
        .expect("an address");
    let mut stream = socket.connect(served.address).await.expect("a connection");
    let request = format!(
        "POST {RELOAD} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert_eq!(Reply::parse(&answer).status, 200);
    // Reading is nobody's secret.
    assert_eq!(served.ask("GET", "/metrics").await.status, 200);
}

#[tokio::test]
async fn the_right_token_spends_no_guess() {
    let served = Served::start().await;
    for _ in 0..GUESSES.burst * 2 {
        // Too many wishes in the end, but never too many tokens.
        let reply = served.post("/api/v1/servers/none/backup", "").await;
        reply.is_problem(404);
    }
}
