//! Which branches of a project share a tree: `allowedBranches` of the CLI's manifest.

use crate::{ids::BranchId, placement::normalize_name};

/// The list of the manifest. It allows a branch if one of its items does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedBranches(Vec<String>);

impl AllowedBranches {
    /// Takes the items: `*` and `__all__`, `__main__`, the id of a branch, or a pattern.
    #[must_use]
    pub fn new(items: Vec<String>) -> Self {
        Self(items)
    }

    /// Returns whether a branch is one of the tree. A pattern is for the branch's name, or for the name as
    /// a directory has it.
    #[must_use]
    pub fn allow(&self, id: &BranchId, name: &str, is_default: bool) -> bool {
        self.0.iter().any(|item| match item.as_str() {
            "*" | "__all__" => true,
            "__main__" if is_default => true,
            pattern => {
                pattern == id.as_str() || matches(pattern, name) || matches(pattern, &normalize_name(name))
            }
        })
    }
}

/// One step of a pattern.
enum Step {
    One(char),
    /// `?`
    Any,
    /// `*`
    Many,
    /// `[a-z]`, `[^a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Step {
    fn fits(&self, c: char) -> bool {
        match self {
            Self::One(own) => *own == c,
            // Patterns are those of paths: neither goes beyond a directory.
            Self::Any | Self::Many => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
        }
    }
}

/// Reads a pattern; none where it is malformed, for that matches nothing.
fn steps(pattern: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        steps.push(match c {
            '?' => Step::Any,
            '*' => Step::Many,
            '\\' => Step::One(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while rest.next_if_eq(&']').is_none() || ranges.is_empty() {
                    let mut edge = || match rest.next()? {
                        '\\' => rest.next(),
                        '-' | ']' => None,
                        c => Some(c),
                    };
                    let first = edge()?;
                    let last = match rest.next_if_eq(&'-') {
                        Some(_) => match rest.next()? {
                            '\\' => rest.next()?,
                            '-' | ']' => return None,
                            c => c,
                        },
                        None => first,
                    };
                    ranges.push((first, last));
                }
                Step::Class { negated, ranges }
            }
            c => Step::One(c),
        });
    }
    Some(steps)
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some(steps) = steps(pattern) else {
        return false;
    };
    let text: Vec<char> = text.chars().collect();
    // Whether the steps so far can match the first n characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for step in steps {
        let mut next = vec![false; text.len() + 1];
        if matches!(step, Step::Many) {
            next[0] = reached[0];
            for (index, c) in text.iter().enumerate() {
                next[index + 1] = reached[index + 1] || next[index] && step.fits(*c);
            }
        } else {
            for (index, c) in text.iter().enumerate() {
                next[index + 1] = reached[index] && step.fits(*c);
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, name: &str, expected: bool) {
        let id = BranchId::parse("12").expect("an id");
        let allowed = AllowedBranches::new(vec![item.to_owned()]);
        assert_eq!(allowed.allow(&id, name, false), expected, "{item} {name}");
    }

    #[test]
    fn branches_are_allowed_by_word_id_or_pattern_as_in_the_cli() {
        check("*", "a/b", true);
        check("__all__", "x", true);
        check("__main__", "x", false);
        check("12", "x", true);
        check("1", "x", false);
        check("foo*", "foo-bar", true);
        check("*bar", "foo-bar", true);
        check("f?o", "foo", true);
        check("foo", "foo-bar", false);
        check("*o*b*", "foo-bar", true);
        check("", "x", false);
        check("?", "", false);
        check("my-feature", "My Feature!", true);
        check("My Feature!", "My Feature!", true);
        // The name itself does not match, for `*` stays in a directory; its directory name does.
        check("team/*", "team/x/y", false);
        check("team*", "team/x", true);
        check("[a-c]x", "bx", true);
        check("[^a-c]x", "bx", false);
        check("[a-", "a", false);
        check("[]", "]", false);
        check(r"\*", "*", true);
        check(r"\", "x", false);
    }

    #[test]
    fn the_default_branch_has_a_word_of_its_own() {
        let id = BranchId::parse("12").expect("an id");
        let allowed = AllowedBranches::new(vec!["x".to_owned(), "__main__".to_owned()]);
        assert!(allowed.allow(&id, "Main", true));
        assert!(!AllowedBranches::new(Vec::new()).allow(&id, "Main", true));
    }
}
