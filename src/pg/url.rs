//! Connection strings as people type them and libpq reads them: `postgresql://user@host:port/database?sslmode=…` and
//! `host=… port=… user=…`.
//!
//! Only what means the same here as to libpq is taken; any other parameter is an error, because a connection that
//! silently lacks one may lead to another server, or there in the clear.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::connect::Target;
use crate::config::{Connection, SslMode};
use crate::error::{Failure, FailureKind, Result};

/// A password. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a connection string names.
#[derive(Debug)]
pub struct Named {
    /// The server.
    pub target: Target,
    /// The database, where one is named.
    pub database: Option<String>,
    /// What the person should know about how it was typed.
    pub warnings: Vec<String>,
}

impl Target {
    /// Reads a connection string. What it leaves out is libpq's default; the password then comes from PGPASSWORD or
    /// libpq's password file.
    pub fn from_url(text: &str) -> Result<Named> {
        let mut parts = Parts::default();
        let scheme = ["postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        match scheme {
            Some(rest) => parts.url(rest)?,
            None if text.contains("://") => {
                return Err(unreadable(
                    "it begins with another scheme than postgresql://",
                ));
            }
            None => parts.pairs(text)?,
        }
        parts.resolve()
    }
}

/// A failure that shows nothing of the text: there may be a password in it.
fn unreadable(why: &str) -> Failure {
    Failure::new(
        FailureKind::Usage,
        format!("read the connection string: {why}"),
    )
    .remedy("write postgresql://user@host:port/database?sslmode=require, or 'host=… port=… user=… dbname=…'")
}

#[derive(Default)]
struct Parts {
    connection: Connection,
    password: Option<String>,
}

impl Parts {
    fn url(&mut self, text: &str) -> Result<()> {
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let (authority, database) = text.split_once('/').unwrap_or((text, ""));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if let Some(user) = user {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (user, None),
            };
            self.set("user", decode(user)?)?;
            if let Some(password) = password {
                self.set("password", decode(password)?)?;
            }
        }
        let (host, port) = host_and_port(host)?;
        self.set("host", decode(host)?)?;
        self.set("port", decode(port)?)?;
        self.set("dbname", decode(database)?)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| unreadable("a parameter behind the ? has no value"))?;
            self.set(&decode(name)?, decode(value)?)?;
        }
        Ok(())
    }

    /// `name=value name='a value'`, with `\` before a quote or a backslash.
    fn pairs(&mut self, text: &str) -> Result<()> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest
                .split_once('=')
                .ok_or_else(|| unreadable("a word in it is no name=value"))?;
            let (value, after) = value(after.trim_start())?;
            self.set(name.trim_end(), value)?;
            rest = after.trim_start();
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        let several = |value: &str| value.contains(',') && !value.starts_with('/');
        let connection = &mut self.connection;
        match name {
            "host" | "hostaddr" if several(&value) => {
                return Err(unreadable(
                    "it names several hosts, and a restore is into one",
                ));
            }
            "host" => connection.host = Some(value),
            "port" => {
                let port = value.parse().ok().filter(|port| *port > 0);
                connection.port =
                    Some(port.ok_or_else(|| unreadable("the port is no number from 1 to 65535"))?);
            }
            "user" => connection.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" if value.contains("://") || value.contains('=') => {
                return Err(unreadable("the database's name is a connection string"));
            }
            "dbname" => connection.database = Some(value),
            "sslmode" => {
                connection.sslmode = SslMode::parse(&value).ok_or_else(|| {
                    unreadable("sslmode is disable, prefer, require, verify-ca or verify-full")
                })?;
            }
            "sslrootcert" => connection.sslrootcert = Some(PathBuf::from(value)),
            "connect_timeout" => {
                let seconds: u64 = value
                    .parse()
                    .map_err(|_| unreadable("connect_timeout is no number of seconds"))?;
                connection.connect_timeout =
                    Some(seconds).filter(|s| *s > 0).map(Duration::from_secs);
            }
            // Names of our own sessions are ours.
            "application_name" | "fallback_application_name" => {}
            _ => {
                let shown: String = name
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .take(40)
                    .collect();
                return Err(unreadable(&format!(
                    "its parameter {shown} is not known to pgvigil"
                )));
            }
        }
        Ok(())
    }

    fn resolve(self) -> Result<Named> {
        let database = self.connection.database.clone();
        let target = Target::resolve(&self.connection)?;
        let mut warnings = Vec::new();
        let target = match self.password {
            Some(password) => {
                warnings.push(
                    "the password on the command line is visible to every user of this machine while pgvigil runs: \
                     put it into PGPASSWORD or ~/.pgpass"
                        .to_owned(),
                );
                target.with_password(Secret(password))
            }
            None => target,
        };
        Ok(Named {
            target,
            database,
            warnings,
        })
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn host_and_port(text: &str) -> Result<(&str, &str)> {
    if text.contains(',') {
        return Err(unreadable(
            "it names several hosts, and a restore is into one",
        ));
    }
    let Some(address) = text.strip_prefix('[') else {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        return if port.contains(':') {
            Err(unreadable("an IPv6 address stands in brackets: [::1]:5432"))
        } else {
            Ok((host, port))
        };
    };
    match address.split_once(']') {
        Some((host, "")) => Ok((host, "")),
        Some((host, after)) if after.starts_with(':') => {
            Ok((host, after.strip_prefix(':').unwrap_or("")))
        }
        _ => Err(unreadable("the bracket of an IPv6 address is not closed")),
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok())
        };
        match (digit(), digit()) {
            (Some(high), Some(low)) if (high, low) != (0, 0) => bytes.push(high << 4 | low),
            _ => {
                return Err(unreadable(
                    "a % in it is not followed by two hex digits (a % itself is %25)",
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| unreadable("its percent-encoded bytes are no UTF-8"))
}

/// A value of the second form, and what follows it.
fn value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or(""))),
            c if c.is_ascii_whitespace() && !quoted => {
                return Ok((value, text.get(at..).unwrap_or("")));
            }
            other => value.push(other),
        }
    }
    if quoted {
        return Err(unreadable("a quote in it is not closed"));
    }
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Named {
        Target::from_url(text).unwrap_or_else(|failure| panic!("{text}: {}", failure.sentence()))
    }

    #[test]
    fn urls() {
        let of = named(
            "postgresql://us%40er@db.example:6432/app%2Fdb?sslmode=require&connect_timeout=3",
        );
        assert_eq!(of.target.to_string(), "us@er@db.example:6432");
        assert_eq!(of.database.as_deref(), Some("app/db"));
        assert!(of.warnings.is_empty());
        assert_eq!(named("postgres://a@[::1]:1/").target.host, "::1");
        assert_eq!(named("postgres://a@h").database, None);
        let socket = named("postgresql://a@/db?host=/run/postgresql&port=5433");
        assert_eq!(
            (socket.target.host.as_str(), socket.target.port),
            ("/run/postgresql", 5433)
        );
        assert_eq!(
            named("postgresql://a@%2Frun%2Fpg/db").target.host,
            "/run/pg"
        );
    }

    #[test]
    fn pairs() {
        let of = named(r"host=/tmp/s port = 5433 user='o x'");
        assert_eq!(of.target.to_string(), "o x@/tmp/s:5433");
        Target::from_url("user='o''x'").expect_err("libpq ends a value at the second quote");
        let of = named(r"host=h user='a\'b c' dbname=x\ y");
        assert_eq!(
            (of.target.user.as_str(), of.database.as_deref()),
            ("a'b c", Some("x y"))
        );
    }

    #[test]
    fn a_password_is_taken_and_never_shown() {
        let of = named("postgresql://app:geh%3Aeim@h/db");
        assert_eq!(of.warnings.len(), 1);
        assert!(!format!("{of:?}").contains("geh"), "{of:?}");
        let environment = of.target.environment().expect("environment");
        assert!(environment.contains(&("PGPASSWORD".to_owned(), "geh:eim".into())));
    }

    #[test]
    fn what_cannot_be_read_is_one_sentence_without_the_password() {
        for text in [
            "mysql://a:geheim@h/db",
            "postgresql://a:geheim@h:0/db",
            "postgresql://a:geheim@h:70000/db",
            "postgresql://a:geheim@h1,h2/db",
            "postgresql://a:geheim@h/db?sslmode=maybe",
            "postgresql://a:geheim@h/db?sslcert=x",
            "postgresql://a:geheim@h/db?sslmode",
            "postgresql://a:geheim%zz@h/db",
            "postgresql://a:geheim%00@h/db",
            "postgresql://a:geheim%ff@h/db",
            "postgresql://a:geheim@::1/db",
            "postgresql://a:geheim@[::1/db",
            "host=h password='geheim",
            "host=h geheim",
            "host=h service=geheim",
            "host=h dbname=postgresql://geheim",
        ] {
            let failure = Target::from_url(text)
                .err()
                .unwrap_or_else(|| panic!("{text} was read"));
            let sentence = failure.sentence();
            assert_eq!(failure.kind(), FailureKind::Usage, "{text}");
            assert!(
                sentence.starts_with("read the connection string: "),
                "{sentence}"
            );
            assert!(!sentence.contains("geheim"), "{sentence}");
        }
    }
}
