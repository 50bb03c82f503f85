//! The sidecar under everything at once, for as long as one likes: jobs every few seconds, a server that crashes, kill -9,
//! a full volume, rotated passwords, changed configurations. It does not grow, and nothing is lost or half done.
//!
//! `make test` runs three minutes of it, `make soak` thirty (`PGVIGIL_SOAK_SECONDS`). The first half has everything; the
//! second is one process' life without kills, so that what grows in it can be seen.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::place::Place;
use crate::support::program::all_gone;
use crate::support::random::Random;
use crate::support::server::Server;
use crate::support::sidecar::Sidecar;
use crate::support::volume::Volume;
use crate::support::{programs, wait_until};

const SECOND: Duration = Duration::from_secs(1);

const SERVERS: [&str; 3] = ["a", "b", "c"];

/// The volume: room for many backups of the sample, and quickly filled.
const VOLUME: &str = "48m";

/// Backups that are left of each server.
const KEPT: usize = 10;

/// How much a process may grow in its second half: what allocators keep, no more.
const GROWTH_KIB: u64 = 12 << 10;

/// What a process holds while nothing runs.
#[derive(Clone, Copy, Debug)]
struct Held {
    kib: u64,
    files: usize,
    processes: usize,
    temporary: usize,
}

struct Soak {
    place: Place,
    server: Server,
    volume: Volume,
    sidecar: Option<Sidecar>,
    random: Random,
    password: u32,
    age: u32,
    /// Accepted wishes by server and job.
    accepted: BTreeMap<(String, String), usize>,
}

impl Soak {
    fn new() -> Self {
        let place = Place::new();
        let server = Server::start(&programs::system());
        server.psql(
            "postgres",
            "create table t as select g as id, md5(g::text) as text from generate_series(1, 5000) g",
        );
        server.psql("postgres", "create role vigil superuser login");
        server.admit("local all vigil scram-sha-256\nlocal all all trust\n");
        let volume = Volume::mount(&place.backups(), VOLUME);
        for server in SERVERS {
            fs::create_dir(volume.path().join(server)).unwrap();
        }
        fs::write(place.join("token"), "soak\n").unwrap();
        let mut soak = Self {
            place,
            server,
            volume,
            sidecar: None,
            random: Random::seeded(8),
            password: 0,
            age: 1,
            accepted: BTreeMap::new(),
        };
        soak.rotate_password();
        soak.write_config();
        soak.start();
        soak
    }

    fn sidecar(&self) -> &Sidecar {
        self.sidecar.as_ref().expect("it runs")
    }

    fn start(&mut self) {
        let command = self
            .volume
            .inside(&self.place)
            .args(["serve", "--config"])
            .about(&self.place.join("pgvigil.yaml"));
        self.sidecar = Some(Sidecar::started_by(command));
    }

    fn write_config(&self) {
        let mut text = format!(
            "http: {{ listen: '127.0.0.1:0', token_file: '{}' }}\nlimits: {{ jobs: 2 }}\nservers:\n",
            self.place.join("token").display()
        );
        for server in SERVERS {
            text.push_str(&format!(
                "  - name: {server}
    connection: {{ host: '{}', user: vigil, database: postgres, password_file: '{}', connect_timeout: 5s }}
    directory: '{}'
    pg_bin: '{}'
    backup: {{ schedule: never, timeout: 60s, when_short: warn }}
    retention: {{ keep_days: 1, keep_min: 3 }}
    verify: {{ schedule: never }}
    drill: {{ schedule: never, timeout: 120s }}
    objectives: {{ max_age: {}h }}
",
                self.server.socket().display(),
                self.place.join("password").display(),
                self.volume.at.join(server).display(),
                self.server.programs().directory.display(),
                self.age,
            ));
        }
        fs::write(self.place.join("pgvigil.yaml"), text).unwrap();
    }

    fn rotate_password(&mut self) {
        self.password += 1;
        let password = format!("secret-{}", self.password);
        let change = format!("alter role vigil password '{password}'");
        self.server.psql("postgres", &change);
        fs::write(self.place.join("password"), password).unwrap();
    }

    fn reload(&mut self) {
        self.age = self.age % 90 + 1;
        self.write_config();
        self.sidecar().signal(Signal::HUP);
        let wanted = format!(
            "pgvigil_objective_max_age_seconds{{server=\"b\"}} {}",
            self.age * 3600
        );
        wait_until("the new configuration is in force", 20 * SECOND, || {
            self.sidecar().metrics().contains(&wanted)
        });
    }

    /// Fills the volume, lets backups meet that, and frees it again.
    fn fill(&mut self) {
        let filler = self.volume.fill();
        for server in SERVERS {
            self.ask(server, "backup");
        }
        self.settle();
        fs::remove_file(filler).unwrap();
    }

    /// Asks for a job; false where the same waits already.
    fn ask(&mut self, server: &str, job: &str) -> bool {
        let path = format!("/api/v1/servers/{server}/{job}");
        let answer = self.sidecar().post(&path, "soak", "");
        match answer.status {
            202 => {
                let key = (server.to_owned(), job.to_owned());
                *self.accepted.entry(key).or_default() += 1;
                true
            }
            409 | 429 => false,
            other => panic!("{other}: {}", answer.body),
        }
    }

    fn status(&self) -> Value {
        let answer = self.sidecar().get("/api/v1/status");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Waits until nothing runs and nothing waits.
    fn settle(&self) {
        wait_until("all jobs have ended", 180 * SECOND, || {
            let status = self.status();
            let servers = status["servers"].as_array().unwrap();
            servers.iter().all(|server| {
                server["running"].is_null() && server["queued"].as_array().unwrap().is_empty()
            })
        });
    }

    fn ledger(&self, server: &str) -> Vec<Value> {
        let path = self.volume.path().join(server).join("ledger.jsonl");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    /// kill -9, and what was at work then is in the ledger after the next start.
    fn kill(&mut self) {
        let running: Vec<(String, String)> = self.status()["servers"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|server| {
                let id = server["running"]["job_id"].as_str()?;
                Some((server["name"].as_str().unwrap().to_owned(), id.to_owned()))
            })
            .collect();
        self.sidecar.take().expect("it runs").kill();
        self.start();
        self.settle();
        for (server, id) in running {
            let entries = self.ledger(&server);
            let told = entries
                .iter()
                .any(|entry| entry["job_id"] == id.as_str() || entry["reason"] == "interrupted");
            assert!(
                told,
                "{server}: job {id} was killed, and the ledger is silent"
            );
        }
    }

    fn held(&self) -> Held {
        self.settle();
        self.thin_out();
        Held {
            kib: self.sidecar().memory_kib("VmRSS:"),
            files: self.sidecar().open_files(),
            processes: self.place.processes().len(),
            temporary: fs::read_dir(self.place.tmp()).unwrap().count(),
        }
    }

    /// Someone removes all but the newest, so that what there is to know does not grow.
    fn thin_out(&self) {
        for server in SERVERS {
            let directory = self.volume.path().join(server);
            let names = fs::read_dir(&directory).unwrap().flatten();
            let mut archives: Vec<_> = names
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
                .collect();
            archives.sort();
            archives.reverse();
            for archive in archives.iter().skip(KEPT) {
                let manifest = format!("{}.manifest.json", archive.display());
                fs::remove_file(archive).unwrap();
                let _ = fs::remove_file(manifest);
            }
        }
    }

    /// Jobs of all servers, and one of what goes wrong.
    fn turn(&mut self, with_kills: bool) {
        for server in SERVERS {
            let job = ["backup", "backup", "verify", "drill"][self.random.below(4)];
            self.ask(server, job);
            std::thread::sleep(Duration::from_millis(500));
        }
        match self.random.below(if with_kills { 7 } else { 5 }) {
            0 => self.server.crash(),
            1 => self.fill(),
            2 => self.rotate_password(),
            3 => self.reload(),
            5 | 6 => self.kill(),
            _ => {}
        }
        std::thread::sleep(Duration::from_secs(2));
        if self.random.below(4) == 0 {
            self.settle();
            self.thin_out();
        }
    }

    /// Entries of the jobs that were asked for, of which each attempt leaves one.
    fn counted(&self, server: &str, job: &str) -> usize {
        let entries = self.ledger(server);
        entries.iter().filter(|entry| entry["job"] == job).count()
    }

    /// What is published is whole, nothing is half there, and the record holds together.
    fn inspect(&self) {
        for server in SERVERS {
            let directory = self.volume.path().join(server);
            let names: Vec<String> = fs::read_dir(&directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let partial: Vec<_> = names
                .iter()
                .filter(|name| name.contains("partial"))
                .collect();
            assert!(partial.is_empty(), "{server}: {partial:?}");
            let archives = names.iter().filter(|name| name.ends_with(".sql.gz"));
            assert!(archives.count() > 0, "{server} has no backup: {names:?}");
            for verb in [&["verify", "--all"][..], &["ledger", "verify"]] {
                let done = self
                    .volume
                    .inside(&self.place)
                    .args(verb)
                    .args(["--server", server, "--config"])
                    .about(&self.place.join("pgvigil.yaml"))
                    .run();
                done.exits(0);
            }
        }
    }
}

fn seconds() -> u64 {
    let asked = std::env::var("PGVIGIL_SOAK_SECONDS").ok();
    asked.map_or(180, |text| text.parse().expect("seconds"))
}

#[test]
fn it_neither_grows_nor_loses_anything() {
    let half = Duration::from_secs(seconds() / 2);
    let mut soak = Soak::new();
    let begun = Instant::now();
    while begun.elapsed() < half {
        soak.turn(true);
    }
    // Its working set is there once each job has run.
    for job in ["backup", "verify", "drill"] {
        for server in SERVERS {
            wait_until("the job is taken", 60 * SECOND, || soak.ask(server, job));
            soak.settle();
        }
    }
    let first = soak.held();
    let jobs = ["backup", "drill"];
    let pairs = || {
        SERVERS
            .into_iter()
            .flat_map(|server| jobs.map(|job| (server, job)))
    };
    let before: Vec<_> = pairs()
        .map(|(server, job)| soak.counted(server, job))
        .collect();
    soak.accepted.clear();
    let begun = Instant::now();
    while begun.elapsed() < half {
        soak.turn(false);
    }
    let last = soak.held();
    eprintln!("held at half time {first:?}, at the end {last:?}");
    for ((server, job), before) in pairs().zip(before) {
        let key = (server.to_owned(), job.to_owned());
        let accepted = soak.accepted.get(&key).copied().unwrap_or_default();
        let counted = soak.counted(server, job) - before;
        let entries = soak.ledger(server);
        assert_eq!(
            counted,
            accepted,
            "{job} of {server}: in the ledger, and asked for: {:#?}",
            entries.iter().rev().take(6).collect::<Vec<_>>()
        );
    }
    assert!(
        last.kib < first.kib + GROWTH_KIB,
        "memory: {first:?} {last:?}"
    );
    assert!(
        last.files <= first.files + 4,
        "descriptors: {first:?} {last:?}"
    );
    assert!(
        last.processes <= first.processes,
        "processes: {first:?} {last:?}"
    );
    assert!(
        last.temporary <= first.temporary,
        "files: {first:?} {last:?}"
    );
    soak.sidecar.take().expect("it runs").stop();
    soak.inspect();
    drop(soak.volume);
    all_gone(&soak.place, 10 * SECOND);
}
