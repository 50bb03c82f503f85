//! Names of tables and what belongs to them, and new ones that fit and are free.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::sql::name::quote_qualified;

/// Bytes of a name, NAMEDATALEN - 1. A name has as many in UTF-8 as in any other encoding, or more.
const LONGEST: usize = 63;

/// A relation's name with its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl Name {
    /// A name.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// As SQL.
    pub fn quoted(&self) -> String {
        quote_qualified(&self.schema, &self.name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Names that are taken, by schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(HashMap<String, HashSet<String>>);

impl Taken {
    pub(super) fn add(&mut self, name: &Name) {
        let schema = self.0.entry(name.schema.clone()).or_default();
        schema.insert(name.name.clone());
    }

    pub(super) fn give_back(&mut self, name: &Name) {
        if let Some(schema) = self.0.get_mut(&name.schema) {
            schema.remove(&name.name);
        }
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        let schema = self.0.get(&name.schema);
        schema.is_some_and(|names| names.contains(&name.name))
    }

    /// `base` with `suffix`, cut and numbered until it is free; it is taken from then on.
    pub(super) fn free(&mut self, schema: &str, base: &str, suffix: &str) -> Name {
        let mut number = 1u32;
        loop {
            let end = match number {
                1 => suffix.to_owned(),
                _ => format!("{suffix}{number}"),
            };
            let name = Name::new(schema, fitting(base, &end));
            if !self.has(&name) {
                self.add(&name);
                return name;
            }
            number += 1;
        }
    }
}

/// `base` and `suffix`, of the base as much as fits.
pub(super) fn fitting(base: &str, suffix: &str) -> String {
    let mut end = base.len().min(LONGEST.saturating_sub(suffix.len()));
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", base.get(..end).unwrap_or(""))
}

/// What follows the name of its table in the name of something that PostgreSQL named after it: `_pkey` of `orders_pkey`.
pub(super) fn behind<'a>(table: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(table)
        .filter(|rest| rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_fit_and_are_free() {
        let mut taken = Taken::default();
        taken.add(&Name::new("s", "a_restored"));
        assert_eq!(taken.free("s", "a", "_restored").name, "a_restored2");
        assert_eq!(taken.free("s", "a", "_restored").name, "a_restored3");
        assert_eq!(taken.free("t", "a", "_restored").name, "a_restored");
        let long = "é".repeat(31) + "x";
        assert_eq!(long.len(), 63);
        let first = taken.free("s", &long, "_restored");
        assert_eq!(first.name, format!("{}_restored", "é".repeat(27)));
        let second = taken.free("s", &long, "_restored");
        assert_eq!(second.name, format!("{}_restored2", "é".repeat(26)));
    }

    #[test]
    fn names_after_a_table() {
        assert_eq!(behind("orders", "orders_id_seq"), Some("_id_seq"));
        assert_eq!(behind("orders", "ordersx"), None);
        assert_eq!(behind("orders", "orders"), None);
    }
}
