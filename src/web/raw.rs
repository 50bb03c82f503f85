//! What is typed: exporter-toolkit's file as it stands. An empty value is one that was not given, as there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Spanned;

use crate::config::document::Text;

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) tls_server_config: Option<Spanned<TlsServer>>,
    #[serde(default)]
    pub(super) http_server_config: Option<HttpServer>,
    #[serde(default)]
    pub(super) basic_auth_users: Option<BTreeMap<String, Text>>,
    #[serde(default)]
    pub(super) rate_limit: Option<Spanned<RateLimit>>,
}

/// `tls_server_config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsServer {
    #[serde(default)]
    pub(super) cert: Option<Text>,
    #[serde(default)]
    pub(super) key: Option<Text>,
    #[serde(default)]
    pub(super) client_ca: Option<Text>,
    #[serde(default)]
    pub(super) cert_file: Option<Text>,
    #[serde(default)]
    pub(super) key_file: Option<Text>,
    #[serde(default)]
    pub(super) client_ca_file: Option<Text>,
    #[serde(default)]
    pub(super) client_auth_type: Option<Text>,
    #[serde(default)]
    pub(super) client_allowed_sans: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) min_version: Option<Text>,
    #[serde(default)]
    pub(super) max_version: Option<Text>,
    #[serde(default)]
    pub(super) cipher_suites: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) curve_preferences: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) prefer_server_cipher_suites: Option<Text>,
}

/// `http_server_config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpServer {
    #[serde(default)]
    pub(super) http2: Option<Text>,
    #[serde(default)]
    pub(super) headers: Option<BTreeMap<String, Text>>,
}

/// `rate_limit`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    #[serde(default)]
    pub(super) interval: Option<Text>,
    #[serde(default)]
    pub(super) burst: Option<Text>,
}

/// A value that says something.
pub(super) fn set(typed: &Option<Text>) -> Option<&Text> {
    typed.as_ref().filter(|typed| !typed.value.is_empty())
}
