//! A pg_dumpall that is at fault: a shell script that runs the real one and spoils what it does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::place::Place;
use super::programs::Programs;

/// Runs the real pg_dumpall, in a script.
pub(crate) const REAL: &str = r#""$REAL/pg_dumpall" "$@""#;

/// A directory whose pg_dumpall runs `script` with $REAL the real programs' directory; its version is the real one's.
pub(crate) fn dumpall(place: &Place, real: &Programs, script: &str) -> PathBuf {
    let version = format!("pg_dumpall (PostgreSQL) {}.0", real.major);
    dumpall_of_version(place, real, &version, script)
}

/// The same, of another version.
pub(crate) fn dumpall_of_version(
    place: &Place,
    real: &Programs,
    version: &str,
    script: &str,
) -> PathBuf {
    let directory = place.join("fake");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("pg_dumpall");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\nREAL='{}'\n{script}\n",
        real.directory.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}
