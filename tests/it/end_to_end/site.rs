//! What is watched: PostgreSQL, one pgvigil with many servers, and another one that is there to be killed.
//!
//! All names mean one PostgreSQL; what goes wrong with one of them must not be seen at the others.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::support::http::own_address;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::server::Server;
use crate::support::sidecar::Sidecar;
use crate::support::volume::Volume;
use crate::support::{programs, sample, wait_until};

/// How long a job may take on a busy machine.
const JOB: Duration = Duration::from_secs(120);

/// Those that stay well, with jobs all the time.
pub(super) const HEALTHY: [&str; 2] = ["healthy-1", "healthy-2"];

/// When each of their jobs is due.
const OFTEN: &str = "*/2 * * * *";

/// Those that something happens to, with the role that each connects as. Nothing of theirs runs by itself.
const FAULTY: [(&str, &str); 6] = [
    ("failed", "backup"),
    ("stale", "postgres"),
    ("corrupt", "postgres"),
    ("drill", "postgres"),
    ("volume", "postgres"),
    ("killed", "postgres"),
];

/// The one whose pgvigil is killed.
const KILLED: &str = "killed";

/// The one whose folder is a volume of its own.
const ON_A_VOLUME: &str = "volume";

/// How old the newest backup of `stale` is: older than the 48 hours that are allowed where nothing else is said.
const DAYS: i64 = 3;

const TOKEN: &str = "end-to-end";

pub(super) struct Site {
    pub(super) server: Server,
    pub(super) volume: Volume,
    pub(super) filler: Option<PathBuf>,
    sidecar: Option<Sidecar>,
    /// The other one; not while it is dead.
    other: Option<Sidecar>,
    place: Place,
}

impl Site {
    /// All is well, but that nobody has taken a backup of `stale` for days.
    pub(super) fn start() -> Self {
        let place = Place::new();
        let server = Server::start(&programs::system());
        server.psql("postgres", "create role backup superuser login");
        server.psql("postgres", "create database shop");
        // So much that an emptied table does not make the dump a small one.
        server.psql(
            "shop",
            "create table customers as select md5(g::text) as name from generate_series(1, 3000) g",
        );
        server.psql(
            "shop",
            "create table orders as select g as id from generate_series(1, 500) g",
        );
        let at = place.join("volume");
        fs::create_dir(&at).unwrap();
        let mut site = Self {
            volume: Volume::mount(&at, "8m"),
            server,
            filler: None,
            sidecar: None,
            other: None,
            place,
        };
        site.prepare();
        let config = site.place.join("pgvigil.yaml");
        let command = site.volume.inside(&site.place);
        site.sidecar = Some(Sidecar::by(command, &config));
        site.start_other();
        site
    }

    /// Folders, configurations, and a backup of each. Those that stay well are proven too: from the first entry of a ledger
    /// on, two intervals may pass without, and a busy machine needs its time.
    fn prepare(&self) {
        fs::write(self.place.join("token"), TOKEN).unwrap();
        fs::create_dir(self.volume.path().join(ON_A_VOLUME)).unwrap();
        let names = FAULTY.iter().map(|(name, _)| *name).chain(HEALTHY);
        for name in names.clone().filter(|name| *name != ON_A_VOLUME) {
            fs::create_dir(self.directory(name)).unwrap();
        }
        let here: String = FAULTY
            .iter()
            .filter(|(name, _)| *name != KILLED)
            .map(|(name, role)| self.entry(name, role, "never", "never", "never"))
            .chain(
                HEALTHY
                    .iter()
                    .map(|name| self.entry(name, "postgres", OFTEN, OFTEN, OFTEN)),
            )
            .collect();
        let elsewhere = self.entry(KILLED, "postgres", "never", "never", "never");
        self.write_config("pgvigil.yaml", "127.0.0.1:0", &here);
        self.write_config("other.yaml", &own_address(9959).to_string(), &elsewhere);
        for name in names.filter(|name| *name != "stale") {
            let config = if name == KILLED {
                "other.yaml"
            } else {
                "pgvigil.yaml"
            };
            let jobs: &[&[&str]] = if HEALTHY.contains(&name) {
                &[&["backup"], &["verify", "latest"], &["drill", "latest"]]
            } else {
                &[&["backup"]]
            };
            for job in jobs {
                let command = self.volume.inside(&self.place).args(*job);
                let command = command.args(["--server", name, "--config"]);
                command.about(&self.place.join(config)).run().exits(0);
            }
        }
        let scratch = Place::new();
        let backup = sample::Backup::take_of(&self.server, &scratch);
        backup.put_as(&self.directory("stale"), Utc::now() - TimeDelta::days(DAYS));
    }

    fn write_config(&self, file: &str, listen: &str, servers: &str) {
        let text = format!(
            "http: {{ listen: '{listen}', token_file: '{}' }}\nlimits: {{ jobs: 2 }}\nservers:\n{servers}",
            self.place.join("token").display()
        );
        fs::write(self.place.join(file), text).unwrap();
    }

    fn entry(&self, name: &str, role: &str, backup: &str, verify: &str, drill: &str) -> String {
        let directory = if name == ON_A_VOLUME {
            self.volume.at.join(name)
        } else {
            self.directory(name)
        };
        let table = if name == "drill" {
            "orders"
        } else {
            "customers"
        };
        format!(
            "  - name: {name}
    connection: {{ host: '{}', user: {role}, database: postgres }}
    directory: '{}'
    pg_bin: '{}'
    backup: {{ schedule: '{backup}', retries: 0 }}
    verify: {{ schedule: '{verify}' }}
    drill:
      schedule: '{drill}'
      checks: [{{ name: rows, database: shop, sql: 'select count(*) from {table}', expect: '> 0' }}]
",
            self.server.socket().display(),
            directory.display(),
            self.server.programs().directory.display(),
        )
    }

    /// Where the backups of a server are, as we see them.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        if name == ON_A_VOLUME {
            self.volume.path().join(name)
        } else {
            self.place.backups().join(name)
        }
    }

    fn sidecar(&self) -> &Sidecar {
        self.sidecar.as_ref().expect("it runs")
    }

    /// What Prometheus is to ask.
    pub(super) fn targets(&self) -> [SocketAddr; 2] {
        [self.sidecar().address, own_address(9959)]
    }

    pub(super) fn kill_other(&mut self) {
        self.other.take().expect("it runs").kill();
    }

    pub(super) fn start_other(&mut self) {
        let command = pgvigil(&self.place);
        self.other = Some(Sidecar::by(command, &self.place.join("other.yaml")));
    }

    /// Asks for a job, waits until it has ended, and gives its result as the ledger has it.
    pub(super) fn job(&self, server: &str, job: &str) -> String {
        let before = self.ledger(server, job).len();
        let path = format!("/api/v1/servers/{server}/{job}");
        wait_until(&format!("{job} of {server} is accepted"), JOB, || {
            self.sidecar().post(&path, TOKEN, "").status == 202
        });
        wait_until(&format!("{job} of {server} has ended"), JOB, || {
            self.ledger(server, job).len() > before && self.is_idle(server)
        });
        let last = self.ledger(server, job).pop().unwrap();
        last["result"].as_str().unwrap().to_owned()
    }

    fn is_idle(&self, server: &str) -> bool {
        let answer = self.sidecar().get("/api/v1/status");
        let status: Value = serde_json::from_str(&answer.body).unwrap();
        let servers = status["servers"].as_array().unwrap();
        let mut found = servers.iter().filter(|one| one["name"] == server);
        let one = found.next().expect(server);
        one["running"].is_null() && one["queued"].as_array().unwrap().is_empty()
    }

    /// The ledger's entries of a job.
    pub(super) fn ledger(&self, server: &str, job: &str) -> Vec<Value> {
        let path = self.directory(server).join("ledger.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|entry: &Value| entry["job"] == job)
            .collect()
    }

    /// The newest archive of a server.
    pub(super) fn newest(&self, server: &str) -> PathBuf {
        let entries = fs::read_dir(self.directory(server)).unwrap().flatten();
        let archives = entries
            .map(|entry| entry.path())
            .filter(|path| path.to_str().unwrap().ends_with(".sql.gz"));
        archives.max().expect("a backup")
    }

    /// Both end as they are told to.
    pub(super) fn stop(mut self) -> Place {
        self.sidecar.take().expect("it runs").stop();
        self.other.take().expect("it runs").stop();
        self.place
    }
}
