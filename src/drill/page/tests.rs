use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::catalog::diff::{Difference, ObjectKind};
use crate::config::raw;
use crate::finding::{Finding, FindingKind};
use crate::ledger::Phase;

const NASTY: &str = "a|b`c`<script>x</script>\n\n# [l](http://x) *b* **c** \\| &amp; www.x.org";

fn report(name: &str) -> Report {
    let text = "servers:\n  - { name: ha, directory: /backups }\n";
    let config = raw::parse(text, Path::new("test")).expect("a configuration");
    let mut report = Report::new(
        Path::new("/backups/x.sql.gz"),
        &config.servers[0],
        &crate::drill::Scope::default(),
    );
    report.job_id = "20251115T020000-00c0ffee".to_owned();
    report.result = JobResult::Failed;
    report.message = Some(format!("drill /backups/x.sql.gz: table {name} differs"));
    report.restore_seconds = 90.5;
    report.phases = vec![Phase {
        name: "restore".to_owned(),
        seconds: 91.0,
    }];
    report.mismatches = vec![
        Difference {
            database: name.to_owned(),
            object: format!("public.{name}"),
            kind: ObjectKind::Table,
            expected: "2 rows".to_owned(),
            actual: "1 rows".to_owned(),
        };
        60
    ];
    report.check("tables", CheckStatus::Failed, name.to_owned());
    report
        .findings
        .push(Finding::error(FindingKind::MetaCommand, name, name));
    report
}

/// The shape of a page: for each line, its kind and how many bars it has.
fn shape(page: &str) -> Vec<(char, usize)> {
    page.lines()
        .map(|line| {
            let first = line.chars().next().unwrap_or(' ');
            let kind = if first.is_alphanumeric() { 'a' } else { first };
            (kind, line.matches('|').count())
        })
        .collect()
}

#[test]
fn a_page_says_what_an_auditor_asks() {
    let page = render(&report("orders").to_keep());
    for part in [
        "# Restore drill of x.sql.gz\n",
        "**FAILED.**",
        "Reason: drill x.sql.gz: table orders differs\n",
        "| Server | ha |",
        "| Drill | 20251115T020000-00c0ffee |",
        "| Measured restore time | 1m31s; the objective of 30m is kept |",
        "| Not equal | 60 |",
        "| restore | 1m31s |",
        "| tables | **FAILED** | orders |",
        "| orders | table public.orders | 2 rows | 1 rows |",
        "… and 10 more mismatches.",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("/backups"), "{page}");
}

#[test]
fn a_slow_restore_is_said_to_be_one() {
    let mut report = report("orders");
    report.restore_seconds = 3600.0;
    assert!(render(&report).contains("| 1h; the objective of 30m is **NOT kept** |"));
    report.phases.clear();
    assert!(render(&report).contains("| not measured; the objective is 30m |"));
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut report = report("orders");
    let one = report.mismatches[0].clone();
    report.mismatches = vec![one; 1500];
    let kept = report.to_keep();
    assert_eq!(
        (kept.mismatches.len(), kept.mismatches_not_shown),
        (1000, 500)
    );
    assert_eq!(kept.facts().mismatches, 1500);
    assert!(render(&kept).contains("… and 1450 more mismatches."));
}

#[test]
fn names_do_not_become_markup() {
    assert_eq!(text("public.order_items"), "public.order_items");
    assert_eq!(
        text("a|b `c` _d_ <e>"),
        "a&#124;b &#96;c&#96; &#95;d&#95; &#60;e&#62;"
    );
    assert_eq!(text("http://x www.x"), "http&#58;//x www&#46;x");
    assert_eq!(text("a\r\nb\u{202e}c\u{0}"), "a  b\u{fffd}c\u{fffd}");
    assert_eq!(text(&"x".repeat(LONGEST)).chars().count(), LONGEST);
    assert!(text(&"x".repeat(LONGEST + 1)).ends_with("x…"));
    assert_eq!(
        shape(&render(&report(NASTY))),
        shape(&render(&report("orders")))
    );
}

/// What a renderer makes of character references.
fn shown(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((before, rest)) = text.split_once("&#") {
        let (number, rest) = rest.split_once(';').expect("a whole reference");
        out.push_str(before);
        out.extend(char::from_u32(number.parse().expect("a number")));
        text = rest;
    }
    out + text
}

proptest! {
    #[test]
    fn any_name_stays_in_its_cell(name in "[-|`<>&\\\\*_#!\\[\\]()~$@:./\"'{}= \n\ta-c1]{0,40}|.{0,60}") {
        let written = text(&name);
        prop_assert!(!written.contains(['|', '`', '<', '>', '\\', '*', '[', ']', '\n', '\r', '~']));
        prop_assert_eq!(shape(&render(&report(&name))), shape(&render(&report("orders"))));
        if name.chars().all(|c| c == ' ' || !(c.is_whitespace() || c.is_control() || is_invisible(c))) {
            prop_assert_eq!(shown(&written), name);
        }
    }
}
