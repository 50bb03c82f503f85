//! Alerts that pgvigil sends itself: the same as Prometheus', to the byte, and to real Alertmanagers.

mod faults;
mod promtool;
mod sending;
mod unit_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use pgvigil::config::Alertmanager;
use pgvigil::notify::{Alerts, Message, NOT_FROM_INSIDE, Rules};
use pgvigil::promql::{Labels, Samples};

/// Labels and annotations of one alert, but for its name.
type Described = (BTreeMap<String, String>, BTreeMap<String, String>);

#[test]
fn what_cannot_be_judged_from_inside_is_said() {
    let rules = Rules::built_in().unwrap();
    let mut named: BTreeSet<&str> = rules.alerts().collect();
    named.extend(NOT_FROM_INSIDE);
    let text = fs::read_to_string(rules_folder().join("pgvigil.rules.yaml")).unwrap();
    let all = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    assert_eq!(named, all.collect());
    for file in ["README.md", "rules/README.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let section = text.split("ithout Prometheus\n").nth(1).unwrap_or_default();
        let section = section.split("\n#").next().unwrap();
        for name in NOT_FROM_INSIDE {
            assert!(section.contains(name), "{file}, without Prometheus: {name}");
        }
    }
}

fn rules_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn after(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// The alerts that fire, by name.
fn firing(
    alerts: &Alerts,
    rules: &Rules,
    now: DateTime<Utc>,
) -> BTreeMap<String, BTreeSet<Described>> {
    let config = Alertmanager::default();
    let mut firing: BTreeMap<String, BTreeSet<Described>> = BTreeMap::new();
    for notice in alerts.all(now).iter().filter(|notice| !notice.is_over(now)) {
        let message = Message::new(notice, rules, &config).unwrap();
        let owned = |(name, value): (&&str, &&str)| ((*name).to_owned(), (*value).to_owned());
        let mut labels: BTreeMap<_, _> = message.labels.iter().map(owned).collect();
        let name = labels.remove("alertname").unwrap();
        let texts = message.annotations.iter();
        let texts = texts
            .map(|(key, text)| ((*key).to_owned(), text.clone()))
            .collect();
        assert!(firing.entry(name).or_default().insert((labels, texts)));
    }
    firing
}

/// A series as Prometheus writes it: `name{a="b",c="d"}`.
fn series(text: &str) -> (String, Labels) {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let inner = rest.strip_suffix('}').unwrap();
    let pairs = inner
        .split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.trim().split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
    (name.to_owned(), Labels::new(pairs))
}

/// What fires when these samples are there from a moment until another, and the time is told.
fn judged_at(times: &[i64], samples: &[(&str, f64)]) -> (Alerts, Arc<Rules>) {
    let rules = Arc::new(Rules::built_in().unwrap());
    let mut alerts = Alerts::new(Arc::clone(&rules));
    for time in times {
        evaluate(&mut alerts, samples, after(*time));
    }
    (alerts, rules)
}

fn evaluate(alerts: &mut Alerts, given: &[(&str, f64)], now: DateTime<Utc>) {
    let mut samples = Samples::default();
    for (text, value) in given {
        let (name, labels) = series(text);
        samples.add(&name, labels, *value);
    }
    assert_eq!(alerts.evaluate(&mut samples, now), []);
}
