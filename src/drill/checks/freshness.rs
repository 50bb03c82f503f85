//! Was the source still being written to when it was backed up? The newest value of a column is not much older than the
//! backup. A backup that is equal to its source can still be one of a replica that stopped, or of the wrong server.

use chrono::{DateTime, SecondsFormat, Utc};
use tokio_postgres::Row;

use super::{Answer, Drilled, Restored, configured, database_named};
use crate::config::Freshness;
use crate::config::units::{format_age, format_duration};
use crate::drill::report::{Check, CheckStatus};
use crate::error::Result;
use crate::sql::name::{quote_identifier, quote_literal};

/// The relation, whether it has the column, and whether that holds dates or timestamps.
const COLUMN: &str = "\
    select r.oid::pg_catalog.regclass::text, a.attnum is not null, \
           case y.typtype when 'd' then y.typbasetype else y.oid end \
             in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) \
      from (select pg_catalog.to_regclass($1)::oid) r(oid) \
      left join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attname = $2 and a.attnum > 0 and not a.attisdropped \
      left join pg_catalog.pg_type y on y.oid = a.atttypid";

/// How long finding the newest value may take: without an index, that reads the table.
const TIMEOUT: &str = "10min";

type Judged = (CheckStatus, String);

pub(super) async fn ask(wanted: &Freshness, drilled: &Drilled<'_>) -> Result<Check> {
    let (status, detail) = match (
        database_named(drilled, &wanted.database),
        drilled.finished_at,
    ) {
        (Err(why), _) => (CheckStatus::Failed, why),
        (Ok(_), None) => (
            CheckStatus::NotDone,
            "neither a manifest nor the file's name says when the backup was taken".to_owned(),
        ),
        (Ok(database), Some(finished_at)) => {
            let restored = Restored::open(drilled, database).await?;
            let judged = look(wanted, &restored, finished_at, drilled).await?;
            restored.session.close().await;
            judged
        }
    };
    let name = format!(
        "freshness of {}.{} of database {}",
        wanted.table, wanted.column, wanted.database
    );
    Ok(configured(name, status, detail))
}

async fn look(
    wanted: &Freshness,
    restored: &Restored<'_>,
    finished_at: DateTime<Utc>,
    drilled: &Drilled<'_>,
) -> Result<Judged> {
    // Values without a time zone are read in that of the source, where known.
    let zone = drilled
        .manifest
        .and_then(|manifest| manifest.session(&wanted.database))
        .map_or("UTC", |session| session.timezone.as_str());
    let begin = format!(
        "begin read only; set local statement_timeout = '{TIMEOUT}'; set local timezone = {}",
        quote_literal(zone)
    );
    if let Err(refusal) = restored.run(&begin).await? {
        return Ok((CheckStatus::NotDone, refusal.said));
    }
    let found = restored
        .query(COLUMN, &[&wanted.table, &wanted.column])
        .await?;
    let table = match column(wanted, found) {
        Ok(table) => table,
        Err(judged) => return Ok(judged),
    };
    // Bounded by comparison, and not by isfinite(), so that an index on the column serves.
    let column = quote_identifier(&wanted.column);
    let newest = format!(
        "select (extract(epoch from max({column})::timestamptz) * 1000000)::int8 from {table} \
          where {column} > '-infinity' and {column} < 'infinity'"
    );
    let rows = match restored.query(&newest, &[]).await? {
        Ok(rows) => rows,
        Err(refusal) => {
            let status = if refusal.is_of_server() {
                CheckStatus::NotDone
            } else {
                CheckStatus::Failed
            };
            return Ok((status, refusal.said));
        }
    };
    let newest: Option<i64> = rows.first().and_then(|row| row.get(0));
    Ok(judge(
        newest.and_then(DateTime::from_timestamp_micros),
        finished_at,
        wanted,
    ))
}

/// The table's quoted name, if table and column are fit to be asked.
fn column(wanted: &Freshness, found: Answer<Vec<Row>>) -> std::result::Result<String, Judged> {
    let failed = |why: String| Err((CheckStatus::Failed, why));
    let rows = match found {
        Ok(rows) => rows,
        Err(refusal) => return failed(refusal.said),
    };
    let row = rows.first();
    let Some(table) = row.and_then(|row| row.get::<_, Option<String>>(0)) else {
        return failed(format!("there is no table {}", wanted.table));
    };
    match row.map(|row| (row.get(1), row.get::<_, Option<bool>>(2))) {
        Some((true, Some(true))) => Ok(table),
        Some((true, _)) => failed(format!(
            "column {} of {table} holds neither dates nor timestamps",
            wanted.column
        )),
        _ => failed(format!("{table} has no column {}", wanted.column)),
    }
}

fn judge(newest: Option<DateTime<Utc>>, finished_at: DateTime<Utc>, wanted: &Freshness) -> Judged {
    let Some(newest) = newest else {
        return (CheckStatus::Failed, "it holds no value".to_owned());
    };
    let at = newest.to_rfc3339_opts(SecondsFormat::Secs, true);
    let Ok(age) = (finished_at - newest).to_std() else {
        return (
            CheckStatus::Passed,
            format!("the newest value is {at}, after the backup's own end"),
        );
    };
    let status = if age > wanted.max_age {
        CheckStatus::Failed
    } else {
        CheckStatus::Passed
    };
    let told = format!(
        "the newest value is {at}, {} older than the backup; {} is allowed",
        format_age(age),
        format_duration(wanted.max_age)
    );
    (status, told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn age_counts_from_the_end_of_the_backup() {
        let wanted = Freshness {
            database: "d".to_owned(),
            table: "t".to_owned(),
            column: "c".to_owned(),
            max_age: Duration::from_secs(3600),
        };
        let end = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let at = |seconds: i64| Some(end - chrono::TimeDelta::seconds(seconds));
        for (newest, status) in [
            (at(3600), CheckStatus::Passed),
            (at(3601), CheckStatus::Failed),
            (at(-1), CheckStatus::Passed),
            (None, CheckStatus::Failed),
        ] {
            assert_eq!(judge(newest, end, &wanted).0, status, "{newest:?}");
        }
        assert_eq!(
            judge(at(7200), end, &wanted).1,
            "the newest value is 2023-11-14T20:13:20Z, 2h older than the backup; 1h is allowed"
        );
    }
}
