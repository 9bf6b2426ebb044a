//! A host that renders a directory of API answers natively.

use crate::{
    json::{Members, Node},
    tree::Tree,
};
use anyhow::{Context as _, Result, ensure};
use layout_renderer as guest;
use mirror_core::{
    allowed_branches::AllowedBranches,
    ids::{BranchId, BucketId, ComponentId, ConfigId, ObjectKey, RowId, RunId, TableId},
    layout::{Claim, Component, Inspection, Place, PlacedObject, Reference, SourceObject},
    path::MirrorPath,
    placement::{Change, Placement, UniqueNames},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fs, path::Path};

/// What a directory of API answers holds.
#[derive(Debug)]
pub struct Project {
    pub options: Node,
    pub branches: Vec<Branch>,
    /// Components of the stack by what ids of their default buckets begin with; of several the last.
    pub default_buckets: BTreeMap<String, ComponentId>,
}

#[derive(Debug)]
pub struct Branch {
    pub id: String,
    pub name: String,
    pub is_default: bool,
    /// In the order of the API; the branch first, each configuration followed by its rows.
    pub objects: Vec<SourceObject>,
    /// As the API gives them, with `state`.
    pub answers: BTreeMap<ObjectKey, String>,
}

impl Project {
    /// Reads a directory.
    ///
    /// # Errors
    /// A file that is missing or is not as the API gives it.
    pub fn read(directory: &Path) -> Result<Self> {
        let api = directory.join("api");
        let index = Node::parse(&text(&api.join("index.json"))?)?;
        let defined: BTreeMap<&str, &Node> = index
            .get("components")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|component| (component.str("id"), component))
            .collect();
        let listed = text(&api.join("dev-branches.json"))?;
        let listed: Vec<&RawValue> = serde_json::from_str(&listed)?;
        let branches = listed
            .into_iter()
            .map(|branch| Branch::read(&api, branch.get(), &defined));
        let components = index.get("components").map(Node::items).unwrap_or_default();
        let default_buckets = components.iter().filter_map(|node| {
            let component = component(node);
            Some((component.default_bucket_prefix()?, component.id.parse().ok()?))
        });
        Ok(Self {
            default_buckets: default_buckets.collect(),
            options: Node::parse(&text(&directory.join("options.json"))?)?,
            branches: branches.collect::<Result<_>>()?,
        })
    }

    /// Returns the branches of the tree: the default one, for it has its name before any other that
    /// wishes for it, and the others in the order of the API.
    #[must_use]
    pub fn allowed(&self) -> Vec<&Branch> {
        let items = self.options.get("allowedBranches").map(Node::items);
        let items = items.map(|items| items.iter().filter_map(Node::text).map(str::to_owned).collect());
        let allowed = items.map(AllowedBranches::new);
        let is_allowed = |branch: &&Branch| {
            let id = BranchId::parse(&branch.id).expect("it was read");
            let allow = |list: &AllowedBranches| list.allow(&id, &branch.name, branch.is_default);
            allowed.as_ref().is_none_or(allow)
        };
        let mut branches: Vec<&Branch> = self.branches.iter().filter(is_allowed).collect();
        branches.sort_by_key(|branch| !branch.is_default);
        branches
    }
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn optional(path: &Path) -> Result<Node> {
    if path.is_file() {
        Ok(Node::parse(&text(path)?)?)
    } else {
        Ok(Node::Array(Vec::new()))
    }
}

fn pairs(metadata: &Node) -> Vec<(String, String)> {
    let pair = |item: &Node| (item.str("key").to_owned(), item.str("value").to_owned());
    metadata.items().iter().map(pair).collect()
}

impl Branch {
    fn read(api: &Path, source: &str, defined: &BTreeMap<&str, &Node>) -> Result<Self> {
        let node = Node::parse(source)?;
        let id = node.id("id").to_owned();
        let directory = api.join("branch").join(&id);
        let mut branch = Self {
            name: node.str("name").to_owned(),
            is_default: node.get("isDefault") == Some(&Node::Bool(true)),
            objects: vec![SourceObject {
                key: ObjectKey::Branch,
                component: None,
                source: source.to_owned(),
                metadata: pairs(&optional(&directory.join("metadata.json"))?),
            }],
            answers: BTreeMap::from([(ObjectKey::Branch, source.to_owned())]),
            id,
        };
        let mut metadata = BTreeMap::new();
        for item in optional(&directory.join("search-component-configurations.json"))?.items() {
            let key = (
                item.str("idComponent").to_owned(),
                item.id("configurationId").to_owned(),
            );
            metadata.insert(key, item.get("metadata").map(pairs).unwrap_or_default());
        }
        let components = text(&directory.join("components.json"))?;
        let components: Vec<&RawValue> = serde_json::from_str(&components)?;
        for raw in components {
            let members: Members<'_> = serde_json::from_str(raw.get())?;
            let own = Node::parse(&members.without(&["configurations"]))?;
            let known = component(defined.get(own.str("id")).copied().unwrap_or(&own));
            let configurations = members.get("configurations").unwrap_or("[]");
            let configurations: Vec<&RawValue> = serde_json::from_str(configurations)?;
            for configuration in configurations {
                branch.configuration(&known, configuration.get(), &mut metadata)?;
            }
        }
        Ok(branch)
    }

    fn configuration(
        &mut self,
        component: &Component,
        source: &str,
        metadata: &mut BTreeMap<(String, String), Vec<(String, String)>>,
    ) -> Result<()> {
        let members: Members<'_> = serde_json::from_str(source)?;
        let id = Node::parse(&members.without(&["rows"]))?.id("id").to_owned();
        let component_id = ComponentId::parse(&component.id)?;
        let config = ConfigId::parse(&id)?;
        let key = ObjectKey::Config {
            component: component_id.clone(),
            config: config.clone(),
        };
        self.answers.insert(key.clone(), members.without(&["rows"]));
        self.objects.push(SourceObject {
            key,
            component: Some(component.clone()),
            source: members.without(&["rows", "state"]),
            metadata: metadata.remove(&(component.id.clone(), id)).unwrap_or_default(),
        });
        let rows: Vec<&RawValue> = serde_json::from_str(members.get("rows").unwrap_or("[]"))?;
        for row in rows {
            let members: Members<'_> = serde_json::from_str(row.get())?;
            let key = ObjectKey::Row {
                component: component_id.clone(),
                config: config.clone(),
                row: RowId::parse(Node::parse(row.get())?.id("id"))?,
            };
            self.answers.insert(key.clone(), row.get().to_owned());
            self.objects.push(SourceObject {
                key,
                component: Some(component.clone()),
                source: members.without(&["state"]),
                metadata: Vec::new(),
            });
        }
        Ok(())
    }
}

fn component(node: &Node) -> Component {
    let data = node.get("data");
    let has_bucket = data.and_then(|data| data.get("default_bucket")) == Some(&Node::Bool(true));
    let stage = data.map(|data| data.str("default_bucket_stage").to_owned());
    let flags = node.get("flags").map(Node::items).unwrap_or_default();
    Component {
        id: node.str("id").to_owned(),
        component_type: node.str("type").to_owned(),
        name: node.str("name").to_owned(),
        generic_code_blocks_ui: flags.contains(&Node::from("genericCodeBlocksUI")),
        default_bucket_stage: stage.filter(|stage| has_bucket && !stage.is_empty()),
    }
}

/// Renders the allowed branches of a project into one tree: `configs/` and `configs-extra/`.
///
/// # Errors
/// What the renderer refuses, and files that a repository could not hold.
pub fn render(project: &Project) -> Result<Tree> {
    let default = project.branches.iter().find(|branch| branch.is_default);
    let default = default.map(|branch| branch.id.as_str());
    let mut names = UniqueNames::new();
    let (mut tree, mut entries) = (Tree::new(), Vec::new());
    let mut last = None;
    for branch in project.allowed() {
        let context = context(&project.options, branch);
        let path = names.take(&wish(project, branch)?);
        let settings = settings(&project.options, &path, default);
        let placement = place(&context, &settings, &branch.objects, Placement::new())?;
        for rendered in rendered(&context, &settings, (&branch.objects, project), &placement)? {
            add(&mut tree, rendered.files)?;
            entries.extend(rendered.entries);
        }
        last = Some((context, settings));
    }
    let (context, settings) = last.context("`allowedBranches` allows no branch")?;
    entries.retain(|entry: &guest::Entry| entry.kind == guest::IndexKind::Manifest);
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    let gathered = guest::gather(&context, &settings, guest::IndexKind::Manifest, "", &entries)?;
    add(&mut tree, gathered.files)?;
    Ok(tree)
}

/// Returns the directory that a branch wishes for.
///
/// # Errors
/// What the renderer refuses.
pub fn wish(project: &Project, branch: &Branch) -> Result<String> {
    let default = project.branches.iter().find(|branch| branch.is_default);
    let settings = settings(&project.options, "main", default.map(|branch| branch.id.as_str()));
    let first: Vec<guest::Object> = branch.objects.iter().take(1).map(object).collect();
    let wished = guest::inspect(&context(&project.options, branch), &settings, &first)?;
    Ok(wished
        .into_iter()
        .next()
        .map(|found| found.segment)
        .unwrap_or_default())
}

fn add(tree: &mut Tree, files: Vec<guest::File>) -> Result<()> {
    for file in files {
        MirrorPath::parse(&file.path)?;
        let path = file.path.clone();
        ensure!(
            tree.insert(file.path, file.content).is_none(),
            "two objects write `{path}`"
        );
    }
    Ok(())
}

/// Returns what all calls for a branch have in common.
#[must_use]
pub fn context(options: &Node, branch: &Branch) -> guest::Context {
    let project = options.get("project");
    guest::Context {
        stack: project
            .map_or("localhost", |project| project.str("apiHost"))
            .to_owned(),
        project_id: project.map_or("1", |project| project.id("id")).to_owned(),
        branch_id: branch.id.clone(),
    }
}

/// Returns the renderer's settings for one branch of a tree that has several.
#[must_use]
pub fn settings(options: &Node, branch_path: &str, default: Option<&str>) -> String {
    let mut settings = serde_json::Map::new();
    settings.insert("branchPath".into(), branch_path.into());
    settings.insert("tree".into(), "project".into());
    settings.insert("defaultBranchId".into(), default.into());
    let own = serde_json::Value::Object(settings).to_string();
    let head: Vec<String> = options
        .members()
        .iter()
        .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_str()), text_of(value)))
        .collect();
    format!(
        "{{{}{}{}",
        head.join(","),
        if head.is_empty() { "" } else { "," },
        &own[1..]
    )
}

/// Writes a value as text.
#[must_use]
pub fn text_of(node: &Node) -> String {
    let string = |text: &str| serde_json::Value::from(text).to_string();
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(token) => token.clone(),
        Node::Text(text) => string(text),
        Node::Array(items) => format!("[{}]", items.iter().map(text_of).collect::<Vec<_>>().join(",")),
        Node::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| format!("{}:{}", string(key), text_of(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

/// Inspects and places objects, given in the order of the API, from a starting placement.
///
/// # Errors
/// What the renderer refuses.
pub fn place(
    context: &guest::Context,
    settings: &str,
    objects: &[SourceObject],
    mut placement: Placement,
) -> Result<Placement> {
    let asked: Vec<guest::Object> = objects.iter().map(object).collect();
    let inspected = guest::inspect(context, settings, &asked)?;
    let changes = objects.iter().zip(inspected);
    let changes = changes.map(|(object, found)| Ok(Change::Put(object.key.clone(), inspection(found)?)));
    placement.apply(changes.collect::<Result<_>>()?);
    Ok(placement)
}

/// Renders placed objects of a project.
///
/// # Errors
/// What the renderer refuses.
pub fn rendered(
    context: &guest::Context,
    settings: &str,
    (objects, project): (&[SourceObject], &Project),
    placement: &Placement,
) -> Result<Vec<guest::Rendered>> {
    let of_stack = |beginning: &str| Ok::<_, anyhow::Error>(project.default_buckets.get(beginning).cloned());
    let place = |object: &SourceObject| {
        let object = placement.placed_among(&object.key, object.clone(), of_stack)?;
        Ok(placed(&object))
    };
    let placed: Vec<guest::PlacedObject> = objects.iter().map(place).collect::<Result<_>>()?;
    Ok(guest::render(context, settings, &placed)?)
}

/// Turns an object of the host into the renderer's.
#[must_use]
pub fn object(object: &SourceObject) -> guest::Object {
    guest::Object {
        key: key(&object.key),
        component: object.component.as_ref().map(|component| guest::Component {
            id: component.id.clone(),
            component_type: component.component_type.clone(),
            name: component.name.clone(),
            generic_code_blocks_ui: component.generic_code_blocks_ui,
            default_bucket_stage: component.default_bucket_stage.clone(),
        }),
        source: object.source.clone(),
        metadata: object.metadata.clone(),
    }
}

/// The same for an object with its place.
#[must_use]
pub fn placed(placed: &PlacedObject) -> guest::PlacedObject {
    guest::PlacedObject {
        object: object(&placed.object),
        path: placed.path.clone(),
        parent: placed.parent.as_ref().map(key),
        claimed_by: placed.claimed_by.iter().map(key).collect(),
        references: placed
            .references
            .iter()
            .map(|found| {
                found.as_ref().map(|found| guest::Resolution {
                    key: key(&found.key),
                    path: found.path.clone(),
                    facts: found.facts.clone(),
                })
            })
            .collect(),
    }
}

fn key(key: &ObjectKey) -> guest::ObjectKey {
    match key {
        ObjectKey::Branch => guest::ObjectKey::Branch,
        ObjectKey::Config { component, config } => guest::ObjectKey::Config {
            component: component.to_string(),
            config: config.to_string(),
        },
        ObjectKey::Row {
            component,
            config,
            row,
        } => guest::ObjectKey::Row {
            component: component.to_string(),
            config: config.to_string(),
            row: row.to_string(),
        },
        ObjectKey::Bucket(id) => guest::ObjectKey::Bucket(id.to_string()),
        ObjectKey::Table(id) => guest::ObjectKey::Table(id.to_string()),
        ObjectKey::Sample(id) => guest::ObjectKey::Sample(id.to_string()),
        ObjectKey::Job(id) => guest::ObjectKey::Job(id.to_string()),
    }
}

/// Turns a key of the renderer's into the host's.
///
/// # Errors
/// An id that cannot be one.
pub fn host_key(key: &guest::ObjectKey) -> Result<ObjectKey> {
    Ok(match key {
        guest::ObjectKey::Branch => ObjectKey::Branch,
        guest::ObjectKey::Config { component, config } => ObjectKey::Config {
            component: ComponentId::parse(component)?,
            config: ConfigId::parse(config)?,
        },
        guest::ObjectKey::Row {
            component,
            config,
            row,
        } => ObjectKey::Row {
            component: ComponentId::parse(component)?,
            config: ConfigId::parse(config)?,
            row: RowId::parse(row)?,
        },
        guest::ObjectKey::Bucket(id) => ObjectKey::Bucket(BucketId::parse(id)?),
        guest::ObjectKey::Table(id) => ObjectKey::Table(TableId::parse(id)?),
        guest::ObjectKey::Sample(id) => ObjectKey::Sample(TableId::parse(id)?),
        guest::ObjectKey::Job(id) => ObjectKey::Job(RunId::parse(id)?),
    })
}

/// Turns an inspection of the renderer's into the host's.
///
/// # Errors
/// An id that cannot be one.
pub fn inspection(found: guest::Inspection) -> Result<Inspection> {
    let claim = |claim: guest::Claim| {
        Ok(Claim {
            target: host_key(&claim.target)?,
            segment: claim.segment,
        })
    };
    let reference = |reference: guest::Reference| {
        Ok(match reference {
            guest::Reference::Object(key) => Reference::Object(host_key(&key)?),
            guest::Reference::Alias(alias) => Reference::Alias(alias),
        })
    };
    Ok(Inspection {
        place: match found.place {
            guest::Place::Container => Place::Container,
            guest::Place::Below(key) => Place::Below(host_key(&key)?),
            guest::Place::Claimed => Place::Claimed,
            guest::Place::None => Place::None,
        },
        segment: found.segment,
        sort_name: found.sort_name,
        claims: found.claims.into_iter().map(claim).collect::<Result<_>>()?,
        references: found
            .references
            .into_iter()
            .map(reference)
            .collect::<Result<_>>()?,
        aliases: found.aliases,
        facts: found.facts,
    })
}
