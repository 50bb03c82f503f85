//! What the body of a request asks for.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::config::{Pause, units};
use crate::http::route::{Kind, Route};
use crate::status::control::Ask;

/// Longest reason in characters; it becomes a label value.
const REASON_LIMIT: usize = 200;

/// Asks for a pause.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    reason: String,
    #[serde(default)]
    until: Option<String>,
    #[serde(default, rename = "for")]
    duration: Option<String>,
}

/// The other wishes are all in the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

/// Reads what is asked for, or says what is wrong with it.
pub(super) fn read(route: &Route, body: &[u8], now: DateTime<Utc>) -> Result<Ask, String> {
    let server = route.server.clone();
    if route.kind == Kind::Pause {
        return Ok(Ask::Pause {
            server,
            pause: pause(body, now)?,
        });
    }
    if !body.is_empty() {
        serde_json::from_slice::<NoBody>(body)
            .map_err(|error| format!("the body is not an empty object: {error}"))?;
    }
    match route.kind {
        Kind::Start(job) => Ok(Ask::Start { server, job }),
        Kind::Resume => Ok(Ask::Resume { server }),
        Kind::Reload => Ok(Ask::Reload),
        _ => Err("nothing can be asked for here".to_owned()),
    }
}

fn pause(body: &[u8], now: DateTime<Utc>) -> Result<Pause, String> {
    let typed: PauseBody = serde_json::from_slice(body).map_err(|error| {
        format!(
            "the body is not as {{\"reason\": \"…\", \"for\": \"2h\"}}, with `for`, `until` or neither: {error}"
        )
    })?;
    let reason = typed.reason.trim();
    if reason.is_empty() {
        return Err("reason: say why nothing is to run".to_owned());
    }
    if reason.chars().count() > REASON_LIMIT || reason.chars().any(char::is_control) {
        return Err(format!(
            "reason: one line of up to {REASON_LIMIT} characters"
        ));
    }
    let until = match (typed.until, typed.duration) {
        (None, None) => None,
        (Some(until), None) => Some(moment(&until)?),
        (None, Some(duration)) => Some(after(&duration, now)?),
        (Some(_), Some(_)) => return Err("`until` and `for`: give one of them".to_owned()),
    };
    if until.is_some_and(|until| until <= now) {
        return Err("the end of the pause has passed already".to_owned());
    }
    Ok(Pause {
        reason: reason.to_owned(),
        until,
    })
}

fn moment(typed: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(typed)
        .map(|moment| moment.to_utc())
        .map_err(|_| "until: write the moment as 2025-11-15T08:00:00Z".to_owned())
}

fn after(typed: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let duration = units::parse_duration(typed)
        .map_err(|error| format!("for: {error}; write it as 2h, 90m or 1d12h"))?;
    chrono::TimeDelta::from_std(duration)
        .ok()
        .and_then(|duration| now.checked_add_signed(duration))
        .ok_or_else(|| "for: too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::at;

    fn asked(body: &str) -> Result<Pause, String> {
        pause(body.as_bytes(), at(7, 0))
    }

    #[test]
    fn a_pause_has_a_reason_and_perhaps_an_end() {
        let of = |until| {
            Ok(Pause {
                reason: "upgrade".to_owned(),
                until,
            })
        };
        assert_eq!(asked(r#"{"reason": " upgrade "}"#), of(None));
        assert_eq!(asked(r#"{"reason": "upgrade", "until": null}"#), of(None));
        assert_eq!(
            asked(r#"{"reason": "upgrade", "for": "2h"}"#),
            of(Some(at(9, 0)))
        );
        assert_eq!(
            asked(r#"{"reason": "upgrade", "until": "2026-06-01T10:00:00+02:00"}"#),
            of(Some(at(8, 0)))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [
            "",
            "{}",
            "[]",
            "{\"reason\": \"x\"} more",
            r#"{"reason": " "}"#,
            r#"{"reason": "a\nb"}"#,
            r#"{"reason": 5}"#,
            r#"{"reason": "x", "why": "y"}"#,
            r#"{"reason": "x", "for": "2h", "until": "2027-01-01T00:00:00Z"}"#,
            r#"{"reason": "x", "for": "0s"}"#,
            r#"{"reason": "x", "for": "soon"}"#,
            r#"{"reason": "x", "for": 7200}"#,
            r#"{"reason": "x", "until": "tomorrow"}"#,
            r#"{"reason": "x", "until": "2026-06-01T06:59:00Z"}"#,
        ] {
            assert!(asked(body).is_err(), "{body}");
        }
        let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(REASON_LIMIT + 1));
        assert!(asked(&long).is_err());
    }

    #[test]
    fn the_other_wishes_take_an_empty_object_at_most() {
        let route = Route {
            kind: Kind::Resume,
            server: "a".to_owned(),
            backup: String::new(),
        };
        let asked = |body: &str| read(&route, body.as_bytes(), at(7, 0));
        let resume = Ask::Resume {
            server: "a".to_owned(),
        };
        assert_eq!(asked(""), Ok(resume.clone()));
        assert_eq!(asked("{}"), Ok(resume));
        assert!(asked("{\"x\": 1}").is_err() && asked("null").is_err() && asked("x").is_err());
    }
}
