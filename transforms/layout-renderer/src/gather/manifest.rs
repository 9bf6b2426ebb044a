//! `.keboola/manifest.json`, the CLI's list of all objects and their paths.
//!
//! An entry's key is the JSON array of the ids that name the object, from the branch on; so entries
//! of several branches can be gathered together. Its value has the full path below the branch, and
//! the file has paths relative to the parent: when a configuration moves, its children's entries
//! follow, and one change of a row concerns that row's entry only.

use super::{kept, newest, not_ours};
use crate::{
    api::{Context, DocumentKind, Entry, File, Gathered, LayoutError},
    json::{Json, Object, write},
    settings::{Settings, SortBy, number},
};
use std::collections::BTreeMap;

pub(crate) const PATH: &str = "configs/.keboola/manifest.json";

/// What the entries tell, by the ids that name it.
type Items<'e> = BTreeMap<Vec<String>, Item<'e>>;

struct Item<'e> {
    ids: Vec<String>,
    value: Object<'e>,
}

impl Item<'_> {
    fn path(&self) -> &str {
        self.value.str("path").unwrap_or_default()
    }

    /// The ids of the object it lives in.
    fn parent_ids(&self) -> Vec<String> {
        match self.value.get("parent").and_then(Json::as_array) {
            Some(parent) => {
                let own = parent.iter().filter_map(Json::as_str).map(str::to_owned);
                self.ids.iter().take(1).cloned().chain(own).collect()
            }
            None if self.ids.len() == 4 => self.ids[..3].to_vec(),
            None => self.ids[..1].to_vec(),
        }
    }
}

pub(super) fn gather(
    context: &Context,
    settings: &Settings,
    entries: &[Entry],
) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let mut items = BTreeMap::new();
    for entry in &newest {
        let item = read(entry).ok_or_else(|| not_ours(entry))?;
        items.insert(item.ids.clone(), item);
    }
    let mut content = settings.manifest_head(context);
    content.set("branches", branches(settings, &items));
    content.set("configurations", configurations(settings, &items));
    Ok(Gathered {
        files: vec![File {
            path: PATH.to_owned(),
            kind: DocumentKind::Index,
            content: write::cli(&content),
        }],
        keep: kept(entries, &newest),
    })
}

fn read(entry: &Entry) -> Option<Item<'_>> {
    let key = Json::parse(&entry.key).ok()?;
    let ids: Vec<String> = key
        .as_array()?
        .iter()
        .map(|id| id.as_str().map(str::to_owned))
        .collect::<Option<_>>()?;
    let value = Json::parse(&entry.value).ok()?.into_object();
    let fits = matches!(ids.len(), 1 | 3 | 4) && value.str("path").is_some();
    fits.then_some(Item { ids, value })
}

fn branches<'e>(settings: &Settings, items: &'e Items<'_>) -> Vec<Json<'e>> {
    let mut branches: Vec<(String, Json<'_>)> = Vec::new();
    for item in items.values().filter(|item| item.ids.len() == 1) {
        let id = &item.ids[0];
        let mut line = Object::new();
        line.set("id", number(id));
        line.set("path", item.path());
        copy_metadata(&mut line, item);
        let order = match settings.sort_by {
            SortBy::Id => format!("01_{id}_branch"),
            SortBy::Path => format!("01_branch_{}", item.path()),
        };
        branches.push((order, Json::Object(line)));
    }
    sorted(branches)
}

fn configurations<'e>(settings: &Settings, items: &'e Items<'_>) -> Vec<Json<'e>> {
    let mut configurations: Vec<(String, Json<'_>)> = Vec::new();
    for item in items.values().filter(|item| item.ids.len() == 3) {
        let [branch, component, config] = item.ids.as_slice() else {
            continue;
        };
        let Some(path) = relative(items, item) else {
            continue;
        };
        let mut line = Object::new();
        line.set("branchId", number(branch));
        line.set("componentId", component.as_str());
        line.set("id", config.as_str());
        line.set("path", path);
        if let Some(relation) = relation(item) {
            line.set("relations", vec![Json::Object(relation)]);
        }
        copy_metadata(&mut line, item);
        line.set("rows", rows(settings, items, item));
        let order = match settings.sort_by {
            SortBy::Id => format!("03_{branch}_{component}_{config}_config"),
            SortBy::Path => format!("03_config_{}", full(settings, items, item)),
        };
        configurations.push((order, Json::Object(line)));
    }
    sorted(configurations)
}

fn rows<'e>(settings: &Settings, items: &'e Items<'_>, config: &Item<'_>) -> Vec<Json<'e>> {
    let mut rows: Vec<(String, Json<'_>)> = Vec::new();
    // Keys that begin with the configuration's ids follow it in the map.
    let below = items
        .range(config.ids.clone()..)
        .skip(1)
        .take_while(|(ids, _)| ids.starts_with(&config.ids));
    for (ids, item) in below {
        let Some(path) = relative(items, item) else {
            continue;
        };
        let mut line = Object::new();
        line.set("id", ids[3].as_str());
        line.set("path", path);
        if item.value.is_true("default") {
            let relation = Object::from_iter([("type", "variablesValuesFor")]);
            line.set("relations", vec![Json::Object(relation)]);
        }
        let order = match settings.sort_by {
            SortBy::Id => format!("04_{}_config_row", ids.join("_")),
            SortBy::Path => format!("04_row_{}", full(settings, items, item)),
        };
        rows.push((order, Json::Object(line)));
    }
    sorted(rows)
}

fn sorted(mut items: Vec<(String, Json<'_>)>) -> Vec<Json<'_>> {
    items.sort_by(|left, right| left.0.cmp(&right.0));
    items.into_iter().map(|(_, item)| item).collect()
}

/// Returns the path below the parent; none where an object above has no entry, for the CLI refuses
/// a manifest that names an object below one that it does not name. The branch itself may be
/// missing: without it there is no manifest to speak of, but what is below can still be found.
fn relative<'i>(items: &Items<'_>, item: &'i Item<'_>) -> Option<&'i str> {
    let mut own = item.path();
    let mut above = item.parent_ids();
    // No object lies deeper than variables of a row of shared code; a circle has no end.
    for depth in 0..16 {
        if above.len() == 1 {
            return Some(own);
        }
        let parent = items.get(&above)?;
        if depth == 0 {
            own = own.strip_prefix(parent.path())?.strip_prefix('/')?;
        }
        above = parent.parent_ids();
    }
    None
}

/// Returns the path with the branch's directory.
fn full(settings: &Settings, items: &Items<'_>, item: &Item<'_>) -> String {
    let branch = items
        .get(&item.ids[..1])
        .map_or(settings.branch_path.as_str(), Item::path);
    format!("{branch}/{}", item.path())
}

fn copy_metadata<'e>(line: &mut Object<'e>, item: &Item<'e>) {
    if let Some(metadata) = item.value.get("metadata") {
        line.set("metadata", metadata.clone());
    }
}

/// Returns what a configuration is to the object it lives in.
fn relation<'i>(item: &'i Item<'_>) -> Option<Object<'i>> {
    let parent: Vec<&str> = item
        .value
        .get("parent")?
        .as_array()?
        .iter()
        .filter_map(Json::as_str)
        .collect();
    match (item.ids[1].as_str(), parent.as_slice()) {
        (crate::component::SCHEDULER, [component, config]) => Some(Object::from_iter([
            ("componentId", *component),
            ("configId", config),
            ("type", "schedulerFor"),
        ])),
        (_, [component, config]) => Some(Object::from_iter([
            ("componentId", *component),
            ("configId", config),
            ("type", "variablesFor"),
        ])),
        (_, [_, config, row]) => Some(Object::from_iter([
            ("configId", *config),
            ("rowId", row),
            ("type", "sharedCodeVariablesFor"),
        ])),
        _ => None,
    }
}
