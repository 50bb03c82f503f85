//! Archives taken apart and put together wrongly.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pgvigil::archive::header::{HEADER, Header};

/// An archive's members, found by hopping from header to header.
pub(crate) fn members(archive: &[u8]) -> Vec<Vec<u8>> {
    let mut members = Vec::new();
    let mut rest = archive;
    while let Some(first) = rest.first_chunk::<HEADER>() {
        let header = Header::decode(first).unwrap();
        let (member, after) = rest.split_at(header.length as usize);
        members.push(member.to_vec());
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes are no member", rest.len());
    members
}

/// The text of a gzip file, as gunzip reads it.
pub(crate) fn gunzip(path: &Path) -> Vec<u8> {
    let output = Command::new("gunzip")
        .arg("-c")
        .stdin(std::fs::File::open(path).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gunzip {}: {said}", path.display());
    output.stdout
}

/// A gzip file as any other tool makes it.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(text).unwrap());
        child.wait_with_output().unwrap().stdout
    })
}
