//! Large lists in parts: what our own policy is asked of them at a time.
//!
//! A file that names every object of a project has hundreds of thousands of leaves; all at once they would take more
//! memory in the guest than the rest of an attempt. Elements of a list are judged each by itself, as long as nothing
//! is found: what goes once goes in all of its document, so then the document is asked about as a whole.

use mirror_core::document::{Document, Leaf, LeafRole, Leaves};
use std::ops::Range;

/// A document with more text is asked about in parts, where it can be cut.
const WHOLE_BYTES_MAX: usize = 1 << 20;
/// A part has so much text, and what then follows up to where it can be cut.
const PART_BYTES: usize = 64 << 10;
/// Our policy looks at no more leaves than these on either side of a value for what it is called.
const BESIDE_MAX: usize = 256;

/// Cuts a document into parts; none where it is not large, or cannot be cut.
pub(super) fn of(document: &Document) -> Option<impl Iterator<Item = Document>> {
    let leaves = &document.leaves;
    let large = leaves.text().len() > WHOLE_BYTES_MAX;
    let first = large
        .then(|| next(leaves, 0))
        .filter(|first| first.end < leaves.len())?;
    let mut rest = Some(first);
    Some(std::iter::from_fn(move || {
        let part = rest.take()?;
        rest = (part.end < leaves.len()).then(|| next(leaves, part.end));
        Some(Document {
            path: document.path.clone(),
            kind: document.kind,
            component_id: document.component_id.clone(),
            config_id: document.config_id.clone(),
            leaves: leaves.part(part),
        })
    }))
}

/// Returns the part that begins with a leaf.
fn next(leaves: &Leaves, start: usize) -> Range<usize> {
    let text_end = |leaf: usize| leaves.ends()[2 * leaf + 1];
    let text_start = if start == 0 { 0 } else { text_end(start - 1) };
    let mut at = start + 1;
    while at < leaves.len() {
        if text_end(at - 1) - text_start < PART_BYTES {
            at += 1;
        } else {
            match can_be_cut(leaves, at) {
                Ok(()) => break,
                // Up to there it cannot be cut either.
                Err(next) => at = next,
            }
        }
    }
    start..at.min(leaves.len())
}

/// Returns whether a leaf begins an element of a list, of whose elements all leaves near it are parts. Else returns from which
/// leaf on that may be so.
fn can_be_cut(leaves: &Leaves, at: usize) -> Result<(), usize> {
    let leaf = |at: usize| leaves.get(at).expect("it is one of them");
    let (before, here) = (leaf(at - 1), leaf(at));
    let list = [Element::of_root, Element::of_member]
        .into_iter()
        .find_map(|element| {
            let (before, here) = (element(&before)?, element(&here)?);
            (before.list == here.list && before.number != here.number).then_some((element, here.list))
        });
    let Some((element, list)) = list else {
        return Err(at + 1);
    };
    let near = at.saturating_sub(BESIDE_MAX)..(at + BESIDE_MAX).min(leaves.len());
    let is_inside = |near: usize| element(&leaf(near)).is_some_and(|near| near.list == list);
    // Beyond the last one that is not, there may be enough that are.
    match near.rev().find(|near| !is_inside(*near)) {
        None => Ok(()),
        Some(outside) => Err((outside + 1 + BESIDE_MAX).max(at + 1)),
    }
}

/// The element of a list that a leaf is inside of.
struct Element<'l> {
    /// Pointer of the list.
    list: &'l str,
    number: &'l str,
}

impl<'l> Element<'l> {
    /// Of a list that is the whole document, as are the lines of JSON Lines.
    fn of_root(leaf: &Leaf<'l>) -> Option<Self> {
        Self::after(leaf, 0)
    }

    /// Of a list that is a member of the document.
    fn of_member(leaf: &Leaf<'l>) -> Option<Self> {
        let inside = leaf.pointer.strip_prefix('/')?;
        Self::after(leaf, 1 + inside.find('/')?)
    }

    fn after(leaf: &Leaf<'l>, list: usize) -> Option<Self> {
        let (list, element) = leaf.pointer.split_at(list);
        let element = element.strip_prefix('/')?;
        let number = match element.split_once('/') {
            Some((number, _)) => number,
            // The element itself, which is judged by those beside it; but not the name of one.
            None if leaf.role != LeafRole::Key => return None,
            None => element,
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(Self { list, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::document::DocumentKind;

    fn document(leaves: impl Iterator<Item = (String, LeafRole, String)>) -> Document {
        let mut all = Leaves::default();
        for (pointer, role, value) in leaves {
            let (pointer, value) = (&pointer, &value);
            all.push(Leaf { pointer, role, value });
        }
        Document {
            path: None,
            kind: DocumentKind::Index,
            component_id: "c".into(),
            config_id: String::new(),
            leaves: all,
        }
    }

    /// A member of each element, under its name.
    fn members(list: &str, count: usize) -> impl Iterator<Item = (String, LeafRole, String)> {
        let member = |list: &str, number: usize, role| {
            let pointer = format!("{list}/{number}/{}", "member".repeat(20));
            (pointer, role, "value".repeat(20))
        };
        let roles = [LeafRole::Key, LeafRole::Text];
        (0..count).flat_map(move |number| roles.map(|role| member(list, number, role)))
    }

    /// Parts are all of the document, and each begins with another element than the one before ends with.
    #[track_caller]
    fn check(document: &Document, is_cut: bool) {
        let Some(parts) = of(document) else {
            assert!(!is_cut);
            return;
        };
        assert!(is_cut);
        let parts: Vec<Document> = parts.collect();
        let joined: Leaves = parts.iter().flat_map(|part| part.leaves.iter()).collect();
        assert_eq!(joined, document.leaves);
        for pair in parts.windows(2) {
            let (last, first) = (pair[0].leaves.len() - 1, pair[1].leaves.get(0));
            let (last, first) = (pair[0].leaves.get(last), first);
            assert_ne!(last.map(|leaf| leaf.pointer), first.map(|leaf| leaf.pointer));
            assert!(pair[0].leaves.text().len() < 2 * PART_BYTES);
        }
        assert!(parts.iter().all(|part| part.component_id == "c"));
    }

    #[test]
    fn lists_of_objects_are_cut_between_them() {
        check(&document(members("", 10)), false);
        check(&document(members("", 10_000)), true);
        check(&document(members("/list", 10_000)), true);
        check(&document(members("/deeper/list", 10_000)), false);
    }

    #[test]
    fn what_stands_beside_a_list_stays_with_what_is_near_it() {
        let aside = |pointer: &str| (pointer.to_owned(), LeafRole::Text, "x".repeat(WHOLE_BYTES_MAX));
        // A list that is shorter than what is looked at is not cut.
        let short = members("/list", BESIDE_MAX - 1);
        let leaves = [aside("/name")].into_iter().chain(short).chain([aside("/value")]);
        check(&document(leaves), false);
        let long = members("/list", 4 * BESIDE_MAX);
        let leaves = [aside("/name")].into_iter().chain(long).chain([aside("/value")]);
        let document = document(leaves);
        let parts: Vec<Document> = of(&document).expect("it can be cut").collect();
        assert!(parts[0].leaves.len() > BESIDE_MAX);
        assert!(parts[parts.len() - 1].leaves.len() > BESIDE_MAX);
    }

    #[test]
    fn lists_of_texts_are_whole() {
        let text = |number| (format!("/list/{number}"), LeafRole::Text, "value".repeat(100));
        check(&document((0..10_000).map(text)), false);
    }
}
