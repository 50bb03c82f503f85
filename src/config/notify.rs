//! Who is told of alerts by pgvigil itself, where no Prometheus does.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where alerts go: all members of one Alertmanager cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alertmanager {
    /// Where each of them is, without a slash at the end. No secret is in it.
    pub urls: Vec<String>,
    /// What every alert is labelled with.
    pub labels: BTreeMap<String, String>,
    /// Where people find the page of this pgvigil.
    pub page_url: Option<String>,
    /// What we show to be let in.
    pub login: Login,
    /// Authorities to trust, PEM; the system's where none are named.
    pub ca_file: Option<PathBuf>,
}

/// What is shown to be let in. The files are read when something is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nothing.
    #[default]
    Nothing,
    /// A user, and the file that holds the password.
    Password(String, PathBuf),
    /// The file that holds a bearer token.
    Token(PathBuf),
}
