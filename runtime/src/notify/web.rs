//! Slack and webhooks: one request each, to no address that repositories may not have.
//!
//! Webhooks are signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, and `webhook-signature` with a
//! `v1,<base64>` for each secret, over `<id>.<timestamp>.<body>`.

use super::{channel::ChannelError, message::Message};
use crate::{config::GitConfig, files};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use mirror_git::{AddressPolicy, PolicyResolver};
use reqwest::{
    Client, Response, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::{sync::Arc, time::Duration};

/// Nobody may ask for more patience.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What a webhook's messages are signed with.
pub(super) struct WebhookSecret(SecretString);

/// Parses what a reference led to: secrets, the newest first, with blanks between them.
pub(super) fn secrets(text: &SecretString) -> Result<Vec<WebhookSecret>, ChannelError> {
    let words = text.expose_secret().split_whitespace();
    let secrets = words.map(|word| {
        let encoded = word.strip_prefix("whsec_").unwrap_or(word);
        let bytes = BASE64.decode(encoded.as_bytes());
        match bytes {
            Ok(bytes) if SECRET_BYTES.contains(&bytes.len()) => Ok(WebhookSecret(encoded.into())),
            _ => Err(ChannelError::WebhookSecret),
        }
    });
    let secrets: Vec<_> = secrets.collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        return Err(ChannelError::WebhookSecret);
    }
    Ok(secrets)
}

/// Returns the value of `webhook-signature`.
fn signatures(secrets: &[WebhookSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signed = secrets.iter().map(|WebhookSecret(encoded)| {
        let key = BASE64
            .decode(encoded.expose_secret().as_bytes())
            .unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

/// Sends requests to addresses that customers have named.
pub(super) struct WebClient {
    client: Client,
    addresses: AddressPolicy,
}

impl WebClient {
    pub(super) fn open(git: &GitConfig, timeout: Duration) -> Result<Self, ChannelError> {
        let unusable = |problem: &str| ChannelError::Unreachable {
            problem: problem.to_owned(),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("kbc-mirror/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .redirect(Policy::none())
            .no_proxy();
        let mut proxy_host = None;
        if let Some(proxy) = &git.proxy {
            let url = Url::parse(proxy).map_err(|_| unusable("`git.proxy` is no address"))?;
            proxy_host = url.host_str().map(str::to_owned);
            let mut proxy = reqwest::Proxy::all(url).map_err(|_| unusable("`git.proxy` cannot be used"))?;
            let user = crate::repository::proxy_user(git)
                .map_err(|_| unusable("`git.proxy_credential.password` cannot be read"))?;
            if let Some((user, password)) = user {
                proxy = proxy.basic_auth(&user, password.expose_secret());
            }
            builder = builder.proxy(proxy);
        }
        if let Some(path) = &git.certificates {
            let pem = files::read(path, files::CERTIFICATES_BYTES_MAX)
                .map_err(|_| unusable("`git.certificates` cannot be read"))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| unusable("`git.certificates` is no PEM file"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let resolver = PolicyResolver::new(git.addresses.clone(), proxy_host);
        let client = builder.dns_resolver(Arc::new(resolver)).build();
        Ok(Self {
            client: client.map_err(|_| unusable("TLS cannot start"))?,
            addresses: git.addresses.clone(),
        })
    }

    pub(super) async fn slack(&self, url: &SecretString, message: &Message) -> Result<(), ChannelError> {
        let url = Url::parse(url.expose_secret()).map_err(|_| ChannelError::Address)?;
        let request = self.client.post(self.permitted(&url)?).json(&message.slack());
        answered(request.send().await)
    }

    pub(super) async fn webhook(
        &self,
        url: &Url,
        secrets: &[WebhookSecret],
        message: &Message,
        now: Timestamp,
    ) -> Result<(), ChannelError> {
        let (body, timestamp) = (message.payload().to_string(), now.as_second());
        let request = self
            .client
            .post(self.permitted(url)?)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                signatures(secrets, &message.id, timestamp, &body),
            )
            .body(body);
        answered(request.send().await)
    }

    /// Names are judged when they are resolved; what is no name is judged here.
    fn permitted(&self, url: &Url) -> Result<Url, ChannelError> {
        if !self.addresses.permits_scheme(url.scheme()) || !matches!(url.scheme(), "https" | "http") {
            return Err(ChannelError::Address);
        }
        let literal = url.host_str().unwrap_or_default();
        let literal = literal.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse() {
            let checked = self.addresses.check(address);
            checked.map_err(|error| ChannelError::AddressRefused {
                problem: error.to_string(),
            })?;
        }
        Ok(url.clone())
    }
}

fn answered(outcome: reqwest::Result<Response>) -> Result<(), ChannelError> {
    let response = match outcome {
        Ok(response) => response,
        // The address of an incoming webhook is a secret.
        Err(error) => {
            return Err(ChannelError::Unreachable {
                problem: crate::app::chain(&error.without_url()),
            });
        }
    };
    if response.status().is_success() {
        return Ok(());
    }
    let seconds = response.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(ChannelError::Answered {
        status: response.status().as_u16(),
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        let secrets = secrets(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = signatures(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let both = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let secrets = secrets(&both.into()).unwrap();
        let signed = signatures(&secrets, "msg_1", 1, "{}");
        assert_eq!(signed.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused() {
        for text in ["", "   ", "whsec_", "hunter2", "whsec_c2hvcnQ="] {
            assert!(secrets(&text.into()).is_err(), "{text}");
        }
    }
}
