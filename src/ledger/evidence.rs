//! What a ledger says about a period, as those who audit backups ask for it: attempts and results, the newest proof, and
//! how long there was none. Time comes in as an argument.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Entry, Job, JobResult};

/// A stretch of time, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Its begin.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

/// What happened in a period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The period: what was asked for, but not from before the ledger began.
    pub period: Period,
    /// Attempts of each kind of job.
    pub jobs: Vec<Attempts>,
    /// The newest backup that a drill proved.
    pub newest_proven: Option<Proven>,
    /// The longest time without a backup that succeeded.
    pub longest_without_backup: Gap,
    /// The longest time without a drill that passed.
    pub longest_without_drill: Gap,
}

/// Attempts of one kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// Which.
    pub job: Job,
    /// How many.
    pub attempts: u64,
    /// How many passed.
    pub passed: u64,
    /// How many found a backup at fault, or took none.
    pub failed: u64,
    /// How many could not run.
    pub error: u64,
    /// Those that were ended because their time was up.
    pub timeout: u64,
}

/// A backup that a drill proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The archive's file name.
    pub backup: Option<String>,
    /// When it was finished, where that is known.
    pub backup_finished_at: Option<DateTime<Utc>>,
    /// When the drill passed.
    pub proven_at: DateTime<Utc>,
    /// The drill.
    pub job_id: String,
}

/// A time without something. The period's begin and end bound it as well as the things themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// When it began.
    pub from: DateTime<Utc>,
    /// When it ended.
    pub to: DateTime<Utc>,
    /// Its length.
    pub seconds: u64,
}

/// Sums up the entries of a period.
pub fn sum_up(entries: &[Entry], period: Period) -> Evidence {
    Evidence {
        period,
        jobs: Job::ALL
            .into_iter()
            .map(|job| attempts(entries, job))
            .collect(),
        newest_proven: newest_proven(entries),
        longest_without_backup: longest_gap(entries, Job::Backup, period),
        longest_without_drill: longest_gap(entries, Job::Drill, period),
    }
}

fn attempts(entries: &[Entry], job: Job) -> Attempts {
    let count = |result| {
        let of_it = |entry: &&Entry| entry.job == job && entry.result == result;
        entries.iter().filter(of_it).count() as u64
    };
    let (passed, failed, error, timeout) = (
        count(JobResult::Passed),
        count(JobResult::Failed),
        count(JobResult::Error),
        count(JobResult::Timeout),
    );
    Attempts {
        job,
        attempts: passed + failed + error + timeout,
        passed,
        failed,
        error,
        timeout,
    }
}

fn passed(entries: &[Entry], job: Job) -> impl Iterator<Item = &Entry> {
    entries
        .iter()
        .filter(move |entry| entry.job == job && entry.result == JobResult::Passed)
        .filter(|entry| !entry.is_partial())
}

/// The newest by the backup's own time; one whose time is unknown is older than any.
fn newest_proven(entries: &[Entry]) -> Option<Proven> {
    passed(entries, Job::Drill)
        .max_by_key(|entry| (entry.backup_finished_at, entry.finished_at))
        .map(|entry| Proven {
            backup: entry.backup.clone(),
            backup_finished_at: entry.backup_finished_at,
            proven_at: entry.finished_at,
            job_id: entry.job_id.clone(),
        })
}

fn longest_gap(entries: &[Entry], job: Job, period: Period) -> Gap {
    let mut times: Vec<_> = passed(entries, job)
        .map(|entry| entry.finished_at)
        .filter(|time| (period.from..=period.to).contains(time))
        .collect();
    times.extend([period.from, period.to]);
    times.sort_unstable();
    let gap = |from, to: DateTime<Utc>| Gap {
        from,
        to,
        seconds: u64::try_from((to - from).num_seconds()).unwrap_or(0),
    };
    times
        .windows(2)
        .filter_map(|pair| match pair {
            [from, to] => Some(gap(*from, *to)),
            _ => None,
        })
        .max_by_key(|gap| gap.seconds)
        .unwrap_or_else(|| gap(period.from, period.from))
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::entry;
    use super::*;
    use chrono::TimeDelta;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(day)
    }

    fn done(job: Job, result: JobResult, day: i64) -> Entry {
        Entry {
            job,
            result,
            finished_at: at(day),
            backup: Some(format!("backup {day}")),
            backup_finished_at: Some(at(day - 1)),
            ..entry(day)
        }
    }

    #[test]
    fn a_period_summed_up() {
        let entries = [
            done(Job::Backup, JobResult::Passed, 1),
            done(Job::Backup, JobResult::Failed, 2),
            done(Job::Drill, JobResult::Passed, 3),
            done(Job::Backup, JobResult::Passed, 4),
            done(Job::Drill, JobResult::Error, 5),
        ];
        let period = Period {
            from: at(0),
            to: at(10),
        };
        let evidence = sum_up(&entries, period);
        let [backup, verify, drill, restore, prune] = evidence.jobs.as_slice() else {
            panic!("five kinds of job");
        };
        assert_eq!(
            (backup.attempts, backup.passed, backup.failed, backup.error),
            (3, 2, 1, 0)
        );
        assert_eq!(
            (verify.attempts, restore.attempts, prune.attempts),
            (0, 0, 0)
        );
        assert_eq!((drill.attempts, drill.passed, drill.error), (2, 1, 1));
        assert_eq!(
            evidence.newest_proven.and_then(|proven| proven.backup),
            Some("backup 3".to_owned())
        );
        let gap = evidence.longest_without_backup;
        assert_eq!((gap.from, gap.to, gap.seconds), (at(4), at(10), 6 * 86_400));
        let gap = evidence.longest_without_drill;
        assert_eq!((gap.from, gap.to), (at(3), at(10)));
    }

    #[test]
    fn nothing_passed_is_one_gap() {
        let period = Period {
            from: at(2),
            to: at(5),
        };
        let evidence = sum_up(&[done(Job::Drill, JobResult::Failed, 3)], period);
        assert_eq!(evidence.newest_proven, None);
        assert_eq!(evidence.longest_without_drill.seconds, 3 * 86_400);
    }
}
