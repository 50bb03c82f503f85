//! `pgvigil demo`: all of it, on a sample server of our own.
//!
//! A throwaway PostgreSQL with the sample in `*.sql`, then backup, verify and drill as anyone would run them, then the
//! service, as `pgvigil serve` is. Nothing is left afterwards but what `--directory` was asked to keep.

mod sample;
mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::args::Args;
use super::{Verb, context, drill, render, terminal};
use crate::config::{Connection, Server, SslMode};
use crate::drill::Report;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::pg::binaries;
use crate::pg::scratch::{self, Scratch};
use crate::pg::version::Version;
use crate::{backup, verify};

/// The sample server's name.
const SERVER: &str = "demo";

/// The sample server ends by itself after this long: nobody runs a demo for longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(args: &Args, once: bool, listen: Option<SocketAddr>) -> Verb {
    for done in scratch::sweep() {
        tracing::info!("{done}");
    }
    let progress = Progress::default();
    let source = terminal::watch(&progress, start(args, &progress)).await?;
    let result = Box::pin(on(&source, args, once, listen)).await;
    let stopped = source.stop().await;
    result.and(stopped.map_err(Into::into))
}

/// The demo on its running server. Backups go where `--directory` says, or away with the server.
async fn on(source: &Scratch, args: &Args, once: bool, listen: Option<SocketAddr>) -> Verb {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => source.private_directory("backups")?,
    };
    let server = server(args, source, &directory);
    Box::pin(show(&server, args.json)).await?;
    if once {
        Ok(())
    } else {
        let secrets = source.private_directory("secrets")?;
        service::run(server, listen, &secrets, args.directory.is_some()).await
    }
}

/// Starts the sample server and fills it.
async fn start(args: &Args, progress: &Progress) -> Result<Scratch> {
    let configured = args.pg_bin.clone();
    let any = Version { major: 0, minor: 0 };
    let binaries =
        super::blocking(move || binaries::for_server(any, configured.as_deref())).await?;
    progress.stage("start a sample server", 0);
    let began = Instant::now();
    let source = Scratch::start_as("postgres", &binaries, LONGEST, progress).await?;
    progress.stage("fill it", 0);
    let told = sample::fill(source.target(), progress).await?;
    terminal::print(&format!(
        "sample server: PostgreSQL {}, {} beside its own, made in {}\n{told}",
        binaries.version,
        render::plural(sample::DATABASES.len() as u64, "database"),
        render::seconds(began.elapsed().as_secs_f64())
    ))?;
    Ok(source)
}

fn server(args: &Args, source: &Scratch, directory: &Path) -> Server {
    let target = source.target();
    let connection = Connection {
        host: Some(target.host.clone()),
        port: Some(target.port),
        user: Some(target.user.clone()),
        sslmode: SslMode::Disable,
        ..Connection::default()
    };
    context::unconfigured(
        SERVER,
        connection,
        directory.to_owned(),
        args.pg_bin.clone(),
    )
}

/// Backup, verify, drill, and what came of it.
async fn show(server: &Server, json: bool) -> Verb {
    let progress = &Progress::default();
    let taken = terminal::watch(
        progress,
        backup::run(server, backup::Occasion::default(), progress),
    )
    .await?;
    let manifest = &taken.manifest;
    let rate = manifest.archive.uncompressed_bytes as f64 / manifest.duration_seconds.max(0.001);
    say(
        json,
        &format!(
            "backup:  {} of dump text into {} in {} ({}/s)\n",
            render::bytes(manifest.archive.uncompressed_bytes),
            render::bytes(manifest.archive.bytes),
            render::seconds(manifest.duration_seconds),
            render::bytes(whole(rate)),
        ),
    )?;
    let progress = &Progress::default();
    let checked = terminal::watch(
        progress,
        verify::run(&taken.path, server, None, None, progress),
    )
    .await?;
    if let Some(fault) = verify::fault(&checked.report) {
        return Err(fault.into());
    }
    say(
        json,
        &format!(
            "verify:  whole and equal to its manifest, in {}\n",
            render::seconds(checked.report.duration_seconds)
        ),
    )?;
    let progress = &Progress::default();
    let (report, failure) = terminal::watch(
        progress,
        crate::drill::run(
            &taken.path,
            server,
            crate::drill::Options::default(),
            progress,
        ),
    )
    .await;
    if json {
        terminal::print_json(&report)?;
    } else {
        terminal::print(&format!("drill:   {}", drill::text(&report)))?;
    }
    if failure.is_none() {
        say(json, &summary(manifest, &report))?;
    }
    super::ended(failure)
}

fn say(json: bool, text: &str) -> Result<()> {
    if json { Ok(()) } else { terminal::print(text) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people; a float saturates"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

fn summary(manifest: &Manifest, report: &Report) -> String {
    format!(
        "\nsummary: {} ({}), {}, {} compared, {} mismatches, measured restore time {}\n",
        render::plural(report.databases, "database"),
        manifest
            .catalog
            .databases
            .iter()
            .map(|database| database.label())
            .collect::<Vec<_>>()
            .join(", "),
        render::plural(report.tables, "table"),
        render::plural(report.rows, "row"),
        report.mismatches.len(),
        render::seconds(report.restore_seconds),
    )
}
