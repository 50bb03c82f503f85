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

use self::refusal::document;
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
    #[serde(default, deserialize_with = "given")]
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
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file that is too large from one that just fits, whatever metadata says.
    file.take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        let what = format!("the file is larger than {SIZE_LIMIT} bytes");
        return Err(refused(path, &what).remedy("is this the right file?"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let what = format!("line {line}: not a text in UTF-8");
        refused(path, &what).remedy("save it in UTF-8; or is this not the right file?")
    })?;
    // Two names of one directory on disk are one directory.
    parse_with(text, path, &|directory| {
        std::fs::canonicalize(directory).ok()
    })
}

fn refused(path: &Path, what: &dyn Display) -> Failure {
    let what = format!("read configuration {}: {what}", path.display());
    Failure::new(FailureKind::Config, what)
}

/// Resolves the text of a configuration file; `path` is its name in messages.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    parse_with(text, path, &|_| None)
}

/// `real` gives the place that a directory's name leads to, where there is one.
fn parse_with(text: &str, path: &Path, real: resolve::RealPath<'_>) -> Result<Config> {
    let document = document(text).map_err(|problem| {
        let failure = refused(path, &format_args!("{}{}", problem.place, problem.what));
        failure.remedy(problem.remedy)
    })?;
    resolve::document(&document, real).map_err(|problem| {
        let failure = refused(
            path,
            &format_args!("line {}, {}: {}", problem.line, problem.key, problem.what),
        );
        failure.remedy(problem.remedy)
    })
}

/// A key that is there has a value: `null` is refused instead of meaning the default.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

mod refusal;
#[cfg(test)]
mod tests;
