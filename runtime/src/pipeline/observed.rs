//! The storage of a branch as it was seen, by digest, and what of it differs from what was seen before. Pure.
//!
//! A digest holds what is mirrored and says nothing of a load: figures, dates of loads, who loaded last and when the same
//! metadata was said again are left out. What a typed table is made of stands in its detail and in no listing, so it has a
//! digest of its own, and only where the detail was asked for.

use mirror_core::ids::{BucketId, TableId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Figures that change with every load; the layout leaves them out.
const FIGURES: [&str; 4] = ["rowsCount", "dataSizeBytes", "lastImportDate", "lastChangeDate"];
/// Metadata whose keys begin so change with every load, of whoever loads; the layout leaves them out.
const VOLATILE_METADATA: &str = "KBC.lastUpdatedBy.";
/// Member of a definition with figures of the backend; the layout leaves it out.
const PARTITIONS: &str = "partitions";

const BUCKET: &str = "bucket ";
const TABLE: &str = "table ";
const DEFINITION: &str = "definition ";

/// The storage of a branch as it was seen, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    buckets: BTreeMap<BucketId, String>,
    tables: BTreeMap<TableId, String>,
    /// Of typed tables whose details were asked for.
    definitions: BTreeMap<TableId, String>,
}

/// What is worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differing {
    pub tables: BTreeSet<TableId>,
    /// Those of which no table is named: a bucket is looked at with its tables.
    pub buckets: BTreeSet<BucketId>,
}

impl Differing {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.buckets.is_empty()
    }

    /// Returns it in parts of at most so many tables or buckets, each an event.
    pub(crate) fn parts(&self, max: usize) -> Vec<(Vec<TableId>, Vec<BucketId>)> {
        let tables: Vec<TableId> = self.tables.iter().cloned().collect();
        let buckets: Vec<BucketId> = self.buckets.iter().cloned().collect();
        let tables = tables.chunks(max).map(|part| (part.to_vec(), Vec::new()));
        let buckets = buckets.chunks(max).map(|part| (Vec::new(), part.to_vec()));
        tables.chain(buckets).collect()
    }
}

impl Observed {
    /// Takes in a bucket as it was listed.
    pub fn see_bucket(&mut self, id: BucketId, source: &str) {
        self.buckets.insert(id, structure(source, false));
    }

    /// Takes in a table as it was listed; `with_figures` where a load makes it worth a look.
    pub fn see_table(&mut self, id: TableId, source: &str, with_figures: bool) {
        let mut digest = structure(source, false);
        if with_figures {
            // A word of its own, so that a load can be told from a change of the structure.
            digest = format!("{digest} {}", structure(source, true));
        }
        self.tables.insert(id, digest);
    }

    /// Takes in what a typed table is made of; `detail` is the answer about the table itself.
    pub fn see_definition(&mut self, id: TableId, detail: &str) {
        self.definitions.insert(id, definition(detail));
    }

    /// Returns whether a table differs from what was seen in more than a load.
    pub(crate) fn is_restructured(&self, table: &TableId, seen: &BTreeMap<String, String>) -> bool {
        let structure = |digest: &String| digest.split(' ').next().map(str::to_owned);
        let before = seen.get(&table_name(table)).and_then(structure);
        let redefined = self.definitions.get(table).is_some_and(|digest| {
            let before = seen.get(&format!("{DEFINITION}{table}"));
            before.is_some_and(|before| before != digest)
        });
        redefined || self.tables.get(table).and_then(structure) != before
    }

    /// Takes the definitions as another observation has them, of tables that are there.
    pub(crate) fn with_definitions_of(mut self, other: &Self) -> Self {
        let known = other.definitions.iter();
        let known = known.filter(|(id, _)| self.tables.contains_key(*id));
        self.definitions = known.map(|(id, digest)| (id.clone(), digest.clone())).collect();
        self
    }

    /// Takes over definitions that were seen before, where they were not asked for now.
    pub(crate) fn with_definitions_seen(mut self, seen: &BTreeMap<String, String>) -> Self {
        for (name, digest) in seen {
            let id = name
                .strip_prefix(DEFINITION)
                .and_then(|id| TableId::parse(id).ok());
            if let Some(id) = id.filter(|id| self.tables.contains_key(id)) {
                self.definitions.entry(id).or_insert_with(|| digest.clone());
            }
        }
        self
    }

    /// Returns what is known of a table, for the digest of an occasion.
    pub(crate) fn digest_of(&self, table: &TableId) -> String {
        let of = |digests: &BTreeMap<TableId, String>| digests.get(table).cloned().unwrap_or_default();
        format!("{} {}", of(&self.tables), of(&self.definitions))
    }

    /// The same of a bucket.
    pub(crate) fn digest_of_bucket(&self, bucket: &BucketId) -> &str {
        self.buckets.get(bucket).map_or("", String::as_str)
    }

    /// The digests by the names under which they are stored.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let buckets = self
            .buckets
            .iter()
            .map(|(id, digest)| (bucket_name(id), digest.clone()));
        let tables = self
            .tables
            .iter()
            .map(|(id, digest)| (table_name(id), digest.clone()));
        let definitions = self
            .definitions
            .iter()
            .map(|(id, digest)| (format!("{DEFINITION}{id}"), digest.clone()));
        buckets.chain(tables).chain(definitions).collect()
    }
}

pub(crate) fn table_name(id: &TableId) -> String {
    format!("{TABLE}{id}")
}

pub(crate) fn bucket_name(id: &BucketId) -> String {
    format!("{BUCKET}{id}")
}

/// Returns whether a stored name is of something that is mirrored, as `tables` and `buckets` say.
pub(crate) fn is_among(name: &str, tables: &BTreeSet<TableId>, buckets: &BTreeSet<BucketId>) -> bool {
    let table = name.strip_prefix(TABLE).or_else(|| name.strip_prefix(DEFINITION));
    match (table, name.strip_prefix(BUCKET)) {
        (Some(table), _) => tables.iter().any(|own| own.as_str() == table),
        (None, Some(bucket)) => buckets.iter().any(|own| own.as_str() == bucket),
        (None, None) => true,
    }
}

/// Returns the tables and buckets that are worth a look: new, changed or gone. `tables` and `buckets` are mirrored.
pub(crate) fn differing(
    seen: &BTreeMap<String, String>,
    observed: &Observed,
    tables: impl Iterator<Item = TableId>,
    buckets: impl Iterator<Item = BucketId>,
) -> Differing {
    let changed =
        |(id, digest): (&TableId, &String)| (seen.get(&table_name(id)) != Some(digest)).then(|| id.clone());
    let mut differing: BTreeSet<TableId> = observed.tables.iter().filter_map(changed).collect();
    // Where it was not asked for before, nothing is known of a change.
    let redefined = observed.definitions.iter().filter(|(id, digest)| {
        let before = seen.get(&format!("{DEFINITION}{id}"));
        before.is_some_and(|before| before != *digest)
    });
    differing.extend(redefined.map(|(id, _)| id.clone()));
    let gone = seen
        .keys()
        .filter_map(|name| TableId::parse(name.strip_prefix(TABLE)?).ok())
        .chain(tables)
        .filter(|table| !observed.tables.contains_key(table));
    differing.extend(gone);

    let changed =
        |(id, digest): (&BucketId, &String)| (seen.get(&bucket_name(id)) != Some(digest)).then(|| id.clone());
    let mut others: BTreeSet<BucketId> = observed.buckets.iter().filter_map(changed).collect();
    let gone = seen
        .keys()
        .filter_map(|name| BucketId::parse(name.strip_prefix(BUCKET)?).ok())
        .chain(buckets)
        .filter(|bucket| !observed.buckets.contains_key(bucket));
    others.extend(gone);
    others.retain(|bucket| !differing.iter().any(|table| lies_in(table, bucket)));
    Differing {
        tables: differing,
        buckets: others,
    }
}

/// Returns whether a table is one of a bucket's.
pub(crate) fn lies_in(table: &TableId, bucket: &BucketId) -> bool {
    let own = table.as_str().rsplit_once('.');
    own.is_some_and(|(own, _)| own == bucket.as_str())
}

/// Returns the digest of a bucket or table as it is listed.
fn structure(source: &str, with_figures: bool) -> String {
    let mut digest = Sha256::new();
    match serde_json::from_str::<Value>(source) {
        Ok(mut value) => {
            if let Some(members) = value.as_object_mut() {
                if !with_figures {
                    without_figures(members);
                }
                without_volatile_metadata(members);
                // What others of the bucket load is nothing to this one.
                for part in ["bucket", "sourceTable", "sourceBucket"] {
                    if let Some(members) = members.get_mut(part).and_then(Value::as_object_mut) {
                        without_figures(members);
                        without_volatile_metadata(members);
                    }
                }
            }
            digest.update(value.to_string());
        }
        Err(_) => digest.update(source),
    }
    short(digest)
}

fn definition(detail: &str) -> String {
    let mut digest = Sha256::new();
    match serde_json::from_str::<Value>(detail) {
        Ok(mut detail) => {
            let mut definition = detail["definition"].take();
            if let Some(members) = definition.as_object_mut() {
                members.remove(PARTITIONS);
            }
            digest.update(definition.to_string());
        }
        Err(_) => digest.update(detail),
    }
    short(digest)
}

fn without_figures(members: &mut Map<String, Value>) {
    members.retain(|name, _| !FIGURES.contains(&name.as_str()));
}

fn without_volatile_metadata(members: &mut Map<String, Value>) {
    if let Some(entries) = members.get_mut("metadata").and_then(Value::as_array_mut) {
        steady(entries);
    }
    let columns = members.get_mut("columnMetadata").and_then(Value::as_object_mut);
    for entries in columns.into_iter().flat_map(Map::values_mut) {
        if let Some(entries) = entries.as_array_mut() {
            steady(entries);
        }
    }
}

/// Leaves of metadata what is said by whom. Of several who say something under one key the newest counts, so they stay
/// in the order of their times.
fn steady(entries: &mut Vec<Value>) {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    entries.retain(|entry| !text(entry, "key").starts_with(VOLATILE_METADATA));
    entries.sort_by_cached_key(|entry| {
        (
            text(entry, "key"),
            text(entry, "timestamp"),
            text(entry, "provider"),
        )
    });
    for entry in entries {
        *entry = json!([entry["key"], entry["value"], entry["provider"]]);
    }
}

fn short(digest: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: &str) -> TableId {
        TableId::parse(id).expect("an id")
    }

    fn bucket(id: &str) -> BucketId {
        BucketId::parse(id).expect("an id")
    }

    /// Objects are named as they are stored.
    fn observed(objects: &[(&str, &str)]) -> Observed {
        let mut observed = Observed::default();
        for (name, source) in objects {
            match name.split_once(' ').expect("a kind and an id") {
                ("bucket", id) => observed.see_bucket(bucket(id), source),
                ("table", id) => observed.see_table(table(id), source, false),
                (_, id) => observed.see_definition(table(id), source),
            }
        }
        observed
    }

    #[track_caller]
    fn check(before: &[(&str, &str)], now: &[(&str, &str)], mirrored: &[&str], expected: &[&str]) {
        let mirrored = |kind: &str| -> Vec<String> {
            let own = mirrored.iter().filter_map(|name| name.strip_prefix(kind));
            own.map(str::to_owned).collect()
        };
        let found = differing(
            &observed(before).names(),
            &observed(now),
            mirrored(TABLE).iter().map(|id| table(id)),
            mirrored(BUCKET).iter().map(|id| bucket(id)),
        );
        let tables = found.tables.iter().map(table_name);
        let found: Vec<String> = tables.chain(found.buckets.iter().map(bucket_name)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tables_and_buckets_that_are_new_or_changed_or_gone_are_looked_at() {
        let one = r#"{"columns":["a"],"rowsCount":1,"bucket":{"id":"in.c","lastChangeDate":"x"}}"#;
        let loaded = r#"{"columns":["a"],"rowsCount":2,"bucket":{"id":"in.c","lastChangeDate":"y"}}"#;
        let wider = r#"{"columns":["a","b"],"rowsCount":2,"bucket":{"id":"in.c","lastChangeDate":"y"}}"#;
        let before = [
            ("bucket in.c", "{}"),
            ("table in.c.a", one),
            ("table in.c.b", one),
        ];
        check(&before, &before, &["table in.c.a", "bucket in.c"], &[]);
        check(&[], &before, &[], &["table in.c.a", "table in.c.b"]);
        let now = |a, b| [("bucket in.c", "{}"), ("table in.c.a", a), ("table in.c.b", b)];
        check(&before, &now(loaded, loaded), &[], &[]);
        check(&before, &now(loaded, wider), &[], &["table in.c.b"]);
        check(
            &before,
            &before[..2],
            &["table in.c.b", "table in.c.z"],
            &["table in.c.b", "table in.c.z"],
        );
    }

    #[test]
    fn a_load_is_told_from_a_change_of_the_structure() {
        let seen = |source: &str| {
            let mut observed = Observed::default();
            observed.see_table(table("in.c.a"), source, true);
            observed
        };
        let before = seen(r#"{"columns":["a"],"rowsCount":1}"#);
        let loaded = seen(r#"{"columns":["a"],"rowsCount":2}"#);
        let wider = seen(r#"{"columns":["a","b"],"rowsCount":2}"#);
        assert_ne!(before, loaded);
        assert!(!loaded.is_restructured(&table("in.c.a"), &before.names()));
        assert!(wider.is_restructured(&table("in.c.a"), &before.names()));
        let gone = Observed::default();
        assert!(gone.is_restructured(&table("in.c.a"), &before.names()));
    }

    #[test]
    fn a_bucket_is_looked_at_for_itself_where_none_of_its_tables_is() {
        let wide = ("table in.c.a", r#"{"columns":["a","b"]}"#);
        let narrow = ("table in.c.a", r#"{"columns":["a"]}"#);
        let (plain, described) = (("bucket in.c", "{}"), ("bucket in.c", r#"{"description":"x"}"#));
        check(&[plain, narrow], &[described, narrow], &[], &["bucket in.c"]);
        check(&[plain, narrow], &[described, wide], &[], &["table in.c.a"]);
        check(&[], &[plain], &[], &["bucket in.c"]);
        check(&[plain], &[], &[], &["bucket in.c"]);
        check(&[], &[], &["bucket in.c"], &["bucket in.c"]);
    }

    #[test]
    fn a_definition_is_compared_where_it_was_asked_for_both_times() {
        let detail = |kind: &str, rows: u32| {
            format!(
                r#"{{"rowsCount":{rows},"definition":{{"columns":[{{"name":"a","definition":{{"type":"{kind}"}}}}],"partitions":[{{"rowsNumber":{rows}}}]}}}}"#
            )
        };
        let (before, loaded, retyped) = (detail("INT", 1), detail("INT", 2), detail("NUMBER", 1));
        let listed = ("table in.c.a", "{}");
        let with = |detail| [listed, ("definition in.c.a", detail)];
        check(&with(&before), &with(&loaded), &[], &[]);
        check(&with(&before), &with(&retyped), &[], &["table in.c.a"]);
        check(&[listed], &with(&retyped), &[], &[]);
        check(&with(&before), &[listed], &[], &[]);
        let kept = observed(&[listed]).with_definitions_seen(&observed(&with(&before)).names());
        assert_eq!(kept, observed(&with(&before)));
    }

    #[test]
    fn metadata_differ_where_something_else_is_said_and_not_where_it_is_said_again() {
        let listed =
            |entries: Value| json!({ "metadata": entries, "columnMetadata": { "a": entries } }).to_string();
        let entry = |key: &str, value: &str, by: &str, at: &str| json!({ "id": at, "key": key, "value": value, "provider": by, "timestamp": at });
        let before = listed(json!([
            entry("k", "1", "user", "1"),
            entry("k", "2", "c", "2"),
            entry("KBC.lastUpdatedBy.component.id", "x", "system", "1"),
        ]));
        let table = |source: &str| observed(&[("table in.c.a", source)]);
        let again = listed(json!([
            entry("k", "2", "c", "4"),
            entry("k", "1", "user", "3"),
            entry("KBC.lastUpdatedBy.component.id", "y", "system", "3"),
        ]));
        assert_eq!(table(&before), table(&again));
        let other = listed(json!([entry("k", "1", "user", "1"), entry("k", "3", "c", "2")]));
        assert_ne!(table(&before), table(&other));
        // The other one is the newest now.
        let turned = listed(json!([entry("k", "1", "user", "2"), entry("k", "2", "c", "1")]));
        assert_ne!(table(&before), table(&turned));
    }
}
