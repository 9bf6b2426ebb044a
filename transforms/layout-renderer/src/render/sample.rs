//! The first rows of a table, as CSV and as JSON.
//!
//! CSV: as RFC 4180 says, with CRLF after every record, and every cell quoted; line breaks inside a cell
//! stay as they are, also in a clone on Windows, since Git converts no file that has CRLF already.
//! JSON: `{"columns": […], "rows": […]}`, one row on a line. Every row has as many cells as there are
//! columns. Rows stand in the order of the primary key, as the source gives them; without one, sorted.

use super::Rendered;
use crate::{
    api::{DocumentKind, File},
    json::{Json, write},
    paths,
};

pub(super) fn render(id: &str, source: &str) -> Result<Rendered, &'static str> {
    let source = Json::parse(source)?.into_object();
    let csv = source.str("csv").ok_or("the sample has no CSV text")?;
    let mut records = records(csv)?.into_iter();
    let columns = records.next().ok_or("the sample has no header")?;
    let mut rows: Vec<Vec<String>> = records
        .map(|mut row| {
            row.resize(columns.len(), String::new());
            row
        })
        .collect();
    let is_keyed = |table: &crate::json::Object| !table.items("primaryKey").is_empty();
    if !source.object("table").is_some_and(is_keyed) {
        // Rows come in no order, another one each time.
        rows.sort();
    }
    let file = |extension, content| File {
        path: paths::sample(id, extension),
        kind: DocumentKind::Sample,
        content,
    };
    let files = vec![
        file("csv", csv_text(&columns, &rows)),
        file("json", json_text(&columns, &rows)),
    ];
    Ok(Rendered {
        files,
        entries: Vec::new(),
    })
}

fn csv_text(columns: &[String], rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for record in std::iter::once(columns).chain(rows.iter().map(Vec::as_slice)) {
        for (at, cell) in record.iter().enumerate() {
            out.push_str(if at > 0 { ",\"" } else { "\"" });
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        }
        out.push_str("\r\n");
    }
    out
}

fn json_text(columns: &[String], rows: &[Vec<String>]) -> String {
    let mut out = String::from("{\"columns\": ");
    cells(&mut out, columns);
    out.push_str(", \"rows\": [");
    for (at, row) in rows.iter().enumerate() {
        out.push_str(if at > 0 { ",\n  " } else { "\n  " });
        cells(&mut out, row);
    }
    out.push_str(if rows.is_empty() { "]}\n" } else { "\n]}\n" });
    out
}

fn cells(out: &mut String, cells: &[String]) {
    out.push('[');
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write::string(out, cell, false);
    }
    out.push(']');
}

/// Reads CSV records; an empty line is none.
fn records(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let (cell, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_cell(quoted)?
        } else {
            let end = rest.find([',', '\n', '\r']).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        let line_end = after
            .strip_prefix("\r\n")
            .or_else(|| after.strip_prefix(['\n', '\r']));
        if let Some(next) = after.strip_prefix(',') {
            record.push(cell);
            rest = next;
            if rest.is_empty() {
                record.push(String::new());
            }
        } else if let Some(next) = line_end.or_else(|| after.is_empty().then_some("")) {
            let blank = record.is_empty() && cell.is_empty() && !rest.starts_with('"');
            record.push(cell);
            let full = std::mem::take(&mut record);
            if !blank {
                records.push(full);
            }
            rest = next;
        } else {
            return Err("the sample's CSV has text after a quoted cell");
        }
    }
    if !record.is_empty() {
        records.push(record);
    }
    Ok(records)
}

/// Reads a cell after its opening quote.
fn quoted_cell(text: &str) -> Result<(String, &str), &'static str> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let quote = rest
            .find('"')
            .ok_or("the sample's CSV has a quoted cell that does not end")?;
        cell.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None => return Ok((cell, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(csv: &str, expected: &[&[&str]]) {
        assert_eq!(records(csv).unwrap(), expected, "{csv:?}");
    }

    #[test]
    fn csv_is_read_as_rfc_4180_says() {
        check(
            "\"a\",\"b\"\n\"1\",\"x \"\"y\"\", z\"\n",
            &[&["a", "b"], &["1", "x \"y\", z"]],
        );
        check("a,b\r\n1,\r\n,2", &[&["a", "b"], &["1", ""], &["", "2"]]);
        check("a\n\n\"\"\n\"l1\nl2\"", &[&["a"], &[""], &["l1\nl2"]]);
        check("a,", &[&["a", ""]]);
        check("\u{feff}a", &[&["a"]]);
        check("", &[]);
    }

    #[test]
    fn malformed_csv_is_refused() {
        assert!(records("\"a").is_err());
        assert!(records("\"a\"b").is_err());
    }
}
