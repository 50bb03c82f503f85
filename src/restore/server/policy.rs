//! Into a server that others use: only what the plan names is touched, and nothing that exists before the end.
//!
//! Databases are made under temporary names. Roles and tablespaces that are there stay; what is missing is made. Changes
//! to roles that are there, and what can only be said of a database under its final name, wait until everything else is
//! done. What the plan does not name is passed over where it is of the server's shared part, and refused where it stands
//! inside of a database's part, because no dump has it there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::restore::memberships::Memberships;
use crate::restore::policy::{Context, Policy, Verdict};
use crate::sql::name::{quote_identifier, quote_literal};
use crate::sql::reach::{Reach, Shared, Verb};
use crate::sql::statement::Statement;
use crate::sql::token::Tokens;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ServerPolicy {
    /// (temporary name, final name) by the dump's name of a database.
    pub(super) databases: BTreeMap<String, (String, String)>,
    /// Databases that are made before the dump connects to them, because the dump does not make them.
    pub(super) premade: BTreeSet<String>,
    /// Roles that are missing and are made.
    pub(super) new_roles: BTreeSet<String>,
    /// Roles that are there and are changed to what the dump says.
    pub(super) changed_roles: BTreeSet<String>,
    /// Roles whose password ends to be valid at some time.
    pub(super) expiring_roles: BTreeSet<String>,
    /// Tablespaces that are missing and are made.
    pub(super) new_tablespaces: BTreeSet<String>,
    /// Whether what concerns the whole server is restored: parameters, settings of all roles.
    pub(super) whole_server: bool,
    /// Where the server is of a version that checks who granted a membership.
    pub(super) memberships: Option<Mutex<Memberships>>,
    /// The superuser that initdb made there.
    pub(super) bootstrap: String,
    /// Marks roles as this restore's.
    pub(super) id: String,
    /// What was made and would have to be taken back.
    pub(super) made: Mutex<Made>,
}

/// What a restore made beside databases.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) roles: BTreeSet<String>,
    pub(super) tablespaces: BTreeSet<String>,
}

impl Policy for ServerPolicy {
    fn database(&self, name: &str) -> Option<String> {
        self.databases
            .get(name)
            .map(|(temporary, _)| temporary.clone())
    }

    fn judge(&self, context: Context<'_>) -> Result<Verdict> {
        match context.reach {
            // It would connect to another server; there is none to drop in a new database.
            Reach::Here if begins(context.text, &["drop", "subscription"]) => Ok(Verdict::Skip),
            Reach::Here => Ok(Verdict::Run),
            Reach::Database(shared) => self.of_database(shared, context),
            // A pg_dump of one database has none of these, and pg_dumpall writes them before the first database.
            _ if context.database.is_some() => Err(context.outside()),
            Reach::Role(shared) => self.of_role(shared, context),
            Reach::Membership { role, member } => {
                Ok(self.of_membership(role, member, context.text))
            }
            Reach::Tablespace(shared) => Ok(self.of_tablespace(shared)),
            Reach::Server if !concerns_all(context.text) => Err(context.outside()),
            Reach::Server if self.whole_server => Ok(Verdict::Later(vec![context.text.to_owned()])),
            Reach::Server => Ok(Verdict::Skip),
        }
    }

    fn was_run(&self, reach: &Reach) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match reach {
            Reach::Role(shared) if shared.verb == Verb::Create => {
                made.roles.insert(shared.name.clone());
            }
            Reach::Tablespace(shared) if shared.verb == Verb::Create => {
                made.tablespaces.insert(shared.name.clone());
            }
            _ => {}
        }
    }
}

impl ServerPolicy {
    fn of_database(&self, shared: &Shared, context: Context<'_>) -> Result<Verdict> {
        // A stream is still in one database when it makes the next.
        let Some((temporary, name)) = self.databases.get(&shared.name) else {
            return Ok(Verdict::Skip);
        };
        let is_as_dumped = match shared.verb {
            Verb::Create => makes_of_template0(context.text),
            // Under another name it would not be found again; in another tablespace it is not where the plan has it.
            _ => !moves(context.text, shared),
        };
        if !is_as_dumped {
            return Err(context.outside());
        }
        let under = |name: &str| shared.renamed(context.text, name);
        Ok(match (shared.verb, context.statement) {
            (Verb::Drop, _) => Verdict::Skip,
            (Verb::Create, _) if self.premade.contains(&shared.name) => Verdict::Skip,
            (Verb::Create, _) => Verdict::Instead(under(temporary)),
            // A template cannot be dropped, so it becomes one at the end. What the clean part of a dump says to be
            // able to drop it is of no use here.
            (_, _)
                if context
                    .text
                    .trim_start()
                    .to_ascii_lowercase()
                    .starts_with("update") =>
            {
                if context.text.to_ascii_lowercase().contains("= true") {
                    Verdict::Later(vec![under(name)])
                } else {
                    Verdict::Skip
                }
            }
            (Verb::Alter, Statement::Ordinary) if is_template(context.text) => {
                Verdict::Later(vec![under(name)])
            }
            _ => Verdict::Instead(under(temporary)),
        })
    }

    fn of_role(&self, shared: &Shared, context: Context<'_>) -> Result<Verdict> {
        let text = context.text;
        // `CREATE ROLE name;` and nothing more, which could make it a member of others, or others of it.
        let rest = text.get(shared.at.end..).unwrap_or_default();
        if shared.verb == Verb::Create && rest.trim() != ";" {
            return Err(context.outside());
        }
        Ok(if shared.verb == Verb::Drop {
            Verdict::Skip
        } else if self.new_roles.contains(&shared.name) {
            if shared.verb == Verb::Create {
                Verdict::Instead(marked(&shared.name, &self.id))
            } else {
                Verdict::Run
            }
        } else if !self.changed_roles.contains(&shared.name) {
            Verdict::Skip
        } else if shared.verb == Verb::Create {
            // What a new role would be where the dump says nothing. Its password only the dump can know.
            let role = quote_identifier(&shared.name);
            let until = if self.expiring_roles.contains(&shared.name) {
                " VALID UNTIL 'infinity'"
            } else {
                ""
            };
            Verdict::Later(vec![
                format!("ALTER ROLE {role} CONNECTION LIMIT -1{until}"),
                format!("ALTER ROLE {role} RESET ALL"),
            ])
        } else {
            Verdict::Later(vec![text.to_owned()])
        })
    }

    fn of_membership(&self, role: &str, member: &str, text: &str) -> Verdict {
        let known = |name: &str| self.new_roles.contains(name) || self.changed_roles.contains(name);
        let rewritten = self.memberships.as_ref().and_then(|memberships| {
            memberships
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .rewrite(text, &self.bootstrap)
        });
        let text = rewritten.unwrap_or_else(|| text.to_owned());
        if self.new_roles.contains(member) && (known(role) || self.whole_server) {
            Verdict::Instead(text)
        } else if known(role) && known(member) {
            Verdict::Later(vec![text])
        } else {
            Verdict::Skip
        }
    }

    fn of_tablespace(&self, shared: &Shared) -> Verdict {
        if self.new_tablespaces.contains(&shared.name) && shared.verb != Verb::Drop {
            Verdict::Run
        } else {
            Verdict::Skip
        }
    }
}

/// Makes a role together with the comment that says whose it is, until the restore has ended or the dump gives it another.
fn marked(name: &str, id: &str) -> String {
    let (role, mark) = (quote_identifier(name), quote_literal(&role_mark(id)));
    let tag = format!("$pgvigil_{id}$");
    format!("DO {tag} BEGIN CREATE ROLE {role}; COMMENT ON ROLE {role} IS {mark}; END {tag}")
}

/// The comment of a role that an unfinished restore has made.
pub(super) fn role_mark(id: &str) -> String {
    format!("made by a pgvigil restore that has not ended: {id}")
}

/// Takes that comment away, if it is still there.
pub(super) fn unmark(name: &str, id: &str) -> String {
    let (role, mark) = (quote_identifier(name), quote_literal(&role_mark(id)));
    let (tag, name) = (format!("$pgvigil_{id}$"), quote_literal(name));
    format!(
        "DO {tag} BEGIN IF (SELECT pg_catalog.shobj_description(oid, 'pg_authid') = {mark} FROM pg_catalog.pg_roles WHERE rolname = {name}) \
         THEN COMMENT ON ROLE {role} IS NULL; END IF; END {tag}"
    )
}

fn begins(text: &str, words: &[&str]) -> bool {
    Tokens::new(text.as_bytes()).keywords(words)
}

/// `GRANT … ON PARAMETER` and `ALTER ROLE ALL SET …`, all that pg_dumpall writes about the server as such.
fn concerns_all(text: &str) -> bool {
    let mut tokens = Tokens::new(text.as_bytes());
    if tokens.keywords(&["alter", "role", "all"]) {
        return tokens.keyword("set") || tokens.keyword("reset");
    }
    let privilege = tokens.keyword("grant") || tokens.keyword("revoke");
    while tokens.peek().is_some_and(|token| !token.is("on")) {
        tokens.next();
    }
    privilege && tokens.keywords(&["on", "parameter"])
}

/// Whether a database is made of nothing, and not of another one's content.
fn makes_of_template0(text: &str) -> bool {
    let mut tokens = Tokens::new(text.as_bytes());
    while tokens.peek().is_some_and(|token| !token.is("template")) {
        tokens.next();
    }
    tokens.next();
    tokens.symbol(b'=');
    tokens.keyword("template0")
}

/// `ALTER DATABASE … RENAME TO` and `… SET TABLESPACE`.
fn moves(text: &str, shared: &Shared) -> bool {
    let rest = text.get(shared.at.end..).unwrap_or_default();
    begins(rest, &["rename"]) || begins(rest, &["set", "tablespace"])
}

/// `ALTER DATABASE … IS_TEMPLATE = true`
fn is_template(text: &str) -> bool {
    text.to_ascii_lowercase().contains("is_template")
}
