//! The local object store: a cache from which the next commit is built.
//!
//! A bare repository that only this process uses. It holds the tips' trees and whatever was pushed lately, of blobs the
//! newest, so that their next version can be sent as the difference. Losing all of it costs one fetch, so of what is new here
//! nothing is synced: what a power cut damages is found by its checksum. Knows nothing of remotes.

mod fold;
mod known;
mod local_objects;
mod recall;
mod recent;
#[cfg(test)]
mod tests;

use crate::{
    commit::{self, CommitInfo},
    data::Place,
    disk::{self, at},
    draft::Draft,
    error::StoreError,
    layout,
    objects::{EMPTY_TREE, Source},
    outgoing::PendingPush,
    pack::{self, Durability, Pack},
    patience::lock_within,
    read::{self, FileDifference, Files, History, TreeEntry, TreeFile},
    ref_update::{PushReport, RefUpdate},
    refname::RefName,
};
use gix::objs::Kind;
pub(crate) use known::Known;
use known::KnownTips;
pub(crate) use local_objects::LocalObjects;
use mirror_core::{ids::Oid, path::MirrorPath};
use std::{
    collections::HashSet,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// The objects of one repository on this machine, and where its branches were when last confirmed.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    objects: Arc<LocalObjects>,
    upkeep: Mutex<Upkeep>,
    /// Held as long as the store is open; the system lets go of it when the process dies.
    _lock: File,
}

/// What must not be folded away although no tip needs it (yet).
#[derive(Debug, Default)]
struct Upkeep {
    pending: Vec<Pending>,
    known: KnownTips,
    /// As long as somebody relies on what is here, nothing is folded away.
    holders: usize,
    /// How often the store was emptied.
    resets: u64,
    /// Blobs that others were written over: no more of use.
    replaced: HashSet<Oid>,
    /// Since packs were counted there are more.
    has_new_packs: bool,
}

/// Keeps every object that is in the store now from being folded away, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'s> {
    store: &'s Store,
    resets: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.store.upkeep().holders -= 1;
    }
}

#[derive(Debug)]
struct Pending {
    pack: Oid,
    new: Vec<Oid>,
    alive: Weak<()>,
}

/// So long an owner that is just ending may hold the store still.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// So many blobs are remembered as replaced at most.
const REPLACED_MAX: usize = 1 << 16;
const TIPS: &str = "tips";
const OBJECTS: &str = "objects";
/// What is being removed; an open store has none.
const TRASH: &str = "trash";

impl Store {
    /// Opens the store in a directory of its own, which is created if need be.
    ///
    /// # Errors
    /// A directory that cannot be written, or that another process has open.
    pub fn open_or_create(directory: &Path) -> Result<Self, StoreError> {
        disk::create_directories(directory)?;
        let lock_path = directory.join("store.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(at(&lock_path))?;
        if !lock_within(&lock, LOCK_WAIT).map_err(at(&lock_path))? {
            return Err(StoreError::InUse {
                path: directory.to_owned(),
            });
        }
        // The directories may be missing although `HEAD` is there: the store was being emptied.
        let head = RefName::branch("main").expect("`main` names a branch");
        layout::create_bare(directory, &head)?;
        disk::create_directories(&directory.join(TIPS))?;
        fold::sweep_root(directory)?;
        fold::sweep(&directory.join("objects/pack"))?;
        let objects = LocalObjects::open(&directory.join(OBJECTS))?;
        Ok(Self {
            root: directory.to_owned(),
            objects: Arc::new(objects),
            upkeep: Mutex::new(Upkeep {
                has_new_packs: true,
                ..Upkeep::default()
            }),
            _lock: lock,
        })
    }

    /// Starts a push that is built from what the store has.
    #[must_use]
    pub fn draft(&self) -> Draft<'_> {
        Draft::new(self)
    }

    /// How much of the newest blobs is kept, compressed: what they are next changed to is sent as the difference.
    pub(crate) const BLOB_BYTES_MAX: u64 = 32 << 20;

    /// Stores the objects of a push, before it is sent.
    ///
    /// They survive the end of the process. What a power cut takes is found by its checksum and fetched again.
    ///
    /// # Errors
    /// A full or read-only disk.
    pub fn save(&self, push: &PendingPush) -> Result<(), StoreError> {
        let mut upkeep = self.upkeep();
        let kept = push.outgoing.kept();
        upkeep.has_new_packs |= self.objects.keep(&kept)?;
        let alive = std::sync::Arc::downgrade(&push.alive);
        upkeep.pending.push(Pending {
            pack: kept.name,
            new: push.new_tips().collect(),
            alive,
        });
        Ok(())
    }

    /// Records that the remote has the push, and keeps the number of packs small.
    ///
    /// # Errors
    /// A full or read-only disk. The push is confirmed nevertheless: the store is only a cache.
    pub fn confirm(&self, push: PendingPush) -> Result<(), StoreError> {
        self.confirm_where(push, |_| true)
    }

    /// The same for a push of which some branches may not be where they shall be.
    ///
    /// # Errors
    /// A full or read-only disk. The push is confirmed nevertheless: the store is only a cache.
    pub fn confirm_reported(&self, push: PendingPush, report: &PushReport) -> Result<(), StoreError> {
        self.confirm_where(push, |refname| matches!(report.of(refname), Some(Ok(()))))
    }

    fn confirm_where(&self, push: PendingPush, landed: impl Fn(&RefName) -> bool) -> Result<(), StoreError> {
        let landed: Vec<&RefUpdate> = push
            .updates()
            .iter()
            .filter(|update| landed(update.refname()))
            .collect();
        for update in &landed {
            self.set_tip(update.refname(), update.new_tip())?;
        }
        let mut upkeep = self.upkeep();
        let is_saved = upkeep
            .pending
            .iter()
            .any(|pending| pending.alive.ptr_eq(&Arc::downgrade(&push.alive)));
        let is_whole = |tree: &Oid| *tree == EMPTY_TREE || upkeep.known.has_tree(*tree);
        if is_saved && push.bases.iter().all(is_whole) {
            // What the push only points to may have trees that were never here.
            let tips = landed.iter().filter_map(|update| update.new_tip());
            for tip in tips.filter(|tip| push.sends(*tip)) {
                self.add_known(&mut upkeep, tip)?;
            }
        }
        if upkeep.replaced.len() >= REPLACED_MAX {
            // They stay until newer blobs need the room.
            upkeep.replaced.clear();
        }
        upkeep.replaced.extend(&push.outgoing.replaced);
        for id in push.outgoing.kept_blobs() {
            upkeep.replaced.remove(&id);
        }
        drop(push);
        fold::fold(self, &mut upkeep)
    }

    /// Notes that a commit of a push has all its trees here.
    fn add_known(&self, upkeep: &mut Upkeep, tip: Oid) -> Result<(), StoreError> {
        let commit = commit::read(&*self.objects, tip)?;
        let parent = commit.parents.first();
        let below = parent.map_or(Some(usize::MAX), |parent| {
            upkeep.known.get(*parent).map(|known| known.commits)
        });
        upkeep.known.add(Known {
            tip: commit.id,
            tree: commit.tree,
            commits: below.unwrap_or_default().saturating_add(1),
            fetched: false,
        });
        Ok(())
    }

    /// Drops all objects and all tips, after the store was found damaged: a fetch brings back what is needed.
    ///
    /// May be called at any time. Whoever is reading meanwhile finds that objects are missing, which passes. Killed at
    /// any line, the store can be opened again.
    ///
    /// # Errors
    /// A full or read-only disk. The store may then be half empty, which a fetch mends too, or a next reset.
    pub fn reset(&self) -> Result<(), StoreError> {
        let mut upkeep = self.upkeep();
        upkeep.resets += 1;
        upkeep.known.forget();
        upkeep.pending.clear();
        upkeep.replaced.clear();
        let tips = self.root.join(TIPS);
        for file in fs::read_dir(&tips).map_err(at(&tips))? {
            disk::remove(&file.map_err(at(&tips))?.path())?;
        }
        // By renaming, so that nobody finds an index without its pack.
        let [new, old] = [(); 2].map(|()| self.root.join(disk::unique_name(TRASH)));
        layout::create_objects(&new)?;
        let objects = self.root.join(OBJECTS);
        if objects.exists() {
            fs::rename(&objects, &old).map_err(at(&old))?;
        }
        fs::rename(new.join(OBJECTS), &objects).map_err(at(&objects))?;
        disk::sync_directory(&self.root)?;
        // What gix has open would be found still.
        self.objects.reopen()?;
        for trash in [new, old].iter().filter(|trash| trash.exists()) {
            fs::remove_dir_all(trash).map_err(at(trash))?;
        }
        tracing::warn!(path = %self.root.display(), "the local object store was emptied; it is fetched again");
        Ok(())
    }

    /// Returns where a branch was when it was last confirmed or set; none if that is not known.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn tip(&self, refname: &RefName) -> Result<Option<Oid>, StoreError> {
        let _alone = self.upkeep();
        let content = disk::read_optional(&self.tip_file(refname))?;
        Ok(content.and_then(|content| parse_tip(&content)))
    }

    /// Sets where a branch is: what it needs is kept, what only its earlier tips needed may go.
    ///
    /// # Errors
    /// A full or read-only disk.
    pub fn set_tip(&self, refname: &RefName, tip: Option<Oid>) -> Result<(), StoreError> {
        let file = self.tip_file(refname);
        let Some(tip) = tip else {
            return Ok(disk::remove(&file)?);
        };
        // Not synced: a tip that a power cut takes is read from the remote again.
        let content = format!("{tip} {refname}\n");
        let _alone = self.upkeep();
        match File::options().write(true).open(&file) {
            // Of one branch it is always as long, and written at once.
            Ok(open)
                if open
                    .metadata()
                    .is_ok_and(|there| there.len() == content.len() as u64) =>
            {
                Ok(open.write_all_at(content.as_bytes(), 0).map_err(at(&file))?)
            }
            _ => {
                let temporary = self.root.join(disk::unique_name("tmp_tip_"));
                fs::write(&temporary, content).map_err(at(&temporary))?;
                Ok(fs::rename(&temporary, &file).map_err(at(&file))?)
            }
        }
    }

    /// Returns whether the object is here.
    #[must_use]
    pub fn contains(&self, id: Oid) -> bool {
        self.objects.contains(id)
    }

    /// Reads a commit.
    ///
    /// # Errors
    /// A commit that is not here (fetch it), or is damaged.
    pub fn commit(&self, id: Oid) -> Result<CommitInfo, StoreError> {
        commit::read(self, id)
    }

    /// Walks first parents from `tip`, newest first, through at most `limit` commits.
    ///
    /// # Errors
    /// A damaged commit. One that is not here ends the history ([`read::HistoryEnd::NotHere`]).
    pub fn history(&self, tip: Oid, limit: usize) -> Result<History, StoreError> {
        read::history(&*self.objects, tip, limit)
    }

    /// Walks the files below a directory of a tree; none is the whole tree. A directory that the tree does not have has no files.
    ///
    /// # Errors
    /// A tree that is not here (fetch it), or is damaged; more paths than any repository has.
    pub fn files_below(
        &self,
        tree: Oid,
        directory: Option<&MirrorPath>,
    ) -> Result<impl Iterator<Item = Result<TreeFile, StoreError>> + '_, StoreError> {
        Files::below(self, tree, directory)
    }

    /// Walks the files that differ between two trees, as they are below a directory of both; without one it is the whole tree, and
    /// without a first tree all files differ. What is the same in both is not read, however much it is.
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

    /// Lists a tree without what lies below its directories.
    ///
    /// # Errors
    /// A tree that is not here (fetch it), or is damaged.
    pub fn directory(&self, tree: Oid) -> Result<Vec<TreeEntry>, StoreError> {
        read::directory(self, tree)
    }

    /// Finds what a tree has at a path, file or directory.
    ///
    /// # Errors
    /// A tree that is not here (fetch it), or is damaged.
    pub fn entry(&self, tree: Oid, path: &MirrorPath) -> Result<Option<TreeEntry>, StoreError> {
        read::entry(self, tree, path)
    }

    /// Returns the path of the first thing on the way to a directory of a tree, or in its place, that is no directory; whoever
    /// writes to the directory replaces it.
    ///
    /// # Errors
    /// A tree that is not here (fetch it), or is damaged.
    pub fn obstacle(&self, tree: Oid, directory: &MirrorPath) -> Result<Option<String>, StoreError> {
        read::obstacle(self, tree, directory)
    }

    /// Finds a file in a tree.
    ///
    /// # Errors
    /// A tree that is not here (fetch it), or is damaged.
    pub fn file(&self, tree: Oid, path: &MirrorPath) -> Result<Option<TreeFile>, StoreError> {
        read::file(self, tree, path)
    }

    /// Reads a blob; none if it is not here, which is usual: blobs are read from the remote.
    ///
    /// # Errors
    /// A damaged blob, or an id of something else.
    pub fn blob(&self, id: Oid) -> Result<Option<Vec<u8>>, StoreError> {
        match self.objects.find(id)? {
            Some((Kind::Blob, content)) => Ok(Some(content)),
            Some(_) => Err(StoreError::wrong_kind(id, Kind::Blob)),
            None => Ok(None),
        }
    }

    /// Makes sure that what is here stays until the guard is dropped, except for a [`Store::reset`].
    pub(crate) fn hold(&self) -> Held<'_> {
        let mut upkeep = self.upkeep();
        upkeep.holders += 1;
        Held {
            store: self,
            resets: upkeep.resets,
        }
    }

    /// Adds what a remote sent. `known` says which commits the store is then known to have whole, if nothing that was here
    /// when `held` was taken is gone.
    pub(crate) fn add_fetched(
        &self,
        held: &Held<'_>,
        pack: &Pack,
        known: impl IntoIterator<Item = Known>,
    ) -> Result<(), StoreError> {
        let mut upkeep = self.upkeep();
        if pack.objects > 0 {
            self.objects.store(pack, Durability::Cached)?;
            upkeep.has_new_packs = true;
        }
        if upkeep.resets == held.resets {
            known.into_iter().for_each(|known| upkeep.known.add(known));
        }
        Ok(())
    }

    /// Returns what is known of a commit that has all its trees here.
    pub(crate) fn known(&self, tip: Oid) -> Option<Known> {
        self.upkeep().known.get(tip)
    }

    /// Returns a commit that has all its trees here, at best one of those that are `near`.
    pub(crate) fn nearest_known(&self, near: &[Oid]) -> Option<Known> {
        self.upkeep().known.nearest(near)
    }

    pub(crate) fn objects(&self) -> &LocalObjects {
        &self.objects
    }

    /// The same for whoever outlives a borrow of the store.
    pub(crate) fn shared_objects(&self) -> Arc<LocalObjects> {
        Arc::clone(&self.objects)
    }

    /// Lets go of open files and of what was read of them, for a store that nothing is read from for a while. The next reading opens
    /// them again.
    pub fn rest(&self) {
        if let Err(error) = fold::put_together(self, &mut self.upkeep()) {
            // It stays where it is.
            tracing::warn!(path = %self.root.display(), %error, "what was pushed last cannot be made a pack");
        }
        self.objects.rest();
    }

    fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        // Its lists are whole after every single statement that changes them.
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where scratch files of drafts may be.
    pub(crate) fn place(&self) -> Place {
        Place::directory(&self.root)
    }

    fn packs(&self) -> PathBuf {
        self.root.join("objects/pack")
    }

    /// Names of branches may nest in ways that files cannot, so a file is named by the name's digest.
    fn tip_file(&self, refname: &RefName) -> PathBuf {
        self.root
            .join(TIPS)
            .join(pack::checksum(refname.as_str().as_bytes()).to_string())
    }

    fn tips(&self) -> Result<Vec<Oid>, StoreError> {
        let directory = self.root.join(TIPS);
        let mut tips = Vec::new();
        for file in fs::read_dir(&directory).map_err(at(&directory))? {
            let content = disk::read_optional(&file.map_err(at(&directory))?.path())?;
            tips.extend(content.and_then(|content| parse_tip(&content)));
        }
        Ok(tips)
    }
}

impl Source for Store {
    /// For what should be here: if it is not, the next fetch looks for itself.
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        let found = self.objects.find(id)?;
        if found.is_none() && id != EMPTY_TREE {
            self.upkeep().known.forget();
        }
        Ok(found)
    }
}

fn parse_tip(content: &[u8]) -> Option<Oid> {
    let text = std::str::from_utf8(content).ok()?;
    let (id, _) = text.strip_suffix('\n')?.split_once(' ')?;
    Oid::parse(id).ok()
}
