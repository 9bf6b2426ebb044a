//! Unique paths, by the rules of Keboola's CLI and those of file systems.
//!
//! A name that is taken gets `-001`, `-002` and so on. Taken is also what a case-insensitive or
//! normalising file system could not tell apart, the names that a directory of an object has
//! for itself, and the names of devices on Windows (`con`, `nul`, `com1`), with any extension: a clone
//! with one of them could not be checked out there. A segment that ends in a dot or a blank, which
//! Windows drops, loses it. All of these come from names only rarely, for normalised names have
//! neither dots nor blanks; ids that templates take as they are may have them.
//!
//! A segment has at most 251 bytes (255 with a suffix), as in the CLI. No limit is set to the whole
//! path but that of a repository, 4,096 bytes: a clone on Windows with paths of over 260 characters
//! needs `git config core.longpaths true`.

use super::{bytes::of_key, front_coded::FrontCoded};
use crate::{ids::ObjectKey, path::fold};
use std::collections::BTreeSet;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A segment is cut to this, so that a suffix of four bytes still fits into a file name.
const SEGMENT_BYTES_MAX: usize = 251;
const NAME_BYTES_MAX: usize = 255;

/// Returns a name as the CLI makes directory names of names: dashes before runs of ASCII capitals
/// and instead of what is no letter or digit, accents dropped, lower case. May be empty.
///
/// The built-in renderer does the same by itself; `tests/cases/names.jsonl` holds both to it.
#[must_use]
pub fn normalize_name(name: &str) -> String {
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
        if c.is_ascii_alphanumeric() || matches!(c, '\u{e1}'..='\u{17e}' | '\u{c1}'..='\u{17d}') {
            dashed.push(c);
        } else {
            dash(&mut dashed);
        }
    }
    let bare: String = dashed.nfd().filter(|c| !is_combining_mark(*c)).nfc().collect();
    bare.trim_matches('-').to_lowercase()
}

fn cut(segment: &str, bytes_max: usize) -> &str {
    &segment[..segment.floor_char_boundary(bytes_max)]
}

/// Returns the name that an object gets when `number` others have wished for the same.
fn candidate(wished: &str, number: u32) -> String {
    let mut base = cut(wished, SEGMENT_BYTES_MAX);
    if number == 0 {
        return base.to_owned();
    }
    loop {
        let name = normalize_name(&format!("{base}-{number:03}"));
        // Normalising makes capitals longer, so that one cut may not be enough.
        if name.len() <= NAME_BYTES_MAX {
            return name;
        }
        base = cut(base, base.len() - 1);
    }
}

/// Returns the parts of a path before and after its last `/`.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Joins a directory and a name in it; without a name it is the directory itself.
pub(super) fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", alone) | (alone, "") => alone.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

/// Returns the part of a path that is below a directory; none where it is not.
pub(super) fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    if directory.is_empty() {
        Some(path)
    } else {
        path.strip_prefix(directory)?.strip_prefix('/')
    }
}

/// Returns a wish that can be granted: not empty, no segment too long, and not the name of a file
/// or directory that the parent has for itself. One that ends in `/` still does: others with the same wish go below it.
pub(super) fn granted(wished: &str, key: &ObjectKey, parent: &ObjectKey) -> String {
    let mut segments: Vec<String> = wished
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(portable)
        .collect();
    if segments.is_empty() {
        let id = match key {
            ObjectKey::Config { config, .. } => config.as_str(),
            ObjectKey::Row { row, .. } => row.as_str(),
            _ => "",
        };
        let name = normalize_name(id);
        segments.push(if name.is_empty() {
            "object".to_owned()
        } else {
            portable(&name)
        });
    }
    for segment in &mut segments {
        if is_device(segment) {
            *segment = candidate(segment, 1);
        }
    }
    if is_reserved(&segments[0], parent) {
        segments[0] = candidate(&segments[0], 1);
    }
    let mut path = segments.join("/");
    if wished.ends_with('/') && wished.contains(|c| c != '/') {
        path.push('/');
    }
    path
}

/// Returns a segment that is not too long, without the dots and blanks at its end that Windows drops.
fn portable(segment: &str) -> String {
    let bare = cut(segment, SEGMENT_BYTES_MAX).trim_end_matches(['.', ' ']);
    if bare.is_empty() {
        "-".to_owned()
    } else {
        bare.to_owned()
    }
}

/// Whether Windows takes a name for that of a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_lowercase();
    let port = ["com", "lpt"].iter().find_map(|port| stem.strip_prefix(port));
    matches!(
        stem.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) || port.is_some_and(|number| {
        let mut digits = number.chars();
        let digit = |c: char| c.is_ascii_digit() || matches!(c, '\u{b9}' | '\u{b2}' | '\u{b3}');
        digits.next().is_some_and(digit) && digits.next().is_none()
    })
}

/// Whether a directory of the parent's kind has this name for itself.
fn is_reserved(name: &str, parent: &ObjectKey) -> bool {
    let name = fold(name);
    match (name.as_str(), parent) {
        ("meta.json" | "description.md", _) => true,
        (_, ObjectKey::Branch) => false,
        (other, _) => matches!(other, "config.json" | "blocks" | "phases") || other.starts_with("code."),
    }
}

/// Returns whether an object that wishes for one name may have got another.
pub(super) fn is_candidate(relative: &str, wished: &str) -> bool {
    let ((directory, name), (wished_directory, wished)) = (split(relative), split(wished));
    if wished.is_empty() && relative == wished_directory {
        return true;
    }
    if directory != wished_directory {
        return false;
    }
    let number = name.rsplit_once('-').map_or(name, |(_, number)| number);
    let number = number.parse().ok();
    name == candidate(wished, 0)
        || number.is_some_and(|number| number > 0 && name == candidate(wished, number))
}

/// The paths that are taken, with who has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths(FrontCoded);

impl Paths {
    /// Gives a path to an object unless another one has it.
    pub(super) fn take(&mut self, path: &str, key: &ObjectKey) -> bool {
        let (folded, key) = (fold(path), of_key(key));
        if let Some(holder) = self.0.get(folded.as_bytes()) {
            return holder == key;
        }
        self.0.insert(folded.as_bytes(), &key);
        true
    }

    pub(super) fn free(&mut self, path: &str, key: &ObjectKey) {
        let folded = fold(path);
        if self.0.get(folded.as_bytes()) == Some(&of_key(key)) {
            self.0.remove(folded.as_bytes());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Gives an object the first free path that its wish allows.
    pub(super) fn take_unique(&mut self, parent: &str, wished: &str, key: &ObjectKey) -> String {
        let (directory, name) = split(wished);
        let directory = if directory.is_empty() {
            parent.to_owned()
        } else {
            join(parent, directory)
        };
        (0..=u32::MAX)
            .map(|number| join(&directory, &candidate(name, number)))
            .find(|path| self.take(path, key))
            .expect("fewer objects than numbers")
    }
}

/// Makes names of one directory unique, in the order they are asked for: for the directories of
/// branches, which are placed before anything in them.
#[derive(Debug, Clone, Default)]
pub struct UniqueNames(BTreeSet<String>);

impl UniqueNames {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the wished name, with a suffix where it is taken.
    pub fn take(&mut self, wished: &str) -> String {
        let wished = match portable(wished) {
            _ if wished.is_empty() => "branch".to_owned(),
            device if is_device(&device) => candidate(&device, 1),
            wished => wished,
        };
        let wished = wished.as_str();
        (0..=u32::MAX)
            .map(|number| candidate(wished, number))
            .find(|name| self.0.insert(fold(name)))
            .expect("fewer branches than numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wishes: &[&str], expected: &[&str]) {
        let mut names = UniqueNames::new();
        let got: Vec<String> = wishes.iter().map(|wish| names.take(wish)).collect();
        assert_eq!(got, expected);
    }

    /// What the built-in renderer does to the same names is tested by the same lines.
    const CASES: &str = include_str!("../../../../tests/cases/names.jsonl");

    #[test]
    fn names_are_normalised_as_the_renderer_does() {
        for line in CASES.lines() {
            let (name, expected): (String, String) = serde_json::from_str(line).unwrap();
            let got = match name.as_str() {
                "*" => format!("{:016x}", hash_of_all()),
                name => normalize_name(name),
            };
            assert_eq!(got, expected, "{name:?}");
        }
    }

    /// FNV-1a over what becomes of every character of the basic plane between two letters.
    fn hash_of_all() -> u64 {
        let names = (0..=0xffff)
            .filter_map(char::from_u32)
            .map(|c| normalize_name(&format!("a{c}B")) + "\n");
        names.fold(0xcbf2_9ce4_8422_2325, |hash, name| {
            name.bytes().fold(hash, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        })
    }

    #[test]
    fn a_taken_name_gets_the_next_number() {
        check(&["x", "x", "x"], &["x", "x-001", "x-002"]);
        check(&["x", "x-001", "x"], &["x", "x-001", "x-002"]);
        check(&["x", "x", "x-001"], &["x", "x-001", "x-001-001"]);
        check(&["main", "main"], &["main", "main-001"]);
        check(&["keboola.x", "keboola.x"], &["keboola.x", "keboola-x-001"]);
    }

    #[test]
    fn names_that_a_file_system_takes_for_one_do_not_meet() {
        check(&["Orders", "orders"], &["Orders", "orders-001"]);
        check(&["straße", "strasse"], &["straße", "strasse-001"]);
        check(&["é", "e\u{301}"], &["é", "e-001"]);
    }

    #[test]
    fn long_names_are_cut_so_that_a_number_fits() {
        let long = "a".repeat(300);
        check(
            &[&long, &long],
            &[&"a".repeat(251), &format!("{}-001", "a".repeat(251))],
        );
        let wide = "ž".repeat(130);
        check(
            &[&wide, &wide],
            &[&"ž".repeat(125), &format!("{}-001", "z".repeat(125))],
        );
        let capitals = "aB".repeat(125);
        let mut names = UniqueNames::new();
        names.take(&capitals);
        assert!(names.take(&capitals).len() <= 255);
    }

    #[test]
    fn wishes_for_names_of_the_parent_are_moved_aside() {
        let config = ObjectKey::Config {
            component: "c".parse().unwrap(),
            config: "7".parse().unwrap(),
        };
        assert_eq!(granted("meta.json", &config, &ObjectKey::Branch), "meta-json-001");
        assert_eq!(granted("blocks/x", &config, &ObjectKey::Branch), "blocks/x");
        assert_eq!(granted("Blocks/x", &config, &config), "blocks-001/x");
        assert_eq!(granted("code.sql", &config, &config), "code-sql-001");
        assert_eq!(granted("a//b", &config, &config), "a/b");
        assert_eq!(granted("/", &config, &config), "7");
        assert_eq!(granted("_shared//", &config, &ObjectKey::Branch), "_shared/");
        assert_eq!(granted("x/con", &config, &ObjectKey::Branch), "x/con-001");
        assert_eq!(granted("Aux.x/a", &config, &ObjectKey::Branch), "aux-x-001/a");
        assert_eq!(granted("x/com1", &config, &ObjectKey::Branch), "x/com1-001");
        assert_eq!(granted("x/com10/lpt", &config, &ObjectKey::Branch), "x/com10/lpt");
        assert_eq!(granted("x/a. ./b ", &config, &ObjectKey::Branch), "x/a/b");
        assert_eq!(granted("x/...", &config, &ObjectKey::Branch), "x/-");
    }

    #[test]
    fn only_names_that_the_wish_leads_to_are_its_candidates() {
        for (relative, wished, expected) in [
            ("a/x", "a/x", true),
            ("a/x-001", "a/x", true),
            ("a/x-1", "a/x", false),
            ("a/x-000", "a/x", false),
            ("b/x", "a/x", false),
            ("a/y", "a/x", false),
            ("a/keboola-x-012", "a/keboola.x", true),
            ("a", "a/", true),
            ("a/002", "a/", true),
            ("a/2", "a/", false),
            ("a-001", "a/", false),
            ("a/b/001", "a/", false),
        ] {
            assert_eq!(is_candidate(relative, wished), expected, "{relative} {wished}");
        }
    }
}
