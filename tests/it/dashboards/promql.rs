//! As much of PromQL as the rules for dashboards need: which series an expression selects, within which functions, and by
//! which labels it groups. Whether it is PromQL at all, promtool says.

/// One selector: `name{label="value"}[range]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    /// Label, operator, value.
    pub(super) matchers: Vec<(String, String, String)>,
    pub(super) range: Option<String>,
    /// The functions around it, outermost first.
    pub(super) functions: Vec<String>,
}

/// What an expression holds.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) selectors: Vec<Selector>,
    pub(super) grouping: Vec<String>,
}

const KEYWORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
const LABEL_LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

impl Selector {
    pub(super) fn has(&self, label: &str, operator: &str, value: &str) -> bool {
        self.matchers
            .iter()
            .any(|(of, by, to)| of == label && by == operator && to == value)
    }

    pub(super) fn within(&self, functions: &[&str]) -> bool {
        self.functions
            .iter()
            .any(|around| functions.contains(&around.as_str()))
    }
}

/// Reads an expression, with variables in it or without.
pub(super) fn parts(expression: &str) -> Parts {
    let mut parts = Parts::default();
    let mut open: Vec<String> = Vec::new();
    let mut called = String::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_word(first) {
            let word = take(&mut rest, is_word);
            rest = rest.trim_start();
            if LABEL_LISTS.contains(&word) && rest.starts_with('(') {
                let labels = until(&mut rest, ')');
                let labels = labels.split(',').map(|label| label.trim().to_owned());
                let labels = labels.filter(|label| !label.is_empty());
                parts.grouping.extend(labels);
            } else if rest.starts_with('(') || rest.starts_with("by ") {
                called = word.to_owned();
            } else if !KEYWORDS.contains(&word) && !LABEL_LISTS.contains(&word) {
                parts.selectors.push(selector(word, &mut rest, &open));
            }
        } else if first == '{' {
            parts.selectors.push(selector("", &mut rest, &open));
        } else {
            match first {
                '(' => open.push(std::mem::take(&mut called)),
                ')' => drop(open.pop()),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    parts
}

fn selector(name: &str, rest: &mut &str, open: &[String]) -> Selector {
    let mut found = Selector {
        name: name.to_owned(),
        functions: open
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        ..Selector::default()
    };
    if rest.starts_with('{') {
        *rest = &rest[1..];
        while !rest.starts_with('}') && !rest.is_empty() {
            *rest = rest.trim_start_matches([',', ' ', '\n']);
            let label = take(rest, is_word).to_owned();
            let operator = take(rest, |c| "=~!".contains(c)).to_owned();
            *rest = rest.strip_prefix('"').unwrap_or("");
            let value = take(rest, |c| c != '"').to_owned();
            *rest = rest.get(1..).unwrap_or("").trim_start();
            found.matchers.push((label, operator, value));
        }
        *rest = rest.get(1..).unwrap_or("");
    }
    if rest.starts_with('[') {
        found.range = Some(until(rest, ']').to_owned());
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:$".contains(c)
}

fn take<'a>(rest: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

/// What stands within brackets of which the first is next.
fn until<'a>(rest: &mut &'a str, closing: char) -> &'a str {
    let end = rest.find(closing).unwrap_or(rest.len() - 1);
    let taken = &rest[1..end];
    *rest = &rest[end + 1..];
    taken
}

#[test]
fn finds_selectors_with_their_functions_and_the_labels_that_group() {
    let found = parts(
        "1 + 0 * (time() - max by (cluster, server) (a_b{x=~\"$x, }\", y!=\"2\"} > 0)) or\n sum(increase(c_total[$__rate_interval])) / on (z) group_left () d:e * on () f_g",
    );
    assert_eq!(found.grouping, ["cluster", "server", "z"]);
    let names: Vec<_> = found.selectors.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["a_b", "c_total", "d:e", "f_g"]);
    let [first, second, third, _] = &found.selectors[..] else {
        panic!("{found:?}")
    };
    assert!(first.has("x", "=~", "$x, }") && first.has("y", "!=", "2"));
    assert_eq!(first.functions, ["max"]);
    assert_eq!(second.functions, ["sum", "increase"]);
    assert_eq!(second.range.as_deref(), Some("$__rate_interval"));
    assert!(third.functions.is_empty() && third.matchers.is_empty());
}
