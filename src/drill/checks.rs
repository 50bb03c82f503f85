//! What is asked of the restored server beyond "the same as in the dump": is it sound in itself, and does it hold what the
//! configuration expects?
//!
//! One file per kind. None stops the others, and none changes anything: what it has to create, it takes back. Catalogs say
//! of some things that they are incomplete (a constraint NOT VALID, a view without data). The restore was strict, so they
//! can only be so because the dump says so; that is told, and speaks against nothing.

mod btree;
mod constraints;
mod freshness;
mod indexes;
mod questions;
mod sequences;
mod tally;
mod views;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::place::Place;
use super::report::{Check, CheckKind, CheckStatus, Report};
use crate::catalog::{Catalog, Database};
use crate::config;
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session};
use tally::Tally;

/// How long looking through all btree indexes may take, and the same for the columns of all sequences. A drill is there
/// to compare; what is left out is counted.
const BUDGET: Duration = Duration::from_secs(600);

/// So that names mean PostgreSQL's own things and those of the dump are told with their schema.
const SETTINGS: &str =
    "set search_path = pg_catalog; set statement_timeout = 0; set lock_timeout = 0";

/// PostgreSQL's own objects have smaller numbers; every object of a dump has a larger one.
const FIRST_OF_USERS: u32 = 16_384;

/// What was restored, and where.
pub(super) struct Drilled<'a> {
    pub(super) expected: &'a Catalog,
    pub(super) manifest: Option<&'a Manifest>,
    pub(super) scratch: Place<'a>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) progress: &'a Progress,
}

/// Does all checks; their results go into the report.
pub(super) async fn all(
    asked: &config::Drill,
    drilled: &Drilled<'_>,
    report: &mut Report,
) -> Result<()> {
    let mut indexes = indexes::tally();
    let mut constraints = constraints::tally();
    let mut views = views::tally();
    let mut sequences = sequences::tally();
    let mut btree = btree::tally();
    let (mut for_sequences, mut for_btree) = (Budget::new(), Budget::new());
    for database in &drilled.expected.databases {
        let restored = Restored::open(drilled, database).await?;
        restored.quieten().await?;
        indexes::look(&restored, &mut indexes).await?;
        constraints::look(&restored, &mut constraints).await?;
        views::look(&restored, &mut views).await?;
        Box::pin(sequences::look(
            &restored,
            &mut for_sequences,
            &mut sequences,
        ))
        .await?;
        Box::pin(btree::look(&restored, &mut for_btree, &mut btree)).await?;
        restored.session.close().await;
    }
    for tally in [indexes, constraints, views, sequences, btree] {
        report.checks.push(tally.check());
    }
    for check in &asked.checks {
        let check = Box::pin(questions::ask(check, drilled)).await?;
        report.checks.push(check);
    }
    for wanted in &asked.freshness {
        let check = Box::pin(freshness::ask(wanted, drilled)).await?;
        report.checks.push(check);
    }
    Ok(())
}

/// A restored database and a session in it.
struct Restored<'a> {
    database: &'a Database,
    session: Session,
    progress: &'a Progress,
    /// Our superuser's name, which no dump contains.
    own_name: String,
}

/// An answer, or why the server gives none.
type Answer<T> = std::result::Result<T, Refusal>;

/// What the server says instead of an answer.
struct Refusal {
    code: SqlState,
    said: String,
}

impl Refusal {
    /// Whether it speaks of the scratch server (room, memory, time, someone ending it), not of what was asked.
    fn is_of_server(&self) -> bool {
        matches!(self.code.code().get(..2), Some("08" | "53" | "57" | "58"))
    }

    fn is_timeout(&self) -> bool {
        self.code == SqlState::QUERY_CANCELED
    }
}

impl<'a> Restored<'a> {
    async fn open(drilled: &Drilled<'a>, database: &'a Database) -> Result<Self> {
        drilled.progress.check()?;
        Ok(Self {
            database,
            session: drilled.scratch.target().session(&database.name).await?,
            progress: drilled.progress,
            own_name: drilled.scratch.target().user.clone(),
        })
    }

    /// Sets aside what the database itself says of sessions in it.
    async fn quieten(&self) -> Result<()> {
        self.run(SETTINGS).await?.map_err(|refusal| {
            let what = format!(
                "set up a session in database {}: {}",
                self.database.name, refusal.said
            );
            Failure::new(FailureKind::Scratch, what)
        })
    }

    async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Answer<Vec<Row>>> {
        self.answer(self.session.query(sql, values)).await
    }

    /// Adds the answer to a question of the form: how many, which are wrong, which are so in the dump too.
    async fn count(&self, sql: &str, first: u32, tally: &mut Tally) -> Result<()> {
        let name = &self.database.name;
        match self.query(sql, &[&first]).await? {
            Err(refusal) => {
                tally.not_done(|| format!("not done in database {name}: {}", refusal.said));
            }
            Ok(rows) => {
                for row in rows {
                    tally.seen += row.get::<_, i64>(0).unsigned_abs();
                    tally.wrong.extend(row.get(1), name);
                    tally.noted.extend(row.get(2), name);
                }
            }
        }
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<Answer<()>> {
        self.answer(self.session.batch_execute(sql)).await
    }

    /// Waits for an answer. A session that broke, or our own end, is a failure of the drill and no answer.
    async fn answer<T>(
        &self,
        asking: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<Answer<T>> {
        let answer = tokio::select! {
            answer = asking => answer,
            () = self.progress.cancelled() => {
                self.progress.check()?;
                return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
            }
        };
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match error.code() {
                Some(code) if !self.session.is_closed() => Ok(Err(Refusal {
                    code: code.clone(),
                    said: ServerError::from(&error).to_string(),
                })),
                _ => Err(Failure::new(
                    FailureKind::Scratch,
                    format!("check the restored database {}", self.database.name),
                )
                .because(ServerError::from(&error))
                .remedy(
                    "the scratch server ended: look at memory and disk space, and drill again",
                )),
            },
        }
    }
}

/// Time that a kind of check has left, over all databases.
struct Budget {
    left: Duration,
}

impl Budget {
    fn new() -> Self {
        Self { left: BUDGET }
    }

    /// The statement that bounds the next one by what is left; none if nothing is.
    fn statement(&self, scope: &str) -> Option<String> {
        let milliseconds = self.left.as_millis();
        (milliseconds > 0).then(|| format!("set {scope} statement_timeout = {milliseconds}"))
    }

    fn used_since(&mut self, began: Instant) {
        self.left = self.left.saturating_sub(began.elapsed());
    }
}

/// The result of a check that the configuration asks for.
fn configured(name: String, status: CheckStatus, detail: String) -> Check {
    Check {
        name,
        kind: CheckKind::Configured,
        status,
        detail,
    }
}

/// The database of a configured check, or what to say if the backup has none of this name.
fn database_named<'a>(
    drilled: &Drilled<'a>,
    name: &str,
) -> std::result::Result<&'a Database, String> {
    let mut databases = drilled.expected.databases.iter();
    databases
        .find(|database| database.name == name)
        .ok_or_else(|| format!("database {name} is not in the backup"))
}
