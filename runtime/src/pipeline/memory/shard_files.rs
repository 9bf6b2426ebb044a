//! Which files shared files have, by shard, in a form that takes little room: a large project has tens of thousands.

use super::Shard;
use crate::packed::{Packed, read, text};
use mirror_core::{layout::IndexKind, path::MirrorPath};

/// The stored form of lists of paths, by that of their [`Shard`]. None is empty.
#[derive(Debug, Default)]
pub(super) struct ShardFiles(Packed);

impl ShardFiles {
    pub(super) fn get(&self, shard: &Shard) -> Vec<MirrorPath> {
        let files = self.0.get(&text(shard));
        files.map(|files| read(&files)).unwrap_or_default()
    }

    pub(super) fn contains(&self, shard: &Shard) -> bool {
        self.0.contains(&text(shard))
    }

    /// Sets the files of a shard; without any it goes.
    pub(super) fn set(&mut self, shard: &Shard, files: &[MirrorPath]) {
        if files.is_empty() {
            self.0.remove(&text(shard));
        } else {
            self.0.insert(text(shard), text(&files));
        }
    }

    /// Takes in a row as it is stored.
    pub(super) fn restore(&mut self, shard: String, files: String) {
        self.0.insert(shard, files);
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = Shard> {
        self.0.iter().map(|(shard, _)| read(&shard))
    }

    /// Returns the shards of a kind without looking at the others.
    pub(super) fn of_kind(&self, kind: IndexKind) -> impl Iterator<Item = Shard> {
        let first = text(&(kind, ""));
        let prefix = first
            .strip_suffix(AFTER_SHARD)
            .expect("the shard comes last")
            .to_owned();
        let found: Vec<Shard> = self.0.prefixed(&prefix).map(|(shard, _)| read(&shard)).collect();
        found.into_iter()
    }

    /// Returns all of it in its stored form.
    pub(super) fn rows(&self) -> impl Iterator<Item = (String, String)> + Send {
        self.0.iter()
    }

    /// Returns the files of a shard in their stored form.
    pub(super) fn row(&self, shard: &str) -> Option<String> {
        self.0.get(shard)
    }

    /// Returns how many bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(super) fn pack_worthwhile(&mut self) {
        self.0.pack_worthwhile();
    }
}

/// What follows the name in the stored form of a shard.
const AFTER_SHARD: &str = "\"]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_found_by_kind_and_those_without_files_are_not_there() {
        let mut files = ShardFiles::default();
        let path = |path| MirrorPath::parse(path).expect("a path");
        let shard = |kind, shard: &str| (kind, shard.to_owned());
        let day = shard(IndexKind::JobDay, "2026/02/05");
        for one in [
            day.clone(),
            shard(IndexKind::JobHealth, ""),
            shard(IndexKind::Catalog, "a\"b"),
        ] {
            files.set(&one, &[path("jobs/1"), path("jobs/2")]);
        }
        assert_eq!(
            files.of_kind(IndexKind::JobDay).collect::<Vec<_>>(),
            std::slice::from_ref(&day)
        );
        assert_eq!(files.shards().count(), 3);
        assert_eq!(files.get(&day), [path("jobs/1"), path("jobs/2")]);
        files.set(&day, &[]);
        assert!(!files.contains(&day) && files.get(&day).is_empty());
        assert_eq!(files.of_kind(IndexKind::JobDay).count(), 0);
        for (shard, _) in files.rows().collect::<Vec<_>>() {
            files.set(&read(&shard), &[]);
        }
        assert_eq!(files.bytes(), 0);
    }
}
