//! Recovering: where the remote is, what of it is known, and from where in the log to go on.

use super::{
    attempt::Lane,
    error::AttemptError,
    former::Former,
    memory::{Memory, ROWS_AT_ONCE, Restoring, Unreadable},
    rendering::OTHER_SETTINGS,
};
use crate::state::Derived;
use jiff::Timestamp;
use mirror_core::{
    cut::{Cut, LaneCursor, Stream},
    digest::RenderDigest,
    document::DocumentKind,
    ids::{MirrorId, ObjectKey, Oid},
    jobs::budget::Spent,
    layout::{IndexKind, RawFile, Recovered},
    path::OwnedPaths,
    placement::Placement,
    trailer::Trailers,
};
use mirror_git::{ANCESTRY_COMMITS_MAX, Ancestry, CommitInfo, FetchScope};
use std::collections::BTreeMap;

/// Where an attempt starts.
#[derive(Debug)]
pub struct Start {
    pub tip: Option<Tip>,
    pub cursor: LaneCursor,
    /// As it is stored, to be compared when it is moved.
    pub stored_cursor: Option<LaneCursor>,
    /// The stored cut, if there is one.
    pub stored_cut: Option<Cut>,
    pub memory: Memory,
    /// The commit that `memory` belongs to, where it holds.
    pub base: Option<Oid>,
    /// Whether `memory` is what the tip has; else everything is read and rendered.
    pub memory_holds: bool,
    /// Render digest of the newest commit of ours; none where there is none yet.
    pub mirrored: Option<RenderDigest>,
    /// The newest commit of ours.
    pub newest: Option<Oid>,
    /// The tip's own files are not those of the newest commit of ours.
    pub overwrites: bool,
    /// The newest commit of ours is of the history from before the mirror: the first sync is yet to come.
    pub backfilled: bool,
    /// The newest commit of ours was made with another prefix.
    pub former: Option<Former>,
    /// The mirror whose commits are above the newest of ours.
    pub other: Option<MirrorId>,
}

impl Start {
    /// Returns whether the first sync is yet to come.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.mirrored.is_none() || self.backfilled || self.tip.is_none_or(|tip| !tip.own)
    }
}

/// A commit to build on.
#[derive(Debug, Clone, Copy)]
pub struct Tip {
    pub id: Oid,
    pub tree: Oid,
    pub committed_at: Timestamp,
    /// Whether the lane's own ref is there; else it starts at another branch's commit.
    pub own: bool,
}

impl Lane {
    /// Finds out where to start. `held` is what the lane still has in memory from its last attempt.
    ///
    /// # Errors
    /// A remote, log or store that fails; a history that was rewritten.
    pub(super) async fn recover(&self, held: Option<(Oid, Memory)>) -> Result<Start, AttemptError> {
        let kept = self.memories.take(&self.id);
        let held = held.or(kept);
        let own = self.blocking(|lane| Ok(lane.remote.tip(&lane.refname)?)).await?;
        let mut standing = self.log.standing(&self.id, &self.topic).await?;
        let stored_cursor = standing.cursor.take();
        let stored_cursor = stored_cursor.filter(|cursor| cursor.log == *self.log.log_id());
        if let (None, Some(expected)) = (own, stored_cursor.as_ref().and_then(|cursor| cursor.tip)) {
            if self.spec.accept_deleted_branch != Some(expected) {
                return Err(AttemptError::RefGone {
                    refname: self.refname.clone(),
                    expected,
                });
            }
            tracing::warn!(lane = %self.id, refname = %self.refname, %expected, "the branch was deleted; the mirror makes it anew, as the operator accepted it");
        }
        let Some(tip) = own else {
            return self.recover_absent().await;
        };
        if let Some(expected) = stored_cursor.as_ref().and_then(|cursor| cursor.tip)
            && self.is_below(expected, tip).await? == Ancestry::No
        {
            if !self.is_rewrite_accepted(tip).await? && !self.is_made_anew(expected, tip).await? {
                return Err(AttemptError::Rewritten {
                    refname: self.refname.clone(),
                    expected,
                    tip,
                });
            }
            tracing::warn!(lane = %self.id, %tip, %expected, "the history was rewritten; the mirror goes on on top of it, as the operator accepted it");
        }
        let history = self.history(tip, Whose::Own).await?;
        let cursor = stored_cursor
            .clone()
            .unwrap_or_else(|| LaneCursor::start(self.log.log_id().clone()));
        let former = self.former(&history);
        let mut others = history.others.iter().map(|other| &other.lane.mirror);
        let other = others.find(|other| **other != self.id.mirror).cloned();
        let (newest, mirrored, backfilled) = match history.newest {
            Some((id, trailers)) => (Some(id), Some(trailers.render), trailers.backfill),
            None => (None, None, false),
        };
        if let Some(tip) = &mirrored
            && self.rendering.found(&self.render, tip, (self.now)())
        {
            tracing::warn!(lane = %self.id, own = %self.render, other = %tip, "{OTHER_SETTINGS}");
        }
        let top = history.tip;
        let held = match held {
            Some((base, memory))
                if mirrored.as_ref() == Some(&self.render) && self.still_holds(base, top).await? =>
            {
                Some((base, memory))
            }
            _ => self.remembered(top, mirrored.as_ref()).await?,
        };
        let overwrites = match newest {
            Some(newest) if held.is_none() => !self.are_files_the_same(newest, top).await?,
            _ => false,
        };
        let (memory, base) = match held {
            Some((base, memory)) => (memory, Some(base)),
            None if mirrored.is_none() => (Memory::default(), None),
            None => {
                tracing::info!(lane = %self.id, %tip, "the lane's state is read back from the repository");
                let mut memory = self.read_back(top.tree, Whose::Own, former.clone()).await?;
                if let Some(spent) = self.stored_spent().await? {
                    memory.carry_spent(spent);
                }
                (memory, None)
            }
        };
        // Where commits of ours are known and no cursor is, the log is another one, whatever its events tell.
        let mut missed = stored_cursor.is_none() && mirrored.is_some();
        for stream in Stream::ALL {
            missed |= cursor.of(stream) < standing.pruned(stream);
        }
        if missed {
            tracing::warn!(lane = %self.id, "the log no longer has all events of the lane; everything is compared with the source");
        }
        Ok(Start {
            tip: Some(top),
            cursor,
            stored_cursor,
            stored_cut: standing.cut,
            memory,
            memory_holds: base.is_some() && !missed,
            base,
            mirrored,
            newest,
            overwrites,
            backfilled,
            former,
            other,
        })
    }

    /// The lane has no ref yet: it starts at the default branch's commit, or at nothing.
    async fn recover_absent(&self) -> Result<Start, AttemptError> {
        let cursor = LaneCursor::start(self.log.log_id().clone());
        let standing = self.log.standing(&self.id, &self.topic).await?;
        let nothing = Start {
            tip: None,
            cursor,
            stored_cursor: standing.cursor,
            stored_cut: standing.cut,
            memory: Memory::default(),
            memory_holds: false,
            base: None,
            mirrored: None,
            newest: None,
            overwrites: false,
            backfilled: false,
            former: None,
            other: None,
        };
        let Some(base) = self.base.as_ref().map(|base| base.refname.clone()) else {
            return Ok(nothing);
        };
        let tip = self
            .blocking(move |lane| Ok(lane.remote.tip(&base)?))
            .await?
            .ok_or(AttemptError::NoDefaultYet)?;
        let history = self.history(tip, Whose::Base).await?;
        let newest = history.newest.as_ref();
        if newest.is_none_or(|(_, trailers)| trailers.backfill) {
            return Err(AttemptError::NoDefaultYet);
        }
        let former = self.former(&history);
        // The default branch's placement is taken over, so that a diff between the two shows only
        // what differs in Keboola.
        let memory = self
            .read_back(history.tip.tree, Whose::Base, former.clone())
            .await?;
        Ok(Start {
            tip: Some(Tip {
                own: false,
                ..history.tip
            }),
            memory,
            former,
            ..nothing
        })
    }

    /// Returns what the store has of the lane, where it is still true, and of which commit.
    async fn remembered(
        &self,
        tip: Tip,
        mirrored: Option<&RenderDigest>,
    ) -> Result<Option<(Oid, Memory)>, AttemptError> {
        let mut stored = self.state.load(&self.id).await?;
        let prepared = stored.as_ref().and_then(|stored| stored.prepared);
        let derived = stored.as_ref().and_then(|stored| stored.derived.as_ref());
        // Nothing was pushed on top of what is derived for the tip itself.
        if let Some(prepared) = prepared
            && derived.is_none_or(|derived| derived.tip != tip.id)
            && self.is_below(prepared, tip.id).await? == Ancestry::Yes
        {
            self.state.adopt(&self.id, prepared).await?;
            stored = self.state.load(&self.id).await?;
        }
        let Some(Derived { tip: base, render }) = stored.and_then(|stored| stored.derived) else {
            return Ok(None);
        };
        if render != self.render || mirrored != Some(&self.render) || !self.still_holds(base, tip).await? {
            return Ok(None);
        }
        match self.restored().await? {
            Ok(memory) => Ok(Some((base, memory))),
            Err(error) => {
                tracing::warn!(lane = %self.id, %error, "stored state is read back from the repository");
                Ok(None)
            }
        }
    }

    /// Reads the memory back from its rows, a part at a time.
    pub(super) async fn restored(&self) -> Result<Result<Memory, Unreadable>, AttemptError> {
        let mut restoring = Restoring::default();
        let mut after = None;
        loop {
            let rows = self.state.rows(&self.id, after.take(), ROWS_AT_ONCE).await?;
            after = rows.last().map(|(key, _)| key.clone());
            let is_last = rows.len() < ROWS_AT_ONCE;
            if let Err(error) = restoring.take(rows) {
                return Ok(Err(error));
            }
            if is_last {
                return Ok(Ok(restoring.finish()));
            }
        }
    }

    /// Returns what the store tells of the cost of runs, whatever commit it belongs to.
    async fn stored_spent(&self) -> Result<Option<Spent>, AttemptError> {
        let stored = self.state.row(&self.id, Memory::spent_key()).await?;
        let own = stored.and_then(|stored| Memory::spent_of(&stored));
        // Another worker may have spent more since.
        let shared = self.state.spent(&self.id).await?;
        Ok(own
            .into_iter()
            .chain(shared)
            .max_by(|one, other| (&one.month, one.bytes).cmp(&(&other.month, other.bytes))))
    }

    /// Returns whether the tip's own files are those of a commit: either it is the tip, or what others
    /// put on top of it left them alone.
    async fn still_holds(&self, commit: Oid, tip: Tip) -> Result<bool, AttemptError> {
        if commit == tip.id {
            return Ok(true);
        }
        if self.is_below(commit, tip.id).await? != Ancestry::Yes {
            return Ok(false);
        }
        Ok(self.is_guide_the_same(commit, tip).await? && self.are_files_the_same(commit, tip).await?)
    }

    async fn is_guide_the_same(&self, commit: Oid, tip: Tip) -> Result<bool, AttemptError> {
        self.blocking(move |lane| {
            let tree = lane.tree_of(commit)?;
            let guide = lane.transformer.owned.agents_file();
            Ok(lane.git.file(tree, &guide)? == lane.git.file(tip.tree, &guide)?)
        })
        .await
    }

    pub(super) fn tree_of(&self, commit: Oid) -> Result<Oid, AttemptError> {
        self.remote
            .fetch(commit, &self.git, FetchScope::TreesOnly { commits_max: 1 })?;
        Ok(self.git.commit(commit)?.tree)
    }

    /// Returns whether two commits have the same in the directories that only the mirror writes.
    async fn are_files_the_same(&self, commit: Oid, tip: Tip) -> Result<bool, AttemptError> {
        if commit == tip.id {
            return Ok(true);
        }
        self.blocking(move |lane| {
            let tree = lane.tree_of(commit)?;
            Ok(lane.own_places(tree)? == lane.own_places(tip.tree)?)
        })
        .await
    }

    /// Tells whether the operator accepted the history that ends at `tip`: it is the commit they named, or only
    /// commits of this lane are on top of that one, of an attempt that died before it moved the cursor.
    async fn is_rewrite_accepted(&self, tip: Oid) -> Result<bool, AttemptError> {
        let Some(accepted) = self.spec.accept_rewrite else {
            return Ok(false);
        };
        if accepted == tip {
            return Ok(true);
        }
        self.blocking(move |lane| {
            let is_ours = |commit: &CommitInfo| {
                Trailers::parse(&commit.message).is_some_and(|trailers| trailers.lane == lane.id)
            };
            let below = lane
                .git
                .newest_matching(&*lane.remote, tip, ANCESTRY_COMMITS_MAX, |commit| {
                    commit.id == accepted || !is_ours(commit)
                })?;
            Ok(below.is_some_and(|commit| commit.id == accepted))
        })
        .await
    }

    /// Tells whether the branch that ends at `tip` is the one that an attempt made anew, as the operator accepted it, and that died
    /// before it moved the cursor: it has nothing but commits of this lane, on top of another branch of the mirror or of nothing.
    async fn is_made_anew(&self, expected: Oid, tip: Oid) -> Result<bool, AttemptError> {
        if self.spec.accept_deleted_branch != Some(expected) {
            return Ok(false);
        }
        self.blocking(move |lane| {
            let lane_of =
                |commit: &CommitInfo| Trailers::parse(&commit.message).map(|trailers| trailers.lane);
            let below = lane
                .git
                .newest_matching(&*lane.remote, tip, ANCESTRY_COMMITS_MAX, |commit| {
                    lane_of(commit).as_ref() != Some(&lane.id)
                })?;
            Ok(below.is_none_or(|commit| {
                commit.id != tip && lane_of(&commit).is_some_and(|other| other.mirror == lane.id.mirror)
            }))
        })
        .await
    }

    /// Tells whether a commit is in the history of another, by whatever parents.
    async fn is_below(&self, commit: Oid, tip: Oid) -> Result<Ancestry, AttemptError> {
        if commit == tip {
            return Ok(Ancestry::Yes);
        }
        self.blocking(move |lane| Ok(lane.git.is_ancestor(&*lane.remote, commit, tip)?))
            .await
    }

    /// Reads placement, versions and entries back from the repository's own files.
    async fn read_back(
        &self,
        tree: Oid,
        whose: Whose,
        former: Option<Former>,
    ) -> Result<Memory, AttemptError> {
        let recovered = self
            .blocking(move |lane| {
                // What a month's branch tells of a day goes before what the lane's own tells.
                let mut found = Vec::new();
                let owned = former
                    .as_ref()
                    .map_or(&lane.transformer.owned, |former| &former.owned);
                lane.files_of(tree, owned, &mut found)?;
                found.extend(lane.month_files(whose)?);
                let paths: Vec<String> = found.iter().map(|(path, _)| path.clone()).collect();
                let wanted = lane.transformer.recoverable(&paths)?;
                let wanted: Vec<(String, Oid)> = found
                    .into_iter()
                    .zip(wanted)
                    .filter_map(|(file, wanted)| wanted.then_some(file))
                    .collect();
                let ids: Vec<Oid> = wanted.iter().map(|(_, id)| *id).collect();
                let blobs = lane.blobs(&ids)?;
                let file = |((path, _), blob): ((String, Oid), Vec<u8>)| RawFile {
                    path,
                    kind: DocumentKind::Index,
                    content: String::from_utf8_lossy(&blob).into_owned(),
                };
                let files: Vec<RawFile> = wanted.into_iter().zip(blobs).map(file).collect();
                lane.recover_readable(whose, &files)
            })
            .await?;
        Ok(memory_of(recovered, whose))
    }

    /// Lists the mirror's own files in a tree, below the mirror's root.
    pub(super) fn files_of(
        &self,
        tree: Oid,
        owned: &OwnedPaths,
        found: &mut Vec<(String, Oid)>,
    ) -> Result<(), AttemptError> {
        for root in owned.roots() {
            for file in self.git.files_below(tree, Some(&root))? {
                let file = file?;
                let Some(path) = file.mirror_path() else { continue };
                if let Some(below) = owned.below_root(&path) {
                    found.push((below.to_owned(), file.id));
                }
            }
        }
        Ok(())
    }

    /// Reads files back, without those that somebody damaged: each part that cannot be read is halved
    /// down to the one file. What such a file told is read from the source.
    pub(super) fn recover_readable(
        &self,
        whose: Whose,
        files: &[RawFile],
    ) -> Result<Recovered, AttemptError> {
        let transformer = match (whose, &self.base) {
            (Whose::Base, Some(base)) => &base.transformer,
            _ => &self.transformer,
        };
        match transformer.recover(files) {
            Ok(recovered) => Ok(recovered),
            Err(error) if error.is_temporary() => Err(error.into()),
            Err(error) => match files {
                [] => Err(error.into()),
                [file] => {
                    tracing::warn!(lane = %self.id, path = file.path, %error, "a file of the mirror's own cannot be read back");
                    Ok(Recovered {
                        objects: Vec::new(),
                        entries: Vec::new(),
                    })
                }
                files => {
                    let (left, right) = files.split_at(files.len() / 2);
                    let mut recovered = self.recover_readable(whose, left)?;
                    let Recovered { objects, entries } = self.recover_readable(whose, right)?;
                    recovered.objects.extend(objects);
                    recovered.entries.extend(entries);
                    Ok(recovered)
                }
            },
        }
    }

    /// Returns when a commit was made, as far as the local store has it.
    pub async fn committed_at(&self, commit: Oid) -> Option<Timestamp> {
        let read = self.blocking(move |lane| Ok(lane.git.commit(commit)?.committer.time));
        read.await.ok()
    }

    /// Reads a tip, and the newest commit in its history that was made for this lane, or, of the branch
    /// that it starts at, for any.
    async fn history(&self, tip: Oid, whose: Whose) -> Result<Known, AttemptError> {
        self.blocking(move |lane| {
            lane.remote
                .fetch(tip, &lane.git, FetchScope::TreesOnly { commits_max: 1 })?;
            let first = lane.git.commit(tip)?;
            let ours = |commit: &CommitInfo| {
                Trailers::parse(&commit.message)
                    .filter(|trailers| whose == Whose::Base || trailers.lane == lane.id)
            };
            let mut others = Vec::new();
            let newest = lane
                .git
                .newest_matching(&*lane.remote, tip, ANCESTRY_COMMITS_MAX, |commit| {
                    let is_ours = ours(commit).is_some();
                    if !is_ours && let Some(trailers) = Trailers::parse(&commit.message) {
                        others.push(trailers);
                    }
                    is_ours
                })?;
            Ok(Known {
                tip: Tip {
                    id: tip,
                    tree: first.tree,
                    committed_at: first.committer.time,
                    own: true,
                },
                newest: newest
                    .as_ref()
                    .and_then(|commit| Some((commit.id, ours(commit)?))),
                others,
            })
        })
        .await
    }
}

/// What the history of a ref tells.
#[derive(Debug)]
pub(super) struct Known {
    tip: Tip,
    /// The newest commit of ours, and its trailers.
    pub(super) newest: Option<(Oid, Trailers)>,
    /// Trailers of commits above it that are of other lanes.
    pub(super) others: Vec<Trailers>,
}

/// Whose files are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    /// Those of the branch that a dev branch starts at.
    Base,
}

/// Makes a memory of what files tell. Everything is rendered anew afterwards, so only what cannot be
/// had from the source again is taken over: where objects stand, which versions there are, and the
/// history of runs, which of another branch is no matter of this one.
fn memory_of(recovered: Recovered, whose: Whose) -> Memory {
    let Recovered { objects, mut entries } = recovered;
    entries.retain(|entry| whose == Whose::Own && is_history(entry.kind));
    let mut paths: BTreeMap<ObjectKey, (String, Option<ObjectKey>)> = BTreeMap::new();
    let mut versions = Vec::new();
    for object in objects {
        if let Some(path) = object.path {
            paths.insert(object.key.clone(), (path, object.parent));
        }
        if whose == Whose::Own && object.version > 0 {
            versions.push((object.key, object.version, object.version_identifier));
        }
    }
    let mut memory = Memory::of(Placement::with_known_paths(&paths), entries);
    memory.recall(versions);
    memory
}

fn is_history(kind: IndexKind) -> bool {
    match kind {
        IndexKind::JobDay | IndexKind::JobHealth => true,
        IndexKind::Manifest
        | IndexKind::Withheld
        | IndexKind::Guide
        | IndexKind::Catalog
        | IndexKind::Lineage => false,
    }
}
