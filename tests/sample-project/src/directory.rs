//! A project as a directory: `options.json` and the API's answers under `api/`, one file per endpoint.
//!
//! The form that the offline renderer reads. Two things go beyond the answers: the items of `versions.json` carry
//! their content when it is known, and `planted.json` lists the planted secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::project::{Branch, Configuration, Planted, Project, VersionEntry};

/// Why a directory could not be read as a project.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file that every project directory has is missing or unreadable.
    #[error("cannot read `{path}`; a project directory has `options.json` and `api/`")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("`{path}` is not valid JSON")]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: serde_json::Error,
    },
    /// A file is JSON of another shape than the endpoint's.
    #[error("`{path}` has no {expected}; it must be the endpoint's answer as it is")]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
}

/// Writes a project as a directory, which is made if needed; files that are there are replaced.
///
/// # Errors
/// When the file system refuses.
pub fn write_directory(project: &Project, dir: &Path) -> io::Result<()> {
    let api = dir.join("api");
    fs::create_dir_all(api.join("data-preview"))?;
    write(&dir.join("options.json"), &project.options)?;
    write(&api.join("tokens-verify.json"), &project.token_verify)?;
    write(&api.join("index.json"), &project.index)?;
    let details: Vec<&Value> = project.branches.iter().map(|branch| &branch.detail).collect();
    write(&api.join("dev-branches.json"), &json!(details))?;
    let mut versions = Map::new();
    for branch in &project.branches {
        let of_branch = api.join("branch").join(branch.id().to_string());
        fs::create_dir_all(&of_branch)?;
        write(
            &of_branch.join("components.json"),
            &Value::Array(branch.components_answer(&project.components)),
        )?;
        write(&of_branch.join("metadata.json"), &json!(branch.metadata))?;
        write(
            &of_branch.join("search-component-configurations.json"),
            &Value::Array(branch.metadata_search_answer()),
        )?;
        for configuration in &branch.configurations {
            let entries = configuration
                .versions
                .iter()
                .map(|entry| entry.detail().unwrap_or_else(|| entry.item.clone()));
            versions.insert(versions_key(branch, configuration), entries.collect());
        }
    }
    write(&api.join("versions.json"), &Value::Object(versions))?;
    write(&api.join("events.json"), &json!(project.events))?;
    write(&api.join("buckets.json"), &json!(project.buckets))?;
    write(&api.join("tables.json"), &json!(project.tables))?;
    write(&api.join("search-jobs.json"), &json!(project.jobs))?;
    for (table, text) in &project.previews {
        fs::write(api.join("data-preview").join(format!("{table}.csv")), text)?;
    }
    let planted: Vec<Value> = project
        .planted
        .iter()
        .map(|planted| json!({"value": planted.value, "kind": planted.kind, "place": planted.place}))
        .collect();
    write(&dir.join("planted.json"), &Value::Array(planted))
}

fn versions_key(branch: &Branch, configuration: &Configuration) -> String {
    format!(
        "{}/{}/{}",
        branch.id(),
        configuration.component_id,
        configuration.id()
    )
}

fn write(path: &Path, value: &Value) -> io::Result<()> {
    let mut writer = io::BufWriter::new(fs::File::create(path)?);
    serde_json::to_writer_pretty(&mut writer, value)?;
    io::Write::write_all(&mut writer, b"\n")?;
    io::Write::flush(&mut writer)
}

/// Reads a project from a directory.
///
/// `options.json`, `api/index.json`, `api/dev-branches.json` and each branch's `components.json` must be there; what
/// else is missing is empty. A configuration without a listed history gets its current version as the only one.
///
/// # Errors
/// When a needed file is missing, or a file is not the JSON it should be.
pub fn read_directory(dir: &Path) -> Result<Project, ReadError> {
    let api = dir.join("api");
    let options = needed(&dir.join("options.json"))?;
    let index_path = api.join("index.json");
    let index = needed(&index_path)?;
    let components = array(index["components"].clone(), &index_path, "array `components`")?;
    let branches_path = api.join("dev-branches.json");
    let details = array(needed(&branches_path)?, &branches_path, "array of branches")?;
    let versions = optional(&api.join("versions.json"))?;
    let mut branches = Vec::with_capacity(details.len());
    for detail in details {
        branches.push(read_branch(&api, detail, &branches_path, &versions)?);
    }
    if branches.is_empty() {
        return Err(ReadError::Unexpected {
            path: branches_path,
            expected: "branch",
        });
    }
    branches.sort_by_key(|branch| !branch.is_default());
    let project = &options["project"];
    Ok(Project {
        project_id: project["id"].as_u64().unwrap_or(0),
        stack_host: project["apiHost"].as_str().unwrap_or("").to_owned(),
        token_verify: optional(&api.join("tokens-verify.json"))?,
        options,
        index,
        components,
        branches,
        buckets: optional_array(&api.join("buckets.json"))?,
        tables: optional_array(&api.join("tables.json"))?,
        previews: read_previews(&api.join("data-preview"))?,
        jobs: optional_array(&api.join("search-jobs.json"))?,
        events: optional_array(&api.join("events.json"))?,
        planted: read_planted(&dir.join("planted.json"))?,
    })
}

fn read_branch(api: &Path, detail: Value, listed_in: &Path, versions: &Value) -> Result<Branch, ReadError> {
    let Some(id) = detail["id"].as_u64() else {
        return Err(ReadError::Unexpected {
            path: listed_in.to_owned(),
            expected: "number `id` in every branch",
        });
    };
    let of_branch = api.join("branch").join(id.to_string());
    let path = of_branch.join("components.json");
    let search = of_branch.join("search-component-configurations.json");
    let metadata = metadata_by_configuration(optional_array(&search)?);
    let metadata = metadata.map_err(|expected| ReadError::Unexpected {
        path: search,
        expected,
    })?;
    let components = array(needed(&path)?, &path, "array of components")?;
    let own = optional_array(&of_branch.join("metadata.json"))?;
    branch(detail, components, own, metadata, versions)
        .map_err(|expected| ReadError::Unexpected { path, expected })
}

impl Branch {
    /// Makes a branch of the API's answers about it: its detail, all its components with configurations and rows, its
    /// own metadata, and that of its configurations. Each configuration has its current version only.
    ///
    /// # Errors
    /// What an answer should have and has not.
    pub fn of_answers(
        detail: Value,
        components: Vec<Value>,
        metadata: Vec<Value>,
        configurations_metadata: Vec<Value>,
    ) -> Result<Self, &'static str> {
        let found = metadata_by_configuration(configurations_metadata)?;
        branch(detail, components, metadata, found, &Value::Null)
    }
}

/// Metadata by component and configuration.
type Described = BTreeMap<(String, String), Vec<Value>>;

fn branch(
    detail: Value,
    components: Vec<Value>,
    own: Vec<Value>,
    mut metadata: Described,
    versions: &Value,
) -> Result<Branch, &'static str> {
    let mut branch = Branch {
        detail,
        configurations: Vec::new(),
        metadata: own,
    };
    for mut component in components {
        let configurations = component["configurations"].take();
        let component_id = component["id"].as_str().ok_or("text `id` in every component")?;
        let configurations = items(configurations).ok_or("array `configurations` in every component")?;
        for detail in configurations {
            let mut configuration = Configuration {
                component_id: component_id.to_owned(),
                versions: Vec::new(),
                metadata: Vec::new(),
                detail,
            };
            let key = (component_id.to_owned(), configuration.id().to_owned());
            configuration.metadata = metadata.remove(&key).unwrap_or_default();
            configuration.versions = read_versions(
                &versions[versions_key(&branch, &configuration)],
                &configuration.detail,
            );
            branch.configurations.push(configuration);
        }
    }
    Ok(branch)
}

/// Members of a version's detail that are its content; the others are its list item.
const CONTENT: &[&str] = &["isDisabled", "configuration", "rowsSortOrder", "rows"];

fn read_versions(listed: &Value, detail: &Value) -> Vec<VersionEntry> {
    let content_of = |from: &Value| -> Value {
        let members = CONTENT
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), from.get(*key)?.clone())));
        Value::Object(members.collect())
    };
    let Some(items) = listed.as_array() else {
        let current = &detail["currentVersion"];
        let item = json!({
            "version": detail["version"], "created": current["created"], "versionIdentifier": current["versionIdentifier"],
            "creatorToken": current["creatorToken"], "changeDescription": current["changeDescription"], "isDeleted": false,
            "name": detail["name"], "description": detail["description"]});
        return vec![VersionEntry {
            item,
            content: Some(Arc::new(content_of(detail))),
        }];
    };
    let entry = |item: &Value| {
        let content = if item.get("configuration").is_some() {
            Some(Arc::new(content_of(item)))
        } else {
            (item["version"] == detail["version"]).then(|| Arc::new(content_of(detail)))
        };
        let members = item
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !CONTENT.contains(&key.as_str()));
        VersionEntry {
            item: members.map(|(key, value)| (key.clone(), value.clone())).collect(),
            content,
        }
    };
    items.iter().map(entry).collect()
}

fn metadata_by_configuration(listed: Vec<Value>) -> Result<Described, &'static str> {
    let mut found = BTreeMap::new();
    for mut item in listed {
        let metadata = item["metadata"].take();
        let (Some(component), Some(id)) = (item["idComponent"].as_str(), item["configurationId"].as_str())
        else {
            return Err("`idComponent` and `configurationId` in every item");
        };
        let metadata = items(metadata).ok_or("array `metadata` in every item")?;
        found.insert((component.to_owned(), id.to_owned()), metadata);
    }
    Ok(found)
}

fn read_previews(dir: &Path) -> Result<BTreeMap<String, String>, ReadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Unreadable { path, source }
    };
    let mut previews = BTreeMap::new();
    if !dir.exists() {
        return Ok(previews);
    }
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".csv"));
        if let Some(table) = name {
            previews.insert(
                table.to_owned(),
                fs::read_to_string(&path).map_err(unreadable(&path))?,
            );
        }
    }
    Ok(previews)
}

fn read_planted(path: &Path) -> Result<Vec<Planted>, ReadError> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or("").to_owned();
    let items = optional_array(path)?;
    Ok(items
        .iter()
        .map(|item| Planted {
            value: text(item, "value"),
            kind: text(item, "kind"),
            place: text(item, "place"),
        })
        .collect())
}

fn needed(path: &Path) -> Result<Value, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    crate::json::parse(&bytes).map_err(|source| ReadError::NotJson {
        path: path.to_owned(),
        source,
    })
}

/// The file's value, `null` when there is no such file.
fn optional(path: &Path) -> Result<Value, ReadError> {
    if path.exists() {
        needed(path)
    } else {
        Ok(Value::Null)
    }
}

fn optional_array(path: &Path) -> Result<Vec<Value>, ReadError> {
    match optional(path)? {
        Value::Null => Ok(Vec::new()),
        value => array(value, path, "array"),
    }
}

fn array(value: Value, path: &Path, expected: &'static str) -> Result<Vec<Value>, ReadError> {
    items(value).ok_or_else(|| ReadError::Unexpected {
        path: path.to_owned(),
        expected,
    })
}

/// The array a value is; PHP's empty object and a missing member count as an empty one.
fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Null => Some(Vec::new()),
        Value::Object(members) if members.is_empty() => Some(Vec::new()),
        _ => None,
    }
}
