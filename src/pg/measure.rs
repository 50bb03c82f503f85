//! Reads tables, sequences and large objects back, to be compared with what a dump held.
//!
//! Equal data hashes equal only if it reads the same: the same columns in the same order, and the session settings of
//! pg_dump (DateStyle, IntervalStyle, extra_float_digits, row_security, client_encoding), together with those that
//! pg_dump leaves as the server has them (TimeZone, bytea_output, lc_monetary), which the manifest remembers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::{FutureExt, StreamExt, pin_mut};
use tokio_postgres::error::SqlState;

use super::connect::{ServerError, Session, Target};
use super::large_objects;
use crate::catalog::hash::RowHasher;
use crate::catalog::large_objects::LargeObjectHasher;
use crate::catalog::{Database, LargeObjects, Sequence, Table};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::SessionSettings;
use crate::outcome::Progress;
use crate::sql::encoding::is_utf8;
use crate::sql::name::{quote_columns, quote_identifier, quote_literal, quote_qualified};
use crate::sql::statement::unhex;

/// pg_dump's own settings (setup_connection in pg_dump.c).
const SETTINGS: &str = "set datestyle = iso; set intervalstyle = postgres; set extra_float_digits = 3; \
     set synchronize_seqscans = off; set statement_timeout = 0; set lock_timeout = 0; \
     set idle_in_transaction_session_timeout = 0; set row_security = off; set search_path = pg_catalog";

/// Tables that COPY does not take by name, or of which a dump holds a part: partitioned ones, and configuration tables of
/// extensions, of which pg_dump writes the rows that the extension's condition names. Gives what to read behind FROM.
const AS_QUERY: &str = "select n.nspname, c.relname, coalesce(x.condition, '') from pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     left join (select unnest(extconfig) as oid, unnest(extcondition) as condition from pg_catalog.pg_extension) x \
       on x.oid = c.oid \
     where c.relkind = 'p' or x.condition <> ''";

/// What COPY without a list takes of a table.
const ALL_COLUMNS: &str = "select a.attname::text from pg_catalog.pg_attribute a \
     join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' \
     order by a.attnum";

/// A session in a restored database that reads as pg_dump does.
pub struct Reading {
    session: Session,
    /// The section's client_encoding.
    encoding: String,
    /// Tables that are read by a query: what stands behind FROM after the name.
    as_query: HashMap<(String, String), String>,
}

impl Reading {
    /// Opens a session in the database of a section.
    pub async fn open(
        target: &Target,
        section: &Database,
        settings: Option<&SessionSettings>,
    ) -> Result<Self> {
        let session = target.session(&section.name).await?;
        prepare(&session, settings).await?;
        let as_query = session
            .query(AS_QUERY, &[])
            .await
            .map_err(failed("list partitioned and configuration tables"))?
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect();
        Ok(Self {
            session,
            encoding: section.encoding.clone(),
            as_query,
        })
    }

    /// Reads values otherwise from here on, without a value as the database has it; false where the server does not know
    /// the value.
    pub async fn set(&self, name: &str, value: Option<&str>) -> bool {
        let value = value.map_or_else(|| "default".to_owned(), quote_literal);
        let set = format!("set {name} = {value}");
        self.session.batch_execute(&set).await.is_ok()
    }

    /// Reads a table; none where it is not there.
    pub async fn table(&self, table: &Table, progress: &Progress) -> Result<Option<Table>> {
        progress.check()?;
        let name = (table.schema.clone(), table.name.clone());
        let condition = self.as_query.get(&name).map(String::as_str);
        self::table(&self.session, &self.encoding, table, condition, progress).await
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}

/// Measures in a database of `target` what `expected` names, with up to so many sessions; what is not there is not in the
/// result. Tables come in no order.
pub async fn database(
    target: &Target,
    expected: &Database,
    settings: Option<&SessionSettings>,
    sessions: usize,
    progress: &Progress,
) -> Result<Database> {
    let mut readings = vec![Reading::open(target, expected, settings).await?];
    while readings.len() < sessions.min(expected.tables.len()) {
        readings.push(Reading::open(target, expected, settings).await?);
    }
    let mut actual = Database {
        name: expected.name.clone(),
        encoding: expected.encoding.clone(),
        ..Database::default()
    };
    // The largest first: what is begun last decides when the last session ends.
    let mut order: Vec<&Table> = expected.tables.iter().collect();
    order.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let next = AtomicUsize::new(0);
    let reading = readings
        .iter()
        .map(|reading| read_some(reading, &order, &next, progress).boxed());
    // Collected first: a lazy map of borrowing futures is more than the compiler can prove to be Send.
    let reading: Vec<BoxFuture<'_, _>> = reading.collect();
    for tables in try_join_all(reading).await? {
        actual.tables.extend(tables);
    }
    let Some(reading) = readings.pop() else {
        return Ok(actual);
    };
    for reading in readings {
        reading.close().await;
    }
    for sequence in &expected.sequences {
        actual
            .sequences
            .extend(measure_sequence(&reading.session, sequence).await?);
    }
    let session = &reading.session;
    actual.large_objects = if large_objects::may_read_table(session).await? {
        measure_large_objects(session).await?
    } else {
        large_objects::by_calls(session, progress).await?
    };
    reading.close().await;
    Ok(actual)
}

/// Reads tables as long as there are some that no other session has taken.
async fn read_some(
    reading: &Reading,
    tables: &[&Table],
    next: &AtomicUsize,
    progress: &Progress,
) -> Result<Vec<Table>> {
    let mut read = Vec::new();
    while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
        read.extend(reading.table(table, progress).await?);
    }
    Ok(read)
}

fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = format!("{what} of the restored server");
    move |error| Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error))
}

/// Gives a session pg_dump's settings, and those of the dump's own session where they are known.
pub async fn prepare(session: &Session, settings: Option<&SessionSettings>) -> Result<()> {
    session
        .batch_execute(SETTINGS)
        .await
        .map_err(failed("set up a session"))?;
    let Some(settings) = settings else {
        return Ok(());
    };
    for (name, value) in [
        ("timezone", &settings.timezone),
        ("bytea_output", &settings.bytea_output),
        ("lc_monetary", &settings.lc_monetary),
    ] {
        let set = format!("set {name} = {}", quote_literal(value));
        match session.batch_execute(&set).await {
            // A locale that this system lacks changes only how money reads: the comparison will show whether it matters.
            Err(_) if name == "lc_monetary" => {}
            other => other.map_err(failed("set up a session"))?,
        }
    }
    Ok(())
}

/// Counts and hashes the rows of a table, which may be in a transaction of the session: the columns and the name are those
/// of `table`. `condition` reads it with a query, of which this is what stands behind FROM. None if there is no such table.
pub async fn table(
    session: &Session,
    encoding: &str,
    table: &Table,
    condition: Option<&str>,
    progress: &Progress,
) -> Result<Option<Table>> {
    let name = quote_qualified(&table.schema, &table.name);
    let what = format!("read table {}.{}", table.schema, table.name);
    let copy = if let Some(condition) = condition {
        let all = if table.all_columns {
            all_columns(session, table).await?
        } else {
            Vec::new()
        };
        let columns: Vec<_> = table
            .columns
            .iter()
            .chain(&all)
            .map(|column| quote_identifier(column))
            .collect();
        format!(
            "copy (select {} from {name} {condition}) to stdout",
            columns.join(", ")
        )
    } else {
        // Without a list COPY gives all columns that are not generated.
        format!("copy {name}{} to stdout", quote_columns(&table.columns))
    };
    // Prepared while the session speaks UTF-8, run in the encoding of the dump.
    let statement = session.prepare(&copy).await.map_err(failed(&what))?;
    enter_encoding(session, encoding).await?;
    let mut hasher = RowHasher::new();
    let stream = match session.copy_out(&statement).await {
        Ok(stream) => stream,
        Err(error) => {
            leave_encoding(session, encoding).await?;
            let missing = [
                SqlState::UNDEFINED_TABLE,
                SqlState::UNDEFINED_COLUMN,
                SqlState::INVALID_SCHEMA_NAME,
            ];
            return if error.code().is_some_and(|code| missing.contains(code)) {
                Ok(None)
            } else {
                Err(failed(&what)(error))
            };
        }
    };
    pin_mut!(stream);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(failed(&what))?;
        progress.check()?;
        hasher.feed(&piece);
        progress.add(piece.len() as u64);
    }
    leave_encoding(session, encoding).await?;
    Ok(Some(Table {
        schema: table.schema.clone(),
        name: table.name.clone(),
        columns: table.columns.clone(),
        all_columns: table.all_columns,
        rows: hasher.rows,
        bytes: hasher.bytes,
        hash: hasher.hash,
        data: Vec::new(),
    }))
}

/// The columns that COPY takes without a list.
async fn all_columns(session: &Session, table: &Table) -> Result<Vec<String>> {
    let rows = session
        .query(ALL_COLUMNS, &[&table.schema, &table.name])
        .await
        .map_err(failed(&format!(
            "list the columns of table {}.{}",
            table.schema, table.name
        )))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Has the session take and give COPY data in a section's encoding. Statements must be UTF-8 again, after
/// [`leave_encoding`]. Sections in UTF-8, nearly all of them, need neither.
pub async fn enter_encoding(session: &Session, encoding: &str) -> Result<()> {
    if is_utf8(encoding) {
        return Ok(());
    }
    set_encoding(session, encoding).await
}

/// Ends [`enter_encoding`].
pub async fn leave_encoding(session: &Session, encoding: &str) -> Result<()> {
    if is_utf8(encoding) {
        return Ok(());
    }
    set_encoding(session, "UTF8").await
}

async fn set_encoding(session: &Session, encoding: &str) -> Result<()> {
    session
        .batch_execute(&format!(
            "set client_encoding = {}",
            quote_literal(encoding)
        ))
        .await
        .map_err(failed("set the encoding"))
}

/// Types whose text depends on TimeZone, bytea_output or lc_monetary, and what is made of them; what composites hold is
/// not looked into.
const DEPENDS_ON_SESSION: &str = "with recursive t(oid) as ( \
        select a.atttypid from pg_catalog.pg_attribute a \
          join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where n.nspname || '.' || c.relname = $1 and a.attnum > 0 and not a.attisdropped \
        union \
        select e.oid from t join pg_catalog.pg_type p on p.oid = t.oid \
          cross join lateral (select p.typelem where p.typelem <> 0 union select p.typbasetype where p.typbasetype <> 0 \
               union select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = p.oid) e(oid)) \
     select coalesce(bool_or(p.typname in ('timestamptz', 'timetz') or p.typtype in ('c', 'm')), false), \
            coalesce(bool_or(p.typname = 'bytea' or p.typtype in ('c', 'm')), false), \
            coalesce(bool_or(p.typname = 'money' or p.typtype in ('c', 'm')), false) \
       from t join pg_catalog.pg_type p on p.oid = t.oid";

/// Which settings of a session a table's text may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependsOn {
    /// TimeZone.
    pub timezone: bool,
    /// bytea_output.
    pub bytea_output: bool,
    /// lc_monetary.
    pub lc_monetary: bool,
}

impl DependsOn {
    /// Whether it depends on any of them.
    pub fn any(self) -> bool {
        self.timezone || self.bytea_output || self.lc_monetary
    }
}

/// Under which session settings the values of a table (`schema.name`) read otherwise.
pub async fn depends_on_session(target: &Target, database: &str, table: &str) -> Result<DependsOn> {
    let session = target.session(database).await?;
    let depends = depends_on_settings(&session, table).await?;
    session.close().await;
    Ok(depends)
}

/// The same in a session, which may be in a transaction that made the table.
pub async fn depends_on_settings(session: &Session, table: &str) -> Result<DependsOn> {
    let row = session
        .query_one(DEPENDS_ON_SESSION, &[&table])
        .await
        .map_err(failed("look up column types"))?;
    Ok(DependsOn {
        timezone: row.get(0),
        bytea_output: row.get(1),
        lc_monetary: row.get(2),
    })
}

async fn measure_sequence(session: &Session, sequence: &Sequence) -> Result<Option<Sequence>> {
    let ask = format!(
        "select last_value, is_called from {}",
        quote_qualified(&sequence.schema, &sequence.name)
    );
    match session.query_one(&ask, &[]).await {
        Ok(row) => Ok(Some(Sequence {
            schema: sequence.schema.clone(),
            name: sequence.name.clone(),
            value: row.get(0),
            called: row.get(1),
        })),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(error) => Err(failed(&format!(
            "read sequence {}.{}",
            sequence.schema, sequence.name
        ))(error)),
    }
}

async fn measure_large_objects(session: &Session) -> Result<LargeObjects> {
    const WHAT: &str = "read large objects";
    let mut hasher = LargeObjectHasher::default();
    // An object without content has no page; the left join gives it a row.
    let copy = "copy (select m.oid, p.pageno, encode(p.data, 'hex') from pg_catalog.pg_largeobject_metadata m \
                left join pg_catalog.pg_largeobject p on p.loid = m.oid order by m.oid, p.pageno) to stdout";
    let stream = session.copy_out(copy).await.map_err(failed(WHAT))?;
    pin_mut!(stream);
    let mut rest = Vec::new();
    while let Some(piece) = stream.next().await {
        rest.extend_from_slice(&piece.map_err(failed(WHAT))?);
        let end = memchr::memrchr(b'\n', &rest).map_or(0, |newline| newline + 1);
        for line in rest
            .drain(..end)
            .collect::<Vec<_>>()
            .split_inclusive(|byte| *byte == b'\n')
        {
            large_object_page(&mut hasher, line).ok_or_else(|| {
                Failure::new(FailureKind::Scratch, format!("{WHAT}: an unexpected row"))
            })?;
        }
    }
    Ok(hasher.finish())
}

fn large_object_page(hasher: &mut LargeObjectHasher, line: &[u8]) -> Option<()> {
    let mut fields = std::str::from_utf8(line).ok()?.trim_end().split('\t');
    let (oid, page, data) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?);
    if page == "\\N" {
        hasher.begin(oid);
    } else {
        hasher.page(oid, page.parse().ok()?, &unhex(&format!("\\x{data}"))?);
    }
    Some(())
}
