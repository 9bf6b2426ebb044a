//! Scalars of a JSON value by their pointer.

use crate::json::Node;
use std::collections::BTreeMap;

/// One step of a JSON pointer.
#[must_use]
pub fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Returns the scalars of a value by their pointer.
#[must_use]
pub fn of(node: &Node) -> BTreeMap<String, Node> {
    let mut leaves = BTreeMap::new();
    collect(node, String::new(), &mut leaves);
    leaves
}

fn collect(node: &Node, pointer: String, leaves: &mut BTreeMap<String, Node>) {
    match node {
        Node::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{at}"), leaves);
            }
        }
        Node::Object(members) => {
            for (key, member) in members {
                collect(member, format!("{pointer}/{}", step(key)), leaves);
            }
        }
        leaf => {
            leaves.insert(pointer, leaf.clone());
        }
    }
}
