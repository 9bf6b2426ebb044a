//! Patterns of column names: `*` stands for any text, `?` for one character; letters match in either case.

/// Says whether the pattern matches the whole text, in at most |pattern| × |text| steps.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let (mut at, mut place) = (0, 0);
    // The last `*`, and the first character that it does not stand for yet.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, place));
                at += 1;
            }
            Some(&sign) if sign == '?' || sign == text[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((after, covered)) = star else {
                    return false;
                };
                star = Some((after, covered + 1));
                at = after;
                place = covered + 1;
            }
        }
    }
    pattern[at..].iter().all(|&sign| sign == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("email", "E-mail", false),
            ("E?mail", "e-MAIL", true),
            ("*_name", "first_name", true),
            ("*_name", "first_name_x", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("příj*", "Příjmení", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
    }
}
