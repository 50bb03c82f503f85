//! What of a server is due, what was done, and what is to be tried again. Pure: the time comes in as an argument.
//!
//! A *due time* is a moment of a job's schedule, and names a run: whatever happens to clocks and processes, each due time is
//! run at most once to its end, and none is passed over but those that
//! * a later one of the same job has replaced: after a downtime the last one missed is made up for, once;
//! * fell into a pause;
//! * failed as often as the configuration allows.
//!
//! The agenda is kept on disk, written when a run begins and when it ends, under the lock of the server's directory: who
//! starts anew, or in another pod, goes on where the last one was. A run that was begun and has no end was interrupted; it
//! counts as one attempt. The order of events is [`Agenda::due`], [`Agenda::begin`], [`Agenda::end`]; after a start
//! [`Agenda::adopt`] and [`Agenda::recover`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::Job;
use crate::schedule::Schedule;

/// Version of the form on disk.
pub const FORMAT_VERSION: u32 = 1;

/// Jobs with a schedule, in the order in which they run where they are due at once: first make a backup, then judge it.
pub const SCHEDULED: [Job; 3] = [Job::Backup, Job::Verify, Job::Drill];

/// How many due times that were run are remembered: so far back a clock may be set without a run done twice. Two hours of
/// runs each minute, four months of daily ones.
const REMEMBERED: usize = 128;

/// Longest wait between two attempts, whatever the doubling says.
const LONGEST_DELAY: Duration = Duration::from_secs(6 * 3600);

/// What the configuration wants of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// When it is due; `None`: never by itself.
    pub schedule: Option<Schedule>,
    /// How much later than due it may begin.
    pub jitter: Duration,
    /// Attempts after a failed one.
    pub retries: u32,
    /// Wait before the first of them; each further one waits twice as long.
    pub retry_delay: Duration,
}

/// What the configuration wants of a server's jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The server's name: what spreads its jobs from those of others.
    pub server: String,
    /// Of backups.
    pub backup: Rule,
    /// Of verifications.
    pub verify: Rule,
    /// Of drills.
    pub drill: Rule,
}

/// A run that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub job: Job,
    /// The moment of its schedule.
    pub at: DateTime<Utc>,
    /// Counts from 1.
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done: it passed, or another attempt cannot help.
    Done,
    /// Another attempt may help.
    MayPass,
    /// It was stopped because we end; whoever comes next runs it.
    Stopped,
}

/// What is kept of a server's jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agenda {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Of backups.
    #[serde(default)]
    backup: Line,
    /// Of verifications.
    #[serde(default)]
    verify: Line,
    /// Of drills.
    #[serde(default)]
    drill: Line,
    /// The run at work.
    #[serde(default)]
    running: Option<Begun>,
    /// The last run that we ended ourselves: a full volume may have kept that from the disk.
    #[serde(skip)]
    ended: Option<Begun>,
}

/// One job's part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// The schedule that the rest is about; `None` before there was one.
    schedule: Option<String>,
    /// Up to here nothing is due any more but a retry.
    settled_until: DateTime<Utc>,
    /// The last due times that were begun, sorted.
    begun: Vec<DateTime<Utc>>,
    /// To be tried again.
    retry: Option<Retry>,
    /// The clock was set back, and is still behind where it was: what is on disk may not know.
    #[serde(skip)]
    set_back: Option<SetBack>,
}

/// The clock was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetBack {
    /// From where, as far as runs tell.
    from: DateTime<Utc>,
    /// To where.
    to: DateTime<Utc>,
}

/// A due time that is to be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Retry {
    at: DateTime<Utc>,
    attempts: u32,
    not_before: DateTime<Utc>,
}

/// A run that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The job.
    pub job: Job,
    /// When it was due; `None` where a person asked for it.
    pub due: Option<DateTime<Utc>>,
    /// Counts from 1.
    pub attempt: u32,
    /// When the attempt began.
    pub started_at: DateTime<Utc>,
}

impl Rules {
    /// The rule of a job; `None` where none is ever scheduled.
    pub fn of(&self, job: Job) -> Option<&Rule> {
        match job {
            Job::Backup => Some(&self.backup),
            Job::Verify => Some(&self.verify),
            Job::Drill => Some(&self.drill),
            Job::Restore | Job::Prune => None,
        }
    }

    /// How much later than due a run begins: the same for whoever asks, so that a restart does not roll the dice again.
    fn delay(&self, job: Job, at: DateTime<Utc>) -> TimeDelta {
        let jitter = self.of(job).map_or(0, |rule| rule.jitter.as_secs());
        if jitter == 0 {
            return TimeDelta::zero();
        }
        let text = format!("{}\n{}\n{}", self.server, job.name(), at.timestamp());
        let seconds = xxhash_rust::xxh3::xxh3_64(text.as_bytes()) % (jitter + 1);
        TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default())
    }
}

impl Agenda {
    /// Takes up the rules: a job whose schedule is new or another is due from `now` on. What the schedule before had left
    /// open is still run.
    pub fn adopt(&mut self, rules: &Rules, now: DateTime<Utc>) {
        self.format_version = FORMAT_VERSION;
        for job in SCHEDULED {
            let Some(rule) = rules.of(job) else { continue };
            let wanted = rule.schedule.as_ref().map(ToString::to_string);
            let line = self.line_mut(job);
            if line.schedule == wanted && line.settled_until > DateTime::UNIX_EPOCH {
                continue;
            }
            if wanted.is_none() {
                line.retry = None;
            } else if let Some(at) = line.left_open(now) {
                line.retry = Some(Retry {
                    at,
                    attempts: 0,
                    not_before: now,
                });
            }
            line.schedule = wanted;
            line.settled_until = now;
        }
    }

    /// Takes over from disk what others have done meanwhile. That the clock was set back, and the end of a run that could
    /// not be written, are known here alone.
    pub fn catch_up(&mut self, kept: Self) {
        let mine = std::mem::replace(self, kept);
        self.ended = mine.ended;
        if let Some(ended) = mine.ended.filter(|ended| self.running == Some(*ended)) {
            self.running = None;
            *self.line_mut(ended.job) = mine.line(ended.job).clone();
        }
        for job in SCHEDULED {
            let set_back = mine.line(job).set_back;
            let line = self.line_mut(job);
            line.set_back = set_back;
            if let Some(set_back) = set_back {
                line.settled_until = line.settled_until.min(set_back.to);
            }
        }
    }

    /// The run that somebody began and nobody ended, if nobody can be at it any more. It counts as an attempt.
    pub fn recover(&mut self, rules: &Rules, now: DateTime<Utc>) -> Option<Begun> {
        let begun = self.running?;
        self.end(rules, now, Ending::MayPass);
        Some(begun)
    }

    /// What comes due from `since` until `until` is not run any more, because it falls into a pause. What was open before
    /// stays open.
    pub fn skip(&mut self, rules: &Rules, since: DateTime<Utc>, until: DateTime<Utc>) {
        for job in SCHEDULED {
            let schedule = rules.of(job).and_then(|rule| rule.schedule.as_ref());
            let line = self.line_mut(job);
            if until <= line.settled_until {
                continue;
            }
            let open = schedule.and_then(|schedule| line.last_due(rules, job, schedule, since));
            if let Some(at) = open {
                line.retry = Some(Retry {
                    at,
                    attempts: 0,
                    not_before: since,
                });
            }
            line.retry = line.retry.filter(|retry| retry.at <= since);
            line.settled_until = until;
        }
    }

    /// The run to begin at `now`.
    pub fn due(&mut self, rules: &Rules, now: DateTime<Utc>) -> Option<Due> {
        let mut first: Option<Due> = None;
        for job in SCHEDULED {
            if let Some(due) = self.due_of(rules, job, now)
                && first.is_none_or(|first| due.at < first.at)
            {
                first = Some(due);
            }
        }
        first
    }

    /// Begins a run; to be kept on disk before the work is begun.
    pub fn begin(&mut self, due: Due, now: DateTime<Utc>) {
        let line = self.line_mut(due.job);
        line.retry = None;
        line.set_back = None;
        line.settled_until = line.settled_until.max(due.at);
        if let Err(place) = line.begun.binary_search(&due.at) {
            line.begun.insert(place, due.at);
        }
        if line.begun.len() > REMEMBERED {
            line.begun.remove(0);
        }
        self.running = Some(Begun {
            job: due.job,
            due: Some(due.at),
            attempt: due.attempt,
            started_at: now,
        });
    }

    /// Begins a run that a person asked for.
    pub fn begin_by_hand(&mut self, job: Job, now: DateTime<Utc>) {
        self.running = Some(Begun {
            job,
            due: None,
            attempt: 1,
            started_at: now,
        });
    }

    /// Ends the run at work; to be kept on disk. Gives when it is tried again.
    pub fn end(
        &mut self,
        rules: &Rules,
        now: DateTime<Utc>,
        ending: Ending,
    ) -> Option<DateTime<Utc>> {
        let begun = self.running.take()?;
        self.ended = Some(begun);
        let (at, rule) = (begun.due?, rules.of(begun.job)?);
        // A schedule that is gone asks for nothing again.
        rule.schedule.as_ref()?;
        let (attempts, not_before) = match ending {
            Ending::Done => return None,
            Ending::MayPass if begun.attempt > rule.retries => return None,
            Ending::MayPass => (begun.attempt, now + wait_before(rule, begun.attempt)),
            Ending::Stopped => (begun.attempt.saturating_sub(1), now),
        };
        self.line_mut(begun.job).retry = Some(Retry {
            at,
            attempts,
            not_before,
        });
        Some(not_before)
    }

    /// Whether a job waits to be tried again.
    #[cfg(test)]
    fn will_retry(&self, job: Job) -> bool {
        SCHEDULED.contains(&job) && self.line(job).retry.is_some()
    }

    /// When a job runs next, if nothing happens before.
    pub fn next(&self, rules: &Rules, job: Job, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let rule = rules.of(job)?;
        let schedule = rule.schedule.as_ref()?;
        let line = self.line(job);
        // What was due already runs at once, or is settled.
        if let Some(last) = line.last_due(rules, job, schedule, now) {
            return Some(last + rules.delay(job, last));
        }
        let jitter = TimeDelta::from_std(rule.jitter).unwrap_or_default();
        let mut from = line.settled_until.min(now).max(now - jitter);
        let next = loop {
            let at = schedule.next_after(from)?;
            if !line.has_begun(at) && at + rules.delay(job, at) > now {
                break at + rules.delay(job, at);
            }
            from = at;
        };
        let retry = line.retry.map(|retry| retry.not_before);
        Some(retry.map_or(next, |retry| retry.min(next)))
    }

    fn due_of(&mut self, rules: &Rules, job: Job, now: DateTime<Utc>) -> Option<Due> {
        let rule = rules.of(job)?;
        let schedule = rule.schedule.as_ref()?;
        let line = self.line_mut(job);
        // The clock was set back: what lies ahead of it is due again when it comes, but for what was run.
        if now < line.settled_until {
            line.set_back = Some(SetBack {
                from: line.settled_until,
                to: now,
            });
            line.settled_until = now;
        }
        line.set_back = line.set_back.filter(|set_back| now < set_back.from);
        if let Some(at) = line.last_due(rules, job, schedule, now) {
            return Some(Due {
                job,
                at,
                attempt: 1,
            });
        }
        let retry = line.retry.as_mut()?;
        // A clock that was ahead must not put it off for long.
        retry.not_before = retry
            .not_before
            .min(now + wait_before(rule, retry.attempts.max(1)));
        (retry.not_before <= now).then_some(Due {
            job,
            at: retry.at,
            attempt: retry.attempts + 1,
        })
    }

    fn line(&self, job: Job) -> &Line {
        match job {
            Job::Verify => &self.verify,
            Job::Drill => &self.drill,
            Job::Backup | Job::Restore | Job::Prune => &self.backup,
        }
    }

    fn line_mut(&mut self, job: Job) -> &mut Line {
        match job {
            Job::Verify => &mut self.verify,
            Job::Drill => &mut self.drill,
            Job::Backup | Job::Restore | Job::Prune => &mut self.backup,
        }
    }
}

impl Line {
    /// Whether a due time was begun; one from before all that are remembered counts as that.
    fn has_begun(&self, at: DateTime<Utc>) -> bool {
        let forgotten = self.begun.len() >= REMEMBERED && self.begun.first() > Some(&at);
        forgotten || self.begun.binary_search(&at).is_ok()
    }

    /// The last due time up to `now`, if it was not begun. The ones before it are replaced by it, begun or not.
    fn last_due(
        &self,
        rules: &Rules,
        job: Job,
        schedule: &Schedule,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let is_due = |at: DateTime<Utc>| at + rules.delay(job, at) <= now;
        schedule
            .latest_where(self.settled_until.min(now), now, is_due)
            .filter(|at| !self.has_begun(*at))
    }

    /// What the schedule before had left open at `now`.
    fn left_open(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let open = self.retry.map(|retry| retry.at);
        let before = self.schedule.as_deref().and_then(Schedule::parse_shown);
        let missed = before.and_then(|before| {
            let last = before.latest_where(self.settled_until.min(now), now, |_| true);
            last.filter(|at| !self.has_begun(*at))
        });
        missed.or(open)
    }
}

/// How long to wait after so many attempts.
fn wait_before(rule: &Rule, attempts: u32) -> TimeDelta {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    let wait = rule.retry_delay.saturating_mul(doubled).min(LONGEST_DELAY);
    TimeDelta::from_std(wait.max(rule.retry_delay.min(LONGEST_DELAY))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
