//! Is a file still being written? Pure: what was listed and the time come in as arguments.
//!
//! A file is ready to be looked at when its size and its time of modification have stayed the same for `settle`, by a
//! clock that nobody sets, and when by the wall clock it was last written to that long ago. The second holds back what
//! another machine's cache shows as it was a while ago. A time in the future, from another machine's clock, says nothing,
//! and then the first alone decides.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) bytes: u64,
    pub(super) written_at: DateTime<Utc>,
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: DateTime<Utc>,
    pub(super) steady: Instant,
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    facts: Facts,
    /// Since when it was as it is.
    unchanged: Instant,
    /// When it was first seen with another content than was judged.
    since: DateTime<Utc>,
    /// Whether it was seen to come or to change.
    moved: bool,
    /// As what it was judged.
    judged: Option<Facts>,
    /// Not to be looked at before.
    not_before: Option<Instant>,
}

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Someone writes it.
    Growing {
        since: DateTime<Utc>,
        left: Duration,
    },
    /// It rests, but not for long enough, or its turn comes later.
    Waiting { left: Duration },
    /// It is to be looked at.
    Ready,
    /// It was looked at, and is as it was.
    Known,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            wall: Utc::now(),
            steady: Instant::now(),
        }
    }
}

impl Tracked {
    /// A file seen for the first time; `came` if it was not there a moment ago, `judged` if it was looked at before.
    pub(super) fn new(facts: Facts, now: Moment, came: bool, judged: bool) -> Self {
        Self {
            facts,
            unchanged: now.steady,
            since: now.wall,
            moved: came,
            judged: judged.then_some(facts),
            not_before: None,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Takes in how the file is now.
    pub(super) fn meet(&mut self, facts: Facts, now: Moment) {
        if facts == self.facts {
            return;
        }
        if self.is_known() || !self.moved {
            self.since = now.wall;
        }
        self.facts = facts;
        self.unchanged = now.steady;
        self.moved = true;
        self.not_before = None;
    }

    /// It was looked at as it is.
    pub(super) fn judge(&mut self) {
        self.judged = Some(self.facts);
        self.moved = false;
    }

    /// What was found is lost.
    pub(super) fn unjudge(&mut self) {
        self.judged = None;
    }

    /// It could not be looked at, and may be tried again then.
    pub(super) fn wait_until(&mut self, then: Instant) {
        self.not_before = Some(then);
    }

    pub(super) fn is_known(&self) -> bool {
        self.judged == Some(self.facts)
    }

    /// What to do with it.
    pub(super) fn state(&self, settle: Duration, now: Moment) -> State {
        if self.is_known() {
            return State::Known;
        }
        let rest = settle.saturating_sub(now.steady.saturating_duration_since(self.unchanged));
        // None: it was written in the future.
        let age = (now.wall - self.facts.written_at).to_std().ok();
        let young = age.map_or(Duration::ZERO, |age| settle.saturating_sub(age));
        let left = rest.max(young);
        if !young.is_zero() || self.moved && !rest.is_zero() {
            return State::Growing {
                since: self.since,
                left,
            };
        }
        let turn = self.not_before.map_or(Duration::ZERO, |then| {
            then.saturating_duration_since(now.steady)
        });
        match left.max(turn) {
            Duration::ZERO => State::Ready,
            left => State::Waiting { left },
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(60);

    /// Seconds from a begin, by both clocks.
    struct Clocks(Moment);

    impl Clocks {
        fn new() -> Self {
            Self(Moment::now())
        }

        fn at(&self, seconds: u64) -> Moment {
            let passed = Duration::from_secs(seconds);
            Moment {
                wall: self.0.wall + passed,
                steady: self.0.steady + passed,
            }
        }

        /// A file written at so many seconds from the begin.
        fn file(&self, bytes: u64, written: i64) -> Facts {
            Facts {
                bytes,
                written_at: self.0.wall + TimeDelta::seconds(written),
            }
        }
    }

    fn left(state: State) -> u64 {
        match state {
            State::Growing { left, .. } | State::Waiting { left } => left.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_that_grows_is_left_alone_until_it_rests() {
        let clocks = Clocks::new();
        let mut file = Tracked::new(clocks.file(1, 0), clocks.at(0), true, false);
        for second in 1..=300 {
            file.meet(clocks.file(1 + second, second as i64), clocks.at(second));
            let state = file.state(SETTLE, clocks.at(second));
            let growing = State::Growing {
                since: clocks.at(0).wall,
                left: SETTLE,
            };
            assert_eq!(state, growing, "{second}");
        }
        assert_eq!(left(file.state(SETTLE, clocks.at(359))), 1);
        assert_eq!(file.state(SETTLE, clocks.at(360)), State::Ready);
        file.judge();
        assert_eq!(file.state(SETTLE, clocks.at(361)), State::Known);
    }

    #[test]
    fn a_writer_that_paused_makes_it_be_looked_at_again() {
        let clocks = Clocks::new();
        let mut file = Tracked::new(clocks.file(10, 0), clocks.at(0), true, false);
        assert_eq!(file.state(SETTLE, clocks.at(60)), State::Ready);
        file.judge();
        file.meet(clocks.file(20, 90), clocks.at(90));
        let growing = State::Growing {
            since: clocks.at(90).wall,
            left: SETTLE,
        };
        assert_eq!(file.state(SETTLE, clocks.at(90)), growing);
        assert_eq!(file.state(SETTLE, clocks.at(150)), State::Ready);
    }

    #[test]
    fn a_replaced_file_of_the_same_size_and_one_put_back_in_time_are_other_files() {
        let clocks = Clocks::new();
        let mut file = Tracked::new(clocks.file(10, -900), clocks.at(0), false, true);
        assert_eq!(file.state(SETTLE, clocks.at(0)), State::Known);
        file.meet(clocks.file(10, -5000), clocks.at(10));
        assert!(!file.is_known());
        assert_eq!(left(file.state(SETTLE, clocks.at(10))), 60);
        assert_eq!(file.state(SETTLE, clocks.at(70)), State::Ready);
    }

    #[test]
    fn an_old_file_is_not_called_growing_but_is_watched_for_a_while() {
        let clocks = Clocks::new();
        let file = Tracked::new(clocks.file(10, -86_400), clocks.at(0), false, false);
        assert_eq!(
            file.state(SETTLE, clocks.at(0)),
            State::Waiting { left: SETTLE }
        );
        assert_eq!(file.state(SETTLE, clocks.at(60)), State::Ready);
        let young = Tracked::new(clocks.file(10, -20), clocks.at(0), false, false);
        assert!(matches!(
            young.state(SETTLE, clocks.at(0)),
            State::Growing { .. }
        ));
    }

    #[test]
    fn a_time_in_the_future_leaves_it_to_the_other_clock() {
        let clocks = Clocks::new();
        let mut file = Tracked::new(clocks.file(10, 1_000_000), clocks.at(0), false, false);
        assert_eq!(left(file.state(SETTLE, clocks.at(0))), 60);
        file.meet(clocks.file(11, 1_000_001), clocks.at(30));
        assert!(matches!(
            file.state(SETTLE, clocks.at(89)),
            State::Growing { .. }
        ));
        assert_eq!(file.state(SETTLE, clocks.at(90)), State::Ready);
    }

    #[test]
    fn a_wall_clock_that_jumps_makes_nothing_ready() {
        let clocks = Clocks::new();
        let file = Tracked::new(clocks.file(10, 0), clocks.at(0), true, false);
        let jumped = Moment {
            wall: clocks.at(86_400).wall,
            ..clocks.at(5)
        };
        assert_eq!(left(file.state(SETTLE, jumped)), 55);
        let set_back = Moment {
            wall: clocks.0.wall - TimeDelta::days(1),
            ..clocks.at(60)
        };
        assert_eq!(file.state(SETTLE, set_back), State::Ready);
    }

    #[test]
    fn what_could_not_be_read_waits_for_its_turn_or_for_a_change() {
        let clocks = Clocks::new();
        let mut file = Tracked::new(clocks.file(10, -900), clocks.at(0), false, false);
        file.wait_until(clocks.at(3_660).steady);
        assert_eq!(left(file.state(SETTLE, clocks.at(60))), 3_600);
        file.meet(clocks.file(10, 100), clocks.at(100));
        assert_eq!(file.state(SETTLE, clocks.at(160)), State::Ready);
    }
}
