//! One scalar at a time: its form, its limits, and the words in which it is refused.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::config::document::{Resolved, Section, Text, shown};
use crate::config::{Schedule, SslMode, units};

/// The word for no schedule.
const NEVER: &str = "never";

/// Where the exporter listens.
const LISTEN: &str = "0.0.0.0:9959";

/// Longest jitter: two daily runs stay apart.
const JITTER_LIMIT: Duration = Duration::from_secs(12 * 3600);

const SIZE_FORM: &str = "write it as 20Gi, 500Mi or a number of bytes";

/// Longest server name; it becomes a label value and a part of file names.
const NAME_LIMIT: usize = 63;

pub(super) fn filled(section: &Section, key: &str, typed: &Text) -> Resolved<String> {
    if typed.value.trim().is_empty() || typed.value.contains('\0') {
        return Err(section.bad(key, typed, "empty", "give a value or leave the key out"));
    }
    Ok(typed.value.clone())
}

pub(super) fn server_name(section: &Section, typed: &Text) -> Resolved<String> {
    let name = typed.value.as_str();
    let fits = !name.is_empty()
        && name.len() <= NAME_LIMIT
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !fits {
        return Err(section.bad(
            "name",
            typed,
            "not a server name",
            "use 1 to 63 of the characters A-Z a-z 0-9 _ . -",
        ));
    }
    Ok(name.to_owned())
}

pub(super) fn absolute(section: &Section, key: &str, typed: &Text) -> Resolved<PathBuf> {
    let path = Path::new(&typed.value);
    // `..` would make two spellings of one place, and nesting could not be seen.
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(section.bad(
            key,
            typed,
            "not an absolute path",
            "begin with / and leave .. out",
        ));
    }
    // Rebuilt from its components, so that `/b/` and `/b` compare equal.
    Ok(path.components().collect())
}

pub(super) fn sslmode(section: &Section, typed: &Text) -> Resolved<SslMode> {
    SslMode::parse(&typed.value).ok_or_else(|| {
        section.bad(
            "sslmode",
            typed,
            "not an sslmode",
            "use disable, prefer, require, verify-ca or verify-full",
        )
    })
}

pub(super) fn address(section: &Section, typed: Option<&Text>) -> Resolved<SocketAddr> {
    let refused = |line, text: &str| {
        section.problem(
            "listen",
            line,
            format!("\"{}\": not an address and port", shown(text)),
            "write it as 0.0.0.0:9959 or [::]:9959",
        )
    };
    let (line, text) = typed.map_or((1, LISTEN), |typed| {
        (typed.referenced.line(), typed.value.as_str())
    });
    text.parse().map_err(|_| refused(line, text))
}

pub(super) fn duration(section: &Section, key: &str, typed: &Text) -> Resolved<Duration> {
    let remedy = "write it as 30m, 48h, 92d or 1h30m";
    match units::parse_duration(&typed.value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err(section.bad(key, typed, "must be more than 0", remedy)),
        Err(error) => Err(section.bad(key, typed, &error.to_string(), remedy)),
    }
}

pub(super) fn duration_or(
    section: &Section,
    key: &str,
    typed: Option<&Text>,
    usual: Duration,
) -> Resolved<Duration> {
    typed.map_or(Ok(usual), |typed| duration(section, key, typed))
}

/// How much later than due a job may begin: less than the shortest day between two daily runs.
pub(super) fn jitter(section: &Section, typed: Option<&Text>) -> Resolved<Duration> {
    let Some(typed) = typed else {
        return Ok(Duration::ZERO);
    };
    match units::parse_duration(&typed.value) {
        Ok(jitter) if jitter <= JITTER_LIMIT => Ok(jitter),
        Ok(_) => Err(section.bad("jitter", typed, "longer than 12h", "use at most 12h")),
        Err(error) => {
            let remedy = "write it as 10m or 1h30m; 0s is none";
            Err(section.bad("jitter", typed, &error.to_string(), remedy))
        }
    }
}

/// A size in bytes, as Kubernetes writes it.
pub(super) fn size(section: &Section, key: &str, typed: &Text) -> Resolved<u64> {
    match units::parse_bytes(&typed.value) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        Ok(_) => Err(section.bad(key, typed, "must be more than 0", SIZE_FORM)),
        Err(error) => Err(section.bad(key, typed, &error.to_string(), SIZE_FORM)),
    }
}

/// A moment with its offset from UTC, or a day, which begins in UTC.
pub(super) fn moment(section: &Section, key: &str, typed: &Text) -> Resolved<DateTime<Utc>> {
    let day = || {
        let day = NaiveDate::parse_from_str(&typed.value, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    };
    let moment = DateTime::parse_from_rfc3339(&typed.value).map(|moment| moment.to_utc());
    moment.ok().or_else(day).ok_or_else(|| {
        section.bad(
            key,
            typed,
            "not a moment",
            "write it as 2025-11-15T08:00:00Z or 2025-11-15",
        )
    })
}

pub(super) fn truth(section: &Section, key: &str, typed: &Text) -> Resolved<bool> {
    match typed.value.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(section.bad(key, typed, "neither true nor false", "write true or false")),
    }
}

/// Names of files in one directory, with wildcards.
pub(super) fn file_pattern(section: &Section, key: &str, typed: &Text) -> Resolved<String> {
    let pattern = filled(section, key, typed)?;
    if pattern.contains('/') || pattern.starts_with('.') || !pattern.ends_with(".gz") {
        return Err(section.bad(
            key,
            typed,
            "not a pattern of names of gzip files",
            "write it as postgresql_backup_*.sql.gz, without a folder",
        ));
    }
    Ok(pattern)
}

pub(super) fn whole(
    section: &Section,
    key: &str,
    typed: &Text,
    least: u32,
    most: u32,
) -> Resolved<u32> {
    let number = typed
        .value
        .parse::<u32>()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        section.bad(
            key,
            typed,
            "out of range",
            &format!("use a whole number from {least} to {most}"),
        )
    })
}

pub(super) fn whole_or(
    section: &Section,
    key: &str,
    typed: Option<&Text>,
    limits: (u32, u32),
    usual: u32,
) -> Resolved<u32> {
    typed.map_or(Ok(usual), |typed| {
        whole(section, key, typed, limits.0, limits.1)
    })
}

pub(super) fn timezone(section: &Section, typed: Option<&Text>) -> Resolved<Tz> {
    typed.map_or(Ok(Tz::UTC), |typed| {
        let known = typed.value.parse::<Tz>();
        known.map_err(|_| {
            section.bad(
                "timezone",
                typed,
                "not a time zone",
                "use a name of the IANA database, as Europe/Berlin",
            )
        })
    })
}

pub(super) fn schedule(
    section: &Section,
    typed: Option<&Text>,
    timezone: Option<&Text>,
    usual: &str,
) -> Resolved<Option<Schedule>> {
    let zone = self::timezone(section, timezone)?;
    let expression = typed.map_or(usual, |typed| typed.value.as_str());
    if expression == NEVER {
        return Ok(None);
    }
    let remedy = "write a cron expression as \"0 2 * * *\", or never";
    Schedule::parse(expression, zone)
        .map(Some)
        .map_err(|error| {
            let line = typed.map_or(section.line, |typed| typed.referenced.line());
            section.problem(
                "schedule",
                line,
                format!("\"{}\": {error}", shown(expression)),
                remedy,
            )
        })
}
