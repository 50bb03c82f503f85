//! What a restore would do to a server: the plan for people, and the same as names for the work.

use super::outline::{self, Outline};
use super::temporary::Replacing;
use super::{Planned, Request, Scope, Work};
use crate::catalog::{Catalog, Database, DumpKind};
use crate::config::units::format_bytes;
use crate::error::Result;
use crate::pg::connect::Target;
use crate::pg::shared::{self, Shared, SharedDatabase};
use crate::pg::version::Version;
use crate::restore::plan::{Action, Item, ItemKind, Plan, PreCheck, TargetFacts};

/// Databases that every server has from its beginning. As long as nobody has made anything in them, taking their place
/// loses nothing.
const FROM_THE_BEGINNING: [&str; 2] = ["postgres", "template1"];

/// Bytes of the longest name; the server would cut a longer one.
const LONGEST_NAME: usize = 63;

/// What temporary databases are called.
const TEMPORARY: &str = "pgvigil_restore_";

/// Makes the plan.
pub(super) async fn plan(
    request: &Request<'_>,
    target: &Target,
    shared: &Shared,
    outline: &Outline,
) -> Result<(Plan, Work)> {
    let mut planning = Planning {
        request,
        shared,
        outline,
        plan: Plan {
            archive: request.archive.clone(),
            target: TargetFacts {
                host: target.host.clone(),
                port: target.port,
                user: target.user.clone(),
                version: shared.version_text.clone(),
            },
            ..Plan::default()
        },
        work: Work {
            major: shared.version.major,
            bootstrap: shared.bootstrap.clone(),
            expiring_roles: shared.expiring_roles.clone(),
            ..Work::default()
        },
    };
    planning.server(target);
    planning.roles(target);
    planning.tablespaces();
    planning.databases(target).await?;
    planning.checks();
    Ok((planning.plan, planning.work))
}

struct Planning<'a> {
    request: &'a Request<'a>,
    shared: &'a Shared,
    outline: &'a Outline,
    plan: Plan,
    work: Work,
}

impl Planning<'_> {
    fn catalog(&self) -> &Catalog {
        self.request.catalog
    }

    fn is_whole(&self) -> bool {
        matches!(self.request.scope, Scope::Cluster)
    }

    fn item(&mut self, kind: ItemKind, name: &str, action: Action, detail: impl Into<String>) {
        self.plan.items.push(Item {
            kind,
            name: name.to_owned(),
            action,
            detail: detail.into(),
        });
    }

    fn refuse(&mut self, why: impl Into<String>) {
        self.plan.refusals.push(why.into());
    }

    /// Whether the server as such can be restored into.
    fn server(&mut self, target: &Target) {
        if self.shared.is_standby {
            self.refuse(format!(
                "{target} is a standby and takes no changes; name the primary"
            ));
        }
        if !self.shared.rights.superuser {
            self.refuse(format!(
                "{} is no superuser of the target: owners and grants of all roles could not be restored; connect as one",
                target.user
            ));
        }
        let dumped = self.catalog().server_version.as_deref().unwrap_or_default();
        if let Some(dumped) = Version::from_text(dumped)
            && dumped.major > self.shared.version.major
        {
            self.refuse(format!(
                "the backup is of PostgreSQL {dumped}, the target is {}; restore into the same major version or a newer one",
                self.shared.version_text
            ));
        }
        if self.is_whole() && self.catalog().kind == DumpKind::Database {
            self.refuse(
                "the backup is a dump of one database; say into which database with --database",
            );
        }
    }

    fn roles(&mut self, target: &Target) {
        let wanted = match &self.request.scope {
            Scope::Cluster => self.outline.roles.clone(),
            Scope::Database { name, .. } => self.outline.roles_of(name),
        };
        if self.catalog().kind == DumpKind::Database {
            let known = |role: &&String| {
                !self.shared.roles.contains(*role) && !role.eq_ignore_ascii_case("public")
            };
            let missing: Vec<_> = self.outline.named.iter().filter(known).cloned().collect();
            if !missing.is_empty() {
                self.refuse(format!(
                    "the target lacks roles that the backup names ({}), and a dump of one database does not bring them; create them first",
                    missing.join(", ")
                ));
            }
        }
        for role in &wanted {
            let is_there = self.shared.roles.contains(role);
            if !is_there {
                let how = if self.is_whole() {
                    "as in the backup"
                } else {
                    "as in the backup, without memberships in roles that are there already"
                };
                self.item(ItemKind::Role, role, Action::Create, how);
                self.work.new_roles.insert(role.clone());
            } else if self.is_whole() && self.request.replace {
                let when = if *role == target.user {
                    "attributes, password and settings as in the backup, at the very end: it is who restores; memberships are added"
                } else {
                    "attributes, password and settings as in the backup; memberships are added, none is taken away"
                };
                self.item(ItemKind::Role, role, Action::Change, when);
                self.work.changed_roles.insert(role.clone());
            } else {
                let how = if self.is_whole() {
                    "there already; --replace changes it to what the backup says"
                } else {
                    "there already"
                };
                self.item(ItemKind::Role, role, Action::LeaveAlone, how);
            }
        }
    }

    fn tablespaces(&mut self) {
        if !self.is_whole() {
            return;
        }
        for (name, location) in &self.outline.tablespaces {
            if self.shared.tablespaces.contains(name) {
                self.item(
                    ItemKind::Tablespace,
                    name,
                    Action::LeaveAlone,
                    "there already, and used as it is",
                );
            } else {
                let detail =
                    format!("in {location}, which must be an empty directory of the target's");
                self.item(ItemKind::Tablespace, name, Action::Create, detail);
                self.work.new_tablespaces.insert(name.clone());
            }
        }
    }

    async fn databases(&mut self, target: &Target) -> Result<()> {
        let catalog = self.request.catalog;
        let wanted: Vec<(&Database, String)> = match &self.request.scope {
            Scope::Cluster => catalog
                .databases
                .iter()
                .map(|database| (database, database.name.clone()))
                .collect(),
            Scope::Database { name, into } => {
                let database = catalog
                    .databases
                    .iter()
                    .find(|database| database.name == *name)
                    .ok_or_else(|| outline::no_database(name, catalog))?;
                vec![(database, into.clone())]
            }
        };
        for (database, into) in &wanted {
            self.plan.rows += database.rows();
            self.plan.bytes += database.range.length;
            let loads = format!(
                "{} tables, {} rows, {} of dump text",
                database.tables.len(),
                database.rows(),
                format_bytes(database.range.length)
            );
            if into.is_empty() || into.len() > LONGEST_NAME {
                self.refuse(format!(
                    "{into:?} is no database's name: it has to have from 1 to {LONGEST_NAME} bytes; give it another with --as"
                ));
            }
            if into.starts_with(TEMPORARY) {
                self.refuse(format!(
                    "database {into} would be called as temporary databases of restores are; give it another name with --as"
                ));
            }
            let there = self.shared.databases.get(into);
            let replacing = match there {
                None => {
                    self.item(ItemKind::Database, into, Action::Create, loads);
                    Replacing::Nothing
                }
                Some(old) => {
                    let own = database.name == *into;
                    self.takes_the_place(target, into, old, own, &loads).await?
                }
            };
            let is_created = self
                .outline
                .databases
                .get(&database.name)
                .is_some_and(|outlined| outlined.is_created);
            if !is_created {
                self.plan.notes.push(format!(
                    "the backup does not make database {into}: it gets encoding, locale and owner of the one there, or the server's; not its grants, settings and comment"
                ));
            }
            if !is_created
                && replacing == Replacing::InUse
                && self.catalog().kind == DumpKind::Database
            {
                self.refuse(format!(
                    "the backup does not make database {into}, so that it may hold a part of one only; restore it under a new name with --as, or its tables with --table"
                ));
            }
            self.work.databases.push(Planned {
                name: database.name.clone(),
                into: into.clone(),
                is_created,
                replacing,
            });
        }
        self.others(&wanted);
        Ok(())
    }

    /// A database of that name is there.
    async fn takes_the_place(
        &mut self,
        target: &Target,
        name: &str,
        old: &SharedDatabase,
        own: bool,
        loads: &str,
    ) -> Result<Replacing> {
        // Another database's content there would be in every new one.
        let harmless = own
            && FROM_THE_BEGINNING.contains(&name)
            && old.allows_connections
            && shared::is_empty(target, name).await?;
        if name == "template0" {
            self.refuse("template0 is what every database is made of; it is not restored");
        }
        self.cannot_be_dropped(name, old);
        if harmless {
            let sessions = match old.sessions {
                0 => String::new(),
                many => format!(", and {many} connections, which will be ended"),
            };
            let detail = format!("{loads}; the one there has nothing in it{sessions}");
            self.item(ItemKind::Database, name, Action::Replace, detail);
            return Ok(Replacing::Empty);
        }
        let detail = format!(
            "{loads}; the one there has {} and {} connections, which will be ended",
            format_bytes(old.bytes),
            old.sessions
        );
        self.item(ItemKind::Database, name, Action::Replace, detail);
        if !self.request.replace {
            let beside = if self.is_whole() {
                "restore its databases one by one under new names (--database NAME --as NEW)"
            } else {
                "choose a new name beside it with --as"
            };
            self.refuse(format!(
                "database {name} is on the target already, with {}; allow it to be replaced with --replace, or {beside}",
                format_bytes(old.bytes)
            ));
        }
        Ok(Replacing::InUse)
    }

    /// What keeps a database from being dropped, and its place from being taken.
    fn cannot_be_dropped(&mut self, name: &str, old: &SharedDatabase) {
        if !old.slots.is_empty() {
            self.refuse(format!(
                "database {name} of the target has logical replication slots ({}), which keep it from being dropped; drop them first",
                old.slots.join(", ")
            ));
        }
        if old.prepared > 0 {
            self.refuse(format!(
                "database {name} of the target has {} prepared transactions; end them first",
                old.prepared
            ));
        }
        if old.subscriptions > 0 {
            self.refuse(format!(
                "database {name} of the target has {} subscriptions, which keep it from being dropped; drop them first",
                old.subscriptions
            ));
        }
    }

    /// What is on the server and stays.
    fn others(&mut self, wanted: &[(&Database, String)]) {
        let shared = self.shared;
        let stay: Vec<_> = shared
            .databases
            .iter()
            .filter(|(name, _)| !wanted.iter().any(|(_, into)| into == *name))
            .filter(|(name, _)| name.as_str() != "template0")
            .collect();
        for (name, database) in stay {
            let detail = format!(
                "not touched: {}, {} connections",
                format_bytes(database.bytes),
                database.sessions
            );
            self.item(ItemKind::Database, name, Action::LeaveAlone, detail);
        }
        if !self.is_whole() {
            let omitted = self.catalog().databases.len() - wanted.len();
            if omitted > 0 {
                self.plan.notes.push(format!(
                    "{omitted} other databases of the backup are not restored"
                ));
            }
        }
    }

    /// The list to go through before a restore.
    fn checks(&mut self) {
        let replaced: Vec<(&String, &SharedDatabase)> = self
            .shared
            .databases
            .iter()
            .filter(|(name, _)| {
                self.work.databases.iter().any(|database| {
                    database.replacing != Replacing::Nothing && database.into == **name
                })
            })
            .collect();
        let sessions: u64 = replaced.iter().map(|(_, database)| database.sessions).sum();
        let mut clients: Vec<String> = replaced
            .iter()
            .flat_map(|(_, database)| database.clients.iter().cloned())
            .collect();
        clients.sort();
        clients.dedup();
        let detail = match sessions {
            0 => "nobody is connected to what will be replaced".to_owned(),
            many => format!(
                "{many} connections to what will be replaced ({}): stop the application first",
                clients.join(", ")
            ),
        };
        self.plan.checks.push(PreCheck {
            name: "application stopped",
            good: sessions == 0,
            detail,
        });
    }
}
