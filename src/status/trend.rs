//! How things went lately: what is plotted, and what did not pass. Bounded, whatever the ledger holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};

use super::{Loaded, Problem};
use crate::ledger::{Entry, Job, JobResult, VolumeFacts};

/// Backups and drills that are remembered: a plot is a few hundred points wide, and four months of nights are enough.
const POINTS: usize = 120;

/// Times at which the volume was measured; a night has several.
const MEASURED: usize = 480;

/// What did not pass: who wants more reads the ledger.
const PROBLEMS: usize = 10;

/// Years that can be true. With times beyond what calendars are good for nobody can reckon.
const LIKELY: std::ops::Range<i32> = 1970..2500;

/// How things went, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    /// Attempts at a backup.
    pub backups: Vec<Taken>,
    /// Drills of whole backups that could run.
    pub drills: Vec<Restored>,
    /// The volume after jobs.
    pub volume: Vec<(DateTime<Utc>, VolumeFacts)>,
    /// What did not pass.
    pub problems: Vec<Problem>,
}

/// An attempt at a backup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Whether there is a backup of it.
    pub passed: bool,
    /// How long it took, where it passed and that is known.
    pub seconds: Option<f64>,
    /// Its size, where it passed and that is known.
    pub bytes: Option<u64>,
}

/// A drill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restored {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Whether it proved the backup.
    pub passed: bool,
    /// How long the restore alone took, where it got that far.
    pub seconds: Option<f64>,
}

impl Trend {
    pub(super) fn new(loaded: &Loaded) -> Self {
        let entries = loaded.entries.as_slice();
        let drills = entries.iter().filter_map(Restored::of);
        let measured = |entry: &Entry| Some((entry.finished_at, entry.volume?));
        Self {
            backups: taken(loaded),
            drills: last(drills, |drill| drill.at, POINTS),
            volume: last(entries.iter().filter_map(measured), |(at, _)| *at, MEASURED),
            problems: last(
                entries.iter().filter_map(Problem::of),
                |problem| problem.at,
                PROBLEMS,
            ),
        }
    }
}

impl Trend {
    /// How long the restore of the last drill took that passed.
    pub fn restore_seconds(&self) -> Option<f64> {
        let passed = self.drills.iter().rev().filter(|drill| drill.passed);
        passed.filter_map(|drill| drill.seconds).next()
    }
}

/// The attempts of the ledger, and the backups that it does not know: it may be lost, and they may be older.
fn taken(loaded: &Loaded) -> Vec<Taken> {
    let kept = loaded.backups.iter().filter(|backup| backup.has_manifest);
    let mut all: BTreeMap<(DateTime<Utc>, Option<&str>), Taken> = kept
        .map(|backup| {
            let taken = Taken {
                at: backup.finished_at,
                passed: true,
                seconds: Some(backup.duration_seconds).filter(|seconds| *seconds > 0.0),
                bytes: Some(backup.bytes),
            };
            ((backup.finished_at, Some(backup.file_name.as_str())), taken)
        })
        .collect();
    let known: std::collections::HashSet<&str> = loaded
        .backups
        .iter()
        .filter(|backup| backup.has_manifest)
        .map(|backup| backup.file_name.as_str())
        .collect();
    for entry in loaded.entries.iter().filter(|e| e.job == Job::Backup) {
        let backup = entry.backup.as_deref();
        let passed = entry.result == JobResult::Passed;
        if passed && backup.is_some_and(|name| known.contains(name)) {
            continue;
        }
        let taken = Taken {
            at: entry.finished_at,
            passed,
            seconds: passed.then_some(entry.duration_seconds),
            bytes: entry.sizes.filter(|_| passed).map(|sizes| sizes.bytes),
        };
        all.insert((entry.finished_at, backup), taken);
    }
    last(all.into_values(), |taken| taken.at, POINTS)
}

impl Restored {
    fn of(entry: &Entry) -> Option<Self> {
        let facts = entry.drill.as_ref()?;
        let is_told = entry.job == Job::Drill
            && !entry.is_partial()
            && matches!(entry.result, JobResult::Passed | JobResult::Failed);
        is_told.then_some(Self {
            at: entry.finished_at,
            passed: entry.result == JobResult::Passed,
            seconds: Some(facts.restore_seconds).filter(|seconds| *seconds > 0.0),
        })
    }
}

impl Problem {
    /// What an entry says went wrong.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        (entry.result != JobResult::Passed).then(|| Self {
            job: entry.job,
            at: entry.finished_at,
            result: entry.result,
            backup: entry.backup.clone(),
            sentence: entry
                .message
                .clone()
                .unwrap_or_else(|| "no reason was recorded".to_owned()),
        })
    }
}

fn last<T>(
    all: impl Iterator<Item = T>,
    when: impl Fn(&T) -> DateTime<Utc>,
    limit: usize,
) -> Vec<T> {
    let mut all: Vec<T> = all
        .filter(|one| LIKELY.contains(&when(one).year()))
        .collect();
    // Clocks are set back, and a backup of someone else is older than the entry before it.
    all.sort_by_key(&when);
    all.drain(..all.len().saturating_sub(limit));
    all.shrink_to_fit();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Sizes;
    use crate::status::tests::{at, entry, morning};

    #[test]
    fn a_backup_is_one_point_whether_the_ledger_knows_it_or_not() {
        let mut loaded = morning();
        let mut gone = entry(Job::Backup, JobResult::Passed, at(0, 30), Some("pruned"));
        gone.sizes = Some(Sizes {
            bytes: 900,
            ..Sizes::default()
        });
        loaded.entries.insert(0, gone);
        let points: Vec<_> = Trend::new(&loaded)
            .backups
            .into_iter()
            .map(|taken| (taken.at, taken.bytes))
            .collect();
        // The file by hand is no backup; the failed attempt has no size.
        assert_eq!(
            points,
            [
                (at(0, 30), Some(900)),
                (at(1, 0), Some(1_000)),
                (at(2, 0), None),
                (at(3, 0), Some(1_000)),
            ]
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let mut loaded = morning();
        let minutes = (0..59).cycle().take(1_000);
        loaded.entries = minutes
            .map(|minute| entry(Job::Backup, JobResult::Error, at(2, minute), None))
            .collect();
        loaded
            .entries
            .push(entry(Job::Drill, JobResult::Failed, at(9, 0), Some("new")));
        let trend = Trend::new(&loaded);
        assert!(trend.backups.len() <= POINTS);
        assert_eq!(trend.problems.len(), PROBLEMS);
        let newest = trend.problems.last().expect("problems");
        assert_eq!((newest.job, newest.at), (Job::Drill, at(9, 0)));
        assert_eq!(newest.sentence, "connect to <db>: refused");
    }

    #[test]
    fn a_drill_of_a_part_or_one_that_could_not_run_is_no_restore_time() {
        let loaded = |change: fn(&mut Entry)| {
            let mut loaded = morning();
            change(loaded.entries.last_mut().expect("the drill"));
            Trend::new(&loaded).drills.len()
        };
        assert_eq!(loaded(|_| {}), 1);
        assert_eq!(loaded(|drill| drill.result = JobResult::Failed), 1);
        assert_eq!(loaded(|drill| drill.result = JobResult::Error), 0);
        assert_eq!(loaded(|drill| drill.drill = None), 0);
        assert_eq!(
            loaded(|drill| drill.drill.as_mut().expect("facts").scope = Some("a table".to_owned())),
            0
        );
    }
}
