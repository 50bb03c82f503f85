//! What a server's next job is. Pure.
//!
//! Jobs that come due while another runs are not lost: each schedule keeps its due time until its job was run, once. What
//! came due while no pgvigil ran is not made up for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config;
use crate::ledger::Job;
use crate::schedule::Schedule;
use crate::status::PerJob;

/// Longest wait at a time, so that a jump of the clock is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A clock that goes back by more than this was set, not corrected: what is due is then asked anew, or a clock that once
/// stood in the future would leave jobs due there.
const SET_BACK: TimeDelta = TimeDelta::minutes(5);

/// In the order in which jobs run that are due at once: first make a backup, then judge it.
const JOBS: [Job; 3] = [Job::Backup, Job::Verify, Job::Drill];

/// When each of a server's jobs is due.
pub(super) struct Plan {
    schedules: PerJob<Option<Schedule>>,
    next: PerJob<Option<DateTime<Utc>>>,
    seen: DateTime<Utc>,
}

impl Plan {
    /// The plan of a server from `now` on.
    pub(super) fn new(server: &config::Server, now: DateTime<Utc>) -> Self {
        let schedules = PerJob {
            restore: None,
            prune: None,
            backup: server.backup.schedule.clone(),
            verify: server.verify.schedule.clone(),
            drill: server.drill.schedule.clone(),
        };
        let mut plan = Self {
            schedules,
            next: PerJob::default(),
            seen: now,
        };
        JOBS.into_iter().for_each(|job| plan.done(job, now));
        plan
    }

    /// The job to run at `now`.
    pub(super) fn due(&mut self, now: DateTime<Utc>) -> Option<Job> {
        if now + SET_BACK < self.seen {
            JOBS.into_iter().for_each(|job| self.done(job, now));
        }
        self.seen = now;
        JOBS.into_iter()
            .filter_map(|job| Some((self.next.get(job).filter(|at| *at <= now)?, job)))
            .min_by_key(|(at, _)| *at)
            .map(|(_, job)| job)
    }

    /// Plans the next run of a job that was run.
    pub(super) fn done(&mut self, job: Job, now: DateTime<Utc>) {
        *self.next.get_mut(job) = self
            .schedules
            .get(job)
            .as_ref()
            .and_then(|schedule| schedule.next_after(now));
    }

    /// How long to wait before asking again.
    pub(super) fn wait(&self, now: DateTime<Utc>) -> Duration {
        let next = JOBS.into_iter().filter_map(|job| *self.next.get(job)).min();
        next.map_or(LONGEST_WAIT, |at| {
            (at - now).to_std().unwrap_or_default().min(LONGEST_WAIT)
        })
    }

    /// When each job is due.
    pub(super) fn next(&self) -> PerJob<Option<DateTime<Utc>>> {
        self.next
    }

    /// The usual time between two runs of each job.
    pub(super) fn interval(&self, now: DateTime<Utc>) -> PerJob<Duration> {
        let interval = |job| {
            self.schedules
                .get(job)
                .as_ref()
                .map_or(Duration::ZERO, |schedule| schedule.expected_interval(now))
        };
        PerJob {
            restore: Duration::ZERO,
            prune: Duration::ZERO,
            backup: interval(Job::Backup),
            verify: interval(Job::Verify),
            drill: interval(Job::Drill),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::{at, config};

    fn plan(now: DateTime<Utc>) -> Plan {
        Plan::new(&config(&["a"]).servers[0], now)
    }

    #[test]
    fn jobs_that_came_due_meanwhile_run_once_and_the_earliest_first() {
        let mut plan = plan(at(0, 0));
        assert_eq!(plan.due(at(1, 59)), None);
        assert_eq!(plan.wait(at(1, 59)), LONGEST_WAIT);
        assert_eq!(plan.due(at(2, 0)), Some(Job::Backup));
        plan.done(Job::Backup, at(5, 30));
        assert_eq!(plan.due(at(5, 30)), Some(Job::Verify));
        plan.done(Job::Verify, at(5, 40));
        assert_eq!(plan.due(at(5, 40)), None);
        assert_eq!(plan.next().backup, Some(at(2, 0) + TimeDelta::days(1)));
    }

    #[test]
    fn a_clock_that_jumps_ahead_runs_what_it_passed_and_one_set_back_asks_anew() {
        let mut plan = plan(at(1, 0));
        let ahead = at(1, 0) + TimeDelta::days(400);
        assert_eq!(plan.due(ahead), Some(Job::Backup));
        plan.done(Job::Backup, ahead);
        assert_eq!(plan.due(at(1, 5)), None);
        assert_eq!(plan.next().backup, Some(at(2, 0)));
        assert_eq!(plan.due(at(2, 0)), Some(Job::Backup));
    }
}
