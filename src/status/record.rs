//! What the ledger says of single backups.

use std::collections::HashMap;

use super::BackupSummary;
use crate::ledger::{Entry, Job, JobResult};

/// The entries about backups that ended one way or the other, by the name of the file.
pub(super) struct Record<'a>(HashMap<&'a str, Vec<&'a Entry>>);

impl<'a> Record<'a> {
    /// Sorts the ledger's entries.
    pub(super) fn of(entries: &'a [Entry]) -> Self {
        let mut record: HashMap<_, Vec<_>> = HashMap::new();
        for entry in entries {
            if let (JobResult::Passed | JobResult::Failed, Some(backup)) =
                (entry.result, &entry.backup)
            {
                record.entry(backup.as_str()).or_default().push(entry);
            }
        }
        Self(record)
    }

    /// The last entry of a kind about a backup as it is now: a file that is written again under its name is another backup.
    pub(super) fn last(
        &self,
        backup: &BackupSummary,
        is_kind: fn(&Entry) -> bool,
    ) -> Option<&'a Entry> {
        let entries = self.0.get(backup.file_name.as_str())?;
        let is_about = |entry: &&&Entry| match entry.backup_finished_at {
            Some(at) => at == backup.finished_at,
            None => entry.finished_at >= backup.finished_at,
        };
        let mut entries = entries.iter().rev().filter(|entry| is_kind(entry));
        entries.find(is_about).copied()
    }

    pub(super) fn verified(entry: &Entry) -> bool {
        entry.job == Job::Verify
    }

    /// A part that passes proves no backup; one that fails is at fault all the same.
    pub(super) fn drilled(entry: &Entry) -> bool {
        entry.job == Job::Drill && (!entry.is_partial() || entry.result == JobResult::Failed)
    }

    /// A file of someone else that was looked at.
    pub(super) fn found(entry: &Entry) -> bool {
        entry.job == Job::Backup && entry.observed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::{at, backup, entry};

    #[test]
    fn a_file_that_is_written_again_is_another_backup() {
        let mut drill = entry(Job::Drill, JobResult::Passed, at(4, 0), Some("dump"));
        drill.backup_finished_at = Some(at(3, 0));
        let verified = entry(Job::Verify, JobResult::Passed, at(4, 30), Some("dump"));
        let entries = [drill, verified];
        let record = Record::of(&entries);
        let says = |finished_at| {
            let backup = backup("dump", finished_at);
            let (drilled, verified) = (
                record.last(&backup, Record::drilled),
                record.last(&backup, Record::verified),
            );
            (drilled.is_some(), verified.is_some())
        };
        assert_eq!(says(at(3, 0)), (true, true));
        assert_eq!(says(at(5, 0)), (false, false));
    }

    #[test]
    fn a_part_that_fails_counts_and_one_that_passes_does_not() {
        let part = |result| {
            let mut drill = entry(Job::Drill, result, at(4, 0), Some("dump"));
            drill.drill = Some(crate::ledger::DrillFacts {
                scope: Some("a table".to_owned()),
                ..Default::default()
            });
            let entries = [drill];
            let record = Record::of(&entries);
            record
                .last(&backup("dump", at(3, 0)), Record::drilled)
                .map(|entry| entry.result)
        };
        assert_eq!(part(JobResult::Passed), None);
        assert_eq!(part(JobResult::Failed), Some(JobResult::Failed));
    }
}
