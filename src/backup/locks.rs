//! When a lock kept a dump from its end: the sentence says which, and whose it is.

use std::time::Instant;

use super::last_words;
use crate::config::units::format_duration;
use crate::error::{Failure, FailureKind};
use crate::pg::lock_waits::{Wait, Watch, locked_table};
use crate::pg::process::Ended;

/// What pg_dump says behind the error of a statement.
const STATEMENT: &str = "Query was: ";

/// What a server says when the time for a lock is up, where it speaks English.
const CANCELLED: [&str; 2] = [
    "canceling statement due to statement timeout",
    "canceling statement due to lock timeout",
];

/// The failure of a dump that ended because it did not get a lock in time; `None` where it ended for another reason.
pub(super) fn timed_out(ended: &Ended, waits: &Watch) -> Option<Failure> {
    let (before, statement) = ended.stderr.rsplit_once(STATEMENT)?;
    if !statement.starts_with("LOCK TABLE ") {
        return None;
    }
    let now = Instant::now();
    let seen = waits.at(now);
    // In another language than English, only that it waited all the time tells this from a missing right.
    let whole = |wait: &Wait| wait.until(now) >= waits.limit();
    if !CANCELLED.iter().any(|text| before.contains(text)) && !seen.as_ref().is_some_and(whole) {
        return None;
    }
    let lock = match &seen {
        Some(wait) => wait.to_string(),
        None => {
            let database = failed_database(statement).map_or_else(String::new, |name| name + " ");
            let table = locked_table(statement).unwrap_or("one of its tables");
            format!("a lock on {database}{table}, whose holder was not seen")
        }
    };
    let what = format!(
        "take a backup: pg_dump waited {} for {lock}: pg_dumpall {}{}",
        format_duration(waits.limit()),
        ended.how,
        last_words(&ended.stderr)
    );
    Some(
        Failure::new(FailureKind::LockTimeout, what)
            .remedy("end that session, or give it more with backup.lock_timeout"),
    )
}

/// The failure of a dump whose own time was up while it waited for a lock; `None` where it did not wait.
pub(super) fn late(deadline: Instant, waits: &Watch) -> Option<Failure> {
    let wait = waits.at(deadline)?;
    let what = format!(
        "take a backup: the time for it was up while pg_dump waited, for {}, for {wait}",
        format_duration(wait.until(deadline))
    );
    Some(Failure::new(FailureKind::Timeout, what).remedy(
        "end that session, or give it more with backup.timeout; with a backup.lock_timeout below that it fails sooner",
    ))
}

/// The database that pg_dumpall names behind pg_dump's words.
fn failed_database(behind: &str) -> Option<String> {
    let (_, name) = behind.split_once("pg_dump failed on database \"")?;
    let (name, _) = name.rsplit_once("\", exiting")?;
    Some(name.to_owned())
}
