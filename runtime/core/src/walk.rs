//! Cuts a file's text into leaves and knows, for each, which bytes it came from.
//!
//! What a file is follows from its path alone. A file that is not well-formed has no leaves: it
//! must not be passed on, since what a policy cannot see it cannot judge. This module does not know
//! what a secret is, apart from marking what lies below a key that begins with `#`.

pub(crate) mod csv;
pub(crate) mod json;
mod jsonl;
mod text;

use crate::document::Leaves;
use std::{borrow::Cow, fmt, ops::Range};
use thiserror::Error;

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON value (RFC 8259), nested at most 256 deep.
    Json,
    /// One JSON value a line; empty lines are allowed.
    JsonLines,
    /// Cells as in RFC 4180, with either kind of line break.
    Csv,
    /// Everything else: one leaf.
    Text,
}

impl Format {
    /// Returns the format of a file by the extension of its path, in any case of letters.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if extension.eq_ignore_ascii_case("json") {
            Self::Json
        } else if extension.eq_ignore_ascii_case("jsonl") {
            Self::JsonLines
        } else if extension.eq_ignore_ascii_case("csv") {
            Self::Csv
        } else {
            Self::Text
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::JsonLines => "JSON Lines",
            Self::Csv => "CSV",
            Self::Text => "text",
        })
    }
}

/// A text that is not what its path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not well-formed {format}: {problem} at byte {at}")]
pub struct Malformed {
    pub format: Format,
    pub problem: &'static str,
    /// Where reading stopped, in bytes from the start of the text.
    pub at: usize,
}

/// Says whether the text is well-formed.
///
/// # Errors
/// The first fault, if it is not.
pub fn check(format: Format, text: &str) -> Result<(), Malformed> {
    match format {
        Format::Json => json::Parser::new(text, format, ()).root(None, 0..text.len()),
        Format::JsonLines => jsonl::read(text, &mut json::Parser::new(text, format, ())),
        Format::Csv => csv::Table::parse(text).map(drop),
        Format::Text => Ok(()),
    }
}

/// Cuts the text into leaves, in the order of the text.
///
/// # Errors
/// A text that is not well-formed.
pub fn leaves(format: Format, text: &str) -> Result<Leaves, Malformed> {
    match format {
        Format::Json | Format::JsonLines => json::leaves(format, text),
        Format::Csv => csv::Table::parse(text).map(|table| table.leaves(text)),
        Format::Text => Ok(text::leaves(text)),
    }
}

/// Returns the index of the leaf of which a byte of the text is a part, in the order of [`leaves`].
///
/// # Errors
/// A text that is not well-formed.
pub fn leaf_at(format: Format, text: &str, at: usize) -> Result<Option<usize>, Malformed> {
    Ok(match format {
        Format::Json | Format::JsonLines => {
            let tree = tree(format, text)?;
            let mut nodes = tree.nodes.iter().filter(|node| node.leaf().is_some());
            let node = nodes.find(|node| node.span().contains(&at));
            node.and_then(json::Node::leaf)
        }
        Format::Csv => {
            let table = csv::Table::parse(text)?;
            let mut cells = table.cells.iter();
            // The end of an unquoted cell is the separator after it.
            cells.position(|cell| cell.inner().start <= at && at <= cell.inner().end)
        }
        Format::Text => Some(0),
    })
}

/// Parses what is JSON or JSON Lines into a tree of spans.
pub(crate) fn tree(format: Format, text: &str) -> Result<json::Tree, Malformed> {
    match format {
        Format::JsonLines => jsonl::parse(text),
        Format::Json | Format::Csv | Format::Text => json::Tree::parse(text),
    }
}

/// How the bytes between a leaf's delimiters stand for its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Plain,
    /// The inside of a JSON string literal.
    Json,
    /// The inside of a quoted CSV cell: `""` stands for `"`.
    Quoted,
}

impl Encoding {
    /// Returns the text that well-formed bytes stand for.
    pub(crate) fn decode(self, raw: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(raw),
            Self::Json => json::decode(raw),
            Self::Quoted => csv::decode(raw),
        }
    }

    /// Turns ascending offsets into the decoded text into offsets into the bytes.
    ///
    /// An offset on a character boundary of the decoded text lands on the boundary of the escape
    /// or character that stands there.
    fn offsets(self, raw: &str, decoded: &[usize]) -> Vec<usize> {
        let unit: fn(&str, usize) -> (usize, usize) = match self {
            Self::Plain => return decoded.to_vec(),
            Self::Json => json::unit,
            Self::Quoted => csv::unit,
        };
        let special = if self == Self::Json { b'\\' } else { b'"' };
        let (mut source, mut text) = (0, 0);
        let mut next_special = memchr::memchr(special, raw.as_bytes()).unwrap_or(raw.len());
        let mut offsets = Vec::with_capacity(decoded.len());
        for &wanted in decoded {
            while text < wanted && source < raw.len() {
                if source == next_special {
                    let (source_len, text_len) = unit(raw, source);
                    source += source_len;
                    text += text_len;
                    let rest = memchr::memchr(special, &raw.as_bytes()[source..]);
                    next_special = rest.map_or(raw.len(), |at| source + at);
                } else {
                    let step = (wanted - text).min(next_special - source);
                    source += step;
                    text += step;
                }
            }
            offsets.push(source);
        }
        offsets
    }

    /// Turns ascending, disjoint ranges of the decoded text into ranges of the bytes.
    pub(crate) fn source_ranges(self, raw: &str, decoded: &[Range<usize>]) -> Vec<Range<usize>> {
        let ends: Vec<usize> = decoded
            .iter()
            .flat_map(|range| [range.start, range.end])
            .collect();
        let offsets = self.offsets(raw, &ends);
        offsets.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect()
    }
}

/// Appends one segment to an RFC 6901 pointer.
pub(crate) fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    if segment.contains(['~', '/']) {
        pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(segment);
    }
}

#[cfg(test)]
mod tests;
