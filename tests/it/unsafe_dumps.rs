//! A dump that would do more than restore is refused before anything runs, wherever in it that stands.

use std::fs;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::sample;

/// Text that no dump holds. `X` is a file that it would make, where it can.
const UNSAFE: &[&str] = &[
    r"\! touch X",
    r"\i /etc/passwd",
    r"\o |touch X",
    r"\copy public.orders from program 'touch X'",
    r"\copy public.orders to 'X'",
    r"\connect postgres postgres evil.example 5432",
    r#"\connect "host=evil.example dbname=postgres""#,
    r#"\connect -reuse-previous=on "dbname='postgres' host='evil.example'""#,
    r"\c postgres",
    r"\setenv PGHOST evil.example",
    r"SELECT 1 \g |touch X",
    r"SELECT 'touch X' \gexec",
    r"SELECT 1; \! touch X",
    "COPY public.orders FROM PROGRAM 'touch X';",
    "COPY (SELECT 1) TO PROGRAM 'touch X';",
    "copy /* stdin */ public.orders from\nprogram 'touch X';",
    "COPY public.orders TO 'X';",
    "ALTER SYSTEM SET archive_command = 'touch X';",
    "alter -- role\n system set archive_command = 'touch X';",
    "DO $$ BEGIN EXECUTE 'COPY t TO PROGRAM ''touch X'''; END $$;",
    "CALL public.p();",
    "LOAD 'X';",
    "SELECT pg_catalog.pg_read_file('/etc/passwd');",
    "SELECT pg_catalog.lo_export(70001, 'X');",
    "SELECT pg_catalog.setval('public.s', (SELECT 1), true);",
    "DELETE FROM public.orders;",
    "TRUNCATE public.orders;",
];

/// Where in a dump the text is put: in front of these lines.
const BEFORE: &[&[u8]] = &[
    b"\n-- Roles\n",
    b"\nCREATE TABLE public.orders",
    b"\n-- PostgreSQL database cluster dump complete",
];

#[test]
fn are_refused_before_anything_runs() {
    let whole = sample::system().dump();
    for (index, text) in UNSAFE.iter().enumerate() {
        is_refused(&whole, text, BEFORE[index % BEFORE.len()]);
    }
}

#[test]
fn are_refused_anywhere() {
    let whole = sample::system().dump();
    for before in BEFORE {
        for text in [UNSAFE[0], "ALTER SYSTEM SET archive_command = 'touch X';"] {
            is_refused(&whole, text, before);
        }
    }
}

/// With standard_conforming_strings off, a backslash hides the quote behind it: who reads on with the setting of before
/// takes a command for text, or text for a command.
#[test]
fn are_refused_behind_a_change_of_quoting() {
    let whole = sample::system().dump();
    for text in [
        "SET standard_conforming_strings = off;\nCOMMENT ON ROLE app IS 'a\\'b';\n\\! touch X",
        "SET standard_conforming_strings = on;\nCOMMENT ON ROLE app IS 'a\\';\n\\! touch X\n-- '",
        "COMMENT ON ROLE app IS E'a\\'b';\n\\! touch X",
        "COMMENT ON ROLE app IS $a$ ' $b$ $a$;\n\\! touch X",
        "/* /* */ ' */\n\\! touch X",
    ] {
        is_refused(&whole, text, BEFORE[0]);
    }
}

fn is_refused(whole: &[u8], text: &str, before: &[u8]) {
    let place = Place::new();
    let made = place.join("made-by-the-dump");
    let text = text.replace('X', made.to_str().unwrap());
    let at = whole
        .windows(before.len())
        .position(|window| window == before)
        .unwrap()
        + 1;
    let dump = [&whole[..at], text.as_bytes(), b"\n", &whole[at..]].concat();
    let path = place.backups().join("tampered.sql.gz");
    fs::write(&path, gzip(&dump)).unwrap();

    let done = pgvigil(&place)
        .on(sample::system(), &place)
        .args(["drill", "--json"])
        .about(&path)
        .run()
        .exits(1);
    let report = done.json();
    assert_eq!(report["result"], "failed", "{text}");
    let findings = report["findings"]["list"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| {
            ["meta_command", "refused_statement"].contains(&finding["kind"].as_str().unwrap())
        })
        .unwrap_or_else(|| panic!("{text}: not found: {findings:?}"));
    assert!(
        found["place"].as_str().unwrap().contains("line "),
        "{text}: {found}"
    );
    let phases: Vec<_> = report["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["verify"], "{text}: no scratch server was made");
    assert!(!made.exists(), "{text} was run");
    assert_eq!(place.ledger()[0]["reason"], "unsafe", "{text}");
}
