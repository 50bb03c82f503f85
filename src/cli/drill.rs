//! `pgvigil drill`

use super::args::Args;
use super::{Verb, context, ended, render, terminal};
use crate::drill::{self, CheckStatus, Options, Report};
use crate::ledger::JobResult;
use crate::outcome::Progress;

pub(super) async fn run(args: &Args, backup: &str, options: Options) -> Verb {
    let (server, path) = context::backup(args, backup)?;
    let progress = Progress::default();
    let (report, failure) =
        terminal::watch(&progress, drill::run(&path, &server, options, &progress)).await;
    if args.json {
        terminal::print_json(&report)?;
    } else {
        terminal::print(&text(&report))?;
    }
    ended(failure)
}

/// The report as people read it.
pub(super) fn text(report: &Report) -> String {
    let verdict = match (report.result, &report.scope) {
        (JobResult::Passed, None) => "PROVEN: it restores, and every row is equal".to_owned(),
        (JobResult::Passed, Some(scope)) => {
            format!("{scope} restores, and every row of it is equal (no proof of the whole backup)")
        }
        (JobResult::Failed, _) => "FAILED: the backup is at fault".to_owned(),
        (JobResult::Timeout, _) => {
            "TIMEOUT: the time for the drill was up, so nothing is proven".to_owned()
        }
        (JobResult::Error, _) => "ERROR: the drill could not run, so nothing is proven".to_owned(),
    };
    let verdict = render::plain(&verdict);
    let mut text = format!("{}: {verdict}\n", report.archive.display());
    if !report.scratch_version.is_empty() {
        text.push_str(&format!(
            "  compared: {}, {}, {}, {}\n  measured restore time: {}, {} the objective of {} (PostgreSQL {})\n",
            render::plural(report.databases, "database"),
            render::plural(report.tables, "table"),
            render::plural(report.rows, "row"),
            match report.mismatches.len() {
                1 => "1 mismatch".to_owned(),
                many => format!("{many} mismatches"),
            },
            render::seconds(report.restore_seconds),
            if report.restore_seconds <= report.max_restore_seconds {
                "within"
            } else {
                "LONGER than"
            },
            render::seconds(report.max_restore_seconds),
            report.scratch_version,
        ));
    }
    let phases: Vec<_> = report
        .phases
        .iter()
        .map(|phase| format!("{} {}", phase.name, render::seconds(phase.seconds)))
        .collect();
    text.push_str(&format!("  phases: {}\n", phases.join(", ")));
    for check in &report.checks {
        let status = match check.status {
            CheckStatus::Passed => "passed",
            CheckStatus::Failed => "FAILED",
            CheckStatus::NotDone => "not done",
        };
        text.push_str(&format!("  {}: {status}: {}\n", check.name, check.detail));
    }
    for difference in report.mismatches.iter().take(20) {
        text.push_str(&format!("  MISMATCH: {difference}\n"));
    }
    if report.mismatches.len() > 20 {
        text.push_str(&format!("  … and {} more\n", report.mismatches.len() - 20));
    }
    text.push_str(&render::findings(&report.findings));
    text
}
