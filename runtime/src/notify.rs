//! Telling the admins of a mirror: what is decided by [`mirror_core::incident`] becomes a message that is kept until
//! it has arrived.
//!
//! A report and the messages that it makes are stored in one transaction ([`crate::state::notices`]); the [`courier`]
//! delivers them afterwards, at least once and under the same id. So neither a crash nor a mail server that is down
//! loses a notice or makes two of it.

pub mod channel;
pub mod courier;
mod email;
pub mod message;
mod web;

use crate::{
    config::MirrorSpec,
    metrics::{Metrics, Reason},
    state::{StateError, notices::NoticeStore},
};
use jiff::Timestamp;
use message::{Context, GitBranch};
use mirror_core::{
    ids::{BranchId, MirrorId},
    incident::{Notice, NoticeKind, Report},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::Notify;

/// The notices of all mirrors; cheap to clone.
#[derive(Clone)]
pub struct Notices {
    pub store: NoticeStore,
    metrics: Arc<Metrics>,
    /// Those of mirrors that are open, which know what branches are called.
    mirrors: Arc<Mutex<BTreeMap<MirrorId, Weak<MirrorNotices>>>>,
    /// Raised when there is something to deliver.
    wake: Arc<Notify>,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Notices {
    #[must_use]
    pub fn new(store: NoticeStore, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            mirrors: Arc::default(),
            wake: Arc::default(),
        }
    }

    /// Returns the notices of one mirror, the same for all who ask while somebody has them.
    #[must_use]
    pub fn of(&self, spec: &Arc<MirrorSpec>) -> Arc<MirrorNotices> {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let open = mirrors.get(&spec.id).and_then(Weak::upgrade);
        open.unwrap_or_else(|| {
            let made = Arc::new(MirrorNotices {
                notices: self.clone(),
                spec: Arc::clone(spec),
                branches: Mutex::default(),
            });
            mirrors.insert(spec.id.clone(), Arc::downgrade(&made));
            made
        })
    }

    /// Takes over what others have told of a mirror, and what of it has not arrived.
    pub(crate) async fn take(&self, mirror: &MirrorId) {
        match self.store.take(mirror).await {
            Ok(()) => self.wake.notify_one(),
            // The next report takes it.
            Err(error) => {
                tracing::warn!(%mirror, error = crate::app::chain(&error), "what was told of the mirror cannot be read; it is tried again");
            }
        }
    }

    /// Waits until something was stored that is to be delivered.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn count(&self, kind: NoticeKind) {
        let label = Reason { reason: kind.code() };
        self.metrics.admin_notifications.get_or_create(&label).inc();
    }
}

/// The notices of one mirror.
pub struct MirrorNotices {
    notices: Notices,
    spec: Arc<MirrorSpec>,
    /// What the branches are called in Git.
    branches: Mutex<BTreeMap<BranchId, String>>,
}

impl fmt::Debug for MirrorNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorNotices")
            .field("mirror", &self.spec.id)
            .finish_non_exhaustive()
    }
}

impl MirrorNotices {
    /// Notes what a Keboola branch is called in Git.
    pub fn name(&self, branch: &BranchId, git_branch: &str) {
        let mut branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        branches.insert(branch.clone(), git_branch.to_owned());
    }

    /// Takes reports in. When this returns, what is to be told of them is durable.
    ///
    /// # Errors
    /// A store that cannot be written; report them again.
    pub async fn report(&self, reports: Vec<Report>, now: Timestamp) -> Result<(), StateError> {
        let store = &self.notices.store;
        let (context, targets) = (self.context(), self.targets());
        let recorded = store
            .record(&self.spec.id, reports, context, targets, now)
            .await?;
        for (id, notice) in &recorded {
            self.told(id, notice);
        }
        if !recorded.is_empty() {
            self.notices.wake.notify_one();
        }
        Ok(())
    }

    fn told(&self, id: &str, notice: &Notice) {
        let span = tracing::info_span!("notify_admin", mirror = %self.spec.id, reason = notice.kind.code());
        let _entered = span.enter();
        self.notices.count(notice.kind);
        let branches: Vec<&str> = notice.branches.iter().map(BranchId::as_str).collect();
        tracing::warn!(
            mirror = %self.spec.id,
            project_id = %self.spec.project,
            branch_id = branches.join(","),
            notice = notice.kind.code(),
            notice_id = id,
            since = %notice.since,
            reason = notice.why,
            items = notice.items.len() + notice.items_more,
            addresses = self.spec.notify.len(),
            "admins are told"
        );
    }

    fn context(&self) -> Context {
        let branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        let named = branches.iter().map(|(id, git_branch)| GitBranch {
            keboola_branch: id.clone(),
            git_branch: git_branch.clone(),
        });
        Context::of(&self.spec, named.collect())
    }

    fn targets(&self) -> Vec<String> {
        // Two entries for the same address are one.
        let targets: BTreeSet<String> = self.spec.notify.iter().map(channel::Target::key).collect();
        targets.into_iter().collect()
    }
}
