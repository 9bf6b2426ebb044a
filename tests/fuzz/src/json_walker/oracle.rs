//! The leaves of a JSON text as serde_json reads it.

use mirror_core::document::{Leaf, LeafRole, Leaves};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// Returns the leaves of what is JSON.
pub(super) fn leaves(text: &str) -> Leaves {
    let mut leaves = Leaves::default();
    collect(text.trim_matches([' ', '\t', '\n', '\r']), "", false, &mut leaves);
    leaves
}

fn collect(value: &str, pointer: &str, secret: bool, leaves: &mut Leaves) {
    let mut push = |role, value: &str| {
        leaves.push(Leaf { pointer, role, value });
    };
    match value.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = parsed(value);
            for (Text(name), value) in members {
                let segment = name.replace('~', "~0").replace('/', "~1");
                let pointer = format!("{pointer}/{segment}");
                leaves.push(Leaf {
                    pointer: &pointer,
                    role: LeafRole::Key,
                    value: &name,
                });
                collect(value.get(), &pointer, secret || name.starts_with('#'), leaves);
            }
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = parsed(value);
            for (index, element) in elements.into_iter().enumerate() {
                collect(element.get(), &format!("{pointer}/{index}"), secret, leaves);
            }
        }
        Some(b'"') => push(LeafRole::Text, &text_of(value)),
        Some(b'n') => {}
        _ if secret => push(LeafRole::Scalar, value),
        _ => {}
    }
}

/// Returns the text that a string, or any other scalar, stands for.
pub(super) fn text_of(written: &str) -> String {
    if written.starts_with('"') {
        let Text(text) = parsed(written);
        text
    } else {
        written.to_owned()
    }
}

/// Writes a value like the one that stood there.
pub(super) fn written(before: &str, value: &str) -> String {
    if before.starts_with('"') {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

fn parsed<'t, T: Deserialize<'t>>(text: &'t str) -> T {
    serde_json::from_str(text).expect("it was found to be JSON")
}

/// A string. Half surrogates, which no `String` can hold, become U+FFFD.
#[derive(PartialEq, Eq)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(without_halves(bytes)))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// serde_json gives half surrogates in the three bytes that UTF-8 would have for them.
fn without_halves(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        match rest {
            [0xed, 0xa0..=0xbf, _, after @ ..] => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                rest = after;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(out).expect("all else of a JSON text is UTF-8")
}

/// The members of an object, repeated ones too.
struct Members<'t>(Vec<(Text, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}
