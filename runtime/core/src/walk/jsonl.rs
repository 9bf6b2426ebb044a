//! JSON Lines: one JSON value a line.

use super::{
    Format, Malformed,
    json::{Growing, Parser, Sink, Tree},
};

/// Parses the lines into one tree with a root for each line that is not empty.
pub(super) fn parse(text: &str) -> Result<Tree, Malformed> {
    let mut parser = Parser::new(text, Format::JsonLines, Growing::new());
    read(text, &mut parser)?;
    Ok(parser.finish())
}

/// Reads each line that is not empty.
///
/// A raw line break cannot occur inside of a JSON string, so cutting at line breaks is safe.
pub(super) fn read<S: Sink>(text: &str, parser: &mut Parser<'_, S>) -> Result<(), Malformed> {
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = start + line.len();
        // White space of JSON: a form feed, which is one of ASCII, would make a line that no reader takes.
        if !line
            .bytes()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        {
            parser.root(Some(number), start..end)?;
        }
        start = end;
    }
    Ok(())
}
