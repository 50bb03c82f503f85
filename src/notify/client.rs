//! HTTP to one Alertmanager: one request, one connection, within a deadline, and no more of the answer than a message needs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::access;
use crate::config::Alertmanager;
use crate::error::{Failure, FailureKind, Result};

/// How long a request may take in all: as long as Prometheus gives it.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long one address may take to be reached: a name may have more, and the first may lead nowhere.
const CONNECTING: Duration = Duration::from_secs(3);

/// Most of an answer that is kept for a message.
const ANSWER_LIMIT: usize = 4 << 10;

/// Most characters of it that are shown.
const SHOWN: usize = 200;

/// Most that is held of an answer's head.
const BUFFER: usize = 64 << 10;

/// Held by whoever reads the files of one Alertmanager: on a volume that hangs, one thread is enough.
pub(super) type Reading = Arc<Mutex<()>>;

/// Sends alerts.
pub(super) async fn post(
    config: Arc<Alertmanager>,
    url: &str,
    body: Vec<u8>,
    reading: &Reading,
) -> Result<()> {
    let what = format!("send alerts to {url}");
    let path = format!("{url}/api/v2/alerts");
    within(what, ask(config, Method::POST, path, body, reading)).await
}

/// Whether somebody who is let in would be heard there.
pub(super) async fn probe(config: Arc<Alertmanager>, url: &str) -> Result<()> {
    let what = format!("ask Alertmanager {url}");
    let path = format!("{url}/api/v2/status");
    let reading = Reading::default();
    within(what, ask(config, Method::GET, path, Vec::new(), &reading)).await
}

async fn within(what: String, asked: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(DEADLINE, asked).await {
        Ok(result) => {
            result.map_err(|why| Failure::new(why.kind(), format!("{what}: {}", why.sentence())))
        }
        Err(_) => Err(Failure::new(
            FailureKind::Timeout,
            format!("{what}: no answer within {} s", DEADLINE.as_secs()),
        )
        .remedy("see whether it runs, and can be reached from here")),
    }
}

async fn ask(
    config: Arc<Alertmanager>,
    method: Method,
    url: String,
    body: Vec<u8>,
    reading: &Reading,
) -> Result<()> {
    let url: Uri = url
        .parse()
        .map_err(|error| Failure::new(FailureKind::Config, "read the address").because(error))?;
    let is_tls = url.scheme_str() == Some("https");
    let access = blocking(reading, move || access::read(&config, is_tls)).await?;
    let request = request(&method, &url, access.authorization, body)?;
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let unreachable = |error| {
        Failure::new(FailureKind::Connect, "connect")
            .because(error)
            .remedy("see whether it runs, and can be reached from here")
    };
    let addresses = lookup_host((host, port)).await.map_err(unreachable)?;
    let stream = connect(addresses).await.map_err(unreachable)?;
    let Some(tls) = access.tls else {
        return exchange(stream, request).await;
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        Failure::new(FailureKind::Config, "read the host's name").because(error)
    })?;
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(|error| {
            Failure::new(FailureKind::Connect, "speak TLS")
                .because(error)
                .remedy("check the address, and the authority in ca_file")
        })?;
    exchange(stream, request).await
}

/// To the first address that answers.
async fn connect(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        last = match timeout(CONNECTING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{address} is silent for {} s", CONNECTING.as_secs()),
            ),
        };
    }
    Err(last)
}

fn request(
    method: &Method,
    url: &Uri,
    authorization: Option<HeaderValue>,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>> {
    let target = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(
            HOST,
            url.authority().map_or("", |authority| authority.as_str()),
        )
        .header(USER_AGENT, concat!("pgvigil/", env!("CARGO_PKG_VERSION")));
    if method == Method::POST {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request
        .body(Full::new(body.into()))
        .map_err(|error| Failure::new(FailureKind::Config, "make the request").because(error))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<()> {
    let broken = |error: hyper::Error| {
        Failure::new(FailureKind::Io, "exchange HTTP")
            .because(error)
            .remedy("check that the address is that of an Alertmanager")
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        judged(answer).await
    };
    let carried = async {
        // What breaks it is told to whoever waits for the answer.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = asked => result,
        () = carried => Ok(()),
    }
}

async fn judged(answer: Response<Incoming>) -> Result<()> {
    let status = answer.status();
    if status.is_success() {
        // What it says is of no use; the connection is closed with the rest unread.
        return Ok(());
    }
    let text = beginning(answer.into_body()).await;
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailureKind::Auth,
        _ => FailureKind::Io,
    };
    let remedy = match status {
        _ if status.is_redirection() => "name the address that it leads to",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "check username and password_file, or bearer_token_file"
        }
        StatusCode::NOT_FOUND => "check the path of the address: /api/v2 is expected below it",
        _ => "see its log",
    };
    let colon = if text.is_empty() { "" } else { ": " };
    Err(Failure::new(kind, format!("answer {status}{colon}{text}")).remedy(remedy))
}

/// The first words of an answer, on one line.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_LIMIT
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend(data.iter().take(ANSWER_LIMIT - bytes.len()));
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect::<String>().trim().to_owned()
}

/// Reads files. Where they could not be read in time before, that still goes on, and nobody waits beside it.
async fn blocking<T: Send + 'static>(
    reading: &Reading,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let Ok(single) = Arc::clone(reading).try_lock_owned() else {
        let what = "read the files of the secret and the authorities: the last time has no end yet";
        return Err(Failure::new(FailureKind::Timeout, what)
            .remedy("see whether the volume that they are on hangs"));
    };
    let work = move || {
        let _single = single;
        work()
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new(FailureKind::Io, "read files").because(error)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_address_that_is_silent_keeps_nobody_from_the_next() {
        // Nobody takes what is in line, and the line is short: whoever comes then hears nothing.
        let silent = TcpSocket::new_v4().expect("a socket");
        silent.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("bound");
        let silent = silent.listen(1).expect("it listens");
        let full = silent.local_addr().expect("an address");
        let mut line = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(full)).await
        {
            line.push(stream);
        }
        let there = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let good = there.as_ref().expect("it listens").local_addr();
        let good = good.expect("an address");
        let began = Instant::now();
        let stream = connect([full, good].into_iter()).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("an address"), good);
        assert!(began.elapsed() < CONNECTING * 2, "{:?}", began.elapsed());
        let said = connect([full].into_iter()).await.expect_err("silent");
        assert!(said.to_string().contains("is silent for 3 s"), "{said}");
    }

    #[tokio::test]
    async fn files_that_hang_take_one_thread() {
        let reading = Reading::default();
        let (end, hangs) = mpsc::channel::<()>();
        let read = blocking(&reading, move || {
            let _ = hangs.recv();
            Ok(())
        });
        let waited = timeout(Duration::from_millis(50), read).await;
        waited.expect_err("it hangs");
        let said = blocking(&reading, || Ok(()))
            .await
            .expect_err("one is enough");
        assert!(
            said.sentence().contains("no end yet"),
            "{}",
            said.sentence()
        );
        drop(end);
        let again = timeout(Duration::from_secs(5), async {
            while blocking(&reading, || Ok(())).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        again.await.expect("it is read again");
    }
}
