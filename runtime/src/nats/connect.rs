//! Connecting: addresses, TLS, and who we are.

use super::{Nats, NatsError};
use crate::{
    config::{JetStreamConfig, NatsAuth, NatsTls},
    credential::CredentialRef,
};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Older ones lose whole streams when they are killed, or have no atomic batches.
const VERSION_MIN: (i64, i64, i64) = (2, 14, 0);
const VERSION_NEEDED: &str = "2.14";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A start waits so long for a server that is not there yet.
const START_WITHIN: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Between two tries of a broken connection, growing up to this.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

const AUTH: &str = "queue.auth";

impl Nats {
    /// Connects; a server that cannot be reached is tried for half a minute.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn connect(config: &JetStreamConfig) -> Result<Self, NatsError> {
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        let servers = config.servers.join(", ");
        loop {
            let options = options(config)?;
            let error = match options.connect(config.servers.clone()).await {
                Ok(client) => {
                    let (major, minor, patch) = VERSION_MIN;
                    if !client.is_server_compatible(major, minor, patch) {
                        return Err(NatsError::TooOld {
                            found: client.server_info().version,
                            needed: VERSION_NEEDED,
                        });
                    }
                    return Ok(Self::new(client));
                }
                Err(error) => error,
            };
            let source = Arc::new(error);
            match source.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(NatsError::NotLetIn { servers, source });
                }
                ConnectErrorKind::ServerParse
                | ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Tls
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects => {
                    if tokio::time::Instant::now() >= deadline {
                        return Err(NatsError::Connect { servers, source });
                    }
                    tracing::warn!(
                        servers,
                        error = crate::app::chain(&*source),
                        "NATS cannot be reached yet; it is tried again"
                    );
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// Returns the secrets that let us in, so that they are never taken for content.
pub(crate) fn secrets(auth: &NatsAuth) -> Vec<SecretString> {
    let (NatsAuth::User { password: secret, .. }
    | NatsAuth::Token(secret)
    | NatsAuth::NKey(secret)
    | NatsAuth::Credentials(secret)) = auth
    else {
        return Vec::new();
    };
    secret.read().into_iter().collect()
}

fn options(config: &JetStreamConfig) -> Result<ConnectOptions, NatsError> {
    let read = |reference: &CredentialRef| {
        reference.read().map_err(|source| NatsError::Credential {
            key: AUTH,
            source: Arc::new(source),
        })
    };
    let mut options = ConnectOptions::new()
        .name("kbc-mirror")
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(Some(CONNECT_WITHIN))
        .reconnect_delay_callback(|attempts| {
            let exponent = u32::try_from(attempts.min(16)).unwrap_or(16);
            RECONNECT_MAX.min(Duration::from_millis(20) * 2_u32.pow(exponent.min(10)))
        })
        .event_callback(|event| async move { tell(&event) });
    match &config.auth {
        NatsAuth::Nothing => {}
        NatsAuth::User { user, password } => {
            let password = read(password)?;
            options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        }
        NatsAuth::Token(token) => options = options.token(read(token)?.expose_secret().to_owned()),
        NatsAuth::NKey(seed) => options = options.nkey(read(seed)?.expose_secret().trim().to_owned()),
        NatsAuth::Credentials(credentials) => {
            let credentials = read(credentials)?;
            options = options
                .credentials(credentials.expose_secret())
                .map_err(|_| NatsError::Setting {
                    key: AUTH,
                    problem: "it is no file of credentials, as `nsc generate creds` writes it".to_owned(),
                })?;
        }
    }
    let NatsTls {
        required,
        certificates,
        client,
    } = &config.tls;
    options = options.require_tls(*required);
    if let Some(path) = certificates {
        options = options.add_root_certificates(readable("queue.tls.certificates", path)?);
    }
    if let Some((certificate, key)) = client {
        let certificate = readable("queue.tls.certificate", certificate)?;
        options = options.add_client_certificate(certificate, readable("queue.tls.key", key)?);
    }
    Ok(options)
}

/// The client reads files only when it connects, and then does not name them.
fn readable(key: &'static str, path: &PathBuf) -> Result<PathBuf, NatsError> {
    std::fs::File::open(path).map_err(|source| NatsError::file(key, &source))?;
    Ok(path.clone())
}

fn tell(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is broken; it is made again"),
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(%event, "NATS tells of trouble");
        }
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!(%event, "NATS tells of a change");
        }
    }
}
