//! What pgvigil exports about a server of which everything is known: every family has samples, with all their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use pgvigil::config::{Pause, raw};
use pgvigil::ledger::Phase;
use pgvigil::metrics::Exporter;
use pgvigil::status::{BackupSummary, DatabaseSummary, Notified, Paused, ServerView, Shared};

const CONFIG: &str = "servers: [{ name: template, directory: /backups }]";
const DATABASES: [&str; 3] = ["app", "audit", "postgres"];
const OTHER_PHASES: [&str; 6] = [
    "verify",
    "prepare",
    "definitions",
    "compare",
    "checks",
    "cleanup",
];

/// A metric: its type, and the names of its labels.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) labels: BTreeSet<String>,
}

/// The metrics as Prometheus reads them.
pub(super) fn text() -> String {
    let config = raw::parse(CONFIG, Path::new("pgvigil.yaml")).unwrap();
    let shared = Shared::new(config.servers.into_iter().map(Arc::new), Utc::now());
    shared.write(|snapshot| {
        snapshot.servers.iter_mut().for_each(all_known);
        snapshot.notified = vec![Notified {
            alertmanager: "http://alertmanager:9093".into(),
            ..Notified::default()
        }];
    });
    Exporter::new(shared).render().unwrap()
}

/// The metrics by name.
pub(super) fn families() -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let text = text();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.split("=\"").filter_map(|part| {
                let label = part.rsplit([',', '"']).next()?;
                (!label.is_empty() && label != "}").then(|| label.to_owned())
            });
            families.get_mut(name).unwrap().labels.extend(labels);
        }
    }
    families
}

fn all_known(view: &mut ServerView) {
    let databases = DATABASES.iter().map(|name| DatabaseSummary {
        name: (*name).to_owned(),
        rows: 1,
        bytes_on_server: 1,
    });
    view.status.is_known = true;
    view.status.newest = Some(BackupSummary {
        file_name: "postgresql_backup_20260316_020000.sql.gz".into(),
        started_at: Utc::now(),
        finished_at: Utc::now(),
        duration_seconds: 1.0,
        bytes: 1,
        uncompressed_bytes: 1,
        databases: databases.collect(),
        has_manifest: true,
    });
    let phases = OTHER_PHASES.iter().map(|name| Phase {
        name: (*name).to_owned(),
        seconds: 1.0,
    });
    view.status.last_drill.phases = phases.collect();
    view.paused = Some(Paused {
        pause: Pause {
            reason: "upgrade to 18".into(),
            until: None,
        },
        since: Utc::now(),
        configured: false,
    });
}

#[test]
fn reads_types_and_labels() {
    let families = families();
    assert!(families.len() > 70, "{families:#?}");
    let failures = &families["pgvigil_backup_failures_total"];
    assert_eq!(failures.kind, "counter");
    assert_eq!(
        Vec::from_iter(&failures.labels),
        ["reason", "server"],
        "{failures:?}"
    );
    let scrape = &families["pgvigil_scrape_duration_seconds"];
    assert_eq!(scrape.kind, "gauge");
    assert!(scrape.labels.is_empty(), "{scrape:?}");
}
