//! The body of a request: small, in time, and never held beyond its limit.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

/// Largest body; the longest that makes sense is a sentence.
pub(super) const LIMIT: usize = 4 << 10;

/// How long a client may take to send it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than [`LIMIT`].
    TooLarge,
    /// It did not come within [`TIMEOUT`].
    TooSlow,
    /// The connection broke, or what came is no body.
    Broken,
}

/// Reads a body to its end.
pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(body: B) -> Result<Vec<u8>, Unread> {
    // One that says its length is refused before a byte of it is read.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(Unread::TooLarge);
    }
    tokio::time::timeout(TIMEOUT, all(body))
        .await
        .unwrap_or(Err(Unread::TooSlow))
}

async fn all<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        // Trailers say nothing to us.
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if bytes.len() + data.len() > LIMIT {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}
