//! Work of one database that may be done by several sessions at once: tables' rows, then indexes and constraints. The
//! largest first, because what is begun last decides when the last one ends.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cluster::Tables;
use super::judge::Blame;
use super::lane::{Copy, Lane, Outcome};
use super::rows::{Reading, Rows};
use super::settings::Settings;
use super::source::Source;
use super::surroundings::Surroundings;
use crate::catalog::Range;
use crate::catalog::hash::{ContentHash, RowHasher};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::sql::build::{self, Build, TableName};
use crate::sql::scanner::Position;

/// How often a statement is tried that the server ended because of a deadlock.
const ATTEMPTS: u32 = 5;

/// One task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) work: Work,
    /// Bytes of the table's rows: how long it will take, in a measure that only orders.
    pub(super) bytes: u64,
    pub(super) settings: Settings,
    pub(super) at: Position,
    pub(super) attempts: u32,
}

/// What a task does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Loads rows.
    Rows(Arc<Copy>, Range),
    /// Runs a statement.
    Build(Build, String),
}

/// What all tasks of a database share.
#[derive(Clone)]
pub(super) struct Crew {
    pub(super) target: Target,
    /// The database on the target.
    pub(super) on: String,
    /// What the dump calls it.
    pub(super) database: String,
    pub(super) blame: Blame,
    /// As many permits as tasks may run at once, in all databases together.
    pub(super) permits: Arc<Semaphore>,
    pub(super) surroundings: Arc<tokio::sync::Mutex<Surroundings>>,
    pub(super) source: Option<Source>,
    /// Only the rows of these tables; none: all.
    pub(super) only: Option<Tables>,
    /// Whether what is sent is counted and hashed.
    pub(super) hashing: bool,
    pub(super) progress: Progress,
}

/// How a task ended.
struct Ended {
    task: Task,
    lane: Lane,
    result: Result<Tally>,
}

/// What a task did.
#[derive(Default)]
struct Tally {
    rows: u64,
    sent: Option<Sent>,
    again: bool,
}

/// Rows that were sent for a table, or for a piece of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sent {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) hash: ContentHash,
}

impl Sent {
    pub(super) fn new(database: &str, copy: &Copy, hasher: &RowHasher) -> Self {
        Self {
            database: database.to_owned(),
            schema: copy.schema.clone(),
            table: copy.table.clone(),
            rows: hasher.rows,
            bytes: hasher.bytes,
            hash: hasher.hash,
        }
    }
}

/// What all tasks did.
#[derive(Default)]
pub(super) struct Loaded {
    /// Rows, as the server counted them.
    pub(super) rows: u64,
    pub(super) sent: Vec<Sent>,
}

/// Tables in use by running tasks.
#[derive(Default)]
struct Locks {
    /// How many tasks use a table together; none: one has it to itself.
    tables: HashMap<TableName, Option<usize>>,
    /// Indexes and constraints of each table that are not built yet: a foreign key needs those of both its tables.
    unbuilt: HashMap<TableName, usize>,
}

impl Locks {
    /// For these tasks.
    fn of(tasks: &[Task]) -> Self {
        let mut locks = Self::default();
        for task in tasks {
            if let Work::Build(Build::Index(table) | Build::Constraint(table), _) = &task.work {
                *locks.unbuilt.entry(table.clone()).or_default() += 1;
            }
        }
        locks
    }

    /// Says that something was built.
    fn built(&mut self, build: &Build) {
        if let Build::Index(table) | Build::Constraint(table) = build
            && let Some(left) = self.unbuilt.get_mut(table)
        {
            *left = left.saturating_sub(1);
        }
    }

    fn is_free(&self, build: &Build) -> bool {
        let unused = |table| !self.tables.contains_key(table);
        match build {
            Build::Index(table) => self.tables.get(table).is_none_or(Option::is_some),
            Build::Constraint(table) => unused(table),
            Build::ForeignKey(table, other) => {
                let built = |table| self.unbuilt.get(table).is_none_or(|left| *left == 0);
                [table, other]
                    .into_iter()
                    .all(|table| unused(table) && built(table))
            }
            Build::Follower => true,
        }
    }

    fn take(&mut self, build: &Build) {
        match build {
            Build::Index(table) => {
                let users = self.tables.entry(table.clone()).or_insert(Some(0));
                *users = users.map(|users| users + 1);
            }
            Build::Constraint(table) => drop(self.tables.insert(table.clone(), None)),
            Build::ForeignKey(table, other) => {
                self.tables.insert(table.clone(), None);
                self.tables.insert(other.clone(), None);
            }
            Build::Follower => {}
        }
    }

    fn give_back(&mut self, build: &Build) {
        match build {
            Build::Index(table) => {
                if let Some(Some(users)) = self.tables.get_mut(table) {
                    *users -= 1;
                    if *users == 0 {
                        self.tables.remove(table);
                    }
                }
            }
            Build::Constraint(table) => drop(self.tables.remove(table)),
            Build::ForeignKey(table, other) => {
                self.tables.remove(table);
                self.tables.remove(other);
            }
            Build::Follower => {}
        }
    }
}

impl Crew {
    /// Whether a table's rows are loaded.
    pub(super) fn loads(&self, schema: Option<&str>, table: &str) -> bool {
        let name = (schema.unwrap_or("public").to_owned(), table.to_owned());
        self.only.as_ref().is_none_or(|only| only.contains(&name))
    }

    /// Whether a statement makes sense with the rows that are loaded.
    pub(super) fn builds(&self, text: &[u8]) -> bool {
        if self.only.is_none() {
            return true;
        }
        let loads = |(schema, table): &TableName| self.loads(schema.as_deref(), table);
        match build::build(text) {
            Some(Build::ForeignKey(table, other)) => !loads(&table) || loads(&other),
            _ => !build::is_refresh(text),
        }
    }

    /// Does all tasks, in an order of its own.
    pub(super) async fn run(&self, mut waiting: Vec<Task>) -> Result<Loaded> {
        waiting.sort_by_key(|task| std::cmp::Reverse(task.bytes));
        let mut idle: Vec<Lane> = Vec::new();
        let mut locks = Locks::of(&waiting);
        let mut running: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        let mut loaded = Loaded::default();
        loop {
            self.progress.check()?;
            let next = waiting.iter().position(|task| match &task.work {
                Work::Rows(..) => true,
                Work::Build(build, _) => locks.is_free(build),
            });
            let ended = if let Some(next) = next {
                tokio::select! {
                    permit = Arc::clone(&self.permits).acquire_owned() => {
                        let task = waiting.remove(next);
                        if let Work::Build(build, _) = &task.work {
                            locks.take(build);
                        }
                        let lane = match idle.pop() {
                            Some(lane) => lane,
                            None => self.lane().await?,
                        };
                        let alone = waiting.is_empty() && running.is_empty();
                        running.push(self.clone().one(task, lane, alone, permit.ok()).boxed());
                        continue;
                    }
                    Some(ended) = running.next() => ended,
                    () = self.progress.cancelled() => continue,
                }
            } else {
                tokio::select! {
                    ended = running.next() => match ended {
                        Some(ended) => ended,
                        None => break,
                    },
                    () = self.progress.cancelled() => continue,
                }
            };
            let mut task = ended.task;
            if let Work::Build(build, _) = &task.work {
                locks.give_back(build);
            }
            idle.push(ended.lane);
            let tally = ended.result?;
            loaded.rows += tally.rows;
            loaded.sent.extend(tally.sent);
            if tally.again {
                task.attempts += 1;
                waiting.push(task);
            } else if let Work::Build(build, _) = &task.work {
                locks.built(build);
            }
        }
        for lane in idle {
            lane.close().await;
        }
        Ok(loaded)
    }

    /// A session of its own.
    pub(super) async fn lane(&self) -> Result<Lane> {
        Lane::open(
            &self.target,
            &self.on,
            &self.database,
            self.blame,
            &self.surroundings,
        )
        .await
    }

    async fn one(
        self,
        task: Task,
        mut lane: Lane,
        alone: bool,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Ended {
        let result = self.work(&task, &mut lane, alone).await;
        drop(permit);
        Ended { task, lane, result }
    }

    async fn work(&self, task: &Task, lane: &mut Lane, alone: bool) -> Result<Tally> {
        lane.adopt(&task.settings, task.at).await?;
        if matches!(task.work, Work::Build(..)) {
            lane.build_alone(alone, task.at).await?;
        }
        match &task.work {
            Work::Rows(copy, range) => {
                let source = self.source.as_ref().ok_or_else(|| {
                    Failure::new(FailureKind::Io, "read rows of an archive without an index")
                })?;
                let mut rows = Rows::Read(Reading::begin(source, *range));
                let encoding = &task.settings.encoding;
                let mut hasher = self.hashing.then(RowHasher::new);
                let rows = lane
                    .copy(copy, encoding, &mut rows, hasher.as_mut(), &self.progress)
                    .await?;
                let sent = hasher.map(|hasher| Sent::new(&self.database, copy, &hasher));
                Ok(Tally {
                    rows,
                    sent,
                    again: false,
                })
            }
            Work::Build(_, text) if task.attempts + 1 < ATTEMPTS => {
                let outcome = lane.execute_among_others(text, task.at).await?;
                Ok(Tally {
                    rows: 0,
                    sent: None,
                    again: outcome == Outcome::Deadlock,
                })
            }
            Work::Build(_, text) => lane.execute(text, task.at).await.map(|_| Tally::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        (Some("public".to_owned()), name.to_owned())
    }

    #[test]
    fn indexes_share_a_table_and_constraints_do_not() {
        let mut locks = Locks::default();
        let index = Build::Index(table("a"));
        let constraint = Build::Constraint(table("a"));
        let key = Build::ForeignKey(table("b"), table("a"));
        locks.take(&index);
        assert!(locks.is_free(&index) && !locks.is_free(&constraint) && !locks.is_free(&key));
        locks.take(&index);
        locks.give_back(&index);
        assert!(!locks.is_free(&constraint), "one is still at it");
        locks.give_back(&index);
        locks.take(&key);
        assert!(!locks.is_free(&index) && !locks.is_free(&Build::Index(table("b"))));
        assert!(locks.is_free(&Build::Index(table("c"))));
        locks.give_back(&key);
        assert!(locks.is_free(&constraint) && locks.tables.is_empty());
        let own = Build::ForeignKey(table("a"), table("a"));
        locks.take(&own);
        locks.give_back(&own);
        assert!(locks.tables.is_empty(), "a table that refers to itself");
    }

    #[test]
    fn a_foreign_key_waits_for_what_its_tables_are_to_have() {
        let constraint = Build::Constraint(table("a"));
        let key = Build::ForeignKey(table("b"), table("a"));
        let task = |build: &Build| Task {
            work: Work::Build(build.clone(), String::new()),
            bytes: 0,
            settings: Settings::default(),
            at: Position::default(),
            attempts: 0,
        };
        let mut locks = Locks::of(&[task(&key), task(&constraint)]);
        assert!(!locks.is_free(&key) && locks.is_free(&constraint));
        locks.built(&constraint);
        assert!(locks.is_free(&key));
    }
}
