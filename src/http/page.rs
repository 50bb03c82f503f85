//! The status page: for each server, could I restore now, and what says so. Plain HTML; maud escapes every text.

use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};

use crate::config::units::{format_age, format_bytes, format_duration};
use crate::ledger::JobResult;
use crate::status::{Level, ServerView, Snapshot, verdict};

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff }
h2 { margin: 2rem 0 0 } table { border-collapse: collapse } th { text-align: left; font-weight: normal; color: #555 }
th, td { padding: .15rem 1.5rem .15rem 0; vertical-align: top }
.verdict { padding: .4rem .8rem; border-left: .4rem solid } .good { border-color: #2e7d32 } .doubtful { border-color: #f9a825 } .bad { border-color: #c62828 }
@media (prefers-color-scheme: dark) { body { color: #e4e4e4; background: #161616 } th { color: #aaa } a { color: #8ab4f8 } }
";

/// The page at `now`.
pub(super) fn render(snapshot: &Snapshot, now: DateTime<Utc>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="refresh" content="30";
                title { "pgvigil" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "pgvigil" }
                @if snapshot.draining { p.verdict.doubtful { "Shutting down." } }
                @if let Some(error) = &snapshot.configuration_error {
                    p.verdict.doubtful { "The configuration was not read again, the one before is in force: " (error) }
                }
                @if snapshot.loaded {
                    @for view in &snapshot.servers { (server(view, now)) }
                } @else {
                    p { "Reading the backup directories." }
                }
                p { a href="/metrics" { "metrics" } " · " a href="/api/v1/status" { "status as JSON" } " · pgvigil " (env!("CARGO_PKG_VERSION")) " · " (time(now)) }
            }
        }
    };
    page.into_string()
}

fn server(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let verdict = verdict(&view.status, &view.config.objectives, now);
    let class = match verdict.level {
        Level::Good => "verdict good",
        Level::Doubtful => "verdict doubtful",
        Level::Bad => "verdict bad",
    };
    html! {
        h2 { (view.config.name) }
        p class=(class) { "Could I restore now? " strong { (verdict.sentence) } }
        @for error in view.unreadable.iter().chain(&view.observe_trouble) { p.verdict.bad { (error) } }
        table {
            tr { th { "PostgreSQL" } td { @if view.up { "answers" } @else { "does not answer" } } }
            (newest(view, now))
            tr { th { "Test restore" } td { (drilled(view, now)) } }
            tr { th { "Kept" } td { (view.status.kept) " backups, " (format_bytes(view.status.kept_bytes)) " in " (view.config.directory.display()) } }
            tr { th { "Volume" } td { (format!("{:.0} % full, ", view.space.fill_ratio() * 100.0)) (format_bytes(view.space.available_bytes)) " left" } }
            @if let Some(waiting) = &view.waiting {
                tr { th { "Waits for" } td { (waiting) } }
            }
            @if let Some(running) = &view.running {
                tr { th { "Running" } td { (running.job.name()) " since " (time(running.started_at)) (progress(running.progress.now())) } }
            }
            @if let Some(since) = view.observed_growing {
                tr { th { "Being written" } td { "a backup by someone else, since " (time(since)) } }
            }
            @if let Some(name) = &view.status.newer_is_cut {
                tr { th { "Not whole" } td { (name) } }
            }
            @if !view.queued.is_empty() {
                tr { th { "Waiting" } td { @for job in &view.queued { (job.name()) " " } } }
            }
            @if let Some(paused) = &view.paused {
                tr { th { "Paused" } td {
                    (paused.pause.reason) ", since " (time(paused.since))
                    @if let Some(until) = paused.pause.until { ", until " (time(until)) }
                } }
            }
            (next("Next backup", view.next.backup))
            (next("Next verification", view.next.verify))
            (next("Next test restore", view.next.drill))
            @if let Some(problem) = &view.status.problem {
                tr { th { "Last failure" } td { (problem.job.name()) ", " (time(problem.at)) ": " (problem.sentence) } }
            }
        }
    }
}

fn newest(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let Some(newest) = &view.status.newest else {
        return html! { tr { th { "Newest backup" } td { "none" } } };
    };
    let verified = match view.status.newest_verified {
        Some(JobResult::Passed) => "whole",
        Some(_) => "damaged",
        None => "not verified yet",
    };
    let took =
        format_duration(Duration::try_from_secs_f64(newest.duration_seconds).unwrap_or_default());
    html! {
        tr { th { "Newest backup" } td { (newest.file_name) } }
        tr { th { "Finished" } td { (ago(newest.finished_at, now)) ", took " (took) } }
        tr { th { "Size" } td { (format_bytes(newest.bytes)) ", dump " (format_bytes(newest.uncompressed_bytes)) } }
        tr { th { "Verified" } td { (verified) } }
    }
}

fn drilled(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let (history, last) = (&view.status.drill, &view.status.last_drill);
    html! {
        @match history.last_success {
            Some(at) => {
                "last passed " (ago(at, now))
                @if history.last_failure <= Some(at) { ": " (last.rows) " rows in " (last.tables) " tables compared" }
            }
            None => "never passed",
        }
    }
}

fn next(label: &str, at: Option<DateTime<Utc>>) -> Markup {
    html! { tr { th { (label) } td { @match at { Some(at) => (time(at)), None => "never" } } } }
}

fn progress((stage, done, expected): (&'static str, u64, u64)) -> Markup {
    html! {
        @if !stage.is_empty() {
            ": " (stage) ", " (format_bytes(done))
            @if expected > 0 { " of " (format_bytes(expected)) }
        }
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!(
        "{} ago, {}",
        format_age((now - at).to_std().unwrap_or_default()),
        time(at)
    )
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::Job;
    use crate::status::tests::{at, config, entry, morning};
    use crate::status::{Paused, ServerStatus, Shared};

    #[test]
    fn the_page_answers_and_escapes() {
        let shared = Shared::new(config(&["a"]).servers.into_iter().map(Arc::new), at(0, 0));
        let page = |shared: &Shared| shared.read(|snapshot| render(snapshot, at(7, 0)));
        assert!(page(&shared).contains("Reading the backup directories"));
        let mut loaded = morning();
        loaded
            .entries
            .push(entry(Job::Backup, JobResult::Error, at(6, 30), None));
        loaded.backups[0].file_name = "new<script>".to_owned();
        shared.write(|snapshot| {
            snapshot.loaded = true;
            snapshot.configuration_error = Some("line 3: no <such> key".to_owned());
        });
        shared.update_nth(0, |view| {
            view.status = ServerStatus::new(&loaded);
            view.queued = vec![Job::Drill];
            view.paused = Some(Paused {
                pause: crate::config::Pause {
                    reason: "<upgrade>".to_owned(),
                    until: Some(at(9, 0)),
                },
                since: at(6, 0),
                configured: false,
            });
        });
        let page = page(&shared);
        for text in [
            "Could I restore now?",
            "new&lt;script&gt;",
            "connect to &lt;db&gt;: refused",
            "4h ago",
            "42 rows in 7 tables",
            "href=\"/metrics\"",
            "href=\"/api/v1/status\"",
            "line 3: no &lt;such&gt; key",
            "&lt;upgrade&gt;, since 2026-06-01 06:00:00 UTC, until 2026-06-01 09:00:00 UTC",
            "<th>Waiting</th><td>drill ",
        ] {
            assert!(page.contains(text), "{text}\n{page}");
        }
        assert!(!page.contains("<script"));
    }
}
