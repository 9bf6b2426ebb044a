//! The listener, and who may post events.

use super::super::{ConfigError, HttpConfig, IngestToken, id, reference, value};
use mirror_core::ids::{ProjectId, Stack};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path, time::Duration};

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    /// Address and port, such as `127.0.0.1:8080`. Not set: no listener.
    listen: Option<SocketAddr>,
    /// Who may post events and ask for the status.
    ingest: Vec<Ingest>,
    /// Events waiting for one project before its ingest answers 429.
    backlog_max: u64,
    /// Bytes of one request to the ingest.
    body_bytes_max: usize,
    /// Connections at a time, 1 to 1000000.
    connections_max: usize,
    /// Milliseconds for the head of a request, and again for its body, 100 to 600000.
    read_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: None,
            ingest: Vec::new(),
            backlog_max: 100_000,
            body_bytes_max: 4 << 20,
            connections_max: 256,
            read_timeout_ms: 30_000,
        }
    }
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct Ingest {
    /// Whom the token was given to; for the log.
    name: String,
    /// Reference to the bearer token.
    token: String,
    /// Stack whose events may be posted, such as `connection.keboola.com`.
    stack: String,
    /// Ids of the projects whose events may be posted. Not set: all of the stack.
    projects: Option<Vec<String>>,
}

impl Http {
    pub(super) fn check(self, base: &Path) -> Result<HttpConfig, ConfigError> {
        if !(1..=1_000_000).contains(&self.connections_max) {
            return Err(value("http.connections_max", "must be between 1 and 1000000"));
        }
        if !(100..=600_000).contains(&self.read_timeout_ms) {
            return Err(value("http.read_timeout_ms", "must be between 100 and 600000"));
        }
        let ingest = self.ingest.into_iter().enumerate().map(|(n, token)| {
            let key = |name: &str| format!("http.ingest[{n}].{name}");
            let projects = token.projects.map(|projects| {
                projects
                    .iter()
                    .map(|raw| id(&key("projects"), ProjectId::parse(raw)))
                    .collect::<Result<_, _>>()
            });
            Ok(IngestToken {
                name: token.name,
                token: reference(&key("token"), &token.token, base)?,
                stack: id(&key("stack"), Stack::parse(&token.stack))?,
                projects: projects.transpose()?,
            })
        });
        Ok(HttpConfig {
            listen: self.listen,
            ingest: ingest.collect::<Result<_, ConfigError>>()?,
            backlog_max: self.backlog_max,
            body_bytes_max: self.body_bytes_max,
            connections_max: self.connections_max,
            read_timeout: Duration::from_millis(self.read_timeout_ms),
        })
    }
}
