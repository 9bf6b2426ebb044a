//! What can go wrong between here and a repository elsewhere, before it says anything about a branch.

use crate::{address::AddressRefused, error::Disposition};
use std::{io, sync::Arc, time::Duration};
use thiserror::Error;

/// A remote that cannot be talked to. What it said is shortened, and free of control characters and credentials.
#[derive(Debug, Clone, Error)]
pub enum TransportError {
    /// No connection, or one that broke.
    #[error("cannot reach remote `{remote}`: {problem}")]
    Unreachable {
        remote: String,
        problem: String,
        #[source]
        source: Arc<io::Error>,
    },
    /// The other side was silent, or slow, for too long.
    #[error("remote `{remote}` did not answer in time: {what} took longer than {} s", after.as_secs_f32())]
    TimedOut {
        remote: String,
        what: &'static str,
        after: Duration,
    },
    /// The scheme of its URL is not allowed here.
    #[error(
        "`{scheme}:` is not allowed for remote `{remote}`; use https: or ssh:, or let the operator allow it"
    )]
    SchemeRefused { remote: String, scheme: &'static str },
    /// Its address is not one that may be connected to.
    #[error("remote `{remote}` is not allowed: {source}; let the operator allow that network")]
    AddressRefused {
        remote: String,
        #[source]
        source: AddressRefused,
    },
    /// The certificate does not prove who answered.
    #[error(
        "the certificate of remote `{remote}` is not trusted ({problem}); renew it, or add its certificate authority"
    )]
    Certificate { remote: String, problem: String },
    /// The SSH host key is not the pinned one: either it was changed, or somebody is in between.
    #[error(
        "the SSH host key of remote `{remote}` is not the expected one; if it was changed on purpose, put the new one into the mirror's `known_hosts`"
    )]
    HostKey { remote: String, said: String },
    /// The credentials are missing, wrong or expired.
    #[error(
        "remote `{remote}` did not accept the credentials{}; renew the token or key of the mirror; what is in a file is read again by itself, what is in the environment at the next start",
        said_in_brackets(said)
    )]
    Credentials { remote: String, said: String },
    /// The proxy in between does not let us through.
    #[error(
        "the proxy in front of remote `{remote}` did not accept its user and password; correct them in the proxy's settings"
    )]
    ProxyCredentials { remote: String },
    /// The credentials are good, but not for this.
    #[error(
        "remote `{remote}` does not permit this with these credentials{}; give them write access to the repository",
        said_in_brackets(said)
    )]
    Forbidden { remote: String, said: String },
    /// There is no such repository, or not for these credentials.
    #[error(
        "remote `{remote}` has no such repository{}: it was deleted or renamed, or the credentials may not see it",
        said_in_brackets(said)
    )]
    NotFound { remote: String, said: String },
    /// It is somewhere else now. Not followed, since credentials would go there.
    #[error("remote `{remote}` has moved to {to}; change the URL of the mirror")]
    Moved { remote: String, to: String },
    /// The repository takes no changes.
    #[error(
        "the repository of remote `{remote}` is read-only or archived{}; unarchive it, or give the mirror another one",
        said_in_brackets(said)
    )]
    ReadOnly { remote: String, said: String },
    /// Too many requests.
    #[error("remote `{remote}` asks to slow down{}", said_in_brackets(said))]
    RateLimited {
        remote: String,
        retry_after: Option<Duration>,
        said: String,
    },
    /// Its own trouble, which passes.
    #[error("remote `{remote}` is not available now: {said}")]
    Unavailable {
        remote: String,
        retry_after: Option<Duration>,
        said: String,
    },
    /// What was sent is more than it takes in one request.
    #[error(
        "remote `{remote}` takes no request of this size{}; raise its limit (for example `client_max_body_size`)",
        said_in_brackets(said)
    )]
    RequestTooLarge { remote: String, said: String },
    /// What it sent is more than is read.
    #[error("remote `{remote}` sent more than {bytes_max} bytes of {what}")]
    AnswerTooLarge {
        remote: String,
        what: &'static str,
        bytes_max: u64,
    },
    /// It does not speak Git's protocol, or something in between does not.
    #[error(
        "remote `{remote}` does not answer as a Git server: {problem}; check the URL and what stands between"
    )]
    Protocol { remote: String, problem: String },
    /// The setting cannot be used.
    #[error("the settings of remote `{remote}` cannot be used: {problem}")]
    Settings { remote: String, problem: String },
    /// A program or file of this machine is missing.
    #[error("cannot run `{program}` for remote `{remote}`; install it")]
    Program {
        remote: String,
        program: &'static str,
        #[source]
        source: Arc<io::Error>,
    },
}

fn said_in_brackets(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    }
}

impl TransportError {
    /// Returns what to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            // An error page of a proxy in trouble looks like this, and a missing program is the operator's.
            | Self::Protocol { .. }
            | Self::Program { .. } => Disposition::Retry,
            Self::SchemeRefused { .. }
            | Self::AddressRefused { .. }
            | Self::Certificate { .. }
            | Self::HostKey { .. }
            | Self::Credentials { .. }
            | Self::ProxyCredentials { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Moved { .. }
            | Self::ReadOnly { .. }
            | Self::RequestTooLarge { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Settings { .. } => Disposition::NeedsCustomer,
        }
    }

    /// Returns a short name, for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::SchemeRefused { .. } => "scheme_refused",
            Self::AddressRefused { .. } => "address_refused",
            Self::Certificate { .. } => "certificate",
            Self::HostKey { .. } => "host_key",
            Self::Credentials { .. } => "credentials",
            Self::ProxyCredentials { .. } => "proxy_credentials",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Moved { .. } => "moved",
            Self::ReadOnly { .. } => "read_only",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::RequestTooLarge { .. } => "request_too_large",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::Protocol { .. } => "protocol",
            Self::Settings { .. } => "settings",
            Self::Program { .. } => "program",
        }
    }

    /// Returns how long the remote asked to wait, none if it did not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Changes what the other side said, or had a part in saying.
    pub(crate) fn with_words(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unreachable { problem: words, .. }
            | Self::Certificate { problem: words, .. }
            | Self::HostKey { said: words, .. }
            | Self::Credentials { said: words, .. }
            | Self::Forbidden { said: words, .. }
            | Self::NotFound { said: words, .. }
            | Self::Moved { to: words, .. }
            | Self::ReadOnly { said: words, .. }
            | Self::RateLimited { said: words, .. }
            | Self::Unavailable { said: words, .. }
            | Self::RequestTooLarge { said: words, .. }
            | Self::Protocol { problem: words, .. }
            | Self::Settings { problem: words, .. } => *words = change(words),
            Self::TimedOut { .. }
            | Self::SchemeRefused { .. }
            | Self::AddressRefused { .. }
            | Self::ProxyCredentials { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Program { .. } => {}
        }
        self
    }

    /// Returns whether the same may work at once, over a new connection.
    pub(crate) fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// More of what a remote says does not help anybody.
pub(crate) const SAID_CHARS_MAX: usize = 2000;

/// Makes a remote's words fit to be shown: one line per line, without control characters, shortened.
pub(crate) fn clean(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.split(['\n', '\r']) {
        // Escape sequences begin with a control character; what is left of them is harmless.
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let line = line.trim();
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    let said = lines.join("\n");
    match said.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}
