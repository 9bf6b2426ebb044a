//! Files that are made of many objects.

pub(crate) mod catalog;
mod guide;
pub(crate) mod jobs;
pub(crate) mod manifest;
mod split;
pub(crate) mod table;

use crate::{
    api::{Context, DocumentKind, Entry, File, Gathered, IndexKind, LayoutError},
    json::Json,
    settings::Settings,
};

/// Makes the files of one shard of an index from its entries.
///
/// # Errors
/// Unusable settings, an entry whose value is not what this renderer writes, or a kind of which it
/// makes no files.
pub fn gather(
    context: &Context,
    settings: &str,
    kind: IndexKind,
    shard: &str,
    entries: &[Entry],
) -> Result<Gathered, LayoutError> {
    let settings = Settings::parse(settings)?;
    match kind {
        IndexKind::Manifest => manifest::gather(context, &settings, entries),
        IndexKind::JobDay => jobs::day(&settings.jobs, shard, entries),
        IndexKind::JobHealth => jobs::health(entries),
        IndexKind::Withheld => withheld(entries),
        IndexKind::Guide => Ok(Gathered {
            files: guide::files(&settings),
            keep: None,
        }),
        IndexKind::Catalog => catalog::gather(&settings, shard, entries),
        IndexKind::Lineage => table::gather(&settings, shard, entries),
    }
}

fn not_ours(entry: &Entry) -> LayoutError {
    LayoutError::Entry {
        key: entry.key.clone(),
    }
}

/// Leaves the newest entry of each key, in the order given.
fn newest(entries: &[Entry]) -> Vec<&Entry> {
    let follows = entries.iter().skip(1).map(Some).chain([None]);
    let is_last = |(entry, next): &(&Entry, Option<&Entry>)| next.is_none_or(|next| next.key != entry.key);
    entries
        .iter()
        .zip(follows)
        .filter(is_last)
        .map(|(entry, _)| entry)
        .collect()
}

/// Returns the entries to keep, if some of those given are superseded.
fn kept(given: &[Entry], newest: &[&Entry]) -> Option<Vec<Entry>> {
    (given.len() != newest.len()).then(|| newest.iter().map(|entry| (*entry).clone()).collect())
}

fn withheld(entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let mut content = String::new();
    for entry in &newest {
        let value = Json::parse(&entry.value).map_err(|_| not_ours(entry))?;
        content.push_str(&crate::json::write::line(&value));
        content.push('\n');
    }
    let file = File {
        path: "ai/withheld.jsonl".to_owned(),
        kind: DocumentKind::Index,
        content,
    };
    let files = if newest.is_empty() { Vec::new() } else { vec![file] };
    Ok(Gathered {
        files,
        keep: kept(entries, &newest),
    })
}
