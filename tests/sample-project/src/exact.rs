//! JSON as values, with the care that a project from outside needs.
//!
//! `serde_json` itself reads a number of many digits as the double beside the nearest one, unless a
//! feature for all crates says otherwise, and leaves a repeated key where it stood first. What is rendered
//! must be what the file says, as Keboola's own tools read it: the nearest double, and the last place.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Error, Map, Number, Value, value::RawValue};
use std::fmt;

const DEPTH_MAX: usize = 128;

/// Parses a JSON text.
///
/// # Errors
/// A text that is no JSON, or is nested deeper than 128 levels.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Error> {
    let raw: &RawValue = serde_json::from_slice(text)?;
    value(raw.get(), 0)
}

fn value(text: &str, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::custom("it is nested deeper than 128 levels"));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text)?;
            let mut object = Map::new();
            for (key, member) in members.0 {
                object.shift_remove(&key);
                object.insert(key, value(member.get(), depth + 1)?);
            }
            Ok(Value::Object(object))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(|item| value(item.get(), depth + 1));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => serde_json::from_str(text),
    }
}

/// An integer stays one; anything else is the nearest double.
fn number(text: &str) -> Result<Value, Error> {
    let read: Number = serde_json::from_str(text)?;
    if !read.is_f64() {
        return Ok(Value::Number(read));
    }
    let nearest = text.parse().ok().and_then(Number::from_f64);
    Ok(Value::Number(nearest.unwrap_or(read)))
}

/// The members of an object, repeated keys included.
struct Members<'t>(Vec<(String, &'t RawValue)>);

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
