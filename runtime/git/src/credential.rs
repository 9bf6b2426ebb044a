//! What proves to a remote who we are.

mod hiding;

pub(crate) use hiding::Hiding;
use secrecy::SecretString;
use std::fmt;

/// A secret that a remote asks for. Nothing of it is ever shown.
#[derive(Clone)]
pub enum Credential {
    /// A user name with a password or, at most forges, a token in its place.
    Basic { user: String, password: SecretString },
    /// A token that is sent as it is (`Authorization: Bearer`).
    Bearer(SecretString),
    /// A private key, as `ssh-keygen` writes it, without a passphrase.
    SshKey {
        private_key: SecretString,
        /// The server's keys, one a line as in a `known_hosts` file. No other server is talked to.
        known_hosts: String,
    },
}

impl Credential {
    /// A token as GitHub, GitLab, Gitea and Azure DevOps take it.
    #[must_use]
    pub fn token(token: SecretString) -> Self {
        Self::Basic {
            // GitHub takes any name, GitLab any but an empty one, and GitHub's own apps use this one.
            user: "x-access-token".to_owned(),
            password: token,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Credential::Basic",
            Self::Bearer(_) => "Credential::Bearer",
            Self::SshKey { .. } => "Credential::SshKey",
        })
    }
}
