//! What people may ask of the sidecar over HTTP: who may, how often, and what is said to them.
//!
//! The order of the questions is that of their cost and of what they give away: may this address guess again, is the
//! token right, does the process go on, is there such a server, is the body as it should be, were there too many wishes
//! already. Only then the daemon is asked.

mod wish;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use serde::Serialize;

use super::answer::{Answer, JSON, json, last, later, problem};
use super::body::{self, Unread};
use super::bucket::{Bucket, PerPeer, Rate};
use super::route::{Kind, Route};
use super::token::{Judgement, Token};
use crate::status::Shared;
use crate::status::control::{Ask, Control, Refusal};

/// How often something may be asked for by all together. A job takes minutes; whoever asks more often has a loop.
pub(super) const WISHES: Rate = Rate {
    burst: 10,
    every: Duration::from_secs(6),
};

/// How often one address may send a wrong token. Addresses have a bucket each, so that whoever guesses locks out himself.
pub(super) const GUESSES: Rate = Rate {
    burst: 5,
    every: Duration::from_secs(10),
};

/// How long to wait where the process is about to end: until the next one is there.
const NEXT_PROCESS: Duration = Duration::from_secs(30);

/// What those are told who may do nothing because nobody may.
const DISABLED: &str = "actions are disabled: name a file that holds a token with http.token_file in the configuration";

/// The answer to a wish that is not passed on.
type Refused = Box<Answer>;

/// Who may act, and who grants it.
pub(super) struct Actions {
    control: Arc<dyn Control>,
    token: Token,
    guesses: PerPeer,
    wishes: Mutex<Bucket>,
}

/// A job that was put in line.
#[derive(Serialize)]
struct Queued<'a> {
    server: &'a str,
    job: &'static str,
    state: &'static str,
}

/// Whether a server is paused now.
#[derive(Serialize)]
struct PausedNow<'a> {
    server: &'a str,
    paused: bool,
    reason: Option<&'a str>,
    until: Option<DateTime<Utc>>,
}

/// The configuration was read again.
#[derive(Serialize)]
struct Reloaded {
    reloaded: bool,
}

impl Actions {
    pub(super) fn new(control: Arc<dyn Control>, token: Token) -> Self {
        Self {
            control,
            token,
            guesses: PerPeer::new(GUESSES),
            wishes: Mutex::default(),
        }
    }

    /// The answer to a wish.
    pub(super) async fn answer<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
        route: &Route,
        peer: IpAddr,
        shared: &Shared,
        now: DateTime<Utc>,
    ) -> Answer {
        let (head, body) = request.into_parts();
        let refused = self
            .admit(&head.headers, peer)
            .await
            .and_then(|()| possible(route, shared))
            .and_then(|()| type_of_body(&head.headers, body.is_end_stream()));
        if let Err(answer) = refused {
            return if body.is_end_stream() {
                *answer
            } else {
                last(*answer)
            };
        }
        let bytes = match body::read(body).await {
            Ok(bytes) => bytes,
            Err(why) => return last(unread(why)),
        };
        let ask = match wish::read(route, &bytes, now) {
            Ok(ask) => ask,
            Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
        };
        let room = {
            let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
            wishes.take(WISHES, Instant::now())
        };
        if let Err(wait) = room {
            let error = "too many actions were asked for; none of this one was done";
            return later(StatusCode::TOO_MANY_REQUESTS, error, wait);
        }
        tracing::info!(%peer, server = route.server, asked = ?route.kind, "an action is asked for");
        // On a task of its own: a client that goes away must not leave it half done.
        let asked = tokio::spawn(self.control.ask(ask.clone())).await;
        match asked {
            Ok(Ok(())) => granted(route, &ask),
            Ok(Err(refusal)) => refusal_of(route, refusal),
            Err(error) => {
                tracing::error!(%error, "an action ended by itself");
                problem(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the action ended by itself; the log says why",
                )
            }
        }
    }

    /// Whether the token of a request is the right one.
    async fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Refused> {
        if !self.token.is_configured() {
            return Err(problem(StatusCode::FORBIDDEN, DISABLED).into());
        }
        let Some(sent) = bearer(headers) else {
            return Err(
                unauthorized("a token is needed: Authorization: Bearer TOKEN", false).into(),
            );
        };
        // Taken before it is judged, or many guesses at once would pass; given back to who guessed nothing.
        if let Err(wait) = self.guesses.take(peer, Instant::now()) {
            let error = "too many wrong tokens came from this address; this one was not looked at";
            return Err(later(StatusCode::TOO_MANY_REQUESTS, error, wait).into());
        }
        match self.token.judge(sent).await {
            Judgement::Wrong => {
                tracing::warn!(%peer, "a wrong token was sent");
                Err(unauthorized("the token is wrong", true).into())
            }
            judgement => {
                self.guesses.refund(peer);
                match judgement {
                    Judgement::Right => Ok(()),
                    _ => Err(problem(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the token file cannot be used, so nobody may act; the log says why",
                    )
                    .into()),
                }
            }
        }
    }
}

/// The token that a request brings, if it brings exactly one.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

fn unauthorized(error: &str, was_sent: bool) -> Answer {
    let mut answer = problem(StatusCode::UNAUTHORIZED, error);
    let challenge = if was_sent {
        "Bearer realm=\"pgvigil\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"pgvigil\""
    };
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

/// Whether it can be asked for at all.
fn possible(route: &Route, shared: &Shared) -> Result<(), Refused> {
    let (draining, known) = shared.read(|snapshot| {
        let known = snapshot
            .servers
            .iter()
            .any(|view| view.config.name == route.server);
        (snapshot.draining, known)
    });
    if draining {
        return Err(ending().into());
    }
    if !known && route.kind != Kind::Reload {
        return Err(problem(StatusCode::NOT_FOUND, "there is no server of this name").into());
    }
    Ok(())
}

/// A body that is sent is JSON.
fn type_of_body(headers: &HeaderMap, is_empty: bool) -> Result<(), Refused> {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    if is_empty || essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON)) {
        return Ok(());
    }
    Err(problem(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body must be JSON: Content-Type: application/json",
    )
    .into())
}

fn unread(why: Unread) -> Answer {
    match why {
        Unread::TooLarge => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the body is larger than {} bytes", body::LIMIT),
        ),
        Unread::TooSlow => problem(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        Unread::Broken => problem(StatusCode::BAD_REQUEST, "the body cannot be read"),
    }
}

fn granted(route: &Route, ask: &Ask) -> Answer {
    let server = route.server.as_str();
    match ask {
        Ask::Start { job, .. } => json(
            StatusCode::ACCEPTED,
            &Queued {
                server,
                job: job.name(),
                state: "queued",
            },
        ),
        Ask::Pause { pause, .. } => json(
            StatusCode::OK,
            &PausedNow {
                server,
                paused: true,
                reason: Some(&pause.reason),
                until: pause.until,
            },
        ),
        Ask::Resume { .. } => json(
            StatusCode::OK,
            &PausedNow {
                server,
                paused: false,
                reason: None,
                until: None,
            },
        ),
        Ask::Reload => json(StatusCode::OK, &Reloaded { reloaded: true }),
    }
}

fn refusal_of(route: &Route, refusal: Refusal) -> Answer {
    match refusal {
        Refusal::UnknownServer => problem(StatusCode::NOT_FOUND, "there is no server of this name"),
        Refusal::Conflict(why) => problem(StatusCode::CONFLICT, &why),
        Refusal::Draining => ending(),
        Refusal::Failed(failure) => {
            let sentence = failure.sentence();
            tracing::error!(server = route.server, asked = ?route.kind, "{sentence}");
            problem(StatusCode::INTERNAL_SERVER_ERROR, &sentence)
        }
    }
}

fn ending() -> Answer {
    let error = "the process is about to end; ask the next one";
    later(StatusCode::SERVICE_UNAVAILABLE, error, NEXT_PROCESS)
}
