//! Which object reads, writes, runs or uses which: read from configurations and storage as they are.
//!
//! An edge goes from source to target, in the direction in which data or control flows. Nothing is
//! guessed: what only a run can know stays what was written, as a search or an unresolved text.

use crate::{
    api::{Component, ObjectKey},
    component,
    json::{Json, Object},
    node::Node,
    source,
};
use std::collections::BTreeMap;

/// Edges of one object past this are only counted: a configuration may have 4 MB of mappings.
const EDGES_MAX: usize = 4_000;

/// What an edge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EdgeType {
    /// A table goes into a configuration or row.
    Reads,
    /// A configuration or row writes a table, by its output mapping; or a bucket, where it has none.
    Writes,
    /// A configuration or row made a table, as its metadata says.
    Created,
    /// A table is seen through an alias.
    Alias,
    /// A bucket is linked by another.
    Shares,
    /// A bucket is the source of a linked one.
    Links,
    /// A flow runs a configuration.
    Runs,
    /// A schedule starts a configuration.
    Schedules,
    /// A configuration uses variables or shared code.
    Uses,
}

impl EdgeType {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Reads, "reads"),
        (Self::Writes, "writes"),
        (Self::Created, "created"),
        (Self::Alias, "alias"),
        (Self::Shares, "shares"),
        (Self::Links, "links"),
        (Self::Runs, "runs"),
        (Self::Schedules, "schedules"),
        (Self::Uses, "uses"),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(known, _)| *known == self);
        found.map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text)?;
        Some(found.0)
    }

    /// Whether the object that tells of the edge is its target; else it is its source.
    pub(crate) fn ends_at_teller(self) -> bool {
        match self {
            Self::Reads | Self::Created | Self::Alias | Self::Links => true,
            Self::Writes | Self::Shares | Self::Runs | Self::Schedules | Self::Uses => false,
        }
    }
}

/// The edges that one object tells of, each once, by type and the end that is not the object itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    /// The value says whether the edge is in force: a flow may have its task switched off.
    known: BTreeMap<(EdgeType, Node), bool>,
    /// How many more there are than are kept.
    pub(crate) more: u64,
}

impl Edges {
    fn add(&mut self, edge: EdgeType, other: Node) {
        self.add_if(edge, other, true);
    }

    /// Of several tasks for one configuration, one that is in force counts.
    fn add_if(&mut self, edge: EdgeType, other: Node, in_force: bool) {
        *self.known.entry((edge, other)).or_default() |= in_force;
    }

    fn bounded(mut self) -> Self {
        while self.known.len() > EDGES_MAX {
            self.known.pop_last();
            self.more += 1;
        }
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (EdgeType, &Node, bool)> {
        self.known
            .iter()
            .map(|((edge, other), in_force)| (*edge, other, *in_force))
    }

    /// Returns the edges as a list of `[type, other end]`, with `false` behind one not in force.
    pub(crate) fn to_json(&self) -> Vec<Json<'_>> {
        fn one<'n>((edge, other, in_force): (EdgeType, &'n Node, bool)) -> Json<'n> {
            let mut item = vec![Json::from(edge.as_str()), Json::from(other.to_object())];
            if !in_force {
                item.push(Json::from(false));
            }
            Json::Array(item)
        }
        self.iter().map(one).collect()
    }

    /// Reads [`to_json`](Self::to_json) back.
    pub(crate) fn read(items: &[Json<'_>], more: u64) -> Option<Self> {
        let mut edges = Self {
            more,
            ..Self::default()
        };
        for item in items {
            let (edge, other, in_force) = match item.as_array()? {
                [edge, other] => (edge, other, true),
                [edge, other, Json::Bool(in_force)] => (edge, other, *in_force),
                _ => return None,
            };
            let edge = EdgeType::parse(edge.as_str()?)?;
            edges.add_if(edge, Node::read(other.as_object()?)?, in_force);
        }
        Some(edges)
    }

    /// Adds who made a table.
    pub(crate) fn add_creator(&mut self, origin: &Object<'_>) {
        if let Some(other) = creator(origin) {
            self.add(EdgeType::Created, other);
        }
    }

    /// Adds the table that an alias shows.
    pub(crate) fn add_alias(&mut self, source: &Object<'_>, own_project: &str) {
        let Some(table) = source.str("id").map(str::to_owned) else {
            return;
        };
        let other = match foreign_project(source, own_project) {
            Some(project) => Node::ForeignTable { project, table },
            None => Node::Table(table),
        };
        self.add(EdgeType::Alias, other);
    }

    /// Adds a bucket that this one is linked from, or is linked to.
    pub(crate) fn add_link(&mut self, edge: EdgeType, bucket: &Object<'_>, own_project: &str) {
        let Some(id) = bucket.str("id").map(str::to_owned) else {
            return;
        };
        let other = match foreign_project(bucket, own_project) {
            Some(project) => Node::ForeignBucket { project, bucket: id },
            None => Node::Bucket(id),
        };
        self.add(edge, other);
    }
}

/// Reads who made a table, of its `createdBy`; none where that names no configuration.
pub(crate) fn creator(origin: &Object<'_>) -> Option<Node> {
    let (component, config) = (origin.text("componentId")?, origin.text("configId")?);
    Some(match origin.text("rowId") {
        Some(row) => Node::row(component, config, row),
        None => Node::config(component, config),
    })
}

fn foreign_project(thing: &Object<'_>, own_project: &str) -> Option<String> {
    let project = thing.object("project")?.text("id")?;
    (project != own_project).then(|| project.to_owned())
}

/// Returns the edges that a configuration or row tells of, as the API gives it.
pub(crate) fn of_configuration(
    key: &ObjectKey,
    described: Option<&Component>,
    configuration: &Object<'_>,
) -> Edges {
    let mut edges = Edges::default();
    let (ObjectKey::Config { component, config }
    | ObjectKey::Row {
        component, config, ..
    }) = key
    else {
        return edges;
    };
    let nothing = Object::new();
    let storage = configuration.object("storage").unwrap_or(&nothing);
    let (input, output) = (
        storage.object("input").unwrap_or(&nothing),
        storage.object("output").unwrap_or(&nothing),
    );
    let named = output.str("default_bucket").filter(|bucket| !bucket.is_empty());
    let default_bucket = named.map(str::to_owned).or_else(|| {
        let stage = described?.default_bucket_stage.as_deref()?;
        Some(format!(
            "{stage}.c-{}-{config}",
            component::bucket_name_of(component)
        ))
    });
    // What a row has no mapping for goes where its configuration says, unless it says so itself.
    let is_told_here = named.is_some() || matches!(key, ObjectKey::Config { .. });
    if let Some(bucket) = default_bucket.as_ref().filter(|_| is_told_here) {
        edges.add(EdgeType::Writes, Node::Bucket(bucket.clone()));
    }
    inputs(&mut edges, input.items("tables"));
    outputs(&mut edges, output.items("tables"), default_bucket.as_deref());
    for (edge, files) in [
        (EdgeType::Reads, input.items("files")),
        (EdgeType::Writes, output.items("files")),
    ] {
        for file in files.iter().filter_map(Json::as_object) {
            if let Some(files) = files_of(file) {
                edges.add(edge, files);
            }
        }
    }
    // Transformations of the first generation have their mappings beside the queries.
    if component == component::LEGACY_TRANSFORMATION {
        inputs(&mut edges, configuration.items("input"));
        outputs(&mut edges, configuration.items("output"), None);
    }
    uses(&mut edges, key, configuration);
    if matches!(key, ObjectKey::Config { .. }) {
        match component.as_str() {
            component::ORCHESTRATOR | component::FLOW => runs(&mut edges, configuration),
            component::SCHEDULER => {
                let target = source::schedule_target(configuration);
                if let Some(target) = target.as_ref().and_then(Node::of) {
                    edges.add(EdgeType::Schedules, target);
                }
            }
            _ => {}
        }
    }
    edges.bounded()
}

fn inputs(edges: &mut Edges, tables: &[Json<'_>]) {
    for table in tables.iter().filter_map(Json::as_object) {
        if let Some(source) = table.str("source").filter(|source| !source.is_empty()) {
            edges.add(EdgeType::Reads, Node::table_named(source));
        }
        if let Some(search) = table.object("source_search") {
            let text = |key: &str| search.text(key).unwrap_or_default().to_owned();
            let (key, value) = (text("key"), text("value"));
            edges.add(EdgeType::Reads, Node::Search { key, value });
        }
    }
}

fn outputs(edges: &mut Edges, tables: &[Json<'_>], default_bucket: Option<&str>) {
    for table in tables.iter().filter_map(Json::as_object) {
        let Some(destination) = table.str("destination").filter(|text| !text.is_empty()) else {
            continue;
        };
        // A name without a bucket goes to the default one, if there is one.
        let other = match default_bucket {
            Some(bucket) if !destination.contains('.') => {
                Node::table_named(&format!("{bucket}.{destination}"))
            }
            _ => Node::table_named(destination),
        };
        edges.add(EdgeType::Writes, other);
    }
}

/// Returns the files that a mapping takes or makes, by their tags.
fn files_of(mapping: &Object<'_>) -> Option<Node> {
    let plain = mapping.items("tags").iter().filter_map(Json::as_str);
    let source = mapping.object("source");
    let detailed = source
        .map(|source| source.items("tags"))
        .unwrap_or_default()
        .iter()
        .filter_map(|tag| tag.as_object()?.str("name"));
    let mut tags: Vec<String> = plain.chain(detailed).map(str::to_owned).collect();
    tags.sort();
    tags.dedup();
    if !tags.is_empty() {
        return Some(Node::FileTags(tags));
    }
    let query = mapping.str("query").filter(|query| !query.is_empty())?;
    Some(Node::FileQuery(query.to_owned()))
}

fn uses(edges: &mut Edges, key: &ObjectKey, configuration: &Object<'_>) {
    if let Some((variables, values)) = source::variables(key, configuration) {
        if let Some(values) = values {
            edges.add(
                EdgeType::Uses,
                Node::row(component::VARIABLES, &variables, &values),
            );
        }
        edges.add(EdgeType::Uses, Node::config(component::VARIABLES, &variables));
    }
    if let Some(shared) = configuration.str("shared_code_id") {
        edges.add(EdgeType::Uses, Node::config(component::SHARED_CODE, shared));
        let rows = configuration.items("shared_code_row_ids");
        for row in rows.iter().filter_map(Json::as_text) {
            edges.add(EdgeType::Uses, Node::row(component::SHARED_CODE, shared, row));
        }
    }
}

fn runs(edges: &mut Edges, configuration: &Object<'_>) {
    for task in configuration.items("tasks").iter().filter_map(Json::as_object) {
        let target = source::task_target(task);
        if let Some(target) = target.as_ref().and_then(Node::of) {
            let in_force = task.get("enabled").and_then(Json::as_bool).unwrap_or(true);
            edges.add_if(EdgeType::Runs, target, in_force);
        }
    }
}
