//! The six faults: how each comes about, how it is mended, and what a person is told of it.

use std::fs;

use pgvigil::wildcard::fits;

use super::receiver::Message;
use super::site::Site;
use super::stack::{CLUSTER, NAMESPACE};

/// What goes wrong with one server.
pub(super) struct Fault {
    pub(super) server: &'static str,
    pub(super) alert: &'static str,
    pub(super) severity: &'static str,
    /// The first line that a person reads.
    summary: &'static str,
    /// The sentences below it; `*` for numbers and times.
    description: &'static str,
    pub(super) happens: &'static str,
    pub(super) brings: fn(&mut Site),
    pub(super) mending: &'static str,
    pub(super) mend: fn(&mut Site),
}

pub(super) const ALL: [Fault; 6] = [
    Fault {
        server: "failed",
        alert: "PgvigilBackupFailed",
        severity: "warning",
        summary: "The last PostgreSQL backup failed.",
        description: "A backup of failed in namespace databases on cluster end-to-end failed at * UTC, and none has succeeded since.",
        happens: "the role that backs it up loses its rights, and the next backup fails",
        brings: |site| {
            site.server
                .psql("postgres", "alter role backup nosuperuser");
            assert_eq!(site.job("failed", "backup"), "failed");
        },
        mending: "the role has its rights again, and the next backup succeeds",
        mend: |site| {
            site.server.psql("postgres", "alter role backup superuser");
            assert_eq!(site.job("failed", "backup"), "passed");
        },
    },
    Fault {
        server: "stale",
        alert: "PgvigilBackupTooOld",
        severity: "critical",
        summary: "The newest PostgreSQL backup is too old.",
        description: "The newest whole backup of stale in namespace databases on cluster end-to-end is 3d 0h *m *s old, more than objectives.max_age allows. What was written since is in no backup.",
        happens: "nobody has taken a backup for three days",
        brings: |_| {},
        mending: "one is taken",
        mend: |site| assert_eq!(site.job("stale", "backup"), "passed"),
    },
    Fault {
        server: "corrupt",
        alert: "PgvigilBackupCorrupt",
        severity: "critical",
        summary: "A PostgreSQL backup is damaged.",
        description: "Verification found 1 damaged backup(s) of corrupt in namespace databases on cluster end-to-end. They may not restore.",
        happens: "a byte of its newest archive flips, and the next verification reads it",
        brings: |site| {
            // There is an older one, so that only one thing is wrong.
            assert_eq!(site.job("corrupt", "backup"), "passed");
            let path = site.newest("corrupt");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(path, bytes).unwrap();
            assert_eq!(site.job("corrupt", "verify"), "failed");
        },
        mending: "a new backup is taken, and the damaged one is moved away",
        mend: |site| {
            let damaged = site.newest("corrupt");
            assert_eq!(site.job("corrupt", "backup"), "passed");
            let manifest = format!("{}.manifest.json", damaged.display());
            // In this order: one without its archive is removed by pgvigil itself.
            fs::remove_file(manifest).unwrap();
            fs::remove_file(damaged).unwrap();
            assert_eq!(site.job("corrupt", "verify"), "passed");
        },
    },
    Fault {
        server: "drill",
        alert: "PgvigilDrillFailed",
        severity: "critical",
        summary: "A test restore found a PostgreSQL backup at fault.",
        description: "The test restore of drill in namespace databases on cluster end-to-end at * UTC did not give back what was backed up, and none has passed since. A real restore may fail the same way.",
        happens: "a table is emptied, and the test restore of the next backup misses its rows",
        brings: |site| {
            site.server.psql("shop", "truncate orders");
            assert_eq!(site.job("drill", "backup"), "passed");
            assert_eq!(site.job("drill", "drill"), "failed");
        },
        mending: "the rows are back, a backup is taken, and its test restore passes",
        mend: |site| {
            site.server
                .psql("shop", "insert into orders select generate_series(1, 500)");
            assert_eq!(site.job("drill", "backup"), "passed");
            assert_eq!(site.job("drill", "drill"), "passed");
        },
    },
    Fault {
        server: "volume",
        alert: "PgvigilNextBackupWillNotFit",
        severity: "critical",
        summary: "The next PostgreSQL backup will not fit on its volume.",
        description: "0B are left for backups of volume in namespace databases on cluster end-to-end, less than the next one is expected to take.",
        happens: "somebody's file fills the volume",
        brings: |site| site.filler = Some(site.volume.fill()),
        mending: "the file is removed",
        mend: |site| fs::remove_file(site.filler.take().expect("a file")).unwrap(),
    },
    Fault {
        server: "killed",
        alert: "PgvigilMetricsAbsent",
        severity: "critical",
        summary: "The metrics of a PostgreSQL server that had backups are gone.",
        description: "Prometheus knew killed in namespace databases on cluster end-to-end from pgvigil within the last three days, and does not any more. None of its other alerts can fire.",
        happens: "its pgvigil is killed, and nothing starts it again",
        brings: Site::kill_other,
        mending: "it is started again",
        mend: Site::start_other,
    },
];

/// What may be told besides: a full volume is also one that is filling up. Where somebody was woken for the first, the
/// second is silent, but not if it is seen a moment earlier or ends a moment later.
pub(super) const BESIDES: (&str, &str) = ("PgvigilVolumeFilling", "volume");

impl Fault {
    /// Whether this is the message that it is there.
    pub(super) fn is_told_by(&self, message: &Message) -> bool {
        let severity = self.severity.to_uppercase();
        let title = format!("{severity}: {}", self.heading());
        let text = format!(
            "{severity} {alert}, since ????-??-?? ??:?? UTC\n{description}\n\
             What to do: {}\n\
             Dashboard: https://grafana.example.org/d/pgvigil?var-namespace={NAMESPACE}&var-server={server}",
            self.runbook(),
            alert = self.alert,
            description = self.description,
            server = self.server,
        );
        message.title == title && fits(&text, message.text.trim())
    }

    /// Whether this is the message that it is over.
    pub(super) fn is_ended_by(&self, message: &Message) -> bool {
        let title = format!("RESOLVED: {}", self.heading());
        let text = format!(
            "RESOLVED {}, from ????-??-?? ??:?? UTC to ????-??-?? ??:?? UTC\nIt was: {}",
            self.alert, self.summary
        );
        message.title == title && fits(&text, message.text.trim())
    }

    fn heading(&self) -> String {
        format!(
            "{} [{} in {NAMESPACE} on {CLUSTER}]",
            self.summary, self.server
        )
    }

    pub(super) fn runbook(&self) -> String {
        format!(
            "https://github.com/pgvigil/pgvigil/blob/main/rules/runbooks/{}.md",
            self.alert
        )
    }
}
