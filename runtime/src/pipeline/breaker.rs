//! Holding a batch that would take away too much, until the operator or the source says otherwise.
//!
//! What is too much is decided by [`mirror_core::deletions`]. A held batch is an attempt that fails: its
//! events stay in the log and its cut stays stored, so a restart holds it again, and it goes on by
//! itself should the source have everything again.

use super::{attempt::Lane, error::AttemptError, memory::Memory, recover::Tip};
use crate::config::AcceptDeletions;
use mirror_core::{
    cut::LaneCursor,
    deletions::{Group, Held, Loss, losses, vanished},
    finding::WithholdReason,
    ids::{ComponentId, ObjectKey, Oid},
    inventory::ObjectType,
    path::OwnedPaths,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many objects the tip has of each group, and of what type its components are.
#[derive(Debug, Default)]
pub(super) struct Census {
    before: BTreeMap<Group, usize>,
    types: BTreeMap<ComponentId, String>,
    /// Files of tables and buckets that go without anybody knowing whose they were.
    unnamed: usize,
}

impl Census {
    fn groups(&self, key: &ObjectKey) -> Vec<Group> {
        let component = key.config().and_then(|(component, _)| self.types.get(component));
        Group::of(key, component.map(String::as_str))
    }

    /// Counts what would be lost, by group.
    fn lost(&self, lost: &BTreeSet<ObjectKey>) -> BTreeMap<Group, usize> {
        let mut by_group: BTreeMap<Group, usize> = BTreeMap::new();
        for group in lost.iter().flat_map(|key| self.groups(key)) {
            *by_group.entry(group).or_default() += 1;
        }
        if self.unnamed > 0 {
            *by_group.entry(Group::Of(ObjectType::Table)).or_default() += self.unnamed;
        }
        by_group
    }

    /// Returns the groups of which nothing is left.
    pub(super) fn vanished(&self, lost: &BTreeSet<ObjectKey>) -> Vec<Loss> {
        vanished(&self.before, &self.lost(lost))
    }
}

/// Where the structure of tables and buckets stands, a file each.
const STORAGE: &str = "storage/metadata/";

impl Lane {
    /// Counts what the tip has where everything was read. State that was read back from the repository does
    /// not know of tables and buckets, of which the source has `storage` now; so their files are counted.
    pub(super) async fn census_of_all(
        &self,
        memory: &Memory,
        going: &BTreeSet<ObjectKey>,
        tip: Option<(Tip, &OwnedPaths)>,
        storage: usize,
    ) -> Result<Census, AttemptError> {
        let mut census = self.census(memory, going).await?;
        let knows = |key: ObjectKey| matches!(key, ObjectKey::Table(_) | ObjectKey::Bucket(_));
        if let Some((tip, owned)) = tip.filter(|(tip, _)| tip.own)
            && !memory.keys().any(knows)
        {
            let owned = owned.clone();
            let files = self
                .blocking(move |lane| lane.storage_files(tip.tree, &owned))
                .await?;
            census.before.insert(Group::Of(ObjectType::Table), files);
            census.unnamed = files.saturating_sub(storage);
        }
        Ok(census)
    }

    fn storage_files(&self, tree: Oid, owned: &OwnedPaths) -> Result<usize, AttemptError> {
        let mut count = 0;
        for root in owned.roots() {
            if root.as_str() == "storage" || root.as_str().ends_with("/storage") {
                for file in self.git.files_below(tree, Some(&root))? {
                    let path = file?.mirror_path();
                    let below = path.as_ref().and_then(|path| owned.below_root(path));
                    count += usize::from(below.is_some_and(|below| below.starts_with(STORAGE)));
                }
            }
        }
        Ok(count)
    }

    /// Counts what the tip has, before anything of it is changed; the objects of `going` may go.
    pub(super) async fn census(
        &self,
        memory: &Memory,
        going: &BTreeSet<ObjectKey>,
    ) -> Result<Census, AttemptError> {
        let mut census = Census::default();
        let component = |key: &ObjectKey| key.config().map(|(component, _)| component.clone());
        let stays: BTreeSet<ComponentId> = memory
            .keys()
            .filter(|key| !going.contains(key))
            .filter_map(|key| component(&key))
            .collect();
        // Only with the last of a component the last of a type goes.
        let may_vanish = going
            .iter()
            .filter_map(component)
            .any(|component| !stays.contains(&component));
        let components: BTreeSet<ComponentId> = memory
            .keys()
            .filter_map(|key| key.config().map(|(component, _)| component.clone()))
            .collect();
        for id in &components {
            let known = self.source.component_type(id);
            // What was not listed has to be asked for, which only matters where many may go, or all of a type.
            let component_type = match known {
                None if may_vanish || going.len() >= self.spec.deletions.floor => {
                    Some(self.source.type_of(id).await?)
                }
                known => known,
            };
            census
                .types
                .extend(component_type.map(|known| (id.clone(), known)));
        }
        for key in memory.keys().filter(|key| memory.is_shown(key)) {
            for group in census.groups(&key) {
                *census.before.entry(group).or_default() += 1;
            }
        }
        Ok(census)
    }

    /// Refuses to go on where too much would be lost, unless the operator has accepted it.
    ///
    /// # Errors
    /// [`AttemptError::MassDeletion`].
    pub(super) async fn hold_mass_deletion(
        &self,
        census: &Census,
        lost: &BTreeSet<ObjectKey>,
        withheld: &BTreeMap<ObjectKey, WithholdReason>,
    ) -> Result<(), AttemptError> {
        let losses = losses(&census.before, &census.lost(lost), self.spec.deletions);
        if losses.is_empty() {
            return Ok(());
        }
        let cursor = self.log.cursor(&self.id).await?;
        let cursor = cursor.unwrap_or_else(|| LaneCursor::start(self.log.log_id().clone()));
        let after = format!("{}/{}", cursor.change, cursor.jobs);
        let held = Held::new(&self.id, &after, lost, losses).with_withheld(lost, withheld);
        let is_accepted = match &self.spec.accept_deletions {
            AcceptDeletions::Nothing => false,
            AcceptDeletions::Batch(id) => *id == held.id,
            AcceptDeletions::Everything => true,
        };
        if is_accepted {
            tracing::warn!(lane = %self.id, batch = held.id, losses = %held, "a mass deletion goes on, as the operator accepted it");
            return Ok(());
        }
        Err(AttemptError::MassDeletion { held })
    }
}
