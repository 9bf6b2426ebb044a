//! Long random tokens that are known by how issuers make them, without a list of issuers: a name, a joint, and noise.
//!
//! A distinctive start cannot wake this, as there is none. So it looks at runs of bytes that tokens are made of: only
//! each second eight bytes of a text have to be looked at to find all that are long enough. Linear in the text.

mod forms;
mod given;
mod wallets;

use crate::alphabet::{ALNUM, Alphabet, DASH, DIGIT, Eight, HEX, LETTER, LOWER, LOWER_HEX, UPPER, URL64};
use crate::formats::{base64_bytes, boundary_before, end_with_rest};
use crate::rules::{self, RuleIndex};
use crate::{ids, keboola, shape, vendors};
use std::ops::Range;

/// Length of the shortest run that is looked at, in bytes.
const RUN_MIN: usize = 20;

/// So many bytes are looked at at once, and how far apart: each long run has such a block.
const BLOCK: usize = 8;
const STRIDE: usize = RUN_MIN + 1 - BLOCK;

/// Length of the shortest noise behind a name that tells of a secret, in bytes; behind any other, in letters of both cases
/// and of one: ids have one.
const NOISE_MIN: usize = 14;
const NAMELESS_MIN: usize = 32;
const NAMELESS_OF_ONE_CASE_MIN: usize = 40;

/// Length of the shortest noise of hexadecimal digits behind a name that only hints, in bytes: digests have up to 64, and names
/// of caches and files are made of these.
const LONG_MIN: usize = 65;

/// Length of the shortest piece without a joint that is in each long noise, in bytes.
const WHOLE_MIN: usize = 20;

/// Longer runs are data, in bytes.
const RUN_MAX: usize = 1024;

/// A name has so many parts at most, each of so many bytes; one that tells nothing fewer, as names of buckets have many.
const PARTS_MAX: usize = 4;
const NAMELESS_PARTS_MAX: usize = 2;
const NAMELESS_PARTS_OF_LONG_MAX: usize = 3;
const PART_MAX: usize = 12;

/// Longest number of the record that a token is of, in digits.
const NUMBER_MAX: usize = 18;

/// What tells that noise is a secret, whatever it looks like.
const SECRETS: [&str; 12] = [
    "apikey", "authkey", "oat", "pass", "password", "pat", "priv", "pw", "secret", "signkey", "sk", "token",
];
/// What tells it of noise that is neither hexadecimal nor a UUID: names of caches and tables are made of these too.
const HINTS: [&str; 17] = [
    "access", "admin", "ak", "api", "auth", "bot", "key", "live", "lk", "prod", "refresh", "rk", "root",
    "sandbox", "sdk", "svc", "test",
];
/// What tells that it is for everybody to see, or only names something.
const PUBLIC: [&str; 30] = [
    "asset", "avatar", "checksum", "cid", "client", "cs", "cursor", "digest", "etag", "file", "hash", "icon",
    "id", "image", "img", "in", "job", "md", "nonce", "out", "photo", "pk", "pub", "public", "query", "req",
    "request", "sha", "trace", "video",
];

/// Which tokens are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Storage API tokens only.
    Storage,
    All,
}

/// Returns the ranges of tokens, which may overlap, and their rules; `goes_on` where the text is followed by what goes.
pub(crate) fn find(
    text: &[u8],
    which: Which,
    goes_on: bool,
) -> impl Iterator<Item = (Range<usize>, RuleIndex)> {
    runs(text).filter_map(move |run| judge(text, &run, which, goes_on))
}

/// A run of [`URL64`], as long as it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    range: Range<usize>,
    /// Of what it is made.
    kinds: Alphabet,
}

impl Run {
    fn has_both_cases(&self) -> bool {
        self.kinds.meets(LOWER) && self.kinds.meets(UPPER)
    }
}

/// Returns all runs of [`RUN_MIN`] bytes or more that have digits, as all tokens do.
fn runs(text: &[u8]) -> impl Iterator<Item = Run> {
    let mut block = 0;
    std::iter::from_fn(move || {
        loop {
            let eight = text.get(block..)?.first_chunk::<BLOCK>()?;
            if !may_be_of_run(*eight) || !Eight::new(*eight).are_url64() {
                block += STRIDE;
                continue;
            }
            let (end, kinds) = URL64.run_and_kinds(text, block);
            let (start, kinds_before) = URL64.run_back_and_kinds(text, block);
            block += (end - block).next_multiple_of(STRIDE);
            let kinds = kinds.or(kinds_before);
            if end - start >= RUN_MIN && kinds.meets(DIGIT) {
                return Some(Run {
                    range: start..end,
                    kinds,
                });
            }
        }
    })
}

/// Says quickly of nearly all bytes of texts that one of them is not of [`URL64`]: white space, quotes, commas.
fn may_be_of_run(bytes: [u8; BLOCK]) -> bool {
    const LEAST: u64 = u64::from_ne_bytes([b'-'; BLOCK]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; BLOCK]);
    let bytes = u64::from_ne_bytes(bytes);
    // A high bit that stays is that of a byte that is not less.
    bytes & HIGH == 0 && ((bytes | HIGH) - LEAST) & HIGH == HIGH
}

fn judge(text: &[u8], run: &Run, which: Which, goes_on: bool) -> Option<(Range<usize>, RuleIndex)> {
    let start = run.range.start + escaped(text, run.range.start);
    let run = Run {
        range: start..run.range.end,
        kinds: run.kinds,
    };
    let token = &text[run.range.clone()];
    if let Some(length) = keboola::storage_token(token) {
        return Some((start..start + length, rules::STORAGE_TOKEN));
    }
    if which == Which::Storage {
        return None;
    }
    let found = if is_named(text, &run, goes_on) {
        run.range
    } else if let Some(found) = forms::find(text, &run, goes_on) {
        found
    } else if vendors::is_behind_service(text, &run.range) || given::is_given(text, &run) {
        run.range
    } else {
        given::of_base64(text, &run)?
    };
    let token = &text[found.clone()];
    if ids::is_of_object(token) || is_mask(token) || is_encoded_words(token) {
        return None;
    }
    Some((whole(text, found), rules::ISSUED_TOKEN))
}

/// `8625-373115-xxxxxxxx`: what an example has in place of noise.
fn is_mask(token: &[u8]) -> bool {
    let same = |eight: &[u8]| matches!(eight[0], b'x' | b'X') && eight.iter().all(|byte| *byte == eight[0]);
    token.windows(8).any(same)
}

/// Says whether it is some words in hexadecimal digits or in base64: nothing random is.
fn is_encoded_words(token: &[u8]) -> bool {
    let is_of_words = |decoded: &[u8]| {
        decoded.contains(&b' ') && decoded.iter().all(|byte| LETTER.has(*byte) || *byte == b' ')
    };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let hexadecimal: Option<Vec<u8>> = token
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    let base64 = || base64_bytes(token).collect::<Option<Vec<u8>>>();
    hexadecimal
        .or_else(base64)
        .is_some_and(|decoded| is_of_words(&decoded))
}

/// Returns the range of a token with what belongs to it: the number of its record before it, noise behind it.
fn whole(text: &[u8], found: Range<usize>) -> Range<usize> {
    let bar = found.start.checked_sub(1).filter(|bar| text[*bar] == b'|');
    let start = match bar.map(|bar| (bar, DIGIT.run_back(text, bar, NUMBER_MAX))) {
        Some((bar, number)) if number < bar && is_start(text, number) => number,
        _ => found.start,
    };
    start..end_with_rest(text, found.end)
}

/// Says whether what begins at `at` is the first cell of a row, if it is a cell, and no part of a word.
fn is_start(text: &[u8], at: usize) -> bool {
    boundary_before(text, at) && !(at > 0 && matches!(text[at - 1], b'|' | b'.' | b'-' | b'/'))
}

/// Returns how many bytes of a run belong to an escape that it follows: `\n`, `\u0022`, `%3D`.
fn escaped(text: &[u8], start: usize) -> usize {
    let run = &text[start..];
    match start.checked_sub(1).map(|before| text[before]) {
        Some(b'\\') if matches!(run[0], b'n' | b'r' | b't') => 1,
        Some(b'\\') if run[0] == b'u' && HEX.run(run, 1, 4) == 5 => 5,
        Some(b'%') if HEX.run(run, 0, 2) == 2 => 2,
        _ => 0,
    }
}

/// What a name tells of the noise behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tells {
    Nothing,
    Hint,
    Secret,
    Public,
}

impl Tells {
    /// Returns the most that a part of a name tells.
    fn by(name: &[u8]) -> Self {
        let told = parts(name).map(|part| {
            let word = &part[..LETTER.run(part, 0, PART_MAX)];
            let is_among = |words: &[&str]| {
                words
                    .iter()
                    .any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
            };
            if is_among(&PUBLIC) {
                Self::Public
            } else if is_among(&SECRETS) {
                Self::Secret
            } else if is_among(&HINTS) {
                Self::Hint
            } else {
                Self::Nothing
            }
        });
        told.max().unwrap_or(Self::Nothing)
    }
}

/// Returns the parts of a name, each of which has a joint behind it.
fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| !ALNUM.has(*byte))
        .filter(|part| !part.is_empty())
}

/// Returns the length of the name that a token begins with, its last joint included; 0 where there is none.
fn name_length(token: &[u8]) -> usize {
    let mut length = 0;
    for _ in 0..PARTS_MAX {
        let joint = ALNUM.run(token, length, PART_MAX + 1);
        if !is_part(&token[length..joint]) || token.len() - joint <= NOISE_MIN {
            break;
        }
        length = joint + 1;
    }
    length
}

/// Says whether a run is a name, a joint, and noise: `acme_live_4eC39HqLyjWDarjtT1zdp7dc`.
fn is_named(text: &[u8], run: &Run, goes_on: bool) -> bool {
    let token = &text[run.range.clone()];
    let (name, noise) = token.split_at(name_length(token));
    if name.is_empty() || token.len() > RUN_MAX {
        return false;
    }
    if noise.len() >= NAMELESS_MIN && LOWER_HEX.or(DASH).all(noise) {
        let is_live = || parts(name).any(|part| part.eq_ignore_ascii_case(b"live"));
        return match Tells::by(name) {
            Tells::Secret => shape::is_hex_or_uuid(noise),
            // Names of caches are made of shorter ones.
            Tells::Hint => {
                (is_live() && shape::is_hex_key(noise))
                    || (noise.len() >= LONG_MIN && shape::is_hex_or_uuid(noise))
            }
            Tells::Nothing | Tells::Public => false,
        };
    }
    // What is cheap to tell first: nearly all runs are names that end in an id.
    if !is_one_piece(noise) || is_ulid(noise) {
        return false;
    }
    let may_be = match Tells::by(name) {
        Tells::Secret => true,
        Tells::Hint => has_both_cases(noise),
        Tells::Nothing => {
            let is_long = noise.len() >= NAMELESS_OF_ONE_CASE_MIN && ALNUM.all(noise);
            let parts_max = if is_long && has_both_cases(noise) {
                NAMELESS_PARTS_OF_LONG_MAX
            } else {
                NAMELESS_PARTS_MAX
            };
            noise.len() >= NAMELESS_MIN
                && (is_long || has_both_cases(noise))
                && parts(name).count() <= parts_max
                && !is_inside(text, &run.range, goes_on)
                && !shape::has_words(noise)
        }
        Tells::Public => false,
    };
    may_be && is_noise(noise)
}

/// Says whether a run is a part of a file's name, a path or an address, or a digest: `sha256=…`.
fn is_inside(text: &[u8], run: &Range<usize>, goes_on: bool) -> bool {
    let before = run.start.checked_sub(1).map(|before| text[before]);
    let after = (text.get(run.end), text.get(run.end + 1));
    let is_joined = |next: Option<&u8>| next.map_or(goes_on, |next| ALNUM.has(*next) || *next == b'[');
    let is_digest = matches!(before, Some(b'=' | b':'))
        && text[..DIGIT.run_back(text, run.start - 1, 3)].ends_with(b"sha");
    is_digest
        || matches!(before, Some(b'/' | b'.' | b'@' | b'+'))
        // `https://…/commit/7fa8…#diff-f43d…`
        || (before == Some(b'#') && run.start > 1 && ALNUM.has(text[run.start - 2]))
        || matches!(after, (Some(b'@' | b'/' | b'+'), _))
        || matches!(after, (Some(b'.'), next) if is_joined(next) && end_with_rest(text, run.end) == run.end)
}

/// Says whether noise has no more joints than base64 of the URL alphabet has by chance: names of machines and tables end
/// in noise too, but have joints all over.
fn is_one_piece(noise: &[u8]) -> bool {
    let mut pieces = noise.split(|byte| !ALNUM.has(*byte));
    ALNUM.all(noise) || (noise.len() >= NAMELESS_MIN && pieces.any(|piece| piece.len() >= WHOLE_MIN))
}

/// Says whether it is a ULID, which Keboola ends names of objects with: 26 digits of Crockford's base32, a time at first.
fn is_ulid(noise: &[u8]) -> bool {
    let is_digit = |byte: &u8| ALNUM.has(*byte) && !matches!(byte | 0x20, b'i' | b'l' | b'o' | b'u');
    noise.len() == 26 && matches!(noise[0], b'0'..=b'7') && noise.iter().all(is_digit)
}

/// Says whether it can be a part of a name: letters of one case, and perhaps a number: `sk`, `v1`.
fn is_part(part: &[u8]) -> bool {
    let is_of = |letters: Alphabet| {
        let word = letters.run(part, 0, PART_MAX);
        word > 0 && part.len() >= 2 && part.len() <= word + 2 && DIGIT.all(&part[word..])
    };
    is_of(LOWER) || is_of(UPPER)
}

fn has_both_cases(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase)
}

/// Says whether it has neither words nor digits alone.
fn is_noise(bytes: &[u8]) -> bool {
    let digits = bytes.iter().filter(|byte| DIGIT.has(**byte)).count();
    let letters = bytes.iter().filter(|byte| LETTER.has(**byte)).count();
    digits >= 1 && letters >= 2 && shape::is_opaque(bytes, NOISE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    pub(super) const NOISE: &str = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE";
    pub(super) const HEXADECIMAL: &str = "0f3a9c71d25e84b60f3a9c71d25e84b6";

    #[track_caller]
    pub(super) fn check(texts: &[String], expected: &Expect) {
        let mut drawn = String::new();
        for text in texts {
            let found = find(text.as_bytes(), Which::All, false);
            let found: Vec<&str> = found.map(|(range, _)| &text[range]).collect();
            drawn += &format!("{text}  ->  {found:?}\n");
        }
        expected.assert_eq(&drawn);
    }

    #[test]
    fn words_in_other_digits_masks_and_anchors_stay() {
        let words = "74686973207374617973206173206973";
        let texts = [
            format!("expected hex value: {words}"),
            format!("acme = '{}'", "aXQgZ29lcyBvbiBhbmQgb24gaGVyZQ"),
            "token: '8625-373115-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'".to_owned(),
            format!("https://git.example/shop/commit/7fa89f#diff-{HEXADECIMAL}{HEXADECIMAL}R238"),
            format!("# acme_live_{NOISE}"),
        ];
        check(
            &texts,
            &expect![[r#"
            expected hex value: 74686973207374617973206173206973  ->  []
            acme = 'aXQgZ29lcyBvbiBhbmQgb24gaGVyZQ'  ->  []
            token: '8625-373115-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'  ->  []
            https://git.example/shop/commit/7fa89f#diff-0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71d25e84b6R238  ->  []
            # acme_live_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_live_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
        "#]],
        );
    }

    #[test]
    fn runs_are_all_that_are_long_enough() {
        let slow = |text: &[u8]| {
            let mut runs = Vec::new();
            let mut start = 0;
            for at in 0..=text.len() {
                if at == text.len() || !URL64.has(text[at]) {
                    if at - start >= RUN_MIN && text[start..at].contains(&b'1') {
                        runs.push(start..at);
                    }
                    start = at + 1;
                }
            }
            runs
        };
        // Numbers that look random and are the same each time.
        let mut state = 3_u64;
        let mut told = 0;
        for length in 0..400 {
            let text: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match (state >> 33) % 48 {
                    0 => b' ',
                    1 => b'/',
                    2 => b'1',
                    _ => b'a',
                }
            })
            .take(length)
            .collect();
            let found: Vec<_> = runs(&text).map(|run| run.range).collect();
            told += found.len();
            assert_eq!(found, slow(&text), "{text:?}");
        }
        assert!(told > 500);
    }

    #[test]
    fn noise_behind_a_name_is_a_token() {
        let short = &NOISE[..20];
        let texts = [
            format!("acme_{NOISE}"),
            format!("x = 'acme-{NOISE}';"),
            format!("a\\nacme_v1_{NOISE} b"),
            format!("q?a=1%26k%3Dacme_{NOISE}"),
            format!("acme_live_{short}"),
            format!("acme-sk-{HEXADECIMAL}"),
            "acme_secret_0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6".to_owned(),
            format!("Use acme_{NOISE}."),
            format!("{NOISE}_acme"),
            format!("acme_{}_{}", &NOISE[..18], &NOISE[18..]),
            format!("acme_cloud_org_{NOISE}"),
            format!("lk_{}", &NOISE[..22]),
            format!("acme_secret_{short}+{NOISE}/{short}=="),
            format!("12|acme_{NOISE}"),
        ];
        check(
            &texts,
            &expect![[r#"
                acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                x = 'acme-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE';  ->  ["acme-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                a\nacme_v1_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE b  ->  ["acme_v1_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                q?a=1%26k%3Dacme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                acme_live_aB3dE5fG7hJ9kL2mN4pQ  ->  ["acme_live_aB3dE5fG7hJ9kL2mN4pQ"]
                acme-sk-0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["acme-sk-0f3a9c71d25e84b60f3a9c71d25e84b6"]
                acme_secret_0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6  ->  ["acme_secret_0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6"]
                Use acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE.  ->  ["acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE_acme  ->  []
                acme_aB3dE5fG7hJ9kL2mN4_pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_aB3dE5fG7hJ9kL2mN4_pQ6rS8tU0vWx1Yz5AbC3dE"]
                acme_cloud_org_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["acme_cloud_org_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
                lk_aB3dE5fG7hJ9kL2mN4pQ6r  ->  ["lk_aB3dE5fG7hJ9kL2mN4pQ6r"]
                acme_secret_aB3dE5fG7hJ9kL2mN4pQ+aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE/aB3dE5fG7hJ9kL2mN4pQ==  ->  ["acme_secret_aB3dE5fG7hJ9kL2mN4pQ+aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE/aB3dE5fG7hJ9kL2mN4pQ=="]
                12|acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE  ->  ["12|acme_aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"]
            "#]],
        );
    }

    #[test]
    fn names_ids_and_files_are_none() {
        let short = &NOISE[..20];
        let texts = [
            format!("acme_{short}"),
            format!("acme_{HEXADECIMAL}"),
            "live_0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6".to_owned(),
            format!("pk_live_{NOISE}"),
            format!("in_acme_{NOISE}"),
            format!("acme_eu_orders_{}", &NOISE[..34]),
            format!("sha256-{NOISE}"),
            format!("/static/main_{NOISE}.js"),
            format!("https://acme.example/d/acme_{NOISE}/view"),
            format!("bounce_{NOISE}@acme.example"),
            "customer_orders_by_region_and_country_of_delivery_2024".to_owned(),
            "api-server-7d4b9c6f5d-x2x4z".to_owned(),
            "acme-team-ex-shop-metadata-v2-01jd4k7zq0000000000n7x8w0d".to_owned(),
            "acme-prod-01jd4k7zq0000000000n7x8w0d".to_owned(),
            "PROD-01jd4k7zq0000000000n7x8w0d".to_owned(),
            "acme-01jd4k7zq0000000000n7x8w0d-customer-orders".to_owned(),
            "acme-token-01jd4k7zq0000000000n7x8w0d".to_owned(),
            "acme-shop-db-import-tests-s3filesbucket-vm9zhtm5jd7s".to_owned(),
            "acme_96726c78_4ae3_402f_b08b_7a78c6903d2a_b08b7a78".to_owned(),
            "test_customer_orders_by_region".to_owned(),
            "IID_ID3D10EffectShaderResourceVariable".to_owned(),
            format!("sha256=ACM_{NOISE}"),
            "API_KEY_OF_THE_CUSTOMERS_REGION_2024".to_owned(),
            "live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            NOISE.to_owned(),
            HEXADECIMAL.to_owned(),
        ];
        let found = texts
            .iter()
            .filter(|text| find(text.as_bytes(), Which::All, false).next().is_some());
        assert_eq!(found.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn of_the_names_of_members_only_storage_tokens_are_taken() {
        let storage = format!("12-345-{NOISE}");
        assert_eq!(find(storage.as_bytes(), Which::Storage, false).count(), 1);
        let other = format!("acme_{NOISE}");
        assert_eq!(find(other.as_bytes(), Which::Storage, false).count(), 0);
    }
}
