//! How large the next backup will be, and when one will no longer fit.
//!
//! *Size.* Of each of the last backups, its bytes for each byte of the databases; the most of these, for the databases as
//! they are now. Where that is not known, the largest of the last backups, and as much more as they grow. A tenth is added
//! for what is not foreseen.
//!
//! *When the volume is full* is found by steps and not by a line through the past: what is free goes down with each backup
//! and up when old ones are removed, so a line through that says more of where it was cut than of where it leads. Each
//! scheduled backup is played through with the size that it will have, and the retention policy after it, until one does
//! not fit.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Retention;
use crate::ledger::{Entry, Job, JobResult, Sizes};
use crate::retention::{self, Backup};
use crate::schedule::Schedule;

/// Backups whose size in relation to the databases is taken for that of the next.
const RECENT: usize = 5;

/// Backups of which the growth is taken: a month of nights.
const GROWING: usize = 30;

/// Sizes from which growth can be told from chance.
const GROWING_AT_LEAST: usize = 4;

/// Growth from one backup to the next that is believed at the most, and shrinking likewise.
const GROWTH_LIMIT: f64 = 2.0;

/// What a volume needs beside the archive: the manifest, reports and the ledger.
const RESERVE: u64 = 1 << 20;

/// Backups and time that are played through.
const RUNS: usize = 400;
const HORIZON: TimeDelta = TimeDelta::days(5 * 366);

/// Runs after which what is left is noted: a month of nights.
const NOTED: usize = 30;

/// What is to be played through.
#[derive(Clone, Debug)]
pub struct Course<'a> {
    /// When backups are taken.
    pub schedule: &'a Schedule,
    /// What is kept of them.
    pub retention: &'a Retention,
    /// Those there are.
    pub kept: Vec<Backup>,
    /// What each one to come is like, but for its time and size.
    pub coming: Backup,
    /// Sizes of the past ones, the oldest first.
    pub sizes: &'a [Sizes],
    /// Bytes that can still be written.
    pub room: u64,
}

/// What was foreseen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// When a backup will no longer fit; `None`: not as far as was looked.
    pub full_at: Option<DateTime<Utc>>,
    /// The bytes that can still be written after each of the next backups, and the removals that follow it.
    pub left: Vec<(DateTime<Utc>, u64)>,
}

/// The sizes of whole backups, the oldest first: of those that are kept, and of those that only the ledger remembers.
pub fn sizes<'a>(
    entries: &'a [Entry],
    kept: impl IntoIterator<Item = (&'a str, DateTime<Utc>, Sizes)>,
) -> Vec<Sizes> {
    let remembered = entries
        .iter()
        .filter(|entry| entry.job == Job::Backup && entry.result == JobResult::Passed)
        .filter_map(|entry| Some((entry.backup.as_deref()?, entry.started_at, entry.sizes?)));
    let all: BTreeMap<_, _> = remembered
        .chain(kept)
        .map(|(name, begun, sizes)| (name, (begun, sizes)))
        .collect();
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|(begun, _)| *begun);
    all.into_iter().map(|(_, sizes)| sizes).collect()
}

/// The size that the next backup will have at the most; `None` without any before it. `database_bytes` is the size of all
/// databases now, where it is known.
pub fn next_size(sizes: &[Sizes], database_bytes: Option<u64>) -> Option<u64> {
    expected(sizes, database_bytes).map(with_margin)
}

/// What has to be free for a backup of this predicted size.
pub fn room_for(predicted: u64) -> u64 {
    predicted.saturating_add(RESERVE)
}

/// The median of the last seven sizes before the newest.
pub fn usual_size(sizes: &[Sizes]) -> Option<u64> {
    let (_, before) = sizes.split_last()?;
    let mut last: Vec<_> = before
        .iter()
        .rev()
        .take(7)
        .map(|sizes| sizes.bytes)
        .collect();
    last.sort_unstable();
    let upper = *last.get(last.len() / 2)?;
    let lower = *last.get((last.len() - 1) / 2)?;
    Some(lower.midpoint(upper))
}

fn with_margin(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 10)
}

fn expected(sizes: &[Sizes], database_bytes: Option<u64>) -> Option<u64> {
    let recent = sizes.iter().rev().take(RECENT);
    match database_bytes.filter(|bytes| *bytes > 0) {
        Some(now) => recent.map(|past| in_proportion(past, now)).max(),
        None => recent
            .map(|past| past.bytes)
            .max()
            .map(|largest| scaled(largest, growth(sizes).max(1.0))),
    }
}

/// A past size, had the databases been as large as now.
fn in_proportion(past: &Sizes, now: u64) -> u64 {
    if past.database_bytes == 0 {
        return past.bytes;
    }
    let bytes = u128::from(past.bytes) * u128::from(now) / u128::from(past.database_bytes);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is too large for the type becomes its largest value"
)]
fn scaled(bytes: u64, factor: f64) -> u64 {
    (bytes as f64 * factor) as u64
}

/// The factor from one backup to the next.
///
/// The median from each to the next does not see one step, like a load of data, for growth; but where sizes go up and down
/// by turns it takes the turns for it. The median over all pairs is the other way round. So it is growth where both see it,
/// and as much as the lesser of both.
fn growth(sizes: &[Sizes]) -> f64 {
    let logs: Vec<f64> = sizes
        .iter()
        .rev()
        .take(GROWING)
        .rev()
        .map(|sizes| (sizes.bytes.max(1) as f64).ln())
        .collect();
    if logs.len() < GROWING_AT_LEAST {
        return 1.0;
    }
    let steps = logs.iter().zip(logs.iter().skip(1)).map(|(a, b)| b - a);
    let pairs = logs.iter().enumerate().flat_map(|(at, from)| {
        let later = logs.iter().skip(at + 1).zip(1_u32..);
        later.map(move |(to, steps)| (to - from) / f64::from(steps))
    });
    let (steps, pairs) = (median(steps.collect()), median(pairs.collect()));
    let lesser = if steps * pairs <= 0.0 {
        0.0
    } else if steps.abs() < pairs.abs() {
        steps
    } else {
        pairs
    };
    lesser.exp().clamp(1.0 / GROWTH_LIMIT, GROWTH_LIMIT)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    (at(values.len() / 2) + at(values.len().saturating_sub(1) / 2)) / 2.0
}

/// Plays the backups to come through, at the present pace: the next 400, or those of five years.
pub fn foresee(course: Course<'_>, now: DateTime<Utc>) -> Foreseen {
    let mut foreseen = Foreseen::default();
    foreseen.full_at = full_at(course, now, &mut foreseen.left);
    foreseen
}

/// When a backup will no longer fit; notes what is left after each of the next ones.
fn full_at(
    course: Course<'_>,
    now: DateTime<Utc>,
    left: &mut Vec<(DateTime<Utc>, u64)>,
) -> Option<DateTime<Utc>> {
    let growth = growth(course.sizes);
    let mut bytes = expected(course.sizes, None)?;
    let Course {
        schedule,
        retention,
        mut kept,
        coming,
        mut room,
        ..
    } = course;
    let mut at = now;
    for _ in 0..RUNS {
        at = schedule.next_after(at)?;
        if at - now > HORIZON {
            return None;
        }
        let needed = room_for(with_margin(bytes));
        if room < needed {
            room = room.saturating_add(prune(&mut kept, retention, at));
        }
        if room < needed {
            return Some(at);
        }
        room -= bytes;
        kept.push(Backup {
            begun: at,
            bytes,
            ..coming
        });
        room = room.saturating_add(prune(&mut kept, retention, at));
        if left.len() < NOTED {
            left.push((at, room));
        }
        bytes = scaled(bytes, growth);
    }
    None
}

/// Removes what the policy does not want; gives the bytes that are free then.
fn prune(kept: &mut Vec<Backup>, policy: &Retention, now: DateTime<Utc>) -> u64 {
    let mut verdicts = retention::judge(kept, policy, now).into_iter();
    let mut freed: u64 = 0;
    kept.retain(|backup| {
        let keep = verdicts.next().is_none_or(|verdict| verdict.keep);
        if !keep {
            freed = freed.saturating_add(backup.bytes);
        }
        keep
    });
    freed
}

#[cfg(test)]
mod tests;
