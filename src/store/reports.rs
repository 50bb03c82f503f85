//! What drills say, kept beside the ledger in `drills/`: `drill_<job id>.json`, and `.md` for people. The ledger's entry
//! holds the digests, so that a report that is missing or changed shows.

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use super::record;
use crate::error::{Failure, Result};
use crate::finding::{Finding, FindingKind};
use crate::ledger::{KeptReport, digest, hex};

/// Where reports are, in a server's directory.
pub const DIRECTORY: &str = "drills";

/// Keeps the report of a drill as JSON.
pub fn keep(directory: &Path, job_id: &str, json: &[u8]) -> Result<KeptReport> {
    let file = write(directory, &format!("drill_{job_id}.json"), json)?;
    Ok(KeptReport {
        file,
        sha256: digest(json),
        page_sha256: None,
    })
}

/// Keeps the page for people beside it.
pub fn keep_page(
    directory: &Path,
    job_id: &str,
    page: &str,
    report: &mut KeptReport,
) -> Result<()> {
    write(directory, &format!("drill_{job_id}.md"), page.as_bytes())?;
    report.page_sha256 = Some(digest(page.as_bytes()));
    Ok(())
}

/// Gives the file's name relative to the server's directory.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<String> {
    let folder = directory.join(DIRECTORY);
    let failed = |error| {
        Failure::io(
            format!("keep report {}", folder.join(name).display()),
            error,
        )
        .remedy("make the directory writable and check its free space")
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    record::write(&folder, name, bytes).map_err(failed)?;
    Ok(format!("{DIRECTORY}/{name}"))
}

/// Largest report that is read; what is kept is bounded far below it.
const SIZE_LIMIT: u64 = 16 << 20;

/// Reads a kept report, if it is what the ledger says of it; else what is wrong.
pub fn read(directory: &Path, kept: &KeptReport) -> Result<std::result::Result<Vec<u8>, String>> {
    let path = directory.join(&kept.file);
    if !lies_in_drills(&kept.file) {
        return Ok(Err(format!("{} is not in {DIRECTORY}/", kept.file)));
    }
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        let Some(file) = open(&path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(SIZE_LIMIT).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    match read() {
        Ok(Some(bytes)) if digest(&bytes) == kept.sha256 => Ok(Ok(bytes)),
        Ok(Some(_)) => Ok(Err(format!(
            "{} is not what was written: it has another digest than the ledger says",
            kept.file
        ))),
        Ok(None) => Ok(Err(format!("{} is not a file", kept.file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Err(format!("{} is not there", kept.file)))
        }
        Err(error) => Err(Failure::io(
            format!("read report {}", path.display()),
            error,
        )),
    }
}

/// Holds the files of a kept report against their digests; `place` is where the ledger names them.
pub fn check(directory: &Path, kept: &KeptReport, place: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut one = |file: &str, sha256: &str| -> Result<()> {
        if let Some(finding) = check_file(directory, file, sha256, place)? {
            findings.push(finding);
        }
        Ok(())
    };
    one(&kept.file, &kept.sha256)?;
    if let Some(sha256) = &kept.page_sha256 {
        let stem = kept.file.strip_suffix(".json").unwrap_or(&kept.file);
        one(&format!("{stem}.md"), sha256)?;
    }
    Ok(findings)
}

fn check_file(directory: &Path, file: &str, sha256: &str, place: &str) -> Result<Option<Finding>> {
    let finding = |kind, message| Ok(Some(Finding::error(kind, place, message)));
    if !lies_in_drills(file) {
        // Never followed: a ledger that someone wrote into must not lead us to other files.
        let message = format!("it names report {file:?}, which is not in {DIRECTORY}/");
        return finding(FindingKind::ReportMissing, message);
    }
    let path = directory.join(file);
    let failed = |error| Failure::io(format!("read report {}", path.display()), error);
    match digest_of(&path) {
        Ok(Some(actual)) if actual == sha256 => Ok(None),
        Ok(Some(_)) => finding(
            FindingKind::ReportChanged,
            format!("{file} is not what was written: it has another digest"),
        ),
        Ok(None) => finding(FindingKind::ReportMissing, format!("{file} is not a file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            finding(FindingKind::ReportMissing, format!("{file} is not there"))
        }
        Err(error) => Err(failed(error)),
    }
}

fn lies_in_drills(file: &str) -> bool {
    let parts: Vec<_> = Path::new(file).components().collect();
    matches!(
        parts.as_slice(),
        [Component::Normal(folder), Component::Normal(_)] if *folder == DIRECTORY
    )
}

/// Opens a file; `None` where it is something else.
fn open(path: &Path) -> std::io::Result<Option<File>> {
    // Not blocking: opening a pipe in its place would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_file = file.metadata()?.is_file();
    Ok(is_file.then_some(file))
}

/// The digest of a file; `None` where it is something else.
fn digest_of(path: &Path) -> std::io::Result<Option<String>> {
    let Some(mut file) = open(path)? else {
        return Ok(None);
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(hex(&hasher.finalize()))),
            Ok(read) => hasher.update(buffer.get(..read).unwrap_or(&[])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
