//! The structure of buckets and tables: types, keys, sharing, descriptions, and who writes what.
//!
//! What changes with every load (rows, bytes, dates of the last load, who loaded last, the list of
//! partitions) is left out: a commit says that a structure changed, not that a job ran. Who loads a table
//! is told by the mappings of configurations, and run by run in `jobs/`.
//!
//! Members that are not named here are kept under `other` (`super::unknown`), but not of a table without types: the answer
//! about one such table has others than the list of all, so that they would come and go with the way in which it was
//! asked for. A typed table is always asked for by itself.
//!
//! The structure is an entry, not a file: who reads and writes a table is told by others, and
//! `gather` puts both together.

use super::{Placed, Rendered, catalog, unknown};
use crate::{
    api::{Entry, IndexKind},
    edges::{EdgeType, Edges},
    gather::table,
    json::{Json, Object, write},
    node::{Node, bucket_of},
    time,
};
use std::collections::{BTreeMap, BTreeSet};

/// Metadata of a column that are fields of their own.
const COLUMN_FIELDS: [(&str, &str); 6] = [
    ("KBC.datatype.type", "type"),
    ("KBC.datatype.basetype", "basetype"),
    ("KBC.datatype.length", "length"),
    ("KBC.datatype.nullable", "nullable"),
    ("KBC.datatype.default", "default"),
    ("KBC.description", "description"),
];

/// Members of a typed table's definition that say how it is laid out. `partitions` is no choice of anybody's,
/// and has figures.
const SHARDING: [&str; 6] = [
    "distribution",
    "index",
    "timePartitioning",
    "rangePartitioning",
    "clustering",
    "requirePartitionFilter",
];

/// The same of a table's own members, as older backends have them.
const LAYOUT: [&str; 6] = [
    "distributionType",
    "distributionKey",
    "indexType",
    "indexKey",
    "transactional",
    "syntheticPrimaryKeyEnabled",
];

/// Members of a bucket that its file tells, or that are left out: addresses, figures and dates of loads, what follows from
/// others. Where Keboola puts it in its backend matters only of an external schema.
const OF_BUCKET: [&str; 29] = [
    "id",
    "name",
    "displayName",
    "stage",
    "backend",
    "description",
    "created",
    "isReadOnly",
    "hasExternalSchema",
    "color",
    "sharing",
    "isLinkedBucket",
    "isMaintenance",
    "databaseName",
    "path",
    "backendPath",
    "sharingParameters",
    "owner",
    "sourceBucket",
    "linkedBy",
    "metadata",
    "idBranch",
    "uri",
    "tables",
    "rowsCount",
    "dataSizeBytes",
    "lastChangeDate",
    "lastImportDate",
    "updated",
];

/// The same of a table, beside [`LAYOUT`]. Who made it (`configuration`) is told by its metadata.
const OF_TABLE: [&str; 29] = [
    "id",
    "name",
    "displayName",
    "bucket",
    "description",
    "created",
    "tableType",
    "isTyped",
    "isAlias",
    "isAliasable",
    "aliasFilter",
    "aliasColumnsAutoSync",
    "sourceTable",
    "primaryKey",
    "columns",
    "columnMetadata",
    "metadata",
    "definition",
    "configuration",
    "idBranch",
    "uri",
    "path",
    "databaseName",
    "backendPath",
    "rowsCount",
    "dataSizeBytes",
    "lastChangeDate",
    "lastImportDate",
    "updated",
];

/// The same of a typed table's definition, beside [`SHARDING`].
const OF_DEFINITION: [&str; 3] = ["primaryKeysNames", "columns", "partitions"];

/// The same of a column in a definition, and of what its backend says of it.
const OF_COLUMN: [&str; 3] = ["name", "basetype", "definition"];
const OF_NATIVE: [&str; 4] = ["type", "length", "nullable", "default"];

/// Metadata whose keys begin so change with every load, of whoever loads.
const VOLATILE_METADATA: &str = "KBC.lastUpdatedBy.";

pub(super) fn bucket(object: &Placed<'_>, id: &str, source: &Object<'_>) -> Rendered {
    let mut metadata = Metadata::read(source.items("metadata"));
    let mut content = Object::new();
    content.set("id", id);
    copy(&mut content, source, &["name", "displayName", "stage", "backend"]);
    content.set("description", description(&mut metadata, source));
    content.set("created", created(source));
    copy(
        &mut content,
        source,
        &[
            "isReadOnly",
            "hasExternalSchema",
            "color",
            "sharing",
            "isLinkedBucket",
        ],
    );
    if source.is_true("isMaintenance") {
        content.set("isMaintenance", true);
    }
    if source.is_true("hasExternalSchema") {
        // Of others Keboola chooses it.
        copy(&mut content, source, &["databaseName", "path"]);
        content.set("backendPath", source.items("backendPath").to_vec());
    }
    content.set(
        "sharingParameters",
        source
            .get("sharingParameters")
            .filter(|value| value.as_object().is_some())
            .cloned(),
    );
    content.set(
        "owner",
        source
            .object("owner")
            .map(|owner| pick(owner, &["id", "name", "email"])),
    );
    content.set(
        "sourceBucket",
        source.object("sourceBucket").map(|bucket| {
            let mut origin = pick(bucket, &["id", "name", "displayName"]);
            origin.set(
                "project",
                bucket
                    .object("project")
                    .map(|project| pick(project, &["id", "name"])),
            );
            origin
        }),
    );
    let linked = source
        .items("linkedBy")
        .iter()
        .filter_map(Json::as_object)
        .map(|bucket| {
            let mut link = pick(bucket, &["id"]);
            link.set(
                "project",
                bucket
                    .object("project")
                    .map(|project| pick(project, &["id", "name"])),
            );
            Json::Object(link)
        });
    content.set("linkedBy", linked.collect::<Vec<_>>());
    metadata.write(&mut content);
    unknown::set(
        &mut content,
        unknown::members(source, |name| OF_BUCKET.contains(&name)),
    );

    let project = &object.context.project_id;
    let mut edges = Edges::default();
    if let Some(origin) = source.object("sourceBucket") {
        edges.add_link(EdgeType::Links, origin, project);
    }
    for link in source.items("linkedBy").iter().filter_map(Json::as_object) {
        edges.add_link(EdgeType::Shares, link, project);
    }
    let is_linked = source.is_true("isLinkedBucket") || source.object("sourceBucket").is_some();
    let kind = if is_linked { "linked-bucket" } else { "bucket" };
    let shown = source.str("displayName").or_else(|| source.str("name"));
    rendered(
        object,
        &Node::Bucket(id.to_owned()),
        (shown, kind),
        &content,
        &edges,
    )
}

pub(super) fn table(object: &Placed<'_>, id: &str, source: &Object<'_>) -> Rendered {
    let mut metadata = Metadata::read(source.items("metadata"));
    let mut content = Object::new();
    content.set("id", id);
    copy(&mut content, source, &["name", "displayName"]);
    let bucket = source.object("bucket").and_then(|bucket| bucket.str("id"));
    content.set("bucket", bucket.or_else(|| bucket_of(id)));
    content.set("description", description(&mut metadata, source));
    content.set("created", created(source));
    copy(&mut content, source, &["tableType", "isTyped", "isAlias"]);
    if source.is_true("isAlias") {
        // A column, an operator and values.
        content.set("aliasFilter", source.get("aliasFilter").cloned());
        copy(&mut content, source, &["aliasColumnsAutoSync"]);
    }
    content.set(
        "sourceTable",
        source.object("sourceTable").map(|table| {
            let mut origin = pick(table, &["id", "name", "displayName"]);
            origin.set(
                "project",
                table
                    .object("project")
                    .map(|project| pick(project, &["id", "name"])),
            );
            origin
        }),
    );
    content.set("primaryKey", source.items("primaryKey").to_vec());
    let sharding = sharding(source);
    if !sharding.is_empty() {
        content.set("sharding", sharding);
    }
    content.set("columns", columns(source));
    metadata.write(&mut content);
    if source.is_true("isTyped") {
        unknown::set(&mut content, others(source));
    }

    let mut edges = Edges::default();
    if let Some(origin) = source.object("sourceTable") {
        edges.add_alias(origin, &object.context.project_id);
    }
    if let Some(origin) = content.object("createdBy") {
        edges.add_creator(origin);
    }
    let kind = if source.is_true("isAlias") {
        "alias"
    } else {
        "table"
    };
    let shown = source.str("displayName").or_else(|| source.str("name"));
    rendered(
        object,
        &Node::Table(id.to_owned()),
        (shown, kind),
        &content,
        &edges,
    )
}

fn rendered(
    object: &Placed<'_>,
    own: &Node,
    (name, kind): (Option<&str>, &str),
    content: &Object<'_>,
    edges: &Edges,
) -> Rendered {
    let mut line = own.to_object();
    line.set("name", name);
    line.set("type", kind);
    let mut entries = catalog::entries(object.settings, own, line, edges);
    entries.extend(own.lineage_shard(object.settings).map(|shard| Entry {
        kind: IndexKind::Lineage,
        shard,
        key: table::OWN_KEY.to_owned(),
        value: write::object_line(content),
    }));
    Rendered {
        files: Vec::new(),
        entries,
    }
}

/// Returns how a table is laid out in its backend, as far as somebody chose it.
fn sharding<'s>(source: &Object<'s>) -> Object<'s> {
    let nothing = Object::new();
    let definition = source.object("definition").unwrap_or(&nothing);
    let is_chosen = |value: &&Json<'_>| match value {
        Json::Null | Json::Bool(false) => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
        _ => true,
    };
    let mut content = Object::new();
    let parts = SHARDING.iter().map(|part| (definition, part));
    for (of, part) in parts.chain(LAYOUT.iter().map(|part| (source, part))) {
        if let Some(value) = of.get(part).filter(is_chosen) {
            content.set(*part, value.clone());
        }
    }
    content
}

/// Returns the members of a typed table and its definition that are not known.
fn others<'s>(source: &Object<'s>) -> Object<'s> {
    let mut others = unknown::members(source, |name| OF_TABLE.contains(&name) || LAYOUT.contains(&name));
    if let Some(definition) = source.object("definition") {
        let is_known = |name: &str| OF_DEFINITION.contains(&name) || SHARDING.contains(&name);
        let of_definition = unknown::members(definition, is_known);
        if !of_definition.is_empty() {
            others.set_last("definition", of_definition);
        }
    }
    others
}

fn columns<'s>(source: &'s Object<'_>) -> Vec<Json<'s>> {
    let nothing = Object::new();
    let metadata = source.object("columnMetadata").unwrap_or(&nothing);
    let typed = source
        .object("definition")
        .map(|definition| definition.items("columns"))
        .unwrap_or_default();
    let names = source.items("columns").iter().filter_map(Json::as_str);
    names
        .map(|name| {
            let definition = typed
                .iter()
                .filter_map(Json::as_object)
                .find(|column| column.str("name") == Some(name));
            column(name, metadata.items(name), definition)
        })
        .collect()
}

fn column<'s>(name: &'s str, metadata: &[Json<'_>], definition: Option<&Object<'s>>) -> Json<'s> {
    let mut metadata = Metadata::read(metadata);
    let native = definition.and_then(|column| column.object("definition"));
    let mut content = Object::new();
    content.set("name", name);
    for (key, field) in COLUMN_FIELDS {
        let known = metadata.known.remove(key).map(|value| value.text);
        let declared = match field {
            "basetype" => definition.and_then(|column| column.get(field)),
            "description" => None,
            _ => native.and_then(|native| native.get(field)),
        };
        // The table's own definition is the truth; metadata describe untyped tables.
        let value = match (declared, known) {
            (Some(declared), _) if *declared != Json::Null => Some(declared.clone()),
            (_, Some(text)) if field == "nullable" => Some(Json::from(matches!(text.as_str(), "1" | "true"))),
            (_, Some(text)) => Some(Json::from(text)),
            _ => None,
        };
        if let Some(value) = value {
            content.set(field, value);
        }
    }
    metadata.write(&mut content);
    let mut others = Object::new();
    if let Some(column) = definition {
        others = unknown::members(column, |name| OF_COLUMN.contains(&name));
        if let Some(native) = native {
            let of_native = unknown::members(native, |name| OF_NATIVE.contains(&name));
            if !of_native.is_empty() {
                others.set_last("definition", of_native);
            }
        }
    }
    unknown::set(&mut content, others);
    Json::Object(content)
}

/// Copies plain values; a missing one is `null`, so that setting it changes one line.
fn copy<'s>(content: &mut Object<'s>, source: &Object<'s>, fields: &[&'static str]) {
    for field in fields {
        let plain = source
            .get(field)
            .filter(|value| value.as_array().is_none() && value.as_object().is_none());
        content.set(*field, plain.cloned());
    }
}

fn pick<'s>(source: &Object<'s>, fields: &[&'static str]) -> Object<'s> {
    let mut content = Object::new();
    copy(&mut content, source, fields);
    content
}

fn created(source: &Object<'_>) -> Option<String> {
    source
        .str("created")
        .map(|created| time::utc(created).unwrap_or_else(|| created.to_owned()))
}

/// A description is metadata; buckets may also have it as a field.
fn description(metadata: &mut Metadata, source: &Object<'_>) -> Option<String> {
    let described = metadata.known.remove("KBC.description").map(|value| value.text);
    described.or_else(|| source.str("description").map(str::to_owned))
}

struct Value {
    text: String,
    provider: String,
    at: i64,
}

impl Value {
    /// Of several providers the user counts before others, then the newest.
    fn weight(&self) -> (bool, i64, &str, &str) {
        (self.provider == "user", self.at, &self.text, &self.provider)
    }
}

/// Metadata by key.
struct Metadata {
    known: BTreeMap<String, Value>,
    /// Other values that keys have, with their providers.
    superseded: BTreeSet<(String, String, String)>,
}

impl Metadata {
    fn read(items: &[Json<'_>]) -> Self {
        let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for item in items.iter().filter_map(Json::as_object) {
            let (Some(key), Some(text)) = (item.str("key"), item.text("value")) else {
                continue;
            };
            if key.starts_with(VOLATILE_METADATA) {
                continue;
            }
            let value = Value {
                text: text.to_owned(),
                provider: item.str("provider").unwrap_or_default().to_owned(),
                at: item
                    .str("timestamp")
                    .and_then(time::epoch_seconds)
                    .unwrap_or(i64::MIN),
            };
            all.entry(key.to_owned()).or_default().push(value);
        }
        let (mut known, mut superseded) = (BTreeMap::new(), BTreeSet::new());
        for (key, mut values) in all {
            values.sort_by(|one, other| one.weight().cmp(&other.weight()));
            let Some(last) = values.pop() else { continue };
            let others = values.into_iter().filter(|other| other.text != last.text);
            superseded.extend(others.map(|other| (key.clone(), other.provider, other.text)));
            known.insert(key, last);
        }
        Self { known, superseded }
    }

    /// Writes who made the object as a field, the rest sorted by key.
    fn write(mut self, content: &mut Object<'_>) {
        let mut origin = Object::new();
        for (key, part) in [
            ("KBC.createdBy.component.id", "componentId"),
            ("KBC.createdBy.configuration.id", "configId"),
            ("KBC.createdBy.configurationRow.id", "rowId"),
            ("KBC.createdBy.branch.id", "branchId"),
        ] {
            if let Some(value) = self.known.remove(key) {
                origin.set(part, value.text);
            }
        }
        if !origin.is_empty() {
            content.set("createdBy", origin);
        }
        if !self.known.is_empty() {
            content.set(
                "metadata",
                self.known
                    .into_iter()
                    .map(|(key, value)| (key, value.text))
                    .collect::<Object>(),
            );
        }
        if !self.superseded.is_empty() {
            let others = self.superseded.into_iter().map(|(key, provider, value)| {
                Json::Object(
                    [("key", key), ("provider", provider), ("value", value)]
                        .into_iter()
                        .collect(),
                )
            });
            content.set("supersededMetadata", others.collect::<Vec<_>>());
        }
    }
}
