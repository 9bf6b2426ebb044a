//! The JSON walker beside serde_json.
//!
//! Both agree on what JSON is, but for depth: the walker refuses what nests deeper than 256. It keeps repeated members,
//! numbers as they are written, and half surrogates as U+FFFD.

mod oracle;

use crate::documents::{is_blank, is_json};
use mirror_core::{
    document::{Leaf, Leaves},
    walk::{self, Format, Malformed},
};

/// Looking up each byte's leaf reads the text anew.
const LOOK_UP_BYTES_MAX: usize = 512;

/// The walker's own limit.
const DEPTH_MAX: usize = 256;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    json(text);
    json_lines(text);
}

fn json(text: &str) {
    let checked = walk::check(Format::Json, text);
    let leaves = walk::leaves(Format::Json, text);
    assert_eq!(checked.is_ok(), leaves.is_ok());
    if let Err(fault) = checked {
        refused(text, fault);
        return;
    }
    assert!(is_json(text), "taken for JSON, and is none");
    let leaves = leaves.unwrap_or_default();
    assert_eq!(leaves, oracle::leaves(text), "serde_json reads other leaves");
    if text.len() <= LOOK_UP_BYTES_MAX {
        put_together(Format::Json, text, &leaves);
    }
}

fn refused(text: &str, fault: Malformed) {
    assert!(
        fault.at <= text.len() && text.is_char_boundary(fault.at),
        "{fault:?}"
    );
    if is_json(text) {
        assert!(depth(text) > DEPTH_MAX, "{fault:?} in what is JSON");
    }
}

/// Returns how deep the deepest value lies in what is JSON; 0 for a value alone.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                deepest = deepest.max(depth);
            }
            _ if in_string => {}
            b'[' | b'{' => {
                deepest = deepest.max(depth);
                depth += 1;
            }
            b']' | b'}' => depth -= 1,
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {}
            _ => deepest = deepest.max(depth),
        }
    }
    deepest
}

/// The bytes of each leaf are one piece of the text that says its value; written anew, and all else left as it is, they
/// make a text of the same leaves.
fn put_together(format: Format, text: &str, leaves: &Leaves) {
    let at = |at| walk::leaf_at(format, text, at).expect("it was well-formed");
    let mut anew = String::new();
    let (mut start, mut next) = (0, 0);
    while start < text.len() {
        let leaf = at(start);
        let end = (start + 1..text.len())
            .find(|end| at(*end) != leaf)
            .unwrap_or(text.len());
        let piece = text
            .get(start..end)
            .expect("a leaf begins and ends with a character");
        match leaf {
            None => anew.push_str(piece),
            Some(index) => {
                assert_eq!(index, next, "leaves stand in order, each once");
                next += 1;
                let value = leaves.get(index).expect("it is one of them").value;
                assert_eq!(oracle::text_of(piece), value, "{piece}");
                anew.push_str(&oracle::written(piece, value));
            }
        }
        start = end;
    }
    assert_eq!(next, leaves.len(), "every leaf has its bytes");
    assert_eq!(walk::leaves(format, &anew).as_ref(), Ok(leaves), "{anew}");
}

fn json_lines(text: &str) {
    let lines = || text.split('\n').enumerate().filter(|(_, line)| !is_blank(line));
    let all = walk::leaves(Format::JsonLines, text);
    assert_eq!(walk::check(Format::JsonLines, text).is_ok(), all.is_ok());
    match all {
        Err(fault) => {
            assert!(
                fault.at <= text.len() && text.is_char_boundary(fault.at),
                "{fault:?}"
            );
            let is_faulty = |(_, line): (usize, &str)| walk::check(Format::Json, line).is_err();
            assert!(lines().any(is_faulty), "{fault:?}, and each line is JSON");
        }
        Ok(all) => {
            let mut of_lines = Leaves::default();
            for (number, line) in lines() {
                for leaf in walk::leaves(Format::Json, line)
                    .expect("each line is JSON")
                    .iter()
                {
                    let pointer = &format!("/{number}{}", leaf.pointer);
                    of_lines.push(Leaf { pointer, ..leaf });
                }
            }
            assert_eq!(all, of_lines);
            if text.len() <= LOOK_UP_BYTES_MAX && text.contains('\n') {
                put_together(Format::JsonLines, text, &all);
            }
        }
    }
}
