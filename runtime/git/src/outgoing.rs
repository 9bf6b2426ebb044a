//! One push, ready to be stored and sent.

use crate::{
    error::StoreError,
    objects::Source,
    pack::{self, Assembled, Form, Pack},
    ref_update::{RefUpdate, RefUpdates},
    refname::RefName,
    store::LocalObjects,
};
use bytes::Bytes;
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{borrow::Cow, collections::HashSet, sync::Arc};

/// One push: branches, where each has to be, where it shall be, and one pack with everything new in between.
///
/// The first update makes or moves a branch; most pushes have no other.
///
/// As long as it lives the store keeps its objects.
#[derive(Debug, Clone)]
pub struct PendingPush {
    updates: RefUpdates,
    /// Where the first update moves its branch.
    new: Oid,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) alive: Arc<()>,
    pub(crate) bases: Vec<Oid>,
    /// Where the bases of deltas can be read that the pack does not have; none if it has all.
    objects: Option<Arc<LocalObjects>>,
}

/// What a push sends, and what stays here of it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) sent: Assembled,
    /// None if it is the same.
    pub(crate) local: Option<Local>,
    /// Blobs that others were written over.
    pub(crate) replaced: HashSet<Oid>,
}

/// What stays here of a push, as whole objects.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) pack: Pack,
    /// Which of them are blobs.
    pub(crate) blobs: Vec<Oid>,
}

impl Outgoing {
    /// Returns the pack to be kept in the store.
    pub(crate) fn kept(&self) -> Pack {
        match &self.local {
            Some(Local { pack, .. }) => pack.clone(),
            None => self.sent.pack(),
        }
    }

    /// Returns the objects of the kept pack that may be blobs.
    pub(crate) fn kept_blobs(&self) -> impl Iterator<Item = Oid> {
        let sent = self.sent.rows.iter().map(|row| row.id);
        let sent = sent.filter(|_| self.local.is_none());
        let local = self.local.iter().flat_map(|local| local.blobs.iter().copied());
        sent.chain(local)
    }
}

impl PendingPush {
    /// The first of `updates` is no deletion but moves its branch to `new`.
    pub(crate) fn new(
        updates: RefUpdates,
        new: Oid,
        outgoing: Outgoing,
        bases: Vec<Oid>,
        objects: Option<Arc<LocalObjects>>,
    ) -> Self {
        debug_assert!(outgoing.sent.missing.is_empty() || objects.is_some());
        debug_assert_eq!(
            updates.as_slice()[0].new,
            Some(new),
            "the first update moves a branch"
        );
        Self {
            updates,
            new,
            outgoing: Arc::new(outgoing),
            alive: Arc::new(()),
            bases,
            objects,
        }
    }

    /// Makes a push of objects that need no store.
    pub(crate) fn of_pack(refname: RefName, expected_old: Option<Oid>, new: Oid, sent: Assembled) -> Self {
        let outgoing = Outgoing {
            sent,
            local: None,
            replaced: HashSet::new(),
        };
        let update = RefUpdate::to(refname, expected_old, new);
        Self::new(update.into(), new, outgoing, Vec::new(), None)
    }

    /// Returns all updates of the push.
    #[must_use]
    pub fn updates(&self) -> &RefUpdates {
        &self.updates
    }

    /// Returns the branch to make or move; of several, the first.
    #[must_use]
    pub fn refname(&self) -> &RefName {
        &self.updates.as_slice()[0].refname
    }

    /// Returns where that branch must be, none if it must not exist.
    #[must_use]
    pub fn expected_old(&self) -> Option<Oid> {
        self.updates.as_slice()[0].expected_old
    }

    /// Returns the commit that it moves to.
    #[must_use]
    pub fn new_tip(&self) -> Oid {
        self.new
    }

    /// Returns the commits that branches move to.
    pub(crate) fn new_tips(&self) -> impl Iterator<Item = Oid> {
        self.updates.iter().filter_map(|update| update.new)
    }

    /// Returns whether the pack has an object.
    pub(crate) fn sends(&self, id: Oid) -> bool {
        let rows = &self.outgoing.sent.rows;
        rows.binary_search_by_key(&id, |row| row.id).is_ok()
    }

    /// Reads the pack, as it is sent.
    ///
    /// It is thin: deltas in it may refer to objects of the commits that the new ones stand on ([`PendingPush::is_thin`]),
    /// by id, or to earlier entries of the pack, by offset.
    ///
    /// # Errors
    /// A scratch file that cannot be read: a pack of many megabytes is not in memory.
    pub fn pack_bytes(&self) -> Result<Bytes, StoreError> {
        Ok(self.outgoing.sent.data.read_all()?)
    }

    /// Returns how many bytes the pack has, as it is sent.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.outgoing.sent.data.len()
    }

    /// Returns whether the pack needs objects that the remote already has.
    #[must_use]
    pub fn is_thin(&self) -> bool {
        !self.outgoing.sent.missing.is_empty()
    }

    /// Returns the pack with everything that it needs, as remotes get it that take no thin ones.
    ///
    /// # Errors
    /// Something that is not in the store any more, which passes: make the push again.
    pub fn complete_pack_bytes(&self) -> Result<Bytes, StoreError> {
        let form = Form {
            thin: false,
            by_offset: true,
        };
        Ok(self.in_form(form)?.data.read_all()?)
    }

    /// Returns the pack for a remote that takes only some forms of deltas.
    pub(crate) fn in_form(&self, form: Form) -> Result<Cow<'_, Assembled>, StoreError> {
        match &self.objects {
            Some(objects) => self.outgoing.sent.in_form(form, &**objects),
            None => self.outgoing.sent.in_form(form, &Nothing),
        }
    }

    /// Returns the pack with everything that it needs, for a remote whose objects can be read: those that are here are not
    /// looked for there.
    pub(crate) fn completed(&self, remote: &impl Source) -> Result<Cow<'_, Assembled>, StoreError> {
        let here = self.objects.as_deref();
        self.outgoing.sent.completed(&Nearest { here, remote })
    }

    /// Returns the number of objects in the pack.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.outgoing.sent.rows.len()
    }
}

/// What is here, else what the remote has.
struct Nearest<'s, R> {
    here: Option<&'s LocalObjects>,
    remote: &'s R,
}

impl<R: Source> Source for Nearest<'_, R> {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        // The store is only a cache: what it says ends in somebody's repository, so it is looked at closely.
        let here = self.here.and_then(|here| here.find(id).ok().flatten());
        let here = here.filter(|(kind, content)| pack::object_id(*kind, content) == Some(id));
        match here {
            Some(found) => Ok(Some(found)),
            None => self.remote.find(id),
        }
    }
}

/// For packs that miss nothing.
struct Nothing;

impl Source for Nothing {
    fn find(&self, _: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        Ok(None)
    }
}
