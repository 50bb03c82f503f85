//! The archive: gzip that any tool reads, and that we read by section, in parallel, and with every byte accounted for.
//!
//! A sequence of gzip members (RFC 1952). `gunzip`, `zcat`, `pigz` and every restore tool read it as one stream.
//!
//! ```text
//! member  = header deflate crc32(4) isize(4)
//! header  = 1f 8b 08 04  mtime=0(4)  xfl=0 os=255  xlen=32(2)  'P' 'V' len=28(2)  fields(28)
//! fields  = member length (4) · uncompressed length (4) · uncompressed offset (8) · archive id (8) · member CRC-32 (4)
//! archive = member { member } closing-member            closing: uncompressed length 0
//! ```
//!
//! All numbers are little-endian, as in gzip. *Member length* counts the whole member, so that a reader can hop from
//! member to member without inflating. *Uncompressed offset* is the dump text before this member: with it and the
//! *archive id* (random, one per backup) a member that was moved, repeated, lost or pasted in is named where it stands.
//! *Member CRC-32* covers the member's bytes but these four, so that a flipped bit is found even where inflating would not
//! notice it (the padding of a deflate stream). The closing member tells an archive that ends from one that was cut at a
//! member's end. A reader trusts none of these numbers: limits first, then use.
//!
//! Members are cut at [`BLOCK`] bytes of text and at the borders of sections: before a `\connect`, and before and after
//! each table's rows; inside of rows they are cut at the end of a row where there is one. [`writer`] compresses in parallel
//! and in order, [`reader`] inflates and checks in parallel and in order, [`index`] gives out any part without the rest,
//! [`foreign`] reads any other gzip file, [`file`] whichever it is.

mod crc;
pub mod cutter;
pub mod file;
pub mod foreign;
pub mod header;
pub mod index;
mod ordered;
pub mod reader;
mod splitter;
pub mod writer;

/// Most dump text in one member. Size hardly depends on it: a dump of 960 MB is 311.4 MB with blocks of 64 KiB, 311.7 MB
/// with 1 MiB and the same with 4 MiB (libdeflate level 1). So large enough that a thousand members hold a gigabyte, and
/// small enough that a dozen of them in flight are a small part of the memory budget.
pub const BLOCK: usize = 1 << 20;

/// Most bytes a member can have: a block that does not compress, and the frame around it.
pub const MEMBER_LIMIT: usize = BLOCK + BLOCK / 64 + 1024;

#[cfg(test)]
mod tests;
