//! What a dump expects of the machine it is restored on and this one lacks: locales, and objects to drop.
//!
//! None of it changes a row, so a restore goes on without, and says so. Where an error may come from what was done
//! instead, it is the drill that could not run, not the backup that is at fault.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::error::SqlState;

use crate::error::FailureKind;
use crate::pg::connect::Session;
use crate::pg::locale;
use crate::pg::version::Version;
use crate::sql::token::Tokens;

/// What a dump asked for and this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What kind of thing.
    pub what: &'static str,
    /// What was done instead, and what is not proven by it.
    pub detail: String,
}

/// Follows what was done instead.
#[derive(Debug)]
pub(super) struct Surroundings {
    version: Version,
    /// Whether another locale serves: not where the restored databases are to be used.
    other_locales: bool,
    /// Databases restored with another locale: the one they ask for.
    replaced: BTreeMap<String, String>,
    /// (asked for, used) and the databases.
    locales: BTreeMap<(String, &'static str), Vec<String>>,
    settings: Vec<String>,
}

impl Surroundings {
    pub(super) fn new(version: Version, other_locales: bool) -> Self {
        Self {
            version,
            other_locales,
            replaced: BTreeMap::new(),
            locales: BTreeMap::new(),
            settings: Vec::new(),
        }
    }

    /// Does something else for a statement that failed; true where that serves.
    pub(super) async fn otherwise(
        &mut self,
        session: &Session,
        text: &str,
        error: &tokio_postgres::Error,
    ) -> bool {
        let Some(code) = error.code() else {
            return false;
        };
        let mut tokens = Tokens::new(text.as_bytes());
        if tokens.keywords(&["create", "database"]) {
            return self.other_locales
                && is_of_locale(code)
                && self.create_database(session, text).await;
        }
        if tokens.keywords(&["alter", "role"]) || tokens.keywords(&["alter", "database"]) {
            return self.other_locales
                && *code == SqlState::INVALID_PARAMETER_VALUE
                && self.sets_locale(tokens);
        }
        // An empty server has nothing of what a dump made with --clean drops first.
        is_absent(code) && drops(tokens)
    }

    async fn create_database(&mut self, session: &Session, text: &str) -> bool {
        let Some(instead) = locale::instead(text, self.version) else {
            return false;
        };
        for (attempt, used) in instead.attempts {
            if session.execute_typed(&attempt, &[]).await.is_ok() {
                let wanted = instead.wanted.join(", ");
                self.replaced
                    .insert(instead.database.clone(), wanted.clone());
                self.locales
                    .entry((wanted, used))
                    .or_default()
                    .push(instead.database);
                return true;
            }
        }
        false
    }

    /// `ALTER … SET lc_messages TO 'de_DE.UTF-8'`: how messages, money and dates are written.
    fn sets_locale(&mut self, tokens: Tokens<'_>) -> bool {
        let mut tokens = tokens.skip_while(|token| !token.is("set")).skip(1);
        let Some(name) = tokens.next().and_then(|token| token.identifier()) else {
            return false;
        };
        let value = tokens.nth(1).and_then(|token| token.literal());
        let is_locale = name.starts_with("lc_");
        if is_locale {
            let value = value.unwrap_or_default();
            let setting = format!("{name} = {value}");
            if !self.settings.contains(&setting) {
                self.settings.push(setting);
            }
        }
        is_locale
    }

    /// What an error means here, where that is not what it means in general.
    pub(super) fn judge(
        &self,
        database: &str,
        error: &tokio_postgres::Error,
    ) -> Option<(FailureKind, String)> {
        let said = error.as_db_error()?;
        if let Some(locale) = missing_locale(said.message()) {
            let remedy = format!(
                "generate that locale where the drill runs (package locales: localedef or locale-gen {locale}), then drill again"
            );
            return Some((FailureKind::Scratch, remedy));
        }
        if ["could not load library", "could not access file"]
            .iter()
            .any(|begin| said.message().starts_with(begin))
        {
            let remedy = "install the package that holds this library where the drill runs, then drill again";
            return Some((FailureKind::Scratch, remedy.to_owned()));
        }
        let wanted = self.replaced.get(database)?;
        // What depends on order and letters: checks, borders of partitions, exclusion.
        let may_be_locale = [
            SqlState::CHECK_VIOLATION,
            SqlState::EXCLUSION_VIOLATION,
            SqlState::INVALID_OBJECT_DEFINITION,
        ];
        may_be_locale.contains(error.code()?).then(|| {
            let remedy = format!(
                "this may come from the locale: generate {wanted} where the drill runs (package locales), then drill again"
            );
            (FailureKind::Scratch, remedy)
        })
    }

    /// Parameters that were not set for some database or role, by name.
    pub(super) fn unset(&self) -> BTreeSet<String> {
        let name = |setting: &String| setting.split(' ').next().map(str::to_owned);
        self.settings.iter().filter_map(name).collect()
    }

    /// All that was done otherwise.
    pub(super) fn lacking(&self) -> Vec<Lacking> {
        let mut lacking = Vec::new();
        for ((wanted, used), databases) in &self.locales {
            let detail = format!(
                "locale {wanted} is not on this machine: {used} was used for {}; order and uniqueness under that locale are not proven",
                named(databases)
            );
            lacking.push(Lacking {
                what: "locale",
                detail,
            });
        }
        if !self.settings.is_empty() {
            let detail = format!(
                "not set, for this machine lacks the locale: {}",
                self.settings.join(", ")
            );
            lacking.push(Lacking {
                what: "locale",
                detail,
            });
        }
        lacking
    }
}

/// The first few, and how many more.
fn named(databases: &[String]) -> String {
    const SHOWN: usize = 5;
    let first: Vec<_> = databases.iter().take(SHOWN).map(String::as_str).collect();
    let first = first.join(", ");
    match (databases.len(), databases.len().saturating_sub(SHOWN)) {
        (1, _) => format!("database {first}"),
        (_, 0) => format!("databases {first}"),
        (_, more) => format!("databases {first} and {more} more"),
    }
}

/// Errors of CREATE DATABASE that a locale is the reason of: unknown, not of the encoding, or a provider that this
/// PostgreSQL was built without.
fn is_of_locale(code: &SqlState) -> bool {
    [
        SqlState::WRONG_OBJECT_TYPE,
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::FEATURE_NOT_SUPPORTED,
    ]
    .contains(code)
}

fn is_absent(code: &SqlState) -> bool {
    [
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ]
    .contains(code)
}

/// `DROP …`, `SELECT pg_catalog.lo_unlink(…)`, and `ALTER TABLE [ONLY] name DROP CONSTRAINT …` and the like.
fn drops(mut tokens: Tokens<'_>) -> bool {
    if tokens.keyword("drop") {
        return true;
    }
    if tokens.keyword("select") {
        return tokens.qualified_name() == Some((Some("pg_catalog".into()), "lo_unlink".into()));
    }
    let altered = tokens.keyword("alter")
        && (tokens.keyword("table")
            || tokens.keywords(&["foreign", "table"])
            || tokens.keyword("domain"));
    if !altered {
        return false;
    }
    tokens.keyword("only");
    if tokens.qualified_name().is_none() {
        return false;
    }
    if tokens.keyword("alter") {
        tokens.keyword("column");
        tokens.next();
    }
    tokens.keyword("drop") || tokens.keyword("detach")
}

/// The locale of `could not create locale "x": No such file or directory`.
fn missing_locale(message: &str) -> Option<&str> {
    message
        .strip_prefix("could not create locale \"")?
        .split('"')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_drops() {
        for (text, expected) in [
            ("DROP TABLE public.t;", true),
            ("SELECT pg_catalog.lo_unlink('5');", true),
            ("SELECT pg_catalog.setval('s', 1, true);", false),
            ("ALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;", true),
            ("ALTER TABLE public.t ALTER COLUMN a DROP DEFAULT;", true),
            (
                "ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (a > 0);",
                false,
            ),
            ("ALTER TABLE public.t OWNER TO app;", false),
            ("CREATE INDEX i ON t (a);", false),
        ] {
            assert_eq!(drops(Tokens::new(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn settings_of_locales_are_noted_once() {
        let version = Version {
            major: 15,
            minor: 0,
        };
        let mut surroundings = Surroundings::new(version, true);
        for _ in 0..2 {
            let text = b"ALTER DATABASE a SET lc_messages TO 'xx_XX';";
            assert!(surroundings.sets_locale(Tokens::new(text)));
        }
        assert!(!surroundings.sets_locale(Tokens::new(b"ALTER DATABASE a SET work_mem TO 'x';")));
        assert_eq!(surroundings.lacking().len(), 1);
    }
}
