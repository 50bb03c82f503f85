//! The rules themselves: rules/pgvigil.rules.yaml, as Prometheus is given it, built in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::template::Template;
use crate::config::units;
use crate::error::{Failure, FailureKind, Result};
use crate::promql::{Expression, Labels};

/// The file.
const TEXT: &str = include_str!("../../rules/pgvigil.rules.yaml");

/// Alerts that only a Prometheus can raise: they say that pgvigil, or what it knew, is gone.
pub const NOT_FROM_INSIDE: [&str; 2] = ["PgvigilAbsent", "PgvigilMetricsAbsent"];

/// All that can be judged from inside, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) all: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Gives a series for the rules behind it.
    Record {
        series: String,
        expression: Expression,
    },
    Alert(AlertRule),
}

/// What an alert is.
#[derive(Clone, Debug)]
pub(super) struct AlertRule {
    pub(super) name: String,
    pub(super) expression: Expression,
    /// How long it has to hold before it fires.
    pub(super) hold: Duration,
    /// How long it goes on when it holds no more.
    pub(super) keep_firing: Duration,
    /// Its own labels, `alertname` among them.
    pub(super) labels: Labels,
    pub(super) annotations: Vec<(String, Template)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Typed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Rules {
    /// Those that are built in.
    pub fn built_in() -> Result<Self> {
        Self::parse(TEXT)
    }

    /// Those of a text in Prometheus' form, but for those that cannot be judged from inside.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = serde_yaml::from_str(text)
            .map_err(|error| broken("the file").because(error.to_string()))?;
        let typed = file.groups.into_iter().flat_map(|group| group.rules);
        let known = |rule: &Typed| {
            let name = rule.alert.as_deref();
            name.is_none_or(|name| !NOT_FROM_INSIDE.contains(&name))
        };
        let all = typed.filter(known).map(rule).collect::<Result<_>>()?;
        Ok(Self { all })
    }

    /// The alerts, by name.
    pub fn alerts(&self) -> impl Iterator<Item = &str> {
        self.alert_rules().map(|rule| rule.name.as_str())
    }

    pub(super) fn alert_rules(&self) -> impl Iterator<Item = &AlertRule> {
        self.all.iter().filter_map(|rule| match rule {
            Rule::Record { .. } => None,
            Rule::Alert(rule) => Some(rule),
        })
    }

    /// The metrics that they rest on.
    pub fn metrics(&self) -> BTreeSet<String> {
        let expressions = self.all.iter().map(|rule| match rule {
            Rule::Record { expression, .. } | Rule::Alert(AlertRule { expression, .. }) => {
                expression
            }
        });
        expressions
            .flat_map(Expression::metrics)
            .map(str::to_owned)
            .collect()
    }
}

fn broken(what: &str) -> Failure {
    Failure::new(FailureKind::Config, format!("read the alert rules: {what}"))
        .remedy("this is a bug; report it")
}

fn rule(typed: Typed) -> Result<Rule> {
    let name = typed.alert.clone().or(typed.record.clone());
    let name = name.ok_or_else(|| broken("one has no name"))?;
    let expression =
        Expression::parse(&typed.expr).map_err(|error| broken(&name).because(error))?;
    if let Some(series) = typed.record {
        return Ok(Rule::Record { series, expression });
    }
    let duration = |typed: Option<String>| {
        typed.map_or(Ok(Duration::ZERO), |typed| {
            units::parse_duration(&typed).map_err(|error| broken(&name).because(error))
        })
    };
    let (hold, keep_firing) = (duration(typed.hold)?, duration(typed.keep_firing_for)?);
    // Templates in labels would make their own alerts of each value.
    if typed.labels.values().any(|value| value.contains("{{")) {
        return Err(broken(&name).because("a label holds a template"));
    }
    let mut annotations = Vec::with_capacity(typed.annotations.len());
    for (key, text) in typed.annotations {
        let template = Template::parse(&text).map_err(|error| broken(&name).because(error))?;
        annotations.push((key, template));
    }
    let mut labels = typed.labels;
    labels.insert("alertname".to_owned(), name.clone());
    Ok(Rule::Alert(AlertRule {
        name,
        expression,
        hold,
        keep_firing,
        labels: Labels::new(labels),
        annotations,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_but_those_two_can_be_judged() {
        let rules = Rules::built_in().expect("rules");
        assert_eq!(
            rules.alerts().count(),
            TEXT.matches("- alert: ").count() - 2
        );
        assert_eq!(rules.all.len() + 2, TEXT.matches("  expr: ").count());
        for name in NOT_FROM_INSIDE {
            let rule = TEXT.split("- alert: ").find(|rule| rule.starts_with(name));
            let rule = rule.expect(name);
            // What is left out is what cannot be read.
            let alone = rule.replacen(name, "Other", 1);
            let alone = format!("groups:\n  - name: x\n    rules:\n      - alert: {alone}");
            let alone = alone.split("\n      # ").next().unwrap_or_default();
            let refused = Rules::parse(alone).expect_err(name).sentence();
            assert!(
                refused.contains("not known") || refused.contains("not understood"),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_broken_is_said_with_its_name() {
        for (what, wanted) in [
            (
                "expr: 'a >'",
                "read the alert rules: A: it ends in the middle",
            ),
            ("expr: a\n        for: soon", "A: not a duration"),
            (
                "expr: a\n        labels: { x: '{{ $value }}' }",
                "A: a label holds a template",
            ),
            (
                "expr: a\n        annotations: { x: '{{ if }}' }",
                "A: template {{ if }} is not known",
            ),
            ("expr: a\n        limit: 3", "unknown field"),
        ] {
            let text =
                format!("groups:\n  - name: x\n    rules:\n      - alert: A\n        {what}\n");
            let said = Rules::parse(&text).expect_err(what).sentence();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
