//! The two forms of the test: with the rules as they are, in real minutes; and with minutes made seconds, for every day.
//!
//! In the short form nothing but durations differs: `for` and `keep_firing_for` of the rules, and how long Alertmanager
//! gathers and waits.

use std::time::Duration;

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Short,
    Full,
}

/// What says how long an alert is held back, and held on to.
pub(super) const RULES: [&str; 2] = ["for", "keep_firing_for"];

/// What says how long Alertmanager gathers and waits.
pub(super) const ROUTES: [&str; 3] = ["group_wait", "group_interval", "repeat_interval"];

impl Form {
    /// `PGVIGIL_END_TO_END=full` asks for real minutes.
    pub(super) fn asked() -> Self {
        match std::env::var("PGVIGIL_END_TO_END").as_deref() {
            Ok("full") => Self::Full,
            Ok(other) => panic!("PGVIGIL_END_TO_END={other}: it is `full`, or not there"),
            Err(_) => Self::Short,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Full => "full",
        }
    }

    /// How often Prometheus asks and evaluates.
    pub(super) fn interval(self) -> &'static str {
        match self {
            Self::Short => "1s",
            Self::Full => "15s",
        }
    }

    /// How often Prometheus repeats an alert to Alertmanager, which holds on to it four times as long. What is sent in the
    /// first seconds, before Alertmanager was found, is lost until then.
    pub(super) fn resend(self) -> &'static str {
        match self {
            Self::Short => "10s",
            Self::Full => "1m",
        }
    }

    /// When it has taken too long.
    pub(super) fn deadline(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(6 * 60),
            Self::Full => Duration::from_secs(90 * 60),
        }
    }

    /// A file of theirs in this form: lines of these keys have a sixtieth of their duration, all others are as they were.
    pub(super) fn of(self, text: &str, keys: &[&str]) -> String {
        match self {
            Self::Full => text.to_owned(),
            Self::Short => text
                .split_inclusive('\n')
                .map(|line| shortened(line, keys))
                .collect(),
        }
    }
}

fn shortened(line: &str, keys: &[&str]) -> String {
    let Some((key, value)) = line.split_once(':') else {
        return line.to_owned();
    };
    if !keys.contains(&key.trim_start()) {
        return line.to_owned();
    }
    let value = value.trim();
    let number: u64 = value[..value.len() - 1].parse().unwrap();
    let sixtieth = match &value[value.len() - 1..] {
        "h" => format!("{number}m"),
        "m" => format!("{number}s"),
        "s" => format!("{}ms", number * 1000 / 60),
        _ => panic!("{line}: an unknown unit"),
    };
    format!("{key}: {sixtieth}\n")
}

/// What differs: lines as they were and as they are.
fn changes<'a>(before: &'a str, after: &'a str) -> Vec<(&'a str, &'a str)> {
    assert_eq!(before.lines().count(), after.lines().count());
    let pairs = before.lines().zip(after.lines());
    pairs.filter(|(before, after)| before != after).collect()
}

/// Nothing but the durations of these keys differs, each divided by sixty.
pub(super) fn assert_nothing_else_differs(before: &str, after: &str, keys: &[&str]) {
    let milliseconds = |line: &str| -> (String, u64) {
        let (key, value) = line.split_once(": ").expect(line);
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &value[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            other => panic!("{line}: {other}"),
        };
        (key.to_owned(), digits.parse::<u64>().unwrap() * unit)
    };
    for (before, after) in changes(before, after) {
        let ((key, long), (same, short)) = (milliseconds(before), milliseconds(after));
        assert!(keys.contains(&key.trim_start()), "{before} became {after}");
        assert_eq!(key, same, "{before} became {after}");
        assert_eq!(long, short * 60, "{before} became {after}");
    }
}

#[test]
fn a_sixtieth_is_a_sixtieth_and_the_rest_stays() {
    let text = "for: 15m\n  expr: 15m\n  keep_firing_for: 1h\n    for: 30s\n# for: what\nfor:15m";
    let short = Form::Short.of(text, &RULES);
    assert_eq!(
        short,
        "for: 15s\n  expr: 15m\n  keep_firing_for: 1m\n    for: 500ms\n# for: what\nfor: 15s\n"
    );
    assert_eq!(Form::Full.of(text, &RULES), text);
}

#[test]
#[should_panic(expected = "expr")]
fn another_expression_is_noticed() {
    assert_nothing_else_differs("for: 15m\nexpr: 1m", "for: 15s\nexpr: 1s", &RULES);
}

#[test]
#[should_panic(expected = "14s")]
fn another_duration_is_noticed() {
    assert_nothing_else_differs("for: 15m", "for: 14s", &RULES);
}
