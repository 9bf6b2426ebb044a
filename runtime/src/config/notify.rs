//! How admins are told.

use crate::credential::CredentialRef;
use std::{path::PathBuf, time::Duration};

/// How messages to admins are sent, for all mirrors.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// None: no e-mail can be sent.
    pub smtp: Option<SmtpConfig>,
    /// A message that has not arrived after so long never will.
    pub give_up_after: Duration,
    /// Messages stay in the database so long after they were made.
    pub keep: Duration,
    /// For one message.
    pub timeout: Duration,
}

/// The operator's mail server.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    /// Name and password, where it wants them.
    pub login: Option<(String, CredentialRef)>,
    /// Whom messages are from.
    pub from: String,
    /// PEM file of a certificate authority to trust beside the system's.
    pub certificates: Option<PathBuf>,
}

/// What protects a message on its way to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmtpSecurity {
    /// TLS after the greeting; without it nothing is sent.
    #[serde(rename = "starttls")]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Nothing; only to this machine itself.
    Plain,
}
