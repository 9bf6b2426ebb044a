//! Recovering: where the remote is, what of it is known, and from where in the log to go on.

use super::{attempt::Lane, error::AttemptError, memory::Memory};
use crate::state::{Derived, LaneState};
use jiff::Timestamp;
use mirror_core::{
    cut::LaneCursor,
    digest::RenderDigest,
    document::DocumentKind,
    ids::{ObjectKey, Oid},
    layout::{RawFile, Recovered},
    placement::Placement,
    trailer::Trailers,
};
use mirror_git::{FetchScope, HistoryEnd, RefName};
use std::collections::BTreeMap;

/// So far back the newest commit of ours is looked for.
const COMMITS_MAX: usize = 1000;

/// Where an attempt starts.
#[derive(Debug)]
pub struct Start {
    pub tip: Option<Tip>,
    pub cursor: LaneCursor,
    /// As it is stored, to be compared when it is moved.
    pub stored_cursor: Option<LaneCursor>,
    pub memory: Memory,
    /// Whether `memory` is what the tip has; else everything is read and rendered.
    pub memory_holds: bool,
    /// Render digest of the newest commit of ours; none where there is none yet.
    pub mirrored: Option<RenderDigest>,
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
        let own = self.blocking(|lane| Ok(lane.remote.tip(&lane.refname)?)).await?;
        let stored_cursor = self
            .log
            .cursor(&self.id)
            .await?
            .filter(|cursor| cursor.log == *self.log.log_id());
        if let (None, Some(expected)) = (own, stored_cursor.as_ref().and_then(|cursor| cursor.tip)) {
            return Err(AttemptError::RefGone {
                refname: self.refname.clone(),
                expected,
            });
        }
        let Some(tip) = own else {
            return self.recover_absent().await;
        };
        let history = self.history(tip).await?;
        if let Some(expected) = stored_cursor.as_ref().and_then(|cursor| cursor.tip)
            && !history.contains(&expected)
        {
            return Err(AttemptError::Rewritten {
                refname: self.refname.clone(),
                expected,
            });
        }
        let cursor = stored_cursor
            .clone()
            .unwrap_or_else(|| LaneCursor::start(self.log.log_id().clone()));
        let mirrored = history.newest.as_ref().map(|trailers| trailers.render.clone());
        let (memory, memory_holds) = match held {
            Some((held_tip, memory)) if held_tip == tip && mirrored.as_ref() == Some(&self.render) => {
                (memory, true)
            }
            _ => self.remembered(tip, history.tip.tree, mirrored.as_ref()).await?,
        };
        Ok(Start {
            tip: Some(history.tip),
            cursor,
            stored_cursor,
            memory,
            memory_holds,
            mirrored,
        })
    }

    /// The lane has no ref yet: it starts at the default branch's commit, or at nothing.
    async fn recover_absent(&self) -> Result<Start, AttemptError> {
        let cursor = LaneCursor::start(self.log.log_id().clone());
        let stored_cursor = self.log.cursor(&self.id).await?;
        let nothing = Start {
            tip: None,
            cursor,
            stored_cursor,
            memory: Memory::default(),
            memory_holds: false,
            mirrored: None,
        };
        let Some(base) = self.starts_at.clone() else {
            return Ok(nothing);
        };
        let tip = self
            .blocking(move |lane| Ok(lane.remote.tip(&base)?))
            .await?
            .ok_or(AttemptError::NoDefaultYet)?;
        let history = self.history(tip).await?;
        if history.newest_any.is_none() {
            return Err(AttemptError::NoDefaultYet);
        }
        // The default branch's placement is taken over, so that a diff between the two shows only
        // what differs in Keboola.
        let memory = self.read_back(history.tip.tree).await?;
        Ok(Start {
            tip: Some(Tip {
                own: false,
                ..history.tip
            }),
            memory,
            ..nothing
        })
    }

    async fn remembered(
        &self,
        tip: Oid,
        tree: Oid,
        mirrored: Option<&RenderDigest>,
    ) -> Result<(Memory, bool), AttemptError> {
        let mut stored = self.state.load(&self.id).await?;
        if stored.as_ref().is_some_and(|stored| stored.prepared == Some(tip)) {
            self.state.adopt(&self.id, tip).await?;
            stored = self.state.load(&self.id).await?;
        }
        if let Some(LaneState {
            derived:
                Some(Derived {
                    tip: known,
                    render,
                    rows,
                }),
            ..
        }) = stored
            && known == tip
            && render == self.render
            && mirrored == Some(&self.render)
        {
            match Memory::restore(rows) {
                Ok(memory) => return Ok((memory, true)),
                Err(error) => {
                    tracing::warn!(lane = %self.id, %error, "stored state is read back from the repository");
                }
            }
        }
        if mirrored.is_none() {
            return Ok((Memory::default(), false));
        }
        tracing::info!(lane = %self.id, %tip, "the lane's state is read back from the repository");
        Ok((self.read_back(tree).await?, false))
    }

    /// Reads placement, versions and entries back from the repository's own files.
    async fn read_back(&self, tree: Oid) -> Result<Memory, AttemptError> {
        let recovered = self
            .blocking(move |lane| {
                let mut found = Vec::new();
                for root in lane.transformer.owned.roots() {
                    for file in lane.git.files_below(tree, Some(&root))? {
                        let file = file?;
                        let Some(path) = file.mirror_path() else { continue };
                        if let Some(below) = lane.transformer.owned.below_root(&path) {
                            found.push((below.to_owned(), file.id));
                        }
                    }
                }
                let paths: Vec<String> = found.iter().map(|(path, _)| path.clone()).collect();
                let wanted = lane.transformer.recoverable(&paths)?;
                let wanted: Vec<(String, Oid)> = found
                    .into_iter()
                    .zip(wanted)
                    .filter_map(|(file, wanted)| wanted.then_some(file))
                    .collect();
                let ids: Vec<Oid> = wanted.iter().map(|(_, id)| *id).collect();
                let blobs = lane.remote.read_blobs(&ids)?;
                let file = |((path, _), blob): ((String, Oid), Vec<u8>)| RawFile {
                    path,
                    kind: DocumentKind::Index,
                    content: String::from_utf8_lossy(&blob).into_owned(),
                };
                let files: Vec<RawFile> = wanted.into_iter().zip(blobs).map(file).collect();
                Ok(lane.transformer.recover(&files)?)
            })
            .await?;
        Ok(memory_of(recovered))
    }

    async fn history(&self, tip: Oid) -> Result<Known, AttemptError> {
        self.blocking(move |lane| {
            lane.remote.fetch(
                tip,
                &lane.git,
                FetchScope::TreesOnly {
                    commits_max: COMMITS_MAX,
                },
            )?;
            let history = lane.git.history(tip, COMMITS_MAX)?;
            let first = history
                .commits
                .first()
                .ok_or(mirror_git::StoreError::Missing { id: tip })?;
            let all = || {
                history
                    .commits
                    .iter()
                    .filter_map(|commit| Trailers::parse(&commit.message))
            };
            Ok(Known {
                tip: Tip {
                    id: tip,
                    tree: first.tree,
                    committed_at: first.committer.time,
                    own: true,
                },
                newest: all().find(|trailers| trailers.lane == lane.id),
                newest_any: all().next(),
                ids: history.commits.iter().map(|commit| commit.id).collect(),
                whole: matches!(history.end, HistoryEnd::Root),
            })
        })
        .await
    }
}

/// What the history of a ref tells.
#[derive(Debug)]
struct Known {
    tip: Tip,
    /// Trailers of the newest commit of this lane.
    newest: Option<Trailers>,
    /// Trailers of the newest commit of any lane.
    newest_any: Option<Trailers>,
    ids: Vec<Oid>,
    whole: bool,
}

impl Known {
    /// Returns whether a commit is in the history; of what was not walked, the benefit of the doubt.
    fn contains(&self, id: &Oid) -> bool {
        !self.whole || self.ids.contains(id)
    }
}

fn memory_of(recovered: Recovered) -> Memory {
    let Recovered { objects, entries } = recovered;
    let mut paths: BTreeMap<ObjectKey, (String, Option<ObjectKey>)> = BTreeMap::new();
    let mut versions = Vec::new();
    for object in objects {
        if let Some(path) = object.path {
            paths.insert(object.key.clone(), (path, object.parent));
        }
        if object.version > 0 {
            versions.push((object.key, object.version, object.version_identifier));
        }
    }
    let mut memory = Memory::of(Placement::with_known_paths(&paths), entries);
    memory.recall(versions);
    memory
}

/// The ref that a lane writes.
#[must_use]
pub fn refname(branch: &str) -> Option<RefName> {
    RefName::branch(branch).ok()
}
