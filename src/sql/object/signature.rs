//! Types and arguments as text, the same whoever wrote them.

use crate::sql::name::quote_as_pg_dump;
use crate::sql::token::{Token, Tokens};

/// The arguments of a function from behind its opening parenthesis to the closing one: `a integer, b text`. Defaults are
/// left out (they are no part of the name, and their text changes between versions), and so is IN, which means nothing.
/// `None` where the text cannot be taken apart.
pub fn arguments(tokens: &mut Tokens<'_>) -> Option<String> {
    let mut all = Vec::new();
    let mut argument = Text::default();
    let (mut depth, mut in_default) = (0usize, false);
    loop {
        let token = tokens.next()?;
        match &token {
            Token::Opaque => return None,
            Token::Symbol(b')') if depth == 0 => break,
            Token::Symbol(b',') if depth == 0 => {
                all.push(std::mem::take(&mut argument).0);
                in_default = false;
                continue;
            }
            Token::Symbol(b'(' | b'[') => depth += 1,
            Token::Symbol(b')' | b']') => depth = depth.saturating_sub(1),
            Token::Symbol(b'=') if depth == 0 => in_default = true,
            // An aggregate over any number of rows: f(*) has no arguments.
            Token::Symbol(b'*') if depth == 0 => continue,
            token if depth == 0 && token.is("default") => in_default = true,
            token if argument.0.is_empty() && token.is("in") => continue,
            _ => {}
        }
        if !in_default {
            argument.push(&token);
        }
    }
    if !argument.0.is_empty() {
        all.push(argument.0);
    }
    Some(all.join(", "))
}

/// A type's name, or another short text, up to where `ends` says.
pub(super) fn until(tokens: &mut Tokens<'_>, ends: impl Fn(&Token<'_>) -> bool) -> Option<String> {
    let mut text = Text::default();
    let mut depth = 0usize;
    loop {
        let mut ahead = tokens.clone();
        let Some(token) = ahead.next() else { break };
        if depth == 0 && ends(&token) {
            break;
        }
        match token {
            Token::Opaque => return None,
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        text.push(&token);
        *tokens = ahead;
    }
    Some(text.0)
}

/// A type's name as PostgreSQL writes it, in the form of names here.
pub fn plain(text: &str) -> Option<String> {
    until(&mut Tokens::new(text.as_bytes()), |_| false)
}

/// Tokens put together: bare words in lower case, a space where two would run into each other.
#[derive(Default)]
struct Text(String);

impl Text {
    fn push(&mut self, token: &Token<'_>) {
        let word = match token {
            Token::Symbol(symbol) => {
                self.0.push(char::from(*symbol));
                return;
            }
            Token::Quoted(name) => quote_as_pg_dump(&String::from_utf8_lossy(name)),
            Token::Word(word) => quote_as_pg_dump(&String::from_utf8_lossy(word).to_lowercase()),
            Token::Number(digits) => String::from_utf8_lossy(digits).into_owned(),
            Token::Literal(text) => format!("'{}'", String::from_utf8_lossy(text)),
            Token::Opaque => return,
        };
        if !self.0.is_empty() && !self.0.ends_with(['(', '[', '.']) {
            self.0.push(' ');
        }
        self.0.push_str(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_without_their_defaults() {
        for (text, wanted) in [
            (
                "a integer, b integer DEFAULT (1 + 2), OUT c integer)",
                "a integer, b integer, out c integer",
            ),
            (
                "IN a integer, INOUT b text DEFAULT 'x'::text)",
                "a integer, inout b text",
            ),
            (
                "a text, b text DEFAULT ',)('::text, VARIADIC c text[] DEFAULT '{}'::text[])",
                "a text, b text, variadic c text[]",
            ),
            (
                "\"In\" public.mood, \"Odd, x\" \"Odd.One\".short)",
                "\"In\" public.mood, \"Odd, x\" \"Odd.One\".short",
            ),
            (
                "a timestamp(3) without time zone[], numeric(8,2))",
                "a timestamp(3) without time zone[], numeric(8, 2)",
            ),
            (
                "double precision ORDER BY anyelement)",
                "double precision order by anyelement",
            ),
            ("*)", ""),
            (")", ""),
        ] {
            let read = arguments(&mut Tokens::new(text.as_bytes()));
            assert_eq!(read.as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(arguments(&mut Tokens::new(b"a integer")), None, "no end");
        assert_eq!(arguments(&mut Tokens::new(b"a $x$ $x$)")), None);
    }

    #[test]
    fn quotes_that_are_not_needed_make_no_difference() {
        assert_eq!(plain("\"public\".\"mood\"[]"), plain("public.mood[]"));
        assert_ne!(plain("public.\"Mood\""), plain("public.mood"));
    }
}
