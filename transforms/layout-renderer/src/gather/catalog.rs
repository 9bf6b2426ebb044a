//! What there is, and what reads, writes, runs and uses what: `ai/catalog/` and `ai/lineage/`.
//!
//! One shard is a component or a bucket. Both of its lists are made of the same entries: each object's
//! own has its line and the edges it tells of, and objects of other shards say which of its objects
//! they lead to or come from, for the numbers of neighbours.

use super::{kept, newest, not_ours, split};
use crate::{
    api::{Entry, Gathered, LayoutError},
    edges::{EdgeType, Edges},
    json::{Json, Object, write},
    node::Node,
    paths,
    settings::Settings,
};
use std::collections::{BTreeMap, BTreeSet};

/// The key of an object's own entry, which is in its own shard.
pub(crate) fn own_key(teller: &Node) -> String {
    ["=", &teller.key_in_shard()].concat()
}

/// The key of what an object says of those of another shard.
pub(crate) fn neighbour_key(teller: &Node) -> String {
    ["<", &teller.key()].concat()
}

/// An object of the shard.
struct Listed<'e> {
    node: Node,
    line: Object<'e>,
    edges: Edges,
}

/// Which nodes have an edge to an object, and which have one from it.
#[derive(Default)]
struct Neighbours {
    upstream: BTreeSet<Node>,
    downstream: BTreeSet<Node>,
}

type AllNeighbours = BTreeMap<Node, Neighbours>;

pub(super) fn gather(settings: &Settings, shard: &str, entries: &[Entry]) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let mut listed = Vec::new();
    let mut neighbours = AllNeighbours::new();
    for entry in &newest {
        let value = Json::parse(&entry.value).map_err(|_| not_ours(entry))?;
        let value = value.as_object().ok_or_else(|| not_ours(entry))?;
        let read = if entry.key.starts_with('=') {
            own(value).map(|object| {
                for (edge, other, _) in object.edges.iter() {
                    meet(&mut neighbours, &object.node, edge.ends_at_teller(), other);
                }
                listed.push(object);
            })
        } else {
            beside(entry, value, &mut neighbours)
        };
        read.ok_or_else(|| not_ours(entry))?;
    }
    let (branch, name) = settings.split_shard(shard);
    let name = match name.split_once('/') {
        Some(("component", id)) => paths::encode_caseless(id),
        Some(("storage", id)) => format!("storage/{}", paths::encode(id)),
        _ => return Err(LayoutError::NoSuchIndex { kind: "catalog" }),
    };
    let catalog: Vec<split::Line> = listed
        .iter()
        .map(|object| catalog_line(&branch, object, neighbours.get(&object.node)))
        .collect();
    let mut files = split::files(&format!("ai/catalog/{branch}{name}"), &catalog);
    files.extend(split::files(
        &format!("ai/lineage/{branch}{name}"),
        &lineage(&listed),
    ));
    Ok(Gathered {
        files,
        keep: kept(entries.len(), &newest),
    })
}

/// Notes an edge between two nodes.
fn meet(neighbours: &mut AllNeighbours, one: &Node, one_is_target: bool, other: &Node) {
    let (source, target) = if one_is_target { (other, one) } else { (one, other) };
    let known = neighbours.entry(target.clone()).or_default();
    known.upstream.insert(source.clone());
    let known = neighbours.entry(source.clone()).or_default();
    known.downstream.insert(target.clone());
}

fn own<'e>(value: &Object<'e>) -> Option<Listed<'e>> {
    let line = value.object("line")?.clone();
    let more = value.text("more").map_or(Some(0), |more| more.parse().ok())?;
    Some(Listed {
        node: Node::read(&line)?,
        edges: Edges::read(value.items("edges"), more)?,
        line,
    })
}

/// Reads what an object of another shard says of those of this one.
fn beside(entry: &Entry, value: &Object<'_>, neighbours: &mut AllNeighbours) -> Option<()> {
    let teller = Node::parse_key(entry.key.strip_prefix('<')?)?;
    for (member, teller_is_target) in [("from", true), ("to", false)] {
        for other in value.items(member) {
            let other = Node::read(other.as_object()?)?;
            meet(neighbours, &teller, teller_is_target, &other);
        }
    }
    Some(())
}

fn catalog_line(branch: &str, object: &Listed<'_>, neighbours: Option<&Neighbours>) -> split::Line {
    let mut line = object.line.clone();
    match &object.node {
        Node::Table(id) => line.set("path", paths::table(branch, id)),
        Node::Bucket(id) => line.set("path", paths::bucket(branch, id)),
        _ => {}
    }
    let count = |nodes: fn(&Neighbours) -> &BTreeSet<Node>| {
        let count = neighbours.map_or(0, |neighbours| nodes(neighbours).len());
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    line.set("upstream", count(|neighbours| &neighbours.upstream));
    line.set("downstream", count(|neighbours| &neighbours.downstream));
    if object.edges.more > 0 {
        line.set("edgesMore", object.edges.more);
    }
    split::Line {
        key: object.node.key(),
        text: write::object_line(&line),
    }
}

fn lineage(listed: &[Listed<'_>]) -> Vec<split::Line> {
    let mut lines = BTreeSet::new();
    for object in listed {
        for (edge, other, in_force) in object.edges.iter() {
            lines.insert(edge_line(edge, &object.node, other, in_force));
        }
    }
    let line = |text: String| split::Line {
        key: text.clone(),
        text,
    };
    lines.into_iter().map(line).collect()
}

fn edge_line(edge: EdgeType, teller: &Node, other: &Node, in_force: bool) -> String {
    let (source, target) = if edge.ends_at_teller() {
        (other, teller)
    } else {
        (teller, other)
    };
    let mut line = Object::new();
    line.set("type", edge.as_str());
    line.set("source", source.to_object());
    line.set("target", target.to_object());
    if !in_force {
        line.set("enabled", false);
    }
    write::object_line(&line)
}
