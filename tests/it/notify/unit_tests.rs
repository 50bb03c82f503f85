//! The unit tests of the rules, which promtool passes, played through our own evaluation: series at their steps, and the
//! alerts that fire with all their labels and texts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use pgvigil::config::units;
use pgvigil::notify::{Alerts, NOT_FROM_INSIDE, Rules};
use pgvigil::promql::{Labels, Samples};
use serde_json::Value;

use super::{Described, after, firing, rules_folder, series};

/// How long Prometheus takes the last sample for the present one.
const LOOKBACK: i64 = 300;

/// One series: its samples at each step.
struct Series {
    name: String,
    labels: Labels,
    values: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Value(f64),
    Missing,
    Stale,
}

#[test]
fn the_unit_tests_of_the_rules_pass_here_too() {
    let rules = Arc::new(Rules::built_in().unwrap());
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut checks = 0;
    for entry in std::fs::read_dir(rules_folder().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let every = seconds(&file["evaluation_interval"]);
        for test in file["tests"].as_array().unwrap() {
            checks += play(test, every, &rules, &path, &mut seen);
        }
    }
    let all: BTreeSet<String> = rules.alerts().map(str::to_owned).collect();
    assert_eq!(seen, all, "alerts that fired in some test");
    assert!(checks > 150, "{checks} checks");
}

fn play(
    test: &Value,
    every: i64,
    rules: &Arc<Rules>,
    path: &Path,
    seen: &mut BTreeSet<String>,
) -> usize {
    let given: Vec<Series> = test["input_series"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let (name, labels) = series(one["series"].as_str().unwrap());
            let values = values(one["values"].as_str().unwrap());
            Series {
                name,
                labels,
                values,
            }
        })
        .collect();
    let step = seconds(&test["interval"]);
    let no_checks = Vec::new();
    let checks = test["alert_rule_test"].as_array().unwrap_or(&no_checks);
    // Those without alerts to expect look at expressions over days: nothing but the watchdog may fire.
    let expressions = test["promql_expr_test"].as_array().into_iter().flatten();
    let end = checks
        .iter()
        .chain(expressions)
        .map(|check| seconds(&check["eval_time"]));
    let end = end.max().unwrap();
    let mut alerts = Alerts::new(Arc::clone(rules));
    let mut done = 0;
    for time in (0..=end).step_by(usize::try_from(every).unwrap()) {
        let now = after(time);
        let mut samples = Samples::default();
        for one in &given {
            if let Some(value) = one.at(time, step) {
                samples.add(&one.name, one.labels.clone(), value);
            }
        }
        assert_eq!(alerts.evaluate(&mut samples, now), []);
        let mut fires = firing(&alerts, rules, now);
        if checks.is_empty() {
            let names: Vec<_> = fires.keys().collect();
            assert_eq!(names, ["PgvigilWatchdog"], "{} at {time} s", path.display());
        }
        for check in checks
            .iter()
            .filter(|check| seconds(&check["eval_time"]) == time)
        {
            let name = check["alertname"].as_str().unwrap();
            if NOT_FROM_INSIDE.contains(&name) {
                continue;
            }
            let fired = fires.remove(name).unwrap_or_default();
            if !fired.is_empty() {
                seen.insert(name.to_owned());
            }
            let wanted = check["exp_alerts"].as_array().into_iter().flatten();
            let wanted: BTreeSet<Described> = wanted
                .map(|alert| {
                    (
                        texts(&alert["exp_labels"]),
                        texts(&alert["exp_annotations"]),
                    )
                })
                .collect();
            assert_eq!(
                fired,
                wanted,
                "{}: {}: {name} at {time} s",
                path.display(),
                test["name"]
            );
            done += 1;
        }
    }
    done
}

impl Series {
    /// The value that Prometheus sees.
    fn at(&self, time: i64, step: i64) -> Option<f64> {
        for index in (0..=time / step).rev() {
            if time - index * step > LOOKBACK {
                return None;
            }
            match self.values.get(usize::try_from(index).unwrap()) {
                Some(Step::Value(value)) => return Some(*value),
                Some(Step::Stale) => return None,
                Some(Step::Missing) | None => {}
            }
        }
        None
    }
}

/// promtool's form: `1 2`, `1x3` for one and three more, `1+2x3`, `_`, `_x3`, `stale`.
fn values(text: &str) -> Vec<Step> {
    let mut values = Vec::new();
    for word in text.split_whitespace() {
        let (first, times) = word.split_once('x').unwrap_or((word, ""));
        let more: usize = if times.is_empty() {
            0
        } else {
            times.parse().unwrap()
        };
        if first == "stale" {
            values.push(Step::Stale);
        } else if first == "_" {
            values.extend(vec![Step::Missing; more.max(1)]);
        } else {
            let at = first[1..].find(['+', '-']).map_or(first.len(), |at| at + 1);
            let (value, grows) = first.split_at(at);
            let value: f64 = value.parse().unwrap();
            let grows: f64 = if grows.is_empty() {
                0.0
            } else {
                grows.parse().unwrap()
            };
            #[expect(clippy::cast_precision_loss, reason = "a few hundred steps")]
            values.extend((0..=more).map(|count| Step::Value(value + grows * count as f64)));
        }
    }
    values
}

fn seconds(duration: &Value) -> i64 {
    let text = duration.as_str().unwrap();
    units::parse_duration(text).unwrap().as_secs().cast_signed()
}

fn texts(map: &Value) -> std::collections::BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn reads_series_as_promtool_does() {
    use Step::{Missing, Stale, Value};
    assert_eq!(
        values("1x2 _ 3"),
        [Value(1.0), Value(1.0), Value(1.0), Missing, Value(3.0)]
    );
    assert_eq!(
        values("1+2x2 4-1x1 -1-1x1"),
        [1.0, 3.0, 5.0, 4.0, 3.0, -1.0, -2.0].map(Value)
    );
    assert_eq!(
        values("_x2 stale Inf"),
        [Missing, Missing, Stale, Value(f64::INFINITY)]
    );
}
