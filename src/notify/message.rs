//! What Alertmanager is sent: the body of `POST /api/v2/alerts`.
//!
//! Texts are made when they are sent, a part at a time: with hundreds of servers they would be most of what we hold.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::rules::Rules;
use super::state::Notice;
use crate::config::Alertmanager;
use crate::status::server_path;

/// The annotation that leads to a dashboard. In the rules it is a placeholder.
const LINK: &str = "dashboard_url";

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
    /// The message of a notice as Prometheus would have it, with the labels that are configured where it has none of that name.
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

    /// Leads to our own page where one is configured, and nowhere else.
    fn linked(mut self, config: &Alertmanager) -> Self {
        if self.annotations.remove(LINK).is_some()
            && let Some(page) = &config.page_url
        {
            let page = page.trim_end_matches('/');
            let link = match self.labels.get("server") {
                Some(server) => format!("{page}{}", server_path(server)),
                None => format!("{page}/"),
            };
            self.annotations.insert(LINK, link);
        }
        self
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
        .map(|message| message.linked(config))
        .collect();
    serde_json::to_vec(&messages)
}

fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Labels;

    #[test]
    fn links_lead_to_our_page_or_nowhere() {
        let rules = Rules::built_in().expect("rules");
        let told = |alert: &str, server: &str, page: Option<&str>| {
            let notice = Notice {
                rule: rules.alerts().position(|name| name == alert).expect(alert),
                labels: Labels::new([("server", server)]),
                value: 1.0,
                starts_at: DateTime::UNIX_EPOCH,
                ends_at: DateTime::UNIX_EPOCH,
            };
            let config = Alertmanager {
                page_url: page.map(str::to_owned),
                ..Alertmanager::default()
            };
            let body = body(&[notice], &rules, &config).expect("JSON");
            assert!(!String::from_utf8_lossy(&body).contains("grafana.example.org"));
            let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let texts = &told[0]["annotations"];
            assert!(texts["runbook_url"].is_string(), "{texts}");
            texts[LINK].as_str().map(str::to_owned)
        };
        let page = Some("https://x.example.org/pgvigil/");
        for (alert, server, page, wanted) in [
            ("PgvigilBackupCorrupt", "a", None, None),
            ("PgvigilConfigReloadFailed", "", None, None),
            (
                "PgvigilBackupCorrupt",
                "a/\u{e4} b",
                page,
                Some("https://x.example.org/pgvigil/servers/a%2F%C3%A4%20b"),
            ),
            (
                "PgvigilBackupCorrupt",
                "a",
                Some("https://x.example.org"),
                Some("https://x.example.org/servers/a"),
            ),
            (
                "PgvigilConfigReloadFailed",
                "",
                page,
                Some("https://x.example.org/pgvigil/"),
            ),
        ] {
            assert_eq!(told(alert, server, page).as_deref(), wanted, "{alert}");
        }
    }
}
