//! The WIT package as what tools need of it: its worlds, resolved.

use wit_parser::{Resolve, SourceMap, WorldId};

/// Returns the package with one of its worlds.
///
/// # Panics
/// A world that the package does not have; the package itself is ours and whole.
pub(crate) fn resolved(world: &str) -> (Resolve, WorldId) {
    of(crate::WIT, world)
}

/// The same of a package whose files are given, for tests that change it.
pub(crate) fn of<T: Into<String>>(
    files: impl IntoIterator<Item = (&'static str, T)>,
    world: &str,
) -> (Resolve, WorldId) {
    let mut sources = SourceMap::default();
    for (path, text) in files {
        sources.push_str(path, text);
    }
    let package = sources
        .parse()
        .map_err(|(_, error)| error)
        .expect("our WIT parses");
    let mut resolve = Resolve::new();
    let package = resolve.push_group(package).expect("our WIT is whole");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in the package");
    (resolve, world)
}
