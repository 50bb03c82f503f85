//! Does the restored server say of its roles, owners and grants what the dump said? Its definitions are dumped again, and
//! every statement of that kind in the backup must come out of it, in the same database (see `catalog::definitions`). The
//! statements' form may change between major versions; across them the check is not done, and said to be so.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use super::place::Place;
use super::report::{CheckStatus, Report};
use super::single;
use crate::catalog::Catalog;
use crate::catalog::definitions::{Collector, Definitions};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::binaries::{self, Binaries};
use crate::pg::connect::ServerError;
use crate::pg::dump;
use crate::pg::process::{How, Program};
use crate::pg::scratch::Scratch;
use crate::pg::version::Version;
use crate::restore::given::Given;
use crate::sql::scanner::Scanner;

const NAME: &str = "owners and grants";

/// pg_dump --schema-only leaves large objects out, so their statements are made here, in its form. Two privileges exist.
const LARGE_OBJECTS: &str = "\
    select format('ALTER LARGE OBJECT %s OWNER TO %I;', m.oid, pg_catalog.pg_get_userbyid(m.lomowner)) \
      from pg_catalog.pg_largeobject_metadata m \
    union all \
    select format('GRANT %s ON LARGE OBJECT %s TO %s%s;', \
                  case count(*) when 2 then 'ALL' else min(a.privilege_type) end, m.oid, \
                  case a.grantee when 0 then 'PUBLIC' else quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end, \
                  case when a.is_grantable then ' WITH GRANT OPTION' else '' end) \
      from pg_catalog.pg_largeobject_metadata m, pg_catalog.aclexplode(m.lomacl) a \
     where a.grantee <> m.lomowner group by m.oid, a.grantee, a.is_grantable";

/// Longest statement looked at: a GRANT is short.
const STATEMENT_LIMIT: usize = 1 << 20;

/// How long dumping the definitions may take.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Does the check; its result goes into the report.
pub(super) async fn check(
    wanted: &Definitions,
    expected: &Catalog,
    scratch: &Scratch,
    binaries: &Binaries,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let tool = expected
        .tool_version
        .as_deref()
        .and_then(Version::from_text);
    if tool.is_none_or(|tool| tool.major != binaries.version.major) {
        let by = tool.map_or_else(|| "an unknown version".to_owned(), |tool| tool.to_string());
        let detail = format!(
            "dumped by {by}, restored with {}: the texts cannot be compared",
            binaries.version
        );
        report.check(NAME, CheckStatus::NotDone, detail);
        return Ok(());
    }
    let (program, progress) = (
        dump::definitions(binaries, scratch.target(), DEADLINE)?,
        progress.clone(),
    );
    let nameless = single::nameless(expected);
    let mut collector = Collector::default();
    collector.nameless = nameless;
    let work = tokio::task::spawn_blocking(move || of_program(&program, collector, &progress));
    let mut there = work.await.map_err(|error| {
        Failure::new(FailureKind::Io, "compare definitions: a thread broke").because(error)
    })??;
    for database in expected
        .databases
        .iter()
        .filter(|database| database.large_objects.count > 0)
    {
        let scope = match nameless {
            Some(_) => "",
            None => &database.name,
        };
        add_large_objects(&Place::Embedded(scratch), &database.name, scope, &mut there).await?;
    }
    say(wanted, &there, report);
    Ok(())
}

/// The same on a server that was named: every database by itself, under its name there. A role's rights, settings and
/// memberships are not among what is dumped of a database.
pub(super) async fn check_on_server(
    wanted: &Definitions,
    expected: &Catalog,
    given: &Given,
    configured: Option<PathBuf>,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let version = given.server().version;
    let found =
        tokio::task::spawn_blocking(move || binaries::for_dump(version, configured.as_deref()));
    let tool = expected
        .tool_version
        .as_deref()
        .and_then(Version::from_text);
    let why = match (found.await, tool) {
        (Ok(Ok(found)), Some(tool)) if tool.major == found.version.major => {
            match of_databases(&found, expected, given, progress).await {
                Ok(there) => {
                    say(wanted, &there, report);
                    return Ok(());
                }
                Err(failure) if failure.kind() == FailureKind::Cancelled => return Err(failure),
                Err(failure) => failure.sentence(),
            }
        }
        (Ok(Ok(found)), tool) => format!(
            "dumped by {}, read back with {}: the texts cannot be compared",
            tool.map_or_else(|| "an unknown version".to_owned(), |tool| tool.to_string()),
            found.version
        ),
        (Ok(Err(failure)), _) => failure.sentence(),
        (Err(error), _) => error.to_string(),
    };
    report.check(NAME, CheckStatus::NotDone, why);
    Ok(())
}

async fn of_databases(
    binaries: &Binaries,
    expected: &Catalog,
    given: &Given,
    progress: &Progress,
) -> Result<Definitions> {
    let mut there = Definitions::default();
    for database in &expected.databases {
        let here = given.target().database_named(&database.name)?;
        let program = dump::definitions_of(binaries, given.target(), &here, DEADLINE)?;
        let (name, progress) = (database.name.clone(), progress.clone());
        let work = tokio::task::spawn_blocking(move || {
            of_program(&program, Collector::within(Some(name)), &progress)
        });
        there.extend(work.await.map_err(|error| {
            Failure::new(FailureKind::Io, "compare definitions: a thread broke").because(error)
        })??);
        if database.large_objects.count > 0 {
            add_large_objects(
                &Place::Given(given),
                &database.name,
                &database.name,
                &mut there,
            )
            .await?;
        }
    }
    Ok(there)
}

fn say(wanted: &Definitions, there: &Definitions, report: &mut Report) {
    let missing = wanted.missing_from(there);
    match missing.first() {
        None => report.check(
            NAME,
            CheckStatus::Passed,
            format!(
                "{} definitions of roles, owners and grants are there",
                wanted.len()
            ),
        ),
        Some(first) => {
            let detail = format!(
                "{} of {} are not there after the restore, the first: {first}",
                missing.len(),
                wanted.len()
            );
            report.check(NAME, CheckStatus::Failed, detail);
        }
    }
}

async fn add_large_objects(
    scratch: &Place<'_>,
    database: &str,
    scope: &str,
    there: &mut Definitions,
) -> Result<()> {
    let failed = |error: tokio_postgres::Error| {
        Failure::new(
            FailureKind::Scratch,
            format!("list the large objects of database {database}"),
        )
        .because(ServerError::from(&error))
    };
    let session = scratch.target().session(database).await?;
    for row in session.query(LARGE_OBJECTS, &[]).await.map_err(failed)? {
        let statement: String = row.get(0);
        there.add(scope, statement.as_bytes());
    }
    session.close().await;
    Ok(())
}

/// What a dump program writes.
fn of_program(
    program: &Program,
    mut collector: Collector,
    progress: &Progress,
) -> Result<Definitions> {
    let failed = |error| Failure::io(format!("run {}", program.path.display()), error);
    let mut running = program.start().map_err(failed)?;
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut buffer = vec![0; 64 * 1024];
    if let Some(mut stdout) = running.stdout() {
        loop {
            let read = stdout.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            progress.check()?;
            scanner.feed(buffer.get(..read).unwrap_or(&[]), &mut collector);
        }
    }
    let ended = running.wait().map_err(failed)?;
    if ended.how != How::Success {
        let said = ended.stderr.lines().last().unwrap_or("nothing").to_owned();
        return Err(Failure::new(
            FailureKind::Scratch,
            format!(
                "dump the restored definitions: {} {} and said: {said}",
                program.path.display(),
                ended.how
            ),
        ));
    }
    Ok(collector.definitions)
}
