//! `.keboola/manifest.json`, the CLI's list of all objects and their paths.
//!
//! An entry's key is the JSON array of the ids that name the object, from the branch on; so entries
//! of several branches can be gathered together. Its value has the full path below the branch, and
//! the file has paths relative to the parent: when a configuration moves, its children's entries
//! follow, and one change of a row concerns that row's entry only.

use super::{kept, newest, not_ours};
use crate::{
    api::{Context, DocumentKind, Entry, File, Gathered, LayoutError},
    json::{Json, Object, Text, write},
    settings::{Settings, SortBy, number},
};

pub(crate) const PATH: &str = "configs/.keboola/manifest.json";

/// Says of an entry's path that it has a slash behind it in the file.
pub(crate) const SLASH: &str = "slash";

/// What an item takes in the file beside its own texts, at most as a rule: names of members and indentation.
const ITEM_BYTES: usize = 192;

/// What the entries tell, in the order of the ids that name it, each once.
///
/// A large project has hundreds of thousands, and memory of a guest is not given back: of each only what is needed to find and
/// sort them is kept, and lines are written one by one.
struct Items<'e>(Vec<Item<'e>>);

struct Item<'e> {
    ids: Box<[Text<'e>]>,
    path: Text<'e>,
    /// The ids of the object it lives in, from the component on, where that is told.
    parent: Option<Box<[Text<'e>]>>,
    is_default: bool,
    ends_in_slash: bool,
    has_metadata: bool,
    entry: &'e Entry,
}

impl<'e> Items<'e> {
    fn read(entries: &[&'e Entry]) -> Result<Self, LayoutError> {
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            items.push(read(entry).ok_or_else(|| not_ours(entry))?);
        }
        // Stable, so that of several with the same ids the last one is the last; it counts.
        items.sort_by(|one: &Item<'_>, other| one.ids.cmp(&other.ids));
        items.dedup_by(|next, kept| {
            let is_same = next.ids == kept.ids;
            if is_same {
                std::mem::swap(next, kept);
            }
            is_same
        });
        Ok(Self(items))
    }

    fn place_of(&self, ids: &[&str]) -> Option<usize> {
        let order = |item: &Item<'e>| item.ids.iter().map(|id| &**id).cmp(ids.iter().copied());
        self.0.binary_search_by(order).ok()
    }

    fn get(&self, ids: &[&str]) -> Option<&Item<'e>> {
        Some(&self.0[self.place_of(ids)?])
    }

    /// Returns how many bytes the file has, about.
    fn bytes(&self) -> usize {
        let of_item = |item: &Item<'_>| item.entry.key.len() + item.entry.value.len() + ITEM_BYTES;
        self.0.iter().map(of_item).sum()
    }
}

impl<'e> Item<'e> {
    /// The ids of the object it lives in.
    fn parent_ids(&self) -> Vec<&str> {
        match &self.parent {
            Some(parent) => self.ids[..1].iter().chain(parent).map(|id| &**id).collect(),
            None if self.ids.len() == 4 => self.ids[..3].iter().map(|id| &**id).collect(),
            None => vec![&self.ids[0]],
        }
    }

    /// Returns what the source says of it beside its place.
    fn metadata(&self) -> Option<Json<'e>> {
        let value = self.has_metadata.then(|| Json::parse(&self.entry.value).ok())??;
        value.into_object().remove("metadata")
    }
}

pub(super) fn gather(
    context: &Context,
    settings: &Settings,
    entries: &[Entry],
) -> Result<Gathered, LayoutError> {
    let newest = newest(entries);
    let items = Items::read(&newest)?;
    let mut content = settings.manifest_head(context);
    content.set("branches", branches(settings, &items));
    let configurations = configurations(settings, &items);
    let lines = configurations
        .into_iter()
        .filter_map(|(_, at)| configuration(settings, &items, at));
    Ok(Gathered {
        files: vec![File {
            path: PATH.to_owned(),
            kind: DocumentKind::Index,
            content: write::cli_with_list(&content, "configurations", lines, items.bytes()),
        }],
        keep: kept(entries.len(), &newest),
    })
}

fn read(entry: &Entry) -> Option<Item<'_>> {
    let Json::Array(key) = Json::parse(&entry.key).ok()? else {
        return None;
    };
    let string = |id| match id {
        Json::String(id) => Some(id),
        _ => None,
    };
    let ids: Box<[Text<'_>]> = key.into_iter().map(string).collect::<Option<_>>()?;
    let mut value = Json::parse(&entry.value).ok()?.into_object();
    let path = value.remove("path").and_then(string)?;
    let parent = match value.remove("parent") {
        Some(Json::Array(parent)) => Some(parent.into_iter().filter_map(string).collect()),
        _ => None,
    };
    matches!(ids.len(), 1 | 3 | 4).then(|| Item {
        ids,
        path,
        parent,
        is_default: value.is_true("default"),
        ends_in_slash: value.is_true(SLASH),
        has_metadata: value.get("metadata").is_some(),
        entry,
    })
}

fn branches<'i>(settings: &Settings, items: &'i Items<'_>) -> Vec<Json<'i>> {
    let mut branches: Vec<(String, Json<'_>)> = Vec::new();
    for item in items.0.iter().filter(|item| item.ids.len() == 1) {
        let (id, path) = (&*item.ids[0], &*item.path);
        let mut line = Object::new();
        line.set("id", number(id));
        line.set("path", path);
        set_metadata(&mut line, item);
        let order = match settings.sort_by {
            SortBy::Id => format!("01_{id}_branch"),
            SortBy::Path => format!("01_branch_{path}"),
        };
        branches.push((order, Json::Object(line)));
    }
    sorted(branches)
}

/// Returns where the configurations are among the items, as they are sorted.
fn configurations(settings: &Settings, items: &Items<'_>) -> Vec<(String, usize)> {
    let mut configurations: Vec<(String, usize)> = Vec::new();
    for (at, item) in items.0.iter().enumerate() {
        let [branch, component, config] = &*item.ids else {
            continue;
        };
        let order = match settings.sort_by {
            SortBy::Id => format!("03_{branch}_{component}_{config}_config"),
            SortBy::Path => format!("03_config_{}", full(settings, items, item)),
        };
        configurations.push((order, at));
    }
    configurations.sort_by(|left, right| left.0.cmp(&right.0));
    configurations
}

/// Returns the line of a configuration; none where an object above has no entry.
fn configuration<'i>(settings: &Settings, items: &'i Items<'_>, at: usize) -> Option<Json<'i>> {
    let item = &items.0[at];
    let path = relative(items, item)?;
    let mut line = Object::new();
    line.set("branchId", number(&item.ids[0]));
    line.set("componentId", &*item.ids[1]);
    line.set("id", &*item.ids[2]);
    match item.ends_in_slash {
        true => line.set("path", format!("{path}/")),
        false => line.set("path", path),
    }
    if let Some(relation) = relation(item) {
        line.set("relations", vec![Json::Object(relation)]);
    }
    set_metadata(&mut line, item);
    line.set("rows", rows(settings, items, at));
    Some(Json::Object(line))
}

fn rows<'i>(settings: &Settings, items: &'i Items<'_>, config: usize) -> Vec<Json<'i>> {
    let mut rows: Vec<(String, Json<'_>)> = Vec::new();
    // What begins with the configuration's ids follows it.
    let (config, after) = (&items.0[config], &items.0[config + 1..]);
    let below = after.iter().take_while(|item| item.ids.starts_with(&config.ids));
    for item in below {
        let Some(path) = relative(items, item) else {
            continue;
        };
        let mut line = Object::new();
        line.set("id", &*item.ids[3]);
        line.set("path", path);
        if item.is_default {
            let relation = Object::from_iter([("type", "variablesValuesFor")]);
            line.set("relations", vec![Json::Object(relation)]);
        }
        let order = match settings.sort_by {
            SortBy::Id => format!("04_{}_config_row", item.ids.join("_")),
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
    let mut own = &*item.path;
    let mut above = item.parent_ids();
    // No object lies deeper than variables of a row of shared code; a circle has no end.
    for depth in 0..16 {
        if above.len() == 1 {
            return Some(own);
        }
        let parent = items.get(&above)?;
        if depth == 0 {
            own = own.strip_prefix(&*parent.path)?.strip_prefix('/')?;
        }
        above = parent.parent_ids();
    }
    None
}

/// Returns the path with the branch's directory.
fn full(settings: &Settings, items: &Items<'_>, item: &Item<'_>) -> String {
    let branch = items
        .get(&[&*item.ids[0]])
        .map_or(settings.branch_path.as_str(), |branch| &branch.path);
    format!("{branch}/{}", item.path)
}

fn set_metadata<'e>(line: &mut Object<'e>, item: &Item<'e>) {
    if let Some(metadata) = item.metadata() {
        line.set("metadata", metadata);
    }
}

/// Returns what a configuration is to the object it lives in.
fn relation<'i>(item: &'i Item<'_>) -> Option<Object<'i>> {
    let parent: Vec<&str> = item.parent.as_ref()?.iter().map(|id| &**id).collect();
    match (&*item.ids[1], parent.as_slice()) {
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
