//! JSON as a flat tree of spans over its text.
//!
//! The text itself is never written anew: whoever changes a value changes the bytes of its span, so
//! spacing, order of members, forms of numbers and repeated keys stay as they are.

mod leaves;
mod schema;

use super::{Encoding, Format, Malformed};
pub(super) use leaves::leaves;
use std::{borrow::Cow, ops::Range};

/// How deep values may nest. Deeper ones are refused, since walking them needs stack.
pub(crate) const DEPTH_MAX: usize = 256;
/// What is said of more.
const TOO_DEEP: &str = "nested deeper than 256 levels";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Key,
    String,
    /// A number, `true` or `false`.
    Scalar,
    Null,
}

/// A value or key. The children of a container follow it; in an object keys and values alternate.
///
/// A manifest of a large project has millions of them, so they are small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Whether it stands anywhere below a key that begins with `#`.
    pub(crate) secret: bool,
    /// Whether it only describes such a key in a JSON Schema, as its title does.
    pub(crate) annotation: bool,
    /// Index of the leaf that it is; [`NO_LEAF`] if it is none.
    leaf: u32,
    start: u32,
    end: u32,
    /// Index of the node after its last descendant.
    after: u32,
}

const NO_LEAF: u32 = u32::MAX;

/// Returns a place in a text, or a number of nodes, of which there are not more than bytes: [`Parser::root`] has checked that it fits.
fn small(at: usize) -> u32 {
    u32::try_from(at).expect("texts that are walked are shorter than 4 GiB")
}

impl Node {
    /// Returns all bytes of a key or value, with quotes or brackets.
    pub(crate) fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the index of the leaf that it is, if it is one.
    pub(crate) fn leaf(&self) -> Option<usize> {
        (self.leaf != NO_LEAF).then_some(self.leaf as usize)
    }

    /// Returns the index of the node after its last descendant.
    pub(crate) fn after(&self) -> usize {
        self.after as usize
    }

    /// Returns the bytes between the quotes of a key or string, or those of any other value.
    pub(crate) fn inner(&self) -> Range<usize> {
        match self.kind {
            Kind::Key | Kind::String => {
                let Range { start, end } = self.span();
                start + 1..end - 1
            }
            Kind::Object | Kind::Array | Kind::Scalar | Kind::Null => self.span(),
        }
    }

    /// Returns the decoded text of a key or string, or the bytes of any other value.
    pub(crate) fn value<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let encoding = match self.kind {
            Kind::Key | Kind::String => Encoding::Json,
            Kind::Object | Kind::Array | Kind::Scalar | Kind::Null => Encoding::Plain,
        };
        encoding.decode(&text[self.inner()])
    }
}

/// One or more JSON values in one text.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// The line (none for a file that is one value) and the node of each root.
    pub(crate) roots: Vec<(Option<usize>, usize)>,
}

impl Tree {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser::new(text, Format::Json, Growing::new());
        parser.root(None, 0..text.len())?;
        Ok(parser.finish())
    }

    /// Returns the indices of a container's children: elements, or keys and values in turn.
    pub(crate) fn children(&self, container: usize) -> impl Iterator<Item = usize> {
        let after = self.nodes[container].after();
        let mut next = container + 1;
        std::iter::from_fn(move || {
            let child = (next < after).then_some(next)?;
            next = self.nodes[child].after();
            Some(child)
        })
    }

    /// Returns an object's members as pairs of key and value.
    pub(crate) fn members(&self, object: usize) -> impl Iterator<Item = (usize, usize)> {
        let mut children = self.children(object);
        std::iter::from_fn(move || children.next().zip(children.next()))
    }

    /// Takes for annotations only what still describes a `#` key after the leaves that `changes` tells have changed.
    pub(crate) fn mark_annotations_but(&mut self, text: &str, changes: impl Fn(usize) -> bool) {
        // Without an annotation there is none to lose.
        if self.nodes.iter().any(|node| node.annotation) {
            schema::mark_annotations(text, self, |node| node.leaf().is_some_and(&changes));
        }
    }

    /// Returns the spans of an array's elements or an object's members.
    pub(crate) fn child_spans(&self, container: usize) -> Vec<Range<usize>> {
        let node = |at: usize| &self.nodes[at];
        match node(container).kind {
            Kind::Object => self
                .members(container)
                .map(|(key, value)| node(key).span().start..node(value).span().end)
                .collect(),
            Kind::Array | Kind::Key | Kind::String | Kind::Scalar | Kind::Null => {
                self.children(container).map(|child| node(child).span()).collect()
            }
        }
    }
}

/// What becomes of what is read.
pub(super) trait Sink {
    /// What is to be known of a value or key until it ends.
    type Open;

    /// A value begins, in this line where there are several.
    fn root(&mut self, line: Option<usize>);

    /// A value or key begins.
    fn open(&mut self, at: usize, kind: Kind, is_secret: bool, is_leaf: bool) -> Self::Open;

    /// It ends before `at`; what is inside of it has been told.
    fn close(&mut self, open: Self::Open, at: usize);
}

/// Takes nothing: whoever has it wants to know whether a text is well-formed.
impl Sink for () {
    type Open = ();

    fn root(&mut self, _line: Option<usize>) {}

    fn open(&mut self, _at: usize, _kind: Kind, _is_secret: bool, _is_leaf: bool) {}

    fn close(&mut self, (): (), _at: usize) {}
}

/// A tree as it grows.
#[derive(Debug)]
pub(super) struct Growing {
    tree: Tree,
    leaves: u32,
}

impl Growing {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree {
                nodes: Vec::new(),
                roots: Vec::new(),
            },
            leaves: 0,
        }
    }
}

impl Sink for Growing {
    type Open = usize;

    fn root(&mut self, line: Option<usize>) {
        self.tree.roots.push((line, self.tree.nodes.len()));
    }

    fn open(&mut self, at: usize, kind: Kind, secret: bool, is_leaf: bool) -> usize {
        let leaf = if is_leaf { self.leaves } else { NO_LEAF };
        self.leaves += u32::from(is_leaf);
        self.tree.nodes.push(Node {
            kind,
            secret,
            annotation: false,
            leaf,
            start: small(at),
            end: small(at),
            after: 0,
        });
        self.tree.nodes.len() - 1
    }

    fn close(&mut self, node: usize, at: usize) {
        let after = small(self.tree.nodes.len());
        self.tree.nodes[node].end = small(at);
        self.tree.nodes[node].after = after;
    }
}

/// Reads JSON values and tells a sink of them.
pub(super) struct Parser<'t, S> {
    text: &'t str,
    format: Format,
    at: usize,
    end: usize,
    /// Whether a key begins with `#`.
    has_hash: bool,
    sink: S,
}

impl Parser<'_, Growing> {
    pub(super) fn finish(self) -> Tree {
        let mut tree = self.sink.tree;
        if self.has_hash {
            schema::mark_annotations(self.text, &mut tree, |_| false);
        }
        tree
    }
}

impl<'t, S: Sink> Parser<'t, S> {
    pub(super) fn new(text: &'t str, format: Format, sink: S) -> Self {
        Self {
            text,
            format,
            at: 0,
            end: 0,
            has_hash: false,
            sink,
        }
    }

    /// Reads the one value that the range holds.
    pub(super) fn root(&mut self, line: Option<usize>, range: Range<usize>) -> Result<(), Malformed> {
        (self.at, self.end) = (range.start, range.end);
        if u32::try_from(range.end).is_err() {
            return Err(self.fault("4 GiB or more of one file"));
        }
        self.skip_space();
        self.sink.root(line);
        self.value(0, false)?;
        self.skip_space();
        if self.at == self.end {
            Ok(())
        } else {
            Err(self.fault("more than one value"))
        }
    }

    fn fault(&self, problem: &'static str) -> Malformed {
        Malformed {
            format: self.format,
            problem,
            at: self.at,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes()[self.at..self.end].first().copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn open(&mut self, kind: Kind, secret: bool, is_leaf: bool) -> S::Open {
        self.sink.open(self.at, kind, secret, is_leaf)
    }

    fn close(&mut self, open: S::Open) {
        self.sink.close(open, self.at);
    }

    fn value(&mut self, depth: usize, secret: bool) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(self.fault(TOO_DEEP));
        }
        match self.peek() {
            Some(b'{') => self.object(depth, secret),
            Some(b'[') => self.array(depth, secret),
            Some(b'"') => {
                let node = self.open(Kind::String, secret, true);
                self.string()?;
                self.close(node);
                Ok(())
            }
            Some(b't') => self.word("true", Kind::Scalar, secret),
            Some(b'f') => self.word("false", Kind::Scalar, secret),
            Some(b'n') => self.word("null", Kind::Null, secret),
            Some(b'-' | b'0'..=b'9') => {
                let node = self.open(Kind::Scalar, secret, secret);
                self.number()?;
                self.close(node);
                Ok(())
            }
            _ => Err(self.fault("a value is missing")),
        }
    }

    fn object(&mut self, depth: usize, secret: bool) -> Result<(), Malformed> {
        let node = self.open(Kind::Object, secret, false);
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("a member name is missing"));
            }
            let (start, key) = (self.at + 1, self.open(Kind::Key, secret, true));
            self.string()?;
            self.close(key);
            let hash = decode(&self.text[start..self.at - 1]).starts_with('#');
            self.has_hash |= hash;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.fault("a colon is missing"));
            }
            self.at += 1;
            self.skip_space();
            self.value(depth + 1, secret || hash)?;
            if !self.another(b'}')? {
                self.close(node);
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize, secret: bool) -> Result<(), Malformed> {
        let node = self.open(Kind::Array, secret, false);
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            self.value(depth + 1, secret)?;
            if !self.another(b']')? {
                self.close(node);
                return Ok(());
            }
        }
    }

    /// Reads what follows a member or element: a comma, or the end of the container.
    fn another(&mut self, end: u8) -> Result<bool, Malformed> {
        self.skip_space();
        let next = self.peek();
        if next != Some(b',') && next != Some(end) {
            return Err(self.fault("a comma or the end of a container is missing"));
        }
        self.at += 1;
        if next == Some(b',') {
            self.skip_space();
        }
        Ok(next == Some(b','))
    }

    fn word(&mut self, word: &str, kind: Kind, secret: bool) -> Result<(), Malformed> {
        if !self.text.as_bytes()[self.at..self.end].starts_with(word.as_bytes()) {
            return Err(self.fault("an unknown word"));
        }
        let node = self.open(kind, secret, secret && kind == Kind::Scalar);
        self.at += word.len();
        self.close(node);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.fault("a digit is missing"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            let rest = &bytes[self.at..self.end];
            let stop = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if let Some(control) = rest[..stop].iter().position(|byte| *byte < 0x20) {
                self.at += control;
                return Err(self.fault("a control character in a string"));
            }
            self.at += stop;
            match rest.get(stop) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => self.escape()?,
                None => return Err(self.fault("a string without end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let rest = &self.text.as_bytes()[self.at..self.end];
        let length = match rest.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.len() >= 6 && rest[2..6].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.fault("an unknown escape")),
        };
        self.at += length;
        Ok(())
    }
}

/// Returns the text of the inside of a well-formed string literal.
///
/// Half of a surrogate pair, which JSON allows and Unicode does not, becomes U+FFFD.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else {
        return Cow::Borrowed(raw);
    };
    let mut text = String::with_capacity(raw.len());
    let (mut copied, mut at) = (0, first);
    loop {
        text.push_str(&raw[copied..at]);
        let (character, length) = escaped(&raw.as_bytes()[at..]);
        text.push(character);
        copied = at + length;
        match memchr::memchr(b'\\', &raw.as_bytes()[copied..]) {
            Some(next) => at = copied + next,
            None => break,
        }
    }
    text.push_str(&raw[copied..]);
    Cow::Owned(text)
}

/// Returns how many bytes the escape at `at` takes, in the literal and decoded.
pub(super) fn unit(raw: &str, at: usize) -> (usize, usize) {
    let (character, length) = escaped(&raw.as_bytes()[at..]);
    (length, character.len_utf8())
}

/// Returns the character that an escape stands for, and the escape's length.
fn escaped(escape: &[u8]) -> (char, usize) {
    match escape.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let first = code_unit(escape);
            if let Some(character) = char::from_u32(first) {
                return (character, 6);
            }
            let second = escape
                .get(6..)
                .filter(|rest| rest.starts_with(b"\\u"))
                .map_or(0, code_unit);
            if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            } else {
                (char::REPLACEMENT_CHARACTER, 6)
            }
        }
        // `"`, `\` and `/` stand for themselves.
        Some(byte) => (char::from(*byte), 2),
        None => (char::REPLACEMENT_CHARACTER, escape.len()),
    }
}

fn code_unit(escape: &[u8]) -> u32 {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
    escape
        .iter()
        .skip(2)
        .take(4)
        .fold(0, |code, byte| code * 16 + digit(byte))
}
