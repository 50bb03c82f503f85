//! `notify`: addresses, labels and what lets us in.

use std::collections::BTreeMap;

use hyper::Uri;

use super::scalar::{absolute, filled};
use crate::config::document::{Resolved, Section, Text};
use crate::config::raw;
use crate::config::{Alertmanager, Login};

/// Most members of a cluster.
const MOST_URLS: usize = 16;

/// Most labels, and the longest value of one.
const MOST_LABELS: usize = 32;
const LONGEST_LABEL: usize = 1_024;

/// Labels that the rules and the metrics set.
const TAKEN: [&str; 6] = [
    "alertname",
    "severity",
    "server",
    "database",
    "phase",
    "reason",
];

const URL_FORM: &str = "write it as http://alertmanager:9093 or https://alerts.example.org/prefix";

pub(super) fn alertmanager(raw: &raw::Alertmanager) -> Resolved<Alertmanager> {
    let section = Section {
        path: "notify.alertmanager".to_owned(),
        line: 1,
    };
    let section = &section;
    for (key, given, named) in [
        ("password", &raw.password, "password_file"),
        ("bearer_token", &raw.bearer_token, "bearer_token_file"),
    ] {
        if let Some(secret) = given {
            let line = secret.referenced.line();
            let remedy = format!("put it into a file and name that with {named}");
            let what = "secrets do not belong in the configuration";
            return Err(section.problem(key, line, what, &remedy));
        }
    }
    let typed = raw.urls.as_deref().unwrap_or_default();
    if typed.is_empty() {
        return Err(section.missing(
            "urls",
            "name at least one Alertmanager, as [http://alertmanager:9093]",
        ));
    }
    let mut urls = Vec::with_capacity(typed.len());
    for (index, typed) in typed.iter().enumerate() {
        let key = format!("urls[{index}]");
        let url = url(section, &key, typed)?;
        if urls.contains(&url) {
            return Err(section.bad(&key, typed, "it is there twice", "keep one of them"));
        }
        if urls.len() == MOST_URLS {
            let remedy = format!("name at most {MOST_URLS}");
            return Err(section.bad(&key, typed, "too many", &remedy));
        }
        urls.push(url);
    }
    Ok(Alertmanager {
        urls,
        labels: labels(&section.inner("labels"), &raw.labels)?,
        page_url: optional(&raw.page_url, |typed| {
            url(section, "page_url", typed).map(|_| typed.value.clone())
        })?,
        login: login(section, raw)?,
        ca_file: optional(&raw.ca_file, |typed| absolute(section, "ca_file", typed))?,
    })
}

fn optional<T>(
    typed: &Option<Text>,
    resolve: impl Fn(&Text) -> Resolved<T>,
) -> Resolved<Option<T>> {
    typed.as_ref().map(resolve).transpose()
}

/// An address without a slash at the end.
fn url(section: &Section, key: &str, typed: &Text) -> Resolved<String> {
    let refused = |what| Err(section.bad(key, typed, what, URL_FORM));
    let value = filled(section, key, typed)?;
    // Both may hold a secret, which no message is to show.
    let unshown = |what, remedy| {
        let line = typed.referenced.line();
        Err(section.problem(key, line, what, remedy))
    };
    if value.contains('@') {
        let what = "a user or password does not belong into an address";
        return unshown(
            what,
            "name the user with username, and a file with password_file",
        );
    }
    if value.contains(['?', '#']) {
        return unshown("more than an address and a path", URL_FORM);
    }
    let Ok(parsed) = value.parse::<Uri>() else {
        return refused("not an address");
    };
    let known = matches!(parsed.scheme_str(), Some("http" | "https"));
    let port = parsed.authority().is_some_and(|authority| {
        let behind = authority
            .as_str()
            .rsplit_once(']')
            .map_or(authority.as_str(), |(_, port)| port);
        !behind.contains(':') || authority.port_u16().is_some_and(|port| port > 0)
    });
    if !known || !port || parsed.host().is_none_or(str::is_empty) {
        return refused("not an address");
    }
    Ok(value.trim_end_matches('/').to_owned())
}

fn labels(
    section: &Section,
    raw: &Option<BTreeMap<String, Text>>,
) -> Resolved<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (name, typed) in raw.iter().flatten() {
        let fits = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits || name.starts_with("__") {
            let remedy = "use letters, digits and _, with a letter first";
            return Err(section.bad(name, typed, "its key is not the name of a label", remedy));
        }
        if TAKEN.contains(&name.as_str()) {
            return Err(section.bad(
                name,
                typed,
                "pgvigil itself sets this label",
                "choose another name",
            ));
        }
        let value = filled(section, name, typed)?;
        if value.len() > LONGEST_LABEL || labels.len() == MOST_LABELS {
            let remedy =
                format!("have at most {MOST_LABELS}, of at most {LONGEST_LABEL} bytes each");
            return Err(section.bad(name, typed, "too much", &remedy));
        }
        labels.insert(name.clone(), value);
    }
    Ok(labels)
}

fn login(section: &Section, raw: &raw::Alertmanager) -> Resolved<Login> {
    match (&raw.username, &raw.password_file, &raw.bearer_token_file) {
        (None, None, None) => Ok(Login::Nothing),
        (Some(user), Some(file), None) => Ok(Login::Password(
            filled(section, "username", user)?,
            absolute(section, "password_file", file)?,
        )),
        (None, None, Some(file)) => Ok(Login::Token(absolute(section, "bearer_token_file", file)?)),
        (Some(_), _, Some(file)) | (None, Some(_), Some(file)) => Err(section.bad(
            "bearer_token_file",
            file,
            "there is a username or a password_file too",
            "keep one way to be let in",
        )),
        (Some(user), None, None) => Err(section.bad(
            "username",
            user,
            "there is no password_file",
            "name the file that holds the password",
        )),
        (None, Some(file), None) => Err(section.bad(
            "password_file",
            file,
            "there is no username",
            "name the user with username",
        )),
    }
}
