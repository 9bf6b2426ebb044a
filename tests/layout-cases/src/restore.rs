//! Reads a tree back: what the API would say of each object, from nothing but the files.
//!
//! The inverse of the renderer, by its own way: if something can be found here, it is in the tree.

mod code;
mod flow;

use crate::{json::Node, tree::Tree};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

const PROJECT_DESCRIPTION: &str = "KBC.projectDescription";

/// Names an object of one branch: no component for the branch itself, no row for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key {
    pub component: String,
    pub config: String,
    pub row: String,
}

impl Key {
    fn config(component: &str, config: &str) -> Self {
        Self {
            component: component.to_owned(),
            config: config.to_owned(),
            row: String::new(),
        }
    }

    fn row(&self, row: &str) -> Self {
        Self {
            row: row.to_owned(),
            ..self.clone()
        }
    }
}

/// What the files tell of one branch.
#[derive(Debug)]
pub struct Restored<'t> {
    tree: &'t Tree,
    branch: String,
    /// Directory of the branch in the tree.
    directory: String,
    /// Paths below the branch, by object and the other way round.
    paths: BTreeMap<Key, String>,
    keys: BTreeMap<String, Key>,
    /// Who uses which variables.
    variables: BTreeMap<Key, Variables>,
    /// What a schedule runs.
    targets: BTreeMap<Key, Key>,
    metadata: BTreeMap<Key, Node>,
    extras: BTreeMap<Key, Node>,
    stages: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Variables {
    config: String,
    values: Option<String>,
}

impl<'t> Restored<'t> {
    /// Reads the indices of one branch. `stages` has the stage of the default buckets by component,
    /// which a repository does not tell.
    ///
    /// # Errors
    /// A tree that does not hang together.
    pub fn read(tree: &'t Tree, branch: &str, stages: BTreeMap<String, String>) -> Result<Self> {
        let manifest = tree
            .get("configs/.keboola/manifest.json")
            .context("there is no manifest")?;
        let manifest = Node::parse(manifest)?;
        let line = manifest.get("branches").map(Node::items).unwrap_or_default();
        let line = line.iter().find(|line| line.id("id") == branch);
        let line = line.with_context(|| format!("the manifest does not list branch {branch}"))?;
        let path = line.str("path").to_owned();
        let mut restored = Self {
            tree,
            branch: branch.to_owned(),
            directory: format!("configs/{path}"),
            paths: BTreeMap::from([(Key::default(), String::new())]),
            keys: BTreeMap::new(),
            variables: BTreeMap::new(),
            targets: BTreeMap::new(),
            metadata: BTreeMap::from([(Key::default(), metadata(line))]),
            extras: BTreeMap::new(),
            stages,
        };
        let lines = manifest
            .get("configurations")
            .map(Node::items)
            .unwrap_or_default();
        let lines: Vec<&Node> = lines
            .iter()
            .filter(|line| line.id("branchId") == branch)
            .collect();
        let mut waiting = lines;
        // Parents may be listed after what lies in them.
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|line| !restored.list(line));
            ensure!(
                waiting.len() < before,
                "a configuration lies in none that is listed"
            );
        }
        let root = format!("configs-extra/{path}/");
        for (file, content) in tree.range(root.clone()..) {
            if !file.starts_with(&root) {
                break;
            }
            let content = Node::parse(content)?;
            let mut key = Key::config(content.str("componentId"), content.str("configId"));
            key.row = content.str("rowId").to_owned();
            ensure!(
                restored.extras.insert(key, content).is_none(),
                "{file} repeats an object"
            );
        }
        Ok(restored)
    }

    /// Takes a line of the manifest; false where its parent is not known yet.
    fn list(&mut self, line: &Node) -> bool {
        let key = Key::config(line.str("componentId"), line.str("id"));
        let relation = line
            .get("relations")
            .and_then(|relations| relations.items().first());
        let parent = relation.map(|relation| {
            let component = match relation.str("componentId") {
                "" => "keboola.shared-code",
                component => component,
            };
            Key::config(component, relation.str("configId")).row(relation.str("rowId"))
        });
        let above = match &parent {
            None => "",
            Some(parent) => match self.paths.get(parent) {
                Some(path) => path.as_str(),
                None => return false,
            },
        };
        // The CLI writes one behind the path of a shared code without a target.
        let own = line.str("path").trim_end_matches('/');
        let path = join(above, own);
        let mut values = None;
        for row in line.get("rows").map(Node::items).unwrap_or_default() {
            let row_key = key.row(row.str("id"));
            if row.get("relations").is_some() {
                values = Some(row.str("id").to_owned());
            }
            let row_path = join(&path, row.str("path"));
            self.keys.insert(row_path.clone(), row_key.clone());
            self.paths.insert(row_key, row_path);
        }
        match (parent, relation.map(|relation| relation.str("type"))) {
            (Some(parent), Some("schedulerFor")) => {
                self.targets.insert(key.clone(), parent);
            }
            (Some(parent), _) => {
                let config = key.config.clone();
                self.variables.insert(parent, Variables { config, values });
            }
            _ => {}
        }
        self.metadata.insert(key.clone(), metadata(line));
        self.keys.insert(path.clone(), key.clone());
        self.paths.insert(key, path);
        true
    }

    /// Returns all objects that the tree tells of.
    #[must_use]
    pub fn objects(&self) -> Vec<&Key> {
        let placed = self.paths.keys();
        let others = self.extras.keys().filter(|key| !self.paths.contains_key(*key));
        placed.chain(others).collect()
    }

    /// Returns what the API would say of an object, with its metadata under `metadata`.
    ///
    /// # Errors
    /// Files of the object that are missing or malformed.
    pub fn object(&self, key: &Key) -> Result<Node> {
        let nothing = Node::empty();
        let extra = self.extras.get(key).unwrap_or(&nothing);
        let mut object = stamp(extra);
        match self.paths.get(key) {
            Some(path) => self.placed(key, path, extra, &mut object)?,
            None => {
                for member in ["name", "description", "isDisabled", "configuration", "metadata"] {
                    if let Some(value) = extra.get(member) {
                        object.set(member, value.clone());
                    }
                }
            }
        }
        for (member, value) in extra.get("other").map(Node::members).unwrap_or_default() {
            for (pointer, leaf) in crate::leaves::of(value) {
                object.put(&format!("/{}{pointer}", crate::leaves::step(member)), leaf);
            }
        }
        for line in extra
            .get("supersededMetadata")
            .map(Node::items)
            .unwrap_or_default()
        {
            object.put(
                &format!("/superseded/{}", crate::leaves::step(line.str("key"))),
                line.clone(),
            );
        }
        Ok(object)
    }

    fn placed(&self, key: &Key, path: &str, extra: &Node, object: &mut Node) -> Result<()> {
        let directory = join(&self.directory, path);
        let meta = self.json(&format!("{directory}/meta.json"))?;
        for (member, value) in meta.members() {
            object.set(member, value.clone());
        }
        let description = self.text(&format!("{directory}/description.md"))?;
        object.set("description", described(description, extra.str("descriptionEnd")));
        let mut metadata = self.metadata.get(key).cloned().unwrap_or_else(Node::empty);
        if key.component.is_empty() {
            object.set("id", Node::from(self.branch.as_str()));
            let end = extra.str("projectDescriptionEnd");
            if object.get("isDefault") == Some(&Node::Bool(true)) {
                let text = self.text("configs/description.md")?;
                metadata.set(PROJECT_DESCRIPTION, described(text, end));
            } else if !end.is_empty() {
                let text = metadata.str(PROJECT_DESCRIPTION).to_owned();
                metadata.set(PROJECT_DESCRIPTION, described(&text, end));
            }
            object.set("metadata", metadata);
            return Ok(());
        }
        object.set("metadata", metadata);
        if meta.get("isDisabled").is_none() {
            object.set("isDisabled", Node::Bool(false));
        }
        let mut configuration = self.json(&format!("{directory}/config.json"))?;
        self.default_buckets(&mut configuration);
        let work = Work {
            restored: self,
            key,
            directory: &directory,
            extra,
        };
        work.variables(&mut configuration);
        work.target(&mut configuration);
        work.code(&mut configuration)?;
        work.flow(&mut configuration)?;
        for (parent, members) in extra.get("lost").map(Node::members).unwrap_or_default() {
            for (member, value) in members.members() {
                configuration.put(
                    &format!("{parent}/{}", crate::leaves::step(member)),
                    value.clone(),
                );
            }
        }
        object.set("configuration", configuration);
        Ok(())
    }

    fn text(&self, path: &str) -> Result<&'t str> {
        let found = self
            .tree
            .get(path)
            .with_context(|| format!("{path} is missing"))?;
        Ok(found)
    }

    fn json(&self, path: &str) -> Result<Node> {
        Node::parse(self.text(path)?).with_context(|| format!("{path} is no JSON"))
    }

    /// Returns the names of directories below one that begin with a number, in their order.
    fn numbered(&self, directory: &str) -> Vec<String> {
        let root = format!("{directory}/");
        let below = self.tree.range(root.clone()..);
        let below = below.take_while(|(path, _)| path.starts_with(&root));
        let mut names: Vec<String> = below
            .filter_map(|(path, _)| path[root.len()..].split_once('/'))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        names.dedup();
        names.sort_by_key(|name| {
            name.split('-')
                .next()
                .and_then(|number| number.parse::<u32>().ok())
        });
        names
    }

    fn default_buckets(&self, configuration: &mut Node) {
        let tables = ["storage", "input", "tables"];
        let found = tables
            .iter()
            .try_fold(configuration, |node, key| node.get_mut(key));
        let Some(Node::Array(tables)) = found else {
            return;
        };
        for table in tables {
            let Some(rest) = table.str("source").strip_prefix("{{:default-bucket:") else {
                continue;
            };
            let Some((path, name)) = rest.split_once("}}.") else {
                continue;
            };
            let Some(owner) = self.keys.get(path) else {
                continue;
            };
            let dashed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let component: String = owner.component.chars().map(dashed).collect();
            let stage = self.stages.get(&owner.component).map_or("", String::as_str);
            let source = format!("{stage}.c-{component}-{}.{name}", owner.config);
            table.set("source", Node::Text(source));
        }
    }
}

/// One configuration or row that is put together again.
struct Work<'r> {
    restored: &'r Restored<'r>,
    key: &'r Key,
    directory: &'r str,
    extra: &'r Node,
}

impl Work<'_> {
    fn variables(&self, configuration: &mut Node) {
        let Some(used) = self.restored.variables.get(self.key) else {
            return;
        };
        configuration.set("variables_id", Node::from(used.config.as_str()));
        if let Some(values) = &used.values {
            configuration.set("variables_values_id", Node::from(values.as_str()));
        }
    }

    fn target(&self, configuration: &mut Node) {
        if let Some(target) = self.restored.targets.get(self.key) {
            configuration.put("/target/componentId", Node::from(target.component.as_str()));
            configuration.put("/target/configurationId", Node::from(target.config.as_str()));
        }
    }
}

fn metadata(line: &Node) -> Node {
    line.get("metadata").cloned().unwrap_or_else(Node::empty)
}

fn described(file: &str, end: &str) -> Node {
    Node::Text(format!("{}{end}", file.strip_suffix('\n').unwrap_or(file)))
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

/// Returns the members that tell of versions, as the API has them.
fn stamp(extra: &Node) -> Node {
    let mut object = Node::empty();
    let mut put = |pointer: &str, from: &Node, member: &str| {
        if let Some(value) = from.get(member).filter(|value| **value != Node::Null) {
            object.put(pointer, value.clone());
        }
    };
    put("/version", extra, "version");
    put("/changeDescription", extra, "changeDescription");
    put("/rowsSortOrder", extra, "rowsSortOrder");
    let (newest, first) = match extra.get("firstVersion") {
        Some(first) => ("/currentVersion", Some(first)),
        None => ("", None),
    };
    put(&format!("{newest}/versionIdentifier"), extra, "versionIdentifier");
    put(&format!("{newest}/created"), extra, "created");
    put(&format!("{newest}/creatorToken"), extra, "author");
    if let Some(first) = first {
        put("/currentVersion/changeDescription", extra, "changeDescription");
        put("/created", first, "created");
        put("/creatorToken", first, "author");
    }
    object
}
