//! Values in sentences and notes: behind a verb, below their name, as the second of two.

use super::{BARE_MAX, GAP_MAX, bare, judge_at};
use crate::alphabet::LETTER;
use crate::keys::Strength;
use crate::scan::Hit;
use crate::shape::Join;
use std::ops::Range;

/// Judges the password of `credentials: user / password`.
pub(super) fn second_of_two(
    text: &str,
    strength: Strength,
    name: &str,
    first: &Range<usize>,
    behind_slash: bool,
) -> Option<Hit> {
    let bytes = text.as_bytes();
    let lower = name.to_ascii_lowercase();
    let of_both =
        strength == Strength::Password || lower.ends_with("creds") || lower.ends_with("credentials");
    let is_user = !first.is_empty() && LETTER.has(bytes[first.start]);
    // `login/password: etl/…`
    if strength == Strength::Password
        && behind_slash
        && is_user
        && let Some(slash) = bytes[first.clone()].iter().position(|&byte| byte == b'/')
    {
        return judge_at(
            text,
            strength,
            Join::Prose,
            name,
            first.start + slash + 1..first.end,
        );
    }
    if !of_both || !is_user || !bytes[first.end..].starts_with(b" / ") {
        return None;
    }
    judge_at(
        text,
        Strength::Password,
        Join::Prose,
        name,
        bare(text, first.end + 3, true),
    )
}

/// Judges a line that is one word, below a line that ends in `password:`.
pub(super) fn alone_on_next_line(text: &str, strength: Strength, name: &str, end: usize) -> Option<Hit> {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(end + 2 * GAP_MAX);
    let start = (end..limit).find(|&at| !bytes[at].is_ascii_whitespace())?;
    let stop = (start..bytes.len().min(start + BARE_MAX))
        .find(|&at| bytes[at].is_ascii_whitespace())
        .unwrap_or(bytes.len().min(start + BARE_MAX));
    let is_alone = matches!(bytes.get(stop), None | Some(b'\n' | b'\r')) && text.is_char_boundary(stop);
    let marks = |byte: &u8| matches!(byte, b'`' | b'"' | b'\'');
    let from = start + usize::from(marks(&bytes[start]));
    let to = stop - usize::from(stop > from && marks(&bytes[stop - 1]));
    let is_key = bytes[to - 1..to].contains(&b':');
    (is_alone && !is_key && from < to).then(|| judge_at(text, strength, Join::Loose, name, from..to))?
}

/// Returns the place behind the verb of a sentence, as in `password is …`, `heslo je …`.
pub(super) fn sentence_verb(text: &str, at: usize) -> Option<usize> {
    const VERBS: [&str; 18] = [
        "is ",
        "was ",
        "je ",
        "bylo ",
        "zní ",
        "bude ",
        "was: ",
        "is: ",
        "is now ",
        "should be ",
        "set to ",
        "was changed to ",
        "has been changed to ",
        "was reset to ",
        "has been reset to ",
        "bylo změněno na ",
        "nastaveno na ",
        "zůstává ",
    ];
    let rest = text.get(at..)?;
    // `heslo jsem změnil na …`, `changed the password to '…'`
    if let Some(after) = ["to '", "to \"", "to `", "na '", "na \""]
        .iter()
        .find(|to| rest.starts_with(**to))
    {
        return Some(at + after.len() - 1);
    }
    for verb in [
        "jsem změnil na ",
        "jsem změnila na ",
        "jsem nastavil na ",
        "jsem nastavila na ",
    ] {
        if rest.starts_with(verb) {
            return Some(at + verb.len());
        }
    }
    let verb = |verb: &&str| {
        rest.get(..verb.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(verb))
    };
    if let Some(verb) = VERBS
        .iter()
        .filter(|candidate| verb(candidate))
        .map(|verb| verb.len())
        .max()
    {
        return Some(at + verb);
    }
    // `password for user 'x' is 'y'`, `heslo pro ETL: …`, `token (prod): …`
    let joined = ["for ", "pro ", "to ", "k ", "of ", "("].iter().any(|word| {
        rest.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word))
    });
    if !joined {
        return None;
    }
    let bytes = rest.as_bytes();
    let line = &bytes[..bytes.len().min(64)];
    let line = &line[..line
        .iter()
        .position(|byte| matches!(byte, b'\n' | b',' | b';'))
        .unwrap_or(line.len())];
    let colon = line
        .windows(2)
        .position(|pair| pair == b": ")
        .map(|place| place + 2);
    let verb = VERBS[..6]
        .iter()
        .filter_map(|verb| {
            memchr::memmem::find(line, format!(" {verb}").as_bytes()).map(|place| place + 1 + verb.len())
        })
        .min();
    let equals = line
        .windows(3)
        .position(|triple| triple == b" = ")
        .map(|place| place + 3);
    [colon, verb, equals]
        .into_iter()
        .flatten()
        .min()
        .map(|place| at + place)
}
