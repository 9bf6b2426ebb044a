//! Which default buckets there are in a stack: what their ids begin with, for every component that has such buckets.
//!
//! The branch's own configurations tell it of their components. Only where a mapping reads a bucket whose id looks like a
//! default one, and no configuration has that, the stack's index is asked; once, for it says the same for months. It is
//! part of no object's version, like the definition of a component.

use super::{FetchError, Source};
use mirror_keboola::Disposition;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::OnceCell;

/// What ids of default buckets begin with, up to the configuration's id.
pub type DefaultBuckets = Arc<BTreeSet<String>>;

#[derive(Debug, Default)]
pub(super) struct OfStack(OnceCell<DefaultBuckets>);

impl Source {
    /// Returns what ids of default buckets begin with.
    ///
    /// # Errors
    /// A call that fails and may not do so again.
    pub async fn default_buckets(&self) -> Result<DefaultBuckets, FetchError> {
        let asked = self.default_buckets.0.get_or_try_init(async || {
            let index = match self.client.index().await {
                Ok(index) => index,
                Err(error) if matches!(error.disposition(), Disposition::Gone | Disposition::Permanent) => {
                    let error = crate::app::chain(&error);
                    tracing::warn!(error, "the index of the stack cannot be had; default buckets of components of which the branch has no configuration are not known as such");
                    return Ok(DefaultBuckets::default());
                }
                Err(error) => return Err(FetchError::from(error)),
            };
            let components = index.components.iter();
            let prefixes = components.filter_map(|info| info.component.default_bucket_prefix());
            Ok(Arc::new(prefixes.collect()))
        });
        Ok(Arc::clone(asked.await?))
    }
}

/// Returns whether an alias may be what ids of default buckets begin with.
#[must_use]
pub fn may_be_prefix(alias: &str) -> bool {
    alias.ends_with('-')
}
