//! JSON as the API gives it: order and number tokens are kept.
//!
//! A value tree of our own, because a number must survive as it is written (an id of 20 digits is
//! not an `f64`), and because Keboola's CLI counts a repeated key at its last position. Texts are those of
//! the source wherever they stand in it as they are: most do, and to copy them took a fifth of an inspection.

mod eight;
pub(crate) mod write;

use eight::{EIGHT, Eight};
use std::{borrow::Cow, collections::BTreeMap};

/// A JSON value; a number is its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json<'t> {
    Null,
    Bool(bool),
    Number(Text<'t>),
    String(Text<'t>),
    Array(Vec<Json<'t>>),
    Object(Object<'t>),
}

/// A key, a string or the token of a number.
pub(crate) type Text<'t> = Cow<'t, str>;

/// The members of an object, in order, each key once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Object<'t>(Vec<(Text<'t>, Json<'t>)>);

impl<'t> Object<'t> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json<'t>> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Json<'t>> {
        self.0
            .iter_mut()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Takes a member out; the others keep their order.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Json<'t>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Replaces a member where it stands, or adds it at the end.
    pub(crate) fn set(&mut self, key: impl Into<Text<'t>>, value: impl Into<Json<'t>>) {
        self.put(key.into(), value.into());
    }

    fn put(&mut self, key: Text<'t>, value: Json<'t>) {
        match self.get_mut(&key) {
            Some(place) => *place = value,
            None => self.0.push((key, value)),
        }
    }

    /// Returns the object with texts of its own.
    pub(crate) fn into_owned(self) -> Object<'static> {
        let own = |(key, value): (Text<'t>, Json<'t>)| (Text::Owned(key.into_owned()), value.into_owned());
        Object(self.0.into_iter().map(own).collect())
    }

    /// Adds a member at the end; one of that key that stood elsewhere goes.
    pub(crate) fn set_last(&mut self, key: impl Into<Text<'t>>, value: impl Into<Json<'t>>) {
        let key = key.into();
        self.remove(&key);
        self.0.push((key, value.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Json<'t>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// Returns a member that is a string.
    pub(crate) fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Returns a member that is a string or a number, as text: the API writes ids both ways.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    pub(crate) fn object(&self, key: &str) -> Option<&Self> {
        self.get(key)?.as_object()
    }

    /// Returns the items of a member that is an array; none otherwise.
    pub(crate) fn items(&self, key: &str) -> &[Json<'t>] {
        self.get(key).and_then(Json::as_array).unwrap_or_default()
    }

    /// Returns whether a member is `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Json::Bool(true))
    }

    /// Keeps each repeated key once, at its last position.
    fn parsed(mut members: Vec<(Text<'t>, Json<'t>)>) -> Self {
        if repeats_a_key(&members) {
            let last: BTreeMap<Text<'_>, usize> = members
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (key.clone(), at))
                .collect();
            let mut at = 0;
            members.retain(|(key, _)| {
                at += 1;
                last.get(key) == Some(&(at - 1))
            });
        }
        Self(members)
    }
}

fn repeats_a_key(members: &[(Text<'_>, Json<'_>)]) -> bool {
    /// Up to here comparing each with each takes less than sorting.
    const FEW: usize = 24;
    if members.len() <= FEW {
        let mut rest = members.iter();
        while let Some((key, _)) = rest.next() {
            if rest.as_slice().iter().any(|(other, _)| other == key) {
                return true;
            }
        }
        return false;
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

impl<'t, K: Into<Text<'t>>, V: Into<Json<'t>>> FromIterator<(K, V)> for Object<'t> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self::parsed(
            members
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

impl<'t> IntoIterator for Object<'t> {
    type Item = (Text<'t>, Json<'t>);
    type IntoIter = std::vec::IntoIter<(Text<'t>, Json<'t>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'t> From<&'t str> for Json<'t> {
    fn from(text: &'t str) -> Self {
        Self::String(Text::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::String(Text::Owned(text))
    }
}

impl<'t> From<Text<'t>> for Json<'t> {
    fn from(text: Text<'t>) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Json<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json<'_> {
    fn from(value: u64) -> Self {
        Self::Number(Text::Owned(value.to_string()))
    }
}

impl<'t> From<Object<'t>> for Json<'t> {
    fn from(object: Object<'t>) -> Self {
        Self::Object(object)
    }
}

impl<'t> From<Vec<Json<'t>>> for Json<'t> {
    fn from(items: Vec<Json<'t>>) -> Self {
        Self::Array(items)
    }
}

impl<'t, T: Into<Json<'t>>> From<Option<T>> for Json<'t> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'t> Json<'t> {
    /// Parses a JSON text.
    ///
    /// # Errors
    /// What is wrong with the text, without any of it. Nesting of over 500 levels is refused.
    pub(crate) fn parse(text: &'t str) -> Result<Self, &'static str> {
        let mut parser = Parser {
            text,
            at: 0,
            members: Vec::new(),
            items: Vec::new(),
        };
        let value = parser.value(0)?;
        parser.blanks();
        if parser.at == text.len() {
            Ok(value)
        } else {
            Err("there is text after the JSON value")
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the text of a string or the token of a number.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The same, of a value that is not needed any more.
    pub(crate) fn into_text(self) -> Option<Text<'t>> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'t>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn as_object_mut(&mut self) -> Option<&mut Object<'t>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_array_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the object, or an empty one: PHP writes an empty object as `[]`.
    pub(crate) fn into_object(self) -> Object<'t> {
        match self {
            Self::Object(object) => object,
            _ => Object::new(),
        }
    }

    /// Returns the value with texts of its own.
    pub(crate) fn into_owned(self) -> Json<'static> {
        let own = |text: Text<'t>| Text::Owned(text.into_owned());
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(token) => Json::Number(own(token)),
            Self::String(text) => Json::String(own(text)),
            Self::Array(items) => Json::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(object) => Json::Object(object.into_owned()),
        }
    }
}

/// Returns where a string may end.
fn quote_or_escape(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(eight) = text[at..].first_chunk() {
        let eight = Eight::new(*eight);
        if let Some(within) = eight.equal(b'"').or(eight.equal(b'\\')).first() {
            return Some(at + within);
        }
        at += EIGHT;
    }
    Some(at + text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?)
}

/// A text of one escape per nesting level would exhaust a guest's stack.
const DEPTH_MAX: usize = 500;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// Those of all objects and arrays that have not ended, so that each is put in a place of its own size at once.
    members: Vec<(Text<'t>, Json<'t>)>,
    items: Vec<Json<'t>>,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json<'t>) -> Result<Json<'t>, &'static str> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err("a JSON value is malformed")
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'t>, &'static str> {
        if depth > DEPTH_MAX {
            return Err("JSON is nested too deeply");
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err("a JSON value is malformed"),
            None => Err("JSON ends too early"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'t>, &'static str> {
        self.at += 1;
        let first = self.members.len();
        self.blanks();
        if self.eat(b'}') {
            return Ok(Json::Object(Object::new()));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err("a JSON key is malformed");
            }
            let key = self.string()?;
            self.blanks();
            if !self.eat(b':') {
                return Err("a JSON key has no value");
            }
            let value = self.value(depth + 1)?;
            self.members.push((key, value));
            self.blanks();
            if self.eat(b'}') {
                return Ok(Json::Object(Object::parsed(self.members.split_off(first))));
            }
            if !self.eat(b',') {
                return Err("a JSON object is malformed");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'t>, &'static str> {
        self.at += 1;
        let first = self.items.len();
        self.blanks();
        if self.eat(b']') {
            return Ok(Json::Array(Vec::new()));
        }
        loop {
            let item = self.value(depth + 1)?;
            self.items.push(item);
            self.blanks();
            if self.eat(b']') {
                return Ok(Json::Array(self.items.split_off(first)));
            }
            if !self.eat(b',') {
                return Err("a JSON array is malformed");
            }
        }
    }

    fn digits(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > from
    }

    fn number(&mut self) -> Result<Json<'t>, &'static str> {
        let from = self.at;
        self.eat(b'-');
        let leading_zero = self.eat(b'0');
        let mut well_formed = leading_zero || self.digits();
        if self.eat(b'.') {
            well_formed &= self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            well_formed &= self.digits();
        }
        if well_formed {
            Ok(Json::Number(Text::Borrowed(&self.text[from..self.at])))
        } else {
            Err("a JSON number is malformed")
        }
    }

    fn string(&mut self) -> Result<Text<'t>, &'static str> {
        self.at += 1;
        let text = self.text;
        let mut out = String::new();
        loop {
            let rest = &text[self.at..];
            let stop = quote_or_escape(rest.as_bytes()).ok_or("a JSON string does not end")?;
            let is_end = rest.as_bytes()[stop] == b'"';
            self.at += stop + 1;
            if is_end && out.is_empty() {
                return Ok(Text::Borrowed(&rest[..stop]));
            }
            out.push_str(&rest[..stop]);
            if is_end {
                return Ok(Text::Owned(out));
            }
            let escape = self.peek().ok_or("a JSON string does not end")?;
            self.at += 1;
            out.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return Err("a JSON string has an unknown escape"),
            });
        }
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .ok_or("a JSON escape is malformed")?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a JSON escape is malformed");
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| "a JSON escape is malformed")
    }

    /// Reads the digits of `\u`, and of a second one where the first is half of a pair. Half a
    /// pair alone becomes U+FFFD, as in the CLI.
    fn unicode(&mut self) -> Result<char, &'static str> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let pair = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests;
