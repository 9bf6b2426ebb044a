//! From a configured repository to a remote that can be talked to.

use crate::{
    config::{GitConfig, MirrorSpec, RepositoryCredential, RepositorySpec},
    credential::CredentialError,
    system::StartError,
};
use mirror_git::{Credential, LocalBare, ProxySettings, Remote, RemoteError, RemoteSettings, SmartRemote};
use secrecy::ExposeSecret;
use std::{fs, sync::Arc};

/// Opens a mirror's repository. One behind a server is not asked anything yet.
///
/// # Errors
/// A path without a repository, a credential that cannot be read, or settings that cannot be used.
pub fn open(spec: &MirrorSpec, git: &GitConfig) -> Result<Arc<dyn Remote>, StartError> {
    let unusable = |source| StartError::Repository {
        mirror: spec.id.clone(),
        source,
    };
    let (url, credential) = match &spec.repository {
        RepositorySpec::LocalBare(path) => return Ok(Arc::new(LocalBare::open(path).map_err(unusable)?)),
        RepositorySpec::Remote { url, credential } => (url, credential),
    };
    let credential = credential.as_ref().map(read).transpose();
    let credential = credential.map_err(|source| StartError::Credential {
        mirror: spec.id.clone(),
        source,
    })?;
    let certificates_pem = match &git.certificates {
        None => Vec::new(),
        Some(path) => fs::read(path).map_err(|source| StartError::Certificates {
            path: path.clone(),
            source,
        })?,
    };
    let settings = RemoteSettings {
        credential,
        addresses: git.addresses.clone(),
        proxy: git.proxy.clone().map(|url| ProxySettings { url, user: None }),
        certificates_pem,
        ..RemoteSettings::default()
    };
    let remote = SmartRemote::new(url, settings).map_err(|error| unusable(RemoteError::Transport(error)))?;
    Ok(Arc::new(remote))
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
