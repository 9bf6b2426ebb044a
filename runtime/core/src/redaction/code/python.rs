//! Strings and comments of Python, and of R and Julia, which are read in the same way.

use super::lexer::{Kind, Lexed, Lexer, escape};

/// Where reading is, below what is open around it.
enum Frame {
    /// The text of a string with fields.
    Text(Formatted),
    /// What follows the colon of a field.
    Format { owner: u32, of: Formatted },
    /// A field, with its open brackets.
    Field { of: Formatted, brackets: usize },
}

#[derive(Clone, Copy)]
struct Formatted {
    id: u32,
    quote: u8,
    triple: bool,
    raw: bool,
    /// Quotes of all strings around a field of this one: `"` and `'`.
    taken: [bool; 2],
}

/// Reads Python.
pub(super) fn python(text: &str, borders: &[usize]) -> Lexed {
    let mut lexer = Lexer::new(text, b'"', borders);
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(byte) = lexer.byte() {
        match frames.last_mut() {
            Some(Frame::Text(of)) => {
                let of = *of;
                formatted_text(&mut lexer, &mut frames, of, byte);
            }
            Some(Frame::Format { owner, of }) => {
                let (owner, of) = (*owner, *of);
                format_of_field(&mut lexer, &mut frames, owner, of, byte);
            }
            _ => python_code(&mut lexer, &mut frames, byte),
        }
    }
    lexer.finish()
}

fn python_code(lexer: &mut Lexer<'_>, frames: &mut Vec<Frame>, byte: u8) {
    match byte {
        b'#' => lexer.line_comment(1),
        b'\\' => lexer.at = (lexer.at + 2).min(lexer.bytes.len()),
        b'"' | b'\'' => python_string(lexer, frames, lexer.at, b""),
        b'(' | b'[' | b'{' => {
            if let Some(Frame::Field { brackets, .. }) = frames.last_mut() {
                *brackets += 1;
            }
            lexer.at += 1;
        }
        b')' | b']' | b'}' | b':' => match frames.last_mut() {
            Some(Frame::Field { of, brackets: 0 }) if byte == b'}' => {
                let id = of.id;
                frames.pop();
                let owner = match frames.last() {
                    Some(Frame::Format { owner, .. }) => *owner,
                    _ => id,
                };
                lexer.close_field(owner, 1);
            }
            Some(Frame::Field { of, brackets: 0 }) if byte == b':' => {
                let of = *of;
                frames.pop();
                // What it says ends with the field, so it is a piece of its own.
                let owner = lexer.open(Kind::Other, lexer.at, lexer.at + 1);
                frames.push(Frame::Format { owner, of });
            }
            Some(Frame::Field { brackets, .. }) => {
                *brackets = brackets.saturating_sub(usize::from(byte != b':'));
                lexer.at += 1;
            }
            _ => lexer.at += 1,
        },
        _ if super::lexer::is_of_word(byte) => {
            let start = lexer.at;
            let word = lexer.word();
            let is_prefix = matches!(lexer.byte(), Some(b'"' | b'\''))
                && matches!(
                    word.to_ascii_lowercase().as_slice(),
                    b"r" | b"u" | b"b" | b"f" | b"t" | b"br" | b"rb" | b"fr" | b"rf" | b"tr" | b"rt"
                );
            if is_prefix {
                python_string(lexer, frames, start, word);
            }
        }
        _ => lexer.at += 1,
    }
}

/// Reads a string whose quote is at the place, and that begins with its prefix at `start`; one with fields only as far as its inside.
fn python_string(lexer: &mut Lexer<'_>, frames: &mut Vec<Frame>, start: usize, prefix: &[u8]) {
    let has = |letter: u8| prefix.iter().any(|byte| byte.eq_ignore_ascii_case(&letter));
    let quote = lexer.bytes[lexer.at];
    let triple = lexer.is_at(&[quote; 3]);
    if !has(b'f') && !has(b't') {
        // In a raw string, too, a quote behind a backslash does not end it.
        return lexer.quoted((start, lexer.at), triple, triple, escape);
    }
    let kind = Kind::Quoted {
        quote,
        triple,
        fields: true,
    };
    let mut taken = match frames.last() {
        Some(Frame::Field { of, .. }) => of.taken,
        _ => [false; 2],
    };
    taken[usize::from(quote == b'\'')] = true;
    let inside = lexer.at + if triple { 3 } else { 1 };
    let id = lexer.open(kind, start, inside);
    frames.push(Frame::Text(Formatted {
        id,
        quote,
        triple,
        raw: has(b'r'),
        taken,
    }));
}

fn formatted_text(lexer: &mut Lexer<'_>, frames: &mut Vec<Frame>, of: Formatted, byte: u8) {
    let length = if of.triple { 3 } else { 1 };
    match byte {
        b'\\' if !of.raw && lexer.is_at(b"\\N{") => {
            let name = memchr::memchr2(b'}', b'\n', lexer.rest()).unwrap_or(lexer.rest().len());
            lexer.sign(name.max(2));
        }
        // Before a brace it is nothing but itself.
        b'\\' if lexer.is_at(b"\\{") => lexer.at += 1,
        b'\\' => lexer.sign(escape(lexer.rest())),
        b'{' | b'}' if lexer.is_at(&[byte; 2]) => lexer.sign(2),
        b'{' => begin_field(lexer, frames, of),
        _ if lexer.is_at(&[of.quote; 3][..length]) => {
            lexer.close(of.id, length);
            frames.pop();
        }
        b'\n' if !of.triple => {
            lexer.close(of.id, 0);
            frames.pop();
        }
        _ => lexer.at += 1,
    }
}

fn begin_field(lexer: &mut Lexer<'_>, frames: &mut Vec<Frame>, of: Formatted) {
    let quote = if of.taken == [true, false] { b'\'' } else { b'"' };
    let owner = match frames.last() {
        Some(Frame::Format { owner, .. }) => *owner,
        _ => of.id,
    };
    if lexer.open_field(owner, quote, 1) {
        frames.push(Frame::Field { of, brackets: 0 });
    }
}

fn format_of_field(lexer: &mut Lexer<'_>, frames: &mut Vec<Frame>, owner: u32, of: Formatted, byte: u8) {
    let length = if of.triple { 3 } else { 1 };
    let ends_string = lexer.is_at(&[of.quote; 3][..length]) || (byte == b'\n' && !of.triple);
    match byte {
        b'{' => begin_field(lexer, frames, of),
        b'}' => {
            lexer.close(owner, 0);
            frames.pop();
            let around = match frames.last() {
                Some(Frame::Format { owner, .. }) => *owner,
                _ => of.id,
            };
            lexer.close_field(around, 1);
        }
        // The field is not closed; it ends with the string.
        _ if ends_string => {
            lexer.close(owner, 0);
            frames.pop();
            let around = match frames.last() {
                Some(Frame::Format { owner, .. }) => *owner,
                _ => of.id,
            };
            lexer.close_field(around, 0);
        }
        _ => lexer.at += 1,
    }
}

/// Reads R.
pub(super) fn r(text: &str, borders: &[usize]) -> Lexed {
    let mut lexer = Lexer::new(text, b'"', borders);
    while let Some(byte) = lexer.byte() {
        match byte {
            b'#' => lexer.line_comment(1),
            b'"' | b'\'' | b'`' => lexer.quoted((lexer.at, lexer.at), false, true, escape),
            _ if super::lexer::is_of_word(byte) => {
                let start = lexer.at;
                let word = lexer.word();
                if matches!(word, b"r" | b"R") && matches!(lexer.byte(), Some(b'"' | b'\'')) {
                    raw_of_r(&mut lexer, start);
                }
            }
            _ => lexer.at += 1,
        }
    }
    lexer.finish()
}

/// Reads `r"---(…)---"`, whose quote is at the place.
fn raw_of_r(lexer: &mut Lexer<'_>, start: usize) {
    let rest = lexer.rest();
    let dashes = rest[1..].iter().take_while(|byte| **byte == b'-').count();
    let close = match rest.get(1 + dashes) {
        Some(b'(') => b')',
        Some(b'[') => b']',
        Some(b'{') => b'}',
        // None after all.
        _ => return,
    };
    let mut closing = vec![close];
    closing.resize(1 + dashes, b'-');
    closing.push(rest[0]);
    lexer.until(start, lexer.at + dashes + 2, &closing);
}

/// Reads Julia.
pub(super) fn julia(text: &str, borders: &[usize]) -> Lexed {
    let mut lexer = Lexer::new(text, b'"', borders);
    // Strings with an open field, and the brackets that are open in it.
    let mut fields: Vec<(u32, usize, u8, bool)> = Vec::new();
    while let Some(byte) = lexer.byte() {
        match byte {
            b'#' if lexer.is_at(b"#=") => lexer.block_comment(b"#=", b"=#", true),
            b'#' => lexer.line_comment(1),
            b'"' | b'`' => {
                let triple = lexer.is_at(&[byte; 3]);
                let kind = Kind::Quoted {
                    quote: byte,
                    triple,
                    fields: true,
                };
                let id = lexer.open(kind, lexer.at, lexer.at + if triple { 3 } else { 1 });
                julia_text(&mut lexer, &mut fields, (id, byte, triple));
            }
            // Behind a value it is an operator.
            b'\'' if is_behind_value(&lexer) => lexer.at += 1,
            b'\'' => lexer.quoted((lexer.at, lexer.at), false, false, escape),
            b'(' | b')' => {
                lexer.at += 1;
                match fields.last_mut() {
                    Some((_, brackets, ..)) if byte == b'(' => *brackets += 1,
                    Some((id, brackets, quote, triple)) => {
                        *brackets -= 1;
                        if *brackets == 0 {
                            let of = (*id, *quote, *triple);
                            fields.pop();
                            lexer.at -= 1;
                            lexer.close_field(of.0, 1);
                            julia_text(&mut lexer, &mut fields, of);
                        }
                    }
                    None => {}
                }
            }
            _ => lexer.at += 1,
        }
    }
    lexer.finish()
}

fn is_behind_value(lexer: &Lexer<'_>) -> bool {
    let before = lexer.at.checked_sub(1).map(|at| lexer.bytes[at]);
    before.is_some_and(|byte| {
        super::lexer::is_of_word(byte) || matches!(byte, b')' | b']' | b'}' | b'\'' | b'.' | b'"')
    })
}

/// Reads the text of a string up to its end or the next field.
fn julia_text(
    lexer: &mut Lexer<'_>,
    fields: &mut Vec<(u32, usize, u8, bool)>,
    (id, quote, triple): (u32, u8, bool),
) {
    let length = if triple { 3 } else { 1 };
    while let Some(byte) = lexer.byte() {
        match byte {
            b'\\' => lexer.sign(escape(lexer.rest())),
            b'$' if lexer.is_at(b"$(") => {
                if lexer.open_field(id, b'"', 2) {
                    fields.push((id, 1, quote, triple));
                    return;
                }
            }
            _ if lexer.is_at(&[quote; 3][..length]) => return lexer.close(id, length),
            _ => lexer.at += 1,
        }
    }
}
