//! A drill's report as a page for people, in Markdown: what was proven of which backup, and what was not.
//!
//! Names of tables, messages and definitions come from a database and may hold anything. [`text`] makes of them what no
//! renderer takes for markup; nothing else of theirs gets into the page, and its length has a bound.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::report::{CheckStatus, Report};
use crate::config::units::format_seconds;
use crate::finding::Level;
use crate::ledger::JobResult;

/// How many mismatches and findings are listed; the report in JSON has more.
const LISTED: usize = 50;

/// Characters of one text. A name has at most 63 bytes; definitions and messages may be pages long.
const LONGEST: usize = 400;

/// The page.
pub(super) fn render(report: &Report) -> String {
    let mut page = String::new();
    head(&mut page, report);
    facts(&mut page, report);
    phases(&mut page, report);
    checks(&mut page, report);
    mismatches(&mut page, report);
    findings(&mut page, report);
    line(
        &mut page,
        format_args!(
            "Made by pgvigil {}. The ledger beside this page holds its SHA-256: `pgvigil ledger verify` compares them.",
            report.pgvigil_version
        ),
    );
    page
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{line}");
}

fn head(page: &mut String, report: &Report) {
    let backup = text(&report.archive.display().to_string());
    line(page, format_args!("# Restore drill of {backup}\n"));
    let part = report.scope.as_ref().map(|scope| {
        format!(
            "**{} restores.** It was restored into an empty throwaway server, without one error, and its rows and their content are those \
             that the dump holds. That is no proof of the rest of the backup.",
            text(scope)
        )
    });
    let verdict = match report.result {
        JobResult::Passed if part.is_some() => part.as_deref().unwrap_or_default(),
        JobResult::Passed => {
            "**PROVEN.** The backup was restored whole into an empty throwaway server, without one error. Every table was read back, \
             and its rows and their content are those that the dump holds."
        }
        JobResult::Failed => {
            "**FAILED.** The backup is at fault: it does not restore, or does not give back what it should."
        }
        JobResult::Error | JobResult::Timeout => {
            "**NOT PROVEN.** The drill could not run to its end. That proves nothing, and does not blame the backup."
        }
    };
    line(page, format_args!("{verdict}\n"));
    if let Some(message) = &report.message {
        line(page, format_args!("Reason: {}\n", text(message)));
    }
}

fn facts(page: &mut String, report: &Report) {
    let unknown = || "unknown".to_owned();
    let restored = report.phases.iter().any(|phase| phase.name == "restore");
    let restore_time = if restored {
        let kept = if report.restore_seconds <= report.max_restore_seconds {
            "kept"
        } else {
            "**NOT kept**"
        };
        format!(
            "{}; the objective of {} is {kept}",
            format_seconds(report.restore_seconds),
            format_seconds(report.max_restore_seconds)
        )
    } else {
        format!(
            "not measured; the objective is {}",
            format_seconds(report.max_restore_seconds)
        )
    };
    let scratch = match report.scratch_version.as_str() {
        "" => "none was started".to_owned(),
        version => format!("PostgreSQL {}", text(version)),
    };
    let rows = [
        ("Server", text(&report.server)),
        ("Backup", text(&report.archive.display().to_string())),
        (
            "Backup finished",
            report.backup_finished_at.map_or_else(unknown, time),
        ),
        (
            "Backup of",
            report
                .dumped_version
                .as_deref()
                .map_or_else(unknown, |version| format!("PostgreSQL {}", text(version))),
        ),
        ("Drill", text(&report.job_id)),
        ("Began", time(report.started_at)),
        ("Ended", time(report.finished_at)),
        ("Took", format_seconds(report.duration_seconds)),
        ("Restored into", scratch),
        ("Measured restore time", restore_time),
        (
            "Compared",
            format!(
                "databases: {}, tables: {}, rows: {}",
                report.databases, report.tables, report.rows
            ),
        ),
        (
            "Not equal",
            (report.mismatches.len() as u64 + report.mismatches_not_shown).to_string(),
        ),
    ];
    line(page, format_args!("| | |\n|---|---|"));
    for (name, value) in rows {
        line(page, format_args!("| {name} | {value} |"));
    }
    line(page, format_args!(""));
}

fn phases(page: &mut String, report: &Report) {
    line(page, format_args!("## How long each phase took\n"));
    line(page, format_args!("| Phase | Time |\n|---|---:|"));
    for phase in &report.phases {
        let (name, took) = (text(&phase.name), format_seconds(phase.seconds));
        line(page, format_args!("| {name} | {took} |"));
    }
    line(page, format_args!(""));
}

fn checks(page: &mut String, report: &Report) {
    line(page, format_args!("## Checks\n"));
    if report.checks.is_empty() {
        line(page, format_args!("None was done.\n"));
        return;
    }
    line(
        page,
        format_args!("| Check | Result | Detail |\n|---|---|---|"),
    );
    for check in report.checks.iter().take(LISTED) {
        let status = match check.status {
            CheckStatus::Passed => "passed",
            CheckStatus::Failed => "**FAILED**",
            CheckStatus::NotDone => "not done",
        };
        line(
            page,
            format_args!(
                "| {} | {status} | {} |",
                text(&check.name),
                text(&check.detail)
            ),
        );
    }
    more(page, report.checks.len() as u64, "checks");
}

fn mismatches(page: &mut String, report: &Report) {
    line(page, format_args!("## What is not equal\n"));
    if report.mismatches.is_empty() {
        let nothing = if report.databases > 0 {
            "Nothing: all that was compared is equal.\n"
        } else {
            "Nothing was compared.\n"
        };
        line(page, format_args!("{nothing}"));
        return;
    }
    line(
        page,
        format_args!("| Database | What | Expected | Found |\n|---|---|---|---|"),
    );
    for difference in report.mismatches.iter().take(LISTED) {
        line(
            page,
            format_args!(
                "| {} | {} {} | {} | {} |",
                text(&difference.database),
                difference.kind,
                text(&difference.object),
                text(&difference.expected),
                text(&difference.actual)
            ),
        );
    }
    let all = report.mismatches.len() as u64 + report.mismatches_not_shown;
    more(page, all, "mismatches");
}

fn findings(page: &mut String, report: &Report) {
    line(page, format_args!("## What the check of the file found\n"));
    let list = &report.findings.list;
    if list.is_empty() {
        line(page, format_args!("Nothing.\n"));
        return;
    }
    line(
        page,
        format_args!("| Level | Where | What | What to do |\n|---|---|---|---|"),
    );
    for finding in list.iter().take(LISTED) {
        let level = match finding.level {
            Level::Error => "**FAULT**",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        line(
            page,
            format_args!(
                "| {level} | {} | {} | {} |",
                text(&finding.place),
                text(&finding.message),
                text(&finding.remedy)
            ),
        );
    }
    more(
        page,
        list.len() as u64 + report.findings.not_shown,
        "findings",
    );
}

fn more(page: &mut String, all: u64, what: &str) {
    let beyond = all.saturating_sub(LISTED as u64);
    if beyond > 0 {
        line(page, format_args!("\n… and {beyond} more {what}."));
    }
    line(page, format_args!(""));
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Any text, as text: on one line, not too long, and what Markdown or HTML could take for markup as character references,
/// which no renderer takes for structure.
fn text(any: &str) -> String {
    let mut out = String::with_capacity(any.len());
    let mut before = ' ';
    let mut rest = any.chars().peekable();
    let mut count = 0;
    while let Some(c) = rest.next() {
        count += 1;
        if count > LONGEST {
            out.push('…');
            break;
        }
        let after = rest.peek().copied().unwrap_or(' ');
        match c {
            _ if c.is_whitespace() => out.push(' '),
            // Would be written invisibly, or turn round what comes after it.
            _ if c.is_control() || is_invisible(c) => out.push('\u{fffd}'),
            // In the middle of a word it is only an underscore, and names are full of them.
            '_' if before.is_alphanumeric() && after.is_alphanumeric() => out.push('_'),
            // Only these make links of plain text.
            ':' if after != '/' => out.push(':'),
            '.' if !ends_with_www(&out) => out.push('.'),
            '&' | '<' | '>' | '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' | '$'
            | '@' | ':' | '.' | '{' | '}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
        before = c;
    }
    out
}

fn ends_with_www(text: &str) -> bool {
    text.get(text.len().saturating_sub(3)..)
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Marks of direction and characters without width.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests;
