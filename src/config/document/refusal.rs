//! Reads the YAML itself, within limits, and says in our words what it stumbles over: the line, the key, what to do.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

/// What a file may amount to when its aliases are followed: hundreds of servers with every key, and 20 MiB to hold.
const MOST_NODES: usize = 20_000;
const MOST_SCALAR_BYTES: usize = 4 << 20;

/// Most characters of the parser's message: it quotes keys, which may be of any length.
const LONGEST: usize = 400;

/// The parser's words, ours where they say nothing to most people, and what to do.
const WORDS: [(&str, Option<&str>, Option<&str>); 15] = [
    ("unknown field", None, None),
    (
        "duplicate mapping key",
        Some("{} is there twice"),
        Some("keep one of them"),
    ),
    (
        "null is not allowed here",
        Some("it has no value"),
        Some("give one, or leave the key out"),
    ),
    (
        "expected string scalar",
        Some("expected one value"),
        Some("write one value behind the colon, in quotes where it begins with [ { * & or !"),
    ),
    (
        "expected mapping start",
        Some("expected keys with values"),
        Some("write them as { key: value }, or indented on lines below; README.md lists every key"),
    ),
    (
        "expected sequence start",
        Some("expected a list"),
        Some("write it as [ … ], or with - on lines below"),
    ),
    (
        "reference to unknown value",
        Some("a value that begins with * is an alias in YAML, and this one names nothing"),
        Some("put it into quotes"),
    ),
    (
        "while scanning an anchor or alias",
        Some("a value that begins with * or & is no plain one in YAML"),
        Some("put it into quotes"),
    ),
    (
        "too large or too complex",
        Some("it holds too much, counting what its aliases (*) stand for"),
        Some("write it without aliases; or is this not the right file?"),
    ),
    (
        "recursion limit exceeded",
        Some("it is nested too deeply"),
        None,
    ),
    (
        "externally tagged enum",
        Some("none of its forms"),
        Some("write embedded, { fence: required } or { server: { … } }"),
    ),
    (
        "unknown variant",
        None,
        Some("for drill.scratch write embedded, { fence: required } or { server: { … } }"),
    ),
    (
        "tagged scalar",
        Some("a tag (!) stands before the value"),
        Some("leave the tag out"),
    ),
    (
        "multiple found",
        Some("another YAML document begins"),
        Some("keep one, without --- between"),
    ),
    (
        "mapping values are not allowed",
        Some("a colon where no key can be"),
        Some("check the indentation, and put values with a colon into quotes"),
    ),
];

/// Why a text is no configuration.
pub(super) struct Refused {
    /// `line 4, servers[0].backup: `, as far as it is known.
    pub(super) place: String,
    pub(super) what: String,
    /// `None`: where the form of such files is described.
    pub(super) remedy: Option<&'static str>,
}

/// What a text amounts to, or why it is refused.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Refused> {
    let options = serde_yaml::options! {
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MOST_NODES,
            max_total_scalar_bytes: MOST_SCALAR_BYTES,
        },
    };
    let mut path = String::new();
    let read = serde_yaml::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize::<_, T>(deserializer).map_err(|error| {
            path = keys(error.path());
            error.into_inner()
        })
    });
    read.map_err(|error| refused(&error, &path, text))
}

fn refused(error: &serde_yaml::Error, path: &str, text: &str) -> Refused {
    let line = error.location().map(|place| place.line());
    if let Some(tab) = line.and_then(|line| tab_near(text, line)) {
        return Refused {
            place: format!("line {tab}: "),
            what: "a tab in the indentation".to_owned(),
            remedy: Some("indent with spaces"),
        };
    }
    let message = error
        .without_snippet()
        .render_with_formatter(&serde_yaml::UserMessageFormatter);
    // Its own text ends with a place that would say the line twice.
    let said = message.split(" at line ").next().unwrap_or_default();
    let known = WORDS.iter().find(|(theirs, ..)| said.contains(theirs));
    let what = match known {
        Some((_, Some(ours), _)) => {
            let quoted = said.split('`').nth(1).unwrap_or_default();
            ours.replace("{}", &shortened(quoted))
        }
        _ => shortened(&said.replace('\n', " ")),
    };
    // Of a key that is not known, the section is what helps: the message names the key.
    let key = if what.starts_with("unknown field") {
        path.rsplit_once('.').map_or("", |(section, _)| section)
    } else {
        path
    };
    let place = match (line, key) {
        (None, _) => String::new(),
        (Some(line), "") => format!("line {line}: "),
        (Some(line), key) => format!("line {line}, {}: ", shortened(key)),
    };
    Refused {
        place,
        what,
        remedy: known.and_then(|(.., remedy)| *remedy),
    }
}

/// `servers[0].backup`, as far as it is known.
fn keys(path: &Path) -> String {
    let mut keys = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => keys.push_str(&format!("[{index}]")),
            // What holds a value and its place in the text is no key.
            Segment::Map { key } if key == "value" => {}
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !keys.is_empty() {
                    keys.push('.');
                }
                keys.push_str(key);
            }
            Segment::Unknown => break,
        }
    }
    keys
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The line with a tab in its indentation, which YAML does not take; the parser stumbles there, or one line off.
fn tab_near(text: &str, line: u64) -> Option<u64> {
    let first = line.saturating_sub(1).max(1);
    let skipped = usize::try_from(first - 1).ok()?;
    let indented_by_tab = |line: &str| {
        let body = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - body.len();
        !body.is_empty() && line.bytes().take(indent).any(|byte| byte == b'\t')
    };
    let mut near = (first..).zip(text.lines().skip(skipped).take(3));
    near.find_map(|(number, line)| indented_by_tab(line).then_some(number))
}
