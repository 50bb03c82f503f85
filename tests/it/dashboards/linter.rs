//! The 17 rules of Grafana's dashboard-linter (github.com/grafana/dashboard-linter), with its file of exclusions, `.lint`.
//!
//! Stricter than the original where that costs nothing: warnings are findings, and counters with labels are seen too.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::promql::{Parts, parts};
use super::{FILES, dashboard, dashboards, list, panels, text};
use crate::rules;
use crate::support::place::Place;
use crate::support::programs;

/// What a rule has against a dashboard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    rule: &'static str,
    panel: String,
    target: Option<usize>,
}

/// Panels that show data.
const DATA: [&str; 8] = [
    "stat",
    "singlestat",
    "graph",
    "table",
    "timeseries",
    "gauge",
    "bargauge",
    "state-timeline",
];

/// Those of Grafana's units that fit our metrics.
const UNITS: [&str; 14] = [
    "none",
    "short",
    "bytes",
    "binBps",
    "s",
    "ms",
    "d",
    "dtdurations",
    "percent",
    "percentunit",
    "dateTimeAsIso",
    "dateTimeFromNow",
    "bool_yes_no",
    "string",
];

const RATES: [&str; 2] = ["rate", "irate"];
const OVER_COUNTERS: [&str; 3] = ["rate", "irate", "increase"];

#[test]
fn the_dashboards_obey_the_linters_rules() {
    let mut excluded = exclusions();
    for file in FILES {
        let dashboard = dashboard(file);
        let title = text(&dashboard["title"]);
        let mut found = lint(&dashboard);
        found.retain(|finding| !excluded.remove(&(title.to_owned(), finding.clone())));
        assert!(found.is_empty(), "{file}: {found:#?}");
    }
    assert!(excluded.is_empty(), "needless in .lint: {excluded:#?}");
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let good = good();
    assert_eq!(lint(&good), [], "the dashboard to break");
    let target = "/panels/0/targets/0/expr";
    let breaks: [(&str, &str, Value); 28] = [
        (
            "template-datasource-rule",
            "/templating/list/0/type",
            json!("query"),
        ),
        (
            "template-datasource-rule",
            "/templating/list/0/name",
            json!("DS"),
        ),
        (
            "template-datasource-rule",
            "/templating/list/0/label",
            json!("Source"),
        ),
        (
            "template-job-rule",
            "/templating/list/1/name",
            json!("jobs"),
        ),
        (
            "template-job-rule",
            "/templating/list/1/multi",
            json!(false),
        ),
        (
            "template-job-rule",
            "/templating/list/1/label",
            json!("job"),
        ),
        (
            "template-job-rule",
            "/templating/list/1/datasource/uid",
            json!("x"),
        ),
        (
            "template-instance-rule",
            "/templating/list/2/allValue",
            json!(".*"),
        ),
        (
            "template-instance-rule",
            "/templating/list/2/type",
            json!("custom"),
        ),
        (
            "template-label-promql-rule",
            "/templating/list/1/query/query",
            json!("label_values(up{, job)"),
        ),
        (
            "template-label-promql-rule",
            "/templating/list/1/query/query",
            json!("labels(up)"),
        ),
        (
            "template-on-time-change-reload-rule",
            "/templating/list/2/refresh",
            json!(1),
        ),
        (
            "panel-datasource-rule",
            "/panels/0/datasource/uid",
            json!("prometheus"),
        ),
        (
            "panel-datasource-rule",
            "/panels/0/targets/0/datasource/uid",
            json!("prometheus"),
        ),
        ("panel-title-description-rule", "/panels/0/title", json!("")),
        (
            "panel-title-description-rule",
            "/panels/0/description",
            json!(""),
        ),
        (
            "panel-units-rule",
            "/panels/0/fieldConfig/defaults/unit",
            json!("gibibytes"),
        ),
        (
            "panel-units-rule",
            "/panels/0/fieldConfig/overrides/0/properties/0/value",
            json!("minutes"),
        ),
        ("panel-no-targets-rule", "/panels/0/targets", json!([])),
        (
            "target-promql-rule",
            target,
            json!("up{job=~\"$job\",instance=~\"$instance\"} >"),
        ),
        (
            "target-rate-interval-rule",
            target,
            json!("rate(a_total{job=~\"$job\",instance=~\"$instance\"}[5m])"),
        ),
        (
            "target-job-rule",
            target,
            json!("up{instance=~\"$instance\"}"),
        ),
        (
            "target-job-rule",
            target,
            json!("up{job=\"$job\",instance=~\"$instance\"}"),
        ),
        (
            "target-instance-rule",
            target,
            json!("up{job=~\"$job\",instance=~\"$instance\"} + up{job=~\"$job\"}"),
        ),
        (
            "target-counter-agg-rule",
            target,
            json!("sum(a_total{job=~\"$job\",instance=~\"$instance\"})"),
        ),
        (
            "target-logql-rule",
            "/panels/0/targets/0/datasource/type",
            json!("loki"),
        ),
        (
            "target-logql-auto-rule",
            "/panels/0/targets/0/datasource/type",
            json!("loki"),
        ),
        ("uneditable-dashboard", "/editable", json!(true)),
    ];
    let mut seen = BTreeSet::new();
    for (rule, place, value) in breaks {
        let mut broken = good.clone();
        *broken.pointer_mut(place).expect(place) = value;
        let found = lint(&broken);
        assert!(
            found.iter().any(|finding| finding.rule == rule),
            "{rule} does not find {place}: {found:?}"
        );
        seen.insert(rule);
    }
    assert_eq!(seen.len(), 17, "{seen:?}");
}

#[test]
fn panels_in_closed_rows_are_looked_at() {
    let mut dashboard = good();
    let mut hidden = dashboard["panels"][0].take();
    hidden["title"] = json!("");
    dashboard["panels"][0] = json!({ "type": "row", "title": "Closed", "panels": [hidden] });
    assert_eq!(lint(&dashboard).len(), 1);
}

/// All findings.
fn lint(dashboard: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    templates(dashboard, &mut found);
    for panel in panels(dashboard) {
        if DATA.contains(&text(&panel["type"])) {
            panel_rules(panel, &mut found);
        }
        for (at, target) in list(&panel["targets"]).iter().enumerate() {
            target_rules(panel, at, target, &mut found);
        }
    }
    unparsable(dashboard, &mut found);
    if dashboard["editable"] != false {
        found.push(of_dashboard("uneditable-dashboard"));
    }
    found
}

fn of_dashboard(rule: &'static str) -> Finding {
    Finding {
        rule,
        panel: String::new(),
        target: None,
    }
}

fn templates(dashboard: &Value, found: &mut Vec<Finding>) {
    let variables = list(&dashboard["templating"]["list"]);
    let sources: Vec<_> = variables
        .iter()
        .filter(|variable| variable["type"] == "datasource")
        .collect();
    if !matches!(&sources[..], [source] if source["name"] == "datasource" && source["label"] == "Data source")
    {
        found.push(of_dashboard("template-datasource-rule"));
    }
    for (rule, name, label) in [
        ("template-job-rule", "job", "Job"),
        ("template-instance-rule", "instance", "Instance"),
    ] {
        let good = variables.iter().any(|variable| {
            variable["name"] == name
                && variable["type"] == "query"
                && is_variable(&variable["datasource"])
                && variable["label"] == label
                && variable["multi"] == true
                && variable["allValue"] == ".+"
        });
        if !good {
            found.push(of_dashboard(rule));
        }
    }
    for variable in variables
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        if label_values(variable).is_none_or(|(metric, _)| !parses(&[metric])) {
            found.push(of_dashboard("template-label-promql-rule"));
        }
        if variable["refresh"] != 2 {
            found.push(of_dashboard("template-on-time-change-reload-rule"));
        }
    }
}

/// What a variable asks for: `label_values(METRIC, LABEL)`.
pub(super) fn label_values(variable: &Value) -> Option<(&str, &str)> {
    let query = text(&variable["query"]["query"]);
    let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
    let (metric, label) = inside.rsplit_once(',')?;
    Some((metric.trim(), label.trim()))
}

fn is_variable(datasource: &Value) -> bool {
    ["$datasource", "${datasource}"].contains(&text(&datasource["uid"]))
}

fn panel_rules(panel: &Value, found: &mut Vec<Finding>) {
    let mut finds = |rule| {
        found.push(Finding {
            rule,
            panel: text(&panel["title"]).to_owned(),
            target: None,
        });
    };
    let targets = list(&panel["targets"]);
    let mut sources = targets.iter().map(|target| &target["datasource"]);
    if !is_variable(&panel["datasource"]) || !sources.all(is_variable) {
        finds("panel-datasource-rule");
    }
    if text(&panel["title"]).is_empty() || text(&panel["description"]).is_empty() {
        finds("panel-title-description-rule");
    }
    let config = &panel["fieldConfig"];
    let own = list(&config["overrides"])
        .iter()
        .flat_map(|of| list(&of["properties"]))
        .filter(|property| property["id"] == "unit")
        .map(|property| &property["value"]);
    if !own
        .chain([&config["defaults"]["unit"]])
        .all(|unit| UNITS.contains(&text(unit)))
    {
        finds("panel-units-rule");
    }
    if targets.is_empty() {
        finds("panel-no-targets-rule");
    }
}

fn target_rules(panel: &Value, at: usize, target: &Value, found: &mut Vec<Finding>) {
    let mut finds = |rule| {
        found.push(Finding {
            rule,
            panel: text(&panel["title"]).to_owned(),
            target: Some(at),
        });
    };
    // There is no log in these dashboards; one that comes brings its own checks.
    if target["datasource"]["type"] != "prometheus" {
        finds("target-logql-rule");
        finds("target-logql-auto-rule");
    }
    let Parts { selectors, .. } = parts(text(&target["expr"]));
    let mut rates = selectors.iter().filter(|one| one.within(&RATES));
    if !rates.all(|one| one.range.as_deref() == Some("$__rate_interval")) {
        finds("target-rate-interval-rule");
    }
    if !selectors.iter().all(|one| one.has("job", "=~", "$job")) {
        finds("target-job-rule");
    }
    if !selectors
        .iter()
        .all(|one| one.has("instance", "=~", "$instance"))
    {
        finds("target-instance-rule");
    }
    let mut counters = selectors.iter().filter(|one| one.name.ends_with("_total"));
    if !counters.all(|one| one.within(&OVER_COUNTERS)) {
        finds("target-counter-agg-rule");
    }
}

/// All expressions at once; only where they do not pass, one by one.
fn unparsable(dashboard: &Value, found: &mut Vec<Finding>) {
    let panels = panels(dashboard);
    let targets = panels.iter().flat_map(|panel| {
        let targets = list(&panel["targets"]).iter().enumerate();
        targets.map(|(at, target)| (text(&panel["title"]), at, text(&target["expr"])))
    });
    let targets: Vec<_> = targets.collect();
    let expressions: Vec<&str> = targets
        .iter()
        .map(|(_, _, expression)| *expression)
        .collect();
    if parses(&expressions) {
        return;
    }
    for (panel, at, expression) in targets {
        if !parses(&[expression]) {
            found.push(Finding {
                rule: "target-promql-rule",
                panel: panel.to_owned(),
                target: Some(at),
            });
        }
    }
}

/// Whether promtool takes expressions, with something in the place of Grafana's intervals.
fn parses(expressions: &[&str]) -> bool {
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| {
            let expression = expression
                .replace("$__rate_interval", "5m")
                .replace("$__interval", "1m");
            json!({ "record": format!("r{at}"), "expr": expression })
        })
        .collect();
    let place = Place::new();
    let file = place.join("rules.yaml");
    let all = json!({ "groups": [{ "name": "g", "rules": rules }] });
    std::fs::write(&file, all.to_string()).unwrap();
    let mut check = Command::new(programs::promtool());
    rules::run(check.args(["check", "rules", "--lint=none"]).arg(file)).is_ok()
}

/// What `.lint` excludes; each with a reason.
fn exclusions() -> BTreeSet<(String, Finding)> {
    let file = rules::yaml(&dashboards().join(".lint"));
    let mut excluded = BTreeSet::new();
    for (rule, exclusion) in file["exclusions"].as_object().unwrap() {
        assert!(text(&exclusion["reason"]).len() > 20, "{rule}: why?");
        let rule = ["target-job-rule", "target-instance-rule"]
            .into_iter()
            .find(|known| known == rule)
            .unwrap_or_else(|| panic!("{rule} is to be obeyed"));
        for entry in list(&exclusion["entries"]) {
            let finding = Finding {
                rule,
                panel: text(&entry["panel"]).to_owned(),
                target: Some(text(&entry["targetIdx"]).parse().unwrap()),
            };
            excluded.insert((text(&entry["dashboard"]).to_owned(), finding));
        }
    }
    excluded
}

/// A small dashboard without fault.
fn good() -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let variable = |name: &str, label: &str| {
        json!({
            "type": "query", "name": name, "label": label, "datasource": source, "refresh": 2, "multi": true, "allValue": ".+",
            "query": { "query": format!("label_values(up{{job=~\"$job\"}}, {name})") },
        })
    };
    json!({
        "editable": false,
        "templating": { "list": [
            { "type": "datasource", "name": "datasource", "label": "Data source" },
            variable("job", "Job"),
            variable("instance", "Instance"),
        ] },
        "panels": [{
            "type": "timeseries", "title": "T", "description": "D", "datasource": source,
            "targets": [{ "datasource": source, "expr": "rate(a_total{job=~\"$job\",instance=~\"$instance\"}[$__rate_interval])" }],
            "fieldConfig": { "defaults": { "unit": "s" }, "overrides": [{ "properties": [{ "id": "unit", "value": "bytes" }] }] },
        }],
    })
}
