//! Storage events: hints that something changed, never what it became.

use crate::json::{Members, Problem, items};

/// A Storage event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageEvent {
    /// A UUID of version 7, so later events have greater ones; but they may become visible late.
    pub uuid: String,
    /// Such as `storage.componentConfigurationChanged`; there is no full list of them.
    pub name: String,
}

impl StorageEvent {
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, Problem> {
        items(text)?.into_iter().map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            uuid: members.text("uuid").ok_or("`uuid` of an event is missing")?,
            name: members.text_or_empty("event"),
        })
    }
}
