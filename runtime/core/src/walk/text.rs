//! Texts that have no structure: code, descriptions, names, messages.

use crate::document::{Leaf, LeafRole};

/// Returns the one leaf of a text.
pub(super) fn leaf(text: &str) -> Leaf {
    Leaf {
        pointer: String::new(),
        role: LeafRole::Text,
        value: text.to_owned(),
    }
}
