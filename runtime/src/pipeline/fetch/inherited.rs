//! The storage that a branch shows: its own, and what it inherits from the default branch.
//!
//! A dev branch reads a table of the default branch until it has one of the same id itself, and so do
//! its mirror's readers: what a dev branch does not change is no difference.

use super::{Source, fetched::pairs};
use mirror_core::ids::{BranchId, BucketId, TableId};
use mirror_keboola::{Bucket, Disposition, Item, ItemStream, KeboolaError, Table, Unread};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Metadata of the default branch that is about the project.
const PROJECT_DESCRIPTION: &str = "KBC.projectDescription";

/// Which branch is the default one, once the branches were listed.
#[derive(Debug, Default)]
pub(super) struct DefaultBranch(Mutex<Option<BranchId>>);

impl Source {
    /// Notes which branch is the default one.
    pub fn set_default_branch(&self, branch: &BranchId) {
        *self.default.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(branch.clone());
    }

    /// Returns the branch that another one inherits from.
    fn base_of(&self, branch: &BranchId) -> Option<BranchId> {
        let default = self.default.0.lock().unwrap_or_else(PoisonError::into_inner);
        default.clone().filter(|default| default != branch)
    }

    /// Lists the buckets that a branch shows; those that cannot be read are left out.
    ///
    /// # Errors
    /// As any call.
    pub async fn buckets(&self, branch: &BranchId) -> Result<Vec<Bucket>, KeboolaError> {
        Ok(self.listed_buckets(branch).await?.0)
    }

    /// Lists the buckets that a branch shows, and those that cannot be read.
    pub(super) async fn listed_buckets(
        &self,
        branch: &BranchId,
    ) -> Result<(Vec<Bucket>, Vec<Unread<BucketId>>), KeboolaError> {
        let (mut buckets, mut unread) = parted(self.client.buckets(branch).await?);
        if let Some(base) = self.base_of(branch) {
            let readable = buckets.iter().map(|bucket| &bucket.id);
            let own = readable.chain(unread.iter().filter_map(|unread| unread.id.as_ref()));
            let own: BTreeSet<BucketId> = own.cloned().collect();
            let (inherited, more) = parted(self.client.buckets(&base).await?);
            buckets.extend(inherited.into_iter().filter(|bucket| !own.contains(&bucket.id)));
            unread.extend(more);
        }
        Ok((buckets, unread))
    }

    /// Lists the tables that a branch shows, each with the branch that it lies in.
    ///
    /// # Errors
    /// As any call.
    pub async fn tables_of(&self, branch: &BranchId) -> Result<ShownTables<'_>, KeboolaError> {
        Ok(ShownTables {
            source: self,
            listed: self.client.tables(branch).await?,
            owner: branch.clone(),
            base: self.base_of(branch),
            own: BTreeSet::new(),
            unread: Vec::new(),
        })
    }

    /// Asks for a table that a branch shows, and the branch that it lies in.
    pub(super) async fn table_of(
        &self,
        branch: &BranchId,
        table: &TableId,
    ) -> Result<(BranchId, Table), KeboolaError> {
        match (self.client.table(branch, table).await, self.base_of(branch)) {
            (Err(error), Some(base)) if error.disposition() == Disposition::Gone => {
                let found = self.client.table(&base, table).await?;
                Ok((base, found))
            }
            (found, _) => Ok((branch.clone(), found?)),
        }
    }

    /// Returns a branch's metadata, with the project's description, which only the default branch has.
    pub(super) async fn metadata_of(&self, branch: &BranchId) -> Result<Vec<(String, String)>, KeboolaError> {
        let mut own = pairs(self.client.branch_metadata(branch).await?);
        if let Some(base) = self.base_of(branch)
            && own.iter().all(|(key, _)| key != PROJECT_DESCRIPTION)
        {
            let inherited = pairs(self.client.branch_metadata(&base).await?);
            own.extend(
                inherited
                    .into_iter()
                    .filter(|(key, _)| key == PROJECT_DESCRIPTION),
            );
        }
        Ok(own)
    }
}

/// Tables that a branch shows, as they are listed: its own, then those that it inherits.
#[derive(Debug)]
pub struct ShownTables<'s> {
    source: &'s Source,
    listed: ItemStream<Item<Table, TableId>>,
    owner: BranchId,
    /// None where there is none, or it is listed by now.
    base: Option<BranchId>,
    /// Ids of the branch's own.
    own: BTreeSet<TableId>,
    /// Those that cannot be read, so far.
    pub(super) unread: Vec<Unread<TableId>>,
}

fn parted<T, Id>(items: Vec<Item<T, Id>>) -> (Vec<T>, Vec<Unread<Id>>) {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => read.push(item),
            Err(found) => unread.push(found),
        }
    }
    (read, unread)
}

impl ShownTables<'_> {
    /// Returns the next table that can be read and the branch that it lies in.
    ///
    /// # Errors
    /// As any call.
    pub async fn next(&mut self) -> Result<Option<(BranchId, Table)>, KeboolaError> {
        loop {
            let listed = match self.listed.next().await? {
                Some(Err(unread)) => {
                    // What a branch has itself is not what it would inherit, whether it can be read or not.
                    self.own.extend(unread.id.clone());
                    self.unread.push(unread);
                    continue;
                }
                Some(Ok(table)) => Some(table),
                None => None,
            };
            match (listed, &self.base) {
                (Some(table), Some(_)) => {
                    self.own.insert(table.id.clone());
                    return Ok(Some((self.owner.clone(), table)));
                }
                (Some(table), None) if !self.own.contains(&table.id) => {
                    return Ok(Some((self.owner.clone(), table)));
                }
                (Some(_), None) => {}
                (None, None) => return Ok(None),
                (None, Some(_)) => {
                    let Some(base) = self.base.take() else {
                        return Ok(None);
                    };
                    self.listed = self.source.client.tables(&base).await?;
                    self.owner = base;
                }
            }
        }
    }
}
