//! Texts that have no structure: code, descriptions, names, messages.

use crate::document::{Leaf, LeafRole, Leaves};

/// Returns the one leaf of a text.
pub(super) fn leaves(text: &str) -> Leaves {
    let mut leaves = Leaves::with_capacity(1, text.len());
    leaves.push(Leaf {
        pointer: "",
        role: LeafRole::Text,
        value: text,
    });
    leaves
}
