//! What the sidecar writes to standard error: one event, one line, that a log pipeline reads; and never a secret.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::place::Place;
use crate::support::program::{Running, pgvigil};
use crate::support::server::Server;
use crate::support::{programs, wait_until};

const SECRET: &str = "hunter2-\"Pa55 w0rd\"";

/// A line as keys and values.
type Line = BTreeMap<String, String>;

/// A reader of logfmt that knows nothing of pgvigil.
fn logfmt(line: &str) -> Line {
    let mut pairs = Line::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(
            !key.is_empty() && !key.contains([' ', '"']),
            "{key:?} in {line}"
        );
        let (value, behind) = if behind.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(behind).into_iter::<String>();
            let value = values.next().unwrap().unwrap_or_else(|_| panic!("{line}"));
            (value, &behind[values.byte_offset()..])
        } else {
            let end = behind.find(' ').unwrap_or(behind.len());
            (behind[..end].to_owned(), &behind[end..])
        };
        let twice = pairs.insert(key.to_owned(), value);
        assert_eq!(twice, None, "{key} in {line}");
        rest = match behind.strip_prefix(' ') {
            Some(rest) => rest,
            None if behind.is_empty() => behind,
            None => panic!("{behind:?} in {line}"),
        };
    }
    pairs
}

fn json(line: &str) -> Line {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        panic!("no object: {line}");
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => panic!("not flat: {line}"),
    };
    fields
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect()
}

/// The sidecar with a server that it can back up and one that does not let it in.
fn serve(place: &Place, server: &Server, format: &str) -> Running {
    fs::write(place.join("secret"), format!("{SECRET}\n")).unwrap();
    fs::create_dir(place.join("closed")).unwrap();
    let one = |name: &str, more: &str, directory: &str| {
        format!(
            "  - name: {name}\n    connection: {{ host: '{}', {more} }}\n    directory: '{}'\n    pg_bin: '{}'\n    \
             backup: {{ schedule: '* * * * *', retries: 0 }}\n    verify: {{ schedule: never }}\n    drill: {{ schedule: never }}\n",
            server.socket().display(),
            place.join(directory).display(),
            server.programs().directory.display(),
        )
    };
    let closed = format!(
        "user: guarded, password_file: '{}'",
        place.join("secret").display()
    );
    let text = format!(
        "servers:\n{}{}http: {{ listen: '127.0.0.1:0' }}\n",
        one("open", "user: postgres", "backups"),
        one("closed", &closed, "closed"),
    );
    let config = place.join("pgvigil.yaml");
    fs::write(&config, text).unwrap();
    pgvigil(place)
        .env("PGVIGIL_LOG_LEVEL", "trace")
        .env("PGVIGIL_LOG_FORMAT", format)
        .args(["serve", "--config"])
        .about(&config)
        .start()
}

/// The ledger of the server that does not let us in.
fn closed(place: &Place) -> Vec<Value> {
    let text = fs::read_to_string(place.join("closed/ledger.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_line_of_the_sidecar_can_be_read_and_names_its_attempt() {
    let server = Server::start(&programs::system());
    server.psql(
        "postgres",
        "create role guarded login superuser password 'x'",
    );
    server.admit("local all guarded scram-sha-256\nlocal all all trust\n");
    let places = [
        (Place::new(), "logfmt", logfmt as fn(&str) -> Line),
        (Place::new(), "json", json),
    ];
    let running: Vec<_> = places
        .iter()
        .map(|(place, format, _)| serve(place, &server, format))
        .collect();
    for ((place, _, read), running) in places.iter().zip(running) {
        wait_until("both have tried", Duration::from_secs(100), || {
            !closed(place).is_empty() && !place.ledger().is_empty()
        });
        running.signal(Signal::TERM);
        let done = running.wait(Duration::from_secs(40)).exits(0);
        assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
        assert!(!done.stderr.contains("Pa55"), "{}", done.stderr);
        let lines: Vec<_> = done.stderr.lines().map(read).collect();
        judge(&lines, &[place.ledger(), closed(place)].concat());
    }
}

/// Whether the lines say of the attempts what the ledger says.
fn judge(lines: &[Line], ledger: &[Value]) {
    for line in lines {
        let ts = chrono::DateTime::parse_from_rfc3339(&line["ts"]);
        assert!(ts.is_ok() && line["ts"].len() == 24, "{line:?}");
        let levels = ["error", "warn", "info", "debug", "trace"];
        assert!(levels.contains(&line["level"].as_str()), "{line:?}");
        assert!(!line["msg"].is_empty() || line.len() > 3, "{line:?}");
    }
    let of = |id: &str, msg: &str| {
        let about =
            |line: &&Line| line["msg"] == msg && line.get("job_id").map(String::as_str) == Some(id);
        lines.iter().filter(about).collect::<Vec<_>>()
    };
    for entry in ledger {
        let id = entry["job_id"].as_str().unwrap();
        let (started, ended) = (of(id, "job started"), of(id, "job ended"));
        assert_eq!((started.len(), ended.len()), (1, 1), "{lines:#?}");
        let (started, ended) = (started[0], ended[0]);
        for line in [started, ended] {
            assert_eq!(line["job"], "backup");
            assert_eq!(line["server"], entry["server"].as_str().unwrap());
        }
        assert_eq!(ended["result"], entry["result"].as_str().unwrap());
        assert!(ended["seconds"].parse::<f64>().is_ok(), "{ended:?}");
        if entry["server"] == "open" {
            assert_eq!((&*started["level"], &*ended["level"]), ("info", "info"));
            assert_eq!(ended["backup"], entry["backup"].as_str().unwrap());
        } else {
            assert_eq!(ended["level"], "error");
            assert_eq!(ended["reason"], "auth");
            assert_eq!(ended["error"], entry["message"].as_str().unwrap());
        }
    }
    let known: Vec<_> = ledger
        .iter()
        .map(|entry| entry["job_id"].as_str())
        .collect();
    let named = lines.iter().filter_map(|line| line.get("job_id"));
    for id in named {
        assert!(known.contains(&Some(id)), "{id} is not in the ledger");
    }
}

#[test]
fn a_command_says_how_its_job_failed_once() {
    let place = Place::new();
    for (format, read) in [
        ("logfmt", logfmt as fn(&str) -> Line),
        ("text", logfmt),
        ("json", json),
    ] {
        let done = pgvigil(&place)
            .env("PGHOST", place.join("tmp"))
            .env("PGUSER", "postgres")
            .env("PGVIGIL_LOG_LEVEL", "info")
            .args(["backup", "--log-format", format, "--directory"])
            .about(&place.backups())
            .run()
            .exits(3);
        let (log, sentence) = done.stderr.trim_end().rsplit_once('\n').unwrap();
        let entry = place.ledger().pop().unwrap();
        assert_eq!(
            sentence.strip_prefix("pgvigil: ").unwrap(),
            entry["message"].as_str().unwrap()
        );
        assert!(!log.contains("connect to database"), "{}", done.stderr);
        let lines: Vec<_> = log.lines().map(read).collect();
        assert_eq!(lines[0]["msg"], "job started", "{log}");
        assert_eq!(lines[0]["job_id"], entry["job_id"].as_str().unwrap());
    }
}
