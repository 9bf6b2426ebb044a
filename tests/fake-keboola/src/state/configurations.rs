//! Changes of configurations and rows, each of which makes a version.

use super::{Change, Committed, ConfigAt, Configuration, Content, FakeError, Late, Stamp, State, Told};
use super::{event_time, set_metadata, stamp, storage_time, text, token};
use serde_json::{Value, json};

/// What a change does to a configuration, in Keboola's words.
struct Deed {
    event: &'static str,
    said: String,
    /// Set for changes of a row.
    row: Option<String>,
}

impl State {
    pub(super) fn create_configuration(
        &mut self,
        at: &ConfigAt,
        change: &Change,
        content: Content,
    ) -> Result<Committed, FakeError> {
        if !self
            .components
            .iter()
            .any(|component| component["id"] == *at.component)
        {
            return Err(FakeError::UnknownComponent {
                component: at.component.clone(),
            });
        }
        let branch = self.branch_mut(&at.branch)?;
        if branch.find(&at.component, &at.config).is_some() {
            return Err(FakeError::ConfigurationExists {
                config: at.config.clone(),
            });
        }
        if branch
            .trash
            .iter()
            .any(|found| found.component_id == at.component && found.id() == at.config)
        {
            self.restore_quietly(at)?;
            write_content(&mut self.configuration_mut(at)?.detail, content);
            return self.commit(
                at,
                change,
                deed("storage.componentConfigurationRestored", "Configuration restored"),
                None,
            );
        }
        let mut detail = json!({
            "id": at.config, "name": "", "description": "", "created": storage_time(change.now),
            "creatorToken": token(&change.author), "version": 0, "changeDescription": "", "isDisabled": false,
            "isDeleted": false, "configuration": {}, "rowsSortOrder": [], "rows": [], "state": {}, "currentVersion": {},
        });
        write_content(&mut detail, content);
        let component_id = at.component.clone();
        let made = Configuration {
            component_id,
            detail,
            versions: Vec::new(),
            metadata: Vec::new(),
        };
        // Where the API lists it: behind the configurations of its component, components by id.
        let listed = &mut self.branch_mut(&at.branch)?.branch.configurations;
        let place = listed.partition_point(|other| other.component_id <= at.component);
        listed.insert(place, made);
        self.commit(
            at,
            change,
            deed("storage.componentConfigurationCreated", "Configuration created"),
            None,
        )
    }

    pub(super) fn update_configuration(
        &mut self,
        at: &ConfigAt,
        change: &Change,
        content: Content,
    ) -> Result<Committed, FakeError> {
        let before = self.before(at)?;
        write_content(&mut self.configuration_mut(at)?.detail, content);
        let deed = deed("storage.componentConfigurationChanged", "Configuration edited");
        self.commit(at, change, deed, before)
    }

    pub(super) fn delete_configuration(
        &mut self,
        at: &ConfigAt,
        change: &Change,
    ) -> Result<Committed, FakeError> {
        let before = self.before(at)?;
        self.configuration_mut(at)?.detail["isDeleted"] = true.into();
        let deed = deed("storage.componentConfigurationDeleted", "Configuration deleted");
        let committed = self.commit(at, change, deed, before)?;
        let branch = self.branch_mut(&at.branch)?;
        let place = branch
            .branch
            .configurations
            .iter()
            .position(|found| is_at(found, at));
        let place = place.ok_or_else(|| unknown(at))?;
        let deleted = branch.branch.configurations.remove(place);
        branch.trash.push(deleted);
        Ok(committed)
    }

    pub(super) fn restore_configuration(
        &mut self,
        at: &ConfigAt,
        change: &Change,
    ) -> Result<Committed, FakeError> {
        self.restore_quietly(at)?;
        self.commit(
            at,
            change,
            deed("storage.componentConfigurationRestored", "Configuration restored"),
            None,
        )
    }

    pub(super) fn purge_configuration(&mut self, at: &ConfigAt) -> Result<(), FakeError> {
        let trash = &mut self.branch_mut(&at.branch)?.trash;
        let place = trash.iter().position(|found| is_at(found, at));
        trash.remove(place.ok_or_else(|| unknown(at))?);
        Ok(())
    }

    fn restore_quietly(&mut self, at: &ConfigAt) -> Result<(), FakeError> {
        let branch = self.branch_mut(&at.branch)?;
        let place = branch
            .trash
            .iter()
            .position(|found| is_at(found, at))
            .ok_or_else(|| unknown(at))?;
        let mut restored = branch.trash.remove(place);
        restored.detail["isDeleted"] = false.into();
        let listed = &mut branch.branch.configurations;
        let place = listed.partition_point(|other| other.component_id <= at.component);
        listed.insert(place, restored);
        Ok(())
    }

    pub(super) fn create_row(
        &mut self,
        at: &ConfigAt,
        row: &str,
        change: &Change,
        content: Content,
    ) -> Result<Committed, FakeError> {
        let before = self.before(at)?;
        if row_of(self.configuration(at)?, row).is_some() {
            return Err(FakeError::RowExists {
                config: at.config.clone(),
                row: row.into(),
            });
        }
        let mut made = json!({
            "id": row, "name": "", "description": "", "isDisabled": false, "configuration": {}, "state": {},
            "version": 0, "created": storage_time(change.now), "creatorToken": token(&change.author),
            "changeDescription": null, "versionIdentifier": "",
        });
        write_content(&mut made, content);
        if let Some(rows) = rows_mut(self.configuration_mut(at)?) {
            rows.push(made);
        }
        let deed = row_deed(
            "storage.componentConfigurationRowCreated",
            format!("Row {row} added"),
            row,
        );
        self.commit(at, change, deed, before)
    }

    pub(super) fn update_row(
        &mut self,
        at: &ConfigAt,
        row: &str,
        change: &Change,
        content: Content,
    ) -> Result<Committed, FakeError> {
        let before = self.before(at)?;
        let unknown = || FakeError::UnknownRow {
            config: at.config.clone(),
            row: row.into(),
        };
        let rows = rows_mut(self.configuration_mut(at)?).ok_or_else(unknown)?;
        let found = rows
            .iter_mut()
            .find(|found| text(&found["id"]) == row)
            .ok_or_else(unknown)?;
        write_content(found, content);
        let deed = row_deed(
            "storage.componentConfigurationRowChanged",
            format!("Row {row} changed"),
            row,
        );
        self.commit(at, change, deed, before)
    }

    pub(super) fn delete_row(
        &mut self,
        at: &ConfigAt,
        row: &str,
        change: &Change,
    ) -> Result<Committed, FakeError> {
        let before = self.before(at)?;
        if row_of(self.configuration(at)?, row).is_none() {
            return Err(FakeError::UnknownRow {
                config: at.config.clone(),
                row: row.into(),
            });
        }
        let configuration = self.configuration_mut(at)?;
        if let Some(rows) = rows_mut(configuration) {
            rows.retain(|found| text(&found["id"]) != row);
        }
        if let Some(order) = configuration.detail["rowsSortOrder"].as_array_mut() {
            order.retain(|found| text(found) != row);
        }
        let deed = row_deed(
            "storage.componentConfigurationRowDeleted",
            format!("Row {row} removed"),
            row,
        );
        self.commit(at, change, deed, before)
    }

    pub(super) fn set_configuration_metadata(
        &mut self,
        at: &ConfigAt,
        change: &Change,
        entries: &[(String, String)],
    ) -> Result<(), FakeError> {
        let mut next = self.next_metadata;
        let configuration = self.configuration_mut(at)?;
        set_metadata(&mut configuration.metadata, &mut next, change, "user", entries);
        let (name, version) = (configuration.detail["name"].clone(), configuration.version());
        self.next_metadata = next;
        let branch = self.branch_id(at)?;
        let params = json!({
            "component": at.component, "configurationId": at.config, "name": name, "version": version,
        });
        let event = "storage.componentConfigurationMetadataSet";
        let told = Told {
            name: event,
            kind: "componentConfiguration",
            id: at.config.clone(),
            label: text(&name),
        };
        self.record(told, change, &branch, &params);
        Ok(())
    }

    /// Returns a configuration as it is, where readers are to go on seeing it. It has all its versions, so it is not
    /// cloned for nothing.
    fn before(&self, at: &ConfigAt) -> Result<Option<Configuration>, FakeError> {
        let found = self.configuration(at)?;
        Ok((self.late_reads > 0).then(|| found.clone()))
    }

    /// Raises the version (and the row's), writes history, tells Storage events and the outbox.
    fn commit(
        &mut self,
        at: &ConfigAt,
        change: &Change,
        deed: Deed,
        before: Option<Configuration>,
    ) -> Result<Committed, FakeError> {
        let identifier = self.ulid(change.now);
        let row_identifier = deed.row.as_ref().map(|_| self.ulid(change.now));
        let said = change.description.clone().unwrap_or_else(|| deed.said.clone());
        let branch = self.branch_id(at)?;
        let configuration = self.configuration_mut(at)?;
        let mut row_told = None;
        if let (Some(row), Some(identifier)) = (&deed.row, row_identifier) {
            row_told = Some(raise_row(configuration, row, &identifier, &said, change));
        }
        let version = configuration.version() + 1;
        stamp(
            configuration,
            &Stamp {
                version,
                identifier: &identifier,
                said: &said,
                change,
            },
        );
        let name = configuration.detail["name"].clone();
        let of = json!({"component": at.component, "configurationId": at.config, "name": name, "version": version});
        let (told, params) = match (deed.row, row_told) {
            (Some(row), Some((row_name, row_version))) => {
                let params =
                    json!({"rowId": row, "name": row_name, "version": row_version, "configuration": of});
                (
                    Told {
                        name: deed.event,
                        kind: "componentConfigurationRow",
                        id: row,
                        label: text(&row_name),
                    },
                    params,
                )
            }
            _ => {
                let (id, label) = (at.config.clone(), text(&name));
                (
                    Told {
                        name: deed.event,
                        kind: "componentConfiguration",
                        id,
                        label,
                    },
                    of,
                )
            }
        };
        let branch_text = text(&branch);
        self.record(told, change, &branch, &params);
        let outbox_seq = self.publish(&json!({
            "type": "config_changed", "projectId": self.project_id.to_string(), "branchId": branch_text,
            "componentId": at.component, "configId": at.config, "newVersion": version,
            "versionIdentifier": identifier, "author": change.author.name, "committedAt": event_time(change.now),
            "diffRef": format!("{branch_text}/{}/{}/{version}", at.component, at.config),
        }));
        if self.late_reads > 0 {
            let at = ConfigAt {
                branch: branch_text,
                ..at.clone()
            };
            // Still hidden: readers go on seeing what they saw.
            let seen = self.late.remove(&at).filter(|late| late.reads_left > 0);
            let before = seen.map_or(before, |late| late.before);
            self.late.insert(
                at,
                Late {
                    before,
                    reads_left: self.late_reads,
                },
            );
        }
        Ok(Committed {
            version,
            version_identifier: identifier,
            outbox_seq,
        })
    }

    fn branch_id(&self, at: &ConfigAt) -> Result<Value, FakeError> {
        let branch = self.branch(&at.branch).ok_or_else(|| FakeError::UnknownBranch {
            branch: at.branch.clone(),
        })?;
        Ok(branch.branch.detail["id"].clone())
    }

    pub(crate) fn configuration(&self, at: &ConfigAt) -> Result<&Configuration, FakeError> {
        let branch = self.branch(&at.branch).ok_or_else(|| FakeError::UnknownBranch {
            branch: at.branch.clone(),
        })?;
        branch.find(&at.component, &at.config).ok_or_else(|| unknown(at))
    }

    fn configuration_mut(&mut self, at: &ConfigAt) -> Result<&mut Configuration, FakeError> {
        let configurations = &mut self.branch_mut(&at.branch)?.branch.configurations;
        configurations
            .iter_mut()
            .find(|found| is_at(found, at))
            .ok_or_else(|| unknown(at))
    }
}

/// Reads what a client may write of a configuration or row.
pub(crate) fn read_content(value: &Value) -> Content {
    Content {
        name: value["name"].clone(),
        description: value["description"].clone(),
        is_disabled: value["isDisabled"].clone(),
        configuration: value["configuration"].clone(),
        rows_sort_order: value.get("rowsSortOrder").cloned(),
    }
}

fn write_content(target: &mut Value, content: Content) {
    let Content {
        name,
        description,
        is_disabled,
        configuration,
        rows_sort_order,
    } = content;
    target["name"] = name;
    target["description"] = description;
    target["isDisabled"] = is_disabled;
    target["configuration"] = configuration;
    if let Some(order) = rows_sort_order {
        target["rowsSortOrder"] = order;
    }
}

/// Raises a row's version and returns its name and new version; of a deleted row, null and 0.
fn raise_row(
    configuration: &mut Configuration,
    row: &str,
    identifier: &str,
    said: &str,
    change: &Change,
) -> (Value, u64) {
    let rows = rows_mut(configuration);
    let Some(found) = rows.and_then(|rows| rows.iter_mut().find(|found| text(&found["id"]) == row)) else {
        return (Value::Null, 0);
    };
    let version = found["version"].as_u64().unwrap_or(0) + 1;
    found["version"] = version.into();
    found["changeDescription"] = said.into();
    found["versionIdentifier"] = identifier.into();
    found["creatorToken"] = token(&change.author);
    (found["name"].clone(), version)
}

pub(crate) fn row_of<'c>(configuration: &'c Configuration, row: &str) -> Option<&'c Value> {
    configuration.detail["rows"]
        .as_array()?
        .iter()
        .find(|found| text(&found["id"]) == row)
}

fn rows_mut(configuration: &mut Configuration) -> Option<&mut Vec<Value>> {
    configuration.detail["rows"].as_array_mut()
}

fn is_at(found: &Configuration, at: &ConfigAt) -> bool {
    found.component_id == at.component && found.id() == at.config
}

fn unknown(at: &ConfigAt) -> FakeError {
    FakeError::UnknownConfiguration {
        config: format!("{}/{}", at.component, at.config),
    }
}

fn deed(event: &'static str, said: &str) -> Deed {
    Deed {
        event,
        said: said.into(),
        row: None,
    }
}

fn row_deed(event: &'static str, said: String, row: &str) -> Deed {
    Deed {
        event,
        said,
        row: Some(row.into()),
    }
}
