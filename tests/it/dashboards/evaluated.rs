//! Every query of the dashboards against a Prometheus with data: it has an answer, one for each thing it is about, and the
//! answers that matter are true.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::prometheus::{END, Prometheus, SCRAPE, Series, prometheus};
use super::{FILES, dashboard, linter, list, panels, text};

const DAY: f64 = 86_400.0;
const OVERVIEW: &str = FILES[0];
const SERVER: &str = FILES[1];

/// What the variables of a dashboard are set to; all of a namespace or server is `.*`.
#[derive(Clone, Copy, Debug)]
struct Chosen<'a> {
    namespace: &'a str,
    server: &'a str,
}

const ALL: Chosen<'_> = Chosen {
    namespace: ".*",
    server: ".+",
};

/// The servers of the history, and what should be said of each.
const VERDICTS: [(&str, &str, &str); 11] = [
    ("shop", "orders", "Yes"),
    ("shop", "customers", "Only an old state"),
    ("stock", "orders", "Probably: proven long ago"),
    ("stock", "archive", "No: there is no backup"),
    ("stock", "reports", "Yes"),
    ("stock", "warehouse", "Not surely: a backup is damaged"),
    ("stock", "invoices", "Not surely: the test restore failed"),
    ("stock", "fresh", "Probably: never proven"),
    ("stock", "ledger", "As far as is known: volume not measured"),
    ("stock", "tills", "Unknown: dated in the future"),
    ("stock", "gone", "Unknown: no metrics"),
];

#[test]
fn every_query_of_a_panel_has_an_answer() {
    let prometheus = prometheus();
    for file in FILES {
        let mut choices = vec![ALL];
        choices.extend(VERDICTS.map(|(namespace, server, _)| Chosen { namespace, server }));
        for (panel, target) in targets(&dashboard(file)) {
            let answered = choices
                .iter()
                .any(|choice| !answer(prometheus, &panel, &target, *choice).is_empty());
            assert!(answered, "{file}, {}: {target:#}", panel["title"]);
        }
    }
}

#[test]
fn a_healthy_server_leaves_only_those_panels_empty_that_tell_of_trouble() {
    let healthy = Chosen {
        namespace: "shop",
        server: "orders",
    };
    let mut empty = BTreeSet::new();
    for (panel, target) in targets(&dashboard(SERVER)) {
        if answer(prometheus(), &panel, &target, healthy).is_empty() {
            empty.insert(format!(
                "{} {}",
                text(&panel["title"]),
                text(&target["refId"])
            ));
        }
    }
    let empty: Vec<_> = empty.iter().map(String::as_str).collect();
    let trouble = [
        "Failed test restores and verifications by reason A",
        "Failed test restores and verifications by reason B",
        "Pause A",
        "Pause B",
        "Paused because A",
    ];
    assert_eq!(empty, trouble);
}

#[test]
fn replicas_and_equal_names_are_one_line_each_with_a_name_of_its_own() {
    let choices = [(OVERVIEW, ALL)]
        .into_iter()
        .chain(VERDICTS.map(|(namespace, server, _)| (SERVER, Chosen { namespace, server })));
    for (file, choice) in choices {
        for (panel, target) in targets(&dashboard(file)) {
            let found = answer(prometheus(), &panel, &target, choice);
            let names: BTreeSet<_> = found.iter().map(|series| named(&target, series)).collect();
            let place = format!("{file}, {}, {choice:?}", panel["title"]);
            assert_eq!(names.len(), found.len(), "{place}: {found:#?}");
            for series in &found {
                let mut values = series.values.iter();
                assert!(values.all(|value| value.is_finite()), "{place}: {series:?}");
            }
        }
    }
}

#[test]
fn a_query_over_one_server_says_nothing_of_another() {
    let choice = Chosen {
        namespace: "stock",
        server: "orders",
    };
    for (panel, target) in targets(&dashboard(SERVER)) {
        for series in answer(prometheus(), &panel, &target, choice) {
            for (label, only) in [("namespace", "stock"), ("server", "orders")] {
                let found = series.labels.get(label);
                assert!(
                    found.is_none_or(|found| found == only),
                    "{panel}: {series:?}"
                );
            }
        }
    }
}

#[test]
fn every_variable_and_every_annotation_has_an_answer() {
    let prometheus = prometheus();
    for file in FILES {
        let dashboard = dashboard(file);
        let mut variables = 0;
        for variable in list(&dashboard["templating"]["list"]) {
            if variable["type"] == "query" {
                let (metric, label) = linter::label_values(variable).unwrap();
                let values = prometheus.label(&filled(metric, ALL, SCRAPE), label);
                assert!(!values.is_empty(), "{file}: {variable:#}");
                variables += 1;
            }
        }
        assert_eq!(variables, 5, "{file}");
        for annotation in list(&dashboard["annotations"]["list"]) {
            let found = prometheus.week(&filled(text(&annotation["expr"]), ALL, SCRAPE), SCRAPE);
            assert!(!found.is_empty(), "{file}: {annotation:#}");
            for series in found
                .iter()
                .filter(|_| annotation["useValueForTime"] == true)
            {
                let ahead = series.labels["server"] == "tills";
                let past = |value: &f64| *value > 1e12 && (ahead || *value <= END as f64 * 1e3);
                assert!(series.values.iter().all(past), "{annotation:#}: {series:?}");
            }
            for field in ["titleFormat", "textFormat"] {
                let of = |series| !filled_in(text(&annotation[field]), series).is_empty();
                assert!(found.iter().any(of), "{annotation:#}");
            }
        }
    }
}

#[test]
fn the_verdict_is_true_of_every_server() {
    let dashboard = dashboard(OVERVIEW);
    let table = column(&dashboard, "Could I restore now?");
    let expected: BTreeMap<_, _> = VERDICTS
        .iter()
        .map(|(namespace, server, verdict)| {
            (format!("{namespace} {server}"), (*verdict).to_owned())
        })
        .collect();
    let found = table.map(|value| mapped(&dashboard, value));
    assert_eq!(found, expected);
    let counts = panel(&dashboard, "Could I restore now?");
    let counts: Vec<f64> = list(&counts["targets"])
        .iter()
        .map(|target| answer(prometheus(), &counts, target, ALL)[0].values[0])
        .collect();
    assert_eq!(counts, [5.0, 4.0, 2.0], "no, probably, yes");
}

#[test]
fn the_verdict_changes_when_the_server_does() {
    let dashboard = dashboard(SERVER);
    let over_time = panel(&dashboard, "The answer over time");
    let target = &over_time["targets"][0];
    let said = |namespace, server| {
        let found = answer(
            prometheus(),
            &over_time,
            target,
            Chosen { namespace, server },
        );
        let mut words: Vec<f64> = found[0].values.clone();
        words.dedup();
        words
    };
    assert_eq!(said("shop", "orders"), [8.0]);
    assert_eq!(
        said("shop", "customers"),
        [8.0, 1.0],
        "two days after it failed"
    );
    assert_eq!(said("stock", "invoices"), [8.0, 2.0], "since Sunday");
    assert_eq!(said("stock", "fresh"), [0.0, 5.0], "since its first backup");
    assert_eq!(said("stock", "gone"), [8.0, -1.0], "since a day");
    assert_eq!(said("stock", "ledger"), [8.0, 7.0], "since two days");
}

#[test]
fn no_verdict_is_green_but_yes() {
    for file in FILES {
        let over_time = panel(&dashboard(file), "The answer over time");
        let options = &over_time["fieldConfig"]["defaults"]["mappings"][0]["options"];
        let green: Vec<_> = options
            .as_object()
            .unwrap()
            .values()
            .filter(|shown| shown["color"] == "green")
            .collect();
        assert_eq!(green.len(), 1, "{green:?}");
        assert_eq!(green[0]["text"], "Yes");
    }
}

#[test]
fn without_the_rules_nothing_is_said_of_alerts() {
    // The history's Prometheus has them since nine days.
    let before = END - 19 * 43_200;
    let overview = dashboard(OVERVIEW);
    let (alerts, servers) = (
        panel(&overview, "Alerts"),
        panel(&overview, "Servers, worst first"),
    );
    let one = panel(&dashboard(SERVER), "Alerts");
    let in_table = asked(&servers, "Alerts");
    let mut all = vec![(&servers, &in_table)];
    all.extend(list(&alerts["targets"])[..2].iter().map(|of| (&alerts, of)));
    all.extend(list(&one["targets"]).iter().map(|of| (&one, of)));
    for (panel, target) in all {
        let expression = filled(text(&target["expr"]), ALL, SCRAPE);
        let found = prometheus().at(before, &expression);
        assert!(found.is_empty(), "{}: {found:?}", panel["title"]);
        let found = prometheus().now(&expression);
        assert!(!found.is_empty(), "{}", panel["title"]);
    }
    let rules = filled(text(&alerts["targets"][2]["expr"]), ALL, SCRAPE);
    assert_eq!(prometheus().at(before, &rules)[0].values, [0.0]);
    assert_eq!(prometheus().now(&rules)[0].values, [1.0]);
}

#[test]
fn the_table_tells_the_truth() {
    let dashboard = dashboard(OVERVIEW);
    let age = column(&dashboard, "Age");
    // Backups begin at 02:00, this is 09:00, and forty GiB take 25 minutes.
    let of_orders = age.0["shop orders"];
    assert!((of_orders - 6.6 * 3600.0).abs() < 600.0, "{of_orders}");
    assert!(age.0["shop customers"] > 4.0 * DAY);
    assert!(!age.0.contains_key("stock archive"), "never is no age");
    assert!(!age.0.contains_key("stock gone"));
    let late = column(&dashboard, "of its limit").0;
    assert!(late["shop customers"] > 2.0);
    assert!(!late.contains_key("stock tills"), "dated in the future");
    let proven = column(&dashboard, "Proven ago");
    assert!((proven.0["stock orders"] - 100.0 * DAY).abs() < 1.0);
    assert!(!proven.0.contains_key("stock fresh"));
    let slow = column(&dashboard, "of its objective");
    assert!(slow.0["stock warehouse"] > 1.0 && slow.0["shop orders"] < 1.0);
    let damaged = column(&dashboard, "Damaged").0;
    assert_eq!(damaged["stock warehouse"], 1.0);
    assert_eq!(damaged["shop orders"], 0.0);
    assert!(!damaged.contains_key("stock fresh"), "never verified");
    let full = column(&dashboard, "Volume").0;
    let share = column(&dashboard, "of what may be full").0;
    assert!((share["stock warehouse"] - full["stock warehouse"] / 0.8).abs() < 1e-9);
    for column in [full, share] {
        assert!(!column.contains_key("stock ledger"), "not measured");
    }
    let alerts = column(&dashboard, "Alerts");
    assert_eq!(alerts.0["stock warehouse"], 3.0);
    assert_eq!(alerts.0["shop orders"], 0.0);
    let doing = column(&dashboard, "Now it").0;
    assert_eq!(doing["stock warehouse"], 4.0, "takes a backup");
    assert_eq!(doing["stock reports"], 5.0, "is paused");
    assert_eq!(doing["shop customers"], 0.0, "does not answer");
    assert_eq!(doing["shop orders"], 1.0, "waits");
    assert_eq!(doing["stock tills"], 6.0, "has nothing scheduled");
}

/// A column of the table by server.
struct Column(BTreeMap<String, f64>);

impl Column {
    fn map<T>(&self, to: impl Fn(f64) -> T) -> BTreeMap<String, T> {
        let cells = self.0.iter();
        cells
            .map(|(server, value)| (server.clone(), to(*value)))
            .collect()
    }
}

fn column(dashboard: &Value, title: &str) -> Column {
    let table = panel(dashboard, "Servers, worst first");
    let target = asked(&table, title);
    let cells = answer(prometheus(), &table, &target, ALL);
    let cells = cells.iter().map(|series| {
        let name = filled_in("{{namespace}} {{server}}", series);
        (name, series.values[0])
    });
    Column(cells.collect())
}

/// What a column of a table asks.
fn asked(table: &Value, title: &str) -> Value {
    let titles = &table["transformations"][1]["options"]["renameByName"];
    let titles = titles.as_object().unwrap();
    let (value, _) = titles.iter().find(|(_, shown)| *shown == title).unwrap();
    let letter = value.strip_prefix("Value #").unwrap();
    let mut targets = list(&table["targets"]).iter();
    let found = targets.find(|target| target["refId"] == letter);
    found.unwrap().clone()
}

/// The text that the verdict's column shows.
fn mapped(dashboard: &Value, value: f64) -> String {
    let table = panel(dashboard, "The answer over time");
    let options = &table["fieldConfig"]["defaults"]["mappings"][0]["options"];
    text(&options[format!("{value}")]["text"]).to_owned()
}

fn panel(dashboard: &Value, title: &str) -> Value {
    let mut panels = panels(dashboard).into_iter();
    panels
        .find(|panel| panel["title"] == title && panel["type"] != "row")
        .unwrap()
        .clone()
}

fn targets(dashboard: &Value) -> Vec<(Value, Value)> {
    let panels = panels(dashboard);
    let targets = panels.iter().flat_map(|panel| {
        let targets = list(&panel["targets"]).iter();
        targets.map(|target| ((*panel).clone(), target.clone()))
    });
    let targets: Vec<_> = targets.collect();
    assert!(targets.len() > 20, "{targets:?}");
    targets
}

/// What Grafana would show of a target over a week.
fn answer(
    prometheus: &Prometheus,
    panel: &Value,
    target: &Value,
    chosen: Chosen<'_>,
) -> Vec<Series> {
    // At least as much as the panel wants, and as the samples are apart.
    let step = match text(&panel["interval"]) {
        "6h" => 6 * 3600,
        "1m" | "5m" => SCRAPE,
        other => panic!("no step for the interval {other:?}"),
    };
    let expression = filled(text(&target["expr"]), chosen, step);
    if target["instant"] == true {
        prometheus.now(&expression)
    } else {
        prometheus.week(&expression, step)
    }
}

/// An expression with something in the place of each variable.
fn filled(expression: &str, chosen: Chosen<'_>, step: i64) -> String {
    let rate = (4 * SCRAPE).max(step + SCRAPE);
    let filled = expression
        .replace("$__rate_interval", &format!("{rate}s"))
        .replace("$__interval", &format!("{step}s"))
        .replace("$cluster", ".*")
        .replace("$namespace", chosen.namespace)
        .replace("$job", ".+")
        .replace("$instance", ".+")
        .replace("$server", chosen.server);
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// What the legend says; all labels where there is none, as in a table.
fn named(target: &Value, series: &Series) -> String {
    let legend = text(&target["legendFormat"]);
    if legend == "__auto" {
        return format!("{:?}", series.labels);
    }
    filled_in(legend, series)
}

/// A legend with the labels of a series.
fn filled_in(legend: &str, series: &Series) -> String {
    let mut parts = legend.split("{{");
    let mut name = parts.next().unwrap().to_owned();
    for part in parts {
        let (label, after) = part.split_once("}}").unwrap();
        let value = series.labels.get(label.trim());
        name.push_str(value.map_or("", String::as_str));
        name.push_str(after);
    }
    name
}
