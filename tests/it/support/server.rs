//! Throwaway PostgreSQL servers, on a leash: they end with this process, however it ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::place::{executable, leashed, root};
use super::programs::Programs;
use super::{are_root, nobody, wait_until};

/// A running server behind a socket, without TCP; its superuser is `postgres`, and everyone is trusted.
#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    directory: PathBuf,
    leash: Child,
}

impl Server {
    pub(crate) fn start(programs: &Programs) -> Self {
        Self::start_with(programs, &[])
    }

    /// The same with further settings.
    pub(crate) fn start_with(programs: &Programs, settings: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = root().join(format!("s{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        for path in [
            directory.clone(),
            directory.join("data"),
            directory.join("s"),
            directory.join("elsewhere"),
        ] {
            fs::create_dir(&path).unwrap();
            if are_root() {
                let (uid, gid) = nobody();
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        initdb(programs, &directory.join("data"));
        fs::write(directory.join("pgvigil-scratch"), "").unwrap();
        let mut command = leashed(&executable());
        if are_root() {
            let (uid, gid) = nobody();
            command.args(["--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        }
        let log = fs::File::create(directory.join("log")).unwrap();
        command
            .arg("--remove")
            .arg(&directory)
            .arg("--")
            .arg(programs.program("postgres"))
            .arg("-D")
            .arg(directory.join("data"))
            .arg("-k")
            .arg(directory.join("s"));
        let usual = [
            "listen_addresses=",
            "fsync=off",
            "autovacuum=off",
            "shared_buffers=16MB",
        ];
        for setting in usual.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let leash = command.env_clear().stderr(log).spawn().unwrap();
        let server = Self {
            programs: programs.clone(),
            directory,
            leash,
        };
        wait_until("the server answers", Duration::from_secs(60), || {
            server
                .psql_command("postgres", "select 1")
                .output()
                .unwrap()
                .status
                .success()
        });
        server
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The directory of its socket: its host.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("s")
    }

    /// A directory for a tablespace.
    pub(crate) fn elsewhere(&self) -> PathBuf {
        self.directory.join("elsewhere")
    }

    /// Who may connect how: the whole of pg_hba.conf.
    pub(crate) fn admit(&self, rules: &str) {
        fs::write(self.directory.join("data/pg_hba.conf"), rules).unwrap();
        self.psql("postgres", "select pg_reload_conf()");
    }

    /// Ends one of its processes like a bug of its own would: it ends all sessions, recovers, and goes on.
    pub(crate) fn crash(&self) {
        let ask = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
        let pid: i32 = self.psql("postgres", ask).parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        wait_until("the server has recovered", Duration::from_secs(60), || {
            let asked = self.psql_command("postgres", "select 1").output();
            asked.unwrap().status.success()
        });
    }

    /// Client programs of the server's version, connected as its superuser.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.program(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("PGHOST", self.socket())
            .env("PGUSER", "postgres")
            .env("PGCLIENTENCODING", "UTF8");
        command
    }

    fn psql_command(&self, database: &str, sql: &str) -> Command {
        let mut command = self.client("psql");
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        command
    }

    /// Runs one command; gives what it says.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.psql_command(database, sql).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a script, with psql's variables.
    pub(crate) fn script(&self, sql: &str, variables: &[(&str, &str)]) {
        let mut command = self.client("psql");
        command.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]);
        for (name, value) in variables {
            command.arg("-v").arg(format!("{name}={value}"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(sql.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "psql failed; see above");
    }

    /// What `pg_dumpall --clean --if-exists` writes.
    pub(crate) fn dump(&self) -> Vec<u8> {
        self.dump_by("pg_dumpall", &["--clean", "--if-exists"])
    }

    /// What pg_dump or pg_dumpall writes.
    pub(crate) fn dump_by(&self, program: &str, args: &[&str]) -> Vec<u8> {
        // Not the encoding of a terminal: that of each database, as pgvigil takes it.
        let output = self
            .client(program)
            .env_remove("PGCLIENTENCODING")
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        output.stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        self.leash.wait().unwrap();
    }
}

fn initdb(programs: &Programs, data: &std::path::Path) {
    let mut command = Command::new(programs.program("initdb"));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .args([
            "--no-sync",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--username=postgres",
            "--pgdata",
        ])
        .arg(data);
    if are_root() {
        let (uid, gid) = nobody();
        command.uid(uid).gid(gid);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {said}",
        programs.program("initdb").display()
    );
}
