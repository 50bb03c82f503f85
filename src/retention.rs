//! Which backups stay, which may go, and why.
//!
//! Rules, each of which keeps a backup by itself; what none keeps may be removed:
//! * younger than `keep_days`; the newest `keep_min`; the last of each of the newest so many days, weeks (ISO), months
//!   and years (UTC) that have a backup;
//! * the newest good one and the newest that a drill proved, whatever the policy;
//! * files of others, unless `adopt` makes them ours to remove;
//! * what is dated in the future: some clock was wrong, and nobody knows which.
//!
//! Only *good* backups count for the rules but the age: whole, not found damaged, not failed in a drill; those of others
//! only after a verification. Removal waits ([`Reason::is_wait`]) while time itself is in doubt: when there is no good
//! backup, when the newest is too old, or when the one before it is. So neither a wrong clock nor the first success after
//! an outage takes the history away.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::config::Retention;
use crate::ledger::{Entry, Job, JobResult};

/// Gaps between backups that say what is usual. So few that they are of the days of which every backup is kept: those of
/// which a month has one left say nothing of the schedule.
const USUAL_GAPS: usize = 4;

/// A backup as far as its fate depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// When it was begun.
    pub begun: DateTime<Utc>,
    /// Its size.
    pub bytes: u64,
    /// Who made it.
    pub origin: Origin,
    /// How its last check ended.
    pub verified: Check,
    /// How its last drill ended.
    pub drilled: Check,
}

/// Who made a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We, as its manifest says.
    Ours,
    /// Someone else, or nobody knows.
    Foreign,
}

/// How the last look at a backup ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It was not looked at.
    #[default]
    Unknown,
    /// Good.
    Passed,
    /// The backup is at fault.
    Failed,
}

/// What becomes of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// Why a backup stays or goes. Days are those of the policy, or how long something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Younger than that.
    Young(u32),
    /// The newest good one.
    NewestGood,
    /// The newest undamaged file, but its drill failed.
    NewestWhole,
    /// The newest that a drill proved.
    NewestProven,
    /// One of the newest so many.
    Min(u32),
    /// The last of its day.
    Day(DateTime<Utc>),
    /// The last of its week.
    Week(DateTime<Utc>),
    /// The last of its month.
    Month(DateTime<Utc>),
    /// The last of its year.
    Year(DateTime<Utc>),
    /// Someone else's.
    Foreign,
    /// Dated later than now.
    Future,
    /// Found damaged, or failed in a drill, and kept so long all the same.
    Evidence(u32),
    /// There is no good backup.
    NoneGood,
    /// The newest good backup is so many days old.
    NewestIsOld(i64),
    /// The good backup before the newest is so many days older.
    Gap(i64),
    /// Older than that: it goes.
    Old(u32),
    /// The same, and it was found damaged or failed in a drill.
    OldAndBad(u32),
}

/// What the ledger says of backups, by the archive's name.
#[derive(Clone, Debug, Default)]
pub struct Record<'a>(HashMap<&'a str, (Check, Check)>);

impl<'a> Record<'a> {
    /// Reads the ledger's entries, in their order.
    pub fn of(entries: &'a [Entry]) -> Self {
        let mut record = HashMap::<_, (Check, Check)>::new();
        for entry in entries {
            let (Some(name), Some(ended)) = (entry.backup.as_deref(), Check::of(entry.result))
            else {
                continue;
            };
            match entry.job {
                Job::Verify => record.entry(name).or_default().0 = ended,
                // A part that passes proves no backup.
                Job::Drill if !entry.is_partial() || ended == Check::Failed => {
                    record.entry(name).or_default().1 = ended;
                }
                _ => {}
            }
        }
        Self(record)
    }

    /// How the last check and the last drill of a backup ended.
    pub fn get(&self, name: &str) -> (Check, Check) {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl Check {
    /// What an ended attempt says of the backup; nothing where it could not run.
    fn of(result: JobResult) -> Option<Self> {
        match result {
            JobResult::Passed => Some(Self::Passed),
            JobResult::Failed => Some(Self::Failed),
            JobResult::Error | JobResult::Timeout => None,
        }
    }
}

impl Backup {
    /// Whether the policy may remove it and counts on it.
    fn is_ours(&self, policy: &Retention) -> bool {
        self.origin == Origin::Ours || policy.adopt
    }

    /// Whether the file is whole, as far as that is known.
    fn is_whole(&self) -> bool {
        match self.origin {
            Origin::Ours => self.verified != Check::Failed,
            Origin::Foreign => self.verified == Check::Passed,
        }
    }

    fn is_good(&self) -> bool {
        self.is_whole() && self.drilled != Check::Failed
    }

    fn is_proven(&self) -> bool {
        self.drilled == Check::Passed && self.verified != Check::Failed
    }
}

/// Judges the backups of one directory, in any order; the verdicts are in the order of the backups.
pub fn judge(backups: &[Backup], policy: &Retention, now: DateTime<Utc>) -> Vec<Verdict> {
    let mut reasons = vec![Vec::new(); backups.len()];
    // Those that count, the newest first; of two of the same time the later one in the list is taken for newer.
    let mut ours: Vec<_> = backups
        .iter()
        .enumerate()
        .filter(|(_, backup)| backup.is_ours(policy) && backup.begun <= now)
        .collect();
    ours.sort_by_key(|(place, backup)| std::cmp::Reverse((backup.begun, *place)));
    let good: Vec<_> = ours
        .iter()
        .copied()
        .filter(|(_, backup)| backup.is_good())
        .collect();

    let mut keep = |place: usize, reason| {
        if let Some(reasons) = reasons.get_mut(place) {
            reasons.push(reason);
        }
    };
    if let Some((place, _)) = good.first() {
        keep(*place, Reason::NewestGood);
    }
    if let Some((place, newest)) = ours.iter().find(|(_, backup)| backup.is_whole())
        && !newest.is_good()
    {
        keep(*place, Reason::NewestWhole);
    }
    if let Some((place, _)) = ours.iter().find(|(_, backup)| backup.is_proven()) {
        keep(*place, Reason::NewestProven);
    }
    for (place, backup) in backups.iter().enumerate() {
        if !backup.is_ours(policy) {
            keep(place, Reason::Foreign);
        } else if backup.begun > now {
            keep(place, Reason::Future);
        } else if now - backup.begun <= days(policy.keep_days) {
            keep(place, by_age(backup, policy, true));
        }
    }
    for (place, _) in good.iter().take(policy.keep_min as usize) {
        keep(*place, Reason::Min(policy.keep_min));
    }
    for (count, reason, period) in CALENDAR {
        let mut left = count(policy);
        let mut last = None;
        for (place, backup) in &good {
            let this = Some(period(backup.begun));
            if left > 0 && last != this {
                keep(*place, reason(backup.begun));
                last = this;
                left -= 1;
            }
        }
    }

    let good: Vec<_> = good.iter().map(|(_, backup)| backup.begun).collect();
    let wait = wait(&good, policy, now);
    let verdict = |(backup, mut reasons): (&Backup, Vec<Reason>)| {
        let mut keep = !reasons.is_empty();
        if !keep {
            keep = wait.is_some();
            reasons.push(wait.unwrap_or_else(|| by_age(backup, policy, false)));
        }
        Verdict { keep, reasons }
    };
    backups.iter().zip(reasons).map(verdict).collect()
}

/// A number of the policy, what it keeps, and what tells two periods apart.
type Calendar = (
    fn(&Retention) -> u32,
    fn(DateTime<Utc>) -> Reason,
    fn(DateTime<Utc>) -> (i32, u32),
);

const CALENDAR: [Calendar; 4] = [
    (
        |policy| policy.keep_daily,
        Reason::Day,
        |at| (at.year(), at.ordinal()),
    ),
    (
        |policy| policy.keep_weekly,
        Reason::Week,
        |at| (at.iso_week().year(), at.iso_week().week()),
    ),
    (
        |policy| policy.keep_monthly,
        Reason::Month,
        |at| (at.year(), at.month()),
    ),
    (
        |policy| policy.keep_yearly,
        Reason::Year,
        |at| (at.year(), 0),
    ),
];

fn days(count: u32) -> TimeDelta {
    TimeDelta::days(count.into())
}

fn by_age(backup: &Backup, policy: &Retention, young: bool) -> Reason {
    let bad = backup.verified == Check::Failed || backup.drilled == Check::Failed;
    let reason = match (young, bad) {
        (true, false) => Reason::Young,
        (true, true) => Reason::Evidence,
        (false, false) => Reason::Old,
        (false, true) => Reason::OldAndBad,
    };
    reason(policy.keep_days)
}

/// Why nothing is removed by age now; `good` are the times of the good backups, the newest first.
fn wait(good: &[DateTime<Utc>], policy: &Retention, now: DateTime<Utc>) -> Option<Reason> {
    let Some(newest) = good.first() else {
        return Some(Reason::NoneGood);
    };
    let gaps: Vec<_> = good
        .iter()
        .zip(good.iter().skip(1))
        .map(|(newer, older)| *newer - *older)
        .collect();
    // A backup each month and keep_days 7 is no outage.
    let is_outage = |gap: TimeDelta, before: &[TimeDelta]| {
        let usual = median(before.get(..USUAL_GAPS).unwrap_or(before));
        gap > days(policy.keep_days) && usual.is_none_or(|usual| gap > usual + usual)
    };
    let age = now - *newest;
    if is_outage(age, &gaps) {
        return Some(Reason::NewestIsOld(age.num_days()));
    }
    let (gap, before) = gaps.split_first()?;
    is_outage(*gap, before).then(|| Reason::Gap(gap.num_days()))
}

/// The middle one; of an even number the lower of the two.
fn median(gaps: &[TimeDelta]) -> Option<TimeDelta> {
    let mut gaps = gaps.to_vec();
    gaps.sort_unstable();
    gaps.get(gaps.len().saturating_sub(1) / 2).copied()
}

impl Reason {
    /// Whether it only puts removal off, until there is one more backup.
    pub fn is_wait(self) -> bool {
        matches!(self, Self::NoneGood | Self::NewestIsOld(_) | Self::Gap(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Young(days) => write!(f, "younger than {}", in_days(days)),
            Self::NewestGood => f.write_str("newest good"),
            Self::NewestWhole => f.write_str("newest whole file, although its drill failed"),
            Self::NewestProven => f.write_str("newest proven"),
            Self::Min(count) => write!(f, "keep_min {count}"),
            Self::Day(at) => write!(f, "last of day {}", at.format("%Y-%m-%d")),
            Self::Week(at) => write!(f, "last of week {}", at.format("%G-W%V")),
            Self::Month(at) => write!(f, "last of month {}", at.format("%Y-%m")),
            Self::Year(at) => write!(f, "last of year {}", at.format("%Y")),
            Self::Foreign => f.write_str("foreign, adopt is off"),
            Self::Future => f.write_str("dated in the future"),
            Self::Evidence(days) => {
                write!(
                    f,
                    "not good: does not count, kept {} as evidence",
                    in_days(days)
                )
            }
            Self::NoneGood => f.write_str("there is no good backup; removal waits for one"),
            Self::NewestIsOld(days) => write!(
                f,
                "the newest good backup is {} old; removal waits for a new one",
                in_days(days)
            ),
            Self::Gap(days) => write!(
                f,
                "the backup before the newest is {} older; removal waits for one more",
                in_days(days)
            ),
            Self::Old(days) => write!(f, "older than {}", in_days(days)),
            Self::OldAndBad(days) => write!(f, "not good, and older than {}", in_days(days)),
        }
    }
}

fn in_days<T: PartialEq + From<u8> + fmt::Display>(days: &T) -> String {
    let plural = if *days == T::from(1) { "" } else { "s" };
    format!("{days} day{plural}")
}

#[cfg(test)]
mod tests;
