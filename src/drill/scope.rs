//! A drill of a part: one database, or tables of one. It measures how long that restore takes, and proves that much; it is
//! no proof of the backup.

use std::sync::Arc;

use serde::Serialize;

use super::report::{CheckStatus, Report};
use crate::catalog::{Catalog, Database};
use crate::config;
use crate::error::{Failure, FailureKind, Result};
use crate::restore::cluster::{Only, Tables};
use crate::restore::table::Name;
use crate::restore::table::pattern::Pattern;
use crate::verify::Checked;

/// What a drill restores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Only this database; none: all of them.
    pub database: Option<String>,
    /// Only tables that fit these patterns; none given: all of the database.
    pub tables: Vec<String>,
}

impl Scope {
    /// Whether it is everything.
    pub fn is_whole(&self) -> bool {
        self.database.is_none()
    }

    /// As people read it; none where it is everything.
    pub fn describe(&self) -> Option<String> {
        let database = self.database.as_ref()?;
        Some(match self.tables.as_slice() {
            [] => format!("database {database}"),
            tables => format!("{} of database {database}", tables.join(", ")),
        })
    }

    /// Leaves of what was checked only what is restored; gives that for the restore.
    pub(super) fn narrow(
        &self,
        checked: &mut Checked,
        report: &mut Report,
    ) -> Result<Option<Only>> {
        let Some(name) = &self.database else {
            return Ok(None);
        };
        let patterns: Vec<Pattern> = self
            .tables
            .iter()
            .map(|text| Pattern::parse(text))
            .collect::<Result<_>>()?;
        let manifest = checked.manifest.as_mut();
        let catalogs = manifest
            .map(|manifest| &mut manifest.catalog)
            .into_iter()
            .chain([&mut checked.catalog]);
        let mut tables = None;
        for catalog in catalogs {
            tables = self.narrow_catalog(catalog, name, &patterns)?;
        }
        if tables.is_some() {
            let detail = "only tables are restored: foreign keys to others, refreshed views and objects by name are left to a drill of the database";
            report.check(
                "the rest of the database",
                CheckStatus::NotDone,
                detail.to_owned(),
            );
        }
        Ok(Some(Only {
            database: name.clone(),
            tables,
        }))
    }

    fn narrow_catalog(
        &self,
        catalog: &mut Catalog,
        name: &str,
        patterns: &[Pattern],
    ) -> Result<Option<Tables>> {
        let there: Vec<_> = catalog.databases.iter().map(Database::label).collect();
        let there = there.join(", ");
        catalog.databases.retain(|database| database.name == name);
        // It speaks of all databases and their settings.
        catalog.inventory = None;
        let Some(database) = catalog.databases.first_mut() else {
            let what = format!("drill database {name}: the backup has {there}");
            return Err(Failure::new(FailureKind::Usage, what));
        };
        if patterns.is_empty() {
            return Ok(None);
        }
        for pattern in patterns {
            let fits = |table: &crate::catalog::Table| {
                pattern.fits(&Name::new(&table.schema, &table.name))
            };
            if !database.tables.iter().any(fits) {
                let what = format!(
                    "drill table {} of database {name}: the backup has no data of such a table",
                    pattern.text
                );
                return Err(Failure::new(FailureKind::Usage, what)
                    .remedy("see `pgvigil inspect` for the tables"));
            }
        }
        database.tables.retain(|table| {
            let name = Name::new(&table.schema, &table.name);
            patterns.iter().any(|pattern| pattern.fits(&name))
        });
        database.inventory = None;
        let names = database
            .tables
            .iter()
            .map(|table| (table.schema.clone(), table.name.clone()));
        Ok(Some(Arc::new(names.collect())))
    }

    /// The configured checks that this part can answer.
    pub(super) fn checks(&self, configured: &config::Drill) -> config::Drill {
        let mut checks = configured.clone();
        if let Some(name) = &self.database {
            checks
                .checks
                .retain(|check| self.tables.is_empty() && check.database == *name);
            checks
                .freshness
                .retain(|wanted| self.tables.is_empty() && wanted.database == *name);
        }
        checks
    }
}
