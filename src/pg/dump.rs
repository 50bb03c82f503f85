//! pg_dumpall's command line.

use std::time::Duration;

use super::binaries::Binaries;
use super::connect::Target;
use super::process::Program;
use crate::error::Result;
use crate::sql::name::quote_qualified;

/// `pg_dumpall --clean --if-exists` of a server, the runbook's own command. It never asks for a password, and finds it in
/// its environment or a file named there.
pub fn dumpall(binaries: &Binaries, target: &Target, deadline: Duration) -> Result<Program> {
    let mut program = Program::new(binaries.program("pg_dumpall"), deadline).args([
        "--clean",
        "--if-exists",
        "--no-password",
    ]);
    program.environment.extend(target.environment()?);
    Ok(program)
}

/// Longest time that a setting of PostgreSQL holds, in milliseconds.
const LONGEST_MS: u128 = i32::MAX as u128;

/// Has pg_dump, or each pg_dump of a pg_dumpall, wait so long for the locks on its tables and then fail.
#[must_use]
pub fn with_lock_timeout(program: Program, timeout: Duration) -> Program {
    let milliseconds = timeout.as_millis().clamp(1, LONGEST_MS);
    program.args([format!("--lock-wait-timeout={milliseconds}")])
}

/// `pg_dumpall --schema-only`: what a restored server says its definitions are.
pub fn definitions(binaries: &Binaries, target: &Target, deadline: Duration) -> Result<Program> {
    Ok(dumpall(binaries, target, deadline)?.args(["--schema-only"]))
}

/// `pg_dump --schema-only --create` of one database.
pub fn definitions_of(
    binaries: &Binaries,
    target: &Target,
    database: &str,
    deadline: Duration,
) -> Result<Program> {
    let mut program = Program::new(binaries.program("pg_dump"), deadline).args([
        "--schema-only",
        "--create",
        "--no-password",
    ]);
    program.environment.extend(target.environment()?);
    program
        .environment
        .push(("PGDATABASE".to_owned(), database.into()));
    Ok(program)
}

/// `pg_dump --clean --if-exists --create` of one database, or of some of its tables without the statements that make the
/// database: what is about to be replaced, as it is now.
pub fn dump(
    binaries: &Binaries,
    target: &Target,
    database: &str,
    tables: &[(String, String)],
    deadline: Duration,
) -> Result<Program> {
    let mut program = Program::new(binaries.program("pg_dump"), deadline).args([
        "--clean",
        "--if-exists",
        "--no-password",
    ]);
    if tables.is_empty() {
        program = program.args(["--create"]);
    }
    for (schema, name) in tables {
        let pattern = quote_qualified(schema, name);
        program.arguments.push(format!("--table={pattern}").into());
    }
    program.environment.extend(target.environment()?);
    // A database's name may look like an option or a connection string; here it is only a name.
    program
        .environment
        .push(("PGDATABASE".to_owned(), database.into()));
    Ok(program)
}
