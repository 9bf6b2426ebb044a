//! The HTTP listener: health, metrics, status, and ingest of events.
//!
//! `POST /v1/events` answers only when the events are durable. Callers present a bearer token, of
//! which only a digest is held; it is good for one stack and, if so configured, some projects.

use crate::{
    config::{HttpConfig, IngestToken},
    crash_point,
    credential::CredentialError,
    metrics::{Accepted, Metrics, Reason},
    queue::{DeadLetter, EventLog, LogError, NewEvent},
    status::Status,
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use mirror_core::{
    event::{Envelope, InvalidEvent, masked_body, parse_external},
    ids::{ProjectId, Stack},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use std::{fmt, io, net::SocketAddr, sync::Arc};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Events of one request.
const EVENTS_MAX: usize = 500;
const RETRY_AFTER_S: &str = "30";

/// What the handlers share.
#[derive(Clone)]
pub struct Shared {
    pub log: Arc<dyn EventLog>,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    senders: Arc<[Sender]>,
    backlog_max: u64,
    now: fn() -> Timestamp,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Sender {
    name: String,
    digest: [u8; 32],
    stack: Stack,
    projects: Option<Vec<ProjectId>>,
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
        config: &HttpConfig,
        log: Arc<dyn EventLog>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        now: fn() -> Timestamp,
    ) -> Result<Self, HttpError> {
        let senders = config
            .ingest
            .iter()
            .map(sender)
            .collect::<Result<Arc<[Sender]>, _>>()?;
        let shared = Shared {
            log,
            metrics,
            status,
            senders,
            backlog_max: config.backlog_max,
            now,
        };
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_page))
            .route("/v1/status", get(status_page))
            .route("/v1/events", post(ingest))
            .layer(DefaultBodyLimit::max(config.body_bytes_max))
            .with_state(shared);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| HttpError::Listen { address, source })?;
        Ok(Self { listener, router })
    }

    /// Returns the address that is listened on, with the true port.
    ///
    /// # Errors
    /// A socket that has none, which a bound one always has.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop; requests under way are finished.
    ///
    /// # Errors
    /// A listener that broke.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        axum::serve(self.listener, self.router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
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

async fn livez(State(shared): State<Shared>) -> Response {
    match shared.status.stuck((shared.now)()) {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(lane) => (StatusCode::SERVICE_UNAVAILABLE, format!("lane {lane} is stuck\n")).into_response(),
    }
}

async fn readyz(State(shared): State<Shared>) -> Response {
    if !shared.log.is_ready() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the event log cannot be written\n",
        )
            .into_response();
    }
    (StatusCode::OK, "ready\n").into_response()
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode()).into_response()
}

async fn status_page(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if shared.who(&headers).is_none() {
        return unauthorized();
    }
    axum::Json(shared.status.page()).into_response()
}

async fn ingest(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(sender) = shared.who(&headers) else {
        return unauthorized();
    };
    let now = (shared.now)();
    let header_text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let traceparent = header_text("traceparent");
    let published_at = header_text("x-published-at").and_then(|text| text.parse::<Timestamp>().ok());
    let raws = match events(&body) {
        Ok(raws) => raws,
        Err(error) => return shared.refuse(&body, None, &error, now).await,
    };
    if raws.len() > EVENTS_MAX {
        let detail = format!(
            "the request has {} events; at most {EVENTS_MAX} are allowed",
            raws.len()
        );
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too-many-events", &detail, None);
    }
    let mut batch = Vec::with_capacity(raws.len());
    for (index, raw) in raws.iter().enumerate() {
        let parsed = parse_external(
            raw.as_bytes(),
            None,
            &sender.stack,
            published_at,
            traceparent,
            now,
        );
        match parsed {
            Ok(envelope) if !sender.allows(&envelope) => {
                let detail = format!(
                    "token `{}` may not post events of project {}",
                    sender.name,
                    envelope.project()
                );
                return problem(StatusCode::FORBIDDEN, "project-not-allowed", &detail, Some(index));
            }
            Ok(envelope) if shared.status.backlog(envelope.project()) >= shared.backlog_max => {
                let detail = format!("project {} has too many events waiting", envelope.project());
                let refused = problem(
                    StatusCode::TOO_MANY_REQUESTS,
                    "backlog-full",
                    &detail,
                    Some(index),
                );
                return ([(header::RETRY_AFTER, RETRY_AFTER_S)], refused).into_response();
            }
            Ok(envelope) => batch.push(NewEvent { envelope, at: now }),
            Err(error) => return shared.refuse(raw.as_bytes(), Some(index), &error, now).await,
        }
    }
    shared.append(batch).await
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
    fn allows(&self, envelope: &Envelope) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|projects| projects.contains(envelope.project()))
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

    async fn append(&self, batch: Vec<NewEvent>) -> Response {
        let kinds: Vec<&'static str> = batch.iter().map(|event| event.envelope.kind().as_str()).collect();
        crash_point!("accept-before-durable");
        match self.log.append(batch).await {
            Ok(appended) => {
                crash_point!("accept-after-durable");
                let mut duplicates = 0;
                for (kind, appended) in kinds.iter().zip(&appended) {
                    let result = if appended.duplicate {
                        "duplicate"
                    } else {
                        "accepted"
                    };
                    duplicates += usize::from(appended.duplicate);
                    self.metrics
                        .events_accepted
                        .get_or_create(&Accepted {
                            event_type: kind,
                            result,
                        })
                        .inc();
                }
                let answer = json!({ "accepted": appended.len() - duplicates, "duplicates": duplicates });
                (StatusCode::ACCEPTED, axum::Json(answer)).into_response()
            }
            Err(error) => {
                tracing::error!(error = crate::app::chain(&error), "events not accepted");
                let full = matches!(error, LogError::NoSpace);
                let detail = if full {
                    "the disk is full; nothing was accepted"
                } else {
                    "the event log failed; nothing was accepted"
                };
                let refused = problem(StatusCode::SERVICE_UNAVAILABLE, "log-not-writable", detail, None);
                ([(header::RETRY_AFTER, RETRY_AFTER_S)], refused).into_response()
            }
        }
    }

    /// Answers an event that cannot be read, and keeps its shape and the reason.
    async fn refuse(
        &self,
        raw: &[u8],
        index: Option<usize>,
        error: &InvalidEvent,
        now: Timestamp,
    ) -> Response {
        self.metrics
            .events_accepted
            .get_or_create(&Accepted {
                event_type: "unknown",
                result: "refused",
            })
            .inc();
        self.metrics
            .dead_letters
            .get_or_create(&Reason {
                reason: "invalid_event",
            })
            .inc();
        let letter = DeadLetter {
            topic: None,
            key: None,
            position: None,
            reason: error.to_string(),
            body: masked_body(raw),
            at: now,
            envelope: None,
        };
        match self.log.dead_letter(letter).await {
            Ok(id) => tracing::warn!(dead_letter = id.0, reason = %error, "event refused"),
            Err(log) => {
                tracing::error!(error = crate::app::chain(&log), reason = %error, "event refused and not filed");
            }
        }
        let field = match error {
            InvalidEvent::Field { field, .. } => Some(field.clone()),
            InvalidEvent::TooLarge { .. } | InvalidEvent::NotJson { .. } => None,
        };
        let mut answer = problem_json(
            StatusCode::BAD_REQUEST,
            "invalid-event",
            &error.to_string(),
            index,
        );
        if let (Some(field), Some(members)) = (field, answer.as_object_mut()) {
            members.insert("field".into(), field.into());
        }
        problem_response(StatusCode::BAD_REQUEST, &answer)
    }
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
