//! `pgvigil ledger verify` and `pgvigil ledger show`

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::args::{Args, LedgerCommand, Since};
use super::{Verb, context, ended, render, terminal};
use crate::config::Server;
use crate::config::units::{format_age, format_seconds};
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::check::Checked;
use crate::ledger::evidence::{self, Evidence, Gap, Period};
use crate::ledger::{Entry, Head, Job, JobResult};
use crate::store;

pub(super) fn run(args: &Args, command: &LedgerCommand) -> Verb {
    match command {
        LedgerCommand::Verify { known } => verify(args, known.as_ref()),
        LedgerCommand::Show { since } => show(args, *since),
    }
}

/// The check of a ledger, told.
#[derive(Serialize)]
struct Verified {
    server: String,
    ledger: PathBuf,
    passed: bool,
    #[serde(flatten)]
    checked: Checked,
}

/// Evidence, told.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    verified: Verified,
    evidence: Evidence,
    attempts: Vec<Entry>,
}

fn verify(args: &Args, known: Option<&Head>) -> Verb {
    let server = context::server(args)?;
    let verified = check(&server, known.cloned(), &mut |_| {})?;
    if args.json {
        terminal::print_json(&verified)?;
    } else {
        terminal::print(&verified_text(&verified))?;
    }
    ended(fault(&verified))
}

fn show(args: &Args, since: Option<Since>) -> Verb {
    let now = Utc::now();
    let wanted = since.and_then(|since| since.moment(now));
    if wanted.is_some_and(|wanted| wanted > now) {
        return Err(Failure::new(
            FailureKind::Usage,
            "show the ledger since a day that is not yet here",
        )
        .into());
    }
    let server = context::server(args)?;
    let mut attempts = Vec::new();
    let verified = check(&server, None, &mut |entry| {
        if wanted.is_none_or(|wanted| entry.finished_at >= wanted) {
            attempts.push(entry);
        }
    })?;
    // Of the time before the ledger began it says nothing, not even that nothing happened.
    let begin = verified.checked.first_at.unwrap_or(now).min(now);
    let period = Period {
        from: wanted.map_or(begin, |wanted| wanted.max(begin)),
        to: now,
    };
    let shown = Shown {
        verified,
        evidence: evidence::sum_up(&attempts, period),
        attempts,
    };
    if args.json {
        terminal::print_json(&shown)?;
    } else {
        terminal::print(&shown_text(&shown))?;
    }
    // Evidence from a ledger at fault is shown, but it is none.
    ended(fault(&shown.verified))
}

fn check(server: &Server, known: Option<Head>, each: &mut dyn FnMut(Entry)) -> Result<Verified> {
    let directory: &Path = &server.directory;
    let checked = store::ledger::check(directory, known, each)?.ok_or_else(|| {
        let what = format!("check the ledger in {}: there is none", directory.display());
        Failure::new(FailureKind::Usage, what)
            .remedy("name the directory that backups are taken into; the first job there begins it")
    })?;
    Ok(Verified {
        server: server.name.clone(),
        ledger: directory.join(store::ledger::FILE_NAME),
        passed: checked.is_good(),
        checked,
    })
}

fn fault(verified: &Verified) -> Option<Failure> {
    let first = verified.checked.findings.errors().next();
    let more = verified.checked.faults.checked_sub(1)?;
    let others = if more > 0 {
        format!(" (and {more} more faults)")
    } else {
        String::new()
    };
    let (said, remedy) = first.map_or_else(Default::default, |first| {
        (
            format!(": {}: {}", first.place, first.message),
            first.remedy.clone(),
        )
    });
    let what = format!("verify {}{said}{others}", verified.ledger.display());
    Some(Failure::new(FailureKind::Damaged, what).remedy(remedy))
}

fn verdict(checked: &Checked) -> String {
    match checked.faults {
        0 => "holds together".to_owned(),
        faults => format!("NOT GOOD: {}", render::plural(faults, "fault")),
    }
}

fn verified_text(verified: &Verified) -> String {
    let checked = &verified.checked;
    let mut text = format!(
        "{}: {}\n  {} entries",
        verified.ledger.display(),
        verdict(checked),
        render::count(checked.entries)
    );
    if let (Some(first), Some(last)) = (checked.first_at, checked.last_at) {
        text.push_str(&format!(", from {} to {}", time(first), time(last)));
    }
    text.push('\n');
    if let Some(last) = &checked.last {
        text.push_str(&format!(
            "  last entry, to be noted elsewhere for --known: {last}\n"
        ));
    }
    text + &render::findings(&checked.findings)
}

fn shown_text(shown: &Shown) -> String {
    let Shown {
        verified,
        evidence,
        attempts,
    } = shown;
    let Period { from, to } = evidence.period;
    let mut text = format!(
        "Server:  {}\nLedger:  {}\nPeriod:  {} to {}",
        verified.server,
        verified.ledger.display(),
        time(from),
        time(to)
    );
    if verified.checked.first_at == Some(from) {
        text.push_str(" (the ledger begins here)");
    }
    text.push_str(&format!("\nChain:   {}\n", verdict(&verified.checked)));
    text.push_str(&render::findings(&verified.checked.findings));
    text.push('\n');
    text.push_str(&attempts_text(attempts));
    text.push('\n');
    text.push_str(&summary(evidence));
    text
}

fn attempts_text(attempts: &[Entry]) -> String {
    if attempts.is_empty() {
        return "no attempts in this period\n".to_owned();
    }
    let header = [
        "ENDED",
        "JOB",
        "BACKUP",
        "COMPARED, RESTORED OR REMOVED",
        "TOOK",
        "RESULT",
        "REASON",
        "ID",
    ];
    let rows: Vec<_> = attempts.iter().map(cells).collect();
    let mut text = render::table(&header, &rows);
    let mut said = attempts
        .iter()
        .filter_map(|entry| Some((entry, entry.message.as_deref()?)))
        .peekable();
    if said.peek().is_some() {
        text.push_str("\nWhat did not pass\n");
    }
    for (entry, message) in said {
        text.push_str(&format!(
            "  {} {}: {}\n",
            time(entry.finished_at),
            entry.job.name(),
            render::plain(message)
        ));
    }
    text
}

fn cells(entry: &Entry) -> Vec<String> {
    let none = || "-".to_owned();
    let compared = entry.drill.as_ref().map_or_else(none, |facts| {
        // Not begun with a digit: a cell of words stands to the left.
        format!(
            "databases {}, tables {}, rows {}, mismatches {}",
            facts.databases,
            facts.tables,
            render::count(facts.rows),
            facts.mismatches
        )
    });
    let restored = entry.restore.as_ref().map(|facts| {
        let into = format!("into {}: {}", facts.target, facts.restored.join(", "));
        render::plain(&into)
    });
    let removed = entry.pruned.as_ref().map(|facts| {
        format!(
            "removed {}, {}",
            render::plural(facts.removed.len() as u64, "backup"),
            render::bytes(facts.bytes)
        )
    });
    let compared = restored.or(removed).unwrap_or(compared);
    vec![
        time(entry.finished_at),
        if entry.observed {
            format!("{} (observed)", entry.job.name())
        } else {
            entry.job.name().to_owned()
        },
        entry.backup.as_deref().map_or_else(none, render::plain),
        compared,
        format_seconds(entry.duration_seconds),
        result(entry.result).to_owned(),
        entry
            .reason
            .map_or_else(none, |reason| reason.policy().label.to_owned()),
        render::plain(&entry.job_id),
    ]
}

fn result(result: JobResult) -> &'static str {
    match result {
        JobResult::Passed => "passed",
        JobResult::Failed => "FAILED",
        JobResult::Error => "error",
        JobResult::Timeout => "timeout",
    }
}

fn summary(evidence: &Evidence) -> String {
    let mut text = "Summary\n".to_owned();
    for jobs in &evidence.jobs {
        text.push_str(&format!(
            "  {}: {}, {} passed, {} failed, {} could not run\n",
            jobs.job.name(),
            render::plural(jobs.attempts, "attempt"),
            jobs.passed,
            jobs.failed,
            jobs.error + jobs.timeout
        ));
    }
    text.push_str("  newest proven backup: ");
    match &evidence.newest_proven {
        None => text.push_str("none in this period\n"),
        Some(proven) => {
            let name = proven.backup.as_deref().unwrap_or("unknown");
            let finished = proven
                .backup_finished_at
                .map_or_else(String::new, |at| format!(" of {}", time(at)));
            text.push_str(&format!(
                "{}{finished}, proven at {}\n",
                render::plain(name),
                time(proven.proven_at)
            ));
        }
    }
    for (job, gap) in [
        (Job::Backup, evidence.longest_without_backup),
        (Job::Drill, evidence.longest_without_drill),
    ] {
        text.push_str(&gap_text(job, gap));
    }
    text
}

fn gap_text(job: Job, gap: Gap) -> String {
    format!(
        "  longest time without a passed {}: {} ({} to {})\n",
        job.name(),
        format_age(Duration::from_secs(gap.seconds)),
        time(gap.from),
        time(gap.to)
    )
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Connection;
    use crate::ledger::DrillFacts;
    use crate::recorder::Attempt;

    fn server(directory: &Path) -> Server {
        context::unconfigured("ha", Connection::default(), directory.to_owned(), None)
    }

    fn drilled(directory: &Path) {
        let mut attempt = Attempt::begin(Job::Drill, "ha", Some(directory)).expect("begin");
        attempt.about(Path::new("x.sql.gz"), Some(Utc::now()));
        attempt.measured(DrillFacts {
            databases: 2,
            tables: 30,
            rows: 1234,
            ..DrillFacts::default()
        });
        attempt.end(None);
        let failed = Attempt::begin(Job::Backup, "ha", Some(directory)).expect("begin");
        failed.end(Some(&Failure::new(
            FailureKind::Connect,
            "connect\u{1b}[2J to db",
        )));
    }

    #[test]
    fn evidence_is_shown() {
        let directory = tempfile::tempdir().expect("tempdir");
        drilled(directory.path());
        let mut attempts = Vec::new();
        let verified = check(&server(directory.path()), None, &mut |entry| {
            attempts.push(entry);
        })
        .expect("read");
        assert!(fault(&verified).is_none());
        let period = Period {
            from: verified.checked.first_at.expect("an entry"),
            to: Utc::now(),
        };
        let evidence = evidence::sum_up(&attempts, period);
        let text = shown_text(&Shown {
            verified,
            evidence,
            attempts,
        });
        for part in [
            "Server:  ha\n",
            "(the ledger begins here)\nChain:   holds together\n",
            "databases 2, tables 30, rows 1 234, mismatches 0",
            "connect [2J to db",
            "drill: 1 attempt, 1 passed, 0 failed, 0 could not run\n",
            "backup: 1 attempt, 0 passed, 1 failed, 0 could not run\n",
            "newest proven backup: x.sql.gz of ",
            "longest time without a passed drill: 0s",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_ledger_at_fault_is_a_failure_and_none_is_usage() {
        let directory = tempfile::tempdir().expect("tempdir");
        let none = check(&server(directory.path()), None, &mut |_| {});
        assert_eq!(
            none.err().map(|error| error.kind()),
            Some(FailureKind::Usage)
        );
        drilled(directory.path());
        let file = directory.path().join(store::ledger::FILE_NAME);
        let text = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, text.replace("\"rows\":1234", "\"rows\":9234")).expect("write");
        let verified = check(&server(directory.path()), None, &mut |_| {}).expect("read");
        let failure = fault(&verified).expect("a fault");
        assert_eq!(failure.kind().policy().exit_code, 1);
        assert!(
            failure.sentence().contains("line 2: its `previous`"),
            "{}",
            failure.sentence()
        );
        assert!(verified_text(&verified).contains("NOT GOOD: 1 fault\n"));
    }
}
