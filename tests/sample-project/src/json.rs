//! JSON that keeps number tokens and the order of members, with the care that a project from outside needs.
//!
//! `serde_json` itself reads a number of many digits as the double beside the nearest one, unless a
//! feature for all crates says otherwise, and leaves a repeated key where it stood first. What is rendered
//! must be what the file says, as Keboola's own tools read it: the nearest double, and the last place.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Error, Number, Value, value::RawValue};
use std::fmt;

const DEPTH_MAX: usize = 128;

/// A value; a number is its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Node>),
    /// Members in order, each key once: of a repeated key the last counts.
    Object(Vec<(String, Node)>),
}

/// The members of an object as texts, in order, repeated keys included.
#[derive(Debug)]
pub struct Members<'t>(pub Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(reader: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'t> Visitor<'t> for Reader {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Members<'t>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Reader)
    }
}

impl Members<'_> {
    /// Writes the object again without some members; the values of the others stay as they are.
    #[must_use]
    pub fn without(&self, dropped: &[&str]) -> String {
        let kept = self.0.iter().filter(|(key, _)| !dropped.contains(&key.as_str()));
        let members: Vec<String> = kept
            .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_str()), value.get()))
            .collect();
        format!("{{{}}}", members.join(","))
    }

    /// Returns the text of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.get())
    }
}

impl Node {
    /// Parses a JSON text.
    ///
    /// # Errors
    /// A text that is no JSON, or is nested deeper than 128 levels.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::of(serde_json::from_str(text)?, 0)
    }

    fn of(raw: &RawValue, depth: usize) -> Result<Self, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::custom("it is nested deeper than 128 levels"));
        }
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: Members<'_> = serde_json::from_str(text)?;
                let mut object = Self::Object(Vec::new());
                for (key, value) in members.0 {
                    object.remove(&key);
                    object.set(&key, Self::of(value, depth + 1)?);
                }
                object
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|item| Self::of(item, depth + 1));
                Self::Array(items.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    #[must_use]
    pub fn empty() -> Self {
        Self::Object(Vec::new())
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.members().iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter_mut().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// Returns the value at a JSON pointer.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        pointer
            .split('/')
            .skip(1)
            .try_fold(self, |node, step| match node {
                Self::Array(items) => items.get(step.parse::<usize>().ok()?),
                object => object.get(&step.replace("~1", "/").replace("~0", "~")),
            })
    }

    pub fn remove(&mut self, key: &str) -> Option<Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let at = members.iter().position(|(name, _)| name == key)?;
        Some(members.remove(at).1)
    }

    /// Sets a member; what is no object becomes one.
    pub fn set(&mut self, key: &str, value: Self) {
        if !matches!(self, Self::Object(_)) {
            *self = Self::empty();
        }
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => {
                if let Self::Object(members) = self {
                    members.push((key.to_owned(), value));
                }
            }
        }
    }

    /// Puts a value at a JSON pointer, and makes the objects on the way.
    pub fn put(&mut self, pointer: &str, value: Self) {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let key = step.replace("~1", "/").replace("~0", "~");
            let index = step.parse::<usize>().ok();
            node = match (node, index) {
                (Self::Array(items), Some(index)) => {
                    if items.len() <= index {
                        items.resize(index + 1, Self::Null);
                    }
                    &mut items[index]
                }
                (node, _) => {
                    if node.get(&key).is_none() {
                        node.set(&key, Self::empty());
                    }
                    node.get_mut(&key).expect("it was just set")
                }
            };
        }
        *node = value;
    }

    #[must_use]
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a member that is a string, or an empty text.
    #[must_use]
    pub fn str(&self, key: &str) -> &str {
        self.get(key).and_then(Self::text).unwrap_or_default()
    }

    /// Returns a member that is a string or a number as text.
    #[must_use]
    pub fn id(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Self::Text(text) | Self::Number(text)) => text,
            _ => "",
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn value(node: Node) -> Result<Value, Error> {
    Ok(match node {
        Node::Null => Value::Null,
        Node::Bool(value) => value.into(),
        Node::Number(token) => number(&token)?,
        Node::Text(text) => text.into(),
        Node::Array(items) => items.into_iter().map(value).collect::<Result<_, _>>()?,
        Node::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(key, member)| Ok::<_, Error>((key, value(member)?)));
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

/// An integer stays one; anything else is the nearest double.
fn number(token: &str) -> Result<Value, Error> {
    let read: Number = serde_json::from_str(token)?;
    if !read.is_f64() {
        return Ok(Value::Number(read));
    }
    let nearest = token.parse().ok().and_then(Number::from_f64);
    Ok(Value::Number(nearest.unwrap_or(read)))
}

/// Parses a JSON text as values.
///
/// # Errors
/// As [`Node::parse`], and a number past all doubles.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Error> {
    value(Node::of(serde_json::from_slice(text)?, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text.as_bytes()).expect("it is JSON").to_string(), expected);
    }

    #[test]
    fn numbers_are_the_nearest_doubles_and_integers_stay() {
        check("123456789.12345679", "123456789.12345679");
        check("1.2345678901234567e-7", "1.2345678901234566e-7");
        check("18446744073709551615", "18446744073709551615");
        check("[-1, 0, 1.0]", "[-1,0,1.0]");
    }

    #[test]
    fn a_repeated_key_counts_at_its_last_place() {
        check(
            r#" {"a": 1, "b": {"c": [true, null, "x\n"]}, "a": {}} "#,
            r#"{"b":{"c":[true,null,"x\n"]},"a":{}}"#,
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", r#"{"a" 1}"#, "[1,]", "01", "1 2"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse("[".repeat(200).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(deep.as_bytes()).is_err());
    }
}
