//! What the pages are looked at with: sidecars whose directories hold a past.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pgvigil::error::FailureKind;
use pgvigil::ledger::{DrillFacts, Entry, Job, JobResult, Phase, PruneFacts, Sizes, VolumeFacts};
use pgvigil::status::Space;

use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::sample::{self, Backup};
use crate::support::server::Server;
use crate::support::sidecar::Sidecar;

/// Nights of a past.
const NIGHTS: i64 = 60;

/// Backups that are still there.
const KEPT: i64 = 7;

/// A sidecar to look at.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) sidecar: Sidecar,
    _place: Place,
}

/// How the past of a server went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Everything passed; the newest backup is proven.
    Good,
    /// The last backups failed, the newest one is damaged, and the last drill failed.
    Bad,
    /// Backups are there, but nobody ever drilled one.
    Unproven,
    /// Nothing was ever done.
    Empty,
}

/// Notes what happened in a directory.
struct Writer<'a> {
    server: &'a str,
    directory: &'a Path,
    size: u64,
    space: Space,
    jobs: u32,
}

impl Scene {
    pub(super) fn all() -> [Self; 4] {
        [
            Self::one("healthy", Past::Good),
            Self::one("failing", Past::Bad),
            Self::one("empty", Past::Empty),
            Self::many("many", 200),
        ]
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.sidecar.address)
    }

    fn one(name: &'static str, past: Past) -> Self {
        let place = Place::new();
        let server = sample::system();
        let directory = place.backups();
        let config = configuration(&place, &[("orders", &directory, past)], server);
        lay_down(&directory, "orders", past, NIGHTS);
        if past == Past::Good {
            // A real one, so that there is a report.
            pgvigil(&place)
                .args(["--config"])
                .about(&config)
                .args(["drill"])
                .run()
                .exits(0);
        }
        Self {
            name,
            sidecar: Sidecar::start(&place, &config),
            _place: place,
        }
    }

    pub(super) fn many(name: &'static str, servers: usize) -> Self {
        let place = Place::new();
        let pasts = |number: usize| match number {
            17 | 101 => Past::Bad,
            42 => Past::Empty,
            n if n % 40 == 3 => Past::Unproven,
            _ => Past::Good,
        };
        let mut all: Vec<(String, PathBuf, Past)> = Vec::new();
        for number in 0..servers {
            let name = format!("team-{:02}-postgres-{:02}", number / 10, number % 10);
            let directory = place.join(&name);
            fs::create_dir(&directory).unwrap();
            lay_down(&directory, &name, pasts(number), 3);
            all.push((name, directory, pasts(number)));
        }
        let all: Vec<_> = all
            .iter()
            .map(|(name, directory, past)| (name.as_str(), directory, *past))
            .collect();
        let config = configuration(&place, &all, sample::system());
        Self {
            name,
            sidecar: Sidecar::start(&place, &config),
            _place: place,
        }
    }
}

fn configuration(place: &Place, servers: &[(&str, &PathBuf, Past)], server: &Server) -> PathBuf {
    let mut text = "http: { listen: '127.0.0.1:0' }\nservers:\n".to_owned();
    // Half a year away: nothing runs while one looks, whenever that is.
    let far = Utc::now() + TimeDelta::days(182);
    let yearly = far.format("0 2 %-d %-m *");
    for (name, directory, past) in servers {
        // What fails cannot reach its server either.
        let host = match past {
            Past::Bad => "/nowhere".to_owned(),
            _ => server.socket().display().to_string(),
        };
        writeln!(
            text,
            "  - {{ name: {name}, directory: '{}', connection: {{ host: '{host}', user: postgres }}, volume: {{ requested: 4Mi }}, backup: {{ schedule: '{yearly}' }}, verify: {{ schedule: '{yearly}' }}, drill: {{ schedule: '{yearly}' }} }}",
            directory.display()
        )
        .unwrap();
    }
    let path = place.join("pgvigil.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Writes a past into a directory: a ledger, and the backups that are left of it.
fn lay_down(directory: &Path, server: &str, past: Past, nights: i64) {
    if past == Past::Empty {
        return;
    }
    let backup = sample::backup();
    let mut writer = Writer {
        server,
        directory,
        size: backup.archive.len() as u64,
        space: pgvigil::store::space::of(directory).unwrap(),
        jobs: 0,
    };
    let now = Utc::now();
    for ago in (0..nights).rev() {
        let evening = now - TimeDelta::days(ago) - TimeDelta::hours(7);
        writer.night(backup, evening, ago, past);
    }
}

impl Writer<'_> {
    fn night(&mut self, backup: &Backup, begun: DateTime<Utc>, ago: i64, past: Past) {
        let fails = past == Past::Bad && ago < 3 || ago == 24;
        let kept = if ago < KEPT {
            KEPT.min(NIGHTS - ago)
        } else {
            KEPT
        };
        let minutes = |minutes| begun + TimeDelta::minutes(minutes);
        let name = begun
            .format("postgresql_backup_%Y%m%d_%H%M%S.sql.gz")
            .to_string();
        // It grows, and goes up and down a little.
        let share = 100 - u64::try_from(ago).unwrap() / 2 - u64::try_from(ago * 7 % 5).unwrap();
        let bytes = self.size * share / 100;
        let mut taken = self.entry(Job::Backup, begun, 1.4 - 0.005 * ago as f64, (ago, kept));
        if fails {
            fail(
                &mut taken,
                FailureKind::Connect,
                "connect to orders-db:5432: connection refused; is the server running, and does a network policy let pgvigil through?",
            );
            self.write(taken);
            return;
        }
        taken.backup = Some(name.clone());
        taken.sizes = Some(Sizes {
            bytes,
            uncompressed_bytes: bytes * 5,
            database_bytes: bytes * 9,
        });
        self.write(taken);
        if ago < KEPT {
            backup.put_as(self.directory, begun);
        } else {
            let mut pruned = self.entry(Job::Prune, minutes(1), 0.1, (ago, kept));
            pruned.pruned = Some(PruneFacts {
                removed: vec![name.clone()],
                bytes,
                kept: 7,
            });
            self.write(pruned);
        }
        let mut verified = self.entry(Job::Verify, minutes(180), 0.4, (ago, kept));
        verified.backup = Some(name.clone());
        if past == Past::Bad && ago == 3 {
            fail(
                &mut verified,
                FailureKind::Damaged,
                "verify the backup: byte 81920: data that does not inflate; do not rely on this file: use another backup or a copy of this one, take a new one, and check the disk it lies on",
            );
        }
        self.write(verified);
        if past != Past::Unproven && (ago % 7 == 4 || ago == 0 && past == Past::Good) {
            self.drill(&name, minutes(240), ago, kept, past);
        }
    }

    fn drill(&mut self, name: &str, at: DateTime<Utc>, ago: i64, kept: i64, past: Past) {
        let mut drill = self.entry(Job::Drill, at, 9.0, (ago, kept));
        drill.backup = Some(name.to_owned());
        drill.backup_finished_at = Some(at - TimeDelta::hours(4));
        drill.drill = Some(DrillFacts {
            databases: 4,
            tables: 31,
            rows: 2_841,
            mismatches: u64::from(past == Past::Bad && ago == 4),
            restore_seconds: 0.6 - 0.003 * ago as f64,
            scope: None,
            phases: ["start", "restore", "compare"]
                .map(|name| Phase {
                    name: name.to_owned(),
                    seconds: 3.0,
                })
                .to_vec(),
        });
        if past == Past::Bad && ago == 4 {
            fail(
                &mut drill,
                FailureKind::NotEqual,
                "drill the backup: table public.orders of database app_db: expected 2841 rows, found 2840; this backup does not give back what it holds: keep an older proven one and take a new one",
            );
        }
        self.write(drill);
    }

    fn entry(
        &mut self,
        job: Job,
        begun: DateTime<Utc>,
        seconds: f64,
        (ago, kept): (i64, i64),
    ) -> Entry {
        self.jobs += 1;
        let id = format!("{}-{:08x}", begun.format("%Y%m%dT%H%M%S"), self.jobs);
        let mut entry = Entry::begun(job, self.server, id, begun);
        entry.finished_at = begun + TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap();
        entry.duration_seconds = seconds;
        entry.result = JobResult::Passed;
        // It filled slowly, and a backup is there before an old one goes.
        let less = self.space.used_bytes / 200 * u64::try_from(ago).unwrap()
            + u64::from(job != Job::Backup) * (1 << 30);
        entry.volume = Some(VolumeFacts {
            used_bytes: self.space.used_bytes.saturating_sub(less),
            available_bytes: self.space.available_bytes + less,
            directory_bytes: self.size * u64::try_from(kept * (130 - ago)).unwrap() / 130
                + u64::from(job == Job::Backup) * self.size / 2,
        });
        entry
    }

    fn write(&self, mut entry: Entry) {
        pgvigil::store::ledger::append(self.directory, &mut entry).unwrap();
    }
}

fn fail(entry: &mut Entry, reason: FailureKind, message: &str) {
    entry.result = match entry.job {
        Job::Backup | Job::Verify | Job::Drill => JobResult::Failed,
        _ => JobResult::Error,
    };
    entry.reason = Some(reason);
    entry.message = Some(message.to_owned());
}
