//! A simulated year in which all is well enough: second attempts, a pause, restarts and a clock that is put back are no alarm.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use super::rules;
use crate::support::place::Place;
use crate::support::programs;

const DAY: u64 = 86_400;
/// Time between two samples: as much as Prometheus looks back.
const STEP: u64 = 300;
const LABELS: &str = r#"cluster="c1",namespace="db",server="pg",pod="p-0""#;

#[test]
fn nothing_fires_in_a_good_year() {
    let output = simulate(365, "1h", None);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn nothing_fires_in_two_good_weeks_seen_closely() {
    let output = simulate(14, "5m", None);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_day_without_a_backup_is_told() {
    let output = simulate(20, "5m", Some(12));
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(!output.status.success(), "{told}");
    assert!(
        told.contains(r#"{alertname="PgvigilBackupMissed"}"#),
        "{told}"
    );
    assert!(!told.contains("PgvigilBackupTooOld"), "{told}");
}

/// What is known at a moment, in seconds since the beginning.
struct Moment {
    day: u64,
    time: u64,
    without: Option<u64>,
}

impl Moment {
    /// When the last backup was finished; the first was there before the beginning.
    fn backup(&self) -> u64 {
        let done = |day: u64| match day % 50 {
            // The second attempt.
            3 => day * DAY + 8_700,
            // The clock was put back: it comes an hour later from here on.
            _ if day > 300 => day * DAY + 11_400,
            _ => day * DAY + 7_800,
        };
        let now = self.day * DAY + self.time;
        (0..=self.day)
            .rev()
            .take(3)
            .filter(|day| Some(*day) != self.without)
            .map(done)
            .find(|done| *done <= now)
            .unwrap_or(1)
    }

    /// When the last first attempt failed.
    fn failure(&self) -> u64 {
        let last = (0..=self.day).rev().take(50).find(|day| {
            let failed = day * DAY + 7_500;
            day % 50 == 3 && failed <= self.day * DAY + self.time
        });
        last.map_or(0, |day| day * DAY + 7_500)
    }

    /// Every other drill needs a second attempt.
    fn drill_error(&self) -> u64 {
        let now = self.day * DAY + self.time;
        let days = (0..=self.day).rev().filter(|day| day % 14 == 7);
        days.take(2)
            .map(|day| day * DAY + 21_900)
            .find(|failed| *failed <= now)
            .unwrap_or(0)
    }

    /// When the last run of a job was finished that comes every so many days.
    fn last(&self, every: u64, at: u64) -> u64 {
        let now = self.day * DAY + self.time;
        let days = (0..=self.day).rev().filter(|day| day.is_multiple_of(every));
        days.take(2)
            .map(|day| day * DAY + at)
            .find(|done| *done <= now)
            .unwrap_or(1)
    }

    /// When the attempt began that runs.
    fn running(&self) -> u64 {
        let began = match (self.day % 50, self.time) {
            (3, 7_500..8_700) => 7_530,
            (3, 7_200..7_500) => 7_200,
            (_, 7_200..7_800) => 7_200,
            _ => return 0,
        };
        self.day * DAY + began
    }

    /// An afternoon of maintenance.
    fn paused(&self) -> bool {
        self.day % 50 == 5 && (43_200..64_800).contains(&self.time)
    }

    /// Ten minutes without pgvigil.
    fn restarting(&self) -> bool {
        self.day % 30 == 11 && (43_200..43_800).contains(&self.time)
    }

    /// Filled at night until pruning, and a little more each day.
    fn fill(&self) -> f64 {
        let night = if (7_500..8_100).contains(&self.time) {
            0.1
        } else {
            0.0
        };
        0.6 + night + 0.15 * self.day as f64 / 365.0
    }

    fn size(&self) -> f64 {
        let weekend = if self.day % 7 > 4 { 0.8 } else { 1.0 };
        (1e9 * weekend * (1.0 + self.day as f64 / 365.0)).round()
    }
}

/// What Prometheus scrapes, metric by metric.
fn value(metric: &str, at: &Moment) -> f64 {
    let number = |value: u64| value as f64;
    let when = |holds: bool, value: u64| if holds { number(value) } else { 0.0 };
    match metric {
        "up" => when(
            !(at.day % 50 == 9 && (36_000..36_600).contains(&at.time)),
            1,
        ),
        "build_info" | "config_last_reload_successful" | "ledger_first_entry_timestamp_seconds" => {
            1.0
        }
        "backup_last_success_timestamp_seconds" => number(at.backup()),
        "backup_last_failure_timestamp_seconds" => number(at.failure()),
        "backup_in_progress" => when(at.running() > 0, 1),
        "backup_in_progress_since_timestamp_seconds" => number(at.running()),
        "backup_last_duration_seconds" => number(600 + 2 * at.day),
        "backup_last_size_bytes" => at.size(),
        "backup_median_size_bytes" => (at.size() * 0.98).round(),
        "backup_predicted_size_bytes" => (at.size() * 1.1).round(),
        // Once a year a day has 25 hours.
        "backup_expected_interval_seconds" => number(DAY + 3_600),
        "backup_paused" => when(at.paused(), 1),
        "backup_paused_since_timestamp_seconds" => when(at.paused(), at.day * DAY + 43_200),
        "verify_last_success_timestamp_seconds" => number(at.last(1, 19_200)),
        "verify_expected_interval_seconds" => number(DAY),
        "drill_last_success_timestamp_seconds" => number(at.last(7, 24_000)),
        "drill_last_error_timestamp_seconds" => number(at.drill_error()),
        "drill_in_progress" => when(
            at.day.is_multiple_of(7) && (21_600..24_000).contains(&at.time),
            1,
        ),
        "drill_expected_interval_seconds" => number(7 * DAY),
        "drill_phase_duration_seconds" => number(900 + at.day),
        "volume_size_bytes" => 20e9,
        "volume_available_bytes" => ((1.0 - at.fill()) * 20e9).round(),
        "volume_fill_ratio" => (at.fill() * 1e3).round() / 1e3,
        // Far away, and not to be seen on some days.
        "volume_full_timestamp_seconds" => when(!at.day.is_multiple_of(3), (at.day + 40) * DAY),
        "objective_max_age_seconds" => number(2 * DAY),
        "objective_max_duration_seconds" | "objective_max_restore_time_seconds" => 1_800.0,
        "objective_max_drill_age_seconds" => number(92 * DAY),
        "objective_max_fill_ratio" => 0.8,
        _ => 0.0,
    }
}

fn simulate(days: u64, evaluation: &str, without: Option<u64>) -> Output {
    let place = Place::new();
    let file = place.join("year.yaml");
    let rules = rules().join("pgvigil.rules.yaml");
    let mut test = format!(
        "rule_files: ['{}']\nevaluation_interval: {evaluation}\ntests:\n  - interval: 5m\n    input_series:\n",
        rules.display()
    );
    for metric in super::metrics::of_the_rules() {
        let name = metric.trim_start_matches("pgvigil_");
        let phase = if name == "drill_phase_duration_seconds" {
            r#",phase="restore""#
        } else {
            ""
        };
        let values = samples(name, days, without);
        writeln!(
            test,
            "      - {{ series: '{metric}{{{LABELS}{phase}}}', values: '{values}' }}"
        )
        .unwrap();
    }
    let end = days * 24 - 1;
    writeln!(
        test,
        "    promql_expr_test:\n      - expr: 'sum by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\",alertname!=\"PgvigilWatchdog\"}}[{days}d]))'\n        eval_time: {end}h\n        exp_samples: []"
    )
    .unwrap();
    fs::write(&file, test).unwrap();
    Command::new(programs::promtool())
        .args(["test", "rules"])
        .arg(file)
        .output()
        .unwrap()
}

/// In promtool's notation: a value and how often it comes again.
fn samples(name: &str, days: u64, without: Option<u64>) -> String {
    let mut runs: Vec<(String, u64)> = Vec::new();
    for sample in 0..days * DAY / STEP {
        let seconds = sample * STEP;
        let at = Moment {
            day: seconds / DAY,
            time: seconds % DAY,
            without,
        };
        let text = if at.restarting() {
            "_".to_owned()
        } else {
            value(name, &at).to_string()
        };
        match runs.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => runs.push((text, 1)),
        }
    }
    let words: Vec<String> = runs
        .iter()
        .map(|(text, count)| match (text.as_str(), count) {
            ("_", count) => format!("_x{count}"),
            (text, 1) => text.to_owned(),
            (text, count) => format!("{text}x{}", count - 1),
        })
        .collect();
    words.join(" ")
}
