//! Settings of a policy from a JSON file of an author's.

use crate::{app::Failure, files};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::{fmt, path::PathBuf};

/// Bytes of a file of settings.
const SETTINGS_BYTES_MAX: u64 = 16 << 20;

/// Reads a file of settings; none are `{}`.
///
/// # Errors
/// A file that cannot be read, is no JSON, or has a name twice in an object, which a mirror's TOML cannot have either.
pub(in crate::cli) fn settings(path: Option<&PathBuf>) -> Result<String, Failure> {
    let Some(path) = path else {
        return Ok("{}".to_owned());
    };
    let text = files::read_text(path, SETTINGS_BYTES_MAX)
        .map_err(|error| Failure::usage(format!("cannot read the settings `{}`: {error}", path.display())))?;
    let parsed = parse(&text)
        .map_err(|problem| Failure::usage(format!("the settings `{}` {problem}", path.display())))?;
    // As a mirror would give them.
    Ok(parsed.to_string())
}

/// Parses settings, or says what is wrong with them, without a value of theirs.
fn parse(text: &str) -> Result<Value, String> {
    if text.starts_with('\u{feff}') {
        return Err(
            "begin with a byte order mark, which JSON has none of; write the file without one".to_owned(),
        );
    }
    if text.trim().is_empty() {
        return Err("are empty, which is not JSON; write `{}` where there are none".to_owned());
    }
    let parsed: Result<Unique, _> = serde_json::from_str(text);
    parsed.map(|Unique(value)| value).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            format!("have a name twice in one object ({place}); leave one of both")
        } else {
            format!("are not JSON ({place})")
        }
    })
}

/// JSON in whose objects each name stands once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Members).map(Self)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_settings_is_told_by_its_place_and_without_its_values() {
        let problem = |text: &str| parse(text).err().unwrap_or_default();
        assert_eq!(
            problem("{\"a\": 1,\n \"b\": [{\"c\": 1, \"c\": 2}]}"),
            "have a name twice in one object (line 2, column 23); leave one of both"
        );
        assert_eq!(problem("{\"a\": hunter2}"), "are not JSON (line 1, column 7)");
        assert_eq!(
            problem(" \n"),
            "are empty, which is not JSON; write `{}` where there are none"
        );
        assert!(problem("\u{feff}{}").contains("byte order mark"));
    }

    #[test]
    fn settings_are_given_as_a_mirror_would_give_them() {
        let texts = [
            r#"{"a": {"b": 1}, "b": [1, -2, 0.5, true, null, "ř"]}"#,
            r#"{"big": 18446744073709551615, "small": -9223372036854775808}"#,
        ];
        for text in texts {
            let plain: Value = serde_json::from_str(text).expect("it is JSON");
            assert_eq!(parse(text), Ok(plain));
        }
    }
}
