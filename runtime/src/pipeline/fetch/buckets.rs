//! Which default buckets there are in a stack: what their ids begin with, for every component that has such buckets.
//!
//! Ids of two components may differ in what such a bucket's id does not show, a dot or a dash; then the last one of the
//! stack's index is meant, as in the CLI. So the index is asked where a mapping reads a default bucket of the branch's
//! configurations, or one that looks like it; once, for it says the same for months. It is part of no object's version, like
//! the definition of a component.

use super::{FetchError, Source};
use mirror_core::ids::ComponentId;
use mirror_keboola::{Disposition, Index};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::OnceCell;

/// Components by what ids of their default buckets begin with, up to the configuration's id.
pub type DefaultBuckets = Arc<BTreeMap<String, ComponentId>>;

#[derive(Debug, Default)]
pub(super) struct OfStack(OnceCell<DefaultBuckets>);

impl Source {
    /// Returns whose default buckets begin with what.
    ///
    /// # Errors
    /// A call that fails and may not do so again.
    pub async fn default_buckets(&self) -> Result<DefaultBuckets, FetchError> {
        let asked = self.default_buckets.0.get_or_try_init(async || {
            let index = match self.client.index().await {
                Ok(index) => index,
                Err(error) if matches!(error.disposition(), Disposition::Gone | Disposition::Permanent) => {
                    let error = crate::app::chain(&error);
                    tracing::warn!(error, "the index of the stack cannot be had; default buckets of components of which the branch has no configuration are not known as such, nor which of two components is meant whose buckets are called the same");
                    return Ok(DefaultBuckets::default());
                }
                Err(error) => return Err(FetchError::from(error)),
            };
            Ok(Arc::new(by_beginning(&index)))
        });
        Ok(Arc::clone(asked.await?))
    }
}

fn by_beginning(index: &Index) -> BTreeMap<String, ComponentId> {
    let components = index.components.iter();
    let named = components.filter_map(|info| {
        let component = &info.component;
        Some((component.default_bucket_prefix()?, component.id.parse().ok()?))
    });
    // Of several the last one stays.
    named.collect()
}
