//! What a person types: one file per verb, each thin.
//!
//! Standard output holds the report, or one JSON document with `--json`; everything else goes to standard error. Here,
//! and only here, a failure becomes one sentence and an exit code.

mod args;
mod backup;
mod check;
mod context;
mod demo;
mod drill;
mod extract;
mod inspect;
mod ledger;
mod list;
mod log;
mod prune;
mod render;
mod restore;
mod serve;
mod terminal;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use crate::error::{Failure, FailureKind, Result};
use crate::pg::{fence, warden};
use args::{Args, Command};

/// Runs the program.
pub fn run() -> ExitCode {
    let args = Args::parse();
    // These two have one thread and no runtime: they watch or become another program.
    match &args.command {
        Command::Warden(order) => return warden::run(order),
        Command::Fence(order) => return fence::run(order),
        _ => {}
    }
    log_to_stderr(&args);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match &runtime {
        Ok(runtime) => runtime.block_on(Box::pin(dispatch(&args))),
        Err(error) => Err(Failure::new(FailureKind::Io, "start threads")
            .because(std::io::Error::from(error.kind()))
            .into()),
    };
    if let Ok(runtime) = runtime {
        // A thread that hangs on a dead mount must not keep us.
        runtime.shutdown_background();
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended { failure, told }) => {
            if args.json && !told {
                let kind = failure.kind().policy().label;
                // If standard output is gone, standard error still has it.
                let _ = terminal::print_json(
                    &json!({ "result": "error", "reason": kind, "message": failure.sentence() }),
                );
            }
            match args.command {
                // Whoever reads the log of the sidecar reads this too.
                Command::Serve => tracing::error!(
                    reason = failure.kind().policy().label,
                    "{}",
                    failure.sentence()
                ),
                _ => eprintln!("pgvigil: {}", failure.sentence()),
            }
            ExitCode::from(failure.kind().policy().exit_code)
        }
    }
}

/// A verb that did not end well.
struct Ended {
    failure: Failure,
    /// Whether the JSON document was printed already.
    told: bool,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            told: false,
        }
    }
}

/// What verbs return.
type Verb = std::result::Result<(), Ended>;

/// Ends a verb whose report was printed.
fn ended(failure: Option<Failure>) -> Verb {
    failure.map_or(Ok(()), |failure| {
        Err(Ended {
            failure,
            told: true,
        })
    })
}

async fn dispatch(args: &Args) -> Verb {
    match &args.command {
        Command::Serve => serve::run(args).await,
        Command::Backup { name } => backup::run(args, name.as_deref()).await,
        Command::Verify { backup, all } => verify::run(args, backup, *all).await,
        Command::Drill {
            backup,
            database,
            tables,
            keep,
        } => {
            let scope = crate::drill::Scope {
                database: database.clone(),
                tables: tables.clone(),
            };
            let options = crate::drill::Options {
                scope,
                keep: *keep,
                due: None,
            };
            drill::run(args, backup, options).await
        }
        Command::List => list::run(args),
        Command::Inspect { backup } => inspect::run(args, backup).await,
        Command::Extract {
            backup,
            database,
            table,
        } => extract::run(args, backup, database.as_deref(), table.as_deref()).await,
        Command::Restore(wanted) => Box::pin(restore::run(args, wanted)).await,
        Command::Prune { dry_run } => prune::run(args, *dry_run).await,
        Command::Check => check::run(args).await,
        Command::Ledger { command } => ledger::run(args, command),
        Command::Demo { once, listen } => demo::run(args, *once, *listen).await,
        // Handled before there was a runtime.
        Command::Warden(_) | Command::Fence(_) => Ok(()),
    }
}

fn log_to_stderr(args: &Args) {
    // A person at a terminal has the progress bar; log lines are for files.
    let serves = matches!(args.command, Command::Serve);
    let wants_log = serves || matches!(args.command, Command::Drill { keep: true, .. });
    let quiet = std::io::stderr().is_terminal() && !wants_log;
    let level = if quiet && args.log_level == tracing::Level::INFO {
        tracing::Level::WARN
    } else {
        args.log_level
    };
    log::to_stderr(args.log_format, level, !serves);
}

/// Runs blocking work on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(FailureKind::Io, "a thread broke").because(error))?
}
