//! The alert rules: sound, tested, the same in both files, and of one mind with the program, the runbooks and the tables.
//!
//! That the unit tests themselves notice what they should is the business of tests/rules_mutants (`make mutants`).

mod alertmanager;
pub(crate) mod metrics;
mod runbooks;
mod year;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::programs;

/// One alert of the rules.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    expression: String,
    severity: String,
    pub(crate) annotations: Value,
}

#[test]
fn the_rules_pass_promtools_checks() {
    let mut check = Command::new(programs::promtool());
    check.args(["check", "rules", "--lint=all", "--lint-fatal"]);
    assert_eq!(run(check.arg(rules().join("pgvigil.rules.yaml"))), Ok(()));
}

#[test]
fn the_unit_tests_of_the_rules_pass() {
    let mut test = Command::new(programs::promtool());
    test.args(["test", "rules"])
        .args(files(&rules().join("tests"), "yaml"));
    assert_eq!(run(&mut test), Ok(()));
}

#[test]
fn the_operators_file_holds_the_same_rules() {
    let plain = yaml(&rules().join("pgvigil.rules.yaml"));
    let operators = yaml(&rules().join("pgvigil.prometheusrule.yaml"));
    assert_eq!(operators["kind"], "PrometheusRule");
    assert_eq!(operators["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(operators["spec"], plain, "run `make rules`");
}

#[test]
fn every_alert_has_its_parts() {
    let overview = fs::read_to_string(rules().join("README.md")).unwrap();
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        let (name, severity) = (&alert.name, &alert.severity);
        assert!(name.starts_with("Pgvigil"), "{name}");
        assert!(
            ["critical", "warning", "none"].contains(&severity.as_str()),
            "{name}: {severity}"
        );
        for annotation in ["summary", "description", "runbook_url", "dashboard_url"] {
            let text = alert.annotations[annotation].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {annotation}");
        }
        let summary = alert.annotations["summary"].as_str().unwrap();
        assert!(
            summary.ends_with('.') && !summary.contains("{{"),
            "{name}: {summary}"
        );
        let row = format!("| [{name}](runbooks/{name}.md) | {severity} |");
        assert!(overview.contains(&row), "rules/README.md has no {row}");
    }
    let rows = overview.matches("](runbooks/Pgvigil").count();
    assert_eq!(rows, alerts.len(), "alerts in rules/README.md");
}

#[test]
fn every_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not() {
    for alert in alerts() {
        let path = rules().join(format!("tests/{}.yaml", alert.name));
        assert!(path.is_file(), "{} is missing", path.display());
        let checks: Vec<Value> = yaml(&path)["tests"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|test| test["alert_rule_test"].as_array().unwrap().clone())
            .collect();
        assert!(
            checks
                .iter()
                .all(|check| check["alertname"] == alert.name.as_str())
        );
        let fires = |check: &&Value| check["exp_alerts"].is_array();
        assert!(checks.iter().any(|check| fires(&check)), "{}", alert.name);
        let always = alert.name == "PgvigilWatchdog";
        assert_eq!(checks.iter().all(|check| fires(&check)), always);
    }
}

/// Where the rules are.
fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

pub(crate) fn alerts() -> Vec<Alert> {
    every_rule()
        .iter()
        .filter_map(|rule| {
            Some(Alert {
                name: rule["alert"].as_str()?.to_owned(),
                expression: rule["expr"].as_str()?.to_owned(),
                severity: rule["labels"]["severity"].as_str()?.to_owned(),
                annotations: rule["annotations"].clone(),
            })
        })
        .collect()
}

/// Alerts and recorded series, in order.
fn every_rule() -> Vec<Value> {
    let all = yaml(&rules().join("pgvigil.rules.yaml"));
    let groups = all["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

pub(crate) fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder that end so, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// Whether a program ends well; if not, what it says of it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(told)
    }
}
