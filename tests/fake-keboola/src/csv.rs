//! CSV by RFC 4180, as far as data previews need it: cut columns, order rows, limit them.

/// Parses a text into records; quotes may hold line ends.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut begun) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ',' if !quoted => {
                record.push(std::mem::take(&mut field));
                begun = true;
            }
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
                begun = false;
            }
            '\r' if !quoted => {}
            other => {
                field.push(other);
                begun = true;
            }
        }
    }
    if begun {
        record.push(field);
        records.push(record);
    }
    records
}

/// Writes a record with all fields quoted.
pub(crate) fn write(fields: &[&str]) -> String {
    let quoted: Vec<String> = fields
        .iter()
        .map(|field| format!("\"{}\"", field.replace('"', "\"\"")))
        .collect();
    format!("{}\n", quoted.join(","))
}

/// Returns the first rows of the wanted columns (all, if none are named), ordered by some columns.
/// The error names a column that the header does not have.
pub(crate) fn select(
    text: &str,
    columns: &[String],
    order_by: &[String],
    limit: usize,
) -> Result<String, String> {
    let mut records = parse(text);
    if records.is_empty() {
        return Ok(String::new());
    }
    let header = records.remove(0);
    let place = |name: &String| {
        header
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| name.clone())
    };
    let order: Vec<usize> = order_by.iter().map(place).collect::<Result<_, _>>()?;
    let chosen: Vec<usize> = match columns {
        [] => (0..header.len()).collect(),
        columns => columns.iter().map(place).collect::<Result<_, _>>()?,
    };
    let field = |record: &[String], index: usize| record.get(index).cloned().unwrap_or_default();
    records.sort_by_cached_key(|record| {
        order
            .iter()
            .map(|index| field(record, *index))
            .collect::<Vec<_>>()
    });
    let line = |record: &Vec<String>| {
        let fields: Vec<&str> = chosen
            .iter()
            .map(|index| record.get(*index).map_or("", String::as_str))
            .collect();
        write(&fields)
    };
    Ok(std::iter::once(&header)
        .chain(records.iter().take(limit))
        .map(line)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\"id\",\"name\"\n\"b\",\"x,\"\"y\"\"\nz\"\na,plain\n";

    #[track_caller]
    fn check(columns: &[&str], order_by: &[&str], limit: usize, expected: Result<&str, &str>) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = select(TEXT, &names(columns), &names(order_by), limit);
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn columns_order_and_limit_are_applied_to_the_records() {
        check(
            &[],
            &[],
            9,
            Ok("\"id\",\"name\"\n\"b\",\"x,\"\"y\"\"\nz\"\n\"a\",\"plain\"\n"),
        );
        check(&["name"], &["id"], 1, Ok("\"name\"\n\"plain\"\n"));
        check(&["nope"], &[], 1, Err("nope"));
        check(&[], &["nope"], 1, Err("nope"));
    }
}
