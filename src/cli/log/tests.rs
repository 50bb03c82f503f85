use std::sync::{Arc, Mutex};

use chrono::TimeZone as _;
use proptest::prelude::*;
use serde_json::Value as Json;
use tracing::{error_span, info, warn};

use super::*;

/// What is logged by `work`, as it would stand on standard error.
fn logged(format: Format, work: impl FnOnce()) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    let lines = Lines {
        format,
        write: move |line: &str| sink.lock().expect("a lock").push_str(line),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::with_default(subscriber, work);
    let text = text.lock().expect("a lock");
    text.clone()
}

/// A reader of logfmt that knows nothing of ours but the escapes.
fn parse_logfmt(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=').expect("a key");
        assert!(!key.contains([' ', '"']), "a key: {key:?} in {line}");
        let (value, behind) = if behind.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(behind).into_iter::<String>();
            let value = values.next().expect("a value").expect("a quoted value");
            (value, &behind[values.byte_offset()..])
        } else {
            let end = behind.find(' ').unwrap_or(behind.len());
            (behind[..end].to_owned(), &behind[end..])
        };
        assert!(
            behind.is_empty() || behind.starts_with(' '),
            "{behind:?} in {line}"
        );
        pairs.push((key.to_owned(), value));
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    pairs
}

fn only_line(text: &str) -> &str {
    let line = text.strip_suffix('\n').expect("the end of a line");
    assert!(
        !line.chars().any(is_obeyed),
        "nothing that is obeyed: {line:?}"
    );
    line
}

#[test]
fn a_line_has_its_keys_in_order() {
    let at = Utc
        .with_ymd_and_hms(2025, 11, 15, 2, 0, 0)
        .single()
        .expect("a moment");
    let said = |format| {
        let mut fields = Fields(vec![
            ("job", Value::Text("backup".to_owned())),
            ("message", Value::Text("job ended".to_owned())),
            ("seconds", Value::Bare("1.5".to_owned())),
            ("backup", Value::Text(String::new())),
        ]);
        line(format, at, Level::INFO, &mut fields)
    };
    assert_eq!(
        said(Format::Logfmt),
        "ts=2025-11-15T02:00:00.000Z level=info msg=\"job ended\" job=backup seconds=1.5 backup=\"\"\n"
    );
    assert_eq!(
        said(Format::Json),
        "{\"ts\":\"2025-11-15T02:00:00.000Z\",\"level\":\"info\",\"msg\":\"job ended\",\"job\":\"backup\",\"seconds\":1.5,\"backup\":\"\"}\n"
    );
}

#[test]
fn what_an_event_says_itself_counts_before_what_its_attempt_says() {
    let work = || {
        let attempt = error_span!("attempt", job_id = "a", server = "ha");
        attempt.in_scope(|| {
            let inner = error_span!("inner", job_id = "b", level = 7);
            inner.in_scope(|| warn!(stage = "globals", none = None::<u64>, ts = true, "at work"));
        });
    };
    let said = logged(Format::Logfmt, work);
    let (_, behind) = only_line(&said).split_once(' ').expect("fields");
    assert_eq!(
        behind,
        "level=warn msg=\"at work\" stage=globals field_ts=true job_id=b field_level=7 server=ha"
    );
    let said: Json = serde_json::from_str(&logged(Format::Json, work)).expect("JSON");
    assert_eq!(
        (&said["level"], &said["field_level"]),
        (&"warn".into(), &7.into())
    );
}

#[test]
fn numbers_that_json_lacks_are_text() {
    let said = logged(Format::Json, || {
        info!(a = f64::NAN, b = f64::INFINITY, c = -0.5, d = 3_u64, "");
    });
    let said: Json = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&said["a"], &said["c"], &said["d"]),
        (&"NaN".into(), &(-0.5).into(), &3.into())
    );
}

#[test]
fn terminals_are_told_nothing_and_values_have_an_end() {
    let nasty = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}txt\u{2028}x\0\u{7f}\r\nlevel=error";
    for format in [Format::Logfmt, Format::Json] {
        let said = logged(format, || warn!(by = nasty, "{nasty}"));
        let line = only_line(&said);
        assert!(line.contains("\\u001b[2J\\u009b31m"), "{line}");
        let long = "x".repeat(100_000);
        let said = logged(format, || warn!(by = long, "{long}"));
        assert!(said.len() < 3 * LONGEST_VALUE, "{}", said.len());
        only_line(&said);
    }
}

proptest! {
    #[test]
    fn any_message_and_values_are_one_line_that_reads_back(
        message in "(\\PC|[\\x00-\\x20\"=\\\\\u{80}-\u{9f}\u{2028}\u{202e}\u{e0041}😀]){0,40}",
        first in "(\\PC|[\\x00-\\x20\"=\\\\\u{7f}]){0,40}",
        second in any::<String>(),
        number in any::<i64>(),
    ) {
        let work = || info!(first, number, second = %second, "{message}");
        let said = logged(Format::Logfmt, work);
        let pairs = parse_logfmt(only_line(&said));
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        prop_assert_eq!(keys, ["ts", "level", "msg", "first", "number", "second"]);
        let number = number.to_string();
        let wanted = [&message, &first, &number, &second];
        for ((_, value), wanted) in pairs.iter().skip(2).zip(wanted) {
            prop_assert_eq!(value, wanted);
        }

        let said = logged(Format::Json, work);
        let said: Json = serde_json::from_str(only_line(&said)).expect("JSON");
        prop_assert_eq!(said["msg"].as_str(), Some(message.as_str()));
        prop_assert_eq!(said["first"].as_str(), Some(first.as_str()));
        prop_assert_eq!(said["second"].as_str(), Some(second.as_str()));
        prop_assert_eq!(said["number"].to_string(), number);
        prop_assert_eq!(said.as_object().map(serde_json::Map::len), Some(6));
    }
}
