//! What a statement is, as far as backups, checks and restores need to know.
//!
//! pg_dump writes a small language: a list of leading keywords, and a handful of function calls with literal arguments.
//! Everything on the list passes as what it is; everything else is [`Statement::Refused`] with the reason, and no one
//! runs it. What DDL may *contain* (function bodies, defaults, index expressions) is the business of the scratch
//! server's fence, not of this list.

use super::insert;
use super::subscription;
use super::token::{Token, Tokens};

/// A statement, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `SET name = value`
    Set {
        /// The setting, in lower case.
        name: String,
        /// Its value, unquoted.
        value: String,
    },
    /// `SELECT pg_catalog.setval('schema.sequence', value, called)`
    SetSequence {
        /// The sequence's schema.
        schema: Option<String>,
        /// The sequence.
        sequence: String,
        /// The value set.
        value: i64,
        /// Whether nextval has been called on it.
        called: bool,
    },
    /// A call on large objects.
    LargeObject(LargeObject),
    /// `CREATE DATABASE name …`
    CreateDatabase(String),
    /// `CREATE ROLE name …`
    CreateRole(String),
    /// `CREATE TABLESPACE name … LOCATION 'directory'`
    CreateTablespace {
        /// The tablespace.
        name: String,
        /// Its directory on the server that was dumped.
        location: String,
    },
    /// `CREATE EXTENSION … name …`
    CreateExtension(String),
    /// Who owns what and who may do what: OWNER TO, GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, ALTER ROLE.
    Privilege,
    /// `DROP DATABASE`, `DROP ROLE` or `DROP TABLESPACE`, which it is.
    DropGlobal(&'static str),
    /// `INSERT INTO … VALUES …`, what `pg_dump --inserts` writes for rows.
    Insert,
    /// Any other statement that a dump holds.
    Ordinary,
    /// A statement that no dump holds.
    Refused(&'static str),
}

/// Calls that carry large objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LargeObject {
    /// `lo_create('oid')`
    Create(u32),
    /// `lo_open('oid', mode)`
    Open(u32),
    /// `lowrite(0, '\x…')`, decoded.
    Write(Vec<u8>),
    /// `lo_close(0)`
    Close,
}

/// The beginning of a statement, for messages: up to its first literal, because literals are where secrets are.
pub fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 100;
    let literal = memchr::memchr2(b'\'', b'$', text).unwrap_or(text.len());
    let shown: String = String::from_utf8_lossy(text.get(..literal).unwrap_or(text))
        .chars()
        .take(LONGEST)
        .collect();
    if shown.len() < text.len() {
        format!("{shown}…")
    } else {
        shown
    }
}

/// Leading keywords after which anything goes.
const DDL: [&str; 6] = ["comment", "security", "refresh", "begin", "commit", "reset"];

/// Reads a statement's text (with its `;`).
pub fn read(text: &[u8]) -> Statement {
    let mut tokens = Tokens::new(text);
    let Some(Token::Word(first)) = tokens.next() else {
        return Statement::Refused("does not begin with a keyword");
    };
    match first.to_ascii_lowercase().as_slice() {
        b"set" => set(tokens),
        b"select" => select(tokens),
        b"create" => create(tokens, text),
        b"drop" => drop_object(tokens),
        b"alter" => alter(tokens),
        b"grant" | b"revoke" => Statement::Privilege,
        b"insert" if insert::is_of_values(text) => Statement::Insert,
        b"insert" => Statement::Refused("an INSERT of anything but values"),
        b"update" => update(tokens),
        b"copy" => copy(text),
        keyword if DDL.iter().any(|known| known.as_bytes() == keyword) => Statement::Ordinary,
        _ => Statement::Refused("no dump holds such a statement"),
    }
}

fn set(mut tokens: Tokens<'_>) -> Statement {
    if tokens.keywords(&["session", "authorization"]) {
        return Statement::Ordinary;
    }
    let Some(name) = tokens.next().and_then(|token| token.identifier()) else {
        return Statement::Refused("SET without a name");
    };
    // A setting of an extension has a dot in its name.
    while tokens.symbol(b'.') {
        tokens.next();
    }
    if !tokens.symbol(b'=') && !tokens.keyword("to") {
        return Statement::Refused("a form of SET that no dump holds");
    }
    let value = match tokens.next() {
        Some(Token::Number(digits)) => String::from_utf8_lossy(digits).into_owned(),
        Some(token) => token
            .literal()
            .or_else(|| token.identifier())
            .unwrap_or_default(),
        None => String::new(),
    };
    // With backslashes as escapes the same bytes are other statements. The server's own default has been on since 9.1.
    if name == "standard_conforming_strings" && !value.eq_ignore_ascii_case("on") {
        return Statement::Refused("standard_conforming_strings other than on");
    }
    Statement::Set { name, value }
}

fn select(mut tokens: Tokens<'_>) -> Statement {
    const UNKNOWN: Statement = Statement::Refused("a SELECT that no dump holds");
    // PostgreSQL 18 writes statistics as SELECT * FROM pg_catalog.pg_restore_…_stats(…).
    let star = tokens.symbol(b'*');
    if star && !tokens.keyword("from") {
        return UNKNOWN;
    }
    let Some((schema, function)) = tokens.qualified_name() else {
        return UNKNOWN;
    };
    if schema.is_some_and(|schema| schema != "pg_catalog") || !tokens.symbol(b'(') {
        return UNKNOWN;
    }
    if function == "lo_unlink" && tokens.keyword("oid") {
        return unlink(tokens);
    }
    let Some(arguments) = literal_arguments(&mut tokens) else {
        return UNKNOWN;
    };
    let text = |index: usize| arguments.get(index).map_or("", String::as_str);
    match (function.as_str(), arguments.len()) {
        ("setval", 3) => {
            let Some((schema, sequence)) = Tokens::new(text(0).as_bytes()).qualified_name() else {
                return UNKNOWN;
            };
            let Ok(value) = text(1).parse() else {
                return UNKNOWN;
            };
            Statement::SetSequence {
                schema,
                sequence,
                value,
                called: text(2) == "true",
            }
        }
        ("lo_create", 1) => oid(text(0)).map_or(UNKNOWN, |oid| {
            Statement::LargeObject(LargeObject::Create(oid))
        }),
        ("lo_open", 2) => oid(text(0)).map_or(UNKNOWN, |oid| {
            Statement::LargeObject(LargeObject::Open(oid))
        }),
        ("lowrite", 2) => unhex(text(1)).map_or(UNKNOWN, |data| {
            Statement::LargeObject(LargeObject::Write(data))
        }),
        ("lo_close", 1) => Statement::LargeObject(LargeObject::Close),
        // Others could change how what follows is read.
        ("set_config", 3) if text(0) == "search_path" => Statement::Ordinary,
        ("lo_unlink", 1) => Statement::Ordinary,
        (stats, _) if stats.starts_with("pg_restore_") && stats.ends_with("_stats") => {
            Statement::Ordinary
        }
        _ => UNKNOWN,
    }
}

/// What `pg_dump --clean --if-exists` writes before a large object:
/// `SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '…';`
fn unlink(mut tokens: Tokens<'_>) -> Statement {
    let expected = tokens.symbol(b')')
        && tokens.keyword("from")
        && tokens.qualified_name()
            == Some((Some("pg_catalog".into()), "pg_largeobject_metadata".into()))
        && tokens.keywords(&["where", "oid"])
        && tokens.symbol(b'=')
        && matches!(tokens.next(), Some(Token::Literal(_)))
        && tokens.at_end();
    if expected {
        Statement::Ordinary
    } else {
        Statement::Refused("a SELECT that no dump holds")
    }
}

/// Literals, numbers and true/false with casts, up to the closing parenthesis and the statement's end.
fn literal_arguments(tokens: &mut Tokens<'_>) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    loop {
        let negative = tokens.symbol(b'-');
        let value = match tokens.next()? {
            Token::Literal(text) => String::from_utf8_lossy(&text).into_owned(),
            Token::Number(digits) => String::from_utf8_lossy(digits).into_owned(),
            token if token.is("true") || token.is("false") || token.is("null") => {
                token.identifier()?
            }
            _ => return None,
        };
        arguments.push(if negative { format!("-{value}") } else { value });
        loop {
            match tokens.next()? {
                Token::Symbol(b',') => break,
                Token::Symbol(b')') => return tokens.at_end().then_some(arguments),
                // A cast: ::integer, ::real[]
                Token::Symbol(b':' | b'[' | b']') | Token::Word(_) => {}
                _ => return None,
            }
        }
    }
}

fn oid(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// The bytes of `\x…`, PostgreSQL's bytea in hex format.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

fn create(mut tokens: Tokens<'_>, text: &[u8]) -> Statement {
    let kind = tokens
        .next()
        .and_then(|token| token.identifier())
        .unwrap_or_default();
    if matches!(
        kind.as_str(),
        "table" | "unlogged" | "temp" | "temporary" | "global" | "local"
    ) {
        return create_table(tokens);
    }
    if kind == "subscription" {
        return subscription::create(tokens);
    }
    if !matches!(
        kind.as_str(),
        "database" | "role" | "user" | "tablespace" | "extension"
    ) {
        return Statement::Ordinary;
    }
    tokens.keywords(&["if", "not", "exists"]);
    // CREATE USER MAPPING is a foreign server's.
    if kind == "user" && super::reach::is_mapping(&tokens) {
        return Statement::Ordinary;
    }
    let Some(name) = tokens.next().and_then(|token| token.identifier()) else {
        return Statement::Refused("CREATE without a name");
    };
    match kind.as_str() {
        "database" => Statement::CreateDatabase(name),
        "extension" => Statement::CreateExtension(name),
        "tablespace" => tablespace(text, name),
        _ => Statement::CreateRole(name),
    }
}

fn drop_object(mut tokens: Tokens<'_>) -> Statement {
    let kinds = [
        ("database", "DROP DATABASE"),
        ("role", "DROP ROLE"),
        ("tablespace", "DROP TABLESPACE"),
    ];
    let global = kinds.into_iter().find(|(kind, _)| tokens.keyword(kind));
    global.map_or(Statement::Ordinary, |(_, words)| {
        Statement::DropGlobal(words)
    })
}

/// `CREATE TABLE … AS` runs a query, and no dump holds it. Outside of the parentheses no other AS can stand.
fn create_table(tokens: Tokens<'_>) -> Statement {
    let mut depth = 0usize;
    for token in tokens {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            token if depth == 0 && token.is("as") => {
                return Statement::Refused("CREATE TABLE … AS runs a query");
            }
            _ => {}
        }
    }
    Statement::Ordinary
}

fn tablespace(text: &[u8], name: String) -> Statement {
    let mut tokens = Tokens::new(text).skip_while(|token| !token.is("location"));
    match (
        tokens.next(),
        tokens.next().and_then(|token| token.literal()),
    ) {
        (Some(_), Some(location)) => Statement::CreateTablespace { name, location },
        _ => Statement::Refused("CREATE TABLESPACE without a location"),
    }
}

fn alter(mut tokens: Tokens<'_>) -> Statement {
    if tokens.keyword("system") {
        return Statement::Refused("ALTER SYSTEM changes the server that runs it");
    }
    if tokens.keyword("subscription") {
        return subscription::alter(tokens);
    }
    if tokens.keywords(&["default", "privileges"]) || tokens.keyword("role") {
        return Statement::Privilege;
    }
    // ALTER … OWNER TO role; at the end of the statement.
    let (mut owner, mut to, mut last) = (false, false, false);
    for token in tokens {
        (owner, to, last) = if token.is("owner") {
            (true, false, false)
        } else if owner && !to && token.is("to") {
            (true, true, false)
        } else if to && !last {
            (true, true, true)
        } else if last && token == Token::Symbol(b';') {
            return Statement::Privilege;
        } else {
            (false, false, false)
        };
    }
    Statement::Ordinary
}

/// pg_dumpall's way to drop a template database.
fn update(mut tokens: Tokens<'_>) -> Statement {
    let expected = tokens.qualified_name()
        == Some((Some("pg_catalog".into()), "pg_database".into()))
        && tokens.keywords(&["set", "datistemplate"])
        && tokens.symbol(b'=')
        && (tokens.keyword("false") || tokens.keyword("true"))
        && tokens.keywords(&["where", "datname"])
        && tokens.symbol(b'=')
        && matches!(tokens.next(), Some(Token::Literal(_)))
        && tokens.at_end();
    if expected {
        Statement::Ordinary
    } else {
        Statement::Refused("an UPDATE that no dump holds")
    }
}

fn copy(text: &[u8]) -> Statement {
    let mut program = Tokens::new(text).skip_while(|token| !token.is("program"));
    if program.next().is_some() {
        return Statement::Refused("COPY with a PROGRAM runs it on the server");
    }
    Statement::Refused("a COPY other than FROM stdin in text format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dumps_hold_passes() {
        for text in [
            "DROP TABLE IF EXISTS t;",
            "CREATE TABLE public.t (a integer);",
            "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'template1';",
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer, 'reltuples', '-1'::real, 'x', '{1,2}'::real[]);",
            "COMMENT ON TABLE t IS 'x';",
            "REFRESH MATERIALIZED VIEW m;",
            "SECURITY LABEL FOR x ON TABLE t IS 'y';",
            "CREATE USER MAPPING FOR app SERVER s;",
            "CREATE TABLE t (a integer GENERATED ALWAYS AS (1) STORED, \"as\" text DEFAULT ('x' || (1)::text));",
            "CREATE MATERIALIZED VIEW m AS SELECT 1 WITH NO DATA;",
            "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '5';",
            "ALTER TABLE t ADD COLUMN \"owner\" text;",
            "BEGIN;",
            "COMMIT;",
        ] {
            assert_eq!(read(text.as_bytes()), Statement::Ordinary, "{text}");
        }
    }

    #[test]
    fn who_owns_and_who_may() {
        for text in [
            "ALTER TABLE public.t OWNER TO app;",
            "ALTER FUNCTION public.f(integer, \"x;y\") OWNER TO \"we\"\"ird\";",
            "GRANT app TO b;",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
            "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;",
            "ALTER ROLE app WITH LOGIN;",
        ] {
            assert_eq!(read(text.as_bytes()), Statement::Privilege, "{text}");
        }
    }

    #[test]
    fn what_no_dump_holds_is_refused() {
        for text in [
            "ALTER SYSTEM SET archive_command = 'x';",
            "alter /* */ system reset all;",
            "COPY t FROM PROGRAM 'touch x';",
            "COPY t FROM '/etc/passwd';",
            "COPY t FROM stdin WITH (FORMAT csv);",
            "SET standard_conforming_strings = off;",
            "CREATE TABLE x AS SELECT pg_read_file('/etc/passwd');",
            "CREATE TABLE x (a) WITH (fillfactor=10) AS SELECT 1;",
            "CREATE UNLOGGED TABLE x AS TABLE y;",
            "ALTER --\rSYSTEM SET a = 'b' /*\nROLE x --\r*/\n;",
            "COPY --\rt FROM PROGRAM $$x$$ /*\nt FROM stdin --\r*/\n;",
            "DO $$ BEGIN END $$;",
            "CALL p();",
            "LOAD 'x';",
            "SELECT pg_read_file('/etc/passwd');",
            "SELECT pg_catalog.pg_read_file('/etc/passwd');",
            "SELECT pg_catalog.setval('s', (SELECT 1), true);",
            "SELECT pg_catalog.set_config('a', pg_read_file('x'), false);",
            "SELECT pg_catalog.setval('s', 1, true), pg_sleep(1);",
            "UPDATE pg_catalog.pg_authid SET rolsuper = true;",
            "DELETE FROM t;",
            "TRUNCATE t;",
            "EXECUTE x;",
            "(SELECT 1);",
        ] {
            assert!(
                matches!(read(text.as_bytes()), Statement::Refused(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn messages_hold_no_secrets() {
        assert_eq!(
            shown(b"ALTER ROLE app WITH LOGIN PASSWORD 'SCRAM-SHA-256$x';"),
            "ALTER ROLE app WITH LOGIN PASSWORD …"
        );
        assert_eq!(shown(b"SELECT 1;"), "SELECT 1;");
    }

    #[test]
    fn reads_values() {
        assert_eq!(
            read(br#"SELECT pg_catalog.setval('public."S e"', -5, true);"#),
            Statement::SetSequence {
                schema: Some("public".into()),
                sequence: "S e".into(),
                value: -5,
                called: true
            }
        );
        assert_eq!(
            read(br"SELECT pg_catalog.lowrite(0, '\x0aFF');"),
            Statement::LargeObject(LargeObject::Write(vec![10, 255]))
        );
        assert_eq!(
            read(b"CREATE DATABASE \"we'ird\" WITH TEMPLATE = template0;"),
            Statement::CreateDatabase("we'ird".into())
        );
        assert_eq!(
            read(b"CREATE TABLESPACE ts OWNER postgres LOCATION '/data/ts';"),
            Statement::CreateTablespace {
                name: "ts".into(),
                location: "/data/ts".into()
            }
        );
        assert_eq!(
            read(b"SET client_encoding = 'UTF8';"),
            Statement::Set {
                name: "client_encoding".into(),
                value: "UTF8".into()
            }
        );
    }
}
