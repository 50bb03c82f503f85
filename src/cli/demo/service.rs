//! The service on the sample server, with a job every few minutes, so that there is something to see.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;

use crate::cli::serve::Jobs;
use crate::cli::{Verb, terminal};
use crate::config::{Config, Http, Schedule, Server};
use crate::daemon::{self, Stop};
use crate::error::{Failure, FailureKind, Result};
use crate::pg::scratch;

/// The usual port.
const PORT: u16 = 9959;

/// When backups are taken, verified and drilled. A backup of the sample has 43 MiB, and all of them stay: more often would
/// fill a small disk in an afternoon.
const SCHEDULES: [&str; 3] = ["*/10 * * * *", "3-59/10 * * * *", "6-59/10 * * * *"];

/// Serves page, metrics and API until it is asked to end. `secrets` is a directory of ours, for the token; `kept` says
/// whether the backups outlive the demo.
pub(super) async fn run(
    server: Server,
    listen: Option<SocketAddr>,
    secrets: &Path,
    kept: bool,
) -> Verb {
    let name = server.name.clone();
    let directory = server.directory.display().to_string();
    let token = make_token(secrets)?;
    let shown = token.display().to_string();
    let config = Config {
        servers: vec![busy(server)],
        http: Http {
            listen: listen.unwrap_or_else(free),
            web_config_file: None,
            token_file: Some(token),
        },
        jobs: 1,
        alertmanager: None,
    };
    let what = if kept {
        "everything but the backups"
    } else {
        "everything"
    };
    let say = |address: SocketAddr| {
        let text = format!(
            "\nmetrics: http://{address}/metrics\n\
             backups: {directory}; every 10 minutes one is taken, verified and restored, and at once (drill, verify) by\n         \
             curl -H \"Authorization: Bearer $(cat {shown})\" -X POST http://{address}/api/v1/servers/{name}/backup\n\
             The page: http://{address}/ — Ctrl-C ends the demo and removes {what}\n"
        );
        // The address is in the log too.
        let _ = terminal::print(&text);
    };
    let jobs = Arc::new(Jobs::default());
    daemon::serve(config, None, jobs, stop_when_asked(), say)
        .await
        .map_err(|error| match error.kind() {
            FailureKind::Io => error.remedy("choose another address with --listen").into(),
            _ => error.into(),
        })
}

/// Of those who may ask for jobs: whoever may read that file.
fn make_token(directory: &Path) -> Result<PathBuf> {
    let mut token = String::new();
    for _ in 0..8 {
        token.push_str(&format!("{:08x}", scratch::random_id()?));
    }
    let path = directory.join("token");
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(token.as_bytes()))
        .map_err(|error| Failure::io(format!("write {}", path.display()), error))?;
    Ok(path)
}

/// As a job is: by Ctrl-C, SIGTERM, and when the terminal is closed, which for the service would mean something else.
fn stop_when_asked() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        terminal::end_requested().await;
        asked.drain();
        terminal::end_requested().await;
        asked.abort();
    });
    stop
}

/// The server with schedules.
fn busy(mut server: Server) -> Server {
    let [backup, verify, drill] =
        SCHEDULES.map(|expression| Schedule::parse(expression, Tz::UTC).ok());
    server.backup.schedule = backup;
    server.verify.schedule = verify;
    server.drill.schedule = drill;
    server
}

/// The usual address, or one that is free where somebody listens there.
fn free() -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context;
    use crate::config::Connection;

    #[test]
    fn everything_has_a_schedule() {
        let connection = Connection::default();
        let server = busy(context::unconfigured(
            "demo",
            connection,
            PathBuf::from("."),
            None,
        ));
        assert!(server.backup.schedule.is_some());
        assert!(server.verify.schedule.is_some());
        assert!(server.drill.schedule.is_some());
    }

    #[test]
    fn a_port_that_is_taken_is_not_taken_again() {
        // Whether it is ours or someone else's who has it.
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT));
        assert_eq!(free().port(), 0);
        drop(held);
    }
}
