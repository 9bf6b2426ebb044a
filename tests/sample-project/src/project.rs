//! The values a generated project consists of: plain data in the shape of the API's answers.
//!
//! How they are made is `generate`'s business, how they are served is the fake Keboola's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// The configuration id that no configuration has: every deliberately dangling reference names it.
pub const DANGLING_ID: &str = "01j0de1eted0000000000000xx";

/// How large a project is wanted, and which one of that size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Chooses the project: equal shapes give equal projects, byte for byte.
    pub seed: u64,
    /// Number of configurations in the default branch. A dev branch holds a copy of nearly all of them.
    pub configurations: usize,
    /// Number of development branches beside the default one.
    pub dev_branches: usize,
    /// Number of jobs.
    pub jobs: usize,
    /// Longest history of a configuration that has no rows, in versions; at least 1. Rows add a version each, and
    /// a few configurations whose history matters have one of their own.
    pub versions_max: usize,
    /// Rows of a table preview; the real interface gives 100 unless asked for more.
    pub preview_rows: usize,
    /// Number of tables that have a preview; the others answer with the header row only.
    pub previews: usize,
    /// Newest events to keep; the real interface forgets old ones too.
    pub events_max: usize,
}

impl Default for Shape {
    /// An online retailer: 252 configurations over two branches, more than 40 component types.
    fn default() -> Self {
        Self {
            seed: 42,
            configurations: 126,
            dev_branches: 1,
            jobs: 180,
            versions_max: 5,
            preview_rows: 100,
            previews: 60,
            events_max: 3000,
        }
    }
}

/// One Keboola project as its APIs would show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The project's number.
    pub project_id: u64,
    /// Host name of the stack, without scheme.
    pub stack_host: String,
    /// Head of the CLI manifest (`options.json` of a project directory): naming templates, allowed branches.
    pub options: Value,
    /// `GET /v2/storage/tokens/verify`; `null` when a directory does not have it.
    pub token_verify: Value,
    /// `GET /v2/storage`, with `components` and `services`.
    pub index: Value,
    /// Full component definitions, ordered by id; the same objects as in `index.components`.
    pub components: Vec<Value>,
    /// All branches, the default one first.
    pub branches: Vec<Branch>,
    /// `GET /v2/storage/branch/{default}/buckets?include=metadata,linkedBuckets`.
    pub buckets: Vec<Value>,
    /// Items of `GET /v2/storage/branch/{default}/tables?include=buckets,columns,metadata,columnMetadata`, of typed tables
    /// with `definition`, which the API tells in `GET …/tables/{id}` only.
    pub tables: Vec<Value>,
    /// Table id -> `GET …/tables/{id}/data-preview` (CSV text, header row first).
    pub previews: BTreeMap<String, String>,
    /// `GET /search/jobs` of the Queue API, newest first.
    pub jobs: Vec<Value>,
    /// `GET /v2/storage/events`, newest first.
    pub events: Vec<Value>,
    /// The plaintext secrets that were put into the project; all are made up.
    pub planted: Vec<Planted>,
}

/// One Keboola branch with everything in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Item of `GET /v2/storage/dev-branches`.
    pub detail: Value,
    /// Its configurations by component id, then by lower-cased name: the order in which the API lists them.
    pub configurations: Vec<Configuration>,
    /// `GET /v2/storage/branch/{id}/metadata`.
    pub metadata: Vec<Value>,
}

/// One configuration with its rows and its history.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// The component it belongs to.
    pub component_id: String,
    /// `GET …/components/{component}/configs/{id}`: rows, `currentVersion` and all.
    pub detail: Value,
    /// Every version, newest first, as `GET …/versions` lists them.
    pub versions: Vec<VersionEntry>,
    /// `GET …/configs/{id}/metadata`.
    pub metadata: Vec<Value>,
}

/// One version of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionEntry {
    /// Item of `GET …/versions`: number, time, author, change description, name, description.
    pub item: Value,
    /// `configuration`, `rows`, `rowsSortOrder` and `isDisabled` as of this version.
    /// `None` when the project was read from a directory that does not keep the content of old versions.
    pub content: Option<Arc<Value>>,
}

/// One made-up plaintext secret and where it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// The secret as it occurs in the string (or, as decimal digits, the number) that holds it.
    pub value: String,
    /// What it looks like: `hash-key`, `github-token`, `private-key`, …
    pub kind: String,
    /// Where it is, in words for a person: component, configuration, and the key or text around it.
    pub place: String,
}

impl Project {
    /// The planted plaintext secrets.
    pub fn planted_secrets(&self) -> &[Planted] {
        &self.planted
    }

    /// The default branch.
    ///
    /// # Panics
    /// When the project has no branch, which neither `generate` nor `read_directory` gives.
    pub fn default_branch(&self) -> &Branch {
        self.branches
            .iter()
            .find(|branch| branch.is_default())
            .unwrap_or(&self.branches[0])
    }

    /// The branch of this id.
    pub fn branch(&self, id: u64) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.id() == id)
    }

    /// The full definition of a component.
    pub fn component(&self, id: &str) -> Option<&Value> {
        self.components.iter().find(|component| component["id"] == id)
    }
}

impl Branch {
    /// The branch's number; 0 when the detail has none.
    pub fn id(&self) -> u64 {
        self.detail["id"].as_u64().unwrap_or(0)
    }

    /// Whether this is the project's default branch.
    pub fn is_default(&self) -> bool {
        self.detail["isDefault"] == true
    }

    /// The configuration of this component and id.
    pub fn configuration(&self, component_id: &str, id: &str) -> Option<&Configuration> {
        self.configurations
            .iter()
            .find(|configuration| configuration.component_id == component_id && configuration.id() == id)
    }

    /// `GET …/branch/{id}/components?include=configuration,rows`: the definition of every component that has
    /// configurations here, each with `configurations[]`. Clones everything; meant for writing and serving.
    pub fn components_answer(&self, definitions: &[Value]) -> Vec<Value> {
        let mut answer: Vec<Value> = Vec::new();
        for configuration in &self.configurations {
            let id = configuration.component_id.as_str();
            if answer.last().is_none_or(|last| last["id"] != id) {
                let definition = definitions.iter().find(|definition| definition["id"] == id);
                let mut component = definition.cloned().unwrap_or_else(|| json!({"id": id}));
                component["configurations"] = json!([]);
                answer.push(component);
            }
            let component = answer.last_mut().expect("one was pushed when there was none");
            if let Some(listed) = component["configurations"].as_array_mut() {
                listed.push(configuration.detail.clone());
            }
        }
        answer
    }

    /// `GET …/branch/{id}/search/component-configurations?include=filteredMetadata`: only those with metadata.
    pub fn metadata_search_answer(&self) -> Vec<Value> {
        let with_metadata = self
            .configurations
            .iter()
            .filter(|configuration| !configuration.metadata.is_empty());
        with_metadata
            .map(|configuration| {
                json!({
                    "idComponent": configuration.component_id,
                    "configurationId": configuration.id(),
                    "metadata": configuration.metadata,
                })
            })
            .collect()
    }
}

impl Configuration {
    /// The configuration's id; empty when the detail has none.
    pub fn id(&self) -> &str {
        self.detail["id"].as_str().unwrap_or("")
    }

    /// The current version's number; 0 when the detail has none.
    pub fn version(&self) -> u64 {
        self.detail["version"].as_u64().unwrap_or(0)
    }
}

impl VersionEntry {
    /// The version's number; 0 when the item has none.
    pub fn number(&self) -> u64 {
        self.item["version"].as_u64().unwrap_or(0)
    }

    /// `GET …/versions/{n}`: the list item with `configuration`, `rows`, `rowsSortOrder` and `isDisabled`;
    /// `None` when the content of this version is not known.
    pub fn detail(&self) -> Option<Value> {
        let content = self.content.as_ref()?.as_object()?;
        let mut answer: Map<String, Value> = self.item.as_object()?.clone();
        for (key, value) in content {
            answer.insert(key.clone(), value.clone());
        }
        Some(Value::Object(answer))
    }
}
