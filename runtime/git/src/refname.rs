//! Names of branches, as Git allows them.

use gix::bstr::ByteSlice;
use std::{fmt, sync::Arc};
use thiserror::Error;

/// The full name of a branch, such as `refs/heads/main`, valid by Git's rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Arc<str>);

/// A text that cannot name a branch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` cannot name a branch: {problem}")]
pub struct InvalidRefName {
    /// The text, shortened and with control characters replaced.
    pub name: String,
    pub problem: &'static str,
}

const HEADS: &str = "refs/heads/";
/// The longest file name is 255 bytes, and a lock adds `.lock`.
const SEGMENT_BYTES_MAX: usize = 250;
const NAME_BYTES_MAX: usize = 1024;

impl RefName {
    /// Parses a full name, which must be that of a branch.
    ///
    /// # Errors
    /// A name outside of `refs/heads/`, or one that `git check-ref-format --branch` would refuse.
    pub fn parse(full: &str) -> Result<Self, InvalidRefName> {
        match problem(full) {
            None => Ok(Self(full.into())),
            Some(problem) => {
                let name = full
                    .chars()
                    .take(100)
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .collect();
                Err(InvalidRefName { name, problem })
            }
        }
    }

    /// Parses a branch's short name, such as `main` or `keboola/dev-12`.
    ///
    /// # Errors
    /// A name that `git check-ref-format --branch` would refuse.
    pub fn branch(short: &str) -> Result<Self, InvalidRefName> {
        Self::parse(&format!("{HEADS}{short}"))
    }

    /// Returns the full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name without `refs/heads/`.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[HEADS.len()..]
    }
}

fn problem(full: &str) -> Option<&'static str> {
    let Some(short) = full.strip_prefix(HEADS) else {
        return Some("it is not below `refs/heads/`");
    };
    if full.len() > NAME_BYTES_MAX {
        return Some("it is longer than 1,024 bytes");
    }
    if short.split('/').any(|segment| segment.len() > SEGMENT_BYTES_MAX) {
        return Some("it has a segment of over 250 bytes");
    }
    if short.starts_with('-') || short == "HEAD" {
        return Some("it would be taken for an option or for `HEAD`");
    }
    if gix::validate::reference::name(full.as_bytes().as_bstr()).is_err() {
        return Some("Git does not allow it");
    }
    None
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(full: &str, valid: bool) {
        assert_eq!(RefName::parse(full).is_ok(), valid, "{full:?}");
        let short = full.strip_prefix(HEADS).unwrap();
        let git = std::process::Command::new("git")
            .args(["check-ref-format", "--branch", short])
            .output()
            .unwrap();
        assert_eq!(git.status.success(), valid, "git on {full:?}");
    }

    #[test]
    fn names_are_valid_where_git_says_so() {
        for name in [
            "main",
            "keboola/dev branch-12",
            "a.b",
            "ünï",
            "a@b",
            "feature/x/y",
            "-x",
            "HEAD",
            "a..b",
            "a~1",
        ] {
            let valid = !matches!(name, "keboola/dev branch-12" | "-x" | "HEAD" | "a..b" | "a~1");
            check(&format!("{HEADS}{name}"), valid);
        }
        for name in [
            "", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "@{", "a@{b", "a:b", "a\\b",
            "a\tb",
        ] {
            check(&format!("{HEADS}{name}"), false);
        }
        assert_eq!(RefName::branch("keboola/x").unwrap().short(), "keboola/x");
        for full in ["main", "refs/tags/v1", "refs/heads", "HEAD", "refs/headsx/a"] {
            assert!(RefName::parse(full).is_err(), "{full}");
        }
        assert!(RefName::branch(&"x".repeat(251)).is_err());
    }
}
