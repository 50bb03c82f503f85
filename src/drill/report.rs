//! What a drill says.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Scope;
use crate::catalog::diff::{Difference, ObjectKind};
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::finding::Findings;
use crate::ledger::{DrillFacts, JobResult, Phase};

/// The check that is there only where the scratch server has another major version.
pub(super) const SAME_MAJOR: &str = "same major version";

/// How many mismatches a kept report lists: a backup of nothing but other rows must not fill the volume.
const KEPT_MISMATCHES: usize = 1000;

/// A drill, told.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What made it.
    pub pgvigil_version: &'static str,
    /// The server's name in the configuration.
    pub server: String,
    /// The archive.
    pub archive: PathBuf,
    /// Ties log lines, ledger and report together.
    pub job_id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub result: JobResult,
    /// Why it did not pass.
    pub message: Option<String>,
    /// When the backup was finished.
    pub backup_finished_at: Option<DateTime<Utc>>,
    /// PostgreSQL's version that the backup is of, as the dump says it.
    pub dumped_version: Option<String>,
    /// PostgreSQL's version in the scratch server.
    pub scratch_version: String,
    /// Wall time of it all.
    pub duration_seconds: f64,
    /// Wall time of the restore alone: the measured restore time.
    pub restore_seconds: f64,
    /// What was drilled, where it was not all of the backup.
    pub scope: Option<String>,
    /// How long such a restore may take (`objectives.max_restore_time`, or `max_partial_restore_time`).
    pub max_restore_seconds: f64,
    /// Wall time of each phase, in order.
    pub phases: Vec<Phase>,
    /// Databases compared.
    pub databases: u64,
    /// Tables compared.
    pub tables: u64,
    /// Rows compared.
    pub rows: u64,
    /// Everything that is not equal.
    pub mismatches: Vec<Difference>,
    /// How many more there are; a report that is kept has a bound.
    pub mismatches_not_shown: u64,
    /// Checks done and not done.
    pub checks: Vec<Check>,
    /// What the check of the file found.
    pub findings: Findings,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub kind: CheckKind,
    /// Its status.
    pub status: CheckStatus,
    /// What was compared, or what is wrong, or why it was not done.
    pub detail: String,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// What came back is what was dumped.
    Equality,
    /// What came back is sound in itself.
    Soundness,
    /// What came back is what the configuration expects.
    Configured,
}

/// Status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Done, and equal.
    Passed,
    /// Done, and not equal.
    Failed,
    /// Not done.
    NotDone,
}

impl Report {
    pub(super) fn new(archive: &Path, server: &Server, scope: &Scope) -> Self {
        let now = Utc::now();
        let objectives = &server.objectives;
        let max_restore_time = if scope.is_whole() {
            objectives.max_restore_time
        } else {
            objectives.max_partial_restore_time
        };
        Self {
            pgvigil_version: env!("CARGO_PKG_VERSION"),
            server: server.name.clone(),
            archive: archive.to_owned(),
            job_id: String::new(),
            started_at: now,
            finished_at: now,
            result: JobResult::Error,
            message: None,
            backup_finished_at: None,
            dumped_version: None,
            scratch_version: String::new(),
            duration_seconds: 0.0,
            restore_seconds: 0.0,
            scope: scope.describe(),
            max_restore_seconds: max_restore_time.as_secs_f64(),
            phases: Vec::new(),
            databases: 0,
            tables: 0,
            rows: 0,
            mismatches: Vec::new(),
            mismatches_not_shown: 0,
            checks: Vec::new(),
            findings: Findings::default(),
        }
    }

    pub(super) fn phase(&mut self, name: &str, began: Instant) {
        self.phases.push(Phase {
            name: name.to_owned(),
            seconds: began.elapsed().as_secs_f64(),
        });
    }

    pub(super) fn check(&mut self, name: &'static str, status: CheckStatus, detail: String) {
        self.checks.push(Check {
            name: name.to_owned(),
            kind: CheckKind::Equality,
            status,
            detail,
        });
    }

    /// For the ledger.
    pub fn facts(&self) -> DrillFacts {
        DrillFacts {
            databases: self.databases,
            tables: self.tables,
            rows: self.rows,
            mismatches: self.mismatches.len() as u64 + self.mismatches_not_shown,
            restore_seconds: self.restore_seconds,
            scope: self.scope.clone(),
            phases: self.phases.clone(),
        }
    }

    /// The report as it is kept: bounded, and the archive by its name alone, for the path means nothing elsewhere.
    pub(super) fn to_keep(&self) -> Self {
        let mut kept = self.clone();
        let beyond = kept.mismatches.len().saturating_sub(KEPT_MISMATCHES);
        kept.mismatches.truncate(KEPT_MISMATCHES);
        kept.mismatches_not_shown += beyond as u64;
        let path = self.archive.display().to_string();
        if let Some(name) = self.archive.file_name() {
            kept.archive = PathBuf::from(name);
            let name = name.to_string_lossy();
            kept.message = kept.message.map(|message| message.replace(&path, &name));
        }
        kept
    }

    /// The failure that mismatches and failed checks amount to.
    pub(super) fn verdict(&self) -> Result<()> {
        let what = format!("drill {}", self.archive.display());
        if self.only_content_differs_across_majors() {
            return Err(Failure::new(
                FailureKind::Scratch,
                format!("{what}: not proven: rows are as many, but read otherwise on another major version"),
            )
            .remedy("drill with PostgreSQL binaries of the dump's major version (--pg-bin)"));
        }
        let failed = self
            .checks
            .iter()
            .find(|check| check.status == CheckStatus::Failed);
        let what = match (self.mismatches.as_slice(), failed) {
            ([only], _) => format!("{what}: {only}"),
            ([first, rest @ ..], _) => {
                format!("{what}: {first} (and {} more mismatches)", rest.len())
            }
            ([], Some(check)) => format!("{what}: {}: {}", check.name, check.detail),
            ([], None) => return self.unproven(&what),
        };
        let remedy = match failed {
            Some(check) if check.kind == CheckKind::Configured && self.mismatches.is_empty() => {
                "it restores, but not with what the configuration expects: look at the source, and at the check itself"
            }
            _ => {
                "this backup does not give back what it holds: keep an older proven one and take a new one"
            }
        };
        Err(Failure::new(FailureKind::NotEqual, what).remedy(remedy))
    }

    /// The text of a few types changed between major versions: that says nothing about the backup.
    fn only_content_differs_across_majors(&self) -> bool {
        let other_major = self.checks.iter().any(|check| check.name == SAME_MAJOR);
        let same_rows = |difference: &Difference| {
            difference.kind == ObjectKind::Table
                && difference.expected.split(',').next() == difference.actual.split(',').next()
        };
        other_major && !self.mismatches.is_empty() && self.mismatches.iter().all(same_rows)
    }

    /// Missing proof of content, or of what the configuration asks for, is never a pass; of other things it is said, where
    /// it is expected.
    fn unproven(&self, what: &str) -> Result<()> {
        let mut not_done = self
            .checks
            .iter()
            .filter(|check| check.status == CheckStatus::NotDone);
        let remedy = |check: &Check| match check.kind {
            CheckKind::Equality if check.name == "content" => {
                Some("see the reason: what is not proven counts as not proven")
            }
            CheckKind::Configured => Some(
                "a configured check counts only when it was done: mend its reason, or the check",
            ),
            CheckKind::Equality | CheckKind::Soundness => None,
        };
        match not_done.find_map(|check| Some((check, remedy(check)?))) {
            None => Ok(()),
            Some((check, remedy)) => Err(Failure::new(
                FailureKind::Scratch,
                format!("{what}: not proven: {}: {}", check.name, check.detail),
            )
            .remedy(remedy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(kind: CheckKind, name: &str, status: CheckStatus) -> Option<FailureKind> {
        let yaml = "servers: [{ name: a, directory: /backups }]";
        let config = crate::config::raw::parse(yaml, Path::new("c")).expect("a configuration");
        let mut report = Report::new(Path::new("b"), &config.servers[0], &Scope::default());
        report.checks.push(Check {
            name: name.to_owned(),
            kind,
            status,
            detail: "why".to_owned(),
        });
        report.verdict().err().map(|failure| failure.kind())
    }

    #[test]
    fn what_is_missing_is_a_pass_only_where_nobody_asked_for_it() {
        use CheckKind::{Configured, Equality, Soundness};
        for (kind, name, not_done) in [
            (Equality, "content", Some(FailureKind::Scratch)),
            (Equality, "owners and grants", None),
            (Soundness, "btree indexes", None),
            (Soundness, "content", None),
            (Configured, "orders", Some(FailureKind::Scratch)),
        ] {
            assert_eq!(
                verdict(kind, name, CheckStatus::NotDone),
                not_done,
                "{name}"
            );
            assert_eq!(verdict(kind, name, CheckStatus::Passed), None, "{name}");
            assert_eq!(
                verdict(kind, name, CheckStatus::Failed),
                Some(FailureKind::NotEqual),
                "{name}"
            );
        }
    }
}
