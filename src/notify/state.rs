//! Which alerts hold, since when, and which of them somebody has to hear of now: what Prometheus does between rules and
//! Alertmanager. Pure: samples and time come in, notices go out.
//!
//! ```text
//! holds ──> pending ── for ──> firing ── holds no more, keep_firing_for ──> resolved ── RETENTION ──> forgotten
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::rules::{AlertRule, Rule, Rules};
use crate::promql::{EvaluationError, Labels, Samples};

/// After how long it is said again that an alert fires, or is over.
pub const RESEND: Duration = Duration::from_secs(60);

/// How long a word that an alert fires is good for: three in a row may be lost. Then Alertmanager takes it for over.
const LIFE: Duration = RESEND.saturating_mul(4);

/// How long it is said again that an alert is over.
const RETENTION: Duration = Duration::from_secs(15 * 60);

/// The alerts of all rules.
pub struct Alerts {
    rules: Arc<Rules>,
    /// Those of each rule, by the labels that its expression gave.
    active: Vec<HashMap<Labels, Alert>>,
}

/// One alert.
#[derive(Clone, Debug)]
struct Alert {
    value: f64,
    active_at: DateTime<Utc>,
    fired_at: Option<DateTime<Utc>>,
    keep_firing_since: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
}

/// What Alertmanager is to hear of one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Its place among the alerts of the rules.
    pub(super) rule: usize,
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: DateTime<Utc>,
}

/// What has to outlive the process of an alert that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The alert's name.
    pub alert: String,
    /// The labels that its expression gave.
    pub labels: BTreeMap<String, String>,
    /// The last value that is known; not, where it is no number.
    pub value: Option<f64>,
    /// Since when it holds.
    pub active_at: DateTime<Utc>,
    /// When it fired; `None`: it is pending.
    pub fired_at: Option<DateTime<Utc>>,
    /// Since when it holds no more, but goes on.
    pub keep_firing_since: Option<DateTime<Utc>>,
}

impl Notice {
    /// Whether it says that the alert is over.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.ends_at <= now
    }
}

impl Alerts {
    /// None yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        let active = rules.alert_rules().map(|_| HashMap::new()).collect();
        Self { rules, active }
    }

    /// Judges every rule over the samples, to which the recorded series are added. Gives the alerts that could not be
    /// judged, which stay as they were.
    pub fn evaluate(
        &mut self,
        samples: &mut Samples,
        now: DateTime<Utc>,
    ) -> Vec<(String, EvaluationError)> {
        self.evaluate_known(samples, &BTreeSet::new(), now)
    }

    /// The same where of some servers not all is known: what rests on series that are not there stays as it was.
    pub(super) fn evaluate_known(
        &mut self,
        samples: &mut Samples,
        unknown: &BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Vec<(String, EvaluationError)> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 000 years")]
        let time = now.timestamp_millis() as f64 / 1_000.0;
        let mut failed = Vec::new();
        let mut active = self.active.iter_mut();
        for rule in &self.rules.all {
            match rule {
                Rule::Record { series, expression } => match expression.evaluate(samples, time) {
                    Ok(found) => {
                        for sample in found {
                            samples.add(series, sample.labels, sample.value);
                        }
                    }
                    Err(error) => failed.push((series.clone(), error)),
                },
                Rule::Alert(rule) => {
                    let Some(active) = active.next() else { break };
                    let mut unjudged = unknown.clone();
                    unjudged.retain(|server| lacks(rule, samples, server));
                    if let Err(error) = judge(rule, active, samples, &unjudged, time, now) {
                        failed.push((rule.name.clone(), error));
                    }
                }
            }
        }
        failed
    }

    /// What has to be said now: what is new, and what was said long ago. It counts as said.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (rule, active) in self.active.iter_mut().enumerate() {
            for (labels, alert) in active {
                if alert.is_due(now)
                    && let Some(notice) = alert.notice(rule, labels, now)
                {
                    alert.sent_at = Some(now);
                    notices.push(notice);
                }
            }
        }
        notices
    }

    /// All that can be said, for somebody who missed something.
    pub fn all(&self, now: DateTime<Utc>) -> Vec<Notice> {
        let rules = self.active.iter().enumerate();
        rules
            .flat_map(|(rule, active)| {
                let notice =
                    move |(labels, alert): (&Labels, &Alert)| alert.notice(rule, labels, now);
                active.iter().filter_map(notice)
            })
            .collect()
    }

    /// Those that hold, for after a restart.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        let rules = self.rules.alert_rules().zip(&self.active);
        rules.flat_map(|(rule, active)| {
            let held = active
                .iter()
                .filter(|(_, alert)| alert.resolved_at.is_none());
            held.map(|(labels, alert)| Kept {
                alert: rule.name.clone(),
                labels: labels
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                value: Some(alert.value).filter(|value| value.is_finite()),
                active_at: alert.active_at,
                fired_at: alert.fired_at,
                keep_firing_since: alert.keep_firing_since,
            })
        })
    }

    /// Takes up what was kept before a restart. The next evaluation says whether it still holds.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = Kept>) {
        for kept in kept {
            let place = self
                .rules
                .alert_rules()
                .position(|rule| rule.name == kept.alert);
            let Some(active) = place.and_then(|place| self.active.get_mut(place)) else {
                continue;
            };
            active.entry(Labels::new(kept.labels)).or_insert(Alert {
                value: kept.value.unwrap_or(f64::NAN),
                active_at: kept.active_at,
                fired_at: kept.fired_at,
                keep_firing_since: kept.keep_firing_since,
                resolved_at: None,
                sent_at: None,
            });
        }
    }
}

/// Whether a series of a server is missing that a rule looks at.
fn lacks(rule: &AlertRule, samples: &Samples, server: &str) -> bool {
    let metrics = rule.expression.metrics();
    let mut metrics = metrics.into_iter();
    metrics.any(|metric| !samples.has(metric, "server", server))
}

fn judge(
    rule: &AlertRule,
    active: &mut HashMap<Labels, Alert>,
    samples: &Samples,
    unjudged: &BTreeSet<String>,
    time: f64,
    now: DateTime<Utc>,
) -> Result<(), EvaluationError> {
    let found = rule.expression.evaluate(samples, time)?;
    let mut holds = HashMap::with_capacity(found.len());
    for sample in found {
        if holds.insert(sample.labels, sample.value).is_some() {
            return Err(EvaluationError::SameLabels);
        }
    }
    for (labels, value) in &holds {
        match active.get_mut(labels) {
            Some(alert) if alert.resolved_at.is_none() => {
                alert.value = *value;
                alert.keep_firing_since = None;
            }
            _ => {
                active.insert(labels.clone(), Alert::new(*value, now));
            }
        }
    }
    active.retain(|labels, alert| {
        // A clock that was set back would have it wait, and begin, in the future.
        alert.active_at = alert.active_at.min(now);
        if unjudged.contains(labels.get("server")) && alert.resolved_at.is_none() {
            return true;
        }
        if !holds.contains_key(labels) {
            return alert.ends(rule, now);
        }
        if now - alert.active_at >= delta(rule.hold) {
            alert.fired_at.get_or_insert(now);
        }
        true
    });
    Ok(())
}

impl Alert {
    fn new(value: f64, now: DateTime<Utc>) -> Self {
        Self {
            value,
            active_at: now,
            fired_at: None,
            keep_firing_since: None,
            resolved_at: None,
            sent_at: None,
        }
    }

    /// `None` where it never fired.
    fn notice(&self, rule: usize, labels: &Labels, now: DateTime<Utc>) -> Option<Notice> {
        // Alertmanager refuses what begins after its end, as it would where the clock was set back.
        let ends_at = self.resolved_at.map(|resolved| resolved.min(now));
        Some(Notice {
            rule,
            labels: labels.clone(),
            value: self.value,
            starts_at: self.fired_at?.min(ends_at.unwrap_or(now)),
            ends_at: ends_at.unwrap_or(now + delta(LIFE)),
        })
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.sent_at.is_none_or(|sent| {
            let over = self.resolved_at.is_some_and(|resolved| resolved > sent);
            over || sent > now || now - sent >= delta(RESEND)
        })
    }

    /// What becomes of it when it does not hold; whether it is remembered.
    fn ends(&mut self, rule: &AlertRule, now: DateTime<Utc>) -> bool {
        if let Some(resolved) = self.resolved_at {
            return now - resolved <= delta(RETENTION);
        }
        if self.fired_at.is_none() {
            return false;
        }
        let since = *self.keep_firing_since.get_or_insert(now);
        if now - since >= delta(rule.keep_firing) {
            self.resolved_at = Some(now);
        }
        true
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
