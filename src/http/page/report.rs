//! A drill's report as it was kept beside the ledger: what was compared, how long it took, what was not equal.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::{chip, moment};
use crate::catalog::diff::Difference;
use crate::config::units::{format_count, format_seconds};
use crate::ledger::{JobResult, Phase};
use crate::status::Level;

/// Mismatches listed; the report beside the ledger has more.
const LISTED: usize = 100;

/// What of the report is shown. Another version may have written it: what is missing is left out.
#[derive(Deserialize)]
pub(super) struct Report {
    job_id: String,
    started_at: DateTime<Utc>,
    result: JobResult,
    message: Option<String>,
    dumped_version: Option<String>,
    #[serde(default)]
    scratch_version: String,
    #[serde(default)]
    duration_seconds: f64,
    #[serde(default)]
    restore_seconds: f64,
    #[serde(default)]
    max_restore_seconds: f64,
    #[serde(default)]
    phases: Vec<Phase>,
    #[serde(default)]
    databases: u64,
    #[serde(default)]
    tables: u64,
    #[serde(default)]
    rows: u64,
    #[serde(default)]
    mismatches: Vec<Difference>,
    #[serde(default)]
    mismatches_not_shown: u64,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    status: CheckStatus,
    #[serde(default)]
    detail: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CheckStatus {
    Passed,
    Failed,
    NotDone,
}

pub(super) fn render(report: &Report, now: DateTime<Utc>) -> Markup {
    html! {
        p { (chip(level(report.result))) " " @match report.result {
            JobResult::Passed => "Proven: it was restored into a scratch server, every table was read back, and its rows and their content are those of the dump.",
            JobResult::Failed if report.mismatches.is_empty() => "It failed.",
            JobResult::Failed => "It did not give back what was dumped.",
            JobResult::Error | JobResult::Timeout => "The test restore could not be finished, which proves nothing.",
        } }
        @if let Some(message) = &report.message { p.bad { (message) } }
        table {
            tbody {
                tr { th scope="row" { "Began" } td { (moment::told(report.started_at, now)) ", took " (format_seconds(report.duration_seconds)) } }
                @if report.restore_seconds > 0.0 { tr { th scope="row" { "Restore" } td { (format_seconds(report.restore_seconds)) @if report.max_restore_seconds > 0.0 { ", may take " (format_seconds(report.max_restore_seconds)) } } } }
                @if report.tables > 0 { tr { th scope="row" { "Compared" } td { (format_count(report.rows)) " rows in " (format_count(report.tables)) " tables of " (report.databases) " databases" } } }
                tr { th scope="row" { "PostgreSQL" } td { "dumped from " (report.dumped_version.as_deref().unwrap_or("an unknown version")) @if !report.scratch_version.is_empty() { ", restored into " (report.scratch_version) } } }
                tr { th scope="row" { "Job" } td { code { (report.job_id) } } }
            }
        }
        (mismatches(report))
        (phases(&report.phases))
        (checks(&report.checks))
    }
}

/// What could not be finished proves nothing, neither way.
const fn level(result: JobResult) -> Level {
    match result {
        JobResult::Passed => Level::Good,
        JobResult::Failed => Level::Bad,
        JobResult::Error | JobResult::Timeout => Level::Doubtful,
    }
}

fn mismatches(report: &Report) -> Markup {
    let listed = report
        .mismatches
        .get(..LISTED)
        .unwrap_or(&report.mismatches);
    let more = report.mismatches_not_shown + (report.mismatches.len() - listed.len()) as u64;
    html! {
        @if !listed.is_empty() {
            h3 { "Not equal" }
            ul { @for mismatch in listed { li.bad { (mismatch) } } }
            @if more > 0 { p { "And " (more) " more." } }
        }
    }
}

fn phases(phases: &[Phase]) -> Markup {
    let all: f64 = phases.iter().map(|phase| phase.seconds).sum();
    html! {
        @if all > 0.0 {
            h3 { "Phases" }
            table {
                thead { tr { th scope="col" { "Phase" } th.number scope="col" { "Took" } th scope="col" { "Share" } } }
                tbody { @for phase in phases {
                    tr {
                        th scope="row" { (phase.name) }
                        td.number { (format_seconds(phase.seconds)) }
                        td { svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(format!("{:.0} %", phase.seconds / all * 100.0)) {
                            rect.track width="100" height="6" {}
                            rect.dot width=(format!("{:.1}", phase.seconds / all * 100.0)) height="6" {}
                        } }
                    }
                } }
            }
        }
    }
}

fn checks(checks: &[Check]) -> Markup {
    html! {
        @if !checks.is_empty() {
            h3 { "Checks" }
            div.wide tabindex="0" role="region" aria-label="Checks" {
                table {
                    thead { tr { th scope="col" { "Check" } th scope="col" { "Result" } th scope="col" { "What was looked at" } } }
                    tbody { @for check in checks {
                        tr {
                            th.name scope="row" { (check.name) }
                            td.time { @match check.status {
                                CheckStatus::Passed => span.good { "✓ passed" },
                                CheckStatus::Failed => span.bad { "✗ failed" },
                                CheckStatus::NotDone => span.doubtful { "? not done" },
                            } }
                            td.long { (check.detail) }
                        }
                    } }
                }
            }
        }
    }
}
