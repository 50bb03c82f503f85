//! `pgvigil prune`

use chrono::Utc;

use super::args::Args;
use super::{Verb, context, ended, render, terminal};
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::prune::{self, Judged, Report};

pub(super) async fn run(args: &Args, dry_run: bool) -> Verb {
    if args.config.is_none() {
        let what = "prune without a configuration: nobody has said what to keep";
        return Err(Failure::new(FailureKind::Usage, what)
            .remedy("name a file with --config (PGVIGIL_CONFIG); the README has an example")
            .into());
    }
    let progress = Progress::default();
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for server in context::servers(args)? {
        match terminal::watch(&progress, prune(&server, dry_run, &progress)).await {
            Ok(mut report) => {
                if !args.json {
                    terminal::print(&text(&report, &server))?;
                }
                failures.extend(report.failure.take());
                reports.push(report);
            }
            Err(error) if error.kind() == FailureKind::Cancelled => return Err(error.into()),
            // One server's directory must not keep the others full.
            Err(error) => {
                if !args.json {
                    terminal::print(&format!(
                        "{}: NOT PRUNED: {}\n",
                        server.name,
                        error.sentence()
                    ))?;
                }
                failures.push(error);
            }
        }
    }
    let failure = failures.into_iter().next();
    match failure {
        // Nothing to tell of any server: what went wrong is the document.
        Some(failure) if reports.is_empty() => Err(failure.into()),
        failure => {
            if args.json {
                terminal::print_json(&reports)?;
            }
            ended(failure)
        }
    }
}

async fn prune(server: &Server, dry_run: bool, progress: &Progress) -> Result<Report> {
    if dry_run {
        let server = server.clone();
        super::blocking(move || prune::preview(&server, Utc::now())).await
    } else {
        prune::take_and_run(server, progress).await
    }
}

fn text(report: &Report, server: &Server) -> String {
    let mut text = format!(
        "{}: {} ({})\n",
        report.server,
        server.directory.display(),
        server.retention
    );
    if !report.files.is_empty() {
        let rows: Vec<_> = report
            .files
            .iter()
            .map(|file| cells(report, file))
            .collect();
        text.push_str(&render::table(
            &["BACKUP", "TIME", "SIZE", "", "WHY"],
            &rows,
        ));
    }
    for name in &report.orphans {
        let what = if report.dry_run {
            "would be removed"
        } else {
            "was removed"
        };
        text.push_str(&format!("{name} {what}: its archive is gone\n"));
    }
    for problem in &report.problems {
        text.push_str(&format!("NOT REMOVED: {}\n", render::plain(problem)));
    }
    let (would, free) = if report.dry_run {
        ("would remove", "to be freed")
    } else {
        ("removed", "freed")
    };
    let removed = report.removed.len() as u64;
    text + &format!(
        "{would} {}, {} {free}; {} kept\n",
        render::plural(removed, "backup"),
        render::bytes(report.freed_bytes),
        render::count(report.kept)
    )
}

fn cells(report: &Report, file: &Judged) -> Vec<String> {
    let fate = if file.keep {
        "keep"
    } else if report.in_use.contains(&file.name) {
        "keep: in use"
    } else if report.removed.contains(&file.name) {
        if report.dry_run { "remove" } else { "removed" }
    } else {
        "NOT REMOVED"
    };
    vec![
        render::plain(&file.name),
        file.time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        render::bytes(file.bytes),
        fate.to_owned(),
        file.reasons.join(", "),
    ]
}
