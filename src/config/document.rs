//! A YAML file that people write: read up to a limit, taken apart strictly, refused with line and key.
//!
//! What the keys mean is no business of this module.

mod refusal;

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use crate::error::{Failure, FailureKind, Result};

/// Largest file that is read; the longest sensible one is a few KiB.
pub(crate) const SIZE_LIMIT: u64 = 1 << 20;

/// Most characters of a value in a message.
const LONGEST_SHOWN: usize = 80;

/// A scalar as typed.
pub(crate) type Text = Spanned<String>;

/// The words in which a kind of file is refused.
pub(crate) struct Form {
    /// What it is: "configuration".
    pub(crate) name: &'static str,
    /// What to do about a file that cannot be read.
    pub(crate) unreadable: &'static str,
    /// Where its form is described.
    pub(crate) malformed: &'static str,
}

/// Why what is typed is refused.
pub(crate) struct Problem {
    /// The line.
    pub(crate) line: u64,
    /// The key, with those around it.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

/// What resolving gives.
pub(crate) type Resolved<T> = std::result::Result<T, Problem>;

/// A mapping's path in the document, `servers[0].backup`, and its line where known.
pub(crate) struct Section {
    /// The path.
    pub(crate) path: String,
    /// The line.
    pub(crate) line: u64,
}

impl Form {
    /// The text of a file.
    pub(crate) fn read(&self, path: &Path) -> Result<String> {
        let unreadable = |error: std::io::Error| {
            Failure::new(
                FailureKind::Config,
                format!("read {} {}", self.name, path.display()),
            )
            .because(error)
            .remedy(self.unreadable)
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more than the limit tells a file that is too large from one that just fits, whatever metadata says.
        file.take(SIZE_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        self.fits(bytes.len(), path)?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..valid).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            self.failure(path, &format_args!("line {line}: not a text in UTF-8"))
                .remedy("save it in UTF-8; or is this not the right file?")
        })
    }

    fn fits(&self, bytes: usize, path: &Path) -> Result<()> {
        if bytes as u64 > SIZE_LIMIT {
            let what = format!("the file is larger than {SIZE_LIMIT} bytes");
            return Err(self.failure(path, &what).remedy("is this the right file?"));
        }
        Ok(())
    }

    /// Takes a text apart; `path` is its name in messages.
    pub(crate) fn parse<T: DeserializeOwned>(&self, text: &str, path: &Path) -> Result<T> {
        self.fits(text.len(), path)?;
        refusal::read(text).map_err(|refused| {
            self.failure(path, &format_args!("{}{}", refused.place, refused.what))
                .remedy(refused.remedy.unwrap_or(self.malformed))
        })
    }

    /// The failure that a problem is.
    pub(crate) fn refused(&self, problem: Problem, path: &Path) -> Failure {
        let place = format_args!("line {}, {}: {}", problem.line, problem.key, problem.what);
        self.failure(path, &place).remedy(problem.remedy)
    }

    fn failure(&self, path: &Path, what: &dyn Display) -> Failure {
        Failure::new(
            FailureKind::Config,
            format!("read {} {}: {what}", self.name, path.display()),
        )
    }
}

impl Section {
    pub(crate) fn inner(&self, key: &str) -> Self {
        Self {
            path: format!("{}.{key}", self.path),
            line: self.line,
        }
    }

    pub(crate) fn problem(
        &self,
        key: &str,
        line: u64,
        what: impl Into<String>,
        remedy: &str,
    ) -> Problem {
        let key = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Problem {
            line,
            key,
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }

    pub(crate) fn missing(&self, key: &str, remedy: &str) -> Problem {
        self.problem(key, self.line, "missing", remedy)
    }

    pub(crate) fn bad(&self, key: &str, typed: &Text, what: &str, remedy: &str) -> Problem {
        self.problem(
            key,
            typed.referenced.line(),
            format!("\"{}\": {what}", shown(&typed.value)),
            remedy,
        )
    }
}

/// A key that is there has a value: `null` is refused instead of meaning the default.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A value as messages quote it: no line has more than one line, and none is flooded.
pub(super) fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(LONGEST_SHOWN).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text.escape_debug().to_string()
}
