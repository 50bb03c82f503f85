//! `openapi.yaml` and the server say the same: each path, each status, each type, each property.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::{faults, resolve};
use super::*;
use crate::error::{Failure, FailureKind};
use crate::http::actions::WISHES;
use crate::http::route::ROUTES;
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::status::{Paused, Running};

/// What cannot be brought about from outside: rendering never fails, and 32 MiB of answers that nobody takes are a load.
/// The status 408 takes its time and is seen in another test.
const UNSEEN: [&str; 2] = ["408", "500"];

/// A situation, and what is sent in it.
type Case = (fn(&Served), String, String);

fn description() -> Value {
    serde_yaml::from_str(api::DESCRIPTION).expect("YAML")
}

/// Every operation: path, method, its description.
fn operations(root: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = root["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            if method != "parameters" {
                found.push((path.as_str(), method.as_str(), operation));
            }
        }
    }
    found
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let root = description();
    let described: BTreeSet<_> = operations(&root)
        .into_iter()
        .map(|(path, method, _)| (path.to_owned(), method.to_owned()))
        .collect();
    let served: BTreeSet<_> = ROUTES
        .iter()
        .map(|(path, kind)| {
            let method = if kind.is_action() { "post" } else { "get" };
            ((*path).to_owned(), method.to_owned())
        })
        .collect();
    assert_eq!(described, served);
    for (path, _, operation) in operations(&root) {
        let acts = operation["security"] == serde_json::json!([{ "token": [] }]);
        let kind = ROUTES.iter().find(|(route, _)| *route == path);
        assert_eq!(Some(acts), kind.map(|(_, kind)| kind.is_action()), "{path}");
    }
}

#[tokio::test]
async fn answers_are_as_described() {
    let root = description();
    for (template, method, operation) in operations(&root) {
        let path = template.replace("{name}", "a").replace("{file}", "new");
        let mut seen = BTreeSet::new();
        for (prepare, target, request) in cases(method, &path) {
            let served = if request.contains("NOBODY") {
                Served::read_only().await
            } else {
                Served::start().await
            };
            fill(&served.shared);
            prepare(&served);
            let times = if request.contains("OFTEN") {
                WISHES.burst
            } else {
                0
            };
            for _ in 0..times {
                served.raw(&request).await;
            }
            let reply = served.raw(&request).await;
            seen.insert(reply.status.to_string());
            agrees(&root, operation, &reply, &format!("{method} {target}"));
        }
        let documented = operation["responses"].as_object().expect("responses");
        let missing: Vec<_> = documented
            .keys()
            .filter(|status| !seen.contains(*status) && !UNSEEN.contains(&status.as_str()))
            // These pages show that the directories are being read.
            .filter(|status| !(["/", "/servers/{name}"].contains(&template) && *status == "503"))
            .collect();
        assert!(
            missing.is_empty(),
            "{method} {template} never answers {missing:?}"
        );
    }
}

/// The answer is one of those described, and its body fits.
#[track_caller]
fn agrees(root: &Value, operation: &Value, reply: &Reply, what: &str) {
    let described = &operation["responses"][reply.status.to_string()];
    assert!(described.is_object(), "{what}: nobody described {reply:?}");
    let described = match described.get("$ref") {
        Some(reference) => resolve(root, reference),
        None => described,
    };
    let full = reply.header("content-type").unwrap_or_default();
    let essence = full.split(';').next().unwrap_or_default();
    let content = described["content"].as_object().expect("content");
    let kinds: Vec<_> = content.keys().collect();
    assert_eq!(kinds, [essence], "{what}: {reply:?}");
    for name in described["headers"].as_object().into_iter().flatten() {
        assert!(
            reply.header(name.0).is_some(),
            "{what} lacks {}: {reply:?}",
            name.0
        );
    }
    let value = match essence {
        "application/json" => reply.json(),
        _ => Value::String(reply.text().to_owned()),
    };
    let wrong = faults(root, &content[essence]["schema"], &value, what);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every situation that a path can be in.
fn cases(method: &str, path: &str) -> Vec<Case> {
    let is_action = method == "post";
    let request = |target: &str, headers: &str, body: &str| {
        let method = method.to_uppercase();
        let length = body.len();
        let length = if length > 0 {
            format!("Content-Length: {length}\r\n")
        } else {
            String::new()
        };
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        );
        (target.to_owned(), text)
    };
    let mut all: Vec<Case> = Vec::new();
    let mut case =
        |prepare: fn(&Served), (target, text): (String, String)| all.push((prepare, target, text));
    if !is_action {
        case(as_it_is, request(path, "", ""));
        case(empty, request(path, "", ""));
        case(unread, request(path, "", ""));
        case(ending, request(path, "", ""));
        case(as_it_is, request(path, "", "body"));
        if path.ends_with("/backups") {
            for query in ["server=a", "server=none", "none=a"] {
                case(as_it_is, request(&format!("{path}?{query}"), "", ""));
            }
        }
        if path.starts_with("/servers/") {
            case(as_it_is, request(&path.replace("/a", "/none"), "", ""));
        }
        return all;
    }
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let json = format!("{token}Content-Type: application/json\r\n");
    let is_pause = path.ends_with("/pause");
    let body = if is_pause {
        r#"{"reason": "x", "for": "1h"}"#
    } else {
        "{}"
    };
    case(as_it_is, request(path, &json, body));
    case(as_it_is, request(path, &json, r#"{"x": 1}"#));
    case(as_it_is, request(path, &json, &" ".repeat(5_000)));
    case(as_it_is, request(path, &token, body));
    case(as_it_is, request(path, "", ""));
    case(as_it_is, request(path, "Authorization: Bearer x\r\n", ""));
    case(
        as_it_is,
        request(path, &format!("X: NOBODY\r\n{json}"), body),
    );
    case(
        as_it_is,
        request(path, &format!("X: OFTEN\r\n{json}"), body),
    );
    case(ending, request(path, &json, body));
    case(busy, request(path, &json, body));
    case(failing, request(path, &json, body));
    case(without_token, request(path, &json, body));
    if path.contains("/servers/a/") {
        let other = path.replace("/a/", "/none/");
        case(as_it_is, request(&other, &json, body));
    }
    all
}

/// A server of which everything is known.
fn fill(shared: &Shared) {
    shared.update_nth(0, |view| {
        view.unreadable = Some("gone".to_owned());
        view.running = Some(Running {
            job: Job::Drill,
            started_at: at(6, 59),
            progress: Progress::default(),
        });
        view.queued = Job::ALL.to_vec();
        view.paused = Some(Paused {
            pause: crate::config::Pause {
                reason: "upgrade".to_owned(),
                until: Some(at(9, 0)),
            },
            since: at(6, 0),
            configured: false,
        });
        view.next.drill = Some(at(12, 0));
        view.interval.drill = Duration::from_secs(86_400);
    });
}

fn as_it_is(_: &Served) {}

fn empty(served: &Served) {
    let id = served.shared.read(|snapshot| snapshot.servers[0].id);
    served.shared.update(id, |view| {
        *view = crate::status::ServerView::new(Arc::clone(&view.config));
    });
}

fn unread(served: &Served) {
    served.shared.write(|snapshot| snapshot.loaded = false);
}

fn ending(served: &Served) {
    served.shared.write(|snapshot| snapshot.draining = true);
}

fn busy(served: &Served) {
    *served.daemon.refuse.lock().unwrap() = Some(|| Refusal::Conflict("busy".to_owned()));
}

fn failing(served: &Served) {
    *served.daemon.refuse.lock().unwrap() =
        Some(|| Refusal::Failed(Failure::new(FailureKind::Config, "read it")));
}

fn without_token(served: &Served) {
    fs::remove_file(served.directory.path().join("token")).expect("removed");
}
