//! A small project as text, and a host that places objects in the plainest way: every wish is
//! granted as it stands.

use layout_renderer::{
    Claim, Component, Context, Entry, File, IndexKind, Inspection, Object, ObjectKey, Place, PlacedObject,
    Reference, Rendered, Resolution, gather, inspect, render,
};
use std::collections::BTreeMap;

pub(crate) fn context() -> Context {
    Context {
        stack: "connection.example.com".into(),
        project_id: "7".into(),
        branch_id: "11".into(),
    }
}

/// `c/1` is a configuration, `c/1/a` a row, `-` the branch, `bucket in.c-b` a bucket, `table in.c-b.t` a
/// table.
pub(crate) fn key(text: &str) -> ObjectKey {
    let owned = str::to_owned;
    if let Some(id) = text.strip_prefix("bucket ") {
        return ObjectKey::Bucket(owned(id));
    }
    if let Some(id) = text.strip_prefix("table ") {
        return ObjectKey::Table(owned(id));
    }
    match text.split('/').collect::<Vec<_>>()[..] {
        [component, config, row] => ObjectKey::Row {
            component: owned(component),
            config: owned(config),
            row: owned(row),
        },
        [component, config] => ObjectKey::Config {
            component: owned(component),
            config: owned(config),
        },
        _ => ObjectKey::Branch,
    }
}

fn component(id: &str) -> Component {
    Component {
        id: id.into(),
        component_type: match id {
            id if id.ends_with("-transformation") || id.ends_with("-v2") => "transformation",
            id if id.contains(".ex-") => "extractor",
            id if id.starts_with("kds-team.app-") => "application",
            _ => "other",
        }
        .into(),
        name: id.into(),
        generic_code_blocks_ui: id.ends_with("-transformation") || id.ends_with("-v2"),
        default_bucket_stage: id.contains(".ex-").then(|| "in".into()),
    }
}

pub(crate) fn object(name: &str, source: &str) -> Object {
    let key = key(name);
    let component = match &key {
        ObjectKey::Config { component: id, .. } | ObjectKey::Row { component: id, .. } => Some(component(id)),
        _ => None,
    };
    Object {
        key,
        component,
        source: source.into(),
        metadata: Vec::new(),
    }
}

/// Inspects and places objects.
pub(crate) fn place(settings: &str, objects: &[Object]) -> Vec<PlacedObject> {
    let inspections = inspect(&context(), settings, objects).expect("the sources are JSON");
    let known: Vec<(&ObjectKey, &Inspection)> = objects
        .iter()
        .map(|object| &object.key)
        .zip(&inspections)
        .collect();
    let one = |(object, inspection): (&Object, &Inspection)| {
        let found = found(&known, &object.key);
        PlacedObject {
            object: object.clone(),
            path: found.as_ref().map(|found| found.path.clone()),
            parent: found.as_ref().and_then(|found| found.parent.clone()),
            claimed_by: claims(&known, &object.key)
                .iter()
                .map(|(key, _)| (*key).clone())
                .collect(),
            references: inspection
                .references
                .iter()
                .map(|reference| resolve(&known, reference))
                .collect(),
        }
    };
    objects.iter().zip(&inspections).map(one).collect()
}

type Known<'k> = [(&'k ObjectKey, &'k Inspection)];

struct Found {
    path: String,
    parent: Option<ObjectKey>,
}

fn claims<'k>(known: &Known<'k>, target: &ObjectKey) -> Vec<(&'k ObjectKey, &'k Claim)> {
    let of = |(key, inspection): &(&'k ObjectKey, &'k Inspection)| {
        let claim = inspection.claims.iter().find(|claim| claim.target == *target)?;
        Some((*key, claim))
    };
    known.iter().filter_map(of).collect()
}

fn found(known: &Known<'_>, key: &ObjectKey) -> Option<Found> {
    let (_, inspection) = known.iter().find(|(other, _)| *other == key)?;
    let claims = claims(known, key);
    let claim = claims.first().filter(|_| claims.len() == 1);
    let segment = claim
        .and_then(|(_, claim)| claim.segment.clone())
        .unwrap_or_else(|| inspection.segment.clone());
    // Whoever is the first to wish for one that ends so has it without.
    let segment = segment.trim_end_matches('/').to_owned();
    let parent = match &inspection.place {
        Place::None => return None,
        Place::Below(parent) => Some(parent.clone()),
        Place::Claimed => Some(claim?.0.clone()),
        Place::Container => None,
    };
    let above = match (&parent, key) {
        (Some(parent), _) => found(known, parent)?.path,
        (
            None,
            ObjectKey::Row {
                component, config, ..
            },
        ) => {
            let config = ObjectKey::Config {
                component: component.clone(),
                config: config.clone(),
            };
            found(known, &config)?.path
        }
        (None, ObjectKey::Branch) => {
            return Some(Found {
                path: String::new(),
                parent,
            });
        }
        (None, _) => String::new(),
    };
    let path = if above.is_empty() {
        segment
    } else {
        format!("{above}/{segment}")
    };
    Some(Found { path, parent })
}

fn resolve(known: &Known<'_>, reference: &Reference) -> Option<Resolution> {
    let (key, inspection) = known.iter().find(|(key, inspection)| match reference {
        Reference::Object(wanted) => *key == wanted,
        Reference::Alias(alias) => inspection.aliases.contains(alias),
    })?;
    let path = found(known, key).map(|found| found.path).unwrap_or_default();
    Some(Resolution {
        key: (*key).clone(),
        path,
        facts: inspection.facts.clone(),
    })
}

/// Renders objects of one branch, with the manifest.
pub(crate) fn tree(settings: &str, objects: &[Object]) -> Vec<File> {
    let rendered = render(&context(), settings, &place(settings, objects)).expect("the sources are JSON");
    let (mut files, entries) = split(rendered);
    files.extend(shards(settings, &[IndexKind::Manifest], &entries));
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// Returns all files, and all entries sorted as a host hands them to `gather`.
pub(crate) fn split(rendered: Vec<Rendered>) -> (Vec<File>, Vec<Entry>) {
    let mut files = Vec::new();
    let mut entries = Vec::new();
    for one in rendered {
        files.extend(one.files);
        entries.extend(one.entries);
    }
    entries.sort_by(|left, right| left.key.cmp(&right.key));
    (files, entries)
}

/// Makes the files of all shards of these kinds, sorted by path.
pub(crate) fn shards(settings: &str, kinds: &[IndexKind], entries: &[Entry]) -> Vec<File> {
    let mut shards: BTreeMap<(IndexKind, &str), Vec<Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| kinds.contains(&entry.kind)) {
        shards
            .entry((entry.kind, &entry.shard))
            .or_default()
            .push(entry.clone());
    }
    let mut files = Vec::new();
    let of_buckets = shards.clone();
    for ((kind, shard), mut entries) in shards {
        // Neighbours of its bucket are handed to a table, as a host does.
        let bucket = of_buckets.iter().find(|((of, bucket), _)| {
            let tables = bucket.strip_prefix("bucket/").map(|id| format!("table/{id}."));
            *of == kind && tables.is_some_and(|tables| shard.starts_with(&tables))
        });
        let handed = bucket.into_iter().flat_map(|(_, entries)| entries);
        entries.extend(handed.filter(|entry| entry.key.starts_with('<')).cloned());
        entries.sort_by(|left, right| left.key.cmp(&right.key));
        let gathered = gather(&context(), settings, kind, shard, &entries).expect("the entries are its own");
        assert_eq!(gathered.keep, None, "no entry supersedes another");
        files.extend(gathered.files);
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// Shows the files whose path contains one of the texts; of the manifest, asked for by that name,
/// only what follows its head. A `␍` stands for the first half of CRLF.
pub(crate) fn show(files: &[File], wanted: &[&str]) -> String {
    let mut shown = String::new();
    for file in files
        .iter()
        .filter(|file| wanted.iter().any(|wanted| file.path.contains(wanted)))
    {
        let head = file
            .content
            .find("  \"branches\"")
            .filter(|_| wanted.contains(&"manifest"));
        let content = file.content[head.unwrap_or(0)..].replace("\r\n", "␍\n");
        shown += &format!("=== {}\n{content}", file.path);
    }
    shown
}
