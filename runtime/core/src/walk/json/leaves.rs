//! The leaves of JSON texts, as they are read: a tree of a large list takes more room than the leaves do.

use super::{
    super::{Format, Malformed, jsonl, push_segment},
    Kind, Parser, Sink, decode,
};
use crate::document::{Leaf, LeafRole, Leaves};

/// The leaves of such texts are counted before they are kept: a list that grows takes up to three times its room.
const COUNTED_BYTES_MIN: usize = 1 << 20;

/// Cuts a text of one or of many JSON values into leaves, in the order of the text.
///
/// # Errors
/// A text that is not well-formed.
pub(in crate::walk) fn leaves(format: Format, text: &str) -> Result<Leaves, Malformed> {
    let (mut count, mut bytes) = (0, 0);
    if text.len() >= COUNTED_BYTES_MIN {
        each(format, text, |leaf| {
            count += 1;
            bytes += leaf.pointer.len() + leaf.value.len();
        })?;
    }
    let mut leaves = Leaves::with_capacity(count, bytes);
    each(format, text, |leaf| leaves.push(leaf))?;
    Ok(leaves)
}

fn each(format: Format, text: &str, take: impl FnMut(Leaf<'_>)) -> Result<(), Malformed> {
    let telling = Telling {
        text,
        take,
        pointer: String::new(),
        above: Vec::new(),
    };
    let mut parser = Parser::new(text, format, telling);
    match format {
        Format::JsonLines => jsonl::read(text, &mut parser),
        Format::Json | Format::Csv | Format::Text => parser.root(None, 0..text.len()),
    }
}

/// Tells of the leaves.
struct Telling<'t, F> {
    text: &'t str,
    take: F,
    /// Of the value that is being read, or of the container of the one that comes.
    pointer: String,
    /// The containers that it is in, the innermost last.
    above: Vec<Container>,
}

struct Container {
    /// Bytes of its own pointer.
    pointer: usize,
    /// The index of its next element; none of an object.
    next: Option<usize>,
}

/// A value or key that has begun.
struct Begun {
    kind: Kind,
    is_leaf: bool,
    start: usize,
}

impl<F: FnMut(Leaf<'_>)> Sink for Telling<'_, F> {
    type Open = Begun;

    fn root(&mut self, line: Option<usize>) {
        self.pointer.clear();
        if let Some(line) = line {
            push_segment(&mut self.pointer, &line.to_string());
        }
    }

    fn open(&mut self, at: usize, kind: Kind, _is_secret: bool, is_leaf: bool) -> Begun {
        // An element's name is its place; a member's has been read.
        if let Some(Container { next: Some(next), .. }) = self.above.last_mut() {
            push_segment(&mut self.pointer, &next.to_string());
            *next += 1;
        }
        let next = match kind {
            Kind::Object => Some(None),
            Kind::Array => Some(Some(0)),
            Kind::Key | Kind::String | Kind::Scalar | Kind::Null => None,
        };
        if let Some(next) = next {
            let pointer = self.pointer.len();
            self.above.push(Container { pointer, next });
        }
        Begun {
            kind,
            is_leaf,
            start: at,
        }
    }

    fn close(&mut self, begun: Begun, at: usize) {
        let Begun { kind, is_leaf, start } = begun;
        match kind {
            Kind::Key => {
                let name = decode(&self.text[start + 1..at - 1]);
                push_segment(&mut self.pointer, &name);
                (self.take)(Leaf {
                    pointer: &self.pointer,
                    role: LeafRole::Key,
                    value: &name,
                });
                // Its value is still to come, under the same pointer.
                return;
            }
            Kind::String => (self.take)(Leaf {
                pointer: &self.pointer,
                role: LeafRole::Text,
                value: &decode(&self.text[start + 1..at - 1]),
            }),
            Kind::Scalar if is_leaf => (self.take)(Leaf {
                pointer: &self.pointer,
                role: LeafRole::Scalar,
                value: &self.text[start..at],
            }),
            Kind::Object | Kind::Array => drop(self.above.pop()),
            Kind::Scalar | Kind::Null => {}
        }
        if let Some(container) = self.above.last() {
            self.pointer.truncate(container.pointer);
        }
    }
}
