//! What an object gives to the catalog, to lineage, and to the files of tables and buckets.
//!
//! Its own entry has its line and all of its edges, and so every id that the others name in short:
//! what a policy finds in it is taken out of the names of all (`wit/layout.wit`, `entry`). An entry
//! changes only if what it says does; a change of content touches none.

use crate::{
    api::{Entry, IndexKind},
    edges::Edges,
    gather::{catalog, table},
    json::{Json, Object, write},
    node::Node,
    settings::Settings,
};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the entries of an object: its own, and one for each shard in which it is a neighbour.
pub(super) fn entries(settings: &Settings, own: &Node, line: Object, edges: &Edges) -> Vec<Entry> {
    let Some(home) = own.catalog_shard(settings) else {
        return Vec::new();
    };
    let mut value = Object::new();
    value.set("line", line);
    value.set("edges", edges.to_json());
    if edges.more > 0 {
        value.set("more", edges.more);
    }
    let mut entries = vec![Entry {
        kind: IndexKind::Catalog,
        shard: home.clone(),
        key: catalog::own_key(own),
        value: write::object_line(&value),
    }];
    let mut beside: BTreeMap<String, (BTreeSet<&Node>, BTreeSet<&Node>)> = BTreeMap::new();
    let mut in_files: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (edge, other, _) in edges.iter() {
        // Within its own shard it is seen as it is.
        if let Some(shard) = other.catalog_shard(settings).filter(|shard| *shard != home) {
            let (from, to) = beside.entry(shard).or_default();
            if edge.ends_at_teller() { from } else { to }.insert(other);
        }
        if let Some(shard) = other.lineage_shard(settings) {
            in_files.entry(shard).or_default().insert(edge.as_str());
        }
    }
    for (shard, (from, to)) in beside {
        let mut value = Object::new();
        for (member, others) in [("from", from), ("to", to)] {
            if !others.is_empty() {
                let others = others.into_iter().map(|other| Json::from(other.to_object()));
                value.set(member, others.collect::<Vec<_>>());
            }
        }
        entries.push(Entry {
            kind: IndexKind::Catalog,
            shard,
            key: catalog::neighbour_key(own),
            value: write::object_line(&value),
        });
    }
    for (shard, edges) in in_files {
        let edges = edges.into_iter().map(Json::from).collect();
        entries.push(Entry {
            kind: IndexKind::Lineage,
            shard,
            key: table::neighbour_key(own),
            value: write::line(&Json::Array(edges)),
        });
    }
    entries
}
