//! The roles that a statement names, put under other names.
//!
//! Every place is found by the words around it, and nothing else of the statement is touched: bodies of functions,
//! expressions and names of other things stay as they are. A name that nobody knows is an error, never passed on.

use std::ops::Range;

use super::name::{quote_as_pg_dump, quote_literal};
use super::token::{Token, Tokens};

/// A place where a statement names a role.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    name: String,
    at: Range<usize>,
    literal: bool,
}

/// Words that mean someone else than a role of that name.
const NOBODY: [&str; 7] = [
    "public",
    "none",
    "default",
    "current_user",
    "current_role",
    "session_user",
    "user",
];

/// The statement with every role under the name that `names` gives it; the role that it gives none for is the error.
pub fn rename(
    text: &[u8],
    names: &dyn Fn(&str) -> Option<String>,
) -> std::result::Result<Vec<u8>, String> {
    let mut renamed = Vec::with_capacity(text.len());
    let mut end = 0;
    for place in places(text) {
        let Some(name) = names(&place.name) else {
            return Err(place.name);
        };
        let name = if place.literal {
            quote_literal(&name)
        } else {
            quote_as_pg_dump(&name)
        };
        renamed.extend_from_slice(text.get(end..place.at.start).unwrap_or_default());
        renamed.extend_from_slice(name.as_bytes());
        end = place.at.end;
    }
    renamed.extend_from_slice(text.get(end..).unwrap_or_default());
    Ok(renamed)
}

/// In the order of the text.
fn places(text: &[u8]) -> Vec<Place> {
    let mut tokens = Tokens::new(text);
    let Some(first) = tokens.next().and_then(|token| token.identifier()) else {
        return Vec::new();
    };
    match first.as_str() {
        "grant" | "revoke" => grantees(tokens),
        "set" if tokens.keywords(&["session", "authorization"]) => list(&mut tokens),
        "create" if tokens.keyword("policy") => after(tokens, &["to"]),
        "create" if tokens.keyword("schema") => after(tokens, &["authorization"]),
        "create" | "alter" | "drop" if tokens.keywords(&["user", "mapping"]) => {
            after(tokens, &["for"])
        }
        "alter" if tokens.keyword("policy") => after(tokens, &["to"]),
        "alter" if tokens.keywords(&["default", "privileges"]) => {
            let mut places = Vec::new();
            if tokens.keywords(&["for", "role"]) || tokens.keywords(&["for", "user"]) {
                places = list(&mut tokens);
            }
            places.extend(grantees(tokens));
            places
        }
        "alter"
            if ["role", "user", "group"]
                .iter()
                .any(|word| tokens.keyword(word)) =>
        {
            list(&mut tokens)
        }
        "alter" => owner(tokens),
        "reassign" if tokens.keywords(&["owned", "by"]) => {
            let mut places = list(&mut tokens);
            if tokens.keyword("to") {
                places.extend(list(&mut tokens));
            }
            places
        }
        _ => Vec::new(),
    }
}

/// Behind TO or FROM, which no name is without quotes, and behind GRANTED BY.
fn grantees(mut tokens: Tokens<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut depth = Depth::default();
    while tokens.peek().is_some() {
        if depth.is_outside()
            && (tokens.keyword("to")
                || tokens.keyword("from")
                || tokens.keywords(&["granted", "by"]))
        {
            places.extend(list(&mut tokens));
        } else {
            depth.pass(tokens.next().as_ref());
        }
    }
    places
}

/// The list behind these words, where they first stand outside of parentheses.
fn after(mut tokens: Tokens<'_>, words: &[&str]) -> Vec<Place> {
    let mut depth = Depth::default();
    while tokens.peek().is_some() {
        if depth.is_outside() && tokens.keywords(words) {
            return list(&mut tokens);
        }
        depth.pass(tokens.next().as_ref());
    }
    Vec::new()
}

/// Behind the last OWNER TO: a thing may be called `owner` too.
fn owner(mut tokens: Tokens<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut depth = Depth::default();
    while tokens.peek().is_some() {
        if depth.is_outside() && tokens.keywords(&["owner", "to"]) {
            places = list(&mut tokens);
        } else {
            depth.pass(tokens.next().as_ref());
        }
    }
    places
}

/// `a, GROUP "B", 'c'`, without the words that mean someone else.
fn list(tokens: &mut Tokens<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    loop {
        tokens.keyword("group");
        let Some(token) = tokens.next() else {
            return places;
        };
        let name = token.identifier().or_else(|| token.literal());
        // Quotes make no role of PUBLIC and NONE either: PostgreSQL reserves both.
        let nobody = NOBODY.iter().any(|word| token.is(word))
            || matches!(&token, Token::Quoted(name) if name == b"public" || name == b"none");
        if let Some(name) = name.filter(|_| !nobody) {
            places.push(Place {
                name,
                at: tokens.start()..tokens.offset(),
                literal: matches!(token, Token::Literal(_)),
            });
        }
        if !tokens.symbol(b',') {
            return places;
        }
    }
}

/// How many parentheses are open.
#[derive(Default)]
struct Depth(usize);

impl Depth {
    fn is_outside(&self) -> bool {
        self.0 == 0
    }

    fn pass(&mut self, token: Option<&Token<'_>>) {
        match token {
            Some(Token::Symbol(b'(')) => self.0 += 1,
            Some(Token::Symbol(b')')) => self.0 = self.0.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        let known = ["app", "We \"ird", "Lead", "b", "owner", "to c"];
        let number = known.iter().position(|known| *known == name);
        number
            .map(|number| format!("r{number}"))
            .or_else(|| name.starts_with("pg_").then(|| name.to_owned()))
    }

    fn of(text: &str) -> String {
        match rename(text.as_bytes(), &known) {
            Ok(renamed) => String::from_utf8(renamed).expect("text"),
            Err(name) => format!("unknown: {name}"),
        }
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            (
                "ALTER TABLE public.t OWNER TO app;",
                "ALTER TABLE public.t OWNER TO r0;",
            ),
            (
                "ALTER TABLE public.owner OWNER TO owner;",
                "ALTER TABLE public.owner OWNER TO r4;",
            ),
            (
                "ALTER FUNCTION public.f(a integer, \"to\" text) OWNER TO \"We \"\"ird\";",
                "ALTER FUNCTION public.f(a integer, \"to\" text) OWNER TO r1;",
            ),
            (
                "GRANT SELECT(a),INSERT(a) ON TABLE public.app TO app WITH GRANT OPTION;",
                "GRANT SELECT(a),INSERT(a) ON TABLE public.app TO r0 WITH GRANT OPTION;",
            ),
            (
                "GRANT ALL ON TABLE t TO app, GROUP \"Lead\" GRANTED BY b;",
                "GRANT ALL ON TABLE t TO r0, GROUP r2 GRANTED BY r3;",
            ),
            (
                "REVOKE ALL ON TABLE t FROM app;",
                "REVOKE ALL ON TABLE t FROM r0;",
            ),
            (
                "REVOKE GRANT OPTION FOR ALL ON TABLE t FROM app CASCADE;",
                "REVOKE GRANT OPTION FOR ALL ON TABLE t FROM r0 CASCADE;",
            ),
            (
                "GRANT ALL ON SCHEMA app TO PUBLIC;",
                "GRANT ALL ON SCHEMA app TO PUBLIC;",
            ),
            (
                "GRANT ALL ON SCHEMA s TO \"public\";",
                "GRANT ALL ON SCHEMA s TO \"public\";",
            ),
            (
                "GRANT SELECT ON TABLE t TO pg_monitor;",
                "GRANT SELECT ON TABLE t TO pg_monitor;",
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app GRANT SELECT ON TABLES TO b;",
                "ALTER DEFAULT PRIVILEGES FOR ROLE r0 IN SCHEMA app GRANT SELECT ON TABLES TO r3;",
            ),
            (
                "CREATE POLICY app ON app FOR SELECT TO app, \"Lead\" USING ((x = 'to app'::text));",
                "CREATE POLICY app ON app FOR SELECT TO r0, r2 USING ((x = 'to app'::text));",
            ),
            (
                "CREATE USER MAPPING FOR app SERVER s OPTIONS (\"user\" 'app');",
                "CREATE USER MAPPING FOR r0 SERVER s OPTIONS (\"user\" 'app');",
            ),
            (
                "DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER s;",
                "DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER s;",
            ),
            (
                "SET SESSION AUTHORIZATION 'to c';",
                "SET SESSION AUTHORIZATION 'r5';",
            ),
            (
                "SET SESSION AUTHORIZATION DEFAULT;",
                "SET SESSION AUTHORIZATION DEFAULT;",
            ),
            (
                "ALTER ROLE app IN DATABASE app SET work_mem TO '8MB';",
                "ALTER ROLE r0 IN DATABASE app SET work_mem TO '8MB';",
            ),
            (
                "CREATE SCHEMA app AUTHORIZATION app;",
                "CREATE SCHEMA app AUTHORIZATION r0;",
            ),
            ("REASSIGN OWNED BY app TO b;", "REASSIGN OWNED BY r0 TO r3;"),
            (
                "CREATE TABLE app (owner text, \"to\" text);",
                "CREATE TABLE app (owner text, \"to\" text);",
            ),
            (
                "GRANT SELECT ON TABLE t TO bystander;",
                "unknown: bystander",
            ),
            ("GRANT SELECT ON TABLE t TO U&\"app\";", "unknown: u"),
            ("ALTER TABLE t OWNER TO \"App\";", "unknown: App"),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let text = b"ALTER TABLE public.\"caf\xe9\" OWNER TO app;";
        let renamed = rename(text, &known).expect("known");
        assert_eq!(renamed, b"ALTER TABLE public.\"caf\xe9\" OWNER TO r0;");
    }
}
