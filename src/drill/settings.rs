//! Are the settings of databases and roles those of the dump? Each is put into the words of the dump's statement and
//! compared by its fingerprint. A list (`search_path`) is stored as one text and dumped as several; both forms are tried.

use std::collections::{BTreeSet, HashMap};

use super::report::{CheckStatus, Report};
use crate::catalog::Catalog;
use crate::catalog::diff::{Difference, ObjectKind};
use crate::catalog::inventory::{self, Fingerprint};
use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::ServerError;
use crate::pg::scratch::Scratch;
use crate::pg::version::Version;
use crate::sql::name::{quote_identifier, quote_literal};
use crate::sql::object::{Kind, Object, read};

const NAME: &str = "settings";

const SETTINGS: &str = "\
    select r.rolname::text, d.datname::text, c.text \
      from pg_catalog.pg_db_role_setting s cross join unnest(s.setconfig) c(text) \
      left join pg_catalog.pg_database d on d.oid = s.setdatabase left join pg_catalog.pg_roles r on r.oid = s.setrole";

/// Whether a setting (`lc_messages of database app_db`) is of this parameter.
fn is_of(name: &str, parameter: &str) -> bool {
    name.split(' ')
        .next()
        .is_some_and(|first| first.trim_matches('"') == parameter)
}

/// Does the check; its result goes into the report.
pub(super) async fn check(
    catalog: &Catalog,
    unset: &BTreeSet<String>,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let wanted = catalog
        .inventory
        .as_ref()
        .and_then(|inventory| inventory.objects.get(&Kind::Setting));
    let Some(wanted) = wanted else {
        report.check(
            NAME,
            CheckStatus::Passed,
            "the dump sets none for databases and roles".to_owned(),
        );
        return Ok(());
    };
    let there = restored(scratch).await?;
    // Across major versions the statement's words may change; then a setting is only looked for.
    let tool = catalog.tool_version.as_deref().and_then(Version::from_text);
    let here = Version::from_text(&report.scratch_version);
    let same_words = matches!((tool, here), (Some(tool), Some(here)) if tool.major == here.major);
    let mut wrong = 0;
    for (name, fingerprint) in wanted {
        let actual = match there.get(name) {
            // What this machine lacks for it was said.
            None if unset.iter().any(|parameter| is_of(name, parameter)) => continue,
            None => "nothing",
            Some(forms) if same_words && !forms.contains(fingerprint) => "another value",
            Some(_) => continue,
        };
        wrong += 1;
        report.mismatches.push(Difference {
            database: String::new(),
            object: format!("{} {name}", Kind::Setting),
            kind: ObjectKind::Object,
            expected: "the dump's value".to_owned(),
            actual: actual.to_owned(),
        });
    }
    let (all, values) = (
        wanted.len(),
        if same_words {
            ", with their values"
        } else {
            ""
        },
    );
    match wrong {
        0 => report.check(
            NAME,
            CheckStatus::Passed,
            format!("{all} settings of databases and roles are there{values}"),
        ),
        wrong => report.check(
            NAME,
            CheckStatus::Failed,
            format!("{wrong} of {all} differ"),
        ),
    }
    Ok(())
}

/// Settings of the restored server by name, with the fingerprints of the statements that would set them.
async fn restored(scratch: &Scratch) -> Result<HashMap<String, Vec<Fingerprint>>> {
    let failed = |error: tokio_postgres::Error| {
        let what = "list the settings of the restored server";
        Failure::new(FailureKind::Scratch, what).because(ServerError::from(&error))
    };
    let session = scratch.target().session(&scratch.target().database).await?;
    let rows = session.query(SETTINGS, &[]).await.map_err(failed)?;
    session.close().await;
    let mut there = HashMap::new();
    for row in rows {
        let (role, database): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
        let Some(statements) = statements(role, database, row.get(2)) else {
            continue;
        };
        let named = statements
            .first()
            .and_then(|text| read(text.as_bytes()).into_iter().next());
        if let Some(Object { name, .. }) = named {
            let forms = statements.iter();
            let forms = forms.filter_map(|text| inventory::fingerprint(text.as_bytes()));
            there.insert(name, forms.collect());
        }
    }
    Ok(there)
}

/// The statements that would set `name=value`: of a text, and of a list.
fn statements(role: Option<&str>, database: Option<&str>, setting: &str) -> Option<[String; 2]> {
    let (name, value) = setting.split_once('=')?;
    let of = match (role, database) {
        (Some(role), None) => format!("ROLE {}", quote_identifier(role)),
        (None, Some(database)) => format!("DATABASE {}", quote_identifier(database)),
        (Some(role), Some(database)) => {
            let (role, database) = (quote_identifier(role), quote_identifier(database));
            format!("ROLE {role} IN DATABASE {database}")
        }
        (None, None) => return None,
    };
    let begin = format!("ALTER {of} SET {} TO", quote_identifier(name));
    let list: Vec<_> = elements(value)
        .iter()
        .map(|text| quote_literal(text))
        .collect();
    Some([
        format!("{begin} {};", quote_literal(value)),
        format!("{begin} {};", list.join(", ")),
    ])
}

/// The elements of `a, "b c"`, unquoted.
fn elements(list: &str) -> Vec<String> {
    let (mut all, mut element, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut element)),
            letter if letter.is_whitespace() && !quoted => {}
            letter => element.push(letter),
        }
    }
    all.push(element);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_in_the_words_of_a_dump() {
        let is = |role, database, setting: &str, dumped: &str| {
            let forms = statements(role, database, setting).expect("a setting");
            let wanted = inventory::fingerprint(dumped.as_bytes());
            assert!(wanted.is_some());
            forms
                .iter()
                .any(|form| inventory::fingerprint(form.as_bytes()) == wanted)
        };
        let role = Some("O'Brien");
        assert!(is(
            None,
            Some("d"),
            "DateStyle=ISO, DMY",
            "ALTER DATABASE d SET \"DateStyle\" TO 'ISO, DMY';"
        ));
        assert!(is(
            role,
            None,
            "work_mem=8MB",
            "ALTER ROLE \"O'Brien\" SET work_mem TO '8MB';"
        ));
        let path = "ALTER ROLE a IN DATABASE d SET search_path TO '$user', 'Odd One', 'public';";
        assert!(is(
            Some("a"),
            Some("d"),
            "search_path=\"$user\", \"Odd One\", public",
            path
        ));
        assert!(is(
            Some("a"),
            None,
            "search_path=",
            "ALTER ROLE a SET search_path TO '';"
        ));
        assert!(is(
            Some("a"),
            None,
            "a.b=x\\y",
            "ALTER ROLE a SET \"a.b\" TO E'x\\\\y';"
        ));
        assert!(!is(
            Some("a"),
            None,
            "work_mem=8MB",
            "ALTER ROLE a SET work_mem TO '9MB';"
        ));
    }
}
