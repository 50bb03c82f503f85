//! The metrics: names, help texts, labels, and the text that Prometheus reads.
//!
//! [`Exporter`] holds nothing that could go stale: its collector builds every sample afresh from the shared snapshot, so a
//! label value that is gone leaves no series behind. Every series of a configured server exists from the start, with 0 (a
//! timestamp: never), because a counter that is born at 1 never increases. Nothing here reads the disk but `process_*`,
//! which reads /proc.

mod families;

use std::time::Instant;

use chrono::{DateTime, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::error::FailureKind;
use crate::ledger::Job;
use crate::status::{History, ServerView, Shared, Snapshot};
use families::Families;

/// The content type of [`Exporter::render`]. Prometheus 3 refuses a scrape without one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The reasons of `backup_failures_total` that exist from the start: what taking a backup can run into.
const BACKUP_REASONS: [FailureKind; 13] = [
    FailureKind::Config,
    FailureKind::DumpFailed,
    FailureKind::DumpIncomplete,
    FailureKind::Damaged,
    FailureKind::Timeout,
    FailureKind::Cancelled,
    FailureKind::Connect,
    FailureKind::Auth,
    FailureKind::Version,
    FailureKind::Directory,
    FailureKind::NoSpace,
    FailureKind::Busy,
    FailureKind::Io,
];

/// The same for `drill_failures_total`; a drill does not talk to the server that was dumped.
const DRILL_REASONS: [FailureKind; 13] = [
    FailureKind::Config,
    FailureKind::Damaged,
    FailureKind::Unsafe,
    FailureKind::NotEqual,
    FailureKind::RestoreFailed,
    FailureKind::Timeout,
    FailureKind::Cancelled,
    FailureKind::Version,
    FailureKind::Directory,
    FailureKind::NoSpace,
    FailureKind::Busy,
    FailureKind::Scratch,
    FailureKind::Io,
];

/// The phase of a drill that is always exported: the measured restore time.
const RESTORE_PHASE: &str = "restore";

/// Renders the metrics.
#[derive(Clone)]
pub struct Exporter {
    registry: Registry,
}

/// Builds the samples of a snapshot.
struct Snapshots {
    shared: Shared,
    clock: fn() -> DateTime<Utc>,
}

impl Exporter {
    /// An exporter of a snapshot.
    pub fn new(shared: Shared) -> Self {
        Self::with_clock(shared, Utc::now)
    }

    fn with_clock(shared: Shared, clock: fn() -> DateTime<Utc>) -> Self {
        let registry = Registry::new();
        for collector in [
            Box::new(Snapshots { shared, clock }) as Box<dyn Collector>,
            Box::new(ProcessCollector::for_self()),
        ] {
            // Fails only for a collector that is registered twice.
            if let Err(error) = registry.register(collector) {
                tracing::error!(%error, "register collector");
            }
        }
        Self { registry }
    }

    /// The metrics in the text format 0.0.4.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let started = Instant::now();
        let mut families = self.registry.gather();
        let mut own = Families::default();
        let help = "How long it took to gather the metrics of this scrape.";
        own.gauge(
            "pgvigil_scrape_duration_seconds",
            help,
            &[],
            started.elapsed().as_secs_f64(),
        );
        families.extend(own.into_vec());
        TextEncoder::new().encode_to_string(&families)
    }
}

impl Collector for Snapshots {
    /// None: an unchecked collector, since databases come and go.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = (self.clock)();
        let mut out = Families::default();
        self.shared.read(|snapshot| {
            process(&mut out, snapshot);
            for view in &snapshot.servers {
                server(&mut out, view, now);
            }
        });
        out.into_vec()
    }
}

fn process(out: &mut Families, snapshot: &Snapshot) {
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
        1.0,
    );
    let help = "When the configuration was last read with success.";
    out.gauge(
        "pgvigil_config_last_reload_success_timestamp_seconds",
        help,
        &[],
        seconds(Some(snapshot.configured_at)),
    );
}

fn server(out: &mut Families, view: &ServerView, now: DateTime<Utc>) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    out.gauge(
        "pgvigil_up",
        "Whether PostgreSQL answers.",
        name,
        flag(view.up),
    );
    backup_history(out, view, now);
    backup_plan(out, view);
    kept(out, view);
    verify(out, view);
    drill(out, view);
    volume(out, view);
    objectives(out, view);
}

fn backup_history(out: &mut Families, view: &ServerView, now: DateTime<Utc>) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let history = &view.status.backup;
    let age = history.last_success.map_or(f64::INFINITY, |at| {
        (seconds(Some(now)) - seconds(Some(at))).max(0.0)
    });
    let success = seconds(history.last_success);
    out.gauge(
        "pgvigil_backup_last_success_timestamp_seconds",
        "When the last whole backup was finished; 0: never.",
        name,
        success,
    );
    let failure = seconds(history.last_not_passed());
    out.gauge(
        "pgvigil_backup_last_failure_timestamp_seconds",
        "When a backup last failed; 0: never.",
        name,
        failure,
    );
    let attempt = seconds(history.last_attempt);
    out.gauge(
        "pgvigil_backup_last_attempt_timestamp_seconds",
        "When the last finished attempt at a backup began; 0: never.",
        name,
        attempt,
    );
    out.gauge(
        "pgvigil_backup_age_seconds",
        "Age of the last whole backup at the time of the scrape; infinite: there is none.",
        name,
        age,
    );
    let duration = history.success_duration_seconds;
    out.gauge(
        "pgvigil_backup_last_duration_seconds",
        "How long the last whole backup took.",
        name,
        duration,
    );
    let newest = view.status.newest.as_ref();
    let bytes = newest.map_or(0.0, |newest| number(newest.bytes));
    out.gauge(
        "pgvigil_backup_last_size_bytes",
        "Size of the newest whole backup.",
        name,
        bytes,
    );
    let bytes = newest.map_or(0.0, |newest| number(newest.uncompressed_bytes));
    out.gauge(
        "pgvigil_backup_last_uncompressed_size_bytes",
        "Size of the dump in the newest whole backup.",
        name,
        bytes,
    );
    out.counter(
        "pgvigil_backup_attempts_total",
        "Attempts at a backup in the ledger.",
        name,
        number(history.attempts),
    );
    failures(
        out,
        "pgvigil_backup_failures_total",
        "Attempts at a backup that failed, by reason.",
        view,
        history,
        &BACKUP_REASONS,
    );
}

fn backup_plan(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let running = view
        .running
        .as_ref()
        .filter(|running| running.job == Job::Backup);
    out.gauge(
        "pgvigil_backup_in_progress",
        "Whether a backup runs.",
        name,
        flag(running.is_some()),
    );
    let bytes = running.map_or(0.0, |running| number(running.progress.now().1));
    out.gauge(
        "pgvigil_backup_progress_bytes",
        "Bytes done in the current stage of the running backup.",
        name,
        bytes,
    );
    let interval = view.interval.backup.as_secs_f64();
    out.gauge(
        "pgvigil_backup_expected_interval_seconds",
        "Longest time between two scheduled backups; 0: none are scheduled.",
        name,
        interval,
    );
    let next = seconds(view.next.backup);
    out.gauge(
        "pgvigil_backup_next_run_timestamp_seconds",
        "When the next backup is due; 0: none is scheduled.",
        name,
        next,
    );
    let paused = flag(view.config.backup.schedule.is_none());
    out.gauge(
        "pgvigil_backup_paused",
        "Whether no backups are scheduled.",
        name,
        paused,
    );
}

fn kept(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let status = &view.status;
    out.gauge(
        "pgvigil_backups",
        "Backups kept.",
        name,
        number(status.kept),
    );
    out.gauge(
        "pgvigil_backups_size_bytes",
        "Size of all backups kept.",
        name,
        number(status.kept_bytes),
    );
    let oldest = seconds(status.oldest_at);
    out.gauge(
        "pgvigil_backup_oldest_timestamp_seconds",
        "When the oldest backup kept was finished; 0: there is none.",
        name,
        oldest,
    );
    for database in status.newest.iter().flat_map(|newest| &newest.databases) {
        let labels: &[(&str, &str)] =
            &[("server", &view.config.name), ("database", &database.name)];
        out.gauge(
            "pgvigil_backup_database_rows",
            "Rows of a database in the newest whole backup.",
            labels,
            number(database.rows),
        );
        let help = "Size of a database on the server when its newest whole backup began.";
        out.gauge(
            "pgvigil_backup_database_size_bytes",
            help,
            labels,
            number(database.bytes_on_server),
        );
    }
}

fn verify(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let history = &view.status.verify;
    let success = seconds(history.last_success);
    out.gauge(
        "pgvigil_verify_last_success_timestamp_seconds",
        "When a backup last passed verification; 0: never.",
        name,
        success,
    );
    let failure = seconds(history.last_not_passed());
    out.gauge(
        "pgvigil_verify_last_failure_timestamp_seconds",
        "When a verification last failed or could not run; 0: never.",
        name,
        failure,
    );
    out.gauge(
        "pgvigil_verify_last_duration_seconds",
        "How long the last verification took.",
        name,
        history.last_duration_seconds,
    );
    let help = "Backups kept whose last verification found damage.";
    out.gauge(
        "pgvigil_verify_corrupt_backups",
        help,
        name,
        number(view.status.corrupt),
    );
}

fn drill(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let (history, last) = (&view.status.drill, &view.status.last_drill);
    let success = seconds(history.last_success);
    out.gauge(
        "pgvigil_drill_last_success_timestamp_seconds",
        "When a test restore last gave back every row; 0: never.",
        name,
        success,
    );
    let failure = seconds(history.last_failure);
    out.gauge(
        "pgvigil_drill_last_failure_timestamp_seconds",
        "When a test restore last found a backup at fault; 0: never.",
        name,
        failure,
    );
    let error = seconds(history.last_error);
    out.gauge(
        "pgvigil_drill_last_error_timestamp_seconds",
        "When a test restore last could not run; 0: never.",
        name,
        error,
    );
    out.gauge(
        "pgvigil_drill_last_duration_seconds",
        "How long the last test restore that could run took.",
        name,
        history.last_duration_seconds,
    );
    let restore = [(RESTORE_PHASE, last.restore_seconds)].into_iter();
    let others = last
        .phases
        .iter()
        .filter(|phase| phase.name != RESTORE_PHASE)
        .map(|phase| (phase.name.as_str(), phase.seconds));
    for (phase, duration) in restore.chain(others) {
        let labels: &[(&str, &str)] = &[("server", &view.config.name), ("phase", phase)];
        out.gauge(
            "pgvigil_drill_phase_duration_seconds",
            "How long each phase of the last test restore took.",
            labels,
            duration,
        );
    }
    let proven = seconds(view.status.proven_backup_at);
    out.gauge(
        "pgvigil_drill_proven_backup_timestamp_seconds",
        "When the newest backup that a test restore proved was finished; 0: none was proven.",
        name,
        proven,
    );
    out.gauge(
        "pgvigil_drill_tables_compared",
        "Tables compared in the last test restore.",
        name,
        number(last.tables),
    );
    out.gauge(
        "pgvigil_drill_rows_compared",
        "Rows compared in the last test restore.",
        name,
        number(last.rows),
    );
    out.gauge(
        "pgvigil_drill_mismatches",
        "Things that were not equal in the last test restore.",
        name,
        number(last.mismatches),
    );
    out.counter(
        "pgvigil_drill_attempts_total",
        "Test restores in the ledger.",
        name,
        number(history.attempts),
    );
    failures(
        out,
        "pgvigil_drill_failures_total",
        "Test restores that did not pass, by reason.",
        view,
        history,
        &DRILL_REASONS,
    );
    let interval = view.interval.drill.as_secs_f64();
    out.gauge(
        "pgvigil_drill_expected_interval_seconds",
        "Longest time between two scheduled test restores; 0: none are scheduled.",
        name,
        interval,
    );
}

fn volume(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let space = &view.space;
    out.gauge(
        "pgvigil_volume_size_bytes",
        "Size of the file system that the backups are on.",
        name,
        number(space.size_bytes),
    );
    out.gauge(
        "pgvigil_volume_available_bytes",
        "Space left for backups.",
        name,
        number(space.available_bytes),
    );
    out.gauge(
        "pgvigil_volume_used_bytes",
        "Space taken, by whatever.",
        name,
        number(space.used_bytes),
    );
    out.gauge(
        "pgvigil_volume_fill_ratio",
        "How full the volume is.",
        name,
        space.fill_ratio(),
    );
    out.gauge(
        "pgvigil_volume_files_free",
        "Files that can still be made.",
        name,
        number(space.files_free),
    );
}

fn objectives(out: &mut Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let wanted = &view.config.objectives;
    out.gauge(
        "pgvigil_objective_max_age_seconds",
        "Age that the newest backup may have.",
        name,
        wanted.max_age.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_duration_seconds",
        "How long a backup may take.",
        name,
        wanted.max_duration.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_restore_time_seconds",
        "How long a restore may take.",
        name,
        wanted.max_restore_time.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_drill_age_seconds",
        "Age that the last passed test restore may have.",
        name,
        wanted.max_drill_age.as_secs_f64(),
    );
    out.gauge(
        "pgvigil_objective_max_fill_ratio",
        "How full the volume may be.",
        name,
        wanted.max_fill,
    );
}

/// One series for each reason that can occur, and for any other that did.
fn failures(
    out: &mut Families,
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
