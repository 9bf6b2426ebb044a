//! Texts of guests that people will read, and what a guest says of its settings.

use std::collections::HashMap;

/// Something wrong with settings, as the guest said it: shortened, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// RFC 6901 pointer into the settings.
    pub pointer: String,
    pub message: String,
}

const ISSUES_MAX: usize = 20;
const MESSAGE_CHARS_MAX: usize = 200;

/// Returns a guest's text as it may go to a terminal or a log.
pub(crate) fn printable(raw: &str) -> String {
    shortened(raw, MESSAGE_CHARS_MAX)
}

/// Returns the first `chars_max` characters with control and direction characters replaced.
pub(crate) fn shortened(raw: &str, chars_max: usize) -> String {
    let mut text: String = raw
        .chars()
        .take(chars_max)
        .map(|c| if disturbs(c) { '\u{fffd}' } else { c })
        .collect();
    if raw.chars().nth(chars_max).is_some() {
        text.push('…');
    }
    text
}

/// So many bytes in a row of a document are not shown.
const RUN_BYTES: usize = 6;

/// The same as [`printable`] with `…` in the place of each run of 6 bytes or more that stands in one of the texts. What is not in
/// them in the same form is shown.
pub(crate) fn masked<'t>(raw: &str, texts: impl Iterator<Item = &'t str>) -> String {
    // What is shown, and so much more that a run is known that goes beyond its end.
    let end = raw.char_indices().nth(MESSAGE_CHARS_MAX + RUN_BYTES);
    let words = &raw[..end.map_or(raw.len(), |(at, _)| at)];
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, run) in words.as_bytes().windows(RUN_BYTES).enumerate() {
        places.entry(run).or_default().push(at);
    }
    let mut stands = vec![false; words.len()];
    for text in texts {
        for run in text.as_bytes().windows(RUN_BYTES) {
            // One that was seen is not looked for again.
            for at in places.remove(run).unwrap_or_default() {
                stands[at..at + RUN_BYTES].fill(true);
            }
        }
    }
    let mut shown = String::new();
    let mut is_hidden = false;
    for (at, c) in words.char_indices().take(MESSAGE_CHARS_MAX) {
        let hide = stands[at..at + c.len_utf8()].contains(&true);
        match (hide, is_hidden) {
            (true, false) => shown.push('…'),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        is_hidden = hide;
    }
    if !is_hidden && words.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    printable(&shown)
}

/// Characters that move a terminal's cursor or turn the order of what stands around them.
fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Takes the first issues of a guest's list.
pub(crate) fn issues(raw: Vec<crate::bindings::keboola::mirror::types::Issue>) -> Vec<Issue> {
    let clean = |issue: crate::bindings::keboola::mirror::types::Issue| Issue {
        pointer: printable(&issue.pointer),
        message: printable(&issue.message),
    };
    raw.into_iter().take(ISSUES_MAX).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_document_is_not_shown_to_a_policys_author() {
        let texts = ["/password", "Tr0ub4dor&3 ěščřžý", "petr.svoboda@example.com"];
        let check = |words: &str, shown: &str| assert_eq!(masked(words, texts.into_iter()), shown);
        check("no rule for petr.svoboda@example.com here", "no rule for … here");
        check("Tr0ub4dor&3, and Tr0ub4 and Tr0ub", "…, and … and Tr0ub");
        check("/passwordTr0ub4dor", "…");
        check("x ěščřžý", "x…");
        check("ěš, čř", "ěš, čř");
        check("line\n2", "line\u{fffd}2");
        check("", "");
        // A run that begins in what is shown and ends behind it.
        let long = format!("{}Tr0ub4dor", "x".repeat(196));
        check(&long, &format!("{}…", "x".repeat(196)));
        check(&"x".repeat(201), &format!("{}…", "x".repeat(200)));
        check(&"x".repeat(200), &"x".repeat(200));
    }

    #[test]
    fn a_guests_text_cannot_move_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c"
        );
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
