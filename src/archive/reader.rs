//! Reads our archives: split, inflated and checked in parallel, delivered in order, every fault named where it stands.

use std::io::{self, Read};
use std::thread::spawn;

use libdeflater::Decompressor;

use super::header::{HEADER, Header, TRAILER, computed_crc};
use super::ordered::{Input, ordered};
use super::splitter::{Piece, Place, Splitter};
use super::{MEMBER_LIMIT, crc, header};
use crate::finding::{Finding, FindingKind, Findings, Level};

/// What reading found.
#[derive(Debug)]
pub struct Summary {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of dump text.
    pub uncompressed_bytes: u64,
    /// Members, the closing one included; 0 for a foreign archive with none.
    pub members: u64,
    /// SHA-256 of the file, in hex; empty where reading was stopped.
    pub sha256: String,
    /// All that is wrong with the file.
    pub findings: Findings,
    /// Whether all text was delivered; not so behind damage.
    pub text_is_whole: bool,
}

/// Takes dump text; false to stop reading.
pub trait TextSink {
    /// Takes the next text.
    fn text(&mut self, text: &[u8]) -> bool;
}

impl<F: FnMut(&[u8]) -> bool> TextSink for F {
    fn text(&mut self, text: &[u8]) -> bool {
        self(text)
    }
}

/// Whether a file that begins with these bytes (up to [`MEMBER_LIMIT`] and a header) is one of ours. Not only the first
/// header is looked at: it may be what is damaged.
pub fn is_ours(beginning: &[u8]) -> bool {
    memchr::memmem::find(beginning, &header::SIGNATURE).is_some()
}

/// How many bytes [`is_ours`] wants to see.
pub const BEGINNING: usize = MEMBER_LIMIT + HEADER;

enum Checked {
    Text(Place, Header, Vec<u8>),
    Damage(Finding),
}

/// Reads an archive of ours to its last byte. `archive_id` is what the manifest says, if there is one.
pub fn read<R: Read + Send + 'static>(
    input: R,
    workers: usize,
    archive_id: Option<u64>,
    sink: &mut impl TextSink,
) -> io::Result<Summary> {
    let (tasks, mut results) = ordered(workers, workers + 1, Decompressor::new, check);
    let splitter = spawn(move || split(input, &tasks));
    let mut order = Order {
        archive_id,
        trusted: true,
        ..Order::default()
    };
    let mut stopped = false;
    while let Some(checked) = results.next() {
        if let Some(text) = order.take(checked)
            && !sink.text(&text)
        {
            stopped = true;
            break;
        }
    }
    let workers_good = results.join();
    let split = splitter
        .join()
        .map_err(|_| io::Error::other("a reading thread panicked"))??;
    if !workers_good {
        return Err(io::Error::other("an inflating thread panicked"));
    }
    let (bytes, sha256) = if stopped {
        (split.bytes, String::new())
    } else {
        (split.bytes, split.sha256())
    };
    if !stopped {
        order.end(bytes);
    }
    Ok(Summary {
        bytes,
        uncompressed_bytes: order.expected,
        members: order.members,
        sha256,
        text_is_whole: order.trusted && !stopped,
        findings: order.findings,
    })
}

fn split<R: Read>(input: R, tasks: &Input<Piece, Checked>) -> io::Result<Splitter<R>> {
    let mut splitter = Splitter::new(input);
    while let Some(piece) = splitter.next()? {
        if tasks.send(piece).is_err() {
            break;
        }
    }
    Ok(splitter)
}

/// Checks a member against itself.
fn check(inflater: &mut Decompressor, piece: Piece) -> Checked {
    let (place, header, member) = match piece {
        Piece::Member(place, header, member) => (place, header, member),
        Piece::Damage(finding) => return Checked::Damage(finding),
    };
    match inflate(inflater, &header, &member) {
        Ok(text) => Checked::Text(place, header, text),
        Err(why) => Checked::Damage(Finding::error(
            FindingKind::BadMember,
            place.to_string(),
            why,
        )),
    }
}

pub(super) fn inflate(
    inflater: &mut Decompressor,
    header: &Header,
    member: &[u8],
) -> Result<Vec<u8>, String> {
    if computed_crc(member) != Some(header.crc) {
        return Err("its bytes do not have its checksum".to_owned());
    }
    let frame = member
        .get(HEADER..)
        .and_then(|rest| rest.split_last_chunk::<TRAILER>());
    let Some((deflated, trailer)) = frame else {
        return Err("too short".to_owned());
    };
    let mut text = vec![0; header.uncompressed as usize];
    let length = inflater
        .deflate_decompress(deflated, &mut text)
        .map_err(|error| format!("does not inflate: {error}"))?;
    let expected = [
        crc::of(&[&text]).to_le_bytes(),
        header.uncompressed.to_le_bytes(),
    ]
    .concat();
    if length != text.len() || trailer.as_slice() != expected {
        return Err(format!(
            "inflates to {length} bytes that are not those that were compressed"
        ));
    }
    Ok(text)
}

/// Checks members against each other.
#[derive(Default)]
struct Order {
    archive_id: Option<u64>,
    /// Where the next member's text belongs.
    expected: u64,
    members: u64,
    closed: bool,
    findings: Findings,
    /// Nothing wrong so far, so that text can be given out.
    trusted: bool,
}

impl Order {
    /// The text, if everything up to here is in order.
    fn take(&mut self, checked: Checked) -> Option<Vec<u8>> {
        match checked {
            Checked::Damage(mut finding) => {
                if self.closed {
                    finding.kind = FindingKind::TrailingGarbage;
                    finding.remedy = finding.kind.remedy().to_owned();
                    finding.message = format!("after the end of the archive: {}", finding.message);
                }
                self.distrust(finding);
                None
            }
            Checked::Text(place, header, text) => {
                self.members += 1;
                if let Err(why) = self.fits(&header) {
                    self.distrust(Finding::error(
                        FindingKind::MisplacedMember,
                        place.to_string(),
                        why,
                    ));
                }
                self.expected = header.offset + u64::from(header.uncompressed);
                self.closed |= header.is_closing();
                self.trusted.then_some(text)
            }
        }
    }

    fn fits(&mut self, header: &Header) -> Result<(), String> {
        let id = *self.archive_id.get_or_insert(header.archive_id);
        if header.archive_id != id {
            return Err(format!(
                "belongs to another backup ({:016x}, this is {id:016x})",
                header.archive_id
            ));
        }
        if self.closed {
            return Err("stands behind the end of the archive".to_owned());
        }
        if header.offset != self.expected {
            return Err(format!(
                "holds text from byte {} of the dump, where byte {} should follow",
                header.offset, self.expected
            ));
        }
        Ok(())
    }

    fn distrust(&mut self, finding: Finding) {
        if self.trusted && !self.closed {
            let message = format!(
                "content was compared up to byte {} of the dump, the rest member by member only",
                self.expected
            );
            self.findings.push(finding);
            self.findings.push(
                Finding::error(FindingKind::NotDone, "the rest of the dump", message)
                    .at(Level::Note),
            );
        } else {
            self.findings.push(finding);
        }
        self.trusted = false;
    }

    fn end(&mut self, bytes: u64) {
        if !self.closed {
            let message = format!(
                "the file ends after {} members without the closing one",
                self.members
            );
            self.distrust(Finding::error(
                FindingKind::Truncated,
                format!("the end, byte {bytes} of the file"),
                message,
            ));
        }
    }
}
