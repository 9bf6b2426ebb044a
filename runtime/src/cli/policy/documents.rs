//! Files of an author as documents of a mirror.

use super::touched::escaped;
use crate::{app::Failure, files};
use mirror_core::{
    document::{Document, DocumentKind, Leaves},
    path::MirrorPath,
    walk::{self, Format},
};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// A file to be judged.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// How messages call it.
    pub(super) name: String,
    file: PathBuf,
    /// Where it would lie in a repository.
    path: String,
}

/// A text that can be judged.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) path: String,
    pub(super) format: Format,
    pub(super) text: String,
    pub(super) document: Document,
}

/// Bytes of one file. Larger ones are no files of a mirror.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is in a file.
pub(super) enum Content {
    Text(Judged),
    NoText,
    TooLarge,
}

impl Source {
    /// Reads and cuts the file; none where it is no text, or too large.
    pub(super) fn read(&self) -> Result<Option<Judged>, Failure> {
        match self.content() {
            Ok(Content::Text(judged)) => Ok(Some(judged)),
            Ok(Content::NoText | Content::TooLarge) => Ok(None),
            Err(error) => Err(Failure::usage(format!(
                "cannot read `{}`: {error}",
                escaped(&self.name)
            ))),
        }
    }

    /// The same, and says which of both it is.
    ///
    /// # Errors
    /// What cannot be read, or is no regular file.
    pub(super) fn content(&self) -> io::Result<Content> {
        match files::read(&self.file, FILE_BYTES_MAX) {
            Ok(bytes) => Ok(String::from_utf8(bytes).map_or(Content::NoText, |text| {
                Content::Text(Judged::new(&self.path, text))
            })),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(Content::TooLarge),
            Err(error) => Err(error),
        }
    }
}

impl Judged {
    /// Cuts a text as the file of this path would be; one that is not what its path says is taken for plain text.
    pub(super) fn new(path: &str, text: String) -> Self {
        let format = Format::of(path);
        let (format, leaves) = match walk::leaves(format, &text) {
            Ok(leaves) => (format, leaves),
            Err(_) => (
                Format::Text,
                walk::leaves(Format::Text, &text).unwrap_or_default(),
            ),
        };
        Self::of(path, format, text, leaves)
    }

    /// The same for a text of which nothing is known: JSON where it can be read so.
    pub(super) fn guessed(text: String) -> Self {
        let looks_like_json = text.trim_start().starts_with(['{', '[']);
        match walk::leaves(Format::Json, &text) {
            Ok(leaves) if looks_like_json => Self::of("document.json", Format::Json, text, leaves),
            _ => Self::new("document.txt", text),
        }
    }

    /// Cuts a file of a repository, of which more is known than its path says: whose it is. `below_root` is its path below the
    /// mirror's root.
    pub(super) fn committed(
        path: &MirrorPath,
        below_root: &str,
        (component, config): (&str, &str),
        text: String,
    ) -> Self {
        let judged = Self::new(below_root, text);
        let document = Document {
            path: Some(path.clone()),
            component_id: component.to_owned(),
            config_id: config.to_owned(),
            ..judged.document
        };
        Self { document, ..judged }
    }

    /// Takes a text that is no file: a name, a message.
    pub(super) fn text(document: Document) -> Self {
        let text = document
            .leaves
            .get(0)
            .map_or_else(String::new, |leaf| leaf.value.to_owned());
        Self {
            path: String::new(),
            format: Format::Text,
            text,
            document,
        }
    }

    /// Returns the same document with another text, which is cut anew.
    pub(super) fn with_text(&self, text: String) -> Self {
        let leaves = walk::leaves(self.format, &text).unwrap_or_default();
        Self {
            path: self.path.clone(),
            format: self.format,
            text,
            document: Document {
                leaves,
                ..self.document.clone()
            },
        }
    }

    fn of(path: &str, format: Format, text: String, leaves: Leaves) -> Self {
        let document = Document {
            path: MirrorPath::parse(path).ok(),
            kind: kind(path),
            component_id: component(path).to_owned(),
            config_id: String::new(),
            leaves,
        };
        Self {
            path: path.to_owned(),
            format,
            text,
            document,
        }
    }
}

/// Returns documents of each kind of file, to try a policy on. Nothing in them is real.
pub(super) fn samples() -> Vec<Judged> {
    SAMPLES
        .iter()
        .map(|(path, text)| Judged::new(path, (*text).to_owned()))
        .collect()
}

const SAMPLES: [(&str, &str); 10] = [
    (
        "configs/main/extractor/keboola.ex-db-mysql/orders/config.json",
        r##"{"parameters": {"db": {"host": "db.example.com", "user": "reader", "#password": "KBC::ProjectSecure::eJwBQAGm", "port": 3306}, "query": "SELECT * FROM customers WHERE mail = 'jane@example.org'"}}"##,
    ),
    (
        "configs/main/extractor/keboola.ex-db-mysql/orders/rows/daily/config.json",
        r##"{"parameters": {"#token": 12345, "list": [true, null, -1.5e3, "ř", ""], "nested": {"a/b~c": {"": "x"}}}}"##,
    ),
    (
        "configs/main/transformation/keboola.snowflake-transformation/clean/blocks/001-clean/001-orders/code.sql",
        "-- customers\nCREATE TABLE \"out\" AS\nSELECT id, mail FROM \"in\" WHERE number = 'CUST-00412345';\n",
    ),
    (
        "configs/main/transformation/keboola.python-transformation-v2/score/blocks/001-score/001-run/code.py",
        "import csv\n\nPASSWORD = 'Not-a-real-one-17'\nfor row in csv.reader(open('in/tables/orders.csv')):\n    print(row)\n",
    ),
    (
        "configs/main/extractor/keboola.ex-db-mysql/orders/description.md",
        "# Objednávky\n\nPište na jana.novakova@example.org, heslo dostanete tam. 🙂\n",
    ),
    (
        "configs-extra/keboola.ex-db-mysql/orders.json",
        r#"{"version": 3, "author": "jane@example.org"}"#,
    ),
    (
        "storage/metadata/in.c-main/orders.json",
        r#"{"id": "in.c-main.orders", "columns": [{"name": "id"}, {"name": "mail"}]}"#,
    ),
    (
        "storage/samples/in.c-main/orders.csv",
        "id,mail\n1,jane@example.org\n2,\"a \"\"quoted\"\" cell\"\n",
    ),
    (
        "jobs/2026/11/02.jsonl",
        "{\"runId\": \"1\", \"status\": \"SUCCESS\"}\n{\"runId\": \"2\", \"status\": \"FAILED\"}\n",
    ),
    ("configs/main/meta.json", "{}"),
];

/// Lists files: each that is named, and all regular ones below each directory that is named, in order. What cannot be listed
/// is among them: reading it says why.
pub(super) fn sources(paths: &[PathBuf]) -> Vec<Source> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            below(path, path, &mut sources);
        } else {
            let shown = path.display().to_string();
            // What is named by itself lies where it was found, from the layout's first directory on.
            let inside = inside(&shown).unwrap_or(&shown);
            sources.push(Source {
                path: inside.trim_start_matches(['.', '/']).to_owned(),
                name: shown.clone(),
                file: path.clone(),
            });
        }
    }
    sources
}

fn below(root: &Path, directory: &Path, sources: &mut Vec<Source>) {
    let source = |file: &Path| Source {
        name: file.display().to_string(),
        path: file
            .strip_prefix(root)
            .unwrap_or(file)
            .to_string_lossy()
            .into_owned(),
        file: file.to_owned(),
    };
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let Ok(listed) = listed else {
        sources.push(source(directory));
        return;
    };
    let mut entries: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.file_name().is_some_and(|name| name == ".git") {
            continue;
        }
        // Links are not followed, and pipes, sockets and devices have no content of their own.
        match fs::symlink_metadata(&entry) {
            Ok(kind) if kind.is_dir() => below(root, &entry, sources),
            Ok(kind) if !kind.is_file() => {}
            Ok(_) | Err(_) => sources.push(source(&entry)),
        }
    }
}

/// Returns a path from the first directory of the layout on.
fn inside(path: &str) -> Option<&str> {
    let roots = ["configs/", "configs-extra/", "storage/", "jobs/", "ai/"];
    let starts = roots.iter().flat_map(|root| path.match_indices(root));
    let start = starts
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || path.as_bytes()[at - 1] == b'/')
        .min()?;
    Some(&path[start..])
}

/// Returns what the renderer would say that a file is, by its path.
fn kind(path: &str) -> DocumentKind {
    let ends = |extension: &str| path.to_ascii_lowercase().ends_with(extension);
    if path.starts_with("configs-extra/") {
        DocumentKind::Extra
    } else if path.starts_with("storage/samples/") || ends(".csv") {
        DocumentKind::Sample
    } else if path.starts_with("storage/") {
        DocumentKind::Storage
    } else if path.starts_with("jobs/") {
        DocumentKind::Job
    } else if path.starts_with("ai/") || path.ends_with(".keboola/manifest.json") {
        DocumentKind::Index
    } else if ends(".md") {
        DocumentKind::Description
    } else if ends(".json") {
        if path.contains("/rows/") {
            DocumentKind::Row
        } else {
            DocumentKind::Config
        }
    } else {
        DocumentKind::Code
    }
}

/// Returns the component in whose directory a file lies.
pub(super) fn component(path: &str) -> &str {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("configs"), Some(_), Some(_), Some(component)) => component,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_path_says() {
        let config = "configs/main/extractor/keboola.ex-db-mysql/orders/config.json";
        assert_eq!(
            (kind(config), component(config)),
            (DocumentKind::Config, "keboola.ex-db-mysql")
        );
        for (path, expected) in [
            ("configs/main/extractor/x/y/rows/z/meta.json", DocumentKind::Row),
            (
                "configs/main/transformation/x/y/blocks/001-a/001-b/code.sql",
                DocumentKind::Code,
            ),
            (
                "configs/main/extractor/x/y/description.md",
                DocumentKind::Description,
            ),
            ("storage/samples/in.c-main/orders.csv", DocumentKind::Sample),
            ("storage/metadata/in.c-main/bucket.json", DocumentKind::Storage),
            ("jobs/2026/11/02.jsonl", DocumentKind::Job),
            ("configs-extra/x.json", DocumentKind::Extra),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
        assert_eq!(
            inside("/tmp/tree/configs/main/a.json"),
            Some("configs/main/a.json")
        );
        assert_eq!(inside("my-configs/a.json"), None);
    }

    #[test]
    fn what_is_not_what_its_path_says_is_text() {
        assert_eq!(Judged::new("a.json", "{\"a\": ".to_owned()).format, Format::Text);
        assert_eq!(Judged::guessed("[REDACTED]".to_owned()).format, Format::Text);
        assert_eq!(Judged::guessed("{\"a\": 1}".to_owned()).format, Format::Json);
        assert_eq!(Judged::guessed("17".to_owned()).format, Format::Text);
    }
}
