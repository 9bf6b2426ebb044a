//! Whose a file is: the manifest of the same commit says which directory is which configuration's.

use super::{
    blobs::BlobBatches,
    history::{Content, History},
};
use crate::{app::Failure, cli::policy::documents};
use mirror_core::{
    document::{Context, DocumentKind},
    ids::Oid,
    layout::RawFile,
};
use mirror_git::Remote;
use mirror_sandbox::LayoutRenderer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Component and configuration; empty where a file is of none.
pub(super) type Owner = (String, String);

/// Render options with which the renderer reads a manifest back; what it says of the mirror is of no account here.
const SETTINGS: &str = r#"{"tree":"lane"}"#;

/// Whose the contents of a history are, as far as manifests tell.
pub(super) struct Owners {
    /// By the index of the content.
    by_manifest: Vec<Option<Owner>>,
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
        // By manifest: the contents that the commits with it bring.
        let mut of_manifest: BTreeMap<Oid, Vec<usize>> = BTreeMap::new();
        let mut stands = None;
        let is_manifest = |at: &&usize| history.contents[**at].below_root == MANIFEST;
        for (position, step) in history.commits.iter().enumerate() {
            if step.gone.iter().any(|at| is_manifest(&at)) {
                stands = None;
            }
            if let Some(at) = step.appeared.iter().find(is_manifest) {
                stands = Some(history.contents[*at].blob);
            }
            let Some(manifest) = stands else { continue };
            let brought = step.appeared.iter().copied();
            let brought = brought.filter(|at| history.contents[*at].first == position);
            of_manifest.entry(manifest).or_default().extend(brought);
        }
        let mut by_manifest = vec![None; history.contents.len()];
        let ids: Vec<Oid> = of_manifest.keys().copied().collect();
        for batch in BlobBatches::new(&ids, |ids| remote.read_blobs(ids)) {
            let (ids, blobs) = batch?;
            for (id, blob) in ids.iter().zip(blobs) {
                let text = String::from_utf8_lossy(&blob).into_owned();
                let directories = directories_of(renderer, &history.context, text);
                for at in &of_manifest[id] {
                    by_manifest[*at] = owner(&directories, &history.contents[*at]);
                }
            }
        }
        Ok(Self { by_manifest })
    }

    /// Returns whose a content is; `at` is its index.
    pub(super) fn of(&self, at: usize, content: &Content, text: &str) -> Owner {
        let path = content.below_root.as_str();
        if path.starts_with("configs-extra/") {
            return named_inside(text);
        }
        if inside(path).is_none() {
            return Owner::default();
        }
        let owner = self.by_manifest[at].clone();
        owner.unwrap_or_else(|| (documents::component(path).to_owned(), String::new()))
    }
}

/// Returns the path below a branch's directory; none of a file that is in none.
fn inside(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("configs/")?.split_once('/');
    inside.map(|(_, inside)| inside)
}

/// Returns whose the innermost directory is that is a configuration's or a row's.
fn owner(directories: &BTreeMap<String, Owner>, content: &Content) -> Option<Owner> {
    let inside = inside(&content.below_root)?;
    let mut ends = inside.rmatch_indices('/').map(|(at, _)| &inside[..at]);
    ends.find_map(|directory| directories.get(directory)).cloned()
}

/// Below the mirror's root; the renderer's own name for it.
const MANIFEST: &str = "configs/.keboola/manifest.json";

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
