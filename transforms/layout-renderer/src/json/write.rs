//! JSON texts: as Keboola's CLI writes them, and our own.

use super::{
    Json, Object,
    eight::{EIGHT, Eight},
};
use std::borrow::Cow;

/// Room that texts begin with, in bytes: most files and lines are not much longer.
const FILE_BYTES: usize = 256;
const LINE_BYTES: usize = 96;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// As the CLI does: numbers through a double, `<`, `>` and `&` escaped, indented.
    Cli,
    /// Ours: number tokens kept, indented.
    Indented,
    /// Ours on one line, for JSON Lines.
    Line,
}

/// Returns the text as the CLI writes it, with a line feed at the end.
#[must_use]
pub(crate) fn cli(value: &Object<'_>) -> String {
    let mut out = String::with_capacity(FILE_BYTES);
    object(&mut out, value, Style::Cli, 0);
    out.push('\n');
    out
}

/// Returns the same of an object that ends in a list, whose items are written as they come; `bytes` is about what it will have.
#[must_use]
pub(crate) fn cli_with_list<'i>(
    value: &Object<'_>,
    list: &str,
    items: impl Iterator<Item = Json<'i>>,
    bytes: usize,
) -> String {
    let mut out = String::with_capacity(bytes);
    out.push('{');
    let mut members = 0;
    for (key, member) in value.iter() {
        separate(&mut out, members, Style::Cli, 1);
        string(&mut out, key, true);
        out.push_str(": ");
        write(&mut out, member, Style::Cli, 1);
        members += 1;
    }
    separate(&mut out, members, Style::Cli, 1);
    string(&mut out, list, true);
    out.push_str(": [");
    let mut written = 0;
    for item in items {
        separate(&mut out, written, Style::Cli, 2);
        write(&mut out, &item, Style::Cli, 2);
        written += 1;
    }
    if written == 0 {
        out.push(']');
    } else {
        close(&mut out, ']', Style::Cli, 1);
    }
    out.push_str("\n}\n");
    out
}

/// Returns an indented text that keeps number tokens, with a line feed at the end.
#[must_use]
pub(crate) fn indented(value: &Object<'_>) -> String {
    let mut out = String::with_capacity(FILE_BYTES);
    object(&mut out, value, Style::Indented, 0);
    out.push('\n');
    out
}

/// Returns the same, but each item of these members, which are lists, is a line: items come and go one
/// by one, and a difference shows each whole.
#[must_use]
pub(crate) fn indented_with_lines(value: &Object<'_>, lists: &[&str]) -> String {
    let mut out = String::from("{");
    for (at, (key, member)) in value.iter().enumerate() {
        separate(&mut out, at, Style::Indented, 1);
        string(&mut out, key, false);
        out.push_str(": ");
        match member {
            Json::Array(items) if lists.contains(&key) && !items.is_empty() => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    separate(&mut out, at, Style::Indented, 2);
                    write(&mut out, item, Style::Line, 2);
                }
                close(&mut out, ']', Style::Indented, 1);
            }
            other => write(&mut out, other, Style::Indented, 1),
        }
    }
    out.push_str("\n}\n");
    out
}

/// Returns a text of one line, without a line feed.
#[must_use]
pub(crate) fn line(value: &Json<'_>) -> String {
    let mut out = String::with_capacity(LINE_BYTES);
    write(&mut out, value, Style::Line, 0);
    out
}

/// Returns an object as a text of one line, without a line feed.
#[must_use]
pub(crate) fn object_line(value: &Object<'_>) -> String {
    let mut out = String::with_capacity(LINE_BYTES);
    object(&mut out, value, Style::Line, 0);
    out
}

fn write(out: &mut String, value: &Json<'_>, style: Style, depth: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(token) if style == Style::Cli => out.push_str(&cli_number(token)),
        Json::Number(token) => out.push_str(token),
        Json::String(text) => string(out, text, style == Style::Cli),
        Json::Array(items) => {
            if items.is_empty() {
                return out.push_str("[]");
            }
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at, style, depth + 1);
                write(out, item, style, depth + 1);
            }
            close(out, ']', style, depth);
        }
        Json::Object(members) => object(out, members, style, depth),
    }
}

fn object(out: &mut String, members: &Object<'_>, style: Style, depth: usize) {
    if members.is_empty() {
        return out.push_str("{}");
    }
    out.push('{');
    for (at, (key, value)) in members.iter().enumerate() {
        separate(out, at, style, depth + 1);
        string(out, key, style == Style::Cli);
        out.push_str(if style == Style::Line { ":" } else { ": " });
        write(out, value, style, depth + 1);
    }
    close(out, '}', style, depth);
}

fn separate(out: &mut String, at: usize, style: Style, depth: usize) {
    if at > 0 {
        out.push(',');
    }
    if style != Style::Line {
        indent(out, depth);
    }
}

fn close(out: &mut String, bracket: char, style: Style, depth: usize) {
    if style != Style::Line {
        indent(out, depth);
    }
    out.push(bracket);
}

fn indent(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// What a byte of a string may be the beginning of.
const PLAIN: u8 = 0;
const IN_PAGES: u8 = 1;
const ALWAYS: u8 = 2;

const ESCAPED: [u8; 256] = {
    let mut escaped = [PLAIN; 256];
    let mut control = 0;
    while control < 0x20 {
        escaped[control] = ALWAYS;
        control += 1;
    }
    escaped[b'"' as usize] = ALWAYS;
    escaped[b'\\' as usize] = ALWAYS;
    // U+2028 and U+2029 begin with it.
    escaped[0xe2] = ALWAYS;
    escaped[b'<' as usize] = IN_PAGES;
    escaped[b'>' as usize] = IN_PAGES;
    escaped[b'&' as usize] = IN_PAGES;
    escaped
};

/// Returns the first place from `at` on whose byte is not below `least`.
fn next_escaped(text: &[u8], mut at: usize, least: u8) -> Option<usize> {
    let is_escaped = |byte: &u8| ESCAPED[usize::from(*byte)] >= least;
    while let Some(eight) = text.get(at..)?.first_chunk() {
        let eight = Eight::new(*eight);
        let told = (eight.less(0x20).or(eight.equal(b'"')).or(eight.equal(b'\\')))
            .or(eight.equal(b'&').or(eight.equal_but_for(b'<' ^ b'>', b'<')))
            .or(eight.equal(0xe2));
        match told.first() {
            None => at += EIGHT,
            Some(within) if is_escaped(&text[at + within]) => return Some(at + within),
            Some(within) => at += within + 1,
        }
    }
    Some(at + text[at..].iter().position(is_escaped)?)
}

/// Writes a string with its quotes. `html` also escapes what would matter inside a page.
pub(crate) fn string(out: &mut String, text: &str, html: bool) {
    use std::fmt::Write as _;
    let least = if html { IN_PAGES } else { ALWAYS };
    out.push('"');
    let (mut from, mut next) = (0, 0);
    while let Some(at) = next_escaped(text.as_bytes(), next, least) {
        next = at + 1;
        let byte = text.as_bytes()[at];
        let (escape, length) = match byte {
            b'"' => ("\\\"", 1),
            b'\\' => ("\\\\", 1),
            b'\n' => ("\\n", 1),
            b'\r' => ("\\r", 1),
            b'\t' => ("\\t", 1),
            0x8 => ("\\b", 1),
            0xc => ("\\f", 1),
            b'<' => ("\\u003c", 1),
            b'>' => ("\\u003e", 1),
            b'&' => ("\\u0026", 1),
            // Both break lines in some readers, which would break JSON Lines.
            0xe2 => match text.as_bytes().get(at + 1..at + 3) {
                Some([0x80, 0xa8]) => ("\\u2028", 3),
                Some([0x80, 0xa9]) => ("\\u2029", 3),
                _ => continue,
            },
            _ => ("", 1),
        };
        out.push_str(&text[from..at]);
        from = at + length;
        next = from;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}").expect("a string takes all text");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Returns a number as the CLI prints it where a text is wanted: never with an exponent.
#[must_use]
pub(crate) fn plain_number(token: &str) -> String {
    let value = token.parse::<f64>().ok().filter(|value| value.is_finite());
    value.map_or_else(|| token.to_owned(), |value| to_even(value, value.to_string(), ""))
}

/// Takes the even last digit where a number is half-way between two shortest texts for it, as Go does; Rust rounds up.
/// `shortest` is what Rust prints, up to the exponent, which is empty or begins with `e`.
fn to_even(value: f64, mut shortest: String, exponent: &str) -> String {
    // Doubles that are whole numbers are never half-way.
    let is_odd = shortest.as_bytes().last().is_some_and(|digit| digit % 2 == 1);
    if !is_odd || !shortest.contains('.') {
        return shortest;
    }
    let digits = |text: String| -> String {
        let text = text.split_once('e').map_or(text.as_str(), |(digits, _)| digits);
        text.chars().filter(char::is_ascii_digit).collect()
    };
    // All that a tie can have are eighteen; the rest shows that it is none.
    let exact = digits(format!("{value:.40e}"));
    let exact = exact.trim_end_matches('0');
    let length = digits(format!("{value:e}")).len();
    if exact.len() == length + 1
        && let [.., last, b'5'] = exact.as_bytes()
        && last % 2 == 0
    {
        let even = format!("{}{}", &shortest[..shortest.len() - 1], char::from(*last));
        // Below a power of two numbers lie closer.
        if format!("{even}{exponent}").parse() == Ok(value) {
            shortest = even;
        }
    }
    shortest
}

/// Returns a number as the CLI prints it, which reads all of them as doubles. A number that no
/// double holds keeps its token.
#[must_use]
pub(crate) fn cli_number(token: &str) -> Cow<'_, str> {
    // Short integers are the usual case and print as they are.
    if token.len() <= 15 && token.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(token);
    }
    let Some(value) = token.parse::<f64>().ok().filter(|value| value.is_finite()) else {
        return Cow::Borrowed(token);
    };
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Cow::Owned(to_even(value, value.to_string(), ""));
    }
    let text = format!("{value:e}");
    Cow::Owned(match text.split_once('e') {
        Some((digits, exponent)) => {
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            let digits = to_even(value, digits.to_owned(), &format!("e{exponent}"));
            format!("{digits}e{sign}{exponent}")
        }
        None => text,
    })
}
