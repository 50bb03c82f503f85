//! A server with a shop, one backup of it, and copies of the shop to restore into.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::support::archive::{gunzip, gzip};
use crate::support::place::Place;
use crate::support::program::{Done, Pgvigil, pgvigil};
use crate::support::programs;
use crate::support::server::Server;

const SHOP: &str = include_str!("shop.sql");

/// The server, and its backup.
pub(crate) struct Stand {
    pub(crate) server: Server,
    pub(crate) archive: PathBuf,
    place: Place,
    /// A template must not be in use.
    copying: Mutex<()>,
}

/// Of the system's version.
pub(crate) fn system() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| Stand::new(Server::start(&programs::system())))
}

/// Of version 18.
pub(crate) fn eighteen() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| Stand::new(Server::start(&programs::eighteen())))
}

/// Both.
pub(crate) fn both() -> [&'static Stand; 2] {
    [system(), eighteen()]
}

impl Stand {
    fn new(server: Server) -> Self {
        server.script(SHOP, &[]);
        let place = Place::new();
        pgvigil(&place)
            .on(&server, &place)
            .args(["backup"])
            .run()
            .exits(0);
        let archive = place.archives().pop().unwrap();
        Self {
            server,
            archive,
            place,
            copying: Mutex::new(()),
        }
    }

    /// A copy of a database, as it is in the backup, for one test.
    pub(crate) fn copy_of(&'static self, template: &'static str) -> Copy {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("copy_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let _one = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        self.server.psql(
            "postgres",
            &format!("create database {name} template {template}"),
        );
        Copy {
            stand: self,
            template,
            name,
        }
    }

    /// The shop's copy.
    pub(crate) fn shop(&'static self) -> Copy {
        self.copy_of("shop")
    }

    /// The backup as any other tool would have made it, after a change of its text.
    pub(crate) fn foreign(&self, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
        // The section in another encoding comes out broken, and is not asked for.
        let text = String::from_utf8_lossy(&gunzip(&self.archive)).into_owned();
        let path = self.place.join(name);
        std::fs::write(&path, gzip(change(text).as_bytes())).unwrap();
        path
    }
}

/// A database to restore into.
pub(crate) struct Copy {
    stand: &'static Stand,
    template: &'static str,
    pub(crate) name: String,
}

impl Copy {
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.stand.server.psql(&self.name, sql)
    }

    /// What pg_dump says of it.
    pub(crate) fn dump(&self, args: &[&str]) -> String {
        let output = self
            .stand
            .server
            .client("pg_dump")
            .args(args)
            .arg(&self.name)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pg_dump: {said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let key =
            |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
        text.lines().filter(key).collect::<Vec<_>>().join("\n")
    }

    /// A restore into it, about to be run.
    pub(crate) fn restore(&self, place: &Place, archive: &Path, user: &str) -> Pgvigil {
        let socket = self.stand.server.socket();
        let host = socket.to_str().unwrap();
        let url = format!("postgresql://{user}@/{}?host={host}", self.name);
        pgvigil(place).args(["restore"]).about(archive).args([
            "--to",
            &url,
            "--database",
            self.template,
            "--into",
            &self.name,
            "--pg-bin",
            self.stand.server.programs().directory.to_str().unwrap(),
            "--yes",
        ])
    }

    /// Restores from the backup.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let place = Place::new();
        self.restore(&place, &self.stand.archive, "postgres")
            .args(args)
            .run()
    }

    /// Restores from the backup; it is to succeed, and nothing else is to change.
    #[track_caller]
    pub(crate) fn restores(&self, args: &[&str], but: &[&str]) -> Done {
        let but: Vec<_> = but
            .iter()
            .map(|table| format!("--exclude-table={table}"))
            .collect();
        let but: Vec<_> = but.iter().map(String::as_str).collect();
        let before = self.dump(&but);
        let done = self.run(args).exits(0);
        assert_same(&before, &self.dump(&but));
        done
    }

    /// Restores from the backup; it is to fail, and nothing is to change.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], code: i32, says: &[&str]) {
        self.fails_with(&self.stand.archive, args, code, says);
    }

    /// The same from another file.
    #[track_caller]
    pub(crate) fn fails_with(&self, archive: &Path, args: &[&str], code: i32, says: &[&str]) {
        let place = Place::new();
        let before = self.dump(&[]);
        let done = self
            .restore(&place, archive, "postgres")
            .args(args)
            .run()
            .exits(code);
        let sentence = done.sentence();
        for said in says {
            assert!(sentence.contains(said), "{said:?} is not in: {sentence}");
        }
        assert_same(&before, &self.dump(&[]));
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        let mut psql = self.stand.server.client("psql");
        let _ = psql.args(["-XqAt", "-d", "postgres", "-c", &drop]).output();
    }
}

/// Two dumps are the same; where not, the first lines that differ are shown.
#[track_caller]
pub(crate) fn assert_same(before: &str, after: &str) {
    if before == after {
        return;
    }
    let differs: Vec<_> = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after)
        .take(5)
        .collect();
    panic!(
        "{} and {} lines, of which differ: {differs:#?}",
        before.lines().count(),
        after.lines().count()
    );
}
