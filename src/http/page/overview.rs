//! The page at `/`: one line for each server, the worst first. With one server it is that server's page.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::wish::{Show, Sort, Wish};
use super::{Frame, Sight, chip, class, moment, server, server_path, service};
use crate::config::units::{format_age, format_bytes, format_duration, format_seconds};
use crate::ledger::JobResult;
use crate::status::{Level, ServerView, Verdict, answer};

/// A server's line.
struct Line<'a> {
    view: &'a ServerView,
    answer: Verdict,
}

/// The page.
pub(in crate::http) fn render(sight: Sight<'_>, wish: &Wish) -> String {
    let Sight { snapshot, now, .. } = sight;
    if let (true, [only]) = (snapshot.loaded, snapshot.servers.as_slice()) {
        return server::page(sight, only, wish);
    }
    let mut lines: Vec<Line<'_>> = if snapshot.loaded {
        let views = snapshot.servers.iter();
        views
            .map(|view| Line {
                answer: answer(view, now),
                view,
            })
            .collect()
    } else {
        Vec::new()
    };
    let count = |level| {
        lines
            .iter()
            .filter(|line| line.answer.level == level)
            .count()
    };
    let counts = (
        count(Level::Good),
        count(Level::Doubtful),
        count(Level::Bad),
    );
    let worst = lines
        .iter()
        .map(|line| line.answer.level)
        .max_by_key(|level| severity(*level));
    lines.retain(|line| wish.wants(line));
    wish.order(&mut lines);
    let title = match counts {
        _ if !snapshot.loaded => "pgvigil".to_owned(),
        (_, 0, 0) => "all good – pgvigil".to_owned(),
        (_, doubtful, 0) => format!("{doubtful} doubtful – pgvigil"),
        (_, 0, bad) => format!("{bad} no – pgvigil"),
        (_, doubtful, bad) => format!("{bad} no, {doubtful} doubtful – pgvigil"),
    };
    let body = html! {
        h1 { "Could I restore now?" }
        (service(sight))
        @if snapshot.loaded {
            (summary(counts, worst))
            (choice(wish))
            (table(&lines, snapshot.servers.len(), now))
        }
    };
    Frame {
        title: &title,
        level: worst,
        wish: Some(wish),
        now,
    }
    .around(&body)
}

fn summary((good, doubtful, bad): (usize, usize, usize), worst: Option<Level>) -> Markup {
    let all = good + doubtful + bad;
    html! {
        @match worst {
            None => p.verdict.doubtful { strong { "No server is configured." } "Name one under servers: in the configuration." }
            Some(level) => p class={ "verdict " (class(level)) } {
                strong {
                    @match level {
                        Level::Good => { "Yes, all of " (all) " servers." }
                        _ => { (good) " of " (all) " servers for certain." }
                    }
                }
                @if bad > 0 { a href="/?show=bad" { (bad) " no" } " " }
                @if doubtful > 0 { a href="/?show=attention" { (doubtful) " doubtful" } " " }
                @if bad + doubtful > 0 { a href="/" { (all) " in all" } }
            }
        }
    }
}

fn choice(wish: &Wish) -> Markup {
    html! {
        form method="get" action="/" role="search" aria-label="Servers" {
            div { label for="name" { "Name contains" } input id="name" name="name" type="search" value=(wish.name); }
            div {
                label for="show" { "Show" }
                select id="show" name="show" {
                    @for (show, key, text) in Show::ALL { option value=(key) selected[show == wish.show] { (text) } }
                }
            }
            div {
                label for="sort" { "Sort by" }
                select id="sort" name="sort" {
                    @for (sort, key, text) in Sort::ALL { option value=(key) selected[sort == wish.sort] { (text) } }
                }
            }
            @if wish.reload { input type="hidden" name="reload" value="1"; }
            div { button type="submit" { "Apply" } }
        }
    }
}

// The roles say what the elements mean already: on a phone the style makes other boxes of them, and browsers would take
// the meaning away.
fn table(lines: &[Line<'_>], all: usize, now: DateTime<Utc>) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Servers" {
            table.overview.stack role="table" {
                caption { (lines.len()) " of " (all) " servers" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Restorable" }
                    th role="columnheader" scope="col" { "Server" }
                    th role="columnheader" scope="col" { "Why" }
                    th.number role="columnheader" scope="col" { "Newest backup" }
                    th.number.spare role="columnheader" scope="col" { "Size" }
                    th.number.spare role="columnheader" scope="col" { "Restore takes" }
                    th.spare role="columnheader" scope="col" { "Last proof" }
                    th.number.spare role="columnheader" scope="col" { "Volume" }
                    th.spare role="columnheader" scope="col" { "Next backup" }
                } }
                tbody role="rowgroup" { @for line in lines { (row(line, now)) } }
            }
        }
        @if lines.is_empty() && all > 0 { p { "No server is like that. " a href="/" { "Show all" } } }
    }
}

fn row(line: &Line<'_>, now: DateTime<Utc>) -> Markup {
    let (view, status) = (line.view, &line.view.status);
    let objectives = &view.config.objectives;
    let fill = view.space.fill_ratio();
    html! {
        tr role="row" {
            td role="cell" { (chip(line.answer.level)) }
            th.name role="rowheader" scope="row" { a href=(server_path(&view.config.name)) { (view.config.name) } }
            td.long.full role="cell" { (line.answer.sentence) (asides(view, now)) }
            td.number role="cell" data-label="Newest backup" { @match &status.newest {
                Some(newest) => (format_age((now - newest.finished_at).to_std().unwrap_or_default())),
                None if !status.is_known => "unknown",
                None => "none",
            } " " span.quiet { "max " (format_duration(objectives.max_age)) } }
            td.number.spare role="cell" { @if let Some(newest) = &status.newest { (format_bytes(newest.bytes)) } }
            td.number.spare role="cell" { @if let Some(seconds) = status.trend.restore_seconds() { (format_seconds(seconds)) } }
            td.time.spare role="cell" { @match status.drill.last_success { Some(at) => (moment::relative(at, now)), None if !status.is_known => "unknown", None => "never" } }
            td.number.spare role="cell" { @if view.space.is_unknown() { "unknown" } @else if fill > objectives.max_fill { strong.bad { (format!("{:.0} %", fill * 100.0)) } } @else { (format!("{:.0} %", fill * 100.0)) } }
            td.time.spare role="cell" { @match view.next.backup { Some(at) => (moment::relative(at, now)), None => "none" } }
        }
    }
}

/// What else someone wants to know of a server before he opens its page.
fn asides(view: &ServerView, now: DateTime<Utc>) -> Markup {
    let problem = view.status.problem.as_ref();
    html! {
        @if let Some(error) = &view.unreadable { br; span.bad { (error) } }
        @if !view.up { br; span.doubtful { "PostgreSQL does not answer." } }
        @if let Some(running) = &view.running {
            br; span.quiet { (running.job.name()) " runs since " (moment::short(running.started_at)) }
        }
        @if let Some(paused) = &view.paused { br; span.doubtful { "Paused: " (paused.pause.reason) } }
        @if let Some(problem) = problem {
            br; span.quiet { "Last failure: " (problem.job.name()) ", " (moment::relative(problem.at, now)) }
        }
    }
}

impl Wish {
    fn wants(&self, line: &Line<'_>) -> bool {
        let is_bad_enough = match self.show {
            Show::All => true,
            Show::Attention => line.answer.level != Level::Good,
            Show::Bad => line.answer.level == Level::Bad,
        };
        let name = line.view.config.name.to_lowercase();
        is_bad_enough && name.contains(&self.name.to_lowercase())
    }

    /// Sorts; the order of the configuration is kept among equals.
    fn order(&self, lines: &mut [Line<'_>]) {
        match self.sort {
            Sort::Severity => lines.sort_by_key(|line| Reverse(line.concern())),
            Sort::Name => lines.sort_by(|a, b| a.view.config.name.cmp(&b.view.config.name)),
            // None at all is older than any.
            Sort::Age => lines.sort_by_key(|line| {
                line.view
                    .status
                    .newest
                    .as_ref()
                    .map(|newest| newest.finished_at)
            }),
            Sort::Size => lines.sort_by_key(|line| {
                Reverse(
                    line.view
                        .status
                        .newest
                        .as_ref()
                        .map_or(0, |newest| newest.bytes),
                )
            }),
            Sort::Fill => lines.sort_by(|a, b| {
                b.view
                    .space
                    .fill_ratio()
                    .total_cmp(&a.view.space.fill_ratio())
            }),
        }
    }
}

impl Line<'_> {
    /// How much it needs someone: the answer first, then what is on its way to spoil it.
    fn concern(&self) -> (u8, bool, bool, bool) {
        let (view, status) = (self.view, &self.view.status);
        let is_full = view.space.fill_ratio() > view.config.objectives.max_fill;
        let is_damaged = status.newest_verified == Some(JobResult::Failed) || status.corrupt > 0;
        (
            severity(self.answer.level),
            is_damaged || is_full,
            status.problem.is_some(),
            !view.up,
        )
    }
}

const fn severity(level: Level) -> u8 {
    match level {
        Level::Good => 0,
        Level::Doubtful => 1,
        Level::Bad => 2,
    }
}
