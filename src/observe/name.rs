//! The time in a file's name, as people's scripts write it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// A time as a name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A moment.
    Utc(DateTime<Utc>),
    /// A time of day, of a time zone that the name does not say.
    Local(NaiveDateTime),
    /// A day of such a time zone.
    Day(NaiveDate),
}

/// The forms, the most exact first: `d` is a digit, anything else itself. A `Z` says that it is UTC.
const FORMS: [&str; 8] = [
    "ddddddddTddddddZ",
    "ddddddddTdddddd",
    "dddddddd_dddddd",
    "dddddddd-dddddd",
    "dddd-dd-dd_dd-dd-dd",
    "dddddddddddddd",
    "dddd-dd-dd",
    "dddddddd",
];

/// The time in a name; `None` where there is none that the calendar has.
pub(super) fn time(name: &str) -> Option<Named> {
    let name = name.as_bytes();
    FORMS.iter().find_map(|form| {
        (0..name.len()).find_map(|at| {
            let (before, rest) = name.split_at_checked(at)?;
            let (text, after) = rest.split_at_checked(form.len())?;
            let apart = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_digit);
            let fits = apart(before.last())
                && apart(after.first())
                && form.bytes().zip(text).all(|(wanted, byte)| match wanted {
                    b'd' => byte.is_ascii_digit(),
                    other => *byte == other,
                });
            if fits { read(text) } else { None }
        })
    })
}

fn read(text: &[u8]) -> Option<Named> {
    let digits: String = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .map(|byte| char::from(*byte))
        .collect();
    if digits.len() == 8 {
        let day = NaiveDate::parse_from_str(&digits, "%Y%m%d").ok();
        return day.filter(is_likely).map(Named::Day);
    }
    let time = NaiveDateTime::parse_from_str(&digits, "%Y%m%d%H%M%S").ok();
    let time = time.filter(|time| is_likely(&time.date()))?;
    Some(if text.ends_with(b"Z") {
        Named::Utc(time.and_utc())
    } else {
        Named::Local(time)
    })
}

/// Numbers in names mean many things; a day before there was PostgreSQL, or of another century, is none.
fn is_likely(day: &NaiveDate) -> bool {
    use chrono::Datelike as _;
    (1996..2100).contains(&day.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_scripts_write_them() {
        let wanted: NaiveDateTime = "2025-11-15T02:00:07".parse().expect("a time");
        for name in [
            "postgresql_backup_20251115_020007.sql.gz",
            "db-20251115-020007.gz",
            "20251115T020007.gz",
            "nightly-2025-11-15_02-00-07.sql.gz",
            "pg20251115020007.dump.gz",
            "db12345678_20251115_020007.gz",
        ] {
            assert_eq!(time(name), Some(Named::Local(wanted)), "{name}");
        }
        let utc = "x_20251115T020007Z.gz";
        assert_eq!(time(utc), Some(Named::Utc(wanted.and_utc())));
        for name in ["nightly-20251115.gz", "nightly-2025-11-15.gz"] {
            assert_eq!(time(name), Some(Named::Day(wanted.date())), "{name}");
        }
    }

    #[test]
    fn numbers_that_are_no_times() {
        for name in [
            "latest.sql.gz",
            "db-20251315.gz",
            "db-99999999.gz",
            "run-123456789.gz",
            "x-18000101_000000.gz",
            "é-2025111.gz",
            "",
        ] {
            assert_eq!(time(name), None, "{name}");
        }
        // A time that no day has leaves the day.
        let day = NaiveDate::from_ymd_opt(2025, 11, 15).map(Named::Day);
        assert_eq!(time("db-20251115_256000.gz"), day);
    }
}
