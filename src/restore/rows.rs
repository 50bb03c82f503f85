//! Where the rows of a COPY come from: a range of an indexed archive, or the stream of steps itself.

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use super::source::Source;
use super::steps::{Step, Steps};
use crate::catalog::Range;
use crate::error::{Failure, FailureKind, Result};

/// Pieces in flight for each COPY; a piece has a megabyte at the most.
const QUEUE: usize = 2;

/// Rows on their way.
pub(super) enum Rows<'a> {
    /// Read from their place, on a thread of their own.
    Read(Reading),
    /// The next steps.
    Stream(&'a mut Steps),
}

/// A range being read.
pub(super) struct Reading {
    receiver: Receiver<Bytes>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Reading {
    /// Begins to read.
    pub(super) fn begin(source: &Source, range: Range) -> Self {
        let (sender, receiver) = channel(QUEUE);
        let source = source.clone();
        let thread = tokio::task::spawn_blocking(move || {
            source.read(range, |piece| Ok(sender.blocking_send(piece).is_ok()))
        });
        Self {
            receiver,
            thread: Some(thread),
        }
    }
}

impl Rows<'_> {
    /// The next piece; none at the end of the rows.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Read(reading) => match reading.receiver.recv().await {
                Some(piece) => Ok(Some(piece)),
                None => match reading.thread.take() {
                    Some(thread) => thread.await.map_err(broken)?.map(|()| None),
                    None => Ok(None),
                },
            },
            Self::Stream(steps) => match steps.receiver.recv().await {
                Some(Step::CopyData(piece)) => Ok(Some(piece)),
                Some(Step::CopyEnd) => Ok(None),
                _ => Err(steps.ended_early().await),
            },
        }
    }
}

fn broken(error: tokio::task::JoinError) -> Failure {
    Failure::new(FailureKind::Io, "read the archive: a thread broke").because(error)
}
