//! Years of schedules lived through in no time, with everything that goes wrong: clocks that change and are set, processes
//! that end at any moment, failures, pauses, and a second pod on the same directory.
//!
//! The driver here is the server's task without what waits and writes: it asks the same agenda in the same order and keeps
//! it at the same moments. What must hold is checked by a book that knows nothing of agendas: it lists the due times of
//! the year and what was begun when.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};

use chrono::TimeDelta;

use super::*;
use crate::agenda::{Due, Ending, Rule, Rules, SCHEDULED};
use crate::config::Retention;
use crate::retention::{self, Backup, Check, Origin};
use crate::schedule::Schedule;

/// Histories in all, over the tests of this module.
const HISTORIES: u32 = 10_000;

/// What happens to the sidecar at some moment.
#[derive(Clone, Debug)]
enum Happening {
    /// It is killed, in the middle of a job if there is one, and is back after so many minutes.
    Killed(i64),
    /// It is stopped in order, and is back after so many minutes.
    Stopped(i64),
    /// The clock is set by so many minutes.
    ClockSet(i64),
    /// Nothing is to run for so many minutes.
    Paused(i64),
    /// The next so many attempts fail in a way that can pass.
    Fails(u32),
    /// The next attempt fails in a way that cannot pass.
    Refused,
    /// Jobs take so many minutes from now on.
    Slow(i64),
}

/// A year to live through.
#[derive(Clone, Debug)]
struct History {
    backup: usize,
    drill: usize,
    zone: usize,
    jitter: u64,
    retries: u32,
    /// Minutes from the beginning, and what happens then.
    happenings: Vec<(i64, Happening)>,
    pods: usize,
}

const BACKUPS: [&str; 6] = [
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * 1-5",
    "15 */12 * * *",
    "0 0 1 * *",
    "59 1 * * 0",
];
const DRILLS: [&str; 3] = ["0 6 * * 0", "0 2 15 * *", "30 2 * * 1"];
const ZONES: [Tz; 4] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1..20_000_i64).prop_map(Happening::Killed),
        3 => (1..20_000_i64).prop_map(Happening::Stopped),
        2 => (-20_000..20_000_i64).prop_map(Happening::ClockSet),
        1 => (-70..70_i64).prop_map(Happening::ClockSet),
        2 => (1..10_000_i64).prop_map(Happening::Paused),
        3 => (1..5_u32).prop_map(Happening::Fails),
        1 => Just(Happening::Refused),
        1 => (0..3_000_i64).prop_map(Happening::Slow),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let happenings = prop::collection::vec((0..YEAR, happening()), 0..14);
    let schedules = (0..BACKUPS.len(), 0..DRILLS.len(), 0..ZONES.len());
    (schedules, 0..3_u64, 0..4_u32, happenings, 1..3_usize).prop_map(
        |((backup, drill, zone), jitter, retries, mut happenings, pods)| {
            happenings.sort_by_key(|(at, _)| *at);
            History {
                backup,
                drill,
                zone,
                jitter: jitter * 1_700,
                retries,
                happenings,
                pods,
            }
        },
    )
}

/// More than any year needs.
const TURNS: u32 = 6_000;

/// Minutes.
const YEAR: i64 = 366 * 24 * 60;

fn begin() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// What is written down independently of the agenda.
#[derive(Default)]
struct Book {
    /// Each due time that was begun: how often, and whether it came to its end.
    begun: BTreeMap<(&'static str, DateTime<Utc>), (u32, bool)>,
    /// Stops and kills of a due time, each of which allows one attempt more.
    broken: BTreeMap<(&'static str, DateTime<Utc>), u32>,
    /// Due times that some moment may have passed over: those of pauses.
    excused: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    running: bool,
}

/// The backups of a directory, those of others among them, and what is done with them after each run.
struct Shelf {
    backups: Vec<Backup>,
    policy: Retention,
    /// Tells the good ones from the bad, the same in each run of a history.
    luck: u64,
}

impl Shelf {
    fn new(history: &History) -> Self {
        let foreign = |days| Backup {
            begun: begin() - TimeDelta::days(days),
            bytes: 1,
            origin: Origin::Foreign,
            verified: Check::Passed,
            drilled: Check::Unknown,
        };
        Self {
            backups: (0..3).map(foreign).collect(),
            policy: Retention {
                keep_days: [1, 7, 30][history.drill],
                keep_min: [1, 2, 5][history.zone % 3],
                keep_weekly: history.retries,
                keep_monthly: history.retries / 2,
                ..Retention::default()
            },
            luck: history.jitter + history.happenings.len() as u64,
        }
    }

    fn chance(&mut self, of: u64) -> bool {
        self.luck = self
            .luck
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.luck >> 33).is_multiple_of(of)
    }

    /// The newest that is good, and the newest that a drill has proven.
    fn last(&self) -> (Option<Backup>, Option<Backup>) {
        let ours = self
            .backups
            .iter()
            .filter(|backup| backup.origin == Origin::Ours);
        let good = ours
            .clone()
            .filter(|backup| backup.verified != Check::Failed && backup.drilled != Check::Failed);
        let drilled = ours
            .filter(|backup| backup.drilled == Check::Passed && backup.verified != Check::Failed);
        (
            good.max_by_key(|backup| backup.begun).copied(),
            drilled.max_by_key(|backup| backup.begun).copied(),
        )
    }

    fn drill(&mut self) {
        let passes = !self.chance(5);
        let newest = self
            .backups
            .iter_mut()
            .filter(|backup| backup.origin == Origin::Ours);
        if let Some(newest) = newest.max_by_key(|backup| backup.begun) {
            newest.drilled = if passes { Check::Passed } else { Check::Failed };
        }
    }

    fn add_and_prune(&mut self, now: DateTime<Utc>) {
        let verified = if self.chance(7) {
            Check::Failed
        } else {
            Check::Passed
        };
        self.backups.push(Backup {
            begun: now,
            bytes: 1,
            origin: Origin::Ours,
            verified,
            drilled: Check::Unknown,
        });
        let (good, drilled) = self.last();
        let verdicts = retention::judge(&self.backups, &self.policy, now);
        let stays: Vec<_> = verdicts.iter().map(|verdict| verdict.keep).collect();
        assert!(verdicts.iter().all(|verdict| !verdict.reasons.is_empty()));
        let mut stays = stays.into_iter();
        self.backups.retain(|_| stays.next() == Some(true));
        for (last, what) in [(good, "good"), (drilled, "drilled")] {
            assert!(
                last.is_none_or(|last| self.backups.contains(&last)),
                "the newest {what} one was removed: {last:?}"
            );
        }
        let foreign = self
            .backups
            .iter()
            .filter(|backup| backup.origin == Origin::Foreign);
        assert_eq!(foreign.count(), 3, "a file of someone else was removed");
    }
}

/// One pod: what it remembers, and until when it is down.
#[derive(Clone, Debug, Default)]
struct Pod {
    agenda: Agenda,
    down_until: i64,
    is_up: bool,
}

struct World {
    rules: Rules,
    /// Minutes that truly passed.
    minute: i64,
    /// By how much the clock is wrong.
    offset: i64,
    disk: Agenda,
    pods: Vec<Pod>,
    /// Since when, and until when, nothing is to run.
    pause: Option<(DateTime<Utc>, DateTime<Utc>)>,
    fails: u32,
    refused: bool,
    takes: i64,
    book: Book,
    shelf: Shelf,
    ahead: std::collections::VecDeque<(i64, Happening)>,
}

fn rules_of(history: &History) -> Rules {
    let rule = |expression: &str| Rule {
        schedule: Some(Schedule::parse(expression, ZONES[history.zone]).expect("a schedule")),
        jitter: Duration::from_secs(history.jitter),
        retries: history.retries,
        retry_delay: Duration::from_secs(60),
    };
    Rules {
        server: "a".to_owned(),
        backup: rule(BACKUPS[history.backup]),
        verify: Rule {
            schedule: None,
            ..rule("0 0 1 1 *")
        },
        drill: rule(DRILLS[history.drill]),
    }
}

impl World {
    fn new(history: &History) -> Self {
        Self {
            rules: rules_of(history),
            minute: 0,
            offset: 0,
            disk: Agenda::default(),
            pods: vec![Pod::default(); history.pods],
            pause: None,
            fails: 0,
            refused: false,
            takes: 10,
            book: Book::default(),
            shelf: Shelf::new(history),
            ahead: history.happenings.iter().cloned().collect(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        begin() + TimeDelta::minutes(self.minute + self.offset)
    }

    fn live(&mut self) {
        let mut turns = 0;
        while self.minute < YEAR {
            self.happen();
            for pod in 0..self.pods.len() {
                self.wake(pod);
                while self.minute < YEAR && self.pods[pod].is_up && self.work(pod) {
                    turns += 1;
                    assert!(turns < TURNS, "it turns in a circle");
                }
            }
            turns += 1;
            assert!(turns < TURNS, "it turns in a circle");
            self.minute = self.next_minute();
        }
        // What was left open at the end has its chance.
        self.ahead.clear();
        (self.fails, self.refused, self.takes) = (0, false, 10);
        for pod in &mut self.pods {
            pod.down_until = 0;
        }
        self.minute += 20_000;
        for pod in 0..self.pods.len() {
            self.wake(pod);
            while self.work(pod) {}
        }
    }

    /// Everything whose time has come, while nothing runs.
    fn happen(&mut self) {
        while let Some((_, happening)) = self.ahead.pop_front_if(|(at, _)| *at <= self.minute) {
            match happening {
                Happening::Killed(minutes) | Happening::Stopped(minutes) => self.down(minutes),
                other => self.change(other),
            }
        }
    }

    fn change(&mut self, happening: Happening) {
        match happening {
            Happening::ClockSet(minutes) => self.offset += minutes,
            Happening::Paused(minutes) => {
                let until = self.now() + TimeDelta::minutes(minutes);
                self.book.excused.push((self.now(), until));
                self.pause = Some((self.now(), until));
            }
            Happening::Fails(times) => self.fails = times,
            Happening::Refused => self.refused = true,
            Happening::Slow(minutes) => self.takes = minutes,
            Happening::Killed(_) | Happening::Stopped(_) => {}
        }
    }

    /// The first pod that is up goes down.
    fn down(&mut self, minutes: i64) {
        let until = self.minute + minutes;
        if let Some(pod) = self.pods.iter_mut().find(|pod| pod.is_up) {
            *pod = Pod {
                down_until: until,
                ..Pod::default()
            };
        }
    }

    fn wake(&mut self, pod: usize) {
        if self.pods[pod].is_up || self.pods[pod].down_until > self.minute {
            return;
        }
        let (rules, now) = (self.rules.clone(), self.now());
        self.disk.adopt(&rules, now);
        self.disk.recover(&rules, now);
        self.disk = reread(&self.disk);
        self.pods[pod] = Pod {
            agenda: self.disk.clone(),
            down_until: 0,
            is_up: true,
        };
    }

    /// Runs what is due; false where nothing is.
    fn work(&mut self, pod: usize) -> bool {
        let now = self.now();
        if let Some((since, until)) = self.pause {
            let rules = &self.rules;
            self.pods[pod].agenda.skip(rules, since, until.min(now));
            if now < until {
                return false;
            }
        }
        let Some(due) = self.pods[pod].agenda.due(&self.rules, now) else {
            return false;
        };
        // The lock is free: jobs of both pods run one after the other here.
        let mut agenda = self.pods[pod].agenda.clone();
        agenda.catch_up(self.disk.clone());
        if let Some((since, until)) = self.pause {
            agenda.skip(&self.rules, since, until.min(now));
        }
        agenda.recover(&self.rules, now);
        if agenda.due(&self.rules, now) != Some(due) {
            self.disk = reread(&agenda);
            let was = std::mem::replace(&mut self.pods[pod].agenda, agenda);
            return was != self.pods[pod].agenda;
        }
        agenda.begin(due, now);
        self.disk = reread(&agenda);
        self.book.begin(due);
        let ending = self.run(due, pod);
        self.book.running = false;
        if let Some(ending) = ending {
            let mut agenda = self.disk.clone();
            agenda.end(&self.rules, self.now(), ending);
            self.disk = reread(&agenda);
            if self.pods[pod].is_up {
                self.pods[pod].agenda = agenda;
            }
        }
        true
    }

    /// Time passes while the job runs; `None` where the pod was killed in the middle.
    fn run(&mut self, due: Due, pod: usize) -> Option<Ending> {
        let end = self.minute + self.takes;
        while let Some((at, happening)) = self.ahead.pop_front_if(|(at, _)| *at < end) {
            self.minute = self.minute.max(at);
            match happening {
                Happening::Killed(minutes) => {
                    self.take_down(pod, minutes);
                    return None;
                }
                Happening::Stopped(minutes) => {
                    self.take_down(pod, minutes);
                    *self
                        .book
                        .broken
                        .entry((due.job.name(), due.at))
                        .or_default() += 1;
                    return Some(Ending::Stopped);
                }
                other => self.change(other),
            }
        }
        self.minute = end;
        if std::mem::take(&mut self.refused) {
            self.book.ended(due);
            return Some(Ending::Done);
        }
        if self.fails > 0 {
            self.fails -= 1;
            return Some(Ending::MayPass);
        }
        self.book.ended(due);
        let now = self.now();
        match due.job {
            Job::Backup => self.shelf.add_and_prune(now),
            _ => self.shelf.drill(),
        }
        Some(Ending::Done)
    }

    fn take_down(&mut self, pod: usize, minutes: i64) {
        self.pods[pod] = Pod {
            down_until: self.minute + minutes,
            ..Pod::default()
        };
    }

    /// The next minute in which something can be otherwise. In truth a task looks twice a minute.
    fn next_minute(&self) -> i64 {
        let now = self.now();
        let clock = |at: DateTime<Utc>| {
            // Rounded up: a due time within a minute is seen at its end.
            self.minute + ((at - now).num_seconds() + 59).div_euclid(60)
        };
        let mut next = vec![YEAR, self.ahead.front().map_or(YEAR, |(at, _)| *at)];
        let over = self.pause.map(|(_, until)| until);
        next.extend(over.filter(|until| *until > now).map(clock));
        for pod in &self.pods {
            if !pod.is_up {
                next.push(pod.down_until);
                continue;
            }
            if over.is_some_and(|until| now < until) {
                continue;
            }
            for job in SCHEDULED {
                next.extend(pod.agenda.next(&self.rules, job, now).map(clock));
            }
        }
        next.into_iter().min().unwrap_or(YEAR).max(self.minute + 1)
    }
}

impl Book {
    fn begin(&mut self, due: Due) {
        assert!(!self.running, "two jobs at once");
        self.running = true;
        let (times, done) = self.begun.entry((due.job.name(), due.at)).or_default();
        assert!(!*done, "{} was run to its end before", due.at);
        *times += 1;
    }

    fn ended(&mut self, due: Due) {
        self.begun.entry((due.job.name(), due.at)).or_default().1 = true;
    }

    /// Nothing was tried more often than allowed.
    fn check_attempts(&self, retries: u32) {
        for (key, (times, _)) in &self.begun {
            let broken = self.broken.get(key).copied().unwrap_or_default();
            assert!(
                *times <= retries + 1 + broken,
                "{key:?}: {times} attempts, {broken} of them stopped"
            );
        }
    }

    /// In a year in which no clock was set, every due time was begun unless a pause had it, or a later one of the job has
    /// replaced it before anybody could begin it.
    fn check_none_lost(
        &self,
        job: &'static str,
        schedule: &Schedule,
        free: &BTreeSet<DateTime<Utc>>,
    ) {
        let end = begin() + TimeDelta::minutes(YEAR);
        let mut at = begin();
        while let Some(next) = schedule.next_after(at).filter(|next| *next < end) {
            at = next;
            let paused = self
                .excused
                .iter()
                .any(|(from, to)| *from <= at && at <= *to);
            if paused || self.begun.contains_key(&(job, at)) {
                continue;
            }
            let replaced = self
                .begun
                .keys()
                .any(|(of, begun)| *of == job && *begun > at);
            assert!(replaced && !free.contains(&at), "{job} of {at} was lost");
        }
    }
}

/// As the next process finds it on disk, without what a real disk costs.
fn reread(agenda: &Agenda) -> Agenda {
    agenda.clone()
}

/// Due times at which somebody was up, and nothing ran or happened for a day before and after: no excuse holds for these.
fn free(history: &History, schedule: &Schedule) -> BTreeSet<DateTime<Utc>> {
    // Down for up to two weeks, jobs of two days.
    let quiet = |at: DateTime<Utc>| {
        let minute = (at - begin()).num_minutes();
        let mut events = history.happenings.iter();
        events.all(|(happens, what)| {
            let (before, after) = match what {
                Happening::Slow(minutes) if *minutes > 60 => (0, YEAR),
                Happening::Killed(minutes) | Happening::Stopped(minutes) => {
                    (1_440, minutes + 1_440)
                }
                _ => (1_440, 1_440),
            };
            minute < happens - before || minute > happens + after
        })
    };
    let end = begin() + TimeDelta::minutes(YEAR);
    let mut at = begin();
    std::iter::from_fn(|| {
        at = schedule.next_after(at)?;
        (at < end).then_some(at)
    })
    .filter(|at| quiet(*at))
    .collect()
}

fn check(history: &History) {
    let mut world = World::new(history);
    world.live();
    world.book.check_attempts(history.retries);
    let clock_was_set = history
        .happenings
        .iter()
        .any(|(_, what)| matches!(what, Happening::ClockSet(_)));
    let rules = &world.rules;
    for (job, rule) in [("backup", &rules.backup), ("drill", &rules.drill)] {
        let schedule = rule.schedule.as_ref().expect("a schedule");
        if clock_was_set {
            // The last one due, by the clock as it stands, was begun or is another's.
            let last = schedule.latest_where(begin(), world.now(), |_| true);
            let begun = |at: &DateTime<Utc>| {
                world
                    .book
                    .begun
                    .keys()
                    .any(|(of, begun)| *of == job && begun >= at)
            };
            let excused = |at: &DateTime<Utc>| {
                let mut pauses = world.book.excused.iter();
                pauses.any(|(from, to)| from <= at && at <= to)
            };
            let jitter = TimeDelta::from_std(rule.jitter).expect("small");
            let lost = last.filter(|at| {
                *at + jitter <= world.now() && !begun(at) && !excused(at) && *at > begin()
            });
            assert_eq!(lost, None, "{job}: the last due time was lost");
        } else {
            world
                .book
                .check_none_lost(job, schedule, &free(history, schedule));
        }
    }
}

/// Lives through histories of their own for each number, the same in each run: what fails here fails for everyone.
fn live_through(histories: u32, number: u8) {
    let config = Cases {
        cases: histories,
        failure_persistence: None,
        ..Cases::default()
    };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[number; 32]);
    let mut runner = TestRunner::new_with_rng(config, seed);
    runner
        .run(&history(), |history| {
            check(&history);
            Ok(())
        })
        .expect("no run lost, doubled or overlapping");
}

// Two tests, so that two processors share the work.
#[test]
fn no_run_is_lost_doubled_or_overlaps_in_a_year_of_anything() {
    live_through(HISTORIES / 2, 1);
}

#[test]
fn no_run_is_lost_doubled_or_overlaps_in_another_year_of_anything() {
    live_through(HISTORIES - HISTORIES / 2, 2);
}

/// A pause at the very moment of a start after a downtime: what fell due before it is run after it.
#[test]
fn a_pause_does_not_swallow_what_a_downtime_left_open() {
    check(&History {
        backup: 4,
        drill: 0,
        zone: 0,
        jitter: 0,
        retries: 0,
        happenings: vec![
            (0, Happening::ClockSet(4_296)),
            (510_450, Happening::Stopped(10_855)),
            (521_305, Happening::Paused(1)),
        ],
        pods: 1,
    });
}
