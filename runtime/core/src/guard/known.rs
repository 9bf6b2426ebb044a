//! Secrets that are known exactly, and the disguises in which they may stand in a file.

use super::{automaton, pieces::Pieces, slug::Slugs};
use crate::marker::Marker;
use aho_corasick::AhoCorasick;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    ops::Range,
};

/// Shorter texts occur by chance.
const LEN_MIN: usize = 8;

/// Secrets that must not leave: credentials of the run, and unencrypted values seen under `#` keys.
///
/// They are wiped on drop, and `Debug` prints their number only.
#[derive(Clone, Default)]
pub struct KnownSecrets(Vec<SecretString>);

impl KnownSecrets {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a credential of the run, such as a Storage token or a password for Git.
    ///
    /// One of under 8 bytes is ignored: it would be found in every other file.
    pub fn add_credential(&mut self, secret: &str) {
        if secret.len() >= LEN_MIN {
            self.0.push(SecretString::from(secret));
        }
    }

    /// Adds an unencrypted value that stood under a `#` key.
    ///
    /// People put names of users, regions and hosts there too, and such a text stands in many other
    /// files, all of which would be withheld. So it must be distinctive: at least 8 bytes of three
    /// kinds (small letters, capitals, digits, others), or 16 of two kinds, or 24; and neither an
    /// e-mail address, a host name, a URL without a password nor a text with a marker.
    pub fn add_plaintext(&mut self, value: &str) {
        let value = value.trim();
        if is_distinctive(value) {
            self.0.push(SecretString::from(value));
        }
    }

    /// Adds all of another set, each once.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let mut there: BTreeSet<&str> = self.0.iter().map(ExposeSecret::expose_secret).collect();
        let new = other
            .0
            .iter()
            .filter(|secret| there.insert(secret.expose_secret()));
        let new: Vec<SecretString> = new.cloned().collect();
        self.0.extend(new);
    }

    pub(super) fn slugs(&self) -> Slugs {
        Slugs::new(self.0.iter().map(ExposeSecret::expose_secret))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecrets({} hidden)", self.0.len())
    }
}

fn is_distinctive(value: &str) -> bool {
    let kinds: [fn(&u8) -> bool; 4] = [
        u8::is_ascii_lowercase,
        u8::is_ascii_uppercase,
        u8::is_ascii_digit,
        |byte| !byte.is_ascii_alphanumeric(),
    ];
    let kinds = kinds
        .iter()
        .filter(|kind| value.bytes().any(|byte| kind(&byte)))
        .count();
    let long = match kinds {
        0 | 1 => value.len() >= 24,
        2 => value.len() >= 16,
        _ => value.len() >= LEN_MIN,
    };
    long && !is_address(value) && Marker::find_iter(value).next().is_none()
}

/// Says whether a text is an e-mail address, a host name or a URL without user information.
fn is_address(value: &str) -> bool {
    let host = |text: &str| {
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let last = text.rsplit('.').next().unwrap_or("");
        text.contains('.')
            && text.split('.').all(label)
            && (2..=24).contains(&last.len())
            && last.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    if let Some((scheme, rest)) = value.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        return scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !authority.contains('@')
            && !rest.contains(['?', ' ']);
    }
    match value.split_once('@') {
        Some((user, domain)) => !user.is_empty() && !value.contains([' ', ':']) && host(domain),
        None => host(value),
    }
}

/// Finds known secrets in any of their disguises.
pub(super) struct Matcher {
    /// None where a text has to be looked through whatever is in it.
    pieces: Option<Pieces>,
    /// None where there is nothing to find, or (`refuses_all`) where the tables could not be made.
    tables: Option<AhoCorasick>,
    refuses_all: bool,
}

impl Matcher {
    pub(super) fn new(known: &KnownSecrets) -> Self {
        let mut forms: Vec<String> = known
            .0
            .iter()
            .flat_map(|secret| disguises(secret.expose_secret()))
            .collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self {
                pieces: None,
                tables: None,
                refuses_all: false,
            };
        }
        // Too many bytes of secrets for one automaton: pass nothing rather than look for less.
        let tables = automaton(&forms);
        Self {
            pieces: Pieces::of(&forms),
            refuses_all: tables.is_none(),
            tables,
        }
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.tables.is_none() && self.refuses_all || self.hits(text).next().is_some()
    }

    /// Returns where known secrets stand, in whichever form; of tables that could not be made none.
    pub(super) fn hits(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let may_be_in = |pieces: &Pieces| pieces.may_be_in(text);
        let tables = self.tables.as_ref();
        let tables = tables.filter(|_| self.pieces.as_ref().is_none_or(may_be_in));
        let mut hits = tables
            .into_iter()
            .flat_map(move |tables| tables.find_overlapping_iter(text))
            .map(|hit| hit.range())
            .peekable();
        // A secret may chance to be the name of a rule; what a marker says is no secret.
        let markers: Vec<_> = match hits.peek() {
            Some(_) => Marker::find_iter(text).collect(),
            None => Vec::new(),
        };
        hits.filter(move |hit| {
            let after = markers.partition_point(|marker| marker.end < hit.end);
            markers.get(after).is_none_or(|marker| hit.start < marker.start)
        })
    }
}

/// Returns the forms in which a secret may stand: as it is; escaped for JSON (also twice), CSV, SQL, literals in single
/// quotes, XML and URLs; in hexadecimal digits; and in base64, also of UTF-16, wherever the secret may begin within the
/// encoded text.
pub(super) fn disguises(secret: &str) -> Vec<String> {
    let json = json_escaped(secret);
    let mut forms = vec![
        json_escaped(&json),
        json.replace('/', "\\/"),
        json_in_ascii(secret),
        json,
        secret.replace('"', "\"\""),
        secret.replace('\'', "''"),
        secret.replace('\\', "\\\\").replace('\'', "\\'"),
        percent(secret, UNRESERVED, "%20", false),
        percent(secret, UNRESERVED, "%20", true),
        percent(secret, UNRESERVED, "+", false),
        percent(secret, COMPONENT, "%20", false),
        HEXLOWER.encode(secret.as_bytes()),
        HEXUPPER.encode(secret.as_bytes()),
        secret.to_owned(),
    ];
    forms.extend(in_xml(secret));
    // As PowerShell takes commands.
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for before in 0..3 {
        forms.push(base64_core(&BASE64, secret.as_bytes(), before));
        forms.push(base64_core(&BASE64URL, secret.as_bytes(), before));
        forms.push(base64_core(&BASE64, &wide, before));
    }
    forms
}

/// Returns the forms of a text in XML and HTML, which differ in how quotes are written; none if it is the same there.
fn in_xml(text: &str) -> Vec<String> {
    let marks = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut forms: Vec<String> = ["&quot;", "&#34;"]
        .iter()
        .flat_map(|double| {
            let quoted = marks.replace('"', double);
            ["&#39;", "&#x27;", "&apos;"].map(|single| quoted.replace('\'', single))
        })
        .collect();
    forms.push(marks.replace('"', "&quot;"));
    forms.push(marks);
    forms.retain(|form| form != text);
    forms
}

fn json_escaped(text: &str) -> String {
    let literal = serde_json::Value::from(text).to_string();
    literal[1..literal.len() - 1].to_owned()
}

/// Escapes as `json.dumps` of Python does by default.
fn json_in_ascii(text: &str) -> String {
    let mut escaped = String::new();
    for character in json_escaped(text).chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// What no encoder of URLs escapes (RFC 3986, section 2.3), beside letters and digits.
const UNRESERVED: &[u8] = b"-_.~";
/// What `encodeURIComponent` of ECMAScript leaves.
const COMPONENT: &[u8] = b"-_.!~*'()";

/// Escapes all but letters, digits and what is `kept`.
fn percent(text: &str, kept: &[u8], space: &str, small: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push_str(space),
            _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ if small => drop(write!(encoded, "%{byte:02x}")),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// Returns the base64 characters that depend on the secret only, where it follows `before` bytes of
/// a group of three and anything may come after.
fn base64_core(alphabet: &data_encoding::Encoding, secret: &[u8], before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let encoded = alphabet.encode(&bytes);
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    encoded[first..last].to_owned()
}
