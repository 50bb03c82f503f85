//! From what is typed to what is meant. Nothing but the file itself was read: certificates and keys are named here, and
//! read by [`super::tls`].

mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::crypto::SupportedKxGroup;

use super::client::Wanted;
use super::password;
use super::rate::{self, Rate};
use super::raw::{Document, HttpServer, RateLimit, set};
use crate::config::document::{Form, Resolved, Section, Text};
use crate::error::Result;

/// The words for this file.
pub(super) const FORM: Form = Form {
    name: "web configuration",
    unreadable: "name a readable file in http.web_config_file",
    malformed: "the format is that of exporter-toolkit's web-configuration.md; README.md says what is other here",
};

/// Headers that may be configured, and their only values where not all will do.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Longest time between two requests that is taken for meant.
const INTERVAL_LIMIT: Duration = Duration::from_secs(3600);

/// A secret text; it prints as three stars.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The file as it is meant.
#[derive(Debug)]
pub(super) struct Settings {
    /// TLS, unless plain HTTP is served.
    pub(super) tls: Option<Tls>,
    /// Headers of every answer.
    pub(super) headers: HeaderMap,
    /// Users and the bcrypt hashes of their passwords.
    pub(super) users: BTreeMap<String, Secret>,
    /// How many requests are answered.
    pub(super) rate: Option<Rate>,
    /// What the file asks for and does not get, one sentence each.
    pub(super) notes: Vec<String>,
}

/// `tls_server_config`.
#[derive(Debug)]
pub(super) struct Tls {
    /// Our certificate and those between it and the authority.
    pub(super) certificate: Pem,
    /// Its key.
    pub(super) key: Pem,
    /// What is wanted of clients.
    pub(super) wanted: Wanted,
    /// Authorities of clients' certificates.
    pub(super) authorities: Option<Pem>,
    /// Names of which a client's certificate has to have one.
    pub(super) allowed_names: Option<Vec<String>>,
    /// Versions spoken.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// Cipher suites, best first.
    pub(super) suites: Vec<SupportedCipherSuite>,
    /// Key exchanges, best first.
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    /// Whether our order of suites counts more than the client's.
    pub(super) own_order: bool,
}

/// PEM text: where it is, and where that is said.
#[derive(Debug)]
pub(super) struct Pem {
    /// The key in the file.
    pub(super) key: &'static str,
    /// Its line.
    pub(super) line: u64,
    /// The text or its place.
    pub(super) source: Source,
}

/// Where a PEM text is.
#[derive(Debug)]
pub(super) enum Source {
    /// In a file of its own.
    File(PathBuf),
    /// In this file.
    Inline(Secret),
}

impl Settings {
    /// Resolves the text of the file at `path`.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        let document: Option<Document> = FORM.parse(text, path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        resolve(&document.unwrap_or_default(), directory)
            .map_err(|problem| FORM.refused(problem, path))
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let texts = self.tls.iter().flat_map(|tls| {
            [Some(&tls.certificate), Some(&tls.key)]
                .into_iter()
                .chain([tls.authorities.as_ref()])
        });
        texts.flatten().filter_map(|pem| match &pem.source {
            Source::File(path) => Some(path.as_path()),
            Source::Inline(_) => None,
        })
    }
}

/// Relative paths are relative to `directory`, that of the file.
fn resolve(raw: &Document, directory: &Path) -> Resolved<Settings> {
    let mut notes = Vec::new();
    let tls = match &raw.tls_server_config {
        Some(typed) => {
            let section = Section {
                path: "tls_server_config".to_owned(),
                line: typed.referenced.line(),
            };
            tls::resolve(&section, &typed.value, directory, &mut notes)?
        }
        None => None,
    };
    let headers = match &raw.http_server_config {
        Some(typed) => http(typed, &mut notes)?,
        None => HeaderMap::new(),
    };
    let users = raw.basic_auth_users.as_ref();
    let rate = raw.rate_limit.as_ref().map(|typed| {
        let section = Section {
            path: "rate_limit".to_owned(),
            line: typed.referenced.line(),
        };
        self::rate(&section, &typed.value)
    });
    Ok(Settings {
        tls,
        headers,
        users: users.map(self::users).transpose()?.unwrap_or_default(),
        rate: rate.transpose()?.flatten(),
        notes,
    })
}

fn http(raw: &HttpServer, notes: &mut Vec<String>) -> Resolved<HeaderMap> {
    let section = Section {
        path: "http_server_config".to_owned(),
        line: 1,
    };
    if let Some(typed) = set(&raw.http2)
        && truth(&section, "http2", typed)?
    {
        notes.push("http_server_config.http2: HTTP/1.1 is served, not HTTP/2".to_owned());
    }
    let section = section.inner("headers");
    let mut headers = HeaderMap::new();
    for (name, typed) in raw.headers.iter().flatten() {
        let Some((known, values)) = HEADERS.iter().find(|(known, _)| known == name) else {
            let names: Vec<_> = HEADERS.iter().map(|(name, _)| *name).collect();
            return Err(section.problem(
                &name.escape_debug().to_string(),
                typed.referenced.line(),
                "not a header that can be configured",
                &format!("use {}", names.join(", ")),
            ));
        };
        if typed.value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.contains(&typed.value.as_str()) {
            let remedy = format!("use {}", values.join(" or "));
            return Err(section.bad(known, typed, "not a value of this header", &remedy));
        }
        let pair = (
            HeaderName::from_bytes(known.as_bytes()),
            HeaderValue::from_str(&typed.value),
        );
        let (Ok(name), Ok(value)) = pair else {
            let remedy = "use printable ASCII in one line";
            return Err(section.bad(known, typed, "not a header's value", remedy));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

fn users(raw: &BTreeMap<String, Text>) -> Resolved<BTreeMap<String, Secret>> {
    let section = Section {
        path: "basic_auth_users".to_owned(),
        line: 1,
    };
    let mut users = BTreeMap::new();
    for (name, typed) in raw {
        let refused = |what, remedy: &str| {
            let line = typed.referenced.line();
            section.problem(&name.escape_debug().to_string(), line, what, remedy)
        };
        if name.contains(':') {
            let remedy = "a colon ends the name in what a client sends: leave it out";
            return Err(refused("a name that nobody can log in with", remedy));
        }
        // The value is not repeated: it may be the password itself.
        if !password::is_hash(&typed.value) {
            let remedy = "make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'";
            return Err(refused("not a bcrypt hash of cost 4 to 18", remedy));
        }
        users.insert(name.clone(), Secret(typed.value.clone()));
    }
    Ok(users)
}

fn rate(section: &Section, raw: &RateLimit) -> Resolved<Option<Rate>> {
    let Some(typed) = set(&raw.interval) else {
        return Ok(None);
    };
    let remedy = "write it as 1s, 100ms or 1m30s; 0 is no limit";
    let interval = rate::interval(&typed.value)
        .ok_or_else(|| section.bad("interval", typed, "not a duration with a unit", remedy))?;
    if interval.is_zero() {
        return Ok(None);
    }
    if interval > INTERVAL_LIMIT {
        return Err(section.bad("interval", typed, "longer than an hour", remedy));
    }
    let remedy = "say how many requests may come at once: a whole number from 1";
    let typed = set(&raw.burst).ok_or_else(|| section.missing("burst", remedy))?;
    let burst = typed.value.parse::<u32>().ok().filter(|burst| *burst > 0);
    let burst = burst.ok_or_else(|| section.bad("burst", typed, "not such a number", remedy))?;
    Ok(Some(Rate { interval, burst }))
}

/// A truth in any of the spellings that YAML 1.1 has, which exporter-toolkit reads.
fn truth(section: &Section, key: &str, typed: &Text) -> Resolved<bool> {
    match typed.value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => Err(section.bad(key, typed, "neither true nor false", "write true or false")),
    }
}

#[cfg(test)]
mod tests;
