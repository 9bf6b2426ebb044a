//! Finds secrets in any of their disguises.

use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
};

/// A text that must not leave, and where it was left.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) place: String,
    pub(super) value: String,
}

/// Finds secrets in any of their disguises.
pub(super) struct Scanner {
    /// What a needle is: place and disguise.
    names: Vec<(String, &'static str)>,
    needles: Vec<Vec<u8>>,
    /// Needles by their first eight bytes.
    heads: HashMap<[u8; HEAD], Vec<usize>>,
    /// Which pairs of bytes begin a needle; most places of a text are passed by it.
    pairs: Vec<bool>,
}

const HEAD: usize = 8;
/// The disguise of what stands in a path or in the name of a ref.
pub(super) const SLUG: &str = "as a slug";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Scanner {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut scanner = Self {
            names: Vec::new(),
            needles: Vec::new(),
            heads: HashMap::new(),
            pairs: vec![false; 1 << 16],
        };
        for secret in secrets {
            // A patch splits a text of several lines, and each line of a key is a secret of its own.
            let lines = secret.value.split(['\n', '\r']).chain(secret.value.split("\\n"));
            let lines: BTreeSet<&str> = lines
                .filter(|line| line.len() >= 20 && !line.contains("-----"))
                .collect();
            for text in lines.into_iter().chain([secret.value.as_str()]) {
                for (form, needle) in disguises(text) {
                    scanner.add(&secret.place, form, needle);
                }
            }
        }
        scanner
    }

    fn add(&mut self, place: &str, form: &'static str, needle: Vec<u8>) {
        let Some(head) = needle.first_chunk::<HEAD>().copied() else {
            return;
        };
        let known = self.heads.entry(head).or_default();
        if known.iter().any(|at| self.needles[*at] == needle) {
            return;
        }
        known.push(self.needles.len());
        self.pairs[pair(&needle)] = true;
        self.needles.push(needle);
        self.names.push((place.to_owned(), form));
    }

    /// Returns what occurs in a text: place, disguise, and what stands before it on its line.
    pub(super) fn find(&self, text: &[u8]) -> BTreeSet<(String, &'static str, String)> {
        let mut found = BTreeSet::new();
        for at in 0..text.len().saturating_sub(HEAD - 1) {
            let rest = &text[at..];
            if !self.pairs[pair(rest)] {
                continue;
            }
            let head = rest.first_chunk::<HEAD>().and_then(|head| self.heads.get(head));
            for needle in head
                .into_iter()
                .flatten()
                .filter(|needle| rest.starts_with(&self.needles[**needle]))
            {
                let (place, form) = &self.names[*needle];
                let before = String::from_utf8_lossy(&text[at.saturating_sub(60)..at]).into_owned();
                let line = before.rsplit('\n').next().unwrap_or_default();
                found.insert((place.clone(), *form, line.to_owned()));
            }
        }
        found
    }
}

fn pair(text: &[u8]) -> usize {
    usize::from(text[0]) << 8 | usize::from(text[1])
}

/// The forms in which a text may stand somewhere.
fn disguises(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let escaped = json_escaped(text);
    let mut forms = vec![
        ("as it is", text.to_owned()),
        ("in JSON", escaped.clone()),
        ("in JSON with \\/", escaped.replace('/', "\\/")),
        ("in JSON in JSON", json_escaped(&escaped)),
        ("in CSV", text.replace('"', "\"\"")),
        ("percent-encoded", percent(text, false)),
        ("percent-encoded in small letters", percent(text, true)),
        ("in a form", percent(text, false).replace("%20", "+")),
    ];
    for before in 0..3 {
        forms.push(("in base64", base64(text.as_bytes(), before, STANDARD)));
        forms.push(("in base64 for URLs", base64(text.as_bytes(), before, FOR_URLS)));
    }
    // As a part of a path or the name of a ref.
    let slug = mirror_core::placement::normalize_name(text);
    if slug.len() >= 12 {
        forms.push((SLUG, slug));
    }
    forms
        .into_iter()
        .map(|(name, form)| (name, form.into_bytes()))
        .collect()
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent(text: &str, small: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let written = match byte {
            b'-' | b'_' | b'.' | b'~' => write!(encoded, "{}", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => write!(encoded, "{}", char::from(byte)),
            _ if small => write!(encoded, "%{byte:02x}"),
            _ => write!(encoded, "%{byte:02X}"),
        };
        written.expect("strings can be written");
    }
    encoded
}

/// The characters that depend on the text only, where it follows `before` bytes of a group of three
/// and anything may come after.
fn base64(text: &[u8], before: usize, alphabet: &[u8; 64]) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text);
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let digits = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
    digits
        .map(|digit| (digit * 6..digit * 6 + 6).fold(0, |value, at| value << 1 | bit(at)))
        .map(|value| char::from(alphabet[value]))
        .collect()
}

#[test]
fn the_scanner_finds_what_it_is_to_find() {
    let value = "pA%s \"w/ö7rd?é+x".to_owned();
    let scanner = Scanner::new(&[Secret {
        place: "here".into(),
        value,
    }]);
    // Made with other programs.
    for text in [
        r#"x pA%s "w/ö7rd?é+x y"#,
        r#"{"a":"pA%s \"w/ö7rd?é+x"}"#,
        r#"{"a":"pA%s \"w\/ö7rd?é+x"}"#,
        r#""{\"a\":\"pA%s \\\"w/ö7rd?é+x\"}""#,
        r#""pA%s ""w/ö7rd?é+x""#,
        "q=pA%25s%20%22w%2F%C3%B67rd%3F%C3%A9%2Bx",
        "q=pA%25s%20%22w%2f%c3%b67rd%3f%c3%a9%2bx",
        "q=pA%25s+%22w%2F%C3%B67rd%3F%C3%A9%2Bx",
        "cEElcyAidy/DtjdyZD/DqSt4",
        "YTpwQSVzICJ3L8O2N3JkP8OpK3g6Yg==",
        "YWI6cEElcyAidy/Dtjdyd",
        "cEElcyAidy_Dtjdy",
    ] {
        let is_whole = !text.ends_with("Dtjdyd") && !text.ends_with("Dtjdy");
        assert_eq!(!scanner.find(text.as_bytes()).is_empty(), is_whole, "{text}");
    }
    assert_eq!(scanner.find(b"pA%s w/o7rd nothing of it"), BTreeSet::new());
}
