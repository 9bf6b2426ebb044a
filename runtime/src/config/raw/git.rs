//! Repositories: where they are, what opens them, how they are talked to, who may read them.

use super::super::{
    ConfigError, GitConfig, RepositoryCredential, RepositorySpec, VisibilityConfig, reference, value,
};
use crate::credential::CredentialRef;
use mirror_git::{AddressPolicy, Network, RepositoryUrl, Timeouts};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Visibility {
    /// Names of hosts whose repositories are private, whatever they say to strangers.
    private_hosts: Vec<String>,
    /// Milliseconds between two looks, 1000 to 86400000; before a push with samples it is looked in any case.
    check_every_ms: u64,
    /// Milliseconds for one request, 100 to 60000.
    timeout_ms: u64,
}

impl Default for Visibility {
    fn default() -> Self {
        Self {
            private_hosts: Vec::new(),
            check_every_ms: 3_600_000,
            timeout_ms: 10_000,
        }
    }
}

#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Credential {
    /// Name that the token belongs to, where the server cares.
    user: Option<String>,
    /// Reference to a token or password, for `https:`.
    token: Option<String>,
    /// Reference to a private key (OpenSSH), for `ssh:`.
    private_key: Option<String>,
    /// Reference to the server's public keys, as in a `known_hosts` file; needed with `private_key`.
    known_hosts: Option<String>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Git {
    /// Networks such as `10.0.0.0/8` in which repositories and webhooks may be, although they are private.
    allow_networks: Vec<String>,
    /// Whether `http:` may be used: credentials go over the network in plain text.
    allow_plain_http: bool,
    /// Whether `git:` may be used: nothing tells who the server is.
    allow_git_protocol: bool,
    /// PEM file of certificate authorities to trust beside the system's.
    certificates: Option<PathBuf>,
    /// Proxy for `http:` and `https:`, without credentials.
    proxy: Option<String>,
    /// What the proxy asks for.
    proxy_credential: Option<ProxyCredential>,
    /// Milliseconds for a connection to a repository, with TLS, 100 to 3600000.
    connect_timeout_ms: u64,
    /// Milliseconds without a single byte in either direction, 100 to 3600000; a server that runs hooks may be silent for a while.
    idle_timeout_ms: u64,
    /// Milliseconds for one request and its answer, such as a whole push, 100 to 86400000.
    total_timeout_ms: u64,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ProxyCredential {
    /// Name of the user, without `:`.
    user: String,
    /// Reference to the password.
    password: String,
}

impl Default for Git {
    fn default() -> Self {
        let Timeouts { connect, idle, total } = Timeouts::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            allow_networks: Vec::new(),
            allow_plain_http: false,
            allow_git_protocol: false,
            certificates: None,
            proxy: None,
            proxy_credential: None,
            connect_timeout_ms: ms(connect),
            idle_timeout_ms: ms(idle),
            total_timeout_ms: ms(total),
        }
    }
}

impl Git {
    pub(super) fn check(self, base: &Path) -> Result<GitConfig, ConfigError> {
        let mut addresses = AddressPolicy::default();
        for network in &self.allow_networks {
            let network = network.parse::<Network>();
            let problem = "has an entry that is no network such as `10.0.0.0/8`";
            addresses = addresses.allow_network(network.map_err(|_| value("git.allow_networks", problem))?);
        }
        if self.allow_plain_http {
            addresses = addresses.allow_plain_http();
        }
        if self.allow_git_protocol {
            addresses = addresses.allow_git_protocol();
        }
        if self.proxy.as_deref().is_some_and(has_credentials) {
            return Err(value(
                "git.proxy",
                "must be an address without user and password; put them into `proxy_credential = { user = \"…\", password = \"env:…\" }`",
            ));
        }
        let proxy_credential = self.proxy_credential.map(|credential| credential.check(base));
        let proxy_credential = proxy_credential.transpose()?;
        if proxy_credential.is_some() && self.proxy.is_none() {
            return Err(value("git.proxy_credential", "is there without a `proxy`"));
        }
        let time = |name: &str, ms: u64, most: u64| match (100..=most).contains(&ms) {
            true => Ok(Duration::from_millis(ms)),
            false => Err(value(
                format!("git.{name}"),
                format!("must be between 100 and {most}"),
            )),
        };
        let timeouts = Timeouts {
            connect: time("connect_timeout_ms", self.connect_timeout_ms, 3_600_000)?,
            idle: time("idle_timeout_ms", self.idle_timeout_ms, 3_600_000)?,
            total: time("total_timeout_ms", self.total_timeout_ms, 86_400_000)?,
        };
        for (name, part) in [
            ("connect_timeout_ms", timeouts.connect),
            ("idle_timeout_ms", timeouts.idle),
        ] {
            if part > timeouts.total {
                return Err(value(
                    format!("git.{name}"),
                    "must be at most `total_timeout_ms`, which ends the request before",
                ));
            }
        }
        Ok(GitConfig {
            addresses,
            certificates: self.certificates.map(|path| base.join(path)),
            proxy: self.proxy,
            proxy_credential,
            timeouts,
        })
    }
}

impl ProxyCredential {
    fn check(self, base: &Path) -> Result<(String, CredentialRef), ConfigError> {
        let Self { user, password } = self;
        if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
            return Err(value(
                "git.proxy_credential.user",
                "must be a name without `:` and control characters, which end it on the wire",
            ));
        }
        let password = reference("git.proxy_credential.password", &password, base)?;
        Ok((user, password))
    }
}

impl Visibility {
    pub(super) fn check(self) -> Result<VisibilityConfig, ConfigError> {
        let Self {
            private_hosts,
            check_every_ms,
            timeout_ms,
        } = self;
        if !(1_000..=86_400_000).contains(&check_every_ms) {
            return Err(value(
                "visibility.check_every_ms",
                "must be between 1000 and 86400000",
            ));
        }
        if !(100..=60_000).contains(&timeout_ms) {
            return Err(value("visibility.timeout_ms", "must be between 100 and 60000"));
        }
        let is_host = |host: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
            !host.is_empty() && host.chars().all(fits)
        };
        if !private_hosts.iter().all(is_host) {
            return Err(value(
                "visibility.private_hosts",
                "must be names of hosts, such as `git.example.com`, without scheme, port or path",
            ));
        }
        Ok(VisibilityConfig {
            private_hosts,
            check_every: Duration::from_millis(check_every_ms),
            timeout: Duration::from_millis(timeout_ms),
        })
    }
}

/// Says whether an address names a user, also one that is written without a scheme.
fn has_credentials(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|host| host.contains('@'))
}

/// Reads the address of a repository as a stranger would use it.
pub(super) fn web_address(key: &str, raw: &str) -> Result<Url, ConfigError> {
    let url =
        Url::parse(raw).map_err(|_| value(key, "is no address; it must be like `https://host/path.git`"))?;
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(value(key, "must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(value(
            key,
            "must have no user, password or query: it is asked for as a stranger would",
        ));
    }
    Ok(url)
}

pub(super) fn repository(
    key: &dyn Fn(&str) -> String,
    raw: &str,
    credential: &Credential,
    base: &Path,
) -> Result<RepositorySpec, ConfigError> {
    let Credential {
        user,
        token,
        private_key,
        known_hosts,
    } = credential;
    let reference = |name: &str, raw: &str| reference(&key(&format!("credential.{name}")), raw, base);
    let credential = match (token, private_key, known_hosts) {
        (None, None, None) => None,
        (Some(token), None, None) => Some(RepositoryCredential::Token {
            user: user.clone(),
            token: reference("token", token)?,
        }),
        (None, Some(private_key), Some(known_hosts)) => Some(RepositoryCredential::SshKey {
            private_key: reference("private_key", private_key)?,
            known_hosts: reference("known_hosts", known_hosts)?,
        }),
        _ => {
            return Err(value(
                key("credential"),
                "must be either `token` (perhaps with `user`), or `private_key` and `known_hosts`",
            ));
        }
    };
    let key = key("repository");
    if let Some(path) = raw.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(value(key, "has no path after `file:`"));
        }
        if credential.is_some() {
            return Err(value(key, "is on this machine and takes no credential"));
        }
        return Ok(RepositorySpec::LocalBare(base.join(path)));
    }
    let url: RepositoryUrl = raw.parse().map_err(|source| ConfigError::Repository {
        key: key.clone(),
        source,
    })?;
    match (url.scheme(), &credential) {
        ("ssh", Some(RepositoryCredential::SshKey { .. })) => {}
        ("ssh", _) => {
            return Err(value(
                key,
                "is `ssh`; its credential must be `private_key` and `known_hosts`",
            ));
        }
        (_, Some(RepositoryCredential::SshKey { .. })) => {
            return Err(value(key, "is not `ssh`; its credential must be a `token`"));
        }
        (_, Some(RepositoryCredential::Token { .. }) | None) => {}
    }
    Ok(RepositorySpec::Remote { url, credential })
}
