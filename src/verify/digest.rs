//! The quick check: is the file, byte for byte, the one that was published with its manifest? What is in it was judged then.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Checked, Report};
use crate::error::{Failure, FailureKind, Result};
use crate::finding::Findings;
use crate::ledger::hex;
use crate::outcome::Progress;
use crate::store;

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Compares the file's SHA-256 with its manifest's; none where there is no manifest to compare with, or it is another
/// file: then only reading all of it can say what it is.
pub async fn same_as_published(archive: &Path, progress: &Progress) -> Result<Option<Checked>> {
    let (path, progress) = (archive.to_owned(), progress.clone());
    let work = tokio::task::spawn_blocking(move || compare(&path, &progress));
    work.await
        .map_err(|error| Failure::new(FailureKind::Io, "verify: a thread broke").because(error))?
}

fn compare(path: &Path, progress: &Progress) -> Result<Option<Checked>> {
    let began = std::time::Instant::now();
    let Ok(Some(manifest)) = store::read_manifest(path) else {
        return Ok(None);
    };
    let failed = |error| Failure::io(format!("read archive {}", path.display()), error);
    progress.stage("verify", manifest.archive.bytes);
    let mut file = File::open(path).map_err(failed)?;
    let (mut digest, mut buffer, mut bytes) = (Sha256::new(), vec![0; BUFFER], 0);
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        progress.check()?;
        progress.add(read as u64);
        bytes += read as u64;
        digest.update(buffer.get(..read).unwrap_or(&[]));
    }
    if hex(&digest.finalize()) != manifest.archive.sha256 {
        return Ok(None);
    }
    let catalog = manifest.catalog.clone();
    let report = Report {
        archive: path.to_owned(),
        passed: true,
        indexed: manifest.is_ours(),
        compared_with_manifest: true,
        bytes,
        uncompressed_bytes: manifest.archive.uncompressed_bytes,
        members: manifest.archive.members,
        databases: catalog.databases.len() as u64,
        tables: catalog.tables(),
        rows: catalog.rows(),
        duration_seconds: began.elapsed().as_secs_f64(),
        findings: Findings::default(),
    };
    Ok(Some(Checked {
        report,
        catalog,
        sha256: manifest.archive.sha256.clone(),
        manifest: Some(manifest),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_without_manifest_is_left_to_the_whole_check() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("x.sql.gz");
        std::fs::write(&path, b"x").expect("written");
        let checked = same_as_published(&path, &Progress::default()).await;
        assert!(checked.expect("read").is_none());
    }
}
