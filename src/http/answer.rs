//! How an answer is put together: status, type, and the headers that every one has.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A whole response: nothing here is large enough to stream.
pub type Answer = Response<Full<Bytes>>;

pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const YAML: &str = "application/yaml";

/// What an answer says that is no success.
#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    respond(status, PLAIN, body)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => respond(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "write JSON");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer cannot be written\n",
            )
        }
    }
}

/// An answer in JSON that says what is wrong.
pub(super) fn problem(status: StatusCode, error: &str) -> Answer {
    json(status, &Problem { error })
}

/// The same, and when to try again; never at once.
pub(super) fn later(status: StatusCode, error: &str, wait: Duration) -> Answer {
    let mut answer = problem(status, error);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    answer
}

/// The last answer on its connection: what follows may be the body that nobody read.
pub(super) fn last(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
