use super::*;

fn part(text: &str) -> Part {
    read(text).unwrap_or_else(|| panic!("not read: {text}"))
}

fn name(name: &str) -> Name {
    Name::new("s", name)
}

/// What stands at the spans.
fn spans(text: &str) -> Vec<&str> {
    part(text)
        .spans
        .iter()
        .map(|span| &text[span.start..span.end])
        .collect()
}

#[test]
fn what_belongs_to_which_table() {
    let t = || name("t");
    for (text, kind) in [
        (
            "ALTER TABLE s.t OWNER TO \"App\";",
            Kind::Owner("App".into()),
        ),
        (
            "ALTER TABLE ONLY s.t ALTER COLUMN c SET STATISTICS 500;",
            Kind::Setting,
        ),
        ("ALTER TABLE ONLY s.t REPLICA IDENTITY FULL;", Kind::Setting),
        ("ALTER TABLE s.t CLUSTER ON t_pkey;", Kind::IndexSetting),
        ("ALTER TABLE s.t SET (fillfactor='10');", Kind::Setting),
        (
            "ALTER TABLE ONLY s.t ALTER COLUMN id SET DEFAULT nextval('s.q'::regclass);",
            Kind::Setting,
        ),
        (
            "ALTER TABLE s.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME s.q\n    START WITH 1\n);",
            Kind::Identity(name("q")),
        ),
        (
            "ALTER TABLE ONLY s.t ATTACH PARTITION s.t1 FOR VALUES IN ('a');",
            Kind::Attach(name("t1")),
        ),
        (
            "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT \"k K\" PRIMARY KEY (id);",
            Kind::Key("k K".into()),
        ),
        (
            "ALTER TABLE s.t\n    ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;",
            Kind::Check,
        ),
        (
            "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.o(id) ON DELETE CASCADE;",
            Kind::ForeignKey("f".into(), name("o")),
        ),
        (
            "CREATE UNIQUE INDEX i ON ONLY s.t USING btree (a);",
            Kind::Index("i".into()),
        ),
        (
            "CREATE TRIGGER tr BEFORE INSERT OR UPDATE OF c ON s.t FOR EACH ROW EXECUTE FUNCTION s.f();",
            Kind::Trigger("tr".into()),
        ),
        (
            "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON s.t FROM s.o DEFERRABLE FOR EACH ROW EXECUTE FUNCTION s.f();",
            Kind::Trigger("tr".into()),
        ),
        (
            "ALTER TABLE s.t DISABLE TRIGGER tr;",
            Kind::Trigger("tr".into()),
        ),
        (
            "ALTER TABLE s.t ENABLE ALWAYS TRIGGER tr;",
            Kind::Trigger("tr".into()),
        ),
        (
            "CREATE RULE r AS\n    ON DELETE TO s.t DO INSTEAD NOTHING;",
            Kind::Rule("r".into()),
        ),
        (
            "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;",
            Kind::RowSecurity,
        ),
        (
            "ALTER TABLE ONLY s.t FORCE ROW LEVEL SECURITY;",
            Kind::RowSecurity,
        ),
        (
            "CREATE POLICY p ON s.t FOR SELECT TO x USING (true);",
            Kind::Policy("p".into()),
        ),
        (
            "COMMENT ON TABLE s.t IS $$x;",
            Kind::Comment(Subject::Relation),
        ),
        (
            "COMMENT ON COLUMN s.t.c IS 'x';",
            Kind::Comment(Subject::Relation),
        ),
        (
            "COMMENT ON CONSTRAINT k ON s.t IS 'x';",
            Kind::Comment(Subject::Constraint("k".into())),
        ),
        (
            "COMMENT ON TRIGGER tr ON s.t IS 'x';",
            Kind::Comment(Subject::Code),
        ),
        ("SECURITY LABEL FOR x ON COLUMN s.t.a IS 'y';", Kind::Label),
        (
            "GRANT SELECT(a, \"on\"),UPDATE ON TABLE s.t TO PUBLIC, \"R\" WITH GRANT OPTION;",
            Kind::Grant(vec!["R".into()]),
        ),
        (
            "REVOKE ALL ON TABLE s.t FROM r;",
            Kind::Grant(vec!["r".into()]),
        ),
        (
            "ALTER PUBLICATION p ADD TABLE ONLY s.t;",
            Kind::Publication("p".into()),
        ),
        ("INSERT INTO s.t VALUES (1);", Kind::Insert),
    ] {
        let part = part(text);
        assert_eq!((part.kind, part.on), (kind, t()), "{text}");
    }
}

#[test]
fn what_belongs_to_something_of_a_table() {
    for (text, kind, on) in [
        ("CREATE SEQUENCE s.q\n    AS integer;", Kind::Sequence, "q"),
        (
            "ALTER SEQUENCE s.q OWNED BY s.t.id;",
            Kind::OwnedBy(name("t")),
            "q",
        ),
        (
            "ALTER SEQUENCE s.q OWNER TO a;",
            Kind::Owner("a".into()),
            "q",
        ),
        (
            "GRANT ALL ON SEQUENCE s.q TO a;",
            Kind::Grant(vec!["a".into()]),
            "q",
        ),
        (
            "ALTER INDEX s.i ATTACH PARTITION s.j;",
            Kind::AttachIndex(name("j")),
            "i",
        ),
        (
            "ALTER INDEX s.i ALTER COLUMN 1 SET STATISTICS 9;",
            Kind::IndexSetting,
            "i",
        ),
        (
            "CREATE STATISTICS s.st (ndistinct) ON a, b FROM s.t;",
            Kind::Statistics(name("t")),
            "st",
        ),
    ] {
        let part = part(text);
        assert_eq!((part.kind, part.on), (kind, name(on)), "{text}");
    }
}

#[test]
fn tables() {
    let of = |text: &str| part(text).kind;
    let table = |partitioned, parents| Kind::Table {
        partitioned,
        parents,
    };
    assert_eq!(of("CREATE TABLE s.t (a integer);"), table(false, vec![]));
    assert_eq!(
        of(
            "CREATE UNLOGGED TABLE s.t (partition text, by int)\nINHERITS (s.a, s.\"B\")\nWITH (fillfactor='7');"
        ),
        table(false, vec![name("a"), name("B")])
    );
    assert_eq!(
        of("CREATE TABLE s.t (a integer)\nPARTITION BY LIST (a);"),
        table(true, vec![])
    );
    assert_eq!(
        of("CREATE FOREIGN TABLE s.t (a integer) SERVER x;"),
        Kind::ForeignTable
    );
}

#[test]
fn what_is_about_no_table_is_not_read() {
    for text in [
        "CREATE VIEW s.v AS SELECT 1;",
        "CREATE FUNCTION s.f() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;",
        "CREATE TABLE t (a integer);",
        "ALTER FUNCTION s.f() OWNER TO a;",
        "ALTER VIEW s.v OWNER TO a;",
        "COMMENT ON CONSTRAINT c ON DOMAIN s.d IS 'x';",
        "COMMENT ON FUNCTION s.f() IS 'x';",
        "GRANT USAGE ON SCHEMA s TO a;",
        "GRANT a TO b;",
        "DROP TABLE s.t;",
        "SELECT pg_catalog.setval('s.q', 1, true);",
        "ALTER PUBLICATION p OWNER TO a;",
        "ALTER TABLE s.t FROBNICATE;",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn names_are_found_where_they_are_names() {
    assert_eq!(
        spans(
            "CREATE TABLE s.t (\n a s.t, b integer DEFAULT nextval('s.\"Q''q\"'::regclass), c text DEFAULT 's.t', CHECK (s.t(a)))\nINHERITS (s.p);"
        ),
        ["s.t", "'s.\"Q''q\"'", "s.p"]
    );
    assert_eq!(
        spans("CREATE INDEX \"i I\" ON \"s\" . t USING gist (s.t(a));"),
        ["\"i I\"", "\"s\" . t"]
    );
    assert_eq!(
        spans("COMMENT ON CONSTRAINT k ON s.t IS 's.t';"),
        ["k", "s.t"]
    );
    let part = part("ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT nextval('s.q'::regclass);");
    assert_eq!(part.spans[1].names, Names::Literal(name("q")));
    assert!(part.readable);
    assert!(!super::read("COMMENT ON TABLE s.t IS $$x$$;").is_some_and(|part| part.readable));
}
