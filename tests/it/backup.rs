//! A backup is what pg_dumpall writes, it is private, it is recorded, and it is proven, whoever runs us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::archive::gunzip;
use crate::support::place::Place;
use crate::support::program::{Pgvigil, pgvigil};
use crate::support::sample;
use crate::support::server::Server;
use crate::support::{are_root, nobody};

#[test]
fn whole_and_proven_on_the_systems_version() {
    is_whole_and_proven(sample::system(), |command| command, &Place::new());
}

#[test]
fn whole_and_proven_on_version_18() {
    is_whole_and_proven(sample::eighteen(), |command| command, &Place::new());
}

/// As a sidecar usually runs. Where the tests are not root, the other tests show this already.
#[test]
fn whole_and_proven_as_an_unprivileged_user() {
    let place = Place::new();
    if are_root() {
        place.give_to_nobody();
        is_whole_and_proven(sample::system(), Pgvigil::under_nobody, &place);
        let owner = fs::metadata(place.archives().pop().unwrap()).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), nobody().0);
    } else {
        is_whole_and_proven(sample::system(), |command| command, &place);
    }
}

fn is_whole_and_proven(server: &Server, whom: fn(Pgvigil) -> Pgvigil, place: &Place) {
    let run = |command: &[&str]| {
        whom(pgvigil(place))
            .on(server, place)
            .args(command)
            .args(["--json"])
            .run()
            .exits(0)
            .json()
    };
    let report = run(&["backup"]);
    let dump = server.dump();

    let archive = place.archives().pop().unwrap();
    assert_eq!(report["path"], archive.to_str().unwrap());
    let name = archive.file_name().unwrap().to_str().unwrap();
    assert_eq!(
        place.names(),
        [name.to_owned(), format!("{name}.manifest.json")]
    );
    for name in place.names().iter().chain([&"ledger.jsonl".to_owned()]) {
        let facts = fs::metadata(place.backups().join(name)).unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "mode of {name}");
    }

    let tested = Command::new("gunzip").arg("-t").arg(&archive).status();
    assert!(tested.unwrap().success(), "gunzip -t");
    same_text(&gunzip(&archive), &dump);

    let entries = place.ledger();
    let [entry] = entries.as_slice() else {
        panic!("one entry for one backup, not {entries:?}");
    };
    assert_eq!(entry["job"], "backup");
    assert_eq!(entry["result"], "passed");
    assert_eq!(entry["backup"], name);

    let verified = run(&["verify"]);
    assert_eq!(verified["passed"], true);
    assert_eq!(verified["compared_with_manifest"], true);
    assert_eq!(verified["findings"]["list"], Value::Array(vec![]));

    let drilled = run(&["drill"]);
    assert_eq!(drilled["result"], "passed");
    assert_eq!(drilled["mismatches"], Value::Array(vec![]));
    for counted in ["databases", "tables", "rows"] {
        assert_eq!(drilled[counted], report[counted], "{counted} compared");
        assert!(drilled[counted].as_u64() > Some(0), "{counted} compared");
    }
    for check in drilled["checks"].as_array().unwrap() {
        assert_eq!(check["status"], "passed", "{check}");
    }
    let jobs: Vec<_> = place
        .ledger()
        .iter()
        .map(|entry| format!("{} {}", entry["job"], entry["result"]))
        .collect();
    assert_eq!(
        jobs,
        [
            r#""backup" "passed""#,
            r#""verify" "passed""#,
            r#""drill" "passed""#
        ]
    );
    assert_eq!(place.scratch_directories(), Vec::<String>::new());
    assert_eq!(place.processes(), Vec::<String>::new());
}

/// Byte for byte, but for the keys of `\restrict`, which are random.
fn same_text(ours: &[u8], theirs: &[u8]) {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split_inclusive(|byte| *byte == b'\n')
            .map(|line| {
                let word = [&b"\\restrict "[..], b"\\unrestrict "]
                    .into_iter()
                    .find(|word| line.starts_with(word));
                word.unwrap_or(line).to_vec()
            })
            .collect()
    };
    let (ours, theirs) = (lines(ours), lines(theirs));
    for (number, (one, other)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(
            String::from_utf8_lossy(one),
            String::from_utf8_lossy(other),
            "line {}",
            number + 1
        );
        assert_eq!(one, other, "line {}", number + 1);
    }
    assert_eq!(ours.len(), theirs.len(), "lines");
    assert!(ours.len() > 1000, "the sample is in it");
}
