//! One session of a restore: runs single statements and loads rows, and makes of every error a failure that says where.

use bytes::Bytes;
use futures_util::SinkExt;

use super::judge::Blame;
use super::rows::Rows;
use super::settings::Settings;
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
    ) -> Result<Self> {
        Ok(Self {
            session: target.session(on).await?,
            database: database.to_owned(),
            blame,
            settings: 0,
        })
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }

    /// Runs one statement.
    pub(super) async fn execute(&self, text: &str, at: Position) -> Result<()> {
        self.session
            .execute_typed(text, &[])
            .await
            .map(drop)
            .map_err(|error| self.failed(text, at, &error))
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
            Err(error) => Err(self.failed(text, at, &error)),
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
            Err(error) => Err(self.failed(text, at, &error)),
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

    /// Loads rows; gives how many, as the server counted them.
    pub(super) async fn copy(
        &self,
        copy: &Copy,
        encoding: &str,
        rows: &mut Rows<'_>,
        progress: &Progress,
    ) -> Result<u64> {
        let place = format!("COPY {}.{}", copy.schema, copy.table);
        let failed = |error: tokio_postgres::Error| self.failed(&place, copy.at, &error);
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
        let statement = self.session.prepare(&text).await.map_err(failed)?;
        enter_encoding(&self.session, encoding).await?;
        let sink = self
            .session
            .copy_in::<_, Bytes>(&statement)
            .await
            .map_err(failed)?;
        let mut sink = Box::pin(sink);
        // Dropping the sink tells the server that the copy failed; nothing of it stays.
        while let Some(piece) = rows.next().await? {
            progress.check()?;
            let bytes = piece.len() as u64;
            sink.send(piece).await.map_err(failed)?;
            progress.add(bytes);
        }
        let count = sink.as_mut().finish().await.map_err(failed)?;
        leave_encoding(&self.session, encoding).await?;
        if copy.fresh {
            self.execute("commit", copy.at).await?;
        }
        Ok(count)
    }

    fn failed(&self, text: &str, at: Position, error: &tokio_postgres::Error) -> Failure {
        let shown = statement::shown(text.as_bytes());
        let whose = if self.database.is_empty() {
            "restore".to_owned()
        } else {
            format!("restore database {}", self.database)
        };
        let (kind, remedy) = self.blame.judge(error);
        Failure::new(kind, format!("{whose}: {at}: {shown:?}"))
            .because(ServerError::from(error))
            .remedy(remedy)
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
