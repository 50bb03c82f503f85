//! Samples gathered into families, as the text format wants them: all samples of a name together, one help text.
//!
//! Each sample is written as text at once: with hundreds of servers, structures in between cost more than all the rest.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Takes samples, whatever it makes of them.
pub(super) trait Families {
    /// Takes a sample of one kind.
    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    );

    /// Adds a sample of a value that goes up and down.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.add(name, help, "gauge", labels, value);
    }

    /// Adds a sample of a count that only grows.
    fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.add(name, help, "counter", labels, value);
    }
}

/// Families by name, as text.
#[derive(Default)]
pub(super) struct Text(BTreeMap<&'static str, Family>);

/// One name's part of the text.
struct Family {
    help: &'static str,
    kind: &'static str,
    samples: String,
}

impl Text {
    /// The families in the text format 0.0.4, sorted by name.
    pub(super) fn into_text(self) -> String {
        let size = |(name, family): (&&str, &Family)| {
            family.samples.len() + family.help.len() + 2 * name.len() + 32
        };
        let mut text = String::with_capacity(self.0.iter().map(size).sum());
        for (name, family) in self.0 {
            text.push_str("# HELP ");
            text.push_str(name);
            text.push(' ');
            escape(&mut text, family.help, false);
            text.push_str("\n# TYPE ");
            text.push_str(name);
            text.push(' ');
            text.push_str(family.kind);
            text.push('\n');
            text.push_str(&family.samples);
        }
        text
    }
}

impl Families for Text {
    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let family = self.0.entry(name).or_insert_with(|| Family {
            help,
            kind,
            samples: String::new(),
        });
        let text = &mut family.samples;
        text.push_str(name);
        let mut before = '{';
        for (label, value) in labels {
            text.push(before);
            text.push_str(label);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, " {value}");
    }
}

/// Appends a text with what the format gives another meaning behind a backslash; quotes end label values only.
fn escape(text: &mut String, value: &str, quotes: bool) {
    let mut rest = value;
    while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (c == '"' && quotes)) {
        let (plain, special) = rest.split_at(at);
        text.push_str(plain);
        text.push_str(match special.as_bytes() {
            [b'\\', ..] => "\\\\",
            [b'\n', ..] => "\\n",
            _ => "\\\"",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_in_one_piece() {
        let mut families = Text::default();
        families.gauge(
            "b",
            "Of b:\\ \"quoted\"\n.",
            &[("x", "1"), ("y", "a\\b\"c\nd")],
            1.5,
        );
        families.counter("a_total", "Of a.", &[], 3.0);
        families.gauge("b", "Of b.", &[("x", "2"), ("y", "")], f64::INFINITY);
        families.gauge("c", "Of c.", &[], 1_780_273_800.125);
        assert_eq!(
            families.into_text(),
            "# HELP a_total Of a.\n# TYPE a_total counter\na_total 3\n\
             # HELP b Of b:\\\\ \"quoted\"\\n.\n# TYPE b gauge\nb{x=\"1\",y=\"a\\\\b\\\"c\\nd\"} 1.5\nb{x=\"2\",y=\"\"} inf\n\
             # HELP c Of c.\n# TYPE c gauge\nc 1780273800.125\n"
        );
    }
}
