//! Which objects a server has, by kind and name, in the names of `sql::object`: what a dump must define (asked before and
//! after it), and what a restored server has (asked by a drill). Both ask the same, so that they mean the same.

use std::collections::HashSet;

use futures_util::{TryStreamExt, pin_mut};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NameError, StrDeserializer};
use tokio_postgres::Row;

use super::connect::Session;
use crate::catalog::Catalog;
use crate::catalog::inventory::Inventory;
use crate::sql::name::quote_as_pg_dump;
use crate::sql::object::{self, Kind, Object};
use crate::sql::token::Tokens;

const OF_DATABASE: &str = include_str!("objects.sql");
const OF_CLUSTER: &str = include_str!("globals.sql");

/// pg_dump's own: types and arguments are written with their schemas. Compiling a catalog query takes longer than running it.
const SETTINGS: &str = "set search_path = ''; set quote_all_identifiers = off; set jit = off";

const EXTENSIONS: &str = "select extname::text, extversion from pg_catalog.pg_extension order by 1";

/// An object that a server has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Found {
    /// What it is.
    pub object: Object,
    /// Its OID, or that of the object it belongs to: the same name may be another object later.
    pub oid: u32,
    /// Whether a dump must define it by itself: not what an extension brings, not what comes with something else.
    pub own: bool,
}

/// Which objects to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that a dump must define by itself.
    Own,
}

/// Objects of the database that the session is in. Changes the session's settings.
pub async fn of_database(
    session: &Session,
    which: Which,
) -> Result<Vec<Found>, tokio_postgres::Error> {
    session.batch_execute(SETTINGS).await?;
    list(session, OF_DATABASE, which).await
}

/// Objects that belong to no database. Changes the session's settings.
pub async fn of_cluster(
    session: &Session,
    which: Which,
) -> Result<Vec<Found>, tokio_postgres::Error> {
    session.batch_execute(SETTINGS).await?;
    list(session, OF_CLUSTER, which).await
}

/// Extensions of the database that the session is in, with their versions.
pub async fn extensions(session: &Session) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let rows = session.query(EXTENSIONS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn list(
    session: &Session,
    sql: &str,
    which: Which,
) -> Result<Vec<Found>, tokio_postgres::Error> {
    let none: [i32; 0] = [];
    let rows = session.query_raw(sql, none).await?;
    pin_mut!(rows);
    let mut all = Vec::new();
    // One by one: of what extensions bring, nothing is kept.
    while let Some(row) = rows.try_next().await? {
        all.extend(found(&row).filter(|found| which == Which::All || found.own));
    }
    Ok(all)
}

/// A row as an object; none where its name cannot be taken apart.
fn found(row: &Row) -> Option<Found> {
    let kind: StrDeserializer<'_, NameError> = row.get::<_, &str>(0).into_deserializer();
    Some(Found {
        object: Object::new(Kind::deserialize(kind).ok()?, name(row.get(3))?),
        oid: row.get(1),
        own: row.get(2),
    })
}

/// The pieces of a name put together.
fn name(pieces: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(pieces);
    let mut name = String::new();
    for piece in text.split('\x01') {
        let mut letters = piece.chars();
        let what = letters.next();
        let piece = letters.as_str();
        match what {
            Some('i') => name.push_str(&quote_as_pg_dump(piece)),
            Some('t') => name.push_str(&object::plain(piece)?),
            Some('a') => {
                let closed = format!("{piece})");
                name.push_str(&object::arguments(&mut Tokens::new(closed.as_bytes()))?);
            }
            Some('r') => name.push_str(piece),
            _ => return None,
        }
    }
    Some(name)
}

/// What was there before and after a dump, as the same object under the same name, and is not defined in it. `within` is
/// the inventory of the database, if it is a database's.
pub fn lost<'a>(
    before: &'a [Found],
    after: &HashSet<&Found>,
    dump: &Catalog,
    within: Option<&Inventory>,
) -> Vec<&'a Object> {
    let inventories: Vec<_> = dump.inventory.iter().chain(within).collect();
    if !inventories.iter().all(|inventory| inventory.is_whole()) {
        return Vec::new();
    }
    let mut lost: Vec<_> = before
        .iter()
        .filter(|found| after.contains(found))
        .map(|found| &found.object)
        .filter(|object| !inventories.iter().any(|inventory| inventory.has(object)))
        // Such a name is not text; what the dump makes of it may be something else.
        .filter(|object| !object.name.contains(char::REPLACEMENT_CHARACTER))
        .collect();
    lost.sort();
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together() {
        for (pieces, wanted) in [
            ("ipublic\x01r.\x01iT t", Some("public.\"T t\"")),
            (
                "is\x01r.\x01if\x01r(\x01aIN a integer, \"B\" text\x01r)",
                Some("s.f(a integer, \"B\" text)"),
            ),
            (
                "tpublic.pair\x01r as \x01tcharacter varying",
                Some("public.pair as character varying"),
            ),
            (
                "rPUBLIC\x01r on table \x01is\x01r.\x01it",
                Some("PUBLIC on table s.t"),
            ),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(name(pieces.as_bytes()).as_deref(), wanted, "{pieces:?}");
        }
    }

    #[test]
    fn only_what_stayed_and_is_not_in_the_dump_is_lost() {
        let found = |name: &str, oid| Found {
            object: Object::new(Kind::View, name),
            oid,
            own: true,
        };
        let before = [
            found("s.dumped", 1),
            found("s.lost", 2),
            found("s.again", 3),
            found("s.dropped", 4),
        ];
        let after = [
            found("s.dumped", 1),
            found("s.lost", 2),
            found("s.again", 5),
        ];
        let mut inventory = Inventory::default();
        inventory
            .objects
            .entry(Kind::View)
            .or_default()
            .insert("s.dumped".into(), Default::default());
        let after: HashSet<_> = after.iter().collect();
        let lost = lost(&before, &after, &Catalog::default(), Some(&inventory));
        assert_eq!(lost, [&Object::new(Kind::View, "s.lost")]);
    }
}
