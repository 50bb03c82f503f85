//! `pgvigil verify`

use std::path::PathBuf;

use serde_json::json;

use super::args::Args;
use super::{Verb, context, ended, render, terminal};
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::store;
use crate::verify::{self, Report};

pub(super) async fn run(args: &Args, backup: &str, all: bool) -> Verb {
    let chosen = if all {
        all_backups(args)?
    } else {
        vec![context::backup(args, backup)?]
    };
    let progress = Progress::default();
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for (server, path) in &chosen {
        let checking = verify::run(path, server, None, None, &progress);
        match terminal::watch(&progress, checking).await {
            Ok(checked) => {
                if !args.json {
                    terminal::print(&text(&checked.report))?;
                }
                failures.extend(verify::fault(&checked.report));
                reports.push(json!(checked.report));
            }
            // A file that cannot be read must not hide what is wrong with the others.
            Err(error) if all && error.kind() != FailureKind::Cancelled => {
                if !args.json {
                    terminal::print(&format!(
                        "{}: NOT READ: {}\n",
                        path.display(),
                        error.sentence()
                    ))?;
                }
                reports
                    .push(json!({ "archive": path, "passed": false, "message": error.sentence() }));
                failures.push(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        match (all, reports.as_slice()) {
            (false, [report]) => terminal::print_json(report)?,
            _ => terminal::print_json(&reports)?,
        }
    }
    ended(verify::worst(failures))
}

fn all_backups(args: &Args) -> Result<Vec<(Server, PathBuf)>> {
    let (mut all, mut remedy) = (Vec::new(), "");
    for server in context::servers(args)? {
        remedy = store::where_from(&server);
        let files = store::archives(&server)?;
        all.extend(files.into_iter().map(|file| (server.clone(), file.path)));
    }
    if all.is_empty() {
        return Err(
            Failure::new(FailureKind::Usage, "verify all backups: there are none").remedy(remedy),
        );
    }
    Ok(all)
}

fn text(report: &Report) -> String {
    let against = if report.compared_with_manifest {
        "equal to its manifest"
    } else {
        "checked without a manifest"
    };
    let verdict = if report.passed {
        format!("whole, {against}")
    } else {
        "NOT GOOD".to_owned()
    };
    format!(
        "{}: {verdict}\n  {} ({} of dump text), {}: {}, {}, {} in {}\n{}",
        report.archive.display(),
        render::bytes(report.bytes),
        render::bytes(report.uncompressed_bytes),
        render::plural(report.members, "gzip member"),
        render::plural(report.databases, "database"),
        render::plural(report.tables, "table"),
        render::plural(report.rows, "row"),
        render::seconds(report.duration_seconds),
        render::findings(&report.findings),
    )
}
