//! The HTTP listener: health, metrics, status, and ingest of events.
//!
//! | request | who | answer |
//! | --- | --- | --- |
//! | `GET /livez` | anybody | 200, or 503 if only a new process helps: an attempt hangs, or the log stopped, is another one or was deleted |
//! | `GET /readyz` | anybody | 200, or 503 while events cannot be made durable |
//! | `GET /metrics` | anybody | the metrics, in the OpenMetrics text format |
//! | `GET /v1/status` | a token | the lanes of the projects that the token is good for; in `unmirrored` events of theirs that no mirror takes; in `log` why the log cannot go on, where only a new process helps |
//! | `POST /v1/events` | a token | see below |
//!
//! A token is sent as `Authorization: Bearer …`; only a digest of it is held. It is good for one stack
//! and, if so configured, some projects (`[[http.ingest]]`). What anybody may ask tells names and ids of
//! projects in labels, so the listener belongs on the loopback or an inner network.
//!
//! # Events
//!
//! The body is one event or an array of at most 500, in the form of the `config_changed` and
//! `job_finished` events. Two headers are taken, both optional: `x-published-at`, an RFC 3339 time at
//! which the events were published (what cannot be read or lies ahead counts as now), and
//! `traceparent` (W3C). The answers:
//!
//! | status | meaning | what to do |
//! | --- | --- | --- |
//! | 202 | all are durable: `accepted` new ones, and `duplicates` | forget them |
//! | 400 | those in `refused` (`event`, counted from 0, `field`, `detail`) can never be read, or are larger than the log can hold, and stand in the dead letters with masked content; **all others are durable** | mend and send those again, or set them aside |
//! | 401, 403 | the token is not known, or not good for a project among them; nothing was accepted | mend the configuration, send all again |
//! | 408, 413 | the body did not come in time, or has too many bytes or events; nothing was accepted | send fewer |
//! | 429 | a project has too many events waiting; nothing was accepted | send all again after `retry-after` |
//! | 503 | they could not be made durable | send all again after `retry-after` |
//!
//! So one bad event never holds up its neighbours, and sending again is always safe: what is there
//! already is a duplicate. Errors are problem details (RFC 9457). Events of projects that no mirror has
//! are accepted too, and counted ([`crate::queue::unmirrored`]); a mirror that is added later begins with
//! everything, and without them.

mod connections;

use crate::{
    config::{Config, HttpConfig, IngestToken},
    crash_point,
    credential::CredentialError,
    metrics::Metrics,
    queue::{DeadLetter, EventLog, LogError, NewEvent},
    status::Status,
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use mirror_core::{
    event::{Envelope, InvalidEvent, masked_body, parse_external},
    ids::{MirrorId, ProjectId, Stack},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Events of one request.
const EVENTS_MAX: usize = 500;
const RETRY_AFTER_S: &str = "30";

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    senders: Arc<[Sender]>,
    mirrored: Arc<[Mirrored]>,
    backlog_max: u64,
    body_bytes_max: usize,
    read_timeout: Duration,
    now: fn() -> Timestamp,
}

struct Sender {
    name: String,
    digest: [u8; 32],
    stack: Stack,
    projects: Option<Vec<ProjectId>>,
}

/// Which project a mirror is of.
struct Mirrored {
    mirror: MirrorId,
    stack: Stack,
    project: ProjectId,
}

#[derive(Debug, Error)]
pub enum HttpError {
    #[error("cannot listen on {address}; is it in use?")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("ingest token `{name}` cannot be read")]
    Token {
        name: String,
        #[source]
        source: CredentialError,
    },
}

/// A listener that is bound but not serving yet.
pub struct Listener {
    listener: TcpListener,
    router: Router,
    limits: connections::Limits,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the address and reads the ingest tokens.
    ///
    /// # Errors
    /// An address that is taken, or a token that cannot be read.
    pub async fn bind(
        address: SocketAddr,
        config: &Config,
        log: Arc<dyn EventLog>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        now: fn() -> Timestamp,
    ) -> Result<Self, HttpError> {
        let HttpConfig {
            listen: _,
            ingest: tokens,
            backlog_max,
            body_bytes_max,
            connections_max,
            read_timeout,
        } = &config.http;
        let senders = tokens.iter().map(sender).collect::<Result<Arc<[Sender]>, _>>()?;
        let mirrored = config.mirrors.iter().map(|spec| Mirrored {
            mirror: spec.id.clone(),
            stack: spec.stack.clone(),
            project: spec.project.clone(),
        });
        let shared = Shared {
            log,
            metrics,
            status,
            senders,
            mirrored: mirrored.collect(),
            backlog_max: *backlog_max,
            body_bytes_max: *body_bytes_max,
            read_timeout: *read_timeout,
            now,
        };
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_page))
            .route("/v1/status", get(status_page))
            .route("/v1/events", post(ingest))
            .layer(DefaultBodyLimit::max(*body_bytes_max))
            .with_state(shared);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| HttpError::Listen { address, source })?;
        let limits = connections::Limits {
            connections_max: *connections_max,
            read_timeout: *read_timeout,
        };
        Ok(Self {
            listener,
            router,
            limits,
        })
    }

    /// Returns the address that is listened on, with the true port.
    ///
    /// # Errors
    /// A socket that has none, which a bound one always has.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop; then requests under way may finish within `grace`.
    pub async fn serve(self, stop: CancellationToken, grace: Duration) {
        let Self {
            listener,
            router,
            limits,
        } = self;
        connections::serve(listener, router, limits, stop, grace).await;
    }
}

fn sender(token: &IngestToken) -> Result<Sender, HttpError> {
    let IngestToken {
        name,
        token,
        stack,
        projects,
    } = token;
    let secret = token.read().map_err(|source| HttpError::Token {
        name: name.clone(),
        source,
    })?;
    Ok(Sender {
        name: name.clone(),
        digest: Sha256::digest(secret.expose_secret().as_bytes()).into(),
        stack: stack.clone(),
        projects: projects.clone(),
    })
}

/// A log that stopped, a database that is gone, a guest that does not end, and a lane that is stuck are mended by a new process only.
async fn livez(State(shared): State<Shared>) -> Response {
    let problem = if let Some(over) = shared.log.over() {
        Some(crate::app::chain(&over))
    } else if let Some(over) = shared.status.over() {
        Some(over)
    } else {
        let stuck = shared.status.stuck(std::time::Instant::now());
        stuck.map(|lane| format!("lane {lane} is stuck"))
    };
    match problem {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

async fn readyz(State(shared): State<Shared>) -> Response {
    if shared.log.is_ready() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let why = shared.log.over().map(|over| crate::app::chain(&over));
    let why = why.as_deref().unwrap_or("the event log cannot be written");
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode()).into_response()
}

async fn status_page(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let Some(sender) = shared.who(&headers) else {
        return unauthorized();
    };
    let is_meant = |mirror: &MirrorId| {
        let mut mirrored = shared.mirrored.iter();
        mirrored.any(|one| one.mirror == *mirror && sender.is_good_for(&one.stack, &one.project))
    };
    let mut page = shared.status.page(is_meant);
    page["unmirrored"] = shared
        .status
        .unmirrored_page(|topic| sender.is_good_for(&topic.stack, &topic.project));
    page["log"] = shared.log.over().map(|over| crate::app::chain(&over)).into();
    axum::Json(page).into_response()
}

async fn ingest(State(shared): State<Shared>, request: Request) -> Response {
    let headers = request.headers().clone();
    // Whoever may not post does not get a body read.
    let Some(sender) = shared.who(&headers) else {
        return unauthorized();
    };
    let body = match shared.body(request).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let now = (shared.now)();
    let header_text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let traceparent = header_text("traceparent");
    let published_at = header_text("x-published-at").and_then(|text| text.parse::<Timestamp>().ok());
    let raws = match events(&body) {
        Ok(raws) => raws,
        Err(error) => {
            let refused = Refused {
                index: None,
                body: masked_body(&body),
                error: error.into(),
            };
            return shared.accept(Vec::new(), vec![refused], now).await;
        }
    };
    if raws.len() > EVENTS_MAX {
        let detail = format!(
            "the request has {} events; at most {EVENTS_MAX} are allowed",
            raws.len()
        );
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too-many-events", &detail, None);
    }
    let mut batch = Vec::with_capacity(raws.len());
    let mut refused = Vec::new();
    for (index, raw) in raws.iter().enumerate() {
        let mut refuse = |error| {
            refused.push(Refused {
                index: Some(index),
                body: masked_body(raw.as_bytes()),
                error,
            });
        };
        let parsed = parse_external(
            raw.as_bytes(),
            None,
            &sender.stack,
            published_at,
            traceparent,
            now,
        );
        match parsed {
            Ok(envelope) => {
                if let Some(refused) = shared.not_now(sender, &envelope, index) {
                    return refused;
                }
                let event = NewEvent { envelope, at: now };
                match shared.log.fits(&event) {
                    Ok(()) => batch.push(event),
                    Err(error) => refuse(Unacceptable::Log(error)),
                }
            }
            Err(error) => refuse(error.into()),
        }
    }
    shared.accept(batch, refused, now).await
}

/// An event that can never be taken.
struct Refused {
    /// None where the request could not even be taken apart.
    index: Option<usize>,
    body: String,
    error: Unacceptable,
}

/// Why an event can never be taken.
#[derive(Debug, Error)]
enum Unacceptable {
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// The log cannot hold it.
    #[error(transparent)]
    Log(LogError),
}

impl Unacceptable {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Event(InvalidEvent::Field { field, .. }) => Some(field),
            Self::Event(_) | Self::Log(_) => None,
        }
    }
}

impl Refused {
    fn json(&self) -> Value {
        let Self { index, error, .. } = self;
        let mut said = json!({ "detail": error.to_string() });
        if let Some(index) = index {
            said["event"] = json!(index);
        }
        if let Some(field) = error.field() {
            said["field"] = json!(field);
        }
        said
    }
}

/// Takes one event, or an array of events.
fn events(body: &[u8]) -> Result<Vec<String>, InvalidEvent> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| InvalidEvent::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
        return Ok(items.into_iter().map(|item| item.get().to_owned()).collect());
    }
    let text = std::str::from_utf8(body).map_err(|_| InvalidEvent::NotJson { line: 1, column: 1 })?;
    Ok(vec![text.to_owned()])
}

impl Sender {
    fn is_good_for(&self, stack: &Stack, project: &ProjectId) -> bool {
        let projects = self.projects.as_ref();
        self.stack == *stack && projects.is_none_or(|projects| projects.contains(project))
    }
}

impl Shared {
    /// Finds the sender by its token. Digests are compared, so that time tells nothing of the token.
    fn who(&self, headers: &HeaderMap) -> Option<&Sender> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        self.senders.iter().find(|sender| sender.digest == digest)
    }

    /// Reads a body, within its bounds.
    async fn body(&self, request: Request) -> Result<Bytes, Response> {
        let read = Bytes::from_request(request, &());
        match tokio::time::timeout(self.read_timeout, read).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!(
                    "the request has more than {} bytes; send fewer events at once, or raise `http.body_bytes_max`",
                    self.body_bytes_max
                );
                Err(problem(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-many-bytes",
                    &detail,
                    None,
                ))
            }
            Ok(Err(refused)) => {
                let detail = "the request's body could not be read to its end; send it again";
                Err(problem(refused.status(), "body-not-read", detail, None))
            }
            Err(_) => {
                let detail = format!(
                    "the request's body did not come within {} ms; send fewer events at once, or raise `http.read_timeout_ms`",
                    self.read_timeout.as_millis()
                );
                let refused = problem(StatusCode::REQUEST_TIMEOUT, "body-too-slow", &detail, None);
                Err(([(header::CONNECTION, "close")], refused).into_response())
            }
        }
    }

    /// Says why an event, and so its whole request, is not taken as things are.
    fn not_now(&self, sender: &Sender, envelope: &Envelope, index: usize) -> Option<Response> {
        let (stack, project) = (envelope.stack(), envelope.project());
        if !sender.is_good_for(stack, project) {
            let detail = format!("token `{}` may not post events of project {project}", sender.name);
            return Some(problem(
                StatusCode::FORBIDDEN,
                "project-not-allowed",
                &detail,
                Some(index),
            ));
        }
        let is_of_project = |mirror: &MirrorId| {
            let mut mirrored = self.mirrored.iter();
            mirrored.any(|one| one.mirror == *mirror && one.stack == *stack && one.project == *project)
        };
        if self.status.backlog(is_of_project) < self.backlog_max {
            return None;
        }
        let detail = format!("project {project} has too many events waiting");
        let refused = problem(
            StatusCode::TOO_MANY_REQUESTS,
            "backlog-full",
            &detail,
            Some(index),
        );
        Some(([(header::RETRY_AFTER, RETRY_AFTER_S)], refused).into_response())
    }

    /// Makes the good events durable, files the others, and answers for all of them.
    async fn accept(&self, batch: Vec<NewEvent>, refused: Vec<Refused>, now: Timestamp) -> Response {
        let kinds: Vec<&'static str> = batch.iter().map(|event| event.envelope.kind().as_str()).collect();
        crash_point!("accept-before-durable");
        let appended = match self.log.append(batch).await {
            Ok(appended) => appended,
            Err(error) => return not_durable(&error),
        };
        crash_point!("accept-after-durable");
        let mut duplicates = 0;
        for (kind, appended) in kinds.iter().zip(&appended) {
            duplicates += usize::from(appended.duplicate);
            let result = if appended.duplicate {
                "duplicate"
            } else {
                "accepted"
            };
            self.metrics.event(kind, result);
        }
        let accepted = appended.len() - duplicates;
        for one in &refused {
            if let Err(error) = self.file(one, now).await {
                return not_durable(&error);
            }
        }
        let Some(first) = refused.first() else {
            let answer = json!({ "accepted": accepted, "duplicates": duplicates });
            return (StatusCode::ACCEPTED, axum::Json(answer)).into_response();
        };
        let mut answer = problem_json(
            StatusCode::BAD_REQUEST,
            "invalid-event",
            &first.error.to_string(),
            first.index,
        );
        if let Some(field) = first.error.field() {
            answer["field"] = json!(field);
        }
        answer["accepted"] = json!(accepted);
        answer["duplicates"] = json!(duplicates);
        answer["refused"] = refused.iter().map(Refused::json).collect();
        problem_response(StatusCode::BAD_REQUEST, &answer)
    }

    /// Keeps the shape of an event that cannot be taken, and the reason.
    async fn file(&self, refused: &Refused, now: Timestamp) -> Result<(), LogError> {
        let letter = DeadLetter {
            topic: None,
            key: None,
            position: None,
            reason: refused.error.to_string(),
            body: refused.body.clone(),
            at: now,
            envelope: None,
        };
        let id = self.log.dead_letter(letter).await?;
        self.metrics.event_refused();
        tracing::warn!(dead_letter = id.0, reason = %refused.error, "event refused");
        Ok(())
    }
}

fn not_durable(error: &LogError) -> Response {
    tracing::error!(error = crate::app::chain(error), "events not accepted");
    let detail = if matches!(error, LogError::NoSpace) {
        "the disk is full; send all events again later"
    } else {
        "the event log failed; send all events again later"
    };
    let refused = problem(StatusCode::SERVICE_UNAVAILABLE, "log-not-writable", detail, None);
    ([(header::RETRY_AFTER, RETRY_AFTER_S)], refused).into_response()
}

fn unauthorized() -> Response {
    let refused = problem(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send `Authorization: Bearer` with one of the tokens of `[[http.ingest]]`",
        None,
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
}

/// RFC 9457.
fn problem(status: StatusCode, kind: &str, detail: &str, event: Option<usize>) -> Response {
    problem_response(status, &problem_json(status, kind, detail, event))
}

fn problem_json(status: StatusCode, kind: &str, detail: &str, event: Option<usize>) -> Value {
    let mut body =
        json!({ "type": format!("urn:kbc-mirror:{kind}"), "status": status.as_u16(), "detail": detail });
    if let (Some(event), Some(members)) = (event, body.as_object_mut()) {
        members.insert("event".into(), event.into());
    }
    body
}

fn problem_response(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests;
