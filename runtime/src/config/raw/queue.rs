//! Where the event log is.

use super::super::{ConfigError, JetStreamConfig, NatsAuth, NatsTls, QueueConfig, id, reference, value};
use crate::credential::CredentialRef;
use mirror_core::ids::Stack;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// Which kind of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    #[default]
    Embedded,
    JetStream,
}

#[derive(Deserialize, JsonSchema, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Queue {
    /// Which kind of log. All other keys are for `jetstream`.
    backend: Backend,
    /// Addresses `nats://HOST:PORT` or `tls://HOST:PORT`, without credentials.
    servers: Option<Vec<String>>,
    /// How NATS lets us in.
    auth: Option<Auth>,
    /// How the connection is protected.
    tls: Option<Tls>,
    /// Begins the names of streams, buckets and subjects, 1 to 32 letters, digits, `-` or `_`. Not set: `KBC`.
    prefix: Option<String>,
    /// Copies of each stream: 1, 3 or 5. Not set: 3.
    replicas: Option<usize>,
    /// Minutes that a repeated event is known to be one, 10 to 43200. Not set: 120.
    dedupe_minutes: Option<u64>,
    /// Bytes of the log, past which events are refused; at least 64 MiB. Not set: 8 GiB.
    log_bytes_max: Option<u64>,
    /// The same for what publishers send and is not in the log yet. Not set: 2 GiB.
    events_bytes_max: Option<u64>,
    /// Whose events are published on `kbc.events.>`; needed where mirrors are of several stacks.
    events_stack: Option<String>,
    /// Milliseconds of silence after which a worker is taken for dead, 3000 to 300000. Not set: 15000.
    lease_ms: Option<u64>,
    /// Name of this process among the workers, 1 to 64 letters, digits, `-` or `_`. Not set: a random one.
    worker: Option<String>,
}

#[derive(Deserialize, JsonSchema, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Auth {
    /// User name; needs `password`.
    user: Option<String>,
    /// Reference to its password.
    password: Option<String>,
    /// Reference to a token.
    token: Option<String>,
    /// Reference to the seed of an nkey.
    nkey: Option<String>,
    /// Reference to a credentials file as `nsc` writes it.
    credentials: Option<String>,
}

#[derive(Deserialize, JsonSchema, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    /// Whether nothing goes without TLS, also where a server is `nats://`.
    required: bool,
    /// PEM file of certificate authorities to trust beside the system's.
    certificates: Option<PathBuf>,
    /// PEM file of our certificate; needs `key`.
    certificate: Option<PathBuf>,
    /// `file:PATH` of its key.
    key: Option<String>,
}

const DEDUPE_MINUTES: u64 = 120;
const REPLICAS: usize = 3;
const LOG_BYTES_MAX: u64 = 8 << 30;
const EVENTS_BYTES_MAX: u64 = 2 << 30;
const LEASE_MS: u64 = 15_000;

impl Queue {
    /// `stacks` are those of the mirrors.
    pub(super) fn check(self, base: &Path, stacks: &BTreeSet<Stack>) -> Result<QueueConfig, ConfigError> {
        let Self {
            backend,
            servers,
            auth,
            tls,
            prefix,
            replicas,
            dedupe_minutes,
            log_bytes_max,
            events_bytes_max,
            events_stack,
            lease_ms,
            worker,
        } = self;
        if backend == Backend::Embedded {
            let given = [
                ("servers", servers.is_some()),
                ("auth", auth.is_some()),
                ("tls", tls.is_some()),
                ("prefix", prefix.is_some()),
                ("replicas", replicas.is_some()),
                ("dedupe_minutes", dedupe_minutes.is_some()),
                ("log_bytes_max", log_bytes_max.is_some()),
                ("events_bytes_max", events_bytes_max.is_some()),
                ("events_stack", events_stack.is_some()),
                ("lease_ms", lease_ms.is_some()),
                ("worker", worker.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(value(
                    format!("queue.{key}"),
                    "is for `queue.backend = \"jetstream\"`; set that too, or take it out",
                )),
                None => Ok(QueueConfig::Embedded),
            };
        }
        let tls = tls.unwrap_or_default().check(base)?;
        let servers = servers.unwrap_or_default();
        let auth = auth.unwrap_or_default().check(base)?;
        check_servers(&servers, &auth, &tls)?;
        let prefix = prefix.unwrap_or_else(|| "KBC".to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=32).contains(&prefix.len()) || !prefix.bytes().all(plain) {
            return Err(value(
                "queue.prefix",
                "must be 1 to 32 letters, digits, `-` or `_`",
            ));
        }
        let replicas = replicas.unwrap_or(REPLICAS);
        if !matches!(replicas, 1 | 3 | 5) {
            return Err(value(
                "queue.replicas",
                "must be 3 or 5, or 1, which loses what it has with its one server",
            ));
        }
        let dedupe_minutes = dedupe_minutes.unwrap_or(DEDUPE_MINUTES);
        if !(10..=43_200).contains(&dedupe_minutes) {
            return Err(value("queue.dedupe_minutes", "must be between 10 and 43200"));
        }
        let lease_ms = lease_ms.unwrap_or(LEASE_MS);
        if !(3_000..=300_000).contains(&lease_ms) {
            return Err(value("queue.lease_ms", "must be between 3000 and 300000"));
        }
        let bytes_max = |key, given: Option<u64>, default| match given.unwrap_or(default) {
            bytes if bytes < 64 << 20 => Err(value(key, "must be at least 67108864 (64 MiB)")),
            bytes => Ok(bytes),
        };
        let events_stack = match (events_stack, stacks.iter().collect::<Vec<_>>().as_slice()) {
            (Some(raw), _) => {
                let stack = id("queue.events_stack", Stack::parse(&raw))?;
                if !stacks.contains(&stack) {
                    return Err(value(
                        "queue.events_stack",
                        "no mirror is of this stack, so nothing would come of its events",
                    ));
                }
                Some(stack)
            }
            (None, [only]) => Some((*only).clone()),
            (None, []) => None,
            (None, _) => {
                return Err(value(
                    "queue.events_stack",
                    "is needed, since the mirrors are of several stacks: subjects `kbc.events.<project>.<branch>.<type>` do not tell which one is meant",
                ));
            }
        };
        if let Some(worker) = &worker
            && (!(1..=64).contains(&worker.len()) || !worker.bytes().all(plain))
        {
            return Err(value(
                "queue.worker",
                "must be 1 to 64 letters, digits, `-` or `_`",
            ));
        }
        Ok(QueueConfig::JetStream(Box::new(JetStreamConfig {
            servers,
            auth,
            tls,
            prefix,
            replicas,
            dedupe: Duration::from_secs(dedupe_minutes * 60),
            log_bytes_max: bytes_max("queue.log_bytes_max", log_bytes_max, LOG_BYTES_MAX)?,
            events_bytes_max: bytes_max("queue.events_bytes_max", events_bytes_max, EVENTS_BYTES_MAX)?,
            events_stack,
            lease: Duration::from_millis(lease_ms),
            worker,
        })))
    }
}

impl Tls {
    fn check(self, base: &Path) -> Result<NatsTls, ConfigError> {
        let Self {
            required,
            certificates,
            certificate,
            key,
        } = self;
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                // The client of NATS reads it itself.
                let CredentialRef::File(key) = reference("queue.tls.key", &key, base)? else {
                    return Err(value("queue.tls.key", "must be a `file:PATH`"));
                };
                Some((base.join(certificate), key))
            }
            (None, None) => None,
            _ => return Err(value("queue.tls", "`certificate` and `key` go together")),
        };
        Ok(NatsTls {
            required,
            certificates: certificates.map(|path| base.join(path)),
            client,
        })
    }
}

impl Auth {
    fn check(self, base: &Path) -> Result<NatsAuth, ConfigError> {
        let Self {
            user,
            password,
            token,
            nkey,
            credentials,
        } = self;
        let refer = |name: &str, raw: &str| reference(&format!("queue.auth.{name}"), raw, base);
        match (user, password, token, nkey, credentials) {
            (None, None, None, None, None) => Ok(NatsAuth::Nothing),
            (Some(user), Some(password), None, None, None) => Ok(NatsAuth::User {
                user,
                password: refer("password", &password)?,
            }),
            (None, None, Some(token), None, None) => Ok(NatsAuth::Token(refer("token", &token)?)),
            (None, None, None, Some(seed), None) => Ok(NatsAuth::NKey(refer("nkey", &seed)?)),
            (None, None, None, None, Some(file)) => Ok(NatsAuth::Credentials(refer("credentials", &file)?)),
            _ => Err(value(
                "queue.auth",
                "must be one of `user` with `password`, `token`, `nkey` and `credentials`",
            )),
        }
    }
}

/// A password or token goes over the wire as it is, so only over TLS, or within the machine.
fn check_servers(servers: &[String], auth: &NatsAuth, tls: &NatsTls) -> Result<(), ConfigError> {
    const KEY: &str = "queue.servers";
    if servers.is_empty() {
        return Err(value(
            KEY,
            "is needed, such as [\"tls://nats-1.example.com:4222\"]",
        ));
    }
    for server in servers {
        let url = Url::parse(server).ok();
        let fits = |url: &Url| matches!(url.scheme(), "nats" | "tls") && url.host_str().is_some();
        let Some(url) = url.filter(fits) else {
            return Err(value(KEY, "each must be `nats://HOST:PORT` or `tls://HOST:PORT`"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(value(
                KEY,
                "must not hold credentials; put a reference into `queue.auth`",
            ));
        }
        let host = url.host_str().unwrap_or_default();
        let is_within = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let is_bare = matches!(auth, NatsAuth::User { .. } | NatsAuth::Token(_));
        if is_bare && !is_within && url.scheme() != "tls" && !tls.required {
            return Err(value(
                KEY,
                "a password or token would go over the network in plain text; write `tls://`, or use `nkey` or `credentials`",
            ));
        }
    }
    Ok(())
}
