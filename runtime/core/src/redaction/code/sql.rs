//! Strings, names in quotes and comments of SQL, which every database has in its own way.

use super::lexer::{Lexed, Lexer, escape, is_of_word};

/// What differs from one database to the next.
#[derive(Debug, Clone, Copy)]
pub(in crate::redaction) struct Dialect {
    /// A backslash in a string takes the quote behind it for itself.
    backslash: bool,
    /// Text between double quotes is a string and no name, and three quotes begin one over lines.
    double: bool,
    /// `$$…$$`
    dollars: bool,
    /// `$tag$…$tag$`
    tags: bool,
    /// Comments stand in comments.
    nested: bool,
    /// `# …` and `// …` are comments.
    hash: bool,
    slashes: bool,
    /// `[a name]`
    brackets: bool,
    /// `q'[…]'`
    alternative: bool,
}

const STANDARD: Dialect = Dialect {
    backslash: false,
    double: false,
    dollars: false,
    tags: false,
    nested: false,
    hash: false,
    slashes: false,
    brackets: false,
    alternative: false,
};

const SNOWFLAKE: Dialect = Dialect {
    backslash: true,
    dollars: true,
    slashes: true,
    ..STANDARD
};

const BIGQUERY: Dialect = Dialect {
    backslash: true,
    double: true,
    hash: true,
    ..STANDARD
};

const SYNAPSE: Dialect = Dialect {
    nested: true,
    brackets: true,
    ..STANDARD
};

const ORACLE: Dialect = Dialect {
    alternative: true,
    ..STANDARD
};

const POSTGRES: Dialect = Dialect {
    dollars: true,
    tags: true,
    nested: true,
    ..STANDARD
};

/// Also read by a backslash in any string.
const REDSHIFT: Dialect = Dialect {
    backslash: true,
    ..POSTGRES
};

const MYSQL: Dialect = Dialect {
    backslash: true,
    double: true,
    hash: true,
    ..STANDARD
};

/// Databases by a word that the ids of their components have, which are directories of a mirror.
const BY_WORD: [(&str, &[Dialect]); 9] = [
    ("snowflake", &[SNOWFLAKE]),
    ("bigquery", &[BIGQUERY]),
    ("synapse", &[SYNAPSE]),
    ("mssql", &[SYNAPSE]),
    ("oracle", &[ORACLE]),
    ("teradata", &[STANDARD]),
    ("redshift", &[REDSHIFT]),
    ("postgres", &[POSTGRES]),
    ("mysql", &[MYSQL]),
];

/// What a script may be written for of which nothing is known.
const ANY: [Dialect; 5] = [POSTGRES, SNOWFLAKE, BIGQUERY, SYNAPSE, ORACLE];

/// Returns the dialects that a file may be written in, by the directory of its component.
pub(super) fn of(path: &str) -> &'static [Dialect] {
    // The file itself has a name of somebody's own, and so have directories without a dot.
    let directories = path.rsplit_once('/').map_or("", |(directories, _)| directories);
    let components = directories.split('/').filter(|part| part.contains('.'));
    let mut known = components.filter_map(|component| {
        let (_, dialects) = BY_WORD.iter().find(|(word, _)| component.contains(word))?;
        Some(*dialects)
    });
    known.next().unwrap_or(&ANY)
}

/// Reads SQL of one dialect.
pub(super) fn sql(dialect: Dialect, text: &str, borders: &[usize]) -> Lexed {
    let mut lexer = Lexer::new(text, b'\'', borders);
    while let Some(byte) = lexer.byte() {
        let next = lexer.bytes.get(lexer.at + 1).copied();
        match byte {
            b'-' if next == Some(b'-') => lexer.line_comment(2),
            b'#' if dialect.hash => lexer.line_comment(1),
            b'/' if dialect.slashes && next == Some(b'/') => lexer.line_comment(2),
            b'/' if next == Some(b'*') => lexer.block_comment(b"/*", b"*/", dialect.nested),
            b'\'' | b'"' => string(&mut lexer, dialect, b""),
            b'`' => lexer.quoted((lexer.at, lexer.at), false, true, doubled),
            b'[' if dialect.brackets => {
                let inside = lexer.at + 1;
                lexer.until(lexer.at, inside, b"]");
            }
            b'$' if dialect.dollars => dollars(&mut lexer, dialect),
            _ if is_of_word(byte) => {
                let word = word(&mut lexer);
                if matches!(lexer.byte(), Some(b'\'' | b'"')) {
                    string(&mut lexer, dialect, word);
                }
            }
            _ => lexer.at += 1,
        }
    }
    lexer.finish()
}

/// Passes over a name, which may have a dollar in it.
fn word<'a>(lexer: &mut Lexer<'a>) -> &'a [u8] {
    let start = lexer.at;
    while lexer.byte().is_some_and(|byte| is_of_word(byte) || byte == b'$') {
        lexer.at += 1;
    }
    &lexer.bytes[start..lexer.at]
}

/// Reads the string or the name whose quote is at the place, behind a word that may be its prefix.
fn string(lexer: &mut Lexer<'_>, dialect: Dialect, before: &[u8]) {
    let is_prefix = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| before.eq_ignore_ascii_case(prefix));
    let quote = lexer.bytes[lexer.at];
    let prefixes: &[&[u8]] = if dialect.double {
        &[b"r", b"b", b"rb", b"br", b"n", b"x"]
    } else if quote == b'\'' {
        &[b"n", b"e", b"b", b"x", b"q", b"nq"]
    } else {
        &[]
    };
    let start = lexer.at - if is_prefix(prefixes) { before.len() } else { 0 };
    let alternative: &[&[u8]] = &[b"q", b"nq"];
    if dialect.alternative && quote == b'\'' && is_prefix(alternative) && lexer.rest().len() > 1 {
        return of_alternative(lexer, start);
    }
    let triple = dialect.double && lexer.is_at(&[quote; 3]);
    let is_escaping = (dialect.backslash && (quote == b'\'' || dialect.double))
        || (dialect.tags && is_prefix(&[b"e" as &[u8]]));
    let sign: fn(&[u8]) -> usize = match (is_escaping, triple) {
        (true, true) => escape,
        (true, false) => escape_or_doubled,
        (false, _) => doubled,
    };
    lexer.quoted((start, lexer.at), triple, true, sign);
}

/// Reads `q'[…]'`, whose quote is at the place.
fn of_alternative(lexer: &mut Lexer<'_>, start: usize) {
    let open = lexer.bytes[lexer.at + 1];
    let close = match open {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        other => other,
    };
    // A character of several bytes is one that nobody takes.
    let inside = lexer.at + 2;
    lexer.until(start, inside, &[close, b'\'']);
}

/// Reads `$$…$$` and `$tag$…$tag$`, whose dollar is at the place.
fn dollars(lexer: &mut Lexer<'_>, dialect: Dialect) {
    let start = lexer.at;
    let tag = if dialect.tags {
        let rest = &lexer.rest()[1..];
        let is_name = rest.first().is_some_and(|byte| !byte.is_ascii_digit());
        let length = rest.iter().take_while(|byte| is_of_word(**byte)).count();
        if is_name { length } else { 0 }
    } else {
        0
    };
    let end = start + 1 + tag;
    if lexer.bytes.get(end) != Some(&b'$') {
        lexer.at = end;
        return;
    }
    let opening = &lexer.bytes[start..=end];
    lexer.until(start, end + 1, opening);
}

/// Two quotes are one in a string.
fn doubled(rest: &[u8]) -> usize {
    match rest {
        [first @ (b'\'' | b'"' | b'`'), second, ..] if first == second => 2,
        _ => 0,
    }
}

fn escape_or_doubled(rest: &[u8]) -> usize {
    escape(rest).max(doubled(rest))
}
