//! Names of directories made of names of things.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Returns a name as a directory name, by the rules of the CLI: dashes before runs of ASCII
/// capitals and instead of all that is no letter or digit, accents dropped, lower case. May be
/// empty.
///
/// The host does the same by itself; `tests/cases/names.jsonl` holds both to it.
#[must_use]
pub(crate) fn normalize(name: &str) -> String {
    let mut dashed = String::with_capacity(name.len() + 8);
    let dash = |dashed: &mut String| {
        if !dashed.ends_with('-') {
            dashed.push('-');
        }
    };
    let mut after_capital = false;
    for c in name.chars() {
        let capital = c.is_ascii_uppercase();
        if capital && !after_capital {
            dash(&mut dashed);
        }
        after_capital = capital;
        if kept(c) {
            dashed.push(c);
        } else {
            dash(&mut dashed);
        }
    }
    if dashed.is_ascii() {
        dashed.make_ascii_lowercase();
        return dashed.trim_matches('-').to_owned();
    }
    let bare: String = dashed.nfd().filter(|c| !is_combining_mark(*c)).nfc().collect();
    bare.trim_matches('-').to_lowercase()
}

/// The letters that the CLI keeps: `Á` to `ž`, so that `À` is just outside.
fn kept(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '\u{e1}'..='\u{17e}' | '\u{c1}'..='\u{17d}')
}

/// Returns `001-<name>`, the directory of a block, code, phase or task; `index` counts from 0.
#[must_use]
pub(crate) fn numbered(index: usize, name: &str) -> String {
    cut(&format!("{:03}-{}", index + 1, normalize(name)))
}

/// Cuts a segment so that a suffix still fits into the 255 bytes of a file name.
fn cut(segment: &str) -> String {
    const BYTES_MAX: usize = 251;
    segment[..segment.floor_char_boundary(BYTES_MAX)].to_owned()
}

/// Returns an id as part of one path segment: what a path, also on Windows, forbids becomes `-`.
#[must_use]
pub(crate) fn id_segment(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*') {
                '-'
            } else {
                c
            }
        })
        .collect();
    // `.`, `..`, `.git` and its disguises all begin with a dot or with `git~`.
    if plain.starts_with('.')
        || plain
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("git~"))
    {
        format!("_{plain}")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    /// What the host does to the same names is tested by the same lines.
    const CASES: &str = include_str!("../../../tests/cases/names.jsonl");

    #[test]
    fn names_are_normalised_as_in_the_cli_and_as_the_host_does() {
        for line in CASES.lines() {
            let case = Json::parse(line).unwrap();
            let case: Vec<&str> = case.as_array().unwrap().iter().filter_map(Json::as_str).collect();
            match case[..] {
                ["*", expected] => assert_eq!(format!("{:016x}", hash_of_all()), expected),
                [name, expected] => assert_eq!(normalize(name), expected, "{name:?}"),
                _ => panic!("a line is two texts: {line}"),
            }
        }
    }

    /// FNV-1a over what becomes of every character of the basic plane between two letters.
    fn hash_of_all() -> u64 {
        let names = (0..=0xffff)
            .filter_map(char::from_u32)
            .map(|c| normalize(&format!("a{c}B")) + "\n");
        names.fold(0xcbf2_9ce4_8422_2325, |hash, name| {
            name.bytes().fold(hash, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        })
    }

    #[test]
    fn ids_become_one_safe_segment() {
        assert_eq!(id_segment("keboola.ex-db"), "keboola.ex-db");
        assert_eq!(id_segment("a/b:c\\d\n"), "a-b-c-d-");
        assert_eq!(id_segment(".git"), "_.git");
        assert_eq!(id_segment("GIT~1"), "_GIT~1");
    }

    #[test]
    fn numbered_directories_count_from_one_and_are_cut() {
        assert_eq!(numbered(0, "My block"), "001-my-block");
        assert_eq!(numbered(999, "日本"), "1000-");
        assert_eq!(numbered(0, &"ž".repeat(300).replace('ž', "ß")).len(), 250);
    }
}
