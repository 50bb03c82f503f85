//! Numbers and tables as people read them.

use crate::finding::{Findings, Level};

/// Bytes with a binary unit: `17.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A count with its thousands apart: `1 234 567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `1 h 02 min`, `3 min 07 s`, `4.2 s`.
pub(super) fn seconds(seconds: f64) -> String {
    let duration = std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    let whole = duration.as_secs();
    match whole {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1 row`, `2 rows`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// Columns as wide as their widest cell; numbers to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let width = |column: usize| {
        rows.iter()
            .chain([&head])
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                let number = cell.starts_with(|c: char| c.is_ascii_digit())
                    && !cell.contains("UTC")
                    && !cell.contains("_");
                if number {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text from a file, on one line: what it holds must not move a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Findings, one paragraph each.
pub(super) fn findings(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in &findings.list {
        let level = match finding.level {
            Level::Error => "FAULT",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        text.push_str(&format!(
            "  {level}: {}: {}\n           {}\n",
            plain(&finding.place),
            plain(&finding.message),
            finding.remedy
        ));
    }
    if findings.not_shown > 0 {
        text.push_str(&format!("  … and {} more\n", findings.not_shown));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_numbers() {
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(count(12), "12");
        assert_eq!(seconds(4.25), "4.2 s");
        assert_eq!(seconds(187.0), "3 min 07 s");
        assert_eq!(seconds(3720.0), "1 h 02 min");
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(
            table(
                &["A", "N"],
                &[vec!["x".into(), "10".into()], vec!["yy".into(), "5".into()]]
            ),
            "A   N\nx   10\nyy   5\n"
        );
    }
}
