//! To a real Alertmanager, and from there to a receiver.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use pgvigil::config::Alertmanager as Wanted;
use pgvigil::notify::{Alerts, DEADLINE, Rules, send};
use serde_json::Value;

use super::evaluate;
use crate::support::config::{NAME, write_alone};
use crate::support::http::own_address;
use crate::support::place::{Place, executable, leashed};
use crate::support::programs;
use crate::support::sidecar::Sidecar;
use crate::support::wait_until;

const SECOND: Duration = Duration::from_secs(1);

/// An address that nobody listens on, and nobody else will.
fn nobodys() -> SocketAddr {
    // Below the ports that the system gives away.
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    own_address(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An Alertmanager, and what its receiver was sent.
pub(super) struct Alertmanager {
    child: Child,
    address: SocketAddr,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Alertmanager {
    pub(super) fn start(place: &Place) -> Self {
        Self::start_at(place, nobodys())
    }

    pub(super) fn start_at(place: &Place, address: SocketAddr) -> Self {
        let (hook, received) = receiver();
        let config = place.join("alertmanager.yaml");
        let text = format!(
            "route: {{ receiver: hook, group_by: [alertname, server], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\nreceivers:\n  - name: hook\n    webhook_configs: [{{ url: 'http://{hook}/', send_resolved: true }}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut program = programs::at_home(&programs::alertmanager());
        program
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                place.join("alertmanager").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.route-prefix=/prefix", "--cluster.listen-address="]);
        let child = leashed(&executable())
            .arg("--")
            .arg(program.get_program())
            .args(program.get_args())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            child,
            address,
            received,
        };
        wait_until("Alertmanager is ready", 30 * SECOND, || {
            TcpStream::connect(address).is_ok() && started.get("/-/ready").contains("200 OK")
        });
        started
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/prefix", self.address)
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "GET /prefix{path} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// The alerts of a name that it shows.
    pub(super) fn alerts(&self, name: &str) -> Vec<Value> {
        let answer = self.get("/api/v2/alerts");
        let all: Vec<Value> =
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let named = |alert: &Value| alert["labels"]["alertname"] == name;
        all.into_iter().filter(named).collect()
    }

    /// What the receiver was told of an alert.
    fn told(&self, name: &str, status: &str) -> Option<Value> {
        let received = self.received.lock().unwrap();
        let mut alerts = received
            .iter()
            .flat_map(|body| body["alerts"].as_array().unwrap());
        let told =
            |alert: &&Value| alert["labels"]["alertname"] == name && alert["status"] == status;
        alerts.find(told).cloned()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // The warden ends with its input, and Alertmanager with it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Takes what Alertmanager posts.
fn receiver() -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let read = stream.read(&mut buffer).unwrap_or_default();
                text.extend_from_slice(&buffer[..read]);
                let whole = String::from_utf8_lossy(&text).into_owned();
                let parsed = whole
                    .split_once("\r\n\r\n")
                    .and_then(|(_, body)| serde_json::from_str(body).ok());
                if parsed.is_some() || read == 0 {
                    break parsed;
                }
            };
            kept.lock().unwrap().extend(body);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, received)
}

pub(super) fn wanted(url: &str) -> Arc<Wanted> {
    Arc::new(Wanted {
        urls: vec![url.to_owned()],
        labels: [("cluster".to_owned(), "prod".to_owned())].into(),
        page_url: Some("https://pgvigil.example.org/".to_owned()),
        ..Wanted::default()
    })
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(future)
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn an_alert_arrives_is_shown_and_is_over() {
    let place = Place::new();
    let alertmanager = Alertmanager::start(&place);
    let url = alertmanager.url();
    let config = wanted(&url);
    let rules = Arc::new(Rules::built_in().unwrap());
    let mut alerts = Alerts::new(Arc::clone(&rules));
    let corrupt = |value| {
        let series = r#"pgvigil_verify_corrupt_backups{server="pg",cluster="prod",namespace="db"}"#;
        [(series, value)]
    };
    let now = Utc::now();
    for minutes in [-6, 0] {
        evaluate(
            &mut alerts,
            &corrupt(2.0),
            now + TimeDelta::minutes(minutes),
        );
    }
    let notices = alerts.due(now);
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(alerts.due(now + TimeDelta::seconds(59)).is_empty());
    let (taken, result) = block_on(send(&config, &url, &notices, &rules));
    assert_eq!(
        (taken, result.map_err(|error| error.sentence())),
        (2, Ok(()))
    );

    let shown = alertmanager.alerts("PgvigilBackupCorrupt");
    assert_eq!(shown.len(), 1, "{shown:?}");
    let labels = serde_json::json!({ "alertname": "PgvigilBackupCorrupt", "severity": "critical", "cluster": "prod", "namespace": "db", "server": "pg" });
    assert_eq!(shown[0]["labels"], labels);
    assert_eq!(
        shown[0]["annotations"]["description"],
        "Verification found 2 damaged backup(s) of pg in namespace db on cluster prod. They may not restore."
    );
    assert_eq!(shown[0]["generatorURL"], "https://pgvigil.example.org/");
    assert_eq!(
        shown[0]["annotations"]["dashboard_url"],
        "https://pgvigil.example.org/servers/pg"
    );
    assert_eq!(shown[0]["status"]["state"], "active");
    wait_until("the receiver hears of it", 10 * SECOND, || {
        alertmanager
            .told("PgvigilBackupCorrupt", "firing")
            .is_some()
    });

    evaluate(&mut alerts, &corrupt(0.0), Utc::now());
    let over = alerts.due(Utc::now());
    assert_eq!(over.len(), 1, "{over:?}");
    let (_, result) = block_on(send(&config, &url, &over, &rules));
    assert_eq!(result.map_err(|error| error.sentence()), Ok(()));
    wait_until("the receiver hears that it is over", 10 * SECOND, || {
        alertmanager
            .told("PgvigilBackupCorrupt", "resolved")
            .is_some()
    });
    assert_eq!(
        alertmanager.alerts("PgvigilBackupCorrupt"),
        [] as [Value; 0]
    );
}

/// Begins without anybody to tell, is told of an Alertmanager that is not there yet, which then comes, and is restarted.
#[test]
fn the_sidecar_tells_alertmanager_and_tells_it_again() {
    let place = Place::new();
    let config = write_alone(&place, "");
    let alone = std::fs::read_to_string(&config).unwrap();
    let sidecar = Sidecar::start(&place, &config);
    assert!(!sidecar.metrics().contains("pgvigil_notifications"));

    let address = nobodys();
    let notify = format!(
        "notify:\n  alertmanager:\n    urls: ['http://{address}/prefix/']\n    labels: {{ cluster: prod }}\n    page_url: 'https://pgvigil.example.org/'\n"
    );
    std::fs::write(&config, alone + &notify).unwrap();
    let of = |name: &str| {
        format!("pgvigil_notifications_{name}{{alertmanager=\"http://{address}/prefix\"}} ")
    };
    let count = |sidecar: &Sidecar, name: &str| -> f64 {
        let metrics = sidecar.metrics();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&of(name)));
        line.map_or(-1.0, |value| value.parse().unwrap())
    };
    wait_until("it has tried twice", 60 * SECOND, || {
        count(&sidecar, "failed_total") >= 2.0
    });
    assert_eq!(count(&sidecar, "sent_total"), 0.0);
    assert_eq!(count(&sidecar, "last_success_timestamp_seconds"), 0.0);
    assert_eq!(sidecar.said("Connection refused"), 1);

    let alertmanager = Alertmanager::start_at(&place, address);
    wait_until("the watchdog arrives", 30 * SECOND, || {
        !alertmanager.alerts("PgvigilWatchdog").is_empty()
    });
    let first = alertmanager.alerts("PgvigilWatchdog").remove(0);
    let labels = serde_json::json!({ "alertname": "PgvigilWatchdog", "severity": "none", "cluster": "prod" });
    assert_eq!(first["labels"], labels);
    assert_eq!(
        first["annotations"]["summary"],
        "Alerts are evaluated and delivered."
    );
    assert_eq!(first["generatorURL"], "https://pgvigil.example.org/");
    let life = time(&first["endsAt"]) - time(&first["updatedAt"]);
    assert!(
        (TimeDelta::seconds(230)..=TimeDelta::seconds(245)).contains(&life),
        "{life}"
    );
    wait_until("the receiver hears of it", 10 * SECOND, || {
        alertmanager.told("PgvigilWatchdog", "firing").is_some()
    });
    assert_eq!(sidecar.said("takes alerts again"), 1);
    assert!(count(&sidecar, "sent_total") >= 1.0);
    assert!(count(&sidecar, "last_success_timestamp_seconds") > 1e9);

    // What waits is kept, and goes on waiting after a restart.
    let kept = place.backups().join("alerts/alerts.json");
    wait_until("what waits is kept", 20 * SECOND, || kept.exists());
    let before: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let since = |kept: &Value| {
        let alerts = kept["alerts"].as_array().unwrap();
        let mut alerts = alerts
            .iter()
            .filter(|alert| alert["alert"] == "PgvigilServerUnreachable");
        let alert = alerts.next().unwrap();
        assert_eq!(
            alert["labels"],
            serde_json::json!({ "cluster": "prod", "server": NAME })
        );
        time(&alert["active_at"])
    };
    let waits_since = since(&before);

    wait_until("it is told again", 90 * SECOND, || {
        time(&alertmanager.alerts("PgvigilWatchdog")[0]["endsAt"]) > time(&first["endsAt"])
    });
    assert_eq!(
        time(&alertmanager.alerts("PgvigilWatchdog")[0]["startsAt"]),
        time(&first["startsAt"])
    );
    sidecar.stop();

    let sidecar = Sidecar::start(&place, &config);
    wait_until("it sends", 40 * SECOND, || {
        count(&sidecar, "sent_total") >= 1.0
    });
    let after: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    assert_eq!(since(&after), waits_since);
    sidecar.stop();
}

#[test]
fn check_says_whether_alertmanager_answers() {
    let place = Place::new();
    let alertmanager = Alertmanager::start(&place);
    let config = write_alone(&place, "");
    let alone = std::fs::read_to_string(&config).unwrap();
    let gone = nobodys();
    let silent = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, two] = silent.each_ref().map(|one| one.local_addr().unwrap());
    let text = format!(
        "{alone}notify: {{ alertmanager: {{ urls: ['http://{one}', '{}', 'http://{gone}', 'http://{two}'] }} }}\n",
        alertmanager.url()
    );
    std::fs::write(&config, text).unwrap();
    let began = Instant::now();
    let done = crate::support::program::pgvigil(&place)
        .args(["check", "--config"])
        .about(&config)
        .run();
    let good = format!("good  alertmanager: {} answers\n", alertmanager.url());
    assert!(done.stdout.contains(&good), "{}", done.stdout);
    let bad =
        format!("BAD   alertmanager: ask Alertmanager http://{gone}: connect: Connection refused");
    assert!(done.stdout.contains(&bad), "{}", done.stdout);
    for silent in [one, two] {
        let bad = format!("http://{silent}: no answer within 10 s");
        assert!(done.stdout.contains(&bad), "{}", done.stdout);
    }
    assert!(began.elapsed() < DEADLINE * 2, "they are asked together");
}

/// A program that is there, so that the name is used.
#[test]
fn amtool_sees_the_same() {
    let place = Place::new();
    let alertmanager = Alertmanager::start(&place);
    let url = alertmanager.url();
    let (mut alerts, rules) = super::judged_at(&[Utc::now().timestamp()], &[]);
    let notices = alerts.due(Utc::now());
    let (taken, _) = block_on(send(&wanted(&url), &url, &notices, &rules));
    assert_eq!(taken, 1);
    let output = Command::new(programs::amtool())
        .args([
            "alert",
            "query",
            "alertname=PgvigilWatchdog",
            "cluster=prod",
            "--alertmanager.url",
            &url,
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("PgvigilWatchdog"), "{told}");
}
