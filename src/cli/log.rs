//! The log: each event is one line on standard error, in logfmt or as JSON, with the same keys: `ts`, `level`, `msg`, the
//! event's own fields, then those of the attempt that it belongs to.
//!
//! Whatever a message or a value holds — a server's error text, the name of someone's application — a line stays a line,
//! and no terminal obeys it.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::recorder::LOG_TARGET;

/// Most characters of one value: container runtimes break lines at 16 KiB.
const LONGEST_VALUE: usize = 4000;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// ts=… level=info msg="job ended" job=backup …
    #[value(alias = "text")]
    Logfmt,
    /// {"ts":"…","level":"info","msg":"job ended","job":"backup",…}
    Json,
}

/// Writes events to where `write` puts them.
struct Lines<W> {
    format: Format,
    write: W,
}

/// A value as both forms have it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    /// A number or a truth value.
    Bare(String),
}

/// What an event or a span says, in order.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

/// Logs to standard error from now on. `once` says that the command ends with a sentence of its own when its job fails:
/// the log does not say it too.
pub(super) fn to_stderr(format: Format, level: Level, once: bool) {
    // tokio-postgres logs every notice of a server, and hyper its bytes: not what our readers look for.
    let own = Targets::new()
        .with_target("pgvigil", level)
        .with_default(LevelFilter::WARN);
    let unsaid = filter_fn(move |event| !(once && says_how_a_job_failed(event)));
    let lines = Lines {
        format,
        write: |line: &str| {
            // One call, so that lines of several threads and processes do not mix. If nobody reads, nobody misses it.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        },
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(own.and(unsaid)))
        .init();
}

fn says_how_a_job_failed(event: &Metadata<'_>) -> bool {
    event.is_event() && *event.level() <= Level::WARN && event.target() == LOG_TARGET
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(more) = span.extensions().get::<Fields>() {
                fields.add(more);
            }
        }
        let line = line(
            self.format,
            Utc::now(),
            *event.metadata().level(),
            &mut fields,
        );
        (self.write)(&line);
    }
}

impl Fields {
    /// Adds what is not there yet: the event's own word counts, then that of the innermost span.
    fn add(&mut self, more: &Self) {
        for (name, value) in &more.0 {
            if !self.0.iter().any(|(known, _)| known == name) {
                self.0.push((name, value.clone()));
            }
        }
    }

    fn take_message(&mut self) -> Value {
        match self.0.iter().position(|(name, _)| *name == "message") {
            Some(at) => self.0.remove(at).1,
            None => Value::Text(String::new()),
        }
    }

    fn push(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            // What a line says by itself is not said twice.
            "ts" => "field_ts",
            "level" => "field_level",
            "msg" => "field_msg",
            name => name,
        };
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        let value = if value.is_finite() {
            Value::Bare(text)
        } else {
            Value::Text(text)
        };
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field, Value::Text(format!("{value:?}")));
    }
}

fn line(format: Format, at: DateTime<Utc>, level: Level, fields: &mut Fields) -> String {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let own = [
        ("ts", text(&at.to_rfc3339_opts(SecondsFormat::Millis, true))),
        ("level", text(level)),
        ("msg", fields.take_message()),
    ];
    let mut line = String::with_capacity(200);
    for (name, value) in own.iter().chain(&fields.0) {
        match format {
            Format::Logfmt => logfmt(&mut line, name, value),
            Format::Json => json(&mut line, name, value),
        }
    }
    if format == Format::Json {
        line.push('}');
    }
    line.push('\n');
    line
}

fn logfmt(line: &mut String, name: &str, value: &Value) {
    if !line.is_empty() {
        line.push(' ');
    }
    // Names are ours, from the source; one with dots or `r#` would still be a word.
    line.push_str(name);
    line.push('=');
    match value {
        Value::Bare(text) => line.push_str(text),
        Value::Text(text) if is_a_word(text) => line.push_str(text),
        Value::Text(text) => quoted(line, text),
    }
}

fn json(line: &mut String, name: &str, value: &Value) {
    line.push(if line.is_empty() { '{' } else { ',' });
    quoted(line, name);
    line.push(':');
    match value {
        Value::Bare(text) => line.push_str(text),
        Value::Text(text) => quoted(line, text),
    }
}

/// Whether logfmt needs no quotes for it.
fn is_a_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_VALUE
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\') && !is_obeyed(c))
}

/// What a terminal or a viewer obeys instead of showing it: control characters, line ends of Unicode, what is not seen,
/// and what turns the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// In double quotes, with the escapes of JSON, which readers of logfmt know too.
fn quoted(line: &mut String, text: &str) {
    line.push('"');
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST_VALUE {
            line.push('…');
            break;
        }
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_obeyed(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests;
