use super::*;
use crate::retention::{Check, Origin};

const MIB: u64 = 1 << 20;

fn now() -> DateTime<Utc> {
    "2026-06-15T12:00:00Z".parse().expect("a time")
}

fn sizes(bytes: impl IntoIterator<Item = (u64, u64)>) -> Vec<Sizes> {
    let sizes = |(bytes, database_bytes)| Sizes {
        bytes,
        uncompressed_bytes: 0,
        database_bytes,
    };
    bytes.into_iter().map(sizes).collect()
}

fn of_ours(days: i64, bytes: u64) -> Backup {
    Backup {
        begun: now() - TimeDelta::days(days) - TimeDelta::hours(10),
        bytes,
        origin: Origin::Ours,
        verified: Check::Unknown,
        drilled: Check::Unknown,
    }
}

#[test]
fn the_first_backup_has_no_prediction() {
    assert_eq!(next_size(&[], Some(100)), None);
    assert_eq!(next_size(&[], None), None);
    assert_eq!(usual_size(&[]), None);
    assert_eq!(usual_size(&sizes([(5, 0)])), None);
}

#[test]
fn the_size_follows_the_databases() {
    let past = sizes([(900, 10_000), (1_000, 10_000), (950, 10_000)]);
    assert_eq!(next_size(&past, Some(10_000)), Some(1_100));
    assert_eq!(next_size(&past, Some(20_000)), Some(2_200));
    // A database was dropped: what needs no room is not refused for lack of it.
    assert_eq!(next_size(&past, Some(1_000)), Some(110));
    // What was long ago does not count.
    let past = sizes([(9_000, 10_000)].into_iter().chain([(1_000, 10_000); 5]));
    assert_eq!(next_size(&past, Some(10_000)), Some(1_100));
}

#[test]
fn where_the_databases_are_unknown_it_follows_the_backups() {
    assert_eq!(next_size(&sizes([(1_000, 0)]), None), Some(1_100));
    assert_eq!(next_size(&sizes([(1_000, 0)]), Some(50)), Some(1_100));
    let growing = sizes((0..10).map(|n| (100_000 * (100 + 10 * n) / 100, 0)));
    let next = next_size(&growing, None).expect("a size");
    assert!((210_000..240_000).contains(&next), "{next}");
    let shrinking = sizes((0..10).map(|n| (100_000 * (100 - 5 * n) / 100, 0)));
    // The largest of the last five, and no growth.
    assert_eq!(next_size(&shrinking, None), Some(75_000 * 11 / 10));
}

#[test]
fn absurd_sizes_do_no_harm() {
    for past in [
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
        (0, 0),
        (0, u64::MAX),
        (1, 1),
    ] {
        for database in [None, Some(0), Some(1), Some(u64::MAX)] {
            let past = sizes([past; 6]);
            let next = next_size(&past, database).expect("a size");
            assert!(room_for(next) > next || next == u64::MAX);
            assert!(growth(&past) <= GROWTH_LIMIT);
        }
    }
    assert_eq!(next_size(&sizes([(u64::MAX, 1)]), Some(2)), Some(u64::MAX));
    let wild = sizes([(0, 0), (u64::MAX, 0), (0, 0), (u64::MAX, 0), (3, 0)]);
    assert!((1.0 / GROWTH_LIMIT..=GROWTH_LIMIT).contains(&growth(&wild)));
}

#[test]
fn growth_is_neither_a_step_nor_a_turn() {
    let near = |sizes: Vec<Sizes>, wanted: f64| {
        let found = growth(&sizes);
        assert!((found - wanted).abs() < 0.001, "{found}, not {wanted}");
    };
    let power = |factor: f64| move |n: i32| (scaled(1 << 40, factor.powi(n)), 0);
    near(sizes((0..20).map(power(1.02))), 1.02);
    near(sizes((0..20).map(power(0.97))), 0.97);
    near(sizes((0..3).map(power(1.5))), 1.0);
    near(sizes([(7, 0); 20]), 1.0);
    near(
        sizes((0..30).map(|n| (if n < 15 { 1_000 } else { 2_000 }, 0))),
        1.0,
    );
    near(
        sizes((0..29).map(|n| (if n % 2 == 0 { 1_000 } else { 2_000 }, 0))),
        1.0,
    );
    near(
        sizes((0..30).map(|n| (if n % 7 < 5 { 2_000 } else { 1_500 }, 0))),
        1.0,
    );
}

#[test]
fn the_usual_size_is_the_median_before_the_newest() {
    assert_eq!(usual_size(&sizes([(5, 0), (900, 0)])), Some(5));
    assert_eq!(usual_size(&sizes([(4, 0), (8, 0), (900, 0)])), Some(6));
    let many = (1..=20).map(|n| (n, 0));
    assert_eq!(usual_size(&sizes(many)), Some(16));
}

#[test]
fn kept_and_remembered_backups_are_one_history() {
    let entry = |name: &str, day: i64, bytes, result| {
        let mut entry = Entry::begun(Job::Backup, "a", "1", now() - TimeDelta::days(day));
        entry.backup = Some(name.to_owned());
        entry.result = result;
        entry.sizes = Some(sizes([(bytes, 7)])[0]);
        entry
    };
    let entries = [
        entry("gone", 9, 1, JobResult::Passed),
        entry("kept", 8, 2, JobResult::Passed),
        entry("none", 7, 99, JobResult::Failed),
    ];
    let kept = [
        ("newest", now(), sizes([(3, 9)])[0]),
        ("kept", now() - TimeDelta::days(8), sizes([(2, 7)])[0]),
        ("oldest", now() - TimeDelta::days(20), sizes([(5, 9)])[0]),
    ];
    let found: Vec<_> = super::sizes(&entries, kept)
        .iter()
        .map(|sizes| sizes.bytes)
        .collect();
    assert_eq!(found, [5, 1, 2, 3]);
}

/// Daily backups so far, of which a week is kept, each by `factor` larger than the one before; the last has 100 MiB.
fn full(factor: f64, room: u64) -> Option<i64> {
    let bytes = |days: i64| scaled(100 * MIB, factor.powi(i32::try_from(-days).expect("few")));
    let past = sizes((0..30).rev().map(|days| (bytes(days), 0)));
    let schedule: Schedule = "0 2 * * *".parse().expect("a schedule");
    let course = Course {
        schedule: &schedule,
        retention: &Retention::default(),
        kept: (0..8).map(|days| of_ours(days, bytes(days))).collect(),
        coming: of_ours(0, 0),
        sizes: &past,
        room,
    };
    foresee(course, now())
        .full_at
        .map(|at| (at - now()).num_days())
}

#[test]
fn with_retention_a_steady_state_is_never_full() {
    // The eighth makes room for the next: no line through what is free is flat.
    assert_eq!(full(1.0, 12 * MIB), None);
    assert_eq!(full(0.99, 12 * MIB), None);
    assert_eq!(full(1.0, 10 * MIB), Some(0), "not even the next one");
}

#[test]
fn growth_fills_the_volume_on_the_day_that_it_takes() {
    // Where eight are now, and in 1 GiB, there has to be room for seven and the one to come: the eighth may go before it.
    let all: u64 = (0..8)
        .map(|days| scaled(100 * MIB, 1.02_f64.powi(-days)))
        .sum::<u64>()
        + 1024 * MIB;
    let day = (1..1_000)
        .find(|day| {
            let at = |back: i32| scaled(100 * MIB, 1.02_f64.powi(day - back));
            let there: u64 = (1..=7).map(at).sum();
            there + room_for(with_margin(at(0))) > all
        })
        .expect("a day");
    let found = full(1.02, 1024 * MIB).expect("it fills");
    assert!(
        (found - i64::from(day - 1)).abs() <= 1,
        "{found}, not {day}"
    );
    assert!((30..60).contains(&found), "{found}");
}

#[test]
fn what_nobody_removes_fills_it_step_by_step() {
    let schedule: Schedule = "0 2 1 * *".parse().expect("a schedule");
    let course = |kept: Vec<Backup>| Course {
        schedule: &schedule,
        retention: &Retention::ALL,
        kept,
        coming: of_ours(0, 0),
        sizes: &[Sizes {
            bytes: 100 * MIB,
            uncompressed_bytes: 0,
            database_bytes: 0,
        }],
        room: 1000 * MIB,
    };
    // Nine fit, and the tenth has no room for its margin.
    assert_eq!(
        foresee(course(vec![]), now()).full_at,
        Some("2027-04-01T02:00:00Z".parse().expect("a time"))
    );
    // What may go goes before one is refused.
    let mut with_old = course((60..64).map(|days| of_ours(days, 100 * MIB)).collect());
    let policy = Retention {
        keep_days: 400,
        ..Retention::default()
    };
    with_old.retention = &policy;
    let later = foresee(with_old, now()).full_at.expect("it fills");
    assert_eq!(
        later,
        "2027-04-01T02:00:00Z"
            .parse::<DateTime<Utc>>()
            .expect("a time")
    );
}

#[test]
fn a_yearly_backup_and_none_at_all_end_the_search() {
    let schedule: Schedule = "0 2 1 1 *".parse().expect("a schedule");
    let retention = Retention::default();
    let course = |sizes| Course {
        schedule: &schedule,
        retention: &retention,
        kept: Vec::new(),
        coming: of_ours(0, 0),
        sizes,
        room: 1 << 50,
    };
    assert_eq!(foresee(course(&[]), now()).full_at, None);
    let one = sizes([(1, 0)]);
    assert_eq!(foresee(course(&one), now()).full_at, None);
}

/// Two hundred servers have their forecast after each job.
#[test]
fn it_is_cheap() {
    let began = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(full(1.0, 1 << 40), None);
    }
    let each = began.elapsed() / 20;
    eprintln!("a forecast of 400 runs takes {each:?}");
    assert!(each < std::time::Duration::from_millis(100), "{each:?}");
}
