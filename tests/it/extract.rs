//! Any part of a backup comes out as SQL, byte for byte what was dumped.

use crate::support::archive::{gunzip, gzip};
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::sample;

fn extract(place: &Place, path: &std::path::Path, part: &[&str]) -> String {
    pgvigil(place)
        .args(["extract"])
        .about(path)
        .args(part)
        .run()
        .exits(0)
        .stdout
}

#[test]
fn a_table_comes_out_of_our_archive_and_of_a_foreign_one() {
    let place = Place::new();
    let ours = sample::backup().put(&place);
    let text = gunzip(&ours);
    let foreign = place.join("foreign.sql.gz");
    std::fs::write(&foreign, gzip(&text)).unwrap();
    let whole = String::from_utf8_lossy(&text).into_owned();
    let copy = whole
        .find("COPY public.orders ")
        .expect("the sample has orders");
    let rows = copy + whole[copy..].find('\n').unwrap() + 1;
    let end = rows + whole[rows..].find("\\.\n").unwrap() + 3;
    let database = whole[..copy].rfind("\\connect ").unwrap() + "\\connect ".len();
    let database = whole[database..].lines().next().unwrap();
    let part = ["--database", database, "--table", "public.orders"];
    for path in [&ours, &foreign] {
        let sql = extract(&place, path, &part);
        assert!(
            sql.starts_with("SET client_encoding = 'UTF8';\n"),
            "{sql:.100}"
        );
        assert!(sql.ends_with(&whole[rows..end]), "{}", path.display());
        let section = extract(&place, path, &["--database", database]);
        assert!(whole.contains(&section) && section.contains(&whole[copy..end]));
        assert_eq!(extract(&place, path, &[]), whole);
    }
}

#[test]
fn what_is_not_there_is_a_usage_error() {
    let place = Place::new();
    let ours = sample::backup().put(&place);
    for part in [["--database", "nowhere"], ["--table", "public.orders"]] {
        pgvigil(&place)
            .args(["extract"])
            .about(&ours)
            .args(part)
            .run()
            .exits(2);
    }
}
