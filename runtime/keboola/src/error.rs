//! What can go wrong, and who must act.

use std::time::Duration;
use thiserror::Error;

/// A call that failed. `what` names what was asked for; neither the token nor any content is in it.
#[derive(Debug, Error)]
pub enum KeboolaError {
    /// The client cannot be built from its settings.
    #[error("setting `{field}` is {problem}")]
    Settings {
        field: &'static str,
        problem: &'static str,
    },
    /// HTTP 401: the token is wrong, expired or disabled.
    #[error(
        "keboola does not accept the token for {what} (code `{code}`, {exception_id}); give the mirror a valid one"
    )]
    Unauthorized {
        what: String,
        code: String,
        exception_id: String,
    },
    /// HTTP 403: the token lacks a permission.
    #[error(
        "the token has no permission for {what} (code `{code}`, {exception_id}); use a master token or widen it"
    )]
    Forbidden {
        what: String,
        code: String,
        exception_id: String,
    },
    /// HTTP 404 with Keboola's own error in it; one of a proxy is `Foreign`.
    #[error("{what} does not exist (code `{code}`, {exception_id})")]
    NotFound {
        what: String,
        code: String,
        exception_id: String,
    },
    /// HTTP 429.
    #[error("keboola limits the rate of requests, asked for {what}")]
    RateLimited {
        what: String,
        retry_after: Option<Duration>,
    },
    /// HTTP 503 with status `maintenance`: the project or stack is being worked on.
    #[error("keboola is under maintenance, asked for {what}")]
    Maintenance {
        what: String,
        retry_after: Option<Duration>,
    },
    /// A status that passes by itself: 408, 409, 423, 502, 503, 504.
    #[error("keboola is unavailable, asked for {what} (status {status}, {exception_id})")]
    Unavailable {
        what: String,
        status: u16,
        retry_after: Option<Duration>,
        exception_id: String,
    },
    /// HTTP 500 and other failures of the server.
    #[error("keboola failed on {what} (status {status}, {exception_id})")]
    Server {
        what: String,
        status: u16,
        exception_id: String,
    },
    /// Another refusal: the request itself is not acceptable.
    #[error("keboola refused the request for {what} (status {status}, code `{code}`, {exception_id})")]
    Rejected {
        what: String,
        status: u16,
        code: String,
        exception_id: String,
    },
    /// The answer is not Keboola's: a page or redirect of something in between.
    #[error(
        "something other than keboola answered for {what} (status {status}); check the address and proxies"
    )]
    Foreign { what: String, status: u16 },
    /// No connection, or it broke.
    #[error("cannot reach keboola for {what}")]
    Unreachable {
        what: String,
        #[source]
        source: reqwest::Error,
    },
    /// The call took longer than allowed.
    #[error("keboola took longer than {after:?} for {what}")]
    Timeout { what: String, after: Duration },
    /// The answer, or one item of it, is larger than `response_bytes_max`.
    #[error("the answer for {what} is larger than {limit} bytes; raise `response_bytes_max`")]
    TooLarge { what: String, limit: usize },
    /// The answer does not have the documented form.
    #[error("cannot understand the answer for {what}: {detail}")]
    Malformed { what: String, detail: String },
    /// The stack's index does not name a service that is needed.
    #[error("the stack's index has no service `{service}`")]
    NoService { service: &'static str },
}

/// Who must act on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again, not before `after` where the server named a time.
    Retry { after: Option<Duration> },
    /// The project's admin must mend the token or its permissions.
    NeedsCustomer,
    /// What was asked for does not exist (any more).
    Gone,
    /// The same request will fail in the same way.
    Permanent,
}

impl KeboolaError {
    /// Returns Keboola's `exceptionId`, by which its support finds the failure; none where it gave none.
    #[must_use]
    pub fn exception_id(&self) -> Option<&str> {
        match self {
            Self::Unauthorized { exception_id, .. }
            | Self::Forbidden { exception_id, .. }
            | Self::NotFound { exception_id, .. }
            | Self::Unavailable { exception_id, .. }
            | Self::Server { exception_id, .. }
            | Self::Rejected { exception_id, .. } => Some(exception_id),
            Self::Settings { .. }
            | Self::RateLimited { .. }
            | Self::Maintenance { .. }
            | Self::Foreign { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::NoService { .. } => None,
        }
    }

    /// Says who must act.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Maintenance { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => Disposition::Retry { after: *retry_after },
            Self::Server { .. } | Self::Foreign { .. } | Self::Unreachable { .. } | Self::Timeout { .. } => {
                Disposition::Retry { after: None }
            }
            Self::Unauthorized { .. } | Self::Forbidden { .. } => Disposition::NeedsCustomer,
            Self::NotFound { .. } => Disposition::Gone,
            Self::Settings { .. }
            | Self::Rejected { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::NoService { .. } => Disposition::Permanent,
        }
    }
}
