//! Expressions and texts over samples of all kinds, ours against promtool's: what we make of them is what it is told to
//! expect.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use pgvigil::notify::{Alerts, Rules};
use pgvigil::promql::{Expression, Sample, Samples};
use serde_json::{Value, json};

use super::{after, firing, rules_folder, series};
use crate::support::place::Place;
use crate::support::programs;
use crate::support::random::Random;

/// Samples are there at 0, and looked at while they count as the present.
const LOOKED_AT: i64 = 240;

/// Around the time of the look, around each other, and where arithmetic ends. promtool wants Inf, YAML .inf.
const VALUES: [f64; 16] = [
    0.0,
    1.0,
    1.0,
    2.0,
    0.5,
    -1.0,
    100.0,
    120.0,
    200.0,
    239.5,
    240.0,
    241.0,
    300.0,
    3_600.0,
    1e18,
    f64::INFINITY,
];

/// What the rules do not have, of what is known here.
const MORE: [&str; 12] = [
    "pgvigil_up",
    "pgvigil_up > 0",
    "1 > pgvigil_up",
    "pgvigil_up * 2 - 1",
    "pgvigil_up / pgvigil_backup_paused",
    "pgvigil_up >= pgvigil_backup_paused",
    "pgvigil_up and pgvigil_backup_paused == 1",
    "pgvigil_up or pgvigil_backup_paused unless pgvigil_up",
    "pgvigil_up{pod=\"p-0\",server!=\"x\"}",
    "pgvigil_up{nothing=\"\"} != 1",
    "max by (pod, nothing) (pgvigil_up) or vector(time() / 2)",
    "clamp_min(pgvigil_up, 1) + 1 <= 2",
];

#[test]
fn every_expression_gives_what_prometheus_gives() {
    let typed: Value = serde_yaml::from_str(
        &fs::read_to_string(rules_folder().join("pgvigil.rules.yaml")).unwrap(),
    )
    .unwrap();
    let rules: Vec<&Value> = typed["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let mut expressions: Vec<(Option<&str>, &str, Expression)> = Vec::new();
    for rule in rules {
        let text = rule["expr"].as_str().unwrap();
        // Those that are left out are held by another test.
        if let Ok(expression) = Expression::parse(text) {
            expressions.push((rule["record"].as_str(), text, expression));
        }
    }
    for text in MORE {
        expressions.push((None, text, Expression::parse(text).unwrap()));
    }
    let metrics: BTreeSet<String> = expressions
        .iter()
        .flat_map(|(_, _, expression)| expression.metrics())
        .filter(|name| !name.contains(':'))
        .map(str::to_owned)
        .collect();

    let mut random = Random::seeded(7);
    let (mut tests, mut given, mut empty) = (Vec::new(), 0, 0);
    for _ in 0..150 {
        let (input, mut samples) = some_samples(&metrics, &mut random);
        let mut checks = Vec::new();
        for (record, text, expression) in &expressions {
            let found = expression.evaluate(&samples, 240.0).unwrap();
            for sample in record.iter().flat_map(|_| &found) {
                samples.add(record.unwrap(), sample.labels.clone(), sample.value);
            }
            // promtool takes no two NaN for the same.
            if found.iter().any(|sample| sample.value.is_nan()) {
                continue;
            }
            (given, empty) = (given + found.len(), empty + usize::from(found.is_empty()));
            checks.push(json!({
                "expr": text,
                "eval_time": "4m",
                "exp_samples": found.iter().map(expected).collect::<Vec<_>>(),
            }));
        }
        tests.push(json!({ "interval": "1m", "input_series": input, "promql_expr_test": checks }));
    }
    assert!(
        given > 2_000 && empty > 500,
        "{given} samples, {empty} times none"
    );
    let rules = rules_folder().join("pgvigil.rules.yaml");
    agrees(&json!({ "rule_files": [rules], "evaluation_interval": "1m", "tests": tests }));
}

/// Of two servers and two replicas, with gaps.
fn some_samples(metrics: &BTreeSet<String>, random: &mut Random) -> (Vec<Value>, Samples) {
    let (mut input, mut samples) = (Vec::new(), Samples::default());
    for metric in metrics {
        if random.below(8) == 0 {
            continue;
        }
        for (server, pod) in [("x", "p-0"), ("x", "p-1"), ("y", "p-0"), ("y", "p-1")] {
            if random.below(6) == 0 {
                continue;
            }
            let phase = if random.below(2) == 0 {
                ",phase=\"restore\""
            } else {
                ""
            };
            let namespace = if random.below(4) > 0 {
                ",namespace=\"n\""
            } else {
                ""
            };
            let text = format!("{metric}{{server=\"{server}\",pod=\"{pod}\"{phase}{namespace}}}");
            let value = VALUES[random.below(VALUES.len())];
            let (name, labels) = series(&text);
            samples.add(&name, labels, value);
            let value = format!("{value}").replace("inf", "Inf");
            input.push(json!({ "series": text, "values": value }));
        }
    }
    (input, samples)
}

fn expected(sample: &Sample) -> Value {
    let mut text = sample.name.as_deref().unwrap_or_default().to_owned();
    let labels: Vec<_> = sample
        .labels
        .iter()
        .map(|(n, v)| format!("{n}=\"{v}\""))
        .collect();
    write!(text, "{{{}}}", labels.join(",")).unwrap();
    // JSON has no infinity; what is written here is mended in the text.
    if sample.value.is_infinite() {
        let mark = if sample.value > 0.0 {
            "INFINITE"
        } else {
            "-INFINITE"
        };
        return json!({ "labels": text, "value": mark });
    }
    json!({ "labels": text, "value": sample.value })
}

#[test]
fn numbers_and_links_are_written_as_prometheus_writes_them() {
    let rules_text = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: v\n        annotations:\n          plain: '{{ $value }}'\n          duration: '{{ $value | humanizeDuration }}'\n          binary: '{{ $value | humanize1024 }}'\n          percentage: '{{ $value | humanizePercentage }}'\n          time: '{{ $value | humanizeTimestamp }}'\n          link: '{{ with $labels.name }}?{{ . }}{{ end }} {{ $labels.name | urlquery }}'\n";
    let place = Place::new();
    let path = place.join("rules.yaml");
    fs::write(&path, rules_text).unwrap();
    let rules = Arc::new(Rules::parse(rules_text).unwrap());
    let mut random = Random::seeded(3);
    let mut values = vec![
        0.0,
        1.0,
        -1.0,
        59.0,
        59.99996,
        60.0,
        3_599.9,
        86_400.0,
        90_061.0,
        0.1,
        0.01,
        1e-5,
        1.5e-7,
        1e-25,
        999.95,
        1023.0,
        1023.96,
        1024.0,
        1.5e6,
        123_456.0,
        1_234_567.0,
        9.2e9,
        1e21,
        1e30,
        1_780_273_800.125,
        1_780_273_800.120_4,
        -1.5,
        -90_061.0,
        0.8,
        0.123_45,
        0.123_55,
        12.345,
        f64::INFINITY,
    ];
    for _ in 0..300 {
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let digits = random.below(10_000_000) as f64;
        let exponent = i32::try_from(random.below(24)).unwrap() - 14;
        values.push(digits * 10_f64.powi(exponent));
    }
    let names = ["", "pg", "a b", "ä/?&=%+", "x-y_z.~*", "日本", "'<>|"];
    let (mut samples, mut input) = (Samples::default(), Vec::new());
    for (count, value) in values.into_iter().enumerate() {
        let text = format!("v{{n=\"{count}\",name=\"{}\"}}", names[count % names.len()]);
        // Beyond the times that Go knows Prometheus gives an error in the place of the text.
        if (9.2e9..f64::INFINITY).contains(&value.abs()) && value > 9.2e9 {
            continue;
        }
        let (name, labels) = series(&text);
        samples.add(&name, labels, value);
        input.push(json!({ "series": text, "values": format!("{value}").replace("inf", "Inf") }));
    }
    let mut alerts = Alerts::new(Arc::clone(&rules));
    assert_eq!(alerts.evaluate(&mut samples, after(LOOKED_AT)), []);
    let fires = firing(&alerts, &rules, after(LOOKED_AT))
        .remove("A")
        .unwrap();
    assert_eq!(fires.len(), input.len());
    let wanted: Vec<_> = fires
        .into_iter()
        .map(|(labels, texts)| json!({ "exp_labels": labels, "exp_annotations": texts }))
        .collect();
    agrees(
        &json!({ "rule_files": [path], "evaluation_interval": "1m", "tests": [{
        "interval": "1m",
        "input_series": input,
        "alert_rule_test": [{ "eval_time": "4m", "alertname": "A", "exp_alerts": wanted }],
    }] }),
    );
}

/// Has promtool run the tests; JSON is YAML.
#[track_caller]
fn agrees(tests: &Value) {
    let place = Place::new();
    let path = place.join("tests.yaml");
    let text = tests.to_string();
    let text = text
        .replace("\"-INFINITE\"", "-.inf")
        .replace("\"INFINITE\"", ".inf");
    fs::write(&path, text).unwrap();
    let output = Command::new(programs::promtool())
        .args(["test", "rules"])
        .arg(&path)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let beginning: String = said.chars().take(300_000).collect();
    assert!(output.status.success(), "{beginning}");
}
