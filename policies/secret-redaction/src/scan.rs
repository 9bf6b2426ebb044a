//! One pass over a text: distinctive starts, and the words in names, wake anchored readers.
//!
//! Every reader looks at a bounded window around its hit, so the pass is linear in the text. It does not know
//! where in a document the text stands.

use crate::alphabet::{Alphabet, BASE64, DOT, Eight, URL64, URL64_PADDED, WORD};
use crate::commands::{self, CALLS, Call};
use crate::formats::{self, Pattern, base64_bytes, decode_base64};
use crate::issued::{self, Which};
use crate::rules::{self, RuleIndex};
use crate::starts::{Start, Starts};
use crate::{keboola, keys, lines, logins, pairs, shape, transport, urls, vendors};
use std::ops::Range;

/// A piece of the text that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub range: Range<usize>,
    pub rule: RuleIndex,
}

/// How deep encoded texts are followed.
const DEPTH_MAX: u8 = 1;

/// Bytes that names are made of.
const NAME: Alphabet = URL64.or(DOT);

/// Length of the shortest text of such bytes in which something goes, in bytes: an encrypted web token without a payload.
const FORM_MIN: usize = 13;

/// Longest text that is decoded, in bytes.
const DECODE_MAX: usize = 64 * 1024;

/// What ciphers and markers begin with.
const PROTECTED: [&str; 2] = ["KBC::", "[REDACTED:"];

/// Longest part of a URL with escaped slashes that is read, in bytes.
const URL_MAX: usize = 4096;

type Reader = fn(&[u8], usize) -> Option<(usize, usize)>;

#[derive(Debug, Clone, Copy)]
enum Action {
    /// A marker or a cipher may begin here.
    Protect,
    Known {
        pattern: &'static Pattern,
        start: &'static str,
        rule: RuleIndex,
    },
    Read {
        reader: Reader,
        rule: RuleIndex,
    },
    Name,
    HashName,
    /// A call that takes a secret.
    Call(&'static Call),
    Percent,
    /// A URL whose slashes are escaped, as PHP writes JSON.
    Slashes,
}

/// What is looked for, and what it wakes.
#[derive(Debug)]
pub(crate) struct Scanner {
    starts: Starts,
    actions: Vec<Action>,
}

/// Which readers a text is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only known forms: names of members, names of columns.
    Forms,
    /// All, and `0` levels of decoding done so far.
    All(u8),
}

impl Scanner {
    pub(crate) fn new() -> Self {
        let (starts, actions): (Vec<Start<'_>>, Vec<Action>) = wakers().into_iter().unzip();
        Self {
            starts: Starts::new(&starts),
            actions,
        }
    }

    /// Returns what goes, by start, without overlaps.
    /// In a short name ([`is_short_name`]) nothing goes.
    pub(crate) fn scan(&self, text: &str, depth: Depth) -> Vec<Hit> {
        let bytes = text.as_bytes();
        let mut hits: Vec<Hit> = Vec::new();
        let mut protected: Vec<Range<usize>> = Vec::new();
        let mut protected_to = 0;
        let mut known = 0..0;
        let mut named_to = 0;
        let mut decoded_to = 0;
        for found in self.starts.find(bytes) {
            let at = found.start;
            let action = self.actions[found.pattern];
            // What is protected or known to go needs no second look.
            if at < protected_to || (known.contains(&at) && !matches!(action, Action::Protect)) {
                continue;
            }
            let before = hits.len();
            match action {
                Action::Protect => {
                    if let Some(end) = keboola::protected_end(text, at) {
                        protected.push(at..end);
                        protected_to = end;
                    }
                }
                Action::Known { pattern, start, rule } => {
                    if let Some((begin, end)) = pattern.find(bytes, at, start) {
                        hits.push(Hit {
                            range: begin..end,
                            rule,
                        });
                        if matches!(start, "AKIA" | "ASIA")
                            && depth != Depth::Forms
                            && let Some((begin, end)) = commands::aws_secret_beside(bytes, end)
                        {
                            hits.push(Hit {
                                range: begin..end,
                                rule: rules::KEYED_SECRET,
                            });
                        }
                    }
                }
                Action::Read { reader, rule } => {
                    if let Some((start, end)) = reader(bytes, at) {
                        hits.push(Hit {
                            range: start..end,
                            rule,
                        });
                    }
                }
                Action::Name if depth != Depth::Forms && at >= named_to => {
                    named_to = pairs::read(text, at..found.end, &mut hits);
                    continue;
                }
                Action::HashName if depth != Depth::Forms => {
                    hits.extend(pairs::read_hash(text, at));
                    continue;
                }
                Action::Call(call) if depth != Depth::Forms && is_whole(bytes, at) => {
                    hits.extend(pairs::read_call(text, found.end - 1, call));
                }
                Action::Percent if depth == Depth::All(0) && at >= decoded_to => {
                    let run = transport::encoded_run(bytes, at, DECODE_MAX);
                    decoded_to = run.end;
                    hits.extend(self.scan_percent(&text[run.clone()], run.start));
                }
                Action::Slashes if depth == Depth::All(0) && at >= decoded_to => {
                    let run = transport::escaped_run(bytes, at, URL_MAX);
                    decoded_to = run.end;
                    let (decoded, origins) = transport::unescape_slashes(&text[run.clone()]);
                    hits.extend(self.scan_decoded(&decoded, &origins, run.start));
                }
                Action::Name | Action::HashName | Action::Call(_) | Action::Percent | Action::Slashes => {}
            }
            if let Some(hit) = hits.get(before) {
                known = hit.range.clone();
            }
        }
        let which = match depth {
            Depth::Forms => Which::Storage,
            Depth::All(_) => Which::All,
        };
        // So it is with nearly all texts.
        if hits.is_empty() && protected.is_empty() && issued::find(bytes, which, false).next().is_none() {
            return hits;
        }
        with_issued(text, hits, &protected, which)
    }

    fn scan_percent(&self, encoded: &str, offset: usize) -> Vec<Hit> {
        match transport::decode_percent(encoded) {
            Some((decoded, origins)) => self.scan_decoded(&decoded, &origins, offset),
            None => Vec::new(),
        }
    }

    /// Returns what goes in a decoded text, by where it came from: `origins` says it for each byte and for the end.
    fn scan_decoded(&self, decoded: &str, origins: &[usize], offset: usize) -> Vec<Hit> {
        let mut hits = self.scan(decoded, Depth::All(DEPTH_MAX));
        for hit in &mut hits {
            hit.range = offset + origins[hit.range.start]..offset + origins[hit.range.end];
        }
        hits
    }

    /// Returns the rule for a value that is base64 as a whole and hides a secret.
    pub(crate) fn judge_encoded(&self, value: &str) -> Option<RuleIndex> {
        let bytes = value.as_bytes();
        if !(24..=DECODE_MAX).contains(&bytes.len()) || !BASE64.or(URL64_PADDED).all(bytes) {
            return None;
        }
        let is_readable = |byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
        // Images, ciphers and ids end here.
        if !base64_bytes(&bytes[..24]).all(|byte| byte.is_some_and(is_readable)) {
            return None;
        }
        let decoded = String::from_utf8(decode_base64(bytes)?).ok()?;
        let hides =
            !self.scan(&decoded, Depth::All(DEPTH_MAX)).is_empty() || hides_user_and_password(&decoded);
        hides.then_some(rules::ENCODED_SECRET)
    }
}

/// Returns where a value occurs in a text without being part of a longer word.
pub(crate) fn whole_occurrences<'a>(
    text: &'a str,
    value: &'a memchr::memmem::Finder<'_>,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let bytes = text.as_bytes();
    let length = value.needle().len();
    let is_bounded = move |range: &Range<usize>| {
        let cuts = |at: usize| at > 0 && at < bytes.len() && WORD.has(bytes[at - 1]) && WORD.has(bytes[at]);
        !cuts(range.start) && !cuts(range.end)
    };
    value
        .find_iter(bytes)
        .map(move |start| start..start + length)
        .filter(is_bounded)
}

/// Returns the ciphers and markers of a text, which stay as they are, in order.
pub(crate) fn protected(text: &str) -> Vec<Range<usize>> {
    let starts = PROTECTED
        .iter()
        .flat_map(|start| memchr::memmem::find_iter(text.as_bytes(), start));
    let mut found: Vec<_> = starts
        .filter_map(|at| Some(at..keboola::protected_end(text, at)?))
        .collect();
    found.sort_by_key(|part| part.start);
    found.dedup_by(|part, before| {
        let overlaps = part.start < before.end;
        if overlaps {
            before.end = before.end.max(part.end);
        }
        overlaps
    });
    found
}

/// Says whether a part of a text touches one of others, which are in order and do not overlap.
pub(crate) fn touches_one(part: &Range<usize>, others: &[Range<usize>]) -> bool {
    let next = others.partition_point(|other| other.end <= part.start);
    others.get(next).is_some_and(|other| other.start < part.end)
}

/// Says whether no word is cut by what begins at `at`.
fn is_whole(text: &[u8], at: usize) -> bool {
    at == 0 || !WORD.has(text[at]) || !WORD.has(text[at - 1])
}

/// Adds the tokens of unlisted issuers, and settles.
fn with_issued(text: &str, mut hits: Vec<Hit>, protected: &[Range<usize>], which: Which) -> Vec<Hit> {
    let bytes = text.as_bytes();
    hits.extend(issued(bytes, 0..bytes.len(), which));
    let hits = settle(text, hits, protected);
    if hits.is_empty() && protected.is_empty() {
        return hits;
    }
    // What is left beside others is looked at as it will be seen without them.
    let mut left = issued_between(bytes, &hits, protected, which);
    if left.is_empty() {
        return hits;
    }
    left.extend(hits);
    settle(text, left, protected)
}

/// Returns the tokens of unlisted issuers in a part of a text.
fn issued(text: &[u8], part: Range<usize>, which: Which) -> impl Iterator<Item = Hit> {
    let goes_on = part.end < text.len();
    issued::find(&text[part.clone()], which, goes_on).map(move |(range, rule)| Hit {
        range: part.start + range.start..part.start + range.end,
        rule,
    })
}

/// The same between what goes and what is protected.
fn issued_between(text: &[u8], hits: &[Hit], protected: &[Range<usize>], which: Which) -> Vec<Hit> {
    let mut taken: Vec<&Range<usize>> = hits.iter().map(|hit| &hit.range).chain(protected).collect();
    taken.sort_by_key(|range| range.start);
    let mut found = Vec::new();
    let mut from = 0;
    for range in taken {
        if from < range.start {
            found.extend(issued(text, from..range.start, which));
        }
        from = from.max(range.end);
    }
    found.extend(issued(text, from..text.len(), which));
    found
}

/// Says whether a text is a short name, in which nothing goes: a pair, a URL, a header or a flag has other bytes than names have, and
/// known forms are longer.
pub(crate) fn is_short_name(text: &[u8]) -> bool {
    // Two halves, which may overlap, have no loop that takes as many turns as the text has bytes.
    if text.len() >= FORM_MIN {
        false
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        Eight::new(*first).are_url64_or_dots() && Eight::new(*last).are_url64_or_dots()
    } else if let (Some([a, b, c, d]), Some([e, f, g, h])) = (text.first_chunk(), text.last_chunk()) {
        Eight::new([*a, *b, *c, *d, *e, *f, *g, *h]).are_url64_or_dots()
    } else {
        NAME.all(text)
    }
}

/// Returns all that is looked for, and what it wakes.
fn wakers() -> Vec<(Start<'static>, Action)> {
    let mut wakers: Vec<_> = PROTECTED
        .iter()
        .map(|start| (Start::exact(start), Action::Protect))
        .collect();
    for (place, format) in formats::all().enumerate() {
        let rule = rules::of_format(place);
        for pattern in format.patterns {
            for &start in pattern.starts {
                wakers.push((Start::exact(start), Action::Known { pattern, start, rule }));
            }
        }
    }
    for start in formats::BARE_KEYS {
        let reader = formats::bare_private_key;
        let rule = rules::PRIVATE_KEY;
        wakers.push((Start::exact(start), Action::Read { reader, rule }));
    }
    let mut add = |start: &'static str, action| wakers.push((Start::of_any_case(start), action));
    for &(start, reader, rule) in READERS {
        add(start, Action::Read { reader, rule });
    }
    for start in commands::ORACLE {
        let reader = commands::password_of_sqlplus;
        let rule = rules::PASSWORD;
        add(start, Action::Read { reader, rule });
    }
    for start in lines::BEFORE {
        let reader = lines::behind_setting;
        let rule = rules::PASSWORD;
        add(start, Action::Read { reader, rule });
    }
    for (starts, reader) in [
        (&logins::NAMES[..], logins::behind_name as Reader),
        (&logins::VERBS, logins::behind_verb),
    ] {
        let rule = rules::PASSWORD;
        for start in starts {
            add(start, Action::Read { reader, rule });
        }
    }
    for &keyword in keys::words::KEYWORDS {
        add(keyword, Action::Name);
    }
    for name in vendors::SHORT {
        let reader = vendors::beside_name;
        let rule = rules::KEYED_SECRET;
        add(name, Action::Read { reader, rule });
    }
    for quote in ["\"#", "'#"] {
        add(quote, Action::HashName);
    }
    for call in CALLS {
        add(call.start, Action::Call(call));
    }
    for escape in ["%3d", "%22", "%3a%2f%2f"] {
        add(escape, Action::Percent);
    }
    add(":\\/\\/", Action::Slashes);
    wakers
}

/// Returns all that is looked for.
#[cfg(test)]
pub(crate) fn starts() -> Vec<Start<'static>> {
    wakers().into_iter().map(|(start, _)| start).collect()
}

/// Says whether a decoded text is `user:password`.
fn hides_user_and_password(decoded: &str) -> bool {
    let Some((user, password)) = decoded.split_once(':') else {
        return false;
    };
    !user.is_empty()
        && !decoded.contains(char::is_whitespace)
        && user
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@' | b'+'))
        && shape::is_secret(keys::Strength::Password, shape::Join::Prose, user, password)
}

const READERS: &[(&str, Reader, RuleIndex)] = &[
    ("-----BEGIN ", formats::private_key_block, rules::PRIVATE_KEY),
    (
        "Private-Lines: ",
        formats::putty_private_lines,
        rules::PRIVATE_KEY,
    ),
    (
        "LS0tLS1CRUdJT",
        formats::base64_private_key,
        rules::ENCODED_SECRET,
    ),
    ("eyJ0eXBlIjog", formats::base64_private_key, rules::ENCODED_SECRET),
    ("ewogICJ0eXBl", formats::base64_private_key, rules::ENCODED_SECRET),
    (
        "eyJhdXRocyI6",
        formats::base64_registry_login,
        rules::ENCODED_SECRET,
    ),
    ("eyJ", formats::json_web_token, rules::WEB_TOKEN),
    ("ZXlK", formats::base64_web_token, rules::ENCODED_SECRET),
    ("://", transport::url_password, rules::URL_PASSWORD),
    (
        "jdbc:oracle:thin:",
        transport::oracle_password,
        rules::URL_PASSWORD,
    ),
    ("basic ", transport::basic_credentials, rules::BASIC_CREDENTIALS),
    ("bearer ", transport::bearer_token, rules::BEARER_TOKEN),
    ("-u ", transport::command_user, rules::BASIC_CREDENTIALS),
    ("--user ", transport::command_user, rules::BASIC_CREDENTIALS),
    ("--proxy-user ", transport::command_user, rules::BASIC_CREDENTIALS),
    (" -p", commands::flag_password, rules::PASSWORD),
    (" -a ", commands::flag_password, rules::PASSWORD),
    (" -w ", commands::flag_password, rules::PASSWORD),
    (" -storepass ", commands::flag_password, rules::PASSWORD),
    (" -srcstorepass ", commands::flag_password, rules::PASSWORD),
    (" -deststorepass ", commands::flag_password, rules::PASSWORD),
    (" -keypass ", commands::flag_password, rules::PASSWORD),
    (" -k ", commands::flag_password, rules::PASSWORD),
    ("sig=", urls::signature, rules::SIGNATURE),
    ("X-Amz-Signature=", urls::signature, rules::SIGNATURE),
    ("X-Goog-Signature=", urls::signature, rules::SIGNATURE),
    ("signature=", urls::signature, rules::SIGNATURE),
    ("hmac=", urls::signature, rules::SIGNATURE),
    ("code=", urls::telling_parameter, rules::SIGNATURE),
    ("hash=", urls::telling_parameter, rules::SIGNATURE),
    ("sid=", urls::telling_parameter, rules::SIGNATURE),
    ("session=", urls::telling_parameter, rules::SIGNATURE),
    ("ticket=", urls::telling_parameter, rules::SIGNATURE),
    ("verify=", urls::telling_parameter, rules::SIGNATURE),
    ("security=", urls::telling_parameter, rules::SIGNATURE),
    ("appid=", urls::telling_parameter, rules::SIGNATURE),
    ("license=", urls::telling_parameter, rules::SIGNATURE),
    ("?k=", urls::mute_parameter, rules::SIGNATURE),
    ("&k=", urls::mute_parameter, rules::SIGNATURE),
    ("?t=", urls::mute_parameter, rules::SIGNATURE),
    ("&t=", urls::mute_parameter, rules::SIGNATURE),
    ("?s=", urls::mute_parameter, rules::SIGNATURE),
    ("&s=", urls::mute_parameter, rules::SIGNATURE),
    ("?p=", urls::mute_parameter, rules::SIGNATURE),
    ("&p=", urls::mute_parameter, rules::SIGNATURE),
    ("/token/", urls::behind_telling_part, rules::SIGNATURE),
    ("/apikey/", urls::behind_telling_part, rules::SIGNATURE),
    ("/key/", urls::behind_telling_part, rules::SIGNATURE),
    ("/secret/", urls::behind_telling_part, rules::SIGNATURE),
    ("/auth/", urls::behind_telling_part, rules::SIGNATURE),
    ("/invite/", urls::behind_telling_part, rules::SIGNATURE),
    ("/reset/", urls::behind_telling_part, rules::SIGNATURE),
    ("/magic/", urls::behind_telling_part, rules::SIGNATURE),
    ("/session/", urls::behind_telling_part, rules::SIGNATURE),
    ("/feed/", urls::behind_telling_part, rules::SIGNATURE),
    ("/feeds/", urls::behind_telling_part, rules::SIGNATURE),
    ("/export/", urls::behind_telling_part, rules::SIGNATURE),
    ("/ical/", urls::behind_telling_part, rules::SIGNATURE),
    ("/private-", urls::behind_telling_part, rules::SIGNATURE),
    ("/input/", urls::behind_telling_part, rules::SIGNATURE),
    ("/last/", urls::behind_telling_part, rules::SIGNATURE),
    ("/periods/", urls::behind_telling_part, rules::SIGNATURE),
    ("/hook/", urls::behind_hook, rules::SIGNATURE),
    ("/hooks/", urls::behind_hook, rules::SIGNATURE),
    ("/webhook/", urls::behind_hook, rules::SIGNATURE),
    ("/webhooks/", urls::behind_hook, rules::SIGNATURE),
    ("/catch/", urls::behind_hook, rules::SIGNATURE),
    ("/services/", urls::behind_hook, rules::SIGNATURE),
    ("/integration/", urls::behind_hook, rules::SIGNATURE),
    ("/stream/", urls::of_stream, rules::SIGNATURE),
    ("/import/", urls::of_stream, rules::SIGNATURE),
    ("/v1/", urls::behind_version, rules::SIGNATURE),
    ("/v2/", urls::behind_version, rules::SIGNATURE),
    ("/v3/", urls::behind_version, rules::SIGNATURE),
    ("/v4/", urls::behind_version, rules::SIGNATURE),
    ("/v6/", urls::behind_version, rules::SIGNATURE),
    ("/api/", urls::behind_version, rules::SIGNATURE),
    ("| sudo -s", lines::echoed, rules::PASSWORD),
    ("| docker login", lines::echoed, rules::PASSWORD),
    ("| podman login", lines::echoed, rules::PASSWORD),
    ("| helm registry login", lines::echoed, rules::PASSWORD),
    (" -u ", lines::behind_user_and_comma, rules::PASSWORD),
    (".logon ", lines::of_logon, rules::PASSWORD),
    (" using ", lines::of_db2, rules::PASSWORD),
    ("operator unseal ", lines::unsealing, rules::KEYED_SECRET),
    ("b64encode(b", lines::encoded, rules::PASSWORD),
    (":5432:", commands::password_of_pgpass, rules::PASSWORD),
    ("sha1(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("sha2(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("sha256(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("sha512(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("md5(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("hmac(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("hashbytes(", commands::salt_of_digest, rules::KEYED_SECRET),
    ("/user:", commands::password_of_net_use, rules::PASSWORD),
    (
        "convertto-securestring ",
        commands::secure_string,
        rules::PASSWORD,
    ),
    (":AA", transport::telegram_token, rules::KEYED_SECRET),
    ("-us", transport::mailchimp_key, rules::KEYED_SECRET),
    ("JQQJ99", transport::azure_signed_key, rules::KEYED_SECRET),
    ("AZDO", transport::azure_signed_key, rules::KEYED_SECRET),
    ("+ASt", transport::azure_signed_key, rules::KEYED_SECRET),
    ("+AMC", transport::azure_signed_key, rules::KEYED_SECRET),
    ("+ABa", transport::azure_signed_key, rules::KEYED_SECRET),
    ("+ARm", transport::azure_signed_key, rules::KEYED_SECRET),
    ("AzCa", transport::azure_signed_key, rules::KEYED_SECRET),
    ("AzSe", transport::azure_signed_key, rules::KEYED_SECRET),
    ("AzFu", transport::azure_signed_key, rules::KEYED_SECRET),
    ("ACDb", transport::azure_signed_key, rules::KEYED_SECRET),
    ("Q~", transport::azure_client_secret, rules::KEYED_SECRET),
    (".atlasv1.", transport::terraform_token, rules::KEYED_SECRET),
    ("_mmk", transport::maxmind_key, rules::KEYED_SECRET),
];

/// Drops what touches a protected piece, sorts, and joins what overlaps.
fn settle(text: &str, mut hits: Vec<Hit>, protected: &[Range<usize>]) -> Vec<Hit> {
    if hits.is_empty() {
        return hits;
    }
    hits.retain(|hit| !hit.range.is_empty() && !touches_one(&hit.range, protected));
    for hit in &mut hits {
        // Readers stop at ASCII bytes or at their window; only the latter can fall inside a character.
        while !text.is_char_boundary(hit.range.end) {
            hit.range.end += 1;
        }
    }
    merge(hits)
}

/// Sorts pieces by their start, and joins those that overlap under the rule of the first.
pub(crate) fn merge(mut hits: Vec<Hit>) -> Vec<Hit> {
    if hits.len() < 2 {
        return hits;
    }
    hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end)));
    let mut merged: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.range.start < last.range.end => {
                last.range.end = last.range.end.max(hit.range.end);
            }
            _ => merged.push(hit),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_in_a_short_name() {
        let scanner = Scanner::new();
        let name: Vec<u8> = (0..=u8::MAX).filter(|byte| NAME.has(*byte)).collect();
        let starts: Vec<&str> = starts()
            .into_iter()
            .map(|start| &start.text[..NAME.run(start.text.as_bytes(), 0, FORM_MIN - 1)])
            .collect();
        // Numbers that look random and are the same each time.
        let mut state = 5_u64;
        let mut number = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        for start in starts.iter().cycle().take(starts.len() * 200) {
            let mut text: Vec<u8> = Vec::new();
            for _ in 0..number(6) {
                text.push(name[number(name.len())]);
            }
            text.extend_from_slice(start.as_bytes());
            while number(8) != 0 {
                match number(4) {
                    0 => text.extend_from_slice(starts[number(starts.len())].as_bytes()),
                    _ => text.push(name[number(name.len())]),
                }
            }
            text.truncate(number(FORM_MIN));
            assert!(is_short_name(&text));
            let text = String::from_utf8(text).unwrap();
            for depth in [Depth::Forms, Depth::All(0), Depth::All(DEPTH_MAX)] {
                assert_eq!(scanner.scan(&text, depth), [], "{text}");
            }
        }
        let shortest = "eyJlbmMiOjF9.";
        assert_eq!(
            (shortest.len(), scanner.scan(shortest, Depth::Forms).len()),
            (FORM_MIN, 1)
        );
    }

    #[test]
    fn a_byte_that_names_do_not_have_is_seen_wherever_it_is() {
        for length in 0..FORM_MIN {
            assert!(is_short_name(&vec![b'a'; length]));
            for (place, byte) in (0..length).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut text = vec![b'a'; length];
                text[place] = byte;
                assert_eq!(
                    is_short_name(&text),
                    NAME.has(byte),
                    "{byte:#x} at {place} of {length}"
                );
            }
        }
        assert!(!is_short_name(&[b'a'; FORM_MIN]));
    }

    #[test]
    fn known_forms_are_no_short_names() {
        let least = |pattern: &Pattern| {
            let parts = pattern.parts.iter().map(|part| match part {
                formats::Part::Text(text) => text.len(),
                formats::Part::Run { min, .. } => *min,
            });
            let start = pattern.starts.iter().map(|start| start.len()).min();
            start.unwrap() + parts.sum::<usize>()
        };
        let patterns = formats::all().flat_map(|format| format.patterns);
        assert!(patterns.map(least).min() >= Some(FORM_MIN));
    }

    #[test]
    fn what_goes_further_on_hides_nothing_before_it() {
        let text = "%3D://etl:banan32@a.example/x://dwh:krtek77@b.example/";
        let hits = Scanner::new().scan(text, Depth::All(0));
        let gone: Vec<&str> = hits.iter().map(|hit| &text[hit.range.clone()]).collect();
        assert_eq!(gone, ["banan32", "krtek77"]);
    }

    #[test]
    fn tokens_beside_what_is_protected_are_found() {
        let token = "acme_live_aB3dE5fG7hJ9kL2mN4pQ";
        let cipher = "KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0";
        let scanner = Scanner::new();
        for text in [
            format!("{cipher}, {token}"),
            format!("{token}.{cipher}"),
            format!("[REDACTED:password:k7wq2a]{token}"),
            format!("{token} {token}"),
        ] {
            let hits = scanner.scan(&text, Depth::All(0));
            assert!(!hits.is_empty(), "{text}");
            assert!(hits.iter().all(|hit| &text[hit.range.clone()] == token), "{text}");
        }
    }

    #[test]
    fn overlapping_hits_become_one() {
        let hit = |range, rule| Hit { range, rule };
        let hits = vec![
            hit(5..9, rules::PASSWORD),
            hit(2..6, rules::WEB_TOKEN),
            hit(20..22, rules::PASSWORD),
            hit(12..14, rules::PASSWORD),
        ];
        let settled = settle(&"x".repeat(30), hits, &[Range { start: 19, end: 21 }]);
        assert_eq!(
            settled,
            [hit(2..9, rules::WEB_TOKEN), hit(12..14, rules::PASSWORD)]
        );
    }
}
