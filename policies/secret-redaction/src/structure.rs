//! What a leaf's place in its document says: the member's name, keys that begin with `#`, a name beside a
//! value, the header above a cell.

use crate::alphabet::Eight;
use crate::engine::{Document, Leaf, Role};
use crate::keys::Strength;
use crate::names::Names;
use crate::shape::{self, Join};
use std::borrow::Cow;

/// How many leaves on either side are searched for a sibling.
const SIBLINGS_MAX: usize = 48;

/// Says whether a member holds the value of a pair whose name is in another member.
pub(crate) fn is_value_member(member: &str) -> bool {
    matches!(
        member,
        "value"
            | "val"
            | "content"
            | "default"
            | "defaultValue"
            | "default_value"
            | "text"
            | "v"
            | "data"
            | "secret"
            | "argument"
            | "constant"
            | "Value"
            | "headerValue"
            | "header_value"
            | "paramValue"
            | "parameterValue"
            | "ParameterValue"
            | "parameter_value"
            | "variableValue"
            | "variable_value"
            | "secretValue"
            | "secret_value"
            | "settingValue"
            | "setting_value"
            | "configValue"
            | "config_value"
            | "optionValue"
            | "option_value"
            | "attributeValue"
            | "attribute_value"
            | "propertyValue"
            | "property_value"
            | "envValue"
            | "env_value"
            | "fieldValue"
            | "field_value"
            | "hodnota"
    )
}

/// Says whether a member holds the name of such a pair.
pub(crate) fn is_name_member(member: &str) -> bool {
    matches!(
        member,
        "name"
            | "key"
            | "label"
            | "header"
            | "field"
            | "param"
            | "parameter"
            | "variable"
            | "attribute"
            | "id"
            | "k"
            | "title"
            | "option"
            | "property"
            | "attr"
            | "setting"
            | "code"
            | "column"
            | "Key"
            | "Name"
            | "headerName"
            | "header_name"
            | "paramName"
            | "parameterName"
            | "ParameterKey"
            | "parameter_name"
            | "variableName"
            | "variable_name"
            | "secretName"
            | "secret_name"
            | "fieldName"
            | "field_name"
            | "klic"
            | "klíč"
            | "nazev"
            | "název"
    )
}

/// Says whether the place is below a key that begins with `#`, at any depth.
pub(crate) fn is_under_hash(pointer: &str) -> bool {
    hash_name(pointer).is_some()
}

/// Returns where the first name that begins with `#` is, with the `/` before it.
fn hash_name(pointer: &str) -> Option<usize> {
    let bytes = pointer.as_bytes();
    // A `/` inside a name is written `~1`, so `/#` is always the start of one.
    memchr::memchr_iter(b'#', bytes)
        .filter_map(|hash| hash.checked_sub(1))
        .find(|before| bytes[*before] == b'/')
}

/// Returns the name of the member that a value belongs to; elements of an array belong to the array's.
fn member_name(pointer: &str) -> Cow<'_, str> {
    let (parent, member) = last(pointer);
    name_of(parent, member)
}

/// The same where the pointer is cut into parent and last name.
pub(crate) fn name_of<'p>(parent: &'p str, member: &'p str) -> Cow<'p, str> {
    unescape(segment_of(parent, member))
}

/// The same as it is in the pointer.
pub(crate) fn segment_of<'p>(parent: &'p str, member: &'p str) -> &'p str {
    let (mut rest, mut name) = (parent, member);
    while crate::pairs::is_number(name) {
        (rest, name) = last(rest);
    }
    name
}

pub(crate) fn unescape(segment: &str) -> Cow<'_, str> {
    if segment.contains('~') {
        segment.replace("~1", "/").replace("~0", "~").into()
    } else {
        segment.into()
    }
}

/// Cuts a pointer before its last name.
pub(crate) fn last(pointer: &str) -> (&str, &str) {
    let mut rest = pointer.as_bytes();
    // Names are short: looking at some bytes after others finds it sooner than a search that is prepared first.
    let slash = loop {
        let Some((before, eight)) = rest.split_last_chunk() else {
            break rest.iter().rposition(|byte| *byte == b'/');
        };
        if let Some(at) = Eight::new(*eight).last(b'/') {
            break Some(before.len() + at);
        }
        rest = before;
    };
    match slash {
        Some(at) => (&pointer[..at], &pointer[at + 1..]),
        None => ("", pointer),
    }
}

/// Returns the text that names the value of the leaf at `place`, which is that of a pair: `token` of
/// `{"name": "token", "value": "…"}`, or the parent's name where no sibling says it.
pub(crate) fn name_beside<'a>(
    document: &Document<'a>,
    place: usize,
    parent: &'a str,
    names: &mut Names<'_>,
) -> Cow<'a, str> {
    match named_beside(document, place, parent, names) {
        Some(name) => name.into(),
        None => member_name(parent),
    }
}

/// The same where a sibling says it.
pub(crate) fn named_beside<'a>(
    document: &Document<'a>,
    place: usize,
    parent: &'a str,
    names: &mut Names<'_>,
) -> Option<&'a str> {
    // They are below the parent, so a member of it is one whose pointer is cut at its end.
    let mut is_name = |leaf: &&Leaf<'_>| {
        leaf.role == Role::Text && {
            let (above, member) = last(leaf.pointer);
            above.len() == parent.len() && names.of(member).is_name
        }
    };
    siblings(document, place, parent)
        .find(|leaf| is_name(leaf))
        .map(|leaf| leaf.value)
}

/// Returns the leaves near `place` that are below `parent`.
fn siblings<'d, 'a>(
    document: &'d Document<'a>,
    place: usize,
    parent: &'d str,
) -> impl Iterator<Item = &'d Leaf<'a>> {
    let below = move |leaf: &&Leaf<'_>| {
        leaf.pointer.len() > parent.len()
            && leaf.pointer.starts_with(parent)
            && leaf.pointer.as_bytes()[parent.len()] == b'/'
    };
    let before = document.leaves[..place]
        .iter()
        .rev()
        .take(SIBLINGS_MAX)
        .take_while(below);
    let after = document.leaves[place + 1..]
        .iter()
        .take(SIBLINGS_MAX)
        .take_while(below);
    before.chain(after)
}

/// Says whether the leaf describes a `#` property inside a JSON Schema, such as its `title`, in words: it is judged like any
/// other text, so that what a text tells of a secret goes there, too. One word that only somebody's password or key looks
/// like is no description.
pub(crate) fn is_mere_annotation(document: &Document<'_>, place: usize) -> bool {
    is_schema_annotation(document, place) && !is_secret_word(document.leaves[place].value)
}

/// Shortest word that is taken for a secret, in bytes: names of methods and versions are shorter.
const SECRET_WORD_MIN: usize = 8;

fn is_secret_word(value: &str) -> bool {
    let word = value.trim();
    let bytes = word.as_bytes();
    bytes.len() >= SECRET_WORD_MIN
        && !word.contains(char::is_whitespace)
        && (shape::is_hex_key(bytes)
            || shape::is_noise(bytes, 16)
            || shape::is_secret(Strength::Password, Join::Loose, "", word))
}

/// Says whether the leaf is an annotation of such a property.
///
/// `{"properties": {"#password": {"type": "string", "title": "Password"}}}` has no secret: the key's value is
/// an object that says of itself that it is a schema. Only annotations are let through; `default`, `const`,
/// `enum` and `examples` may hold a secret and are judged like all else below `#`.
fn is_schema_annotation(document: &Document<'_>, place: usize) -> bool {
    const ANNOTATIONS: &[&str] = &[
        "type",
        "title",
        "description",
        "format",
        "propertyOrder",
        "minLength",
        "maxLength",
        "options",
    ];
    const TYPES: &[&str] = &[
        "string", "object", "array", "number", "integer", "boolean", "null",
    ];
    let leaf = &document.leaves[place];
    let Some(hash) = hash_name(leaf.pointer) else {
        return false;
    };
    let Some(length) = leaf.pointer[hash + 1..].find('/') else {
        return false;
    };
    let (property, rest) = leaf.pointer.split_at(hash + 1 + length);
    let annotation = rest[1..].split('/').next().unwrap_or_default();
    if !leaf.pointer[..hash].ends_with("/properties") || !ANNOTATIONS.contains(&annotation) {
        return false;
    }
    let says_type = |leaf: &Leaf<'_>| {
        leaf.role == Role::Text
            && leaf.pointer.strip_prefix(property) == Some("/type")
            && TYPES.contains(&leaf.value)
    };
    says_type(leaf) || siblings(document, place, property).any(says_type)
}

/// Returns row and column of a cell's pointer.
pub(crate) fn cell(pointer: &str) -> Option<(usize, usize)> {
    let (row, column) = pointer.strip_prefix('/')?.split_once('/')?;
    let number = |text: &str| crate::pairs::is_number(text).then(|| text.parse().ok()).flatten();
    Some((number(row)?, number(column)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Kind, names::Lexicon};

    fn document<'a>(leaves: &[(&'a str, &'a str)]) -> Document<'a> {
        let leaves = leaves
            .iter()
            .map(|&(pointer, value)| Leaf {
                pointer,
                role: Role::Text,
                value,
            })
            .collect();
        Document {
            path: "",
            kind: Kind::Config,
            leaves,
        }
    }

    #[test]
    fn places_below_hash_keys_are_known_at_any_depth() {
        for (pointer, expected) in [
            ("/parameters/#password", true),
            ("/parameters/##a", true),
            ("/#auth/user/0", true),
            ("/parameters/a#b", false),
            ("/parameters/a~1#b", false),
            ("", false),
        ] {
            assert_eq!(is_under_hash(pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn a_member_is_named_by_its_last_name() {
        assert_eq!(member_name("/a/tokens/0"), "tokens");
        assert_eq!(member_name("/a/x~1y~0z"), "x/y~z");
        assert_eq!(member_name(""), "");
    }

    #[test]
    fn a_value_is_named_by_its_sibling_or_its_parent() {
        let pairs = document(&[
            ("/v/0/name", "env"),
            ("/v/0/value", "prod"),
            ("/v/1/value", "x"),
            ("/v/1/name", "token"),
            ("/password/value", "y"),
        ]);
        let lexicon = Lexicon::new();
        let mut names = lexicon.names();
        let mut beside = |place: usize| {
            let parent = last(pairs.leaves[place].pointer).0;
            name_beside(&pairs, place, parent, &mut names)
        };
        assert_eq!(beside(1), "env");
        assert_eq!(beside(2), "token");
        assert_eq!(beside(4), "password");
    }

    #[test]
    fn only_annotations_of_a_real_schema_are_let_through() {
        let schema = document(&[
            ("/schema/properties/#password/title", "Password"),
            ("/schema/properties/#password/type", "string"),
            ("/schema/properties/#password/default", "leto"),
            ("/parameters/#auth/title", "leto"),
            ("/parameters/properties/#auth/title", "leto"),
            ("/parameters/properties/#auth/type", "basic"),
        ]);
        let stays: Vec<_> = (0..6).map(|place| is_schema_annotation(&schema, place)).collect();
        assert_eq!(stays, [true, true, false, false, false, false]);
    }

    #[test]
    fn one_word_that_looks_like_a_secret_is_no_annotation() {
        for (value, expected) in [
            ("Password", true),
            ("Your password", true),
            ("Heslo k API", true),
            ("OAuth2", true),
            ("SHA256", true),
            ("https://docs.acme.example/auth2", true),
            ("e.g. `2026-01-01`", true),
            ("Winter2024!real", false),
            ("0f3a9c71d25e84b60f3a9c71d25e84b6", false),
            ("aB3dE5fG7hJ9kL2mN4pQ", false),
        ] {
            let schema = document(&[
                ("/schema/properties/#password/type", "string"),
                ("/schema/properties/#password/title", value),
                ("/schema/properties/#password/description", value),
                ("/schema/properties/#password/options/tooltip", value),
            ]);
            for place in 1..4 {
                assert_eq!(is_mere_annotation(&schema, place), expected, "{value} at {place}");
            }
        }
    }

    #[test]
    fn cells_have_two_numbers() {
        assert_eq!(cell("/0/12"), Some((0, 12)));
        assert_eq!(cell("/0/12/1"), None);
        assert_eq!(cell("/a/12"), None);
    }
}
