//! Trees and streams for the other writers, made without the engine.

use std::{collections::BTreeMap, fmt::Write as _};

/// Returns a stream for `git fast-import` that makes one commit of these files on `main`.
#[must_use]
pub fn fast_import(files: &[(String, String)], from: Option<&str>) -> String {
    let mut stream =
        String::from("commit refs/heads/main\ncommitter B <b@example.com> 1700000000 +0000\ndata 1\nx\n");
    if let Some(from) = from {
        writeln!(stream, "from {from}").unwrap_or_default();
    }
    for (path, content) in files {
        write!(
            stream,
            "M 100644 inline {path}\ndata {}\n{content}\n",
            content.len()
        )
        .unwrap_or_default();
    }
    stream
}

/// A name in a directory.
#[derive(Debug)]
enum Node {
    File(Vec<u8>),
    Directory(BTreeMap<String, Node>),
}

/// Writes the trees of a whole project, given the binary ids of its files; `write` stores a tree and returns its id.
///
/// # Errors
/// Those of `write`.
pub fn write_trees<E>(
    files: &[(String, Vec<u8>)],
    write: &mut impl FnMut(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut root = BTreeMap::new();
    for (path, id) in files {
        let mut directory = &mut root;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_none() {
                directory.insert(segment.to_owned(), Node::File(id.clone()));
                break;
            }
            let node = directory.entry(format!("{segment}/"));
            match node.or_insert_with(|| Node::Directory(BTreeMap::new())) {
                Node::Directory(inside) => directory = inside,
                Node::File(_) => break,
            }
        }
    }
    write_tree(&root, write)
}

fn write_tree<E>(
    directory: &BTreeMap<String, Node>,
    write: &mut impl FnMut(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    // A directory's key ends in `/`, so that the order is Git's.
    let mut raw = Vec::new();
    for (name, node) in directory {
        let (mode, id) = match node {
            Node::File(id) => ("100644", id.clone()),
            Node::Directory(inside) => ("40000", write_tree(inside, write)?),
        };
        raw.extend_from_slice(format!("{mode} {}\0", name.trim_end_matches('/')).as_bytes());
        raw.extend_from_slice(&id);
    }
    write(&raw)
}
