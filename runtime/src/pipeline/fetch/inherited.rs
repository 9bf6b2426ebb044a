//! The storage that a branch shows: its own, and what it inherits from the default branch.
//!
//! A dev branch reads a table of the default branch until it has one of the same id itself, and so do
//! its mirror's readers: what a dev branch does not change is no difference.

use super::{FetchError, Source};
use mirror_core::ids::{BranchId, TableId};
use mirror_keboola::{Bucket, Disposition, ItemStream, KeboolaError, Table};
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

    /// Lists the buckets that a branch shows.
    ///
    /// # Errors
    /// As any call.
    pub async fn buckets(&self, branch: &BranchId) -> Result<Vec<Bucket>, KeboolaError> {
        let mut buckets = self.client.buckets(branch).await?;
        if let Some(base) = self.base_of(branch) {
            let own: BTreeSet<_> = buckets.iter().map(|bucket| bucket.id.clone()).collect();
            let inherited = self.client.buckets(&base).await?;
            buckets.extend(inherited.into_iter().filter(|bucket| !own.contains(&bucket.id)));
        }
        Ok(buckets)
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
    pub(super) async fn metadata_of(&self, branch: &BranchId) -> Result<Vec<(String, String)>, FetchError> {
        let mut own = super::pairs(self.client.branch_metadata(branch).await?);
        if let Some(base) = self.base_of(branch)
            && own.iter().all(|(key, _)| key != PROJECT_DESCRIPTION)
        {
            let inherited = super::pairs(self.client.branch_metadata(&base).await?);
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
    listed: ItemStream<Table>,
    owner: BranchId,
    /// None where there is none, or it is listed by now.
    base: Option<BranchId>,
    /// Ids of the branch's own.
    own: BTreeSet<TableId>,
}

impl ShownTables<'_> {
    /// Returns the next table and the branch that it lies in.
    ///
    /// # Errors
    /// As any call.
    pub async fn next(&mut self) -> Result<Option<(BranchId, Table)>, KeboolaError> {
        loop {
            match (self.listed.next().await?, &self.base) {
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
