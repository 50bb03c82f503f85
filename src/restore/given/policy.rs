//! Onto a server that others use, by someone who is no superuser, to be dropped again.
//!
//! Databases and roles of the dump have scratch names there; a statement comes through only with all of them replaced,
//! and one that names anything else is refused. Roles and memberships are made before, so the dump's own statements about
//! them are passed over, and so is what is the whole server's. What a scratch database does not need and what only stands
//! in a drill's way is passed over and noted.

mod creation;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::names::{Id, Kind};
use super::notes::{
    DATABASE_GRANTS, DATABASE_PROPERTIES, DATABASE_SETTINGS, EXTENSION_COMMENTS, Note, Notes,
    PREDEFINED_ROLES, PassedOver, ROLE_ATTRIBUTES, ROW_SECURITY, TABLESPACES, WHOLE_SERVER,
};
use crate::error::{Failure, FailureKind, Result};
use crate::restore::policy::{Context, Policy, Verdict};
use crate::sql::build;
use crate::sql::name::quote_identifier;
use crate::sql::reach::{self, Reach, Shared, Verb};
use crate::sql::rename;
use crate::sql::scanner::Position;
use crate::sql::statement::{self, Statement};
use crate::sql::tablespace::without_tablespace;
use crate::sql::token::Tokens;

/// PostgreSQL's own roles, which no dump makes.
const PREDEFINED: &str = "pg_";

/// Databases and roles by the dump's names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) databases: BTreeMap<String, String>,
    pub(super) roles: BTreeMap<String, String>,
    /// The role that all others are members of.
    pub(super) everyone: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct GivenServerPolicy {
    names: Names,
    /// Databases that are made before the dump connects to them, because the dump does not make them.
    premade: BTreeSet<String>,
    notes: Notes,
}

impl GivenServerPolicy {
    pub(super) fn new(names: Names, premade: BTreeSet<String>) -> Self {
        Self {
            names,
            premade,
            notes: Notes::default(),
        }
    }

    /// What was passed over so far.
    pub(super) fn passed_over(&self) -> Vec<PassedOver> {
        self.notes.all()
    }

    fn note(&self, note: Note) {
        self.notes.add(note);
    }

    fn skip(&self, note: Note) -> Verdict {
        self.note(note);
        Verdict::Skip
    }

    fn role(&self, name: &str) -> Option<String> {
        if name.starts_with(PREDEFINED) {
            return Some(name.to_owned());
        }
        self.names.roles.get(name).cloned()
    }

    fn renamed(&self, text: &[u8], at: Position) -> Result<Vec<u8>> {
        rename::rename(text, &|name| self.role(name)).map_err(|name| {
            let shown = statement::shown(text);
            Failure::new(
                FailureKind::RestoreFailed,
                format!("restore: {at}: {shown:?}: the dump does not make role {name}"),
            )
            .remedy("this backup does not restore: keep an older proven one and take a new one")
        })
    }

    fn with_roles(&self, text: &str, at: Position) -> Result<String> {
        let renamed = self.renamed(text.as_bytes(), at)?;
        // Of text and with text put in, so it is text.
        Ok(String::from_utf8_lossy(&renamed).into_owned())
    }

    fn of_role(&self, shared: &Shared, context: Context<'_>) -> Result<Verdict> {
        if shared.verb == Verb::Drop {
            Ok(Verdict::Skip)
        } else if self.names.roles.contains_key(&shared.name) {
            Ok(match shared.verb {
                Verb::Create => Verdict::Skip,
                _ => self.skip(ROLE_ATTRIBUTES),
            })
        } else {
            Err(context.outside())
        }
    }

    fn of_membership(&self, role: &str, member: &str, context: Context<'_>) -> Result<Verdict> {
        let known = |name: &str| self.names.roles.contains_key(name);
        if known(role) && known(member) {
            Ok(Verdict::Skip)
        } else if role.starts_with(PREDEFINED) && known(member) {
            Ok(self.skip(PREDEFINED_ROLES))
        } else {
            Err(context.outside())
        }
    }

    fn of_database(&self, shared: &Shared, context: Context<'_>) -> Result<Verdict> {
        if shared.verb == Verb::Drop {
            return Ok(Verdict::Skip);
        }
        let Some(name) = self.names.databases.get(&shared.name) else {
            return Err(context.outside());
        };
        let text = match shared.verb {
            Verb::Create if self.premade.contains(&shared.name) => return Ok(Verdict::Skip),
            Verb::Create => self.creation(name, context)?,
            _ => match self.change(shared, name, context)? {
                Ok(text) => text,
                Err(note) => return Ok(self.skip(note)),
            },
        };
        // What we made of it is read once more: it names a scratch database, or it is not run.
        match reach::reach(text.as_bytes()) {
            Reach::Database(made) if matches!(Id::of(&made.name), Some((_, Kind::Database))) => {
                Ok(Verdict::Instead(text))
            }
            _ => Err(context.outside()),
        }
    }

    /// Any other statement about a database: what to run, or why not.
    fn change(
        &self,
        shared: &Shared,
        name: &str,
        context: Context<'_>,
    ) -> Result<std::result::Result<String, Note>> {
        let mut tokens = Tokens::new(context.text.as_bytes());
        let under = |renamed: &str| self.with_roles(renamed, context.at).map(Ok);
        if shared.verb == Verb::Comment {
            return Ok(Ok(shared.renamed(context.text, name)));
        }
        if tokens.keyword("grant") || tokens.keyword("revoke") {
            return Ok(Err(DATABASE_GRANTS));
        }
        if !tokens.keyword("alter") {
            return Ok(Err(DATABASE_PROPERTIES));
        }
        if tokens.keyword("database") {
            tokens.next();
            if tokens.keywords(&["set", "tablespace"]) {
                return Ok(Err(TABLESPACES));
            }
            let runs = ["owner", "set", "reset"]
                .iter()
                .any(|word| tokens.keyword(word));
            if !runs {
                return Ok(Err(DATABASE_PROPERTIES));
            }
        }
        // ALTER DATABASE … OWNER TO, SET; ALTER ROLE … IN DATABASE … SET.
        under(&shared.renamed(context.text, name))
    }

    /// A statement about things inside of the database that it is run in.
    fn inside(&self, context: Context<'_>) -> Result<Verdict> {
        let text = context.text;
        let mut tokens = Tokens::new(text.as_bytes());
        if let Some(setting) = build::setting(text.as_bytes()) {
            return self.setting(&setting, context);
        }
        // Before the first database we are in an empty one, and no dump does anything there.
        if context.database.is_none() {
            return Err(context.outside());
        }
        if tokens.keywords(&["create", "subscription"])
            || tokens.keywords(&["alter", "subscription"])
        {
            return Err(Failure::new(
                FailureKind::Scratch,
                format!(
                    "restore: {}: {:?}: a subscription needs a superuser, and reaches for another server",
                    context.at,
                    statement::shown(text.as_bytes())
                ),
            )
            .remedy("use embedded scratch"));
        }
        if forces_row_security(text) {
            return Ok(self.skip(ROW_SECURITY));
        }
        if tokens.keywords(&["create", "schema"]) {
            return self.schema(tokens, context).map(Verdict::Instead);
        }
        let placed = without_tablespace(text);
        if placed.is_some() {
            self.note(TABLESPACES);
        }
        let placed = placed.map_or(Cow::Borrowed(text), Cow::Owned);
        Ok(Verdict::Instead(self.with_roles(&placed, context.at)?))
    }

    /// A setting of the session.
    fn setting(&self, name: &str, context: Context<'_>) -> Result<Verdict> {
        let mut tokens = Tokens::new(context.text.as_bytes());
        match (name, context.statement) {
            // Databases are made by us: who owns them in the dump may make none here.
            ("session authorization", _) if context.database.is_none() => Ok(Verdict::Skip),
            ("session authorization", _) => {
                // Only a superuser can be someone else altogether; acting as him comes to the same here.
                let text = self.with_roles(context.text, context.at)?;
                let mut tokens = Tokens::new(text.as_bytes());
                // RESET, or DEFAULT, or one of PostgreSQL's own, as pg_database_owner is: nobody can be that.
                let role = tokens
                    .keywords(&["set", "session", "authorization"])
                    .then(|| tokens.next())
                    .flatten()
                    .filter(|token| !token.is("default"))
                    .and_then(|token| token.literal().or_else(|| token.identifier()))
                    .filter(|role| !role.starts_with(PREDEFINED));
                match role {
                    None => Ok(Verdict::Instead("SET ROLE NONE;".to_owned())),
                    Some(role) if Id::of(&role).is_some() => Ok(Verdict::Instead(format!(
                        "SET ROLE {};",
                        quote_identifier(&role)
                    ))),
                    Some(_) => Err(context.outside()),
                }
            }
            ("role" | "session_authorization", _) => Err(context.outside()),
            ("default_tablespace", Statement::Set { value, .. }) if !value.is_empty() => {
                self.note(TABLESPACES);
                Ok(Verdict::Instead("SET default_tablespace = '';".to_owned()))
            }
            _ if tokens.keyword("set") || tokens.keyword("select") => Ok(Verdict::Run),
            _ => Err(context.outside()),
        }
    }

    /// `CREATE SCHEMA`, and everyone may make things there: who is to own a thing must have been allowed to make it,
    /// unless it is a superuser who gives it to him. One statement, because the dump's next one may need it.
    fn schema(&self, mut tokens: Tokens<'_>, context: Context<'_>) -> Result<String> {
        tokens.keywords(&["if", "not", "exists"]);
        let mut name = None;
        if !tokens.keyword("authorization") {
            name = tokens.next().and_then(|token| token.identifier());
            if tokens.at_end() {
                let name = name.ok_or_else(|| context.outside())?;
                return Ok(self.open_schema(&name, ""));
            }
            if !tokens.keyword("authorization") {
                return Err(context.outside());
            }
        }
        let owner = tokens.next().and_then(|token| token.identifier());
        let (Some(owner), true) = (owner, tokens.at_end()) else {
            return Err(context.outside());
        };
        let role = self
            .names
            .roles
            .get(&owner)
            .ok_or_else(|| context.outside())?;
        let authorization = format!(" AUTHORIZATION {}", quote_identifier(role));
        Ok(self.open_schema(name.as_ref().unwrap_or(&owner), &authorization))
    }

    fn open_schema(&self, name: &str, authorization: &str) -> String {
        let name = quote_identifier(name);
        let everyone = quote_identifier(&self.names.everyone);
        format!("CREATE SCHEMA {name}{authorization} GRANT ALL ON SCHEMA {name} TO {everyone};")
    }
}

impl Policy for GivenServerPolicy {
    fn database(&self, name: &str) -> Option<String> {
        self.names.databases.get(name).cloned()
    }

    fn judge(&self, context: Context<'_>) -> Result<Verdict> {
        match context.reach {
            Reach::Here => self.inside(context),
            Reach::Database(shared) => self.of_database(shared, context),
            // pg_dumpall writes all of these before the first database.
            _ if context.database.is_some() => Err(context.outside()),
            Reach::Role(shared) => self.of_role(shared, context),
            Reach::Membership { role, member } => self.of_membership(role, member, context),
            Reach::Tablespace(_) => Ok(self.skip(TABLESPACES)),
            Reach::Server => Ok(self.skip(WHOLE_SERVER)),
        }
    }

    fn judge_bytes(&self, text: &[u8], at: Position) -> Result<Vec<u8>> {
        self.renamed(text, at)
    }

    fn prelude(&self, name: &str) -> Result<Vec<String>> {
        let Some(database) = self.names.databases.get(name) else {
            return Ok(Vec::new());
        };
        let (database, everyone) = (
            quote_identifier(database),
            quote_identifier(&self.names.everyone),
        );
        Ok(vec![
            format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
            format!("GRANT ALL ON DATABASE {database} TO {everyone}"),
            // A second time when the dump has dropped it and connects again.
            format!(
                "DO $pgvigil$ BEGIN IF pg_catalog.to_regnamespace('public') IS NOT NULL THEN \
                 GRANT ALL ON SCHEMA public TO {everyone}; END IF; END $pgvigil$"
            ),
        ])
    }

    fn excuses(&self, text: &str, code: &str) -> bool {
        if code != tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE.code() {
            return false;
        }
        let mut tokens = Tokens::new(text.as_bytes());
        let note = if tokens.keywords(&["comment", "on", "extension"]) {
            EXTENSION_COMMENTS
        } else if tokens.keyword("alter")
            && (tokens.keyword("database") || tokens.keyword("role"))
            && tokens.any(|token| token.is("set"))
        {
            DATABASE_SETTINGS
        } else {
            return false;
        };
        self.note(note);
        true
    }

    fn databases_at_once(&self, _jobs: usize) -> usize {
        // One after the other, so that there are hardly more sessions than jobs.
        1
    }
}

/// `ALTER TABLE … FORCE ROW LEVEL SECURITY`
fn forces_row_security(text: &str) -> bool {
    let mut tokens = Tokens::new(text.as_bytes());
    if !tokens.keywords(&["alter", "table"]) {
        return false;
    }
    tokens.keywords(&["if", "exists"]);
    tokens.keyword("only");
    tokens.qualified_name().is_some()
        && tokens.keywords(&["force", "row", "level", "security"])
        && tokens.at_end()
}

#[cfg(test)]
mod tests;
