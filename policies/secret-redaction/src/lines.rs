//! Passwords at known places of lines: before the pipe to a program that asks for one, behind a user and a comma, behind a word of a
//! statement.

use crate::alphabet::{BASE64, DASH, DOT, WORD};
use crate::keys::Strength;
use crate::shape::{self, Join};

/// How much of a line before its sign is looked at, in bytes.
const LINE_MAX: usize = 200;
/// Longest password, in bytes.
const VALUE_MAX: usize = 128;

/// Says whether a value is a password where hardly anything else can stand.
fn is_password(value: &str) -> bool {
    !value.starts_with(['$', '-', '<', '%', '{', '&'])
        && shape::is_secret(Strength::Password, Join::Certain, "", value)
}

/// Returns the word or the literal at `at`, whose quotes may be escaped; `ends` is what else ends a word.
fn word(text: &[u8], at: usize, ends: &[u8]) -> Option<(usize, usize)> {
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let escape = usize::from(text.get(at) == Some(&b'\\') && text.get(at + 1).is_some_and(is_quote));
    let quote = text.get(at + escape).copied().filter(is_quote);
    let start = at + if quote.is_some() { escape + 1 } else { 0 };
    let window = &text[start.min(text.len())..text.len().min(start + VALUE_MAX)];
    let is_end = |byte: &u8| match quote {
        Some(quote) => *byte == quote,
        None => {
            byte.is_ascii_whitespace()
                || is_quote(byte)
                || matches!(byte, b'`' | b'\\')
                || ends.contains(byte)
        }
    };
    let mut length = window.iter().position(is_end).unwrap_or(window.len());
    if escape > 0 && window[..length].ends_with(b"\\") {
        length -= 1;
    }
    Some((start, start + length)).filter(|_| length > 0)
}

fn judged(text: &[u8], (start, end): (usize, usize)) -> Option<(usize, usize)> {
    let value = std::str::from_utf8(&text[start..end]).ok()?;
    is_password(value).then_some((start, end))
}

/// Returns what `echo` says to the program behind the pipe at `at`: `echo … | sudo -S`.
pub(crate) fn echoed(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = &text[at.saturating_sub(LINE_MAX)..at];
    let echo = memchr::memmem::rfind(line, b"echo ")?;
    let mut start = at - line.len() + echo + "echo ".len();
    for flag in ["-n ", "-e "] {
        start += if text[start..].starts_with(flag.as_bytes()) {
            flag.len()
        } else {
            0
        };
    }
    let found = word(text, start, b"|")?;
    let behind = text.get(found.1..at)?;
    let is_all = behind
        .iter()
        .all(|byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    is_all.then(|| judged(text, found))?
}

/// What stands before a password in files of settings.
pub(crate) const BEFORE: [&str; 2] = ["requirepass ", "masterauth "];

/// Returns the password behind one of [`BEFORE`].
pub(crate) fn behind_setting(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let is_first = at == 0 || matches!(text[at - 1], b'\n' | b' ' | b'\t');
    let is_here = |setting: &&&str| {
        let part = text.get(at..at + setting.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(setting.as_bytes()))
    };
    let setting = BEFORE.iter().find(is_here).filter(|_| is_first)?;
    let found = word(text, at + setting.len(), b"")?;
    let is_alone = matches!(text.get(found.1), None | Some(b'\n' | b'\r' | b'"' | b'\\'));
    is_alone.then(|| judged(text, found))?
}

/// Returns the password of `user,password` behind `-u ` of `lftp`.
pub(crate) fn behind_user_and_comma(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = &text[at.saturating_sub(LINE_MAX)..at];
    let line = &line[line
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1)..];
    let is_lftp = memchr::memmem::find(line, b"lftp").is_some() || line.ends_with(b"open");
    let user = at + " -u ".len();
    let comma = WORD.or(DASH).or(DOT).run(text, user, 64);
    (is_lftp && comma > user && text.get(comma) == Some(&b','))
        .then(|| judged(text, word(text, comma + 1, b";")?))?
}

/// Returns the password of Teradata's `.LOGON host/user,password`.
pub(crate) fn of_logon(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let host = at + ".logon ".len();
    let of_names = WORD.or(DASH).or(DOT);
    let mut comma = of_names.run(text, host, 64);
    if text.get(comma) == Some(&b'/') {
        comma = of_names.run(text, comma + 1, 64);
    }
    (text.get(comma) == Some(&b',')).then(|| judged(text, word(text, comma + 1, b";")?))?
}

/// Returns the password of DB2's `CONNECT TO … USER … USING password`.
pub(crate) fn of_db2(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let user = WORD.run_back(text, at, 64);
    let before = &text[user.saturating_sub(" user ".len())..user];
    let is_user = user < at && before.eq_ignore_ascii_case(b" user ");
    let statement = text[user.saturating_sub(LINE_MAX)..user].to_ascii_lowercase();
    let connects = || memchr::memmem::find(&statement, b"connect to ").is_some();
    (is_user && connects()).then(|| judged(text, word(text, at + " using ".len(), b";")?))?
}

/// Returns the key that unseals a vault.
pub(crate) fn unsealing(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at + "operator unseal ".len();
    let end = BASE64.run(text, start, VALUE_MAX);
    shape::is_opaque(&text[start.min(end)..end], 24).then_some((start, end))
}

/// Returns the password of `b64encode(b"user:password")`.
pub(crate) fn encoded(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let open = at + "b64encode(b".len();
    let (start, end) = word(text, open, b"")?;
    let literal = &text[start..end];
    let colon = memchr::memchr(b':', literal)?;
    let is_user = colon > 0 && literal[..colon].iter().all(u8::is_ascii_graphic);
    let password = (start + colon + 1, start + literal.len());
    (is_user && start > open && password.0 < password.1).then(|| judged(text, password))?
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&[u8], usize) -> Option<(usize, usize)>;

    #[track_caller]
    fn check(reader: Reader, start: &str, text: &str, expected: Option<&str>) {
        let at = text.to_ascii_lowercase().find(start).unwrap();
        let found = reader(text.as_bytes(), at);
        assert_eq!(found.map(|(start, end)| &text[start..end]), expected, "{text}");
    }

    #[test]
    fn what_echo_says_to_a_program_that_asks() {
        let check = |text, expected| check(echoed, "| ", text, expected);
        check("echo Koren77 | sudo -S ls", Some("Koren77"));
        check("x && echo -n 'Koren 77' | docker login -u etl", Some("Koren 77"));
        check("echo \\\"Koren77\\\" | sudo -S ls", Some("Koren77"));
        check("echo $PASSWORD | sudo -S ls", None);
        check("echo it is done; cat a | sudo -S ls", None);
        check("cat a | sudo -S ls", None);
    }

    #[test]
    fn the_password_behind_a_user() {
        check(
            behind_user_and_comma,
            " -u ",
            "lftp -u etl,Koren77 sftp://h",
            Some("Koren77"),
        );
        check(
            behind_user_and_comma,
            " -u ",
            "lftp -e \"open -u etl,Koren77 h; bye\"",
            Some("Koren77"),
        );
        check(behind_user_and_comma, " -u ", "sort -u a,b", None);
        check(behind_user_and_comma, " -u ", "lftp -u etl,$PW h", None);
        check(of_logon, ".logon ", ".LOGON tdprod/etl,Koren77;", Some("Koren77"));
        check(of_logon, ".logon ", "see .logon files, please", None);
        check(
            of_db2,
            " using ",
            "CONNECT TO DB USER etl USING koren77 \n",
            Some("koren77"),
        );
        check(of_db2, " using ", "FROM a JOIN b USING (id)", None);
        check(of_db2, " using ", "we connect to it as the user is using b", None);
    }

    #[test]
    fn keys_that_unseal_and_logins_that_are_encoded() {
        let key = "98m+o2ylRhVbOi+3o5ub6PbP343ocFUVORgSYeypMDjh";
        check(
            unsealing,
            "operator unseal ",
            &format!("vault operator unseal {key}"),
            Some(key),
        );
        check(
            unsealing,
            "operator unseal ",
            "vault operator unseal -reset",
            None,
        );
        check(
            encoded,
            "b64encode(b",
            "b64encode(b'etl:Koren77')",
            Some("Koren77"),
        );
        check(
            encoded,
            "b64encode(b",
            "b64encode(b\\\"etl:Koren77\\\")",
            Some("Koren77"),
        );
        check(encoded, "b64encode(b", "b64encode(b'etl')", None);
        check(encoded, "b64encode(b", "b64encode(body)", None);
    }
}
