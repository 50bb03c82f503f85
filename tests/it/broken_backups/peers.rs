//! What people check backups with, beside us: does it say that something is wrong?

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::edits::Dump;
use crate::support::server::Server;

/// psql's exit status, and nothing else, is what a script looks at.
fn psql(server: &Server, text: &str, database: &str, arguments: &[&str]) -> bool {
    let mut child = server
        .client("psql")
        .args(["-Xq", "-U", "restorer", "-d", database])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait().unwrap().success()
}

/// A throwaway server that dumps are restored into, one after the other. The superuser `restorer` and its database are in
/// no dump; the server's own superuser cannot be dropped, so that the two statements about it are left out. So are its own
/// databases, which are empty: making them anew takes longer than all the rest.
pub(super) struct Restores(Server);

impl Restores {
    pub(super) fn on(server: Server) -> Self {
        server.psql("postgres", "CREATE ROLE restorer SUPERUSER LOGIN");
        server.psql("postgres", "CREATE DATABASE restorer");
        Self(server)
    }

    fn clear(&self) {
        let clear = "DROP DATABASE IF EXISTS shop WITH (FORCE); DROP DATABASE IF EXISTS archive WITH (FORCE); \
                     DROP DATABASE IF EXISTS alone WITH (FORCE); DROP ROLE IF EXISTS boss; DROP ROLE IF EXISTS clerk;";
        assert!(psql(&self.0, clear, "restorer", &["-v", "ON_ERROR_STOP=1"]));
    }

    fn whole(&self, dump: &Dump, arguments: &[&str]) -> bool {
        self.clear();
        psql(
            &self.0,
            &dump.without_system_databases(),
            "restorer",
            arguments,
        )
    }

    /// `gunzip -c | psql`
    pub(super) fn psql(&self, dump: &Dump) -> bool {
        self.whole(dump, &[])
    }

    /// `gunzip -c | psql -v ON_ERROR_STOP=1`
    pub(super) fn strict(&self, dump: &Dump) -> bool {
        self.whole(dump, &["-v", "ON_ERROR_STOP=1"])
    }

    /// One database in one transaction, all or nothing, as `pg_restore --single-transaction` does it. A dump of the whole
    /// cluster cannot be restored so; its text can, and what is wrong is in the text.
    pub(super) fn one_transaction(&self, dump: &Dump) -> bool {
        self.clear();
        let prepare = "CREATE ROLE clerk; CREATE ROLE boss; CREATE DATABASE alone;";
        assert!(psql(
            &self.0,
            prepare,
            "restorer",
            &["-v", "ON_ERROR_STOP=1"]
        ));
        let Some(section) = dump.section("shop") else {
            return true;
        };
        // Settings of the database are of another one here.
        psql(&self.0, &section, "alone", &["-1", "-v", "ON_ERROR_STOP=1"])
    }
}

/// `gunzip -t`
pub(super) fn gunzip(path: &Path) -> bool {
    Command::new("gunzip")
        .arg("-t")
        .stdin(std::fs::File::open(path).unwrap())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}
