//! A transaction on a live server: it waits for locks only so long, says who holds them, and ends when it is told to.

use std::pin::pin;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::error::{Failure, FailureKind, Result};
use crate::manifest::SessionSettings;
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::version::Version;
use crate::pg::{lock_waits, measure};

/// How often is asked who is in the way.
const ASK: Duration = Duration::from_millis(500);

/// What pg_dump sets at the head of a dump, so that its statements mean what they meant; measure::prepare sets the rest.
const AS_IN_A_DUMP: &str = "set standard_conforming_strings = on; set check_function_bodies = off; set xmloption = content; \
     set client_min_messages = warning; set transform_null_equals = off; set search_path = pg_catalog";

/// The sessions of a restore: one works, the other sees what it waits for.
pub(super) struct Work<'a> {
    pub(super) session: Session,
    watcher: Session,
    pid: i32,
    pub(super) progress: &'a Progress,
}

/// A session with a dump's settings and its server's version.
pub(super) async fn open(
    target: &Target,
    database: &str,
    settings: Option<&SessionSettings>,
) -> Result<(Session, Version)> {
    let session = target.session(database).await?;
    measure::prepare(&session, settings).await?;
    let what = "set up a session";
    session
        .batch_execute(AS_IN_A_DUMP)
        .await
        .map_err(|error| failed(what, &error, &[]))?;
    let ask = "select current_setting('server_version_num')::int4";
    let row = session
        .query_one(ask, &[])
        .await
        .map_err(|error| failed(what, &error, &[]))?;
    let number = u32::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    Ok((session, Version::from_number(number)))
}

impl<'a> Work<'a> {
    /// Begins the transaction.
    pub(super) async fn begin(
        target: &Target,
        database: &str,
        settings: Option<&SessionSettings>,
        lock_timeout: Duration,
        progress: &'a Progress,
    ) -> Result<Self> {
        let (session, version) = open(target, database, settings).await?;
        let watcher = target.session(database).await?;
        let milliseconds = lock_timeout.as_millis().max(1);
        let unlimited = if version.major >= 17 {
            "set transaction_timeout = 0; "
        } else {
            ""
        };
        let begin = format!(
            "{unlimited}set lock_timeout = '{milliseconds}ms'; begin isolation level read committed"
        );
        let what = "begin a transaction";
        session
            .batch_execute(&begin)
            .await
            .map_err(|error| failed(what, &error, &[]))?;
        let pid = session
            .query_one("select pg_catalog.pg_backend_pid()", &[])
            .await
            .map_err(|error| failed(what, &error, &[]))?
            .get(0);
        Ok(Self {
            session,
            watcher,
            pid,
            progress,
        })
    }

    /// Runs one statement, and no more than one.
    pub(super) async fn run(&self, what: &str, sql: &str) -> Result<u64> {
        Box::pin(self.wait(what, self.session.execute_typed(sql, &[]))).await
    }

    /// Asks.
    pub(super) async fn ask(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        Box::pin(self.wait(what, self.session.query(sql, params))).await
    }

    /// Waits for the server, and meanwhile sees who is in the way and whether we are to end.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        request: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        self.progress.check()?;
        let mut request = pin!(request);
        let mut blockers = Vec::new();
        loop {
            tokio::select! {
                answer = &mut request => {
                    return answer.map_err(|error| failed(what, &error, &blockers));
                }
                () = self.progress.cancelled() => {
                    // The server would go on with it: the end of a session is noticed late.
                    let _ = self.watcher.execute("select pg_catalog.pg_cancel_backend($1)", &[&self.pid]).await;
                    let _ = request.await;
                    return Err(Failure::new(FailureKind::Cancelled, format!("{what}: stopped on request")));
                }
                () = tokio::time::sleep(ASK) => {
                    let now = self.blockers().await;
                    if !now.is_empty() {
                        blockers = now;
                    }
                }
            }
        }
    }

    /// Who holds what we wait for. What cannot be asked is not said.
    async fn blockers(&self) -> Vec<String> {
        let holders = lock_waits::holders(&self.watcher, self.pid).await;
        holders.iter().map(ToString::to_string).collect()
    }

    /// The transaction's number.
    pub(super) async fn id(&self) -> Result<String> {
        let ask = "select pg_catalog.pg_current_xact_id()::text";
        let rows = self.ask("prepare the commit", ask, &[]).await?;
        self.progress.check()?;
        Ok(rows.first().map_or_else(String::new, |row| row.get(0)))
    }

    /// Ends the transaction of this number, and finds out how it ended if the server goes away meanwhile.
    pub(super) async fn commit(self, id: &str, target: &Target, database: &str) -> Result<()> {
        const WHAT: &str = "commit";
        // From here on there is no way back, so a wish to end waits.
        let committed = self.session.batch_execute("commit").await;
        let Err(error) = committed else {
            self.session.close().await;
            self.watcher.close().await;
            return Ok(());
        };
        let unchanged = || {
            let failure = failed(WHAT, &error, &[]);
            failure.also(&format!("nothing in database {database} has changed"))
        };
        if error.as_db_error().is_some() {
            return Err(unchanged());
        }
        if let Ok(session) = target.session(database).await {
            let ask = "select pg_catalog.pg_xact_status(($1::text)::xid8)";
            let status = session.query_one(ask, &[&id]).await;
            match status
                .map(|row| row.get::<_, Option<String>>(0))
                .as_ref()
                .map(Option::as_deref)
            {
                Ok(Some("committed")) => return Ok(()),
                Ok(Some("aborted")) => return Err(unchanged()),
                _ => {}
            }
        }
        let what = format!(
            "{WHAT}: the server went away, and does not say whether transaction {id} is committed"
        );
        Err(Failure::new(FailureKind::Connect, what)
            .because(ServerError::from(&error))
            .remedy(format!(
                "ask the server with: select pg_xact_status('{id}')"
            )))
    }

    /// Takes everything back.
    pub(super) async fn roll_back(self) {
        let rolled_back = self.session.batch_execute("rollback");
        // A server that does not answer rolls back by itself.
        let _ = tokio::time::timeout(Duration::from_secs(10), rolled_back).await;
        let closed = async {
            self.session.close().await;
            self.watcher.close().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }
}

/// What a server's error means for the person who restores.
pub(super) fn failed(what: &str, error: &tokio_postgres::Error, blockers: &[String]) -> Failure {
    let (kind, remedy) = judge(error);
    let what = match blockers {
        [] => what.to_owned(),
        _ => format!("{what}, which waited for {}", blockers.join(" and ")),
    };
    Failure::new(kind, what)
        .because(ServerError::from(error))
        .remedy(remedy)
}

fn judge(error: &tokio_postgres::Error) -> (FailureKind, &'static str) {
    let Some(code) = error.code() else {
        return (
            FailureKind::Connect,
            "check that the server runs and that the network lets us through",
        );
    };
    let known = [
        (
            SqlState::LOCK_NOT_AVAILABLE,
            FailureKind::Busy,
            "wait until that session ends, or end it with pg_terminate_backend(pid), and restore again",
        ),
        (
            SqlState::T_R_DEADLOCK_DETECTED,
            FailureKind::Busy,
            "restore again, at a time when less is written to these tables",
        ),
        (
            SqlState::INSUFFICIENT_PRIVILEGE,
            FailureKind::Auth,
            "restore as the tables' owner or as a superuser",
        ),
        (
            SqlState::UNIQUE_VIOLATION,
            FailureKind::Target,
            "restore it under a new name (without --append), and merge what is missing with INSERT … SELECT … ON CONFLICT",
        ),
        (
            SqlState::EXCLUSION_VIOLATION,
            FailureKind::Target,
            "restore it under a new name (without --append), and merge what is missing by hand",
        ),
        (
            SqlState::FOREIGN_KEY_VIOLATION,
            FailureKind::Target,
            "restore the tables that the rows belong to as well, or this one under a new name with --as",
        ),
        (
            SqlState::CHECK_VIOLATION,
            FailureKind::Target,
            "the live table has a stricter check than the backup: restore under a new name with --as",
        ),
        (
            SqlState::NOT_NULL_VIOLATION,
            FailureKind::Target,
            "the live table takes no NULL where the backup has one: restore under a new name with --as",
        ),
        (
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            FailureKind::Target,
            "restore its rows with --truncate, which keeps what depends on it",
        ),
        (
            SqlState::DISK_FULL,
            FailureKind::NoSpace,
            "make room on the server and restore again",
        ),
        (
            SqlState::READ_ONLY_SQL_TRANSACTION,
            FailureKind::Target,
            "connect to the primary, with a user and database that may write",
        ),
    ];
    if let Some((_, kind, remedy)) = known.into_iter().find(|(state, ..)| state == code) {
        return (kind, remedy);
    }
    match code.code().get(..2).unwrap_or("") {
        "42" | "3F" | "0A" | "58" | "22" => (
            FailureKind::Target,
            "the live database lacks what the definition or the rows need (a type, function, collation, extension), or has it otherwise: \
             make it there first, or restore the whole backup elsewhere",
        ),
        "08" | "57" => (
            FailureKind::Connect,
            "the session was ended: see the server's log, and restore again",
        ),
        "53" => (
            FailureKind::NoSpace,
            "the server lacks room or memory: mend that and restore again",
        ),
        _ => (FailureKind::Target, "see the server's log"),
    }
}
