//! Drills of a part: one database, or tables of one. They measure and prove that much, and are no proof of the backup.

use crate::support::place::Place;
use crate::support::program::{Done, pgvigil};
use crate::support::sample;

fn drill(place: &Place, args: &[&str]) -> Done {
    pgvigil(place)
        .on(sample::system(), place)
        .args(["drill", "--json"])
        .args(args)
        .run()
}

#[test]
fn one_database_and_tables_of_it() {
    let place = Place::new();
    sample::backup().put(&place);
    let report = drill(&place, &["--database", "app_db"]).exits(0).json();
    assert_eq!(report["result"], "passed");
    assert_eq!(report["databases"], 1);
    assert_eq!(report["scope"], "database app_db");
    assert_eq!(report["max_restore_seconds"], 3600.0);
    let all = report["tables"].as_u64().unwrap();
    assert!(all > 2, "{report}");

    let args = [
        "--database",
        "app_db",
        "--table",
        "public.ord*",
        "--table",
        "sales.far",
    ];
    let report = drill(&place, &args).exits(0).json();
    assert_eq!(report["tables"], 2, "{report}");
    assert_eq!(report["rows"], 3501, "{report}");
    let not_done =
        report["checks"].as_array().unwrap().iter().any(|check| {
            check["name"] == "the rest of the database" && check["status"] == "not_done"
        });
    assert!(not_done, "{report}");

    let missing = drill(&place, &["--database", "there_is_none"]).exits(2);
    assert!(missing.sentence().contains("app_db"), "{}", missing.stderr);
    drill(&place, &["--database", "app_db", "--table", "nope"]).exits(2);

    // Nothing of this is a proof of the backup.
    let list = pgvigil(&place)
        .on(sample::system(), &place)
        .args(["list", "--json"])
        .run()
        .exits(0)
        .stdout;
    assert!(list.contains("\"proven\": null"), "{list}");
    let entries = place.ledger();
    assert_eq!(
        entries[0]["drill"]["scope"], "database app_db",
        "{}",
        entries[0]
    );
}
