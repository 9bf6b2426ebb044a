//! What an attempt did, in counts: the same on every machine, so that its cost can be tested.

/// Counts of one attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Objects whose place was asked for.
    pub inspected: usize,
    /// Objects that were rendered, each as often as it was.
    pub rendered: usize,
    /// Shards of shared files that were gathered, and the entries they were made of.
    pub gathered: usize,
    pub gathered_entries: usize,
    /// Files that were written into the tree, and their bytes, all of which were hashed.
    pub files: usize,
    pub bytes: usize,
    /// Git objects that were new.
    pub git_objects: usize,
    /// Rows of derived state that were stored.
    pub rows: usize,
}

impl Work {
    /// Adds what another part of the attempt did.
    pub fn add(&mut self, other: Self) {
        let Self {
            inspected,
            rendered,
            gathered,
            gathered_entries,
            files,
            bytes,
            git_objects,
            rows,
        } = other;
        self.inspected += inspected;
        self.rendered += rendered;
        self.gathered += gathered;
        self.gathered_entries += gathered_entries;
        self.files += files;
        self.bytes += bytes;
        self.git_objects += git_objects;
        self.rows += rows;
    }
}
