//! The contact sheet: every panel drawn from the history, for people who review a change (`make contact-sheet`).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::prometheus::{END, prometheus};
use super::{FILES, dashboard, panels, text};
use crate::rules;
use crate::support::place::Place;

#[test]
fn the_contact_sheet_draws_every_panel() {
    let place = Place::new();
    // `make contact-sheet` keeps what is drawn.
    let folder =
        std::env::var_os("PGVIGIL_CONTACT_SHEET").map_or_else(|| place.join("."), PathBuf::from);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/dashboards/contact_sheet"
    );
    let mut draw = Command::new(script);
    draw.arg(format!("http://{}", prometheus().address));
    draw.arg(END.to_string()).arg(&folder);
    assert_eq!(rules::run(&mut draw), Ok(()));
    for (file, sheet) in [
        (FILES[0], "pgvigil-overview.html"),
        (FILES[1], "pgvigil-server-shop-orders.html"),
    ] {
        let drawn = fs::read_to_string(folder.join(sheet)).unwrap();
        for panel in panels(&dashboard(file)) {
            let title = text(&panel["title"]);
            assert!(drawn.contains(&format!(">{title}<")), "{file}: {title}");
        }
    }
}
