//! Backslash commands: `\connect`, `\restrict`, `\unrestrict`, `\encoding SQL_ASCII`, and nothing else.
//!
//! pg_dump writes `\connect name`, with the name quoted like an identifier where needed, or, for names that psql could
//! take for a connection string, `\connect -reuse-previous=on "dbname='…'"` with libpq's connection-string quoting inside
//! an identifier's (appendPsqlMetaConnect in src/fe_utils/string_utils.c). Before that second form it writes
//! `\encoding SQL_ASCII`, so that psql passes the name's bytes on unchanged; the section then sets its own encoding.

/// A backslash command of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meta {
    /// Go on in this database.
    Connect(String),
    /// From here psql takes no backslash commands but the matching `\unrestrict`.
    Restrict(String),
    /// Ends [`Meta::Restrict`].
    Unrestrict(String),
    /// Pass the next name's bytes on as they are.
    RawEncoding,
    /// Anything else: no dump holds it.
    Other,
}

/// Reads a line that begins with a backslash.
pub fn parse(line: &[u8]) -> Meta {
    let Ok(line) = std::str::from_utf8(line) else {
        return Meta::Other;
    };
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "\\connect" => database(argument).map_or(Meta::Other, Meta::Connect),
        "\\restrict" if is_key(argument) => Meta::Restrict(argument.to_owned()),
        "\\unrestrict" if is_key(argument) => Meta::Unrestrict(argument.to_owned()),
        "\\encoding" if argument == "SQL_ASCII" => Meta::RawEncoding,
        _ => Meta::Other,
    }
}

/// psql takes any word; pg_dump makes keys of letters and digits only.
fn is_key(argument: &str) -> bool {
    !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn database(argument: &str) -> Option<String> {
    match argument.strip_prefix("-reuse-previous=on ") {
        Some(connection) => connection_string(&unquote(connection)?),
        // pg_dump quotes such a name in its other form, because psql takes this one for a connection string.
        None => unquote(argument).filter(|name| {
            let elsewhere = name.starts_with("postgresql://") || name.starts_with("postgres://");
            !elsewhere && !name.contains('=')
        }),
    }
}

/// An identifier as psql reads it in an argument: bare, or in double quotes with doubled quotes inside.
fn unquote(argument: &str) -> Option<String> {
    let Some(inner) = argument.strip_prefix('"') else {
        let bare = !argument.is_empty()
            && argument
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80);
        return bare.then(|| argument.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut name = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '"' && chars.next() != Some('"') {
            return None;
        }
        name.push(c);
    }
    Some(name)
}

/// `dbname='…'` and nothing more: another host or user would be another server.
fn connection_string(text: &str) -> Option<String> {
    let value = text.strip_prefix("dbname=")?;
    let Some(quoted) = value.strip_prefix('\'') else {
        return (!value.is_empty() && !value.contains([' ', '\'', '\\', '=']))
            .then(|| value.to_owned());
    };
    let mut name = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '\\' => name.push(chars.next()?),
            '\'' => break,
            other => name.push(other),
        }
    }
    chars.next().is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(line: &str) -> Option<String> {
        match parse(line.as_bytes()) {
            Meta::Connect(name) => Some(name),
            _ => None,
        }
    }

    #[test]
    fn both_forms_of_connect() {
        assert_eq!(connect(r"\connect app_db").as_deref(), Some("app_db"));
        assert_eq!(
            connect(r#"\connect "Mixed ""x""""#).as_deref(),
            Some(r#"Mixed "x""#)
        );
        assert_eq!(
            connect(r#"\connect -reuse-previous=on "dbname='we\'ird'""#).as_deref(),
            Some("we'ird")
        );
        assert_eq!(
            connect(r#"\connect -reuse-previous=on "dbname='a\\b""c d'""#).as_deref(),
            Some(r#"a\b"c d"#)
        );
    }

    #[test]
    fn a_connect_to_elsewhere_is_refused() {
        for line in [
            r"\connect app_db evil host",
            r#"\connect "dbname=x"y"#,
            r#"\connect -reuse-previous=on "dbname='x' host=evil""#,
            r"\connect -reuse-previous=on host=evil",
            r"\connect postgresql://evil/",
            r#"\connect "postgresql://evil/""#,
            r#"\connect "host=evil dbname=x""#,
            r"\connect",
            r"\encoding LATIN1",
            r"\! touch x",
            r"\copy t from program 'x'",
            r"\restrict",
            r"\restrict a; b",
        ] {
            assert_eq!(parse(line.as_bytes()), Meta::Other, "{line}");
        }
    }

    #[test]
    fn keys() {
        assert_eq!(parse(br"\restrict abc1"), Meta::Restrict("abc1".into()));
        assert_eq!(parse(br"\unrestrict abc1"), Meta::Unrestrict("abc1".into()));
        assert_eq!(parse(br"\encoding SQL_ASCII"), Meta::RawEncoding);
    }
}
