//! What may be run of a dump, and in which form: decided statement by statement, by whoever owns the target.

use crate::error::{Failure, FailureKind, Result};
use crate::sql::reach::Reach;
use crate::sql::scanner::Position;
use crate::sql::statement::{self, Statement};

/// What to do with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Run it as it is.
    Run,
    /// Run this in its place.
    Instead(String),
    /// Pass it over.
    Skip,
    /// Run these when everything else is done.
    Later(Vec<String>),
}

/// A statement in its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The dump's name of the database that it is run in; none before the first.
    pub(super) database: Option<&'a str>,
    /// Its text.
    pub(super) text: &'a str,
    /// What it is.
    pub(super) statement: &'a Statement,
    /// How far it reaches.
    pub(super) reach: &'a Reach,
    /// Where it stands.
    pub(super) at: Position,
}

/// Decides.
pub(super) trait Policy: Send + Sync {
    /// What a database of the dump is called on the target; none if it is to be passed over.
    fn database(&self, name: &str) -> Option<String>;

    /// What to do with a statement that no rule has refused.
    fn judge(&self, context: Context<'_>) -> Result<Verdict>;

    /// Hears that a statement about something that the server shares was run.
    fn was_run(&self, _reach: &Reach) {}

    /// What to run of a statement about things inside of a database whose bytes have no Unicode form.
    fn judge_bytes(&self, text: &[u8], _at: Position) -> Result<Vec<u8>> {
        Ok(text.to_owned())
    }

    /// What to run first in a database that the dump connects to.
    fn prelude(&self, _name: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Whether the restore goes on although the server refused a statement with this SQLSTATE.
    fn excuses(&self, _text: &str, _code: &str) -> bool {
        false
    }

    /// How many databases may be restored side by side, where `jobs` sessions may work at once.
    fn databases_at_once(&self, jobs: usize) -> usize {
        jobs
    }
}

/// A statement that is never run.
pub(super) fn refused(why: &str, at: Position) -> Failure {
    Failure::new(FailureKind::Unsafe, format!("restore: {at}: {why}"))
        .remedy("treat the file as tampered with, and do not feed it to psql")
}

impl Context<'_> {
    /// A statement that reaches further than the plan goes.
    pub(super) fn outside(&self) -> Failure {
        let shown = statement::shown(self.text.as_bytes());
        refused(
            &format!("a statement that reaches beyond what is restored: {shown:?}"),
            self.at,
        )
    }
}
