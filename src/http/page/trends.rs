//! How things went and will go, as plots: size, duration, restore time, volume.

use chrono::TimeDelta;
use maud::{Markup, html};

use super::chart::{Chart, Point, Unit};
use crate::ledger::VolumeFacts;
use crate::status::{ServerView, Space};

/// How far ahead one looks where there is hardly a past.
const AHEAD: TimeDelta = TimeDelta::days(7);

pub(super) fn render(view: &ServerView) -> Markup {
    let charts = [size(view), duration(view), restore(view), volume(view)];
    html! {
        h2 id="trends" { "Trends" }
        div.charts { @for (place, chart) in charts.iter().enumerate() { (chart.render(place)) } }
    }
}

fn size(view: &ServerView) -> Chart<'static> {
    let taken = &view.status.trend.backups;
    let past: Vec<Point> = taken
        .iter()
        .filter_map(|taken| Some((taken.at, taken.bytes? as f64)))
        .collect();
    let mut caption = newest(&past, Unit::Bytes, "The newest backup has");
    if let Some(next) = view.status.outlook.predicted_bytes {
        caption += &format!(
            " The next one is expected to have {} at the most.",
            Unit::Bytes.format(next as f64)
        );
    }
    Chart {
        title: "Size of the backups",
        unit: Unit::Bytes,
        past,
        ahead: vec![],
        limit: None,
        faults: vec![],
        caption,
    }
}

fn duration(view: &ServerView) -> Chart<'static> {
    let taken = &view.status.trend.backups;
    let past: Vec<Point> = taken
        .iter()
        .filter_map(|taken| Some((taken.at, taken.seconds?)))
        .collect();
    let faults: Vec<_> = taken
        .iter()
        .filter(|taken| !taken.passed)
        .map(|taken| taken.at)
        .collect();
    let mut caption = newest(&past, Unit::Seconds, "The newest backup took");
    if !faults.is_empty() {
        caption += &format!(
            " {} of {} attempts failed (crosses).",
            faults.len(),
            taken.len()
        );
    }
    Chart {
        title: "Duration of the backups",
        unit: Unit::Seconds,
        past,
        ahead: vec![],
        limit: Some((
            view.config.objectives.max_duration.as_secs_f64(),
            "max_duration",
        )),
        faults,
        caption,
    }
}

fn restore(view: &ServerView) -> Chart<'static> {
    let drills = &view.status.trend.drills;
    let passed = drills.iter().filter(|drill| drill.passed);
    let past: Vec<Point> = passed
        .filter_map(|drill| Some((drill.at, drill.seconds?)))
        .collect();
    let faults: Vec<_> = drills
        .iter()
        .filter(|drill| !drill.passed)
        .map(|drill| drill.at)
        .collect();
    let mut caption = newest(
        &past,
        Unit::Seconds,
        "The last test restore that passed took",
    );
    if !faults.is_empty() {
        caption += &format!(" {} of {} failed (crosses).", faults.len(), drills.len());
    }
    Chart {
        title: "Time of test restores",
        unit: Unit::Seconds,
        past,
        ahead: vec![],
        limit: Some((
            view.config.objectives.max_restore_time.as_secs_f64(),
            "max_restore_time",
        )),
        faults,
        caption,
    }
}

fn volume(view: &ServerView) -> Chart<'static> {
    let fill = |facts: VolumeFacts| {
        let space = Space {
            used_bytes: facts.used_bytes,
            available_bytes: facts.available_bytes,
            directory_bytes: facts.directory_bytes,
            ..view.space
        };
        space.fill_ratio()
    };
    let past: Vec<Point> = view
        .status
        .trend
        .volume
        .iter()
        .map(|(at, facts)| (*at, fill(*facts)))
        .collect();
    let foreseen = &view.status.outlook.volume;
    let left = view.space.left_bytes();
    // What is left goes down as the directory grows, and the other way round.
    let then = |free: u64| {
        let (less, more) = (left.saturating_sub(free), free.saturating_sub(left));
        let moved = |bytes: u64| bytes.saturating_add(less).saturating_sub(more);
        fill(VolumeFacts {
            used_bytes: moved(view.space.used_bytes),
            available_bytes: view
                .space
                .available_bytes
                .saturating_sub(less)
                .saturating_add(more),
            directory_bytes: moved(view.space.directory_bytes),
        })
    };
    // As far ahead as one looks back, so that neither takes the picture from the other.
    let looked_back = past
        .first()
        .zip(past.last())
        .map(|((first, _), (last, _))| *last - *first);
    let horizon = past
        .last()
        .map(|(last, _)| *last + looked_back.unwrap_or_default().max(AHEAD));
    let near = foreseen
        .left
        .iter()
        .filter(|(at, _)| horizon.is_none_or(|horizon| *at <= horizon));
    let near = near.filter(|_| !view.space.is_unknown());
    let ahead: Vec<Point> = near.map(|(at, free)| (*at, then(*free))).collect();
    let mut caption = if view.space.is_unknown() {
        "Nobody knows how full it is now.".to_owned()
    } else {
        format!(
            "{} of it is taken now.",
            Unit::Share.format(view.space.fill_ratio())
        )
    };
    match foreseen.full_at {
        Some(at) => {
            caption += &format!(
                " From {} on a backup will no longer fit, at the present pace.",
                at.format("%Y-%m-%d")
            );
        }
        None if !foreseen.left.is_empty() => {
            caption += " It is not foreseen to fill up (dashes: the next backups and removals).";
        }
        None => {}
    }
    Chart {
        title: "How full the volume is",
        unit: Unit::Share,
        past,
        ahead,
        limit: Some((view.config.objectives.max_fill, "max_fill")),
        faults: vec![],
        caption,
    }
}

fn newest(past: &[Point], unit: Unit, says: &str) -> String {
    match past.last() {
        Some((_, value)) => format!("{says} {}.", unit.format(*value)),
        None => String::new(),
    }
}
