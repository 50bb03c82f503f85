//! The configuration's own questions: a query in a restored database, and what its answer must be.
//!
//! The query is the cursor of a read-only transaction: a single query, whatever its text, of which one row is fetched, in
//! PostgreSQL's text form.

use tokio_postgres::SimpleQueryMessage;

use super::{Answer, Drilled, Refusal, Restored, configured, database_named};
use crate::config;
use crate::config::units::format_duration;
use crate::drill::report::{Check, CheckStatus};
use crate::error::Result;
use crate::sql::name::quote_literal;

/// Letters of an answer that are shown.
const SHOWN: usize = 80;

/// PostgreSQL's largest timeout, in milliseconds.
const LONGEST: u128 = i32::MAX as u128;

/// What came back; the inner one is NULL's.
type Value = Option<Option<String>>;

pub(super) async fn ask(check: &config::Check, drilled: &Drilled<'_>) -> Result<Check> {
    let (status, detail) = match database_named(drilled, &check.database) {
        Err(why) => (CheckStatus::Failed, why),
        Ok(database) => {
            let restored = Restored::open(drilled, database).await?;
            let answer = answer(&restored, check, drilled).await?;
            restored.session.close().await;
            judge(check, &answer)
        }
    };
    Ok(configured(check.name.clone(), status, detail))
}

async fn answer(
    restored: &Restored<'_>,
    check: &config::Check,
    drilled: &Drilled<'_>,
) -> Result<Answer<Value>> {
    let mut begin = format!(
        "begin read only; set local statement_timeout = {}",
        check.timeout.as_millis().min(LONGEST)
    );
    // What a question about age compares with: the drill may come long after the backup.
    if let Some(time) = drilled.finished_at {
        let time = quote_literal(&time.to_rfc3339());
        begin.push_str(&format!("; set local pgvigil.backup_finished_at = {time}"));
    }
    if let Err(refusal) = restored.run(&begin).await? {
        return Ok(Err(refusal));
    }
    // By the extended protocol, which takes one statement only.
    let declare = format!("declare pgvigil_answer no scroll cursor for {}", check.sql);
    if let Err(refusal) = restored
        .answer(restored.session.execute_typed(&declare, &[]))
        .await?
    {
        return Ok(Err(refusal));
    }
    let fetch = restored.session.simple_query("fetch 1 from pgvigil_answer");
    Ok(restored
        .answer(fetch)
        .await?
        .map(|messages| first(&messages)))
}

fn first(messages: &[SimpleQueryMessage]) -> Value {
    messages.iter().find_map(|message| match message {
        // Without a column there is nothing to expect something of, as with NULL.
        SimpleQueryMessage::Row(row) => Some(row.try_get(0).ok().flatten().map(str::to_owned)),
        _ => None,
    })
}

fn judge(check: &config::Check, answer: &Answer<Value>) -> (CheckStatus, String) {
    let expect = &check.expect;
    match answer {
        Ok(None) => (CheckStatus::Failed, format!("no row, expected {expect}")),
        Ok(Some(value)) => {
            let status = if expect.holds(value.as_deref()) {
                CheckStatus::Passed
            } else {
                CheckStatus::Failed
            };
            (
                status,
                format!("{}, expected {expect}", shown(value.as_deref())),
            )
        }
        Err(refusal) if refusal.is_timeout() => (
            CheckStatus::NotDone,
            format!("no answer within {}", format_duration(check.timeout)),
        ),
        Err(refusal) => (status_of(refusal), refusal.said.clone()),
    }
}

/// An error of the query is a wrong answer; one of the scratch server is none.
fn status_of(refusal: &Refusal) -> CheckStatus {
    if refusal.is_of_server() {
        CheckStatus::NotDone
    } else {
        CheckStatus::Failed
    }
}

fn shown(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "NULL".to_owned();
    };
    let mut text: String = value
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    if config::expect::decimal::Decimal::parse(value).is_some() {
        text
    } else {
        format!("\"{text}\"")
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::error::SqlState;

    use super::*;

    fn judged(expect: &str, answer: Answer<Value>) -> (CheckStatus, String) {
        let check = config::Check {
            name: "n".to_owned(),
            database: "d".to_owned(),
            sql: "select 1".to_owned(),
            expect: config::Expect::parse(expect).expect(expect),
            timeout: config::CHECK_TIMEOUT,
        };
        judge(&check, &answer)
    }

    fn refused(code: SqlState) -> Answer<Value> {
        Err(Refusal {
            code,
            said: "said".to_owned(),
        })
    }

    #[test]
    fn answers() {
        let value = |text: &str| Ok(Some(Some(text.to_owned())));
        let cases = [
            (
                judged("> 0", value("5")),
                CheckStatus::Passed,
                "5, expected > 0",
            ),
            (
                judged("> 5", value("5")),
                CheckStatus::Failed,
                "5, expected > 5",
            ),
            (
                judged("= open", value("a\nb")),
                CheckStatus::Failed,
                "\"a\\nb\", expected = open",
            ),
            (
                judged("not null", Ok(Some(None))),
                CheckStatus::Failed,
                "NULL, expected not null",
            ),
            (
                judged("not null", Ok(None)),
                CheckStatus::Failed,
                "no row, expected not null",
            ),
            (
                judged("> 5", refused(SqlState::UNDEFINED_TABLE)),
                CheckStatus::Failed,
                "said",
            ),
            (
                judged("> 5", refused(SqlState::OUT_OF_MEMORY)),
                CheckStatus::NotDone,
                "said",
            ),
            (
                judged("> 5", refused(SqlState::QUERY_CANCELED)),
                CheckStatus::NotDone,
                "no answer within 1m",
            ),
        ];
        for ((status, detail), wanted, text) in cases {
            assert_eq!((status, detail.as_str()), (wanted, text));
        }
        let long = "x".repeat(1000);
        assert!(judged("= y", value(&long)).1.len() < 120);
    }
}
