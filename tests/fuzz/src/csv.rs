//! CSV beside the `csv` crate, and the way of a sample: rendered, read back, chosen from, cut.
//!
//! Both agree on RFC 4180. The walker refuses what is none, where the crate guesses; the crate passes empty lines over, which
//! the walker keeps as rows of one empty cell.

mod sample;

use mirror_core::walk::{self, Format};

type Rows = Vec<Vec<String>>;

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    match first % 3 {
        0 => read(&String::from_utf8_lossy(rest)),
        1 => written(rest),
        _ => sample::run(rest),
    }
}

/// Reads a text as the walker does; none where it refuses.
fn walked(text: &str) -> Option<Rows> {
    let leaves = walk::leaves(Format::Csv, text).ok()?;
    let mut rows = Rows::new();
    for leaf in leaves.iter() {
        let mut places = leaf.pointer.split('/').skip(1).map(str::parse::<usize>);
        let (Some(Ok(row)), Some(Ok(column)), None) = (places.next(), places.next(), places.next()) else {
            panic!("a cell's pointer is of another form: {}", leaf.pointer);
        };
        if row == rows.len() {
            rows.push(Vec::new());
        }
        let cells = rows.last_mut().expect("there is a row");
        assert_eq!(cells.len(), column, "cells come in order");
        cells.push(leaf.value.to_owned());
    }
    Some(rows)
}

/// Reads a text as the crate does.
fn oracle(text: &str) -> Rows {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let records = reader
        .records()
        .map(|record| record.expect("in memory, and UTF-8"));
    records
        .map(|record| record.iter().map(str::to_owned).collect())
        .collect()
}

/// Rows of one empty cell may be empty lines, which the crate does not tell.
fn without_empty(mut rows: Rows) -> Rows {
    rows.retain(|row| row.as_slice() != [""]);
    rows
}

fn read(text: &str) {
    match walk::check(Format::Csv, text) {
        Err(fault) => {
            assert!(
                fault.at <= text.len() && text.is_char_boundary(fault.at),
                "{fault:?}"
            );
            assert!(
                text.contains(['"', '\r']),
                "{fault:?} without a quote or half a line break"
            );
            assert_eq!(walked(text), None);
        }
        Ok(()) => {
            let rows = walked(text).expect("it is well-formed");
            // The crate takes a mark of the byte order for none of the text.
            if !text.starts_with('\u{feff}') {
                assert_eq!(without_empty(rows), without_empty(oracle(text)));
            }
        }
    }
}

/// What the crate writes is read as it was meant.
fn written(data: &[u8]) {
    let Some(([style], rest)) = data.split_first_chunk() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let rows: Rows = text
        .split('\u{1}')
        .map(|row| row.split('\u{2}').map(str::to_owned).collect())
        .collect();
    let quotes = [
        csv::QuoteStyle::Necessary,
        csv::QuoteStyle::Always,
        csv::QuoteStyle::NonNumeric,
    ];
    let ends = [csv::Terminator::Any(b'\n'), csv::Terminator::CRLF];
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .quote_style(quotes[usize::from(*style) % quotes.len()])
        .terminator(ends[usize::from(*style >> 2) % ends.len()])
        .from_writer(Vec::new());
    for row in &rows {
        writer.write_record(row).expect("in memory");
    }
    let written = writer.into_inner().expect("in memory");
    let written = String::from_utf8(written).expect("made of UTF-8");
    assert_eq!(walked(&written), Some(rows), "{written:?}");
}
