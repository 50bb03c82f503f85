//! The content hash: when do two tables hold the same rows?
//!
//! Definition, version 1. A row is its COPY text line without the newline. Its hash is XXH3-128 with [`SEED`]. A table's
//! hash is the sum of its rows' hashes, modulo 2^128: the order of rows does not matter, how often each occurs does. With
//! it go the number of rows and of bytes (newlines included). Rows read back hash equal only under the session settings
//! of the dump: see `pg::measure`.
//!
//! A sum of 128-bit hashes guards against loss and damage, not against someone who forges rows on purpose; against that
//! stands the manifest's SHA-256 of the whole file.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::{Xxh3, Xxh3Builder, xxh3_128_with_seed};

/// Seed of every row's hash: "pgvigil1" read as a number.
pub const SEED: u64 = u64::from_be_bytes(*b"pgvigil1");

/// A wrapping sum of row hashes. As text: 32 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentHash(pub u128);

impl ContentHash {
    /// Adds one item's hash.
    pub fn add(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 {
            return Err(serde::de::Error::custom("a content hash has 32 hex digits"));
        }
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Counts and hashes rows of COPY text, fed in any cut.
#[derive(Clone)]
pub struct RowHasher {
    /// Rows so far.
    pub rows: u64,
    /// Bytes so far, newlines included.
    pub bytes: u64,
    /// Sum of the rows' hashes.
    pub hash: ContentHash,
    /// The hash of a row that was cut, in the making; no row is ever kept.
    cut: Option<Box<Xxh3>>,
}

impl Default for RowHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl RowHasher {
    /// No rows yet.
    pub fn new() -> Self {
        Self {
            rows: 0,
            bytes: 0,
            hash: ContentHash::default(),
            cut: None,
        }
    }

    /// Takes the next bytes of COPY text.
    pub fn feed(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', data) {
            let row = data.get(from..newline).unwrap_or(&[]);
            let hash = match self.cut.take() {
                Some(mut state) => {
                    state.update(row);
                    state.digest128()
                }
                None => xxh3_128_with_seed(row, SEED),
            };
            self.hash.add(hash);
            self.rows += 1;
            from = newline + 1;
        }
        let rest = data.get(from..).unwrap_or(&[]);
        if !rest.is_empty() {
            self.cut.get_or_insert_with(streaming).update(rest);
        }
    }

    /// Whether the last row was closed by its newline.
    pub fn at_row_start(&self) -> bool {
        self.cut.is_none()
    }
}

/// A streaming hash with the seed.
pub(super) fn streaming() -> Box<Xxh3> {
    Box::new(Xxh3Builder::new().with_seed(SEED).build())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pieces: &[&[u8]]) -> (u64, u64, ContentHash) {
        let mut hasher = RowHasher::new();
        pieces.iter().for_each(|piece| hasher.feed(piece));
        assert!(hasher.at_row_start());
        (hasher.rows, hasher.bytes, hasher.hash)
    }

    #[test]
    fn order_does_not_matter_but_count_and_content_do() {
        let whole = of(&[b"1\ta\n2\tb\n2\tb\n"]);
        assert_eq!(whole, of(&[b"2\tb\n1\ta\n2\tb\n"]));
        assert_ne!(whole.2, of(&[b"1\ta\n2\tb\n"]).2);
        assert_ne!(whole.2, of(&[b"1\tb\n2\ta\n2\tb\n"]).2);
        assert_ne!(
            of(&[b"\n"]).2,
            ContentHash::default(),
            "an empty row counts"
        );
    }

    #[test]
    fn the_definition_does_not_drift() {
        // A change here breaks every manifest in the world: raise catalog::VERSION.
        assert_eq!(
            of(&[b"1\tabc\n"]).2.0,
            xxh3_128_with_seed(b"1\tabc", 0x7067_7669_6769_6c31)
        );
        assert_eq!(of(&[b"1\tabc\n2\tdef\n"]).2.to_string().len(), 32);
    }

    #[test]
    fn json_form() {
        let hash = ContentHash(5);
        let json = serde_json::to_string(&hash).expect("json");
        assert_eq!(json, "\"00000000000000000000000000000005\"");
        assert_eq!(
            serde_json::from_str::<ContentHash>(&json).expect("back"),
            hash
        );
        assert!(serde_json::from_str::<ContentHash>("\"5\"").is_err());
    }

    proptest! {
        #[test]
        fn any_cut_hashes_equal(rows in proptest::collection::vec("[a-z\t]{0,300}", 0..20), cut in 0..2000usize) {
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let cut = cut.min(text.len());
            prop_assert_eq!(of(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]), of(&[text.as_bytes()]));
        }
    }
}
