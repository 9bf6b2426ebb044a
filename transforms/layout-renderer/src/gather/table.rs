//! The file of a table or bucket: its structure, and who reads and writes it.
//!
//! The structure is the table's own entry, the rest are entries of those who read and write it; what
//! nobody told the structure of has no file.

use super::{kept, newest, not_ours};
use crate::{
    api::{DocumentKind, Entry, File, Gathered, LayoutError},
    edges::EdgeType,
    json::{Json, Object, write},
    node::Node,
    paths,
    settings::Settings,
};

/// The key of the structure; keys of neighbours begin with another sign.
pub(crate) const OWN_KEY: &str = "=";

/// Readers or writers past this are only counted: a file is read as a whole.
const LISTED_MAX: usize = 500;

pub(crate) fn neighbour_key(teller: &Node) -> String {
    ["<", &teller.key()].concat()
}

pub(super) fn gather(settings: &Settings, shard: &str, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let mut structure: Option<Object<'_>> = None;
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
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
    let file = |(structure, path): (Object<'_>, String)| File {
        path,
        kind: DocumentKind::Storage,
        content: content(structure, readers, writers),
    };
    Ok(Gathered {
        files: structure.zip(path).map(file).into_iter().collect(),
        keep: kept(entries, &newest),
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

fn content(mut structure: Object<'_>, readers: Vec<Node>, writers: Vec<Node>) -> String {
    for (member, more, mut nodes) in [
        ("writtenBy", "writtenByMore", writers),
        ("readBy", "readByMore", readers),
    ] {
        nodes.sort();
        nodes.dedup();
        let over = nodes.len().saturating_sub(LISTED_MAX);
        nodes.truncate(LISTED_MAX);
        let nodes = nodes.iter().map(|node| node.to_object().into_owned().into());
        structure.set_last(member, nodes.collect::<Vec<Json<'_>>>());
        if over > 0 {
            structure.set_last(more, u64::try_from(over).unwrap_or(u64::MAX));
        }
    }
    write::indented_with_lines(&structure, &["writtenBy", "readBy"])
}
