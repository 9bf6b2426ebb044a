//! Takes credentials out of what somebody else says, in whatever form they come back.
//!
//! A server, a proxy or a hook may echo a header, a URL or a part of them. So it is not enough to look for the secret
//! as it is: what decodes to it, or to a good part of it, goes as well.

use super::Credential;
use data_encoding::{BASE64_NOPAD, Encoding, HEXLOWER_PERMISSIVE};
use secrecy::ExposeSecret;

/// What stands where something was taken out.
const HIDDEN: &str = "***";
/// More of somebody's words is not looked at, nor shown.
const WORDS_BYTES_MAX: usize = 16 << 10;
/// A secret that is at least this long is known by its parts: nobody sees two of them in a row.
const PARTS_FROM_BYTES: usize = 16;
const PART_BYTES: std::ops::RangeInclusive<usize> = 8..=16;
/// What decodes to fewer bytes than this is found by chance in anything.
const DECODED_BYTES_MIN: usize = 4;
/// Encodings within encodings are opened so often.
const LAYERS: usize = 3;

/// The secrets that must not be shown. Made for one text and dropped.
pub(crate) struct Hiding {
    /// As they are sent: replaced where they stand.
    exact: Vec<String>,
    /// In small letters: whatever holds one of these, decoded or not, goes whole.
    telling: Vec<Vec<u8>>,
}

impl Hiding {
    pub(crate) fn of<'c>(credentials: impl IntoIterator<Item = &'c Credential>) -> Self {
        let mut hiding = Self {
            exact: Vec::new(),
            telling: Vec::new(),
        };
        for credential in credentials {
            match credential {
                Credential::Basic { user, password } => hiding.add_pair(user, password.expose_secret()),
                Credential::Bearer(token) => hiding.add(token.expose_secret()),
                // A server never gets to see it.
                Credential::SshKey { .. } => {}
            }
        }
        // The longest first, lest a part of one is left beside another.
        hiding.exact.sort_by_key(|form| std::cmp::Reverse(form.len()));
        hiding
    }

    fn add_pair(&mut self, user: &str, password: &str) {
        if password.is_empty() {
            return;
        }
        let pair = BASE64_NOPAD.encode(format!("{user}:{password}").as_bytes());
        self.exact.push(format!("{pair}=="));
        self.exact.push(format!("{pair}="));
        // Without the last letter: it may be another one where more follows.
        self.tell_apart(&pair[..pair.len() - 1]);
        self.exact.push(pair);
        self.add(password);
    }

    fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.exact.push(secret.to_owned());
            self.tell_apart(secret);
        }
    }

    fn tell_apart(&mut self, secret: &str) {
        let secret = secret.to_ascii_lowercase().into_bytes();
        if secret.len() < DECODED_BYTES_MIN {
            return;
        }
        if secret.len() >= PARTS_FROM_BYTES {
            let part = (secret.len() / 4).clamp(*PART_BYTES.start(), *PART_BYTES.end());
            self.telling.extend(secret.chunks_exact(part).map(<[u8]>::to_vec));
        } else {
            self.telling.push(secret);
        }
    }

    /// Returns a text without them. What is longer than anything that is shown is cut off.
    pub(crate) fn without(&self, text: &str) -> String {
        let end = text.floor_char_boundary(WORDS_BYTES_MAX);
        let mut text = text[..end].to_owned();
        for form in &self.exact {
            text = text.replace(form.as_str(), HIDDEN);
        }
        if self.telling.is_empty() {
            return text;
        }
        let is_border = |c: char| c.is_whitespace() || c.is_control();
        let words = text.split_inclusive(is_border).map(|word| {
            let shown = word.trim_end_matches(is_border);
            format!("{}{}", self.word(shown), &word[shown.len()..])
        });
        let text: String = words.collect();
        // Folded over lines, for example.
        let together: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_control())
            .collect();
        if self.betrays(&together, LAYERS) {
            return HIDDEN.to_owned();
        }
        text
    }

    /// Replaces those parts of a word that decode to a secret; all of it where that is not enough.
    fn word(&self, word: &str) -> String {
        if !self.betrays(word.as_bytes(), LAYERS) {
            return word.to_owned();
        }
        let mut shown = String::new();
        let mut rest = word;
        while let Some(start) = rest.find(is_base64) {
            let run = &rest[start..];
            let end = run.find(|c| !is_base64(c)).unwrap_or(run.len());
            let (run, behind) = run.split_at(end);
            shown.push_str(&rest[..start]);
            if self.betrays(run.as_bytes(), LAYERS) {
                shown.push_str(HIDDEN);
                rest = behind.trim_start_matches('=');
            } else {
                shown.push_str(run);
                rest = behind;
            }
        }
        shown.push_str(rest);
        if self.betrays(shown.as_bytes(), LAYERS) {
            return HIDDEN.to_owned();
        }
        shown
    }

    /// Says whether bytes hold a secret, or something that decodes to one.
    fn betrays(&self, bytes: &[u8], layers: usize) -> bool {
        let lower = bytes.to_ascii_lowercase();
        let holds = |part: &Vec<u8>| lower.windows(part.len()).any(|window| window == part.as_slice());
        if self.telling.iter().any(holds) {
            return true;
        }
        let Some(layers) = layers.checked_sub(1) else {
            return false;
        };
        if let Some(plain) = unescaped(bytes)
            && self.betrays(&plain, layers)
        {
            return true;
        }
        let runs = |is_digit: fn(char) -> bool| {
            bytes
                .split(move |byte| !is_digit(char::from(*byte)))
                .filter(|run| run.len() > DECODED_BYTES_MIN)
        };
        let in_base64 = runs(is_base64).any(|run| {
            let ordinary: Vec<u8> = run
                .iter()
                .map(|byte| match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    byte => *byte,
                })
                .collect();
            // Where it begins is not known: something may stand before it.
            (0..4).any(|skipped| {
                decoded(&BASE64_NOPAD, ordinary.get(skipped..).unwrap_or_default(), 4)
                    .is_some_and(|plain| self.betrays(&plain, layers))
            })
        });
        let is_hex = |c: char| c.is_ascii_hexdigit();
        in_base64
            || runs(is_hex).any(|run| {
                (0..2).any(|skipped| {
                    decoded(&HEXLOWER_PERMISSIVE, &run[skipped..], 2)
                        .is_some_and(|plain| self.betrays(&plain, layers))
                })
            })
    }
}

/// Both alphabets, each of which may be used.
fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// Decodes as much as makes whole groups; what is left over holds less than a byte of them.
fn decoded(encoding: &Encoding, run: &[u8], group: usize) -> Option<Vec<u8>> {
    let whole = run.len() - run.len() % group;
    let plain = encoding.decode(&run[..whole]).ok()?;
    (plain.len() >= DECODED_BYTES_MIN).then_some(plain)
}

/// Undoes what URLs, JSON and HTML write in place of a character; none if there is nothing of it.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::try_from(u32::from_str_radix(digits, radix).ok()?).ok()
    };
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = bytes;
    while let Some((&first, rest)) = at.split_first() {
        let found = match (first, rest) {
            (b'%', [a, b, ..]) => number(&[*a, *b], 16).map(|byte| (byte, 2)),
            (b'\\', [b'u', a, b, c, d, ..]) => number(&[*a, *b, *c, *d], 16).map(|byte| (byte, 5)),
            (b'\\', [b'x', a, b, ..]) => number(&[*a, *b], 16).map(|byte| (byte, 3)),
            (b'\\', [byte @ (b'/' | b'\\' | b'"'), ..]) => Some((*byte, 1)),
            (b'&', [b'#', entity @ ..]) => {
                let end = entity.iter().take(8).position(|byte| *byte == b';');
                end.and_then(|end| {
                    let byte = match &entity[..end] {
                        [b'x' | b'X', digits @ ..] => number(digits, 16),
                        digits => number(digits, 10),
                    };
                    byte.map(|byte| (byte, end + 2))
                })
            }
            _ => None,
        };
        let (byte, length) = found.unwrap_or((first, 0));
        plain.push(byte);
        at = &rest[length..];
    }
    (plain.len() < bytes.len()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    use secrecy::SecretString;

    const SECRET: &str = "ghp_s3cret>?token/0123456789";

    fn hiding(secret: &str) -> Hiding {
        Hiding::of([&Credential::token(SecretString::from(secret.to_owned()))])
    }

    fn percent(text: &str, all: bool) -> String {
        let each = text.bytes().map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() && !all => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        });
        each.collect()
    }

    #[test]
    fn no_form_of_a_secret_is_left() {
        let pair = format!("x-access-token:{SECRET}");
        let header = format!("Authorization: Basic {}", BASE64.encode(pair.as_bytes()));
        let basic = BASE64.encode(pair.as_bytes());
        let json: String = basic.replace('/', r"\/").replace('+', r"\u002b");
        let html: String = basic.replace('+', "&#43;").replace('/', "&#x2F;");
        for form in [
            SECRET.to_owned(),
            SECRET.to_ascii_uppercase(),
            pair.clone(),
            basic.clone(),
            basic.trim_end_matches('=').to_owned(),
            BASE64URL.encode(pair.as_bytes()),
            BASE64URL_NOPAD.encode(pair.as_bytes()),
            BASE64.encode(SECRET.as_bytes()),
            BASE64.encode(format!("a{pair}").as_bytes()),
            BASE64.encode(format!("ab{pair}").as_bytes()),
            BASE64.encode(header.as_bytes()),
            percent(SECRET, false),
            percent(SECRET, true),
            percent(&percent(SECRET, false), false),
            percent(&basic, false),
            HEXLOWER.encode(pair.as_bytes()),
            HEXUPPER.encode(SECRET.as_bytes()),
            json,
            html,
            basic[..basic.len() - 6].to_owned(),
            basic[basic.len() - 28..].to_owned(),
            SECRET[..20].to_owned(),
            format!("{}\n{}", &basic[..24], &basic[24..]),
        ] {
            for text in [
                form.clone(),
                format!("you sent Authorization: Basic {form}, which is wrong"),
                format!("{{\"auth\":\"Basic {form}\"}}"),
                format!("https://x:{form}@example.com/r"),
                format!("abc{form}"),
            ] {
                let shown = hiding(SECRET).without(&text);
                assert!(shown.contains(HIDDEN), "{text}: {shown}");
                for piece in form.split('\n').flat_map(|line| {
                    let bytes = line.as_bytes();
                    bytes
                        .chunks_exact(20)
                        .chain([&bytes[bytes.len().saturating_sub(19)..]])
                }) {
                    let piece = std::str::from_utf8(piece).unwrap();
                    assert!(!shown.contains(piece), "{text}: {shown}");
                }
            }
        }
        let shown = hiding(SECRET).without(&format!("denied; you sent {header} to us"));
        assert_eq!(shown, "denied; you sent Authorization: Basic *** to us");
        let shown = hiding(SECRET).without(&format!("https://x:{SECRET}@example.com/r"));
        assert_eq!(shown, "https://x:***@example.com/r");
    }

    #[test]
    fn what_holds_no_secret_is_left_as_it_is() {
        let text = "error: GH013: Repository rule violations found for refs/heads/main.\n\
            \tcommit 9fceb02d0ae598e95dc970b74767f19372d61af8, https://github.com/o/r/x?y=%2Fz (dGhlIHdvcmRzIGFyZSBmaW5l)\n";
        for secret in [SECRET, "pw", "x", "correct horse"] {
            assert_eq!(
                hiding(secret).without(text),
                text.replace(secret, HIDDEN),
                "{secret}"
            );
        }
        assert_eq!(hiding("").without(text), text);
        assert_eq!(Hiding::of([]).without(text), text);
        let much = "ž".repeat(WORDS_BYTES_MAX);
        assert!(hiding(SECRET).without(&much).len() <= WORDS_BYTES_MAX);
    }

    #[test]
    fn a_short_password_goes_with_its_pair() {
        let pair = BASE64.encode(b"x-access-token:pw1");
        assert_eq!(hiding("pw1").without(&format!("Basic {pair}")), "Basic ***");
        assert_eq!(
            hiding("pw1").without("user x-access-token, pw1"),
            "user x-access-token, ***"
        );
    }
}
