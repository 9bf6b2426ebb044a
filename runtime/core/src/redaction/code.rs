//! Where a marker stands in code, so that what is left is code again.
//!
//! In strings, comments and names in quotes a marker is text among text. Anywhere else a secret was a bare word or a number, and the
//! marker gets the quotes of the language, in the place of the whole word. Only what is no code can tell which it is, so no
//! grammar is read: strings and comments are. Where it is not known of which database SQL is, a marker gets quotes only if the
//! scripts of all would have it so.

mod lexer;
mod python;
mod sql;

use crate::marker::Marker;
use lexer::{Kind, Lexed, OUTSIDE, State, is_of_word};
use sql::Dialect;
use std::ops::Range;

/// The language of a file of code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Language {
    Python,
    R,
    Julia,
    /// Of one of these databases.
    Sql(&'static [Dialect]),
}

impl Language {
    /// Returns the language of a file by its path; none of a file that is no code, or not in one of these languages.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (_, extension) = name.rsplit_once('.')?;
        let is = |known: &str| extension.eq_ignore_ascii_case(known);
        if is("py") {
            Some(Self::Python)
        } else if is("r") {
            Some(Self::R)
        } else if is("jl") {
            Some(Self::Julia)
        } else if is("sql") {
            Some(Self::Sql(sql::of(path)))
        } else {
            None
        }
    }

    fn read(self, text: &str, borders: &[usize]) -> Vec<Lexed> {
        match self {
            Self::Python => vec![python::python(text, borders)],
            Self::R => vec![python::r(text, borders)],
            Self::Julia => vec![python::julia(text, borders)],
            Self::Sql(dialects) => {
                let dialects = dialects.iter();
                dialects
                    .map(|dialect| sql::sql(*dialect, text, borders))
                    .collect()
            }
        }
    }
}

/// Where a marker goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// What gives way to it: at least what was found.
    pub(super) range: Range<usize>,
    /// What stands on either side of it.
    pub(super) quote: Option<u8>,
}

/// Returns where markers go that take the place of these pieces, which are ascending and disjoint, with the index of the first piece
/// that gives way to each. Places are ascending and disjoint, and cover all pieces but for white space around words.
pub(super) fn places(language: Language, text: &str, pieces: &[Range<usize>]) -> Vec<(Place, usize)> {
    let borders: Vec<usize> = pieces.iter().flat_map(|piece| [piece.start, piece.end]).collect();
    let readings = language.read(text, &borders);
    let mut places: Vec<(Place, usize)> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let (mut piece, mut index) = (piece.clone(), index);
        if places
            .last()
            .is_some_and(|(last, _)| piece.end <= last.range.end && piece.start >= last.range.start)
        {
            continue;
        }
        loop {
            let place = place_of_all(&readings, text, piece);
            match places.pop_if(|(last, _)| place.range.start < last.range.end) {
                // What grew together is one.
                Some((last, first)) => {
                    piece = last.range.start.min(place.range.start)..last.range.end.max(place.range.end);
                    index = first;
                }
                None => {
                    places.push((place, index));
                    break;
                }
            }
        }
    }
    places
}

/// Returns the marker's place that all readings agree on; else it stands where the secret stood.
fn place_of_all(readings: &[Lexed], text: &str, piece: Range<usize>) -> Place {
    let as_it_is = Place {
        range: piece.clone(),
        quote: None,
    };
    let mut places = readings.iter().map(|lexed| place(lexed, text, &piece));
    let Some(first) = places.next() else {
        return as_it_is;
    };
    if places.all(|other| other == first) {
        first
    } else {
        as_it_is
    }
}

fn place(lexed: &Lexed, text: &str, piece: &Range<usize>) -> Place {
    let bytes = text.as_bytes();
    let words = words_of(lexed, bytes, piece);
    let (first, last) = (lexed.state(words.start), lexed.state(words.end - 1));
    if let (State::Inside(first), State::Inside(last)) = (first, last) {
        let is_alike = lexed.token(first).kind == lexed.token(last).kind
            && lexed.token(first).kind != Kind::Other
            && lexed.token(first).field == lexed.token(last).field;
        if first == last || is_alike {
            let start = lexed.cut_at(piece.start).map_or(piece.start, |sign| sign.start);
            let end = lexed.cut_at(piece.end).map_or(piece.end, |sign| sign.end);
            return Place {
                range: start..end,
                quote: None,
            };
        }
    }
    // What follows on the line becomes part of the comment.
    if let State::Inside(comment) = first
        && lexed.token(comment).kind == Kind::Line
    {
        let end = end_of(lexed, bytes, words.end, last);
        let line = memchr::memchr(b'\n', &bytes[end..]).map_or(bytes.len(), |line| end + line);
        return Place {
            range: words.start..line,
            quote: None,
        };
    }
    let (of_first, of_last) = (field_of(lexed, first), field_of(lexed, last));
    if of_first == of_last {
        return Place {
            range: start_of(lexed, bytes, words.start, first)..end_of(lexed, bytes, words.end, last),
            quote: Some(lexed.field(of_first).quote),
        };
    }
    let around = |at: usize, state: State| {
        let root = match state {
            State::Code { field } => lexed.field(field).root,
            State::Border(id) | State::Inside(id) => Some(lexed.token(id).root),
        };
        root.map_or(at..at, |root| lexed.token(root).outer.clone())
    };
    let start = around(words.start, first).start.min(words.start);
    let end = around(words.end, last).end.max(words.end);
    Place {
        range: start..end,
        quote: Some(lexed.field(OUTSIDE).quote),
    }
}

/// Returns a piece without the white space around it, which is no part of a word of code; all of it where it is nothing else.
fn words_of(lexed: &Lexed, bytes: &[u8], piece: &Range<usize>) -> Range<usize> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let is_code = |at: usize| matches!(lexed.state(at), State::Code { .. });
    let found = &bytes[piece.clone()];
    let Some(first) = found.iter().position(|byte| !is_blank(byte)) else {
        return piece.clone();
    };
    let last = found.iter().rposition(|byte| !is_blank(byte)).unwrap_or(first);
    let start = if is_code(piece.start) {
        piece.start + first
    } else {
        piece.start
    };
    let end = if is_code(piece.end - 1) {
        piece.start + last + 1
    } else {
        piece.end
    };
    start..end
}

fn field_of(lexed: &Lexed, state: State) -> u32 {
    match state {
        State::Code { field } => field,
        State::Border(id) | State::Inside(id) => lexed.token(id).field,
    }
}

/// Returns where the word or the string begins that has the byte at `at`.
fn start_of(lexed: &Lexed, bytes: &[u8], at: usize, state: State) -> usize {
    let State::Code { .. } = state else {
        let (State::Border(id) | State::Inside(id)) = state else {
            return at;
        };
        return lexed.token(id).outer.start;
    };
    let floor = lexed.stretch(at, bytes.len()).start;
    let is_word = |at: usize| at >= floor && is_of_word(bytes[at]);
    let mut start = at;
    if !is_of_word(bytes[at]) {
        return at;
    }
    loop {
        while start > floor && is_word(start - 1) {
            start -= 1;
        }
        // `a.b`, of which no part can be a string.
        if start < floor + 2 || bytes[start - 1] != b'.' || !is_word(start - 2) {
            return start;
        }
        start -= 1;
    }
}

/// Returns where the word or the string ends that has the byte before `end`.
fn end_of(lexed: &Lexed, bytes: &[u8], end: usize, state: State) -> usize {
    let State::Code { .. } = state else {
        let (State::Border(id) | State::Inside(id)) = state else {
            return end;
        };
        return lexed.token(id).outer.end;
    };
    let limit = lexed.stretch(end - 1, bytes.len()).end;
    let is_word = |at: usize| at < limit && is_of_word(bytes[at]);
    if !is_of_word(bytes[end - 1]) {
        return end;
    }
    let mut end = end;
    loop {
        while is_word(end) {
            end += 1;
        }
        if !(end < limit && bytes[end] == b'.') {
            return end;
        }
        if is_word(end + 1) {
            end += 1;
        } else {
            // `12.` is a number.
            let digits = bytes[..end]
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let is_number = digits > 0 && (digits == end || !is_of_word(bytes[end - digits - 1]));
            return end + usize::from(is_number);
        }
    }
}

/// Returns a marker with the quotes around it that it was given.
pub(super) fn with_quotes(text: &str, marker: Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let before = marker.start.checked_sub(1).map(|at| bytes[at]);
    match (before, bytes.get(marker.end)) {
        (Some(open @ (b'"' | b'\'')), Some(close)) if open == *close => marker.start - 1..marker.end + 1,
        _ => marker,
    }
}

/// Writes a marker as its place asks for.
pub(super) fn written(place: &Place, marker: &Marker) -> String {
    match place.quote {
        Some(b'\'') => format!("'{marker}'"),
        Some(_) => format!("\"{marker}\""),
        None => marker.to_string(),
    }
}

#[cfg(test)]
mod tests;
