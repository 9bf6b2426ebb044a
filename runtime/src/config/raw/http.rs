//! The listener, and who may post events.

use super::super::{ConfigError, HttpConfig, IngestToken, id, reference, value};
use mirror_core::ids::{ProjectId, Stack};
use serde::Deserialize;
use std::{net::SocketAddr, path::Path, time::Duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    listen: Option<SocketAddr>,
    ingest: Vec<Ingest>,
    backlog_max: u64,
    body_bytes_max: usize,
    connections_max: usize,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ingest {
    name: String,
    token: String,
    stack: String,
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
