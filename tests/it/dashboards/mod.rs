//! The dashboards: made from their source, sound by the rules of Grafana's dashboard-linter, of one mind with the program, and
//! every query of theirs has an answer in a Prometheus that holds ten days of eleven servers.

mod evaluated;
mod exported;
mod linter;
mod metrics;
mod prometheus;
mod promql;
mod sheet;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::rules;
use crate::support::place::Place;

/// The dashboards' files.
const FILES: [&str; 2] = ["pgvigil-overview.json", "pgvigil-server.json"];
/// The one that alerts link to, and whose path stands in their annotations.
const OF_ALERTS: &str = "pgvigil-server.json";

#[test]
fn the_dashboards_are_those_of_their_source() {
    let place = Place::new();
    let mut build = Command::new(dashboards().join("build"));
    assert_eq!(rules::run(build.arg(place.join("."))), Ok(()));
    for file in FILES {
        let built = fs::read(place.join(file)).unwrap();
        let kept = fs::read(dashboards().join(file)).unwrap();
        assert!(built == kept, "dashboards/{file}: run `dashboards/build`");
    }
}

#[test]
fn the_links_of_alerts_lead_to_a_dashboard_with_variables_of_those_names() {
    let dashboard = dashboard(OF_ALERTS);
    let variables: BTreeSet<&str> = list(&dashboard["templating"]["list"])
        .iter()
        .map(|variable| text(&variable["name"]))
        .collect();
    for alert in rules::alerts() {
        let link = alert.annotations["dashboard_url"].as_str().unwrap();
        let (_, path) = link.split_once("/d/").unwrap();
        let mut parts = path.split(['?', '&']);
        assert_eq!(parts.next(), dashboard["uid"].as_str(), "{link}");
        for part in parts {
            let name = part.strip_prefix("var-").unwrap().split('=').next();
            assert!(variables.contains(name.unwrap()), "{link}");
        }
    }
}

#[test]
fn links_lead_to_runbooks_and_dashboards_that_exist() {
    let uids: Vec<String> = FILES
        .iter()
        .map(|file| text(&dashboard(file)["uid"]).to_owned())
        .collect();
    let mut linked = BTreeSet::new();
    for file in FILES {
        for url in urls(&dashboard(file)) {
            if let Some((_, path)) = url.split_once("/blob/main/") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                assert!(root.join(path).is_file(), "{file}: {url} leads nowhere");
                linked.insert(path.to_owned());
            } else if let Some(path) = url.strip_prefix("/d/") {
                let uid = path.split('?').next().unwrap().to_owned();
                assert!(uids.contains(&uid), "{file}: {url} leads nowhere");
            } else {
                assert!(url.is_empty() || url == "${status_page}", "{file}: {url}");
            }
        }
    }
    let alerts = rules::alerts();
    let unlinked: Vec<_> = alerts
        .iter()
        .filter(|alert| !linked.contains(&format!("rules/runbooks/{}.md", alert.name)))
        .map(|alert| &*alert.name)
        .collect();
    assert!(unlinked.is_empty(), "no panel links to {unlinked:?}");
}

#[test]
fn dashboards_are_set_up_as_people_expect() {
    for file in FILES {
        let dashboard = dashboard(file);
        assert!(dashboard["id"].is_null() && dashboard["__inputs"].is_null());
        assert_eq!(dashboard["tags"][0], "pgvigil", "{file}");
        assert_eq!(dashboard["timezone"], "browser", "{file}");
        assert_eq!(dashboard["refresh"], "1m", "{file}");
        assert_eq!(dashboard["graphTooltip"], 1, "{file}");
        let numbers: BTreeSet<_> = panels(&dashboard)
            .iter()
            .map(|panel| panel["id"].to_string())
            .collect();
        assert_eq!(numbers.len(), panels(&dashboard).len(), "numbers of panels");
        let mut taken = BTreeMap::new();
        for panel in panels(&dashboard) {
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    let other = taken.insert((x, y), text(&panel["title"]).to_owned());
                    assert!(x < 24 && other.is_none(), "{panel} lies on {other:?}");
                }
            }
            // A colour alone says nothing to those who do not see it.
            for mapping in list(&panel["fieldConfig"]["defaults"]["mappings"]) {
                for (_, shown) in mapping["options"].as_object().unwrap() {
                    assert!(!text(&shown["text"]).is_empty(), "{mapping}");
                }
            }
        }
    }
}

/// Where the dashboards are.
fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

fn dashboard(file: &str) -> Value {
    let path = dashboards().join(file);
    let json = fs::read_to_string(&path).unwrap();
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All panels and rows, those in closed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = list(&dashboard["panels"]).iter();
    all.flat_map(|panel| std::iter::once(panel).chain(list(&panel["panels"])))
        .collect()
}

/// All expressions: where they stand, and they themselves.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        for target in list(&panel["targets"]) {
            let place = format!("{} {}", text(&panel["title"]), text(&target["refId"]));
            found.push((place, text(&target["expr"]).to_owned()));
        }
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        let place = format!("annotation {}", text(&annotation["name"]));
        found.push((place, text(&annotation["expr"]).to_owned()));
    }
    found
}

/// The values of every key `url`.
fn urls(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(urls).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(url) if key == "url" => vec![url.clone()],
                _ => urls(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The members of a list; none where there is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty where there is none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
