//! Does the restored server say of its roles, owners and grants what the dump said? Its definitions are dumped again, and
//! every statement of that kind in the backup must come out of it, in the same database (see `catalog::definitions`). The
//! statements' form may change between major versions; across them the check is not done, and said to be so.

use std::io::Read;
use std::time::Duration;

use super::report::{CheckStatus, Report};
use crate::catalog::Catalog;
use crate::catalog::definitions::Definitions;
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::binaries::Binaries;
use crate::pg::dump;
use crate::pg::process::{How, Program};
use crate::pg::scratch::Scratch;
use crate::pg::version::Version;
use crate::sql::scanner::Scanner;

const NAME: &str = "owners and grants";

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
    let tool = expected.tool_version.as_deref().and_then(Version::from_text);
    if tool.is_none_or(|tool| tool.major != binaries.version.major) {
        let by = tool.map_or_else(|| "an unknown version".to_owned(), |tool| tool.to_string());
        let detail = format!("dumped by {by}, restored with {}: the texts cannot be compared", binaries.version);
        report.check(NAME, CheckStatus::NotDone, detail);
        return Ok(());
    }
    let (program, progress) = (dump::definitions(binaries, scratch.target(), DEADLINE)?, progress.clone());
    let work = tokio::task::spawn_blocking(move || of_server(&program, &progress));
    let there = work.await.map_err(|error| Failure::new(FailureKind::Io, "compare definitions: a thread broke").because(error))??;
    let missing = wanted.missing_from(&there);
    match missing.first() {
        None => report.check(NAME, CheckStatus::Passed, format!("{} definitions of roles, owners and grants are there", wanted.len())),
        Some(first) => {
            let detail = format!("{} of {} are not there after the restore, the first: {first}", missing.len(), wanted.len());
            report.check(NAME, CheckStatus::Failed, detail);
        }
    }
    Ok(())
}

fn of_server(program: &Program, progress: &Progress) -> Result<Definitions> {
    let failed = |error| Failure::io(format!("run {}", program.path.display()), error);
    let mut running = program.start().map_err(failed)?;
    let mut scanner = Scanner::new(STATEMENT_LIMIT);
    let mut definitions = Definitions::default();
    let mut buffer = vec![0; 64 * 1024];
    if let Some(mut stdout) = running.stdout() {
        loop {
            let read = stdout.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            progress.check()?;
            scanner.feed(buffer.get(..read).unwrap_or(&[]), &mut definitions);
        }
    }
    let ended = running.wait().map_err(failed)?;
    if ended.how != How::Success {
        let said = ended.stderr.lines().last().unwrap_or("nothing").to_owned();
        return Err(Failure::new(FailureKind::Scratch, format!("dump the restored definitions: pg_dumpall {} and said: {said}", ended.how)));
    }
    Ok(definitions)
}
