//! How every server is now.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::backup::{Backup, known};
use crate::config;
use crate::ledger::Job;
use crate::status::{self, History, Level, Paused, PerJob, ServerView, Snapshot};

/// Everything.
#[derive(Serialize)]
pub(in crate::http) struct Status<'a> {
    version: &'static str,
    now: DateTime<Utc>,
    draining: bool,
    configuration: Configuration<'a>,
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Configuration<'a> {
    read_at: DateTime<Utc>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    verdict: Verdict,
    up: bool,
    known: bool,
    unreadable: Option<&'a str>,
    backup_age_seconds: Option<f64>,
    newest_backup: Option<Backup<'a>>,
    kept: Kept,
    last_backup: Attempts,
    last_verification: Attempts,
    last_drill: Drills,
    running: Option<Running>,
    queued: Vec<&'static str>,
    waiting: Option<&'a str>,
    paused: Option<Pause<'a>>,
    next_run: Times,
    expected_interval_seconds: Intervals,
    objectives: Objectives,
    volume: Volume,
    last_problem: Option<Problem<'a>>,
}

#[derive(Serialize)]
struct Verdict {
    level: &'static str,
    sentence: String,
}

#[derive(Serialize)]
struct Kept {
    count: u64,
    size_bytes: u64,
    corrupt: u64,
    oldest_finished_at: Option<DateTime<Utc>>,
}

/// When a job last ended how.
#[derive(Serialize)]
struct Attempts {
    passed_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    could_not_run_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Drills {
    #[serde(flatten)]
    attempts: Attempts,
    proven_backup_finished_at: Option<DateTime<Utc>>,
    restore_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Running {
    job: &'static str,
    job_id: Option<String>,
    since: DateTime<Utc>,
    stage: Option<&'static str>,
    bytes_done: u64,
    bytes_expected: Option<u64>,
}

#[derive(Serialize)]
struct Pause<'a> {
    reason: &'a str,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    configured: bool,
}

#[derive(Serialize)]
struct Times {
    backup: Option<DateTime<Utc>>,
    verify: Option<DateTime<Utc>>,
    drill: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Intervals {
    backup: Option<f64>,
    verify: Option<f64>,
    drill: Option<f64>,
}

#[derive(Serialize)]
struct Objectives {
    max_age_seconds: f64,
    max_duration_seconds: f64,
    max_fill_ratio: f64,
    max_restore_time_seconds: f64,
    max_partial_restore_time_seconds: f64,
    max_drill_age_seconds: f64,
}

#[derive(Serialize)]
struct Volume {
    size_bytes: u64,
    available_bytes: u64,
    used_bytes: u64,
    fill_ratio: f64,
    files_free: u64,
    requested_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Problem<'a> {
    job: &'static str,
    at: DateTime<Utc>,
    sentence: &'a str,
}

/// The picture at `now`.
pub(in crate::http) fn of(snapshot: &Snapshot, now: DateTime<Utc>) -> Status<'_> {
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now,
        draining: snapshot.draining,
        configuration: Configuration {
            read_at: snapshot.configured_at,
            error: snapshot.configuration_error.as_deref(),
        },
        servers: snapshot
            .servers
            .iter()
            .map(|view| server(view, now))
            .collect(),
    }
}

fn server(view: &ServerView, now: DateTime<Utc>) -> Server<'_> {
    let answer = status::answer(view, now);
    let status = &view.status;
    let age = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default().as_secs_f64();
    let newest = status.newest.as_ref().and_then(|newest| {
        let same = |kept: &&status::KeptBackup| kept.summary.file_name == newest.file_name;
        status.backups.iter().find(same)
    });
    Server {
        name: &view.config.name,
        verdict: Verdict {
            level: match answer.level {
                Level::Good => "good",
                Level::Doubtful => "doubtful",
                Level::Bad => "bad",
            },
            sentence: answer.sentence,
        },
        up: view.up,
        known: status.is_known,
        unreadable: view.unreadable.as_deref(),
        backup_age_seconds: status.backup.last_success.map(age),
        newest_backup: newest.map(Backup::from),
        kept: Kept {
            count: status.kept,
            size_bytes: status.kept_bytes,
            corrupt: status.corrupt,
            oldest_finished_at: status.oldest_at,
        },
        last_backup: Attempts::from(&status.backup),
        last_verification: Attempts::from(&status.verify),
        last_drill: Drills {
            attempts: Attempts::from(&status.drill),
            proven_backup_finished_at: status.proven_backup_at,
            restore_seconds: Some(status.last_drill.restore_seconds)
                .filter(|seconds| *seconds > 0.0),
        },
        running: view.running.as_ref().map(Running::from),
        queued: view.queued.iter().map(|job: &Job| job.name()).collect(),
        waiting: view.waiting.as_deref(),
        paused: view.paused.as_ref().map(Pause::from),
        next_run: Times {
            backup: view.next.backup,
            verify: view.next.verify,
            drill: view.next.drill,
        },
        expected_interval_seconds: Intervals::from(&view.interval),
        objectives: Objectives::from(&view.config.objectives),
        volume: volume(view),
        last_problem: status.problem.as_ref().map(|problem| Problem {
            job: problem.job.name(),
            at: problem.at,
            sentence: &problem.sentence,
        }),
    }
}

fn volume(view: &ServerView) -> Volume {
    let space = &view.space;
    Volume {
        size_bytes: space.size_bytes,
        available_bytes: space.available_bytes,
        used_bytes: space.used_bytes,
        fill_ratio: space.fill_ratio(),
        files_free: space.files_free,
        requested_bytes: view.config.volume.requested,
    }
}

impl From<&History> for Attempts {
    fn from(history: &History) -> Self {
        Self {
            passed_at: history.last_success,
            failed_at: history.last_failure,
            could_not_run_at: history.last_error,
        }
    }
}

impl From<&status::Running> for Running {
    fn from(running: &status::Running) -> Self {
        let (stage, done, expected) = running.progress.now();
        Self {
            job: running.job.name(),
            job_id: Some(running.progress.job_id()).filter(|id| !id.is_empty()),
            since: running.started_at,
            stage: Some(stage).filter(|stage| !stage.is_empty()),
            bytes_done: done,
            bytes_expected: known(expected),
        }
    }
}

impl<'a> From<&'a Paused> for Pause<'a> {
    fn from(paused: &'a Paused) -> Self {
        Self {
            reason: &paused.pause.reason,
            since: paused.since,
            until: paused.pause.until,
            configured: paused.configured,
        }
    }
}

impl From<&PerJob<Duration>> for Intervals {
    fn from(interval: &PerJob<Duration>) -> Self {
        let seconds = |interval: Duration| (!interval.is_zero()).then_some(interval.as_secs_f64());
        Self {
            backup: seconds(interval.backup),
            verify: seconds(interval.verify),
            drill: seconds(interval.drill),
        }
    }
}

impl From<&config::Objectives> for Objectives {
    fn from(wanted: &config::Objectives) -> Self {
        Self {
            max_age_seconds: wanted.max_age.as_secs_f64(),
            max_duration_seconds: wanted.max_duration.as_secs_f64(),
            max_fill_ratio: wanted.max_fill,
            max_restore_time_seconds: wanted.max_restore_time.as_secs_f64(),
            max_partial_restore_time_seconds: wanted.max_partial_restore_time.as_secs_f64(),
            max_drill_age_seconds: wanted.max_drill_age.as_secs_f64(),
        }
    }
}
