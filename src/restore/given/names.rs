//! Names of scratch databases and roles on a server that others use: `pgvigil_scratch_<id>_<n>` and
//! `pgvigil_scratch_<id>_r<n>`. Nothing else is ever made, changed or dropped by us.

use crate::error::{Failure, FailureKind, Result};
use crate::pg::scratch::random_id;
use crate::sql::name::quote_identifier;

/// What every name begins with.
pub(super) const PREFIX: &str = "pgvigil_scratch_";

/// Letters of an id.
const ID: usize = 8;

/// What tells one drill's names from another's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(String);

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Database,
    Role,
}

impl Id {
    pub(super) fn random() -> Result<Self> {
        Ok(Self(format!("{:08x}", random_id()?)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The second half of the advisory lock's key.
    pub(super) fn key(&self) -> i32 {
        u32::from_str_radix(&self.0, 16).unwrap_or(0).cast_signed()
    }

    /// The n-th database; the first, which is 0, holds nothing.
    pub(super) fn database(&self, n: usize) -> String {
        format!("{PREFIX}{}_{n}", self.0)
    }

    /// The n-th role; the first, which is 0, holds the mark, and all others are its members.
    pub(super) fn role(&self, n: usize) -> String {
        format!("{PREFIX}{}_r{n}", self.0)
    }

    /// Whose a name is, if it has exactly the form of ours.
    pub(super) fn of(name: &str) -> Option<(Self, Kind)> {
        let (id, number) = name.strip_prefix(PREFIX)?.split_once('_')?;
        let (kind, number) = match number.strip_prefix('r') {
            Some(number) => (Kind::Role, number),
            None => (Kind::Database, number),
        };
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let ours = id.len() == ID
            && id.bytes().all(hex)
            && number.parse::<u32>().is_ok_and(|n| n.to_string() == number);
        ours.then(|| (Self(id.to_owned()), kind))
    }
}

/// A statement of our own about a database or a role as a whole: `before`, the name, `after`. Whatever we send of that
/// kind is made here, and here a name that is not a scratch name is refused.
pub(super) fn statement(before: &str, name: &str, after: &str) -> Result<String> {
    let kind = Id::of(name).map(|(_, kind)| kind);
    let fits = match kind {
        Some(Kind::Database) => before.ends_with("DATABASE"),
        Some(Kind::Role) => ["ROLE", "GRANT"].iter().any(|word| before.ends_with(word)),
        None => false,
    };
    if !fits {
        return Err(Failure::new(
            FailureKind::Scratch,
            format!("refuse to send {before} {name}: it is no scratch name of ours"),
        ));
    }
    Ok(format!("{before} {}{after}", quote_identifier(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scratch_names_come_through() {
        let id = Id("0123abcd".to_owned());
        let database = id.database(12);
        assert_eq!(
            statement("DROP DATABASE", &database, " WITH (FORCE)")
                .ok()
                .as_deref(),
            Some("DROP DATABASE \"pgvigil_scratch_0123abcd_12\" WITH (FORCE)")
        );
        assert!(statement("DROP ROLE", &id.role(0), "").is_ok());
        for name in [
            "app_db",
            "postgres",
            "",
            "pgvigil_scratch_",
            "pgvigil_scratch_0123abcd",
            "pgvigil_scratch_0123abcd_",
            "pgvigil_scratch_0123ABCD_1",
            "pgvigil_scratch_0123abcd_01",
            "pgvigil_scratch_0123abcd_1x",
            "pgvigil_scratch_0123abcd_rr1",
            "pgvigil_scratch_0123abcde_1",
            "xpgvigil_scratch_0123abcd_1",
            "pgvigil_restore_0123abcd_1",
        ] {
            for before in ["DROP DATABASE", "ALTER DATABASE", "DROP ROLE", "ALTER ROLE"] {
                let refused = statement(before, name, "").map_err(|failure| failure.kind());
                assert_eq!(refused, Err(FailureKind::Scratch), "{before} {name}");
            }
        }
        // A role's name where a database's is due, and the other way round.
        assert!(statement("DROP DATABASE", &id.role(1), "").is_err());
        assert!(statement("DROP ROLE", &database, "").is_err());
    }

    #[test]
    fn an_id_is_found_again() {
        let id = Id("00ff00ff".to_owned());
        assert_eq!(Id::of(&id.database(0)), Some((id.clone(), Kind::Database)));
        assert_eq!(Id::of(&id.role(31)), Some((id.clone(), Kind::Role)));
        assert_eq!(id.key(), 0x00ff_00ff);
        assert_eq!(Id("ffffffff".to_owned()).key(), -1);
    }
}
