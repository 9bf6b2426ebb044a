//! Long random tokens that stand beside the name of a service and nothing else: `ipstack: 9f1c…`, `{"taxjar": "4be1…"}`.
//!
//! A token without a form of its own could be an id as well. Beside the name of a service, however, people write down what they
//! were given to use it with. What says that it is something else, such as `mailchimp_list_id`, comes first.

mod names;
mod short;

pub(crate) use short::{NAMES as SHORT, beside_name};

use crate::alphabet::{ALNUM, DIGIT, LOWER_HEX, UPPER, URL64};
use crate::engine::Document;
use crate::keys::Strength;
use crate::{ids, shape, structure};
use std::ops::Range;

/// Lengths of tokens, in bytes. Hexadecimal ones have lengths of keys: those of 20 and 24 digits are ids of databases.
const LENGTHS: Range<usize> = 20..129;

/// Length of the shortest token that only the name of its own service tells of, in bytes.
const SHORTEST: usize = 12;

/// So far before a token the name of its service is looked for, in bytes, and in so many words.
const REACH: usize = 48;
const WORDS_BETWEEN_MAX: usize = 4;

/// Longest row of a table, up to a cell that is looked at, in bytes.
const ROW_MAX: usize = 2048;

/// Longest name of a service, in bytes; with room for what joins its words.
const NAME_MAX: usize = 24;

static SERVICES: List = List::new(&names::SERVICES);
static WORDS: List = List::new(&names::WORDS);
static OTHERS: List = List::new(&names::OTHERS);

/// Judges the value of a member by its name, which may be that of a service.
pub(crate) fn judge(name: &str, value: &str) -> Option<(Strength, Range<usize>)> {
    let may_be = (SHORTEST..LENGTHS.end).contains(&value.len()) && is_service(name.as_bytes());
    may_be.then(|| judge_of_service(name, value)).flatten()
}

/// The same where the name is that of a service.
pub(crate) fn judge_of_service(name: &str, value: &str) -> Option<(Strength, Range<usize>)> {
    let token = value.as_bytes();
    let digits = value.trim_end_matches('=').as_bytes();
    let is_of_service =
        (LENGTHS.contains(&token.len()) && URL64.all(digits) && (is_token(token) || shape::is_uuid(token)))
            || short::is_of(name.as_bytes(), token);
    is_of_service.then_some((Strength::Weak, 0..token.len()))
}

/// Judges a cell by the one before it in its row, unless its column has another name.
pub(crate) fn judge_cell(
    document: &Document<'_>,
    place: usize,
    column: &str,
) -> Option<(Strength, Range<usize>)> {
    let leaf = &document.leaves[place];
    let before = document.leaves.get(place.checked_sub(1)?)?;
    let judged = judge(before.value, leaf.value)?;
    let mut words = column.as_bytes().split(|byte| !ALNUM.has(*byte));
    let is_beside = structure::last(before.pointer).0 == structure::last(leaf.pointer).0;
    (is_beside && !words.any(|word| OTHERS.has(word))).then_some(judged)
}

/// Says whether a run of bytes that tokens are made of stands behind the name of a service, in the same line.
pub(crate) fn is_behind_service(text: &[u8], run: &Range<usize>) -> bool {
    let token = &text[run.clone()];
    let next = text.get(run.end);
    let is_apart = next.is_none_or(|next| !matches!(next, b'/' | b'.' | b'@' | b'=' | b'+'));
    LENGTHS.contains(&token.len())
        && is_apart
        && match before(text, run.start) {
            None => false,
            Some(Before::Mention) => is_token(token),
            Some(Before::Name) => is_token(token) || shape::is_uuid(token),
        }
        && !is_of_other_column(text, run.start)
}

/// Says whether what begins at `start` is a cell behind a comma whose column's name says that it is something else: the first
/// line of the text has the names.
fn is_of_other_column(text: &[u8], start: usize) -> bool {
    let open = start - usize::from(text[..start].ends_with(b"\""));
    if !text[..open].ends_with(b",") {
        return false;
    }
    let reach = open.saturating_sub(ROW_MAX);
    let Some(row) = text[reach..open].iter().rposition(|byte| *byte == b'\n') else {
        return false;
    };
    let column = memchr::memchr_iter(b',', &text[reach + row..open]).count();
    let header = &text[..text.len().min(ROW_MAX)];
    let header = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = header.split(|byte| *byte == b',').nth(column).unwrap_or_default();
    name.split(|byte| !ALNUM.has(*byte)).any(|word| OTHERS.has(word))
}

/// How a service stands before a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// As its name: `ipstack = …`, `ipstack: …`.
    Name,
    /// Somewhere, with nothing between that tells of something else.
    Mention,
}

fn before(text: &[u8], start: usize) -> Option<Before> {
    let reach = start.saturating_sub(REACH);
    let mut end = start;
    for count in 0..WORDS_BETWEEN_MAX {
        let word_end = reach + text[reach..end].iter().rposition(|byte| ALNUM.has(*byte))? + 1;
        let word_start = ALNUM.run_back(text, word_end, NAME_MAX + 1);
        let (word, gap) = (&text[word_start..word_end], &text[word_end..end]);
        let has = |signs: &[u8]| gap.iter().any(|byte| signs.contains(byte));
        // A part of a path or an address is named by what is before it.
        if (count == 0 && has(b"/@.+")) || has(b"\n") || word_start < reach {
            return None;
        }
        let is_service = SERVICES.has(word);
        // What is assigned is what its own name says.
        if count == 0 && has(b"=:") {
            let is_whole = !text[..word_start].ends_with(b"_") && !text[..word_start].ends_with(b"-");
            return (is_service || (is_whole && WORDS.has(word))).then_some(if is_whole {
                Before::Name
            } else {
                Before::Mention
            });
        }
        if is_service {
            // `xendit '…'`
            let is_next = count == 0 && gap.len() <= 2 && gap.ends_with(b"'");
            return Some(if is_next { Before::Name } else { Before::Mention });
        }
        if OTHERS.has(word) {
            return None;
        }
        end = word_start;
    }
    None
}

/// Says whether it is as random as tokens are.
fn is_token(bytes: &[u8]) -> bool {
    if LOWER_HEX.all(bytes) || UPPER.or(DIGIT).all(bytes) && shape::is_hex_or_uuid(bytes) {
        return shape::is_hex_key(bytes);
    }
    let digits = bytes.iter().filter(|byte| DIGIT.has(**byte)).count();
    digits >= 1
        && !ids::is_of_object(bytes)
        && !shape::is_hex_or_uuid(bytes)
        && (digits >= 4 || !shape::has_words(bytes))
        && shape::is_opaque(bytes, LENGTHS.start)
}

/// Says whether it is the name of a service.
pub(crate) fn is_service(name: &[u8]) -> bool {
    SERVICES.has(name) || WORDS.has(name)
}

/// Names in order, and marks by which nearly all others are told without a search.
#[derive(Debug)]
struct List {
    names: &'static [&'static str],
    marks: [u64; MARKS / 64],
}

const MARKS: usize = 4096;

/// The mark of a name in lower case, of at least two bytes.
const fn mark(name: &[u8]) -> usize {
    let [first, second, last] = [name[0], name[1], name[name.len() - 1]];
    ((first as usize * 31 + second as usize) * 31 + last as usize * 5 + name.len()) % MARKS
}

impl List {
    const fn new(names: &'static [&'static str]) -> Self {
        let mut marks = [0; MARKS / 64];
        let mut at = 0;
        while at < names.len() {
            let mark = mark(names[at].as_bytes());
            marks[mark / 64] |= 1 << (mark % 64);
            at += 1;
        }
        Self { names, marks }
    }

    /// Says whether it has a name, whatever the name's case and whatever joins its words.
    fn has(&self, name: &[u8]) -> bool {
        let mut letters = [0; NAME_MAX];
        let mut length = 0;
        if !(2..=NAME_MAX).contains(&name.len()) {
            return false;
        }
        for byte in name.iter().filter(|byte| ALNUM.has(**byte)) {
            letters[length] = byte.to_ascii_lowercase();
            length += 1;
        }
        let name = &letters[..length];
        let is_marked = || {
            let mark = mark(name);
            self.marks[mark / 64] & (1 << (mark % 64)) != 0
        };
        length >= 2
            && is_marked()
            && self
                .names
                .binary_search_by(|other| other.as_bytes().cmp(name))
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX_32: &str = "0f3a9c71d25e84b60f3a9c71d25e84b6";
    const NOISE: &str = "aB3dE5fG7hJ9kL2mN4pQ6rS8";
    const UUID: &str = "0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6";

    #[test]
    fn lists_are_in_order_and_have_their_names() {
        for list in [&SERVICES, &WORDS, &OTHERS] {
            assert!(list.names.is_sorted_by(|a, b| a < b));
            // What `names` takes for granted.
            assert!(!list.names.iter().any(|name| DIGIT.all(name.as_bytes())));
            for name in list.names {
                assert!(
                    list.has(name.as_bytes()) && list.has(name.to_uppercase().as_bytes()),
                    "{name}"
                );
                assert!(!list.has(format!("{name}q").as_bytes()), "{name}q");
            }
        }
    }

    #[test]
    fn a_member_is_named_by_its_service() {
        for (name, value) in [
            ("ipstack", HEX_32),
            ("IpStack", NOISE),
            ("keen.io", UUID),
            ("airtable", NOISE),
            ("linear", UUID),
            ("mite", &HEX_32[..16]),
            ("stytch", "aB3dE5fG7hJ9kL2mN4pQ6rS8="),
        ] {
            assert!(judge(name, value).is_some(), "{name}");
        }
        for (name, value) in [
            ("ipstack", "customer_orders_by_region_2024"),
            ("ipstack", "0f3a9c71d25e"),
            ("ipstack", "0f3a9c71d25e84b60f3a9c71"),
            ("ipstack", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            ("ipstack", &HEX_32[..16]),
            ("stripe", "ch_1NaB3dE5fG7hJ9kL2mN4pQ6r"),
            ("ipstack_list", HEX_32),
            ("orders", HEX_32),
            ("", NOISE),
        ] {
            assert!(judge(name, value).is_none(), "{name} {value}");
        }
    }

    #[track_caller]
    fn behind(text: &str) -> bool {
        let start = text.find('<').expect("a token");
        let end = text.find('>').expect("its end") - 1;
        is_behind_service(text.replace(['<', '>'], "").as_bytes(), &(start..end))
    }

    #[test]
    fn a_token_behind_the_name_of_its_service_is_one() {
        for text in [
            format!("ipstack: <{HEX_32}>"),
            format!("IPSTACK='<{HEX_32}>'"),
            format!("For TaxJar we use <{NOISE}> now"),
            format!("Pro Taxjar používáme <{HEX_32}>"),
            format!("client = Shodan('<{NOISE}>')"),
            format!("ipstack: <{UUID}>"),
            format!("x\nlinear = \"<{NOISE}>\""),
            format!("service,value,owner\nshodan,1,eva\nipstack,<{HEX_32}>,jan"),
            format!("service,config_id\nipstack,1\nFor ipstack, <{HEX_32}> is used"),
        ] {
            assert!(behind(&text), "{text}");
        }
    }

    #[test]
    fn ids_and_parts_of_paths_are_none() {
        for text in [
            format!("mailchimp list <{HEX_32}>"),
            format!("mailchimp_list_id = <{HEX_32}>"),
            format!("https://ipstack.example/<{HEX_32}>"),
            format!("https://ipstack.example/x?campaign=<{HEX_32}>"),
            format!("ipstack commit <{HEX_32}0f3a9c71>"),
            format!("ipstack\nchecked <{HEX_32}>"),
            format!("ipstack is a service that is asked with <{HEX_32}>"),
            format!("in a linear model <{NOISE}>"),
            format!("ipstack uses <{UUID}>"),
            format!("my_linear: <{UUID}>"),
            "ipstack: <customer_orders_by_region_2024>".to_owned(),
            format!("ipstack: <{NOISE}>/main.js"),
            format!("service,config_id,owner\nshodan,1,eva\nipstack,<{NOISE}>,jan"),
            format!("\"service\",\"config_id\"\n\"ipstack\",\"<{HEX_32}>\""),
        ] {
            assert!(!behind(&text), "{text}");
        }
    }
}
