//! From a configured repository to a remote that can be talked to.

use crate::{
    config::{Config, GitConfig, MirrorSpec, RepositoryCredential, RepositorySpec},
    credential::CredentialError,
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
    open_with_secret(spec, git).map(|(remote, _)| remote)
}

/// Does the same, and returns what opens it beside it, for the guard.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_with_secret(
    spec: &MirrorSpec,
    git: &GitConfig,
) -> Result<(Arc<dyn Remote>, Option<SecretString>), StartError> {
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
    let credential = credential.as_ref().map(read).transpose();
    let credential = credential.map_err(|source| StartError::Credential {
        mirror: spec.id.clone(),
        source,
    })?;
    let secret = credential.as_ref().map(|credential| match credential {
        Credential::Basic { password, .. } => password.clone(),
        Credential::Bearer(token) => token.clone(),
        Credential::SshKey { private_key, .. } => private_key.clone(),
    });
    let settings = RemoteSettings {
        credential,
        ..settings(git)?
    };
    let remote = SmartRemote::new(url, settings).map_err(|error| unusable(RemoteError::Transport(error)))?;
    Ok((Arc::new(remote), secret))
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
    Ok(RemoteSettings {
        addresses: git.addresses.clone(),
        proxy: git.proxy.clone().map(|url| ProxySettings { url, user: None }),
        certificates_pem,
        ..RemoteSettings::default()
    })
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

fn read(credential: &RepositoryCredential) -> Result<Credential, CredentialError> {
    Ok(match credential {
        RepositoryCredential::Token { user: None, token } => Credential::token(token.read()?),
        RepositoryCredential::Token {
            user: Some(user),
            token,
        } => Credential::Basic {
            user: user.clone(),
            password: token.read()?,
        },
        RepositoryCredential::SshKey {
            private_key,
            known_hosts,
        } => Credential::SshKey {
            private_key: private_key.read()?,
            known_hosts: known_hosts.read()?.expose_secret().to_owned(),
        },
    })
}
