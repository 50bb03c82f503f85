//! Statements behind the data that may run side by side: indexes and constraints.
//!
//! pg_dump writes what has to wait for the data in an order of kinds: constraints, indexes, attachments of indexes, rules,
//! triggers, foreign keys, policies, and so on. Inside of a run of indexes and constraints nothing builds on anything else,
//! but for what is written down about an index right behind it (a comment, CLUSTER ON). What a statement is, is read from
//! the statement itself; pg_dump's comment lines are not needed.

use super::token::Tokens;

/// A table: its schema, where one is written, and its name.
pub type TableName = (Option<String>, String);

/// A statement of such a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// `CREATE INDEX … ON table`: others may read the table meanwhile.
    Index(TableName),
    /// `ALTER TABLE table ADD CONSTRAINT …`, no foreign key: has the table to itself.
    Constraint(TableName),
    /// `ALTER TABLE table ADD CONSTRAINT … FOREIGN KEY … REFERENCES other`: has both to itself.
    ForeignKey(TableName, TableName),
    /// Something about an index or constraint that came before, and quickly done.
    Follower,
}

/// Reads a statement; none for any that is to wait for all before it.
pub fn build(text: &[u8]) -> Option<Build> {
    let mut tokens = Tokens::new(text);
    if tokens.keyword("create") {
        tokens.keyword("unique");
        return tokens
            .keyword("index")
            .then(|| index(tokens))
            .flatten()
            .map(Build::Index);
    }
    if tokens.keywords(&["comment", "on"]) {
        let about = tokens.keyword("index") || tokens.keyword("constraint");
        return about.then_some(Build::Follower);
    }
    if tokens.keywords(&["alter", "index"]) {
        return Some(Build::Follower);
    }
    if !tokens.keywords(&["alter", "table"]) {
        return None;
    }
    tokens.keywords(&["if", "exists"]);
    tokens.keyword("only");
    let table = tokens.qualified_name()?;
    if tokens.keywords(&["cluster", "on"]) || tokens.keywords(&["replica", "identity"]) {
        return Some(Build::Follower);
    }
    if !tokens.keywords(&["add", "constraint"]) {
        return None;
    }
    tokens.next()?;
    if !tokens.keywords(&["foreign", "key"]) {
        return Some(Build::Constraint(table));
    }
    while !tokens.keyword("references") {
        tokens.next()?;
    }
    Some(Build::ForeignKey(table, tokens.qualified_name()?))
}

/// The table behind `CREATE INDEX [name] ON [ONLY]`. CONCURRENTLY is not something pg_dump writes.
fn index(mut tokens: Tokens<'_>) -> Option<TableName> {
    if tokens.keyword("concurrently") {
        return None;
    }
    tokens.keywords(&["if", "not", "exists"]);
    if !tokens.keyword("on") {
        tokens.next()?;
        if !tokens.keyword("on") {
            return None;
        }
    }
    tokens.keyword("only");
    tokens.qualified_name()
}

/// The table that a `CREATE TABLE` makes, if it is an ordinary one that holds rows itself: not partitioned, not foreign,
/// not temporary.
pub fn created_table(text: &[u8]) -> Option<TableName> {
    let mut tokens = Tokens::new(text);
    if !tokens.keyword("create") {
        return None;
    }
    tokens.keyword("unlogged");
    if !tokens.keyword("table") {
        return None;
    }
    let name = tokens.qualified_name()?;
    let mut partitioned = false;
    while let Some(token) = tokens.next() {
        partitioned |= token.is("partition") && tokens.keyword("by");
    }
    (!partitioned).then_some(name)
}

/// Whether a statement fills a materialized view.
pub fn is_refresh(text: &[u8]) -> bool {
    Tokens::new(text).keywords(&["refresh", "materialized", "view"])
}

/// The table of an `INSERT INTO`.
pub fn inserted_table(text: &[u8]) -> Option<TableName> {
    let mut tokens = Tokens::new(text);
    let insert = tokens.keywords(&["insert", "into"]);
    insert.then(|| tokens.qualified_name()).flatten()
}

/// Whether a statement is about an event trigger. From its making on, a trigger may refuse any DDL, and pg_dump writes
/// the refreshing of materialized views behind it.
pub fn is_event_trigger(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    let verb = tokens.keyword("create") || tokens.keyword("alter") || {
        tokens.keywords(&["comment", "on"])
    };
    verb && tokens.keywords(&["event", "trigger"])
}

/// The setting that a statement of the session changes for all that follow: `SET name`, `set_config('name', …)`,
/// `SET SESSION AUTHORIZATION`.
pub fn setting(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text);
    if tokens.keyword("set") {
        if tokens.keywords(&["session", "authorization"]) {
            return Some("session authorization".to_owned());
        }
        let mut name = tokens.next()?.identifier()?;
        while tokens.symbol(b'.') {
            name = format!("{name}.{}", tokens.next()?.identifier()?);
        }
        return Some(name);
    }
    if tokens.keyword("reset") {
        return tokens
            .keywords(&["session", "authorization"])
            .then(|| "session authorization".to_owned());
    }
    let called = tokens.keyword("select")
        && tokens.qualified_name() == Some((Some("pg_catalog".into()), "set_config".into()))
        && tokens.symbol(b'(');
    if called {
        tokens.next()?.literal()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_constraints_are_told_apart() {
        let t = || (Some("s".to_owned()), "T".to_owned());
        let r = || (Some("s".to_owned()), "r".to_owned());
        for (text, expected) in [
            (
                "CREATE INDEX i ON s.\"T\" USING btree (a);",
                Some(Build::Index(t())),
            ),
            (
                "CREATE UNIQUE INDEX \"on\" ON ONLY s.\"T\" USING btree (a);",
                Some(Build::Index(t())),
            ),
            (
                "ALTER TABLE ONLY s.\"T\"\n    ADD CONSTRAINT p PRIMARY KEY (a);",
                Some(Build::Constraint(t())),
            ),
            (
                "ALTER TABLE s.\"T\"\n    ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;",
                Some(Build::Constraint(t())),
            ),
            (
                "ALTER TABLE ONLY s.\"T\" ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.r(id) ON DELETE CASCADE;",
                Some(Build::ForeignKey(t(), r())),
            ),
            ("COMMENT ON INDEX s.i IS 'x';", Some(Build::Follower)),
            (
                "ALTER INDEX s.p ATTACH PARTITION s.q;",
                Some(Build::Follower),
            ),
            ("ALTER TABLE s.t CLUSTER ON i;", Some(Build::Follower)),
            (
                "ALTER TABLE ONLY s.t REPLICA IDENTITY USING INDEX i;",
                Some(Build::Follower),
            ),
            ("ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;", None),
            ("ALTER TABLE ONLY s.t ATTACH PARTITION s.p DEFAULT;", None),
            (
                "CREATE TRIGGER x AFTER INSERT ON s.t EXECUTE FUNCTION f();",
                None,
            ),
            ("CREATE INDEX CONCURRENTLY i ON s.t (a);", None),
            ("COMMENT ON TABLE s.t IS 'x';", None),
        ] {
            assert_eq!(build(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn event_triggers_are_known() {
        for text in [
            "CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION no();",
            "ALTER EVENT TRIGGER x OWNER TO app;",
            "COMMENT ON EVENT TRIGGER x IS 'y';",
        ] {
            assert!(is_event_trigger(text.as_bytes()), "{text}");
        }
        assert!(!is_event_trigger(
            b"CREATE TRIGGER event AFTER INSERT ON t EXECUTE FUNCTION f();"
        ));
    }

    #[test]
    fn only_tables_with_rows_of_their_own_count_as_made() {
        let made = |text: &str| created_table(text.as_bytes()).map(|(_, name)| name);
        assert_eq!(made("CREATE TABLE s.t (a integer);").as_deref(), Some("t"));
        assert_eq!(
            made("CREATE UNLOGGED TABLE s.t (a integer);").as_deref(),
            Some("t")
        );
        assert_eq!(
            made("CREATE TABLE s.t (partition integer, by integer);").as_deref(),
            Some("t")
        );
        for text in [
            "CREATE TABLE s.t (a integer)\nPARTITION BY RANGE (a);",
            "CREATE FOREIGN TABLE s.t (a integer) SERVER x;",
            "CREATE VIEW s.t AS SELECT 1;",
        ] {
            assert_eq!(made(text), None, "{text}");
        }
    }

    #[test]
    fn settings_of_the_session_are_known_by_name() {
        let name = |text: &str| setting(text.as_bytes());
        assert_eq!(
            name("SET default_tablespace = fast;").as_deref(),
            Some("default_tablespace")
        );
        assert_eq!(
            name("SELECT pg_catalog.set_config('search_path', '', false);").as_deref(),
            Some("search_path")
        );
        assert_eq!(
            name("SET SESSION AUTHORIZATION 'app';").as_deref(),
            Some("session authorization")
        );
        assert_eq!(name("SELECT pg_catalog.setval('s', 1, true);"), None);
    }
}
