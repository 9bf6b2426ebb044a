//! JSON that keeps number tokens and the order of members.

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

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
    /// Parses a text.
    ///
    /// # Errors
    /// A text that is no JSON.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        match text.as_bytes().first().context("the text is empty")? {
            b'{' => {
                let members: Members<'_> = serde_json::from_str(text)?;
                let mut object = Self::Object(Vec::new());
                for (key, value) in members.0 {
                    object.remove(&key);
                    object.set(&key, Self::parse(value.get())?);
                }
                Ok(object)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|item| Self::parse(item.get()));
                items.collect::<Result<_>>().map(Self::Array)
            }
            b'"' => Ok(Self::Text(serde_json::from_str(text)?)),
            b'-' | b'0'..=b'9' => Ok(Self::Number(text.to_owned())),
            _ => match text {
                "null" => Ok(Self::Null),
                "true" => Ok(Self::Bool(true)),
                "false" => Ok(Self::Bool(false)),
                _ => Err(anyhow!("a value is malformed")),
            },
        }
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
