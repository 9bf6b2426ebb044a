//! Cuts a text into SQL statements as the CLI does.
//!
//! Only where the API holds several statements in one string does the layout need this: a file of
//! statements has an empty line between them.
//!
//! The CLI looks for statements with a regular expression. Where each quotation has an end, that finds what reading the
//! text from its beginning does. A quotation without an end is in no statement: what is before it, since the last `;`,
//! is dropped with it, and what follows is read as if it began there, so that comments and quotations may be taken apart.

/// Returns the statements, each with its `;`, trimmed; empty ones are dropped. As in the CLI, a `;` is empty only
/// directly after another one: with white space between them it is a statement.
pub(crate) fn split(text: &str) -> Vec<String> {
    let statements = closed(text).unwrap_or_else(|| open(text));
    let statements = statements.into_iter().filter(|statement| *statement != ";");
    let trimmed = statements
        .map(str::trim)
        .filter(|statement| !statement.is_empty());
    trimmed.map(str::to_owned).collect()
}

/// Cuts a text behind each `;` outside of quotations and comments. None where a quotation has no end.
fn closed(text: &str) -> Option<Vec<&str>> {
    let mut statements = Vec::new();
    let mut endless = Endless::default();
    let mut from = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match rest.as_bytes() {
            [b';', ..] => {
                statements.push(&text[from..=at]);
                from = at + 1;
                1
            }
            [quote @ (b'\'' | b'"'), ..] => quoted(rest, *quote)?,
            _ => endless.opaque(rest).unwrap_or_else(|| first_char(rest)),
        };
    }
    statements.push(&text[from..]);
    Some(statements)
}

/// What has no end any more: it is not looked for again, however often it begins.
#[derive(Default)]
struct Endless {
    block_comment: bool,
    dollars: bool,
}

impl Endless {
    /// Returns the length of a dollar quotation or comment that the text begins with. One that does not end is none.
    fn opaque(&mut self, text: &str) -> Option<usize> {
        let ended = |is_endless: &mut bool, end: &str| {
            let rest = text.get(2..).filter(|_| !*is_endless)?;
            let found = rest.find(end);
            *is_endless = found.is_none();
            Some(2 + found? + end.len())
        };
        match text.as_bytes() {
            [b'$', b'$', ..] => ended(&mut self.dollars, "$$"),
            [b'/', b'*', ..] => ended(&mut self.block_comment, "*/"),
            [b'/', b'/', ..] | [b'-', b'-', ..] | [b'#', ..] => Some(text.find('\n').unwrap_or(text.len())),
            _ => None,
        }
    }
}

/// Returns the length of a quotation; none without an end, which a backslash at the end of a line prevents too.
fn quoted(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\n' if escaped => return None,
            _ if byte == quote && !escaped => return Some(at + 1),
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    None
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

/// Returns the statements of a text in which a quotation has no end.
fn open(text: &str) -> Vec<&str> {
    let ends = Ends::of(text);
    let mut statements = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = ends.statement(at);
        statements.extend(end.map(|end| &text[at..end]));
        at = end.unwrap_or_else(|| at + first_char(&text[at..]));
    }
    statements
}

/// Where a statement that begins at a position would end, worked out from the end of a text to its beginning.
struct Ends<'t> {
    text: &'t [u8],
    /// By position; 0 where none can begin.
    found: Vec<usize>,
}

/// What was last seen on the way to the beginning.
#[derive(Default)]
struct Seen {
    /// By the last positions: where a text in single or double quotes that goes on there ends.
    quotations: [[Option<usize>; Self::LAST]; 2],
    /// The same of a block comment, and of a text between `$$`.
    blocks: [[Option<usize>; Self::LAST]; 2],
    /// The last position of this line up to which a comment may reach.
    line: Option<usize>,
}

impl Seen {
    /// More than a backslash and a character have bytes.
    const LAST: usize = 8;
}

impl<'t> Ends<'t> {
    fn of(text: &'t str) -> Self {
        let mut ends = Self {
            text: text.as_bytes(),
            found: vec![0; text.len() + 1],
        };
        let mut seen = Seen {
            line: Some(text.len()),
            ..Seen::default()
        };
        for (at, c) in text.char_indices().rev() {
            ends.found[at] = ends.begin(at, c, &mut seen).unwrap_or(0);
            let here = ends.after(at).map(|_| at);
            seen.line = if c == '\n' { here } else { seen.line.or(here) };
        }
        ends
    }

    fn statement(&self, at: usize) -> Option<usize> {
        Some(self.found[at]).filter(|end| *end > 0)
    }

    /// Returns where a statement ends that goes on at a position, or ends there.
    fn after(&self, at: usize) -> Option<usize> {
        let is_end = || match self.text.get(at) {
            None => Some(at),
            Some(b';') => Some(at + 1),
            Some(_) => None,
        };
        self.statement(at).or_else(is_end)
    }

    /// Returns where a statement ends of which a character is the first, or the next one.
    fn begin(&self, at: usize, c: char, seen: &mut Seen) -> Option<usize> {
        let next = at + c.len_utf8();
        let slot = |position: usize| position % Seen::LAST;
        let second = self.text.get(at + 1);
        for (inside, quote) in seen.quotations.iter_mut().zip(['\'', '"']) {
            let behind = match second {
                // What a backslash is before is never the end; a line's end cannot be behind one.
                None | Some(b'\n') => None,
                Some(byte) => inside[slot(next + char_bytes(*byte))],
            };
            let goes_on = if c == '\\' { behind } else { inside[slot(next)] };
            inside[slot(at)] = if c == quote { Some(next) } else { goes_on };
        }
        for (inside, end) in seen.blocks.iter_mut().zip([b"*/", b"$$"]) {
            let goes_on = inside[slot(next)];
            let is_end = self.text[at..].starts_with(end);
            inside[slot(at)] = if is_end { Some(at + 2) } else { goes_on };
        }
        let [single, double] = seen.quotations.map(|inside| inside[slot(next)]);
        let [comment, dollars] = seen.blocks.map(|inside| inside[slot(at + 2)]);
        let up_to = |start: usize| seen.line.filter(|reach| *reach >= start);
        let opaque = match (c, second) {
            ('\'', _) => return self.after(single?),
            ('"', _) => return self.after(double?),
            (';', _) => return None,
            ('#', _) => return self.after(up_to(next)?),
            ('$', Some(b'$')) => dollars,
            ('/', Some(b'*')) => comment,
            ('/', Some(b'/')) | ('-', Some(b'-')) => up_to(at + 2),
            _ => None,
        };
        opaque
            .and_then(|end| self.after(end))
            .or_else(|| self.after(next))
    }
}

/// Returns how many bytes a character has, by its first one.
fn char_bytes(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text), expected, "{text}");
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_quotations_and_comments() {
        check(" \n", &[]);
        check("  DELETE FROM t\t\n", &["DELETE FROM t"]);
        check(
            "UPDATE t;\n  SELECT ('x;', \"y;\"); DROP;; ;",
            &["UPDATE t;", "SELECT ('x;', \"y;\");", "DROP;", ";"],
        );
        check("A;\n/* B; */\nC;", &["A;", "/* B; */\nC;"]);
        check("A;\n-- B;\nC;", &["A;", "-- B;\nC;"]);
        check("A;\n# B;\nC; // D;", &["A;", "# B;\nC;", "// D;"]);
        check("do $$ A; B; $$; C", &["do $$ A; B; $$;", "C"]);
        check(r"SELECT 'it\'s; ž' ; B", &[r"SELECT 'it\'s; ž' ;", "B"]);
    }

    #[test]
    fn a_quotation_without_an_end_is_dropped_with_what_is_before_it() {
        check("SELECT 'open; B", &["open;", "B"]);
        check(
            "A; SELECT 'open; B; \"C;\"; D",
            &["A;", "open;", "B;", "\"C;\";", "D"],
        );
        check("A; SELECT \"", &["A;"]);
        check("'", &[]);
        // A backslash at the end of a line is in no quotation, nor one at the end of the text.
        check("A 'b\\\nc'; D", &["D"]);
    }
}
