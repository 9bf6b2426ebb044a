//! Which branches a project has, and what is said of one of them.

use super::{FetchError, Fetched, Source, fetched::is_about_one};
use mirror_core::{
    ids::{BranchId, ObjectKey},
    layout::SourceObject,
};
use mirror_keboola::{DevBranch, Disposition, KeboolaError, Unread};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The branches of a project, as they were listed.
#[derive(Debug)]
pub struct Branches {
    /// Those that can be read.
    pub listed: Vec<DevBranch>,
    /// So many cannot: which ones they are is not known.
    left_out: usize,
}

impl Branches {
    /// Returns a branch, if it is among those that can be read.
    #[must_use]
    pub fn find(&self, id: &BranchId) -> Option<&DevBranch> {
        self.listed.iter().find(|branch| branch.id == *id)
    }

    /// Returns whether all that is listed can be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left_out == 0
    }
}

/// How many branches the last listing had that cannot be read.
#[derive(Debug, Default)]
pub(super) struct LeftOut(AtomicUsize);

impl Source {
    /// Lists the branches of the project; those that cannot be read are left out.
    ///
    /// # Errors
    /// As any call.
    pub async fn branches(&self) -> Result<Branches, KeboolaError> {
        let mut branches = Branches {
            listed: Vec::new(),
            left_out: 0,
        };
        let mut why = String::new();
        for branch in self.client.dev_branches().await? {
            match branch {
                Ok(branch) => branches.listed.push(branch),
                Err(Unread { detail, .. }) => {
                    branches.left_out += 1;
                    why = detail;
                }
            }
        }
        // They are listed again and again: it is said when it begins or changes.
        let before = self.left_out.0.swap(branches.left_out, Ordering::Relaxed);
        if !branches.is_whole() && branches.left_out != before {
            tracing::warn!(
                left_out = branches.left_out,
                detail = why,
                "listed branches without a readable id are left out; no branch is taken for deleted for it"
            );
        }
        Ok(branches)
    }

    /// Returns whether a branch is no more by a listing of all. If it may be among what cannot be read of the listing, the
    /// branch is asked for by itself.
    pub async fn lacks(&self, branches: &Branches, id: &BranchId) -> bool {
        branches.find(id).is_none() && (branches.is_whole() || self.has_lost(id).await)
    }

    /// Asks for a branch by itself, and returns whether the source says that there is none.
    pub async fn has_lost(&self, id: &BranchId) -> bool {
        let answer = self.client.branch_metadata(id).await;
        answer.is_err_and(|error| error.disposition() == Disposition::Gone)
    }

    /// Fetches what is said of a branch itself; it is withheld where that cannot be read.
    pub(super) async fn branch_object(&self, id: &BranchId, fetched: &mut Fetched) -> Result<(), FetchError> {
        let branches = self.branches().await?;
        if self.lacks(&branches, id).await {
            return Err(FetchError::NoBranch { branch: id.clone() });
        }
        let Some(branch) = branches.find(id) else {
            let detail = "the listing does not show it, and has branches that cannot be read";
            fetched.withhold(ObjectKey::Branch, detail.to_owned());
            return Ok(());
        };
        match self.metadata_of(id).await {
            Ok(metadata) => fetched.objects.push(SourceObject {
                key: ObjectKey::Branch,
                component: None,
                source: branch.source.clone(),
                metadata,
            }),
            Err(error) if is_about_one(&ObjectKey::Branch, &error) => {
                fetched.withhold(ObjectKey::Branch, crate::app::chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
