//! What must outlive the process beside the ledger: the agenda of a server, and a pause that somebody asked for.
//!
//! The agenda is written by whoever holds the directory's lock. The pause is a file of its own, because it is asked for at
//! any time; a pause that is over stays as its last word, so that what fell into it is not made up for.

use std::io::Read;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::{open_file, record};
use crate::agenda::{Agenda, FORMAT_VERSION};
use crate::error::{Failure, FailureKind, Result};

/// The agenda's name in a server's directory.
pub const FILE_NAME: &str = "schedule.json";

/// The pause's.
pub const PAUSE_FILE_NAME: &str = "pause.json";

/// What to do about one of these files that is broken.
const ANEW: &str = "remove it: due times are then counted from the next start";

/// Largest file that is read; an agenda has a few KiB.
const SIZE_LIMIT: u64 = 1 << 20;

/// A pause that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPause {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when; `None`: until someone says so.
    pub until: Option<DateTime<Utc>>,
    /// Whether the configuration asked for it.
    #[serde(default)]
    pub configured: bool,
}

impl KeptPause {
    /// Whether it holds at a moment.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Reads the agenda; `None` where there is none yet.
pub fn read(directory: &Path) -> Result<Option<Agenda>> {
    let agenda: Option<Agenda> = read_json(directory, FILE_NAME, ANEW)?;
    match agenda {
        Some(agenda) if agenda.format_version != FORMAT_VERSION => {
            let what = format!(
                "read {}: format version {} is not known to this pgvigil",
                directory.join(FILE_NAME).display(),
                agenda.format_version
            );
            Err(Failure::new(FailureKind::Io, what)
                .remedy("run the version that wrote it, or remove it to begin anew"))
        }
        other => Ok(other),
    }
}

/// Writes the agenda.
pub fn write(directory: &Path, agenda: &Agenda, _lock: &Lock) -> Result<()> {
    write_json(directory, FILE_NAME, agenda)
}

/// Reads the last pause that somebody asked for.
pub fn read_pause(directory: &Path) -> Result<Option<KeptPause>> {
    read_json(directory, PAUSE_FILE_NAME, ANEW)
}

/// Writes a pause in the place of the last one.
pub fn write_pause(directory: &Path, pause: &KeptPause) -> Result<()> {
    write_json(directory, PAUSE_FILE_NAME, pause)
}

/// Reads a small file; `remedy` is what to do about one that is broken.
pub(super) fn read_json<T: DeserializeOwned>(
    directory: &Path,
    name: &str,
    remedy: &str,
) -> Result<Option<T>> {
    let path = directory.join(name);
    let what = || format!("read {}", path.display());
    let file = match open_file(&path) {
        Ok(Some(file)) => file,
        Ok(None) => {
            let what = format!("{}: it is not a file", what());
            return Err(Failure::new(FailureKind::Io, what).remedy(remedy));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(what(), error)),
    };
    let mut text = Vec::new();
    file.take(SIZE_LIMIT)
        .read_to_end(&mut text)
        .map_err(|error| Failure::io(what(), error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::new(FailureKind::Io, what())
            .because(error)
            .remedy(remedy)
    })
}

/// Writes a small file whole.
fn write_json<T: Serialize>(directory: &Path, name: &str, value: &T) -> Result<()> {
    let what = || format!("write {}", directory.join(name).display());
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::new(FailureKind::Io, what()).because(error))?;
    text.push(b'\n');
    record::write(directory, name, &text).map_err(|error| {
        Failure::io(what(), error).remedy("make the directory writable and check its free space")
    })
}
