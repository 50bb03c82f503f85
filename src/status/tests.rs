use super::*;
use crate::config::{Config, Objectives, raw};
use crate::ledger::DrillFacts;

/// A moment on the first of June 2026.
pub(crate) fn at(hour: u32, minute: u32) -> DateTime<Utc> {
    format!("2026-06-01T{hour:02}:{minute:02}:00Z")
        .parse()
        .expect("a time")
}

/// A configuration with one server for each name.
pub(crate) fn config(names: &[&str]) -> Config {
    let servers: Vec<_> = names
        .iter()
        .map(|name| format!("{{ name: {name}, directory: /b/{name} }}"))
        .collect();
    let text = format!(
        "{{ servers: [{}], http: {{ listen: '127.0.0.1:0' }} }}",
        servers.join(", ")
    );
    raw::parse(&text, std::path::Path::new("test")).expect("a configuration")
}

/// One ledger entry of ten minutes.
pub(crate) fn entry(
    job: Job,
    result: JobResult,
    finished_at: DateTime<Utc>,
    backup: Option<&str>,
) -> Entry {
    let passed = result == JobResult::Passed;
    Entry {
        sequence: 1,
        previous: String::new(),
        job_id: "1".to_owned(),
        server: "a".to_owned(),
        job,
        started_at: finished_at - chrono::TimeDelta::minutes(10),
        finished_at,
        duration_seconds: 600.0,
        result,
        reason: (!passed).then_some(FailureKind::Connect),
        message: (!passed).then(|| "connect to <db>: refused".to_owned()),
        backup: backup.map(str::to_owned),
        backup_finished_at: None,
        scheduled_for: None,
        sizes: None,
        observed: false,
        volume: None,
        pruned: None,
        restore: None,
        drill: None,
        report: None,
    }
}

/// A backup of one database.
pub(crate) fn backup(file_name: &str, finished_at: DateTime<Utc>) -> BackupSummary {
    BackupSummary {
        started_at: finished_at - chrono::TimeDelta::minutes(10),
        duration_seconds: 600.0,
        uncompressed_bytes: 3_000,
        databases: vec![DatabaseSummary {
            name: "app_db".to_owned(),
            rows: 42,
            bytes_on_server: 8_192,
        }],
        has_manifest: true,
        ..BackupSummary::foreign(file_name, finished_at, 1_000)
    }
}

/// A morning with a failed and a passed backup, a found damage, and a passed drill.
pub(crate) fn morning() -> Loaded {
    let mut drill = entry(Job::Drill, JobResult::Passed, at(6, 0), Some("new"));
    drill.backup_finished_at = Some(at(3, 0));
    drill.drill = Some(DrillFacts {
        databases: 1,
        tables: 7,
        rows: 42,
        mismatches: 0,
        restore_seconds: 90.0,
        scope: None,
        phases: vec![Phase {
            name: "compare".to_owned(),
            seconds: 30.0,
        }],
    });
    Loaded {
        entries: vec![
            entry(Job::Backup, JobResult::Error, at(2, 0), None),
            entry(Job::Backup, JobResult::Passed, at(3, 0), Some("new")),
            entry(Job::Verify, JobResult::Passed, at(4, 0), Some("old")),
            entry(Job::Verify, JobResult::Failed, at(5, 0), Some("old")),
            entry(Job::Verify, JobResult::Passed, at(5, 1), Some("new")),
            entry(Job::Verify, JobResult::Failed, at(5, 2), Some("gone")),
            drill,
        ],
        backups: vec![
            backup("new", at(3, 0)),
            backup("old", at(1, 0)),
            BackupSummary::foreign("by-hand", at(4, 0), 500),
        ],
        outlook: Outlook::default(),
    }
}

#[test]
fn the_ledger_and_the_kept_backups_are_counted() {
    let status = ServerStatus::new(&morning());
    assert_eq!(status.backup.attempts, 2);
    assert_eq!(
        status.backup.failures,
        BTreeMap::from([(FailureKind::Connect, 1)])
    );
    assert_eq!(status.backup.last_success, Some(at(3, 0)));
    assert_eq!(status.backup.last_not_passed(), Some(at(2, 0)));
    assert_eq!(status.backup.last_attempt, Some(at(2, 50)));
    assert_eq!(
        (status.kept, status.kept_bytes, status.oldest_at),
        (3, 2_500, Some(at(1, 0)))
    );
    assert_eq!(
        status.corrupt, 1,
        "of those kept, only the last verification counts"
    );
    assert_eq!(
        status
            .newest
            .as_ref()
            .map(|newest| newest.file_name.as_str()),
        Some("new"),
        "a foreign file proves nothing"
    );
    assert_eq!(status.newest_verified, Some(JobResult::Passed));
    assert_eq!(
        (status.last_drill.tables, status.proven_backup_at),
        (7, Some(at(3, 0)))
    );
    assert_eq!(status.problem.map(|problem| problem.at), Some(at(5, 2)));
}

#[test]
fn a_manifest_counts_where_the_ledger_is_lost() {
    let status = ServerStatus::new(&Loaded {
        entries: Vec::new(),
        ..morning()
    });
    assert_eq!(status.backup.last_success, Some(at(3, 0)));
    assert_eq!(status.backup.attempts, 0);
    assert_eq!(status.newest_verified, None);
}

#[test]
fn a_problem_is_over_when_the_same_job_passes() {
    let mut entries = vec![
        entry(Job::Drill, JobResult::Failed, at(1, 0), None),
        entry(Job::Backup, JobResult::Passed, at(2, 0), None),
    ];
    let status = |entries: &[Entry]| {
        ServerStatus::new(&Loaded {
            entries: entries.to_vec(),
            ..Loaded::default()
        })
    };
    assert!(status(&entries).problem.is_some());
    entries.push(entry(Job::Drill, JobResult::Passed, at(3, 0), None));
    assert!(status(&entries).problem.is_none());
}

#[test]
fn what_was_removed_is_counted_and_a_failed_removal_is_no_failed_backup() {
    let removed = |result, count: usize| {
        let mut entry = entry(Job::Prune, result, at(6, 0), None);
        entry.pruned = Some(crate::ledger::PruneFacts {
            removed: vec!["x".to_owned(); count],
            ..Default::default()
        });
        entry
    };
    let mut loaded = morning();
    loaded.entries.push(removed(JobResult::Passed, 2));
    loaded.entries.push(removed(JobResult::Error, 3));
    let status = ServerStatus::new(&loaded);
    assert_eq!((status.pruned, status.prune.attempts), (5, 2));
    assert_eq!(status.prune.last_success, Some(at(6, 0)));
    assert_eq!(status.backup.last_not_passed(), Some(at(2, 0)));
}

#[test]
fn could_i_restore_now() {
    let answer = |change: &dyn Fn(&mut Loaded), now| {
        let mut loaded = morning();
        change(&mut loaded);
        verdict(&ServerStatus::new(&loaded), &Objectives::default(), now)
    };
    let keep = |_: &mut Loaded| {};
    assert_eq!(answer(&keep, at(7, 0)).level, Level::Good);
    assert_eq!(
        answer(&|loaded| loaded.backups.clear(), at(7, 0)).sentence,
        "No: there is no backup."
    );
    assert_eq!(
        answer(&|loaded| loaded.entries.clear(), at(7, 0)).level,
        Level::Doubtful
    );
    let later = answer(&keep, at(7, 0) + chrono::TimeDelta::days(3));
    assert!(
        later.level == Level::Bad && later.sentence.contains("3d4h old, the limit is 2d"),
        "{later:?}"
    );
    let damaged = answer(
        &|loaded| {
            loaded
                .entries
                .push(entry(Job::Verify, JobResult::Failed, at(6, 5), Some("new")));
        },
        at(7, 0),
    );
    assert_eq!(damaged.level, Level::Bad);
    let failed = answer(
        &|loaded| {
            loaded
                .entries
                .push(entry(Job::Drill, JobResult::Failed, at(6, 5), Some("new")));
        },
        at(7, 0),
    );
    assert!(
        failed.sentence.contains("test restore failed"),
        "{failed:?}"
    );
}

#[test]
fn a_file_of_someone_else_that_is_cut_is_no_backup_to_count_on() {
    let observed = |result, name, hour| Entry {
        observed: true,
        ..entry(Job::Backup, result, at(hour, 0), Some(name))
    };
    let now = at(7, 0);
    let says = |loaded: &Loaded| {
        let status = ServerStatus::new(loaded);
        let sentence = verdict(&status, &Objectives::default(), now).sentence;
        (status.newer_is_cut, sentence)
    };
    let mut loaded = Loaded {
        entries: vec![observed(JobResult::Failed, "cut", 2)],
        backups: vec![BackupSummary::foreign("cut", at(2, 0), 1)],
        outlook: Outlook::default(),
    };
    let (cut, sentence) = says(&loaded);
    assert_eq!(cut.as_deref(), Some("cut"));
    assert_eq!(sentence, "No: no file is a whole backup.");
    loaded.backups.push(backup("whole", at(1, 0)));
    let (_, sentence) = says(&loaded);
    assert_eq!(sentence, "Not from the newest backup: it is damaged.");
    loaded.backups.push(backup("newer", at(3, 0)));
    assert_eq!(
        says(&loaded).0,
        None,
        "it is known, and a newer one is there"
    );
    loaded.backups.pop();
    loaded.entries.push(observed(JobResult::Passed, "cut", 4));
    assert_eq!(says(&loaded).0, None, "it was written again");
}

#[test]
fn of_what_was_never_read_nobody_says_that_there_is_no_backup() {
    let mut view = ServerView::new(std::sync::Arc::new(config(&["a"]).servers.remove(0)));
    let said = |view: &ServerView| {
        let verdict = answer(view, at(7, 0));
        (verdict.level, verdict.sentence)
    };
    let unread = "Unknown: its directory was not read yet.".to_owned();
    assert_eq!(said(&view), (Level::Doubtful, unread));
    view.unreadable = Some("list directory /b/a: denied".to_owned());
    let unreadable = "Unknown: its directory cannot be read.".to_owned();
    assert_eq!(said(&view), (Level::Doubtful, unreadable));
    view.status = ServerStatus::new(&Loaded::default());
    assert_eq!(
        said(&view),
        (Level::Bad, "No: there is no backup.".to_owned())
    );
}
