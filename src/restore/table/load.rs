//! Rows from the archive into tables, counted and hashed on the way in, and read back.

use bytes::Bytes;
use futures_util::SinkExt;

use super::name::Name;
use super::source::{Piece, Rows};
use super::work::{Work, failed};
use crate::catalog::Table;
use crate::catalog::hash::RowHasher;
use crate::error::{Failure, FailureKind, Result};
use crate::pg::measure;
use crate::sql::name::quote_columns;

/// Rows to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// The rows, as the backup has them.
    pub(super) table: Table,
    /// Where they go.
    pub(super) into: Name,
    /// How they are compared.
    pub(super) compare: Compare,
}

/// How the rows of a table are compared with the backup's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// The table holds nothing else: it is read back.
    ReadBack,
    /// The same, of a partitioned table, which COPY reads by a query only.
    ReadBackByQuery,
    /// The table holds other rows too: what was sent is compared.
    AsSent,
}

/// Loads rows in the order of the archive; gives the rows of each table.
pub(super) async fn load(
    work: &Work<'_>,
    loads: &[Load],
    encoding: &str,
    mut rows: Rows,
) -> Result<Vec<u64>> {
    let mut sent: Vec<RowHasher> = loads.iter().map(|_| RowHasher::new()).collect();
    let mut counts = vec![0; loads.len()];
    while let Some(piece) = rows.receiver.recv().await {
        let Piece::Begin(table) = piece else {
            return Err(broken());
        };
        let (Some(load), Some(sent), Some(count)) =
            (loads.get(table), sent.get_mut(table), counts.get_mut(table))
        else {
            return Err(broken());
        };
        match Box::pin(run(work, load, encoding, &mut rows, sent)).await? {
            Some(loaded) => *count += loaded,
            // The reader says why there is no end.
            None => {
                rows.finish().await?;
                return Err(broken());
            }
        }
    }
    rows.finish().await?;
    for ((load, sent), count) in loads.iter().zip(&sent).zip(&counts) {
        is_whole(load, sent, *count)?;
    }
    Ok(counts)
}

fn broken() -> Failure {
    Failure::new(
        FailureKind::Damaged,
        "read the archive: rows without a beginning or an end",
    )
}

/// One COPY; none if its end did not come.
async fn run(
    work: &Work<'_>,
    load: &Load,
    encoding: &str,
    rows: &mut Rows,
    sent: &mut RowHasher,
) -> Result<Option<u64>> {
    let what = format!("load table {}", load.into);
    let error = |error| failed(&what, &error, &[]);
    let copy = format!(
        "copy {}{} from stdin",
        load.into.quoted(),
        quote_columns(&load.table.columns)
    );
    // Prepared while the session speaks UTF-8, run in the encoding of the dump.
    let statement = work.wait(&what, work.session.prepare(&copy)).await?;
    measure::enter_encoding(&work.session, encoding).await?;
    let sink = work
        .wait(&what, work.session.copy_in::<_, Bytes>(&statement))
        .await?;
    let mut sink = Box::pin(sink);
    loop {
        match rows.receiver.recv().await {
            Some(Piece::Rows(data)) => {
                // Dropping the sink tells the server that the copy failed.
                work.progress.check()?;
                sent.feed(&data);
                work.progress.add(data.len() as u64);
                sink.send(data).await.map_err(error)?;
            }
            Some(Piece::End) => break,
            Some(Piece::Begin(_)) => return Err(broken()),
            None => return Ok(None),
        }
    }
    let loaded = work.wait(&what, sink.as_mut().finish()).await?;
    measure::leave_encoding(&work.session, encoding).await?;
    Ok(Some(loaded))
}

/// Whether what was sent, and what the server took, is what the backup has.
fn is_whole(load: &Load, sent: &RowHasher, loaded: u64) -> Result<()> {
    let table = &load.table;
    let what = format!("load table {}", load.into);
    if (sent.rows, sent.bytes, sent.hash) != (table.rows, table.bytes, table.hash) {
        let what = format!(
            "{what}: the archive has {} rows of {} bytes that are not those of its manifest ({} rows, {} bytes)",
            sent.rows, sent.bytes, table.rows, table.bytes
        );
        return Err(Failure::new(FailureKind::Damaged, what).remedy("use another backup"));
    }
    if loaded != table.rows {
        let what = format!(
            "{what}: the server took {loaded} rows, the backup has {}",
            table.rows
        );
        return Err(Failure::new(FailureKind::NotEqual, what)
            .remedy("a rule or a trigger keeps rows out: restore under a new name with --as"));
    }
    Ok(())
}

/// Reads the tables back and compares them with the backup. Gives what could not be compared so.
pub(super) async fn compare(
    work: &Work<'_>,
    loads: &[Load],
    encoding: &str,
    settings_known: bool,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for load in loads {
        let condition = match load.compare {
            Compare::ReadBack => None,
            Compare::ReadBackByQuery => Some(""),
            Compare::AsSent => continue,
        };
        let name = load.into.to_string();
        if !settings_known
            && measure::depends_on_settings(&work.session, &name)
                .await?
                .any()
        {
            notes.push(format!(
                "table {name}: rows were counted and compared as they were sent, not as they read back: without a manifest the time zone of the dump is not known"
            ));
            continue;
        }
        let wanted = Table {
            schema: load.into.schema.clone(),
            name: load.into.name.clone(),
            ..load.table.clone()
        };
        let found = measure::table(&work.session, encoding, &wanted, condition, work.progress);
        let found = Box::pin(found).await?.unwrap_or_default();
        if (found.rows, found.hash) != (wanted.rows, wanted.hash) {
            let what = format!(
                "compare table {name} with the backup: {} rows read back, {} in the backup, and their content differs",
                found.rows, wanted.rows
            );
            return Err(Failure::new(FailureKind::NotEqual, what).remedy(
                "a column's type differs from the backup's, or a trigger changed rows: restore under a new name with --as, and compare",
            ));
        }
    }
    Ok(notes)
}
