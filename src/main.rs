//! The `pgvigil` program: see the crate `pgvigil`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgvigil::cli::run()
}
