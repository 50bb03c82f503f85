//! `pgvigil restore`

use serde_json::json;

use super::args::{Args, Restore};
use super::{Verb, context, render, terminal};
use crate::error::{Failure, FailureKind};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::restore::plan::Plan;
use crate::restore::table::{self, Mode, Request};
use crate::{store, verify};

pub(super) async fn run(args: &Args, wanted: &Restore) -> Verb {
    let named = Target::from_url(&wanted.to)?;
    for warning in &named.warnings {
        tracing::warn!("{warning}");
    }
    let (_, path) = context::backup(args, &wanted.backup)?;
    let progress = Progress::default();
    let manifest = store::read_manifest(&path)?;
    let settings = manifest.as_ref().and_then(|manifest| {
        let database = wanted.database.as_ref().or(named.database.as_ref())?;
        manifest.session(database).cloned()
    });
    let catalog = match manifest {
        Some(manifest) => manifest.catalog,
        None => {
            terminal::watch(&progress, verify::check(&path, &progress))
                .await?
                .checked
                .catalog
        }
    };
    let of_one = catalog.databases.len() == 1 && wanted.database.is_none();
    let database = if of_one {
        String::new()
    } else {
        let named = wanted.database.clone().or_else(|| named.database.clone());
        named.unwrap_or_default()
    };
    let into = named
        .database
        .or_else(|| wanted.database.clone())
        .ok_or_else(|| {
            Failure::new(FailureKind::Usage, "choose the database to restore into")
                .remedy("name it in --to, behind the host")
        })?;
    let request = Request {
        archive: path.clone(),
        database,
        into,
        patterns: wanted.tables.clone(),
        rename: wanted.rename.clone(),
        mode: match wanted {
            Restore { truncate: true, .. } => Mode::Truncate,
            Restore { append: true, .. } => Mode::Append,
            Restore { replace: true, .. } => Mode::Replace,
            _ => Mode::NewName,
        },
        settings,
        lock_timeout: wanted.lock_timeout,
    };
    let planning = table::plan(&request, &catalog, &named.target, &progress);
    let planned = terminal::watch(&progress, planning).await?;
    let mut plan = Plan {
        archive: path,
        ..Plan::default()
    };
    planned.describe(&mut plan);
    if wanted.dry_run {
        return if args.json {
            terminal::print_json(&plan).map_err(Into::into)
        } else {
            terminal::print(&text(&plan)).map_err(Into::into)
        };
    }
    if !wanted.yes {
        terminal::print(&text(&plan))?;
        return Err(
            Failure::new(FailureKind::Usage, "restore tables: not confirmed")
                .remedy("read the plan, and say --yes")
                .into(),
        );
    }
    let done = terminal::watch(&progress, planned.apply(&named.target, &progress)).await?;
    if args.json {
        terminal::print_json(&json!({ "result": "passed", "plan": plan, "done": done }))?;
    } else {
        let mut text = text(&plan);
        let rows = render::plural(done.rows, "row");
        text.push_str(&format!(
            "restored {rows} in {}\n",
            render::seconds(done.seconds)
        ));
        for note in &done.notes {
            text.push_str(&format!("  note: {}\n", render::plain(note)));
        }
        terminal::print(&text)?;
    }
    Ok(())
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for item in &plan.items {
        text.push_str(&render::plain(&format!(
            "{:?} {}: {}",
            item.action, item.name, item.detail
        )));
        text.push('\n');
    }
    for (kind, lines) in [("note", &plan.notes), ("REFUSED", &plan.refusals)] {
        for line in lines {
            text.push_str(&format!("  {kind}: {}\n", render::plain(line)));
        }
    }
    text
}
