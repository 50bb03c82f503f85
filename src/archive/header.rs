//! The header of a member: encode, decode with limits.

use super::{BLOCK, MEMBER_LIMIT, crc};

/// Bytes of our header.
pub const HEADER: usize = 44;
/// Bytes after the compressed data: CRC-32 and length, RFC 1952.
pub const TRAILER: usize = 8;
/// Smallest whole member: header, an empty deflate stream, trailer.
pub const SMALLEST: usize = HEADER + 2 + TRAILER;

/// The bytes every header of ours begins with: gzip, deflate, FEXTRA, no time, no hints, unknown system, our subfield.
pub const SIGNATURE: [u8; 16] = [
    0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 32, 0, b'P', b'V', 28, 0,
];

/// The first bytes of any gzip file.
pub const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Offset of the member CRC in the header.
const CRC_AT: usize = HEADER - 4;

/// What a header says. Nothing in it is true before it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole member.
    pub length: u32,
    /// Bytes of dump text in it.
    pub uncompressed: u32,
    /// Bytes of dump text before it.
    pub offset: u64,
    /// The backup it belongs to.
    pub archive_id: u64,
    /// CRC-32 of the member's other bytes.
    pub crc: u32,
}

/// Why bytes are not a header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not our signature.
    #[error("no member begins here")]
    Signature,
    /// A length that no member has.
    #[error("a member of {0} bytes cannot be")]
    Length(u32),
    /// More text than a block holds.
    #[error("a block of {0} bytes cannot be")]
    Uncompressed(u32),
}

impl Header {
    /// Reads the first [`HEADER`] bytes of a member.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self, HeaderError> {
        if !bytes.starts_with(&SIGNATURE) {
            return Err(HeaderError::Signature);
        }
        let header = Self {
            length: u32::from_le_bytes(field(bytes, 16)),
            uncompressed: u32::from_le_bytes(field(bytes, 20)),
            offset: u64::from_le_bytes(field(bytes, 24)),
            archive_id: u64::from_le_bytes(field(bytes, 32)),
            crc: u32::from_le_bytes(field(bytes, CRC_AT)),
        };
        if (header.length as usize) < SMALLEST || header.length as usize > MEMBER_LIMIT {
            return Err(HeaderError::Length(header.length));
        }
        if header.uncompressed as usize > BLOCK {
            return Err(HeaderError::Uncompressed(header.uncompressed));
        }
        Ok(header)
    }

    /// The header's bytes; the CRC is [`seal`]ed in later.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        put(&mut bytes, 0, &SIGNATURE);
        put(&mut bytes, 16, &self.length.to_le_bytes());
        put(&mut bytes, 20, &self.uncompressed.to_le_bytes());
        put(&mut bytes, 24, &self.offset.to_le_bytes());
        put(&mut bytes, 32, &self.archive_id.to_le_bytes());
        bytes
    }

    /// Whether this closes an archive.
    pub fn is_closing(&self) -> bool {
        self.uncompressed == 0
    }
}

/// Computes and writes the member CRC of a whole member.
pub fn seal(member: &mut [u8]) {
    if let (Some(before), Some(after)) = (member.get(..CRC_AT), member.get(HEADER..)) {
        let crc = crc::of(&[before, after]);
        put(member, CRC_AT, &crc.to_le_bytes());
    }
}

/// The member CRC as it should be.
pub fn computed_crc(member: &[u8]) -> Option<u32> {
    Some(crc::of(&[member.get(..CRC_AT)?, member.get(HEADER..)?]))
}

fn field<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|field| field.try_into().ok())
        .unwrap_or([0; N])
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + value.len()) {
        room.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(length in SMALLEST..=MEMBER_LIMIT, uncompressed in 0..=BLOCK, offset: u64, archive_id: u64) {
            let (length, uncompressed) = (u32::try_from(length).expect("small"), u32::try_from(uncompressed).expect("small"));
            let header = Header { length, uncompressed, offset, archive_id, crc: 0 };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(tail in proptest::array::uniform28(any::<u8>())) {
            let mut bytes = [0; HEADER];
            bytes[..16].copy_from_slice(&SIGNATURE);
            bytes[16..].copy_from_slice(&tail);
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert!(header.length as usize <= MEMBER_LIMIT && header.uncompressed as usize <= BLOCK);
            }
        }
    }
}
