//! A connection that does not wait for ever: for a request, for the rest of its head, for its answer to be taken.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::places::Place;
use super::{HEADER_TIMEOUT, IDLE, TAKING};

/// A stream with deadlines.
pub(super) struct Guarded<S> {
    stream: S,
    place: Arc<Place>,
    deadline: Pin<Box<Sleep>>,
    waits_for: Waits,
    too_slow: bool,
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The first byte of the next request.
    Request,
    /// The rest of its head.
    Head,
    /// That the client takes the answer.
    Taken,
}

impl<S> Guarded<S> {
    /// A new connection; its first request is to come at once.
    pub(super) fn new(stream: S, place: Arc<Place>) -> Self {
        Self {
            stream,
            place,
            deadline: Box::pin(tokio::time::sleep(HEADER_TIMEOUT)),
            waits_for: Waits::Head,
            too_slow: false,
        }
    }

    /// The stream, unless it was ended for being too slow.
    pub(super) fn into_patient(self) -> Option<S> {
        (!self.too_slow).then_some(self.stream)
    }

    fn wait_for(&mut self, what: Waits, limit: Duration) {
        self.waits_for = what;
        self.deadline.as_mut().reset(Instant::now() + limit);
    }

    /// An error once the deadline has passed.
    fn poll_deadline<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        ready!(self.deadline.as_mut().poll(cx));
        self.too_slow = true;
        Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
    }

    /// What became of a write; the time for the whole answer began with its first byte.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        if self.place.is_owed() && self.waits_for != Waits::Taken {
            self.wait_for(Waits::Taken, TAKING);
        }
        match written {
            Poll::Pending if self.waits_for == Waits::Taken => self.poll_deadline(cx),
            written => written,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // The body of a request has a deadline of its own, where it is read.
        if self.place.is_asked() || self.place.is_owed() {
            return read;
        }
        match read {
            Poll::Pending => self.poll_deadline(cx),
            Poll::Ready(Ok(()))
                if self.waits_for == Waits::Request && buffer.filled().len() > before =>
            {
                self.wait_for(Waits::Head, HEADER_TIMEOUT);
                read
            }
            Poll::Ready(_) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all that it holds.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.place.is_owed() {
            // Where the next request is there already, nothing is waited for until its answer is.
            self.waits_for = Waits::Request;
            if self.place.has_taken() {
                self.wait_for(Waits::Request, IDLE);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
