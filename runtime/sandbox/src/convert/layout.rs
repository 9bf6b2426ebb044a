//! Objects go in; inspections, files and entries come out.

use super::{Wrong, kind_in, kind_out};
use crate::{bindings::exports::keboola::mirror::layout as wit, config::Limits};
use mirror_core::{
    ids::{BucketId, ComponentId, ConfigId, InvalidId, ObjectKey, RowId, RunId, TableId},
    layout::{
        Claim, Component, Entry, Gathered, IndexKind, Inspection, Place, PlacedObject, RawFile, Recovered,
        RecoveredObject, Reference, Rendered, Resolution, SourceObject,
    },
};

/// The lists of an object, as slices of what WIT wants, so that the object can be lent.
pub(crate) struct ObjectParts<'a> {
    metadata: Vec<wit::KeyValue<'a>>,
}

impl<'a> ObjectParts<'a> {
    pub(crate) fn of(object: &'a SourceObject) -> Self {
        let pair = |(key, value): &'a (String, String)| wit::KeyValue { key, value };
        Self {
            metadata: object.metadata.iter().map(pair).collect(),
        }
    }

    pub(crate) fn object<'p>(&'p self, object: &'p SourceObject) -> wit::Object<'p> {
        wit::Object {
            key: key_in(&object.key),
            component: object.component.as_ref().map(component),
            source: &object.source,
            metadata: &self.metadata,
        }
    }
}

/// The same for an object with its place.
pub(crate) struct PlacedParts<'a> {
    object: ObjectParts<'a>,
    claimed_by: Vec<wit::ObjectKeyParam<'a>>,
    references: Vec<Option<wit::Resolution<'a>>>,
}

impl<'a> PlacedParts<'a> {
    pub(crate) fn of(placed: &'a PlacedObject) -> Self {
        Self {
            object: ObjectParts::of(&placed.object),
            claimed_by: placed.claimed_by.iter().map(key_in).collect(),
            references: placed
                .references
                .iter()
                .map(|found| found.as_ref().map(resolution))
                .collect(),
        }
    }

    pub(crate) fn placed<'p>(&'p self, placed: &'p PlacedObject) -> wit::PlacedObject<'p> {
        wit::PlacedObject {
            object: self.object.object(&placed.object),
            path: placed.path.as_deref(),
            parent: placed.parent.as_ref().map(key_in),
            claimed_by: &self.claimed_by,
            references: &self.references,
        }
    }
}

fn component(component: &Component) -> wit::Component<'_> {
    wit::Component {
        id: &component.id,
        component_type: &component.component_type,
        name: &component.name,
        generic_code_blocks_ui: component.generic_code_blocks_ui,
        default_bucket_stage: component.default_bucket_stage.as_deref(),
    }
}

fn resolution(resolution: &Resolution) -> wit::Resolution<'_> {
    wit::Resolution {
        key: key_in(&resolution.key),
        path: &resolution.path,
        facts: &resolution.facts,
    }
}

fn key_in(key: &ObjectKey) -> wit::ObjectKeyParam<'_> {
    match key {
        ObjectKey::Branch => wit::ObjectKeyParam::Branch,
        ObjectKey::Config { component, config } => wit::ObjectKeyParam::Config(wit::ConfigKeyParam {
            component_id: component.as_str(),
            config_id: config.as_str(),
        }),
        ObjectKey::Row {
            component,
            config,
            row,
        } => wit::ObjectKeyParam::Row(wit::RowKeyParam {
            component_id: component.as_str(),
            config_id: config.as_str(),
            row_id: row.as_str(),
        }),
        ObjectKey::Bucket(id) => wit::ObjectKeyParam::Bucket(id.as_str()),
        ObjectKey::Table(id) => wit::ObjectKeyParam::Table(id.as_str()),
        ObjectKey::Sample(id) => wit::ObjectKeyParam::Sample(id.as_str()),
        ObjectKey::Job(id) => wit::ObjectKeyParam::Job(id.as_str()),
    }
}

pub(crate) fn index_kind_in(kind: IndexKind) -> wit::IndexKind {
    match kind {
        IndexKind::Manifest => wit::IndexKind::Manifest,
        IndexKind::JobDay => wit::IndexKind::JobDay,
        IndexKind::JobHealth => wit::IndexKind::JobHealth,
        IndexKind::Withheld => wit::IndexKind::Withheld,
        IndexKind::Guide => wit::IndexKind::Guide,
        IndexKind::Catalog => wit::IndexKind::Catalog,
        IndexKind::Lineage => wit::IndexKind::Lineage,
    }
}

pub(crate) fn entry_in(entry: &Entry) -> wit::EntryParam<'_> {
    wit::EntryParam {
        kind: index_kind_in(entry.kind),
        shard: &entry.shard,
        key: &entry.key,
        value: &entry.value,
    }
}

pub(crate) fn file_in(file: &RawFile) -> wit::FileParam<'_> {
    wit::FileParam {
        path: &file.path,
        kind: kind_in(file.kind),
        content: &file.content,
    }
}

/// Checks one inspection.
pub(crate) fn inspection(limits: &Limits, raw: wit::Inspection) -> Result<Inspection, Wrong> {
    let wit::Inspection {
        place,
        segment,
        sort_name,
        claims,
        references,
        aliases,
        facts,
    } = raw;
    for length in [claims.len(), references.len(), aliases.len()] {
        check_length(limits, length)?;
    }
    Ok(Inspection {
        place: match place {
            wit::Place::Container => Place::Container,
            wit::Place::Below(key) => Place::Below(key_out(&key)?),
            wit::Place::Claimed => Place::Claimed,
            wit::Place::None => Place::None,
        },
        segment,
        sort_name,
        claims: claims.into_iter().map(claim).collect::<Result<_, _>>()?,
        references: references.into_iter().map(reference).collect::<Result<_, _>>()?,
        aliases,
        facts,
    })
}

/// Checks what was rendered of one object. The files' paths are left to who places them.
pub(crate) fn rendered(limits: &Limits, raw: wit::Rendered) -> Result<Rendered, Wrong> {
    let wit::Rendered { files, entries } = raw;
    check_length(limits, files.len())?;
    check_length(limits, entries.len())?;
    Ok(Rendered {
        files: files.into_iter().map(file).collect(),
        entries: entries.into_iter().map(entry).collect(),
    })
}

/// Takes the files of one shard. It may have any number of entries: all that there are.
pub(crate) fn gathered(limits: &Limits, raw: wit::Gathered) -> Result<Gathered, Wrong> {
    let wit::Gathered { files, keep } = raw;
    check_length(limits, files.len())?;
    Ok(Gathered {
        files: files.into_iter().map(file).collect(),
        keep: keep.map(|entries| entries.into_iter().map(entry).collect()),
    })
}

/// Checks what was recovered, of any number of objects.
pub(crate) fn recovered(raw: wit::Recovered) -> Result<Recovered, Wrong> {
    let wit::Recovered { objects, entries } = raw;
    let object = |raw: wit::RecoveredObject| -> Result<RecoveredObject, Wrong> {
        let wit::RecoveredObject {
            key,
            version,
            version_identifier,
            path,
            parent,
        } = raw;
        let parent = parent.as_ref().map(key_out).transpose()?;
        Ok(RecoveredObject {
            key: key_out(&key)?,
            version,
            version_identifier,
            path,
            parent,
        })
    };
    Ok(Recovered {
        objects: objects.into_iter().map(object).collect::<Result<_, _>>()?,
        entries: entries.into_iter().map(entry).collect(),
    })
}

fn check_length(limits: &Limits, length: usize) -> Result<(), Wrong> {
    if length > limits.list_items_max {
        Err(Wrong::OverLimit("list_items_max"))
    } else {
        Ok(())
    }
}

fn claim(claim: wit::Claim) -> Result<Claim, Wrong> {
    Ok(Claim {
        target: key_out(&claim.target)?,
        segment: claim.segment,
    })
}

fn reference(reference: wit::Reference) -> Result<Reference, Wrong> {
    match reference {
        wit::Reference::Object(key) => key_out(&key).map(Reference::Object),
        wit::Reference::Alias(alias) => Ok(Reference::Alias(alias)),
    }
}

fn file(file: wit::FileResult) -> RawFile {
    RawFile {
        path: file.path,
        kind: kind_out(file.kind),
        content: file.content,
    }
}

fn entry(entry: wit::EntryResult) -> Entry {
    let kind = match entry.kind {
        wit::IndexKind::Manifest => IndexKind::Manifest,
        wit::IndexKind::JobDay => IndexKind::JobDay,
        wit::IndexKind::JobHealth => IndexKind::JobHealth,
        wit::IndexKind::Withheld => IndexKind::Withheld,
        wit::IndexKind::Guide => IndexKind::Guide,
        wit::IndexKind::Catalog => IndexKind::Catalog,
        wit::IndexKind::Lineage => IndexKind::Lineage,
    };
    Entry {
        kind,
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    }
}

fn key_out(key: &wit::ObjectKeyResult) -> Result<ObjectKey, Wrong> {
    parse_key(key).map_err(|error| Wrong::Malformed(format!("it names an object whose {error}")))
}

fn parse_key(key: &wit::ObjectKeyResult) -> Result<ObjectKey, InvalidId> {
    Ok(match key {
        wit::ObjectKeyResult::Branch => ObjectKey::Branch,
        wit::ObjectKeyResult::Config(key) => ObjectKey::Config {
            component: ComponentId::parse(&key.component_id)?,
            config: ConfigId::parse(&key.config_id)?,
        },
        wit::ObjectKeyResult::Row(key) => ObjectKey::Row {
            component: ComponentId::parse(&key.component_id)?,
            config: ConfigId::parse(&key.config_id)?,
            row: RowId::parse(&key.row_id)?,
        },
        wit::ObjectKeyResult::Bucket(id) => ObjectKey::Bucket(BucketId::parse(id)?),
        wit::ObjectKeyResult::Table(id) => ObjectKey::Table(TableId::parse(id)?),
        wit::ObjectKeyResult::Sample(id) => ObjectKey::Sample(TableId::parse(id)?),
        wit::ObjectKeyResult::Job(id) => ObjectKey::Job(RunId::parse(id)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_index_comes_back_as_itself() {
        for kind in [
            IndexKind::Manifest,
            IndexKind::JobDay,
            IndexKind::JobHealth,
            IndexKind::Withheld,
            IndexKind::Guide,
            IndexKind::Catalog,
            IndexKind::Lineage,
        ] {
            let raw = wit::EntryResult {
                kind: index_kind_in(kind),
                shard: "s".to_owned(),
                key: "k".to_owned(),
                value: "{}".to_owned(),
            };
            assert_eq!(entry(raw).kind, kind);
        }
    }
}
