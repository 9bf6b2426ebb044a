//! Who appends events by asking Keboola itself.

use super::super::{ConfigError, PollSpec, value};
use serde::Deserialize;
use std::time::Duration;

/// A day: nobody who wants to poll wants it more seldom.
const EVERY_MS_MAX: u64 = 86_400_000;
const EVERY_MS_MIN: u64 = 1_000;
const HINTS_EVERY_MS: u64 = 15_000;
const UNVERSIONED_EVERY_MS: u64 = 300_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Poll {
    enabled: bool,
    every_ms: u64,
    /// None: as the default, but never more often than `every_ms`.
    unversioned_every_ms: Option<u64>,
    /// None: as the default, but never more seldom than `every_ms`.
    hints_every_ms: Option<u64>,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            enabled: false,
            every_ms: 60_000,
            unversioned_every_ms: None,
            hints_every_ms: None,
        }
    }
}

impl Poll {
    /// Checks the table of this key.
    pub(super) fn check(self, key: &str) -> Result<Option<PollSpec>, ConfigError> {
        let Self {
            enabled,
            every_ms,
            unversioned_every_ms,
            hints_every_ms,
        } = self;
        if !(EVERY_MS_MIN..=EVERY_MS_MAX).contains(&every_ms) {
            return Err(value(
                format!("{key}.every_ms"),
                "must be between 1000 and 86400000",
            ));
        }
        let unversioned_every_ms = unversioned_every_ms.unwrap_or(UNVERSIONED_EVERY_MS.max(every_ms));
        if !(every_ms..=EVERY_MS_MAX).contains(&unversioned_every_ms) {
            return Err(value(
                format!("{key}.unversioned_every_ms"),
                "must be between `every_ms` and 86400000",
            ));
        }
        let hints_every_ms = hints_every_ms.unwrap_or(HINTS_EVERY_MS.min(every_ms));
        if hints_every_ms != 0 && !(EVERY_MS_MIN..=every_ms).contains(&hints_every_ms) {
            return Err(value(
                format!("{key}.hints_every_ms"),
                "must be 0 (no hints), or between 1000 and `every_ms`",
            ));
        }
        let spec = PollSpec {
            every: Duration::from_millis(every_ms),
            unversioned_every: Duration::from_millis(unversioned_every_ms),
            hints_every: (hints_every_ms > 0).then(|| Duration::from_millis(hints_every_ms)),
        };
        Ok(enabled.then_some(spec))
    }
}
