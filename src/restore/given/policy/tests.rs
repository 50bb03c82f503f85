use super::*;

fn policy() -> GivenServerPolicy {
    let of = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        pairs.collect()
    };
    let names = Names {
        databases: of(&[
            ("app_db", "pgvigil_scratch_0123abcd_1"),
            ("postgres", "pgvigil_scratch_0123abcd_2"),
        ]),
        roles: of(&[
            ("app", "pgvigil_scratch_0123abcd_r1"),
            ("postgres", "pgvigil_scratch_0123abcd_r2"),
        ]),
        everyone: "pgvigil_scratch_0123abcd_r0".to_owned(),
    };
    GivenServerPolicy::new(names, BTreeSet::from(["postgres".to_owned()]))
}

/// What becomes of a statement; `…` stands for the names' beginning.
fn of(policy: &GivenServerPolicy, database: Option<&str>, text: &str) -> String {
    let context = Context {
        database,
        text,
        statement: &statement::read(text.as_bytes()),
        reach: &reach::reach(text.as_bytes()),
        at: Position::default(),
    };
    match policy.judge(context) {
        Ok(Verdict::Run) => "run".to_owned(),
        Ok(Verdict::Instead(text)) => text.replace("pgvigil_scratch_0123abcd_", "…"),
        Ok(Verdict::Skip) => "skip".to_owned(),
        Ok(Verdict::Later(_)) => "later".to_owned(),
        Err(failure) => format!("{:?}", failure.kind()),
    }
}

#[test]
fn what_the_server_shares() {
    let policy = policy();
    for (text, expected) in [
        ("CREATE ROLE app;", "skip"),
        ("ALTER ROLE app WITH SUPERUSER LOGIN PASSWORD 'x';", "skip"),
        ("DROP ROLE IF EXISTS app;", "skip"),
        ("DROP ROLE bystander;", "skip"),
        ("CREATE ROLE bystander;", "Unsafe"),
        ("ALTER ROLE bystander WITH SUPERUSER;", "Unsafe"),
        ("ALTER ROLE pg_monitor WITH LOGIN;", "Unsafe"),
        ("COMMENT ON ROLE bystander IS 'x';", "Unsafe"),
        ("ALTER ROLE ALL SET work_mem = '1MB';", "skip"),
        ("GRANT app TO postgres GRANTED BY postgres;", "skip"),
        ("GRANT bystander TO app;", "Unsafe"),
        ("GRANT app TO bystander;", "Unsafe"),
        ("GRANT pg_execute_server_program TO app;", "skip"),
        ("REVOKE bystander FROM drill;", "Unsafe"),
        ("CREATE TABLESPACE fast OWNER app LOCATION '/x';", "skip"),
        ("DROP TABLESPACE bystander;", "skip"),
        ("GRANT ALL ON PARAMETER work_mem TO app;", "skip"),
        ("DROP OWNED BY bystander;", "skip"),
        ("CREATE TABLE t ();", "Unsafe"),
        ("SET client_min_messages = warning;", "run"),
        ("SET SESSION AUTHORIZATION 'bystander';", "skip"),
        (
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "run",
        ),
    ] {
        assert_eq!(of(&policy, None, text), expected, "{text}");
    }
    // Inside of a database no dump says anything about roles.
    for text in [
        "CREATE ROLE app;",
        "GRANT app TO postgres;",
        "DROP ROLE bystander;",
    ] {
        assert_eq!(of(&policy, Some("app_db"), text), "Unsafe", "{text}");
    }
}

#[test]
fn databases() {
    let policy = policy();
    for (text, expected) in [
        ("DROP DATABASE IF EXISTS app_db;", "skip"),
        ("DROP DATABASE bystander;", "skip"),
        (
            "CREATE DATABASE app_db WITH TEMPLATE = template0 OWNER = app ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C' TABLESPACE = fast CONNECTION LIMIT = -1;",
            "CREATE DATABASE \"…1\" WITH TEMPLATE = template0 OWNER = \"…r1\" ENCODING = 'UTF8' LOCALE_PROVIDER = 'libc' LOCALE = 'C';",
        ),
        (
            "CREATE DATABASE app_db TEMPLATE bystander;",
            "CREATE DATABASE \"…1\" WITH TEMPLATE = template0;",
        ),
        ("CREATE DATABASE app_db OWNER = bystander;", "Unsafe"),
        ("CREATE DATABASE app_db SURPRISE = 1;", "Scratch"),
        ("CREATE DATABASE postgres;", "skip"),
        ("CREATE DATABASE bystander;", "Unsafe"),
        (
            "ALTER DATABASE app_db OWNER TO app;",
            "ALTER DATABASE \"…1\" OWNER TO …r1;",
        ),
        ("ALTER DATABASE app_db OWNER TO bystander;", "RestoreFailed"),
        ("ALTER DATABASE bystander OWNER TO app;", "Unsafe"),
        ("ALTER DATABASE bystander RENAME TO x;", "Unsafe"),
        ("ALTER DATABASE app_db RENAME TO bystander;", "skip"),
        ("ALTER DATABASE app_db SET TABLESPACE fast;", "skip"),
        ("ALTER DATABASE app_db CONNECTION LIMIT 0;", "skip"),
        ("ALTER DATABASE app_db IS_TEMPLATE = true;", "skip"),
        (
            "ALTER DATABASE app_db SET \"TimeZone\" TO 'app_db';",
            "ALTER DATABASE \"…1\" SET \"TimeZone\" TO 'app_db';",
        ),
        (
            "ALTER ROLE app IN DATABASE app_db SET work_mem TO '1MB';",
            "ALTER ROLE …r1 IN DATABASE \"…1\" SET work_mem TO '1MB';",
        ),
        (
            "ALTER ROLE bystander IN DATABASE app_db SET work_mem TO '1MB';",
            "RestoreFailed",
        ),
        (
            "ALTER ROLE app IN DATABASE bystander SET work_mem TO '1MB';",
            "Unsafe",
        ),
        (
            "COMMENT ON DATABASE app_db IS 'x';",
            "COMMENT ON DATABASE \"…1\" IS 'x';",
        ),
        ("COMMENT ON DATABASE bystander IS 'x';", "Unsafe"),
        ("GRANT CONNECT ON DATABASE app_db TO app;", "skip"),
        ("GRANT CONNECT ON DATABASE bystander TO app;", "Unsafe"),
        (
            "UPDATE pg_catalog.pg_database SET datistemplate = true WHERE datname = 'app_db';",
            "skip",
        ),
        (
            "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'bystander';",
            "Unsafe",
        ),
    ] {
        assert_eq!(of(&policy, None, text), expected, "{text}");
        // A stream is still in one database when it makes the next.
        assert_eq!(of(&policy, Some("postgres"), text), expected, "{text}");
    }
}

#[test]
fn inside_of_a_database() {
    let policy = policy();
    for (text, expected) in [
        ("CREATE TABLE t (a integer);", "CREATE TABLE t (a integer);"),
        ("CREATE TABLE t () TABLESPACE fast;", "CREATE TABLE t ();"),
        ("ALTER TABLE t OWNER TO app;", "ALTER TABLE t OWNER TO …r1;"),
        ("ALTER TABLE t OWNER TO bystander;", "RestoreFailed"),
        ("GRANT SELECT ON TABLE t TO bystander;", "RestoreFailed"),
        (
            "GRANT SELECT ON TABLE t TO PUBLIC;",
            "GRANT SELECT ON TABLE t TO PUBLIC;",
        ),
        (
            "GRANT SELECT ON TABLE t TO pg_monitor;",
            "GRANT SELECT ON TABLE t TO pg_monitor;",
        ),
        (
            "CREATE SCHEMA app;",
            "CREATE SCHEMA \"app\" GRANT ALL ON SCHEMA \"app\" TO \"…r0\";",
        ),
        (
            "CREATE SCHEMA AUTHORIZATION app;",
            "CREATE SCHEMA \"app\" AUTHORIZATION \"…r1\" GRANT ALL ON SCHEMA \"app\" TO \"…r0\";",
        ),
        ("CREATE SCHEMA s AUTHORIZATION bystander;", "Unsafe"),
        ("CREATE SCHEMA s CREATE TABLE t ();", "Unsafe"),
        ("ALTER TABLE ONLY s.t FORCE ROW LEVEL SECURITY;", "skip"),
        (
            "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;",
            "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;",
        ),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);",
            "Scratch",
        ),
        ("SET SESSION AUTHORIZATION 'app';", "SET ROLE \"…r1\";"),
        ("SET SESSION AUTHORIZATION bystander;", "RestoreFailed"),
        (
            "SET SESSION AUTHORIZATION pg_database_owner;",
            "SET ROLE NONE;",
        ),
        ("SET SESSION AUTHORIZATION DEFAULT;", "SET ROLE NONE;"),
        ("RESET SESSION AUTHORIZATION;", "SET ROLE NONE;"),
        ("SET role = 'bystander';", "Unsafe"),
        (
            "SELECT pg_catalog.set_config('role', 'bystander', false);",
            "Unsafe",
        ),
        (
            "SET default_tablespace = fast;",
            "SET default_tablespace = '';",
        ),
        ("SET default_tablespace = '';", "run"),
    ] {
        assert_eq!(of(&policy, Some("app_db"), text), expected, "{text}");
    }
    let what: Vec<_> = policy.passed_over().iter().map(|one| one.what).collect();
    assert_eq!(what, ["row security of owners", "tablespaces"]);
}

#[test]
fn what_only_a_superuser_may_say_is_passed_over_and_noted() {
    let policy = policy();
    for (text, code, excused) in [
        ("COMMENT ON EXTENSION plpgsql IS 'x';", "42501", true),
        (
            "ALTER DATABASE \"x\" SET log_statement TO 'all';",
            "42501",
            true,
        ),
        (
            "ALTER DATABASE \"x\" SET log_statement TO 'all';",
            "42704",
            false,
        ),
        ("ALTER DATABASE \"x\" OWNER TO y;", "42501", false),
        ("CREATE EXTENSION dblink;", "42501", false),
    ] {
        assert_eq!(policy.excuses(text, code), excused, "{text}");
    }
    let why: Vec<_> = policy
        .passed_over()
        .into_iter()
        .map(|one| one.why)
        .collect();
    assert_eq!(why.len(), 2);
    assert!(
        why.iter().all(|why| why.ends_with("(1 statement)")),
        "{why:?}"
    );
}
