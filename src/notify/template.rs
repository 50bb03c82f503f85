//! Texts of annotations: the part of Go's templates that rules/pgvigil.rules.yaml uses.
//!
//! `{{ $labels.name }}`, `{{ $value }}`, each with one function behind a `|`, and `{{ with $labels.name }}…{{ . }}…{{ end }}`
//! for what is there only where a label is. Anything else is refused when the rules are read.

use super::humanize;
use crate::promql::Labels;

/// A text with gaps.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {0}")]
pub(super) struct TemplateError(String);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Label(String),
    /// A label as a part of a link.
    Escaped(String),
    Value(fn(f64) -> String),
    /// Where the label is there.
    With(String, Vec<Self>),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut open: Option<(String, Vec<Part>)> = None;
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (action, behind) = behind
                .split_once("}}")
                .ok_or_else(|| refused(behind, "does not end"))?;
            rest = behind;
            let words: Vec<&str> = action.split_whitespace().collect();
            let plain = (!before.is_empty()).then(|| Part::Text(before.to_owned()));
            open.as_mut()
                .map_or(&mut parts, |(_, inner)| inner)
                .extend(plain);
            let part = match (words.as_slice(), &open) {
                (["with", label], None) => {
                    open = Some((label_name(label, action)?, Vec::new()));
                    continue;
                }
                (["end"], Some(_)) => {
                    parts.extend(open.take().map(|(label, inner)| Part::With(label, inner)));
                    continue;
                }
                (["."], Some((label, _))) => Part::Label(label.clone()),
                (words, _) => gap(words, action)?,
            };
            open.as_mut()
                .map_or(&mut parts, |(_, inner)| inner)
                .push(part);
        }
        if open.is_some() {
            return Err(refused("with", "has no end"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The text for an alert.
    pub(super) fn render(&self, labels: &Labels, value: f64) -> String {
        let mut text = String::new();
        write(&self.0, labels, value, &mut text);
        text
    }
}

fn gap(words: &[&str], action: &str) -> Result<Part, TemplateError> {
    Ok(match words {
        ["$value"] => Part::Value(humanize::plain),
        ["$value", "|", function] => Part::Value(match *function {
            "humanizeDuration" => humanize::duration,
            "humanize1024" => humanize::binary,
            "humanizePercentage" => humanize::percentage,
            "humanizeTimestamp" => humanize::timestamp,
            _ => return Err(refused(action, "has a function that is not known here")),
        }),
        [label] => Part::Label(label_name(label, action)?),
        [label, "|", "urlquery"] => Part::Escaped(label_name(label, action)?),
        _ => return Err(refused(action, "is not known here")),
    })
}

fn label_name(word: &str, action: &str) -> Result<String, TemplateError> {
    let name = word.strip_prefix("$labels.");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.filter(|name| !name.is_empty() && name.chars().all(is_part)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(refused(action, "is not known here")),
    }
}

fn refused(action: &str, why: &str) -> TemplateError {
    TemplateError(format!("{{{{{action}}}}} {why}"))
}

fn write(parts: &[Part], labels: &Labels, value: f64, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Label(name) => text.push_str(labels.get(name)),
            Part::Escaped(name) => escape(labels.get(name), text),
            Part::Value(written) => text.push_str(&written(value)),
            Part::With(name, inner) if !labels.get(name).is_empty() => {
                write(inner, labels, value, text);
            }
            Part::With(..) => {}
        }
    }
}

/// Go's `url.QueryEscape`.
fn escape(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_what_is_known_and_leaves_out_what_is_not_there() {
        let text = "{{ $labels.a }}{{ with $labels.b }} in {{ . }}{{ end }}{{with $labels.c}} on {{.}}{{end}} {{ $value | humanizePercentage }} ?{{ $labels.a | urlquery }}";
        let template = Template::parse(text).expect(text);
        let labels = Labels::new([("a", "ä b"), ("c", "d")]);
        assert_eq!(template.render(&labels, 0.5), "ä b on d 50% ?%C3%A4+b");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            "{{ $labels.a",
            "{{ $value | humanize }}",
            "{{ $labels.a | humanizeDuration }}",
            "{{ printf \"x\" }}",
            "{{ if $labels.a }}{{ end }}",
            "{{ with $labels.a }}",
            "{{ . }}",
            "{{ end }}",
            "{{ with $labels.a }}{{ with $labels.b }}{{ end }}{{ end }}",
            "{{ $labels. }}",
            "{{- $value }}",
            "{{ $labels.a | urlquery | urlquery }}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
