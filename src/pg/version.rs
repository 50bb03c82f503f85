//! PostgreSQL's versions: two numbers since version 10, and the major one decides what fits what.

use std::fmt;

/// A version of a server or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 15 of 15.18; for versions before 10 the first number.
    pub major: u32,
    /// 18 of 15.18.
    pub minor: u32,
}

impl Version {
    /// Reads `server_version_num`: 150018 is 15.18.
    pub const fn from_number(number: u32) -> Self {
        Self {
            major: number / 10_000,
            minor: number % 10_000,
        }
    }

    /// Reads what `--version` prints, or a dump's `Dumped from database version`: the first number in it.
    pub fn from_text(text: &str) -> Option<Self> {
        let begin = text.find(|c: char| c.is_ascii_digit())?;
        let number: String = text
            .get(begin..)?
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        let mut parts = number.split('.');
        let major = parts.next()?.parse().ok()?;
        // A pre-release like 18beta1 has no minor number.
        let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms() {
        assert_eq!(
            Version::from_text("pg_dumpall (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(Version {
                major: 15,
                minor: 18
            })
        );
        assert_eq!(
            Version::from_text("initdb (PostgreSQL) 18beta1"),
            Some(Version {
                major: 18,
                minor: 0
            })
        );
        assert_eq!(
            Version::from_number(150_018),
            Version {
                major: 15,
                minor: 18
            }
        );
        assert_eq!(Version::from_text("no number"), None);
    }
}
