//! A small sample with everything that has broken backups before, on one server per version, and one backup of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use super::place::Place;
use super::program::pgvigil;
use super::programs;
use super::server::Server;

const GLOBALS: &str = include_str!("globals.sql");
const DATABASES: &str = include_str!("databases.sql");

/// The sample on the system's version; nobody changes it.
pub(crate) fn system() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| filled(Server::start(&programs::system())))
}

/// The sample on version 18; nobody changes it.
pub(crate) fn eighteen() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| filled(Server::start(&programs::eighteen())))
}

fn filled(server: Server) -> Server {
    let elsewhere = server.elsewhere();
    server.script(GLOBALS, &[("tablespace", elsewhere.to_str().unwrap())]);
    server.script(DATABASES, &[]);
    server
}

/// A published backup: its name, its bytes, its manifest.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) name: String,
    pub(crate) archive: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

/// One backup of the system's sample.
pub(crate) fn backup() -> &'static Backup {
    static BACKUP: OnceLock<Backup> = OnceLock::new();
    BACKUP.get_or_init(Backup::take)
}

impl Backup {
    /// Takes one of the system's sample.
    pub(crate) fn take() -> Self {
        Self::take_of(system(), &Place::new())
    }

    /// Takes one of a server, in a place.
    pub(crate) fn take_of(server: &Server, place: &Place) -> Self {
        pgvigil(place)
            .on(server, place)
            .args(["backup"])
            .run()
            .exits(0);
        let path = place.archives().pop().unwrap();
        Self {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            archive: fs::read(&path).unwrap(),
            manifest: fs::read(format!("{}.manifest.json", path.display())).unwrap(),
        }
    }

    /// Puts it into a directory as one that was begun at that time.
    pub(crate) fn put_as(&self, directory: &Path, begun: DateTime<Utc>) -> PathBuf {
        let name = begun
            .format("postgresql_backup_%Y%m%d_%H%M%S.sql.gz")
            .to_string();
        let mut manifest: serde_json::Value = serde_json::from_slice(&self.manifest).unwrap();
        manifest["archive"]["file_name"] = name.clone().into();
        for key in ["started_at", "finished_at"] {
            manifest[key] = begun.to_rfc3339().into();
        }
        let path = directory.join(name);
        fs::write(&path, &self.archive).unwrap();
        let text = serde_json::to_string_pretty(&manifest).unwrap();
        fs::write(format!("{}.manifest.json", path.display()), text).unwrap();
        path
    }

    /// Puts it into a place's backup directory.
    pub(crate) fn put(&self, place: &Place) -> PathBuf {
        let path = place.backups().join(&self.name);
        fs::write(&path, &self.archive).unwrap();
        fs::write(format!("{}.manifest.json", path.display()), &self.manifest).unwrap();
        path
    }
}
