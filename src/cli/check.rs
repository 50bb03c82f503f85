//! `pgvigil check`: configuration and surroundings, before the night.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde::Serialize;

use super::args::Args;
use super::serve::Jobs;
use super::{Verb, blocking, context, ended, render, terminal};
use crate::config::{self, ScratchServer, Server};
use crate::daemon::Runner as _;
use crate::error::{Failure, FailureKind, Result};
use crate::forecast;
use crate::notify;
use crate::pg::binaries;
use crate::pg::connect::Target;
use crate::pg::fence;
use crate::pg::live;
use crate::pg::version::Version;
use crate::restore::given;
use crate::store;
use crate::web::Web;

/// One thing looked at.
#[derive(Serialize)]
struct Item {
    server: String,
    what: &'static str,
    good: bool,
    detail: String,
    #[serde(skip)]
    failure: Option<Failure>,
}

pub(super) async fn run(args: &Args) -> Verb {
    let mut items = Vec::new();
    if let Some(config) = context::config(args)? {
        let path = args
            .config
            .as_deref()
            .unwrap_or(Path::new(""))
            .display()
            .to_string();
        items.push(good(
            "",
            "configuration",
            format!(
                "{path}: {}",
                render::plural(config.servers.len() as u64, "server")
            ),
        ));
        for note in config::notes(&config) {
            items.push(good("", "note", note));
        }
        if let Some(path) = config.http.web_config_file {
            items.push(web_configuration(path).await);
        }
        if let Some(named) = config.alertmanager {
            let asked = named.urls.iter().map(|url| notify::probe(&named, url));
            // Together: those that are silent take their time but once.
            for (url, answers) in named.urls.iter().zip(join_all(asked).await) {
                let answers = answers.map(|()| format!("{url} answers"));
                items.push(judged_of("", "alertmanager", answers));
            }
        }
    }
    for server in context::servers(args)? {
        look(&server, &mut items).await;
    }
    if args.json {
        terminal::print_json(&items)?;
    } else {
        terminal::print(&text(&items))?;
    }
    ended(items.into_iter().find_map(|item| item.failure))
}

fn good(server: &str, what: &'static str, detail: String) -> Item {
    Item {
        server: server.to_owned(),
        what,
        good: true,
        detail,
        failure: None,
    }
}

fn judged(server: &Server, what: &'static str, result: Result<String>) -> Item {
    judged_of(&server.name, what, result)
}

fn judged_of(server: &str, what: &'static str, result: Result<String>) -> Item {
    match result {
        Ok(detail) => good(server, what, detail),
        Err(failure) => Item {
            server: server.to_owned(),
            what,
            good: false,
            detail: failure.sentence(),
            failure: Some(failure),
        },
    }
}

/// The rules of the HTTP server, with the certificates and keys that they name.
async fn web_configuration(path: PathBuf) -> Item {
    let named = path.display().to_string();
    let read = blocking(move || Web::read(&path).map(drop)).await;
    judged_of("", "web configuration", read.map(|()| named))
}

async fn look(server: &Server, items: &mut Vec<Item>) {
    let version = connect(server).await;
    let known = version.as_ref().ok().map(|(version, _)| *version);
    items.push(judged(server, "connection", version.map(|(_, text)| text)));
    if let Some(version) = known {
        if server.observes().is_none() {
            let configured = server.pg_bin.clone();
            let dump = blocking(move || binaries::for_dump(version, configured.as_deref())).await;
            items.push(judged(
                server,
                "pg_dumpall",
                dump.map(|found| format!("{} in {}", found.version, found.directory.display())),
            ));
        }
        if server.drill.server.is_none() {
            let configured = server.pg_bin.clone();
            let scratch =
                blocking(move || binaries::for_server(version, configured.as_deref())).await;
            items.push(judged(server, "scratch server", scratch.map(describe)));
        }
    }
    match &server.drill.server {
        None => items.push(good(
            &server.name,
            "fence of the scratch server",
            fence::possible().describe().to_owned(),
        )),
        Some(named) => scratch_server(server, named, known, items).await,
    }
    items.push(directory(server));
    if server.observes().is_some() {
        items.push(judged(server, "files to watch over", files(server)));
    }
    items.push(judged(server, "free space", room(server)));
}

/// The server that is named to drill on, and what a person should know of it.
async fn scratch_server(
    server: &Server,
    named: &ScratchServer,
    source: Option<Version>,
    items: &mut Vec<Item>,
) {
    let target = match Target::resolve(&named.connection) {
        Ok(target) => target,
        Err(failure) => return items.push(judged(server, "scratch server", Err(failure))),
    };
    let found = match given::look(&target).await {
        Ok(found) => found,
        Err(failure) => return items.push(judged(server, "scratch server", Err(failure))),
    };
    let fit = found
        .check(&target, named.superuser_allowed)
        .and_then(|()| {
            found.takes(
                &target,
                source.map(|version| version.to_string()).as_deref(),
            )?;
            Ok(format!("{target}, PostgreSQL {}", found.version_text))
        });
    items.push(judged(server, "scratch server", fit));
    items.push(good(
        &server.name,
        "fence of the scratch server",
        format!("none: {}", given::without_fence(&target, &found)),
    ));
    let mut note = |text: &str| {
        items.push(good(&server.name, "note", text.to_owned()));
    };
    if found.superuser {
        note(
            "the user to drill as is a superuser: a dump is code that runs with its rights, and could change anything there; \
             use one with CREATEDB and CREATEROLE only",
        );
    }
    if is_the_same(server, &target).await {
        note(
            "drills run on the server that is backed up: names keep them apart from everything else there, but they are load, \
             and need as much room again as the databases have",
        );
    }
}

/// Whether both are one instance: by address, or by what initdb wrote into it.
async fn is_the_same(server: &Server, scratch: &Target) -> bool {
    let Ok(source) = Target::resolve(&server.connection) else {
        return false;
    };
    if given::same_address(&source, scratch) {
        return true;
    }
    match (
        given::identity(&source).await,
        given::identity(scratch).await,
    ) {
        (Some(source), Some(scratch)) => source == scratch,
        _ => false,
    }
}

fn describe(found: binaries::Binaries) -> String {
    let user = found
        .run_as
        .map_or_else(String::new, |user| format!(", run as {}", user.name));
    format!(
        "PostgreSQL {} in {}{user}",
        found.version,
        found.directory.display()
    )
}

async fn connect(server: &Server) -> Result<(Version, String)> {
    let target = Target::resolve(&server.connection)?;
    let (session, version, text) = live::open(&target).await?;
    session.close().await;
    Ok((version, format!("{target}, PostgreSQL {text}")))
}

/// Where someone else takes the backups, the directory need not be writable.
fn directory(server: &Server) -> Item {
    match writable(&server.directory) {
        Err(failure) if server.observes().is_some() && server.directory.is_dir() => good(
            &server.name,
            "note",
            format!(
                "{}; without that there are no manifests and no ledger, and what is found is known until pgvigil ends",
                failure.sentence()
            ),
        ),
        result => judged(server, "directory", result),
    }
}

/// Whether what someone else writes can be read.
fn files(server: &Server) -> Result<String> {
    let files = store::list(&server.directory, server.archives())?;
    for file in &files {
        std::fs::File::open(&file.path).map_err(|error| {
            Failure::io(format!("read archive {}", file.path.display()), error)
                .remedy("let the user that pgvigil runs as read what the job writes")
        })?;
    }
    Ok(format!(
        "{} of the name {}",
        render::plural(files.len() as u64, "file"),
        server.archives()
    ))
}

/// Whether a file can be made in the directory, by making one and removing it.
fn writable(directory: &Path) -> Result<String> {
    let probe = directory.join(format!(".pgvigil-check-{}", std::process::id()));
    let failed = |error| {
        Failure::io(format!("write in directory {}", directory.display()), error)
            .remedy("create it, and make it writable for the user that pgvigil runs as")
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .map_err(failed)?;
    std::fs::remove_file(&probe).map_err(failed)?;
    Ok(format!("{} can be written to", directory.display()))
}

/// Whether the next backup will fit, and when one no longer will.
fn room(server: &Server) -> Result<String> {
    let directory = server.directory.display();
    let space = Jobs::default().space(server, None).ok_or_else(|| {
        let what = format!("ask for the free space of {directory}");
        Failure::new(FailureKind::Directory, what).remedy("create it, and make it readable")
    })?;
    let outlook = Jobs::default().load(server)?.outlook;
    let free = render::bytes(space.available_bytes);
    let Some(predicted) = outlook.predicted_bytes else {
        return Ok(format!("{free} free; no backup yet to compare with"));
    };
    let next = render::bytes(predicted);
    if space.available_bytes < forecast::room_for(predicted) {
        let what = format!(
            "find room for the next backup in {directory}: {free} free, it will have about {next}"
        );
        return Err(Failure::new(FailureKind::NoSpace, what)
            .remedy("free space on the volume, or make it larger"));
    }
    let full = outlook.volume.full_at.map_or_else(String::new, |at| {
        format!(
            "; at the present pace one will no longer fit on {}",
            at.format("%Y-%m-%d")
        )
    });
    Ok(format!(
        "{free} free, the next backup will have about {next}{full}"
    ))
}

fn text(items: &[Item]) -> String {
    items
        .iter()
        .map(|item| {
            let mark = match (item.good, item.what) {
                (true, "note") => "    ",
                (true, _) => "good",
                (false, _) => "BAD ",
            };
            let server = if item.server.is_empty() {
                String::new()
            } else {
                format!("{}: ", item.server)
            };
            format!("{mark}  {server}{}: {}\n", item.what, item.detail)
        })
        .collect()
}
