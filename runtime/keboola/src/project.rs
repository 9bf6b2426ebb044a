//! The token, the stack's index, components and branches.

use crate::{
    item::{Item, item, readable},
    json::{Members, Problem, items},
    text::Text,
};
use jiff::Timestamp;
use mirror_core::{
    ids::{BranchId, ComponentId, ProjectId},
    layout::Component,
};
use std::collections::BTreeMap;

/// What the token is and may. The answer holds the token itself, so its text is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    pub id: String,
    pub description: String,
    /// Whether it is a project admin's own token.
    pub is_master: bool,
    /// Whether it may read all configurations.
    pub can_manage_buckets: bool,
    pub expires: Option<Timestamp>,
    pub is_expired: bool,
    pub is_disabled: bool,
    pub project_id: ProjectId,
    pub project_name: String,
    pub organization_id: Option<String>,
    /// Features that are on in the project.
    pub features: Vec<String>,
}

impl TokenInfo {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let owner = members.object("owner").ok_or("`owner` is missing")?;
        let project = owner.text("id").ok_or("`owner.id` is missing")?;
        Ok(Self {
            id: members.text("id").ok_or("`id` is missing")?,
            description: members.text_or_empty("description"),
            is_master: members.flag("isMasterToken"),
            can_manage_buckets: members.flag("canManageBuckets"),
            expires: members.time("expires"),
            is_expired: members.flag("isExpired"),
            is_disabled: members.flag("isDisabled"),
            project_id: ProjectId::parse(&project).map_err(|error| error.to_string())?,
            project_name: owner.text_or_empty("name"),
            organization_id: members
                .object("organization")
                .and_then(|organization| organization.text("id")),
            features: owner.texts("features"),
        })
    }
}

/// A component's definition, as far as the mirror needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    pub component: Component,
    pub flags: Vec<String>,
}

impl ComponentInfo {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        Self::of(&Members::parse(text)?)
    }

    pub(crate) fn of(members: &Members<'_>) -> Result<Self, Problem> {
        let id = members.text("id").ok_or("`id` of a component is missing")?;
        let flags = members.texts("flags");
        // As the CLI reads it: without a stage there is no default bucket.
        let default_bucket_stage = members
            .object("data")
            .filter(|data| data.flag("default_bucket"))
            .and_then(|data| data.text("default_bucket_stage"))
            .filter(|stage| !stage.is_empty());
        let component = Component {
            component_type: members
                .text("type")
                .filter(|kind| !kind.is_empty())
                .unwrap_or_else(|| "other".into()),
            name: members.text("name").unwrap_or_else(|| id.clone()),
            generic_code_blocks_ui: flags.iter().any(|flag| flag == "genericCodeBlocksUI"),
            default_bucket_stage,
            id,
        };
        Ok(Self { component, flags })
    }

    pub(crate) fn id(&self) -> Result<ComponentId, Problem> {
        ComponentId::parse(&self.component.id).map_err(|error| error.to_string())
    }
}

/// What a stack offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// Addresses of the services by id, such as `queue`.
    pub services: BTreeMap<String, String>,
    /// All components that can be read, where they were asked for.
    pub components: Vec<ComponentInfo>,
}

impl Index {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let mut index = Self::default();
        for service in members.items("services") {
            let service = Members::of(service)?;
            if let (Some(id), Some(url)) = (service.text("id"), service.text("url")) {
                index.services.insert(id, url);
            }
        }
        let components = members.items("components").into_iter();
        let components = components.map(|component| ComponentInfo::of(&Members::of(component)?));
        index.components = readable("the components", components);
        Ok(index)
    }
}

/// A branch of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevBranch {
    pub id: BranchId,
    pub name: String,
    pub description: String,
    pub is_default: bool,
    pub created: Option<Timestamp>,
    /// The branch's JSON text as received.
    pub source: String,
}

impl DevBranch {
    pub(crate) fn parse_list(text: Text<'_>) -> Result<Vec<Item<Self, BranchId>>, Problem> {
        let branches = items(text)?.into_iter();
        Ok(branches.map(|text| item(text, Self::parse, branch_id)).collect())
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            id: branch_id(&members)?,
            name: members.text_or_empty("name"),
            description: members.text_or_empty("description"),
            is_default: members.flag("isDefault"),
            created: members.time("created"),
            source: text.to_owned(),
        })
    }
}

fn branch_id(members: &Members<'_>) -> Result<BranchId, Problem> {
    let id = members.text("id").ok_or("`id` of a branch is missing")?;
    BranchId::parse(&id).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_bucket(text: &str, expected: Option<&str>) {
        let found = ComponentInfo::parse(text).unwrap().component.default_bucket_stage;
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_default_bucket_needs_its_flag_and_its_stage() {
        check_bucket(
            r#"{"id":"a","data":{"default_bucket":true,"default_bucket_stage":"out"}}"#,
            Some("out"),
        );
        check_bucket(r#"{"id":"a","data":{"default_bucket":true}}"#, None);
        check_bucket(
            r#"{"id":"a","data":{"default_bucket":true,"default_bucket_stage":""}}"#,
            None,
        );
        check_bucket(
            r#"{"id":"a","data":{"default_bucket":false,"default_bucket_stage":"in"}}"#,
            None,
        );
        check_bucket(r#"{"id":"a","data":[]}"#, None);
        check_bucket(r#"{"id":"a"}"#, None);
    }

    #[test]
    fn php_empties_do_not_break_a_component() {
        let found =
            ComponentInfo::parse(r#"{"id":"x.y","type":"extractor","name":"X","flags":{},"data":null}"#)
                .unwrap();
        assert!(found.flags.is_empty());
        assert!(!found.component.generic_code_blocks_ui);
        let found = ComponentInfo::parse(r#"{"id":"x.y","flags":{"1":"genericCodeBlocksUI"}}"#).unwrap();
        assert!(found.component.generic_code_blocks_ui);
        assert_eq!(found.component.component_type, "other");
    }

    #[test]
    fn a_token_without_a_project_is_refused() {
        assert_eq!(
            TokenInfo::parse(r#"{"id":"1","owner":[]}"#).unwrap_err(),
            "`owner` is missing"
        );
    }
}
