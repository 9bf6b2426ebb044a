//! Texts of the project that do nothing at a Git host.
//!
//! Hosts act on what commit messages say: `fixes #12` closes an issue, `@user` sends a notice,
//! `[skip ci]` keeps the checks of a branch from running. What somebody typed as a change
//! description in Keboola must do none of it in the customer's repository. So the signs that hosts
//! look for are broken by a blank, and brackets around such words are made round: visible, the same
//! on every host, and still to be read as it was meant. Nothing else changes; ids of commits and
//! e-mail addresses stay as they are.
//!
//! Done after the judging, since a blank in the middle could hide a secret from those who judge.

use crate::marker::Marker;
use std::ops::Range;

/// Words after which GitHub, GitLab, Bitbucket and Jira take a reference for one to be closed.
const CLOSING: [&str; 18] = [
    "close",
    "closes",
    "closed",
    "closing",
    "fix",
    "fixes",
    "fixed",
    "fixing",
    "resolve",
    "resolves",
    "resolved",
    "resolving",
    "implement",
    "implements",
    "implemented",
    "implementing",
    "reopen",
    "reopens",
];

/// Words that may stand between a closing word and a reference.
const BETWEEN: [&str; 5] = ["and", "issue", "issues", ",", ":"];

/// Longer text in brackets is no command.
const COMMAND_BYTES_MAX: usize = 60;

/// Returns the text with the signs broken that a Git host would act on. Applying it again changes
/// nothing. White space must already be single blanks, or else two halves of a sign could meet.
pub(super) fn inert(text: &str) -> String {
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    let markers: Vec<Range<usize>> = Marker::find_iter(text).collect();
    signs(text, &mut edits);
    commands(text, &mut edits);
    words(text, &mut edits);
    edits.retain(|(range, _)| {
        // Markers are ours, and have to stay what they are.
        !markers
            .iter()
            .any(|marker| marker.start <= range.start && range.start < marker.end)
    });
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    edits.dedup_by_key(|(range, _)| range.start);
    let mut result = String::with_capacity(text.len() + edits.len());
    let mut copied = 0;
    for (range, new) in edits {
        result.push_str(&text[copied..range.start]);
        result.push_str(new);
        copied = range.end;
    }
    result.push_str(&text[copied..]);
    result
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `#12` and Jira's `#close`, `@user` and `@org/team`, GitLab's `!12` and `&12`. Its `%12`, `$12` and
/// `~12` are mere links, and percentages and prices are more often meant.
fn signs(text: &str, edits: &mut Vec<(Range<usize>, &str)>) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + 1).copied();
        let acts = match byte {
            b'#' => after.is_some_and(is_word),
            // After a letter it is an address, which is nobody's name at the host.
            b'@' => after.is_some_and(is_word) && !before.is_some_and(is_word),
            b'!' | b'&' => after.is_some_and(|after| after.is_ascii_digit()),
            _ => false,
        };
        if acts {
            edits.push((at + 1..at + 1, " "));
        }
    }
}

/// `[skip ci]` with all its relatives, `***NO_CI***` and `skip-checks: true`.
fn commands(text: &str, edits: &mut Vec<(Range<usize>, &str)>) {
    let lower = text.to_ascii_lowercase();
    for (open, _) in lower.match_indices('[') {
        let Some(length) = lower[open + 1..].find(']') else {
            break;
        };
        let close = open + 1 + length;
        let inside = &lower[open + 1..close];
        let is_command = length <= COMMAND_BYTES_MAX
            && inside
                .split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| matches!(word, "skip" | "ci"));
        if is_command {
            edits.push((open..open + 1, "("));
            edits.push((close..close + 1, ")"));
        }
    }
    for (at, command) in lower.match_indices("***no_ci***") {
        edits.push((at + 3..at + 3, " "));
        edits.push((at + command.len() - 3..at + command.len() - 3, " "));
    }
    for (at, _) in lower.match_indices("skip-checks:") {
        edits.push((at + 5..at + 5, " "));
    }
}

/// `GH-12` anywhere, `KEY-12` after a closing word, and numbers in the paths of URLs.
fn words(text: &str, edits: &mut Vec<(Range<usize>, &str)>) {
    let mut closing = false;
    let mut start = 0;
    for word in text.split(' ') {
        let at = start;
        start += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if word.contains("://") {
            for (slash, _) in word.match_indices('/') {
                if word.as_bytes().get(slash + 1).is_some_and(u8::is_ascii_digit) {
                    edits.push((at + slash + 1..at + slash + 1, " "));
                }
            }
            continue;
        }
        let mut is_reference = false;
        for (dash, _) in word.match_indices('-') {
            let key = &word[..dash];
            let key = &key[key
                .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(0, |end| end + key[end..].chars().next().map_or(1, char::len_utf8))..];
            let number = word.as_bytes().get(dash + 1).is_some_and(u8::is_ascii_digit);
            let is_key = key.len() >= 2 && key.starts_with(|c: char| c.is_ascii_alphabetic());
            if number && is_key && (closing || key.eq_ignore_ascii_case("gh")) {
                edits.push((at + dash + 1..at + dash + 1, " "));
                is_reference = true;
            }
        }
        let bare = word
            .trim_matches(|c: char| !c.is_alphanumeric())
            .to_ascii_lowercase();
        let broken = bare.is_empty() || bare.bytes().all(|byte| byte.is_ascii_digit());
        closing = CLOSING.contains(&bare.as_str())
            || closing && (is_reference || broken || BETWEEN.contains(&bare.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(inert(text), expected);
        assert_eq!(inert(expected), expected, "once more changes nothing");
    }

    #[test]
    fn references_close_nothing() {
        check("fixes #12", "fixes # 12");
        check(
            "Closes acme/app#7, #8 and GH-9.",
            "Closes acme/app# 7, # 8 and GH- 9.",
        );
        check("see !42 and group&7", "see ! 42 and group& 7");
        check(
            "resolves https://github.com/acme/app/issues/12",
            "resolves https://github.com/acme/app/issues/ 12",
        );
        check(
            "Fixes: ABC-1, ABC-2 and abc-3",
            "Fixes: ABC- 1, ABC- 2 and abc- 3",
        );
        check("ABC-12 #close #time 2h", "ABC-12 # close # time 2h");
        check("AB#12", "AB# 12");
    }

    #[test]
    fn nobody_is_told() {
        check("thanks @octo-cat, @acme/team", "thanks @ octo-cat, @ acme/team");
        check("(@all)", "(@ all)");
        check("mail dev@keboola.com", "mail dev@keboola.com");
    }

    #[test]
    fn no_check_is_skipped() {
        for command in [
            "skip ci",
            "ci skip",
            "no ci",
            "SKIP CI",
            "skip actions",
            "actions skip",
            "ci-skip",
            "CF-Pages-Skip",
            "skip azurepipelines",
            "vercel skip",
        ] {
            check(&format!("x [{command}] y"), &format!("x ({command}) y"));
        }
        check("[[skip ci]]", "((skip ci)]");
        check("***NO_CI***", "*** NO_CI ***");
        check("skip-checks: true", "skip- checks: true");
    }

    #[test]
    fn what_no_host_acts_on_stays() {
        for text in [
            "",
            "Row 12 added",
            "UTF-8, SHA-256 and ISO-8601",
            "fix the UTF-8 header",
            "a # b @ c ! d 50% & more for $500",
            "4f2a91c03b5e7d68a1f0c9e2d47b8356acde0912",
            "[REDACTED:skip-ci:abcdefghijkl] and [withheld]",
            "array[0] and [draft]",
            "https://connection.keboola.com/admin/projects",
            "Žluťoučký – kůň…",
        ] {
            check(text, text);
        }
    }
}
