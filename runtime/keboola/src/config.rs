//! How a client is set up.

use crate::KeboolaError;
use reqwest::Url;
use secrecy::SecretString;

/// What a client needs to know; `ClientConfig::new` fills in the rest.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Address of the stack, such as `https://connection.keboola.com`: `https`, or `http` to a
    /// loopback address only.
    pub base_url: String,
    /// Storage API token. One token is one project.
    pub token: SecretString,
    /// How long connecting may take.
    pub connect_timeout_ms: u64,
    /// How long the next piece of an answer may take.
    pub read_timeout_ms: u64,
    /// How long one call may take with all its retries. A stream spends it only while it waits.
    pub total_timeout_ms: u64,
    /// Largest answer after decompression; of a stream, the largest item.
    pub response_bytes_max: usize,
    /// How often a call is repeated after a temporary failure.
    pub retries_max: u32,
    /// Wait before the first retry, doubled for each further one.
    pub backoff_ms_min: u64,
    /// Longest wait that doubling may reach.
    pub backoff_ms_max: u64,
    /// Longest `Retry-After` to sit out; a longer one ends the call and is told in the error.
    pub retry_after_ms_max: u64,
    /// How many requests may be under way at once. No limit of the API is published; stay modest.
    pub parallel_max: usize,
    pub user_agent: String,
    /// Where the jitter of the waits starts; give each process another.
    pub jitter_seed: u64,
}

impl ClientConfig {
    /// Returns the configuration with the defaults for everything but address and token.
    #[must_use]
    pub fn new(base_url: impl Into<String>, token: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            token,
            connect_timeout_ms: 10_000,
            read_timeout_ms: 60_000,
            total_timeout_ms: 300_000,
            response_bytes_max: 64 << 20,
            retries_max: 5,
            backoff_ms_min: 100,
            backoff_ms_max: 3_000,
            retry_after_ms_max: 30_000,
            parallel_max: 8,
            user_agent: concat!("kbc-mirror/", env!("CARGO_PKG_VERSION")).into(),
            jitter_seed: 0,
        }
    }
}

/// Parses an address that the token may be sent to.
///
/// # Errors
/// Anything but a bare `https` origin, or `http` to a loopback address.
pub(crate) fn parse_origin(field: &'static str, raw: &str) -> Result<Url, KeboolaError> {
    let refuse = |problem| KeboolaError::Settings { field, problem };
    let url = Url::parse(raw).map_err(|_| refuse("not a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(refuse("plain http to another machine; use https")),
        _ => return Err(refuse("neither https nor http")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a URL with credentials; give the token in its own field"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("a URL with a query; give the origin only"));
    }
    Ok(url)
}

/// Says whether the address is this machine; names other than `localhost` are not looked up.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Result<(), &str>) {
        let found = parse_origin("base_url", raw)
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert_eq!(
            found,
            expected.map_err(|problem| format!("setting `base_url` is {problem}")),
            "{raw}"
        );
    }

    #[test]
    fn the_token_goes_to_https_or_to_this_machine() {
        check("https://connection.keboola.com", Ok(()));
        check("https://connection.keboola.com/", Ok(()));
        check("http://127.0.0.1:8080", Ok(()));
        check("http://[::1]:8080", Ok(()));
        check("http://localhost", Ok(()));
        check(
            "http://connection.keboola.com",
            Err("plain http to another machine; use https"),
        );
        check(
            "http://127.0.0.1.example.com",
            Err("plain http to another machine; use https"),
        );
        check("http://10.0.0.1", Err("plain http to another machine; use https"));
        check("ftp://127.0.0.1", Err("neither https nor http"));
        check(
            "https://me:secret@connection.keboola.com",
            Err("a URL with credentials; give the token in its own field"),
        );
        check(
            "https://connection.keboola.com/?x=1",
            Err("a URL with a query; give the origin only"),
        );
        check("connection.keboola.com", Err("not a URL"));
    }

    #[test]
    fn printing_a_configuration_does_not_tell_the_token() {
        let config = ClientConfig::new("https://connection.keboola.com", SecretString::from("12-3-tok"));
        assert!(!format!("{config:?}").contains("tok\""));
        assert!(!format!("{config:?}").contains("12-3-tok"));
    }
}
