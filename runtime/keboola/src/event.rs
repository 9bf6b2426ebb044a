//! Storage events: hints that something changed, never what it became.

use crate::{
    item::readable,
    json::{Members, Problem, items},
    text::Text,
};

/// A Storage event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageEvent {
    /// A UUID of version 7, so later events have greater ones; but they may become visible late.
    pub uuid: String,
    /// Such as `storage.componentConfigurationChanged`; there is no full list of them.
    pub name: String,
}

impl StorageEvent {
    /// Reads a page; of what is beside name and UUID nothing is asked. One that cannot be read is left out.
    pub(crate) fn parse_list(text: Text<'_>) -> Result<Vec<Self>, Problem> {
        Ok(readable("the events", items(text)?.into_iter().map(Self::parse)))
    }

    fn parse(text: Text<'_>) -> Result<Self, Problem> {
        let members = Members::of(text)?;
        Ok(Self {
            uuid: members.text("uuid").ok_or("`uuid` of an event is missing")?,
            name: members.text_or_empty("event"),
        })
    }
}
