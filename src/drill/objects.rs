//! Does the restored server have every object that the dump defines, and no other? Its catalogs are asked as the source's
//! were at the time of the backup, so this holds across major versions too. What an object is like inside is not
//! compared: PostgreSQL may write the same view in other words after a restore. What a dump's text lacks or has otherwise
//! than when it was published, verify says before.

use std::collections::{BTreeMap, HashSet};

use super::place::Place;
use super::report::{CheckStatus, Report};
use crate::catalog::diff::{Difference, ObjectKind};
use crate::catalog::inventory::Inventory;
use crate::catalog::{Database, DumpKind};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::pg::connect::{ServerError, Session};
use crate::pg::objects::{self, Found, Which};
use crate::sql::name::quote_as_pg_dump;
use crate::sql::object::{Kind, Object};
use crate::verify::Checked;

const NAME: &str = "objects";

/// Kinds told with their counts; the others are in the sum.
const TOLD: usize = 6;

/// Names of extensions told.
const NAMED: usize = 5;

/// What was looked at, and what is not as it should be.
#[derive(Default)]
struct Looked {
    kinds: BTreeMap<Kind, usize>,
    differences: Vec<Difference>,
    /// Whether what is named after roles is left to the check of owners and grants.
    without_roles: bool,
    /// Extensions of other versions.
    drifted: Vec<String>,
    /// Extensions whose version at the time of the backup is known, and not.
    versions: (usize, usize),
}

/// Does the checks; their results go into the report.
pub(super) async fn check(
    checked: &Checked,
    scratch: &Place<'_>,
    report: &mut Report,
) -> Result<()> {
    let mut looked = Looked::default();
    let target = scratch.target();
    if matches!(scratch, Place::Given(_)) {
        // Roles have other names there, and what the server shares is not restored.
        looked.without_roles = true;
        looked.databases(checked, scratch).await?;
        looked.report(report);
        return Ok(());
    }
    let session = target.session(&target.database).await?;
    let found = objects::of_cluster(&session, Which::All)
        .await
        .map_err(failed(""))?;
    session.close().await;
    // A dump of one database does not say what the server shares; what it needs of that was made up.
    let says = checked.catalog.kind == DumpKind::Cluster;
    if let Some(inventory) = checked.catalog.inventory.as_ref().filter(|_| says) {
        // Settings are a check of their own: they have values.
        let is_here = |object: &Object| object.kind != Kind::Setting;
        let ours = Object::new(Kind::Role, quote_as_pg_dump(&target.user));
        let found: Vec<_> = found
            .into_iter()
            .filter(|found| is_here(&found.object) && found.object != ours)
            .collect();
        looked.compare("", inventory, is_here, &found);
    }
    looked.databases(checked, scratch).await?;
    looked.report(report);
    Ok(())
}

fn failed(database: &str) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = match database {
        "" => "list the roles of the restored server".to_owned(),
        database => format!("list the objects of the restored database {database}"),
    };
    move |error| Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error))
}

impl Looked {
    async fn databases(&mut self, checked: &Checked, scratch: &Place<'_>) -> Result<()> {
        for database in &checked.catalog.databases {
            let session = scratch.target().session(&database.name).await?;
            let manifest = checked.manifest.as_ref();
            let done = self.look_into(&session, database, manifest).await;
            session.close().await;
            done.map_err(failed(&database.name))?;
        }
        Ok(())
    }

    async fn look_into(
        &mut self,
        session: &Session,
        database: &Database,
        manifest: Option<&Manifest>,
    ) -> std::result::Result<(), tokio_postgres::Error> {
        let found = objects::of_database(session, Which::All).await?;
        if let Some(inventory) = &database.inventory {
            let without_roles = self.without_roles;
            let asked = |object: &Object| {
                let of_role = matches!(object.kind, Kind::Grant | Kind::UserMapping);
                is_asked_for(object) && !(without_roles && of_role)
            };
            let found: Vec<_> = found
                .into_iter()
                .filter(|found| asked(&found.object))
                .collect();
            self.compare(&database.name, inventory, asked, &found);
        }
        for (name, here) in objects::extensions(session).await? {
            if !database.extensions.contains(&name) {
                continue;
            }
            let versions = manifest
                .iter()
                .flat_map(|known| &known.source.extension_versions);
            let mut versions =
                versions.filter(|known| known.database == database.name && known.name == name);
            match versions.next() {
                None => self.versions.1 += 1,
                Some(known) => {
                    self.versions.0 += 1;
                    if known.version != here {
                        self.drifted.push(format!(
                            "extension {name} of database {} was {}, is {here} here",
                            database.name, known.version
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        database: &str,
        inventory: &Inventory,
        counts: impl Fn(&Object) -> bool,
        found: &[Found],
    ) {
        let there: HashSet<&Object> = found.iter().map(|found| &found.object).collect();
        for object in inventory.objects().filter(|object| counts(object)) {
            *self.kinds.entry(object.kind).or_default() += 1;
            if !there.contains(&object) && is_text(&object) {
                self.differs(database, &object, "present", "nothing");
            }
        }
        if !inventory.is_whole() {
            return;
        }
        for found in found.iter().filter(|found| found.own) {
            if !inventory.has(&found.object) && is_text(&found.object) {
                self.differs(database, &found.object, "nothing", "present");
            }
        }
    }

    fn differs(&mut self, database: &str, object: &Object, expected: &str, actual: &str) {
        self.differences.push(Difference {
            database: database.to_owned(),
            object: object.to_string(),
            kind: ObjectKind::Object,
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        });
    }

    fn report(self, report: &mut Report) {
        let all: usize = self.kinds.values().sum();
        match self.differences.first() {
            None => report.check(
                NAME,
                CheckStatus::Passed,
                format!("{all} objects are there{}", told(self.kinds)),
            ),
            Some(first) => {
                let detail = format!(
                    "{} of {all} objects differ, the first: {first}",
                    self.differences.len()
                );
                report.check(NAME, CheckStatus::Failed, detail);
            }
        }
        report.mismatches.extend(self.differences);
        let (known, unknown) = self.versions;
        let (status, detail) = if unknown > 0 {
            let detail = format!(
                "{unknown} extensions are there; their versions at the time of the backup are not known"
            );
            (CheckStatus::NotDone, detail)
        } else if self.drifted.is_empty() {
            let detail = format!("{known} extensions are there, with the versions of the source");
            (CheckStatus::Passed, detail)
        } else {
            let shown: Vec<_> = self.drifted.iter().take(NAMED).cloned().collect();
            let detail = format!(
                "{known} extensions are there, {} with another version: {}",
                self.drifted.len(),
                shown.join("; ")
            );
            (CheckStatus::Passed, detail)
        };
        report.check("extensions", status, detail);
    }
}

/// Whether the restored server was asked for such an object: privileges on the system's own are not listed; the check of
/// owners and grants knows them.
fn is_asked_for(object: &Object) -> bool {
    let of_system = ["pg_catalog", "information_schema"].iter().any(|schema| {
        let (member, whole) = (format!(" {schema}."), format!(" schema {schema}"));
        object.name.contains(&member) || object.name.ends_with(&whole)
    });
    object.kind != Kind::Grant || !of_system
}

/// In a database of encoding SQL_ASCII a name can be bytes that no client can write down.
fn is_text(object: &Object) -> bool {
    !object.name.contains(char::REPLACEMENT_CHARACTER)
}

/// ` (12 functions, …)`: the most frequent kinds.
fn told(kinds: BTreeMap<Kind, usize>) -> String {
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    let shown: Vec<_> = kinds
        .iter()
        .take(TOLD)
        .map(|(kind, count)| format!("{count} {}", kind.counted()))
        .collect();
    match kinds.len() {
        0 => String::new(),
        many if many > TOLD => format!(" ({}, …)", shown.join(", ")),
        _ => format!(" ({})", shown.join(", ")),
    }
}
