//! Everything a dump defines, by name: so that what is missing, and what is other than it was, can be said.
//!
//! A statement either defines objects (`sql::object`) or is kept as a *definition*: owners, comments, defaults of columns,
//! what is attached to what. Both go with a fingerprint of their words, so that a function with another body is a function
//! that differs. Fingerprints are comparable between dumps of the same pg_dump version; a backup's manifest and its own
//! text always are.
//!
//! Not here: rows, values of sequences and large objects, which the catalog counts and hashes; and passwords, of which not
//! even a fingerprint is kept, because a manifest may go where the backup does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::definitions::normal_form;
use crate::sql::object::{self, Kind, Object};
use crate::sql::statement;
use crate::sql::token::{Token, Tokens};

/// Version of what is listed and how it is named and fingerprinted; inventories of different versions are not compared.
pub const VERSION: u32 = 1;

/// Most objects listed of a database. A server of half a million tables has trouble of its own; what is beyond is summed.
const MOST_OBJECTS: usize = 1_000_000;

/// Most definitions listed with their text of a database; what is beyond is summed.
const MOST_DEFINITIONS: usize = 50_000;

/// A fingerprint of a statement's words; zero where a statement was too long to be read whole. As text: 16 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// What a database, or the cluster, is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Objects by kind and name, with the fingerprint of what defines them.
    pub objects: BTreeMap<Kind, BTreeMap<String, Fingerprint>>,
    /// Statements that define something else, by fingerprint, with their beginning up to the first literal.
    pub definitions: BTreeMap<Fingerprint, String>,
    /// What is not listed.
    pub not_listed: Unlisted,
}

/// Statements that are only summed up: those beyond the bounds, and those about single large objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// How many.
    pub count: u64,
    /// Sum of their fingerprints.
    pub sum: Fingerprint,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            version: VERSION,
            objects: BTreeMap::new(),
            definitions: BTreeMap::new(),
            not_listed: Unlisted::default(),
        }
    }
}

/// One thing in which an inventory is not another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An object that is not there.
    Missing(Object),
    /// An object that should not be there.
    Extra(Object),
    /// An object that is defined otherwise.
    Differs(Object),
    /// A statement that is not there, by its beginning.
    StatementMissing(String),
    /// A statement that should not be there.
    StatementExtra(String),
    /// Statements that are only summed up are others.
    Unlisted,
}

/// What a statement adds to an inventory.
#[derive(Debug)]
pub struct Entry {
    objects: Vec<Object>,
    fingerprint: Fingerprint,
    text: String,
    summed: bool,
}

impl Entry {
    /// Reads a statement; none if it defines nothing that is kept here.
    pub fn read(text: &[u8], whole: bool) -> Option<Self> {
        let first = Tokens::new(text).next()?;
        let defines = [
            "create", "alter", "comment", "security", "grant", "revoke", "refresh",
        ];
        if !defines.iter().any(|keyword| first.is(keyword)) {
            return None;
        }
        let objects = object::read(text);
        let is_setting = objects
            .first()
            .is_some_and(|object| object.kind == Kind::Setting);
        let fingerprint = match whole {
            true => Fingerprint(xxh3_64(&normal_form(
                text,
                !is_setting && may_hold_secrets(text),
            ))),
            false => Fingerprint(0),
        };
        Some(Self {
            objects,
            fingerprint,
            text: statement::shown(text),
            summed: is_about_large_object(text),
        })
    }

    /// Whether it belongs to no database.
    pub fn is_cluster_wide(&self) -> bool {
        self.objects
            .first()
            .is_some_and(|object| object.kind.is_cluster_wide())
    }
}

/// The fingerprint of a statement; none if it defines nothing that is kept here.
pub fn fingerprint(text: &[u8]) -> Option<Fingerprint> {
    Some(Entry::read(text, true)?.fingerprint)
}

/// Statements whose literals may be passwords.
fn may_hold_secrets(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    tokens.next();
    tokens.keyword("foreign");
    ["role", "user", "server", "subscription"]
        .iter()
        .any(|kind| tokens.keyword(kind))
}

fn is_about_large_object(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    if tokens.keyword("alter") {
        return tokens.keywords(&["large", "object"]);
    }
    // COMMENT ON, GRANT … ON, REVOKE … ON, SECURITY LABEL … ON: what follows is its kind.
    let mut rest = Tokens::new(text)
        .take_while(|token| *token != Token::Opaque)
        .skip_while(|token| !token.is("on"))
        .skip(1);
    rest.next().is_some_and(|token| token.is("large"))
}

impl Inventory {
    /// Adds what a statement defines.
    pub fn add(&mut self, entry: Entry) {
        let Entry {
            objects,
            fingerprint,
            text,
            summed,
        } = entry;
        if objects.is_empty() {
            if summed || self.definitions.len() >= MOST_DEFINITIONS {
                self.sum_up(fingerprint);
            } else {
                self.definitions.insert(fingerprint, text);
            }
            return;
        }
        for (index, object) in objects.into_iter().enumerate() {
            // The statement's words are its first object's; what stands inside is in them.
            let fingerprint = if index == 0 {
                fingerprint
            } else {
                Fingerprint(0)
            };
            if self.len() >= MOST_OBJECTS {
                self.sum_up(fingerprint);
                continue;
            }
            let listed = self
                .objects
                .entry(object.kind)
                .or_default()
                .entry(object.name)
                .or_default();
            // Some objects take two statements, such as views that need each other.
            listed.0 = listed.0.wrapping_add(fingerprint.0);
        }
    }

    fn sum_up(&mut self, fingerprint: Fingerprint) {
        self.not_listed.count += 1;
        let sum = &mut self.not_listed.sum.0;
        *sum = sum.wrapping_add(fingerprint.0);
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.values().all(BTreeMap::is_empty)
    }

    /// Whether it lists an object.
    pub fn has(&self, object: &Object) -> bool {
        self.objects
            .get(&object.kind)
            .is_some_and(|names| names.contains_key(&object.name))
    }

    /// Whether an object that it does not list may be defined all the same.
    pub fn is_whole(&self) -> bool {
        self.len() < MOST_OBJECTS
    }

    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        self.objects
            .iter()
            .flat_map(|(kind, names)| names.keys().map(|name| Object::new(*kind, name.clone())))
    }

    /// Everything in which `actual` is not this; nothing is said of inventories of other versions.
    pub fn changes(&self, actual: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.version != actual.version {
            return changes;
        }
        for (object, fingerprint) in self.fingerprints() {
            match actual.fingerprint(&object) {
                None => changes.push(Change::Missing(object)),
                Some(other) if other != fingerprint => changes.push(Change::Differs(object)),
                Some(_) => {}
            }
        }
        let extra = actual.objects().filter(|object| !self.has(object));
        changes.extend(extra.map(Change::Extra));
        let lacking = |all: &Self, there: &Self| -> Vec<String> {
            let lacking = all.definitions.iter();
            lacking
                .filter(|(fingerprint, _)| !there.definitions.contains_key(fingerprint))
                .map(|(_, text)| text.clone())
                .collect()
        };
        changes.extend(
            lacking(self, actual)
                .into_iter()
                .map(Change::StatementMissing),
        );
        changes.extend(
            lacking(actual, self)
                .into_iter()
                .map(Change::StatementExtra),
        );
        if changes.is_empty() && self.not_listed != actual.not_listed {
            changes.push(Change::Unlisted);
        }
        changes
    }

    fn fingerprints(&self) -> impl Iterator<Item = (Object, Fingerprint)> {
        self.objects.iter().flat_map(|(kind, names)| {
            names
                .iter()
                .map(|(name, fingerprint)| (Object::new(*kind, name.clone()), *fingerprint))
        })
    }

    fn fingerprint(&self, object: &Object) -> Option<Fingerprint> {
        self.objects.get(&object.kind)?.get(&object.name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statements: &[&str]) -> Inventory {
        let mut inventory = Inventory::default();
        for text in statements {
            if let Some(entry) = Entry::read(text.as_bytes(), true) {
                inventory.add(entry);
            }
        }
        inventory
    }

    #[test]
    fn what_is_missing_other_or_too_much_is_named() {
        let wanted = of(&[
            "CREATE TABLE s.t (a integer, CONSTRAINT c CHECK ((a > 0)));",
            "CREATE FUNCTION s.f() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;",
            "ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT nextval('s.q'::regclass);",
            "SELECT pg_catalog.set_config('search_path', '', false);",
        ]);
        assert_eq!(wanted.changes(&wanted.clone()), []);
        let actual = of(&[
            "CREATE TABLE s.t (a integer);",
            "CREATE FUNCTION s.f() RETURNS integer LANGUAGE sql AS $$ SELECT 2 $$;",
            "CREATE INDEX i ON s.t USING btree (a);",
        ]);
        assert_eq!(
            wanted.changes(&actual),
            [
                Change::Differs(Object::new(Kind::Table, "s.t")),
                Change::Missing(Object::new(Kind::Constraint, "c on s.t")),
                Change::Differs(Object::new(Kind::Function, "s.f()")),
                Change::Extra(Object::new(Kind::Index, "s.i")),
                Change::StatementMissing(
                    "ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT nextval(…".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn passwords_leave_no_trace() {
        for (one, other) in [
            (
                "ALTER ROLE a WITH LOGIN PASSWORD 'x';",
                "ALTER ROLE a WITH LOGIN PASSWORD 'y';",
            ),
            (
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'x');",
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'y');",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'password=x' PUBLICATION p;",
                "CREATE SUBSCRIPTION s CONNECTION 'password=y' PUBLICATION p;",
            ),
        ] {
            assert_eq!(of(&[one]), of(&[other]));
        }
        let set = |value: &str| of(&[&format!("ALTER ROLE a SET work_mem TO '{value}';")]);
        assert_ne!(set("8MB"), set("9MB"), "settings are no passwords");
    }

    #[test]
    fn single_large_objects_are_summed_up() {
        let two = of(&[
            "ALTER LARGE OBJECT 5 OWNER TO a;",
            "GRANT SELECT ON LARGE OBJECT 5 TO b;",
        ]);
        assert_eq!((two.not_listed.count, two.definitions.len()), (2, 0));
        assert_eq!(two.changes(&of(&[])), [Change::Unlisted]);
    }

    #[test]
    fn reads_its_own_json() {
        let inventory = of(&[
            "CREATE VIEW s.v AS SELECT 1;",
            "COMMENT ON VIEW s.v IS 'x';",
        ]);
        let json = serde_json::to_string(&inventory).expect("json");
        assert!(json.contains(r#""view":{"s.v":""#), "{json}");
        assert_eq!(
            serde_json::from_str::<Inventory>(&json).expect("back"),
            inventory
        );
    }
}
