//! How far a statement reaches: into the database that it is run in, or beyond it, to what the whole server shares.
//!
//! A restore that is to touch nothing but what its plan names must know this of every statement. Names are given with
//! their place in the text, so that a statement can be put under another name without touching anything else of it.

use std::ops::Range;

use super::name::{quote_identifier, quote_literal};
use super::token::{Token, Tokens, is_blank};

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Things inside of the database that it is run in.
    Here,
    /// A database as a whole.
    Database(Shared),
    /// A role. `ALTER ROLE … IN DATABASE …` is about the database.
    Role(Shared),
    /// Membership of one role in another.
    Membership {
        /// The role that is granted.
        role: String,
        /// Who gets it.
        member: String,
    },
    /// A tablespace.
    Tablespace(Shared),
    /// The server: its parameters, all roles at once, or something that cannot be told.
    Server,
}

/// A thing that the whole server shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub verb: Verb,
    /// Where its name stands in the text.
    pub at: Range<usize>,
    /// Whether the name is written as a literal, not as an identifier.
    pub literal: bool,
}

/// What happens to a shared thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is made.
    Create,
    /// It is dropped.
    Drop,
    /// It gets a comment.
    Comment,
    /// Anything else: owner, settings, privileges.
    Alter,
}

/// Words after which a role is named.
const ROLE_WORDS: [&str; 3] = ["role", "user", "group"];

/// Reads how far a statement reaches.
pub fn reach(text: &[u8]) -> Reach {
    let mut tokens = Tokens::new(text);
    let Some(first) = tokens.next() else {
        return Reach::Server;
    };
    let is = |word: &str| first.is(word);
    if is("create") {
        shared(text, tokens, Verb::Create)
    } else if is("drop") {
        if tokens.keyword("owned") {
            return Reach::Server;
        }
        shared(text, tokens, Verb::Drop)
    } else if is("alter") {
        if tokens.keyword("system") {
            return Reach::Server;
        }
        shared(text, tokens, Verb::Alter)
    } else if is("comment") {
        tokens.keyword("on");
        shared(text, tokens, Verb::Comment)
    } else if is("security") {
        // SECURITY LABEL [FOR provider] ON kind name IS …
        while tokens.peek().is_some_and(|token| !token.is("on")) {
            tokens.next();
        }
        tokens.next();
        shared(text, tokens, Verb::Alter)
    } else if is("grant") || is("revoke") {
        privilege(text, tokens)
    } else if is("update") {
        flag(text, tokens)
    } else {
        Reach::Here
    }
}

/// `… DATABASE name`, `… ROLE name`, `… TABLESPACE name`; anything else is inside of the database.
fn shared(text: &[u8], mut tokens: Tokens<'_>, verb: Verb) -> Reach {
    if tokens.keyword("database") {
        tokens.keywords(&["if", "exists"]);
        return named(text, tokens, verb).map_or(Reach::Server, Reach::Database);
    }
    if tokens.keyword("tablespace") {
        tokens.keywords(&["if", "exists"]);
        return named(text, tokens, verb).map_or(Reach::Server, Reach::Tablespace);
    }
    if verb == Verb::Alter && tokens.peek().is_some_and(|token| token.is("group")) {
        // Who is in it; not something pg_dumpall writes.
        return Reach::Server;
    }
    if !ROLE_WORDS.iter().any(|word| tokens.keyword(word)) {
        return Reach::Here;
    }
    // A user mapping is a foreign server's, and that is inside of a database.
    if is_mapping(&tokens) {
        return Reach::Here;
    }
    tokens.keywords(&["if", "exists"]);
    let Some(role) = named(text, tokens.clone(), verb) else {
        return Reach::Server;
    };
    let everyone = tokens.next().is_some_and(|token| token.is("all"));
    if verb == Verb::Alter && tokens.keywords(&["in", "database"]) {
        return named(text, tokens, verb).map_or(Reach::Server, Reach::Database);
    }
    if everyone {
        Reach::Server
    } else {
        Reach::Role(role)
    }
}

/// `USER MAPPING FOR …`; a role may be called mapping too.
pub(super) fn is_mapping(tokens: &Tokens<'_>) -> bool {
    let mut tokens = tokens.clone();
    tokens.keyword("mapping") && {
        tokens.keyword("if");
        tokens.keyword("not");
        tokens.keyword("exists");
        tokens.keyword("for")
    }
}

/// Whether a name means to the server what it means here. Bare words that stand for whoever is connected, that hold letters
/// whose lower case is a matter of locale, that begin an escape, or that the server would cut, are not taken.
fn is_plain(token: &Token<'_>, behind: &Tokens<'_>) -> bool {
    const LONGEST: usize = 63;
    let mut behind = behind.clone();
    if behind.symbol(b'&') || behind.symbol(b'.') {
        return false;
    }
    match token {
        Token::Word(word) => {
            let whoever = ["current_user", "current_role", "session_user", "user"];
            word.is_ascii() && word.len() <= LONGEST && !whoever.iter().any(|word| token.is(word))
        }
        Token::Quoted(name) => name.len() <= LONGEST,
        _ => true,
    }
}

fn named(text: &[u8], mut tokens: Tokens<'_>, verb: Verb) -> Option<Shared> {
    let before = tokens.offset();
    let token = tokens.next()?;
    if !is_plain(&token, &tokens) {
        return None;
    }
    let end = tokens.offset();
    let literal = matches!(token, Token::Literal(_));
    let name = token.identifier().or_else(|| token.literal())?;
    // White space may stand between; comments do not in what pg_dump writes.
    let blank = text
        .get(before..end)?
        .iter()
        .take_while(|byte| is_blank(**byte))
        .count();
    Some(Shared {
        name,
        verb,
        at: before + blank..end,
        literal,
    })
}

fn privilege(text: &[u8], mut tokens: Tokens<'_>) -> Reach {
    let (mut granted, mut several) = (None, false);
    loop {
        let Some(token) = tokens.next() else {
            return Reach::Server;
        };
        if token.is("on") {
            break;
        }
        several |= token == Token::Symbol(b',');
        if token.is("to") || token.is("from") {
            let mut member = None;
            if let Some(token) = tokens.next().filter(|token| is_plain(token, &tokens)) {
                member = token.identifier();
            }
            // pg_dumpall writes one role and one member.
            several |= tokens.symbol(b',');
            return match (granted, member) {
                (Some(role), Some(member)) if !several => Reach::Membership { role, member },
                _ => Reach::Server,
            };
        }
        // The last name before TO: REVOKE may begin with ADMIN OPTION FOR.
        granted = token.identifier().or(granted);
    }
    if tokens.keyword("parameter") {
        return Reach::Server;
    }
    if tokens.keyword("database") {
        return single(text, tokens).map_or(Reach::Server, Reach::Database);
    }
    if tokens.keyword("tablespace") {
        return single(text, tokens).map_or(Reach::Server, Reach::Tablespace);
    }
    Reach::Here
}

/// One name, and not a list of them: pg_dump writes no lists, and a name left unread would be one that is touched.
fn single(text: &[u8], tokens: Tokens<'_>) -> Option<Shared> {
    let mut behind = tokens.clone();
    behind.next();
    if behind.symbol(b',') {
        return None;
    }
    named(text, tokens, Verb::Alter)
}

/// `UPDATE pg_catalog.pg_database SET datistemplate = … WHERE datname = 'name'`
fn flag(text: &[u8], mut tokens: Tokens<'_>) -> Reach {
    while tokens.peek().is_some_and(|token| !token.is("datname")) {
        tokens.next();
    }
    tokens.next();
    if !tokens.symbol(b'=') {
        return Reach::Server;
    }
    named(text, tokens, Verb::Alter).map_or(Reach::Server, Reach::Database)
}

impl Shared {
    /// The statement with another name in this one's place.
    pub fn renamed(&self, text: &str, name: &str) -> String {
        let name = if self.literal {
            quote_literal(name)
        } else {
            quote_identifier(name)
        };
        let before = text.get(..self.at.start).unwrap_or_default();
        let after = text.get(self.at.end..).unwrap_or_default();
        format!("{before}{name}{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        match reach(text.as_bytes()) {
            Reach::Here => "here".to_owned(),
            Reach::Server => "server".to_owned(),
            Reach::Membership { role, member } => format!("{role} to {member}"),
            Reach::Database(shared) => format!(
                "database {:?} {}",
                shared.verb,
                shared.renamed(text, "x\"y'z")
            ),
            Reach::Role(shared) => format!("role {:?} {}", shared.verb, shared.name),
            Reach::Tablespace(shared) => format!("tablespace {:?} {}", shared.verb, shared.name),
        }
    }

    #[test]
    fn databases_are_found_and_renamed() {
        for (text, expected) in [
            (
                "CREATE DATABASE app_db WITH TEMPLATE = template0 ENCODING = 'UTF8';",
                "database Create CREATE DATABASE \"x\"\"y'z\" WITH TEMPLATE = template0 ENCODING = 'UTF8';",
            ),
            (
                "DROP DATABASE IF EXISTS \"we'ird\";",
                "database Drop DROP DATABASE IF EXISTS \"x\"\"y'z\";",
            ),
            (
                "ALTER DATABASE app_db SET search_path TO 'app_db';",
                "database Alter ALTER DATABASE \"x\"\"y'z\" SET search_path TO 'app_db';",
            ),
            (
                "ALTER ROLE app IN DATABASE app_db SET work_mem TO '1MB';",
                "database Alter ALTER ROLE app IN DATABASE \"x\"\"y'z\" SET work_mem TO '1MB';",
            ),
            (
                "COMMENT ON DATABASE app_db IS 'app_db';",
                "database Comment COMMENT ON DATABASE \"x\"\"y'z\" IS 'app_db';",
            ),
            (
                "GRANT CONNECT,TEMPORARY ON DATABASE app_db TO app;",
                "database Alter GRANT CONNECT,TEMPORARY ON DATABASE \"x\"\"y'z\" TO app;",
            ),
            (
                "REVOKE ALL ON DATABASE app_db FROM PUBLIC;",
                "database Alter REVOKE ALL ON DATABASE \"x\"\"y'z\" FROM PUBLIC;",
            ),
            (
                "SECURITY LABEL FOR selinux ON DATABASE app_db IS 'x';",
                "database Alter SECURITY LABEL FOR selinux ON DATABASE \"x\"\"y'z\" IS 'x';",
            ),
            (
                "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'template1';",
                "database Alter UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'x\"y''z';",
            ),
        ] {
            assert_eq!(of(text), expected);
        }
    }

    #[test]
    fn what_the_server_shares_is_told_from_what_is_here() {
        for (text, expected) in [
            ("CREATE ROLE app;", "role Create app"),
            ("ALTER ROLE \"App\" WITH LOGIN;", "role Alter App"),
            ("DROP ROLE IF EXISTS app;", "role Drop app"),
            ("CREATE USER app;", "role Create app"),
            ("COMMENT ON ROLE app IS 'x';", "role Comment app"),
            ("ALTER ROLE ALL SET work_mem = '1MB';", "server"),
            ("CREATE USER MAPPING FOR app SERVER s;", "here"),
            (
                "GRANT app TO lead WITH ADMIN OPTION GRANTED BY postgres;",
                "app to lead",
            ),
            ("REVOKE ADMIN OPTION FOR app FROM lead;", "app to lead"),
            ("GRANT SELECT ON TABLE public.database TO app;", "here"),
            ("GRANT ALL ON PARAMETER work_mem TO app;", "server"),
            ("GRANT CONNECT ON DATABASE a, b TO app;", "server"),
            (
                "CREATE TABLESPACE fast OWNER postgres LOCATION '/x';",
                "tablespace Create fast",
            ),
            (
                "GRANT CREATE ON TABLESPACE fast TO app;",
                "tablespace Alter fast",
            ),
            ("ALTER SYSTEM SET fsync = off;", "server"),
            ("DROP OWNED BY app;", "server"),
            ("ALTER TABLE t OWNER TO app;", "here"),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO lead;",
                "here",
            ),
            ("SELECT pg_catalog.setval('s', 1, true);", "here"),
            ("CREATE DATABASE", "server"),
            (
                "DROP\x0bDATABASE bystander;",
                "database Drop DROP\x0bDATABASE \"x\"\"y'z\";",
            ),
            ("ALTER\x0bSYSTEM SET fsync = off;", "server"),
            ("CREATE USER mapping SUPERUSER;", "role Create mapping"),
            ("DROP USER MAPPING IF EXISTS FOR app SERVER s;", "here"),
            ("ALTER ROLE U&\"\\0062ystander\" PASSWORD 'x';", "server"),
            ("ALTER ROLE CURRENT_USER PASSWORD 'x';", "server"),
            (
                "ALTER ROLE \"current_user\" PASSWORD 'x';",
                "role Alter current_user",
            ),
            ("ALTER ROLE É NOLOGIN;", "server"),
            (
                "ALTER ROLE a123456789012345678901234567890123456789012345678901234567890123 LOGIN;",
                "server",
            ),
            ("GRANT a, b TO c;", "server"),
            ("GRANT a TO c, d;", "server"),
            (
                "GRANT a TO c WITH ADMIN OPTION, INHERIT FALSE GRANTED BY d;",
                "a to c",
            ),
            ("GRANT SELECT(a, b), INSERT(a) ON TABLE t TO c;", "here"),
            ("ALTER GROUP a ADD USER b;", "server"),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
