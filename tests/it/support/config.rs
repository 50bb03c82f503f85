//! A configuration file for one server that runs nothing by itself.

use std::path::{Path, PathBuf};

use super::place::Place;
use super::server::Server;

/// The name of the server in it.
pub(crate) const NAME: &str = "sample";

/// Writes it into a place; `timeout` is how long a backup may take.
pub(crate) fn write(place: &Place, server: &Server, pg_bin: &Path, timeout: &str) -> PathBuf {
    with_policy(place, server, pg_bin, &format!("timeout: {timeout}"), "")
}

/// The same; `backup` is all that is said of backups.
pub(crate) fn write_backup(place: &Place, server: &Server, pg_bin: &Path, backup: &str) -> PathBuf {
    write_sections(place, server, pg_bin, backup, "")
}

/// Writes it into a place, with more about its backups and what is kept of them.
pub(crate) fn with_policy(
    place: &Place,
    server: &Server,
    pg_bin: &Path,
    backup: &str,
    retention: &str,
) -> PathBuf {
    let backup = format!("schedule: never, {backup}");
    write_sections(place, server, pg_bin, &backup, retention)
}

fn write_sections(
    place: &Place,
    server: &Server,
    pg_bin: &Path,
    backup: &str,
    retention: &str,
) -> PathBuf {
    let path = place.join("pgvigil.yaml");
    let text = format!(
        "servers:
  - name: {NAME}
    connection: {{ host: '{}', user: postgres }}
    directory: '{}'
    pg_bin: '{}'
    backup: {{ {backup} }}
    retention: {{ {retention} }}
    verify: {{ schedule: never }}
    drill: {{ schedule: never }}
http: {{ listen: '127.0.0.1:0' }}
",
        server.socket().display(),
        place.backups().display(),
        pg_bin.display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// The same without a server to reach; `http` is more of that section.
pub(crate) fn write_alone(place: &Place, http: &str) -> PathBuf {
    let path = place.join("pgvigil.yaml");
    let text = format!(
        "servers:
  - name: {NAME}
    connection: {{ host: '{}' }}
    directory: '{}'
    backup: {{ schedule: never }}
    verify: {{ schedule: never }}
    drill: {{ schedule: never }}
http: {{ listen: '127.0.0.1:0'{http} }}
",
        place.tmp().display(),
        place.backups().display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}
