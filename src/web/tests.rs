//! The rules in front of a small HTTP server, with real handshakes.
#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation of a test is to end it"
)]

pub(super) mod certificates;
mod reload;
mod serving;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::SanType;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use certificates::{Authority, Pair, dns};

/// A folder with a file of rules, and an authority for what it names.
struct Desk {
    folder: tempfile::TempDir,
    authority: Authority,
}

/// A server at work that obeys the rules.
struct Served {
    address: SocketAddr,
    web: Web,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// An answer: status, headers, body.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

/// How a client connects.
struct Client {
    trusted: CertificateDer<'static>,
    shown: Option<(
        CertificateDer<'static>,
        rustls::pki_types::PrivateKeyDer<'static>,
    )>,
    versions: Vec<&'static rustls::SupportedProtocolVersion>,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: Authority::new("servers"),
        };
        desk.put("server", &desk.authority.server(1));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, pair: &Pair) {
        fs::write(self.path(&format!("{name}.crt")), &pair.certificate).unwrap();
        fs::write(self.path(&format!("{name}.key")), &pair.key).unwrap();
    }

    fn write(&self, rules: &str) -> PathBuf {
        let path = self.path("web.yml");
        fs::write(&path, rules).unwrap();
        path
    }

    /// TLS with these further lines of its section.
    fn write_tls(&self, more: &str) -> PathBuf {
        self.write(&format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}"
        ))
    }

    fn client(&self) -> Client {
        Client {
            trusted: self.authority.der(),
            shown: None,
            versions: vec![&rustls::version::TLS12, &rustls::version::TLS13],
        }
    }

    async fn serve(&self) -> Served {
        Served::by(Web::read(&self.path("web.yml")).unwrap()).await
    }
}

impl Served {
    async fn by(web: Web) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (watched, accepting) = (web.clone(), web.clone());
        let watch = tokio::spawn(async move {
            watched.watch().await;
        });
        let accept = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(stream, accepting.clone()));
            }
        });
        Self {
            address,
            web,
            tasks: vec![watch, accept],
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// What the real server does with the rules.
async fn connection(stream: TcpStream, web: Web) {
    let Some((stream, peer)) = web.accept(stream).await else {
        return;
    };
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (web, peer) = (web.clone(), peer.clone());
        async move {
            let asked = Asked {
                path: request.uri().path(),
                headers: request.headers(),
                needs_token: request.method() == hyper::Method::POST,
            };
            let mut answer = match web.admit(asked, &peer).await {
                Ok(()) => Response::new(Full::new(Bytes::from_static(b"served\n"))),
                Err(refusal) => {
                    let mut answer = Response::new(Full::new(Bytes::from(refusal.body)));
                    *answer.status_mut() = refusal.status;
                    answer.headers_mut().extend(refusal.headers);
                    answer
                }
            };
            web.dress(answer.headers_mut());
            Ok::<_, Infallible>(answer)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Client {
    fn showing(mut self, pair: &Pair) -> Self {
        self.shown = Some((pair.der.clone(), pair.key_der()));
        self
    }

    /// The same client with one version only.
    fn speaking(&self, version: &'static rustls::SupportedProtocolVersion) -> Self {
        let shown = self.shown.as_ref();
        Self {
            trusted: self.trusted.clone(),
            shown: shown.map(|(certificate, key)| (certificate.clone(), key.clone_key())),
            versions: vec![version],
        }
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.shown {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }

    /// A connection with TLS.
    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        connect(&self.connector(), address).await
    }

    async fn get(&self, served: &Served, path: &str) -> Answer {
        let stream = self.connect(served.address).await.unwrap();
        ask(stream, get(path)).await
    }
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).await?;
    connector.connect(name, stream).await
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "x")
        .body(Full::default())
        .unwrap()
}

/// One request on a connection of its own.
async fn ask(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn plain(served: &Served, request: Request<Full<Bytes>>) -> Answer {
    ask(TcpStream::connect(served.address).await.unwrap(), request).await
}
