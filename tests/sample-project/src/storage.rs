//! Buckets, tables, column metadata and previews, from what the configurations write.
//!
//! Also what nobody writes: a bucket linked from another project and alias tables.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::builder::{Builder, TableDraft};
use crate::cells;
use crate::encode::Moment;
use crate::entities::{Entity, entity};
use crate::random::Random;
use crate::secrets;

/// Everything the storage part of the API answers.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) buckets: Vec<Value>,
    pub(crate) tables: Vec<Value>,
    pub(crate) previews: BTreeMap<String, String>,
}

/// Markets whose tables have metadata on every column.
const FULLY_DESCRIBED_ROUNDS: usize = 4;
const LINKED_BUCKET: &str = "in.c-holding-shared";

struct Maker {
    host: String,
    branch: u64,
    project: u64,
    base: Moment,
    present: Moment,
    random: Random,
    next_id: u64,
}

/// Builds the storage of the default branch; plants one secret in a preview and one in a bucket's description.
pub(crate) fn build(b: &mut Builder, host: &str, branch: u64) -> Storage {
    let mut maker = Maker {
        host: host.to_owned(),
        branch,
        project: b.project_id,
        base: b.base,
        present: b.present(),
        random: b.random.fork(),
        next_id: 8_000_000,
    };
    let drafts = std::mem::take(&mut b.tables);
    let mut buckets: BTreeMap<String, Value> = BTreeMap::new();
    let mut tables: BTreeMap<String, Value> = BTreeMap::new();
    let mut kinds: BTreeMap<String, &'static Entity> = BTreeMap::new();
    for draft in &drafts {
        let bucket = buckets
            .entry(draft.bucket.clone())
            .or_insert_with(|| maker.bucket(&draft.bucket, Some(draft)));
        let table = maker.table(draft, bucket);
        kinds.insert(draft.id(), draft.entity);
        tables.insert(draft.id(), table);
    }
    if let Some(first) = drafts.first() {
        let mut linked = maker.bucket(LINKED_BUCKET, None);
        linked["isReadOnly"] = json!(true);
        linked["isLinkedBucket"] = json!(true);
        linked["sourceBucket"] = json!({"id": "out.c-group-reference", "name": "c-group-reference", "displayName": "group-reference",
            "stage": "out", "description": "Shared reference data of the holding", "sharing": "organization-project",
            "project": {"id": maker.project + 1, "name": "Holding – reference data"}, "created": maker.base.storage()});
        for kind in ["stores", "exchange_rates"] {
            let shared = TableDraft {
                bucket: LINKED_BUCKET.to_owned(),
                name: format!("ref_{kind}"),
                entity: entity(kind),
                writer: ("", String::new(), None),
                created: maker.base,
                round: 0,
            };
            let mut table = maker.table(&shared, &linked);
            table["isAlias"] = json!(true);
            // PHP writes an empty object as an array.
            table["columnMetadata"] = json!([]);
            table["sourceTable"] = json!({"id": format!("out.c-group-reference.{kind}"), "name": kind,
                "project": {"id": maker.project + 1, "name": "Holding – reference data"},
                "uri": format!("https://{}/v2/storage/tables/out.c-group-reference.{kind}", maker.host)});
            kinds.insert(shared.id(), shared.entity);
            tables.insert(shared.id(), table);
        }
        buckets.insert(LINKED_BUCKET.to_owned(), linked);
        let alias = TableDraft {
            bucket: "out.c-reporting-views".to_owned(),
            name: format!("{}_active", first.name),
            entity: first.entity,
            writer: ("", String::new(), None),
            created: first.created.plus(86_400),
            round: 0,
        };
        let views = maker.bucket(&alias.bucket, None);
        let mut table = maker.table(&alias, &views);
        table["isAlias"] = json!(true);
        table["aliasColumnsAutoSync"] = json!(true);
        table["aliasFilter"] = json!({"column": "status", "operator": "eq", "values": ["active"]});
        table["sourceTable"] = json!({"id": first.id(), "name": first.name, "project": {"id": maker.project, "name": "E-shop"},
            "uri": format!("https://{}/v2/storage/tables/{}", maker.host, first.id())});
        kinds.insert(alias.id(), alias.entity);
        tables.insert(alias.id(), table);
        buckets.insert(alias.bucket.clone(), views);
    }
    totals(&mut buckets, &tables);
    let wanted = b.shape.previews;
    let mut previews = BTreeMap::new();
    for (id, kind) in kinds.iter().take(wanted) {
        previews.insert(id.clone(), maker.preview(kind, b.shape.preview_rows));
    }
    plant(b, &drafts, &mut maker, &mut previews);
    describe(b, &drafts, &mut maker, &mut buckets, &mut tables);
    Storage {
        buckets: buckets.into_values().collect(),
        tables: tables.into_values().collect(),
        previews,
    }
}

/// Plants one secret in a cell.
fn plant(b: &mut Builder, drafts: &[TableDraft], maker: &mut Maker, previews: &mut BTreeMap<String, String>) {
    let Some(first) = drafts.first() else { return };
    if b.shape.preview_rows > 0 && b.shape.previews > 0 {
        let kind = entity("tickets");
        let target = drafts
            .iter()
            .find(|draft| std::ptr::eq(draft.entity, kind))
            .unwrap_or(first);
        let password = secrets::password(&mut maker.random);
        let mut text = maker.preview(target.entity, b.shape.preview_rows.saturating_sub(1));
        let last = target.entity.columns.len() - 1;
        let place = target
            .entity
            .columns
            .iter()
            .position(|column| column.name == "note")
            .unwrap_or(last);
        let written = format!("zákazník poslal heslo: {password}");
        let fields = target.entity.columns.iter().enumerate();
        let cells: Vec<String> = fields
            .map(|(number, column)| {
                let cell = cells::value(*column, 100, maker.present, &mut maker.random);
                if number == place { written.clone() } else { cell }
            })
            .collect();
        text.push_str(&cells::record(cells.iter().map(String::as_str)));
        b.plant("prose-password", password, format!("preview of {}", target.id()));
        previews.insert(target.id(), text);
    }
}

/// Plants one secret in the description of a bucket, which its tables show too.
fn describe(
    b: &mut Builder,
    drafts: &[TableDraft],
    maker: &mut Maker,
    buckets: &mut BTreeMap<String, Value>,
    tables: &mut BTreeMap<String, Value>,
) {
    let Some(id) = drafts.first().map(|draft| draft.bucket.as_str()) else {
        return;
    };
    let key = secrets::github_token(&mut maker.random);
    let description = json!(format!("Loaded by the nightly script, deploy key {key}"));
    let shown = tables.values_mut().map(|table| &mut table["bucket"]);
    for bucket in shown
        .chain(buckets.values_mut())
        .filter(|bucket| bucket["id"] == id)
    {
        bucket["description"] = description.clone();
    }
    b.plant("github-token", key, format!("description of bucket {id}"));
}

/// Sums of the tables in their buckets.
fn totals(buckets: &mut BTreeMap<String, Value>, tables: &BTreeMap<String, Value>) {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for table in tables.values() {
        let bucket = table["bucket"]["id"].as_str().unwrap_or("");
        let sum = sums.entry(bucket).or_default();
        sum.0 += table["rowsCount"].as_u64().unwrap_or(0);
        sum.1 += table["dataSizeBytes"].as_u64().unwrap_or(0);
    }
    for (id, (rows, bytes)) in sums {
        if let Some(bucket) = buckets.get_mut(id) {
            bucket["rowsCount"] = json!(rows);
            bucket["dataSizeBytes"] = json!(bytes);
        }
    }
}

impl Maker {
    fn metadata(&mut self, provider: &str, entries: &[(&str, &str)], at: Moment) -> Vec<Value> {
        entries
            .iter()
            .map(|(key, value)| {
                self.next_id += 1;
                json!({"id": self.next_id.to_string(), "key": key, "value": value, "provider": provider, "timestamp": at.storage()})
            })
            .collect()
    }

    fn bucket(&mut self, id: &str, by: Option<&TableDraft>) -> Value {
        let name = id.split_once('.').map_or(id, |(_, name)| name);
        let display = name.trim_start_matches("c-");
        let stage = &id[..id.len() - name.len() - 1];
        let created = by.map_or(self.base, |draft| draft.created);
        let metadata = by.map_or_else(Vec::new, |draft| {
            let (component, configuration, _) = &draft.writer;
            self.metadata(
                "system",
                &[
                    ("KBC.createdBy.component.id", component),
                    ("KBC.createdBy.configuration.id", configuration),
                ],
                created,
            )
        });
        let uri = format!("https://{}/v2/storage/buckets/{id}", self.host);
        let sharing = if id.starts_with("out.c-kpi") {
            json!("organization")
        } else {
            Value::Null
        };
        json!({
            "uri": uri, "id": id, "name": name, "displayName": display, "idBranch": self.branch, "stage": stage,
            "description": "", "tables": format!("{uri}/tables"), "created": created.storage(),
            "lastChangeDate": self.present.storage(), "updated": created.storage(), "isReadOnly": false, "dataSizeBytes": 0, "rowsCount": 0,
            "isMaintenance": false, "backend": "snowflake", "sharing": sharing, "hasExternalSchema": false, "databaseName": "",
            "path": format!("KBC_EU_{}", self.project), "backendPath": [format!("KBC_EU_{}", self.project), id],
            "color": null, "owner": null, "isLinkedBucket": false, "linkedBy": [], "metadata": metadata})
    }

    fn table(&mut self, draft: &TableDraft, bucket: &Value) -> Value {
        let id = draft.id();
        let key: Vec<&str> = draft.entity.columns[..draft.entity.key]
            .iter()
            .map(|column| column.name)
            .collect();
        let columns: Vec<&str> = draft.entity.columns.iter().map(|column| column.name).collect();
        let (component, configuration, row) = &draft.writer;
        let mut metadata = Vec::new();
        if !component.is_empty() {
            let updated = draft.created.plus(self.random.below(86_400 * 60));
            let mut entries = vec![
                ("KBC.createdBy.component.id", *component),
                ("KBC.createdBy.configuration.id", configuration.as_str()),
                ("KBC.lastUpdatedBy.component.id", *component),
                ("KBC.lastUpdatedBy.configuration.id", configuration.as_str()),
            ];
            if let Some(row) = row {
                entries.push(("KBC.createdBy.configurationRow.id", row));
                entries.push(("KBC.lastUpdatedBy.configurationRow.id", row));
            }
            metadata = self.metadata("system", &entries, updated);
        }
        metadata.extend(self.metadata(
            "user",
            &[("KBC.description", draft.entity.description)],
            draft.created,
        ));
        let typed = draft.bucket.starts_with("out.") && draft.round.is_multiple_of(2);
        let rows = self.random.between(10, 4_000_000);
        let changed = Moment(self.present.0 - i64::try_from(self.random.below(86_400 * 9)).unwrap_or(0));
        let mut table = json!({
            "uri": format!("https://{}/v2/storage/tables/{id}", self.host), "id": id, "name": draft.name, "displayName": draft.name,
            "transactional": false, "primaryKey": key, "indexType": null, "indexKey": [], "distributionType": null,
            "distributionKey": [], "syntheticPrimaryKeyEnabled": false, "created": draft.created.storage(),
            "lastImportDate": changed.storage(), "lastChangeDate": changed.storage(), "rowsCount": rows,
            "dataSizeBytes": rows * self.random.between(20, 400), "isAlias": false, "isAliasable": true, "isTyped": typed,
            "tableType": "table", "path": format!("/{}-{}", self.project, draft.name), "columns": columns, "metadata": metadata,
            "columnMetadata": self.column_metadata(draft), "bucket": short(bucket)});
        if typed {
            let columns: Vec<Value> = draft.entity.columns.iter().enumerate().map(|(place, column)| {
                let (base, kind, length) = column.types();
                let mut definition = json!({"type": kind, "nullable": place >= draft.entity.key});
                if let Some(length) = length {
                    definition["length"] = json!(length);
                }
                json!({"name": column.name, "definition": definition, "basetype": base, "canBeFiltered": true})
            }).collect();
            table["definition"] = json!({"primaryKeysNames": key, "columns": columns});
        }
        table
    }

    fn column_metadata(&mut self, draft: &TableDraft) -> Value {
        let mut all = Map::new();
        // Column metadata would be most of a large project; from some market on only the keys have it.
        let described = if draft.round < FULLY_DESCRIBED_ROUNDS {
            draft.entity.columns.len()
        } else {
            draft.entity.key
        };
        for (place, column) in draft.entity.columns.iter().take(described).enumerate() {
            let (base, kind, length) = column.types();
            let nullable = if place >= draft.entity.key { "1" } else { "" };
            let mut entries = vec![
                ("KBC.datatype.type", kind),
                ("KBC.datatype.nullable", nullable),
                ("KBC.datatype.basetype", base),
            ];
            entries.extend(length.map(|length| ("KBC.datatype.length", length)));
            let mut listed = self.metadata("storage", &entries, draft.created);
            if column.name == "email" || column.name == "national_id" {
                listed.extend(self.metadata(
                    "user",
                    &[("KBC.description", "Osobní údaj (GDPR)")],
                    draft.created,
                ));
            }
            all.insert(column.name.to_owned(), Value::Array(listed));
        }
        Value::Object(all)
    }

    fn preview(&mut self, kind: &Entity, rows: usize) -> String {
        let mut text = cells::record(kind.columns.iter().map(|column| column.name));
        for row in 0..u64::try_from(rows).unwrap_or(0) {
            let cells: Vec<String> = kind
                .columns
                .iter()
                .map(|column| cells::value(*column, row, self.present, &mut self.random))
                .collect();
            text.push_str(&cells::record(cells.iter().map(String::as_str)));
        }
        text
    }
}

/// A bucket as it is shown inside a table.
fn short(bucket: &Value) -> Value {
    let mut short = Map::new();
    for key in [
        "uri",
        "id",
        "name",
        "displayName",
        "idBranch",
        "stage",
        "description",
        "created",
        "lastChangeDate",
        "isReadOnly",
        "backend",
        "sharing",
        "isLinkedBucket",
    ] {
        short.insert(key.to_owned(), bucket[key].clone());
    }
    Value::Object(short)
}
