//! Which version of a configuration is wanted, and what it means that the source shows another one.

use super::{
    Awaited, Covered, FetchError, Fetched, Patience, Source, Unfounded,
    fetched::{AwaitedObject, announced},
};
use jiff::Timestamp;
use mirror_core::{
    cut::{ConfigKey, Wanted},
    ids::BranchId,
};
use mirror_keboola::{ConfigurationDetail, Disposition, KeboolaError};
use std::sync::Arc;

impl Source {
    pub(super) async fn wanted(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        wanted: &Wanted,
        covered: Option<&Covered>,
        patience: Patience,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        if let Some(detail) = self.held(branch, key, wanted, covered) {
            return self.add(branch, key, &detail, fetched).await;
        }
        let current = match self
            .client
            .configuration(branch, &key.component, &key.config)
            .await
        {
            Ok(detail) if detail.revision.is_deleted => None,
            Ok(detail) => Some(Arc::new(detail)),
            Err(error) if error.disposition() == Disposition::Gone => None,
            Err(error) => return Err(error.into()),
        };
        let Some(current) = current else {
            return self.absent(branch, key, wanted, covered, patience, fetched).await;
        };
        self.cache.put(branch, &current);
        let visible = current.revision.version;
        if wanted.deleted || visible == wanted.version {
            return self.add(branch, key, &current, fetched).await;
        }
        if visible < wanted.version {
            match patience.awaits(self, wanted.awaited_since) {
                Some(since) => fetched.awaited.push(awaited(key, wanted, since)),
                None => fetched.unfounded.push(Unfounded {
                    object: key.clone().into(),
                    reason: format!(
                        "version {} was announced, but the source still shows {visible}",
                        wanted.version
                    ),
                    body: Some(announced(key, wanted)),
                }),
            }
            // What it shows meanwhile does not wait for what it does not.
            let is_news =
                covered.is_none_or(|had| had.version < visible || had.is_another(&current.revision));
            return match is_news {
                true => self.add(branch, key, &current, fetched).await,
                false => Ok(()),
            };
        }
        match self
            .client
            .configuration_version(branch, &current, wanted.version)
            .await
        {
            Ok(past) => {
                let past = Arc::new(past);
                self.cache.put(branch, &past);
                self.add(branch, key, &past, fetched).await
            }
            // The history was cut; the newest covers what was wanted.
            Err(error) if error.disposition() == Disposition::Gone => {
                self.add(branch, key, &current, fetched).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a wanted version as it was fetched before. That says nothing of what became of it since: of a configuration
    /// that the tip does not have, the source is asked, for it may be deleted, and the event of its deletion taken up before
    /// this one. So it is asked where the tip has what was made anew under the same id.
    fn held(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        wanted: &Wanted,
        covered: Option<&Covered>,
    ) -> Option<Arc<ConfigurationDetail>> {
        let identifier = wanted.identifier.as_ref().filter(|_| !wanted.deleted)?;
        let had = self.cache.get(branch, key, &covered?.identifier);
        let detail = self.cache.get(branch, key, identifier)?;
        had.is_none_or(|had| had.first_created == detail.first_created)
            .then_some(detail)
    }

    /// Tells a configuration that is gone from one that is not there yet: by the trash.
    async fn absent(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        wanted: &Wanted,
        covered: Option<&Covered>,
        patience: Patience,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let trash = self.client.list_deleted(branch).await?;
        let found = trash
            .into_iter()
            .find(|item| item.component_id == key.component && item.id == key.config);
        // A trash that holds a lower version is of an earlier deletion: it was restored since.
        let is_of_now = found
            .as_ref()
            .is_some_and(|item| item.revision.version >= wanted.version);
        let is_unseen = !wanted.deleted && !is_of_now && (covered.is_none() || found.is_some());
        if is_unseen {
            match patience.awaits(self, wanted.awaited_since) {
                Some(since) => fetched.awaited.push(awaited(key, wanted, since)),
                None => fetched.unfounded.push(Unfounded {
                    object: key.clone().into(),
                    reason: "the source has no such configuration, neither live nor in the trash".into(),
                    body: Some(announced(key, wanted)),
                }),
            }
            return Ok(());
        }
        fetched
            .gone
            .insert(key.clone(), found.map(|item| (item.name, item.revision)));
        Ok(())
    }

    /// An event tells of a version that is not above the covered one, but goes by another identifier:
    /// either it is late, or the configuration was purged and made anew, which restarts its numbers.
    /// The source knows.
    pub(super) async fn recreated(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        had: &Covered,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let found = self
            .client
            .configuration(branch, &key.component, &key.config)
            .await;
        match found {
            Ok(detail) if detail.revision.is_deleted || !had.is_another(&detail.revision) => Ok(()),
            found => self.add_found(branch, key, found, fetched).await,
        }
    }

    /// Fetches a configuration at a version; the current one where that is not known.
    pub(super) async fn at(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        covered: Option<&Covered>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        if let Some(detail) = covered.and_then(|covered| self.cache.get(branch, key, &covered.identifier)) {
            return self.add(branch, key, &detail, fetched).await;
        }
        let version = covered.map_or(0, |covered| covered.version);
        let ConfigKey { component, config } = key;
        let detail = match self.client.configuration(branch, component, config).await {
            Ok(detail) if version == 0 || detail.revision.version == version => Ok(detail),
            Ok(current) => {
                let past = self.client.configuration_version(branch, &current, version).await;
                match past {
                    // The history was cut; the newest covers what was wanted.
                    Err(error) if error.disposition() == Disposition::Gone => Ok(current),
                    past => past,
                }
            }
            Err(error) => Err(error),
        };
        self.add_found(branch, key, detail, fetched).await
    }

    async fn add_found(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        found: Result<ConfigurationDetail, KeboolaError>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        match found {
            Ok(detail) => {
                let detail = Arc::new(detail);
                self.cache.put(branch, &detail);
                self.add(branch, key, &detail, fetched).await
            }
            // It went away since; its own event will say so.
            Err(error) if error.disposition() == Disposition::Gone => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn add(
        &self,
        branch: &BranchId,
        key: &ConfigKey,
        detail: &Arc<ConfigurationDetail>,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let component = self.component(&key.component).await?;
        let metadata = self.metadata_alone(branch, key).await?;
        fetched.add(&component, detail, metadata);
        Ok(())
    }
}

fn awaited(key: &ConfigKey, wanted: &Wanted, since: Timestamp) -> Awaited {
    Awaited {
        what: AwaitedObject::Version(key.clone(), wanted.clone()),
        since,
    }
}
