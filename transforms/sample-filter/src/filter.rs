//! Chooses the rows and columns of a sample that stay.
//!
//! The same sample and settings always give the same choice. It sees redacted content; it does not search
//! for secrets.

use crate::settings::Settings;
use crate::{glob, personal};

/// A column of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    pub name: &'a str,
}

/// A sample as the filter sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<'a> {
    pub columns: Vec<Column<'a>>,
    /// Rows of cells; a row that is not as long as `columns` goes.
    pub rows: Vec<Vec<&'a str>>,
}

/// What stays, as ascending indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    pub columns: Vec<usize>,
    pub rows: Vec<usize>,
}

/// Chooses what of the sample stays.
///
/// Columns are dropped first: by name, as data of persons, and where every cell that has something was
/// redacted. Then the first `columns_max` of the rest stay. Of the rows, those go of which a cell in a staying
/// column is too large; the first `rows_max` of the rest stay.
#[must_use]
pub fn choose(settings: &Settings, sample: &Sample<'_>) -> Choice {
    let rows: Vec<usize> = (0..sample.rows.len())
        .filter(|&row| sample.rows[row].len() == sample.columns.len())
        .collect();
    let cells = |column: usize| rows.iter().map(move |&row| sample.rows[row][column]);
    let columns: Vec<usize> = (0..sample.columns.len())
        .filter(|&column| {
            let name = sample.columns[column].name;
            let unwanted = settings
                .drop_columns
                .iter()
                .any(|pattern| glob::matches(pattern, name));
            let personal = settings.drop_personal
                && (personal::is_personal_name(name) || personal::are_personal(cells(column)));
            !unwanted && !personal && !are_redacted(cells(column))
        })
        .take(settings.columns_max)
        .collect();
    if columns.is_empty() {
        return Choice::default();
    }
    let fits = |row: &usize| {
        columns
            .iter()
            .all(|&column| sample.rows[*row][column].len() <= settings.cell_bytes_max)
    };
    let rows = rows
        .iter()
        .copied()
        .filter(fits)
        .take(settings.rows_max)
        .collect();
    Choice { columns, rows }
}

/// Says whether the whole cell is a marker of the mirror.
pub(crate) fn is_marker(cell: &str) -> bool {
    let inner = cell
        .trim()
        .strip_prefix("[REDACTED:")
        .and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| {
        inner
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_'))
    })
}

/// Says whether every cell that is not empty was redacted, and at least one was.
fn are_redacted<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let mut filled = cells.filter(|cell| !cell.is_empty()).peekable();
    filled.peek().is_some() && filled.all(is_marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample is a table of cells divided by `|`, the header first. Expected are the names of the columns
    /// and the numbers of the rows that stay.
    #[track_caller]
    fn check(settings: &str, table: &[&str], columns: &[&str], rows: &[usize]) {
        let mut lines = table.iter().map(|line| line.split('|').collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let sample = Sample {
            columns: header.iter().map(|&name| Column { name }).collect(),
            rows: lines.collect(),
        };
        let choice = choose(&Settings::parse(settings).unwrap(), &sample);
        let names: Vec<_> = choice.columns.iter().map(|&column| header[column]).collect();
        assert_eq!((names.as_slice(), choice.rows.as_slice()), (columns, rows));
        assert_eq!(choice, choose(&Settings::parse(settings).unwrap(), &sample));
    }

    #[test]
    fn an_ordinary_table_stays_as_it_is() {
        check(
            "{}",
            &["id|amount|state", "1|2.50|new", "2||done"],
            &["id", "amount", "state"],
            &[0, 1],
        );
    }

    #[test]
    fn the_first_rows_and_columns_stay_up_to_the_limits() {
        check(
            r#"{"rowsMax": 2, "columnsMax": 1}"#,
            &["a|b", "1|2", "3|4", "5|6"],
            &["a"],
            &[0, 1],
        );
        check(r#"{"rowsMax": 0}"#, &["a", "1"], &["a"], &[]);
        check(r#"{"columnsMax": 0}"#, &["a", "1"], &[], &[]);
    }

    #[test]
    fn rows_with_a_large_cell_go_unless_its_column_went() {
        let table = ["a|b", "1|2", "three|4", "5|sixes", "7|8"];
        check(r#"{"cellBytesMax": 3}"#, &table, &["a", "b"], &[0, 3]);
        check(
            r#"{"cellBytesMax": 3, "dropColumns": ["b"], "rowsMax": 2}"#,
            &table,
            &["a"],
            &[0, 2],
        );
    }

    #[test]
    fn columns_go_by_pattern() {
        check(
            r#"{"dropColumns": ["*_NOTE", "x?"]}"#,
            &["id|my_note|x1|x12", "1|a|b|c"],
            &["id", "x12"],
            &[0],
        );
    }

    #[test]
    fn personal_columns_go_by_name_and_by_value_unless_wanted() {
        let table = [
            "id|first_name|contact|note",
            "1|Jana|jana@acme.example|a",
            "2|Petr|petr@acme.example|b",
            "3|Eva||c",
        ];
        check("{}", &table, &["id", "note"], &[0, 1, 2]);
        check(
            r#"{"dropPersonal": false}"#,
            &table,
            &["id", "first_name", "contact", "note"],
            &[0, 1, 2],
        );
    }

    #[test]
    fn columns_of_markers_only_go() {
        check(
            "{}",
            &[
                "id|token|mixed|empty",
                "1|[REDACTED:keyed-secret:a1]|[REDACTED:a:b]|",
                "2||plain|",
            ],
            &["id", "mixed", "empty"],
            &[0, 1],
        );
    }

    #[test]
    fn nothing_stays_of_a_table_without_columns_to_keep() {
        check(r#"{"dropColumns": ["*"]}"#, &["a|b", "1|2"], &[], &[]);
    }

    #[test]
    fn a_row_of_another_length_goes() {
        check("{}", &["a|b", "1|2", "3", "4|5|6", "7|8"], &["a", "b"], &[0, 3]);
    }
}
