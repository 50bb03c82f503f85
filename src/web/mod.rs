//! Who may talk to the HTTP server, and how: TLS, passwords, headers and a limit of requests, in exporter-toolkit's format.
//!
//! ```text
//! file ── settings ── tls, client, password, rate ── force (the version in force, read again when it changes)
//! connection ── accept: TLS, or a word to those who speak plain HTTP
//! request ── admit: limit, certificate, password
//! ```
//!
//! # Other than in exporter-toolkit
//! - Probes ([`PROBES`]) need neither certificate nor password, and no limit holds for them: a kubelet has neither, and a
//!   restart heals nothing. So certificates are asked for in the handshake, and needed for requests.
//! - A bad new version of the file leaves the old one in force, instead of ending every request with an error.
//! - A request that starts a job brings a bearer token in the place of the password; whoever serves it checks the token.
//! - rustls has no TLS 1.0 and 1.1, and neither CBC nor static RSA; HTTP/2 is not served.

mod client;
mod force;
mod password;
mod rate;
mod raw;
mod settings;
mod tls;
mod words;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::error::Result;
use force::{InForce, Watched};
use password::Login;

/// Paths that everyone may ask for.
pub const PROBES: [&str; 5] = ["/-/healthy", "/-/ready", "/healthz", "/livez", "/readyz"];

/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the files are looked at. A change is read when it was the same for two looks, so within a second.
const LOOK: Duration = Duration::from_millis(500);

/// First byte of every TLS connection.
const HANDSHAKE: u8 = 0x16;

/// What a client is told who speaks plain HTTP where TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\nConnection: close\r\n\r\nthis port speaks HTTPS only\n";

/// How much and how long such a client is listened to after that, so that the answer reaches it.
const LINGER: (u64, Duration) = (16 << 10, Duration::from_secs(1));

/// The rules for one server. Clones share them.
#[derive(Clone, Default)]
pub struct Web(Option<Arc<Watched>>);

/// A connection, with TLS or without.
pub type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Who is at the other end.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    encrypted: bool,
    shown: Arc<[CertificateDer<'static>]>,
}

/// What of a request matters here.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its path, without the query.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whether it asks for what only a bearer token gives, and whoever serves it will check that.
    pub needs_token: bool,
}

/// Why a request is not served: the answer to it.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Headers beside those of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A line of text.
    pub body: String,
}

impl Web {
    /// No rules: plain HTTP for everyone.
    pub fn open() -> Self {
        Self::default()
    }

    /// The rules of a file; what is wrong with it, or with what it names, is an error. Blocks.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self(Some(Arc::new(Watched::read(path)?))))
    }

    fn force(&self) -> Option<Arc<InForce>> {
        self.0.as_ref().map(|watched| watched.force())
    }

    /// Reads the file again whenever it, or what it names, has changed. Never ends.
    pub async fn watch(&self) -> Infallible {
        let Some(watched) = &self.0 else {
            return std::future::pending().await;
        };
        let mut seen = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let (watched, before) = (Arc::clone(watched), seen.take());
            seen = tokio::task::spawn_blocking(move || watched.look(before))
                .await
                .unwrap_or_default();
        }
    }

    /// Why the file as it is now is not in force, if so.
    pub fn problem(&self) -> Option<String> {
        self.0.as_ref().and_then(|watched| watched.problem())
    }

    /// Makes a connection ready for HTTP; `None` where nothing comes of it, which is the client's own affair.
    pub async fn accept(&self, stream: TcpStream) -> Option<(Stream, Peer)> {
        let force = self.force();
        let Some(gate) = force.as_ref().and_then(|force| force.gate.as_ref()) else {
            return Some((Either::Left(stream), Peer::default()));
        };
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await.ok()? == 0 {
                return None;
            }
            if first != [HANDSHAKE] {
                refuse_plain(stream).await;
                return None;
            }
            match gate.acceptor.accept(stream).await {
                Ok(stream) => Some(stream),
                Err(error) => {
                    tracing::debug!(%error, "TLS handshake");
                    None
                }
            }
        };
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .ok()??;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Peer {
            encrypted: true,
            shown: shown.iter().cloned().collect(),
        };
        Some((Either::Right(Box::new(stream)), peer))
    }

    /// Decides whether a request is served.
    pub async fn admit(&self, asked: Asked<'_>, peer: &Peer) -> std::result::Result<(), Refusal> {
        let Some(force) = self.force() else {
            return Ok(());
        };
        if PROBES.contains(&asked.path) {
            return Ok(());
        }
        if let Some(bucket) = &force.bucket
            && let Err(wait) = bucket.take(Instant::now())
        {
            return Err(Refusal::too_many(wait));
        }
        if let Some(gate) = &force.gate {
            if !peer.encrypted {
                // TLS came with a newer version than this connection.
                return Err(Refusal::last(
                    StatusCode::BAD_REQUEST,
                    "this port speaks HTTPS only",
                ));
            }
            gate.clients
                .judge(&peer.shown)
                .map_err(|what| Refusal::last(StatusCode::FORBIDDEN, what))?;
        }
        match &force.passwords {
            Some(passwords) if !asked.brings_token() => {
                match passwords.check(asked.headers.get(AUTHORIZATION)).await {
                    Login::Right => Ok(()),
                    Login::Wrong => Err(Refusal::login()),
                    Login::Busy => Err(Refusal::busy()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Adds the configured headers to an answer, in place of its own.
    pub fn dress(&self, headers: &mut HeaderMap) {
        if let Some(force) = self.force() {
            for (name, value) in &force.headers {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl Asked<'_> {
    /// The one header holds a password or a token; who serves the action checks the token.
    fn brings_token(&self) -> bool {
        let token = self.headers.get(AUTHORIZATION).is_some_and(|value| {
            let scheme = value.as_bytes().get(..7);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
        });
        self.needs_token && token
    }
}

impl Refusal {
    fn new(status: StatusCode, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: format!("{body}\n"),
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// On a connection that can come to no good: another handshake may.
    fn last(status: StatusCode, body: &str) -> Self {
        Self::new(status, body).with(CONNECTION, HeaderValue::from_static("close"))
    }

    fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests")
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn login() -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"pgvigil\", charset=\"UTF-8\"");
        Self::new(
            StatusCode::UNAUTHORIZED,
            "user and password are needed here",
        )
        .with(WWW_AUTHENTICATE, challenge)
    }

    fn busy() -> Self {
        let what = "too many passwords wait to be checked";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what)
            .with(RETRY_AFTER, HeaderValue::from_static("5"))
    }
}

/// Tells a client that this is no place for plain HTTP.
async fn refuse_plain(mut stream: TcpStream) {
    if stream.write_all(PLAIN).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    // Closed with something unread, the connection would be reset and the answer lost.
    let (most, longest) = LINGER;
    let mut rest = stream.take(most);
    let mut nowhere = tokio::io::sink();
    let read = tokio::io::copy(&mut rest, &mut nowhere);
    let _ = tokio::time::timeout(longest, read).await;
}

#[cfg(test)]
mod tests;
