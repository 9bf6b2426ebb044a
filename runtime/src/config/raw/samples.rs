//! Bounds of samples.

use super::super::{ConfigError, value};
use mirror_core::sample::SampleLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Samples {
    /// Rows of one sample, 1 to 1000.
    rows_max: u32,
    /// Bytes of one cell, 16 to 16777216; a longer one is cut, and says so.
    cell_bytes_max: usize,
    /// Bytes of all cells of one row, 16 to 16777216.
    row_bytes_max: usize,
    /// Bytes of one file, 16 to 16777216.
    file_bytes_max: usize,
    /// Tables of one branch that have a sample: the first ones by id.
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
