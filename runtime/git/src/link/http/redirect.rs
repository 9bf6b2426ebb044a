//! Following a redirect, as long as the credentials stay where they belong.

use crate::transport_error::TransportError;
use reqwest::Url;

const TAIL: &str = "/info/refs";

/// Returns where the repository is after a redirect of its advertisement.
///
/// Another host, port or a step from `https:` to `http:` is not followed: the operator allowed one origin and gave
/// credentials for it.
pub(super) fn follow(remote: &str, base: &Url, location: &str) -> Result<Url, TransportError> {
    let target = base_with_tail(base)
        .join(location)
        .map_err(|_| TransportError::Protocol {
            remote: remote.to_owned(),
            problem: "it redirects to something that is no URL".to_owned(),
        })?;
    let same_host = target.host_str() == base.host_str();
    let same_origin = same_host
        && target.scheme() == base.scheme()
        && target.port_or_known_default() == base.port_or_known_default();
    let upgrade = same_host
        && (base.scheme(), target.scheme()) == ("http", "https")
        && base.port().is_none()
        && target.port().is_none();
    let path = target.path();
    let repository = path.strip_suffix(TAIL).filter(|path| !path.is_empty());
    let is_login = ["sign_in", "signin", "login", "oauth", "saml"]
        .iter()
        .any(|word| path.to_ascii_lowercase().contains(word));
    match repository {
        Some(repository) if same_origin || upgrade => {
            let mut base = target.clone();
            base.set_path(repository);
            base.set_query(None);
            base.set_fragment(None);
            Ok(base)
        }
        Some(repository) if matches!(target.scheme(), "http" | "https") => Err(TransportError::Moved {
            remote: remote.to_owned(),
            to: shown(&target, repository),
        }),
        None if is_login => Err(TransportError::Credentials {
            remote: remote.to_owned(),
            said: "it redirects to a login page".to_owned(),
        }),
        _ => Err(TransportError::Protocol {
            remote: remote.to_owned(),
            problem: "it redirects to something that is no repository".to_owned(),
        }),
    }
}

fn base_with_tail(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{TAIL}", base.path().trim_end_matches('/')));
    url
}

/// Shows a URL without user, password, query and fragment.
fn shown(url: &Url, path: &str) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}{path}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_within_its_origin_only() {
        let check = |base: &str, location: &str| {
            let followed = follow("r", &Url::parse(base).unwrap(), location);
            match followed {
                Ok(url) => url.to_string(),
                Err(TransportError::Moved { to, .. }) => format!("moved {to}"),
                Err(TransportError::Credentials { .. }) => "login".to_owned(),
                Err(error) => error
                    .to_string()
                    .split(": ")
                    .nth(1)
                    .unwrap_or_default()
                    .to_owned(),
            }
        };
        for (base, location, expected) in [
            (
                "https://h/a/b",
                "https://h/c/d.git/info/refs?service=git-upload-pack",
                "https://h/c/d.git",
            ),
            ("https://h/a/b", "/c/d/info/refs?x", "https://h/c/d"),
            ("http://h/a", "https://h/a/info/refs", "https://h/a"),
            ("http://h:8080/a", "https://h/a/info/refs", "moved https://h/a"),
            ("https://h/a", "http://h/a/info/refs", "moved http://h/a"),
            ("https://h/a", "https://evil/a/info/refs", "moved https://evil/a"),
            (
                "https://h/a",
                "https://u:p@evil:1/a/info/refs?token=x#y",
                "moved https://evil:1/a",
            ),
            (
                "https://h/a",
                "https://h:444/a/info/refs",
                "moved https://h:444/a",
            ),
            ("https://h/a", "https://h/users/sign_in", "login"),
            (
                "https://h/a",
                "https://h/",
                "it redirects to something that is no repository; check the URL and what stands between",
            ),
            (
                "https://h/a",
                "file:///a/info/refs",
                "it redirects to something that is no repository; check the URL and what stands between",
            ),
        ] {
            assert_eq!(check(base, location), expected, "{location}");
        }
    }
}
