//! What has to be known of a dump before anything is made: which databases it makes itself, who is a member of whom, and
//! who was a superuser.

use std::collections::BTreeSet;
use std::path::Path;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::outcome::Progress;
use crate::restore::policy::refused;
use crate::restore::steps::{Step, Steps};
use crate::sql::encoding::decode;
use crate::sql::reach::{self, Reach};
use crate::sql::statement::{self, Statement};
use crate::sql::token::Tokens;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Databases that it makes.
    pub(super) created: BTreeSet<String>,
    /// Roles that it makes.
    pub(super) roles: BTreeSet<String>,
    /// Those of them that are superusers.
    pub(super) superusers: BTreeSet<String>,
    /// Memberships, in its order.
    pub(super) memberships: Vec<Membership>,
}

/// `GRANT role TO member`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) role: String,
    pub(super) member: String,
    /// `ADMIN OPTION, INHERIT TRUE`, as far as it is written.
    pub(super) options: String,
}

/// Reads it; rows are passed over where the archive has an index.
pub(super) async fn read(
    archive: &Path,
    catalog: &Catalog,
    progress: &Progress,
) -> Result<Outline> {
    let mut steps = Steps::beside_rows(archive, catalog, progress)?;
    let mut outline = Outline::default();
    let mut encoding = String::new();
    while let Some(step) = steps.receiver.recv().await {
        progress.check()?;
        match step {
            Step::Connect(_) => encoding.clear(),
            Step::Statement(text, _) => {
                if let Some(text) = decode(&encoding, &text) {
                    match statement::read(text.as_bytes()) {
                        Statement::Set { name, value } if name == "client_encoding" => {
                            encoding = value;
                        }
                        other => outline.add(text.as_bytes(), other),
                    }
                }
            }
            Step::Refused(why, at) => return Err(refused(&why, at)),
            _ => {}
        }
    }
    steps.finish().await?;
    Ok(outline)
}

impl Outline {
    fn add(&mut self, text: &[u8], statement: Statement) {
        match statement {
            Statement::CreateRole(name) => drop(self.roles.insert(name)),
            Statement::CreateDatabase(name) => drop(self.created.insert(name)),
            _ => {}
        }
        match reach::reach(text) {
            Reach::Role(role) if Tokens::new(text).any(|token| token.is("superuser")) => {
                self.superusers.insert(role.name);
            }
            Reach::Membership { role, member } => {
                let mut tokens = Tokens::new(text);
                if tokens.keyword("grant") {
                    self.memberships.push(Membership {
                        role,
                        member,
                        options: options(tokens),
                    });
                }
            }
            _ => {}
        }
    }
}

/// What stands between WITH and GRANTED BY, as far as it is options of a membership.
fn options(mut tokens: Tokens<'_>) -> String {
    const WORDS: [&str; 6] = ["admin", "option", "inherit", "set", "true", "false"];
    while tokens.peek().is_some() && !tokens.keyword("with") {
        tokens.next();
    }
    let mut options = String::new();
    loop {
        if tokens.symbol(b',') {
            options.push(',');
        } else if let Some(word) = WORDS.iter().find(|word| tokens.keyword(word)) {
            options.push(' ');
            options.push_str(word);
        } else {
            return options.trim().to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_read() {
        let mut outline = Outline::default();
        for text in [
            "CREATE ROLE app;",
            "ALTER ROLE app WITH NOSUPERUSER LOGIN;",
            "ALTER ROLE boss WITH SUPERUSER INHERIT;",
            "CREATE DATABASE app_db WITH TEMPLATE = template0;",
            "GRANT app TO boss;",
            "GRANT a TO b WITH ADMIN OPTION, INHERIT FALSE, SET TRUE GRANTED BY postgres;",
            "REVOKE app FROM boss;",
        ] {
            outline.add(text.as_bytes(), statement::read(text.as_bytes()));
        }
        let set = |name: &str| BTreeSet::from([name.to_owned()]);
        let membership = |role: &str, member: &str, options: &str| Membership {
            role: role.to_owned(),
            member: member.to_owned(),
            options: options.to_owned(),
        };
        assert_eq!(
            outline,
            Outline {
                created: set("app_db"),
                roles: set("app"),
                superusers: set("boss"),
                memberships: vec![
                    membership("app", "boss", ""),
                    membership("a", "b", "admin option, inherit false, set true"),
                ],
            }
        );
    }
}
