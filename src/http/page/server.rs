//! The page of one server: the answer, what runs, what is proven, what is kept, how it went, what went wrong.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::{Frame, Sight, Wish, backup_path, class, moment, service, trends};
use crate::config::units::{
    format_age, format_bytes, format_count, format_duration, format_seconds,
};
use crate::ledger::{Job, JobResult};
use crate::status::{History, KeptBackup, Running, ServerView, answer};

/// Backups listed unless someone asks for all.
const LISTED: usize = 30;

/// The page of the server of that name; `None` where there is none.
pub(in crate::http) fn render(sight: Sight<'_>, name: &str, wish: &Wish) -> Option<String> {
    let mut servers = sight.snapshot.servers.iter();
    let view = servers.find(|view| view.config.name == name)?;
    Some(page(sight, view, wish))
}

pub(super) fn page(sight: Sight<'_>, view: &ServerView, wish: &Wish) -> String {
    let Sight { snapshot, now, .. } = sight;
    let answer = answer(view, now);
    let name = &view.config.name;
    let body = html! {
        @if snapshot.servers.len() > 1 { nav aria-label="Up" { a href="/" { "All " (snapshot.servers.len()) " servers" } } }
        h1 { (name) }
        (service(sight))
        @if snapshot.loaded {
            p class={ "verdict " (class(answer.level)) } { "Could I restore now?" strong { (answer.sentence) } (best(view, now)) }
            @for error in view.unreadable.iter().chain(&view.observe_trouble) { p.verdict.note.bad role="status" { (error) } }
            @if let Some(name) = &view.status.newer_is_cut { p.verdict.note.bad { "Not whole: " (name) } }
            @if view.status.is_known {
                (cards(view, now))
                (at_work(view, now))
                (backups(view, now))
                (trends::render(view))
                (jobs(view, now))
                (problems(view, now))
                (databases(view))
            } @else { (at_work(view, now)) }
        }
    };
    let title = format!("{}: {} – pgvigil", name, super::word(answer.level));
    let frame = Frame {
        title: &title,
        level: Some(answer.level),
        wish: Some(wish),
        now,
    };
    frame.around(&body)
}

/// Which backup to take: the newest that was proven and not found damaged since, or at least found whole.
fn best(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let good = |how: Option<(JobResult, _)>| how.map(|(result, _)| result == JobResult::Passed);
    let backups = || {
        view.status
            .backups
            .iter()
            .filter(|kept| good(kept.verified) != Some(false))
    };
    let proven = backups().find(|kept| good(kept.drilled) == Some(true));
    let whole = backups()
        .find(|kept| good(kept.verified) == Some(true) && good(kept.drilled) != Some(false));
    let line = |kept: &KeptBackup, why: &str| {
        html! {
            span.from {
                (why) ": " a href=(backup_path(&view.config.name, &kept.summary.file_name)) { (kept.summary.file_name) }
                ", " (moment::relative(kept.summary.finished_at, now))
            }
        }
    };
    html! {
        @if let Some(kept) = whole.filter(|kept| proven.is_none_or(|proven| proven != *kept)) { (line(kept, "Newest found whole")) }
        @if let Some(kept) = proven { (line(kept, "Newest proven by a test restore")) }
    }
}

/// The numbers that matter, each against its objective.
fn cards(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let (status, objectives) = (&view.status, &view.config.objectives);
    let fill = view.space.fill_ratio();
    html! {
        h2.skip { "At a glance" }
        dl.cards {
            div {
                dt { "Newest whole backup" }
                @match &status.newest {
                    Some(newest) => {
                        @let age = (now - newest.finished_at).to_std().unwrap_or_default();
                        dd.main { (format_age(age)) " old" }
                        dd { (bar(age.as_secs_f64(), objectives.max_age.as_secs_f64())) }
                        dd.quiet { "at most " (format_duration(objectives.max_age)) " (max_age)" }
                        dd { a href=(backup_path(&view.config.name, &newest.file_name)) { (newest.file_name) } }
                        dd { (format_bytes(newest.bytes)) ", dump " (format_bytes(newest.uncompressed_bytes)) ", took " (format_seconds(newest.duration_seconds)) }
                        dd { (verified(status.newest_verified)) }
                    }
                    None => { dd.main.bad { "none" } }
                }
            }
            div {
                dt { "Last passed test restore" }
                @match status.drill.last_success {
                    Some(at) => {
                        @let age = (now - at).to_std().unwrap_or_default();
                        dd.main { (format_age(age)) " ago" }
                        dd { (bar(age.as_secs_f64(), objectives.max_drill_age.as_secs_f64())) }
                        dd.quiet { "at most " (format_duration(objectives.max_drill_age)) " (max_drill_age)" }
                        @if status.drill.last_not_passed() <= Some(at) {
                            dd { (format_count(status.last_drill.rows)) " rows in " (format_count(status.last_drill.tables)) " tables compared" }
                        }
                    }
                    None => { dd.main.doubtful { "never passed" } }
                }
                @if let Some(at) = status.proven_backup_at { dd { "Proven: the state of " (moment::told(at, now)) } }
            }
            div {
                dt { "A restore takes" }
                @if let Some(seconds) = status.trend.restore_seconds() {
                    dd.main { (format_seconds(seconds)) }
                    dd { (bar(seconds, objectives.max_restore_time.as_secs_f64())) }
                    dd.quiet { "at most " (format_duration(objectives.max_restore_time)) " (max_restore_time), as measured by the last test restore that passed" }
                } @else { dd.main.doubtful { "not measured yet" } }
            }
            div {
                dt { "Volume" }
                @if view.space.is_unknown() { dd.main.doubtful { "unknown: it cannot be asked" } } @else {
                    dd.main { (format!("{:.0} % full", fill * 100.0)) }
                    dd { (bar(fill, objectives.max_fill)) }
                    dd.quiet { "at most " (format!("{:.0} %", objectives.max_fill * 100.0)) " (max_fill)" }
                    dd { (format_bytes(view.space.left_bytes())) " left" }
                    dd { (forecast(view, now)) }
                }
                dd { (status.kept) @if status.kept == 1 { " backup kept: " } @else { " backups kept: " } (format_bytes(status.kept_bytes)) }
            }
        }
    }
}

fn forecast(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let foreseen = &view.status.outlook.volume;
    html! { @match foreseen.full_at {
        Some(at) if at <= now => span.doubtful { "The next backup will not fit." },
        // What is months away is no worry, and less certain too.
        Some(at) if at - now > TimeDelta::days(14) => { "A backup will no longer fit " (moment::relative(at, now)) ", at the present pace." },
        Some(at) => span.doubtful { "A backup will no longer fit " (moment::told(at, now)) ", at the present pace." },
        None if foreseen.left.is_empty() => span.quiet { "When it will be full is not known." },
        None => "Not foreseen to fill up.",
    } }
}

/// How far a value is on the way to its limit; the numbers stand beside it.
fn bar(value: f64, limit: f64) -> Markup {
    // The limit stands at four fifths, so that what is beyond it shows.
    let share = if limit > 0.0 {
        (value / limit).clamp(0.0, 1.25)
    } else {
        1.25
    };
    let class = if value > limit {
        "fill bad"
    } else {
        "fill good"
    };
    html! {
        svg.bar viewBox="0 0 125 6" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.track width="125" height="6" {}
            rect class=(class) width=(format!("{:.1}", share * 100.0)) height="6" {}
            rect.mark x="99.5" width="1" height="6" {}
        }
    }
}

fn verified(how: Option<JobResult>) -> Markup {
    match how {
        Some(JobResult::Passed) => html! { span.good { "✓ verified: whole" } },
        Some(_) => html! { span.bad { "✗ verified: damaged" } },
        None => html! { span.doubtful { "? not verified yet" } },
    }
}

/// What happens now.
fn at_work(view: &ServerView, now: DateTime<Utc>) -> Markup {
    html! {
        h2 id="now" { "Now" }
        dl.cards {
            div {
                dt { "Running" }
                @match &view.running {
                    Some(running) => (progress(running, now)),
                    None => { dd { "nothing" } }
                }
                @if let Some(since) = view.observed_growing { dd { "A backup by someone else is being written, since " (moment::told(since, now)) } }
                @if !view.queued.is_empty() {
                    dd { "Waiting: " @for (place, job) in view.queued.iter().enumerate() { @if place > 0 { ", " } (job.name()) } }
                }
                @if let Some(waiting) = &view.waiting { dd { "Waits for " (waiting) } }
            }
            div {
                dt { "PostgreSQL" }
                @if view.up { dd { "answers" } } @else { dd.doubtful { "does not answer" } }
                dd.quiet { "Backups lie in " code { (view.config.directory.display()) } }
            }
            @if let Some(paused) = &view.paused {
                div {
                    dt { "Paused" }
                    dd.doubtful { (paused.pause.reason) }
                    dd { "since " (moment::told(paused.since, now)) }
                    dd { @match paused.pause.until { Some(until) => { "until " (moment::told(until, now)) }, None => "until someone resumes it" } }
                }
            }
        }
    }
}

fn progress(running: &Running, now: DateTime<Utc>) -> Markup {
    let (stage, done, expected) = running.progress.now();
    html! {
        dd.main { (running.job.name()) }
        dd { "since " (moment::told(running.started_at, now)) }
        @if !stage.is_empty() {
            dd {
                (stage) ", " (format_bytes(done))
                @if expected > 0 { " of about " (format_bytes(expected)) }
            }
            @if expected > 0 {
                dd { progress max=(expected) value=(done.min(expected)) aria-label=(format!("{} of the {}", stage, running.job.name())) {} }
            }
        }
    }
}

fn backups(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let all = &view.status.backups;
    html! {
        h2 id="backups" { "Backups" }
        @if all.is_empty() {
            p { "There is none." }
            @if view.config.observes().is_none() {
                p { @if let Some(at) = view.next.backup { "The first is due " (moment::told(at, now)) ". " } "To take one now: " code { "pgvigil --config FILE backup " (view.config.name) } }
            }
        } @else {
            (list(view, all.get(..LISTED).unwrap_or(all), now))
            @if let Some(rest) = all.get(LISTED..).filter(|rest| !rest.is_empty()) {
                details { summary { (rest.len()) " older ones" } (list(view, rest, now)) }
            }
        }
    }
}

fn list(view: &ServerView, backups: &[KeptBackup], now: DateTime<Utc>) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Backups" {
            table.stack role="table" {
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Backup" } th role="columnheader" scope="col" { "Finished" } th.number role="columnheader" scope="col" { "Size" }
                    th.number.spare role="columnheader" scope="col" { "Took" } th role="columnheader" scope="col" { "Verified" } th role="columnheader" scope="col" { "Restored in a drill" }
                } }
                tbody role="rowgroup" { @for kept in backups {
                    @let summary = &kept.summary;
                    tr role="row" {
                        th.name.full role="rowheader" scope="row" { a href=(backup_path(&view.config.name, &summary.file_name)) { (summary.file_name) } }
                        td.time role="cell" title=(moment::full(summary.finished_at)) { (moment::relative(summary.finished_at, now)) }
                        td.number role="cell" { (format_bytes(summary.bytes)) }
                        td.number.spare role="cell" { @if summary.duration_seconds > 0.0 { (format_seconds(summary.duration_seconds)) } }
                        td.time role="cell" { (mark(kept.verified, now, "✓ whole", "✗ damaged")) }
                        td.time role="cell" data-label="Drill:" { (mark(kept.drilled, now, "✓ proven", "✗ failed")) }
                    }
                } }
            }
        }
    }
}

/// How something ended about a backup.
pub(super) fn mark(
    how: Option<(JobResult, DateTime<Utc>)>,
    now: DateTime<Utc>,
    good: &str,
    bad: &str,
) -> Markup {
    match how {
        Some((JobResult::Passed, at)) => {
            html! { span.good { (good) } ", " (moment::relative(at, now)) }
        }
        Some((_, at)) => html! { span.bad { (bad) } ", " (moment::relative(at, now)) },
        None => html! { span.quiet { "not yet" } },
    }
}

fn jobs(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let status = &view.status;
    let rows: [(&str, Job, &History); 4] = [
        ("Backup", Job::Backup, &status.backup),
        ("Verification", Job::Verify, &status.verify),
        ("Test restore", Job::Drill, &status.drill),
        ("Removal of old ones", Job::Prune, &status.prune),
    ];
    html! {
        h2 id="jobs" { "Runs" }
        div.wide tabindex="0" role="region" aria-label="Runs" {
            table {
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "Next" } th.spare scope="col" { "At least every" }
                    th scope="col" { "Last passed" } th scope="col" { "Last not passed" } th.number.spare scope="col" { "Attempts" }
                } }
                tbody { @for (name, job, history) in rows {
                    tr {
                        th scope="row" { (name) }
                        td { @if job == Job::Prune { "after a backup" } @else { (moment::told_or(*view.next.get(job), now, "not scheduled")) } }
                        td.spare { (interval(*view.interval.get(job))) }
                        td { (moment::told_or(history.last_success, now, "never")) }
                        td { (moment::told_or(history.last_not_passed(), now, "never")) }
                        td.number.spare { (format_count(history.attempts)) }
                    }
                } }
            }
        }
    }
}

fn interval(every: Duration) -> String {
    if every.is_zero() {
        String::new()
    } else {
        format_age(every)
    }
}

fn problems(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let problems = &view.status.trend.problems;
    html! {
        h2 id="failures" { "Last failures" }
        @if problems.is_empty() { p { "None in the ledger." } } @else {
            div.wide tabindex="0" role="region" aria-label="Last failures" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Job" } th scope="col" { "What happened, and what to do" } } }
                    tbody { @for problem in problems.iter().rev() {
                        tr {
                            td.time title=(moment::full(problem.at)) { (moment::relative(problem.at, now)) }
                            td { (problem.job.name()) br; span.quiet { (problem.result.name()) } }
                            td.long {
                                (problem.sentence)
                                @if let Some(name) = problem.backup.as_ref().filter(|name| is_kept(view, name)) {
                                    br; a href=(backup_path(&view.config.name, name)) { (name) }
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn is_kept(view: &ServerView, name: &str) -> bool {
    let mut backups = view.status.backups.iter();
    backups.any(|kept| kept.summary.file_name == name)
}

fn databases(view: &ServerView) -> Markup {
    let Some(newest) = &view.status.newest else {
        return html! {};
    };
    html! {
        h2 id="databases" { "Databases in the newest backup" }
        div.wide tabindex="0" role="region" aria-label="Databases" {
            table {
                thead { tr { th scope="col" { "Database" } th.number scope="col" { "Rows" } th.number scope="col" { "Size on the server" } } }
                tbody { @for database in &newest.databases {
                    tr {
                        th.name scope="row" { (database.name) }
                        td.number { (format_count(database.rows)) }
                        td.number { @if database.bytes_on_server > 0 { (format_bytes(database.bytes_on_server)) } @else { "unknown" } }
                    }
                } }
            }
        }
    }
}
