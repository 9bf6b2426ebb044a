//! `render`: a project's API answers as files, offline.
//!
//! The directory is served by the fake Keboola on loopback and read by the ordinary client, so that
//! there is one path from answers to objects. Nothing is committed; see `--no-redact`.

use super::{Render, serve::runtime};
use crate::{
    app::Failure,
    config::{KeboolaConfig, SandboxLimits},
    pipeline::{
        fetch::{Fetched, Scope, Source},
        memory::Shard,
        transform::Transformer,
    },
    system::{Guests, client, is_used, wall_clock},
};
use fake_keboola::{Fake, FakeConfig};
use mirror_core::{
    allowed_branches::AllowedBranches,
    batch::{RenderedBatch, Subject, Withheld},
    document::Context,
    guard::KnownSecrets,
    ids::{ObjectKey, ProjectId, Stack},
    inventory::{Inventory, ObjectType},
    layout::{Entry, IndexKind, PlacedObject, Rendered, SourceObject},
    marker::TagKey,
    path::OwnedPaths,
    placement::{Change, Placement, UniqueNames},
    redaction::{Redaction, SecretsMode},
    sample::SampleLimits,
};
use mirror_keboola::DevBranch;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

/// Renders a directory.
///
/// # Errors
/// A directory that is no project, an output that is in use, or files that cannot be written.
pub fn run(render: &Render) -> Result<(), Failure> {
    if is_used(&render.out) {
        return Err(Failure::usage(format!(
            "`{}` is not empty; choose another directory for the output",
            render.out.display()
        )));
    }
    let project = sample_project::read_directory(&render.project)
        .map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let executor = runtime()?;
    let tree = executor.block_on(tree(render, project))?;
    let mut files = 0;
    for (path, content) in &tree.files {
        let Some(below) = placed_below(path, render.only.as_deref()) else {
            continue;
        };
        write(&render.out.join(below), content)?;
        files += 1;
    }
    report(render.json, files, &tree);
    Ok(())
}

struct Tree {
    files: BTreeMap<String, String>,
    objects: usize,
    withheld: Vec<Withheld>,
    inventory: Inventory,
}

async fn tree(render: &Render, project: sample_project::Project) -> Result<Tree, Failure> {
    let options = project.options.as_object().cloned().unwrap_or_default();
    let project_id = project.project_id.max(1).to_string();
    let host = if project.stack_host.is_empty() {
        "localhost".to_owned()
    } else {
        project.stack_host.clone()
    };
    let fake = Fake::start(
        project,
        FakeConfig {
            parallel_max: usize::MAX,
            ..FakeConfig::default()
        },
    );
    let fake = fake.map_err(|error| Failure::failed(&error))?;
    let config = KeboolaConfig {
        connect_timeout_ms: 5_000,
        read_timeout_ms: 60_000,
        total_timeout_ms: 600_000,
        retries_max: 2,
        response_bytes_max: 1 << 30,
        parallel_max: 8,
        visible_within_ms: 0,
    };
    let client = client(&config, fake.url(), SecretString::from(fake.token().to_owned()));
    let source = Source::new(client.map_err(|error| Failure::failed(&error))?, Duration::ZERO);
    let limits = SandboxLimits {
        memory_bytes_max: 1 << 30,
        deadline_ms: 60_000,
    };
    let guests = tokio::task::spawn_blocking(move || Guests::prepare(None, [0; 32], limits)).await;
    let guests = guests
        .map_err(|error| Failure::failed(&error))?
        .map_err(|error| Failure::failed(&error))?;
    let mut branches = source.branches().await.map_err(|error| Failure::failed(&error))?;
    // The default branch has its name before any other that wishes for it.
    branches.sort_by_key(|branch| !branch.is_default);
    let default = branches
        .iter()
        .find(|branch| branch.is_default)
        .map(|branch| branch.id.clone());
    let everything = render.only.as_deref() != Some("configs");
    let scope = Scope {
        storage: everything,
        samples: (everything && render.samples).then(SampleLimits::default),
        jobs: everything,
        now: wall_clock(),
    };
    let id = |problem: mirror_core::ids::InvalidId| Failure::usage(problem.to_string());
    let (stack, project) = (
        Stack::parse(&host).map_err(id)?,
        ProjectId::parse(&project_id).map_err(id)?,
    );
    let mut all = Job {
        tree: Tree {
            files: BTreeMap::new(),
            objects: 0,
            withheld: Vec::new(),
            inventory: Inventory::default(),
        },
        shards: BTreeMap::new(),
    };
    let mut names = UniqueNames::default();
    let mut last = None;
    for branch in branches.into_iter().filter(|branch| is_allowed(&options, branch)) {
        let mut transformer = Transformer {
            layout: guests.layout.clone(),
            policies: vec![guests.redaction.clone()],
            filter: guests.filter.clone(),
            redaction: Redaction::new(SecretsMode::Encrypted, TagKey::none()),
            own_secrets: KnownSecrets::new(),
            seen: std::sync::Arc::default(),
            names: std::sync::Mutex::default(),
            owned: OwnedPaths::new(None),
            sample_limits: SampleLimits::default(),
            context: Context {
                stack: stack.clone(),
                project: project.clone(),
                branch: branch.id.clone(),
            },
            settings: settings(
                &options,
                "main",
                default.as_ref().map(mirror_core::ids::BranchId::as_str),
            ),
        };
        let fetched = source
            .whole(&branch, scope)
            .await
            .map_err(|error| Failure::failed(&error))?;
        // The branch's own wish decides its directory, as it does in the CLI.
        let branch_object = fetched
            .objects
            .iter()
            .find(|object| object.key == ObjectKey::Branch)
            .cloned();
        let asked = tokio::task::spawn_blocking(move || {
            let wish = transformer.inspect(branch_object.as_slice());
            wish.map(|wish| (wish, transformer))
        });
        let (wish, back) = asked
            .await
            .map_err(|error| Failure::failed(&error))?
            .map_err(|error| Failure::failed(&error))?;
        transformer = back;
        let wished = wish
            .into_iter()
            .next()
            .and_then(Result::ok)
            .map(|inspection| inspection.segment);
        let path = names.take(
            wished
                .as_deref()
                .filter(|wished| !wished.is_empty())
                .unwrap_or(branch.id.as_str()),
        );
        transformer.settings = settings(
            &options,
            &path,
            default.as_ref().map(mirror_core::ids::BranchId::as_str),
        );
        let redact = !render.no_redact;
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = all.branch(&transformer, fetched, redact);
            outcome.map(|()| (all, transformer))
        });
        let (next, transformer) = worked
            .await
            .map_err(|error| Failure::failed(&error))?
            .map_err(|error| Failure::failed(&error))?;
        all = next;
        last = Some(transformer);
    }
    let Some(transformer) = last else {
        return Err(Failure::usage(
            "`allowedBranches` in options.json allows none of the project's branches",
        ));
    };
    let redact = !render.no_redact;
    let worked = tokio::task::spawn_blocking(move || all.indices(&transformer, redact).map(|()| all)).await;
    let all = worked
        .map_err(|error| Failure::failed(&error))?
        .map_err(|error| Failure::failed(&error))?;
    Ok(all.tree)
}

/// What is being rendered, over all branches.
struct Job {
    tree: Tree,
    shards: BTreeMap<Shard, Vec<Entry>>,
}

impl Job {
    fn branch(
        &mut self,
        transformer: &Transformer,
        fetched: Fetched,
        redact: bool,
    ) -> Result<(), mirror_sandbox::SandboxError> {
        let types: BTreeMap<ObjectKey, Option<ObjectType>> = fetched
            .objects
            .iter()
            .map(|object| {
                let component = object.component.as_ref();
                let component = component.map(|component| component.component_type.as_str());
                (object.key.clone(), ObjectType::of(&object.key, component))
            })
            .collect();
        let earlier = self.tree.withheld.len();
        self.objects(transformer, fetched, redact)?;
        let withheld: BTreeSet<&Subject> = self.tree.withheld[earlier..]
            .iter()
            .map(|withheld| &withheld.subject)
            .collect();
        for (key, object) in types {
            let is_withheld = withheld.contains(&Subject::Object(key));
            self.tree.inventory.count(object, is_withheld);
        }
        Ok(())
    }

    fn objects(
        &mut self,
        transformer: &Transformer,
        fetched: Fetched,
        redact: bool,
    ) -> Result<(), mirror_sandbox::SandboxError> {
        let inspected = transformer.inspect(&fetched.objects)?;
        let mut placement = Placement::new();
        let mut sources: BTreeMap<ObjectKey, SourceObject> = BTreeMap::new();
        let mut changes = Vec::new();
        for (object, inspection) in fetched.objects.into_iter().zip(inspected) {
            match inspection {
                Ok(inspection) => changes.push(Change::Put(object.key.clone(), inspection)),
                Err(reason) => {
                    self.tree.withheld.push(Withheld {
                        subject: Subject::Object(object.key.clone()),
                        reason,
                    });
                }
            }
            sources.insert(object.key.clone(), object);
        }
        let stale: BTreeSet<ObjectKey> = placement.apply(changes).stale;
        let placed: Vec<PlacedObject> = stale
            .iter()
            .filter_map(|key| sources.remove(key))
            .map(|object| placement.placed(&object.key.clone(), object))
            .collect();
        self.tree.objects += placed.len();
        if redact {
            let clean = transformer.objects(placed)?;
            self.tree.withheld.extend(clean.withheld);
            for object in clean
                .batches
                .into_iter()
                .flat_map(mirror_core::batch::MirrorBatch::into_objects)
            {
                let (_, files, entries, _) = object.into_parts();
                for (path, content) in files.into_iter().map(mirror_core::batch::MirrorFile::into_parts) {
                    self.tree.files.insert(path.to_string(), content);
                }
                self.add_entries(entries);
            }
            return Ok(());
        }
        let rendered = transformer
            .layout
            .render(&transformer.context, &transformer.settings, &placed)?;
        for (placed, outcome) in placed.into_iter().zip(rendered) {
            let subject = Subject::Object(placed.object.key);
            match outcome {
                Ok(rendered) => {
                    self.add_entries(rendered.entries.clone());
                    self.unredacted(transformer, subject, rendered);
                }
                Err(reason) => self.tree.withheld.push(Withheld { subject, reason }),
            }
        }
        Ok(())
    }

    fn indices(
        &mut self,
        transformer: &Transformer,
        redact: bool,
    ) -> Result<(), mirror_sandbox::SandboxError> {
        let shards = std::mem::take(&mut self.shards);
        let mut work: Vec<(IndexKind, String, Vec<Entry>)> = shards
            .into_iter()
            .map(|((kind, shard), mut entries)| {
                entries.sort_by(|one, other| one.key.cmp(&other.key));
                (kind, shard, entries)
            })
            .collect();
        work.push((IndexKind::Guide, String::new(), Vec::new()));
        if redact {
            let (clean, _) = transformer.shards(work)?;
            self.tree.withheld.extend(clean.withheld);
            for object in clean
                .batches
                .into_iter()
                .flat_map(mirror_core::batch::MirrorBatch::into_objects)
            {
                let (_, files, _, _) = object.into_parts();
                for (path, content) in files.into_iter().map(mirror_core::batch::MirrorFile::into_parts) {
                    self.tree.files.insert(path.to_string(), content);
                }
            }
            return Ok(());
        }
        for (kind, shard, entries) in work {
            let subject = Subject::Index {
                kind,
                shard: shard.clone(),
            };
            match transformer.layout.gather(
                &transformer.context,
                &transformer.settings,
                kind,
                &shard,
                &entries,
            )? {
                Ok(gathered) => {
                    self.unredacted(
                        transformer,
                        subject,
                        Rendered {
                            files: gathered.files,
                            entries: Vec::new(),
                        },
                    );
                }
                Err(reason) => self.tree.withheld.push(Withheld { subject, reason }),
            }
        }
        Ok(())
    }

    /// Takes files as they are, after the check of their paths.
    fn unredacted(&mut self, transformer: &Transformer, subject: Subject, rendered: Rendered) {
        let (batch, refused) = RenderedBatch::new(
            transformer.context.clone(),
            &transformer.owned,
            vec![(subject, rendered)],
        );
        self.tree.withheld.extend(refused);
        for (path, content) in batch.unredacted_files() {
            self.tree.files.insert(path.to_string(), content.to_owned());
        }
    }

    fn add_entries(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.shards
                .entry((entry.kind, entry.shard.clone()))
                .or_default()
                .push(entry);
        }
    }
}

fn settings(options: &Map<String, Value>, branch_path: &str, default: Option<&str>) -> String {
    let mut settings = options.clone();
    settings.insert("branchPath".into(), json!(branch_path));
    settings.insert("tree".into(), json!("project"));
    if let Some(default) = default {
        settings.insert(
            "defaultBranchId".into(),
            default
                .parse::<u64>()
                .map_or_else(|_| json!(default), |id| json!(id)),
        );
    }
    Value::Object(settings).to_string()
}

/// Applies `allowedBranches`, where there is such a list.
fn is_allowed(options: &Map<String, Value>, branch: &DevBranch) -> bool {
    let Some(items) = options.get("allowedBranches").and_then(Value::as_array) else {
        return true;
    };
    let items = items.iter().filter_map(Value::as_str).map(str::to_owned);
    AllowedBranches::new(items.collect()).allow(&branch.id, &branch.name, branch.is_default)
}

fn placed_below<'p>(path: &'p str, only: Option<&str>) -> Option<&'p str> {
    match only {
        None => Some(path),
        Some(directory) => path.strip_prefix(directory)?.strip_prefix('/'),
    }
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::message(format!("cannot write `{}`: {error}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, content).map_err(failed)
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
fn report(as_json: bool, files: usize, tree: &Tree) {
    let withheld: Vec<_> = tree
        .withheld
        .iter()
        .map(|withheld| json!({ "subject": withheld.subject.to_string(), "reason": withheld.reason.to_string() }))
        .collect();
    if as_json {
        println!(
            "{}",
            json!({
                "files": files,
                "objects": tree.objects,
                "withheld": withheld,
                "counts": crate::status::inventory(&tree.inventory),
            })
        );
        return;
    }
    println!("{files} files from {} objects", tree.objects);
    for withheld in &tree.withheld {
        eprintln!("withheld: {}: {}", withheld.subject, withheld.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_tree_becomes_its_root() {
        assert_eq!(
            placed_below("configs/main/meta.json", Some("configs")),
            Some("main/meta.json")
        );
        assert_eq!(placed_below("configs-extra/x", Some("configs")), None);
        assert_eq!(placed_below("jobs/x", None), Some("jobs/x"));
    }
}
