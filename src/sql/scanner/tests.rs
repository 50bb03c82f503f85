use proptest::prelude::*;

use super::*;

const DUMP: &str = r#"--
-- PostgreSQL database cluster dump
--

\restrict Key1

SET standard_conforming_strings = on;
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ SELECT ';\.' $_$;
CREATE FUNCTION public.g() RETURNS int
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
END;
COMMENT ON TABLE t IS 'a;
\. -- no comment
b';
\unrestrict Key1
\connect app_db
COPY public.t (a, b) FROM stdin;
1	x\\.
\.x	y
\\.	z

\.


COPY public.empty  FROM stdin;
\.
SELECT pg_catalog.setval('public.s', 5, true);
--
-- PostgreSQL database cluster dump complete
--

"#;

/// Events as text, neighbouring COPY data joined.
fn events(pieces: &[&[u8]]) -> (Vec<String>, Result<(), &'static str>) {
    let mut scanner = Scanner::new(1 << 20);
    let mut seen: Vec<String> = Vec::new();
    let mut data = Vec::new();
    for piece in pieces {
        scanner.feed(piece, &mut |event: Event<'_>| {
            if let Event::CopyData(bytes) = event {
                data.extend_from_slice(bytes);
                return;
            }
            if !data.is_empty() {
                seen.push(format!("data {:?}", String::from_utf8_lossy(&data)));
                data.clear();
            }
            seen.push(match event {
                Event::Comment(line, at) => {
                    format!("comment {} {at}", String::from_utf8_lossy(line))
                }
                Event::Statement(statement) => {
                    format!(
                        "statement {:?} {} {}",
                        String::from_utf8_lossy(statement.text),
                        statement.at,
                        statement.end
                    )
                }
                Event::CopyBegin(header, statement) => format!(
                    "copy {} {:?} {}",
                    header.table, header.columns, statement.end
                ),
                Event::CopyEnd(at) => format!("end of copy {at}"),
                Event::Meta { line, inside, .. } => {
                    format!("meta {} {inside}", String::from_utf8_lossy(line))
                }
                Event::Malformed(why, at) => format!("malformed {why} {at}"),
                Event::CopyData(_) => String::new(),
            });
        });
    }
    (seen, scanner.at_rest())
}

#[test]
fn sees_every_part() {
    let (seen, rest) = events(&[DUMP.as_bytes()]);
    assert_eq!(rest, Ok(()));
    let kinds: Vec<_> = seen
        .iter()
        .map(|event| event.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(
        kinds.join(" "),
        "comment comment comment meta statement statement statement statement meta meta copy data end copy end statement comment comment comment"
    );
    assert!(
        seen.contains(&r#"data "1\tx\\\\.\n\\.x\ty\n\\\\.\tz\n\n""#.to_owned()),
        "{seen:#?}"
    );
}

#[test]
fn a_truncated_dump_is_not_at_rest() {
    let copy = DUMP.find("1\tx").expect("data");
    for (cut, what) in [
        (copy + 2, "inside COPY data"),
        (copy, "inside COPY data"),
        (copy - 3, "inside a statement"),
        (copy - 1, "inside COPY data"),
    ] {
        assert_eq!(
            events(&[&DUMP.as_bytes()[..cut]]).1,
            Err(what),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_backslash_inside_a_statement_is_a_meta_command() {
    let (seen, _) = events(&[b"SELECT 1 \\! touch x\n;"]);
    assert_eq!(
        seen.first().map(String::as_str),
        Some("meta \\! touch x true")
    );
}

#[test]
fn long_statements_are_cut_and_say_so() {
    let mut scanner = Scanner::new(10);
    let mut whole = Vec::new();
    scanner.feed(b"SELECT 1;\nSELECT 'a long one';", &mut |event: Event<
        '_,
    >| {
        if let Event::Statement(statement) = event {
            whole.push((statement.whole, statement.text.len()));
        }
    });
    assert_eq!(whole, [(true, 9), (false, 10)]);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(cuts in proptest::collection::vec(0..DUMP.len(), 0..40)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&DUMP.as_bytes()[from..cut]);
            from = cut;
        }
        pieces.push(&DUMP.as_bytes()[from..]);
        prop_assert_eq!(events(&pieces), events(&[DUMP.as_bytes()]));
    }

    #[test]
    fn garbage_never_panics_and_all_offsets_add_up(bytes in proptest::collection::vec(any::<u8>(), 0..2000), cut in 0..2000usize) {
        let cut = cut.min(bytes.len());
        let mut scanner = Scanner::new(64);
        let mut sink = |_: Event<'_>| {};
        scanner.feed(&bytes[..cut], &mut sink);
        scanner.feed(&bytes[cut..], &mut sink);
        let held = bytes.len() as u64 - scanner.position().offset;
        prop_assert!(held <= 3);
    }

    #[test]
    fn sql_like_garbage_is_cut_independent(
        words in proptest::collection::vec(prop_oneof![
            Just("'"), Just("\""), Just("$$"), Just("$a$"), Just("E'"), Just("\\"), Just(";"), Just("\n"), Just("--"), Just("/*"),
            Just("*/"), Just("COPY t FROM stdin;\n"), Just("\\.\n"), Just("\\."), Just(" "), Just("begin"), Just("create function"),
            Just("end"), Just("case"), Just("("), Just(")"), Just("é"), Just("\t1")], 0..40),
        cut in 0..400usize,
    ) {
        let text = words.concat();
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        prop_assert_eq!(events(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]), events(&[text.as_bytes()]));
    }
}
