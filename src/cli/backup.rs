//! `pgvigil backup`

use serde_json::json;

use super::args::Args;
use super::{Ended, Verb, context, render, terminal};
use crate::backup::Occasion;
use crate::error::{Failure, FailureKind};
use crate::outcome::Progress;

pub(super) async fn run(args: &Args, name: Option<&str>) -> Verb {
    let server = match name {
        None => context::server(args)?,
        Some(name) => context::servers(args)?
            .into_iter()
            .find(|server| server.name == name)
            .ok_or_else(|| {
                Failure::new(
                    FailureKind::Usage,
                    format!("find server {name}: the configuration has none of that name"),
                )
            })?,
    };
    let progress = Progress::default();
    let report = terminal::watch(
        &progress,
        crate::backup::run(&server, Occasion::default(), &progress),
    )
    .await?;
    let manifest = &report.manifest;
    if args.json {
        let document = json!({
            "result": "passed", "path": report.path, "server": manifest.server, "duration_seconds": manifest.duration_seconds,
            "bytes": manifest.archive.bytes, "uncompressed_bytes": manifest.archive.uncompressed_bytes, "sha256": manifest.archive.sha256,
            "databases": manifest.catalog.databases.len(), "tables": manifest.catalog.tables(), "rows": manifest.catalog.rows(),
            "warnings": report.warnings,
        });
        return terminal::print_json(&document).map_err(Ended::from);
    }
    let text = format!(
        "published {}\n  {} ({} of dump text) in {}: {}, {}, {}\n{}",
        report.path.display(),
        render::bytes(manifest.archive.bytes),
        render::bytes(manifest.archive.uncompressed_bytes),
        render::seconds(manifest.duration_seconds),
        render::plural(manifest.catalog.databases.len() as u64, "database"),
        render::plural(manifest.catalog.tables(), "table"),
        render::plural(manifest.catalog.rows(), "row"),
        render::findings(&report.warnings),
    );
    terminal::print(&text).map_err(Ended::from)
}
