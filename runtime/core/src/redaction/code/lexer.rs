//! What every language of code has: pieces in which nothing is code, and code between them.
//!
//! One pass, in time that grows with the text alone. What is not closed goes on to the end, as a parser would say of it.

use std::ops::Range;

/// Fields of formatted strings that are open at a time; Python itself takes fewer.
const FIELDS_MAX: usize = 128;

/// The field of what is in none.
pub(super) const OUTSIDE: u32 = 0;

/// What ends a piece: the head of one and the tail of another make one where both have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A comment up to the end of its line.
    Line,
    /// A string or a name between quotes; some have fields of code.
    Quoted { quote: u8, triple: bool, fields: bool },
    /// Whatever else is read up to an end of its own.
    Other,
}

/// A piece of the text in which nothing is code.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// With what opens and closes it.
    pub(super) outer: Range<usize>,
    /// The field that it is in.
    pub(super) field: u32,
    /// The piece around all fields that it is in; itself where it is in none.
    pub(super) root: u32,
}

/// What a byte of the text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Code {
        field: u32,
    },
    /// What opens or closes a piece.
    Border(u32),
    Inside(u32),
}

/// Code inside of a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// The quote of literals in it.
    pub(super) quote: u8,
    /// The piece around it and all that it is in.
    pub(super) root: Option<u32>,
}

/// A text that was read as code.
#[derive(Debug)]
pub(super) struct Lexed {
    /// Ascending: from where on which state is.
    marks: Vec<(usize, State)>,
    pub(super) tokens: Vec<Token>,
    pub(super) fields: Vec<Field>,
    /// What is one sign though it has several bytes, and is cut by a border that was asked about: ascending.
    cut: Vec<Range<usize>>,
}

impl Lexed {
    /// Returns what the byte at `at` belongs to.
    pub(super) fn state(&self, at: usize) -> State {
        let mark = self.marks.partition_point(|(from, _)| *from <= at);
        mark.checked_sub(1)
            .map_or(State::Code { field: OUTSIDE }, |mark| self.marks[mark].1)
    }

    /// Returns how far the state of the byte at `at` goes.
    pub(super) fn stretch(&self, at: usize, length: usize) -> Range<usize> {
        let next = self.marks.partition_point(|(from, _)| *from <= at);
        let start = next.checked_sub(1).map_or(0, |mark| self.marks[mark].0);
        start..self.marks.get(next).map_or(length, |mark| mark.0)
    }

    pub(super) fn token(&self, id: u32) -> &Token {
        &self.tokens[id as usize]
    }

    pub(super) fn field(&self, id: u32) -> Field {
        self.fields[id as usize]
    }

    /// Returns the sign that a border between two bytes cuts.
    pub(super) fn cut_at(&self, border: usize) -> Option<Range<usize>> {
        let next = self.cut.partition_point(|sign| sign.end <= border);
        self.cut.get(next).filter(|sign| sign.start < border).cloned()
    }
}

/// Reads a text from its start to its end.
pub(super) struct Lexer<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    lexed: Lexed,
    /// Fields that are open.
    open: Vec<u32>,
    /// Ascending: borders that are asked about.
    borders: &'a [usize],
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, quote: u8, borders: &'a [usize]) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            lexed: Lexed {
                marks: Vec::new(),
                tokens: Vec::new(),
                fields: vec![Field { quote, root: None }],
                cut: Vec::new(),
            },
            open: Vec::new(),
            borders,
        }
    }

    pub(super) fn finish(self) -> Lexed {
        self.lexed
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    pub(super) fn is_at(&self, text: &[u8]) -> bool {
        self.rest().starts_with(text)
    }

    fn mark(&mut self, at: usize, state: State) {
        let at = at.min(self.bytes.len());
        match self.lexed.marks.last_mut() {
            Some(last) if last.0 == at => last.1 = state,
            _ => self.lexed.marks.push((at, state)),
        }
    }

    pub(super) fn field(&self) -> u32 {
        self.open.last().copied().unwrap_or(OUTSIDE)
    }

    /// Begins a piece at `start` whose inside is at `inside`, where reading goes on.
    pub(super) fn open(&mut self, kind: Kind, start: usize, inside: usize) -> u32 {
        let id = u32::try_from(self.lexed.tokens.len()).unwrap_or(u32::MAX);
        let field = self.field();
        let root = self.lexed.field(field).root.unwrap_or(id);
        self.lexed.tokens.push(Token {
            kind,
            outer: start..self.bytes.len(),
            field,
            root,
        });
        self.mark(start, State::Border(id));
        self.inside(id, inside);
        id
    }

    /// Goes on inside of a piece.
    pub(super) fn inside(&mut self, id: u32, at: usize) {
        self.mark(at, State::Inside(id));
        self.at = at.min(self.bytes.len());
    }

    /// Ends a piece where `length` bytes at the place close it.
    pub(super) fn close(&mut self, id: u32, length: usize) {
        let end = (self.at + length).min(self.bytes.len());
        if length > 0 {
            self.mark(self.at, State::Border(id));
        }
        self.lexed.tokens[id as usize].outer.end = end;
        self.at = end;
        self.mark(end, State::Code { field: self.field() });
    }

    /// Begins a field of a piece, `length` bytes further on; says whether it could be.
    pub(super) fn open_field(&mut self, owner: u32, quote: u8, length: usize) -> bool {
        if self.open.len() >= FIELDS_MAX {
            self.at += length;
            return false;
        }
        let id = u32::try_from(self.lexed.fields.len()).unwrap_or(u32::MAX);
        let root = self.lexed.token(owner).root;
        self.lexed.fields.push(Field {
            quote,
            root: Some(root),
        });
        self.mark(self.at, State::Border(owner));
        self.at += length;
        self.open.push(id);
        self.mark(self.at, State::Code { field: id });
        true
    }

    /// Ends the innermost field; what goes on is the piece.
    pub(super) fn close_field(&mut self, owner: u32, length: usize) {
        self.open.pop();
        self.mark(self.at, State::Border(owner));
        self.inside(owner, self.at + length);
    }

    /// Passes over one sign of so many bytes.
    pub(super) fn sign(&mut self, length: usize) {
        let sign = self.at..(self.at + length).min(self.bytes.len());
        let passed = self.borders.partition_point(|border| *border <= sign.start);
        self.borders = &self.borders[passed..];
        if self.borders.first().is_some_and(|border| *border < sign.end) {
            self.lexed.cut.push(sign.clone());
        }
        self.at = sign.end;
    }

    /// Reads a comment up to the end of its line.
    pub(super) fn line_comment(&mut self, opening: usize) {
        let id = self.open(Kind::Line, self.at, self.at + opening);
        self.at += memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len());
        self.close(id, 0);
    }

    /// Reads a comment up to its end, perhaps one that has others in it.
    pub(super) fn block_comment(&mut self, opening: &[u8], closing: &[u8], nested: bool) {
        let id = self.open(Kind::Other, self.at, self.at + opening.len());
        let mut depth = 1_usize;
        while self.at < self.bytes.len() {
            if self.is_at(closing) {
                depth -= 1;
                if depth == 0 {
                    return self.close(id, closing.len());
                }
                self.at += closing.len();
            } else if nested && self.is_at(opening) {
                depth += 1;
                self.at += opening.len();
            } else {
                self.at += 1;
            }
        }
    }

    /// Reads what goes on up to the next `closing`.
    pub(super) fn until(&mut self, start: usize, inside: usize, closing: &[u8]) {
        let id = self.open(Kind::Other, start, inside);
        match memchr::memmem::find(self.rest(), closing) {
            Some(end) => {
                self.at += end;
                self.close(id, closing.len());
            }
            None => self.at = self.bytes.len(),
        }
    }

    /// Reads a string between quotes without fields, whose quote is at `quote`; what is one sign in it, `sign` says by its length.
    /// One that may not go over lines ends at the next one.
    pub(super) fn quoted(
        &mut self,
        (start, quote): (usize, usize),
        triple: bool,
        lines: bool,
        sign: fn(&[u8]) -> usize,
    ) {
        let byte = self.bytes[quote];
        let kind = Kind::Quoted {
            quote: byte,
            triple,
            fields: false,
        };
        let length = if triple { 3 } else { 1 };
        let closing = [byte; 3];
        let id = self.open(kind, start, quote + length);
        while let Some(byte) = self.byte() {
            let of_sign = sign(self.rest());
            if of_sign > 1 {
                self.sign(of_sign);
            } else if self.is_at(&closing[..length]) {
                return self.close(id, length);
            } else if byte == b'\n' && !lines {
                return self.close(id, 0);
            } else {
                self.at += 1;
            }
        }
    }

    /// Passes over a name or a number and returns it.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        let length = self.rest().iter().take_while(|byte| is_of_word(**byte)).count();
        self.at += length;
        &self.bytes[start..self.at]
    }
}

/// Says whether the byte is one of names and numbers.
pub(super) fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Returns the length of what a backslash begins, or 0: it and the character behind it, or the number of one.
pub(super) fn escape(rest: &[u8]) -> usize {
    if rest.first() != Some(&b'\\') {
        return 0;
    }
    let digits = |most: usize| {
        let digits = rest[2..].iter().take(most);
        2 + digits.take_while(|byte| byte.is_ascii_hexdigit()).count()
    };
    match rest.get(1) {
        None => 1,
        Some(b'x') => digits(2),
        Some(b'u') => digits(4),
        Some(b'U') => digits(8),
        Some(b'\r') if rest.get(2) == Some(&b'\n') => 3,
        Some(&first) if first >= 0x80 => {
            2 + rest[2..]
                .iter()
                .take_while(|byte| (**byte & 0xC0) == 0x80)
                .count()
        }
        Some(_) => 2,
    }
}
