//! Cuts a text into SQL statements as the CLI does.
//!
//! Only where the API holds several statements in one string does the layout need this: a file of
//! statements has an empty line between them.

/// Returns the statements, each with its `;`, trimmed; empty ones are dropped. As in the CLI, a `;` is empty only
/// directly after another one: with white space between them it is a statement.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(';') {
            push(&mut statements, &text[from..=at]);
            from = at + 1;
        }
        at += opaque(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    push(&mut statements, &text[from..]);
    statements
}

fn push(statements: &mut Vec<String>, statement: &str) {
    let trimmed = statement.trim();
    if !trimmed.is_empty() && statement != ";" {
        statements.push(trimmed.to_owned());
    }
}

/// Returns the length of a quotation or comment that the text begins with; a `;` inside it ends
/// no statement. One that does not end is none.
fn opaque(text: &str) -> Option<usize> {
    let ended = |open: usize, end: &str| text.get(open..)?.find(end).map(|at| open + at + end.len());
    let line = || Some(text.find('\n').unwrap_or(text.len()));
    match text.as_bytes() {
        [b'$', b'$', ..] => ended(2, "$$"),
        [b'/', b'*', ..] => ended(2, "*/"),
        [b'/', b'/', ..] | [b'-', b'-', ..] | [b'#', ..] => line(),
        [quote @ (b'\'' | b'"'), ..] => quoted(text, *quote),
        _ => None,
    }
}

fn quoted(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && !escaped {
            return Some(at + 1);
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
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
        check("SELECT 'open; B", &["SELECT 'open;", "B"]);
    }
}
