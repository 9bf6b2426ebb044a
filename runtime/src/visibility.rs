//! Whether anybody may read a mirror's repository, and what the mirror therefore may show in it.
//!
//! Asked is as a stranger would: the advertisement over HTTP, without credentials, by the Git client itself and so to
//! such addresses only as may be used at all. Private is only what says so (401, 403, 404), what the operator lists, and
//! the operator's own `file:` path. Everything else, a server in trouble too, counts as public: samples stay out, and
//! secrets are masked.

use crate::{
    config::{GitConfig, MirrorSpec, RepositorySpec, SecretsChoice, VisibilityConfig},
    system::StartError,
};
use mirror_core::ids::MirrorId;
use mirror_git::{Remote as _, SmartRemote};
use reqwest::Url;
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
    Stranger(Arc<SmartRemote>),
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

impl VisibilityWatch {
    /// Prepares the question; nothing is asked yet.
    ///
    /// # Errors
    /// An address that may not be used, or settings that cannot be.
    pub fn new(
        spec: &MirrorSpec,
        config: &VisibilityConfig,
        git: &GitConfig,
    ) -> Result<Arc<Self>, StartError> {
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
            (Some(url), _) => {
                let remote = crate::repository::for_strangers(&spec.id, url, git, config.timeout)?;
                Asked::Stranger(Arc::new(remote))
            }
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
        matches!(self.asked, Asked::Stranger(_))
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
        self.find_out().await.visibility
    }

    /// The same, with what the answer was.
    pub async fn find_out(&self) -> Found {
        let found = match &self.asked {
            Asked::Known(found) => found.clone(),
            Asked::Stranger(repository) => probe(repository).await,
        };
        let visibility = found.visibility;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(found.clone()).map(|before| before.visibility);
        drop(last);
        if before.is_some_and(|before| before != visibility) {
            tracing::warn!(mirror = %self.mirror, before = before.map(Visibility::as_str), visibility = visibility.as_str(), why = found.why,
                "the visibility of the repository changed");
        }
        found
    }
}

/// Asks until there is an answer that says something.
async fn probe(repository: &Arc<SmartRemote>) -> Found {
    let mut why = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        let repository = Arc::clone(repository);
        let asked = tokio::task::spawn_blocking(move || repository.visibility()).await;
        let (visibility, said) = match asked {
            Ok(Ok(mirror_git::Visibility::Private)) => {
                (Visibility::Private, "an anonymous request is refused")
            }
            Ok(Ok(mirror_git::Visibility::Public)) => {
                (Visibility::Public, "an anonymous request is answered")
            }
            Ok(Ok(mirror_git::Visibility::Unknown)) => {
                (Visibility::Unknown, "nobody can ask without credentials")
            }
            Ok(Err(error)) => {
                why = crate::app::chain(&error);
                continue;
            }
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        return Found {
            visibility,
            why: said.to_owned(),
        };
    }
    Found {
        visibility: Visibility::Unknown,
        why,
    }
}

#[cfg(test)]
mod tests;
