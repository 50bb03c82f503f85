use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-06-15T12:00:00Z".parse().expect("a time")
}

/// A good backup of ours from so many days ago.
fn ago(days: i64) -> Backup {
    Backup {
        begun: now() - TimeDelta::days(days),
        bytes: 10,
        origin: Origin::Ours,
        verified: Check::Unknown,
        drilled: Check::Unknown,
    }
}

fn policy() -> Retention {
    Retention::default()
}

/// What is said of each, removed ones with a minus sign.
fn told(backups: &[Backup], policy: &Retention) -> Vec<String> {
    let tell = |verdict: Verdict| {
        let reasons: Vec<_> = verdict.reasons.iter().map(Reason::to_string).collect();
        let sign = if verdict.keep { "" } else { "-" };
        format!("{sign}{}", reasons.join(", "))
    };
    judge(backups, policy, now())
        .into_iter()
        .map(tell)
        .collect()
}

fn kept(backups: &[Backup], policy: &Retention) -> Vec<i64> {
    let verdicts = judge(backups, policy, now());
    let kept = backups
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.keep);
    kept.map(|(backup, _)| (now() - backup.begun).num_days())
        .collect()
}

#[test]
fn a_week_of_daily_backups_is_kept_by_default() {
    let daily: Vec<_> = (0..12).map(ago).collect();
    assert_eq!(kept(&daily, &policy()), (0..8).collect::<Vec<_>>());
    let told = told(&daily, &policy());
    assert_eq!(told[0], "newest good, younger than 7 days, keep_min 2");
    assert_eq!(told[7], "younger than 7 days");
    assert_eq!(told[8], "-older than 7 days");
}

#[test]
fn the_last_of_each_period_is_kept_of_those_that_have_one() {
    let policy = Retention {
        keep_days: 1,
        keep_min: 1,
        keep_daily: 3,
        keep_weekly: 2,
        keep_monthly: 2,
        keep_yearly: 2,
        adopt: false,
    };
    let mut twice_a_day: Vec<_> = (0..400).map(ago).collect();
    twice_a_day.extend((0..400).map(|days| Backup {
        begun: ago(days).begun - TimeDelta::hours(6),
        ..ago(days)
    }));
    // 15 June 2026 is a Monday. The last of the week before is of the 14th, that of the month before of the 31st of May.
    assert_eq!(
        kept(&twice_a_day, &policy),
        // The last number is the earlier one of today.
        [0, 1, 2, 15, 166, 0]
    );
    let told = told(&twice_a_day, &policy);
    assert_eq!(
        told[1],
        "younger than 1 day, last of day 2026-06-14, last of week 2026-W24"
    );
    assert_eq!(told[15], "last of month 2026-05");
    assert_eq!(told[166], "last of year 2025");
    let every_third: Vec<_> = (0..10).map(|n| ago(n * 3)).collect();
    let daily_alone = Retention {
        keep_weekly: 0,
        keep_monthly: 0,
        keep_yearly: 0,
        ..policy
    };
    assert_eq!(kept(&every_third, &daily_alone), [0, 3, 6]);
}

#[test]
fn what_is_damaged_does_not_count_and_goes_by_age() {
    let bad = |days| Backup {
        verified: Check::Failed,
        ..ago(days)
    };
    let backups = [bad(0), ago(1), bad(3), ago(10), bad(11), ago(12)];
    let one_day = Retention {
        keep_days: 5,
        keep_min: 2,
        keep_daily: 2,
        ..policy()
    };
    // Not a long gap, since the usual one is not known to be shorter.
    let backups_and_more = [&backups[..], &[ago(20), ago(30)]].concat();
    assert_eq!(
        told(&backups_and_more, &one_day)[..6],
        [
            "not good: does not count, kept 5 days as evidence",
            "newest good, younger than 5 days, keep_min 2, last of day 2026-06-14",
            "not good: does not count, kept 5 days as evidence",
            "keep_min 2, last of day 2026-06-05",
            "-not good, and older than 5 days",
            "-older than 5 days",
        ]
    );
}

#[test]
fn a_failed_drill_does_not_count_but_the_newest_undamaged_file_stays() {
    let failed = Backup {
        drilled: Check::Failed,
        ..ago(9)
    };
    let backups = [failed, ago(10), ago(11), ago(12), ago(13)];
    let two_days = Retention {
        keep_days: 6,
        keep_min: 1,
        ..policy()
    };
    let told = told(&backups, &two_days);
    assert_eq!(told[0], "newest whole file, although its drill failed");
    assert_eq!(told[1], "newest good, keep_min 1");
    assert!(told[2].contains("10 days old; removal waits"), "{told:?}");
}

#[test]
fn the_newest_proven_stays_unless_it_was_found_damaged_since() {
    let proven = Backup {
        drilled: Check::Passed,
        ..ago(100)
    };
    let rotten = Backup {
        verified: Check::Failed,
        drilled: Check::Passed,
        ..ago(50)
    };
    let mut backups: Vec<_> = (0..8).map(ago).collect();
    backups.extend([rotten, proven]);
    let told = told(&backups, &policy());
    assert_eq!(told[8], "-not good, and older than 7 days");
    assert_eq!(told[9], "newest proven");
}

#[test]
fn files_of_others_are_kept_and_not_counted_unless_they_are_adopted() {
    let foreign = |days, verified| Backup {
        origin: Origin::Foreign,
        verified,
        ..ago(days)
    };
    let mut backups: Vec<_> = (0..8).map(ago).collect();
    backups.extend([
        foreign(0, Check::Passed),
        foreign(9, Check::Passed),
        foreign(9, Check::Unknown),
    ]);
    assert_eq!(told(&backups, &policy())[8..], ["foreign, adopt is off"; 3]);
    let adopt = Retention {
        adopt: true,
        keep_min: 9,
        ..policy()
    };
    assert_eq!(
        told(&backups, &adopt)[8..],
        [
            "newest good, younger than 7 days, keep_min 9",
            "-older than 7 days",
            "-older than 7 days"
        ]
    );
    let unknown = [foreign(0, Check::Unknown), foreign(30, Check::Unknown)];
    assert_eq!(
        told(&unknown, &adopt),
        [
            "younger than 7 days",
            "there is no good backup; removal waits for one"
        ]
    );
}

#[test]
fn what_is_dated_in_the_future_is_kept_and_makes_nothing_older() {
    let mut backups: Vec<_> = (0..10).map(ago).collect();
    let before = told(&backups, &policy());
    backups.push(ago(-400));
    let after = told(&backups, &policy());
    assert_eq!(after[..10], before);
    assert_eq!(after[10], "dated in the future");
}

#[test]
fn the_first_success_after_an_outage_takes_nothing_away_and_the_second_does() {
    let old = (30..40).map(ago);
    let first: Vec<_> = [ago(0)].into_iter().chain(old.clone()).collect();
    assert_eq!(kept(&first, &policy()).len(), 11);
    assert_eq!(
        told(&first, &policy())[2],
        "the backup before the newest is 30 days older; removal waits for one more"
    );
    let second: Vec<_> = [ago(0), ago(1)].into_iter().chain(old.clone()).collect();
    assert_eq!(kept(&second, &policy()), [0, 1]);
    // Before the first success it is the same.
    let none: Vec<_> = old.collect();
    assert_eq!(kept(&none, &policy()).len(), 10);
    assert!(told(&none, &policy())[5].contains("30 days old; removal waits for a new one"));
}

#[test]
fn backups_that_are_rare_by_intention_are_removed_all_the_same() {
    let monthly: Vec<_> = (0..6).map(|n| ago(n * 30)).collect();
    assert_eq!(kept(&monthly, &policy()), [0, 30]);
    // Months of history do not hide that there is one each day.
    let long = Retention {
        keep_monthly: 12,
        ..policy()
    };
    let mut daily_and_monthly = vec![ago(0)];
    daily_and_monthly.extend((40..47).map(ago));
    daily_and_monthly.extend((3..14).map(|n| ago(n * 30)));
    assert_eq!(
        kept(&daily_and_monthly, &long).len(),
        daily_and_monthly.len()
    );
}

#[test]
fn the_ledger_tells_how_the_last_look_at_a_backup_ended() {
    let entry = |job, result, name: &str| {
        let mut entry = Entry::begun(job, "a", "1", now());
        entry.backup = Some(name.to_owned());
        entry.result = result;
        entry
    };
    let mut part = entry(Job::Drill, JobResult::Passed, "part");
    part.drill = Some(crate::ledger::DrillFacts {
        scope: Some("x".to_owned()),
        ..Default::default()
    });
    let mut bad_part = part.clone();
    bad_part.result = JobResult::Failed;
    bad_part.backup = Some("bad part".to_owned());
    let entries = [
        entry(Job::Verify, JobResult::Failed, "a"),
        entry(Job::Verify, JobResult::Passed, "a"),
        entry(Job::Verify, JobResult::Timeout, "a"),
        entry(Job::Drill, JobResult::Passed, "a"),
        entry(Job::Drill, JobResult::Error, "a"),
        entry(Job::Backup, JobResult::Passed, "b"),
        entry(Job::Restore, JobResult::Failed, "b"),
        part,
        bad_part,
    ];
    let record = Record::of(&entries);
    assert_eq!(record.get("a"), (Check::Passed, Check::Passed));
    assert_eq!(record.get("b"), (Check::Unknown, Check::Unknown));
    assert_eq!(record.get("part"), (Check::Unknown, Check::Unknown));
    assert_eq!(record.get("bad part"), (Check::Unknown, Check::Failed));
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![3 => Just(Check::Unknown), 3 => Just(Check::Passed), 1 => Just(Check::Failed)]
}

prop_compose! {
    fn backup()(
        hours in prop_oneof![9 => 0i64..2_000, 1 => -500i64..200_000],
        ours in prop::bool::weighted(0.8),
        verified in check(),
        drilled in check(),
    ) -> Backup {
        let origin = if ours { Origin::Ours } else { Origin::Foreign };
        Backup { begun: now() - TimeDelta::hours(hours), bytes: 1, origin, verified, drilled }
    }
}

prop_compose! {
    fn any_policy()(
        keep_days in 1u32..40,
        keep_min in 1u32..6,
        calendar in [0u32..4, 0..4, 0..4, 0..4],
        adopt: bool,
    ) -> Retention {
        let [keep_daily, keep_weekly, keep_monthly, keep_yearly] = calendar;
        Retention { keep_days, keep_min, keep_daily, keep_weekly, keep_monthly, keep_yearly, adopt }
    }
}

/// Times that no two backups share, so that "the newest" is one.
fn backups() -> impl Strategy<Value = Vec<Backup>> {
    prop::collection::vec(backup(), 0..40).prop_map(|mut backups| {
        let mut seen = BTreeSet::new();
        backups.retain(|backup| seen.insert(backup.begun));
        backups
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_must_stay_stays(backups in backups(), policy in any_policy()) {
        let verdicts = judge(&backups, &policy, now());
        prop_assert_eq!(verdicts.len(), backups.len());
        prop_assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()));
        let judged: Vec<_> = backups.iter().zip(&verdicts).collect();
        // Said again in other words than the rules' own.
        let mine = |backup: &Backup| backup.begun <= now() && (policy.adopt || backup.origin == Origin::Ours);
        let whole = |backup: &Backup| match backup.origin {
            Origin::Ours => backup.verified != Check::Failed,
            Origin::Foreign => backup.verified == Check::Passed,
        };
        let newest = |of: &dyn Fn(&Backup) -> bool| judged.iter().filter(|(backup, _)| mine(backup) && of(backup)).max_by_key(|(backup, _)| backup.begun);
        for found in [
            newest(&|backup| whole(backup) && backup.drilled != Check::Failed),
            newest(&whole),
            newest(&|backup| backup.drilled == Check::Passed && backup.verified != Check::Failed),
        ].into_iter().flatten() {
            prop_assert!(found.1.keep, "{:?}", found);
        }
        for (backup, verdict) in &judged {
            let untouchable = backup.begun > now() || !policy.adopt && backup.origin == Origin::Foreign;
            prop_assert!(verdict.keep || !untouchable, "{:?}", backup);
            let young = now() - backup.begun <= days(policy.keep_days);
            prop_assert!(verdict.keep || !young, "{:?}", backup);
        }
        let good: Vec<_> = judged.iter().filter(|(backup, _)| mine(backup) && whole(backup) && backup.drilled != Check::Failed).collect();
        let left = good.iter().filter(|(_, verdict)| verdict.keep).count();
        prop_assert!(left >= good.len().min(policy.keep_min as usize));
    }

    #[test]
    fn applying_it_twice_removes_nothing_more(backups in backups(), policy in any_policy()) {
        let verdicts = judge(&backups, &policy, now());
        let left: Vec<_> = backups.iter().zip(&verdicts).filter(|(_, verdict)| verdict.keep).map(|(backup, _)| *backup).collect();
        prop_assert!(judge(&left, &policy, now()).iter().all(|verdict| verdict.keep));
    }

    /// But where the shorter time made removal wait: what is an outage depends on it.
    #[test]
    fn a_longer_time_keeps_no_less(backups in backups(), policy in any_policy(), more in 0u32..40) {
        let longer = Retention { keep_days: policy.keep_days + more, ..policy };
        let short = judge(&backups, &policy, now());
        let waited = short.iter().flat_map(|verdict| &verdict.reasons).any(|reason| reason.is_wait());
        if !waited {
            for (short, long) in short.iter().zip(judge(&backups, &longer, now())) {
                prop_assert!(long.keep || !short.keep);
            }
        }
    }

    #[test]
    fn the_order_of_the_files_does_not_matter(backups in backups(), policy in any_policy()) {
        let mut verdicts = judge(&backups, &policy, now());
        verdicts.reverse();
        let turned: Vec<_> = backups.iter().rev().copied().collect();
        prop_assert_eq!(judge(&turned, &policy, now()), verdicts);
    }
}
