//! The content hash of large objects.
//!
//! Definition, version 1: an object's hash is XXH3-128 (with the rows' seed) of its OID as four bytes, big-endian, and
//! its content; the hash of all is their sum modulo 2^128. An object without content counts like any other.

use xxhash_rust::xxh3::Xxh3;

use super::LargeObjects;
use super::hash::streaming;

/// Bytes in a page of pg_largeobject (LOBLKSIZE, a quarter of the block size).
const PAGE: u64 = 2048;

/// Sums objects up, one after the other.
#[derive(Default)]
pub struct LargeObjectHasher {
    total: LargeObjects,
    open: Option<Open>,
}

struct Open {
    oid: u32,
    length: u64,
    hash: Box<Xxh3>,
}

impl LargeObjectHasher {
    /// Begins an object; ends the one before.
    pub fn begin(&mut self, oid: u32) {
        self.end();
        let mut hash = streaming();
        hash.update(&oid.to_be_bytes());
        self.open = Some(Open {
            oid,
            length: 0,
            hash,
        });
    }

    /// Adds content to the object in hand.
    pub fn write(&mut self, data: &[u8]) {
        if let Some(open) = &mut self.open {
            open.length += data.len() as u64;
            open.hash.update(data);
        }
    }

    /// Adds a row of pg_largeobject, given in the order of OID and page; pages that are not stored read as zeros.
    pub fn page(&mut self, oid: u32, page: u64, data: &[u8]) {
        if self.open.as_ref().is_none_or(|open| open.oid != oid) {
            self.begin(oid);
        }
        let written = self.open.as_ref().map_or(0, |open| open.length);
        let mut hole = (page * PAGE).saturating_sub(written);
        while hole > 0 {
            let zeros = [0; 2048];
            let piece = hole.min(PAGE);
            self.write(
                zeros
                    .get(..usize::try_from(piece).unwrap_or(0))
                    .unwrap_or(&[]),
            );
            hole -= piece;
        }
        self.write(data);
    }

    /// Ends the object in hand.
    pub fn end(&mut self) {
        if let Some(open) = self.open.take() {
            self.total.count += 1;
            self.total.bytes += open.length;
            self.total.hash.add(open.hash.digest128());
        }
    }

    /// Ends the last object and gives the sum.
    pub fn finish(&mut self) -> LargeObjects {
        self.end();
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_writes_hash_equal() {
        let mut written = LargeObjectHasher::default();
        written.begin(7);
        written.write(&[0; 2048]);
        written.write(b"tail");
        written.begin(5);
        let mut stored = LargeObjectHasher::default();
        stored.begin(5);
        stored.page(7, 1, b"tail");
        assert_eq!(written.finish(), stored.finish());
        assert_eq!(stored.finish().count, 2);
    }
}
