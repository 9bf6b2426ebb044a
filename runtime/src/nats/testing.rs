//! Settings for tests against a server of their own.

use crate::config::{JetStreamConfig, NatsAuth, NatsTls};
use nats_server::NatsServer;
use std::time::Duration;

pub(crate) fn config(servers: &[&NatsServer], replicas: usize) -> JetStreamConfig {
    JetStreamConfig {
        servers: servers.iter().map(|server| server.url()).collect(),
        auth: NatsAuth::Nothing,
        tls: NatsTls::default(),
        prefix: "KBC".to_owned(),
        replicas,
        dedupe: Duration::from_secs(7200),
        log_bytes_max: 1 << 30,
        events_bytes_max: 1 << 30,
        events_stack: None,
        lease: Duration::from_secs(3),
        worker: None,
    }
}
