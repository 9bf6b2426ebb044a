//! Binds the renderer to `wit/layout.wit`.

// What the macro generates is not ours to lint.
#[expect(
    unsafe_code,
    reason = "the component model's ABI is raw memory; the macro writes all of it"
)]
#[allow(clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "layout-renderer" });
    use super::Renderer;
    export!(Renderer);
}
use crate as own;
use bindings::{
    exports::keboola::mirror::layout as wit,
    keboola::mirror::types::{Context, DocumentKind, GuestError},
};
use guest_memory as _;

struct Renderer;

impl wit::Guest for Renderer {
    fn inspect(
        context: Context,
        settings: String,
        objects: Vec<wit::Object>,
    ) -> Result<Vec<wit::Inspection>, GuestError> {
        let objects: Vec<_> = objects.into_iter().map(object).collect();
        let found =
            own::inspect(&self::context(context), &settings, &objects).map_err(|found| error(&found))?;
        Ok(found.into_iter().map(inspection).collect())
    }

    fn render(
        context: Context,
        settings: String,
        objects: Vec<wit::PlacedObject>,
    ) -> Result<Vec<wit::Rendered>, GuestError> {
        let objects: Vec<_> = objects.into_iter().map(placed).collect();
        let rendered =
            own::render(&self::context(context), &settings, &objects).map_err(|found| error(&found))?;
        Ok(rendered
            .into_iter()
            .map(|one| wit::Rendered {
                files: files_out(one.files),
                entries: entries_out(one.entries),
            })
            .collect())
    }

    fn gather(
        context: Context,
        settings: String,
        kind: wit::IndexKind,
        shard: String,
        entries: Vec<wit::Entry>,
    ) -> Result<wit::Gathered, GuestError> {
        let entries: Vec<_> = entries.into_iter().map(entry_in).collect();
        let gathered = own::gather(
            &self::context(context),
            &settings,
            index_in(kind),
            &shard,
            &entries,
        )
        .map_err(|found| error(&found))?;
        Ok(wit::Gathered {
            files: files_out(gathered.files),
            keep: gathered.keep.map(entries_out),
        })
    }

    fn recoverable(settings: String, paths: Vec<String>) -> Vec<bool> {
        own::recoverable(&settings, &paths)
    }

    fn recover(
        context: Context,
        settings: String,
        files: Vec<wit::File>,
    ) -> Result<wit::Recovered, GuestError> {
        let files: Vec<_> = files.into_iter().map(file_in).collect();
        let recovered =
            own::recover(&self::context(context), &settings, &files).map_err(|found| error(&found))?;
        let object = |object: own::RecoveredObject| wit::RecoveredObject {
            key: key_out(object.key),
            version: object.version,
            version_identifier: object.version_identifier,
            path: object.path,
            parent: object.parent.map(key_out),
        };
        Ok(wit::Recovered {
            objects: recovered.objects.into_iter().map(object).collect(),
            entries: entries_out(recovered.entries),
        })
    }
}

fn error(error: &own::LayoutError) -> GuestError {
    GuestError {
        message: error.to_string(),
        item: error.item(),
    }
}

fn context(context: Context) -> own::Context {
    let Context {
        stack,
        project_id,
        branch_id,
    } = context;
    own::Context {
        stack,
        project_id,
        branch_id,
    }
}

fn key_in(key: wit::ObjectKey) -> own::ObjectKey {
    match key {
        wit::ObjectKey::Branch => own::ObjectKey::Branch,
        wit::ObjectKey::Config(key) => own::ObjectKey::Config {
            component: key.component_id,
            config: key.config_id,
        },
        wit::ObjectKey::Row(key) => own::ObjectKey::Row {
            component: key.component_id,
            config: key.config_id,
            row: key.row_id,
        },
        wit::ObjectKey::Bucket(id) => own::ObjectKey::Bucket(id),
        wit::ObjectKey::Table(id) => own::ObjectKey::Table(id),
        wit::ObjectKey::Sample(id) => own::ObjectKey::Sample(id),
        wit::ObjectKey::Job(id) => own::ObjectKey::Job(id),
    }
}

fn key_out(key: own::ObjectKey) -> wit::ObjectKey {
    match key {
        own::ObjectKey::Branch => wit::ObjectKey::Branch,
        own::ObjectKey::Config { component, config } => wit::ObjectKey::Config(wit::ConfigKey {
            component_id: component,
            config_id: config,
        }),
        own::ObjectKey::Row {
            component,
            config,
            row,
        } => wit::ObjectKey::Row(wit::RowKey {
            component_id: component,
            config_id: config,
            row_id: row,
        }),
        own::ObjectKey::Bucket(id) => wit::ObjectKey::Bucket(id),
        own::ObjectKey::Table(id) => wit::ObjectKey::Table(id),
        own::ObjectKey::Sample(id) => wit::ObjectKey::Sample(id),
        own::ObjectKey::Job(id) => wit::ObjectKey::Job(id),
    }
}

fn object(object: wit::Object) -> own::Object {
    let component = |component: wit::Component| own::Component {
        id: component.id,
        component_type: component.component_type,
        name: component.name,
        generic_code_blocks_ui: component.generic_code_blocks_ui,
        default_bucket_stage: component.default_bucket_stage,
    };
    own::Object {
        key: key_in(object.key),
        component: object.component.map(component),
        source: object.source,
        metadata: object
            .metadata
            .into_iter()
            .map(|pair| (pair.key, pair.value))
            .collect(),
    }
}

fn placed(placed: wit::PlacedObject) -> own::PlacedObject {
    let resolution = |found: wit::Resolution| own::Resolution {
        key: key_in(found.key),
        path: found.path,
        facts: found.facts,
    };
    own::PlacedObject {
        object: object(placed.object),
        path: placed.path,
        parent: placed.parent.map(key_in),
        claimed_by: placed.claimed_by.into_iter().map(key_in).collect(),
        references: placed
            .references
            .into_iter()
            .map(|found| found.map(resolution))
            .collect(),
    }
}

fn inspection(inspection: own::Inspection) -> wit::Inspection {
    let place = match inspection.place {
        own::Place::Container => wit::Place::Container,
        own::Place::Below(key) => wit::Place::Below(key_out(key)),
        own::Place::Claimed => wit::Place::Claimed,
        own::Place::None => wit::Place::None,
    };
    let claim = |claim: own::Claim| wit::Claim {
        target: key_out(claim.target),
        segment: claim.segment,
    };
    let reference = |reference| match reference {
        own::Reference::Object(key) => wit::Reference::Object(key_out(key)),
        own::Reference::Alias(alias) => wit::Reference::Alias(alias),
    };
    wit::Inspection {
        place,
        segment: inspection.segment,
        sort_name: inspection.sort_name,
        claims: inspection.claims.into_iter().map(claim).collect(),
        references: inspection.references.into_iter().map(reference).collect(),
        aliases: inspection.aliases,
        facts: inspection.facts,
    }
}

macro_rules! same_names {
    ($to_own:ident, $to_wit:ident, $own:ty, $wit:ty, $($name:ident),+) => {
        fn $to_own(value: $wit) -> $own {
            match value {
                $(<$wit>::$name => <$own>::$name),+
            }
        }

        fn $to_wit(value: $own) -> $wit {
            match value {
                $(<$own>::$name => <$wit>::$name),+
            }
        }
    };
}

same_names!(
    index_in,
    index_out,
    own::IndexKind,
    wit::IndexKind,
    Manifest,
    JobDay,
    JobHealth,
    Withheld,
    Guide,
    Catalog,
    Lineage
);
same_names!(
    kind_in,
    kind_out,
    own::DocumentKind,
    DocumentKind,
    Config,
    Row,
    Code,
    Description,
    Extra,
    Storage,
    Sample,
    Job,
    Index,
    Name,
    Message
);

fn entry_in(entry: wit::Entry) -> own::Entry {
    own::Entry {
        kind: index_in(entry.kind),
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    }
}

fn entries_out(entries: Vec<own::Entry>) -> Vec<wit::Entry> {
    let one = |entry: own::Entry| wit::Entry {
        kind: index_out(entry.kind),
        shard: entry.shard,
        key: entry.key,
        value: entry.value,
    };
    entries.into_iter().map(one).collect()
}

fn file_in(file: wit::File) -> own::File {
    own::File {
        path: file.path,
        kind: kind_in(file.kind),
        content: file.content,
    }
}

fn files_out(files: Vec<own::File>) -> Vec<wit::File> {
    let one = |file: own::File| wit::File {
        path: file.path,
        kind: kind_out(file.kind),
        content: file.content,
    };
    files.into_iter().map(one).collect()
}
