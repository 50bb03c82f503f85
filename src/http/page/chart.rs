//! A plot as inline SVG: points over time, a limit, what failed, and what is foreseen. No script, no style of its own.
//!
//! What it shows stands below it in words too, for those who do not see it.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::config::units::{format_bytes, format_seconds};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 392.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 146.0;

/// A limit that is further away than this times the largest value would make a flat line of the values.
const FAR: f64 = 5.0;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Seconds,
    /// 1 is all of it.
    Share,
}

/// A value at a time.
pub(super) type Point = (DateTime<Utc>, f64);

/// What is plotted.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: Unit,
    /// The oldest first.
    pub(super) past: Vec<Point>,
    /// What is foreseen after them, the next first.
    pub(super) ahead: Vec<Point>,
    /// What the values should stay below, and its name.
    pub(super) limit: Option<(f64, &'a str)>,
    /// When there was none because it failed.
    pub(super) faults: Vec<DateTime<Utc>>,
    /// What the plot says, in words.
    pub(super) caption: String,
}

/// How times and values become places in the picture.
struct Scale {
    from: DateTime<Utc>,
    span: f64,
    top: f64,
}

impl Unit {
    pub(super) fn format(self, value: f64) -> String {
        match self {
            // Sizes of files are far from where a number with a fraction ends to be exact.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a number that is not below zero and not beyond any volume"
            )]
            Self::Bytes => format_bytes(value.max(0.0) as u64),
            Self::Seconds => format_seconds(value),
            Self::Share if value > 0.0 && value < 0.01 => format!("{:.1} %", value * 100.0),
            Self::Share => format!("{:.0} %", value * 100.0),
        }
    }

    /// The distance of two lines of the grid, so that there are three to six up to `top`.
    fn step(self, top: f64) -> f64 {
        let wanted = top / 4.0;
        let (mut base, nice): (f64, &[f64]) = match self {
            Self::Bytes => (
                1.0,
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            ),
            Self::Seconds if wanted >= 60.0 => (
                60.0,
                &[
                    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 720.0, 1_440.0,
                ],
            ),
            Self::Seconds | Self::Share => (0.001, &[1.0, 2.0, 5.0]),
        };
        let factor = match self {
            Self::Bytes => 1_024.0,
            Self::Seconds if wanted >= 60.0 => 1_440.0,
            Self::Seconds | Self::Share => 10.0,
        };
        // Ends: each round multiplies, and the values are finite.
        loop {
            if let Some(step) = nice.iter().map(|by| base * by).find(|step| *step >= wanted) {
                return step;
            }
            base *= factor;
        }
    }
}

impl Chart<'_> {
    /// The figure; `place` tells it from others on the same page.
    pub(super) fn render(&self, place: usize) -> Markup {
        let (title, says) = (format!("chart-{place}"), format!("chart-{place}-says"));
        html! {
            figure {
                h3 id=(title) { (self.title) }
                @if self.past.is_empty() && self.faults.is_empty() {
                    p.quiet { "Nothing to plot yet." }
                } @else {
                    svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(title) aria-describedby=(says) {
                        (self.picture())
                    }
                }
                figcaption id=(says) { (self.caption) (self.limit_in_words()) }
            }
        }
    }

    fn limit_in_words(&self) -> String {
        match self.limit {
            Some((limit, name)) if self.is_far(limit) => {
                format!(
                    " The limit, {} ({name}), is far above.",
                    self.unit.format(limit)
                )
            }
            Some((limit, name)) => format!(" The limit is {} ({name}).", self.unit.format(limit)),
            None => String::new(),
        }
    }

    fn largest(&self) -> f64 {
        let all = self.past.iter().chain(&self.ahead);
        all.map(|(_, value)| *value).fold(0.0, f64::max)
    }

    fn is_far(&self, limit: f64) -> bool {
        !self.past.is_empty() && limit > self.largest() * FAR
    }

    fn scale(&self) -> Option<Scale> {
        let times = self.past.iter().chain(&self.ahead).map(|(at, _)| *at);
        let times = times.chain(self.faults.iter().copied());
        let (from, to) = (times.clone().min()?, times.max()?);
        let limit = self.limit.map(|(limit, _)| limit);
        let top = limit
            .filter(|limit| !self.is_far(*limit))
            .map_or(self.largest(), |limit| limit.max(self.largest()));
        // One point alone stands in the middle of an hour.
        let from = if from == to {
            from - TimeDelta::minutes(30)
        } else {
            from
        };
        let to = to.max(from + TimeDelta::minutes(1));
        let top = if top > 0.0 { top * 1.08 } else { 1.0 };
        Some(Scale {
            from,
            span: (to - from).as_seconds_f64(),
            top,
        })
    }

    fn picture(&self) -> Markup {
        let Some(scale) = self.scale() else {
            return html! {};
        };
        let limit = self.limit.filter(|(limit, _)| !self.is_far(*limit));
        let joint = self.past.last().into_iter().chain(&self.ahead);
        html! {
            (scale.grid(self.unit))
            @if let Some((limit, name)) = limit {
                @let y = scale.y(limit);
                line.limit x1=(LEFT) x2=(RIGHT) y1=(px(y)) y2=(px(y)) {}
                text.over x=(RIGHT) y=(px(if y < TOP + 14.0 { y + 13.0 } else { y - 4.0 })) text-anchor="end" { (name) }
            }
            @if self.past.len() > 1 { polyline.past points=(scale.points(self.past.iter())) {} }
            @for (at, value) in &self.past {
                circle.dot cx=(px(scale.x(*at))) cy=(px(scale.y(*value))) r="2" {
                    title { (at.format("%Y-%m-%d %H:%M UTC")) ": " (self.unit.format(*value)) }
                }
            }
            @if !self.ahead.is_empty() { polyline.ahead points=(scale.points(joint)) {} }
            @for at in &self.faults {
                @let x = scale.x(*at);
                path.fault d=(format!("M{} {}l7 7m0 -7l-7 7", px(x - 3.5), px(BOTTOM - 9.0))) {
                    title { (at.format("%Y-%m-%d %H:%M UTC")) ": failed" }
                }
            }
        }
    }
}

impl Scale {
    fn x(&self, at: DateTime<Utc>) -> f64 {
        LEFT + (at - self.from).as_seconds_f64() / self.span * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - value / self.top * (BOTTOM - TOP)
    }

    fn points<'a>(&self, points: impl Iterator<Item = &'a Point>) -> String {
        let places =
            points.map(|(at, value)| format!("{},{}", px(self.x(*at)), px(self.y(*value))));
        places.collect::<Vec<_>>().join(" ")
    }

    fn grid(&self, unit: Unit) -> Markup {
        let step = unit.step(self.top);
        let lines = (0_u32..).map(|line| f64::from(line) * step);
        let (start, end) = (
            self.from,
            self.from + TimeDelta::milliseconds(milliseconds(self.span)),
        );
        let middle = start + (end - start) / 2;
        let form = if self.span < 2.0 * 86_400.0 {
            "%b %-d, %H:%M"
        } else {
            "%b %-d"
        };
        html! {
            @for value in lines.take_while(|value| *value <= self.top) {
                @let y = px(self.y(value));
                line.grid x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                text x=(LEFT - 6.0) y=(px(self.y(value) + 4.0)) text-anchor="end" { (unit.format(value)) }
            }
            text x=(LEFT) y=(HEIGHT - 8.0) { (start.format(form)) }
            text x=(px((LEFT + RIGHT) / 2.0)) y=(HEIGHT - 8.0) text-anchor="middle" { (middle.format(form)) }
            text x=(RIGHT) y=(HEIGHT - 8.0) text-anchor="end" { (end.format(form)) }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a span between two dates")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

/// A place to a tenth: more would only be longer.
fn px(place: f64) -> String {
    format!("{place:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::at;

    fn chart(values: &[f64]) -> Chart<'static> {
        let past = (0_u32..)
            .zip(values)
            .map(|(hour, value)| (at(hour, 0), *value));
        Chart {
            title: "Size",
            unit: Unit::Bytes,
            past: past.collect(),
            ahead: vec![],
            limit: None,
            faults: vec![],
            caption: "Said.".to_owned(),
        }
    }

    #[test]
    fn whatever_the_values_everything_lies_inside_the_picture() {
        for values in [
            &[0.0][..],
            &[5.0],
            &[0.0, 0.0],
            &[1.0, 1e15, 3.0],
            &[7.0; 24],
        ] {
            let mut chart = chart(values);
            chart.limit = Some((10.0, "<limit>"));
            chart.faults = vec![at(1, 30)];
            let svg = chart.render(1).into_string();
            for name in ["cx=\"", "cy=\"", "y1=\""] {
                for found in svg.split(name).skip(1) {
                    let place: f64 = found
                        .split('"')
                        .next()
                        .unwrap_or("")
                        .parse()
                        .expect("a place");
                    assert!((0.0..=WIDTH).contains(&place), "{values:?}: {name}{place}");
                }
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(!svg.contains("<limit>"), "{svg}");
        }
    }

    #[test]
    fn a_limit_is_drawn_where_it_is_near_and_said_where_it_is_not() {
        let with = |limit| {
            let mut chart = chart(&[100.0, 120.0]);
            chart.limit = Some((limit, "max_size"));
            chart.render(1).into_string()
        };
        assert!(with(150.0).contains("class=\"limit\""));
        assert!(!with(5_000.0).contains("class=\"limit\""));
        assert!(with(5_000.0).contains("is far above"));
    }

    #[test]
    fn the_grid_has_a_few_lines_with_round_numbers() {
        for (unit, top) in [
            (Unit::Bytes, 1.0),
            (Unit::Bytes, 3_000.0),
            (Unit::Bytes, 7e12),
            (Unit::Seconds, 0.3),
            (Unit::Seconds, 90.0),
            (Unit::Seconds, 5_000.0),
            (Unit::Seconds, 4e6),
            (Unit::Share, 1.08),
        ] {
            let lines = top / unit.step(top);
            assert!((1.0..=4.0).contains(&lines), "{unit:?} {top}: {lines}");
        }
        assert_eq!(Unit::Seconds.step(5_000.0), 1_800.0);
        assert_eq!(Unit::Bytes.step(3_000.0), 1_024.0);
    }

    #[test]
    fn without_anything_it_says_so() {
        let svg = chart(&[]).render(1).into_string();
        assert!(svg.contains("Nothing to plot yet") && !svg.contains("<svg"));
    }
}
