//! Bounds of samples.

use super::super::{ConfigError, value};
use mirror_core::sample::SampleLimits;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Samples {
    rows_max: u32,
    cell_bytes_max: usize,
    row_bytes_max: usize,
    file_bytes_max: usize,
    tables_max: usize,
}

impl Default for Samples {
    fn default() -> Self {
        let SampleLimits {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        } = SampleLimits::default();
        Self {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        }
    }
}

impl Samples {
    pub(super) fn check(self, key: &str) -> Result<SampleLimits, ConfigError> {
        let Self {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        } = self;
        if !(1..=1_000).contains(&rows_max) {
            return Err(value(format!("{key}.rows_max"), "must be between 1 and 1000"));
        }
        for (name, bytes) in [
            ("cell_bytes_max", cell_bytes_max),
            ("row_bytes_max", row_bytes_max),
            ("file_bytes_max", file_bytes_max),
        ] {
            if !(16..=(16 << 20)).contains(&bytes) {
                return Err(value(format!("{key}.{name}"), "must be between 16 and 16777216"));
            }
        }
        Ok(SampleLimits {
            rows_max,
            cell_bytes_max,
            row_bytes_max,
            file_bytes_max,
            tables_max,
        })
    }
}
