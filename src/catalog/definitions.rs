//! Roles, owners, grants and memberships as pg_dumpall writes them: one statement each, of a fixed form.
//!
//! Two dumps of equal servers by the same major version hold the same statements, in whatever order. So "everyone may do
//! what they could before" is a comparison of sets, for every kind of object there is, without a list of kinds.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::sql::encoding;
use crate::sql::meta::{self, Meta};
use crate::sql::scanner::{Event, Sink};
use crate::sql::statement::{self, Statement};
use crate::sql::token::{Token, Tokens};

/// Statements whose text is kept for messages; of the others, only the hash.
const TEXTS_KEPT: usize = 10_000;

/// The statements of one dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    statements: HashMap<u128, String>,
}

impl Definitions {
    /// Adds a statement that was read in a database, if it is one of these.
    pub fn add(&mut self, database: &str, text: &[u8]) {
        let counts = matches!(
            statement::read(text),
            Statement::Privilege | Statement::CreateRole(_)
        );
        if !counts || is_revoke_on_large_object(text) {
            return;
        }
        let scope = if is_cluster_wide(text) { "" } else { database };
        let key = [scope.as_bytes(), b"\0", &normal_form(text, false)].concat();
        let shown = if self.statements.len() < TEXTS_KEPT {
            let text = statement::shown(text);
            if scope.is_empty() {
                text
            } else {
                format!("{text} (in database {scope})")
            }
        } else {
            String::new()
        };
        self.statements.insert(xxh3_128(&key), shown);
    }

    /// Adds those of another part of the dump.
    pub fn extend(&mut self, other: Self) {
        self.statements.extend(other.statements);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Those that `other` lacks, sorted.
    pub fn missing_from(&self, other: &Self) -> Vec<&str> {
        let missing = self
            .statements
            .iter()
            .filter(|(key, _)| !other.statements.contains_key(key));
        let mut texts: Vec<_> = missing.map(|(_, text)| text.as_str()).collect();
        texts.sort_unstable();
        texts
    }
}

/// A statement's words one after the other: whether an identifier was quoted although it need not be
/// (`--quote-all-identifiers`) makes no difference. `without_literals` leaves their content out.
pub(super) fn normal_form(text: &[u8], without_literals: bool) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len());
    for token in Tokens::new(text) {
        match &token {
            Token::Word(word) => form.extend(word.to_ascii_lowercase()),
            Token::Quoted(name) => form.extend(name),
            Token::Literal(_) if without_literals => form.push(b'\''),
            Token::Literal(text) => form.extend([b"'", text.as_slice(), b"'"].concat()),
            Token::Number(digits) => form.extend(*digits),
            Token::Symbol(symbol) => form.push(*symbol),
            Token::Opaque => form.extend(text),
        }
        form.push(0);
    }
    form
}

/// Whether a statement means the same wherever it is run: about roles, databases, tablespaces, parameters.
fn is_cluster_wide(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    if tokens.keyword("create") || tokens.keyword("alter") {
        return ["role", "database", "tablespace"]
            .iter()
            .any(|kind| tokens.keyword(kind));
    }
    // GRANT and REVOKE: of a role, or ON something.
    let mut object = tokens.skip_while(|token| !token.is("on")).skip(1);
    object.next().is_none_or(|kind| {
        ["database", "tablespace", "parameter"]
            .iter()
            .any(|wide| kind.is(wide))
    })
}

/// An owner who gave a privilege on a large object up. A dump of definitions has no large objects to compare this with.
fn is_revoke_on_large_object(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    tokens.keyword("revoke")
        && tokens
            .skip_while(|token| !token.is("on"))
            .nth(1)
            .is_some_and(|kind| kind.is("large"))
}

/// Follows a dump's `\connect` and client_encoding to collect its [`Definitions`].
#[derive(Debug, Default)]
pub struct Collector {
    /// What was collected.
    pub definitions: Definitions,
    /// The database that has no name in the dump which this one is compared with.
    pub nameless: Option<&'static str>,
    database: String,
    encoding: String,
    /// The name of the one database there is, whatever the dump calls it.
    within: Option<String>,
}

impl Collector {
    /// One for a dump of a single database that is known by another name than the dump's; of any dump, if none is given.
    pub fn within(database: Option<String>) -> Self {
        Self {
            database: database.clone().unwrap_or_default(),
            within: database,
            ..Self::default()
        }
    }
}

impl Sink for Collector {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Meta { line, .. } => {
                if let Meta::Connect(name) = meta::parse(line) {
                    let is_nameless = self.nameless == Some(name.as_str());
                    let known = if is_nameless { String::new() } else { name };
                    self.database = self.within.clone().unwrap_or(known);
                    self.encoding.clear();
                }
            }
            Event::Statement(statement) => {
                let decoded = encoding::decode(&self.encoding, statement.text);
                let text = decoded
                    .as_ref()
                    .map_or(statement.text, |text| text.as_bytes());
                match statement::read(text) {
                    Statement::Set { name, value } if name == "client_encoding" => {
                        self.encoding = value;
                    }
                    _ => self.definitions.add(&self.database, text),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statements: &[(&str, &str)]) -> Definitions {
        let mut definitions = Definitions::default();
        for (database, text) in statements {
            definitions.add(database, text.as_bytes());
        }
        definitions
    }

    #[test]
    fn what_is_missing_is_named() {
        let wanted = of(&[
            ("a", "GRANT SELECT ON TABLE t TO app;"),
            ("b", "ALTER TABLE t OWNER TO app;"),
            ("a", "GRANT app TO boss;"),
            ("a", "CREATE TABLE t ();"),
        ]);
        assert_eq!(wanted.len(), 3);
        let there = of(&[
            ("a", "GRANT SELECT ON TABLE t TO app;"),
            ("elsewhere", "GRANT app TO boss;"),
            ("a", "ALTER TABLE t OWNER TO app;"),
        ]);
        assert_eq!(
            wanted.missing_from(&there),
            ["ALTER TABLE t OWNER TO app; (in database b)"]
        );
    }

    #[test]
    fn needless_quotes_make_no_difference() {
        let bare = of(&[("a", "GRANT SELECT ON TABLE public.t TO app;")]);
        let quoted = of(&[("a", "GRANT SELECT ON TABLE \"public\".\"t\" TO \"app\";")]);
        assert_eq!(bare.missing_from(&quoted), [""; 0]);
        let other = of(&[("a", "GRANT SELECT ON TABLE public.\"T\" TO app;")]);
        assert_eq!(bare.missing_from(&other).len(), 1);
    }

    #[test]
    fn scope() {
        for text in [
            "CREATE ROLE a;",
            "ALTER ROLE a WITH LOGIN;",
            "ALTER DATABASE d OWNER TO a;",
            "GRANT a TO b GRANTED BY c;",
            "REVOKE ALL ON DATABASE d FROM PUBLIC;",
        ] {
            assert!(is_cluster_wide(text.as_bytes()), "{text}");
        }
        for text in [
            "ALTER TABLE t OWNER TO a;",
            "GRANT ALL ON SCHEMA s TO a;",
            "GRANT SELECT(a) ON TABLE t TO b;",
            "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT ALL ON TABLES TO b;",
        ] {
            assert!(!is_cluster_wide(text.as_bytes()), "{text}");
        }
    }
}
