//! The text of an answer, of which parts may be no text at all.
//!
//! One byte that is not UTF-8 is a fault of the object that it is in. So an answer with such bytes is read with a mark in
//! the place of each run of them: what has the mark is refused, and never shown, while the rest is as it was received.

use crate::json::Problem;

/// What is said of something with a mark in it.
pub(crate) const NOT_TEXT: &str = "it has bytes that are not UTF-8; replace them in Keboola";

/// Any of them can be the mark of an answer which has none of it: Unicode's characters that are for no text.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// An answer, or an item of one, as it was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    text: String,
    /// Stands where bytes were that are not UTF-8, and nowhere else.
    mark: Option<char>,
}

impl Received {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, mark: None },
            Err(error) => Self::marked(error.as_bytes()),
        }
    }

    fn marked(bytes: &[u8]) -> Self {
        let is_free = |mark: &char| {
            let mut encoded = [0; 4];
            let encoded = mark.encode_utf8(&mut encoded).as_bytes();
            !bytes.windows(encoded.len()).any(|window| window == encoded)
        };
        let Some(mark) = MARKS.into_iter().find(is_free) else {
            // Nobody writes all of them: nothing is told apart.
            let mark = *MARKS.start();
            return Self {
                text: mark.to_string(),
                mark: Some(mark),
            };
        };
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() && !text.ends_with(mark) {
                text.push(mark);
            }
        }
        Self {
            text,
            mark: Some(mark),
        }
    }

    pub(crate) fn text(&self) -> Text<'_> {
        Text {
            raw: &self.text,
            mark: self.mark,
        }
    }

    /// Returns the whole, if all of it is text.
    pub(crate) fn into_text(self) -> Option<String> {
        self.mark.is_none().then_some(self.text)
    }
}

/// A part of what was received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    /// With the marks.
    raw: &'a str,
    mark: Option<char>,
}

impl<'a> Text<'a> {
    /// Returns the text, if it is one.
    pub(crate) fn sound(self) -> Result<&'a str, Problem> {
        self.holds_sound(self.raw).map(|()| self.raw)
    }

    /// Says whether something that was read out of this text is one.
    pub(crate) fn holds_sound(self, read: &str) -> Result<(), Problem> {
        match self.mark {
            Some(mark) if read.contains(mark) => Err(NOT_TEXT.into()),
            _ => Ok(()),
        }
    }

    /// Returns the text with marks, for its form alone.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    /// Returns a part of this text.
    pub(crate) fn part(self, raw: &'a str) -> Self {
        Self { raw, mark: self.mark }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(raw: &'a str) -> Self {
        Self { raw, mark: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_other_bytes_is_no_text() {
        let received = Received::new(b"[\"a\xff\xfe\xff\", \"\xef\xbf\xbd\", \"b\"]".to_vec());
        let text = received.text();
        assert_eq!(text.raw(), "[\"a\u{fdd0}\", \"\u{fffd}\", \"b\"]");
        assert_eq!(text.sound().unwrap_err(), NOT_TEXT);
        let [odd, other] = ["\"a\u{fdd0}\"", "\"\u{fffd}\""].map(|raw| text.part(raw).sound());
        assert!(odd.is_err());
        assert_eq!(other.unwrap(), "\"\u{fffd}\"");
        assert_eq!(received.into_text(), None);
        let plain = "\u{fdd0}".as_bytes().to_vec();
        assert_eq!(Received::new(plain).into_text().as_deref(), Some("\u{fdd0}"));
    }

    #[test]
    fn a_mark_is_never_what_somebody_wrote() {
        let received = Received::new([b"\xff", "\u{fdd0}\u{fdd2}".as_bytes()].concat());
        assert_eq!(received.text().raw(), "\u{fdd1}\u{fdd0}\u{fdd2}");
        let all: String = MARKS.collect();
        let received = Received::new([b"\xff", all.as_bytes()].concat());
        assert!(received.text().sound().is_err());
        assert_eq!(received.text().raw(), "\u{fdd0}");
    }
}
