//! What Alertmanager is sent: the body of `POST /api/v2/alerts`.
//!
//! Texts are made when they are sent, a part at a time: with hundreds of servers they would be most of what we hold.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::rules::Rules;
use super::state::Notice;
use crate::config::Alertmanager;

/// One alert, as Alertmanager's API has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    /// What it is and whom it is about.
    pub labels: BTreeMap<&'a str, &'a str>,
    /// What people read.
    pub annotations: BTreeMap<&'a str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// The message of a notice, with the labels that are configured where it has none of that name.
    pub fn new(notice: &'a Notice, rules: &'a Rules, config: &'a Alertmanager) -> Option<Self> {
        let rule = rules.alert_rules().nth(notice.rule)?;
        let configured = config.labels.iter();
        let mut labels: BTreeMap<_, _> = configured
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        labels.extend(notice.labels.iter());
        labels.extend(rule.labels.iter());
        let texts = rule.annotations.iter();
        Some(Self {
            labels,
            annotations: texts
                .map(|(key, text)| (key.as_str(), text.render(&notice.labels, notice.value)))
                .collect(),
            starts_at: moment(notice.starts_at),
            ends_at: moment(notice.ends_at),
            generator_url: config.page_url.as_deref(),
        })
    }
}

/// The body for some notices.
pub(super) fn body(
    notices: &[Notice],
    rules: &Rules,
    config: &Alertmanager,
) -> serde_json::Result<Vec<u8>> {
    let messages: Vec<_> = notices
        .iter()
        .filter_map(|notice| Message::new(notice, rules, config))
        .collect();
    serde_json::to_vec(&messages)
}

fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
