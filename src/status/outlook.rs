//! What is to be expected of the backups to come. Made when the disk was read, so that a scrape computes nothing.

use chrono::{DateTime, Utc};

use super::BackupSummary;
use crate::config::{Mode, Server};
use crate::forecast::{self, Course, Foreseen};
use crate::ledger::{Entry, Sizes};
use crate::retention::{Backup, Check, Origin, Record};
use crate::store::space::Space;

/// What is to be expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The size that the next backup will have at the most, if the databases grow as they did.
    pub predicted_bytes: Option<u64>,
    /// The median of the last seven whole backups before the newest.
    pub usual_bytes: Option<u64>,
    /// How the volume will fill.
    pub volume: Foreseen,
}

impl Outlook {
    /// Looks ahead from `now`.
    pub fn new(
        server: &Server,
        entries: &[Entry],
        backups: &[BackupSummary],
        space: &Space,
        now: DateTime<Utc>,
    ) -> Self {
        let whole = backups.iter().filter(|backup| backup.has_manifest);
        let sizes = forecast::sizes(
            entries,
            whole.map(|backup| (backup.file_name.as_str(), backup.started_at, backup.sizes())),
        );
        Self {
            predicted_bytes: forecast::next_size(&sizes, None),
            usual_bytes: forecast::usual_size(&sizes),
            volume: volume(server, entries, backups, &sizes, space, now).unwrap_or_default(),
        }
    }
}

impl BackupSummary {
    fn sizes(&self) -> Sizes {
        let databases = self.databases.iter();
        Sizes {
            bytes: self.bytes,
            uncompressed_bytes: self.uncompressed_bytes,
            database_bytes: databases.fold(0, |sum, database| {
                sum.saturating_add(database.bytes_on_server)
            }),
        }
    }
}

/// Nobody knows what someone else will remove of his files, so that nothing is foreseen of those that are not adopted.
fn volume(
    server: &Server,
    entries: &[Entry],
    backups: &[BackupSummary],
    sizes: &[Sizes],
    space: &Space,
    now: DateTime<Utc>,
) -> Option<Foreseen> {
    let observed = matches!(server.backup.mode, Mode::Observe(_));
    if observed && !server.retention.adopt {
        return None;
    }
    let record = Record::of(entries);
    let kept = backups.iter().map(|backup| {
        let (verified, drilled) = record.get(&backup.file_name);
        Backup {
            begun: backup.started_at,
            bytes: backup.bytes,
            origin: origin(observed || !backup.has_manifest),
            verified,
            drilled,
        }
    });
    let course = Course {
        schedule: server.backup.schedule.as_ref()?,
        retention: &server.retention,
        kept: kept.collect(),
        coming: Backup {
            begun: now,
            bytes: 0,
            origin: origin(observed),
            verified: Check::Passed,
            drilled: Check::Unknown,
        },
        sizes,
        room: space.left_bytes(),
    };
    Some(forecast::foresee(course, now))
}

fn origin(foreign: bool) -> Origin {
    if foreign {
        Origin::Foreign
    } else {
        Origin::Ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Observe, Retention, Volume};
    use crate::status::tests::{at, backup, config};
    use chrono::TimeDelta;

    const MIB: u64 = 1 << 20;

    /// Eight days of backups of 100 MiB.
    fn week() -> Vec<BackupSummary> {
        let of = |days| BackupSummary {
            bytes: 100 * MIB,
            ..backup(&format!("b{days}"), at(2, 0) - TimeDelta::days(days))
        };
        (0..8).map(of).collect()
    }

    fn look(server: &Server, space: &Space) -> Outlook {
        Outlook::new(server, &[], &week(), space, at(7, 0))
    }

    #[test]
    fn disk_and_claim_both_count_and_others_files_only_where_they_are_adopted() {
        let mut server = config(&["a"]).servers.remove(0);
        server.volume = Volume::default();
        let mut space = Space {
            available_bytes: 1_000 * MIB,
            directory_bytes: 800 * MIB,
            ..Space::default()
        };
        let steady = look(&server, &space);
        assert_eq!(
            (
                steady.predicted_bytes,
                steady.usual_bytes,
                steady.volume.full_at
            ),
            (Some(110 * MIB), Some(100 * MIB), None)
        );
        // All are kept: nine more.
        server.retention = Retention::ALL;
        let day = |outlook: Outlook| {
            outlook
                .volume
                .full_at
                .map(|full| (full - at(7, 0)).num_days())
        };
        assert_eq!(day(look(&server, &space)), Some(9));
        space.requested_bytes = 1_200 * MIB;
        assert_eq!(day(look(&server, &space)), Some(3));
        server.backup.mode = Mode::Observe(Observe::default());
        assert_eq!(day(look(&server, &space)), None);
        server.retention.adopt = true;
        assert_eq!(day(look(&server, &space)), Some(3));
        server.backup.schedule = None;
        assert_eq!(day(look(&server, &space)), None);
    }

    #[test]
    fn without_backups_nothing_is_foreseen() {
        let server = config(&["a"]).servers.remove(0);
        let none = Outlook::new(&server, &[], &[], &Space::default(), at(7, 0));
        assert_eq!(none, Outlook::default());
    }
}
