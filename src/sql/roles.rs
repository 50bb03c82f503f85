//! The roles that a statement names: owners, who may do what, whom a policy or a user mapping is for, who acts.

use super::token::{Token, Tokens};

/// The roles that a statement names, as far as the dump of a database names any.
pub fn named_in(text: &[u8]) -> Vec<String> {
    let mut tokens = Tokens::new(text);
    let Some(first) = tokens.next().and_then(|token| token.identifier()) else {
        return Vec::new();
    };
    match first.as_str() {
        "grant" | "revoke" => grantees(tokens),
        "set" if tokens.keywords(&["session", "authorization"]) => list(&mut tokens),
        "create" if tokens.keyword("policy") => after(tokens, &["to"]),
        "create" if tokens.keywords(&["user", "mapping"]) => after(tokens, &["for"]),
        "create" if tokens.keyword("schema") => after(tokens, &["authorization"]),
        "alter" if tokens.keywords(&["default", "privileges"]) => {
            let mut names = Vec::new();
            if tokens.keywords(&["for", "role"]) {
                names = list(&mut tokens);
            }
            names.extend(grantees(tokens));
            names
        }
        "alter" if tokens.keyword("role") => list(&mut tokens),
        "alter" => after(tokens, &["owner", "to"]),
        _ => Vec::new(),
    }
}

/// Behind TO or FROM, which are keywords wherever they stand unquoted, and behind GRANTED BY.
fn grantees(mut tokens: Tokens<'_>) -> Vec<String> {
    let mut names = Vec::new();
    while tokens.peek().is_some() {
        if tokens.keyword("to") || tokens.keyword("from") || tokens.keywords(&["granted", "by"]) {
            names.extend(list(&mut tokens));
        } else {
            tokens.next();
        }
    }
    names
}

/// The list behind these words, where they first stand in a row outside of parentheses: a policy's expression and a
/// function's arguments may hold anything.
fn after(mut tokens: Tokens<'_>, words: &[&str]) -> Vec<String> {
    let mut depth = 0usize;
    while tokens.peek().is_some() {
        if depth == 0 && tokens.keywords(words) {
            return list(&mut tokens);
        }
        match tokens.next() {
            Some(Token::Symbol(b'(')) => depth += 1,
            Some(Token::Symbol(b')')) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Vec::new()
}

/// `a, "B", 'c'`, without the words that mean someone else.
fn list(tokens: &mut Tokens<'_>) -> Vec<String> {
    const NOBODY: [&str; 6] = [
        "public",
        "default",
        "current_user",
        "current_role",
        "session_user",
        "user",
    ];
    let mut names = Vec::new();
    loop {
        tokens.keyword("group");
        let Some(token) = tokens.next() else {
            return names;
        };
        if !NOBODY.iter().any(|word| token.is(word)) {
            names.extend(token.identifier().or_else(|| token.literal()));
        }
        if !tokens.symbol(b',') {
            return names;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, names) in [
            ("ALTER TABLE public.t OWNER TO app;", vec!["app"]),
            (
                "ALTER FUNCTION public.f(a integer, \"to\" text) OWNER TO \"We \"\"ird\";",
                vec!["We \"ird"],
            ),
            ("ALTER LARGE OBJECT 5 OWNER TO app;", vec!["app"]),
            (
                "GRANT SELECT(a),INSERT(a) ON TABLE public.\"to\" TO app WITH GRANT OPTION;",
                vec!["app"],
            ),
            ("GRANT ALL ON SCHEMA public TO PUBLIC;", vec![]),
            ("GRANT a TO b GRANTED BY c;", vec!["b", "c"]),
            ("REVOKE ALL ON TABLE t FROM app;", vec!["app"]),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s REVOKE ALL ON TABLES FROM b;",
                vec!["a", "b"],
            ),
            (
                "CREATE POLICY p ON t FOR SELECT TO a, \"B\" USING ((x = 'to c'::text));",
                vec!["a", "B"],
            ),
            ("CREATE POLICY p ON t USING (true);", vec![]),
            (
                "CREATE USER MAPPING FOR app SERVER s OPTIONS (\"user\" 'x');",
                vec!["app"],
            ),
            ("CREATE USER MAPPING FOR PUBLIC SERVER s;", vec![]),
            ("SET SESSION AUTHORIZATION 'app';", vec!["app"]),
            ("SET SESSION AUTHORIZATION DEFAULT;", vec![]),
            (
                "ALTER ROLE app IN DATABASE d SET work_mem TO '8MB';",
                vec!["app"],
            ),
            ("CREATE SCHEMA s AUTHORIZATION app;", vec!["app"]),
            ("CREATE TABLE t (owner text, \"to\" text);", vec![]),
        ] {
            assert_eq!(named_in(text.as_bytes()), names, "{text}");
        }
    }
}
