//! Libraries that a scratch server has to load at its start, because extensions of the dump do not work otherwise.
//!
//! Only what is known to need it, and only what is there: a library that is missing would keep the server from starting.
//! What such a library does on its own (jobs, workers, telemetry) stays switched off, for a restored job must not run.

use std::path::{Path, PathBuf};

use crate::catalog::Catalog;

/// Extensions whose library has the same name and must be loaded at start, in the order that they demand.
const LIBRARIES: [&str; 12] = [
    "citus",
    "timescaledb",
    "pg_cron",
    "pg_net",
    "pg_squeeze",
    "pg_stat_statements",
    "pg_stat_kcache",
    "pg_stat_monitor",
    "pg_qualstats",
    "pg_wait_sampling",
    "pgaudit",
    "set_user",
];

/// Settings of those that would begin to work on their own.
const QUIET: [(&str, &[&str]); 3] = [
    // Its scheduler is a background worker, of which there are none.
    (
        "pg_cron",
        &["cron.launch_active_jobs=off", "max_worker_processes=0"],
    ),
    (
        "timescaledb",
        &[
            "timescaledb.telemetry_level=off",
            "timescaledb.restoring=on",
            "max_worker_processes=0",
        ],
    ),
    ("pg_net", &["max_worker_processes=0"]),
];

/// The settings that a dump's extensions need, for a server of the programs in this directory.
pub fn settings(expected: &Catalog, programs: &Path) -> Vec<String> {
    let folders = library_folders(programs);
    let has = |name: &str| {
        let file = format!("{name}.so");
        folders.iter().any(|folder| folder.join(&file).is_file())
    };
    settings_with(expected, has)
}

fn settings_with(expected: &Catalog, has: impl Fn(&str) -> bool) -> Vec<String> {
    let of = |name: &str| {
        let mut databases = expected.databases.iter();
        databases.find(|database| database.extensions.iter().any(|other| other == name))
    };
    let needed: Vec<_> = LIBRARIES
        .into_iter()
        .filter(|name| of(name).is_some() && has(name))
        .collect();
    let mut settings = Vec::new();
    if needed.is_empty() {
        return settings;
    }
    settings.push(format!("shared_preload_libraries={}", needed.join(",")));
    for (name, quiet) in QUIET {
        if needed.contains(&name) {
            settings.extend(quiet.iter().map(|setting| (*setting).to_owned()));
        }
    }
    // It lets itself be created in this one database only.
    if let Some(database) = of("pg_cron").filter(|_| needed.contains(&"pg_cron")) {
        settings.push(format!("cron.database_name={}", database.name));
    }
    settings
}

/// Where PostgreSQL's packages put pkglibdir beside the programs.
fn library_folders(programs: &Path) -> Vec<PathBuf> {
    let programs = programs
        .canonicalize()
        .unwrap_or_else(|_| programs.to_owned());
    let Some(installation) = programs.parent() else {
        return Vec::new();
    };
    ["lib", "lib/postgresql", "lib/pgsql", "lib64", "lib64/pgsql"]
        .map(|folder| installation.join(folder))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Database;

    fn catalog(extensions: &[&str]) -> Catalog {
        Catalog {
            databases: vec![Database {
                name: "jobs".to_owned(),
                extensions: extensions.iter().map(|name| (*name).to_owned()).collect(),
                ..Database::default()
            }],
            ..Catalog::default()
        }
    }

    #[test]
    fn only_what_is_needed_and_there() {
        let with =
            |extensions: &[&str]| settings_with(&catalog(extensions), |name| name != "pgaudit");
        assert_eq!(with(&["hstore", "pgaudit"]), Vec::<String>::new());
        assert_eq!(
            with(&["pg_stat_statements", "hstore"]),
            ["shared_preload_libraries=pg_stat_statements"]
        );
    }

    #[test]
    fn restored_jobs_do_not_run() {
        let settings = settings_with(&catalog(&["pg_cron", "timescaledb"]), |_| true);
        for wanted in [
            "shared_preload_libraries=timescaledb,pg_cron",
            "cron.launch_active_jobs=off",
            "max_worker_processes=0",
            "cron.database_name=jobs",
        ] {
            assert!(
                settings.iter().any(|setting| setting == wanted),
                "{settings:?}"
            );
        }
    }
}
