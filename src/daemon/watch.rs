//! What is looked at all the time beside the jobs: whether PostgreSQL answers, and how much space is left.
//!
//! Looked at here, so that a scrape never waits for a network or for a file system that hangs.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Context;
use super::desk::Desk;
use super::server::blocking;
use crate::error::Result;

/// How often PostgreSQL is asked; half of the usual scrape interval.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// How long it may take to answer, whatever the runner allows.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// How often the file system is asked.
const SPACE_EVERY: Duration = Duration::from_secs(10);

/// How often at the most the files in a directory are summed up.
const WALK_EVERY: Duration = Duration::from_secs(60);

/// Keeps `up` fresh until the drain.
pub(super) async fn probe(context: Context, id: u64, desk: Desk) -> Result<()> {
    let mut known = None;
    while !desk.is_retired() {
        let server = desk.config();
        let asked = tokio::time::timeout(PROBE_LIMIT, context.runner.probe(Arc::clone(&server)));
        let Some(answered) = context.before_drain(asked).await else {
            return Ok(());
        };
        let up = answered.unwrap_or(false);
        if known.replace(up) != Some(up) {
            tracing::info!(server = %server.name, up, "PostgreSQL {}", if up { "answers" } else { "does not answer" });
            context.shared.update(id, |view| view.up = up);
        }
        let Some(()) = context.pause(PROBE_EVERY).await else {
            return Ok(());
        };
    }
    Ok(())
}

/// Keeps `space` fresh until the drain; all zero where it cannot be told.
pub(super) async fn space(context: Context, id: u64, desk: Desk) -> Result<()> {
    let mut walked: Option<(Instant, u64)> = None;
    let mut seen: Option<SystemTime> = None;
    while !desk.is_retired() {
        let known = walked
            .filter(|(at, _)| at.elapsed() < WALK_EVERY)
            .map(|(_, bytes)| bytes);
        let (runner, server) = (Arc::clone(&context.runner), desk.config());
        let asked = blocking(move || {
            let changed = std::fs::metadata(&server.directory).and_then(|facts| facts.modified());
            (runner.space(&server, known), changed.ok())
        });
        let Some((space, changed)) = context.before_drain(asked).await else {
            return Ok(());
        };
        // Someone else may have removed a backup, or drilled one.
        if let (Some(before), Some(now)) = (seen, changed)
            && before != now
        {
            desk.look_again();
        }
        seen = changed.or(seen);
        if let (Some(space), None) = (space, known) {
            walked = Some((Instant::now(), space.directory_bytes));
        }
        // A volume that is gone is not as full as it was: nobody knows.
        let space = space.unwrap_or_default();
        context.shared.update(id, |view| view.space = space);
        let Some(()) = context.pause(SPACE_EVERY).await else {
            return Ok(());
        };
    }
    Ok(())
}
