//! Which tables a person means: `schema.table` as SQL quotes it, with `*` and `?` as wildcards outside of quotes, as psql
//! has it.

use super::name::Name;
use crate::error::{Failure, FailureKind, Result};
use crate::wildcard::{Unit, units_fit};

/// A pattern for tables' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was typed.
    pub text: String,
    /// None: of any schema.
    schema: Option<Vec<Unit>>,
    table: Vec<Unit>,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Failure::new(
                FailureKind::Usage,
                format!("read table pattern {text}: {why}"),
            )
            .remedy("write schema.table, quoted as in SQL; outside of quotes * and ? are wildcards")
        };
        let mut parts = vec![Vec::new()];
        let mut quoted = false;
        let mut chars = text.trim().chars().peekable();
        while let Some(c) = chars.next() {
            let Some(part) = parts.last_mut() else { break };
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    part.push(Unit::Char('"'));
                }
                '"' => quoted = !quoted,
                c if quoted => part.push(Unit::Char(c)),
                '.' => parts.push(Vec::new()),
                '*' | '?' => part.push(Unit::of(c)),
                c => part.extend(c.to_lowercase().map(Unit::Char)),
            }
        }
        if quoted {
            return Err(wrong("a quote is not closed"));
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(wrong("a name is empty"));
        }
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if !parts.is_empty() {
            return Err(wrong("it has more than two names"));
        }
        Ok(Self {
            text: text.to_owned(),
            schema,
            table,
        })
    }

    /// Whether it can mean more than one table of a schema.
    pub fn is_wild(&self) -> bool {
        let wild = |units: &[Unit]| units.iter().any(|unit| !matches!(unit, Unit::Char(_)));
        wild(&self.table) || self.schema.as_deref().is_some_and(wild)
    }

    /// Whether a table is meant.
    pub fn fits(&self, name: &Name) -> bool {
        self.schema
            .as_deref()
            .is_none_or(|schema| units_fit(schema, &name.schema))
            && units_fit(&self.table, &name.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, schema: &str, name: &str) -> bool {
        Pattern::parse(pattern)
            .unwrap_or_else(|failure| panic!("{}", failure.sentence()))
            .fits(&Name::new(schema, name))
    }

    #[test]
    fn names_and_wildcards() {
        assert!(fits("public.Orders", "public", "orders"));
        assert!(!fits("public.\"Orders\"", "public", "orders"));
        assert!(fits("\"a.b\".\"x\"\"*\"", "a.b", "x\"*"));
        assert!(!fits("\"a.b\".\"x*\"", "a.b", "xyz"));
        assert!(fits("orders", "anywhere", "orders"));
        assert!(fits("*.o?d*s", "s", "orders"));
        assert!(fits("s.*a*b", "s", "xaababb"));
        assert!(!fits("s.*a*b", "s", "xaababbc"));
        assert!(fits("s.*", "s", "Ü\n"));
        assert!(!fits("t.*", "s", "x"));
        assert!(fits("s.x?", "s", "xé"));
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for text in ["", "a.", ".b", "a.b.c", "\"a", "a..b", "\"\""] {
            Pattern::parse(text).expect_err(text);
        }
    }
}
