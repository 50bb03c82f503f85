//! Splits a file into members without inflating, and finds its feet again after damage.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::MEMBER_LIMIT;
use super::header::{HEADER, Header, HeaderError, SIGNATURE, SMALLEST};
use crate::finding::{Finding, FindingKind};
use crate::ledger::hex;

/// Where a member stands in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Counts members from 0.
    pub(super) index: u64,
    /// Bytes of the file before it.
    pub(super) at: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "member {} at byte {} of the file", self.index, self.at)
    }
}

/// A piece of the file.
pub(super) enum Piece {
    /// A member, unchecked.
    Member(Place, Header, Vec<u8>),
    /// Bytes that are none.
    Damage(Finding),
}

/// Splits `input`, hashing every byte of it.
pub(super) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// First byte of `buffer` that was not taken.
    start: usize,
    place: Place,
    digest: Sha256,
    /// Bytes of the file read so far.
    pub(super) bytes: u64,
    ended: bool,
}

const CHUNK: usize = 256 * 1024;

impl<R: Read> Splitter<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            place: Place::default(),
            digest: Sha256::new(),
            bytes: 0,
            ended: false,
        }
    }

    /// SHA-256 of all that was read, in hex.
    pub(super) fn sha256(self) -> String {
        hex(&self.digest.finalize())
    }

    /// The next piece; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        self.fill(HEADER)?;
        let Some(first) = self.rest().first_chunk::<HEADER>() else {
            return Ok(self.tail());
        };
        match Header::decode(first) {
            Ok(header) => self.member(header).map(Some),
            Err(error) => self.skip_damage(error).map(Some),
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or(&[])
    }

    /// Makes `wanted` bytes available, or all that there are.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.start > 0 && self.rest().len() < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while !self.ended && self.rest().len() < wanted {
            let length = self.buffer.len();
            let more = CHUNK.max(wanted - self.rest().len());
            self.buffer.resize(length + more, 0);
            let read = match self
                .input
                .read(self.buffer.get_mut(length..).unwrap_or(&mut []))
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                other => {
                    let read = other.inspect_err(|_| self.buffer.truncate(length))?;
                    self.ended = read == 0;
                    read
                }
            };
            self.buffer.truncate(length + read);
            self.digest.update(self.buffer.get(length..).unwrap_or(&[]));
            self.bytes += read as u64;
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.rest().get(..count).unwrap_or(&[]).to_vec();
        self.skip(taken.len());
        taken
    }

    fn skip(&mut self, count: usize) {
        self.start += count;
        self.place.at += count as u64;
    }

    /// What is left of the file is shorter than a header.
    fn tail(&mut self) -> Option<Piece> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let finding =
            if SIGNATURE.starts_with(rest.get(..rest.len().min(SIGNATURE.len())).unwrap_or(rest)) {
                let message = format!("the file ends after {} bytes of its header", rest.len());
                Finding::error(FindingKind::Truncated, self.place.to_string(), message)
            } else {
                Finding::error(
                    FindingKind::BadHeader,
                    self.place.to_string(),
                    format!("{} bytes that are no member", rest.len()),
                )
            };
        self.skip(rest.len());
        Some(Piece::Damage(finding))
    }

    fn member(&mut self, header: Header) -> io::Result<Piece> {
        let length = header.length as usize;
        self.fill(length + SIGNATURE.len())?;
        let place = self.place;
        let follows = self.rest().get(length..).unwrap_or(&[]);
        let well_followed = follows.is_empty()
            || SIGNATURE.starts_with(
                follows
                    .get(..SIGNATURE.len().min(follows.len()))
                    .unwrap_or(follows),
            );
        if self.rest().len() < length || !well_followed {
            // The length may be what is damaged: does a member begin before it says?
            let inside = self
                .rest()
                .get(SMALLEST..length.min(self.rest().len()))
                .unwrap_or(&[]);
            if let Some(next) = memchr::memmem::find(inside, &SIGNATURE) {
                let begins = SMALLEST + next;
                self.skip(begins);
                self.place.index += 1;
                let message = format!(
                    "says that it has {length} bytes, but the next member begins after {begins}"
                );
                return Ok(Piece::Damage(Finding::error(
                    FindingKind::BadHeader,
                    place.to_string(),
                    message,
                )));
            }
        }
        if self.rest().len() < length {
            let there = self.rest().len();
            self.skip(there);
            let message = format!("the file ends after {there} of its {length} bytes");
            return Ok(Piece::Damage(Finding::error(
                FindingKind::Truncated,
                place.to_string(),
                message,
            )));
        }
        let bytes = self.take(length);
        self.place.index += 1;
        Ok(Piece::Member(place, header, bytes))
    }

    /// Passes over bytes that begin no member, up to the next one or the end.
    fn skip_damage(&mut self, error: HeaderError) -> io::Result<Piece> {
        let place = self.place;
        let mut skipped = 1;
        self.skip(1);
        loop {
            self.fill(MEMBER_LIMIT)?;
            if let Some(next) = memchr::memmem::find(self.rest(), &SIGNATURE) {
                self.skip(next);
                skipped += next;
                break;
            }
            let all = self.rest().len();
            let keep = if self.ended { 0 } else { SIGNATURE.len() - 1 };
            self.skip(all - keep.min(all));
            skipped += all - keep.min(all);
            if self.ended {
                break;
            }
        }
        self.place.index += 1;
        let message = format!("{error}: {skipped} bytes passed over");
        Ok(Piece::Damage(Finding::error(
            FindingKind::BadHeader,
            place.to_string(),
            message,
        )))
    }
}
