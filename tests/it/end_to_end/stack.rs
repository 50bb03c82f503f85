//! Prometheus and Alertmanager as they are installed, with the rules, routes and templates as they are shipped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use super::form::{self, Form};
use super::receiver::Receiver;
use crate::support::http::own_address;
use crate::support::place::{Place, executable, leashed};
use crate::support::{programs, wait_until};

const START: Duration = Duration::from_secs(60);

/// What Prometheus is told of where pgvigil runs.
pub(super) const CLUSTER: &str = "end-to-end";
pub(super) const NAMESPACE: &str = "databases";

/// Both, at work.
pub(super) struct Stack {
    prometheus: Leashed,
    _alertmanager: Leashed,
}

/// One program that ends with us.
struct Leashed {
    leash: Child,
    address: SocketAddr,
}

impl Stack {
    /// Once both are ready; scrapes these.
    pub(super) fn start(
        form: Form,
        place: &Place,
        receiver: &Receiver,
        targets: &[SocketAddr],
    ) -> Self {
        let alertmanager = own_address(9093);
        let config = alertmanager_config(form, place, receiver);
        let alertmanager = Leashed::start(
            place,
            "alertmanager",
            programs::at_home(&programs::alertmanager())
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.path={}",
                    place.join("alertmanager").display()
                ))
                .arg(format!("--web.listen-address={alertmanager}"))
                .arg("--cluster.listen-address="),
            alertmanager,
        );
        let prometheus = own_address(9090);
        let config = prometheus_config(form, place, targets, alertmanager.address);
        let prometheus = Leashed::start(
            place,
            "prometheus",
            programs::at_home(&programs::prometheus())
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    place.join("prometheus").display()
                ))
                .arg(format!("--web.listen-address={prometheus}"))
                .arg(format!("--rules.alert.resend-delay={}", form.resend())),
            prometheus,
        );
        Self {
            prometheus,
            _alertmanager: alertmanager,
        }
    }

    /// What an expression gives: labels and value of each series.
    pub(super) fn ask(&self, expression: &str) -> Vec<(Value, String)> {
        let answer = curl(
            self.prometheus.address,
            "/api/v1/query",
            &["--get", "--data-urlencode", &format!("query={expression}")],
        )
        .expect("Prometheus answers");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series
            .iter()
            .map(|one| {
                let value = one["value"][1].as_str().unwrap().to_owned();
                (one["metric"].clone(), value)
            })
            .collect()
    }
}

impl Leashed {
    fn start(place: &Place, name: &str, program: &Command, address: SocketAddr) -> Self {
        let log = place.join(&format!("{name}.log"));
        let leash = leashed(&executable())
            .arg("--")
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(place.join("."))
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut leashed = Self { leash, address };
        wait_until(&format!("{name} is ready"), START, || {
            if leashed.leash.try_wait().unwrap().is_some() {
                panic!("{name} ended: {}", fs::read_to_string(&log).unwrap());
            }
            curl(address, "/-/ready", &[]).is_some()
        });
        leashed
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        self.leash.wait().unwrap();
    }
}

fn curl(address: SocketAddr, path: &str, more: &[&str]) -> Option<String> {
    let output = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "20", "--noproxy", "*"])
        .args(more)
        .arg(format!("http://{address}{path}"))
        .output()
        .expect("curl: run .ci/install test");
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("rules")
        .join(path)
}

fn prometheus_config(
    form: Form,
    place: &Place,
    targets: &[SocketAddr],
    alertmanager: SocketAddr,
) -> PathBuf {
    let whole = fs::read_to_string(shipped("pgvigil.rules.yaml")).unwrap();
    let rules = form.of(&whole, &form::RULES);
    form::assert_nothing_else_differs(&whole, &rules, &form::RULES);
    fs::write(place.join("pgvigil.rules.yaml"), rules).unwrap();
    let targets: Vec<_> = targets.iter().map(|target| format!("'{target}'")).collect();
    let text = format!(
        "global: {{ scrape_interval: {0}, scrape_timeout: {0}, evaluation_interval: {0} }}
rule_files: [pgvigil.rules.yaml]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['{alertmanager}'] }}] }}] }}
scrape_configs:
  - job_name: pgvigil
    static_configs: [{{ targets: [{1}], labels: {{ cluster: {CLUSTER}, namespace: {NAMESPACE} }} }}]
",
        form.interval(),
        targets.join(", ")
    );
    let path = place.join("prometheus.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// The example, with our receivers in place of what it says is to be replaced.
fn alertmanager_config(form: Form, place: &Place, receiver: &Receiver) -> PathBuf {
    let example = fs::read_to_string(shipped("alertmanager/alertmanager.example.yaml")).unwrap();
    let mut text = form.of(&example, &form::ROUTES);
    form::assert_nothing_else_differs(&example, &text, &form::ROUTES);
    let http = receiver.http;
    let chat = place.join("slack-url");
    fs::write(&chat, format!("http://{http}/chat")).unwrap();
    fs::write(place.join("smtp-password"), "none").unwrap();
    for (theirs, ours) in [
        (
            "smtp_smarthost: smtp.example.org:587",
            format!(
                "smtp_require_tls: false\n  smtp_smarthost: '{}'",
                receiver.smtp
            ),
        ),
        (
            "/etc/alertmanager/secrets/smtp-password",
            place.join("smtp-password").display().to_string(),
        ),
        (
            "/etc/alertmanager/secrets/slack-url",
            chat.display().to_string(),
        ),
        (
            "https://deadmanssnitch.example.org/pgvigil",
            format!("http://{http}/alive"),
        ),
        (
            "https://pager.example.org/alertmanager",
            format!("http://{http}/pager"),
        ),
        (
            "templates/*.tmpl",
            shipped("alertmanager/templates/*.tmpl")
                .display()
                .to_string(),
        ),
    ] {
        assert_eq!(text.matches(theirs).count(), 1, "{theirs} in the example");
        text = text.replace(theirs, &ours);
    }
    let path = place.join("alertmanager.yaml");
    fs::write(&path, text).unwrap();
    path
}
