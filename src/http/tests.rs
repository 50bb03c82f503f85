//! The server as clients see it: real sockets, and a daemon that grants whatever it is told to.
#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation of a test is to end it"
)]

mod actions;
mod contract;
mod reports;
mod schema;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::status::control::{Ask, Refusal};
use crate::status::tests::{at, config, morning};
use crate::status::{ServerStatus, Shared};

/// The right token.
pub(super) const TOKEN: &str = "a-token-for-tests-only";

/// A server of one PostgreSQL server `a`, and what was asked of its daemon.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) shared: Shared,
    pub(super) stop: CancellationToken,
    pub(super) task: tokio::task::JoinHandle<()>,
    pub(super) daemon: Arc<Daemon>,
    pub(super) directory: tempfile::TempDir,
}

/// Notes what is asked of it.
#[derive(Default)]
pub(super) struct Daemon {
    pub(super) asked: Mutex<Vec<Ask>>,
    pub(super) refuse: Mutex<Option<fn() -> Refusal>>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Control for Daemon {
    fn ask(&self, wish: Ask) -> BoxFuture<'static, Result<(), Refusal>> {
        self.asked.lock().unwrap().push(wish);
        let refuse = *self.refuse.lock().unwrap();
        std::future::ready(refuse.map_or(Ok(()), |refusal| Err(refusal()))).boxed()
    }
}

impl Served {
    /// With a token.
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        Self::with(directory, Some(path), server::serve).await
    }

    /// Nobody may act.
    pub(super) async fn read_only() -> Self {
        Self::with(
            tempfile::tempdir().expect("a directory"),
            None,
            server::serve,
        )
        .await
    }

    /// With a server of one's own.
    pub(super) async fn with<F: Future<Output = ()> + Send + 'static>(
        directory: tempfile::TempDir,
        token_file: Option<PathBuf>,
        serve: impl FnOnce(TcpListener, App, CancellationToken) -> F,
    ) -> Self {
        let shared = Shared::new(config(&["a"]).servers.into_iter().map(Arc::new), at(0, 0));
        shared.write(|snapshot| snapshot.loaded = true);
        shared.update_nth(0, |view| view.status = ServerStatus::new(&morning()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, daemon) = (CancellationToken::new(), Arc::new(Daemon::default()));
        let control = Arc::clone(&daemon);
        let app = App::new(shared.clone(), control, token_file, crate::web::Web::open());
        let task = tokio::spawn(serve(listener, app, stop.clone()));
        Self {
            address,
            shared,
            stop,
            task,
            daemon,
            directory,
        }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await;
        stream.expect("a connection")
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(super) async fn raw(&self, request: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        Reply::parse(&answer)
    }

    pub(super) async fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, "", "").await
    }

    /// With further header lines, each ended, and a body.
    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        ))
        .await
    }

    /// With the right token, and JSON.
    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        let headers =
            format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        self.send("POST", path, &headers, body).await
    }

    pub(super) fn asked(&self) -> Vec<Ask> {
        self.daemon.asked.lock().unwrap().clone()
    }
}

impl Reply {
    pub(super) fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(answer)));
        let head = String::from_utf8(answer[..end].to_vec()).expect("text");
        Self {
            status: head[9..12].parse().expect("a status"),
            head: head + "\r\n",
            body: answer[end + 4..].to_vec(),
        }
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            other.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Its status, and that it says what is wrong in JSON.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let json = self.json();
        let error = json["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty() && !error.contains(TOKEN), "{self:?}");
    }
}
