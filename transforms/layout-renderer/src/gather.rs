//! Files that are made of many objects.

pub(crate) mod catalog;
mod guide;
pub(crate) mod jobs;
pub(crate) mod manifest;
mod split;
pub(crate) mod table;

use crate::{
    api::{Context, DocumentKind, Entry, File, Gathered, IndexKind, LayoutError},
    json::{Json, write},
    node::Node,
    paths,
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
        IndexKind::Withheld => withheld(&settings, entries),
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
fn newest<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<&'e Entry> {
    let mut newest: Vec<&Entry> = Vec::new();
    for entry in entries {
        match newest.last_mut().filter(|last| last.key == entry.key) {
            Some(last) => *last = entry,
            None => newest.push(entry),
        }
    }
    newest
}

/// Returns the entries to keep, if some of those given are superseded.
fn kept(given: usize, newest: &[&Entry]) -> Option<Vec<Entry>> {
    (given != newest.len()).then(|| newest.iter().map(|entry| (*entry).clone()).collect())
}

/// Returns where the file of a table, bucket or sample is, or one that is made of many objects, whether it was ever written or not.
fn storage_path(settings: &Settings, object: &str) -> Option<String> {
    if let Some(shared) = object.strip_prefix("shared ") {
        let Some(shard) = shared.strip_prefix("lineage ") else {
            return (shared == "manifest").then(|| manifest::PATH.to_owned());
        };
        return table::path(settings, shard);
    }
    let branch = |node: Node| {
        let shard = node.lineage_shard(settings)?;
        Some(settings.split_shard(&shard).0)
    };
    match object.split_once(' ')? {
        ("table", id) => Some(paths::table(&branch(Node::Table(id.to_owned()))?, id)),
        ("bucket", id) => Some(paths::bucket(&branch(Node::Bucket(id.to_owned()))?, id)),
        ("sample", id) => Some(paths::sample(id, "csv")),
        _ => None,
    }
}

fn withheld(settings: &Settings, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let mut content = String::new();
    for entry in &newest {
        let mut line = Json::parse(&entry.value)
            .map_err(|_| not_ours(entry))?
            .into_object();
        // The host knows files that an object has alone; those of storage are gathered.
        if line.get("path").is_none_or(|path| *path == Json::Null)
            && let Some(path) = storage_path(settings, &entry.key)
        {
            line.set("path", path);
        }
        content.push_str(&write::object_line(&line));
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
        keep: kept(entries.len(), &newest),
    })
}
