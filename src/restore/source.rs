//! An archive to restore from: any part of it at any time, where it is one of ours.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::index::Index;
use crate::catalog::Range;
use crate::error::{Cause, Failure, FailureKind, Result};

/// An archive with its index. Clones share the open file.
#[derive(Clone, Debug)]
pub(super) struct Source(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    index: Index,
}

impl Source {
    /// Opens an archive; none if it has no index, which is what any other gzip file has.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path)
            .map_err(|error| Failure::io(format!("open archive {}", path.display()), error))?;
        Ok(Index::read(&file).ok().map(|index| {
            Self(Arc::new(Opened {
                path: path.to_owned(),
                file,
                index,
            }))
        }))
    }

    /// The archive's end of being whole.
    pub(super) fn damaged(&self, why: &str) -> Failure {
        let what = format!("read archive {}: {why}", self.0.path.display());
        Failure::new(FailureKind::Damaged, what).remedy("use another backup")
    }

    /// Reads a range piece by piece until `take` says false.
    pub(super) fn read(
        &self,
        range: Range,
        mut take: impl FnMut(Bytes) -> Result<bool>,
    ) -> Result<()> {
        let mut text = self.0.index.text(&self.0.file, range);
        let mut missing = range.length;
        while missing > 0 {
            let piece = text.piece().map_err(|error| {
                let what = format!("read archive {}", self.0.path.display());
                Failure::new(FailureKind::Damaged, what)
                    .because(Cause::from(error))
                    .remedy("see `pgvigil verify` for what is wrong with it")
            })?;
            let Some(piece) = piece else {
                return Err(self.damaged("it ends too early"));
            };
            missing = missing.saturating_sub(piece.len() as u64);
            if !take(piece)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Cuts rows into at most `parts` runs of about the same length, each beginning with a row.
    pub(super) fn cut(&self, range: Range, parts: u64) -> Result<Vec<Range>> {
        let end = range.offset.saturating_add(range.length);
        let mut cuts = vec![range.offset];
        for part in 1..parts {
            let wanted = range.offset + range.length / parts * part;
            let at = self.0.index.member_at(wanted);
            if at <= range.offset || at >= end || cuts.contains(&at) {
                continue;
            }
            // A member may begin inside of a row that is longer than a member.
            let mut last = 0;
            let before = Range {
                offset: at - 1,
                length: 1,
            };
            self.read(before, |byte| {
                last = byte.first().copied().unwrap_or(0);
                Ok(true)
            })?;
            if last == b'\n' {
                cuts.push(at);
            }
        }
        let ends = cuts.iter().skip(1).chain([&end]);
        Ok(cuts
            .iter()
            .zip(ends)
            .map(|(from, to)| Range {
                offset: *from,
                length: to - from,
            })
            .collect())
    }
}
