//! Manifests beside archives that someone else makes and removes. The archives themselves are never touched.

use std::fs;
use std::path::Path;

use super::lock::Lock;
use super::{MANIFEST_SUFFIX, manifest_path, read_manifest, record};
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::wildcard;

/// What [`record`] writes under before it is whole.
const PARTIAL_SUFFIX: &str = ".partial";

/// Puts a manifest beside an archive, in the place of an older one of the kind.
pub fn put(archive: &Path, manifest: &Manifest, _lock: &Lock) -> Result<()> {
    let path = manifest_path(archive);
    let what = || format!("write manifest {}", path.display());
    // One that pgvigil cannot read, or that came with a backup of its own, is not replaced by what we think of the file.
    if read_manifest(archive)?.is_some_and(|there| there.is_ours()) {
        let what = format!("{}: there is one of a backup that pgvigil made", what());
        return Err(Failure::new(FailureKind::Damaged, what)
            .remedy("move it away if the archive is another one"));
    }
    let json = manifest
        .to_json()
        .map_err(|error| Failure::new(FailureKind::Io, what()).because(error))?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new(FailureKind::Io, what()));
    };
    record::write(directory, &name.to_string_lossy(), &json)
        .map_err(|error| Failure::io(what(), error).remedy("make the directory writable for the user that pgvigil runs as, or leave it: what is found is then known until pgvigil ends"))
}

/// Removes the manifest of an archive that someone else made; whether there was one.
pub fn remove(archive: &Path, _lock: &Lock) -> Result<bool> {
    let path = manifest_path(archive);
    if read_manifest(archive)?.is_none_or(|manifest| manifest.is_ours()) {
        return Ok(false);
    }
    fs::remove_file(&path)
        .map(|()| true)
        .map_err(|error| Failure::io(format!("remove manifest {}", path.display()), error))
}

/// The names of archives that are gone, while a manifest, or what a crash left of one, is still there.
pub fn orphans(directory: &Path, pattern: &str) -> Result<Vec<String>> {
    let failed = |error| Failure::io(format!("list directory {}", directory.display()), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else {
            continue;
        };
        let name = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(PARTIAL_SUFFIX))
            .unwrap_or(&name);
        if let Some(archive) = name.strip_suffix(MANIFEST_SUFFIX)
            && wildcard::fits(pattern, archive)
            && !directory.join(archive).exists()
        {
            found.push(archive.to_owned());
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Removes what is left of an archive that is gone; whether there was anything of ours to remove.
pub fn sweep(directory: &Path, name: &str, lock: &Lock) -> Result<bool> {
    let archive = directory.join(name);
    if archive.exists() {
        return Ok(false);
    }
    let partial = directory.join(format!(".{name}{MANIFEST_SUFFIX}{PARTIAL_SUFFIX}"));
    let left = fs::remove_file(partial).is_ok();
    Ok(remove(&archive, lock)? || left)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::lock;
    use super::super::tests::manifest;
    use super::*;
    use crate::manifest::Observed;

    const PATTERN: &str = "nightly-*.gz";

    fn observed(bytes: u64) -> Manifest {
        Manifest {
            observed: Some(Observed {
                written_at: DateTime::UNIX_EPOCH,
            }),
            ..manifest(bytes)
        }
    }

    #[test]
    fn manifests_go_with_archives_of_someone_else_and_no_others() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| directory.path().join(name);
        let lock = lock::take(directory.path(), "test").expect("lock");
        for name in ["nightly-1.gz", "nightly-2.gz", "other.gz"] {
            put(&path(name), &observed(1), &lock).expect("written");
        }
        fs::write(path("nightly-2.gz"), "x").expect("written");
        let ours = manifest(1).to_json().expect("JSON");
        fs::write(path("nightly-3.gz.manifest.json"), ours).expect("written");
        fs::write(path(".nightly-4.gz.manifest.json.partial"), "{").expect("written");
        let found = orphans(directory.path(), PATTERN).expect("listed");
        assert_eq!(found, ["nightly-1.gz", "nightly-3.gz", "nightly-4.gz"]);
        let swept: Vec<_> = found
            .iter()
            .map(|name| sweep(directory.path(), name, &lock).expect("swept"))
            .collect();
        assert_eq!(swept, [true, false, true]);
        assert!(!sweep(directory.path(), "nightly-2.gz", &lock).expect("left alone"));
        let left = orphans(directory.path(), PATTERN).expect("listed");
        assert_eq!(left, ["nightly-3.gz"], "a backup of ours may come back");
        assert!(read_manifest(&path("other.gz")).expect("read").is_some());
    }

    #[test]
    fn the_manifest_of_a_backup_of_ours_is_not_replaced() {
        let directory = tempfile::tempdir().expect("tempdir");
        let archive = directory.path().join("x.sql.gz");
        let lock = lock::take(directory.path(), "test").expect("lock");
        let ours = manifest(1).to_json().expect("JSON");
        fs::write(manifest_path(&archive), ours).expect("written");
        put(&archive, &observed(1), &lock).expect_err("it is ours");
        assert!(!remove(&archive, &lock).expect("left alone"));
        assert_eq!(read_manifest(&archive).expect("read"), Some(manifest(1)));
    }
}
