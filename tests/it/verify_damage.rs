//! Every fault of a file is found, with a place, whether the manifest is there or not, and nobody drills such a file.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::archive::{gunzip, gzip, members};
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::random::Random;
use crate::support::sample::{self, Backup};

/// An archive of which one thing is wrong.
struct Damaged {
    what: String,
    bytes: Vec<u8>,
}

fn damaged(what: impl Into<String>, bytes: Vec<u8>) -> Damaged {
    Damaged {
        what: what.into(),
        bytes,
    }
}

/// The sample's backup, to be spoiled over and over, in a directory that is not the ledger's.
struct Spoilt {
    place: Place,
    path: PathBuf,
    backup: &'static Backup,
}

impl Spoilt {
    fn new() -> Self {
        let place = Place::new();
        let backup = sample::backup();
        Self {
            path: place.join(&backup.name),
            place,
            backup,
        }
    }

    fn put(&self, bytes: &[u8], with_manifest: bool) {
        fs::write(&self.path, bytes).unwrap();
        let manifest = format!("{}.manifest.json", self.path.display());
        if with_manifest {
            fs::write(manifest, &self.backup.manifest).unwrap();
        } else {
            let _ = fs::remove_file(manifest);
        }
    }

    fn verify(&self) -> crate::support::program::Done {
        pgvigil(&self.place)
            .args(["verify", "--json"])
            .about(&self.path)
            .run()
    }

    /// Verify and, where wanted, drill find the fault and say where it is.
    fn is_found(&self, fault: &Damaged, drill: bool) {
        assert_ne!(
            fault.bytes, self.backup.archive,
            "{}: nothing is wrong",
            fault.what
        );
        for with_manifest in [true, false] {
            self.put(&fault.bytes, with_manifest);
            let what = format!("{} (manifest: {with_manifest})", fault.what);
            eprintln!("{what}");
            let report = self.verify().exits(1).json();
            assert_eq!(report["passed"], false, "{what}");
            has_place(&report, &what);
        }
        if drill {
            self.is_not_drilled(&fault.what);
        }
    }

    fn is_not_drilled(&self, what: &str) {
        let done = pgvigil(&self.place)
            .args(["drill", "--json"])
            .about(&self.path)
            .run()
            .exits(1);
        let report = done.json();
        assert_eq!(report["result"], "failed", "{what}");
        has_place(&report, what);
        let phases = report["phases"].as_array().unwrap();
        assert_eq!(phases.len(), 1, "{what}: only verify ran: {phases:?}");
        assert!(self.place.scratch_directories().is_empty());
    }
}

/// The first fault found names a place in the file or the text.
fn has_place(report: &Value, what: &str) {
    let findings = report["findings"]["list"].as_array().unwrap();
    let first = findings
        .iter()
        .find(|finding| finding["level"] == "error")
        .unwrap_or_else(|| panic!("{what}: nothing found"));
    let place = first["place"].as_str().unwrap();
    assert!(
        [
            "member ",
            "byte ",
            "line ",
            "the beginning",
            "the file",
            "the end"
        ]
        .iter()
        .any(|word| place.contains(word)),
        "{what}: no place: {first}"
    );
    for key in ["message", "remedy"] {
        assert_ne!(first[key].as_str(), Some(""), "{what}: {first}");
    }
}

#[test]
fn the_sample_is_worth_damaging() {
    let backup = sample::backup();
    let members = members(&backup.archive);
    assert!(members.len() > 20, "members: {}", members.len());
    let spoilt = Spoilt::new();
    spoilt.put(&backup.archive, true);
    spoilt.verify().exits(0);
    spoilt.put(&backup.archive, false);
    let report = spoilt.verify().exits(0).json();
    assert_eq!(report["compared_with_manifest"], false);
    assert_eq!(kinds(&report), ["no_manifest"]);
}

#[test]
fn one_bit_anywhere() {
    let spoilt = Spoilt::new();
    let whole = &spoilt.backup.archive;
    let mut random = Random::seeded(1);
    for count in 0..200 {
        let (byte, bit) = (random.below(whole.len()), random.below(8));
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << bit;
        let fault = damaged(format!("bit {bit} of byte {byte} flipped"), bytes);
        spoilt.is_found(&fault, count % 40 == 0);
    }
}

/// The first member's header says whose archive it is: each of its bits.
#[test]
fn one_bit_of_the_first_header() {
    let spoilt = Spoilt::new();
    for byte in 0..pgvigil::archive::header::HEADER {
        let mut bytes = spoilt.backup.archive.clone();
        bytes[byte] ^= 1 << (byte % 8);
        spoilt.is_found(
            &damaged(format!("header byte {byte} flipped"), bytes),
            false,
        );
    }
}

#[test]
fn cut_anywhere() {
    let spoilt = Spoilt::new();
    let whole = &spoilt.backup.archive;
    let mut random = Random::seeded(2);
    for count in 0..50 {
        let length = 1 + random.below(whole.len() - 1);
        let fault = damaged(
            format!("cut after {length} bytes"),
            whole[..length].to_vec(),
        );
        spoilt.is_found(&fault, count % 25 == 0);
    }
}

/// Each member is whole; the archive is not.
#[test]
fn members_that_are_elsewhere() {
    let spoilt = Spoilt::new();
    let own = members(&spoilt.backup.archive);
    let foreign = members(&Backup::take().archive);
    let middle = own.len() / 2;
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut members = own.clone();
        change(&mut members);
        members.concat()
    };
    let faults = [
        (
            "two members swapped",
            changed(&|members| members.swap(middle, middle + 1)),
        ),
        (
            "a member repeated",
            changed(&|members| members.insert(middle, own[middle].clone())),
        ),
        (
            "a member lost",
            changed(&|members| drop(members.remove(middle))),
        ),
        (
            "the first member lost",
            changed(&|members| drop(members.remove(0))),
        ),
        (
            "the last member lost",
            changed(&|members| drop(members.pop())),
        ),
        (
            "cut between two members",
            changed(&|members| members.truncate(middle)),
        ),
        (
            "cut between two members, and closed",
            changed(&|members| drop(members.drain(middle..own.len() - 1))),
        ),
        (
            "a member of another backup in the place of its like",
            changed(&|members| members[middle] = foreign[middle].clone()),
        ),
        (
            "a member of another backup between two",
            changed(&|members| members.insert(middle, foreign[middle].clone())),
        ),
        (
            "the rest is another backup's",
            changed(&|members| drop(members.splice(middle.., foreign[middle..].iter().cloned()))),
        ),
        (
            "closed by another backup",
            changed(&|members| *members.last_mut().unwrap() = foreign.last().unwrap().clone()),
        ),
        (
            "another backup appended",
            changed(&|members| members.extend(foreign.iter().cloned())),
        ),
        (
            "itself appended",
            changed(&|members| members.extend(own.iter().cloned())),
        ),
    ];
    for (index, (what, bytes)) in faults.into_iter().enumerate() {
        spoilt.is_found(&damaged(what, bytes), index % 3 == 0);
    }
}

#[test]
fn what_is_no_archive() {
    let spoilt = Spoilt::new();
    let whole = &spoilt.backup.archive;
    let nothing = gzip(b"");
    assert_eq!(nothing.len(), 20);
    let with = |tail: &[u8]| [whole.as_slice(), tail].concat();
    for (what, bytes) in [
        ("emptied", Vec::new()),
        ("a gzip of nothing", nothing.clone()),
        ("garbage appended", with(b"\0garbage")),
        ("zeros appended", with(&[0; 512])),
        ("a gzip of nothing appended", with(&nothing)),
        ("more SQL appended", with(&gzip(b"DROP TABLE x;\n"))),
        ("zeros instead", vec![0; whole.len()]),
        (
            "text instead",
            b"-- PostgreSQL database cluster dump\n".to_vec(),
        ),
    ] {
        spoilt.is_found(&damaged(what, bytes), what == "emptied");
    }
}

/// The same text in members of its own: only the manifest and the digest tell.
#[test]
fn another_content_under_the_same_manifest() {
    let spoilt = Spoilt::new();
    spoilt.put(&spoilt.backup.archive, true);
    let text = gunzip(&spoilt.path);
    spoilt.put(&gzip(&without_a_row(&text)), true);
    let report = spoilt.verify().exits(1).json();
    assert!(
        kinds(&report).contains(&"digest_mismatch".to_owned()),
        "{report}"
    );
}

/// A dump that others made: what the file itself proves is checked, and that there is no more is said.
#[test]
fn dumps_by_others() {
    let place = Place::new();
    let path = place.backups().join("theirs.sql.gz");
    let text = sample::system().dump();
    let verify = |bytes: &[u8]| {
        fs::write(&path, gzip(bytes)).unwrap();
        pgvigil(&place)
            .args(["verify", "--json"])
            .about(&path)
            .run()
    };

    let whole = verify(&text).exits(0).json();
    assert_eq!(whole["indexed"], false);
    assert_eq!(kinds(&whole), ["no_manifest"]);

    let copy = find(&text, b"\nCOPY public.orders");
    let cut = verify(&text[..copy + 500]).exits(1).json();
    assert!(
        kinds(&cut).contains(&"not_at_rest".to_owned()),
        "inside of a COPY: {cut}"
    );
    let place_of = &cut["findings"]["list"][0]["place"];
    assert!(
        place_of.as_str().unwrap().contains("public.orders"),
        "{place_of}"
    );

    // Nobody can know that there was a row; that nobody could is said.
    let shorter = verify(&without_a_row(&text)).exits(0).json();
    assert_eq!(
        shorter["rows"].as_u64(),
        whole["rows"].as_u64().map(|rows| rows - 1)
    );
    assert_eq!(kinds(&shorter), ["no_manifest"]);

    verify(&text).exits(0);
    let drilled = pgvigil(&place)
        .on(sample::system(), &place)
        .args(["drill", "--json"])
        .about(&path)
        .run()
        .exits(0)
        .json();
    assert_eq!(drilled["result"], "passed");
    assert_eq!(drilled["rows"], whole["rows"]);
    assert_eq!(drilled["mismatches"], Value::Array(vec![]));
}

fn kinds(report: &Value) -> Vec<String> {
    let findings = report["findings"]["list"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn find(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len())
        .position(|window| window == what)
        .unwrap()
}

/// The dump without the first row of its first table.
fn without_a_row(text: &[u8]) -> Vec<u8> {
    let copy = find(text, b"\nCOPY ") + 1;
    let row = copy + find(&text[copy..], b"\n") + 1;
    let next = row + find(&text[row..], b"\n") + 1;
    [&text[..row], &text[next..]].concat()
}
