//! `pgvigil inspect`

use super::args::Args;
use super::{Verb, context, render, terminal};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::{store, verify};

pub(super) async fn run(args: &Args, backup: &str) -> Verb {
    let (_, path) = context::backup(args, backup)?;
    let Some(manifest) = store::current_manifest(&path)? else {
        // Without a manifest, the file itself tells: all of it has to be read.
        let progress = Progress::default();
        let judged = terminal::watch(&progress, verify::check(&path, &progress)).await?;
        if args.json {
            terminal::print_json(&judged.checked.catalog)?;
        } else {
            let state = if judged.checked.report.passed {
                "it has no manifest; read from the file itself"
            } else {
                "THE FILE IS DAMAGED; what could be read"
            };
            terminal::print(&format!(
                "{}: {state}\n{}",
                path.display(),
                catalog(&judged.checked.catalog)
            ))?;
        }
        return super::ended(judged.fault);
    };
    print(args, &manifest)?;
    Ok(())
}

fn print(args: &Args, manifest: &Manifest) -> Result<()> {
    if args.json {
        return terminal::print_json(manifest);
    }
    let archive = &manifest.archive;
    terminal::print(&format!(
        "{}: server {}, PostgreSQL {}, dumped by {}\n  begun {}, took {}\n  {} ({} of dump text), {}, SHA-256 {}\n{}",
        archive.file_name,
        manifest.server,
        manifest.source.server_version,
        manifest.source.tool_version,
        manifest.started_at.format("%Y-%m-%d %H:%M:%S UTC"),
        render::seconds(manifest.duration_seconds),
        render::bytes(archive.bytes),
        render::bytes(archive.uncompressed_bytes),
        render::plural(archive.members, "gzip member"),
        archive.sha256,
        catalog(&manifest.catalog),
    ))
}

fn catalog(catalog: &Catalog) -> String {
    let mut text = format!("roles: {}\n", catalog.roles.join(", "));
    for database in &catalog.databases {
        let extensions = if database.extensions.is_empty() {
            String::new()
        } else {
            format!(", extensions {}", database.extensions.join(", "))
        };
        text.push_str(&format!(
            "\ndatabase {}: {}, {}, {}, {}{extensions}\n",
            database.label(),
            render::plural(database.tables.len() as u64, "table"),
            render::plural(database.rows(), "row"),
            render::plural(database.sequences.len() as u64, "sequence"),
            render::plural(database.large_objects.count, "large object"),
        ));
        let rows: Vec<_> = database
            .tables
            .iter()
            .map(|table| {
                vec![
                    format!("  {}.{}", table.schema, table.name),
                    render::count(table.rows),
                    render::bytes(table.bytes),
                ]
            })
            .collect();
        if !rows.is_empty() {
            text.push_str(&render::table(&["  TABLE", "ROWS", "BYTES OF TEXT"], &rows));
        }
    }
    text
}
