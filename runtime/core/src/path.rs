//! Paths in the repository that are safe on every checkout, and the part of the tree that is ours.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// A path relative to the root of the repository, with `/`, that is safe to write and check out.
///
/// No empty, `.` or `..` segment; no `.git` in any case, Unicode disguise (characters that HFS+
/// ignores) or NTFS short form; no control characters, `\` or `:`; segments of at most 255 bytes
/// and 4,096 bytes in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorPath(Arc<str>);

/// A path that must not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("path `{path}` {problem}")]
pub struct InvalidMirrorPath {
    /// The path, shortened and with control characters replaced.
    pub path: String,
    pub problem: &'static str,
}

const SEGMENT_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4096;
const DEPTH_MAX: usize = 64;

impl MirrorPath {
    /// Parses a path.
    ///
    /// # Errors
    /// Any path that the type forbids.
    pub fn parse(raw: &str) -> Result<Self, InvalidMirrorPath> {
        match problem(raw) {
            None => Ok(Self(raw.into())),
            Some(problem) => Err(InvalidMirrorPath {
                path: printable(raw),
                problem,
            }),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the segments, from the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns whether the path lies below `directory` (or is it).
    #[must_use]
    pub fn is_below(&self, directory: &str) -> bool {
        self.0
            .strip_prefix(directory)
            .is_some_and(|rest| directory.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns a key that is equal for paths which a case-insensitive or normalising file system
    /// takes for one.
    #[must_use]
    pub fn fold(&self) -> String {
        fold(&self.0)
    }
}

/// Returns the form of a name under which case-insensitive and normalising file systems compare it.
#[must_use]
pub fn fold(name: &str) -> String {
    // Nearly all are; normal forms and the other mappings leave ASCII as it is.
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(name.len());
    for sign in name.nfd().flat_map(char::to_lowercase) {
        // Its capital is that of `i`, for which no file system takes it: Unicode folds it in Turkic languages only.
        if sign == 'ı' {
            folded.push(sign);
        } else {
            folded.extend(sign.to_uppercase().flat_map(char::to_lowercase));
        }
    }
    folded.nfc().collect()
}

fn printable(raw: &str) -> String {
    raw.chars()
        .take(200)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn problem(raw: &str) -> Option<&'static str> {
    if raw.is_empty() {
        return Some("is empty");
    }
    if raw.len() > PATH_BYTES_MAX {
        return Some("is longer than 4,096 bytes");
    }
    if raw.split('/').count() > DEPTH_MAX {
        return Some("is deeper than 64 directories");
    }
    raw.split('/').find_map(segment_problem)
}

fn segment_problem(segment: &str) -> Option<&'static str> {
    if segment.is_empty() {
        return Some("has an empty segment");
    }
    if matches!(segment, "." | "..") {
        return Some("has a `.` or `..` segment");
    }
    if segment.len() > SEGMENT_BYTES_MAX {
        return Some("has a segment of over 255 bytes");
    }
    if segment.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
        return Some("has a control character, a backslash or a colon");
    }
    // What Git reserves begins so, but for characters that are ignored.
    if segment.is_ascii() && !segment.starts_with(['.', 'g', 'G']) {
        return None;
    }
    let bare: String = segment
        .chars()
        .filter(|c| !ignored_by_hfs(*c))
        .flat_map(char::to_lowercase)
        .collect();
    let bare = bare.trim_end_matches([' ', '.']);
    if matches!(
        bare,
        ".git" | ".gitmodules" | ".gitattributes" | ".gitignore" | ".mailmap"
    ) || bare.starts_with("git~")
    {
        return Some("has a segment that Git reserves");
    }
    None
}

/// Characters that HFS+ ignores when it compares names (Git's `core.protectHFS`).
fn ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for MirrorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MirrorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MirrorPath({})", self.0)
    }
}

impl TryFrom<String> for MirrorPath {
    type Error = InvalidMirrorPath;
    fn try_from(raw: String) -> Result<Self, InvalidMirrorPath> {
        Self::parse(&raw)
    }
}

impl From<MirrorPath> for String {
    fn from(path: MirrorPath) -> String {
        path.0.as_ref().to_owned()
    }
}

/// The part of the repository that the mirror may write: `configs/`, `configs-extra/`, `storage/`,
/// `jobs/` and `ai/` below a prefix, and `AGENTS.md` there. Nothing else is ever touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPaths {
    prefix: Option<MirrorPath>,
}

/// Directories below the prefix that belong to the mirror.
pub const OWNED_DIRECTORIES: [&str; 5] = ["configs", "configs-extra", "storage", "jobs", "ai"];
/// The one file outside those directories, and only where nobody else has one there.
pub const AGENTS_FILE: &str = "AGENTS.md";
/// How the mirror's own [`AGENTS_FILE`] begins.
pub const AGENTS_MARKER: &str = "<!-- kbc-mirror -->";

impl OwnedPaths {
    /// Takes the prefix, none for the root of the repository.
    #[must_use]
    pub fn new(prefix: Option<MirrorPath>) -> Self {
        Self { prefix }
    }

    /// Returns the prefix; none for the root of the repository.
    #[must_use]
    pub fn prefix(&self) -> Option<&MirrorPath> {
        self.prefix.as_ref()
    }

    /// Turns a path below the mirror's root, as a renderer returns it, into one of the repository.
    ///
    /// # Errors
    /// An unsafe path, or one outside of what the mirror owns.
    pub fn resolve(&self, below_root: &str) -> Result<MirrorPath, InvalidMirrorPath> {
        let parsed = MirrorPath::parse(below_root)?;
        if !owned_below_root(&parsed) {
            return Err(InvalidMirrorPath {
                path: printable(below_root),
                problem: "lies outside the mirror's own directories",
            });
        }
        match &self.prefix {
            None => Ok(parsed),
            Some(prefix) => MirrorPath::parse(&format!("{prefix}/{below_root}")),
        }
    }

    /// Returns the path below the mirror's root, where the mirror owns `path`.
    #[must_use]
    pub fn below_root<'p>(&self, path: &'p MirrorPath) -> Option<&'p str> {
        let rest = match &self.prefix {
            None => path.as_str(),
            Some(prefix) => path.as_str().strip_prefix(prefix.as_str())?.strip_prefix('/')?,
        };
        MirrorPath::parse(rest)
            .ok()
            .filter(owned_below_root)
            .map(|_| rest)
    }

    /// Returns the path of [`AGENTS_FILE`]; the mirror's only where it begins with [`AGENTS_MARKER`].
    ///
    /// # Panics
    /// Never: the name is short and safe, and so is the prefix.
    #[must_use]
    pub fn agents_file(&self) -> MirrorPath {
        self.resolve(AGENTS_FILE)
            .expect("a prefix leaves room for a short name")
    }

    /// Returns the owned top-level directories and the file, as paths of the repository.
    #[must_use]
    pub fn roots(&self) -> Vec<MirrorPath> {
        OWNED_DIRECTORIES
            .iter()
            .chain([&AGENTS_FILE])
            .filter_map(|name| match &self.prefix {
                None => MirrorPath::parse(name).ok(),
                Some(prefix) => MirrorPath::parse(&format!("{prefix}/{name}")).ok(),
            })
            .collect()
    }
}

fn owned_below_root(path: &MirrorPath) -> bool {
    let mut segments = path.segments();
    let first = segments.next().unwrap_or_default();
    match segments.next() {
        None => first == AGENTS_FILE,
        Some(_) => OWNED_DIRECTORIES.contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(
            MirrorPath::parse(path).err().map(|error| error.problem),
            expected,
            "{path:?}"
        );
    }

    #[test]
    fn only_paths_that_are_safe_everywhere_parse() {
        check("configs/main/a b/config.json", None);
        check("configs/main/extractor/keboola.ex-db/x/.gitkeep", None);
        check("", Some("is empty"));
        check("/etc/passwd", Some("has an empty segment"));
        check("configs//x", Some("has an empty segment"));
        check("configs/../x", Some("has a `.` or `..` segment"));
        check("configs/.GIT/hooks", Some("has a segment that Git reserves"));
        check(
            "configs/.g\u{200c}it/config",
            Some("has a segment that Git reserves"),
        );
        check("configs/.git . /config", Some("has a segment that Git reserves"));
        check("configs/GIT~1/config", Some("has a segment that Git reserves"));
        check("configs/.gitattributes", Some("has a segment that Git reserves"));
        check(
            "configs/c:\\x",
            Some("has a control character, a backslash or a colon"),
        );
        check(
            "configs/a\nb",
            Some("has a control character, a backslash or a colon"),
        );
        check(&"x".repeat(256), Some("has a segment of over 255 bytes"));
        check(&"x/".repeat(80), Some("is deeper than 64 directories"));
    }

    #[test]
    fn only_owned_paths_resolve() {
        let owned = OwnedPaths::new(Some(MirrorPath::parse("mirror/eu").expect("safe")));
        assert_eq!(
            owned.resolve("configs/a").expect("owned").as_str(),
            "mirror/eu/configs/a"
        );
        assert_eq!(
            owned.resolve("AGENTS.md").expect("owned").as_str(),
            "mirror/eu/AGENTS.md"
        );
        for foreign in [
            "README.md",
            "configs",
            ".github/workflows/x.yml",
            "configsx/a",
            "src/a",
        ] {
            assert!(owned.resolve(foreign).is_err(), "{foreign}");
        }
        let path = MirrorPath::parse("mirror/eu/jobs/health.jsonl").expect("safe");
        assert_eq!(owned.below_root(&path), Some("jobs/health.jsonl"));
        assert_eq!(
            owned.below_root(&MirrorPath::parse("jobs/health.jsonl").expect("safe")),
            None
        );
    }

    #[test]
    fn names_that_a_file_system_takes_for_one_fold_alike() {
        assert_eq!(fold("Straße/É"), fold("STRASSE/e\u{301}"));
        assert_ne!(fold("a-001"), fold("a-002"));
        assert_ne!(fold("kapı"), fold("kapi"));
        assert_eq!(fold("KAPI"), fold("kapi"));
        assert_eq!(fold("Main/_Shared/K.json"), "main/_shared/k.json");
    }
}
