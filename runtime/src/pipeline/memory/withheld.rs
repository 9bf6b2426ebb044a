//! The list of what is withheld: besides objects, which the memory knows by themselves, files that are made of many, and runs.
//!
//! These are known by their entries in the list alone, so that the repository tells of them as well.

use super::{EntryKey, Memory, Row, Shard, StoredRow};
use mirror_core::{
    batch::Subject,
    finding::WithholdReason,
    ids::{ObjectKey, hidden_name},
    layout::{Entry, IndexKind},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Begins what a file is called that many objects share; names of objects do not begin so.
const SHARED: &str = "shared ";

/// Begins what a run is called ([`ObjectKey::Job`]), hidden or not.
const RUN: &str = "job ";

/// What a shared file is called in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedName {
    /// Such as `shared catalog keboola.ex-db-mysql`.
    pub plain: String,
    /// The same where its ids may be what it is withheld for: `shared sha256:` and the first twelve digits of a digest.
    pub hidden: String,
}

impl SharedName {
    #[must_use]
    pub fn of((kind, shard): &Shard) -> Self {
        let subject = Subject::Index {
            kind: *kind,
            shard: shard.clone(),
        };
        let plain = format!("{SHARED}{subject}");
        Self {
            hidden: hidden_name(SHARED.trim_end(), &plain),
            plain,
        }
    }

    /// Returns both names of a file.
    #[must_use]
    pub fn both(shard: &Shard) -> [String; 2] {
        let Self { plain, hidden } = Self::of(shard);
        [plain, hidden]
    }
}

/// All that a branch withholds, by what it is called where others may read it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WithheldNow {
    pub objects: BTreeMap<String, String>,
    /// Files that many objects share.
    pub files: BTreeMap<String, String>,
    pub runs: BTreeMap<String, String>,
}

impl WithheldNow {
    /// Returns how many objects and files are withheld. Runs are not counted: one stays what it is, and its dead letter
    /// tells of it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.objects.len() + self.files.len()
    }

    /// Says in what is shown of a branch that it is not known what it withholds, which is not the same as nothing.
    pub fn put_unknown_into(shown: &mut Value) {
        for member in ["withheld", "withheldFiles", "withheldRuns"] {
            shown[member] = Value::Null;
        }
    }

    /// Puts it into what is shown of the branch.
    pub fn put_into(&self, shown: &mut Value) {
        let objects = self.objects.iter();
        let objects = objects.map(|(object, reason)| json!({ "object": object, "reason": reason }));
        shown["withheld"] = objects.collect();
        shown["withheldFiles"] = json!(self.files);
        shown["withheldRuns"] = json!(self.runs);
    }
}

impl Memory {
    /// Returns all that is withheld, for people.
    #[must_use]
    pub fn withheld_now(&self) -> WithheldNow {
        let objects = self.withheld();
        let objects = objects.map(|(key, reason)| (reason.name_of(key), reason.to_string()));
        WithheldNow {
            objects: objects.collect(),
            files: self.withheld_shared(),
            runs: self.listed(RUN),
        }
    }

    /// The shard of the list.
    #[must_use]
    pub fn withheld_list() -> Shard {
        (IndexKind::Withheld, String::new())
    }

    /// Says whether the tree has something of an object, in files of its own or in those that it shares: most have, of a
    /// withheld one there may be nothing.
    #[must_use]
    pub fn is_shown(&self, key: &ObjectKey) -> bool {
        if !self.withheld.contains_key(key) {
            return self.is_known(key);
        }
        let known = self.known(key);
        known.is_some_and(|known| !known.files.is_empty() || !known.entries.is_empty())
    }

    /// Returns the shared files that are withheld, by name, and why.
    #[must_use]
    pub fn withheld_shared(&self) -> BTreeMap<String, String> {
        self.listed(SHARED)
    }

    fn listed(&self, beginning: &str) -> BTreeMap<String, String> {
        let entries = self.entries(&Self::withheld_list()).into_iter();
        let listed = entries.filter(|entry| entry.key.starts_with(beginning));
        let told = listed.map(|Entry { key, value, .. }| {
            let value: Value = serde_json::from_str(&value).unwrap_or_default();
            let listed = value["reason"].as_str();
            let in_full = self.reasons.get(&key);
            let in_full = in_full.filter(|reason| Some(reason.public().as_str()) == listed);
            let reason = match in_full {
                Some(reason) => reason.to_string(),
                None => listed.unwrap_or("for a reason that cannot be read").to_owned(),
            };
            (key, reason)
        });
        told.collect()
    }

    /// Remembers in full why a shared file or a run is withheld, for the status: the list has what all may read.
    pub fn keep_reason(&mut self, name: &str, reason: &WithholdReason) {
        if self.reasons.get(name) != Some(reason) {
            self.reasons.insert(name.to_owned(), reason.clone());
            self.touch(StoredRow::Reason(name.to_owned()));
        }
    }

    pub(super) fn forget_reason(&mut self, name: &str) {
        if self.reasons.remove(name).is_some() {
            self.touch(StoredRow::Reason(name.to_owned()));
        }
    }

    pub(super) fn reason_row(&self, name: &str) -> Row {
        let reason = self.reasons.get(name);
        (super::row_key(super::REASON, &name), reason.map(super::text))
    }

    /// Lists a shared file as withheld; says whether that is news.
    pub fn list_shared(&mut self, name: String, value: String, reason: &WithholdReason) -> bool {
        self.keep_reason(&name, reason);
        let (kind, shard) = Self::withheld_list();
        let entry = Entry {
            kind,
            shard,
            key: name,
            value,
        };
        self.put_entry(entry).is_some()
    }

    /// Takes a shared file off the list; says whether it was there.
    pub fn unlist_shared(&mut self, name: String) -> bool {
        let (kind, shard) = Self::withheld_list();
        let listed = EntryKey {
            kind,
            shard,
            key: name,
        };
        self.remove_entry(listed).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_files_are_listed_beside_objects_and_known_from_the_list() {
        let mut memory = Memory::default();
        let object = Entry {
            kind: IndexKind::Withheld,
            shard: String::new(),
            key: "keboola.ex-shop/1".to_owned(),
            value: r#"{"reason":"x"}"#.to_owned(),
        };
        memory.put_entry(object);
        assert_eq!(memory.withheld_shared(), BTreeMap::new());
        assert_eq!(memory.withheld_now(), WithheldNow::default());
        let name = SharedName::of(&(IndexKind::Lineage, "table/in.c-main.orders".to_owned()));
        assert_eq!(name.plain, "shared lineage table/in.c-main.orders");
        assert!(
            name.hidden.starts_with("shared sha256:"),
            "it is listed under either"
        );
        let reason = |detail: &str| WithholdReason::Trapped {
            guest: "policy own".to_owned(),
            detail: detail.to_owned(),
        };
        let value = || r#"{"reason":"trapped"}"#.to_owned();
        assert!(memory.list_shared(name.plain.clone(), value(), &reason("x")));
        assert!(
            !memory.list_shared(name.plain.clone(), value(), &reason("unreachable")),
            "it is no news"
        );
        let told = |told: &str| BTreeMap::from([(name.plain.clone(), told.to_owned())]);
        let in_full = told("the policy own trapped: unreachable");
        assert_eq!(memory.withheld_shared(), in_full);
        let rows = memory
            .rows()
            .map(|(key, value)| (key, value.expect("it is there")));
        let restored = Memory::restore(rows.collect::<Vec<_>>()).expect("our own");
        assert_eq!(restored.withheld_shared(), in_full);
        // What the repository alone tells.
        memory.forget_reason(&name.plain);
        assert_eq!(memory.withheld_shared(), told("trapped"));
        let run = ObjectKey::Job("77".parse().unwrap());
        let (kind, shard) = Memory::withheld_list();
        for key in [run.to_string(), run.hidden()] {
            let value = r#"{"reason":"it was guarded"}"#.to_owned();
            memory.put_entry(Entry {
                kind,
                shard: shard.clone(),
                key,
                value,
            });
        }
        let expected = [run.to_string(), run.hidden()].map(|name| (name, "it was guarded".to_owned()));
        assert_eq!(memory.withheld_now().runs, BTreeMap::from(expected));
        assert!(memory.unlist_shared(name.plain.clone()));
        assert!(!memory.unlist_shared(name.plain));
        assert_eq!(memory.withheld_shared(), BTreeMap::new());
    }
}
