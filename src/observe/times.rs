//! When did someone else's backup begin and end? Pure.
//!
//! It began at the time in the file's name, else when a verbose dump says so; it ended when the file was last written to.
//! Where those two cannot belong together, because the file was copied or a clock is wrong, the older of the two is
//! believed: an old backup must not look young.

use chrono::{
    DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _,
    Utc,
};
use chrono_tz::{OffsetName as _, Tz};

use super::name::{self, Named};

/// Longest time from begin to end that is believed.
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// How pg_dump writes a time, before the name of its time zone.
const HEADER_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Begin and end of a backup. They are equal where the duration is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
}

/// What a verbose dump says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) started_on: Option<&'a str>,
    pub(super) completed_on: Option<&'a str>,
}

/// The times of a file that was last written to at `written_at`.
pub(super) fn times(name: &str, written_at: DateTime<Utc>, said: Said<'_>, zone: Tz) -> Times {
    let header = |text: Option<&str>| text.and_then(|text| of_header(text, zone));
    let named = name::time(name);
    let began = match named {
        Some(Named::Utc(at)) => Some(at),
        Some(Named::Local(local)) => of_local(local, written_at, zone),
        Some(Named::Day(_)) | None => None,
    };
    if let Some(started_at) = began.or_else(|| header(said.started_on)) {
        let sane =
            |end: &DateTime<Utc>| (TimeDelta::zero()..=LONGEST).contains(&(*end - started_at));
        let written = Some(written_at).filter(sane);
        return match written.or_else(|| header(said.completed_on).filter(sane)) {
            Some(finished_at) => Times {
                started_at,
                finished_at,
            },
            None => at_once(started_at.min(written_at)),
        };
    }
    match named {
        // A day says nothing of how long it took, but it tells a copy that was written much later.
        Some(Named::Day(day)) => {
            let begin = of_local(day.and_time(NaiveTime::MIN), written_at, zone);
            let end = day
                .checked_add_days(Days::new(2))
                .and_then(|day| of_local(day.and_time(NaiveTime::MIN), written_at, zone));
            match (begin, end) {
                (Some(begin), Some(end)) if written_at >= end => at_once(begin),
                _ => at_once(written_at),
            }
        }
        _ => at_once(written_at),
    }
}

fn at_once(at: DateTime<Utc>) -> Times {
    Times {
        started_at: at,
        finished_at: at,
    }
}

/// The moment of a local time: where it comes twice, the later one that is not past the end. `None` where the clocks skip
/// it.
fn of_local(local: NaiveDateTime, end: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Some(at.to_utc()),
        LocalResult::Ambiguous(first, second) => {
            let second = second.to_utc();
            Some(if second <= end {
                second
            } else {
                first.to_utc()
            })
        }
        LocalResult::None => None,
    }
}

/// `2025-11-15 02:00:00 CET`. Names of time zones are short and mean several: one is believed where the configured zone
/// has that name then, and UTC always.
fn of_header(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let (time, abbreviation) = text.trim().rsplit_once(' ')?;
    let local = NaiveDateTime::parse_from_str(time, HEADER_FORMAT).ok()?;
    if ["UTC", "GMT", "Etc/UTC"].contains(&abbreviation) {
        return Some(local.and_utc());
    }
    let candidates = match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => [Some(at), None],
        LocalResult::Ambiguous(first, second) => [Some(first), Some(second)],
        LocalResult::None => [None, None],
    };
    candidates
        .into_iter()
        .flatten()
        .find(|at| {
            let offset = at.offset();
            offset.abbreviation() == Some(abbreviation)
                || offset.fix().to_string().starts_with(abbreviation)
        })
        .map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn of(name: &str, written: &str, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
        let times = times(name, at(written), Said::default(), zone);
        (times.started_at, times.finished_at)
    }

    const RUNBOOK: &str = "postgresql_backup_20251115_020000.sql.gz";

    #[test]
    fn from_the_name_to_the_last_write() {
        let (start, end) = of(RUNBOOK, "2025-11-15T02:03:30Z", Tz::UTC);
        assert_eq!(
            (start, end),
            (at("2025-11-15T02:00:00Z"), at("2025-11-15T02:03:30Z"))
        );
        let (start, end) = of(RUNBOOK, "2025-11-15T01:03:30Z", Tz::Europe__Berlin);
        assert_eq!(
            (start, end),
            (at("2025-11-15T01:00:00Z"), at("2025-11-15T01:03:30Z"))
        );
        let zulu = "x_20251115T020000Z.gz";
        let (start, _) = of(zulu, "2025-11-15T02:03:30Z", Tz::Europe__Berlin);
        assert_eq!(start, at("2025-11-15T02:00:00Z"));
    }

    #[test]
    fn an_old_backup_does_not_look_young_because_it_was_copied() {
        let begun = at("2025-11-15T02:00:00Z");
        assert_eq!(of(RUNBOOK, "2025-11-22T09:00:00Z", Tz::UTC), (begun, begun));
        let day = at("2025-11-15T00:00:00Z");
        assert_eq!(
            of("nightly-20251115.gz", "2025-11-22T09:00:00Z", Tz::UTC),
            (day, day)
        );
        // Nor does a name from the future make it younger than its last write.
        let written = at("2025-11-15T01:00:00Z");
        assert_eq!(
            of(RUNBOOK, "2025-11-15T01:00:00Z", Tz::UTC),
            (written, written)
        );
    }

    #[test]
    fn a_day_tells_no_duration() {
        let written = at("2025-11-15T02:03:30Z");
        assert_eq!(
            of("nightly-20251115.gz", "2025-11-15T02:03:30Z", Tz::UTC),
            (written, written)
        );
        assert_eq!(
            of("latest.gz", "2025-11-15T02:03:30Z", Tz::UTC),
            (written, written)
        );
    }

    #[test]
    fn hours_that_come_twice_and_hours_that_never_come() {
        let twice = "b_20251026_023000.gz";
        let (start, _) = of(twice, "2025-10-26T00:40:00Z", Tz::Europe__Berlin);
        assert_eq!(start, at("2025-10-26T00:30:00Z"), "the first");
        let (start, _) = of(twice, "2025-10-26T01:40:00Z", Tz::Europe__Berlin);
        assert_eq!(start, at("2025-10-26T01:30:00Z"), "the second");
        let written = at("2025-03-30T02:40:00Z");
        let never = "b_20250330_023000.gz";
        assert_eq!(
            of(never, "2025-03-30T02:40:00Z", Tz::Europe__Berlin),
            (written, written)
        );
    }

    #[test]
    fn a_verbose_dump_says_it_itself() {
        let said = |started_on, completed_on| Said {
            started_on: Some(started_on),
            completed_on: Some(completed_on),
        };
        let of = |name, written, said, zone| {
            let times = times(name, at(written), said, zone);
            (times.started_at, times.finished_at)
        };
        let utc = said("2025-11-15 02:00:00 UTC", "2025-11-15 02:04:00 UTC");
        let wanted = (at("2025-11-15T02:00:00Z"), at("2025-11-15T02:04:01Z"));
        assert_eq!(
            of("latest.gz", "2025-11-15T02:04:01Z", utc, Tz::Europe__Berlin),
            wanted
        );
        // A copy: the file's own time is that of the copy.
        let wanted = (at("2025-11-15T02:00:00Z"), at("2025-11-15T02:04:00Z"));
        assert_eq!(
            of("latest.gz", "2025-12-01T00:00:00Z", utc, Tz::UTC),
            wanted
        );
        let twice = said("2025-10-26 02:30:00 CET", "2025-10-26 02:34:00 CET");
        let (start, _) = of(
            "latest.gz",
            "2025-10-26T01:34:00Z",
            twice,
            Tz::Europe__Berlin,
        );
        assert_eq!(start, at("2025-10-26T01:30:00Z"));
        let numeric = said("2025-11-15 02:00:00 -03", "");
        let (start, _) = of(
            "latest.gz",
            "2025-11-15T05:04:00Z",
            numeric,
            Tz::America__Sao_Paulo,
        );
        assert_eq!(start, at("2025-11-15T05:00:00Z"));
        // Another zone than the configured one: not believed.
        let written = at("2025-11-15T02:04:00Z");
        let other = said("2025-11-15 02:00:00 IST", "");
        assert_eq!(
            of("latest.gz", "2025-11-15T02:04:00Z", other, Tz::UTC),
            (written, written)
        );
    }
}
