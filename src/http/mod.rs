//! What the sidecar serves: metrics, probes, a page for people, JSON for programs, and a few actions for those who hold
//! the token.
//!
//! [`server`] is sockets and limits, [`page`] is HTML, `api` is JSON, `route` says which paths there are, `actions` who may
//! change something; this module decides what a request gets. Everything is answered from memory, but for the page of one
//! backup, for which one reads its files at a time.

mod actions;
mod answer;
mod api;
mod body;
mod bucket;
mod cache;
mod encoding;
mod page;
mod route;
pub mod server;
mod token;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::body::Body;
use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, VARY,
};
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::metrics::{self, Exporter};
use crate::status::control::Control;
use crate::status::{Shared, Snapshot};
use crate::web::{Asked, Peer, Refusal, Web};
use actions::Actions;
use answer::{HTML, JSON, PLAIN, YAML, last, later, problem, respond, text};
use cache::{Cache, Item, Unrendered};
use encoding::Encoding;
use route::{Kind, Route};
use token::Token;

pub use answer::Answer;

/// How long the files of a backup may take to be read for its page: who waits holds a connection, and probes need one too.
const READING: Duration = Duration::from_secs(5);

/// How soon to ask again where the answer will be there in a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// Answers requests from the shared snapshot. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    shared: Shared,
    exporter: Exporter,
    cache: Cache,
    actions: Actions,
    web: Web,
    /// Held while a backup's manifest and report are read for its page: one at a time, however many ask.
    reading: Arc<tokio::sync::Mutex<()>>,
    clock: fn() -> DateTime<Utc>,
}

impl App {
    /// An app that answers from a snapshot, and asks `control` for what those wish who hold the token in `token_file`; `web`
    /// says who is answered.
    pub fn new(
        shared: Shared,
        control: Arc<dyn Control>,
        token_file: Option<PathBuf>,
        web: Web,
    ) -> Self {
        Self(Arc::new(Inner {
            exporter: Exporter::new(shared.clone()),
            shared,
            cache: Cache::default(),
            actions: Actions::new(control, Token::new(token_file)),
            web,
            reading: Arc::default(),
            clock: Utc::now,
        }))
    }

    /// Who is answered.
    fn web(&self) -> &Web {
        &self.0.web
    }

    /// The answer to a request of a client at `peer`, where it may have one; `shown` is what it showed when it connected.
    pub async fn admit<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
        peer: IpAddr,
        shown: &Peer,
    ) -> Answer {
        let web = &self.0.web;
        let path = request.uri().path();
        let asked = Asked {
            path,
            headers: request.headers(),
            needs_token: request.method() == Method::POST
                && route::find(path).is_some_and(|route| route.kind.is_action()),
        };
        let mut answer = match web.admit(asked, shown).await {
            Ok(()) => self.answer(request, peer).await,
            Err(refusal) => unread(&request, refused(refusal)),
        };
        web.dress(answer.headers_mut());
        answer
    }

    /// The answer to a request of a client at `peer`.
    async fn answer<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
        peer: IpAddr,
    ) -> Answer {
        let path = request.uri().path();
        let Some(route) = route::find(path) else {
            let is_program = path.starts_with("/api/");
            return unread(
                &request,
                wrong(StatusCode::NOT_FOUND, is_program, "not found\n"),
            );
        };
        let is_program = path.starts_with("/api/") || route.kind.is_action();
        let fits = match route.kind.is_action() {
            true => request.method() == Method::POST,
            false => [Method::GET, Method::HEAD].contains(request.method()),
        };
        if !fits {
            let mut answer = wrong(
                StatusCode::METHOD_NOT_ALLOWED,
                is_program,
                if route.kind.is_action() {
                    "only POST\n"
                } else {
                    "only GET and HEAD\n"
                },
            );
            let methods = HeaderValue::from_static(route.kind.methods());
            answer.headers_mut().insert(ALLOW, methods);
            return last(answer);
        }
        if route.kind.is_action() {
            let (shared, now) = (&self.0.shared, (self.0.clock)());
            let actions = &self.0.actions;
            return actions.answer(request, &route, peer, shared, now).await;
        }
        if !request.body().is_end_stream() {
            let error = "no request body is taken\n";
            return last(wrong(StatusCode::BAD_REQUEST, is_program, error));
        }
        self.0.report(&route, &request).await
    }
}

impl Inner {
    /// The answer to a request that changes nothing.
    async fn report<B>(&self, route: &Route, request: &Request<B>) -> Answer {
        let wanted = encoding::wanted(request.headers());
        match route.kind {
            Kind::Page => self.page(request.uri().query(), wanted).await,
            Kind::Server => {
                self.server(&route.server, request.uri().query(), wanted)
                    .await
            }
            Kind::Backup => self.backup(route, wanted).await,
            Kind::Metrics => self.metrics(wanted).await,
            Kind::Ready => self.ready(),
            Kind::Status => {
                let render = |snapshot: &Snapshot| as_json(&api::status::of(snapshot, self.now()));
                self.cached_json(Item::Status, wanted, render).await
            }
            Kind::Backups => self.backups(request.uri().query(), wanted).await,
            Kind::Description => respond(StatusCode::OK, YAML, api::DESCRIPTION),
            // Only that the event loop turns: a restart would not heal a failed backup, but kill a running one.
            _ => text(StatusCode::OK, "healthy\n"),
        }
    }

    async fn page(&self, query: Option<&str>, wanted: Encoding) -> Answer {
        let wish = page::Wish::read(query.unwrap_or_default());
        let web_problem = self.web.problem();
        let render = || {
            let html = self
                .shared
                .read(|snapshot| page::render(self.sight(snapshot, web_problem.as_deref()), &wish));
            Some(html.into_bytes())
        };
        // What nobody chose is what most see.
        let bytes = if wish == page::Wish::default() {
            let stamp = || self.stamp();
            self.cache.get(Item::Page, wanted, stamp, render).await
        } else {
            self.cache.once(wanted, render).await
        };
        secured(rendered(bytes, HTML, wanted))
    }

    async fn server(&self, name: &str, query: Option<&str>, wanted: Encoding) -> Answer {
        let wish = page::Wish::read(query.unwrap_or_default());
        let web_problem = self.web.problem();
        let mut is_known = true;
        let render = || {
            let html = self.shared.read(|snapshot| {
                page::render_server(self.sight(snapshot, web_problem.as_deref()), name, &wish)
            });
            is_known = html.is_some();
            // Nothing is made of what is not there.
            html.map(String::into_bytes)
        };
        let bytes = self.cache.once(wanted, render).await;
        if is_known {
            secured(rendered(bytes, HTML, wanted))
        } else {
            text(StatusCode::NOT_FOUND, "there is no server of this name\n")
        }
    }

    fn sight<'a>(&self, snapshot: &'a Snapshot, web_problem: Option<&'a str>) -> page::Sight<'a> {
        page::Sight {
            snapshot,
            web_problem,
            now: self.now(),
        }
    }

    async fn backup(&self, route: &Route, wanted: Encoding) -> Answer {
        if !self.is_loaded() {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "reading the backup directories\n",
            );
        }
        let found = self
            .shared
            .read(|snapshot| page::Backup::find(snapshot, &route.server, &route.backup));
        let Some(backup) = found else {
            return text(StatusCode::NOT_FOUND, "there is no backup of this name\n");
        };
        let reading = Arc::clone(&self.reading);
        let read = async {
            let single = reading.lock_owned().await;
            // The reading itself holds the place: it goes on where nobody waits for it any more.
            let read = tokio::task::spawn_blocking(move || {
                let _single = single;
                backup.read()
            });
            read.await.ok()
        };
        let Ok(Some(backup)) = tokio::time::timeout(READING, read).await else {
            let error = "the backup's files cannot be read now\n";
            return text(StatusCode::SERVICE_UNAVAILABLE, error);
        };
        let render = || Some(page::render_backup(&backup, self.now()).into_bytes());
        secured(rendered(
            self.cache.once(wanted, render).await,
            HTML,
            wanted,
        ))
    }

    async fn metrics(&self, wanted: Encoding) -> Answer {
        // Zeros of an unread disk would say that there never was a backup.
        if !self.is_loaded() {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "reading the backup directories\n",
            );
        }
        let render = || {
            let rendered = self.exporter.render();
            rendered
                .inspect_err(|error| tracing::error!(%error, "render metrics"))
                .ok()
                .map(String::into_bytes)
        };
        let bytes = self
            .cache
            .get(Item::Metrics, wanted, || self.stamp(), render);
        rendered(bytes.await, metrics::CONTENT_TYPE, wanted)
    }

    async fn cached_json(
        &self,
        item: Item,
        wanted: Encoding,
        render: impl FnOnce(&Snapshot) -> Option<Vec<u8>>,
    ) -> Answer {
        if !self.is_loaded() {
            return loading();
        }
        let render = || self.shared.read(render);
        let bytes = self.cache.get(item, wanted, || self.stamp(), render);
        rendered(bytes.await, JSON, wanted)
    }

    async fn backups(&self, query: Option<&str>, wanted: Encoding) -> Answer {
        let server = match only_server(query.unwrap_or_default()) {
            Ok(server) => server,
            Err(error) => return problem(StatusCode::BAD_REQUEST, error),
        };
        let Some(server) = server else {
            let render = |snapshot: &Snapshot| as_json(&api::backups::of(snapshot, None));
            return self.cached_json(Item::Backups, wanted, render).await;
        };
        let known = self.shared.read(|snapshot| {
            let mut servers = snapshot.servers.iter();
            servers.any(|view| view.config.name == server)
        });
        if !known {
            return problem(StatusCode::NOT_FOUND, "there is no server of this name");
        }
        if !self.is_loaded() {
            return loading();
        }
        let render = || {
            let shared = &self.shared;
            shared.read(|snapshot| as_json(&api::backups::of(snapshot, Some(&server))))
        };
        rendered(self.cache.once(wanted, render).await, JSON, wanted)
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

    fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    fn is_loaded(&self) -> bool {
        self.shared.read(|snapshot| snapshot.loaded)
    }

    fn stamp(&self) -> cache::Stamp {
        (self.shared.version(), self.now().timestamp())
    }
}

/// The one server that a query names, if it names one.
fn only_server(query: &str) -> Result<Option<String>, &'static str> {
    let mut server = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8();
        match (name, value, &server) {
            ("server", Ok(value), None) => server = Some(value.into_owned()),
            _ => return Err("the only parameter is server=NAME, once"),
        }
    }
    Ok(server)
}

fn as_json(value: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(value)
        .inspect_err(|error| tracing::error!(%error, "write JSON"))
        .ok()
}

fn loading() -> Answer {
    let error = "reading the backup directories";
    later(StatusCode::SERVICE_UNAVAILABLE, error, MOMENT)
}

/// The answer that was rendered, or why there is none.
fn rendered(
    bytes: Result<Bytes, Unrendered>,
    content_type: &'static str,
    encoding: Encoding,
) -> Answer {
    let is_program = content_type == JSON;
    let mut answer = match bytes {
        Ok(bytes) => respond(StatusCode::OK, content_type, bytes),
        Err(Unrendered::Failed) => {
            let error = "the answer cannot be rendered; the log says why\n";
            return wrong(StatusCode::INTERNAL_SERVER_ERROR, is_program, error);
        }
        Err(Unrendered::Full) => {
            let error = "too many answers are not taken yet\n";
            return wrong(StatusCode::SERVICE_UNAVAILABLE, is_program, error);
        }
    };
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// The answer with what a browser may do with the page.
fn secured(mut answer: Answer) -> Answer {
    if let Ok(policy) = HeaderValue::from_str(&page::POLICY) {
        let headers = answer.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        // Names of servers and backups are nobody else's business.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    answer
}

/// What is wrong, as JSON for programs and as a line for everyone else.
fn wrong(status: StatusCode, is_program: bool, error: &'static str) -> Answer {
    if is_program {
        problem(status, error.trim_end())
    } else {
        respond(status, PLAIN, error)
    }
}

/// The answer to a request that is not admitted.
fn refused(refusal: Refusal) -> Answer {
    let mut answer = respond(refusal.status, PLAIN, refusal.body);
    answer.headers_mut().extend(refusal.headers);
    answer
}

/// An answer before which nobody looked at the body.
fn unread<B: Body>(request: &Request<B>, answer: Answer) -> Answer {
    if request.body().is_end_stream() {
        answer
    } else {
        last(answer)
    }
}

#[cfg(test)]
mod tests;
