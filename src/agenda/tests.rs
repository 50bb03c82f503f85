use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn rule(schedule: &str, retries: u32) -> Rule {
    Rule {
        schedule: (!schedule.is_empty()).then(|| schedule.parse().expect("a schedule")),
        jitter: Duration::ZERO,
        retries,
        retry_delay: Duration::from_secs(30),
    }
}

fn rules(backup: &str, verify: &str) -> Rules {
    Rules {
        server: "a".to_owned(),
        backup: rule(backup, 1),
        verify: rule(verify, 0),
        drill: rule("", 0),
    }
}

fn adopted(rules: &Rules, now: &str) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.adopt(rules, at(now));
    agenda
}

fn run(agenda: &mut Agenda, rules: &Rules, now: &str, ending: Ending) -> Due {
    let due = agenda.due(rules, at(now)).expect("due");
    agenda.begin(due, at(now));
    agenda.end(rules, at(now), ending);
    due
}

/// As the next process finds it on disk.
fn reread(agenda: &Agenda) -> Agenda {
    let text = serde_json::to_string(agenda).expect("JSON");
    serde_json::from_str(&text).expect("an agenda")
}

#[test]
fn the_earliest_due_runs_first_and_each_once() {
    let rules = rules("0 2 * * *", "0 5 * * *");
    let mut agenda = adopted(&rules, "2026-06-01T00:00:00Z");
    assert_eq!(agenda.due(&rules, at("2026-06-01T01:59:59Z")), None);
    assert_eq!(
        agenda.next(&rules, Job::Backup, at("2026-06-01T01:59:59Z")),
        Some(at("2026-06-01T02:00:00Z"))
    );
    let due = run(&mut agenda, &rules, "2026-06-01T05:30:00Z", Ending::Done);
    assert_eq!((due.job, due.at), (Job::Backup, at("2026-06-01T02:00:00Z")));
    let due = run(&mut agenda, &rules, "2026-06-01T05:31:00Z", Ending::Done);
    assert_eq!((due.job, due.at), (Job::Verify, at("2026-06-01T05:00:00Z")));
    assert_eq!(agenda.due(&rules, at("2026-06-01T05:32:00Z")), None);
    assert_eq!(
        agenda.next(&rules, Job::Backup, at("2026-06-01T05:32:00Z")),
        Some(at("2026-06-02T02:00:00Z"))
    );
}

#[test]
fn what_was_missed_is_made_up_for_once() {
    let rules = rules("0 2 * * *", "");
    let agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    let mut agenda = reread(&agenda);
    agenda.adopt(&rules, at("2026-06-04T09:00:00Z"));
    let due = run(&mut agenda, &rules, "2026-06-04T09:00:00Z", Ending::Done);
    assert_eq!(due.at, at("2026-06-04T02:00:00Z"));
    assert_eq!(
        reread(&agenda).due(&rules, at("2026-06-04T09:00:01Z")),
        None
    );
}

#[test]
fn nothing_is_due_before_the_first_start() {
    let rules = rules("0 2 * * *", "");
    let mut agenda = adopted(&rules, "2026-06-01T09:00:00Z");
    assert_eq!(agenda.due(&rules, at("2026-06-01T23:00:00Z")), None);
}

#[test]
fn what_can_pass_is_tried_again_after_a_pause_that_grows() {
    let mut rules = rules("0 2 * * *", "");
    rules.backup.retries = 3;
    let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    for (attempt, (now, too_early)) in [
        ("2026-06-01T02:00:00Z", "2026-06-01T01:59:59Z"),
        ("2026-06-01T02:00:30Z", "2026-06-01T02:00:29Z"),
        ("2026-06-01T02:01:30Z", "2026-06-01T02:01:29Z"),
        ("2026-06-01T02:03:30Z", "2026-06-01T02:03:29Z"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(agenda.due(&rules, at(too_early)), None);
        let due = run(&mut agenda, &rules, now, Ending::MayPass);
        assert_eq!(due.attempt as usize, attempt + 1);
        assert_eq!(agenda.will_retry(Job::Backup), attempt < 3);
    }
    assert_eq!(agenda.due(&rules, at("2026-06-01T23:59:00Z")), None);
    assert_eq!(
        run(&mut agenda, &rules, "2026-06-02T02:00:00Z", Ending::Done).attempt,
        1
    );
}

#[test]
fn a_new_due_time_replaces_the_retry_of_an_old_one() {
    let mut rules = rules("*/5 * * * *", "");
    rules.backup.retry_delay = Duration::from_secs(3600);
    let mut agenda = adopted(&rules, "2026-06-01T01:58:00Z");
    run(&mut agenda, &rules, "2026-06-01T02:00:00Z", Ending::MayPass);
    let due = run(&mut agenda, &rules, "2026-06-01T02:05:00Z", Ending::Done);
    assert_eq!((due.at, due.attempt), (at("2026-06-01T02:05:00Z"), 1));
    assert!(!agenda.will_retry(Job::Backup));
}

#[test]
fn who_was_killed_has_used_up_an_attempt_and_who_was_stopped_has_not() {
    let rules = rules("0 2 * * *", "");
    let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    let start = at("2026-06-01T02:00:00Z");
    for attempt in [1, 2] {
        let now = start + TimeDelta::minutes(i64::from(attempt));
        let due = agenda.due(&rules, now).expect("due");
        assert_eq!(due.attempt, attempt);
        agenda.begin(due, now);
        agenda = reread(&agenda);
        let begun = agenda
            .recover(&rules, now)
            .expect("it was killed in the middle");
        assert_eq!((begun.due, begun.attempt), (Some(start), attempt));
        assert_eq!(
            agenda.due(&rules, now),
            None,
            "not at once, or it would be killed again at once"
        );
    }
    assert_eq!(agenda.due(&rules, at("2026-06-01T12:00:00Z")), None);
    let due = run(&mut agenda, &rules, "2026-06-02T02:00:00Z", Ending::Stopped);
    let again = reread(&agenda)
        .due(&rules, at("2026-06-02T02:00:20Z"))
        .expect("at once");
    assert_eq!((again.at, again.attempt), (due.at, 1));
}

#[test]
fn a_run_whose_end_did_not_reach_the_disk_was_not_interrupted() {
    let rules = rules("0 2 * * *", "");
    let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    let now = at("2026-06-01T02:00:00Z");
    let due = agenda.due(&rules, now).expect("due");
    agenda.begin(due, now);
    let kept = reread(&agenda);
    agenda.end(&rules, now, Ending::MayPass);
    agenda.catch_up(kept.clone());
    assert_eq!(agenda.recover(&rules, now), None);
    assert!(agenda.will_retry(Job::Backup));
    // Another process cannot know.
    let mut other = kept;
    assert!(other.recover(&rules, now).is_some());
}

#[test]
fn a_pause_skips_what_falls_into_it() {
    let rules = rules("0 2 * * *", "");
    let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    agenda.skip(at("2026-06-03T08:00:00Z"));
    assert_eq!(agenda.due(&rules, at("2026-06-03T08:00:01Z")), None);
    let due = run(&mut agenda, &rules, "2026-06-04T02:00:00Z", Ending::Done);
    assert_eq!(due.at, at("2026-06-04T02:00:00Z"));
}

#[test]
fn a_clock_that_is_set_neither_repeats_nor_waits_for_what_was_far_ahead() {
    let rules = rules("0 2 * * *", "");
    let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
    run(&mut agenda, &rules, "2026-06-01T02:00:00Z", Ending::Done);
    assert_eq!(agenda.due(&rules, at("2026-06-01T01:30:00Z")), None, "back");
    assert_eq!(
        agenda.due(&rules, at("2026-06-01T02:00:00Z")),
        None,
        "once more there"
    );
    let ahead = run(&mut agenda, &rules, "2027-08-01T02:00:00Z", Ending::Done);
    assert_eq!(ahead.at, at("2027-08-01T02:00:00Z"));
    assert_eq!(agenda.due(&rules, at("2026-06-01T12:00:00Z")), None);
    let due = run(&mut agenda, &rules, "2026-06-02T02:00:00Z", Ending::Done);
    assert_eq!(due.at, at("2026-06-02T02:00:00Z"));
}

#[test]
fn another_schedule_counts_from_now_and_what_the_old_one_left_open_is_run() {
    let before = rules("0 2 * * *", "");
    let after = rules("0 8 * * *", "");
    let mut agenda = adopted(&before, "2026-06-01T01:00:00Z");
    let mut changed = reread(&agenda);
    run(&mut agenda, &before, "2026-06-01T02:00:00Z", Ending::Done);
    agenda.adopt(&after, at("2026-06-01T14:00:00Z"));
    assert_eq!(agenda.due(&after, at("2026-06-01T14:00:00Z")), None);
    assert_eq!(
        agenda.next(&after, Job::Backup, at("2026-06-01T14:00:00Z")),
        Some(at("2026-06-02T08:00:00Z"))
    );
    changed.adopt(&after, at("2026-06-01T14:00:00Z"));
    let due = changed.due(&after, at("2026-06-01T14:00:00Z"));
    assert_eq!(
        due.map(|due| (due.at, due.attempt)),
        Some((at("2026-06-01T02:00:00Z"), 1))
    );
}

#[test]
fn jitter_delays_by_the_same_for_whoever_asks_and_by_other_for_other_servers() {
    let mut rules = rules("0 2 * * *", "");
    rules.backup.jitter = Duration::from_secs(3600);
    let mut starts = std::collections::BTreeSet::new();
    for server in 0..20 {
        rules.server = format!("server {server}");
        let mut agenda = adopted(&rules, "2026-06-01T01:00:00Z");
        let next = agenda
            .next(&rules, Job::Backup, at("2026-06-01T01:00:00Z"))
            .expect("a run");
        assert!(next >= at("2026-06-01T02:00:00Z") && next <= at("2026-06-01T03:00:00Z"));
        assert_eq!(agenda.due(&rules, next - TimeDelta::seconds(1)), None);
        assert_eq!(
            agenda.due(&rules, next).map(|due| due.at),
            Some(at("2026-06-01T02:00:00Z"))
        );
        starts.insert(next);
    }
    assert!(starts.len() > 15, "{starts:?}");
}
