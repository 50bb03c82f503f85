//! What the sidecar serves: metrics, probes, and a page for people. Read-only; it changes nothing and takes no bodies.
//!
//! [`server`] is sockets and limits, [`page`] is HTML, this module decides what a request gets. Everything is answered
//! from memory.

mod page;
pub mod server;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::metrics::{self, Exporter};
use crate::status::Shared;

/// A whole response: nothing here is large enough to stream.
pub type Answer = Response<Full<Bytes>>;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The page runs no script and loads nothing, whatever a database is called.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Answers requests from the shared snapshot. Clones share it.
#[derive(Clone)]
pub struct App {
    shared: Shared,
    exporter: Exporter,
    clock: fn() -> DateTime<Utc>,
}

impl App {
    /// An app that answers from a snapshot.
    pub fn new(shared: Shared) -> Self {
        Self {
            exporter: Exporter::new(shared.clone()),
            shared,
            clock: Utc::now,
        }
    }

    /// The answer to a request.
    pub fn answer<B: hyper::body::Body>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        if ![
            "/",
            "/metrics",
            "/-/healthy",
            "/livez",
            "/-/ready",
            "/readyz",
        ]
        .contains(&path)
        {
            return text(StatusCode::NOT_FOUND, "not found\n");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return last(answer);
        }
        if !request.body().is_end_stream() {
            return last(text(StatusCode::BAD_REQUEST, "no request body is taken\n"));
        }
        match path {
            "/" => self.page(),
            "/metrics" => self.metrics(),
            "/-/ready" | "/readyz" => self.ready(),
            // Only that the event loop turns: a restart would not heal a failed backup, but kill a running one.
            _ => text(StatusCode::OK, "healthy\n"),
        }
    }

    fn page(&self) -> Answer {
        let html = self
            .shared
            .read(|snapshot| page::render(snapshot, (self.clock)()));
        let mut answer = respond(StatusCode::OK, HTML, html);
        answer.headers_mut().insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGE_POLICY),
        );
        answer
    }

    fn metrics(&self) -> Answer {
        // Zeros of an unread disk would say that there never was a backup.
        if !self.shared.read(|snapshot| snapshot.loaded) {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "reading the backup directories\n",
            );
        }
        match self.exporter.render() {
            Ok(body) => respond(StatusCode::OK, metrics::CONTENT_TYPE, body),
            Err(error) => {
                tracing::error!(%error, "render metrics");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics cannot be rendered\n",
                )
            }
        }
    }

    fn ready(&self) -> Answer {
        match self
            .shared
            .read(|snapshot| (snapshot.loaded, snapshot.draining))
        {
            (_, true) => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
            (false, _) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "reading the backup directories\n",
            ),
            (true, false) => text(StatusCode::OK, "ready\n"),
        }
    }
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    respond(status, PLAIN, body)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The last answer on its connection: what follows may be the body that nobody read.
fn last(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
