//! Random access: where each member of an archive of ours stands, found by hopping over the headers, and the text of any
//! range without inflating the rest.
//!
//! Nothing that a header says is believed: lengths have limits, members must follow each other without a gap in file and
//! text, and a member is checked (its own checksum, gzip's, its length) before its text is given out.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use libdeflater::Decompressor;

use super::header::{HEADER, Header, HeaderError};
use super::reader::inflate;
use crate::catalog::Range;

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    /// Bytes of the file before it.
    at: u64,
    header: Header,
}

/// The members of an archive, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    members: Vec<Member>,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file could not be read.
    #[error("read the archive")]
    Io(#[from] io::Error),
    /// A header that is none.
    #[error("member {index} at byte {at} of the file")]
    Header {
        /// Counts members from 0.
        index: usize,
        /// Bytes of the file before it.
        at: u64,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// Members that do not follow each other, or no closing one.
    #[error("member {index} at byte {at} of the file does not follow the one before it")]
    Order {
        /// Counts members from 0.
        index: usize,
        /// Bytes of the file before it.
        at: u64,
    },
}

impl Index {
    /// Hops through a file, 44 bytes a member.
    pub fn read(file: &File) -> Result<Self, IndexError> {
        let size = file.metadata()?.len();
        let mut members: Vec<Member> = Vec::new();
        let (mut at, mut offset, mut id, mut closed) = (0, 0, None, false);
        while at < size {
            let index = members.len();
            let mut bytes = [0; HEADER];
            file.read_exact_at(&mut bytes, at)?;
            let header = Header::decode(&bytes).map_err(|source| IndexError::Header {
                index,
                at,
                source,
            })?;
            let expected_id = *id.get_or_insert(header.archive_id);
            if closed || header.offset != offset || header.archive_id != expected_id {
                return Err(IndexError::Order { index, at });
            }
            members.push(Member { at, header });
            closed = header.is_closing();
            at += u64::from(header.length);
            offset += u64::from(header.uncompressed);
        }
        if !closed || at != size {
            return Err(IndexError::Order {
                index: members.len(),
                at,
            });
        }
        Ok(Self { members })
    }

    /// Bytes of dump text in all.
    pub fn text_bytes(&self) -> u64 {
        self.members
            .last()
            .map_or(0, |closing| closing.header.offset)
    }

    /// Where the text of the member that holds this byte of the text begins.
    pub fn member_at(&self, offset: u64) -> u64 {
        let behind = self
            .members
            .partition_point(|member| member.header.offset <= offset);
        self.members
            .get(behind.saturating_sub(1))
            .map_or(0, |member| member.header.offset)
    }

    /// The text of a range, cut off at the end of the dump.
    pub fn text<'a>(&'a self, file: &'a File, range: Range) -> RangeReader<'a> {
        let end = range
            .offset
            .saturating_add(range.length)
            .min(self.text_bytes());
        // The last member that begins at or before the range; the closing one has no text.
        let first = self
            .members
            .partition_point(|member| member.header.offset <= range.offset);
        RangeReader {
            file,
            members: self.members.get(first.saturating_sub(1)..).unwrap_or(&[]),
            next: range.offset,
            end,
            text: Vec::new(),
            taken: 0,
            inflater: Decompressor::new(),
        }
    }
}

/// Reads the text of a range, a member at a time.
pub struct RangeReader<'a> {
    file: &'a File,
    members: &'a [Member],
    /// Offset of the next byte to give out.
    next: u64,
    end: u64,
    /// The text of the member in hand from `next` on, and how much of it was given out.
    text: Vec<u8>,
    taken: usize,
    inflater: Decompressor,
}

impl RangeReader<'_> {
    /// Takes the next member in hand.
    fn refill(&mut self) -> io::Result<()> {
        let broken = |member: &Member, why: String| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("member at byte {} of the file: {why}", member.at),
            )
        };
        let Some((member, rest)) = self.members.split_first() else {
            return Ok(());
        };
        let mut bytes = vec![0; member.header.length as usize];
        self.file.read_exact_at(&mut bytes, member.at)?;
        let mut text = inflate(&mut self.inflater, &member.header, &bytes)
            .map_err(|why| broken(member, why))?;
        let before = usize::try_from(self.next - member.header.offset).unwrap_or(usize::MAX);
        let wanted = usize::try_from(self.end - member.header.offset).unwrap_or(usize::MAX);
        text.truncate(wanted);
        self.text = text;
        self.taken = before.min(self.text.len());
        self.members = rest;
        Ok(())
    }
}

impl RangeReader<'_> {
    /// The next piece of the range as it stands in its member, a mebibyte at the most; none at the end.
    pub fn piece(&mut self) -> io::Result<Option<Bytes>> {
        while self.taken == self.text.len() && self.next < self.end && !self.members.is_empty() {
            self.refill()?;
        }
        let text = Bytes::from(std::mem::take(&mut self.text)).slice(self.taken..);
        self.taken = 0;
        self.next += text.len() as u64;
        Ok((!text.is_empty()).then_some(text))
    }
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() && self.next < self.end && !self.members.is_empty() {
            self.refill()?;
        }
        let ready = self.text.get(self.taken..).unwrap_or(&[]);
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        self.next += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::writer::Writer;
    use super::*;

    fn archive(blocks: &[Vec<u8>]) -> File {
        let mut writer = Writer::new(tempfile::tempfile().expect("file"), 3, 2);
        for block in blocks {
            assert!(writer.block(block.clone()));
        }
        writer.finish().expect("written").0
    }

    fn read(file: &File, index: &Index, offset: u64, length: u64) -> Vec<u8> {
        let mut text = Vec::new();
        index
            .text(file, Range { offset, length })
            .read_to_end(&mut text)
            .expect("read");
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_range_is_that_part_of_the_text(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..8),
            offset in 0..1000usize, length in 0..1000usize,
        ) {
            let file = archive(&blocks);
            let index = Index::read(&file).expect("index");
            let text = blocks.concat();
            let from = offset.min(text.len());
            let to = offset.saturating_add(length).min(text.len()).max(from);
            prop_assert_eq!(index.text_bytes(), text.len() as u64);
            prop_assert_eq!(read(&file, &index, offset as u64, length as u64), &text[from..to]);
        }
    }

    #[test]
    fn damage_is_an_error_and_never_text() {
        let mut file = archive(&[b"first".to_vec(), b"second".to_vec()]);
        let size = file.metadata().expect("metadata").len();
        let index = Index::read(&file).expect("index");
        file.write_all_at(b"X", HEADER as u64 + 3).expect("write");
        let mut text = Vec::new();
        index
            .text(
                &file,
                Range {
                    offset: 0,
                    length: 5,
                },
            )
            .read_to_end(&mut text)
            .expect_err("damaged");
        assert_eq!(
            read(&file, &index, 5, 6),
            b"second",
            "the other member is whole"
        );
        file.set_len(size - 1).expect("cut");
        Index::read(&file).expect_err("cut");
        file.set_len(0).expect("cut");
        Index::read(&file).expect_err("empty");
        file.write_all(b"not an archive, but longer than any header of one would be")
            .expect("write");
        Index::read(&file).expect_err("not an archive");
    }
}
