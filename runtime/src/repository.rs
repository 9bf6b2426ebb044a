//! From a configured repository to a remote that can be talked to.

use crate::{
    config::{Config, GitConfig, MirrorSpec, RepositoryCredential, RepositorySpec},
    credential::{CredentialError, CredentialRef},
    files,
    system::StartError,
};
use mirror_core::ids::MirrorId;
use mirror_git::{
    Credential, InvalidRepositoryUrl, LocalBare, ProxySettings, Remote, RemoteError, RemoteSettings,
    RepositoryUrl, SigningKey, SmartRemote, Timeouts, TransportError,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::{sync::Arc, time::Duration};
use thiserror::Error;

/// Opens a mirror's repository. One behind a server is not asked anything yet.
///
/// # Errors
/// A path without a repository, a credential that cannot be read, or settings that cannot be used.
pub fn open(spec: &MirrorSpec, git: &GitConfig) -> Result<Arc<dyn Remote>, StartError> {
    open_renewable(spec, git).map(|(remote, _)| remote)
}

/// Does the same, and returns what opens it beside it, for the guard and for whoever renews it.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_renewable(
    spec: &MirrorSpec,
    git: &GitConfig,
) -> Result<(Arc<dyn Remote>, Option<Renewable>), StartError> {
    let unusable = |source| StartError::Repository {
        mirror: spec.id.clone(),
        source,
    };
    let (url, credential) = match &spec.repository {
        RepositorySpec::LocalBare(path) => {
            return Ok((Arc::new(LocalBare::open(path).map_err(unusable)?), None));
        }
        RepositorySpec::Remote { url, credential } => (url, credential),
    };
    let read = |credential: &RepositoryCredential| -> Result<_, CredentialError> {
        let texts = references(credential).into_iter().map(CredentialRef::read);
        texts.collect::<Result<Vec<_>, _>>()
    };
    let texts = credential.as_ref().map(read).transpose();
    let texts = texts.map_err(|source| StartError::Credential {
        mirror: spec.id.clone(),
        source,
    })?;
    let given = credential.as_ref().zip(texts);
    let settings = RemoteSettings {
        credential: given
            .as_ref()
            .and_then(|(credential, texts)| assembled(credential, texts)),
        ..settings(git)?
    };
    let remote = SmartRemote::new(url, settings).map_err(|error| unusable(RemoteError::Transport(error)))?;
    let remote = Arc::new(remote);
    let renewable = given.map(|(credential, texts)| Renewable {
        remote: Arc::clone(&remote),
        credential: credential.clone(),
        texts,
    });
    Ok((remote, renewable))
}

/// A repository whose credential can be replaced while it is used.
pub(crate) struct Renewable {
    remote: Arc<SmartRemote>,
    credential: RepositoryCredential,
    /// What the references led to when it was opened.
    texts: Vec<SecretString>,
}

impl Renewable {
    /// Returns the secret that it was opened with.
    pub(crate) fn secret(&self) -> Option<&SecretString> {
        self.texts.first()
    }

    /// Returns the pieces of the credential, the secret first: where each comes from, and what it was.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (CredentialRef, SecretString)> {
        let references = references(&self.credential).into_iter().cloned();
        references.zip(self.texts.iter().cloned())
    }

    /// Uses other pieces from the next conversation on.
    ///
    /// # Errors
    /// Pieces that make no credential; then the former one stays.
    pub(crate) fn renew(&self, texts: &[SecretString]) -> Result<(), TransportError> {
        match assembled(&self.credential, texts) {
            Some(credential) => self.remote.renew(credential),
            None => Ok(()),
        }
    }
}

/// Checks what the repositories of all mirrors are talked to with, if any is behind a server.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn check_shared(config: &Config) -> Result<(), StartError> {
    let mut repositories = config.mirrors.iter().map(|spec| &spec.repository);
    if repositories.any(|repository| matches!(repository, RepositorySpec::Remote { .. })) {
        settings(&config.git)?;
    }
    Ok(())
}

/// Opens a repository as a stranger would, with nothing to prove anything by.
///
/// # Errors
/// An address that may not be used, or settings that cannot be.
pub(crate) fn for_strangers(
    mirror: &MirrorId,
    url: &Url,
    git: &GitConfig,
    timeout: Duration,
) -> Result<SmartRemote, StartError> {
    let unusable = |problem| StartError::Visibility {
        mirror: mirror.clone(),
        source: problem,
    };
    let url: RepositoryUrl = url
        .as_str()
        .parse()
        .map_err(|error| unusable(Unaskable::Url(error)))?;
    let settings = RemoteSettings {
        timeouts: Timeouts {
            connect: timeout,
            idle: timeout,
            total: timeout,
        },
        ..settings(git)?
    };
    SmartRemote::new(&url, settings).map_err(|error| unusable(Unaskable::Remote(error)))
}

/// Why nobody can be asked who may read a repository.
#[derive(Debug, Error)]
pub enum Unaskable {
    #[error("`visibility_url` is no address of a repository")]
    Url(#[source] InvalidRepositoryUrl),
    #[error(transparent)]
    Remote(TransportError),
}

/// What all repositories are talked to with, without what opens one.
fn settings(git: &GitConfig) -> Result<RemoteSettings, StartError> {
    let certificates_pem = match &git.certificates {
        None => Vec::new(),
        Some(path) => {
            files::read(path, files::CERTIFICATES_BYTES_MAX).map_err(|source| StartError::Certificates {
                path: path.clone(),
                source,
            })?
        }
    };
    let user = proxy_user(git).map_err(StartError::ProxyCredential)?;
    Ok(RemoteSettings {
        addresses: git.addresses.clone(),
        proxy: git.proxy.clone().map(|url| ProxySettings { url, user }),
        certificates_pem,
        timeouts: git.timeouts,
        ..RemoteSettings::default()
    })
}

/// Reads what the proxy asks for: the name of a user and the password; none where it asks for nothing.
///
/// # Errors
/// A reference that leads nowhere.
pub(crate) fn proxy_user(git: &GitConfig) -> Result<Option<(String, SecretString)>, CredentialError> {
    let Some((user, password)) = &git.proxy_credential else {
        return Ok(None);
    };
    Ok(Some((user.clone(), password.read()?)))
}

/// Reads the key that a mirror's commits are signed with, if there is to be one.
///
/// # Errors
/// A reference that leads nowhere, or a key that cannot be used.
pub fn signing_key(spec: &MirrorSpec) -> Result<Option<SigningKey>, StartError> {
    let Some(reference) = &spec.signing_key else {
        return Ok(None);
    };
    let text = reference.read().map_err(|source| StartError::SigningKeyUnread {
        mirror: spec.id.clone(),
        source,
    })?;
    let key = SigningKey::parse(text.expose_secret()).map_err(|source| StartError::SigningKey {
        mirror: spec.id.clone(),
        source,
    })?;
    Ok(Some(key))
}

/// Returns what a credential is made of, the secret first.
fn references(credential: &RepositoryCredential) -> Vec<&CredentialRef> {
    match credential {
        RepositoryCredential::Token { user: _, token } => vec![token],
        RepositoryCredential::SshKey {
            private_key,
            known_hosts,
        } => vec![private_key, known_hosts],
    }
}

/// Puts a credential together from what its references led to, in their order.
fn assembled(credential: &RepositoryCredential, texts: &[SecretString]) -> Option<Credential> {
    match (credential, texts) {
        (RepositoryCredential::Token { user: None, .. }, [token]) => Some(Credential::token(token.clone())),
        (RepositoryCredential::Token { user: Some(user), .. }, [token]) => Some(Credential::Basic {
            user: user.clone(),
            password: token.clone(),
        }),
        (RepositoryCredential::SshKey { .. }, [private_key, known_hosts]) => Some(Credential::SshKey {
            private_key: private_key.clone(),
            known_hosts: known_hosts.expose_secret().to_owned(),
        }),
        // There are as many texts as references.
        (RepositoryCredential::Token { .. } | RepositoryCredential::SshKey { .. }, _) => None,
    }
}
