//! CRC-32 as gzip has it, over several pieces.

/// CRC-32 of the pieces joined.
pub(super) fn of(pieces: &[&[u8]]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    pieces.iter().for_each(|piece| crc.update(piece));
    crc.sum()
}
