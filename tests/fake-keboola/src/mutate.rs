//! Changes of the project.
//!
//! All return when the change is visible (see [`Fake::hide_new_versions`]) and, with a journal, on
//! disk. A change that changes nothing makes no version and no event, as in Keboola.

use crate::{
    Change, Committed, ConfigAt, Fake, FakeError, JobSpec,
    change::Content,
    op::Op,
    state::{State, read_content, row_of, text},
};
use serde_json::{Value, json};

impl Fake {
    /// Creates a configuration; one in the trash is restored with the new content.
    ///
    /// # Errors
    /// An unknown branch or component; a configuration of this id that exists.
    pub fn create_configuration(
        &self,
        at: &ConfigAt,
        change: &Change,
        name: &str,
        configuration: Value,
    ) -> Result<Committed, FakeError> {
        let content = Content {
            name: json!(name),
            description: json!(""),
            is_disabled: json!(false),
            configuration,
            rows_sort_order: None,
        };
        self.must_commit(
            at,
            Op::CreateConfiguration {
                at: at.clone(),
                change: change.clone(),
                content,
            },
        )
    }

    /// Edits the member `configuration`. None means that the edit changed nothing.
    ///
    /// # Errors
    /// An unknown branch or configuration.
    pub fn update_configuration(
        &self,
        at: &ConfigAt,
        change: &Change,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Option<Committed>, FakeError> {
        self.revise_configuration(at, change, |content| edit(&mut content["configuration"]))
    }

    /// Gives a configuration another name.
    ///
    /// # Errors
    /// As `update_configuration`.
    pub fn rename_configuration(
        &self,
        at: &ConfigAt,
        change: &Change,
        name: &str,
    ) -> Result<Option<Committed>, FakeError> {
        self.revise_configuration(at, change, |content| content["name"] = name.into())
    }

    /// Edits any of `name`, `description`, `isDisabled`, `configuration` and `rowsSortOrder`, which
    /// are the members of the object given to `edit`.
    ///
    /// # Errors
    /// As `update_configuration`.
    pub fn revise_configuration(
        &self,
        at: &ConfigAt,
        change: &Change,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Option<Committed>, FakeError> {
        let decide = |state: &State| {
            let content = edited(&state.configuration(at)?.detail, edit);
            Ok(content.map(|content| Op::UpdateConfiguration {
                at: at.clone(),
                change: change.clone(),
                content,
            }))
        };
        self.shared.change(decide, |_, committed| committed)
    }

    /// Moves a configuration to the trash; this makes a version too.
    ///
    /// # Errors
    /// As `update_configuration`.
    pub fn delete_configuration(&self, at: &ConfigAt, change: &Change) -> Result<Committed, FakeError> {
        self.must_commit(
            at,
            Op::DeleteConfiguration {
                at: at.clone(),
                change: change.clone(),
            },
        )
    }

    /// Takes a configuration out of the trash; this makes a version too.
    ///
    /// # Errors
    /// An unknown branch, or a configuration that is not in the trash.
    pub fn restore_configuration(&self, at: &ConfigAt, change: &Change) -> Result<Committed, FakeError> {
        self.must_commit(
            at,
            Op::RestoreConfiguration {
                at: at.clone(),
                change: change.clone(),
            },
        )
    }

    /// Removes a configuration from the trash for good. Its id is free then, and what is created under it
    /// counts from version 1.
    ///
    /// # Errors
    /// An unknown branch, or a configuration that is not in the trash.
    pub fn purge_configuration(&self, at: &ConfigAt) -> Result<(), FakeError> {
        self.make(Op::PurgeConfiguration { at: at.clone() })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// An unknown branch or configuration; a row of this id that exists.
    pub fn create_row(
        &self,
        at: &ConfigAt,
        row: &str,
        change: &Change,
        name: &str,
        configuration: Value,
    ) -> Result<Committed, FakeError> {
        let content = Content {
            name: json!(name),
            description: json!(""),
            is_disabled: json!(false),
            configuration,
            rows_sort_order: None,
        };
        self.must_commit(
            at,
            Op::CreateRow {
                at: at.clone(),
                row: row.into(),
                change: change.clone(),
                content,
            },
        )
    }

    /// Edits any of a row's `name`, `description`, `isDisabled` and `configuration`.
    ///
    /// # Errors
    /// An unknown branch, configuration or row.
    pub fn update_row(
        &self,
        at: &ConfigAt,
        row: &str,
        change: &Change,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Option<Committed>, FakeError> {
        let decide = |state: &State| {
            let unknown = || FakeError::UnknownRow {
                config: at.config.clone(),
                row: row.into(),
            };
            let found = row_of(state.configuration(at)?, row).ok_or_else(unknown)?;
            let content = edited(found, edit);
            Ok(content.map(|content| Op::UpdateRow {
                at: at.clone(),
                row: row.into(),
                change: change.clone(),
                content,
            }))
        };
        self.shared.change(decide, |_, committed| committed)
    }

    /// Removes a row.
    ///
    /// # Errors
    /// As `update_row`.
    pub fn delete_row(&self, at: &ConfigAt, row: &str, change: &Change) -> Result<Committed, FakeError> {
        self.must_commit(
            at,
            Op::DeleteRow {
                at: at.clone(),
                row: row.into(),
                change: change.clone(),
            },
        )
    }

    /// Sets metadata of a configuration, which makes no version.
    ///
    /// # Errors
    /// As `update_configuration`.
    pub fn set_configuration_metadata(
        &self,
        at: &ConfigAt,
        change: &Change,
        entries: &[(&str, &str)],
    ) -> Result<(), FakeError> {
        let (at, change, entries) = (at.clone(), change.clone(), owned(entries));
        self.make(Op::SetConfigurationMetadata { at, change, entries })
    }

    /// Sets metadata of a branch.
    ///
    /// # Errors
    /// An unknown branch.
    pub fn set_branch_metadata(
        &self,
        branch: &str,
        change: &Change,
        entries: &[(&str, &str)],
    ) -> Result<(), FakeError> {
        let (branch, change, entries) = (branch.into(), change.clone(), owned(entries));
        self.make(Op::SetBranchMetadata {
            branch,
            change,
            entries,
        })
    }

    /// Creates a dev branch with copies of the default branch's configurations; returns its id.
    ///
    /// # Errors
    /// A journal that cannot be written.
    pub fn create_branch(&self, name: &str, description: &str, change: &Change) -> Result<String, FakeError> {
        let op = Op::CreateBranch {
            name: name.into(),
            description: description.into(),
            change: change.clone(),
        };
        let newest = |state: &State, _| {
            state
                .branches
                .last()
                .map(crate::state::BranchState::id)
                .unwrap_or_default()
        };
        self.shared.change(|_| Ok(Some(op)), newest)
    }

    /// Gives a branch another name and description, which makes no version and no event.
    ///
    /// # Errors
    /// An unknown branch.
    pub fn update_branch(
        &self,
        branch: &str,
        name: &str,
        description: &str,
        change: &Change,
    ) -> Result<(), FakeError> {
        let (branch, name, description) = (branch.into(), name.into(), description.into());
        self.make(Op::UpdateBranch {
            branch,
            name,
            description,
            change: change.clone(),
        })
    }

    /// Deletes a dev branch.
    ///
    /// # Errors
    /// An unknown branch, or the default one.
    pub fn delete_branch(&self, branch: &str, change: &Change) -> Result<(), FakeError> {
        self.make(Op::DeleteBranch {
            branch: branch.into(),
            change: change.clone(),
        })
    }

    /// Adds a run that has ended; returns its id.
    ///
    /// # Errors
    /// An unknown branch or configuration, or a status that is not final.
    pub fn finish_job(&self, job: JobSpec) -> Result<String, FakeError> {
        let newest = |state: &State, _| state.jobs.last().map(|job| text(&job["id"])).unwrap_or_default();
        self.shared.change(|_| Ok(Some(Op::FinishJob { job })), newest)
    }

    /// Adds a table, or replaces one of the same `id`, in the API's form.
    ///
    /// # Errors
    /// A table without `id`.
    pub fn put_table(&self, detail: Value, change: &Change) -> Result<(), FakeError> {
        self.make(Op::PutTable {
            detail,
            change: change.clone(),
        })
    }

    /// Drops a table.
    ///
    /// # Errors
    /// An unknown table.
    pub fn drop_table(&self, table: &str, change: &Change) -> Result<(), FakeError> {
        self.make(Op::DropTable {
            table: table.into(),
            change: change.clone(),
        })
    }

    /// Adds a bucket, or replaces one of the same `id`, in the API's form. No event tells of it.
    ///
    /// # Errors
    /// A bucket without `id`.
    pub fn put_bucket(&self, detail: Value) -> Result<(), FakeError> {
        self.make(Op::PutBucket { detail })
    }

    /// Drops a bucket. No event tells of it.
    ///
    /// # Errors
    /// An unknown bucket, or one with tables.
    pub fn drop_bucket(&self, bucket: &str) -> Result<(), FakeError> {
        self.make(Op::DropBucket {
            bucket: bucket.into(),
        })
    }

    /// Replaces a table's data preview; the text has a header line.
    ///
    /// # Errors
    /// An unknown table.
    pub fn change_preview(&self, table: &str, csv: &str, change: &Change) -> Result<(), FakeError> {
        self.make(Op::ChangePreview {
            table: table.into(),
            csv: csv.into(),
            change: change.clone(),
        })
    }

    fn make(&self, op: Op) -> Result<(), FakeError> {
        self.shared.change(|_| Ok(Some(op)), |_, _| ())
    }

    fn must_commit(&self, at: &ConfigAt, op: Op) -> Result<Committed, FakeError> {
        let committed = self.shared.change(|_| Ok(Some(op)), |_, committed| committed)?;
        committed.ok_or_else(|| FakeError::UnknownConfiguration {
            config: at.config.clone(),
        })
    }
}

/// Returns what the edit leaves, or none if it is what was there.
fn edited(source: &Value, edit: impl FnOnce(&mut Value)) -> Option<Content> {
    let before = read_content(source);
    let mut value = json!({
        "name": before.name, "description": before.description, "isDisabled": before.is_disabled,
        "configuration": before.configuration,
    });
    if let Some(order) = &before.rows_sort_order {
        value["rowsSortOrder"] = order.clone();
    }
    edit(&mut value);
    let after = read_content(&value);
    (after != before).then_some(after)
}

fn owned(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
