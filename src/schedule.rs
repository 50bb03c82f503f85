//! When a job is due: a cron expression of five fields in a time zone.
//!
//! Pure: the time comes in as an argument. Over a change of the clocks a daily job runs once a day: a time of day that
//! does not exist runs as soon as the clock is past it, one that exists twice runs the first time.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

/// How far ahead the usual interval is looked for: past one weekend.
const HORIZON: TimeDelta = TimeDelta::days(9);

/// Runs looked at beyond [`HORIZON`], so that a schedule by the month or the quarter shows its longest gap.
const RUNS_AT_LEAST: usize = 13;

/// Bounds the work for a schedule that runs every minute.
const RUNS_AT_MOST: usize = 1_000;

/// A cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    timezone: Tz,
    cron: Cron,
    /// The last answer: it holds for every moment between the two, too.
    known: Arc<Mutex<Option<Known>>>,
}

/// A moment, and the first run after it.
type Known = (DateTime<Utc>, DateTime<Utc>);

/// Why there is no such schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("a schedule has five fields (minute, hour, day of month, month, day of week), not {0}")]
    Fields(usize),
    /// A field cannot be read.
    #[error("{0}")]
    Field(String),
    /// It names a date that does not exist.
    #[error("it never comes due")]
    Never,
}

impl Schedule {
    /// Reads a cron expression of five fields.
    pub fn parse(expression: &str, timezone: Tz) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        if fields.len() != 5 {
            return Err(ScheduleError::Fields(fields.len()));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleError::Field(readable(&error)))?;
        let schedule = Self {
            expression: fields.join(" "),
            timezone,
            cron,
            known: Arc::default(),
        };
        // From any one moment, since dates that do not exist (30 February) never do.
        schedule
            .next_after(DateTime::UNIX_EPOCH)
            .ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// The first run later than `time`.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, next)) = *known
            && (from..next).contains(&time)
        {
            return Some(next);
        }
        let next = self
            .cron
            .find_next_occurrence(&time.with_timezone(&self.timezone), false)
            .ok()?
            .with_timezone(&Utc);
        *known = Some((time, next));
        Some(next)
    }

    /// The latest run later than `from` and not later than `to` for which the condition holds. Of a long span only the end
    /// is looked at: a few runs more than the condition refuses.
    pub fn latest_where(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        holds: impl Fn(DateTime<Utc>) -> bool,
    ) -> Option<DateTime<Utc>> {
        // A schedule can be asked forwards only, so the span is taken from its end in pieces that grow.
        let (mut end, mut piece) = (to, TimeDelta::hours(2));
        while end > from {
            let start = end
                .checked_sub_signed(piece)
                .map_or(from, |at| at.max(from));
            let mut latest = None;
            let mut run = self.next_after(start);
            while let Some(at) = run.filter(|at| *at <= end) {
                if holds(at) {
                    latest = Some(at);
                }
                run = self.next_after(at);
            }
            if latest.is_some() {
                return latest;
            }
            (end, piece) = (start, piece * 2);
        }
        None
    }

    /// Reads what a schedule is shown as.
    pub fn parse_shown(text: &str) -> Option<Self> {
        let (expression, zone) = text.rsplit_once(' ')?;
        Self::parse(expression, zone.parse().ok()?).ok()
    }

    /// The largest gap among the coming runs: for a schedule on weekdays, the weekend.
    pub fn expected_interval(&self, now: DateTime<Utc>) -> Duration {
        let mut largest = TimeDelta::zero();
        let mut run = self.next_after(now);
        for count in 0..RUNS_AT_MOST {
            let Some(this) = run else { break };
            if count >= RUNS_AT_LEAST && this - now > HORIZON {
                break;
            }
            run = self.next_after(this);
            largest = run.map_or(largest, |next| largest.max(next - this));
        }
        largest.to_std().unwrap_or_default()
    }

    /// The expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone.
    pub fn timezone(&self) -> Tz {
        self.timezone
    }
}

/// The library's words without its own name for the kind of error and without the full stop.
fn readable(error: &CronError) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" error: ")
        .map_or(text.as_str(), |(_, own)| own);
    text.trim_end_matches('.').to_lowercase()
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.timezone == other.timezone
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.expression, self.timezone)
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// A schedule in UTC.
    fn from_str(expression: &str) -> Result<Self, ScheduleError> {
        Self::parse(expression, Tz::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn runs(schedule: &Schedule, from: &str, to: &str) -> Vec<DateTime<Utc>> {
        let mut time = at(from);
        std::iter::from_fn(|| {
            time = schedule.next_after(time)?;
            (time < at(to)).then_some(time)
        })
        .collect()
    }

    fn berlin(expression: &str) -> Schedule {
        Schedule::parse(expression, Tz::Europe__Berlin).expect("a schedule")
    }

    #[test]
    fn daily_in_utc() {
        let schedule: Schedule = "0 2 * * *".parse().expect("a schedule");
        assert_eq!(
            schedule.next_after(at("2026-01-01T02:00:00Z")),
            Some(at("2026-01-02T02:00:00Z"))
        );
        assert_eq!(
            schedule.next_after(at("2026-01-01T01:59:59.5Z")),
            Some(at("2026-01-01T02:00:00Z"))
        );
        assert_eq!(
            schedule.expected_interval(at("2026-01-01T00:00:00Z")),
            Duration::from_secs(86_400)
        );
    }

    #[test]
    fn daily_jobs_run_once_a_day_over_both_changes_of_the_clocks() {
        for expression in ["0 2 * * *", "30 2 * * *", "59 1 * * *", "0 3 * * *"] {
            for (from, to) in [
                ("2026-03-27T12:00:00Z", "2026-04-01T12:00:00Z"),
                ("2026-10-23T12:00:00Z", "2026-10-28T12:00:00Z"),
            ] {
                let schedule = berlin(expression);
                let runs = runs(&schedule, from, to);
                let days: Vec<_> = runs
                    .iter()
                    .map(|run| run.with_timezone(&Tz::Europe__Berlin).date_naive())
                    .collect();
                let wanted: Vec<_> = days.first().expect("a run").iter_days().take(5).collect();
                assert_eq!(days, wanted, "{expression} from {from}: {runs:?}");
            }
        }
    }

    #[test]
    fn asking_within_the_gap_and_the_repeated_hour_neither_repeats_nor_skips() {
        let schedule = berlin("30 2 * * *");
        // 29 March, 01:00 UTC: 02:00 becomes 03:00. 25 October, 01:00 UTC: 03:00 becomes 02:00 again.
        let spring = schedule
            .next_after(at("2026-03-28T12:00:00Z"))
            .expect("a run");
        assert!(
            spring >= at("2026-03-29T01:00:00Z") && spring <= at("2026-03-29T01:30:00Z"),
            "{spring}"
        );
        assert_eq!(
            schedule.next_after(spring),
            Some(at("2026-03-30T00:30:00Z"))
        );
        assert_eq!(
            schedule.next_after(at("2026-10-24T12:00:00Z")),
            Some(at("2026-10-25T00:30:00Z"))
        );
        assert_eq!(
            schedule.next_after(at("2026-10-25T00:45:00Z")),
            Some(at("2026-10-26T01:30:00Z"))
        );
        assert_eq!(
            schedule.next_after(at("2026-10-25T01:15:00Z")),
            Some(at("2026-10-26T01:30:00Z"))
        );
    }

    #[test]
    fn the_next_run_is_later_in_every_zone() {
        for zone in [
            Tz::UTC,
            Tz::Europe__Berlin,
            Tz::America__New_York,
            Tz::Australia__Lord_Howe,
        ] {
            for expression in [
                "0 2 * * *",
                "30 2 * * *",
                "45 1 * * *",
                "15 */12 * * *",
                "59 1 * * 0",
                "30 2 * * 1",
                "*/10 * * * *",
            ] {
                let schedule = Schedule::parse(expression, zone).expect("a schedule");
                let mut time = at("2026-01-01T00:00:00Z");
                for step in 0..100_000 {
                    let next = schedule.next_after(time).expect("a run");
                    assert!(
                        next > time,
                        "{expression} {zone}: {next} after {time} ({step})"
                    );
                    time = next;
                    if time > at("2027-01-01T00:00:00Z") {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn expected_interval_is_the_largest_gap() {
        let days = |expression: &str| {
            let schedule: Schedule = expression.parse().expect("a schedule");
            schedule
                .expected_interval(at("2026-01-14T00:00:00Z"))
                .as_secs_f64()
                / 86_400.0
        };
        assert_eq!(days("0 2 * * 1-5"), 3.0);
        assert_eq!(days("0 6 * * 0"), 7.0);
        assert_eq!(days("0 2 1 * *"), 31.0);
        assert_eq!(days("0 2 1 */3 *"), 92.0);
        assert_eq!(days("* * * * *"), 1.0 / 1440.0);
    }

    #[test]
    fn what_is_no_schedule() {
        let refused = |text: &str| {
            text.parse::<Schedule>()
                .map(|_| ())
                .expect_err(text)
                .to_string()
        };
        assert!(refused("0 0 2 * * *").contains("five fields"));
        assert!(refused("@daily").contains("not 1"));
        assert!(refused("").contains("not 0"));
        assert!(refused("61 2 * * *").contains("out of bounds"));
        assert!(!refused("a b c d e").is_empty());
        assert!(refused("0 0 30 2 *").contains("never"));
    }
}
