//! `pgvigil check`: configuration and surroundings, before the night.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Args;
use super::{Verb, blocking, context, ended, render, terminal};
use crate::config::{self, ScratchServer, Server};
use crate::error::{Failure, FailureKind, Result};
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

/// Room that the next backup should find: the last one's size, and a fifth more.
const ROOM: (u64, u64) = (6, 5);

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
        let configured = server.pg_bin.clone();
        let dump = blocking(move || binaries::for_dump(version, configured.as_deref())).await;
        items.push(judged(
            server,
            "pg_dumpall",
            dump.map(|found| format!("{} in {}", found.version, found.directory.display())),
        ));
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
    items.push(judged(server, "directory", writable(&server.directory)));
    items.push(judged(server, "free space", room(&server.directory)));
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

fn room(directory: &Path) -> Result<String> {
    let space = store::space::of(directory).map_err(|error| {
        Failure::io(
            format!("ask for the free space of {}", directory.display()),
            error,
        )
    })?;
    let Some(last) = store::list(directory)?.pop() else {
        return Ok(format!(
            "{} free; no backup yet to compare with",
            render::bytes(space.available_bytes)
        ));
    };
    let wanted = last.bytes / ROOM.1 * ROOM.0;
    if space.available_bytes < wanted {
        let what = format!(
            "find room for the next backup in {}: {} free, the last one has {}",
            directory.display(),
            render::bytes(space.available_bytes),
            render::bytes(last.bytes)
        );
        return Err(Failure::new(FailureKind::NoSpace, what)
            .remedy("free space on the volume, or make it larger"));
    }
    Ok(format!(
        "{} free, the last backup has {}",
        render::bytes(space.available_bytes),
        render::bytes(last.bytes)
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
