//! Shapes of secrets that take more than a run of characters to tell.
//!
//! Each function is given the text and where a detector's literal begins in it.

use super::detect::{Class, continues, is_varied};
use crate::redaction::value;
use data_encoding::BASE64URL_NOPAD;
use std::ops::Range;

/// Tokens of GitHub and npm: a prefix, thirty characters, and six with the CRC-32 of the thirty, which is so unlikely
/// by chance that a word may end right before it.
pub(super) fn checked_token(text: &[u8], at: usize) -> bool {
    let body = &text[at + 4..];
    if Class::Alnum.run(body) != 36 || body.get(36) == Some(&b'_') {
        return false;
    }
    body[30..36] == check_digits(&body[..30])
}

/// Returns the CRC-32 of the token in six base62 digits.
pub(super) fn check_digits(token: &[u8]) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = usize::try_from(crc32(token)).unwrap_or(0);
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    digits
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// `hooks.slack.com/services/T…/B…/<24 characters>`.
pub(super) fn slack_webhook(text: &[u8], at: usize) -> bool {
    let path = &text[at + "hooks.slack.com/services/".len()..];
    let mut parts = path.splitn(3, |byte| *byte == b'/');
    let (Some(team), Some(bot), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let id = |part: &[u8], first| {
        part.first() == Some(&first) && (8..=14).contains(&part.len()) && Class::Upper.run(part) == part.len()
    };
    let secret = Class::Alnum.run(rest);
    id(team, b'T') && id(bot, b'B') && secret == 24 && is_varied(&rest[..secret])
}

/// How far from an AWS key id its secret is looked for, in bytes.
const AWS_DISTANCE: usize = 300;

/// An AWS key id with its secret nearby. An id alone is no secret, nor are forty characters alone.
pub(super) fn aws_pair(text: &[u8], at: usize) -> bool {
    let id_len = Class::Upper.run(&text[at..]);
    let id = &text[at..at + id_len];
    if continues(text, at) || id_len != 20 || id.ends_with(b"EXAMPLE") || !is_varied(&id[4..]) {
        return false;
    }
    let near = &text[at.saturating_sub(AWS_DISTANCE)..(at + id_len + AWS_DISTANCE).min(text.len())];
    let named = near.windows(6).any(|word| word.eq_ignore_ascii_case(b"secret"));
    named && near.split(|byte| !Class::Base64.has(*byte)).any(is_aws_secret)
}

fn is_aws_secret(word: &[u8]) -> bool {
    // `KEY=secret` is one word for base64, in which `=` stands at the end only.
    let word = word.rsplit(|byte| *byte == b'=').next().unwrap_or(word);
    word.len() == 40 && !word.ends_with(b"EXAMPLEKEY") && is_mixed(word) && is_varied(word)
}

/// Says whether small letters, capitals and digits all occur.
fn is_mixed(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_lowercase)
        && word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_digit)
}

/// A signed JSON Web Token: a header that names an algorithm, a payload, a signature.
pub(super) fn jwt(text: &[u8], at: usize) -> bool {
    if continues(text, at) {
        return false;
    }
    let header = &text[at..at + Class::Url.run(&text[at..])];
    let rest = &text[at + header.len()..];
    let Some(payload) = rest.strip_prefix(b".eyJ") else {
        return false;
    };
    let payload_len = Class::Url.run(payload);
    let Some(signature) = payload[payload_len..].strip_prefix(b".") else {
        return false;
    };
    let signature = &signature[..Class::Url.run(signature)];
    let names_algorithm = BASE64URL_NOPAD.decode(header).is_ok_and(|header| {
        let header = serde_json::from_slice::<serde_json::Value>(&header).unwrap_or_default();
        header
            .get("alg")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|name| !name.eq_ignore_ascii_case("none"))
    });
    payload_len >= 8 && signature.len() >= 40 && is_varied(signature) && names_algorithm
}

/// How much of a PEM block is read to see that it has content.
const PEM_START_MAX: usize = 4096;

/// A private key in PEM form, with line breaks as they are or escaped.
pub(super) fn private_key(text: &[u8], at: usize) -> bool {
    let rest = &text[at + "-----BEGIN ".len()..];
    let label_len = rest.iter().take(40).position(|byte| *byte == b'-').unwrap_or(0);
    let label = &rest[..label_len];
    let Some(body) = rest[label_len..].strip_prefix(b"-----") else {
        return false;
    };
    if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")) {
        return false;
    }
    // Headers such as `Proc-Type: 4,ENCRYPTED` are words too short to be lines of a key.
    let body = &body[..body.len().min(PEM_START_MAX)];
    let end = memchr::memmem::find(body, b"-----END").unwrap_or(body.len());
    // `\n` leaves a letter before each line and `\\n` two; a line is far longer than that.
    body[..end]
        .split(|byte| !Class::Base64.has(*byte))
        .any(|line| line.len() >= 32 && is_varied(line))
}

/// `AccountKey=` of an Azure storage account: 64 bytes in base64.
pub(super) fn azure_account_key(text: &[u8], at: usize) -> bool {
    is_base64_key(&text[at + "AccountKey=".len()..], 86, 2)
}

/// `SharedAccessKey=` of an Azure service bus: 32 bytes in base64.
pub(super) fn azure_shared_key(text: &[u8], at: usize) -> bool {
    is_base64_key(&text[at + "SharedAccessKey=".len()..], 43, 1)
}

fn is_base64_key(text: &[u8], digits: usize, padding: usize) -> bool {
    let run = Class::Base64.run(text);
    let token = &text[..run];
    let padded = token.iter().rev().take_while(|byte| **byte == b'=').count();
    run == digits + padding && padded == padding && is_varied(&token[..digits])
}

/// A client secret of Microsoft Entra: three characters, a digit, `Q~` and 31 to 34 more.
pub(super) fn azure_client_secret(text: &[u8], at: usize) -> bool {
    let allowed = |byte: &u8| Class::Url.has(*byte) || matches!(byte, b'~' | b'.');
    let Some(start) = at.checked_sub(4) else {
        return false;
    };
    let tail = &text[at + 2..];
    let tail_len = tail.iter().position(|byte| !allowed(byte)).unwrap_or(tail.len());
    text[start..at - 1].iter().all(allowed)
        && text[at - 1].is_ascii_digit()
        && !continues(text, start)
        && (31..=34).contains(&tail_len)
        && is_varied(&tail[..tail_len])
}

/// `sk-…T3BlbkFJ…` of `OpenAI`; the literal stands in the middle.
pub(super) fn openai_key(text: &[u8], at: usize) -> bool {
    let head = &text[at.saturating_sub(200)..at];
    let start = head
        .iter()
        .rposition(|byte| !Class::Url.has(*byte))
        .map_or(0, |place| place + 1);
    let head = &head[start..];
    let tail = Class::Url.run(&text[at + 8..]);
    let prefixed = memchr::memmem::rfind(head, b"sk-").is_some_and(|prefix| head.len() - prefix >= 23);
    prefixed && tail >= 20 && is_varied(&text[at + 8..at + 8 + tail])
}

/// `scheme://user:password@host`, where the password looks like one.
pub(super) fn url_password(text: &[u8], at: usize) -> bool {
    const USER_INFO_MAX: usize = 256;
    if at == 0 || !text[at - 1].is_ascii_alphanumeric() {
        return false;
    }
    let rest = &text[at + 3..];
    let rest = &rest[..rest.len().min(USER_INFO_MAX)];
    let stops = |byte: &u8| {
        !(0x21..0x7f).contains(byte)
            || matches!(
                byte,
                b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`' | b'@'
            )
    };
    let end = rest.iter().position(stops).unwrap_or(rest.len());
    let follows_host = rest
        .get(end + 1)
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[');
    if rest.get(end) != Some(&b'@') || !follows_host {
        return false;
    }
    let Some(colon) = rest[..end].iter().position(|byte| *byte == b':') else {
        return false;
    };
    let password = &rest[colon + 1..end];
    let is_template = password
        .iter()
        .any(|byte| matches!(byte, b'{' | b'}' | b'$' | b'[' | b']' | b'*' | b'%' | b'('));
    let escapes_only =
        password.contains(&b'%') && !password.windows(2).any(|pair| pair == b"%s" || pair == b"%(");
    let digit = password.iter().any(u8::is_ascii_digit);
    let letter = password.iter().any(u8::is_ascii_alphabetic);
    password.len() >= 8
        && digit
        && letter
        && is_varied(password)
        && (!is_template || escapes_only && !password.contains(&b'{'))
}

/// Returns where Storage API tokens stand: `<project>-<token id>-<secret of 40>`.
pub(super) fn storage_tokens(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    memchr::memchr_iter(b'-', text).filter_map(move |dash| {
        let digits_before = |end: usize| {
            text[..end]
                .iter()
                .rev()
                .take(12)
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let id = digits_before(dash);
        // Most dashes fail here.
        if id == 0 || !text.get(dash + 1).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let first_dash = dash - id;
        if first_dash == 0 || text[first_dash - 1] != b'-' {
            return None;
        }
        let project = digits_before(first_dash - 1);
        let start = first_dash - 1 - project;
        let bounded = start == 0 || !continues(text, start) && text[start - 1] != b'-';
        let secret = &text[dash + 1..];
        let secret = &secret[..secret.len().min(41)];
        let length = Class::Alnum.run(secret);
        let is_token =
            project > 0 && bounded && length == 40 && is_mixed(&secret[..40]) && is_varied(&secret[..40]);
        is_token.then_some(start..dash + 1 + 40)
    })
}

/// Returns the bytes around a literal up to white space, quotes and the like on either side.
pub(super) fn word(text: &[u8], literal: Range<usize>) -> Range<usize> {
    let ends =
        |byte: &u8| !(0x21..0x7f).contains(byte) || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\');
    let before = text[..literal.start].iter().rposition(ends);
    let after = text[literal.end..].iter().position(ends);
    before.map_or(0, |at| at + 1)..after.map_or(text.len(), |at| literal.end + at)
}

/// Returns a PEM block from its first line on: to the end of its last line, or of the text.
pub(super) fn block(text: &[u8], literal: Range<usize>) -> Range<usize> {
    let find = |from: usize, what: &[u8]| memchr::memmem::find(&text[from..], what).map(|at| from + at);
    let last = find(literal.end, b"-----END").map(|at| at + b"-----END".len());
    let end = last
        .and_then(|at| find(at, b"-----"))
        .map(|at| at + b"-----".len());
    literal.start..end.unwrap_or(text.len())
}

/// Returns a key id of AWS with all among which its secret is looked for.
pub(super) fn near(text: &[u8], literal: Range<usize>) -> Range<usize> {
    let id = literal.start + Class::Upper.run(&text[literal.start..]);
    literal.start.saturating_sub(AWS_DISTANCE)..(id + AWS_DISTANCE).min(text.len())
}

/// Says whether the place lies within an encrypted value, whose bytes mean nothing.
pub(super) fn is_in_cipher(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let within = |byte: u8| Class::Base64.has(byte) || matches!(byte, b'-' | b'_');
    let run = bytes[..at].iter().rev().take_while(|byte| within(**byte)).count();
    // The longest prefix has 42 bytes.
    let from = (at - run).saturating_sub(48);
    let from = (from..=at)
        .find(|from| text.is_char_boundary(*from))
        .unwrap_or(at);
    value::ciphers(&text[from..])
        .take_while(|cipher| from + cipher.start <= at)
        .any(|cipher| at < from + cipher.end)
}
