//! Batches of one file, as the pipeline makes them, and what the targets ask of texts.

use mirror_core::{
    batch::{RenderedBatch, Subject, Withheld},
    document::{Context, DocumentKind, Leaves},
    ids::{ComponentId, ConfigId, ObjectKey},
    layout::{RawFile, Rendered},
    path::OwnedPaths,
    redaction::Replaced,
    walk::Format,
};
use serde::de::IgnoredAny;

pub(crate) fn context() -> Context {
    Context {
        stack: "connection.example.com".parse().expect("a stack"),
        project: "1".parse().expect("a project"),
        branch: "2".parse().expect("a branch"),
    }
}

/// Returns a path of the mirror whose file has this format.
pub(crate) fn path(format: Format) -> &'static str {
    match format {
        Format::Json => "configs/main/extractor/a.json",
        Format::JsonLines => "jobs/a.jsonl",
        Format::Csv => "storage/samples/in.c-main/a.csv",
        Format::Text => "configs/main/a.md",
    }
}

/// Makes a batch of one configuration with one file of a format.
pub(crate) fn batch(format: Format, text: &str) -> (RenderedBatch, Vec<Withheld>) {
    batch_at(path(format), text)
}

/// Makes a batch of one configuration with one file.
pub(crate) fn batch_at(path: &str, text: &str) -> (RenderedBatch, Vec<Withheld>) {
    let subject = Subject::Object(ObjectKey::Config {
        component: ComponentId::parse("keboola.ex-db").expect("a component"),
        config: ConfigId::parse("1").expect("a configuration"),
    });
    let rendered = Rendered {
        files: vec![RawFile {
            path: path.to_owned(),
            kind: DocumentKind::Config,
            content: text.to_owned(),
        }],
        entries: Vec::new(),
    };
    RenderedBatch::new(context(), &OwnedPaths::new(None), vec![(subject, rendered)])
}

/// Puts the replacements into the text, and makes sure that they are pieces of it, in order.
pub(crate) fn spliced(text: &str, replaced: &[Replaced]) -> String {
    let mut out = String::new();
    let mut copied = 0;
    for Replaced { range, by } in replaced {
        assert!(copied <= range.start && range.start <= range.end, "{replaced:?}");
        out.push_str(text.get(copied..range.start).expect("cut at a character"));
        out.push_str(by);
        copied = range.end;
    }
    out.push_str(text.get(copied..).expect("cut at a character"));
    out
}

/// Says what another parser says: whether the text is one JSON value, however deep.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// White space of JSON.
pub(crate) fn is_blank(line: &str) -> bool {
    line.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// Returns the only document of a batch, as its leaves.
pub(crate) fn leaves(mut documents: Vec<mirror_core::document::Document>) -> Leaves {
    assert_eq!(documents.len(), 1, "one file is one document");
    documents.remove(0).leaves
}
