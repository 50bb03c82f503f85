//! The metrics: names, help texts, labels, and the text that Prometheus reads.
//!
//! [`Exporter`] holds nothing that could go stale: it writes every sample afresh from the shared snapshot, so a label value
//! that is gone leaves no series behind. Every series of a configured server exists from the start, with 0 (a
//! timestamp: never), because a counter that is born at 1 never increases; but not what the disk says of a server before
//! it could be read: zeros would say that there never was a backup. Nothing here reads the disk but `process_*`,
//! which reads /proc.

mod backup;
mod families;
mod limits;
mod notifications;
mod proof;
mod samples;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::error::FailureKind;
use crate::status::{History, ServerView, Shared, Snapshot};
use families::{Families, Text};
pub use samples::samples;

/// The content type of [`Exporter::render`]. Prometheus 3 refuses a scrape without one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders the metrics.
#[derive(Clone)]
pub struct Exporter {
    shared: Shared,
    process: Arc<ProcessCollector>,
    clock: fn() -> DateTime<Utc>,
}

impl Exporter {
    /// An exporter of a snapshot.
    pub fn new(shared: Shared) -> Self {
        Self::with_clock(shared, Utc::now)
    }

    fn with_clock(shared: Shared, clock: fn() -> DateTime<Utc>) -> Self {
        Self {
            shared,
            process: Arc::new(ProcessCollector::for_self()),
            clock,
        }
    }

    /// The metrics in the text format 0.0.4.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let started = Instant::now();
        let now = (self.clock)();
        let mut out = Text::default();
        self.shared.read(|snapshot| all(&mut out, snapshot, now));
        let of_process = self.process.collect();
        let help = "How long it took to gather the metrics of this scrape.";
        out.gauge(
            "pgvigil_scrape_duration_seconds",
            help,
            &[],
            started.elapsed().as_secs_f64(),
        );
        let mut text = out.into_text();
        TextEncoder::new().encode_utf8(&of_process, &mut text)?;
        Ok(text)
    }
}

/// What is known at a moment.
fn all(out: &mut dyn Families, snapshot: &Snapshot, now: DateTime<Utc>) {
    process(out, snapshot);
    notifications::sent(out, snapshot);
    for view in &snapshot.servers {
        server(out, view, now);
    }
}

fn process(out: &mut dyn Families, snapshot: &Snapshot) {
    let version = env!("CARGO_PKG_VERSION");
    let revision = option_env!("PGVIGIL_REVISION").unwrap_or("unknown");
    out.gauge(
        "pgvigil_build_info",
        "Always 1; which pgvigil this is.",
        &[("version", version), ("revision", revision)],
        1.0,
    );
    out.gauge(
        "pgvigil_config_last_reload_successful",
        "Whether the last reading of the configuration succeeded.",
        &[],
        flag(snapshot.configuration_error.is_none()),
    );
    let help = "When the configuration was last read with success.";
    out.gauge(
        "pgvigil_config_last_reload_success_timestamp_seconds",
        help,
        &[],
        seconds(Some(snapshot.configured_at)),
    );
}

fn server(out: &mut dyn Families, view: &ServerView, now: DateTime<Utc>) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    out.gauge(
        "pgvigil_up",
        "Whether PostgreSQL answers.",
        name,
        flag(view.up),
    );
    backup::plan(out, view);
    backup::pause(out, view);
    proof::verify_plan(out, view);
    proof::drill_plan(out, view);
    limits::volume(out, view);
    limits::objectives(out, view);
    if view.status.is_known {
        from_disk(out, view, now);
    }
}

/// What the ledger and the backups say.
fn from_disk(out: &mut dyn Families, view: &ServerView, now: DateTime<Utc>) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    out.gauge(
        "pgvigil_ledger_first_entry_timestamp_seconds",
        "When the first attempt in the ledger began; 0: there is none.",
        name,
        seconds(view.status.first_entry_at),
    );
    backup::history(out, view, now);
    backup::kept(out, view);
    proof::verify(out, view);
    proof::drill(out, view);
    limits::outlook(out, view);
}

/// One series for each reason that can occur, and for any other that did.
fn failures(
    out: &mut dyn Families,
    metric: &'static str,
    help: &'static str,
    view: &ServerView,
    history: &History,
    usual: &[FailureKind],
) {
    for kind in FailureKind::ALL {
        let count = history.failures.get(&kind).copied();
        if count.is_some() || usual.contains(&kind) {
            let labels = [
                ("server", view.config.name.as_str()),
                ("reason", kind.policy().label),
            ];
            out.counter(metric, help, &labels, number(count.unwrap_or_default()));
        }
    }
}

/// Prometheus knows floats alone; what is lost above 2^53 is less than a byte in a petabyte.
fn number(value: u64) -> f64 {
    value as f64
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Seconds since 1970 with milliseconds; 0: never.
fn seconds(time: Option<DateTime<Utc>>) -> f64 {
    time.map_or(0.0, |time| time.timestamp_millis() as f64 / 1_000.0)
}

#[cfg(test)]
mod tests;
