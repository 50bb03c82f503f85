//! pg_dumpall's command line.

use std::time::Duration;

use super::binaries::Binaries;
use super::connect::Target;
use super::process::Program;
use crate::error::Result;

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

/// `pg_dumpall --schema-only`: what a restored server says its definitions are.
pub fn definitions(binaries: &Binaries, target: &Target, deadline: Duration) -> Result<Program> {
    Ok(dumpall(binaries, target, deadline)?.args(["--schema-only"]))
}
