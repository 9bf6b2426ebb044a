//! Who appends events by asking Keboola itself: the poller, and the backfill of what was before the mirror.

use super::super::{BackfillSpec, ConfigError, PollSpec, value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A day: nobody who wants to poll wants it more seldom.
const EVERY_MS_MAX: u64 = 86_400_000;
const EVERY_MS_MIN: u64 = 1_000;
const HINTS_EVERY_MS: u64 = 15_000;
const UNVERSIONED_EVERY_MS: u64 = 300_000;

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Poll {
    /// Whether the source is asked for changes of which no event tells.
    enabled: bool,
    /// Milliseconds between two looks at branches, versions and runs, 1000 to 86400000.
    every_ms: u64,
    /// The same for what raises no version: metadata, buckets and tables. Not set: 300000, or `every_ms` where that is more.
    unversioned_every_ms: Option<u64>,
    /// The same for the project's Storage events, after which it is looked at once; 0: no hints. Not set: 15000, or `every_ms` where that is less.
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

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Backfill {
    /// Whether history from before the mirror becomes commits, before its first snapshot.
    enabled: bool,
    /// Versions at most, the newest of all, 1 to 1000000.
    versions_max: usize,
    /// Versions of one configuration, its newest, 1 to `versions_max`.
    configuration_versions_max: usize,
    /// Calls to the source a second, 1 to 100.
    requests_per_second_max: u32,
}

impl Default for Backfill {
    fn default() -> Self {
        Self {
            enabled: false,
            versions_max: 100_000,
            configuration_versions_max: 1_000,
            requests_per_second_max: 10,
        }
    }
}

impl Backfill {
    /// Checks the table of this key.
    pub(super) fn check(self, key: &str) -> Result<Option<BackfillSpec>, ConfigError> {
        let Self {
            enabled,
            versions_max,
            configuration_versions_max,
            requests_per_second_max,
        } = self;
        if !(1..=1_000_000).contains(&versions_max) {
            return Err(value(
                format!("{key}.versions_max"),
                "must be between 1 and 1000000",
            ));
        }
        if !(1..=versions_max).contains(&configuration_versions_max) {
            return Err(value(
                format!("{key}.configuration_versions_max"),
                "must be between 1 and `versions_max`",
            ));
        }
        if !(1..=100).contains(&requests_per_second_max) {
            return Err(value(
                format!("{key}.requests_per_second_max"),
                "must be between 1 and 100",
            ));
        }
        let spec = BackfillSpec {
            versions_max,
            configuration_versions_max,
            requests_per_second_max,
        };
        Ok(enabled.then_some(spec))
    }
}
