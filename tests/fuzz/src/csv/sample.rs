//! A sample from the source's CSV to the files of a commit.

use super::{Rows, oracle, walked};
use crate::documents::context;
use layout_renderer as layout;
use mirror_core::{
    batch::{RenderedBatch, Subject},
    document::DocumentKind,
    finding::Verdict,
    guard::Guard,
    ids::{ObjectKey, TableId},
    layout::{RawFile, Rendered},
    marker::TagKey,
    path::OwnedPaths,
    redaction::{Redaction, SecretsMode},
    sample::{Choice, Sample, SampleLimits},
};
use sample_filter::{filter, settings::Settings};
use std::collections::BTreeSet;

const TABLE: &str = "in.c-main.orders";

/// What is read from the bytes before the text.
struct Wishes {
    has_key: bool,
    choice: u8,
    limits: SampleLimits,
}

pub(super) fn run(data: &[u8]) {
    let Some(([key, choice, rows, cell, row, file], text)) = data.split_first_chunk() else {
        return;
    };
    let wishes = Wishes {
        has_key: key % 2 == 1,
        choice: *choice,
        limits: SampleLimits {
            rows_max: u32::from(*rows),
            cell_bytes_max: usize::from(*cell),
            row_bytes_max: usize::from(*row) * 4,
            file_bytes_max: usize::from(*file) * 16,
            tables_max: 1,
        },
    };
    let source = String::from_utf8_lossy(text);
    let Some(files) = rendered(&source, wishes.has_key) else {
        return;
    };
    let [csv, json] = files.as_slice() else {
        panic!("a sample has two files");
    };
    let rows = walked(&csv.content).expect("what is rendered is CSV");
    assert_eq!(rows, oracle(&csv.content));
    assert_eq!(rows, twin(&json.content));
    as_in_source(&source, &rows, wishes.has_key);
    chosen(files, &rows, &wishes);
}

fn rendered(source: &str, has_key: bool) -> Option<Vec<layout::File>> {
    let csv = serde_json::Value::from(source);
    let key = if has_key { r#"["id"]"# } else { "[]" };
    let placed = layout::PlacedObject {
        object: layout::Object {
            key: layout::ObjectKey::Sample(TABLE.to_owned()),
            component: None,
            source: format!(r#"{{"table": {{"primaryKey": {key}}}, "csv": {csv}}}"#),
            metadata: Vec::new(),
        },
        path: None,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    let context = layout::Context {
        stack: "connection.example.com".to_owned(),
        project_id: "1".to_owned(),
        branch_id: "2".to_owned(),
    };
    match layout::render(&context, "{}", &[placed]) {
        Ok(mut rendered) => Some(rendered.remove(0).files),
        Err(_) => {
            // A text of empty lines has no header; all else that is CSV is taken.
            assert!(walked(source).is_none() || oracle(source).is_empty());
            None
        }
    }
}

/// The rows are those of the source, made as long as its header.
fn as_in_source(source: &str, rows: &Rows, has_key: bool) {
    if source.starts_with('\u{feff}') || walked(source).is_none() {
        return;
    }
    let mut expected = oracle(source);
    let Some(columns) = expected.first().map(Vec::len) else {
        return;
    };
    for row in &mut expected {
        row.resize(columns, String::new());
    }
    if !has_key {
        expected[1..].sort();
    }
    assert_eq!(&expected, rows);
}

/// Reads the JSON file beside the CSV file: the header, and the rows.
fn twin(text: &str) -> Rows {
    #[derive(serde::Deserialize)]
    struct Twin {
        columns: Vec<String>,
        rows: Rows,
    }
    let Twin { columns, rows } = serde_json::from_str(text).expect("it is JSON of this form");
    std::iter::once(columns).chain(rows).collect()
}

/// Takes the sample through the batches: what comes out is what was chosen, and within the limits.
fn chosen(files: Vec<layout::File>, rows: &Rows, wishes: &Wishes) {
    let subject = Subject::Object(ObjectKey::Sample(TableId::parse(TABLE).expect("a table")));
    let files = files.into_iter().map(|file| RawFile {
        path: file.path,
        kind: DocumentKind::Sample,
        content: file.content,
    });
    let rendered = Rendered {
        files: files.collect(),
        entries: Vec::new(),
    };
    let (batch, withheld) = RenderedBatch::new(
        context(),
        &OwnedPaths::new(None),
        vec![(subject.clone(), rendered)],
    );
    assert_eq!(withheld, []);
    let none = batch
        .documents()
        .iter()
        .map(|_| Verdict::Findings(Vec::new()))
        .collect();
    let (batch, withheld) = batch.redact(none, &Redaction::new(SecretsMode::Encrypted, TagKey::none()));
    assert_eq!(withheld, []);
    let samples = batch.samples();
    let [(_, sample)] = samples.as_slice() else {
        panic!("a rendered sample is one");
    };
    let (choice, is_fair) = choice(sample, wishes.choice);
    let (batch, withheld) = batch.choose(vec![(subject, Ok(choice.clone()))]);
    assert_eq!(withheld.is_empty(), is_fair, "{choice:?}");
    let (batch, withheld) = batch.within(&wishes.limits);
    assert_eq!(withheld, []);
    let (batch, withheld) = batch.guard(&Guard::new(&mirror_core::guard::KnownSecrets::new()));
    if !is_fair || !withheld.is_empty() {
        return;
    }
    let files = batch.objects()[0].files();
    let expected = pick(rows, &choice);
    let [csv, json] = files else {
        assert!(files.is_empty() && (choice.columns.is_empty() || choice.rows.is_empty()));
        return;
    };
    let result = walked(csv.content()).expect("what is chosen from CSV is CSV");
    assert_eq!(result, oracle(csv.content()), "no row is an empty line");
    assert_eq!(result, twin(json.content()));
    within(&expected, &result, &wishes.limits);
}

/// Makes a choice: the filter's own, or one by the bits of a number, which may be unfair.
fn choice(sample: &Sample, wish: u8) -> (Choice, bool) {
    let (columns, rows) = (sample.columns.len(), sample.rows.len());
    if wish.is_multiple_of(4) {
        let seen = filter::Sample {
            columns: sample
                .columns
                .iter()
                .map(|column| filter::Column { name: &column.name })
                .collect(),
            rows: sample
                .rows
                .iter()
                .map(|row| row.iter().map(String::as_str).collect())
                .collect(),
        };
        let filter::Choice { columns, rows } = filter::choose(&Settings::default(), &seen);
        return (Choice { columns, rows }, true);
    }
    let bit = |at: &usize| wish >> (2 + at % 6) & 1 == 1;
    let mut choice = Choice {
        columns: (0..columns).filter(bit).collect(),
        rows: (0..rows).filter(bit).collect(),
    };
    match wish % 4 {
        2 => choice.rows.push(rows),
        3 => choice.columns.reverse(),
        _ => {}
    }
    let fair = |chosen: &[usize], all| {
        chosen.is_sorted_by(|a, b| a < b)
            && chosen.iter().collect::<BTreeSet<_>>().len() == chosen.len()
            && chosen.last().is_none_or(|last| *last < all)
    };
    let is_fair = fair(&choice.columns, columns) && fair(&choice.rows, rows);
    (choice, is_fair)
}

fn pick(rows: &Rows, choice: &Choice) -> Rows {
    let stays = std::iter::once(0).chain(choice.rows.iter().map(|row| row + 1));
    stays
        .map(|row| {
            choice
                .columns
                .iter()
                .map(|column| rows[row][*column].clone())
                .collect()
        })
        .collect()
}

/// Each cell is as it was, or cut and says how long it was; rows past a limit are left out at the end.
fn within(before: &Rows, after: &Rows, limits: &SampleLimits) {
    assert_eq!(before[0], after[0], "the header stays");
    assert!(after.len() <= before.len() && after.len() - 1 <= limits.rows_max as usize);
    for (before, after) in before[1..].iter().zip(&after[1..]) {
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(after) {
            let whole = before == after && before.len() <= limits.cell_bytes_max;
            // One that ends with a mark may be what cutting makes of it.
            let mark = format!("…[CUT: {} bytes]", before.len());
            let cut = after.strip_suffix(mark.as_str()).is_some_and(|start| {
                before.starts_with(start)
                    && start.len() <= limits.cell_bytes_max
                    && start.len() < before.len()
            });
            assert!(whole || cut, "{before:?} became {after:?}");
        }
    }
}
