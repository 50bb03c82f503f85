//! Where members begin: the block cutter between the dump's stream and the compressor.
//!
//! Text goes in as it comes, borders as they are seen (always a little behind the text), blocks come out. A block ends at
//! a border, or when it is full: inside of a table's rows at the end of the last row, else wherever it is.

use super::BLOCK;

/// Cuts a stream into blocks of at most [`BLOCK`] bytes.
#[derive(Debug)]
pub struct Cutter {
    block: Vec<u8>,
    /// Dump text before the block.
    offset: u64,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            block: Vec::with_capacity(BLOCK),
            offset: 0,
        }
    }
}

impl Cutter {
    /// How many bytes fit before the block is full.
    pub fn room(&self) -> usize {
        BLOCK - self.block.len()
    }

    /// Appends text; no more than [`Cutter::room`].
    pub fn push(&mut self, text: &[u8]) {
        self.block.extend_from_slice(text);
    }

    /// Where the text so far ends.
    pub fn end(&self) -> u64 {
        self.offset + self.block.len() as u64
    }

    /// A section begins at this offset of the dump: gives the block before it. Nothing if it lies in a block that is gone.
    pub fn border(&mut self, offset: u64) -> Option<Vec<u8>> {
        let at = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        (at > 0 && at <= self.block.len()).then(|| self.cut(at))
    }

    /// The block is full: gives it, up to the last row's end if `in_rows`, and not beyond `decided`, the offset of the dump
    /// before which no more borders will come, unless that leaves nothing.
    pub fn full(&mut self, in_rows: bool, decided: u64) -> Vec<u8> {
        let length = self.block.len();
        let limit = decided
            .checked_sub(self.offset)
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0);
        let limit = limit.unwrap_or(length).min(length);
        let text = self.block.get(..limit).unwrap_or(&[]);
        let row_end = if in_rows {
            memchr::memrchr(b'\n', text).map(|newline| newline + 1)
        } else {
            None
        };
        self.cut(row_end.unwrap_or(limit))
    }

    /// The rest.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        let length = self.block.len();
        (length > 0).then(|| self.cut(length))
    }

    fn cut(&mut self, at: usize) -> Vec<u8> {
        let mut rest = Vec::with_capacity(BLOCK);
        rest.extend_from_slice(self.block.get(at..).unwrap_or(&[]));
        self.block.truncate(at);
        self.offset += at as u64;
        std::mem::replace(&mut self.block, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_borders_and_row_ends() {
        let mut cutter = Cutter::default();
        cutter.push(b"head\nrow1\nrow2\nro");
        assert_eq!(cutter.border(5).as_deref(), Some(&b"head\n"[..]));
        assert_eq!(cutter.border(5), None, "an empty block is none");
        assert_eq!(cutter.border(3), None, "a border that has gone by is none");
        assert_eq!(cutter.full(true, 17), b"row1\nrow2\n");
        cutter.push(b"w3\nnext");
        assert_eq!(
            cutter.full(false, 20),
            b"row3\n",
            "what may become a border is not cut off"
        );
        assert_eq!(cutter.full(false, 20), b"next", "but a full block goes");
        assert_eq!(cutter.finish(), None);
    }
}
