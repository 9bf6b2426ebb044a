//! What the body of a failure says to people: text, the message in a forge's JSON, or the headings of a page.

use serde_json::Value;

/// Of a page no more than this is said: it is there to be looked at.
const PAGE_CHARS_MAX: usize = 300;
const JSON_WORDS_MAX: usize = 5;
/// An object in a list in an object is as deep as they put it.
const LAYERS: usize = 5;

/// Returns what a body says, as it came; empty where it is of no known type.
pub(super) fn words(content_type: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match content_type {
        "text/plain" => text.into_owned(),
        "text/html" | "application/xhtml+xml" => of_page(&text),
        _ if content_type == "application/json" || content_type.ends_with("+json") => {
            let parsed = serde_json::from_slice(body);
            parsed.map_or_else(|_| String::new(), |value| of_json(&value))
        }
        _ => String::new(),
    }
}

/// The members in which forges put what they say, in the order in which it is told.
const MEMBERS: [&str; 7] = [
    "message",
    "error",
    "error_description",
    "errors",
    "title",
    "detail",
    "details",
];

fn of_json(value: &Value) -> String {
    let mut found: Vec<&str> = Vec::new();
    collect(value, LAYERS, &mut found);
    found.join("; ")
}

fn collect<'v>(value: &'v Value, layers: usize, found: &mut Vec<&'v str>) {
    if found.len() == JSON_WORDS_MAX || layers == 0 {
        return;
    }
    match value {
        Value::String(text) if !text.trim().is_empty() && !found.contains(&text.as_str()) => {
            found.push(text);
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, layers - 1, found)),
        Value::Object(members) => {
            for member in MEMBERS {
                if let Some(value) = members.get(member) {
                    collect(value, layers - 1, found);
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Elements whose content nobody sees.
const UNSEEN: [&str; 5] = ["script", "style", "svg", "noscript", "template"];

/// Returns the text of a page without its markup, shortened.
fn of_page(text: &str) -> String {
    let mut seen = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (before, markup) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        seen.push_str(&without_entities(before));
        if markup.is_empty() {
            break;
        }
        if let Some(comment) = markup.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((tag, behind)) = markup[1..].split_once('>') else {
            break;
        };
        // Words of one element are not part of those of the next.
        seen.push(' ');
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        rest = match UNSEEN.contains(&name.as_str()) {
            true => behind_element(behind, &name),
            false => behind,
        };
        if seen.len() > 8 * PAGE_CHARS_MAX {
            break;
        }
    }
    let seen = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    match seen.char_indices().nth(PAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &seen[..end]),
        None => seen,
    }
}

fn behind_element<'t>(text: &'t str, name: &str) -> &'t str {
    let end = format!("</{name}");
    // Letters of ASCII only change, so places are the same.
    let place = text.to_ascii_lowercase().find(&end);
    place.map_or("", |place| &text[place..])
}

fn without_entities(text: &str) -> String {
    let known = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let replace = |text: String, (entity, plain): (&str, &str)| text.replace(entity, plain);
    known.into_iter().fold(text.to_owned(), replace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forges_say_is_found_in_what_they_send() {
        for (content_type, body, expected) in [
            ("text/plain", "Permission denied\n", "Permission denied\n"),
            (
                "application/json",
                r#"{"message":"Repository access blocked","block":{"reason":"tos"},"documentation_url":"https://x"}"#,
                "Repository access blocked",
            ),
            (
                "application/json",
                r#"{"error":"insufficient_scope","error_description":"needs write_repository"}"#,
                "insufficient_scope; needs write_repository",
            ),
            (
                "application/vnd.api+json",
                r#"{"errors":[{"title":"a","detail":"b"},{"message":"c"}]}"#,
                "a; b; c",
            ),
            (
                "application/json",
                r#"{"type":"error","error":{"message":"Repository is archived"}}"#,
                "Repository is archived",
            ),
            ("application/json", r#"{"message":"cut o"#, ""),
            ("application/json", r#"{"id":7,"message":null}"#, ""),
            ("application/json", r#""no""#, "no"),
            (
                "text/html",
                "<!doctype html><html><head><title>403 Forbidden</title><style>h1 { color: red }</style>\
                 <SCRIPT>if (a < b) { alert('x') }</SCRIPT></head><!-- <b>no</b> --><body class=\"a\">\
                 <h1>IP allow list</h1>\n<p>Your address isn&#39;t <b>permitted</b> &lt;here&gt;</body></html>",
                "403 Forbidden IP allow list Your address isn't permitted <here>",
            ),
            ("text/html", "<html><h1>413 Too Large</h1", "413 Too Large"),
            ("text/html", "<script>never ends", ""),
            ("text/html", "", ""),
            ("image/png", "x", ""),
            ("", "x", ""),
        ] {
            assert_eq!(words(content_type, body.as_bytes()), expected, "{body}");
        }
        let long = words("text/html", format!("<p>{}</p>", "ž ".repeat(10_000)).as_bytes());
        assert_eq!(long.chars().count(), PAGE_CHARS_MAX + 1);
        // Deep nesting is not followed, and does not end the process.
        let deep = format!("{}1{}", "[".repeat(60_000), "]".repeat(60_000));
        assert_eq!(words("application/json", deep.as_bytes()), "");
    }
}
