//! Reconciling: what the source has and the remote does not becomes events; it never commits.

use super::{attempt::Lane, error::AttemptError, fetch::Covered};
use crate::queue::NewEvent;
use mirror_core::{
    cut::ConfigKey,
    event::{Body, ConfigChanged, ConfigDeleted, Envelope},
};
use mirror_keboola::{KeboolaError, ListedConfiguration};
use std::collections::{BTreeMap, BTreeSet};

impl Lane {
    /// Compares the source's versions with the covered ones and appends the events that are missing.
    /// Returns how many were.
    ///
    /// # Errors
    /// A source or log that fails.
    pub async fn reconcile(&self, covered: &BTreeMap<ConfigKey, Covered>) -> Result<usize, AttemptError> {
        let listed = self.source.client().list_configurations(&self.branch.id).await;
        let listed = listed.map_err(|error: KeboolaError| AttemptError::Fetch(error.into()))?;
        let now = (self.now)();
        let batch: Vec<NewEvent> = missing(&listed, covered)
            .into_iter()
            .map(|body| NewEvent {
                envelope: Envelope::internal(self.topic.clone(), body, now),
                at: now,
            })
            .collect();
        if batch.is_empty() {
            return Ok(0);
        }
        let appended = self.log.append(batch).await?;
        Ok(appended.iter().filter(|appended| !appended.duplicate).count())
    }
}

/// Returns what would have to be told so that the covered versions become the listed ones.
fn missing(listed: &[ListedConfiguration], covered: &BTreeMap<ConfigKey, Covered>) -> Vec<Body> {
    let mut bodies = Vec::new();
    let mut seen = BTreeSet::new();
    for ListedConfiguration {
        component_id,
        id,
        revision,
        ..
    } in listed
    {
        let key = ConfigKey {
            component: component_id.clone(),
            config: id.clone(),
        };
        if covered
            .get(&key)
            .is_none_or(|covered| covered.version < revision.version)
        {
            bodies.push(Body::ConfigChanged(ConfigChanged {
                component: key.component.clone(),
                config: key.config.clone(),
                version: revision.version,
                identifier: revision.identifier.clone(),
                author: revision
                    .author
                    .as_ref()
                    .map(|author| author.description.clone())
                    .filter(|text| !text.is_empty()),
                diff_ref: None,
            }));
        }
        seen.insert(key);
    }
    for (key, covered) in covered.iter().filter(|(key, _)| !seen.contains(*key)) {
        bodies.push(Body::ConfigDeleted(ConfigDeleted {
            component: key.component.clone(),
            config: key.config.clone(),
            version: covered.version,
            identifier: Some(covered.identifier.clone()).filter(|identifier| !identifier.is_empty()),
        }));
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::ids::{ComponentId, ConfigId};
    use mirror_keboola::Revision;

    fn key(config: &str) -> ConfigKey {
        ConfigKey {
            component: ComponentId::parse("c").expect("an id"),
            config: ConfigId::parse(config).expect("an id"),
        }
    }

    fn listed(config: &str, version: u64) -> ListedConfiguration {
        ListedConfiguration {
            component_id: key(config).component,
            id: key(config).config,
            name: config.into(),
            revision: Revision {
                version,
                identifier: None,
                created: None,
                author: None,
                change_description: String::new(),
                is_deleted: false,
            },
        }
    }

    #[test]
    fn new_and_newer_and_vanished_configurations_are_missing_and_the_same_are_not() {
        let covered = |version| Covered {
            version,
            identifier: String::new(),
        };
        let covered = BTreeMap::from([
            (key("same"), covered(3)),
            (key("older"), covered(1)),
            (key("gone"), covered(9)),
        ]);
        let bodies = missing(
            &[listed("same", 3), listed("older", 2), listed("new", 1)],
            &covered,
        );
        let told: Vec<String> = bodies
            .iter()
            .map(|body| match body {
                Body::ConfigChanged(changed) => format!("{}@{}", changed.config, changed.version),
                Body::ConfigDeleted(deleted) => format!("{} deleted", deleted.config),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["older@2", "new@1", "gone deleted"]);
    }
}
