//! What is typed: the YAML file as it stands, every scalar with its place in the text.
//!
//! This module knows keys; `resolve` knows defaults and limits. Scalars stay text until then, so that each is refused in
//! the same words, with its line and key.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use super::{Config, resolve};
use crate::error::{Failure, FailureKind, Result};

/// Largest file that is read; the longest sensible configuration is a few KiB.
pub const SIZE_LIMIT: u64 = 1 << 20;

/// A scalar as typed.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) servers: Option<Vec<Spanned<Server>>>,
    #[serde(default)]
    pub(super) http: Option<Http>,
    #[serde(default)]
    pub(super) limits: Option<Limits>,
}

/// `limits`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    #[serde(default, deserialize_with = "given")]
    pub(super) jobs: Option<Text>,
}

/// `http`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    #[serde(default, deserialize_with = "given")]
    pub(super) listen: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) web_config_file: Option<Text>,
    /// Known only to be refused with advice; its value is not kept.
    #[serde(default, deserialize_with = "given")]
    pub(super) token: Option<Spanned<IgnoredAny>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) token_file: Option<Text>,
}

/// One of `servers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    #[serde(default, deserialize_with = "given")]
    pub(super) name: Option<Text>,
    #[serde(default)]
    pub(super) connection: Option<Connection>,
    #[serde(default, deserialize_with = "given")]
    pub(super) directory: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) pg_bin: Option<Text>,
    #[serde(default)]
    pub(super) backup: Option<Backup>,
    #[serde(default)]
    pub(super) paused: Option<Spanned<Paused>>,
    #[serde(default)]
    pub(super) volume: Option<Volume>,
    #[serde(default)]
    pub(super) retention: Option<Retention>,
    #[serde(default)]
    pub(super) verify: Option<Verify>,
    #[serde(default)]
    pub(super) drill: Option<Drill>,
    #[serde(default)]
    pub(super) objectives: Option<Objectives>,
}

/// `paused`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paused {
    #[serde(default, deserialize_with = "given")]
    pub(super) reason: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) until: Option<Text>,
}

/// `volume`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    #[serde(default, deserialize_with = "given")]
    pub(super) requested: Option<Text>,
}

/// `connection`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    #[serde(default, deserialize_with = "given")]
    pub(super) host: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) port: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) user: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) database: Option<Text>,
    /// Known only to be refused with advice; its value is not kept.
    #[serde(default, deserialize_with = "given")]
    pub(super) password: Option<Spanned<IgnoredAny>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) password_file: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) passfile: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) sslmode: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) sslrootcert: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) connect_timeout: Option<Text>,
}

/// `backup`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    #[serde(default, deserialize_with = "given")]
    pub(super) mode: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) pattern: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) settle: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) schedule: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timezone: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) retries: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) retry_delay: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) jitter: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) lock_timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) when_short: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) jobs: Option<Text>,
}

/// `retention`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_days: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_min: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_daily: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_weekly: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_monthly: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) keep_yearly: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) adopt: Option<Text>,
}

/// `verify`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    #[serde(default, deserialize_with = "given")]
    pub(super) schedule: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timezone: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) jitter: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) retries: Option<Text>,
}

/// `drill`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drill {
    #[serde(default, deserialize_with = "given")]
    pub(super) schedule: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timezone: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) jitter: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) retries: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) scratch: Option<Spanned<Scratch>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) scratch_superuser: Option<Text>,
    #[serde(default)]
    pub(super) checks: Option<Vec<Spanned<Check>>>,
    #[serde(default)]
    pub(super) freshness: Option<Vec<Spanned<Freshness>>>,
}

/// `drill.scratch`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scratch {
    Embedded,
    /// The embedded one, with a word on its fence.
    Fence(Fence),
    /// Databases on a server that others use too.
    Server(Box<Connection>),
    Pod(IgnoredAny),
}

/// `drill.scratch.fence`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fence {
    Required,
}

/// One of `drill.checks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    #[serde(default, deserialize_with = "given")]
    pub(super) name: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) database: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) sql: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) expect: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) timeout: Option<Text>,
}

/// One of `drill.freshness`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freshness {
    #[serde(default, deserialize_with = "given")]
    pub(super) database: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) table: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) column: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_age: Option<Text>,
}

/// `objectives`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objectives {
    #[serde(default, deserialize_with = "given")]
    pub(super) max_age: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_duration: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_fill: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_restore_time: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_partial_restore_time: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) max_drill_age: Option<Text>,
}

/// Reads and resolves a configuration file.
pub fn read(path: &Path) -> Result<Config> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            FailureKind::Config,
            format!("read configuration {}", path.display()),
        )
        .because(error)
        .remedy("name a readable file with --config")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    // One byte more than the limit tells a file that is too large from one that just fits, whatever metadata says.
    file.take(SIZE_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    parse(&text, path)
}

/// Resolves the text of a configuration file; `path` is its name in messages.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    let refused = |what: &dyn Display| {
        Failure::new(
            FailureKind::Config,
            format!("read configuration {}: {what}", path.display()),
        )
    };
    if text.len() as u64 > SIZE_LIMIT {
        return Err(
            refused(&format_args!("the file is larger than {SIZE_LIMIT} bytes"))
                .remedy("is this the right file?"),
        );
    }
    let options = serde_yaml::options! { with_snippet: false };
    let document: Document = serde_yaml::from_str_with_options(text, options).map_err(|error| {
        refused(&explain(&error, text)).remedy("README.md lists every key with its form")
    })?;
    resolve::document(&document).map_err(|problem| {
        let failure = refused(&format_args!(
            "line {}, {}: {}",
            problem.line, problem.key, problem.what
        ));
        failure.remedy(problem.remedy)
    })
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

/// A key that is there has a value: `null` is refused instead of meaning the default.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
