//! Every backup kept, the newest first.

use serde::Serialize;

use super::backup::Backup;
use crate::status::{ServerView, Snapshot};

/// All of them, or those of one server.
#[derive(Serialize)]
pub(in crate::http) struct Backups<'a> {
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    backups: Vec<Backup<'a>>,
}

/// The backups of all servers, or of the one that is named.
pub(in crate::http) fn of<'a>(snapshot: &'a Snapshot, server: Option<&str>) -> Backups<'a> {
    let wanted = |view: &&ServerView| server.is_none_or(|name| view.config.name == name);
    let servers = snapshot.servers.iter().filter(wanted).map(|view| Server {
        name: &view.config.name,
        backups: view.status.backups.iter().map(Backup::from).collect(),
    });
    Backups {
        servers: servers.collect(),
    }
}
