//! The ways to people: e-mail, Slack, and a webhook that any program can take.

use super::{
    email::{self, Mailer},
    message::Message,
    web::{self, WebClient},
};
use crate::{
    config::{Config, NotifyConfig},
    credential::{CredentialError, CredentialRef},
};
use reqwest::Url;
use std::{fmt, time::Duration};
use thiserror::Error;

/// An address of a mirror's admins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Email {
        address: String,
    },
    /// An incoming webhook; its address is the credential.
    Slack {
        url: CredentialRef,
    },
    /// A signed webhook (Standard Webhooks).
    Webhook {
        url: Url,
        /// One or several, of which the newest comes first; each message is signed with all.
        secret: CredentialRef,
    },
}

impl Target {
    /// Returns what the address is known by in the outbox: the same as long as it is the same address, and no secret.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Email { address } => format!("email:{address}"),
            Self::Slack { url } => format!("slack:{url}"),
            Self::Webhook { url, .. } => format!("webhook:{url}"),
        }
    }

    /// Returns the kind of channel, for labels and status.
    #[must_use]
    pub fn channel(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// Returns the kind of channel of a key that [`Target::key`] made.
#[must_use]
pub fn channel_of(key: &str) -> &'static str {
    match key.split_once(':') {
        Some(("email", _)) => "email",
        Some(("slack", _)) => "slack",
        _ => "webhook",
    }
}

/// Why a message could not be delivered. Tells neither addresses nor what the other side said but in our words.
#[derive(Debug, Error)]
pub enum ChannelError {
    #[error("the credential of the channel cannot be read")]
    Credential(#[from] CredentialError),
    #[error("`notify.smtp` is not set, so no e-mail can be sent")]
    NoMailServer,
    #[error("`notify.smtp` cannot be used: {problem}")]
    MailSettings { problem: String },
    #[error("the address is not one that mail can be sent to")]
    MailAddress,
    #[error("the mail server refused the message{}", code.map(|code| format!(" (code {code})")).unwrap_or_default())]
    MailRefused { code: Option<u16> },
    #[error("the mail server cannot be reached, or broke off: {problem}")]
    MailUnreachable { problem: String },
    #[error(
        "the secret of the webhook is no Standard Webhooks secret; it is `whsec_` and base64 of 24 to 64 bytes"
    )]
    WebhookSecret,
    #[error("the address is not allowed: {problem}")]
    AddressRefused { problem: String },
    #[error("the address cannot be used; it must be `https://host/path`")]
    Address,
    #[error("the other side answered with status {status}")]
    Answered {
        status: u16,
        retry_after: Option<Duration>,
    },
    #[error("the other side cannot be reached: {problem}")]
    Unreachable { problem: String },
}

impl ChannelError {
    /// Returns how long the other side asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Everything that messages are sent with.
pub struct Channels {
    web: WebClient,
    mailer: Option<Mailer>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

impl Channels {
    /// Prepares the channels; nothing is connected yet.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn open(config: &Config) -> Result<Self, ChannelError> {
        let NotifyConfig { smtp, timeout, .. } = &config.notify;
        Ok(Self {
            web: WebClient::open(&config.git, *timeout)?,
            mailer: smtp
                .as_ref()
                .map(|smtp| Mailer::open(smtp, *timeout))
                .transpose()?,
        })
    }

    /// Sends a message to one address.
    ///
    /// # Errors
    /// Whatever keeps it from arriving; it may have arrived all the same.
    pub async fn send(&self, target: &Target, message: &Message) -> Result<(), ChannelError> {
        match target {
            Target::Email { address } => match &self.mailer {
                Some(mailer) => mailer.send(&email::Letter::new(address, message)?).await,
                None => Err(ChannelError::NoMailServer),
            },
            Target::Slack { url } => self.web.slack(&url.read()?, message).await,
            Target::Webhook { url, secret } => {
                let secrets = web::secrets(&secret.read()?)?;
                self.web
                    .webhook(url, &secrets, message, crate::system::wall_clock())
                    .await
            }
        }
    }
}
