use super::*;

/// Each statement and what it defines.
const DEFINES: &[(&str, &[&str])] = &[
    ("CREATE ROLE \"O'Brien\";", &["role \"O'Brien\""]),
    ("CREATE SCHEMA \"Odd.One\";", &["schema \"Odd.One\""]),
    (
        "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
        &["extension hstore"],
    ),
    (
        "CREATE OR REPLACE PROCEDURAL LANGUAGE tongue;",
        &["language tongue"],
    ),
    (
        "CREATE TABLE public.t (\n a integer CONSTRAINT nn NOT NULL,\n \"constraint\" text DEFAULT 'CONSTRAINT x',\n CONSTRAINT c CHECK ((a > 0)),\n CONSTRAINT \"d e\" CHECK ((a < 9))\n)\nPARTITION BY RANGE (a);",
        &[
            "table public.t",
            "constraint c on public.t",
            "constraint \"d e\" on public.t",
        ],
    ),
    (
        "CREATE UNLOGGED TABLE public.\"T t\" ();",
        &["table public.\"T t\""],
    ),
    (
        "CREATE FOREIGN TABLE s.f (n integer) SERVER x;",
        &["foreign table s.f"],
    ),
    (
        "CREATE VIEW s.v WITH (security_barrier='true') AS SELECT 1;",
        &["view s.v"],
    ),
    ("CREATE OR REPLACE VIEW s.v AS SELECT 1;", &["view s.v"]),
    (
        "CREATE MATERIALIZED VIEW s.m AS SELECT 1 WITH NO DATA;",
        &["materialized view s.m"],
    ),
    (
        "CREATE SEQUENCE s.\"Se q\" START WITH 1;",
        &["sequence s.\"Se q\""],
    ),
    (
        "ALTER TABLE public.q ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME public.counter\n    START WITH 1\n);",
        &["sequence public.counter"],
    ),
    (
        "CREATE UNIQUE INDEX \"Odd, index\" ON \"Odd.One\".t USING btree (lower(a));",
        &["index \"Odd.One\".\"Odd, index\""],
    ),
    (
        "CREATE INDEX i ON ONLY public.t USING btree (a);",
        &["index public.i"],
    ),
    (
        "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
        &["constraint t_pkey on public.t"],
    ),
    (
        "ALTER TABLE public.t ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        &[],
    ),
    (
        "ALTER DOMAIN s.d ADD CONSTRAINT late CHECK ((VALUE <> 'x'::text)) NOT VALID;",
        &["constraint late on s.d"],
    ),
    (
        "CREATE DOMAIN s.d AS text\n\tCONSTRAINT few CHECK ((length(VALUE) < 9));",
        &["domain s.d", "constraint few on s.d"],
    ),
    (
        "CREATE TRIGGER \"stamp, it\" BEFORE INSERT OR UPDATE OF a, \"on\" ON public.t FOR EACH ROW EXECUTE FUNCTION public.stamp('on');",
        &["trigger \"stamp, it\" on public.t"],
    ),
    (
        "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON public.child FROM public.parent FOR EACH ROW EXECUTE FUNCTION f();",
        &["trigger later on public.child"],
    ),
    (
        "CREATE RULE \"keep, it\" AS\n    ON DELETE TO public.c DO INSTEAD NOTHING;",
        &["rule \"keep, it\" on public.c"],
    ),
    (
        "CREATE RULE \"_RETURN\" AS ON SELECT TO public.v DO INSTEAD SELECT 1;",
        &[],
    ),
    (
        "CREATE POLICY p ON public.t FOR SELECT TO a USING (true);",
        &["policy p on public.t"],
    ),
    (
        "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;",
        &["row level security of public.t"],
    ),
    (
        "ALTER TABLE ONLY s.p ATTACH PARTITION s.c FOR VALUES IN (1);",
        &["partition s.c of s.p"],
    ),
    (
        "CREATE FUNCTION s.f(a integer, b text DEFAULT ',)('::text) RETURNS TABLE(n integer)\n LANGUAGE sql AS $$ x $$;",
        &["function s.f(a integer, b text)"],
    ),
    (
        "CREATE PROCEDURE s.p(IN a integer) LANGUAGE sql AS $$ x $$;",
        &["procedure s.p(a integer)"],
    ),
    (
        "CREATE AGGREGATE s.many(*) (\n SFUNC = int8inc\n);",
        &["aggregate s.many()"],
    ),
    ("CREATE TYPE s.e AS ENUM (\n 'a'\n);", &["type s.e"]),
    ("CREATE TYPE s.waiting;", &["type s.waiting"]),
    (
        "CREATE CAST (public.pair AS character varying) WITH FUNCTION f(x);",
        &["cast public.pair as character varying"],
    ),
    (
        "CREATE OPERATOR s.=~= (\n FUNCTION = public.same,\n LEFTARG = public.pair,\n RIGHTARG = numeric(8,2)\n);",
        &["operator s.=~=(public.pair, numeric(8, 2))"],
    ),
    (
        "CREATE OPERATOR s.!! (\n FUNCTION = f,\n RIGHTARG = text\n);",
        &["operator s.!!(none, text)"],
    ),
    (
        "CREATE OPERATOR CLASS s.c\n DEFAULT FOR TYPE integer USING hash AS STORAGE x;",
        &["operator class s.c using hash"],
    ),
    (
        "CREATE OPERATOR FAMILY s.c USING btree;",
        &["operator family s.c using btree"],
    ),
    (
        "CREATE TEXT SEARCH DICTIONARY s.d (\n TEMPLATE = x );",
        &["text search dictionary s.d"],
    ),
    (
        "CREATE DEFAULT CONVERSION s.c FOR 'LATIN1' TO 'UTF8' FROM f;",
        &["conversion s.c"],
    ),
    (
        "CREATE SERVER \"Far, away\" TYPE 'x' FOREIGN DATA WRAPPER w;",
        &["foreign server \"Far, away\""],
    ),
    (
        "CREATE USER MAPPING FOR PUBLIC SERVER s;",
        &["user mapping PUBLIC on s"],
    ),
    (
        "CREATE TRANSFORM FOR integer LANGUAGE tongue (FROM SQL WITH FUNCTION f(internal));",
        &["transform integer language tongue"],
    ),
    (
        "CREATE EVENT TRIGGER w ON ddl_command_end EXECUTE FUNCTION f();",
        &["event trigger w"],
    ),
    (
        "ALTER DATABASE d SET \"DateStyle\" TO 'ISO, DMY';",
        &["setting datestyle of database d"],
    ),
    (
        "ALTER ROLE r IN DATABASE \"D d\" SET plpgsql.x TO '1';",
        &["setting plpgsql.x of role r in database \"D d\""],
    ),
    ("ALTER ROLE r WITH LOGIN;", &[]),
    ("ALTER DATABASE d OWNER TO a;", &[]),
    ("ALTER DATABASE d SET TABLESPACE x;", &[]),
    (
        "GRANT a TO \"B b\" WITH ADMIN OPTION GRANTED BY c;",
        &["membership \"B b\" in a"],
    ),
    (
        "GRANT SELECT,INSERT ON TABLE s.t TO a;",
        &["grant to a on table s.t"],
    ),
    (
        "GRANT UPDATE(\"on\") ON TABLE s.t TO PUBLIC WITH GRANT OPTION;",
        &["grant to PUBLIC on table s.t"],
    ),
    (
        "GRANT ALL ON FUNCTION s.f(a integer, OUT c integer) TO a;",
        &["grant to a on function s.f(a integer, out c integer)"],
    ),
    ("GRANT ALL ON FOREIGN SERVER s TO a;", &[]),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;",
        &[],
    ),
    ("COMMENT ON TABLE s.t IS 'CREATE TABLE x.y';", &[]),
    ("CREATE SCHEMA public;", &[]),
    ("CREATE TABLE", &[]),
    ("CREATE FUNCTION s.f(a integer", &[]),
    ("CREATE TRIGGER t", &[]),
    ("ALTER TABLE ONLY", &[]),
    ("GRANT", &[]),
];

#[test]
fn what_statements_define() {
    for (text, wanted) in DEFINES {
        let found: Vec<_> = read(text.as_bytes())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, *wanted, "{text}");
    }
}

proptest::proptest! {
    /// Cut or spoilt statements never panic.
    #[test]
    fn any_text(which in 0..DEFINES.len(), cut in 0..200usize, byte: u8) {
        let mut text = DEFINES[which].0.as_bytes().to_vec();
        let at = cut % text.len();
        text[at] = byte;
        read(&text);
        read(&text[..at]);
    }
}
