//! Passwords that people make up: of words and numbers, with signs between them.

use crate::alphabet::{DIGIT, LOWER};

/// `ZelenyStul7`, `LetnaPark#5`, `Welcome@1740`: words, each with a capital letter, and a short number; a sign joins it to one word alone.
pub(super) fn is_made_up_of_words(value: &str) -> bool {
    let bytes = value.as_bytes();
    let mut at = 0;
    let mut words = 0;
    while bytes.get(at).is_some_and(u8::is_ascii_uppercase) {
        let end = LOWER.run(bytes, at + 1, usize::MAX);
        if end - at < 3 {
            return false;
        }
        (at, words) = (end, words + 1);
    }
    let is_sign = |byte: &u8| matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'*' | b'+' | b'?' | b'@');
    let sign = usize::from(bytes.get(at).is_some_and(is_sign));
    let number = at + sign;
    let end = DIGIT.run(bytes, number, 5);
    let digits = end - number;
    let is_joined = words >= 2 || (words == 1 && sign == 1 && digits >= 2);
    is_joined && bytes.len() >= 8 && (1..=4).contains(&digits) && bytes.len() - end <= 1
}

/// Says whether a word has small letters, capital ones or a number at its end, digits and signs, but none of those that calls,
/// items or types have.
pub(crate) fn is_made_up_with_signs(word: &str) -> bool {
    let bytes = word.as_bytes();
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b','
                    | b';'
                    | b'*'
                    | b'+'
                    | b'?'
                    | b'@'
                    | b'^'
                    | b'-'
                    | b'_'
                    | b'.'
            )
    };
    let digits = bytes.len()
        - bytes
            .iter()
            .rposition(|byte| !DIGIT.has(*byte))
            .map_or(0, |at| at + 1);
    let is_digit_before_letter = || {
        let is_one = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic();
        bytes.windows(2).any(is_one)
    };
    (8..=32).contains(&bytes.len())
        && bytes.iter().all(plain)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_uppercase) || digits > 2)
        && (digits > 1 || is_digit_before_letter())
}

/// Says whether it has small and capital letters and a sign between them that names do not have: `AyAa!Shw!orj`.
pub(super) fn is_mixed_with_signs(bytes: &[u8]) -> bool {
    let is_sign = |byte: u8| matches!(byte, b'!' | b'#' | b'$' | b'%' | b'^' | b'*');
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let is_between = bytes.windows(3).any(|three| {
        is_sign(three[1]) && three[0].is_ascii_alphanumeric() && three[2].is_ascii_alphanumeric()
    });
    (8..=32).contains(&bytes.len())
        && bytes
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || is_sign(byte))
        && is_between
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// Says whether a word that has `/`, `(`, `|` or `<` in it was made up by a generator, and is no path, call, cell or element:
/// some part of it is no word with a number.
pub(crate) fn is_made_up_with_odd_signs(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is_odd = |byte: &u8| matches!(byte, b'/' | b'(' | b'|' | b'<');
    let is_sign = |byte: &u8| matches!(byte, b'!' | b'#' | b'$' | b'%' | b'^' | b'*' | b'?' | b'@' | b'+');
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let is_of_it = |byte: &u8| {
        byte.is_ascii_alphanumeric() || is_odd(byte) || is_sign(byte) || matches!(byte, b'-' | b'_')
    };
    let is_no_word = |part: &[u8]| {
        let is_digit_inside = part.len() > 2
            && part
                .windows(2)
                .any(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic());
        is_digit_inside || part.iter().any(is_sign)
    };
    let odd = bytes.iter().filter(|byte| is_odd(byte)).count();
    (7..=32).contains(&bytes.len())
        && bytes.iter().all(is_of_it)
        && (1..=2).contains(&odd)
        && bytes.split(is_odd).all(|part| !part.is_empty())
        && bytes.split(is_odd).any(is_no_word)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_digit) || has(is_sign))
}

/// Says whether it is words that somebody has put together to remember them, and no sentence.
pub(crate) fn is_passphrase(value: &str) -> bool {
    #[rustfmt::skip]
    const OF_SENTENCES: [&str; 44] = [
        "the", "your", "you", "for", "see", "enter", "please", "not", "from", "with", "same", "ask", "use", "and", "this", "that",
        "here", "password", "token", "secret", "value", "user", "login", "name", "default", "set", "must", "should", "will",
        "are", "has", "have", "contact", "stored", "leave", "empty", "heslo", "viz", "pro", "nebo", "jako", "při", "je", "ve",
    ];
    let mut count = 0;
    // `shadow skoda tiger 40`
    let words = value
        .trim_end_matches(|char: char| char.is_ascii_digit())
        .trim_end_matches(' ');
    for word in words.split(' ') {
        let is_word = (3..=10).contains(&word.len()) && LOWER.all(word.as_bytes());
        if !is_word || OF_SENTENCES.contains(&word) {
            return false;
        }
        count += 1;
    }
    (4..=24).contains(&count)
}

/// `falcon.falcon9`, `Krtek.zima22`: what people make up and programs do not call anything.
pub(super) fn is_two_words_and_number(bytes: &[u8]) -> bool {
    const ROOTS: [&[u8]; 12] = [
        b"this",
        b"self",
        b"conf",
        b"config",
        b"settings",
        b"secrets",
        b"vault",
        b"vars",
        b"params",
        b"parameters",
        b"data",
        b"local",
    ];
    let word = |from: usize| {
        LOWER.run(
            bytes,
            from + usize::from(bytes.get(from).is_some_and(u8::is_ascii_uppercase)),
            16,
        )
    };
    let first = word(0);
    let second = word(first + 1);
    let end = DIGIT.run(bytes, second, 4);
    first >= 4
        && bytes.get(first) == Some(&b'.')
        && second >= first + 5
        && end > second
        && bytes.len() <= end + 1
        && !ROOTS.contains(&&bytes[..first])
}
