//! What is not the mirror's where the mirror writes.

use super::{
    super::{
        error::AttemptError,
        recover::{Start, Tip},
    },
    Lane,
};
use mirror_core::{commit::Overwrites, ids::Oid, path::MirrorPath};
use mirror_git::Draft;

/// Since when others may have put something where only the mirror writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Others {
    /// They have not.
    Nothing,
    /// From the beginning: the mirror has not written there yet.
    All,
    /// Since a commit of the mirror's.
    Since(Oid),
}

/// So many files of others are named of those that a commit deletes, and so many counted.
const NAMED_MAX: usize = 10;
const COUNTED_MAX: usize = 10_000;

impl Lane {
    /// Nothing outside of the mirror's own directories makes way for them, whatever the settings. And a branch that was never
    /// mirrored, or not below this prefix, must not already have what the mirror would write, unless that is to be adopted.
    ///
    /// # Errors
    /// [`AttemptError::InTheWay`], [`AttemptError::NotOurs`], [`AttemptError::OtherMirrors`]; a store that cannot be read.
    pub(super) async fn refuse_foreign(&self, start: &Start) -> Result<(), AttemptError> {
        let Some(tip) = start.tip else {
            return Ok(());
        };
        let is_new = start.mirrored.is_none() || start.former.is_some();
        let is_refused = tip.own && is_new && !self.spec.adopt;
        if !is_refused && self.transformer.owned.prefix().is_none() {
            return Ok(());
        }
        let (former, other) = (start.former.clone(), start.other.clone());
        self.blocking(move |lane| {
            let refname = lane.refname.clone();
            if let Some(path) = lane.before_prefix(tip.tree)? {
                return Err(AttemptError::InTheWay { refname, path });
            }
            if !is_refused {
                return Ok(());
            }
            let found = match &former {
                Some(former) => lane.first_beside(former, tip.tree)?,
                None => lane.first_own_file(tip.tree)?,
            };
            match (found, other) {
                (None, _) => Ok(()),
                (Some(path), Some(other)) => Err(AttemptError::OtherMirrors { refname, path, other }),
                (Some(path), None) => Err(AttemptError::NotOurs { refname, path }),
            }
        })
        .await
    }

    /// Returns what of a tree is no directory, and would have to be one for the mirror's prefix.
    fn before_prefix(&self, tree: Oid) -> Result<Option<String>, AttemptError> {
        match self.transformer.owned.prefix() {
            Some(prefix) => Ok(self.git.obstacle(tree, prefix)?),
            None => Ok(None),
        }
    }

    /// Says since when others may have put something where only the mirror writes.
    pub(super) fn others_in(&self, start: &Start) -> Others {
        match (start.tip, start.newest) {
            (Some(Tip { own: true, .. }), None) => Others::All,
            (_, Some(newest)) if start.overwrites => Others::Since(newest),
            _ => Others::Nothing,
        }
    }

    /// Returns what of others a tree of a draft no longer has.
    pub(super) fn overwritten(
        &self,
        draft: &Draft<'_>,
        others: Others,
        before: Oid,
        after: Oid,
    ) -> Result<Overwrites, AttemptError> {
        let ours = match others {
            Others::Nothing => return Ok(Overwrites::default()),
            Others::All => None,
            Others::Since(newest) => Some(self.git.commit(newest)?.tree),
        };
        let mut overwrites = Overwrites {
            changed: ours.is_some(),
            ..Overwrites::default()
        };
        let mut note = |path: &[u8]| -> Result<bool, AttemptError> {
            let text = String::from_utf8_lossy(path);
            if let (Some(tree), Ok(path)) = (ours, MirrorPath::parse(&text))
                && self.git.file(tree, &path)?.is_some()
            {
                return Ok(true);
            }
            overwrites.uncounted = overwrites.deleted_in_all == COUNTED_MAX;
            overwrites.deleted_in_all += usize::from(!overwrites.uncounted);
            if overwrites.deleted.len() < NAMED_MAX {
                overwrites.deleted.push(text.into_owned());
            }
            Ok(!overwrites.uncounted)
        };
        for (root, entry) in self.own_places(before)? {
            if !entry.is_directory {
                // A directory has its place now, or nothing has.
                if draft.entry(after, &root)?.as_ref() != Some(&entry) {
                    note(root.as_str().as_bytes())?;
                }
                continue;
            }
            for file in draft.differences(Some(before), after, Some(&root))? {
                let file = file?;
                if file.after.is_none() && !note(&file.path)? {
                    return Ok(overwrites);
                }
            }
        }
        Ok(overwrites)
    }
}
