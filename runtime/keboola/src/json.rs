//! Reading the API's JSON leniently, and cutting objects out of it without writing them anew.

use crate::text::Text;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Why a text is not what was expected; never quotes it.
pub(crate) type Problem = String;

/// The members of an object in the order of the text, their values as text.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    /// The object.
    text: Text<'a>,
    all: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// Parses an object; the empty array that PHP writes for an empty object is one too.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Problem> {
        Self::of(text.into())
    }

    /// The same of what may be no text in places.
    pub(crate) fn of(text: Text<'a>) -> Result<Self, Problem> {
        let mut reader = serde_json::Deserializer::from_str(text.raw());
        let members = reader
            .deserialize_any(MembersVisitor)
            .map_err(|error| place(&error))?;
        reader.end().map_err(|error| place(&error))?;
        Ok(Self { text, all: members })
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        // Of a repeated key the last counts, as in every JSON reader.
        self.all
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the value's text as received.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.get(name).map(RawValue::get)
    }

    /// Returns a string, or the digits of a number; none of what is no text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let raw = self.text.part(self.raw(name)?).sound().ok()?;
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'-' | b'0'..=b'9' => Some(raw.to_owned()),
            _ => None,
        }
    }

    /// Returns the text, or an empty one.
    pub(crate) fn text_or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// The same of what is mirrored as it is read here: half of a surrogate pair, which JSON has and Unicode has not, is refused.
    pub(crate) fn whole_text(&self, name: &str) -> Result<String, Problem> {
        match (self.text(name), self.raw(name)) {
            (None, Some(raw)) if raw.starts_with('"') => Err(format!(
                "`{name}` has half of a surrogate pair; replace it in Keboola"
            )),
            (text, _) => Ok(text.unwrap_or_default()),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Returns whether the value is true in the eyes of PHP.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.raw(name), Some("true" | "1" | "\"1\"" | "\"true\""))
    }

    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        parse_time(&self.text(name)?)
    }

    /// Returns the members of an object; none for anything else, such as `[]` or `null`.
    pub(crate) fn object(&self, name: &str) -> Option<Members<'a>> {
        let raw = self.raw(name)?;
        let part = self.text.part(raw);
        raw.starts_with('{').then(|| Members::of(part).ok())?
    }

    /// Returns the items of an array; of an object its values, for that is what PHP writes for an
    /// array with gaps; none for anything else.
    pub(crate) fn items(&self, name: &str) -> Vec<Text<'a>> {
        let Some(raw) = self.raw(name) else {
            return Vec::new();
        };
        items(self.text.part(raw)).unwrap_or_default()
    }

    /// Says whether all is text but the value of one member.
    pub(crate) fn sound_but_for(&self, name: &str) -> Result<(), Problem> {
        let mut others = self.iter().filter(|(key, _)| *key != name);
        others.try_for_each(|(key, value)| {
            self.text.holds_sound(key)?;
            self.text.holds_sound(value)
        })
    }

    /// Returns the strings of an array.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.items(name)
            .into_iter()
            .filter_map(|text| serde_json::from_str(text.sound().ok()?).ok())
            .collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> + Clone {
        self.all.iter().map(|(key, value)| (key.as_str(), value.get()))
    }

    /// Writes the object again without some of its members; the others' values stay as they were.
    pub(crate) fn without(&self, dropped: &[&str]) -> String {
        object_text(self.iter().filter(|(key, _)| !dropped.contains(key)))
    }
}

/// Writes an object from keys and the texts of their values.
pub(crate) fn object_text<'t>(members: impl Iterator<Item = (&'t str, &'t str)> + Clone) -> String {
    // As much as it takes, for many are kept: quotes, a colon and a comma beside each key, which few have to escape.
    let bytes = members.clone().map(|(key, value)| key.len() + value.len() + 4);
    let mut text = String::with_capacity(1 + bytes.sum::<usize>());
    text.push('{');
    for (key, value) in members {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(key).to_string());
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

/// Returns the texts of an array's items, or of an object's values.
pub(crate) fn items(text: Text<'_>) -> Result<Vec<Text<'_>>, Problem> {
    let items: Vec<&RawValue> = if text.raw().trim_start().starts_with('{') {
        let members = Members::of(text)?.all.into_iter();
        members.map(|(_, value)| value).collect()
    } else {
        serde_json::from_str(text.raw()).map_err(|error| place(&error))?
    };
    Ok(items.into_iter().map(|item| text.part(item.get())).collect())
}

/// Says where a text stops being JSON, without quoting it.
fn place(error: &serde_json::Error) -> Problem {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "ends early",
        serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Data | serde_json::error::Category::Io => "has another form",
    };
    format!("it {kind} at line {} column {}", error.line(), error.column())
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
            members.push(member);
        }
        Ok(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Vec::new()),
            Some(_) => Err(serde::de::Error::custom("an array with items")),
        }
    }
}

/// Parses a time as Keboola writes it: with `+0100`, `+01:00`, `Z`, or, in old metadata, without
/// an offset, which is taken as UTC.
#[must_use]
pub fn parse_time(raw: &str) -> Option<Timestamp> {
    if let Ok(time) = raw.parse::<Timestamp>() {
        return Some(time);
    }
    let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"];
    if let Some(time) = with_offset
        .iter()
        .find_map(|format| Timestamp::strptime(format, raw).ok())
    {
        return Some(time);
    }
    let civil: DateTime = raw.parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_time(raw: &str, expected: Option<&str>) {
        assert_eq!(
            parse_time(raw).map(|time| time.to_string()).as_deref(),
            expected,
            "{raw}"
        );
    }

    #[test]
    fn times_come_in_many_forms() {
        check_time("2017-02-13T16:42:00+0100", Some("2017-02-13T15:42:00Z"));
        check_time("2017-02-13T16:42:00+01:00", Some("2017-02-13T15:42:00Z"));
        check_time("2017-02-13T16:42:00Z", Some("2017-02-13T16:42:00Z"));
        check_time("2017-02-13T16:42:00.250-0330", Some("2017-02-13T20:12:00.25Z"));
        check_time("2016-09-19 13:02:11", Some("2016-09-19T13:02:11Z"));
        check_time("", None);
        check_time("yesterday", None);
    }

    #[test]
    fn an_object_may_be_an_empty_array() {
        assert_eq!(Members::parse("[]").unwrap().iter().count(), 0);
        assert!(Members::parse("[1]").is_err());
        assert!(Members::parse("\"x\"").is_err());
        assert!(Members::parse("{} {}").is_err());
    }

    #[test]
    fn a_number_and_a_string_are_the_same_id() {
        let members = Members::parse(r#"{"a":12,"b":"12","c":null,"d":[],"e":"1","f":true,"g":0}"#).unwrap();
        assert_eq!(members.text("a"), members.text("b"));
        assert_eq!(members.number("b"), Some(12));
        assert_eq!(members.text("c"), None);
        assert!(members.object("d").is_none());
        assert_eq!(
            ["e", "f", "g", "d"].map(|name| members.flag(name)),
            [true, true, false, false]
        );
    }

    #[test]
    fn values_keep_their_text_when_a_member_is_cut_out() {
        let text = r#"{"b" : 12345678901234567890.10, "rows":[{"x":1}], "a":{"z":1e400, "y" : "\u017e\/"}}"#;
        let members = Members::parse(text).unwrap();
        let expected = r#"{"b":12345678901234567890.10,"a":{"z":1e400, "y" : "\u017e\/"}}"#;
        assert_eq!(members.without(&["rows"]), expected);
    }

    #[test]
    fn an_array_with_gaps_is_read_by_its_values() {
        let read = |text: &'static str| -> Result<Vec<&str>, Problem> {
            Ok(items(text.into())?.into_iter().map(Text::raw).collect())
        };
        assert_eq!(
            read(r#"{"0":{"a":1},"2":{"b":2}}"#).unwrap(),
            [r#"{"a":1}"#, r#"{"b":2}"#]
        );
        assert_eq!(read("[1, 2]").unwrap(), ["1", "2"]);
        assert_eq!(read("[1,").unwrap_err(), "it ends early at line 1 column 3");
    }

    #[test]
    fn deep_nesting_does_not_overflow() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        // Either outcome is fine; a crash is not.
        let _ = Members::parse(&deep).map(|members| members.without(&[]).len());
    }
}
