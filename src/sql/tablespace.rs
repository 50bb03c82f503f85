//! Where a statement says that something is to lie, taken out of it.

use super::token::{Token, Tokens};

/// The statement without its `TABLESPACE name` clauses; none if it has no such clause.
pub fn without_tablespace(text: &str) -> Option<String> {
    let mut tokens = Tokens::new(text.as_bytes());
    let (create, alter) = (tokens.keyword("create"), tokens.keyword("alter"));
    tokens.keyword("unique");
    tokens.keyword("unlogged");
    let kinds = [&["table"][..], &["index"], &["materialized", "view"]];
    if !(create || alter) || !kinds.iter().any(|kind| tokens.keywords(kind)) {
        return None;
    }
    if create {
        tokens.keywords(&["if", "not", "exists"]);
        if !tokens.peek().is_some_and(|token| token.is("on")) {
            tokens.qualified_name();
        }
    }
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    let mut depth = 0usize;
    while tokens.peek().is_some() {
        let begin = tokens.offset();
        let clause = tokens.keywords(&["using", "index", "tablespace"])
            || create && depth == 0 && is_clause(&mut tokens);
        if clause {
            kept.push_str(text.get(end..begin)?);
            tokens.next();
            end = tokens.offset();
            continue;
        }
        match tokens.next()? {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            // Behind it there is a query.
            token if depth == 0 && token.is("as") => break,
            _ => {}
        }
    }
    kept.push_str(text.get(end..)?);
    (end > 0).then_some(kept)
}

/// Takes TABLESPACE where a name follows. An index or a table of that name has another word behind it.
fn is_clause(tokens: &mut Tokens<'_>) -> bool {
    let mut ahead = tokens.clone();
    let clause = ahead.keyword("tablespace")
        && ahead.peek().is_some_and(|token| {
            token.identifier().is_some() && !["on", "using", "as"].iter().any(|word| token.is(word))
        });
    if clause {
        *tokens = ahead;
    }
    clause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_go_and_names_stay() {
        for (text, expected) in [
            (
                "CREATE TABLE s.t (a integer) TABLESPACE fast;",
                Some("CREATE TABLE s.t (a integer);"),
            ),
            (
                "CREATE INDEX i ON t USING btree (a) TABLESPACE \"F ast\" WHERE (a > 0);",
                Some("CREATE INDEX i ON t USING btree (a) WHERE (a > 0);"),
            ),
            (
                "ALTER TABLE ONLY t ADD CONSTRAINT p PRIMARY KEY (a) USING INDEX TABLESPACE fast;",
                Some("ALTER TABLE ONLY t ADD CONSTRAINT p PRIMARY KEY (a);"),
            ),
            (
                "CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT 1 AS tablespace FROM t;",
                Some("CREATE MATERIALIZED VIEW m AS SELECT 1 AS tablespace FROM t;"),
            ),
            (
                "CREATE MATERIALIZED VIEW m AS SELECT x tablespace FROM t;",
                None,
            ),
            (
                "CREATE INDEX tablespace ON tablespace USING btree (tablespace);",
                None,
            ),
            ("CREATE TABLE tablespace (tablespace text);", None),
            ("CREATE TABLE s.tablespace PARTITION OF p DEFAULT;", None),
            (
                "ALTER TABLE tablespace ADD CONSTRAINT c CHECK (true);",
                None,
            ),
            ("CREATE FUNCTION f() RETURNS text TABLESPACE x;", None),
        ] {
            assert_eq!(without_tablespace(text).as_deref(), expected, "{text}");
        }
    }
}
