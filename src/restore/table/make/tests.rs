use super::super::choose::choose;
use super::super::pattern::Pattern;
use super::*;
use crate::catalog::{Database, Table};

const DUMP: &[&str] = &[
    "SET default_tablespace = fast;",
    "CREATE TABLE s.t (\n    a integer DEFAULT 1\n);",
    "ALTER TABLE s.t OWNER TO app;",
    "CREATE SEQUENCE s.t_a_seq;",
    "ALTER SEQUENCE s.t_a_seq OWNED BY s.t.a;",
    "ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT nextval('s.t_a_seq'::regclass);",
    "ALTER TABLE ONLY s.t ADD CONSTRAINT t_pkey PRIMARY KEY (a);",
    "CREATE INDEX other ON s.t USING btree (a);",
    "CREATE STATISTICS s.st ON a FROM s.t;",
    "ALTER STATISTICS s.st OWNER TO app;",
    "COMMENT ON CONSTRAINT t_fkey ON s.t IS 'a foreign key';",
    "CREATE TRIGGER tr BEFORE INSERT ON s.t EXECUTE FUNCTION s.f();",
    "COMMENT ON TRIGGER tr ON s.t IS 'x';",
    "ALTER TABLE ONLY s.t ADD CONSTRAINT t_fkey FOREIGN KEY (a) REFERENCES s.o(a);",
    "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;",
    "CREATE POLICY p ON s.t USING (true);",
    "GRANT SELECT ON TABLE s.t TO reader;",
    "GRANT SELECT ON TABLE s.t TO gone;",
    "ALTER PUBLICATION pub ADD TABLE ONLY s.t;",
    "ALTER TABLE ONLY s.z ADD CONSTRAINT z_fkey FOREIGN KEY (a) REFERENCES s.t(a);",
];

fn facts() -> Facts {
    Facts {
        schemas: ["s".to_owned()].into(),
        roles: [("app".to_owned(), true), ("reader".to_owned(), false)].into(),
        tables: [Name::new("s", "o")].into(),
        user: "me".into(),
        ..Facts::default()
    }
}

fn made(new: Option<&str>, facts: Facts) -> Result<Made> {
    made_of(DUMP, new, facts)
}

fn made_of(dump: &[&str], new: Option<&str>, facts: Facts) -> Result<Made> {
    let mut definitions = Definitions::default();
    for text in dump {
        definitions
            .add("UTF8", text.as_bytes(), true)
            .expect("room for it");
    }
    let family = Family::of(&definitions);
    let table = Table {
        schema: "s".into(),
        name: "t".into(),
        ..Table::default()
    };
    let section = Database {
        tables: vec![table],
        ..Database::default()
    };
    let pattern = Pattern::parse("s.t")?;
    let choice = choose(&[pattern], &definitions, &family, &section)?;
    let new = new.map(|new| Name::new("s", new));
    let roots = [(Name::new("s", "t"), new)].into();
    make(&choice, &roots, &definitions, &family, facts)
}

fn texts(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|run| run.text.as_str()).collect()
}

#[test]
fn beside_the_live_table_nothing_of_it_is_touched() {
    let made = made(Some("n"), facts()).expect("made");
    assert_eq!(
        texts(&made.before),
        [
            "CREATE TABLE \"s\".\"n\" (\n    a integer DEFAULT 1\n);",
            "ALTER TABLE \"s\".\"n\" OWNER TO app;",
            "CREATE SEQUENCE \"s\".\"n_a_seq\";",
            "ALTER SEQUENCE \"s\".\"n_a_seq\" OWNED BY \"s\".\"n\".a;",
            "ALTER TABLE ONLY \"s\".\"n\" ALTER COLUMN a SET DEFAULT nextval('\"s\".\"n_a_seq\"'::regclass);",
        ]
    );
    assert_eq!(
        texts(&made.after),
        [
            "ALTER TABLE ONLY \"s\".\"n\" ADD CONSTRAINT \"n_pkey\" PRIMARY KEY (a);",
            "CREATE INDEX \"other_restored\" ON \"s\".\"n\" USING btree (a);",
            "CREATE STATISTICS \"s\".\"st_restored\" ON a FROM \"s\".\"n\";",
            "ALTER STATISTICS \"s\".\"st_restored\" OWNER TO app;",
            "ALTER TABLE \"s\".\"n\" ENABLE ROW LEVEL SECURITY;",
            "GRANT SELECT ON TABLE \"s\".\"n\" TO reader;",
        ]
    );
    assert!(made.refusals.is_empty(), "{:?}", made.refusals);
    for said in [
        "foreign key to table s.o t_fkey",
        "trigger tr",
        "policy",
        "role gone",
        "publication pub",
        "tablespace fast",
    ] {
        assert!(
            made.notes.iter().any(|note| note.contains(said)),
            "{said}: {:?}",
            made.notes
        );
    }
}

#[test]
fn under_its_own_name_a_table_is_what_it_was() {
    let made = made(None, facts()).expect("made");
    let left_out = |text: &&&str| {
        text.starts_with("SET")
            || text.contains("gone")
            || text.contains("PUBLICATION")
            || text.contains("s.z")
    };
    let all: Vec<_> = DUMP
        .iter()
        .filter(|text| !left_out(text))
        .copied()
        .collect();
    assert_eq!([texts(&made.before), texts(&made.after)].concat(), all);
    assert!(
        made.notes
            .iter()
            .any(|note| note.contains("z_fkey of table s.z"))
    );
}

#[test]
fn a_key_to_a_table_that_is_gone_is_left_out_with_its_comment() {
    let gone = Facts {
        tables: HashSet::new(),
        ..facts()
    };
    let made = made(None, gone).expect("made");
    let said = |runs: &[Run]| {
        runs.iter()
            .any(|run| run.text.contains("ADD CONSTRAINT t_fkey"))
    };
    assert!(!said(&made.after));
    let comment = |run: &Run| run.text.starts_with("COMMENT ON CONSTRAINT");
    assert!(!made.after.iter().any(comment));
    assert!(made.notes.iter().any(|note| note.contains("no table s.o")));
}

#[test]
fn names_that_are_taken_are_refused_or_avoided() {
    let mut busy = facts();
    for name in ["t_a_seq", "n_pkey"] {
        busy.taken.add(&Name::new("s", name));
    }
    let own = made(None, busy.clone()).expect("made");
    assert!(own.refusals[0].contains("s.t_a_seq"), "{:?}", own.refusals);
    let beside = made(Some("n"), busy.clone()).expect("made");
    assert!(beside.refusals.is_empty(), "{:?}", beside.refusals);
    assert!(
        beside.after[0].text.contains("\"n_pkey2\""),
        "{:?}",
        beside.after[0]
    );
    busy.taken.add(&Name::new("s", "n"));
    let beside = made(Some("n"), busy).expect("made");
    assert!(beside.refusals[0].contains("s.n is there already"));
}

#[test]
fn text_that_no_dump_holds_is_never_planned() {
    let failure = made_of(&["CREATE TABLE s.t AS SELECT 1 AS a;"], None, facts())
        .err()
        .map(|failure| failure.kind());
    assert_eq!(failure, Some(FailureKind::Unsafe));
    let unreadable = [
        "CREATE TABLE s.t (a integer);",
        "COMMENT ON TABLE s.t IS $a$x$a$;",
    ];
    let made = made_of(&unreadable, Some("n"), facts()).expect("made");
    assert!(
        made.refusals[0].contains("cannot all be read"),
        "{:?}",
        made.refusals
    );
    let made = made_of(&unreadable, None, facts()).expect("made");
    assert!(made.refusals.is_empty(), "{:?}", made.refusals);
}
