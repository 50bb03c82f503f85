//! A dump of one database, made by pg_dump: what such a dump expects to be there before it is restored.
//!
//! It has no roles and tablespaces, though it says who owns what and where it lies; and without `--create` it has no
//! database either. The roles and tablespaces that it names are made up, so that owners and grants can be compared, and a
//! database is made where it makes none. What that leaves open (passwords, memberships, attributes of roles, the
//! database's locale) is said in the report.

use std::collections::BTreeSet;
use std::path::Path;

use tokio_postgres::error::SqlState;

use super::report::{CheckStatus, Report};
use crate::archive::file::{self, Known};
use crate::catalog::{Catalog, DumpKind};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::binaries::Binaries;
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::locale;
use crate::pg::scratch::Scratch;
use crate::pg::version::Version;
use crate::sql::encoding;
use crate::sql::name::{quote_identifier, quote_literal};
use crate::sql::roles;
use crate::sql::scanner::{Event, Scanner, Sink};
use crate::sql::statement::{self, Statement};
use crate::sql::token::Tokens;
use crate::verify::Checked;

/// What the database of a dump that does not name it is called.
const MADE_UP: &str = "pgvigil_restored";

/// Longest statement that is looked at for roles: a policy's expression may be long, an INSERT names none.
const STATEMENT_LIMIT: usize = 1 << 20;

/// Roles that are shown in the report.
const SHOWN: usize = 20;

/// Gives the database of such a dump a name, if it has none.
pub(super) fn name_database(checked: &mut Checked) {
    let manifest = checked.manifest.as_mut();
    for catalog in manifest
        .map(|manifest| &mut manifest.catalog)
        .into_iter()
        .chain([&mut checked.catalog])
    {
        if catalog.kind == DumpKind::Database {
            for database in &mut catalog.databases {
                if database.name.is_empty() {
                    MADE_UP.clone_into(&mut database.name);
                }
            }
        }
    }
}

/// The database that has no name in the dump, if there is one.
pub(super) fn nameless(expected: &Catalog) -> Option<&'static str> {
    let single = expected.kind == DumpKind::Database;
    let mut databases = expected.databases.iter();
    (single && databases.any(|database| database.name == MADE_UP)).then_some(MADE_UP)
}

/// Makes what such a dump needs; gives where to restore it.
pub(super) async fn prepare(
    archive: &Path,
    expected: &Catalog,
    scratch: &mut Scratch,
    binaries: &Binaries,
    progress: &Progress,
    report: &mut Report,
) -> Result<Target> {
    let mut target = scratch.target().clone();
    if expected.kind != DumpKind::Database {
        return Ok(target);
    }
    let session = target.session(&target.database).await?;
    let named = read(archive, progress).await?;
    let roles: BTreeSet<_> = named.roles.difference(&named.made).cloned().collect();
    let made = make_roles(&session, &roles).await?;
    say_roles(&made, report);
    for name in &named.tablespaces {
        let directory = scratch.tablespace_directory(binaries.run_as.as_ref())?;
        make_tablespace(&session, name, &directory).await?;
    }
    match nameless(expected) {
        Some(name) => {
            let encoding = expected
                .databases
                .first()
                .map_or("", |database| database.encoding.as_str());
            let locale = make_database(&session, name, encoding, binaries.version).await?;
            let detail = format!(
                "the dump says neither its database's name nor its locale: it was restored into one named {name} with locale {locale}"
            );
            report.check("database", CheckStatus::NotDone, detail);
            name.clone_into(&mut target.database);
        }
        None => make_way(&session, expected).await?,
    }
    session.close().await;
    Ok(target)
}

fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = format!("prepare the scratch server for a dump of one database: {what}");
    move |error| Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error))
}

fn say_roles(made: &[String], report: &mut Report) {
    let mut shown: Vec<_> = made.iter().take(SHOWN).map(String::as_str).collect();
    if made.len() > SHOWN {
        shown.push("…");
    }
    let detail = format!(
        "roles are not in a dump of one database; {} were made up: {}",
        made.len(),
        shown.join(", ")
    );
    report.check("roles", CheckStatus::NotDone, detail);
}

/// Reads the dump for what it names of a cluster.
async fn read(archive: &Path, progress: &Progress) -> Result<Named> {
    let (archive, progress) = (archive.to_owned(), progress.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut scanner = Scanner::new(STATEMENT_LIMIT);
        let mut named = Named::default();
        let mut sink = |text: &[u8]| {
            scanner.feed(text, &mut named);
            progress.check().is_ok()
        };
        file::read(&archive, Known::default(), &mut sink)
            .map_err(|error| Failure::io(format!("read archive {}", archive.display()), error))?;
        progress.check()?;
        Ok(named)
    });
    reading.await.map_err(|error| {
        Failure::new(
            FailureKind::Io,
            "look for roles and tablespaces: a thread broke",
        )
        .because(error)
    })?
}

/// What a dump names of a cluster.
#[derive(Default)]
struct Named {
    roles: BTreeSet<String>,
    /// Roles that it makes itself.
    made: BTreeSet<String>,
    tablespaces: BTreeSet<String>,
    encoding: String,
}

impl Sink for Named {
    fn event(&mut self, event: Event<'_>) {
        let Event::Statement(read) = event else {
            return;
        };
        let decoded = encoding::decode(&self.encoding, read.text);
        let text = decoded.as_ref().map_or(read.text, |text| text.as_bytes());
        self.roles.extend(roles::named_in(text));
        match statement::read(text) {
            Statement::Set { name, value } if name == "client_encoding" => self.encoding = value,
            Statement::Set { name, value } if name == "default_tablespace" && !value.is_empty() => {
                self.tablespaces.insert(value);
            }
            Statement::CreateDatabase(_) => self.tablespaces.extend(tablespace_of(text)),
            Statement::CreateRole(name) => {
                self.made.insert(name);
            }
            _ => {}
        }
    }
}

/// The tablespace of `CREATE DATABASE … TABLESPACE = name`.
fn tablespace_of(text: &[u8]) -> Option<String> {
    let mut tokens = Tokens::new(text).skip_while(|token| !token.is("tablespace"));
    tokens.nth(2)?.identifier()
}

async fn make_tablespace(session: &Session, name: &str, directory: &Path) -> Result<()> {
    let create = format!(
        "create tablespace {} location {}",
        quote_identifier(name),
        quote_literal(&directory.to_string_lossy())
    );
    match session.execute_typed(&create, &[]).await {
        Err(error) if error.code() != Some(&SqlState::DUPLICATE_OBJECT) => {
            Err(failed(&format!("make tablespace {name}"))(error))
        }
        _ => Ok(()),
    }
}

/// Makes those roles that are not there. As superusers, because only such a role may own an event trigger or a foreign
/// data wrapper, and because what a view or a policy may read hangs on memberships that the dump does not have.
async fn make_roles(session: &Session, named: &BTreeSet<String>) -> Result<Vec<String>> {
    let rows = session
        .query("select rolname::text from pg_catalog.pg_roles", &[])
        .await
        .map_err(failed("list roles"))?;
    let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut made = Vec::new();
    for name in named.difference(&there) {
        let create = format!("create role {} nologin superuser", quote_identifier(name));
        session
            .execute_typed(&create, &[])
            .await
            .map_err(failed(&format!("make role {name}")))?;
        made.push(name.clone());
    }
    Ok(made)
}

/// Makes the database; gives its locale.
async fn make_database(
    session: &Session,
    name: &str,
    encoding: &str,
    version: Version,
) -> Result<&'static str> {
    let mut last = None;
    // An encoding of clients only, which no database can have.
    for encoding in [encoding, "UTF8"] {
        let encoding = if encoding.is_empty() {
            "UTF8"
        } else {
            encoding
        };
        for (options, locale) in locale::anywhere(version, encoding) {
            let create = format!(
                "create database {} template template0 encoding {} {options}",
                quote_identifier(name),
                quote_literal(encoding)
            );
            match session.execute_typed(&create, &[]).await {
                Ok(_) => return Ok(locale),
                Err(error) => last = Some(error),
            }
        }
    }
    let failure = Failure::new(
        FailureKind::Scratch,
        "prepare the scratch server for a dump of one database: make the database",
    );
    Err(match last {
        Some(error) => failure.because(ServerError::from(&error)),
        None => failure,
    })
}

/// A dump with `--create` makes its database; one of the server's own is in the way, and nobody needs it.
async fn make_way(session: &Session, expected: &Catalog) -> Result<()> {
    for database in &expected.databases {
        if !["postgres", "template1"].contains(&database.name.as_str()) {
            continue;
        }
        let name = quote_identifier(&database.name);
        for step in [
            format!("alter database {name} is_template false"),
            format!("drop database {name}"),
        ] {
            session
                .execute_typed(&step, &[])
                .await
                .map_err(failed(&format!("drop database {}", database.name)))?;
        }
    }
    Ok(())
}
