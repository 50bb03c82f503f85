//! A YAML file that people write: read up to a limit, taken apart strictly, refused with line and key.
//!
//! What the keys mean is no business of this module.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use crate::error::{Failure, FailureKind, Result};

/// Largest file that is read; the longest sensible one is a few KiB.
pub(crate) const SIZE_LIMIT: u64 = 1 << 20;

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
        let mut text = String::new();
        // One byte more than the limit tells a file that is too large from one that just fits, whatever metadata says.
        file.take(SIZE_LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Ok(text)
    }

    /// Takes a text apart; `path` is its name in messages.
    pub(crate) fn parse<T: DeserializeOwned>(&self, text: &str, path: &Path) -> Result<T> {
        if text.len() as u64 > SIZE_LIMIT {
            let what = format!("the file is larger than {SIZE_LIMIT} bytes");
            return Err(self.failure(path, &what).remedy("is this the right file?"));
        }
        let options = serde_yaml::options! { with_snippet: false };
        serde_yaml::from_str_with_options(text, options).map_err(|error| {
            self.failure(path, &explain(&error, text))
                .remedy(self.malformed)
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
            format!("\"{}\": {what}", typed.value.escape_debug()),
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

/// The parser's message behind line and key. Its own text ends with a place that would say the line twice.
fn explain(error: &serde_yaml::Error, text: &str) -> String {
    let message = error
        .without_snippet()
        .render_with_formatter(&serde_yaml::UserMessageFormatter);
    let message = message
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .replace('\n', " ")
        // YAML's own words for the three forms say nothing to most people.
        .replace("expected string scalar", "expected one value")
        .replace("expected mapping start", "expected keys with values")
        .replace("expected sequence start", "expected a list");
    let Some(place) = error.location() else {
        return message;
    };
    let key = key_at(text, place.line(), place.column());
    match key {
        Some(key) if !message.contains(&format!("`{key}`")) => {
            format!("line {}, {key}: {message}", place.line())
        }
        _ => format!("line {}: {message}", place.line()),
    }
}

/// The last key that begins before a place on its line.
fn key_at(text: &str, line: u64, column: u64) -> Option<String> {
    let line = text
        .lines()
        .nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let before: String = line.chars().take(usize::try_from(column).ok()?).collect();
    let head = before.rsplit_once(':')?.0;
    let key = head
        .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .next()?;
    (!key.is_empty()).then(|| key.to_owned())
}
