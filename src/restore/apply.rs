//! Runs steps on a server, strictly: the first error ends it.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::error::SqlState;

use super::memberships::{self, Memberships};
use super::steps::{Step, Steps};
use super::surroundings::{Lacking, Surroundings};
use crate::catalog::definitions::Definitions;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::live;
use crate::pg::measure::{enter_encoding, leave_encoding};
use crate::sql::copy::CopyHeader;
use crate::sql::encoding::decode;
use crate::sql::name::quote_literal;
use crate::sql::scanner::Position;
use crate::sql::statement::{self, Statement};

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// Statements run, COPY not counted.
    pub statements: u64,
    /// Tables loaded.
    pub tables: u64,
    /// Rows loaded, as the server counted them.
    pub rows: u64,
    /// Wall time.
    pub seconds: f64,
    /// Roles, owners and grants that the dump defines.
    pub definitions: Definitions,
    /// What this machine lacks, and what was done instead.
    pub lacking: Vec<Lacking>,
}

/// Restores a whole archive into a server that is only there for that. `tablespaces` gives directories to use instead of
/// those the dump names, which are another machine's.
pub async fn restore(
    archive: &std::path::Path,
    target: &Target,
    tablespaces: &mut (dyn FnMut() -> Result<PathBuf> + Send),
    progress: &Progress,
) -> Result<Restored> {
    let began = Instant::now();
    let mut steps = Steps::read(archive, progress);
    let (session, version, _) = live::open(target).await?;
    let memberships = (version.major >= memberships::SINCE).then(Memberships::default);
    let mut apply = Apply {
        target,
        session,
        database: String::new(),
        encoding: String::new(),
        tablespaces,
        memberships,
        surroundings: Surroundings::new(version),
        restored: Restored::default(),
    };
    while let Some(step) = steps.receiver.recv().await {
        progress.check()?;
        match step {
            Step::Connect(name) => apply.connect(name).await?,
            Step::Statement(text, at) => apply.statement(&text, at).await?,
            Step::CopyBegin(header, text, at) => apply.copy(*header, &text, at, &mut steps).await?,
            Step::CopyData(_) | Step::CopyEnd => {
                return Err(refused("COPY data without a COPY", Position::default()));
            }
            Step::Refused(why, at) => return Err(refused(&why, at)),
            Step::TooLong(at) => return Err(too_long(at)),
        }
    }
    steps.finish().await?;
    apply.session.close().await;
    apply.restored.lacking = apply.surroundings.lacking();
    apply.restored.seconds = began.elapsed().as_secs_f64();
    Ok(apply.restored)
}

fn refused(why: &str, at: Position) -> Failure {
    Failure::new(FailureKind::Unsafe, format!("restore: {at}: {why}"))
        .remedy("treat the file as tampered with, and do not feed it to psql")
}

/// `DROP DATABASE IF EXISTS …` of `DROP DATABASE …`.
fn if_exists(text: &str, kind: &str) -> String {
    match text.get(..kind.len()) {
        Some(begin)
            if begin.eq_ignore_ascii_case(kind)
                && !text.to_ascii_lowercase().contains(" if exists ") =>
        {
            format!(
                "{kind} IF EXISTS{}",
                text.get(kind.len()..).unwrap_or_default()
            )
        }
        _ => text.to_owned(),
    }
}

fn too_long(at: Position) -> Failure {
    let what =
        format!("restore: {at}: a statement is longer than 64 MiB, more than we keep in memory");
    Failure::new(FailureKind::Scratch, what).remedy(
        "dump without --inserts, or with fewer --rows-per-insert: rows as COPY may be of any size",
    )
}

/// COPY needs its table's name as text.
fn unnameable(at: Position) -> Failure {
    Failure::new(
        FailureKind::Scratch,
        format!("restore: {at}: load a table whose name is not text in the section's encoding"),
    )
    .remedy("rename the table at its source, or restore it with psql")
}

struct Apply<'a> {
    target: &'a Target,
    session: Session,
    /// The database that the dump is connected to; none before its first `\connect`.
    database: String,
    /// The section's client_encoding; the session itself speaks UTF-8.
    encoding: String,
    tablespaces: &'a mut (dyn FnMut() -> Result<PathBuf> + Send),
    memberships: Option<Memberships>,
    surroundings: Surroundings,
    restored: Restored,
}

impl Apply<'_> {
    async fn connect(&mut self, database: String) -> Result<()> {
        let session = self.target.session(&database).await?;
        std::mem::replace(&mut self.session, session).close().await;
        self.database = database;
        self.encoding.clear();
        Ok(())
    }

    async fn statement(&mut self, text: &[u8], at: Position) -> Result<()> {
        let decoded = decode(&self.encoding, text);
        let as_utf8 = decoded.as_ref().map_or(text, |text| text.as_bytes());
        let rewritten = match statement::read(as_utf8) {
            Statement::Refused(why) => return Err(refused(why, at)),
            Statement::Set { name, value } if name == "client_encoding" => {
                self.encoding = value;
                return Ok(());
            }
            Statement::CreateTablespace { location, .. } => {
                let directory = (self.tablespaces)()?;
                let text = String::from_utf8_lossy(as_utf8);
                Some(text.replace(
                    &quote_literal(&location),
                    &quote_literal(&directory.to_string_lossy()),
                ))
            }
            // A dump made without --if-exists drops what an empty server does not have.
            Statement::DropGlobal(kind) => Some(if_exists(&String::from_utf8_lossy(as_utf8), kind)),
            Statement::Privilege => self.memberships.as_mut().and_then(|memberships| {
                memberships.rewrite(&String::from_utf8_lossy(as_utf8), &self.target.user)
            }),
            _ => None,
        };
        let text = match (rewritten, decoded) {
            (Some(text), _) => Cow::Owned(text),
            (None, Some(text)) => text,
            (None, None) => Cow::Owned(as_bytes(text)),
        };
        self.restored.statements += 1;
        match self.session.execute_typed(&text, &[]).await {
            Ok(_) => {}
            Err(error) => {
                let session = &self.session;
                if self.surroundings.otherwise(session, &text, &error).await {
                    return Ok(());
                }
                return Err(self.failed(&text, at, &error));
            }
        }
        self.restored
            .definitions
            .add(&self.database, text.as_bytes());
        Ok(())
    }

    async fn copy(
        &mut self,
        header: CopyHeader,
        text: &[u8],
        at: Position,
        steps: &mut Steps,
    ) -> Result<()> {
        let text = decode(&self.encoding, text).ok_or_else(|| unnameable(at))?;
        let place = format!("COPY {}", header.table);
        let statement = self
            .session
            .prepare(&text)
            .await
            .map_err(|error| self.failed(&place, at, &error))?;
        enter_encoding(&self.session, &self.encoding).await?;
        let sink = self
            .session
            .copy_in::<_, Bytes>(&statement)
            .await
            .map_err(|error| self.failed(&place, at, &error))?;
        let mut sink = Box::pin(sink);
        loop {
            match steps.receiver.recv().await {
                Some(Step::CopyData(data)) => sink
                    .send(data)
                    .await
                    .map_err(|error| self.failed(&place, at, &error))?,
                Some(Step::CopyEnd) => break,
                // Dropping the sink tells the server that the copy failed; nothing of it stays.
                Some(_) => return Err(refused("COPY data without an end", at)),
                None => return Err(steps.ended_early().await),
            }
        }
        self.restored.rows += sink
            .as_mut()
            .finish()
            .await
            .map_err(|error| self.failed(&place, at, &error))?;
        self.restored.tables += 1;
        leave_encoding(&self.session, &self.encoding).await
    }

    fn failed(&self, text: &str, at: Position, error: &tokio_postgres::Error) -> Failure {
        let shown = statement::shown(text.as_bytes());
        let database = match self.database.as_str() {
            "" => String::new(),
            name => format!(" database {name}"),
        };
        let what = format!("restore{database}: {at}: {shown:?}");
        let here = self.surroundings.judge(&self.database, error);
        let (kind, remedy) = here.unwrap_or_else(|| {
            let (kind, remedy) = judge(error);
            (kind, remedy.to_owned())
        });
        Failure::new(kind, what)
            .because(ServerError::from(error))
            .remedy(remedy)
    }
}

/// A statement whose bytes have no Unicode form, as one that the server reads as bytes: in a database of encoding
/// SQL_ASCII anything goes.
fn as_bytes(text: &[u8]) -> String {
    let hex = crate::ledger::hex(text);
    format!(
        "DO $pgvigil$ BEGIN EXECUTE convert_from(decode('{hex}', 'hex'), 'SQL_ASCII'); END $pgvigil$"
    )
}

/// Whether an error speaks against the backup or against the server it is restored into.
fn judge(error: &tokio_postgres::Error) -> (FailureKind, &'static str) {
    let Some(code) = error.code() else {
        return (
            FailureKind::Scratch,
            "the scratch server ended or cannot be reached: look at memory and disk space, and drill again",
        );
    };
    let class = code.code().get(..2).unwrap_or("");
    let message = error.as_db_error().map_or("", |error| error.message());
    match class {
        "53" | "57" | "58" | "08" | "XX" if !message.contains("extension") => (
            FailureKind::Scratch,
            "the scratch server lacks room or memory, or was ended: mend that and drill again",
        ),
        "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => (
            FailureKind::Scratch,
            "the dump acts as other roles (--use-set-session-authorization), or its code reached outside of the scratch server's fence",
        ),
        _ if message.contains("extension")
            && [SqlState::FEATURE_NOT_SUPPORTED, SqlState::UNDEFINED_FILE].contains(code) =>
        {
            (
                FailureKind::Scratch,
                "install the extension's package where the drill runs, then drill again",
            )
        }
        _ if message.contains("could not access file") => (
            FailureKind::Scratch,
            "install the package that holds this library where the drill runs, then drill again",
        ),
        _ if message.contains("locale name")
            || message.contains("collation") && message.contains("does not exist") =>
        {
            (
                FailureKind::Scratch,
                "generate that locale where the drill runs, then drill again",
            )
        }
        "42" if message.contains("unrecognized configuration parameter") => (
            FailureKind::Scratch,
            "drill with PostgreSQL binaries of the dump's version or newer",
        ),
        _ => (
            FailureKind::RestoreFailed,
            "this backup does not restore: keep an older proven one and take a new one",
        ),
    }
}
