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
