//! Whose a file is: the manifest of the same commit says which directory is which configuration's.

use super::history::{Content, History};
use crate::{app::Failure, cli::policy::documents};
use mirror_core::{
    document::{Context, DocumentKind},
    ids::Oid,
    layout::RawFile,
};
use mirror_git::Remote;
use mirror_sandbox::LayoutRenderer;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Component and configuration; empty where a file is of none.
pub(super) type Owner = (String, String);

/// Render options with which the renderer reads a manifest back; what it says of the mirror is of no account here.
const SETTINGS: &str = r#"{"tree":"lane"}"#;

/// Directories below the branch's by configuration, for each manifest.
pub(super) struct Owners {
    /// By the position of the commit: the manifest that it has.
    manifests: Vec<Option<Oid>>,
    directories: HashMap<Oid, BTreeMap<String, Owner>>,
}

impl Owners {
    /// Reads all manifests of a history. One that cannot be read back leaves it to paths.
    ///
    /// # Errors
    /// A remote that fails.
    pub(super) fn read(
        remote: &dyn Remote,
        renderer: &LayoutRenderer,
        history: &History,
    ) -> Result<Self, Failure> {
        let mut manifests = Vec::with_capacity(history.commits.len());
        let mut stands = None;
        let is_manifest = |content: &Content| content.below_root == MANIFEST;
        for step in &history.commits {
            let find = |at: &&usize| is_manifest(&history.contents[**at]);
            if step.gone.iter().any(|at| is_manifest(&history.contents[*at])) {
                stands = None;
            }
            if let Some(at) = step.appeared.iter().find(find) {
                stands = Some(history.contents[*at].blob);
            }
            manifests.push(stands);
        }
        let mut ids: Vec<Oid> = manifests.iter().flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut directories = HashMap::new();
        for ids in ids.chunks(MANIFESTS_AT_ONCE) {
            let blobs = remote.read_blobs(ids).map_err(|error| Failure::failed(&error))?;
            for (id, blob) in ids.iter().zip(blobs) {
                let text = String::from_utf8_lossy(&blob).into_owned();
                directories.insert(*id, directories_of(renderer, &history.context, text));
            }
        }
        Ok(Self {
            manifests,
            directories,
        })
    }

    /// Returns whose a content is.
    pub(super) fn of(&self, content: &Content, text: &str) -> Owner {
        let path = content.below_root.as_str();
        if path.starts_with("configs-extra/") {
            return named_inside(text);
        }
        let inside = path
            .strip_prefix("configs/")
            .and_then(|path| path.split_once('/'));
        let Some((_, inside)) = inside else {
            return Owner::default();
        };
        let manifest = self.manifests.get(content.first).copied().flatten();
        let directories = manifest.and_then(|manifest| self.directories.get(&manifest));
        let owner = directories.and_then(|directories| {
            // The innermost directory that is a configuration's or a row's.
            let ends = inside.rmatch_indices('/').map(|(at, _)| &inside[..at]);
            ends.filter_map(|directory| directories.get(directory))
                .next()
                .cloned()
        });
        owner.unwrap_or_else(|| (documents::component(path).to_owned(), String::new()))
    }
}

/// Below the mirror's root; the renderer's own name for it.
const MANIFEST: &str = "configs/.keboola/manifest.json";
/// A large project's has some megabytes.
const MANIFESTS_AT_ONCE: usize = 16;

fn directories_of(renderer: &LayoutRenderer, context: &Context, text: String) -> BTreeMap<String, Owner> {
    let file = RawFile {
        path: MANIFEST.to_owned(),
        kind: DocumentKind::Index,
        content: text,
    };
    let recovered = match renderer.recover(context, SETTINGS, &[file]) {
        Ok(recovered) => recovered,
        Err(error) => {
            tracing::warn!(%error, "a manifest cannot be read back; its files are told apart by their paths");
            return BTreeMap::new();
        }
    };
    let owned = recovered.objects.into_iter().filter_map(|object| {
        let (component, config) = object.key.config()?;
        let owner = (component.as_str().to_owned(), config.as_str().to_owned());
        Some((object.path?, owner))
    });
    owned.collect()
}

/// Files beside the layout name their object.
fn named_inside(text: &str) -> Owner {
    let parsed: Value = serde_json::from_str(text).unwrap_or_default();
    let member = |name: &str| parsed[name].as_str().unwrap_or_default().to_owned();
    (member("componentId"), member("configId"))
}
