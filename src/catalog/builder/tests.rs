use super::*;
use crate::sql::scanner::Scanner;

fn build(text: &str) -> (Catalog, Findings) {
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut builder = Builder::new();
    scanner.feed(text.as_bytes(), &mut builder);
    builder.finish(&scanner)
}

const WHOLE: &str = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE app;\n\\connect app_db\n--\n-- PostgreSQL database dump\n--\n\
-- Dumped from database version 15.18\nSET client_encoding = 'UTF8';\nCREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;\n\
COPY public.t (a) FROM stdin;\n1\n2\n\\.\nSELECT pg_catalog.setval('public.s', 5, true);\n\
SELECT pg_catalog.lo_create('9');\nBEGIN;\nSELECT pg_catalog.lo_open('9', 131072);\nSELECT pg_catalog.lowrite(0, '\\x0102');\n\
SELECT pg_catalog.lo_close(0);\nCOMMIT;\n\
--\n-- PostgreSQL database dump complete\n--\n\n--\n-- PostgreSQL database cluster dump complete\n--\n";

fn kinds(findings: &Findings) -> Vec<FindingKind> {
    findings.list.iter().map(|finding| finding.kind).collect()
}

#[test]
fn reads_what_a_dump_holds() {
    let (catalog, findings) = build(WHOLE);
    assert_eq!(findings.list, []);
    assert_eq!(catalog.kind, DumpKind::Cluster);
    assert_eq!(catalog.roles, ["app"]);
    let database = &catalog.databases[0];
    assert_eq!(
        (
            database.name.as_str(),
            database.encoding.as_str(),
            database.complete
        ),
        ("app_db", "UTF8", true)
    );
    assert_eq!(database.extensions, ["hstore"]);
    assert_eq!(database.sequences[0].value, 5);
    assert_eq!(
        (database.large_objects.count, database.large_objects.bytes),
        (1, 2)
    );
    let table = &database.tables[0];
    assert_eq!((table.rows, table.bytes), (2, 4));
    let data = table.data[0];
    let range = usize::try_from(data.offset).expect("small")
        ..usize::try_from(data.offset + data.length).expect("small");
    assert_eq!(&WHOLE[range], "1\n2\n");
}

#[test]
fn every_missing_end_is_found() {
    let cut = WHOLE.find("2\n\\.").expect("rows");
    let (_, findings) = build(&WHOLE[..cut]);
    assert_eq!(
        kinds(&findings),
        [
            FindingKind::NotAtRest,
            FindingKind::MissingEndMarker,
            FindingKind::MissingEndMarker
        ]
    );
    assert!(
        findings.list[0]
            .place
            .contains("public.t of database app_db"),
        "{}",
        findings.list[0].place
    );
    let (_, findings) = build(&WHOLE.replace("-- PostgreSQL database dump complete", "--"));
    assert_eq!(kinds(&findings), [FindingKind::MissingEndMarker]);
    let (_, findings) = build("");
    assert_eq!(kinds(&findings), [FindingKind::NotADump]);
}

#[test]
fn a_marker_inside_of_data_is_no_marker() {
    let forged = WHOLE.replace(
        "1\n2\n",
        "1\n-- PostgreSQL database cluster dump complete\n",
    );
    let cut = forged.find("\\.\n").expect("end of rows");
    assert!(!build(&forged[..cut]).1.is_good());
}

#[test]
fn what_no_dump_holds_is_found() {
    for (text, kind) in [
        ("\\! touch x\n", FindingKind::MetaCommand),
        ("\\copy t from 'x'\n", FindingKind::MetaCommand),
        ("ALTER SYSTEM SET a = 'b';\n", FindingKind::RefusedStatement),
        (
            "COPY t FROM PROGRAM 'touch x';\n",
            FindingKind::RefusedStatement,
        ),
        ("\\restrict a\n\\unrestrict b\n", FindingKind::MetaCommand),
    ] {
        let dump = WHOLE.replace("BEGIN;\n", &format!("{text}BEGIN;\n"));
        let (_, findings) = build(&dump);
        assert_eq!(kinds(&findings), [kind], "{text}");
        assert!(
            findings.list[0].place.contains("line "),
            "{}",
            findings.list[0].place
        );
    }
}

#[test]
fn joined_files_are_found() {
    let cut = WHOLE.find("1\n2\n").expect("rows");
    let (_, findings) = build(&format!("{WHOLE}{}", &WHOLE[..cut]));
    assert!(kinds(&findings).contains(&FindingKind::Malformed));
    assert!(kinds(&findings).contains(&FindingKind::MissingEndMarker));
    assert!(!build(&format!("{WHOLE}CREATE ROLE late;\n")).1.is_good());
}

#[test]
fn a_table_that_comes_in_parts_is_one() {
    let again = "COPY public.other (a) FROM stdin;\n5\n\\.\nCOPY public.t (a) FROM stdin;\n3\n\\.\nSELECT pg_catalog.setval";
    let (catalog, findings) = build(&WHOLE.replace("SELECT pg_catalog.setval", again));
    assert_eq!(findings.list, []);
    let tables: Vec<_> = catalog.databases[0]
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.rows, table.data.len()))
        .collect();
    assert_eq!(tables, [("t", 3, 2), ("other", 1, 1)]);
}

fn rows_as(insert: &str) -> (Catalog, Findings) {
    build(&WHOLE.replace("COPY public.t (a) FROM stdin;\n1\n2\n\\.\n", insert))
}

#[test]
fn inserts_hash_as_their_copy_does() {
    let copied = build(WHOLE).0.databases[0].tables[0].clone();
    for insert in [
        "INSERT INTO public.t VALUES (1);\nINSERT INTO public.t VALUES (2);\n",
        "INSERT INTO public.t (a) VALUES (2);\nINSERT INTO public.t (a) VALUES (1) ON CONFLICT DO NOTHING;\n",
        "INSERT INTO public.t VALUES\n\t(1),\n\t('2');\n",
    ] {
        let (catalog, findings) = rows_as(insert);
        assert_eq!(findings.list, []);
        let table = &catalog.databases[0].tables[0];
        assert!(super::super::diff::same_content(table, &copied), "{insert}");
        assert_eq!(table.all_columns, !insert.contains("(a)"));
        assert_eq!(table.data, []);
        assert_eq!(catalog.inserts, 0);
    }
}

/// Longer than any statement that is kept.
#[test]
fn a_long_insert_is_read_to_its_end() {
    let long = "x'\\".repeat(1 << 20);
    let quoted = long.replace('\'', "''");
    let (catalog, findings) = rows_as(&format!(
        "INSERT INTO public.t VALUES ('{quoted}'), ('b');\n"
    ));
    assert_eq!(findings.list, []);
    let copy = format!("{}\nb\n", long.replace('\\', "\\\\"));
    let mut wanted = RowHasher::new();
    wanted.feed(copy.as_bytes());
    let table = &catalog.databases[0].tables[0];
    assert_eq!(
        (table.rows, table.bytes, table.hash),
        (2, copy.len() as u64, wanted.hash)
    );
}

#[test]
fn inserts_that_cannot_be_compared_are_counted_and_others_refused() {
    let (catalog, findings) = rows_as(
        "INSERT INTO public.t (a, b) VALUES (1, 2);\nINSERT INTO public.t (b, a) VALUES (2, 1);\n",
    );
    assert_eq!(kinds(&findings), [FindingKind::NotDone]);
    assert_eq!((catalog.inserts, catalog.rows()), (1, 1));
    for insert in [
        "INSERT INTO public.t SELECT 1;\n",
        "INSERT INTO public.t VALUES (pg_sleep(1));\n",
    ] {
        let (_, findings) = rows_as(insert);
        assert_eq!(kinds(&findings), [FindingKind::RefusedStatement]);
    }
}
