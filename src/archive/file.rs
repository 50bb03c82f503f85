//! Reads any archive file to its last byte: ours in parallel, any other gzip in one stream.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::thread::available_parallelism;

use super::header::GZIP_MAGIC;
use super::reader::{BEGINNING, Summary, TextSink, is_ours};
use super::{foreign, reader};

/// Most inflating threads: each has a block in hand, and the memory budget is 64 MiB.
const MOST_WORKERS: usize = 8;

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// It has a manifest of ours, so it is an archive of ours even where its beginning does not look like it, unless that
    /// is any other program's gzip: someone unpacked and packed it again, and what it holds can be read and compared.
    pub ours: bool,
    /// The number that its members carry.
    pub archive_id: Option<u64>,
}

/// Reads a file; gives whether it is one of ours, and what reading found.
pub fn read(path: &Path, known: Known, sink: &mut impl TextSink) -> io::Result<(bool, Summary)> {
    let mut file = File::open(path)?;
    let mut beginning = Vec::new();
    file.by_ref()
        .take(BEGINNING as u64)
        .read_to_end(&mut beginning)?;
    let ours =
        !beginning.is_empty() && (is_ours(&beginning) || known.ours && !is_plain_gzip(&beginning));
    let input = Cursor::new(beginning).chain(file);
    let summary = if ours {
        let workers = available_parallelism()
            .map_or(1, usize::from)
            .min(MOST_WORKERS);
        reader::read(input, workers, known.archive_id, sink)?
    } else {
        foreign::read(input, sink)?
    };
    Ok((ours, summary))
}

/// Whether this is a gzip header as other programs write it: no flags but a name and a comment.
fn is_plain_gzip(beginning: &[u8]) -> bool {
    let flags = beginning.strip_prefix(&GZIP_MAGIC).and_then(<[u8]>::first);
    flags.is_some_and(|flags| flags & !0b1_1000 == 0)
}
