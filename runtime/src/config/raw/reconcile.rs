//! How often mirrors are compared with their sources.

use super::super::{ConfigError, ReconcileConfig, value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Of every time here; a month.
const EVERY_MS_MAX: u64 = 31 * 86_400_000;

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reconcile {
    /// Milliseconds between two comparisons by listing, 1000 to 2678400000; 0: never.
    every_ms: u64,
    /// Milliseconds that what happened is given to be told, at most 86400000.
    grace_ms: u64,
    /// Milliseconds between two comparisons by rendering everything; 0: never.
    render_every_ms: u64,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            every_ms: 86_400_000,
            grace_ms: 900_000,
            render_every_ms: 7 * 86_400_000,
        }
    }
}

impl Reconcile {
    pub(super) fn check(self) -> Result<ReconcileConfig, ConfigError> {
        let Self {
            every_ms,
            grace_ms,
            render_every_ms,
        } = self;
        let every = |key, every_ms| match every_ms {
            0 => Ok(None),
            1_000..=EVERY_MS_MAX => Ok(Some(Duration::from_millis(every_ms))),
            _ => Err(value(
                key,
                format!("must be between 1000 and {EVERY_MS_MAX}, or 0 for never"),
            )),
        };
        if grace_ms > 86_400_000 {
            return Err(value("reconcile.grace_ms", "must be at most 86400000"));
        }
        Ok(ReconcileConfig {
            every: every("reconcile.every_ms", every_ms)?,
            grace: Duration::from_millis(grace_ms),
            render_every: every("reconcile.render_every_ms", render_every_ms)?,
        })
    }
}
