//! Credentials in URLs, headers and command lines.
//!
//! Each reader is given the text and the place of the sign that woke it.

use crate::alphabet::{
    ALNUM, BASE64, DASH, DIGIT, DOT, HEX, PERCENT, TILDE, TOKEN, URL64, URL64_PADDED, WORD, variety,
};
use crate::commands;
use crate::formats::{boundary_before, decode_base64};
use crate::keys::{Strength, is_secret_name};
use crate::shape::{self, Join};
use memchr::memchr;
use std::ops::Range;

/// Longest user part of a URL, in bytes; longer ones are not URLs.
const USER_PART_MAX: usize = 1024;

fn ends_url(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b'|')
}

/// Returns the password, or the token that stands alone, in the user part of the URL whose `://` is at `at`.
pub(crate) fn url_password(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let scheme = ALNUM.or(DASH).or(DOT).run_back(text, at, 32);
    let start = at + "://".len();
    if scheme == at {
        return None;
    }
    let window = &text[start..text.len().min(start + USER_PART_MAX)];
    let window = &window[..window
        .iter()
        .position(|&byte| ends_url(byte))
        .unwrap_or(window.len())];
    let authority = window
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(window.len());
    let user_part = match memchr::memrchr(b'@', &window[..authority]) {
        Some(end) => end,
        None => user_part_with_signs(window, authority)?,
    };
    let user_part = &window[..user_part];
    let (from, secret) = match memchr(b':', user_part) {
        Some(colon) => (colon + 1, &user_part[colon + 1..]),
        // `https://<token>@host`: only a token, never a user's name.
        // In a store of Azure it is a container.
        None if [&b"abfs"[..], b"abfss", b"wasb", b"wasbs"].contains(&&text[scheme..at]) => return None,
        None if shape::is_opaque(user_part, 20) => (0, user_part),
        None => return None,
    };
    let value = std::str::from_utf8(secret).ok()?;
    let judged = if value.contains('{') && !value.contains('}') {
        return None;
    } else {
        value
    };
    let stays = value.is_empty() || shape::is_template(judged) || !is_url_password(judged);
    (!stays).then_some((start + from, start + from + secret.len()))
}

/// Finds the end of a user part whose password has `/`, `?` or `#` in it.
fn user_part_with_signs(window: &[u8], authority: usize) -> Option<usize> {
    let colon = memchr(b':', &window[..authority])?;
    let after = &window[colon + 1..authority];
    let port = !after.is_empty() && DIGIT.all(after);
    if after.is_empty() || port || !URL64.or(DOT).or(PERCENT).all(&window[..colon]) {
        return None;
    }
    let end = memchr(b'@', &window[authority..window.len().min(authority + 128)])? + authority;
    let host = &window[end + 1..];
    ALNUM.has(*host.first()?).then_some(end)
}

fn is_url_password(value: &str) -> bool {
    let placeholder = ["***", "...", "xxx", "<", "password@", "•••"]
        .iter()
        .any(|sign| value.contains(sign))
        || value.contains('$') && value.starts_with('$');
    let lower = value.to_ascii_lowercase();
    let stands_for = is_secret_name(value)
        && matches!(
            lower.as_str(),
            "password"
                | "pass"
                | "passwd"
                | "pwd"
                | "secret"
                | "token"
                | "heslo"
                | "apikey"
                | "api_key"
                | "your_password"
                | "yourpassword"
                | "mypassword"
                | "your-password"
                | "my_password"
                | "db_password"
        );
    !placeholder && !stands_for && !crate::keboola::has_marker(value)
}

/// Returns the password of `jdbc:oracle:thin:user/password@…`.
pub(crate) fn oracle_password(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let user = at + "jdbc:oracle:thin:".len();
    let slash = WORD.or(DASH).or(DOT).run(text, user, 64);
    if slash == user || text.get(slash) != Some(&b'/') {
        return None;
    }
    let window = &text[slash + 1..text.len().min(slash + 129)];
    let end = window
        .iter()
        .position(|&byte| ends_url(byte))
        .unwrap_or(window.len());
    // Behind the last of them is where to.
    let end = memchr::memrchr(b'@', &window[..end])?;
    (end > 0).then_some((slash + 1, slash + 1 + end))
}

/// Returns the base64 text after `Basic `, where it holds a user and a password.
pub(crate) fn basic_credentials(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !boundary_before(text, at) {
        return None;
    }
    let start = at + "basic ".len();
    let end = BASE64.run(text, start, 1024);
    if end - start < 8 {
        return None;
    }
    let decoded = decode_base64(&text[start..end])?;
    let colon = memchr(b':', &decoded)?;
    let printable = std::str::from_utf8(&decoded).is_ok_and(|decoded| !decoded.contains(char::is_control));
    (printable && decoded.len() > colon.max(1)).then_some((start, end))
}

/// Returns the token after `Bearer `, where it looks like one.
pub(crate) fn bearer_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !boundary_before(text, at) {
        return None;
    }
    let start = at + "bearer ".len();
    let end = TOKEN.run(text, start, 4096);
    let end = if end > start && text[end - 1] == b'.' {
        end - 1
    } else {
        end
    };
    let token = std::str::from_utf8(&text[start..end]).ok()?;
    let open = matches!(text.get(end), Some(b'(' | b'[' | b'{' | b'$' | b'<'));
    (!open && shape::is_secret(Strength::Secret, Join::Bare, "bearer", token)).then_some((start, end))
}

/// Returns `user:password` after the flag of a command that takes them together.
pub(crate) fn command_user(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at > 0 && !text[at - 1].is_ascii_whitespace() {
        return None;
    }
    let mut start = at + memchr(b' ', &text[at..])? + 1;
    start += text[start..]
        .iter()
        .take(8)
        .take_while(|byte| **byte == b' ')
        .count();
    let quote = *text.get(start)?;
    let quoted = matches!(quote, b'"' | b'\'');
    start += usize::from(quoted);
    let window = &text[start..text.len().min(start + 256)];
    let end = window
        .iter()
        .position(|&byte| if quoted { byte == quote } else { ends_url(byte) })
        .unwrap_or(window.len());
    let pair = std::str::from_utf8(&window[..end]).ok()?;
    if let Some(percent) = memchr(b'%', &window[..end])
        && commands::takes_percent(text, at)
        && shape::is_secret(Strength::Password, Join::Certain, "", &pair[percent + 1..])
    {
        return Some((start + percent + 1, start + end));
    }
    let (user, password) = pair.split_once(':')?;
    if shape::is_template(user) || user.contains('$') {
        return None;
    }
    let secret = if password.is_empty() {
        // A token stands for the user, as some services have it.
        shape::is_secret(Strength::Secret, Join::Bare, "user", user) || shape::is_opaque(user.as_bytes(), 16)
    } else {
        user.bytes().all(|byte| TOKEN.has(byte) || byte == b'@')
            && (shape::is_secret(Strength::Password, Join::Prose, user, password)
                || (quoted
                    && !user.is_empty()
                    && shape::is_secret(Strength::Password, Join::Quoted, user, password)
                    && !password.contains('$')))
    };
    let is_number = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
    (secret && !is_number).then_some((start, start + end))
}

/// Returns the bot token whose `:AA` is at `at`: a number, then 35 characters.
pub(crate) fn telegram_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = DIGIT.run_back(text, at, 11);
    let end = URL64.run(text, at + 1, 36);
    let bounded = (8..=10).contains(&(at - start)) && end - (at + 1) == 35;
    (bounded && variety(&text[at + 1..end]) >= 12).then_some((start, end))
}

/// Returns the client secret of Azure around the `Q~` at `at`: three characters and a digit before it,
/// 31 to 34 after it.
pub(crate) fn azure_client_secret(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let sign = URL64.or(DOT).or(TOKEN);
    let digit = at.checked_sub(1)?;
    let start = digit.checked_sub(3)?;
    let shaped = DIGIT.has(text[digit]) && text[start..digit].iter().all(|&byte| sign.has(byte));
    let body = at + "Q~".len();
    let end = URL64.or(DOT).or(TILDE).run(text, body, 35);
    (shaped && (31..=34).contains(&(end - body)) && variety(&text[body..end]) >= 12).then_some((start, end))
}

/// Returns the key of Azure whose maker's signature is at `at`: such keys have fixed lengths, and the signature
/// near their end.
pub(crate) fn azure_signed_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    const LENGTHS: [usize; 6] = [44, 52, 56, 84, 88, 92];
    let start = BASE64.run_back(text, at, 80);
    let end = BASE64.run(text, at, 48);
    // `AccountKey=…`: the sign of the assignment is not part of the key.
    let start = text[start..at]
        .iter()
        .rposition(|&byte| byte == b'=')
        .map_or(start, |equals| start + equals + 1);
    (LENGTHS.contains(&(end - start)) && at - start >= 32 && variety(&text[start..end]) >= 20)
        .then_some((start, end))
}

/// Returns the key of Mailchimp whose `-us` is at `at`: 32 hexadecimal digits before it, a number after it.
pub(crate) fn mailchimp_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = HEX.run_back(text, at, 33);
    let number = at + "-us".len();
    let end = DIGIT.run(text, number, 3);
    let shaped = at - start == 32 && (1..=2).contains(&(end - number));
    (shaped && boundary_before(text, start) && variety(&text[start..at]) >= 7).then_some((start, end))
}

/// Returns the token of HCP Terraform that has `.atlasv1.` at `at`: 14 bytes before it, 60 or more after it.
pub(crate) fn terraform_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = ALNUM.run_back(text, at, 14);
    let body = at + ".atlasv1.".len();
    let end = URL64_PADDED.run(text, body, 81);
    let shaped = at - start == 14 && (60..=80).contains(&(end - body));
    (shaped && boundary_before(text, start) && variety(&text[body..end]) >= 12).then_some((start, end))
}

/// Returns the licence key of MaxMind that ends in the `_mmk` at `at`.
pub(crate) fn maxmind_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let noise = ALNUM.run_back(text, at, 29);
    let id = noise.checked_sub(1).filter(|joint| text[*joint] == b'_')?;
    let start = ALNUM.run_back(text, id, 6);
    let end = at + "_mmk".len();
    let shaped = at - noise == 29 && id - start == 6 && text.get(end).is_none_or(|next| !URL64.has(*next));
    (shaped && boundary_before(text, start) && variety(&text[noise..at]) >= 10).then_some((start, end))
}

/// Returns the run around `at` that can be one percent-encoded text.
pub(crate) fn encoded_run(text: &[u8], at: usize, limit: usize) -> Range<usize> {
    let inside = |byte: u8| byte.is_ascii_graphic() && !ends_url(byte);
    let back = text[at.saturating_sub(limit)..at]
        .iter()
        .rev()
        .take_while(|&&byte| inside(byte))
        .count();
    let ahead = text[at..text.len().min(at + limit)]
        .iter()
        .take_while(|&&byte| inside(byte))
        .count();
    at - back..at + ahead
}

/// Returns the run around `at` that can be one URL with escaped slashes.
pub(crate) fn escaped_run(text: &[u8], at: usize, limit: usize) -> Range<usize> {
    let inside = |place: usize| {
        let byte = text[place];
        byte.is_ascii_graphic()
            && (byte != b'\\' || text.get(place + 1) == Some(&b'/'))
            && (byte == b'\\' || !ends_url(byte))
    };
    let start = (at.saturating_sub(32)..at)
        .rev()
        .take_while(|&place| ALNUM.or(DASH).or(DOT).has(text[place]))
        .last()
        .unwrap_or(at);
    let end = (at..text.len().min(at + limit))
        .find(|&place| !inside(place))
        .unwrap_or(text.len().min(at + limit));
    start..end
}

/// Takes the escapes of slashes out; the second value says for each byte, and for the end, where it came from.
pub(crate) fn unescape_slashes(escaped: &str) -> (String, Vec<usize>) {
    let mut plain = String::with_capacity(escaped.len());
    let mut origins = Vec::with_capacity(escaped.len() + 1);
    for (at, char) in escaped.char_indices() {
        if char != '\\' {
            plain.push(char);
            origins.extend(std::iter::repeat_n(at, char.len_utf8()));
        }
    }
    origins.push(escaped.len());
    (plain, origins)
}

/// Decodes percent escapes once; the second value says for each byte, and for the end, where it came from.
/// None where the result is not UTF-8.
pub(crate) fn decode_percent(encoded: &str) -> Option<(String, Vec<usize>)> {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut origins = Vec::with_capacity(bytes.len() + 1);
    let mut at = 0;
    while at < bytes.len() {
        let digit = |place: usize| bytes.get(place).and_then(|&byte| char::from(byte).to_digit(16));
        origins.push(at);
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    origins.push(bytes.len());
    Some((String::from_utf8(decoded).ok()?, origins))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&[u8], usize) -> Option<(usize, usize)>;

    #[track_caller]
    fn check(reader: Reader, sign: &str, text: &str, expected: Option<&str>) {
        let at = text
            .to_ascii_lowercase()
            .find(&sign.to_ascii_lowercase())
            .unwrap();
        assert_eq!(
            reader(text.as_bytes(), at).map(|(start, end)| &text[start..end]),
            expected,
            "{text}"
        );
    }

    #[test]
    fn only_the_password_of_a_url_goes() {
        for (text, expected) in [
            ("postgres://etl:banan32@host:5432/dwh", Some("banan32")),
            ("x mongodb+srv://u:a@b@c.example/", Some("a@b")),
            ("mysql://u:p/a#b@host/db", Some("p/a#b")),
            (
                "https://aB3dE5fG7hJ9kL2mN4pQ6@git.example/x",
                Some("aB3dE5fG7hJ9kL2mN4pQ6"),
            ),
            ("https://user@host.example/path", None),
            // A container may have any name.
            (
                "abfss://ae4eea22-0942-49f4-8fdf-07fe751ab67d@lake.example/Files",
                None,
            ),
            ("abfss://u:banan32@lake.example/Files", Some("banan32")),
            ("https://host:8443/login?next=@x", None),
            ("https://host/a:b@c", None),
            ("postgres://u:${PASS}@host", None),
            ("postgres://u:{{ pass }}@host", None),
            ("postgres://user:password@host", None),
            ("postgres://u:[REDACTED:url-password:abc]@host", None),
            ("://u:p@h", None),
        ] {
            check(url_password, "://", text, expected);
        }
        check(
            oracle_password,
            "jdbc",
            "jdbc:oracle:thin:etl/tiger9@//h:1521/x",
            Some("tiger9"),
        );
        check(oracle_password, "jdbc", "jdbc:oracle:thin:@//h:1521/x", None);
    }

    #[test]
    fn headers_hold_credentials_only_where_they_decode_or_look_random() {
        check(
            basic_credentials,
            "basic ",
            "Authorization: Basic ZXRsOmtyYWxpazE=",
            Some("ZXRsOmtyYWxpazE="),
        );
        check(basic_credentials, "basic ", "Basic authentication is used", None);
        check(
            bearer_token,
            "bearer ",
            "Bearer 95b87612de945cd0303a8ee9f3492dc4",
            Some("95b87612de945cd0303a8ee9f3492dc4"),
        );
        check(bearer_token, "bearer ", "Bearer token: paste", None);
        check(bearer_token, "bearer ", "'Bearer ' + token", None);
        check(
            command_user,
            "-u ",
            "curl -u etl:Summer99 https://x",
            Some("etl:Summer99"),
        );
        check(command_user, "-u ", "curl -u \"$USER:$PASS\" x", None);
        check(
            command_user,
            "-u ",
            "curl -u   'etl:Summer99' x",
            Some("etl:Summer99"),
        );
        check(
            command_user,
            "-u ",
            "curl -u ':d2LkV78zLx!t' x",
            Some(":d2LkV78zLx!t"),
        );
        check(
            command_user,
            "-u ",
            "curl -u \"d2LkV78zLx!t:\" x",
            Some("d2LkV78zLx!t:"),
        );
        check(command_user, "-u ", "curl -u administrator: x", None);
        check(command_user, "-u ", "docker run -u 1000:1000 x", None);
        check(command_user, "-u ", "docker run -u :1000 x", None);
        check(command_user, "-u ", "sort -u file", None);
    }

    #[test]
    fn tokens_with_a_sign_inside() {
        let hex = "0123456789abcdef0123456789abcdef";
        check(
            mailchimp_key,
            "-us",
            &format!("k = '{hex}-us5'"),
            Some(&format!("{hex}-us5")),
        );
        check(mailchimp_key, "-us", &format!("{hex}0-us5"), None);
        check(mailchimp_key, "-us", "the-user", None);
        let key = [
            "6RtqHqPc66Y6DYbkydbrrFJTYnRoA7r40ts7LWS2SkINSFsRABxh",
            "JQQJ99BFACAAAAALGcqjAAASAZDO3eqU",
        ]
        .concat();
        check(
            azure_signed_key,
            "JQQJ99",
            &format!("AccountKey={key};"),
            Some(&key),
        );
        check(azure_signed_key, "JQQJ99", &format!("x{key}"), None);
        let bot = ["4839574813", "AAE4A6Rz0CSnIGzeu897OjQnjzsMEG2_uso"].join(":");
        check(telegram_token, ":AA", &format!("bot{bot}/send"), Some(&bot));
        let client = ["t028", "Q~-aLbmQuinnZtzbgtlEAYstnBWEmGPAoBm"].concat();
        check(azure_client_secret, "Q~", &format!("'{client}'"), Some(&client));
    }

    #[test]
    fn percent_escapes_are_decoded_with_their_origins() {
        let (text, origins) = decode_percent("a%3Db%zz").unwrap();
        assert_eq!(
            (text.as_str(), origins.as_slice()),
            ("a=b%zz", [0, 1, 4, 5, 6, 7, 8].as_slice())
        );
        assert_eq!(decode_percent("%ff"), None);
        assert_eq!(encoded_run(b"x a%3Db y", 3, 100), 2..7);
    }
}
