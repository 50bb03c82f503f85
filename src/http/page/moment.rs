//! Times as the page says them: how long ago or how soon first, the moment itself for those who want it.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::config::units::format_age;

/// `2026-06-01 04:00:00 UTC`.
pub(super) fn full(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time to the minute, marked up so that programs read it too.
pub(super) fn short(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%Y-%m-%d %H:%M UTC")) } }
}

/// `4h ago`, or `in 4h` where it is ahead.
pub(super) fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).to_std() {
        Ok(age) => format!("{} ago", format_age(age)),
        Err(_) => format!("in {}", format_age((at - now).to_std().unwrap_or_default())),
    }
}

/// Both.
pub(super) fn told(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! { (relative(at, now)) " " span.quiet { "(" time datetime=(at.to_rfc3339()) { (full(at)) } ")" } }
}

/// Both, or `never`.
pub(super) fn told_or(at: Option<DateTime<Utc>>, now: DateTime<Utc>, none: &str) -> Markup {
    match at {
        Some(at) => told(at, now),
        None => html! { (none) },
    }
}
