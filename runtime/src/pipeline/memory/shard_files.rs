//! Which files shared files have, by shard, in a form that takes little room: a large project has tens of thousands.

use super::Shard;
use crate::packed::{Packed, read, text};
use mirror_core::{layout::IndexKind, path::MirrorPath};
use std::collections::BTreeSet;

/// Which files shards have.
#[derive(Debug, Default)]
pub(super) struct ShardFiles {
    /// The stored form of lists of paths, by that of their [`Shard`]. None is empty.
    rows: Packed,
    /// Those of days of runs: they are looked for with each commit, and there are few.
    days: BTreeSet<Shard>,
}

impl ShardFiles {
    pub(super) fn get(&self, shard: &Shard) -> Vec<MirrorPath> {
        let files = self.rows.get(&text(shard));
        files.map(|files| read(&files)).unwrap_or_default()
    }

    pub(super) fn contains(&self, shard: &Shard) -> bool {
        match shard.0 {
            IndexKind::JobDay => self.days.contains(shard),
            _ => self.rows.contains(&text(shard)),
        }
    }

    /// Sets the files of a shard; without any it goes.
    pub(super) fn set(&mut self, shard: &Shard, files: &[MirrorPath]) {
        if files.is_empty() {
            self.days.remove(shard);
            self.rows.remove(&text(shard));
        } else {
            self.note(shard);
            self.rows.insert(text(shard), text(&files));
        }
    }

    /// Takes in a row as it is stored.
    pub(super) fn restore(&mut self, shard: &Shard, row: String, files: String) {
        self.note(shard);
        self.rows.insert(row, files);
    }

    fn note(&mut self, shard: &Shard) {
        if shard.0 == IndexKind::JobDay {
            self.days.insert(shard.clone());
        }
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = Shard> {
        self.rows.iter().map(|(shard, _)| read(&shard))
    }

    /// Returns the days of runs that have files.
    pub(super) fn days(&self) -> impl Iterator<Item = &Shard> {
        self.days.iter()
    }

    /// Returns all of it in its stored form.
    pub(super) fn rows(&self) -> impl Iterator<Item = (String, String)> + Send {
        self.rows.iter()
    }

    /// Returns the files of a shard in their stored form.
    pub(super) fn row(&self, shard: &str) -> Option<String> {
        self.rows.get(shard)
    }

    /// Returns how many bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    pub(super) fn pack_worthwhile(&mut self) {
        self.rows.pack_worthwhile();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_among_them_and_those_without_files_are_not_there() {
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
        assert!(files.days().eq([&day]));
        assert_eq!(files.shards().count(), 3);
        assert_eq!(files.get(&day), [path("jobs/1"), path("jobs/2")]);
        files.set(&day, &[]);
        assert!(!files.contains(&day) && files.get(&day).is_empty());
        assert_eq!(files.days().count(), 0);
        for (shard, _) in files.rows().collect::<Vec<_>>() {
            files.set(&read(&shard), &[]);
        }
        assert_eq!(files.bytes(), 0);
    }
}
