//! Telling admins: the operator's mail server, and the addresses of a mirror.

use super::super::{ConfigError, NotifyConfig, SmtpConfig, SmtpSecurity, reference, value};
use crate::notify::channel::Target;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notify {
    /// The operator's mail server, for `email` addresses.
    smtp: Option<Smtp>,
    /// Days that a notice is tried, 1 to 365.
    give_up_days: u32,
    /// Days that it is kept after that, 1 to 365.
    keep_days: u32,
    /// Milliseconds for one message, 1000 to 300000.
    timeout_ms: u64,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            smtp: None,
            give_up_days: 3,
            keep_days: 30,
            timeout_ms: 30_000,
        }
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct Smtp {
    /// Name of the mail server.
    host: String,
    /// Its port. Not set: the usual one of `security`.
    port: Option<u16>,
    /// What protects a message on its way to the server.
    #[serde(default = "starttls")]
    security: SmtpSecurity,
    /// Name to log in with.
    user: Option<String>,
    /// Reference to its password.
    password: Option<String>,
    /// Whom messages are from.
    from: String,
    /// PEM file of a certificate authority to trust beside the system's.
    certificates: Option<PathBuf>,
}

fn starttls() -> SmtpSecurity {
    SmtpSecurity::StartTls
}

/// One address of a mirror; exactly one of the three.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    /// E-mail address; needs `[notify.smtp]`.
    email: Option<String>,
    /// Reference to the address of a Slack webhook, which is a secret.
    slack: Option<String>,
    /// Address of a webhook.
    webhook: Option<String>,
    /// Reference to the secret that the webhook is signed with, `whsec_…`.
    secret: Option<String>,
}

impl Notify {
    pub(super) fn check(self, base: &Path) -> Result<NotifyConfig, ConfigError> {
        let Self {
            smtp,
            give_up_days,
            keep_days,
            timeout_ms,
        } = self;
        for (key, days) in [
            ("notify.give_up_days", give_up_days),
            ("notify.keep_days", keep_days),
        ] {
            if !(1..=365).contains(&days) {
                return Err(value(key, "must be between 1 and 365"));
            }
        }
        if !(1_000..=300_000).contains(&timeout_ms) {
            return Err(value("notify.timeout_ms", "must be between 1000 and 300000"));
        }
        let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        Ok(NotifyConfig {
            smtp: smtp.map(|smtp| smtp.check(base)).transpose()?,
            give_up_after: days(give_up_days),
            keep: days(keep_days),
            timeout: Duration::from_millis(timeout_ms),
        })
    }
}

impl Smtp {
    fn check(self, base: &Path) -> Result<SmtpConfig, ConfigError> {
        let Self {
            host,
            port,
            security,
            user,
            password,
            from,
            certificates,
        } = self;
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(value(
                "notify.smtp.host",
                "must be the name of a host, without scheme, port or path",
            ));
        }
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if security == SmtpSecurity::Plain && !is_here {
            return Err(value(
                "notify.smtp.security",
                "`plain` is only for a mail server on this machine; use `starttls` or `tls`",
            ));
        }
        if from.parse::<lettre::Address>().is_err() {
            return Err(value("notify.smtp.from", "is no e-mail address"));
        }
        let login = match (user, password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user, reference("notify.smtp.password", &password, base)?)),
            _ => return Err(value("notify.smtp", "`user` and `password` go together")),
        };
        let default_port = match security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::Plain => 25,
        };
        Ok(SmtpConfig {
            host,
            port: port.unwrap_or(default_port),
            security,
            login,
            from,
            certificates: certificates.map(|path| base.join(path)),
        })
    }
}

impl Address {
    pub(super) fn check(self, key: &str, base: &Path) -> Result<Target, ConfigError> {
        match self {
            Self {
                email: Some(address),
                slack: None,
                webhook: None,
                secret: None,
            } => {
                if address.parse::<lettre::Address>().is_err() {
                    return Err(value(format!("{key}.email"), "is no e-mail address"));
                }
                Ok(Target::Email { address })
            }
            Self {
                email: None,
                slack: Some(raw),
                webhook: None,
                secret: None,
            } => Ok(Target::Slack {
                url: reference(&format!("{key}.slack"), &raw, base)?,
            }),
            Self {
                email: None,
                slack: None,
                webhook: Some(raw),
                secret: Some(secret),
            } => Ok(Target::Webhook {
                url: webhook_url(&format!("{key}.webhook"), &raw)?,
                secret: reference(&format!("{key}.secret"), &secret, base)?,
            }),
            _ => Err(value(
                key,
                "must be `{ email = \"…\" }`, `{ slack = \"env:NAME\" }` with the address of an incoming webhook behind the reference, or `{ webhook = \"https://…\", secret = \"env:NAME\" }`",
            )),
        }
    }
}

fn webhook_url(key: &str, raw: &str) -> Result<Url, ConfigError> {
    let url =
        Url::parse(raw).map_err(|_| value(key, "is no address; it must be like `https://host/path`"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(value(key, "must be an `https:` address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(value(
            key,
            "must hold no user and no password; messages are signed instead",
        ));
    }
    Ok(url)
}
