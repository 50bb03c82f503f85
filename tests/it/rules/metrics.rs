//! The names of metrics: those of the rules and of the table are those that the program exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{alerts, every_rule, files, rules};

/// A row of the table of metrics.
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) labels: Vec<String>,
    alerts: Vec<String>,
    pub(crate) dashboards: Vec<String>,
}

#[test]
fn every_metric_of_the_rules_is_exported() {
    let used = of_the_rules();
    let exported = exported();
    let missing: Vec<_> = used.difference(&exported).collect();
    assert!(missing.is_empty(), "in the rules alone: {missing:?}");
}

#[test]
fn the_table_has_every_exported_metric_and_the_alerts_that_rest_on_it() {
    let table = table();
    let named: BTreeSet<String> = table.keys().cloned().collect();
    assert_eq!(named, exported(), "rules/METRICS.md, and src/metrics");
    for (metric, row) in &table {
        assert_eq!(row.alerts, resting_on(metric), "alerts of {metric}");
    }
}

#[test]
fn reads_metrics_but_no_recorded_series() {
    let found = metrics(
        "a_b:pgvigil_backup_age_seconds:min > 2 * max by (x) (pgvigil_up{p=\"pgvigil_q\"})",
    );
    assert_eq!(found, ["pgvigil_up", "pgvigil_q"]);
}

/// The metrics that the rules rest on.
pub(super) fn of_the_rules() -> BTreeSet<String> {
    every_rule()
        .iter()
        .flat_map(|rule| metrics(rule["expr"].as_str().unwrap()))
        .collect()
}

/// What stands as a text in the sources of the metrics.
fn exported() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = files(&source.join("metrics"), "rs");
    sources.retain(|path| !path.ends_with("tests.rs"));
    sources.push(source.join("metrics.rs"));
    let mut names = BTreeSet::new();
    for path in sources {
        let text = fs::read_to_string(path).unwrap();
        for rest in text.split("\"pgvigil_").skip(1) {
            names.insert(format!("pgvigil_{}", rest.split('"').next().unwrap()));
        }
    }
    assert!(names.len() > 40, "{names:?}");
    names
}

/// The metrics of an expression. Names with colons are recorded.
fn metrics(expression: &str) -> Vec<String> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("pgvigil_") && !word.contains(':'))
        .map(str::to_owned)
        .collect()
}

/// The rows of the table by metric.
pub(crate) fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(rules().join("METRICS.md")).unwrap();
    text.lines()
        .filter(|line| line.starts_with("| `pgvigil_"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 6, "{line}");
            let counts = cells[0].ends_with("_total`");
            assert_eq!(cells[1], if counts { "counter" } else { "gauge" }, "{line}");
            assert!(cells[3].ends_with('.'), "{line}");
            let row = Row {
                kind: cells[1].to_owned(),
                labels: words(cells[2]),
                alerts: linked(cells[4]),
                dashboards: words(cells[5]),
            };
            (cells[0].trim_matches('`').to_owned(), row)
        })
        .collect()
}

/// What stands between commas.
fn words(cell: &str) -> Vec<String> {
    let words = cell.split(", ").filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The texts of links.
fn linked(cell: &str) -> Vec<String> {
    let links = cell.split('[').skip(1);
    links
        .map(|link| link.split(']').next().unwrap().to_owned())
        .collect()
}

/// The alerts whose expressions, or recorded series, name a metric.
fn resting_on(metric: &str) -> Vec<String> {
    let rules = every_rule();
    let recorded: Vec<&str> = rules
        .iter()
        .filter(|rule| metrics(rule["expr"].as_str().unwrap()).contains(&metric.to_owned()))
        .filter_map(|rule| rule["record"].as_str())
        .collect();
    let rests = |expression: &str| {
        metrics(expression).contains(&metric.to_owned())
            || recorded.iter().any(|series| expression.contains(series))
    };
    alerts()
        .into_iter()
        .filter(|alert| rests(&alert.expression))
        .map(|alert| alert.name)
        .collect()
}
