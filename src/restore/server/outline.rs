//! What a dump would do to a server as a whole, read from its text without running any of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Catalog;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::restore::steps::{Step, Steps};
use crate::sql::encoding::decode;
use crate::sql::reach::{self, Reach, Verb};
use crate::sql::roles;
use crate::sql::statement::{self, Statement};
use crate::sql::token::Tokens;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Roles that the dump makes.
    pub(super) roles: BTreeSet<String>,
    /// Roles that it names, made or not.
    pub(super) named: BTreeSet<String>,
    /// Tablespaces that it makes, with their directories.
    pub(super) tablespaces: BTreeMap<String, String>,
    /// The databases by the dump's names.
    pub(super) databases: BTreeMap<String, OutlineDatabase>,
}

/// A database of the dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OutlineDatabase {
    /// Whether the dump makes it, or takes it for granted.
    pub(super) is_created: bool,
    /// Roles that own something in it, or are given something.
    pub(super) roles: BTreeSet<String>,
}

/// Reads the outline; rows are passed over where the archive has an index.
pub(super) async fn read(
    archive: &std::path::Path,
    catalog: &Catalog,
    progress: &Progress,
) -> Result<Outline> {
    let mut steps = Steps::beside_rows(archive, catalog, progress)?;
    let mut reader = Reader::default();
    while let Some(step) = steps.receiver.recv().await {
        match step {
            Step::Connect(name) => {
                reader.outline.databases.entry(name.clone()).or_default();
                reader.database = Some(name);
                reader.encoding.clear();
            }
            Step::Statement(text, _) => reader.statement(&text),
            Step::Refused(why, at) => return Err(crate::restore::policy::refused(&why, at)),
            _ => {}
        }
    }
    steps.finish().await?;
    Ok(reader.outline)
}

#[derive(Default)]
struct Reader {
    outline: Outline,
    database: Option<String>,
    encoding: String,
}

impl Reader {
    fn statement(&mut self, text: &[u8]) {
        let Some(text) = decode(&self.encoding, text) else {
            return;
        };
        let bytes = text.as_bytes();
        match statement::read(bytes) {
            Statement::Set { name, value } if name == "client_encoding" => {
                self.encoding = value;
                return;
            }
            Statement::CreateTablespace { name, location } => {
                self.outline.tablespaces.insert(name, location);
            }
            Statement::CreateRole(name) => drop(self.outline.roles.insert(name)),
            Statement::CreateDatabase(name) => {
                self.outline.databases.entry(name).or_default().is_created = true;
            }
            _ => {}
        }
        self.outline.named.extend(roles::named_in(bytes));
        let database = match reach::reach(bytes) {
            Reach::Here => self.database.clone(),
            Reach::Database(shared) if shared.verb != Verb::Drop => Some(shared.name),
            _ => None,
        };
        if let Some(database) = database
            && names_roles(bytes)
        {
            let roles = &mut self.outline.databases.entry(database).or_default().roles;
            roles.extend(Tokens::new(bytes).filter_map(|token| token.identifier()));
        }
    }
}

/// Whether a statement may name roles. Which of its words they are does not matter: only words that are roles of the dump
/// count in the end.
fn names_roles(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    if tokens.keyword("create") {
        return [
            "policy",
            "user",
            "schema",
            "database",
            "subscription",
            "server",
        ]
        .iter()
        .any(|word| tokens.keyword(word));
    }
    matches!(statement::read(text), Statement::Privilege) || tokens.keywords(&["alter", "policy"])
}

impl Outline {
    /// Roles of the dump that a database cannot do without.
    pub(super) fn roles_of(&self, database: &str) -> BTreeSet<String> {
        let Some(database) = self.databases.get(database) else {
            return BTreeSet::new();
        };
        database.roles.intersection(&self.roles).cloned().collect()
    }
}

/// A dump that does not hold what is asked for.
pub(super) fn no_database(name: &str, catalog: &Catalog) -> Failure {
    let there: Vec<_> = catalog
        .databases
        .iter()
        .map(crate::catalog::Database::label)
        .collect();
    Failure::new(
        FailureKind::Usage,
        format!(
            "restore database {name}: the backup has {}",
            there.join(", ")
        ),
    )
}
