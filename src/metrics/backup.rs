//! What is said about backups: how the last ones went, when the next is due, what is kept.

use chrono::{DateTime, Utc};

use super::families::Families;
use super::{failures, flag, number, seconds};
use crate::error::FailureKind;
use crate::ledger::Job;
use crate::status::ServerView;

/// The reasons of `backup_failures_total` that exist from the start: what taking a backup can run into.
const BACKUP_REASONS: [FailureKind; 15] = [
    FailureKind::Config,
    FailureKind::DumpFailed,
    FailureKind::DumpIncomplete,
    FailureKind::Damaged,
    FailureKind::Timeout,
    FailureKind::LockTimeout,
    FailureKind::Interrupted,
    FailureKind::Cancelled,
    FailureKind::Connect,
    FailureKind::Auth,
    FailureKind::Version,
    FailureKind::Directory,
    FailureKind::NoSpace,
    FailureKind::Busy,
    FailureKind::Io,
];

pub(super) fn history(out: &mut dyn Families, view: &ServerView, now: DateTime<Utc>) {
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

pub(super) fn plan(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let running = view
        .running
        .as_ref()
        .filter(|running| running.job == Job::Backup);
    out.gauge(
        "pgvigil_backup_in_progress",
        "Whether a backup runs, or someone else writes one.",
        name,
        flag(running.is_some() || view.observed_growing.is_some()),
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
    let since = running
        .map(|running| running.started_at)
        .or(view.observed_growing);
    out.gauge(
        "pgvigil_backup_in_progress_since_timestamp_seconds",
        "When the running backup began, or was first seen to be written; 0: none is.",
        name,
        seconds(since),
    );
}

pub(super) fn pause(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let paused = view.paused.as_ref();
    out.gauge(
        "pgvigil_backup_paused",
        "Whether nothing of a server runs by itself, because somebody or the configuration said so.",
        name,
        flag(paused.is_some()),
    );
    out.gauge(
        "pgvigil_backup_paused_since_timestamp_seconds",
        "When the pause began; 0: there is none.",
        name,
        seconds(paused.map(|paused| paused.since)),
    );
    out.gauge(
        "pgvigil_backup_paused_until_timestamp_seconds",
        "When the pause ends by itself; 0: it does not, or there is none.",
        name,
        seconds(paused.and_then(|paused| paused.pause.until)),
    );
    if let Some(paused) = paused {
        let labels: &[(&str, &str)] = &[
            ("server", &view.config.name),
            ("reason", &paused.pause.reason),
        ];
        out.gauge(
            "pgvigil_backup_pause_info",
            "Always 1; why nothing runs, while it does not.",
            labels,
            1.0,
        );
    }
}

pub(super) fn kept(out: &mut dyn Families, view: &ServerView) {
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
    let outlook = &status.outlook;
    out.gauge(
        "pgvigil_backup_predicted_size_bytes",
        "Size that the next backup is expected to have at the most, with a margin of a tenth; 0: unknown.",
        name,
        number(outlook.predicted_bytes.unwrap_or_default()),
    );
    out.gauge(
        "pgvigil_backup_median_size_bytes",
        "Median size of the last 7 whole backups before the newest; 0: unknown.",
        name,
        number(outlook.usual_bytes.unwrap_or_default()),
    );
    out.gauge(
        "pgvigil_prune_last_success_timestamp_seconds",
        "When backups that are no longer wanted were last removed; 0: never.",
        name,
        seconds(status.prune.last_success),
    );
    out.gauge(
        "pgvigil_prune_last_failure_timestamp_seconds",
        "When a backup that is no longer wanted could last not be removed; 0: never.",
        name,
        seconds(status.prune.last_not_passed()),
    );
    out.counter(
        "pgvigil_pruned_backups_total",
        "Backups removed because they were no longer wanted.",
        name,
        number(status.pruned),
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
