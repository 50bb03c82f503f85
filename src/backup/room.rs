//! Whether the next backup will fit, before it is begun: one that does not fills the volume for nothing, and whatever else
//! is written there fails with it.

use chrono::Utc;
use tracing::{info, warn};

use crate::config::{ARCHIVES, units::format_bytes};
use crate::config::{Server, WhenShort};
use crate::error::{Failure, FailureKind, Result};
use crate::forecast;
use crate::ledger::Sizes;
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::prune;
use crate::store;
use crate::store::lock::Lock;
use crate::store::space::{self, Space};

/// Backups whose sizes are looked at; manifests may be large, and the last few say enough.
const LOOKED_AT: usize = 5;

/// Files that a backup makes: archive, manifest, and a ledger where there is none.
const FILES: u64 = 3;

/// How large a backup is, as its manifest says it.
pub(super) fn sizes(manifest: &Manifest) -> Sizes {
    let databases = manifest.source.database_sizes.iter();
    Sizes {
        bytes: manifest.archive.bytes,
        uncompressed_bytes: manifest.archive.uncompressed_bytes,
        database_bytes: databases.fold(0, |sum, size| sum.saturating_add(size.bytes)),
    }
}

/// What is there, and what is needed.
#[derive(Debug)]
struct Look {
    space: Space,
    predicted: Option<u64>,
}

/// Sees to it that there is room: where there is not, what the policy no longer wants goes first; where that is not
/// enough, the backup is refused, or goes on with a warning, as configured. Of a first backup nothing is known.
pub(super) async fn make(
    server: &Server,
    database_bytes: u64,
    lock: &Lock,
    progress: &Progress,
) -> Result<()> {
    let look = look(server, database_bytes).await?;
    if look.shortage(server).is_none() {
        return Ok(());
    }
    info!(
        server = %server.name, available = look.space.available_bytes, predicted = look.predicted,
        "the next backup does not fit: pruning first"
    );
    let kept = match prune::run(server, lock, Utc::now(), progress).await {
        Ok(report) => {
            if let Some(failure) = report.failure {
                warn!(server = %server.name, "{}", failure.sentence());
            }
            Some(report.kept)
        }
        Err(failure) => {
            warn!(server = %server.name, "{}", failure.sentence());
            None
        }
    };
    let look = self::look(server, database_bytes).await?;
    let Some(shortage) = look.shortage(server) else {
        return Ok(());
    };
    if server.backup.when_short == WhenShort::Warn {
        warn!(server = %server.name, "{}; going on, as backup.when_short says", shortage);
        return Ok(());
    }
    let kept = kept.map_or_else(String::new, |kept| {
        format!(", also after a prune that kept {kept} backups")
    });
    Err(
        Failure::new(FailureKind::NoSpace, format!("take a backup: {shortage}{kept}")).remedy(
            "keep less (retention), make the volume larger or free space on the volume, or try all the same with \
             backup.when_short: warn",
        ),
    )
}

async fn look(server: &Server, database_bytes: u64) -> Result<Look> {
    let directory = server.directory.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let space = space::of(&directory).map_err(|error| {
            Failure::io(
                format!("ask for the free space of {}", directory.display()),
                error,
            )
        })?;
        Ok(Look {
            space,
            predicted: forecast::next_size(&past(&directory), Some(database_bytes)),
        })
    });
    looking.await.map_err(|error| {
        Failure::new(FailureKind::Io, "take a backup: a thread broke").because(error)
    })?
}

/// The sizes of the last backups. What cannot be read is verify's finding, and keeps no backup from being taken.
fn past(directory: &std::path::Path) -> Vec<Sizes> {
    let entries = store::ledger::read(directory).unwrap_or_default();
    let files = store::list(directory, ARCHIVES).unwrap_or_default();
    let manifests = files.iter().rev().filter_map(|file| {
        let manifest = store::read_manifest(&file.path).ok().flatten()?;
        Some((file.name.as_str(), file.time(), sizes(&manifest)))
    });
    forecast::sizes(&entries, manifests.take(LOOKED_AT))
}

impl Look {
    /// What is short, as a part of a sentence.
    fn shortage(&self, server: &Server) -> Option<String> {
        let directory = server.directory.display();
        if self.space.lacks_files(FILES) {
            let left = self.space.files_free;
            return Some(format!(
                "on the volume of {directory} only {left} files can still be made"
            ));
        }
        let predicted = self.predicted?;
        (self.space.available_bytes < forecast::room_for(predicted)).then(|| {
            format!(
                "it will have about {}, and the volume of {directory} has {} free of {}",
                format_bytes(predicted),
                format_bytes(self.space.available_bytes),
                format_bytes(self.space.size_bytes)
            )
        })
    }
}
