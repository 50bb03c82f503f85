//! What there is to prune, and what the policy makes of it. Reads, and changes nothing.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::{Mode, Server};
use crate::error::{Failure, Result};
use crate::manifest::Manifest;
use crate::retention::{self, Backup, Check, Origin, Reason, Record};
use crate::store::remove::{self, Seen};
use crate::store::{self, BackupFile, MANIFEST_SUFFIX};
use crate::wildcard;

/// A backup and what becomes of it.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The archive's name.
    pub name: String,
    /// When it was begun.
    pub time: DateTime<Utc>,
    /// Its size.
    pub bytes: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reasons: Vec<String>,
    #[serde(skip)]
    pub(super) seen: Seen,
    /// The manifest beside it, by name.
    #[serde(skip)]
    pub(super) manifest: Option<(String, Seen)>,
}

/// What a run would do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The backups, the oldest first.
    pub(super) files: Vec<Judged>,
    /// Manifests of ours whose archives are gone.
    pub(super) orphans: Vec<(String, Seen)>,
}

/// A backup as it was found.
struct Found {
    file: BackupFile,
    seen: Seen,
    manifest: Option<(String, Seen)>,
    backup: Backup,
}

/// Judges the backups of a server at `now`. May block.
pub(super) fn plan(server: &Server, now: DateTime<Utc>) -> Result<Plan> {
    let directory = &server.directory;
    let entries = store::ledger::read(directory)?;
    let record = Record::of(&entries);
    let mut found = Vec::new();
    // Names are judged below: ours and those that are watched over.
    for file in store::list(directory, "*")? {
        if is_backup_name(server, &file.name) {
            found.extend(find(file, &record)?);
        }
    }
    let backups: Vec<_> = found.iter().map(|found| found.backup).collect();
    let verdicts = retention::judge(&backups, &server.retention, now);
    let judged = found
        .into_iter()
        .zip(verdicts)
        .map(|(found, verdict)| Judged {
            time: found.backup.begun,
            bytes: found.seen.bytes,
            name: found.file.name,
            keep: verdict.keep,
            reasons: verdict.reasons.iter().map(Reason::to_string).collect(),
            seen: found.seen,
            manifest: found.manifest,
        });
    Ok(Plan {
        files: judged.collect(),
        orphans: orphans(directory)?,
    })
}

/// Names of other forms are none of our business, whatever is in the files.
fn is_backup_name(server: &Server, name: &str) -> bool {
    store::is_archive_name(name)
        || matches!(&server.backup.mode, Mode::Observe(observe) if wildcard::fits(&observe.pattern, name))
}

/// `None` for what is no regular file, as a link to one.
fn find(file: BackupFile, record: &Record<'_>) -> Result<Option<Found>> {
    let Some(seen) = remove::look(&file.path)? else {
        return Ok(None);
    };
    // A manifest that cannot be read, or of a pgvigil newer than this, makes a backup no less someone's.
    let manifest = store::read_manifest(&file.path)
        .ok()
        .flatten()
        .filter(|manifest| belongs(manifest, &file.name));
    let (mut verified, drilled) = record.get(&file.name);
    if manifest
        .as_ref()
        .is_some_and(|manifest| manifest.archive.bytes != seen.bytes)
    {
        verified = Check::Failed;
    }
    let beside = match &manifest {
        Some(_) => remove::look(&store::manifest_path(&file.path))?
            .map(|seen| (format!("{}{MANIFEST_SUFFIX}", file.name), seen)),
        None => None,
    };
    let backup = Backup {
        begun: file.time(),
        bytes: seen.bytes,
        origin: if manifest.as_ref().is_some_and(Manifest::is_ours) {
            Origin::Ours
        } else {
            Origin::Foreign
        },
        verified,
        drilled,
    };
    Ok(Some(Found {
        file,
        seen,
        manifest: beside,
        backup,
    }))
}

/// Manifests of ours without an archive: what a removal that was cut short left.
fn orphans(directory: &Path) -> Result<Vec<(String, Seen)>> {
    let failed = |error| Failure::io(format!("list directory {}", directory.display()), error);
    let mut orphans = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else {
            continue;
        };
        let archive = name.strip_suffix(MANIFEST_SUFFIX);
        let Some(archive) = archive.filter(|archive| store::is_archive_name(archive)) else {
            continue;
        };
        let path = directory.join(archive);
        // Whatever has the archive's name, be it a link to nowhere, may still want its manifest.
        if path.symlink_metadata().is_ok() {
            continue;
        }
        let manifest = store::read_manifest(&path).ok().flatten();
        if manifest.is_some_and(|manifest| belongs(&manifest, archive))
            && let Some(seen) = remove::look(&directory.join(&name))?
        {
            orphans.push((name, seen));
        }
    }
    orphans.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(orphans)
}

/// Whether we wrote this manifest for the backup of this name: one that we made, or one that we watch over.
fn belongs(manifest: &Manifest, name: &str) -> bool {
    let known = !manifest.archive.archive_id.is_empty() || !manifest.is_ours();
    manifest.archive.file_name == name && known
}
