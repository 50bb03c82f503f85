//! A restore's plan and outcome as people read them.

use crate::cli::render;
use crate::restore::plan::{Action, Item, ItemKind, Plan};
use crate::restore::{server, table};

/// The plan, in the order of reading: where, what goes, what comes, what stays.
pub(super) fn plan(plan: &Plan) -> String {
    let target = &plan.target;
    let mut text = format!(
        "restore {}\n  into {} (PostgreSQL {}) as {}\n",
        plan.archive.display(),
        target.name(),
        target.version,
        target.user
    );
    for action in [
        Action::Replace,
        Action::Change,
        Action::Create,
        Action::Append,
        Action::Omit,
        Action::LeaveAlone,
    ] {
        for item in plan.items.iter().filter(|item| item.action == action) {
            text.push_str(&line(item));
        }
    }
    text.push_str(&format!(
        "  loads: {}, {} of dump text{}\n",
        render::plural(plan.rows, "row"),
        render::bytes(plan.bytes),
        match plan.expected_seconds {
            Some(seconds) => format!(", about {} by the last drill", render::seconds(seconds)),
            None => "; how long it takes is not known: no drill has measured it".to_owned(),
        }
    ));
    if let Some(safety) = &plan.safety_backup {
        text.push_str(&format!("  saves first: {}\n", render::plain(safety)));
    }
    for check in &plan.checks {
        let mark = if check.good { "ok" } else { "LOOK" };
        text.push_str(&format!(
            "  [{mark}] {}: {}\n",
            check.name,
            render::plain(&check.detail)
        ));
    }
    for note in &plan.notes {
        text.push_str(&format!("  note: {}\n", render::plain(note)));
    }
    for refusal in &plan.refusals {
        text.push_str(&format!("  REFUSED: {}\n", render::plain(refusal)));
    }
    text
}

fn line(item: &Item) -> String {
    let action = match item.action {
        Action::Create => "create",
        Action::Replace => "REPLACE",
        Action::Change => "CHANGE",
        Action::Append => "append to",
        Action::LeaveAlone => "leave alone",
        Action::Omit => "do not restore",
    };
    let kind = match item.kind {
        ItemKind::Role => "role",
        ItemKind::Tablespace => "tablespace",
        ItemKind::Database => "database",
        ItemKind::Table => "table",
        ItemKind::Sequence => "sequence",
    };
    format!(
        "  {action} {kind} {}: {}\n",
        render::plain(&item.name),
        render::plain(&item.detail)
    )
}

/// Databases that are in place.
pub(super) fn databases(done: &server::Done) -> String {
    let compared = match done.rows_compared {
        Some(rows) => format!(
            "read back and found equal: {} in {}",
            render::plural(rows, "row"),
            render::seconds(done.compare_seconds)
        ),
        None => "every table has as many rows as in the backup; to read all of it back too, say --compare".to_owned(),
    };
    let mut text = format!(
        "restored {}: {}, {} in {}\n  {compared}\n",
        done.databases.join(", "),
        render::plural(done.tables, "table"),
        render::plural(done.rows, "row"),
        render::seconds(done.restore_seconds),
    );
    for note in &done.notes {
        text.push_str(&format!("  note: {}\n", render::plain(note)));
    }
    text
}

/// Tables that are in place.
pub(super) fn tables(done: &table::Done) -> String {
    let mut text = format!(
        "restored {} in {}\n",
        render::plural(done.rows, "row"),
        render::seconds(done.seconds)
    );
    for note in &done.notes {
        text.push_str(&format!("  note: {}\n", render::plain(note)));
    }
    text
}
