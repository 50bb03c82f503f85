use proptest::prelude::*;

use super::super::{Job, JobResult};
use super::*;

/// An entry of that day.
pub(crate) fn entry(day: i64) -> Entry {
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(day);
    Entry {
        sequence: 0,
        previous: String::new(),
        job_id: format!("job-{day}"),
        server: "s".into(),
        job: Job::Backup,
        started_at: at - TimeDelta::minutes(1),
        finished_at: at,
        duration_seconds: 60.0,
        result: JobResult::Passed,
        reason: None,
        message: (day % 3 == 0).then(|| "what \"they\" saw\n".to_owned()),
        backup: Some("b.sql.gz".into()),
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

/// A ledger of so many lines, and its head.
fn ledger(lines: usize) -> (Vec<Vec<u8>>, Head) {
    let mut ledger: Vec<Vec<u8>> = Vec::new();
    let mut previous = GENESIS.to_owned();
    for number in 1..=lines {
        let mut entry = entry(i64::try_from(number).expect("small"));
        entry.sequence = number as u64;
        entry.previous = previous;
        let line = serde_json::to_vec(&entry).expect("JSON");
        previous = digest(&line);
        ledger.push(line);
    }
    let head = Head {
        sequence: lines as u64,
        digest: previous,
    };
    (ledger, head)
}

/// What a reader of a file with these bytes would hand over.
fn check_bytes(file: &[u8], head: KeptHead) -> Checked {
    let mut checker = Checker::new(head, None);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        checker.line(match line.split_last() {
            Some((b'\n', line)) => Line::Whole(line),
            _ => Line::Cut,
        });
    }
    checker.finish()
}

fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line.as_slice(), b"\n"])
        .collect::<Vec<_>>()
        .concat()
}

fn check(lines: &[Vec<u8>], head: &Head) -> Checked {
    check_bytes(&file(lines), KeptHead::Entry(head.clone()))
}

fn kinds(checked: &Checked) -> Vec<FindingKind> {
    checked
        .findings
        .list
        .iter()
        .map(|finding| finding.kind)
        .collect()
}

proptest! {
    #[test]
    fn an_untouched_ledger_passes(lines in 0_usize..12) {
        let (ledger, head) = ledger(lines);
        let kept = if lines == 0 { KeptHead::Missing } else { KeptHead::Entry(head) };
        let checked = check_bytes(&file(&ledger), kept);
        prop_assert!(checked.findings.list.is_empty(), "{:?}", checked.findings);
        prop_assert_eq!(checked.entries, lines as u64);
    }

    #[test]
    fn any_changed_byte_is_found(lines in 1_usize..8, at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (ledger, head) = ledger(lines);
        let mut file = file(&ledger);
        let at = at.index(file.len());
        file[at] ^= flip;
        let checked = check_bytes(&file, KeptHead::Entry(head));
        prop_assert!(!checked.is_good(), "byte {at} of {}", file.len());
    }

    #[test]
    fn any_removed_line_is_found(lines in 1_usize..12, at in any::<prop::sample::Index>()) {
        let (mut ledger, head) = ledger(lines);
        ledger.remove(at.index(lines));
        prop_assert!(!check(&ledger, &head).is_good());
    }

    #[test]
    fn any_swap_is_found(lines in 2_usize..12, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let (mut ledger, head) = ledger(lines);
        let (a, b) = (a.index(lines), b.index(lines));
        prop_assume!(a != b);
        ledger.swap(a, b);
        prop_assert!(!check(&ledger, &head).is_good());
    }

    #[test]
    fn any_repeated_line_is_found(lines in 1_usize..12, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let (mut ledger, head) = ledger(lines);
        let line = ledger[from.index(lines)].clone();
        ledger.insert(to.index(lines + 1), line);
        prop_assert!(!check(&ledger, &head).is_good());
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let checked = check_bytes(&bytes, KeptHead::Missing);
        prop_assert_eq!(checked.entries, 0);
    }
}

#[test]
fn a_cut_last_line_is_a_note() {
    let (ledger, head) = ledger(3);
    let mut bytes = file(&ledger);
    bytes.extend_from_slice(b"{\"sequence\":4,\"prev");
    let checked = check_bytes(&bytes, KeptHead::Entry(head.clone()));
    assert!(checked.is_good());
    assert_eq!(kinds(&checked), [FindingKind::CutLine]);
    // One that had been whole is no crash: the head remembers it.
    let bytes = file(&ledger);
    let checked = check_bytes(&bytes[..bytes.len() - 5], KeptHead::Entry(head));
    assert_eq!(
        kinds(&checked),
        [FindingKind::CutLine, FindingKind::EntryRemoved]
    );
    assert!(!checked.is_good());
}

#[test]
fn findings_say_what_and_where() {
    let (whole, head) = ledger(5);
    let mut gap = whole.clone();
    gap.drain(1..3);
    let checked = check(&gap, &head);
    assert_eq!(
        kinds(&checked),
        [FindingKind::WrongSequence, FindingKind::BrokenChain]
    );
    let first = &checked.findings.list[0];
    assert_eq!(first.place, "line 2");
    assert_eq!(first.message, "entries 2 to 3 are missing before it");
    let mut foreign = whole.clone();
    foreign.insert(2, b"hello".to_vec());
    assert_eq!(
        kinds(&check(&foreign, &head)),
        [
            FindingKind::NotAnEntry,
            FindingKind::WrongSequence,
            FindingKind::BrokenChain
        ]
    );
    let mut last = whole;
    last[4] = String::from_utf8(last[4].clone())
        .expect("text")
        .replace("passed", "failed")
        .into_bytes();
    assert_eq!(kinds(&check(&last, &head)), [FindingKind::EntryChanged]);
}

#[test]
fn what_remembers_the_end() {
    let (ledger, head) = ledger(4);
    let behind = |lines: usize| Head {
        sequence: lines as u64,
        digest: digest(&ledger[lines - 1]),
    };
    let level = |head| {
        let checked = check_bytes(&file(&ledger), head);
        checked.findings.list.first().map(|finding| finding.level)
    };
    assert_eq!(level(KeptHead::Entry(head.clone())), None);
    assert_eq!(level(KeptHead::Entry(behind(3))), Some(Level::Note));
    assert_eq!(level(KeptHead::Entry(behind(1))), Some(Level::Warning));
    assert_eq!(level(KeptHead::Missing), Some(Level::Warning));
    assert_eq!(level(KeptHead::Unreadable("no".into())), Some(Level::Error));
    // Ledger and head rewritten together: only what was noted elsewhere shows it.
    let noted = Head {
        sequence: 2,
        digest: "0".repeat(64),
    };
    let mut checker = Checker::new(KeptHead::Entry(head), Some(noted.clone()));
    for line in &ledger {
        checker.line(Line::Whole(line));
    }
    assert_eq!(kinds(&checker.finish()), [FindingKind::EntryChanged]);
    assert_eq!(noted.to_string().parse(), Ok(noted));
    assert!("2:abc".parse::<Head>().is_err());
}

#[test]
fn a_clock_set_back_is_a_warning() {
    let mut checker = Checker::new(KeptHead::Missing, None);
    for (number, day) in [(1, 9), (2, 2)] {
        let mut entry = entry(day);
        entry.sequence = number;
        entry.previous.clone_from(&checker.previous);
        checker.line(Line::Whole(&serde_json::to_vec(&entry).expect("JSON")));
    }
    let checked = checker.finish();
    assert!(checked.is_good());
    assert_eq!(
        kinds(&checked),
        [FindingKind::TimeBackwards, FindingKind::BadHead]
    );
}

#[test]
fn a_fault_behind_many_warnings_is_a_fault() {
    let mut checked = Checked::default();
    for _ in 0..1000 {
        checked
            .push(Finding::error(FindingKind::TimeBackwards, "line 1", "back").at(Level::Warning));
    }
    checked.push(Finding::error(FindingKind::BrokenChain, "line 2", "broken"));
    assert!(!checked.is_good());
}
