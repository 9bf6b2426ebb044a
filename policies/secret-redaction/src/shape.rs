//! What a value looks like: random, a person's password, a name, a path, a placeholder.
//!
//! Only values that stand beside a promising name come here, so this may look at a value from many
//! sides. Everything is one or two passes over at most [`VALUE_MAX`] bytes.

mod made_up;
mod stand_ins;

pub(crate) use made_up::{is_made_up_with_odd_signs, is_made_up_with_signs, is_passphrase};
pub(crate) use stand_ins::{is_made_up_like_code, is_template, looks_like_code};

use crate::alphabet::{ALNUM, DASH, DIGIT, DOT, HEX, LETTER, LOWER_HEX, UPPER_ALNUM, URL64, WORD, variety};
use crate::keboola;
use crate::keys::{Strength, is_secret_name};
use made_up::{is_made_up_of_words, is_mixed_with_signs, is_two_words_and_number};
use stand_ins::{
    is_column_list, is_data_path, is_location, is_placeholder, is_small_number, is_time, is_type_word,
};

/// Longer values beside a name are not judged by their shape: a secret that long is a key in a known
/// format or a document with secrets inside. In bytes.
pub(crate) const VALUE_MAX: usize = 4096;

/// How a value is joined to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// The value of a JSON member, the cell below a header: no syntax is in doubt.
    Member,
    /// A quoted literal after `=`, `:` or a like sign.
    Quoted,
    /// Unquoted after such a sign: may be code.
    Bare,
    /// Inside a connection string, after a command line flag, after `IDENTIFIED BY`: a value for sure.
    Certain,
    /// The rest of a line behind a colon, or a cell of a table in a note: more seldom code than something somebody made up.
    Line,
    /// In a sentence: `the password is …`.
    Prose,
    /// Only white space or a dash is between.
    Loose,
    /// The same in a sentence, for sure: `heslo …`.
    Told,
    /// The two follow each other in a list of quoted texts.
    Listed,
    /// A cell of a table's sample: `…_key` columns hold hashes of business keys.
    Cell,
}

/// Says whether a value beside a name of this strength is a secret.
pub(crate) fn is_secret(strength: Strength, join: Join, name: &str, value: &str) -> bool {
    if value.is_empty() || value.len() > VALUE_MAX || is_exempt(value) {
        return false;
    }
    if strength == Strength::Hash {
        // Inside a text, such as an example in a description. Where the structure says `#`, this is not asked.
        return !is_placeholder(value) && !is_type_word(value);
    }
    if is_placeholder(value) || is_name_again(name, value) || is_location(value) {
        return false;
    }
    match strength {
        Strength::Password => is_password(join, value),
        Strength::Secret => is_machine_secret(join, value),
        Strength::Weak => {
            (is_random_beyond_doubt(join, value) || is_short_key(join, name, value)) && !is_data_path(value)
        }
        Strength::Hash => true,
    }
}

/// `client_credentials: ClientCredentials`: the name, whichever way its words are joined.
fn is_name_again(name: &str, value: &str) -> bool {
    let letters = |text: &'_ str| {
        text.bytes()
            .filter(|byte| !matches!(byte, b'_' | b'-'))
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    value.eq_ignore_ascii_case(name)
        || (value.len().abs_diff(name.len()) <= 8
            && WORD.or(DASH).all(value.as_bytes())
            && letters(value) == letters(name))
}

fn is_exempt(value: &str) -> bool {
    keboola::is_cipher(value) || keboola::is_vault_reference(value) || keboola::has_marker(value)
}

fn is_password(join: Join, value: &str) -> bool {
    let bytes = value.as_bytes();
    let counts = Counts::of(bytes);
    let words = value.split_whitespace().count();
    // Where nothing else can stand, people also choose several words, or one that ends like a name.
    let certain = join == Join::Certain;
    let too_many = if certain {
        words > 5 && !is_passphrase(value)
    } else {
        words > 1
            && (words > 3 || counts.digits == 0)
            && !(matches!(join, Join::Member | Join::Quoted) && is_passphrase(value))
    };
    let is_name = is_secret_name(value) && !(certain && counts.humps > 0 && LETTER.all(bytes));
    if value.len() < 3 || value.len() > 256 || too_many || is_name {
        return false;
    }
    // A plain word may be a password, but only where nothing else can stand.
    let telling = counts.digits > 0 || counts.signs_beyond_names > 0 || counts.humps > 1;
    let code = looks_like_code(value);
    match join {
        Join::Certain => !is_type_word(value),
        Join::Member | Join::Quoted | Join::Cell => !is_type_word(value) && !is_column_list(value),
        Join::Bare => telling && !code && !is_small_number(value),
        Join::Line | Join::Prose => {
            let made_up = is_made_up_like_code(value) || is_two_words_and_number(bytes);
            let long_enough = join == Join::Line || value.len() >= 5;
            telling && (!code || made_up) && long_enough && !is_small_number(value)
        }
        Join::Loose => {
            let several = counts.digits > 1 && counts.letters > 3 && value.len() >= 8;
            let odd = counts.digits > 0 && counts.letters > 1 && value.len() >= 6 && !is_words(value);
            (several || odd) && !code
        }
        Join::Told => {
            is_password(Join::Loose, value)
                || is_made_up_like_code(value)
                || is_made_up_of_words(value)
                || is_two_words_and_number(bytes)
                || is_mixed_with_signs(bytes)
        }
        Join::Listed => {
            let made_up = !is_words(value) || is_two_words_and_number(bytes) || is_made_up_of_words(value);
            counts.digits > 0 && counts.letters > 0 && value.len() >= 8 && made_up
        }
    }
}

fn is_machine_secret(join: Join, value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_short = value.len() < 8
        && !(matches!(join, Join::Member | Join::Quoted) && value.len() >= 6 && is_of_three_kinds(bytes));
    if is_short
        || value.contains(char::is_whitespace)
        || looks_like_code(value)
        || is_secret_name(value)
        || is_time(value)
    {
        return false;
    }
    let counts = Counts::of(bytes);
    let odd = counts.signs_beyond_names > 0 && counts.letters + counts.digits > 5;
    if is_in_groups(bytes) && counts.digits > 0 && counts.letters > 0 {
        return true;
    }
    match join {
        // `SharedAccessKey=krtek.935;`: words too, as in a password.
        Join::Certain => counts.digits > 0 || odd || is_opaque(bytes, 12),
        Join::Member | Join::Quoted => {
            is_hex_or_uuid(bytes)
                || (counts.digits > 0 && counts.letters > 0 && !is_words(value))
                || odd
                || is_opaque(bytes, 12)
                || is_made_up(bytes, &counts)
        }
        Join::Bare | Join::Line | Join::Prose | Join::Cell => {
            is_hex_or_uuid(bytes)
                || (value.len() >= 10 && counts.digits > 0 && counts.letters > 0 && !is_words(value))
                || (counts.humps > 0 && is_of_three_kinds(bytes) && !is_words(value) && !has_words(bytes))
                || is_opaque(bytes, 12)
        }
        Join::Loose | Join::Told | Join::Listed => {
            value.len() >= 14
                && (is_hex_or_uuid(bytes)
                    || is_opaque(bytes, 14)
                    || is_example(bytes, &counts)
                    || is_in_order(bytes)
                    || is_hex_key_of_name(bytes))
        }
    }
}

/// Says whether a value is a token whose letters and digits somebody wrote down in order: `abcdefghij1234567890`.
fn is_example(bytes: &[u8], counts: &Counts) -> bool {
    ALNUM.all(bytes) && counts.digits >= 4 && counts.letters >= 4 && !is_names(bytes)
}

/// Says whether nearly every byte follows the one before it in the alphabet: `abcdefghijklmnop`.
fn is_in_order(bytes: &[u8]) -> bool {
    let steps = |by: fn(u8) -> u8| bytes.windows(2).filter(|pair| by(pair[0]) == pair[1]).count();
    let most = steps(|byte| byte.wrapping_add(1)).max(steps(|byte| byte.wrapping_sub(1)));
    bytes.len() >= 14 && ALNUM.all(bytes) && most * 10 >= bytes.len() * 8
}

/// `ZR9-COA-PF5-VYJ`: four groups or more of one length, of capital letters and digits.
fn is_in_groups(bytes: &[u8]) -> bool {
    let Some(length) = memchr::memchr(b'-', bytes).filter(|length| (3..=8).contains(length)) else {
        return false;
    };
    bytes.len() >= 4 * length + 3
        && bytes
            .split(|&byte| byte == b'-')
            .all(|group| group.len() == length && UPPER_ALNUM.all(group))
}

/// Says whether a value without joints is longer than words are, or a word with what people add to passwords.
fn is_made_up(bytes: &[u8], counts: &Counts) -> bool {
    ALNUM.all(bytes) && counts.letters > 0 && (bytes.len() >= 20 || counts.digits >= 2)
}

fn is_random_beyond_doubt(join: Join, value: &str) -> bool {
    let bytes = value.as_bytes();
    if value.contains(char::is_whitespace) || looks_like_code(value) {
        return false;
    }
    if is_hex_or_uuid(bytes) {
        // Keys of rows are hashes too, so only where no rows are.
        return value.len() >= 20 && join != Join::Cell && join != Join::Listed;
    }
    let counts = Counts::of(bytes);
    // Beside a name stands nothing else that is so long and no word.
    let is_beside = join == Join::Loose
        && (bytes.len() >= 15 && is_example(bytes, &counts)
            || LETTER.all(bytes) && (is_opaque(bytes, 24) || is_in_order(bytes)));
    let digits_min = if bytes.len() >= 20 { 1 } else { 2 };
    (counts.digits >= digits_min && counts.letters > 5 && is_opaque(bytes, 16))
        || is_beside
        || is_hex_key_of_name(bytes)
        || (is_in_groups(bytes) && counts.digits > 1 && counts.letters > 1)
        || (matches!(join, Join::Member | Join::Quoted) && is_of_mixed_letters(bytes))
}

/// Says whether a value of somebody's key is one that is too short to be random beyond doubt: `acme_key = "XZijc7F7DOX0l"`.
fn is_short_key(join: Join, name: &str, value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_of_key = name
        .len()
        .checked_sub("key".len())
        .filter(|owner| *owner > 2)
        .and_then(|at| name.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case("key"));
    let counts = Counts::of(bytes);
    is_of_key
        && matches!(join, Join::Member | Join::Quoted | Join::Bare)
        && (10..=64).contains(&bytes.len())
        && ALNUM.all(bytes)
        && counts.digits >= 2
        && counts.letters >= 3
        && !is_words(value)
        && !has_words(bytes)
}

/// Says whether it has small and capital letters, no words, and nothing else.
fn is_of_mixed_letters(bytes: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    LETTER.all(bytes)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && is_opaque(bytes, 24)
        && !has_words(bytes)
}

/// Says whether it has small letters, capital letters and digits, and nothing else.
fn is_of_three_kinds(bytes: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    ALNUM.all(bytes) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

/// How many bytes of which kind a value has.
#[derive(Debug, Default)]
struct Counts {
    digits: usize,
    letters: usize,
    /// Changes from a small to a capital letter.
    humps: usize,
    /// Signs that do not occur inside names: not `_`, `-`, `.`, space.
    signs_beyond_names: usize,
}

impl Counts {
    fn of(bytes: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut before = 0;
        for &byte in bytes {
            match byte {
                b'0'..=b'9' => counts.digits += 1,
                b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => counts.letters += 1,
                b'_' | b'-' | b'.' | b' ' => {}
                _ => counts.signs_beyond_names += 1,
            }
            counts.humps += usize::from(before_is_small(before) && byte.is_ascii_uppercase());
            before = byte;
        }
        counts
    }
}

fn before_is_small(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

/// Says whether the value is hexadecimal of 16 or more digits, or a UUID.
pub(crate) fn is_hex_or_uuid(value: &[u8]) -> bool {
    is_uuid(value) || (value.len() >= 16 && HEX.all(value) && variety(value) >= 6)
}

pub(crate) fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, &byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => HEX.has(byte),
        })
}

/// Says whether the text looks made by a random generator: no words, mixed classes, many letters.
pub(crate) fn is_opaque(bytes: &[u8], length_min: usize) -> bool {
    if bytes.len() < length_min || !bytes.iter().all(u8::is_ascii_graphic) || variety(bytes) < 8 {
        return false;
    }
    let mut switches = 0_usize;
    let mut pairs = 0_usize;
    let mut common = 0_usize;
    for pair in bytes.windows(2) {
        let (first, second) = (pair[0], pair[1]);
        switches += usize::from(
            kind(first) != kind(second) && !(first.is_ascii_uppercase() && second.is_ascii_lowercase()),
        );
        if LETTER.has(first) && LETTER.has(second) {
            pairs += 1;
            common += usize::from(is_common_pair(first, second));
        }
    }
    // Words change class rarely and are made of common pairs; noise does neither.
    let mixed = switches * 5 >= bytes.len();
    let unpronounceable = pairs >= 4 && common * 100 < pairs * 55;
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if is_names(bytes) {
        return false;
    }
    (mixed && (unpronounceable || digits >= 3 || switches * 3 >= bytes.len()))
        || (unpronounceable && pairs >= 8)
}

/// Lengths of keys in hexadecimal digits; those of 20 and 24 are ids of databases.
const HEX_KEY_LENGTHS: [usize; 7] = [32, 40, 48, 64, 80, 96, 128];

/// Says whether it has the length and the look of a key in hexadecimal digits of one case.
pub(crate) fn is_hex_key(bytes: &[u8]) -> bool {
    let has_one_case = LOWER_HEX.all(bytes) || UPPER_ALNUM.all(bytes);
    HEX_KEY_LENGTHS.contains(&bytes.len()) && has_one_case && is_hex_or_uuid(bytes)
}

/// Says whether it is such a key behind a short name or number, and a joint.
pub(crate) fn is_hex_key_of_name(bytes: &[u8]) -> bool {
    let name = bytes
        .iter()
        .rposition(|byte| matches!(byte, b'_' | b'-'))
        .filter(|name| (1..=16).contains(name) && URL64.all(&bytes[..*name]));
    name.is_some_and(|name| is_hex_key(&bytes[name + 1..]))
}

/// Says whether it is random, with digits among it, and neither hexadecimal nor made of words.
pub(crate) fn is_noise(bytes: &[u8], length_min: usize) -> bool {
    let digits = bytes.iter().filter(|byte| DIGIT.has(**byte)).count();
    (2..bytes.len()).contains(&digits)
        && !HEX.or(DASH).all(bytes)
        && is_opaque(bytes, length_min)
        && !has_words(bytes)
}

/// Says whether a secret cannot well be anything else where it occurs again: no word, no name, no short number.
pub(crate) fn is_distinct(secret: &str) -> bool {
    let bytes = secret.as_bytes();
    let counts = Counts::of(bytes);
    // A name of a program's, too, may have been taken for a secret once.
    (8..=VALUE_MAX).contains(&bytes.len())
        && ((counts.digits > 0 && counts.letters > 1 && !is_words(secret)) || is_opaque(bytes, 12))
        && !(WORD.or(DOT).all(bytes) && has_words(bytes))
        && !secret.contains(char::is_whitespace)
        && !is_exempt(secret)
        && !is_placeholder(secret)
}

/// Says whether most of its letters follow each other as in words.
pub(crate) fn has_words(bytes: &[u8]) -> bool {
    let are_letters = |pair: &&[u8]| LETTER.has(pair[0]) && LETTER.has(pair[1]);
    let pairs = bytes.windows(2).filter(are_letters);
    let (all, common) = pairs.fold((0_usize, 0_usize), |(all, common), pair| {
        (all + 1, common + usize::from(is_common_pair(pair[0], pair[1])))
    });
    // Two of five are common by chance.
    all >= 6 && common * 10 >= all * 7
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

/// Says whether the value is made of words with the usual joints, such as `in.c-main.orders2`.
fn is_words(value: &str) -> bool {
    is_names(value.as_bytes())
}

fn is_names(bytes: &[u8]) -> bool {
    if !bytes
        .iter()
        .all(|&byte| URL64.or(DOT).has(byte) || matches!(byte, b'/' | b':' | b' ' | b'@' | b'#'))
    {
        return false;
    }
    bytes.split(|byte| !ALNUM.has(*byte)).all(|part| {
        let letters = &part[..LETTER.run(part, 0, usize::MAX)];
        let digits = &part[letters.len()..];
        // `orders2`, `2024`, `v12`; a long number at the end of a word is what people add to passwords.
        DIGIT.all(digits)
            && (digits.len() <= 2 || (letters.is_empty() && digits.len() <= 8))
            && (letters.len() <= 3 || is_pronounceable(letters))
    })
}

fn is_pronounceable(letters: &[u8]) -> bool {
    let common = letters
        .windows(2)
        .filter(|pair| is_common_pair(pair[0], pair[1]))
        .count();
    let all_one_case =
        letters[1..].iter().all(u8::is_ascii_lowercase) || letters.iter().all(u8::is_ascii_uppercase);
    let humps = letters
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .count();
    // Every other pair of random letters changes case, one of three in names with humps.
    let is_random = || {
        let switches = letters
            .windows(2)
            .filter(|pair| pair[0].is_ascii_lowercase() != pair[1].is_ascii_lowercase())
            .count();
        letters.len() >= 16 && switches * 5 >= (letters.len() - 1) * 2
    };
    (all_one_case || (humps * 4 <= letters.len() && !is_random())) && common * 2 >= letters.len() - 1
}

/// For every first letter, the letters that often follow it in English or Czech without accents.
const COMMON_PAIRS: [&[u8]; 26] = [
    b"bcdgiklmnprstuvy",
    b"aeiloruy",
    b"aeehiklortuy",
    b"aeiorsuy",
    b"acdefilmnprstvxyz",
    b"aefioru",
    b"aehilnoru",
    b"aeioruy",
    b"acdefglmnoprstvz",
    b"aeou",
    b"aeilnorsuy",
    b"adefiklostuvy",
    b"abeimopsuy",
    b"acdegikostuy",
    b"bcdfgjklmnoprstuvwy",
    b"aehiloprstu",
    b"u",
    b"acdeiklmnorstuvy",
    b"acehiklmnopqstuwy",
    b"aehiorstuwy",
    b"abcdegilmnprstz",
    b"aeioy",
    b"aehinors",
    b"aciopt",
    b"aelmnopst",
    b"aeinou",
];

const PAIR_MASKS: [u32; 26] = {
    let mut masks = [0_u32; 26];
    let mut first = 0;
    while first < 26 {
        let mut at = 0;
        while at < COMMON_PAIRS[first].len() {
            masks[first] |= 1 << (COMMON_PAIRS[first][at] - b'a');
            at += 1;
        }
        first += 1;
    }
    masks
};

fn is_common_pair(first: u8, second: u8) -> bool {
    let (first, second) = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    PAIR_MASKS[usize::from(first - b'a')] & (1 << (second - b'a')) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: bool, strength: Strength, join: Join, values: &[&str]) {
        for value in values {
            assert_eq!(is_secret(strength, join, "name", value), expected, "{value}");
        }
    }

    #[test]
    fn people_choose_words_for_passwords() {
        check(
            true,
            Strength::Password,
            Join::Member,
            &[
                "banan57",
                "whiteduke",
                "papoušek5654",
                "Sunshine%dragon54",
                "u-a3n@KuidmX54",
            ],
        );
        check(
            false,
            Strength::Password,
            Join::Member,
            &[
                "string",
                "DB_PASSWORD",
                "",
                "xxxxxx",
                "Enter your password",
                "{{ pass }}",
            ],
        );
    }

    #[test]
    fn an_unquoted_value_may_be_code() {
        check(
            true,
            Strength::Password,
            Join::Bare,
            &["Summer7450", "krtek.krtek.370", "L9RrR9fBhQeqLfu^Y"],
        );
        check(
            false,
            Strength::Password,
            Join::Bare,
            &[
                "password",
                "get_password()",
                "config.password",
                "os.environ[\"X\"]",
                "$PASSWORD",
                "&#x3C;string|buffer>]}",
                "&lt;password&gt;",
            ],
        );
    }

    #[test]
    fn a_machine_secret_is_no_name_and_no_location() {
        check(
            true,
            Strength::Secret,
            Join::Member,
            &[
                "7Qm2gbhP8NCjap7HzHPo",
                "755904de-8259-4082-8fa9-4f0acc7935f3",
                "3f853804b0514f1a119460e19e139220",
                "development#product",
            ],
        );
        check(
            false,
            Strength::Secret,
            Join::Member,
            &[
                "in.c-main.tokens",
                "https://login.acme.example/oauth2/token",
                "my_token",
                "/run/secrets/token",
                "keyvault://prod/db-password",
                "snowflake_access_token",
                "<<token>>",
                "%TOKEN%",
            ],
        );
    }

    #[test]
    fn a_weak_name_needs_a_random_value() {
        check(
            true,
            Strength::Weak,
            Join::Member,
            &[
                "1234567890abcdef1234567890abcdef",
                "P9n5ZWE2MjYyYzFhNDM2ZjlhYzE2ZTRjYjk3NmQ5YWFi",
            ],
        );
        check(
            false,
            Strength::Weak,
            Join::Member,
            &[
                "orders-2024",
                "customer_id",
                "Sunshine54",
                "configuration.main.first",
            ],
        );
        check(
            false,
            Strength::Weak,
            Join::Cell,
            &["1234567890abcdef1234567890abcdef"],
        );
    }

    #[test]
    fn what_is_already_safe_is_no_secret_anywhere() {
        for strength in [
            Strength::Weak,
            Strength::Secret,
            Strength::Password,
            Strength::Hash,
        ] {
            check(
                false,
                strength,
                Join::Certain,
                &[
                    "KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0",
                    "{{ vault.x }}",
                    "[REDACTED:password:k7wq2a]",
                    "a[REDACTED:password:k7wq2a]b",
                ],
            );
        }
    }
}
