//! The metrics of the dashboards: each is exported, with that type and those labels.

use std::collections::{BTreeMap, BTreeSet};

use super::exported::{Family, families};
use super::promql::parts;
use super::{FILES, dashboard, expressions, linter, list, text};
use crate::rules;

/// What Prometheus adds to every series; the test of evaluation knows them too.
const OF_TARGETS: [&str; 4] = ["cluster", "namespace", "job", "instance"];
/// The labels of `ALERTS`, which Prometheus itself makes: they are those of our rules.
const OF_ALERTS: [&str; 6] = [
    "alertname",
    "alertstate",
    "severity",
    "cluster",
    "namespace",
    "server",
];
const OVER_COUNTERS: [&str; 5] = ["rate", "irate", "increase", "changes", "resets"];

#[test]
fn every_metric_of_the_dashboards_is_exported_with_that_type_and_those_labels() {
    let families = families();
    for file in FILES {
        for (place, expression) in everything(file) {
            assert_eq!(faults(&expression, &families), "", "{file}, {place}");
        }
    }
}

#[test]
fn finds_metrics_types_and_labels_that_are_not_so() {
    let families = families();
    for (expression, fault) in [
        (
            "pgvigil_backup_last_succes_timestamp_seconds",
            "is not exported",
        ),
        (
            "max by (server) (pgvigil_backups{sever=~\"x\"})",
            "has no label sever",
        ),
        (
            "max by (reason) (pgvigil_backups)",
            "nothing has the label reason",
        ),
        ("rate(pgvigil_backups[5m])", "is no counter"),
        ("max(pgvigil_backup_attempts_total)", "is a counter"),
        ("ALERTS{job=\"x\"}", "has no label job"),
        (
            "cluster_namespace_server:pgvigil_backup_age_seconds:min",
            "is not exported",
        ),
    ] {
        let found = faults(expression, &families);
        assert!(found.contains(fault), "{expression}: {found}");
    }
}

#[test]
fn the_table_of_metrics_has_their_types_and_labels_and_who_shows_them() {
    let families = families();
    let shown: BTreeMap<&str, BTreeSet<String>> = FILES
        .iter()
        .map(|file| {
            let selectors = everything(file)
                .into_iter()
                .flat_map(|(_, expression)| parts(&expression).selectors);
            let name = file
                .trim_start_matches("pgvigil-")
                .trim_end_matches(".json");
            (name, selectors.map(|selector| selector.name).collect())
        })
        .collect();
    for (metric, row) in rules::metrics::table() {
        let family = &families[&metric];
        assert_eq!(row.kind, family.kind, "type of {metric}");
        let labels: BTreeSet<String> = row.labels.into_iter().collect();
        assert_eq!(labels, family.labels, "labels of {metric}");
        let by: Vec<&str> = shown
            .iter()
            .filter(|(_, metrics)| metrics.contains(&metric))
            .map(|(dashboard, _)| *dashboard)
            .collect();
        assert_eq!(row.dashboards, by, "dashboards that show {metric}");
    }
}

#[test]
fn every_alert_that_is_named_is_one_of_the_rules() {
    let alerts: BTreeSet<String> = rules::alerts()
        .into_iter()
        .map(|alert| alert.name)
        .collect();
    for file in FILES {
        for selector in everything(file)
            .iter()
            .flat_map(|(_, expression)| parts(expression).selectors)
        {
            for (label, operator, value) in &selector.matchers {
                let named = label == "alertname" && ["=", "!="].contains(&&**operator);
                assert!(!named || alerts.contains(value), "{selector:?}");
            }
        }
    }
}

/// The expressions of panels, annotations and variables.
fn everything(file: &str) -> Vec<(String, String)> {
    let dashboard = dashboard(file);
    let mut all = expressions(&dashboard);
    for variable in list(&dashboard["templating"]["list"]) {
        if let Some((metric, label)) = linter::label_values(variable) {
            let place = format!("variable {}", text(&variable["name"]));
            all.push((place, format!("group by ({label}) ({metric})")));
        }
    }
    all
}

/// What an expression has wrong of its metrics, in sentences.
fn faults(expression: &str, families: &BTreeMap<String, Family>) -> String {
    let mut faults = Vec::new();
    let parts = parts(expression);
    let mut had: BTreeSet<&str> = BTreeSet::new();
    for selector in &parts.selectors {
        let name = &selector.name;
        let labels: Vec<&str> = if name == "ALERTS" {
            OF_ALERTS.to_vec()
        } else if let Some(family) = families.get(name) {
            let counts = family.kind == "counter";
            if counts && !selector.within(&OVER_COUNTERS) {
                faults.push(format!("{name} is a counter"));
            }
            if !counts && selector.within(&["rate", "irate", "increase"]) {
                faults.push(format!("{name} is no counter"));
            }
            let own = family.labels.iter().map(String::as_str);
            own.chain(OF_TARGETS).collect()
        } else {
            faults.push(format!("{name} is not exported"));
            continue;
        };
        for (label, _, _) in &selector.matchers {
            if !labels.contains(&label.as_str()) {
                faults.push(format!("{name} has no label {label}"));
            }
        }
        had.extend(labels);
    }
    for label in &parts.grouping {
        if !parts.selectors.is_empty() && !had.contains(label.as_str()) {
            faults.push(format!("nothing has the label {label}"));
        }
    }
    faults.join("; ")
}
