use proptest::prelude::*;

use super::reader::PIECE;
use super::*;

/// The COPY text of statements in UTF-8, fed in two pieces.
fn copied(text: &[u8], cut: usize) -> (Outcome, Vec<u8>) {
    let mut reader = Reader::new();
    let mut copy = Vec::new();
    let (first, second) = text.split_at(cut.min(text.len()));
    for piece in [first, second] {
        reader.feed(piece, &mut |text: &[u8]| copy.extend_from_slice(text));
    }
    (reader.end(), copy)
}

#[track_caller]
fn reads(text: &str, copy: &str) {
    for cut in 0..=text.len() {
        let (outcome, read) = copied(text.as_bytes(), cut);
        assert_eq!(outcome, Outcome::Rows, "{text} cut at {cut}");
        assert_eq!(String::from_utf8_lossy(&read), copy, "{text} cut at {cut}");
    }
}

#[test]
fn values_read_as_copy_writes_them() {
    reads(
        "INSERT INTO public.t VALUES (1, -2.5e+10, NULL, true, false, 'NaN', B'0101', X'1f');",
        "1\t-2.5e+10\t\\N\tt\tf\tNaN\t0101\t00011111\n",
    );
    reads(
        "INSERT INTO t VALUES ('it''s; a (\"b\")', 'a\tb\nc\\d\r', '');",
        "it's; a (\"b\")\ta\\tb\\nc\\\\d\\r\t\n",
    );
    reads(
        r"INSERT INTO t VALUES (E'a\\b\nc\'d''e');",
        "a\\\\b\\nc'd'e\n",
    );
    reads("INSERT INTO t VALUES ('é\u{1}');", "é\u{1}\n");
}

#[test]
fn every_form_of_the_statement() {
    reads(
        "INSERT INTO t VALUES\n\t(1, 'a'),\n\t(2, 'b');",
        "1\ta\n2\tb\n",
    );
    reads(
        "INSERT INTO t (a, \"values (\"\"\") OVERRIDING SYSTEM VALUE VALUES (1, DEFAULT, 2) ON CONFLICT DO NOTHING;",
        "1\t2\n",
    );
    reads("INSERT INTO t VALUES (DEFAULT);", "\n");
    reads("INSERT INTO public.empty DEFAULT VALUES;", "\n");
    reads("insert into t values(1);", "1\n");
}

#[test]
fn a_header_that_comes_again() {
    let mut reader = Reader::new();
    let mut copy = Vec::new();
    for text in [
        "INSERT INTO t VALUES (1);",
        "INSERT INTO t VALUES (2);",
        "SELECT 1;",
        "INSERT INTO u DEFAULT VALUES;",
        "INSERT INTO u DEFAULT VALUES;",
    ] {
        reader.feed(text.as_bytes(), &mut |text: &[u8]| {
            copy.extend_from_slice(text);
        });
        reader.end();
    }
    assert_eq!(copy, b"1\n2\n\n\n");
    assert_eq!(reader.last_header(), b"INSERT INTO u DEFAULT VALUES");
}

#[test]
fn names_and_columns() {
    let read = header(b"INSERT INTO public.\"T x\" (a, \"B\"\"c\") OVERRIDING SYSTEM VALUE VALUES")
        .expect("a header");
    assert_eq!(read.schema.as_deref(), Some("public"));
    assert_eq!(read.table, "T x");
    assert_eq!(read.columns, ["a", "B\"c"]);
    assert_eq!(
        header(b"INSERT INTO t DEFAULT VALUES").map(|read| read.columns),
        Some(vec![])
    );
}

#[test]
fn anything_else_is_not_read() {
    for text in [
        "INSERT INTO t SELECT 1;",
        "INSERT INTO t VALUES (pg_read_file('/etc/passwd'));",
        "INSERT INTO t VALUES ((SELECT 1));",
        "INSERT INTO t VALUES (1 + 1);",
        "INSERT INTO t VALUES ('a'::text);",
        "INSERT INTO t VALUES ('a' 'b');",
        "INSERT INTO t VALUES (1) RETURNING *;",
        "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1;",
        "INSERT INTO t VALUES (1, /* */ 2);",
        "INSERT INTO t VALUES (E'\\x41');",
        "INSERT INTO t VALUES ($$a$$);",
        "INSERT INTO t VALUES (current_user);",
        "INSERT INTO t VALUES (- );",
        "INSERT INTO t VALUES (1",
        "INSERT INTO t;",
        "INSERT INTO t (SELECT 1) VALUES (1);",
    ] {
        assert!(!is_of_values(text.as_bytes()), "{text}");
    }
    assert_eq!(copied(b"SELECT 1;", 3).0, Outcome::Other);
    assert_eq!(copied(b"IN", 1).0, Outcome::Other);
}

/// A byte that looks like a backslash may be the second half of a character.
#[test]
fn characters_that_embed_ascii() {
    let mut reader = Reader::new();
    reader.encoding("SJIS");
    let mut copy = Vec::new();
    let text = b"INSERT INTO t VALUES ('\x95\\\xb1\\');";
    for byte in text {
        reader.feed(&[*byte], &mut |text: &[u8]| copy.extend_from_slice(text));
    }
    assert_eq!(reader.end(), Outcome::Rows);
    assert_eq!(copy, b"\x95\\\xb1\\\\\n");
}

#[test]
fn a_long_row_is_handed_on_in_pieces() {
    let text = format!("INSERT INTO t VALUES ('{}');", "\\".repeat(3 << 20));
    let mut reader = Reader::new();
    let (mut longest, mut all) = (0, 0);
    reader.feed(text.as_bytes(), &mut |piece: &[u8]| {
        longest = longest.max(piece.len());
        all += piece.len();
    });
    assert_eq!(reader.end(), Outcome::Rows);
    assert_eq!(all, (6 << 20) + 1);
    assert!(longest <= 4 * PIECE, "{longest}");
}

proptest! {
    #[test]
    fn any_cut_reads_the_same(
        words in proptest::collection::vec(prop_oneof![
            Just("INSERT INTO t VALUES "), Just("("), Just(")"), Just(", "), Just("'"), Just("''"), Just("E'"), Just("\\"),
            Just("NULL"), Just("DEFAULT"), Just("1"), Just(";"), Just("\n"), Just("\""), Just("é"), Just(" ON CONFLICT DO NOTHING")], 0..30),
        cut in 0..300usize,
    ) {
        let text = words.concat();
        prop_assert_eq!(copied(text.as_bytes(), cut), copied(text.as_bytes(), 0));
    }
}
