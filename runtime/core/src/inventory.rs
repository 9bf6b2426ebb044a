//! Counts of a full sync: what there was to mirror, what came out of it, and what was withheld.
//!
//! They tell a sync that found little from one that worked: they stand in the commit's message and in
//! what commands print. Whether too little is an alarm is the matter of [`crate::deletions`].

use crate::ids::ObjectKey;
use std::{collections::BTreeMap, fmt};

/// Kinds of objects as people count them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectType {
    /// Configurations of components of one type, such as `extractor`.
    Configuration(String),
    Row,
    Bucket,
    Table,
    Sample,
    Run,
}

/// Type of components whose own is not known or is no plain word.
const OTHER: &str = "other";

impl ObjectType {
    /// Returns the type of an object; none for the branch, of which there is always one.
    ///
    /// A component type that is not 1 to 40 of `a-z`, `0-9` and `-` counts as `other`, so that the name
    /// can stand anywhere.
    #[must_use]
    pub fn of(key: &ObjectKey, component_type: Option<&str>) -> Option<Self> {
        let plain = |text: &&str| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=40).contains(&text.len()) && text.bytes().all(fits)
        };
        match key {
            ObjectKey::Branch => None,
            ObjectKey::Config { .. } => Some(Self::Configuration(
                component_type.filter(plain).unwrap_or(OTHER).to_owned(),
            )),
            ObjectKey::Row { .. } => Some(Self::Row),
            ObjectKey::Bucket(_) => Some(Self::Bucket),
            ObjectKey::Table(_) => Some(Self::Table),
            ObjectKey::Sample(_) => Some(Self::Sample),
            ObjectKey::Job(_) => Some(Self::Run),
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(component_type) => write!(f, "{component_type} configurations"),
            Self::Row => f.write_str("rows"),
            Self::Bucket => f.write_str("buckets"),
            Self::Table => f.write_str("tables"),
            Self::Sample => f.write_str("samples"),
            Self::Run => f.write_str("runs"),
        }
    }
}

/// Counts of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Objects that the source has.
    pub expected: usize,
    /// Objects whose newest form is in the commit.
    pub rendered: usize,
    /// Objects whose newest form is not.
    pub withheld: usize,
}

/// Counts by type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory(BTreeMap<ObjectType, Tally>);

impl Inventory {
    /// Counts an object that the source has.
    pub fn count(&mut self, object: Option<ObjectType>, is_withheld: bool) {
        let Some(object) = object else { return };
        let tally = self.0.entry(object).or_default();
        tally.expected += 1;
        if is_withheld {
            tally.withheld += 1;
        } else {
            tally.rendered += 1;
        }
    }

    /// Counts an object as withheld after all that was counted as rendered.
    pub fn withhold(&mut self, object: Option<ObjectType>) {
        let tally = object.and_then(|object| self.0.get_mut(&object));
        if let Some(tally) = tally.filter(|tally| tally.rendered > 0) {
            tally.rendered -= 1;
            tally.withheld += 1;
        }
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        for (object, more) in &other.0 {
            let tally = self.0.entry(object.clone()).or_default();
            tally.expected += more.expected;
            tally.rendered += more.rendered;
            tally.withheld += more.withheld;
        }
    }

    /// Returns the counts, by type.
    pub fn tallies(&self) -> impl Iterator<Item = (&ObjectType, Tally)> {
        self.0.iter().map(|(object, tally)| (object, *tally))
    }

    /// Returns the counts of all configurations, of whatever type their components are.
    #[must_use]
    pub fn configurations(&self) -> Tally {
        let mut all = Tally::default();
        for (object, tally) in &self.0 {
            if matches!(object, ObjectType::Configuration(_)) {
                all.expected += tally.expected;
                all.rendered += tally.rendered;
                all.withheld += tally.withheld;
            }
        }
        all
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_by_type_and_odd_component_types_are_others() {
        let key = |component: &str| ObjectKey::Config {
            component: component.parse().unwrap(),
            config: "1".parse().unwrap(),
        };
        let mut inventory = Inventory::default();
        for (component_type, withheld) in [
            (Some("extractor"), false),
            (Some("extractor"), true),
            (Some("Bad\nType"), false),
            (None, false),
        ] {
            inventory.count(ObjectType::of(&key("c"), component_type), withheld);
        }
        inventory.count(ObjectType::of(&ObjectKey::Branch, None), false);
        let told: Vec<String> = inventory
            .tallies()
            .map(|(object, tally)| {
                format!(
                    "{object} {}/{}/{}",
                    tally.expected, tally.rendered, tally.withheld
                )
            })
            .collect();
        assert_eq!(
            told,
            ["extractor configurations 2/1/1", "other configurations 2/2/0"]
        );
    }
}
