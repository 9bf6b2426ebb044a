//! Samples of tables, and the choice of what stays of them (`wit/sampling.wit`).

/// A column of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Keboola's base type; empty where it is not known.
    pub base_type: String,
}

/// A sample as the filter sees it: redacted, as cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub table_id: String,
    pub columns: Vec<Column>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// What of a sample stays, as ascending indices in range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    pub columns: Vec<usize>,
    pub rows: Vec<usize>,
}

/// How large samples may get. Bytes are those of UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLimits {
    /// Rows of one sample, 1 to 1000.
    pub rows_max: u32,
    /// Bytes of one cell; a longer one is cut, and says so.
    pub cell_bytes_max: usize,
    /// Bytes of all cells of one row; those past it are left out, and say so.
    pub row_bytes_max: usize,
    /// Bytes of one file; rows past it are left out, and the JSON file says how many.
    pub file_bytes_max: usize,
    /// Tables of one branch that have a sample: the first ones by id.
    pub tables_max: usize,
}

impl Default for SampleLimits {
    fn default() -> Self {
        Self {
            rows_max: 100,
            cell_bytes_max: 1 << 10,
            row_bytes_max: 16 << 10,
            file_bytes_max: 256 << 10,
            tables_max: 1_000,
        }
    }
}
