//! Names with wildcards: `*` for any run of characters, `?` for one.

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// This character.
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

impl Unit {
    /// What a character means where it is not quoted.
    pub const fn of(c: char) -> Self {
        match c {
            '*' => Self::Any,
            '?' => Self::One,
            c => Self::Char(c),
        }
    }
}

/// Whether a name fits a pattern without quotes.
pub fn fits(pattern: &str, name: &str) -> bool {
    let units: Vec<_> = pattern.chars().map(Unit::of).collect();
    units_fit(&units, name)
}

/// Whether a name fits. One way back, to the last `*`, is enough: what an earlier one took need never grow again.
pub fn units_fit(units: &[Unit], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut unit, mut at, mut star) = (0, 0, None);
    while let Some(c) = name.get(at) {
        match units.get(unit) {
            Some(Unit::Any) => {
                unit += 1;
                star = Some((unit, at));
            }
            Some(Unit::One) => (unit, at) = (unit + 1, at + 1),
            Some(Unit::Char(wanted)) if wanted == c => (unit, at) = (unit + 1, at + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (unit, at) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    units.iter().skip(unit).all(|unit| *unit == Unit::Any)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_means_the_whole_name() {
        let runbook = "postgresql_backup_*.sql.gz";
        assert!(fits(runbook, "postgresql_backup_20251115_020000.sql.gz"));
        assert!(!fits(
            runbook,
            "postgresql_backup_20251115_020000.sql.gz.manifest.json"
        ));
        assert!(!fits(runbook, "my_postgresql_backup_1.sql.gz"));
        assert!(fits("nightly-?.gz", "nightly-ä.gz"));
        assert!(!fits("nightly-?.gz", "nightly-.gz"));
        assert!(fits("*a*b.gz", "xaababb.gz"));
        assert!(fits("[1].gz", "[1].gz"), "nothing else is a wildcard");
    }
}
