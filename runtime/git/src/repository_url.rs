//! Where a repository is, as a customer may write it.

use reqwest::Url;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The address of a repository: `https://`, `ssh://` or `user@host:path`; `http://` and `git://` are parsed too, and
/// refused later unless the operator allows them.
///
/// It holds no credentials: a URL with a password is refused, since URLs end up in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    /// None is the scheme's own.
    pub(crate) port: Option<u16>,
    /// The path, as the scheme sends it; with a leading `/`, except for `user@host:path`.
    pub(crate) path: String,
    /// The login name, for SSH only.
    pub(crate) user: Option<String>,
}

/// How a repository is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Https,
    Http,
    Ssh,
    Git,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
        }
    }

    pub(crate) fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
            Self::Git => 9418,
        }
    }
}

/// A text that is no address of a repository. The text itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the repository's URL {problem}")]
pub struct InvalidRepositoryUrl {
    pub problem: &'static str,
}

const BYTES_MAX: usize = 2048;

impl RepositoryUrl {
    /// Returns what tells repositories apart, whatever the way to them.
    #[must_use]
    pub fn identity(&self) -> String {
        let path = self.path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        format!("//{}/{}", self.host, path.to_lowercase())
    }

    /// Returns the host, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the scheme: `https`, `http`, `ssh` or `git`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme.as_str()
    }

    pub(crate) fn port_or_default(&self) -> u16 {
        self.port.unwrap_or_else(|| self.scheme.default_port())
    }

    /// Returns the host without the brackets of an IPv6 address.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn parse(raw: &str) -> Result<Self, &'static str> {
        if raw.len() > BYTES_MAX {
            return Err("is longer than 2,048 bytes");
        }
        if raw.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("has a space or a control character");
        }
        if raw.contains("::") && !raw.contains("://") {
            return Err("names a remote helper, which is never run");
        }
        let Some((scheme, rest)) = raw.split_once("://") else {
            return Self::parse_scp(raw);
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            "ssh" | "git+ssh" | "ssh+git" => Scheme::Ssh,
            "git" => Scheme::Git,
            _ => return Err("must begin with https:// or ssh://"),
        };
        // For the parser all schemes are alike; a non-special one would leave the host as it is.
        let url = Url::parse(&format!("https://{rest}")).map_err(|_| "cannot be parsed")?;
        if url.password().is_some() {
            return Err("has a password; put it into the mirror's credential");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a `?` or a `#`");
        }
        let host = url.host_str().ok_or("has no host")?.to_owned();
        let user = match (scheme, url.username()) {
            (_, "") => None,
            (Scheme::Ssh, user) => Some(checked_user(user)?),
            _ => return Err("has a user name; put it into the mirror's credential"),
        };
        // 443 is what the parser leaves out, whatever the real scheme.
        let port = match (url.port(), rest.split('/').next()) {
            (None, Some(authority)) if authority.ends_with(":443") => Some(443),
            (port, _) => port,
        };
        let path = match scheme {
            Scheme::Https | Scheme::Http => url.path().trim_end_matches('/').to_owned(),
            Scheme::Ssh | Scheme::Git => raw_path(rest)?,
        };
        let url = Self {
            scheme,
            host,
            port: port.filter(|port| *port != scheme.default_port()),
            path,
            user,
        };
        url.checked()
    }

    /// Parses `user@host:path`, which is SSH.
    fn parse_scp(raw: &str) -> Result<Self, &'static str> {
        let (authority, path) = raw.split_once(':').ok_or("must begin with https:// or ssh://")?;
        let (user, host) = authority
            .split_once('@')
            .ok_or("must begin with https:// or ssh://")?;
        let url = Self {
            scheme: Scheme::Ssh,
            host: host.to_ascii_lowercase(),
            port: None,
            path: path.to_owned(),
            user: Some(checked_user(user)?),
        };
        url.checked()
    }

    fn checked(self) -> Result<Self, &'static str> {
        let host = self.bare_host();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.starts_with(['-', '.']) || !host.chars().all(allowed) {
            return Err("has a host that is no host name");
        }
        let path = self.path.trim_start_matches('/');
        if path.is_empty() {
            return Err("names no repository");
        }
        if path.starts_with('-') || self.path.starts_with('-') {
            return Err("has a path that would be taken for an option");
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err("has a `.` or `..` in its path");
        }
        Ok(self)
    }
}

fn checked_user(user: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if user.is_empty() || user.len() > 64 || user.starts_with('-') || !user.chars().all(allowed) {
        return Err("has a user that is no login name");
    }
    Ok(user.to_owned())
}

/// SSH and `git:` send the path as it is written.
fn raw_path(rest: &str) -> Result<String, &'static str> {
    let path = rest.split_once('/').map(|(_, path)| format!("/{path}"));
    let path = path.ok_or("names no repository")?;
    if path.contains('%') {
        return Err("has a `%` in its path; write the character itself");
    }
    Ok(path)
}

impl FromStr for RepositoryUrl {
    type Err = InvalidRepositoryUrl;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::parse(raw).map_err(|problem| InvalidRepositoryUrl { problem })
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self
            .user
            .as_ref()
            .map(|user| format!("{user}@"))
            .unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        if self.path.starts_with('/') {
            write!(
                f,
                "{}://{user}{}{port}{}",
                self.scheme.as_str(),
                self.host,
                self.path
            )
        } else {
            write!(f, "{user}{}:{}", self.host, self.path)
        }
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (raw, shown, host, port) in [
            (
                "https://github.com/a/b.git",
                "https://github.com/a/b.git",
                "github.com",
                443,
            ),
            (
                "https://GitHub.com/a/b/",
                "https://github.com/a/b",
                "github.com",
                443,
            ),
            (
                "https://git.example.com:8443/a b".replace(' ', "%20").as_str(),
                "https://git.example.com:8443/a%20b",
                "git.example.com",
                8443,
            ),
            ("http://h:443/a", "http://h:443/a", "h", 443),
            (
                "git@github.com:a/b.git",
                "git@github.com:a/b.git",
                "github.com",
                22,
            ),
            (
                "ssh://git@h:2222/srv/a.git",
                "ssh://git@h:2222/srv/a.git",
                "h",
                2222,
            ),
            ("ssh://h/~me/a", "ssh://h/~me/a", "h", 22),
            ("git://[::1]:1/a", "git://[::1]:1/a", "[::1]", 1),
            (
                "https://dev.azure.com/org/proj/_git/repo",
                "https://dev.azure.com/org/proj/_git/repo",
                "dev.azure.com",
                443,
            ),
        ] {
            let url: RepositoryUrl = raw.parse().unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.host(), url.port_or_default()),
                (shown, host, port),
                "{raw}"
            );
            assert_eq!(shown.parse::<RepositoryUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_could_do_harm_is_refused_without_repeating_it() {
        for raw in [
            "",
            "file:///etc/passwd",
            "/srv/a.git",
            "ext::sh -c id",
            "ext::id",
            "https://user:s3cret@h/a",
            "https://s3cret@h/a",
            "ssh://u:s3cret@h/a",
            "ssh://-oProxyCommand=s3cret/a",
            "ssh://-o@h/a",
            "-oProxyCommand=x@h:a",
            "u@-h:a",
            "u@h:-a",
            "u@h:",
            "git@h:a/../b",
            "ssh://h/-a",
            "ssh://h/a%0ab",
            "https://h",
            "https://h/",
            "https://h/a?x",
            "https://h/a#x",
            "https://h/a\nb",
            "ftp://h/a",
            "javascript://h/a",
        ] {
            let error = raw.parse::<RepositoryUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{raw}: {error}");
        }
    }
}
