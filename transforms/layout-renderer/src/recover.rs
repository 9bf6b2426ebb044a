//! Reads what the repository's own files tell, for a host that lost its state.

use crate::{
    api::{Context, Entry, File, IndexKind, LayoutError, ObjectKey, Recovered, RecoveredObject},
    gather::{jobs, manifest},
    json::{Json, Object, write},
    paths,
    settings::Settings,
};
use std::collections::BTreeMap;

const WITHHELD_PATH: &str = "ai/withheld.jsonl";

/// Says whether `recover` wants to read files of these paths.
#[must_use]
pub fn recoverable(_settings: &str, paths: &[String]) -> Vec<bool> {
    paths.iter().map(|path| kind(path).is_some()).collect()
}

enum Kind<'p> {
    Manifest,
    Extra,
    JobDay {
        shard: &'p str,
    },
    /// One run, where each has its own file.
    JobRun,
    JobHealth,
    Withheld,
}

fn kind(path: &str) -> Option<Kind<'_>> {
    match path {
        manifest::PATH => Some(Kind::Manifest),
        WITHHELD_PATH => Some(Kind::Withheld),
        _ if path.starts_with("configs-extra/") => path.ends_with(".json").then_some(Kind::Extra),
        _ => job_file(path),
    }
}

fn job_file(path: &str) -> Option<Kind<'_>> {
    if path.starts_with("jobs/") && path.ends_with(".json") {
        return Some(Kind::JobRun);
    }
    let lines = path.strip_suffix(".jsonl")?;
    if let Some(segment) = lines.strip_prefix(jobs::HEALTH_BASE) {
        return is_segment(segment).then_some(Kind::JobHealth);
    }
    job_day(lines).map(|shard| Kind::JobDay { shard })
}

/// Whether this is how the name of a long file's part ends: not at all, or with its number.
fn is_segment(end: &str) -> bool {
    let number = end.strip_prefix('-');
    end.is_empty() || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the day of `jobs/YYYY/MM/DD`, `jobs/YYYY/MM/DD-2` and `jobs/YYYY/MM/DD-totals`.
fn job_day(lines: &str) -> Option<&str> {
    let (shard, segment) = lines.strip_prefix("jobs/")?.split_at_checked(10)?;
    let digit = |at: usize, byte: u8| {
        if matches!(at, 4 | 7) {
            byte == b'/'
        } else {
            byte.is_ascii_digit()
        }
    };
    let is_day = shard.bytes().enumerate().all(|(at, byte)| digit(at, byte));
    let segment = segment.strip_prefix("-totals").unwrap_or(segment);
    (is_day && is_segment(segment)).then_some(shard)
}

/// Reads the manifest, versions and indices back.
///
/// Files may be given in several calls, as a host may postpone the days of jobs until it needs them.
///
/// # Errors
/// Unusable settings, or a file that is wanted but is not as this renderer writes it.
pub fn recover(context: &Context, settings: &str, files: &[File]) -> Result<Recovered, LayoutError> {
    let settings = Settings::parse(settings)?;
    let mut found = Found {
        branch: &context.branch_id,
        ..Found::default()
    };
    for (item, file) in files.iter().enumerate() {
        let error = |problem| LayoutError::File {
            item: u32::try_from(item).unwrap_or(u32::MAX),
            path: file.path.clone(),
            problem,
        };
        match kind(&file.path) {
            None => Ok(()),
            Some(Kind::Manifest) => found.manifest(&file.content),
            Some(Kind::Extra) => found.extra(&settings, file),
            Some(Kind::JobDay { shard }) => found.lines(&file.content, IndexKind::JobDay, shard, |line| {
                match line.str("runId") {
                    Some(run) => Some(run.to_owned()),
                    None => line.get("jobs").map(|_| jobs::total_key(line)),
                }
            }),
            Some(Kind::JobRun) => found.run(file),
            Some(Kind::JobHealth) => found.lines(&file.content, IndexKind::JobHealth, "", |line| {
                Some(format!("{}/{}", line.str("componentId")?, line.str("configId")?))
            }),
            Some(Kind::Withheld) => found.lines(&file.content, IndexKind::Withheld, "", |line| {
                line.str("object").map(str::to_owned)
            }),
        }
        .map_err(error)?;
    }
    let mut entries = found.entries;
    entries.sort_by(|left, right| {
        (left.kind, &left.shard, &left.key).cmp(&(right.kind, &right.shard, &right.key))
    });
    Ok(Recovered {
        objects: found.objects.into_values().collect(),
        entries,
    })
}

#[derive(Default)]
struct Found<'c> {
    branch: &'c str,
    objects: BTreeMap<ObjectKey, RecoveredObject>,
    entries: Vec<Entry>,
}

impl Found<'_> {
    fn object(&mut self, key: ObjectKey) -> &mut RecoveredObject {
        self.objects
            .entry(key.clone())
            .or_insert_with(|| RecoveredObject {
                key,
                version: 0,
                version_identifier: String::new(),
                path: None,
                parent: None,
            })
    }

    fn extra(&mut self, settings: &Settings, file: &File) -> Result<(), &'static str> {
        let root = settings.extra_root();
        if !file.path.starts_with(&format!("{root}/")) {
            // Another branch of the same tree.
            return Ok(());
        }
        if file.path == paths::branch_extra(&root) {
            return Ok(());
        }
        let content = Json::parse(&file.content)?.into_object();
        let missing = "it does not name its object";
        let (component, config) = (
            content.str("componentId").ok_or(missing)?,
            content.str("configId").ok_or(missing)?,
        );
        let (key, path) = match content.str("rowId") {
            Some(row) => (
                ObjectKey::new_row(component, config, row),
                paths::row_extra(&root, component, config, row),
            ),
            None => (
                ObjectKey::new_config(component, config),
                paths::config_extra(&root, component, config),
            ),
        };
        if path != file.path {
            return Err("it names another object than its path");
        }
        let object = self.object(key);
        object.version = content
            .text("version")
            .and_then(|version| version.parse().ok())
            .unwrap_or(0);
        object.version_identifier = content.str("versionIdentifier").unwrap_or_default().to_owned();
        Ok(())
    }

    fn lines(
        &mut self,
        content: &str,
        kind: IndexKind,
        shard: &str,
        key: impl Fn(&Object<'_>) -> Option<String>,
    ) -> Result<(), &'static str> {
        for line in content.lines() {
            let value = Json::parse(line)?.into_object();
            let key = key(&value).ok_or("a line does not name its object")?;
            let value = write::object_line(&value);
            self.entries.push(Entry {
                kind,
                shard: shard.to_owned(),
                key,
                value,
            });
        }
        Ok(())
    }

    fn run(&mut self, file: &File) -> Result<(), &'static str> {
        let value = Json::parse(&file.content)?.into_object();
        let run = value.str("runId").ok_or("it does not name its run")?;
        if jobs::run_path(run) != file.path {
            return Err("it names another run than its path");
        }
        let day = value.str("finishedAt").and_then(|finished| finished.get(..10));
        let entry = Entry {
            kind: IndexKind::JobDay,
            shard: day
                .ok_or("it does not say when the run finished")?
                .replace('-', "/"),
            key: run.to_owned(),
            value: write::object_line(&value),
        };
        self.entries.push(entry);
        Ok(())
    }

    fn manifest(&mut self, content: &str) -> Result<(), &'static str> {
        let manifest = Json::parse(content)?.into_object();
        for branch in manifest.items("branches").iter().filter_map(Json::as_object) {
            let id = branch.text("id").ok_or("a branch has no id")?;
            let path = branch.str("path").ok_or("a branch has no path")?;
            let mut value = Object::from_iter([("branch", id), ("path", path)]);
            copy(&mut value, branch, "metadata");
            self.entries.push(entry(&[id], &value));
            if id == self.branch {
                self.object(ObjectKey::Branch).path = Some(String::new());
            }
        }
        let configurations = Listed::read(&manifest)?;
        for listed in configurations.values() {
            let path = listed
                .path(&configurations, 0)
                .ok_or("a configuration lies in none that is listed")?;
            self.configuration(listed, &path)?;
        }
        Ok(())
    }

    fn configuration(&mut self, listed: &Listed<'_>, path: &str) -> Result<(), &'static str> {
        let [branch, component, config] = listed.ids;
        let mut value = Object::from_iter([("path", path)]);
        if listed.line.str("path").is_some_and(|path| path.ends_with('/')) {
            value.set(manifest::SLASH, true);
        }
        if let Some(parent) = listed.parent.as_ref().and_then(crate::render::key_json) {
            value.set("parent", parent);
        }
        copy(&mut value, listed.line, "metadata");
        self.entries.push(entry(&listed.ids, &value));
        let ours = branch == self.branch;
        if ours {
            let object = self.object(ObjectKey::new_config(component, config));
            object.path = Some(path.to_owned());
            object.parent.clone_from(&listed.parent);
        }
        for row in listed.line.items("rows").iter().filter_map(Json::as_object) {
            let id = row.str("id").ok_or("a row has no id")?;
            let path = format!("{path}/{}", row.str("path").ok_or("a row has no path")?);
            let mut value = Object::from_iter([("path", path.as_str())]);
            if !row.items("relations").is_empty() {
                value.set("default", true);
            }
            self.entries.push(entry(&[branch, component, config, id], &value));
            if ours {
                self.object(ObjectKey::new_row(component, config, id)).path = Some(path);
            }
        }
        Ok(())
    }
}

/// A configuration of the manifest.
struct Listed<'m> {
    ids: [&'m str; 3],
    line: &'m Object<'m>,
    parent: Option<ObjectKey>,
}

type Configurations<'m> = BTreeMap<[&'m str; 3], Listed<'m>>;

impl<'m> Listed<'m> {
    fn read(manifest: &'m Object<'m>) -> Result<Configurations<'m>, &'static str> {
        let lines = manifest
            .items("configurations")
            .iter()
            .filter_map(Json::as_object);
        lines
            .map(|line| {
                let id = |key| line.text(key).ok_or("a configuration has no id");
                let ids = [id("branchId")?, id("componentId")?, id("id")?];
                let relation = line.items("relations").first().and_then(Json::as_object);
                Ok((
                    ids,
                    Self {
                        ids,
                        line,
                        parent: relation.and_then(parent),
                    },
                ))
            })
            .collect()
    }

    /// Returns the path below the branch. Relations that lead in a circle have none.
    fn path(&self, all: &Configurations<'m>, depth: usize) -> Option<String> {
        let own = self.line.str("path")?;
        let own = own.strip_suffix('/').unwrap_or(own);
        let Some(parent) = &self.parent else {
            return Some(own.to_owned());
        };
        if depth > 16 {
            return None;
        }
        let (ObjectKey::Config { component, config }
        | ObjectKey::Row {
            component, config, ..
        }) = parent
        else {
            return None;
        };
        let above = all.get(&[self.ids[0], component.as_str(), config.as_str()])?;
        let path = above.path(all, depth + 1)?;
        match parent {
            ObjectKey::Row { row, .. } => {
                let mut rows = above.line.items("rows").iter().filter_map(Json::as_object);
                let row = rows.find(|line| line.str("id") == Some(row))?;
                Some(format!("{path}/{}/{own}", row.str("path")?))
            }
            _ => Some(format!("{path}/{own}")),
        }
    }
}

fn parent(relation: &Object<'_>) -> Option<ObjectKey> {
    let config = relation.str("configId")?;
    match relation.str("rowId") {
        Some(row) => Some(ObjectKey::new_row(crate::component::SHARED_CODE, config, row)),
        None => Some(ObjectKey::new_config(relation.str("componentId")?, config)),
    }
}

fn copy<'m>(value: &mut Object<'m>, source: &Object<'m>, key: &'static str) {
    if let Some(found) = source.get(key) {
        value.set(key, found.clone());
    }
}

fn entry(ids: &[&str], value: &Object<'_>) -> Entry {
    crate::render::manifest_entry(ids, value)
}
