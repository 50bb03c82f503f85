//! What the command line and the environment amount to: which servers, which backup.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Args;
use crate::config::{
    Config, Connection, Drill, Objectives, PasswordSource, Retention, Server, SslMode, Verify, raw,
};
use crate::error::{Failure, FailureKind, Result};
use crate::store;

/// The name of the one server that there is without a configuration.
const UNCONFIGURED: &str = "default";

fn usage(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, what)
}

/// The configuration, if one was named.
pub(super) fn config(args: &Args) -> Result<Option<Config>> {
    let Some(path) = &args.config else {
        return Ok(None);
    };
    for (flag, given) in [
        ("--directory", args.directory.is_some()),
        ("--pg-bin", args.pg_bin.is_some()),
    ] {
        if given {
            return Err(usage(format!(
                "use {flag} together with --config: the configuration says that for each server"
            )));
        }
    }
    raw::read(path).map(Some)
}

/// All servers.
pub(super) fn servers(args: &Args) -> Result<Vec<Server>> {
    let servers = match config(args)? {
        Some(config) => config.servers,
        None => vec![from_environment(args)?],
    };
    let Some(name) = &args.server else {
        return Ok(servers);
    };
    let known = servers
        .iter()
        .map(|server| server.name.clone())
        .collect::<Vec<_>>()
        .join(", ");
    let named: Vec<_> = servers
        .into_iter()
        .filter(|server| server.name == *name)
        .collect();
    if named.is_empty() {
        return Err(usage(format!(
            "find server {name}: the configuration has {known}"
        )));
    }
    Ok(named)
}

/// The one server meant.
pub(super) fn server(args: &Args) -> Result<Server> {
    let mut servers = servers(args)?;
    match (servers.pop(), servers.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let names: Vec<_> = others
                .iter()
                .chain(&last)
                .map(|server| server.name.as_str())
                .collect();
            Err(usage(format!(
                "choose a server: the configuration has {}",
                names.join(", ")
            ))
            .remedy("name one with --server"))
        }
    }
}

/// A backup and its server: by path, by name, or the latest.
pub(super) fn backup(args: &Args, wanted: &str) -> Result<(Server, PathBuf)> {
    let mut servers = servers(args)?;
    // A path says by itself whose it is.
    let parent = Path::new(wanted)
        .canonicalize()
        .ok()
        .filter(|path| path.is_file())
        .and_then(|path| path.parent().map(Path::to_owned));
    if let Some(parent) = parent
        && let Some(index) = servers.iter().position(|server| {
            server
                .directory
                .canonicalize()
                .is_ok_and(|directory| directory == parent)
        })
    {
        return Ok((servers.swap_remove(index), PathBuf::from(wanted)));
    }
    let server = server(args)?;
    let path = store::find(&server, wanted)?;
    Ok((server, path))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The server that libpq's variables name.
fn from_environment(args: &Args) -> Result<Server> {
    for name in ["PGSERVICE", "PGHOSTADDR", "PGREQUIRESSL", "PGSSLCERT"] {
        if variable(name).is_some() {
            return Err(usage(format!(
                "use {name} from the environment: pgvigil does not know it"
            ))
            .remedy("unset it, and use PGHOST, PGPORT, PGUSER and PGSSLMODE"));
        }
    }
    let port = variable("PGPORT")
        .map(|text| {
            text.parse().map_err(|error| {
                usage(format!("read PGPORT={text}"))
                    .because(error)
                    .remedy("set it to a number up to 65535")
            })
        })
        .transpose()?;
    let sslmode = variable("PGSSLMODE")
        .map(|word| SslMode::parse(&word).ok_or_else(|| usage(format!("read PGSSLMODE={word}: it is disable, prefer, require, verify-ca or verify-full"))))
        .transpose()?;
    let seconds = variable("PGCONNECT_TIMEOUT")
        .map(|text| {
            text.parse().map_err(|error| {
                usage(format!("read PGCONNECT_TIMEOUT={text}"))
                    .because(error)
                    .remedy("set it to seconds")
            })
        })
        .transpose()?;
    let connection = Connection {
        host: variable("PGHOST"),
        port,
        user: variable("PGUSER"),
        database: variable("PGDATABASE"),
        password: PasswordSource::Environment,
        sslmode: sslmode.unwrap_or_default(),
        sslrootcert: variable("PGSSLROOTCERT").map(PathBuf::from),
        connect_timeout: seconds
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
    };
    Ok(unconfigured(
        UNCONFIGURED,
        connection,
        args.directory.clone().unwrap_or_else(|| PathBuf::from(".")),
        args.pg_bin.clone(),
    ))
}

/// A server with every default and no schedules, of which nothing is removed.
pub(super) fn unconfigured(
    name: &str,
    connection: Connection,
    directory: PathBuf,
    pg_bin: Option<PathBuf>,
) -> Server {
    Server {
        name: name.to_owned(),
        connection,
        directory,
        pg_bin,
        paused: None,
        volume: crate::config::Volume::default(),
        backup: crate::config::Backup::default(),
        retention: Retention::ALL,
        verify: Verify::default(),
        drill: Drill::default(),
        objectives: Objectives::default(),
    }
}
