//! A draft: the objects of one push while they are made, commit after commit.

#[cfg(test)]
mod tests;

use crate::{
    commit::{self, CommitText},
    data::{Data, Place, Scratch},
    encoder::{self, Encoder},
    error::{StoreError, WriteError},
    objects::Source,
    outgoing::{Local, Outgoing, PendingPush},
    pack::{self, Assembled},
    read::{self, FileDifference, TreeEntry},
    ref_update::{RefUpdate, RefUpdates},
    refname::RefName,
    run::{KeptRun, Run, Runs},
    signing::SigningKey,
    store::Store,
    tree::{BaseTree, Entry, NewTree, TreeWriter, Trees},
};
use gix::objs::Kind;
use mirror_core::{commit::GuardedMessage, ids::Oid, path::MirrorPath};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

/// Gathers the new objects of one or more commits, to be stored and pushed as one pack.
///
/// A later tree may be based on an earlier one of the same draft. Nothing is on disk until [`Store::save`]. What replaces
/// something is sent as its difference from that, wherever the store still has it.
#[derive(Debug)]
pub struct Draft<'s> {
    store: &'s Store,
    /// One for each thread that compresses; the first one is always there.
    encoders: Vec<Encoder>,
    /// What is made and waits for the end.
    scratch: Scratch,
    /// Whole ones and deltas, as they are sent.
    blobs: Vec<KeptRun>,
    /// The whole form of those that are sent as deltas, compressed or not: the bases of what comes next.
    whole_blobs: Vec<KeptRun>,
    blob_places: HashMap<Oid, BlobPlace>,
    trees_and_commits: Runs,
    /// Trees and commits as they are before compression, to be read again by the next commit.
    readable: HashMap<Oid, Readable>,
    /// So many deltas lead from one of these objects to a whole one; others are whole.
    depths: HashMap<Oid, u8>,
    /// Blobs that later ones were written over.
    replaced: HashSet<Oid>,
    /// Trees of the store that those of the draft share directories with.
    bases: Vec<Oid>,
    /// Parents of commits that are not in the draft.
    parents: Vec<Oid>,
    /// What deltas of the draft refer to and the remote has. It is never sent: sent as a delta itself, it might lead in a
    /// circle (two files that change places, a change that is taken back).
    external: HashSet<Oid>,
    /// What was not sent for that reason.
    skipped: HashSet<Oid>,
    /// So many of what is readable are trees.
    trees: usize,
    /// So many times a tree with all below it was written.
    written_trees: usize,
    /// The old blobs that the store did not have, since it last had one.
    misses: usize,
    pub(crate) helpers: Helpers,
}

/// What the threads that help are measured with, if they are, and what they have taken of the processor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Helpers {
    pub(crate) clock: Option<fn() -> Duration>,
    pub(crate) took: Duration,
}

#[derive(Debug)]
struct Readable {
    kind: Kind,
    raw: Data,
}

/// Where a blob's whole form, or else its only one, is. There may be hundreds of thousands of them.
#[derive(Debug, Clone, Copy)]
struct BlobPlace {
    in_whole: bool,
    run: u32,
    row: u32,
}

/// New blobs, compressed.
#[derive(Debug, Default)]
pub(crate) struct EncodedBlobs {
    /// As they are sent.
    pub(crate) sent: Run,
    /// The whole form of those that are sent as deltas, not compressed unless that had to be tried.
    pub(crate) whole: Run,
}

/// The same, put aside.
#[derive(Debug)]
pub(crate) struct KeptBlobs {
    sent: KeptRun,
    whole: KeptRun,
}

impl EncodedBlobs {
    /// Adds a blob in its shortest form; `base` may be a blob that it is similar to.
    pub(crate) fn push(
        &mut self,
        encoder: &mut Encoder,
        id: Oid,
        content: &[u8],
        base: Option<&(Oid, Vec<u8>)>,
    ) {
        let delta = base.and_then(|(base, old)| Some((*base, encoder.difference(old, content)?)));
        let Some((base, delta)) = delta else {
            self.sent.push(encoder, id, Kind::Blob, content);
            return;
        };
        self.sent.push_delta(encoder, id, base, &delta);
        if delta.len() <= content.len() / CLEARLY {
            self.whole.push_stored(encoder, id, Kind::Blob, content);
            return;
        }
        self.whole.push(encoder, id, Kind::Blob, content);
        let [sent, whole] = [&self.sent, &self.whole].map(|run| run.entry(run.len() - 1).bytes.len());
        if whole <= sent {
            // It compresses better than it differs.
            let content = self.whole.pop();
            self.sent.pop();
            self.sent.push_encoded(&content.entry(0));
        }
    }
}

/// The most that forges accept in one push.
const PACK_BYTES_MAX: u64 = 2 << 30;
/// The longest chain of deltas; the value is Git's own.
const DEPTH_MAX: u8 = 50;
/// What is smaller is not worth a delta, which costs the name of its base.
const DELTA_TARGET_BYTES_MIN: usize = 64;
/// A delta so many times shorter than its target is shorter than that compressed, too.
const CLEARLY: usize = 8;
/// What only stays here, for the next push, is not compressed up to this size: it would take more time than it saves.
const STORED_BYTES_MAX: usize = 4 << 10;
/// After so many old blobs that the store did not have, one after the other, it is not asked for any more: it is new here.
const MISSES_MAX: usize = 256;

impl<'s> Draft<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        Self {
            store,
            encoders: vec![Encoder::new()],
            scratch: Scratch::new(&store.place()),
            blobs: Vec::new(),
            whole_blobs: Vec::new(),
            blob_places: HashMap::new(),
            trees_and_commits: Runs::default(),
            readable: HashMap::new(),
            depths: HashMap::new(),
            replaced: HashSet::new(),
            bases: Vec::new(),
            parents: Vec::new(),
            external: HashSet::new(),
            skipped: HashSet::new(),
            trees: 0,
            written_trees: 0,
            misses: 0,
            helpers: Helpers::default(),
        }
    }

    /// Gives a clock of the processor's time of the thread that asks, which helping threads are measured with.
    pub fn measure_helpers(&mut self, clock: Option<fn() -> Duration>) {
        self.helpers.clock = clock;
    }

    /// Returns what helping threads have taken of the processor since it was asked last, if they are measured.
    pub fn helped(&mut self) -> Duration {
        std::mem::take(&mut self.helpers.took)
    }

    /// Starts a tree on top of `base`, which the draft or the store has; none is the empty tree.
    ///
    /// # Errors
    /// A base that is not there (fetch it), or cannot be read.
    pub fn tree_writer(&mut self, base: Option<Oid>) -> Result<TreeWriter<'_, 's>, WriteError> {
        TreeWriter::new(self, base)
    }

    /// Makes a commit and returns its id. The same arguments give the same id anywhere, at any time.
    ///
    /// # Errors
    /// A name, e-mail or message that a commit cannot hold.
    pub fn commit(
        &mut self,
        tree: Oid,
        parents: &[Oid],
        message: &GuardedMessage,
    ) -> Result<Oid, WriteError> {
        self.commit_text(tree, parents, message.into(), None)
    }

    /// Makes a signed commit and returns its id. The same arguments give the same id, too.
    ///
    /// # Errors
    /// A name, e-mail or message that a commit cannot hold.
    pub fn commit_signed(
        &mut self,
        tree: Oid,
        parents: &[Oid],
        message: &GuardedMessage,
        key: &SigningKey,
    ) -> Result<Oid, WriteError> {
        self.commit_text(tree, parents, message.into(), Some(key))
    }

    pub(crate) fn commit_text(
        &mut self,
        tree: Oid,
        parents: &[Oid],
        text: CommitText<'_>,
        key: Option<&SigningKey>,
    ) -> Result<Oid, WriteError> {
        let raw = commit::encode(tree, parents, text, key)?;
        self.add_base(tree);
        let id = pack::object_id(Kind::Commit, &raw).ok_or(WriteError::BadText {
            what: "message",
            problem: "is an attack on SHA-1",
        })?;
        for parent in parents {
            if !self.has(*parent) && !self.parents.contains(parent) {
                self.parents.push(*parent);
            }
        }
        if !self.has(id) {
            let run = self.trees_and_commits.open(&mut self.scratch)?;
            run.push(&mut self.encoders[0], id, Kind::Commit, &raw);
            self.keep_readable(id, Kind::Commit, raw)?;
        }
        Ok(id)
    }

    /// As [`Store::entry`], with the trees of the draft.
    ///
    /// # Errors
    /// As [`Store::entry`].
    pub fn entry(&self, tree: Oid, path: &MirrorPath) -> Result<Option<TreeEntry>, StoreError> {
        read::entry(self, tree, path)
    }

    /// As [`Store::differences`], with the trees of the draft.
    ///
    /// # Errors
    /// As [`Store::files_below`].
    pub fn differences(
        &self,
        before: Option<Oid>,
        after: Oid,
        directory: Option<&MirrorPath>,
    ) -> Result<impl Iterator<Item = Result<FileDifference, StoreError>> + '_, StoreError> {
        read::differences(self, before, after, directory)
    }

    /// Returns the tree of a commit that the draft or the store has.
    ///
    /// # Errors
    /// A commit that is not there (fetch it), or cannot be read.
    pub fn tree_of(&self, commit: Oid) -> Result<Oid, StoreError> {
        Ok(commit::read(self, commit)?.tree)
    }

    /// Returns whether the draft has no objects, so that there is nothing to push.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readable.is_empty() && self.blob_places.is_empty()
    }

    /// Returns the size of the pack so far, in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.blobs.iter().map(KeptRun::byte_len).sum::<u64>() + self.trees_and_commits.byte_len()
    }

    /// Turns the draft into a push of `new`, to be sent if the branch still is at `expected_old` (none: if there is no
    /// such branch).
    ///
    /// # Errors
    /// More bytes than a push may have.
    pub fn into_push(
        self,
        refname: RefName,
        expected_old: Option<Oid>,
        new: Oid,
    ) -> Result<PendingPush, WriteError> {
        self.into_push_with(refname, expected_old, new, Vec::new())
    }

    /// The same with updates of other branches in the same push: to commits of the draft, or to ones that the remote has.
    ///
    /// # Errors
    /// More bytes than a push may have, or updates that do not go together.
    pub fn into_push_with(
        mut self,
        refname: RefName,
        expected_old: Option<Oid>,
        new: Oid,
        others: Vec<RefUpdate>,
    ) -> Result<PendingPush, WriteError> {
        let first = RefUpdate::to(refname, expected_old, new);
        let updates = RefUpdates::new(std::iter::once(first).chain(others).collect())?;
        let bytes = self.byte_len();
        if bytes > PACK_BYTES_MAX {
            return Err(WriteError::TooLarge {
                bytes,
                bytes_max: PACK_BYTES_MAX,
            });
        }
        let rests_on_parents = self.rests_on_parents()?;
        let tips: Vec<Oid> = updates.iter().filter_map(RefUpdate::new_tip).collect();
        let trees_and_commits = std::mem::take(&mut self.trees_and_commits).keep(&mut self.scratch)?;
        let local = self.local(&tips, &trees_and_commits)?;
        let Self {
            store,
            blobs: mut runs,
            bases,
            replaced,
            skipped,
            readable,
            blob_places,
            whole_blobs,
            ..
        } = self;
        // The pack has it all once more.
        drop((readable, blob_places, whole_blobs));
        runs.extend(trees_and_commits);
        let mut sent = Assembled::new(runs, store.place())?;
        if !rests_on_parents {
            sent.miss(skipped);
            sent = sent.completed(store.objects())?.into_owned();
        }
        let outgoing = Outgoing {
            sent,
            local,
            replaced,
        };
        let objects = Some(store.shared_objects());
        Ok(PendingPush::new(updates, new, outgoing, bases, objects))
    }

    /// Returns whether the remote is certain to have the bases of deltas: what the pushed commits stand on.
    fn rests_on_parents(&self) -> Result<bool, StoreError> {
        let mut trees = Vec::with_capacity(self.parents.len());
        for parent in &self.parents {
            match commit::read(self.store.objects(), *parent) {
                Ok(commit) => trees.push(commit.tree),
                Err(StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bases.iter().all(|base| trees.contains(base)))
    }

    /// Returns what of the draft is worth keeping here, as whole objects: all commits, the trees that the next push may be
    /// built on, and the newest blobs, which it may be the difference to. None if that is what is sent.
    fn local(&mut self, tips: &[Oid], trees_and_commits: &[KeptRun]) -> Result<Option<Local>, StoreError> {
        let trees = self.trees_of_tips(tips)?;
        let blob_bytes: u64 = self.blobs.iter().map(KeptRun::byte_len).sum();
        let has_deltas = trees_and_commits
            .iter()
            .chain(&self.blobs)
            .any(KeptRun::has_deltas);
        if !has_deltas && blob_bytes <= Store::BLOB_BYTES_MAX && trees.len() == self.trees {
            return Ok(None);
        }
        let place = self.store.place();
        let mut scratch = Scratch::new(&place);
        let mut kept = Runs::default();
        let mut room = Store::BLOB_BYTES_MAX;
        let mut blobs = Vec::new();
        for run in self.whole_blobs.iter().chain(&self.blobs).rev() {
            let run = run.read()?;
            for entry in run.entries() {
                if self.replaced.contains(&entry.id) || entry.base.is_some() {
                    continue;
                }
                let mut shorter = Run::default();
                let mut entry = entry;
                let is_long = entry.bytes.len() > STORED_BYTES_MAX && room > STORED_BYTES_MAX as u64;
                if is_long && encoder::is_stored(entry.bytes) {
                    let (kind, content) =
                        encoder::decode_whole(entry.bytes).expect("what we encoded is whole");
                    shorter.push(&mut self.encoders[0], entry.id, kind, &content);
                    entry = shorter.entry(0);
                }
                let bytes = entry.bytes.len() as u64;
                if bytes <= room {
                    room -= bytes;
                    blobs.push(entry.id);
                    kept.open(&mut scratch)?.push_encoded(&entry);
                }
            }
        }
        let mut written = HashSet::new();
        for run in trees_and_commits {
            let run = run.read()?;
            for entry in run.entries().filter(|entry| entry.base.is_none()) {
                let is_commit =
                    || matches!(self.readable.get(&entry.id), Some(found) if found.kind == Kind::Commit);
                if trees.contains(&entry.id) || is_commit() {
                    kept.open(&mut scratch)?.push_encoded(&entry);
                    written.insert(entry.id);
                }
            }
        }
        for id in trees.iter().filter(|id| !written.contains(*id)) {
            let raw = self.readable[id].raw.read_all()?;
            let run = kept.open(&mut scratch)?;
            // Its ids, most of it, cannot be compressed.
            run.push_stored(&mut self.encoders[0], *id, Kind::Tree, &raw);
        }
        let assembled = Assembled::new(kept.keep(&mut scratch)?, place)?;
        Ok(Some(Local {
            pack: assembled.pack(),
            blobs,
        }))
    }

    /// Returns the draft's own trees of commits.
    fn trees_of_tips(&self, tips: &[Oid]) -> Result<BTreeSet<Oid>, StoreError> {
        if self.written_trees == 1 {
            let is_tree = |readable: &Readable| readable.kind == Kind::Tree;
            let trees = self.readable.iter().filter(|(_, found)| is_tree(found));
            return Ok(trees.map(|(id, _)| *id).collect());
        }
        let mut trees = BTreeSet::new();
        // What is not of the draft has its trees elsewhere.
        let own = tips.iter().filter(|tip| self.readable.contains_key(*tip));
        let mut open: Vec<Oid> = own
            .filter_map(|tip| Some(commit::read(self, *tip).ok()?.tree))
            .collect();
        while let Some(tree) = open.pop() {
            let Some(found) = self.readable.get(&tree) else {
                continue;
            };
            if trees.insert(tree) {
                let entries = BaseTree::parse(tree, found.raw.read_all()?.into())?;
                open.extend(entries.entries().filter(Entry::is_tree).map(|entry| entry.id));
            }
        }
        Ok(trees)
    }

    /// Notes a tree that the draft's own build on, unless it is one of them.
    pub(crate) fn add_base(&mut self, tree: Oid) {
        if !self.has(tree) && !self.bases.contains(&tree) {
            self.bases.push(tree);
        }
    }

    pub(crate) fn has(&self, id: Oid) -> bool {
        self.readable.contains_key(&id) || self.blob_places.contains_key(&id)
    }

    /// Returns where files without a name may be.
    pub(crate) fn place(&self) -> Place {
        self.store.place()
    }

    pub(crate) fn encoders(&mut self) -> &mut Vec<Encoder> {
        &mut self.encoders
    }

    fn keep_readable(&mut self, id: Oid, kind: Kind, raw: Vec<u8>) -> Result<(), StoreError> {
        let raw = self.scratch.keep(raw)?;
        self.readable.insert(id, Readable { kind, raw });
        Ok(())
    }

    /// Puts new blobs aside until it is known which of them stay.
    pub(crate) fn keep_blobs(&mut self, blobs: EncodedBlobs) -> Result<KeptBlobs, StoreError> {
        let EncodedBlobs { sent, whole } = blobs;
        Ok(KeptBlobs {
            sent: sent.keep(&mut self.scratch)?,
            whole: whole.keep(&mut self.scratch)?,
        })
    }

    /// Returns how deep a delta on this object would be; none if that is too deep.
    fn next_depth(&self, base: Oid) -> Option<u8> {
        let depth = self.depths.get(&base).copied().unwrap_or_default() + 1;
        (depth <= DEPTH_MAX).then_some(depth)
    }

    /// Returns the content that a new blob may be said as the difference to, if it is at hand.
    pub(crate) fn blob_base(&mut self, old: Oid, new: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if new.len() < DELTA_TARGET_BYTES_MIN || self.next_depth(old).is_none() {
            return Ok(None);
        }
        if self.blob_places.contains_key(&old) {
            return Ok(self.find(old)?.map(|(_, content)| content));
        }
        if self.misses >= MISSES_MAX {
            return Ok(None);
        }
        let found = self.store.blob(old)?;
        if found.is_some() {
            self.misses = 0;
            self.note_base(old);
        } else {
            self.misses += 1;
        }
        Ok(found)
    }

    fn note_base(&mut self, base: Oid) {
        if !self.has(base) {
            self.external.insert(base);
        }
    }

    /// Returns whether an object need not be sent, and must not be, since deltas refer to it as one that the remote has.
    pub(crate) fn is_external(&mut self, id: Oid) -> bool {
        let is_external = self.external.contains(&id);
        if is_external {
            self.skipped.insert(id);
        }
        is_external
    }

    /// Adds those of the blobs of a tree that are wanted, each once, and notes which they were written over. Returns how many
    /// they are.
    ///
    /// # Errors
    /// A scratch file that cannot be read or written.
    pub(crate) fn add_blobs(
        &mut self,
        kept: Vec<KeptBlobs>,
        wanted: impl Fn(&Oid) -> bool,
        replaced: Vec<Oid>,
    ) -> Result<usize, StoreError> {
        self.written_trees += 1;
        let mut added = 0;
        for KeptBlobs { mut sent, mut whole } in kept {
            let is_new = |id: &Oid| wanted(id) && !self.blob_places.contains_key(id);
            sent.retain(is_new, &mut self.scratch)?;
            whole.retain(is_new, &mut self.scratch)?;
            for (in_whole, run) in [(false, sent), (true, whole)] {
                if run.len() == 0 {
                    continue;
                }
                let runs = if in_whole {
                    &mut self.whole_blobs
                } else {
                    added += run.len();
                    &mut self.blobs
                };
                let number = u32::try_from(runs.len()).expect("each run has an object");
                for ((id, base), row) in run.ids()?.into_iter().zip(0..) {
                    let place = BlobPlace {
                        in_whole,
                        run: number,
                        row,
                    };
                    self.blob_places.insert(id, place);
                    if let Some(base) = base {
                        let depth = self.depths.get(&base).copied().unwrap_or_default();
                        self.depths.insert(id, depth + 1);
                    }
                }
                runs.push(run);
            }
        }
        self.replaced.extend(replaced);
        Ok(added)
    }
}

impl Trees for Draft<'_> {
    fn add_tree(&mut self, tree: NewTree) -> Result<bool, StoreError> {
        let NewTree { id, raw, old } = tree;
        if self.has(id) || self.is_external(id) {
            return Ok(false);
        }
        let old = old.filter(|_| raw.len() >= DELTA_TARGET_BYTES_MIN);
        let base = old.and_then(|(base, old)| Some((base, self.next_depth(base)?, old)));
        let delta = base.and_then(|(base, depth, old)| {
            let delta = self.encoders[0].difference(&old, &raw)?;
            Some((base, depth, delta))
        });
        let run = self.trees_and_commits.open(&mut self.scratch)?;
        match delta {
            Some((base, depth, delta)) => {
                run.push_delta(&mut self.encoders[0], id, base, &delta);
                self.note_base(base);
                self.depths.insert(id, depth);
            }
            None => run.push(&mut self.encoders[0], id, Kind::Tree, &raw),
        }
        self.keep_readable(id, Kind::Tree, raw)?;
        self.trees += 1;
        Ok(true)
    }
}

impl Source for Draft<'_> {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        if let Some(Readable { kind, raw }) = self.readable.get(&id) {
            return Ok(Some((*kind, raw.read_all()?.into())));
        }
        let Some(place) = self.blob_places.get(&id) else {
            return self.store.find(id);
        };
        let runs = if place.in_whole {
            &self.whole_blobs
        } else {
            &self.blobs
        };
        let entry = runs[place.run as usize].entry_bytes(place.row as usize)?;
        let found = encoder::decode_whole(&entry);
        Ok(Some(found.expect("what we encoded is whole")))
    }
}
