//! What is said about verifications and drills.

use super::families::Families;
use super::{failures, flag, number, seconds};
use crate::error::FailureKind;
use crate::ledger::Job;
use crate::status::ServerView;

/// The reasons of `drill_failures_total` that exist from the start; a drill does not talk to the server that was dumped.
const DRILL_REASONS: [FailureKind; 14] = [
    FailureKind::Config,
    FailureKind::Damaged,
    FailureKind::Unsafe,
    FailureKind::NotEqual,
    FailureKind::RestoreFailed,
    FailureKind::Timeout,
    FailureKind::Interrupted,
    FailureKind::Cancelled,
    FailureKind::Version,
    FailureKind::Directory,
    FailureKind::NoSpace,
    FailureKind::Busy,
    FailureKind::Scratch,
    FailureKind::Io,
];

/// The reasons of `verify_failures_total` that exist from the start.
const VERIFY_REASONS: [FailureKind; 8] = [
    FailureKind::Damaged,
    FailureKind::Unsafe,
    FailureKind::Timeout,
    FailureKind::Interrupted,
    FailureKind::Cancelled,
    FailureKind::Directory,
    FailureKind::Busy,
    FailureKind::Io,
];

/// The phase of a drill that is always exported: the measured restore time.
const RESTORE_PHASE: &str = "restore";

pub(super) fn verify(out: &mut dyn Families, view: &ServerView) {
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
    out.counter(
        "pgvigil_verify_attempts_total",
        "Verifications of single backups in the ledger.",
        name,
        number(history.attempts),
    );
    failures(
        out,
        "pgvigil_verify_failures_total",
        "Verifications of single backups that did not pass, by reason.",
        view,
        history,
        &VERIFY_REASONS,
    );
}

pub(super) fn verify_plan(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    out.gauge(
        "pgvigil_verify_in_progress",
        "Whether backups are being verified.",
        name,
        flag(runs(view, Job::Verify)),
    );
    let interval = view.interval.verify.as_secs_f64();
    out.gauge(
        "pgvigil_verify_expected_interval_seconds",
        "Longest time between two scheduled verifications; 0: none are scheduled.",
        name,
        interval,
    );
    out.gauge(
        "pgvigil_verify_next_run_timestamp_seconds",
        "When the next verification is due; 0: none is scheduled.",
        name,
        seconds(view.next.verify),
    );
}

fn runs(view: &ServerView, job: Job) -> bool {
    let running = view.running.as_ref();
    running.is_some_and(|running| running.job == job)
}

pub(super) fn drill(out: &mut dyn Families, view: &ServerView) {
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
}

pub(super) fn drill_plan(out: &mut dyn Families, view: &ServerView) {
    let name: &[(&str, &str)] = &[("server", &view.config.name)];
    let interval = view.interval.drill.as_secs_f64();
    out.gauge(
        "pgvigil_drill_expected_interval_seconds",
        "Longest time between two scheduled test restores; 0: none are scheduled.",
        name,
        interval,
    );
    out.gauge(
        "pgvigil_drill_next_run_timestamp_seconds",
        "When the next test restore is due; 0: none is scheduled.",
        name,
        seconds(view.next.drill),
    );
    out.gauge(
        "pgvigil_drill_in_progress",
        "Whether a test restore runs.",
        name,
        flag(runs(view, Job::Drill)),
    );
}
