//! Texts of guests that people will read, and what a guest says of its settings.

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
    fn a_guests_text_cannot_move_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c"
        );
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
