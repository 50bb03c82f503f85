//! `pgvigil restore`: the plan first, then a word from a person, then the work.

mod text;

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};

use serde_json::json;
use tracing::Instrument as _;

use super::args::{Args, Restore};
use super::{Verb, blocking, context, terminal};
use crate::backup::safety;
use crate::catalog::DumpKind;
use crate::config::Server;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::{Job, JobResult, RestoreFacts};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::recorder::{Attempt, ledger_directory};
use crate::restore::plan::{Action, ItemKind, Plan, PreCheck};
use crate::restore::server::{self, Scope};
use crate::restore::table::{self, Mode};
use crate::store;
use crate::verify::{self, Checked};

/// Everything that a restore begins with.
struct Begun<'a> {
    args: &'a Args,
    wanted: &'a Restore,
    server: Server,
    path: PathBuf,
    checked: Checked,
    target: Target,
    progress: Progress,
}

pub(super) async fn run(args: &Args, wanted: &Restore) -> Verb {
    let named = Target::from_url(&wanted.to)?;
    for warning in &named.warnings {
        tracing::warn!("{warning}");
    }
    let (server, path) = context::backup(args, &wanted.backup)?;
    let _held = store::remove::hold(&path);
    let progress = Progress::default();
    let checked = terminal::watch(&progress, check(&path, wanted.dry_run, &progress)).await?;
    let begun = Begun {
        args,
        wanted,
        server,
        path,
        checked,
        target: named.target,
        progress,
    };
    if wanted.tables.is_empty() {
        begun.databases(named.database).await
    } else {
        begun.tables(named.database).await
    }
}

/// A plan on its own has the time to read all of the archive. Before acting, that it is the file which was published is
/// enough: whatever is then not as it should be is found while it is read, before anything is put in place.
async fn check(path: &Path, whole: bool, progress: &Progress) -> Result<Checked> {
    if !whole && let Some(same) = verify::same_as_published(path, progress).await? {
        return Ok(same);
    }
    let judged = verify::check(path, progress).await?;
    match judged.fault {
        Some(fault) => Err(fault.also("nothing was restored")),
        None => Ok(judged.checked),
    }
}

fn usage(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, what)
}

impl Begun<'_> {
    /// Scenario 1 and 2: the cluster, or one database.
    async fn databases(&self, in_url: Option<String>) -> Verb {
        let scope = self.scope()?;
        let target = match in_url {
            Some(database) => self.target.in_database(&database),
            None => self.target.clone(),
        };
        let by_default = matches!(scope, Scope::Database { .. });
        let request = server::Request {
            archive: self.path.clone(),
            catalog: &self.checked.catalog,
            manifest: self.checked.manifest.as_ref(),
            scope,
            replace: self.wanted.replace,
            compare: (by_default || self.wanted.compare) && !self.wanted.no_compare,
            jobs: self.jobs(),
        };
        let planning = server::plan(request, &target, !self.wanted.dry_run, &self.progress);
        let mut ready = terminal::watch(&self.progress, planning).await?;
        let replaced = ready.replaced();
        let changes_roles = ready
            .plan()
            .items
            .iter()
            .any(|item| item.kind == ItemKind::Role && item.action == Action::Change);
        let what = match replaced.as_slice() {
            [] if !changes_roles => None,
            [only] if !changes_roles => Some(safety::What::Database(only.clone())),
            // Roles are in a dump of the whole only.
            _ => Some(safety::What::Cluster),
        };
        self.complete(ready.plan_mut(), what.as_ref());
        if !self.agreed(ready.plan()).await? {
            return Ok(());
        }
        let plan = ready.plan().clone();
        let mut attempt = self.attempt(&plan)?;
        let span = attempt.span();
        let work = async {
            let saved = self.save(&target, what).await?;
            let done = terminal::watch(&self.progress, ready.apply(&self.progress)).await?;
            attempt.restored(RestoreFacts {
                restored: done.databases.clone(),
                rows: done.rows,
                restore_seconds: done.restore_seconds,
                ..self.facts(&plan, saved)
            });
            Ok(done)
        };
        let result = work.instrument(span).await;
        attempt.end(result.as_ref().err());
        let done = result?;
        self.report(&plan, &done, &text::databases(&done))
    }

    fn scope(&self) -> Result<Scope> {
        let only_database = self.checked.catalog.kind == DumpKind::Database;
        match (&self.wanted.database, &self.wanted.rename) {
            (Some(name), rename) => {
                let into = rename.clone().unwrap_or_else(|| name.clone());
                let held = match self.checked.catalog.databases.as_slice() {
                    // A dump of one database may not say its name, and may be restored under any.
                    [only] if only_database => only.name.clone(),
                    _ => name.clone(),
                };
                Ok(Scope::Database { name: held, into })
            }
            (None, Some(_)) => Err(usage("restore under a new name: of what?")
                .remedy("name a database with --database, or a table with --table too")),
            (None, None) => match self.checked.catalog.databases.as_slice() {
                [only] if only_database && !only.name.is_empty() => Ok(Scope::Database {
                    name: only.name.clone(),
                    into: only.name.clone(),
                }),
                _ => Ok(Scope::Cluster),
            },
        }
    }

    /// Scenario 3: tables.
    async fn tables(&self, in_url: Option<String>) -> Verb {
        if self.wanted.replace && self.wanted.rename.is_some() {
            return Err(usage("restore tables: use --replace together with --as")
                .remedy("a table under a new name replaces nothing")
                .into());
        }
        let (database, into) = self.table_databases(in_url)?;
        let manifest = self.checked.manifest.as_ref();
        let request = table::Request {
            archive: self.path.clone(),
            settings: manifest.and_then(|manifest| manifest.session(&database).cloned()),
            database,
            into: into.clone(),
            patterns: self.wanted.tables.clone(),
            rename: self.wanted.rename.clone(),
            mode: match self.wanted {
                Restore { truncate: true, .. } => Mode::Truncate,
                Restore { append: true, .. } => Mode::Append,
                Restore { replace: true, .. } => Mode::Replace,
                _ => Mode::NewName,
            },
            lock_timeout: self.wanted.lock_timeout,
        };
        let planning = table::plan(
            &request,
            &self.checked.catalog,
            &self.target,
            &self.progress,
        );
        let planned = terminal::watch(&self.progress, planning).await?;
        let mut plan = Plan {
            archive: self.path.clone(),
            ..Plan::default()
        };
        plan.target = server::facts(&self.target).await?;
        planned.describe(&mut plan);
        let saved = planned.tables_to_save();
        let what = (!saved.is_empty()).then(|| safety::What::Tables(into.clone(), saved));
        self.complete(&mut plan, what.as_ref());
        if !self.agreed(&plan).await? {
            return Ok(());
        }
        let mut attempt = self.attempt(&plan)?;
        let span = attempt.span();
        let made = plan.items.iter().filter(|item| {
            item.kind == ItemKind::Table
                && !matches!(item.action, Action::LeaveAlone | Action::Omit)
        });
        let restored = made.map(|item| format!("{into}: {}", item.name)).collect();
        let work = async {
            let saved = self.save(&self.target, what).await?;
            let applying = planned.apply(&self.target, &self.progress);
            let done = terminal::watch(&self.progress, applying).await?;
            attempt.restored(RestoreFacts {
                restored,
                rows: done.rows,
                restore_seconds: done.seconds,
                ..self.facts(&plan, saved)
            });
            Ok(done)
        };
        let result = work.instrument(span).await;
        attempt.end(result.as_ref().err());
        let done = result?;
        self.report(&plan, &done, &text::tables(&done))
    }

    /// The dump's database and the target's. Who names one that is no maintenance database behind the host, and another
    /// with --database, has to say which of them is meant.
    fn table_databases(&self, in_url: Option<String>) -> Result<(String, String)> {
        let of_one = self.checked.catalog.kind == DumpKind::Database;
        let wanted = self.wanted.database.clone();
        let into = match (&self.wanted.into, &wanted, in_url) {
            (Some(into), ..) => into.clone(),
            (None, Some(database), Some(other))
                if *database != other && !["postgres", "template1"].contains(&other.as_str()) =>
            {
                return Err(usage(format!(
                    "restore tables of database {database}: --to names database {other}"
                ))
                .remedy(format!(
                    "say where they go with --into {other} or --into {database}"
                )));
            }
            (None, Some(database), _) => database.clone(),
            (None, None, Some(other)) => other,
            (None, None, None) => {
                return Err(
                    usage("restore tables: of which database?").remedy("name it with --database")
                );
            }
        };
        let database = match self.checked.catalog.databases.as_slice() {
            [only] if of_one => only.name.clone(),
            _ => wanted.unwrap_or_else(|| into.clone()),
        };
        Ok((database, into))
    }

    fn jobs(&self) -> usize {
        self.wanted.jobs.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            |jobs| jobs.get(),
        )
    }

    /// Adds what is known here: the check of the archive, the backup of what goes, and how long it took last time.
    fn complete(&self, plan: &mut Plan, what: Option<&safety::What>) {
        plan.safety_backup = what.filter(|_| !self.wanted.no_safety_backup).map(|what| {
            let directory = safety::directory(&self.server);
            format!("{}, into {}", what.describe(), directory.display())
        });
        plan.expected_seconds = self.expected_seconds(plan.bytes);
        let report = &self.checked.report;
        let compared = if report.compared_with_manifest {
            "whole, and equal to its manifest"
        } else {
            "whole as far as it can be told without a manifest"
        };
        let target = &plan.target;
        let mut checks = vec![
            PreCheck {
                name: "archive verified",
                good: report.passed,
                detail: format!("just now: {compared}"),
            },
            PreCheck {
                name: "target confirmed",
                good: true,
                detail: format!(
                    "{}, PostgreSQL {}, as {}",
                    target.name(),
                    target.version,
                    target.user
                ),
            },
        ];
        checks.append(&mut plan.checks);
        let (good, detail) = match (&plan.safety_backup, what) {
            (Some(_), _) => (true, "will be taken before anything is replaced".to_owned()),
            (None, None) => (
                true,
                "not needed: nothing is replaced that holds anything".to_owned(),
            ),
            (None, Some(what)) => (
                false,
                format!("declined with --no-safety-backup: {}", what.describe()),
            ),
        };
        checks.push(PreCheck {
            name: "backup of the current state",
            good,
            detail,
        });
        plan.checks = checks;
    }

    /// What the last drill measured, for the part that is restored.
    fn expected_seconds(&self, bytes: u64) -> Option<f64> {
        let all = self.checked.catalog.bytes;
        let entries = store::ledger::read(&self.server.directory).ok()?;
        let measured = entries.iter().rev().find_map(|entry| {
            let whole = entry.job == Job::Drill && !entry.is_partial();
            let proven = whole && entry.result == JobResult::Passed;
            entry.drill.as_ref().filter(|_| proven)
        })?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let part = if all == 0 {
            1.0
        } else {
            bytes as f64 / all as f64
        };
        Some(measured.restore_seconds * part)
    }

    /// Shows the plan and asks; false where only the plan was asked for.
    async fn agreed(&self, plan: &Plan) -> Result<bool> {
        if self.wanted.dry_run {
            if self.args.json {
                terminal::print_json(plan)?;
            } else {
                terminal::print(&text::plan(plan))?;
            }
        } else if !self.args.json {
            terminal::print(&text::plan(plan))?;
        }
        if let Some(first) = plan.refusals.first() {
            let more = match plan.refusals.len() {
                1 => String::new(),
                many => format!(" (and {} more reasons, see the plan)", many - 1),
            };
            return Err(usage(format!("restore: {first}{more}")).also("nothing was changed"));
        }
        if self.wanted.dry_run {
            return Ok(false);
        }
        if !self.wanted.yes {
            confirm(&plan.target.name()).await?;
        }
        Ok(true)
    }

    /// Begins the ledger's entry.
    fn attempt(&self, plan: &Plan) -> Result<Attempt> {
        let directory = ledger_directory(&self.path, &self.server.directory);
        let mut attempt = Attempt::begin(Job::Restore, &self.server.name, directory)?;
        self.progress.belongs_to(attempt.job_id());
        attempt.about(&self.path, verify::backup_time(&self.checked));
        attempt.restored(self.facts(plan, None));
        Ok(attempt)
    }

    fn facts(&self, plan: &Plan, saved: Option<PathBuf>) -> RestoreFacts {
        RestoreFacts {
            target: plan.target.name(),
            safety_backup: saved.map(|path| path.display().to_string()),
            ..RestoreFacts::default()
        }
    }

    async fn save(&self, target: &Target, what: Option<safety::What>) -> Result<Option<PathBuf>> {
        let Some(what) = what.filter(|_| !self.wanted.no_safety_backup) else {
            return Ok(None);
        };
        let work = safety::run(&self.server, target, &what, &self.progress);
        let path = terminal::watch(&self.progress, work).await?;
        if !self.args.json {
            terminal::print(&format!(
                "saved {} as {}\n",
                what.describe(),
                path.display()
            ))?;
        }
        Ok(Some(path))
    }

    fn report(&self, plan: &Plan, done: &impl serde::Serialize, text: &str) -> Verb {
        if self.args.json {
            terminal::print_json(&json!({ "result": "passed", "plan": plan, "done": done }))?;
        } else {
            terminal::print(text)?;
        }
        Ok(())
    }
}

/// Has a person type the target's name.
async fn confirm(name: &str) -> Result<()> {
    let remedy = "say --yes, or type the target's name on a terminal";
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(usage("restore: it is not confirmed, and nothing was changed").remedy(remedy));
    }
    let asked = {
        let mut out = stderr().lock();
        write!(out, "Type {name} to restore into it: ").and_then(|()| out.flush())
    };
    asked.map_err(|error| Failure::io("ask on standard error", error))?;
    let reading = blocking(|| {
        let mut typed = String::new();
        let read = stdin().lock().read_line(&mut typed);
        read.map_err(|error| Failure::io("read the answer", error))?;
        Ok(typed)
    });
    let typed = tokio::select! {
        typed = reading => typed?,
        () = terminal::end_requested() => {
            return Err(Failure::new(FailureKind::Cancelled, "restore: stopped on request, and nothing was changed"));
        }
    };
    if typed.trim() == name {
        return Ok(());
    }
    Err(usage(format!(
        "restore: {:?} is not the target's name, and nothing was changed",
        typed.trim()
    ))
    .remedy(remedy))
}
