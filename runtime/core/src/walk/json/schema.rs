//! JSON Schemas of components' parameters, in which a `#` key is described and not set.
//!
//! `{"properties": {"#password": {"type": "string", "title": "Password"}}}` holds no secret: what stands under the
//! key is an object that says of itself that it is a schema. Its annotations are ordinary texts. Members that may hold a
//! value (`default`, `const`, `enum`, `examples`, whatever is not known) are judged like all else below `#`. The
//! built-in policy draws the same line.

use super::{Kind, Node, Tree};

const ANNOTATIONS: [&str; 8] = [
    "type",
    "title",
    "description",
    "format",
    "propertyOrder",
    "minLength",
    "maxLength",
    "options",
];
const TYPES: [&str; 7] = [
    "string", "object", "array", "number", "integer", "boolean", "null",
];

/// Marks the annotations of all `#` properties; none where what makes a schema of it, `properties` or the type, is
/// itself about to change, since afterwards it is a schema no more.
pub(super) fn mark_annotations(text: &str, tree: &mut Tree, changes: impl Fn(&Node) -> bool) {
    let mut annotations = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        // Below a `#` key itself there are no schemas.
        if node.kind == Kind::Object && !node.secret {
            properties(text, tree, at, &changes, &mut annotations);
        }
    }
    for node in &mut tree.nodes {
        node.annotation = false;
    }
    for range in annotations {
        for node in &mut tree.nodes[range] {
            node.annotation = true;
        }
    }
}

/// Finds the annotations of the `#` properties that an object with `properties` describes.
fn properties(
    text: &str,
    tree: &Tree,
    object: usize,
    changes: &impl Fn(&Node) -> bool,
    found: &mut Vec<std::ops::Range<usize>>,
) {
    let is = |key: usize, name: &str| tree.nodes[key].value(text) == name && !changes(&tree.nodes[key]);
    let described = tree
        .members(object)
        .filter(|(key, value)| is(*key, "properties") && tree.nodes[*value].kind == Kind::Object);
    for (key, property) in described.flat_map(|(_, properties)| tree.members(properties)) {
        let is_hash = tree.nodes[key].value(text).starts_with('#');
        if !is_hash || tree.nodes[property].kind != Kind::Object {
            continue;
        }
        let says_type = tree.members(property).any(|(key, value)| {
            is(key, "type")
                && tree.nodes[value].kind == Kind::String
                && TYPES.contains(&&*tree.nodes[value].value(text))
                && !changes(&tree.nodes[value])
        });
        if says_type {
            let members = tree.members(property);
            let is_annotation = |key: &Node| ANNOTATIONS.contains(&&*key.value(text)) && !changes(key);
            let annotations = members.filter(|(key, _)| is_annotation(&tree.nodes[*key]));
            found.extend(annotations.map(|(_, value)| value..tree.nodes[value].after()));
        }
    }
}
