//! Whether anybody may read a mirror's repository, and what the mirror therefore may show in it.
//!
//! Asked is as a stranger would: the advertisement over HTTP, without credentials. Private is only what says
//! so (401, 403, 404), what the operator lists, and the operator's own `file:` path. Everything else,
//! a server in trouble too, counts as public: samples stay out, and secrets are masked.

use crate::config::{MirrorSpec, RepositorySpec, SecretsChoice, VisibilityConfig};
use mirror_core::ids::MirrorId;
use reqwest::{
    Client, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    redirect::{Attempt, Policy},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Private,
    Public,
    /// Not to be found out; counts as public.
    Unknown,
}

impl Visibility {
    /// Returns the word for status and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Unknown => "unknown",
        }
    }
}

/// What a mirror exports that depends on who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exports {
    pub samples: bool,
    pub secrets: SecretsChoice,
    /// Samples are wanted, but the repository is not known to be private.
    pub samples_blocked: bool,
    /// `secrets = "encrypted"` is wanted, but the repository is not known to be private.
    pub encrypted_blocked: bool,
}

impl Exports {
    /// Decides what may be exported to a repository of this visibility.
    #[must_use]
    pub fn of(spec: &MirrorSpec, visibility: Visibility) -> Self {
        let is_private = visibility == Visibility::Private;
        let encrypted_blocked = !is_private && spec.secrets == Some(SecretsChoice::Encrypted);
        let secrets = match (is_private, spec.secrets) {
            (true, None) => SecretsChoice::Encrypted,
            // Ciphertext is no reading matter for the public.
            (false, None | Some(SecretsChoice::Encrypted)) => SecretsChoice::Masked,
            (_, Some(chosen)) => chosen,
        };
        Self {
            samples: spec.samples && is_private,
            secrets,
            samples_blocked: spec.samples && !is_private,
            encrypted_blocked,
        }
    }
}

/// What was found out about a repository, and when that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub visibility: Visibility,
    /// What the answer was; never content of it.
    pub why: String,
}

/// Watches the visibility of one mirror's repository.
pub struct VisibilityWatch {
    mirror: MirrorId,
    asked: Asked,
    last: Mutex<Option<Found>>,
}

enum Asked {
    /// Nobody has to be asked.
    Known(Found),
    Http {
        client: Client,
        url: Url,
    },
}

impl fmt::Debug for VisibilityWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisibilityWatch")
            .field("mirror", &self.mirror)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Requests before an answer that says nothing is believed: one may be lost.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(300);
const REDIRECTS_MAX: usize = 3;
/// So much of an answer is read at most: enough to tell an advertisement.
const BODY_BYTES_MAX: usize = 64;
/// Some hosts tell a stranger's Git by its name.
const AGENT: &str = concat!("git/kbc-mirror-", env!("CARGO_PKG_VERSION"));
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";

impl VisibilityWatch {
    /// Prepares the question; nothing is asked yet.
    ///
    /// # Errors
    /// A client that cannot be made on this machine.
    pub fn new(spec: &MirrorSpec, config: &VisibilityConfig) -> Result<Arc<Self>, reqwest::Error> {
        let known = |why: &str| {
            Asked::Known(Found {
                visibility: Visibility::Private,
                why: why.into(),
            })
        };
        let listed = |url: &Url| {
            let host = url.host_str().unwrap_or_default();
            config
                .private_hosts
                .iter()
                .any(|listed| listed.eq_ignore_ascii_case(host))
        };
        let asked = match (&spec.visibility_url, &spec.repository) {
            (None, RepositorySpec::LocalBare(_)) => known("a path of the operator's own"),
            (None, RepositorySpec::Remote { .. }) => Asked::Known(Found {
                visibility: Visibility::Unknown,
                why: "its server cannot be asked without credentials; set `visibility_url` to its `https` address".into(),
            }),
            (Some(url), _) if listed(url) => known("its host is in `visibility.private_hosts`"),
            (Some(url), _) => Asked::Http {
                client: client(config)?,
                url: advertisement(url),
            },
        };
        Ok(Arc::new(Self {
            mirror: spec.id.clone(),
            asked,
            last: Mutex::default(),
        }))
    }

    /// Returns whether the answer may change.
    #[must_use]
    pub fn may_change(&self) -> bool {
        matches!(self.asked, Asked::Http { .. })
    }

    /// Returns the last answer; none if nobody has asked yet.
    #[must_use]
    pub fn last(&self) -> Option<Found> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the last answer, or asks if there is none.
    pub async fn current(&self) -> Visibility {
        match self.last() {
            Some(found) => found.visibility,
            None => self.ask().await,
        }
    }

    /// Asks now. A change is logged.
    pub async fn ask(&self) -> Visibility {
        let found = match &self.asked {
            Asked::Known(found) => found.clone(),
            Asked::Http { client, url } => probe(client, url).await,
        };
        let visibility = found.visibility;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(found.clone()).map(|before| before.visibility);
        drop(last);
        if before.is_some_and(|before| before != visibility) {
            tracing::warn!(mirror = %self.mirror, before = before.map(Visibility::as_str), visibility = visibility.as_str(), why = found.why,
                "the visibility of the repository changed");
        }
        visibility
    }
}

fn client(config: &VisibilityConfig) -> Result<Client, reqwest::Error> {
    let elsewhere = |attempt: &Attempt<'_>| {
        let from = attempt.previous().last();
        from.is_none_or(|from| from.origin() != attempt.url().origin())
    };
    Client::builder()
        .user_agent(AGENT)
        .connect_timeout(config.timeout)
        .timeout(config.timeout)
        .redirect(Policy::custom(move |attempt| {
            // What another host says, such as a page to log in on, says nothing about this one.
            if elsewhere(&attempt) || attempt.previous().len() > REDIRECTS_MAX {
                attempt.stop()
            } else {
                attempt.follow()
            }
        }))
        .build()
}

/// Returns the address at which a repository advertises its refs.
fn advertisement(repository: &Url) -> Url {
    let mut url = repository.clone();
    url.set_fragment(None);
    url.set_path(&format!("{}/info/refs", repository.path().trim_end_matches('/')));
    url.set_query(Some("service=git-upload-pack"));
    url
}

async fn probe(client: &Client, url: &Url) -> Found {
    let mut found = Found {
        visibility: Visibility::Unknown,
        why: String::new(),
    };
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        found = match once(client, url).await {
            Ok(found) => found,
            Err(error) => Found {
                visibility: Visibility::Unknown,
                why: crate::app::chain(&error.without_url()),
            },
        };
        if found.visibility != Visibility::Unknown {
            break;
        }
    }
    found
}

async fn once(client: &Client, url: &Url) -> Result<Found, reqwest::Error> {
    let mut response = client.get(url.clone()).header(ACCEPT, "*/*").send().await?;
    let status = response.status();
    let headers = response.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_limited = headers.contains_key(RETRY_AFTER) || text("x-ratelimit-remaining") == Some("0");
    let is_advertisement = text(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with(ADVERTISEMENT));
    let mut head = Vec::new();
    while head.len() < BODY_BYTES_MAX && status == StatusCode::OK {
        let Some(chunk) = response.chunk().await? else {
            break;
        };
        head.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX)]);
    }
    Ok(Found {
        visibility: judge(status, is_limited, is_advertisement, &head),
        why: format!("an anonymous request is answered with {}", status.as_u16()),
    })
}

/// Says what an answer tells a stranger.
fn judge(status: StatusCode, is_limited: bool, is_advertisement: bool, head: &[u8]) -> Visibility {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Visibility::Private,
        // Hosts also say 403 to who asks too often.
        StatusCode::FORBIDDEN if !is_limited => Visibility::Private,
        StatusCode::OK if is_advertisement && is_packet(head) => Visibility::Public,
        _ => Visibility::Unknown,
    }
}

/// Whether bytes begin as a smart advertisement does.
fn is_packet(head: &[u8]) -> bool {
    let line = |rest: &[u8]| rest.starts_with(b"# service=git-upload-pack") || rest.starts_with(b"version 2");
    head.split_at_checked(4)
        .is_some_and(|(length, rest)| length.iter().all(u8::is_ascii_hexdigit) && line(rest))
}

#[cfg(test)]
mod tests;
