//! Samples go in, choices come out.

use super::Wrong;
use crate::bindings::exports::keboola::mirror::sampling as wit;
use mirror_core::sample::{Choice, Sample};

/// Cells as slices, so that a sample can be lent.
pub(crate) struct SampleParts<'a> {
    columns: Vec<wit::Column<'a>>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> SampleParts<'a> {
    pub(crate) fn of(sample: &'a Sample) -> Self {
        let column = |column: &'a mirror_core::sample::Column| wit::Column {
            name: &column.name,
            base_type: &column.base_type,
        };
        Self {
            columns: sample.columns.iter().map(column).collect(),
            rows: sample
                .rows
                .iter()
                .map(|row| row.iter().map(String::as_str).collect())
                .collect(),
        }
    }

    pub(crate) fn rows(&self) -> Vec<&[&'a str]> {
        self.rows.iter().map(Vec::as_slice).collect()
    }

    pub(crate) fn sample<'p>(&'p self, sample: &'p Sample, rows: &'p [&'p [&'p str]]) -> wit::Sample<'p> {
        wit::Sample {
            table_id: &sample.table_id,
            columns: &self.columns,
            rows,
        }
    }
}

/// Checks the choice for one sample.
pub(crate) fn choice(sample: &Sample, raw: &wit::Choice) -> Result<Choice, Wrong> {
    Ok(Choice {
        columns: ascending("column", &raw.columns, sample.columns.len())?,
        rows: ascending("row", &raw.rows, sample.rows.len())?,
    })
}

fn ascending(what: &str, raw: &[u32], length: usize) -> Result<Vec<usize>, Wrong> {
    let indices: Vec<usize> = raw.iter().map(|index| *index as usize).collect();
    if !indices.is_sorted_by(|earlier, later| earlier < later) {
        return Err(Wrong::Malformed(format!(
            "the {what}s of its choice are not ascending"
        )));
    }
    match indices.last() {
        Some(last) if *last >= length => Err(Wrong::Malformed(format!(
            "its choice has {what} {last} of {length}"
        ))),
        _ => Ok(indices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(columns: &[u32], rows: &[u32], expected: &Expect) {
        let sample = Sample {
            table_id: "in.c-main.orders".to_owned(),
            columns: vec![
                mirror_core::sample::Column {
                    name: "a".to_owned(),
                    base_type: String::new()
                };
                2
            ],
            rows: vec![vec![String::new(); 2]; 3],
        };
        let raw = wit::Choice {
            columns: columns.to_vec(),
            rows: rows.to_vec(),
        };
        let text = match choice(&sample, &raw) {
            Ok(Choice { columns, rows }) => format!("columns {columns:?}, rows {rows:?}"),
            Err(Wrong::Malformed(problem)) => problem,
            Err(Wrong::OverLimit(limit)) => limit.to_owned(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn a_choice_names_what_there_is_once_and_in_order() {
        check(&[0, 1], &[0, 2], &expect!["columns [0, 1], rows [0, 2]"]);
        check(&[], &[], &expect!["columns [], rows []"]);
        check(
            &[1, 0],
            &[],
            &expect!["the columns of its choice are not ascending"],
        );
        check(
            &[0],
            &[1, 1],
            &expect!["the rows of its choice are not ascending"],
        );
        check(&[2], &[], &expect!["its choice has column 2 of 2"]);
        check(&[0], &[u32::MAX], &expect!["its choice has row 4294967295 of 3"]);
    }
}
