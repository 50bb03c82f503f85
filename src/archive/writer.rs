//! Writes archives: blocks in, members out, compressed in parallel and written in order.

use std::io::{self, Write};
use std::thread::{JoinHandle, spawn};

use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest, Sha256};

use super::header::{self, HEADER, Header, TRAILER};
use super::ordered::{Input, Output, ordered};
use super::{BLOCK, crc};
use crate::ledger::hex;

/// libdeflate's level. Level 1 compresses dump text at 181 MB/s and core to 1/3.29 of its size; `gzip -6` needs five times
/// as long for 1/3.2.
const LEVEL: i32 = 1;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of dump text.
    pub uncompressed_bytes: u64,
    /// Members, the closing one included.
    pub members: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// Why writing failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file could not be written.
    #[error("write the archive")]
    Io(#[source] io::Error),
    /// A bug: a thread panicked, or a block did not compress into its bound.
    #[error("the archive writer broke: {0}")]
    Broken(&'static str),
}

struct Block {
    text: Vec<u8>,
    offset: u64,
    archive_id: u64,
}

type Compressed = Result<Vec<u8>, WriteError>;

/// Writes one archive.
pub struct Writer<W> {
    input: Option<Input<Block, Compressed>>,
    file: JoinHandle<Result<(W, Written), WriteError>>,
    archive_id: u64,
    offset: u64,
}

impl<W: Write + Send + 'static> Writer<W> {
    /// Writes to `out` with as many compressing threads. Holds at most `2 × workers + 2` blocks.
    pub fn new(out: W, archive_id: u64, workers: usize) -> Self {
        let make = || Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default());
        let (input, output) = ordered(workers, workers + 1, make, |compressor, block: Block| {
            member(compressor, &block)
        });
        let file = spawn(move || write_all(out, output));
        Self {
            input: Some(input),
            file,
            archive_id,
            offset: 0,
        }
    }

    /// Hands a block of at most [`BLOCK`] bytes in; waits while the disk is slower. False when writing has failed:
    /// [`Writer::finish`] says why.
    pub fn block(&mut self, text: Vec<u8>) -> bool {
        debug_assert!(text.len() <= BLOCK);
        let block = Block {
            offset: self.offset,
            archive_id: self.archive_id,
            text,
        };
        self.offset += block.text.len() as u64;
        self.input
            .as_ref()
            .is_some_and(|input| input.send(block).is_ok())
    }

    /// Writes the closing member, waits for everything, and gives the output back.
    pub fn finish(mut self) -> Result<(W, Written), WriteError> {
        self.block(Vec::new());
        drop(self.input.take());
        self.file
            .join()
            .unwrap_or(Err(WriteError::Broken("its thread panicked")))
    }
}

fn write_all<W: Write>(
    mut out: W,
    mut output: Output<Compressed>,
) -> Result<(W, Written), WriteError> {
    let mut digest = Sha256::new();
    let mut written = Written {
        bytes: 0,
        uncompressed_bytes: 0,
        members: 0,
        sha256: String::new(),
    };
    while let Some(member) = output.next() {
        let member = member?;
        digest.update(&member);
        out.write_all(&member).map_err(WriteError::Io)?;
        written.bytes += member.len() as u64;
        written.members += 1;
        written.uncompressed_bytes += member
            .last_chunk::<4>()
            .map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
    }
    if !output.join() {
        return Err(WriteError::Broken("a compressing thread panicked"));
    }
    out.flush().map_err(WriteError::Io)?;
    written.sha256 = hex(&digest.finalize());
    Ok((out, written))
}

/// One whole member.
fn member(compressor: &mut Compressor, block: &Block) -> Compressed {
    let bound = compressor.deflate_compress_bound(block.text.len());
    let mut member = vec![0; HEADER + bound + TRAILER];
    let room = member.get_mut(HEADER..HEADER + bound).unwrap_or(&mut []);
    let deflated = compressor
        .deflate_compress(&block.text, room)
        .map_err(|_| WriteError::Broken("a block outgrew its bound"))?;
    member.truncate(HEADER + deflated);
    let size =
        u32::try_from(block.text.len()).map_err(|_| WriteError::Broken("a block is too large"))?;
    member.extend_from_slice(&crc::of(&[&block.text]).to_le_bytes());
    member.extend_from_slice(&size.to_le_bytes());
    let length =
        u32::try_from(member.len()).map_err(|_| WriteError::Broken("a member is too large"))?;
    let header = Header {
        length,
        uncompressed: size,
        offset: block.offset,
        archive_id: block.archive_id,
        crc: 0,
    };
    if let Some(room) = member.first_chunk_mut::<HEADER>() {
        *room = header.encode();
    }
    header::seal(&mut member);
    Ok(member)
}
