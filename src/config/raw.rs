//! What is typed: the YAML file as it stands, every scalar with its place in the text.
//!
//! This module knows keys; `resolve` knows defaults and limits. Scalars stay text until then, so that each is refused in
//! the same words, with its line and key.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_yaml::Spanned;

use super::document::{Form, Text, given};
use super::{Config, resolve};
use crate::error::Result;

/// The words for this file.
const FORM: Form = Form {
    name: "configuration",
    unreadable: "name a readable file with --config",
    malformed: "README.md lists every key with its form",
};

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
    #[serde(default)]
    pub(super) notify: Option<Notify>,
}

/// `notify`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    #[serde(default)]
    pub(super) alertmanager: Option<Alertmanager>,
}

/// `notify.alertmanager`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alertmanager {
    #[serde(default)]
    pub(super) urls: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, Text>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) page_url: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) username: Option<Text>,
    /// Known only to be refused with advice; its value is not kept.
    #[serde(default, deserialize_with = "given")]
    pub(super) password: Option<Spanned<IgnoredAny>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) password_file: Option<Text>,
    /// Known only to be refused with advice; its value is not kept.
    #[serde(default, deserialize_with = "given")]
    pub(super) bearer_token: Option<Spanned<IgnoredAny>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) bearer_token_file: Option<Text>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ca_file: Option<Text>,
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
    // Two names of one directory on disk are one directory.
    parse_with(&FORM.read(path)?, path, &|directory| {
        std::fs::canonicalize(directory).ok()
    })
}

/// Resolves the text of a configuration file; `path` is its name in messages.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    parse_with(text, path, &|_| None)
}

/// `real` gives the place that a directory's name leads to, where there is one.
fn parse_with(text: &str, path: &Path, real: resolve::RealPath<'_>) -> Result<Config> {
    let document: Document = FORM.parse(text, path)?;
    resolve::document(&document, real).map_err(|problem| FORM.refused(problem, path))
}

#[cfg(test)]
mod tests;
