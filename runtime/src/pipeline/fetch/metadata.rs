//! Metadata of configurations, which is listed apart from them.

use super::{
    FetchError, Source,
    fetched::{is_about_one, pairs},
};
use mirror_core::{
    cut::ConfigKey,
    ids::{BranchId, ObjectKey},
};
use mirror_keboola::{Disposition, Unread};
use std::collections::BTreeMap;

/// An object's metadata, or why it cannot be read.
type Read = Result<Vec<(String, String)>, String>;

/// Metadata as it was listed, of the configurations that have some.
#[derive(Debug)]
pub(super) struct ListedMetadata {
    of: BTreeMap<ConfigKey, Read>,
    /// Of some it cannot be read whose it is: who is not listed may have metadata all the same.
    in_doubt: bool,
}

impl Source {
    /// Lists the metadata of all configurations of a branch.
    pub(super) async fn listed_metadata(&self, branch: &BranchId) -> Result<ListedMetadata, FetchError> {
        let mut of = BTreeMap::new();
        let mut in_doubt = false;
        for listed in self.client.configurations_metadata(branch).await? {
            let (id, metadata) = match listed {
                Ok(listed) => (
                    Some((listed.component_id, listed.config_id)),
                    Ok(pairs(listed.metadata)),
                ),
                Err(Unread { id, detail }) => (id, Err(detail)),
            };
            match (id, metadata) {
                (Some((component, config)), metadata) => {
                    of.insert(ConfigKey { component, config }, metadata);
                }
                (None, Err(detail)) => {
                    tracing::warn!(
                        %branch,
                        detail,
                        "listed metadata without a readable id is left out; configurations without metadata are asked for it"
                    );
                    in_doubt = true;
                }
                (None, Ok(_)) => {}
            }
        }
        Ok(ListedMetadata { of, in_doubt })
    }

    /// Takes the metadata of a configuration out of what was listed, or asks for it where it may be among what cannot be read.
    pub(super) async fn metadata_among(
        &self,
        listed: &mut ListedMetadata,
        branch: &BranchId,
        key: &ConfigKey,
    ) -> Result<Read, FetchError> {
        if let Some(read) = listed.of.remove(key) {
            return Ok(read);
        }
        if !listed.in_doubt {
            return Ok(Ok(Vec::new()));
        }
        match self.metadata_alone(branch, key).await {
            Err(FetchError::Keboola(error)) if is_about_one(&ObjectKey::from(key.clone()), &error) => {
                Ok(Err(crate::app::chain(&error)))
            }
            metadata => Ok(Ok(metadata?)),
        }
    }

    /// Asks for the metadata of one configuration.
    pub(super) async fn metadata_alone(
        &self,
        branch: &BranchId,
        ConfigKey { component, config }: &ConfigKey,
    ) -> Result<Vec<(String, String)>, FetchError> {
        match self
            .client
            .configuration_metadata(branch, component, config)
            .await
        {
            Ok(metadata) => Ok(pairs(metadata)),
            Err(error) if error.disposition() == Disposition::Gone => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}
