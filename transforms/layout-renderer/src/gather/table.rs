//! The file of a table or bucket: its structure, and who reads and writes it.
//!
//! The structure is the table's own entry, the rest are entries of those who read and write it; what
//! nobody told the structure of has no file. Of its bucket a table is handed who writes that: of a
//! component with a default bucket nothing else may say what fills the tables in it.

use super::{kept, newest, not_ours};
use crate::{
    api::{DocumentKind, Entry, File, Gathered, LayoutError},
    edges::{self, EdgeType},
    json::{Json, Object, write},
    node::Node,
    paths,
    settings::Settings,
};

/// The key of the structure; keys of neighbours begin with another sign.
pub(crate) const OWN_KEY: &str = "=";

/// Readers or writers past this are only counted: a file is read as a whole.
const LISTED_MAX: usize = 500;

/// Writers of a bucket past this are not told again in the files of its tables.
const OF_BUCKET_MAX: usize = 20;

pub(crate) fn neighbour_key(teller: &Node) -> String {
    ["<", &teller.key()].concat()
}

pub(super) fn gather(settings: &Settings, shard: &str, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let is_own = |entry: &&Entry| entry.shard == shard;
    let newest = newest(entries.iter().filter(is_own));
    let mut structure: Option<Object<'_>> = None;
    let (mut readers, mut writers, mut of_all) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| !is_own(entry)) {
        let value = Json::parse(&entry.value).map_err(|_| not_ours(entry))?;
        let (node, edges) = neighbour(entry, &value).ok_or_else(|| not_ours(entry))?;
        if edges.contains(&EdgeType::Writes) {
            of_all.push(node);
        }
    }
    for entry in &newest {
        let value = Json::parse(&entry.value).map_err(|_| not_ours(entry))?;
        if entry.key == OWN_KEY {
            structure = Some(value.into_object());
            continue;
        }
        let (node, edges) = neighbour(entry, &value).ok_or_else(|| not_ours(entry))?;
        // An edge that ends at its teller leads there from this table.
        if edges.iter().any(|edge| edge.ends_at_teller()) {
            readers.push(node.clone());
        }
        if edges.iter().any(|edge| !edge.ends_at_teller()) {
            writers.push(node);
        }
    }
    let path = path(settings, shard);
    // Made by what no mapping may tell of.
    let creator = structure.as_ref().and_then(|table| table.object("createdBy"));
    writers.extend(creator.and_then(edges::creator));
    let is_table = settings.split_shard(shard).1.starts_with("table/");
    let file = |(structure, path): (Object<'_>, String)| File {
        path,
        kind: DocumentKind::Storage,
        content: content(structure, readers, writers, is_table.then_some(of_all)),
    };
    Ok(Gathered {
        files: structure.zip(path).map(file).into_iter().collect(),
        keep: kept(entries.iter().filter(is_own).count(), &newest),
    })
}

/// Returns where the file of a shard is.
pub(super) fn path(settings: &Settings, shard: &str) -> Option<String> {
    let (branch, name) = settings.split_shard(shard);
    match name.split_once('/')? {
        ("table", id) => Some(paths::table(&branch, id)),
        ("bucket", id) => Some(paths::bucket(&branch, id)),
        _ => None,
    }
}

fn neighbour(entry: &Entry, value: &Json<'_>) -> Option<(Node, Vec<EdgeType>)> {
    let node = Node::parse_key(entry.key.strip_prefix('<')?)?;
    let edges = value.as_array()?.iter();
    let edges: Option<Vec<EdgeType>> = edges.map(|edge| EdgeType::parse(edge.as_str()?)).collect();
    Some((node, edges?))
}

/// `of_bucket` are those who write the bucket, of a table in it.
fn content(
    mut structure: Object<'_>,
    readers: Vec<Node>,
    writers: Vec<Node>,
    of_bucket: Option<Vec<Node>>,
) -> String {
    let ends = |mut nodes: Vec<Node>, max: usize| {
        nodes.sort();
        nodes.dedup();
        let over = nodes.len().saturating_sub(max);
        nodes.truncate(max);
        let nodes = nodes.iter().map(|node| node.to_object().into_owned().into());
        (nodes.collect::<Vec<Json<'_>>>(), over)
    };
    let (listed, over) = ends(writers, LISTED_MAX);
    structure.set_last("writtenBy", listed);
    if over > 0 {
        structure.set_last("writtenByMore", u64::try_from(over).unwrap_or(u64::MAX));
    }
    if let Some(nodes) = of_bucket {
        let (listed, over) = ends(nodes, OF_BUCKET_MAX);
        structure.set_last("bucketWrittenBy", listed);
        if over > 0 {
            // How many, the host may not have told.
            structure.set_last("bucketWrittenByMore", true);
        }
    }
    let (listed, over) = ends(readers, LISTED_MAX);
    structure.set_last("readBy", listed);
    if over > 0 {
        structure.set_last("readByMore", u64::try_from(over).unwrap_or(u64::MAX));
    }
    write::indented_with_lines(&structure, &["writtenBy", "bucketWrittenBy", "readBy"])
}
