//! One session of a restore: runs single statements and loads rows, and makes of every error a failure that says where.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::Mutex;

use super::judge::Blame;
use super::rows::Rows;
use super::settings::Settings;
use super::surroundings::Surroundings;
use crate::catalog::hash::RowHasher;
use crate::error::{Failure, Result};
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::measure::{enter_encoding, leave_encoding};
use crate::sql::name::quote_qualified;
use crate::sql::scanner::Position;
use crate::sql::statement;

/// A session in one database.
pub(super) struct Lane {
    session: Session,
    /// What the dump calls the database; empty where it does not name one.
    database: String,
    blame: Blame,
    surroundings: Arc<Mutex<Surroundings>>,
    /// Version of the settings that this session has.
    settings: u64,
}

/// A table's COPY.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// The COPY statement in UTF-8, with its `;`.
    pub(super) text: String,
    /// The table.
    pub(super) schema: String,
    /// The table.
    pub(super) table: String,
    /// Where it stands in the dump.
    pub(super) at: Position,
    /// Whether the table is new, empty and ours alone: then its rows are written frozen, and no vacuum needs to write
    /// them once more.
    pub(super) fresh: bool,
}

impl Lane {
    /// Opens a session in database `on` of the target for what the dump calls `database`.
    pub(super) async fn open(
        target: &Target,
        on: &str,
        database: &str,
        blame: Blame,
        surroundings: &Arc<Mutex<Surroundings>>,
    ) -> Result<Self> {
        Ok(Self {
            session: target.session(on).await?,
            database: database.to_owned(),
            blame,
            surroundings: Arc::clone(surroundings),
            settings: 0,
        })
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }

    /// Runs one statement; false where something else was done that serves.
    pub(super) async fn execute(&self, text: &str, at: Position) -> Result<bool> {
        self.execute_unless(text, at, |_| false).await
    }

    /// The same; gives whether it was run. An error is passed over where `excused` says so of its SQLSTATE.
    pub(super) async fn execute_unless(
        &self,
        text: &str,
        at: Position,
        excused: impl Fn(&str) -> bool,
    ) -> Result<bool> {
        match self.session.execute_typed(text, &[]).await {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(|code| excused(code.code())) => Ok(false),
            Err(error) => {
                let mut surroundings = self.surroundings.lock().await;
                if surroundings.otherwise(&self.session, text, &error).await {
                    return Ok(false);
                }
                drop(surroundings);
                Err(self.failed(text, at, &error).await)
            }
        }
    }

    /// The same, telling a deadlock from other errors: with several sessions at work it is not the dump's fault.
    pub(super) async fn execute_among_others(&self, text: &str, at: Position) -> Result<Outcome> {
        match self.session.execute_typed(text, &[]).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error)
                if error.code()
                    == Some(&tokio_postgres::error::SqlState::T_R_DEADLOCK_DETECTED) =>
            {
                Ok(Outcome::Deadlock)
            }
            Err(error) => Err(self.failed(text, at, &error).await),
        }
    }

    /// Makes the session's settings those of the dump's.
    pub(super) async fn adopt(&mut self, settings: &Settings, at: Position) -> Result<()> {
        if self.settings != settings.version {
            for statement in settings.statements() {
                self.execute(statement, at).await?;
            }
            self.settings = settings.version;
        }
        Ok(())
    }

    /// Says that this session ran the last setting itself.
    pub(super) fn has(&mut self, settings: &Settings) {
        self.settings = settings.version;
    }

    /// Has the server build with one process where others build beside it.
    pub(super) async fn build_alone(&self, alone: bool, at: Position) -> Result<()> {
        let text = if alone {
            "reset max_parallel_maintenance_workers"
        } else {
            "set max_parallel_maintenance_workers = 0"
        };
        self.execute(text, at).await.map(drop)
    }

    /// Loads rows; gives how many, as the server counted them. `hasher` gets what is sent.
    pub(super) async fn copy(
        &self,
        copy: &Copy,
        encoding: &str,
        rows: &mut Rows<'_>,
        hasher: Option<&mut RowHasher>,
        progress: &Progress,
    ) -> Result<u64> {
        match self.try_copy(copy, encoding, rows, hasher, progress).await {
            Ok(count) => Ok(count),
            Err(Broken::Said(failure)) => Err(failure),
            Err(Broken::Server(error)) => {
                let place = format!("COPY {}.{}", copy.schema, copy.table);
                Err(self.failed(&place, copy.at, &error).await)
            }
        }
    }

    async fn try_copy(
        &self,
        copy: &Copy,
        encoding: &str,
        rows: &mut Rows<'_>,
        mut hasher: Option<&mut RowHasher>,
        progress: &Progress,
    ) -> std::result::Result<u64, Broken> {
        let text = if copy.fresh {
            let name = quote_qualified(&copy.schema, &copy.table);
            self.execute("begin", copy.at).await?;
            self.execute(&format!("truncate only {name}"), copy.at)
                .await?;
            let bare = copy.text.trim_end().trim_end_matches(';');
            format!("{bare} WITH (FREEZE)")
        } else {
            copy.text.clone()
        };
        let statement = self.session.prepare(&text).await?;
        enter_encoding(&self.session, encoding).await?;
        let sink = self.session.copy_in::<_, Bytes>(&statement).await?;
        let mut sink = Box::pin(sink);
        // Dropping the sink tells the server that the copy failed; nothing of it stays.
        while let Some(piece) = rows.next().await? {
            progress.check()?;
            let bytes = piece.len() as u64;
            if let Some(hasher) = &mut hasher {
                hasher.feed(&piece);
            }
            sink.send(piece).await?;
            progress.add(bytes);
        }
        let count = sink.as_mut().finish().await?;
        leave_encoding(&self.session, encoding).await?;
        if copy.fresh {
            self.execute("commit", copy.at).await?;
        }
        Ok(count)
    }

    async fn failed(&self, text: &str, at: Position, error: &tokio_postgres::Error) -> Failure {
        let shown = statement::shown(text.as_bytes());
        let whose = if self.database.is_empty() {
            "restore".to_owned()
        } else {
            format!("restore database {}", self.database)
        };
        let here = match self.blame {
            Blame::Scratch => self.surroundings.lock().await.judge(&self.database, error),
            Blame::Target | Blame::Given => None,
        };
        let (kind, remedy) = here.unwrap_or_else(|| {
            let (kind, remedy) = self.blame.judge(error);
            (kind, remedy.to_owned())
        });
        Failure::new(kind, format!("{whose}: {at}: {shown:?}"))
            .because(ServerError::from(error))
            .remedy(remedy)
    }
}

/// What broke a COPY.
enum Broken {
    /// The server, which is still to be judged.
    Server(tokio_postgres::Error),
    /// Anything else.
    Said(Failure),
}

impl From<tokio_postgres::Error> for Broken {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Said(failure)
    }
}

/// How a statement among others ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was run.
    Done,
    /// The server ended it because it and another waited for each other; nothing of it stays.
    Deadlock,
}
