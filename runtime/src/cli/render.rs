//! `render`: a project's API answers as files, offline.
//!
//! The directory is served by the fake Keboola on loopback and read by the ordinary client, so that
//! there is one path from answers to objects. Nothing is committed; see `--no-redact`.

use super::{Render, serve::runtime};
use crate::{
    app::Failure,
    config::{KeboolaConfig, SandboxLimits},
    output::{errln, outln},
    pipeline::{
        cache::ObjectCache,
        error::AttemptError,
        fetch::{FetchError, Fetched, Outlet, Scope, Source},
        memory::Shard,
        render,
        spool::{SpoolLimits, Spooled},
        survey::Survey,
        transform::{Clean, Transformer},
    },
    system::{Guests, client, guest_limits, is_used, wall_clock},
};
use fake_keboola::{Fake, FakeConfig};
use mirror_core::{
    allowed_branches::AllowedBranches,
    batch::{RenderedBatch, Subject, Withheld},
    document::Context,
    finding::WithholdReason,
    guard::KnownSecrets,
    ids::{BranchId, ComponentId, MirrorId, ObjectKey, ProjectId, Stack},
    inventory::Inventory,
    layout::{Entry, IndexKind, PlacedObject, Rendered, SourceObject, heirs},
    marker::TagKey,
    path::OwnedPaths,
    placement::{Change, Placement, UniqueNames},
    redaction::{Redaction, SecretsMode},
    sample::SampleLimits,
};
use mirror_keboola::{DevBranch, KeboolaError};
use mirror_sandbox::{FilledShard, Limits, SandboxConfig};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Handle;

/// Renders directories, one after the other; the guests are prepared once.
///
/// # Errors
/// A directory that is no project, an output that is in use, or files that cannot be written. Of several
/// projects the others are rendered all the same.
pub fn run(render: &Render) -> Result<(), Failure> {
    let Render { project, out, .. } = render;
    if project.len() != out.len() {
        return Err(Failure::usage(format!(
            "there are {} of `--project` and {} of `--out`; give each project its own output",
            project.len(),
            out.len()
        )));
    }
    let executor = runtime()?;
    let mut guests = None;
    let mut failed = Vec::new();
    for (project, out) in project.iter().zip(out) {
        let job = Wanted { render, project, out };
        match executor.block_on(one(job, &mut guests)) {
            Ok(tree) => report(job, &tree),
            Err(failure) if render.project.len() == 1 => return Err(failure),
            Err(failure) => failed.push(format!("`{}`: {failure}", project.display())),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let (count, all) = (failed.len(), render.project.len());
    Err(Failure::message(format!(
        "{count} of {all} projects cannot be rendered\n{}",
        failed.join("\n")
    )))
}

/// One project of those that are to be rendered.
#[derive(Clone, Copy)]
struct Wanted<'r> {
    render: &'r Render,
    project: &'r Path,
    out: &'r Path,
}

async fn one(wanted: Wanted<'_>, guests: &mut Option<Guests>) -> Result<Tree, Failure> {
    let Wanted { project, out, .. } = wanted;
    if is_used(out) {
        return Err(Failure::usage(format!(
            "`{}` is not empty; choose another directory for the output",
            out.display()
        )));
    }
    let read =
        sample_project::read_directory(project).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    tree(wanted, read, guests).await
}

/// What was rendered; its files are in the output directory.
#[derive(Default)]
struct Tree {
    files: usize,
    objects: usize,
    withheld: Vec<Withheld>,
    /// Listed objects without a readable id.
    unnamed: usize,
    inventory: Inventory,
}

async fn tree(
    wanted: Wanted<'_>,
    project: sample_project::Project,
    guests: &mut Option<Guests>,
) -> Result<Tree, Failure> {
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
    let fake = fake.map_err(failed)?;
    let of = Described {
        options,
        project_id,
        host,
    };
    served(wanted, &fake, of, guests).await
}

/// What a directory says of its project beside the answers of the API.
struct Described {
    options: Map<String, Value>,
    project_id: String,
    host: String,
}

async fn served(
    wanted: Wanted<'_>,
    fake: &Fake,
    of: Described,
    guests: &mut Option<Guests>,
) -> Result<Tree, Failure> {
    let Wanted { render, out, .. } = wanted;
    let Described {
        options,
        project_id,
        host,
    } = of;
    let config = KeboolaConfig {
        connect_timeout_ms: 5_000,
        read_timeout_ms: 60_000,
        total_timeout_ms: 600_000,
        retries_max: 2,
        response_bytes_max: 1 << 30,
        parallel_max: 8,
        visible_within_ms: 0,
    };
    let client = client(&config, fake.url(), SecretString::from(fake.token().to_owned())).map_err(failed)?;
    let guests = match guests {
        Some(guests) => guests.clone(),
        None => guests.insert(prepared().await?).clone(),
    };
    let everything = !matches!(render.only.as_deref(), Some("configs" | "configs-extra"));
    let id = |problem: mirror_core::ids::InvalidId| Failure::usage(problem.to_string());
    let offline = Offline {
        // Nothing is asked for twice here.
        source: Arc::new(Source::new(
            client,
            Duration::ZERO,
            ObjectCache::new(0).of(MirrorId::parse("render").map_err(id)?),
        )),
        guests,
        stack: Stack::parse(&host).map_err(id)?,
        project: ProjectId::parse(&project_id).map_err(id)?,
        options,
        scope: Scope {
            storage: everything,
            samples: (everything && render.samples).then(SampleLimits::default),
            jobs: everything,
            now: wall_clock(),
        },
        seen: Arc::default(),
    };
    loop {
        let job = offline.all(wanted).await?;
        if !job.outdated_guard {
            return Ok(job.tree);
        }
        // A secret came to be known after files had been written in which nobody had looked for it.
        fs::remove_dir_all(out).map_err(|error| unwritable(out, &error))?;
        fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    }
}

async fn prepared() -> Result<Guests, Failure> {
    let limits = guest_limits(SandboxLimits {
        memory_bytes_max: 1 << 30,
        deadline_ms: 60_000,
    });
    let config = SandboxConfig::offline(limits, Limits::default());
    let guests = tokio::task::spawn_blocking(move || Guests::prepare(config)).await;
    guests.map_err(failed)?.map_err(failed)
}

/// A project that is rendered without a mirror.
struct Offline {
    source: Arc<Source>,
    guests: Guests,
    stack: Stack,
    project: ProjectId,
    options: Map<String, Value>,
    scope: Scope,
    /// Plaintexts that were found under `#` keys.
    seen: Arc<Mutex<KnownSecrets>>,
}

impl Offline {
    /// Renders all allowed branches, and then what is made of them together.
    async fn all(&self, wanted: Wanted<'_>) -> Result<Job, Failure> {
        let Wanted { render, out, .. } = wanted;
        let mut branches = self.source.branches().await.map_err(failed)?.listed;
        // The default branch has its name before any other that wishes for it.
        branches.sort_by_key(|branch| !branch.is_default);
        let default = branches.iter().find(|branch| branch.is_default);
        let default = default.map(|branch| branch.id.clone());
        let mut job = Job {
            out: out.to_owned(),
            only: render.only.clone(),
            redact: !render.no_redact,
            tree: Tree::default(),
            shards: BTreeMap::new(),
            outdated_guard: false,
        };
        let mut names = UniqueNames::default();
        let mut last = None;
        let allowed = branches
            .into_iter()
            .filter(|branch| is_allowed(&self.options, branch));
        for branch in allowed {
            let transformer = self.transformer(&branch, default.as_ref(), &mut names).await?;
            let limits = SpoolLimits {
                held_bytes_max: MEMORY_BYTES_MAX / 8,
                file_bytes_max: u64::MAX,
                directory: out.to_owned(),
            };
            let (mut outlet, out) = Outlet::new();
            let fetch = async {
                let nothing = BTreeMap::new();
                let fetched = self
                    .source
                    .whole(&branch, self.scope, &nothing, &mut outlet)
                    .await;
                drop(outlet);
                Ok(fetched?)
            };
            let survey = Survey::new(limits).follow(Arc::clone(&transformer), out);
            let surveyed: Result<_, AttemptError> = tokio::try_join!(fetch, survey);
            let (fetched, survey) = surveyed.map_err(|error| unread(&error))?;
            job.not_read(fetched, &survey);
            let (by, source, handle) = (
                Arc::clone(&transformer),
                Arc::clone(&self.source),
                Handle::current(),
            );
            let worked = tokio::task::spawn_blocking(move || {
                let of_stack = |beginning: &str| {
                    let buckets = handle.block_on(source.default_buckets()).map_err(failed)?;
                    Ok(buckets.get(beginning).cloned())
                };
                job.branch(&by, survey, of_stack).map(|()| job)
            });
            job = worked.await.map_err(failed)??;
            last = Some(transformer);
        }
        let Some(transformer) = last else {
            return Err(Failure::usage(
                "`allowedBranches` in options.json allows none of the project's branches",
            ));
        };
        let worked = tokio::task::spawn_blocking(move || job.indices(&transformer).map(|()| job));
        worked.await.map_err(failed)?
    }

    /// Makes the transformer of a branch. The branch's own wish decides its directory, as it does in the CLI.
    async fn transformer(
        &self,
        branch: &DevBranch,
        default: Option<&BranchId>,
        names: &mut UniqueNames,
    ) -> Result<Arc<Transformer>, Failure> {
        let default = default.map(BranchId::as_str);
        let mut transformer = Transformer {
            layout: self.guests.layout.clone(),
            policies: vec![self.guests.redaction.clone().into()],
            shadows: Vec::new(),
            filter: self.guests.filter.clone(),
            redaction: Redaction::new(SecretsMode::Encrypted, TagKey::none()),
            own_secrets: Arc::default(),
            seen: Arc::clone(&self.seen),
            guard: Mutex::default(),
            names: Mutex::default(),
            words: Mutex::default(),
            owned: OwnedPaths::new(None),
            sample_limits: SampleLimits::default(),
            context: Context {
                stack: self.stack.clone(),
                project: self.project.clone(),
                branch: branch.id.clone(),
            },
            settings: settings(&self.options, "main", default),
            stages: Arc::default(),
        };
        let object = SourceObject {
            key: ObjectKey::Branch,
            component: None,
            source: branch.source.clone(),
            metadata: Vec::new(),
        };
        let asked = tokio::task::spawn_blocking(move || {
            let wish = transformer.inspect(&[object]);
            wish.map(|wish| (wish, transformer))
        });
        let wish;
        (wish, transformer) = asked.await.map_err(failed)?.map_err(failed)?;
        let wished = wish.into_iter().next().and_then(Result::ok);
        let wished = wished.map(|inspection| inspection.segment);
        let wished = wished.filter(|wished| !wished.is_empty());
        let path = names.take(wished.as_deref().unwrap_or(branch.id.as_str()));
        transformer.settings = settings(&self.options, &path, default);
        Ok(Arc::new(transformer))
    }
}

/// Bytes of objects that are under way at a time, and an eighth of it for those that wait.
const MEMORY_BYTES_MAX: usize = 256 << 20;

/// What is being rendered, over all branches.
struct Job {
    out: PathBuf,
    only: Option<String>,
    redact: bool,
    tree: Tree,
    shards: BTreeMap<Shard, Vec<Entry>>,
    /// A secret came to be known that nobody had looked for in what was written before.
    outdated_guard: bool,
}

/// What became of a chunk: ready for a repository, or as the renderer made it.
enum Done {
    Clean(Clean),
    Unredacted {
        batch: RenderedBatch,
        entries: Vec<Entry>,
        withheld: Vec<Withheld>,
    },
}

impl Job {
    /// Tells of listed objects that cannot be read.
    fn not_read(&mut self, fetched: Fetched, survey: &Survey) {
        self.tree.unnamed += fetched.unnamed + fetched.unread_runs.count;
        for (key, reason) in fetched.refused {
            self.tree.inventory.count(survey.type_of(&key), true);
            self.tree.withheld.push(Withheld {
                subject: Subject::Object(key),
                reason,
            });
        }
    }

    fn branch(
        &mut self,
        transformer: &Transformer,
        survey: Survey,
        of_stack: impl Fn(&str) -> Result<Option<ComponentId>, Failure>,
    ) -> Result<(), Failure> {
        let earlier = self.tree.withheld.len();
        let mut survey = survey;
        let inspected = std::mem::take(&mut survey.inspected);
        let spool = &survey.spool;
        let mut placement = Placement::new();
        let mut changes = Vec::new();
        for (key, inspection) in inspected {
            match inspection {
                Ok(inspection) => changes.push(Change::Put(key, inspection)),
                Err(reason) => self.tree.withheld.push(Withheld {
                    subject: Subject::Object(key),
                    reason,
                }),
            }
        }
        let mut todo = placement.apply(changes).stale;
        // Runs have no place.
        todo.extend(
            spool
                .keys()
                .filter(|key| matches!(key, ObjectKey::Job(_)))
                .cloned(),
        );
        let mut todo = todo.into_iter();
        let mut objects = 0;
        let mut next = || {
            for key in todo.by_ref() {
                if let Some(Spooled::Object(object)) = spool.get(&key).map_err(failed)? {
                    objects += 1;
                    return placement.placed_among(&key, object, &of_stack).map(Some);
                }
            }
            Ok(None)
        };
        let guard = transformer.guard();
        let redact = self.redact;
        let work = |chunk: Vec<PlacedObject>| {
            if redact {
                return transformer
                    .objects(chunk, &guard)
                    .map(Done::Clean)
                    .map_err(failed);
            }
            let rendered = transformer
                .layout
                .render(&transformer.context, &transformer.settings, &chunk)
                .map_err(failed)?;
            let keys = chunk.into_iter().map(|placed| placed.object.key);
            Ok(unredacted(
                transformer,
                keys.map(Subject::Object).zip(rendered).collect(),
            ))
        };
        render::objects(MEMORY_BYTES_MAX, &mut next, work, &mut |done| {
            self.take(transformer, done)
        })?;
        self.tree.objects += objects;
        let withheld: BTreeSet<&Subject> = self.tree.withheld[earlier..]
            .iter()
            .map(|withheld| &withheld.subject)
            .collect();
        for key in survey.spool.keys() {
            let is_withheld = withheld.contains(&Subject::Object(key.clone()));
            self.tree.inventory.count(survey.type_of(key), is_withheld);
        }
        Ok(())
    }

    fn indices(&mut self, transformer: &Transformer) -> Result<(), Failure> {
        let mut shards = std::mem::take(&mut self.shards);
        shards.insert((IndexKind::Guide, String::new()), Vec::new());
        for entries in shards.values_mut() {
            entries.sort_by(|one, other| one.key.cmp(&other.key));
        }
        let buckets = shards
            .iter()
            .filter(|((kind, shard), _)| heirs::tables_of(*kind, shard).is_some());
        let handed_on: BTreeMap<Shard, Vec<Entry>> = buckets
            .map(|(shard, entries)| (shard.clone(), heirs::handed_on(entries.clone()).collect()))
            .collect();
        let mut shards = shards.into_iter();
        let mut next = || {
            Ok(shards.next().map(|((kind, shard), mut entries)| {
                let bucket = heirs::bucket_of(kind, &shard).map(|bucket| (kind, bucket));
                let handed = bucket.and_then(|bucket| handed_on.get(&bucket));
                entries.extend(handed.into_iter().flatten().cloned());
                entries.sort_by(|one, other| one.key.cmp(&other.key));
                (kind, shard, entries)
            }))
        };
        let guard = transformer.guard();
        let redact = self.redact;
        let work = |filled: Vec<FilledShard>| {
            if redact {
                let (clean, _) = transformer.shards(filled, &guard).map_err(failed)?;
                return Ok(Done::Clean(clean));
            }
            let gathered = transformer
                .layout
                .gather(&transformer.context, &transformer.settings, &filled);
            let rendered = gathered.map_err(failed)?.into_iter().map(|gathered| {
                gathered.map(|gathered| Rendered {
                    files: gathered.files,
                    entries: Vec::new(),
                })
            });
            let subjects = filled
                .into_iter()
                .map(|(kind, shard, _)| Subject::Index { kind, shard });
            Ok(unredacted(transformer, subjects.zip(rendered).collect()))
        };
        render::shards(MEMORY_BYTES_MAX, &mut next, work, &mut |done| {
            self.take(transformer, done)
        })
    }

    /// Writes what became of a chunk.
    fn take(&mut self, transformer: &Transformer, done: Done) -> Result<(), Failure> {
        match done {
            Done::Clean(Clean {
                batch,
                withheld,
                known,
            }) => {
                self.outdated_guard |= transformer.learn(&known);
                self.tree.withheld.extend(withheld);
                for object in batch.into_objects() {
                    let (_, files, entries, _) = object.into_parts();
                    for file in files {
                        self.write(file.path().as_str(), file.content())?;
                    }
                    self.add_entries(entries);
                }
            }
            Done::Unredacted {
                batch,
                entries,
                withheld,
            } => {
                self.tree.withheld.extend(withheld);
                for (path, content) in batch.unredacted_files() {
                    self.write(path.as_str(), content)?;
                }
                self.add_entries(entries);
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &str, content: &str) -> Result<(), Failure> {
        let Some(below) = placed_below(path, self.only.as_deref()) else {
            return Ok(());
        };
        let path = self.out.join(below);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| unwritable(&path, &error))?;
        }
        fs::write(&path, content).map_err(|error| unwritable(&path, &error))?;
        self.tree.files += 1;
        Ok(())
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

/// Takes files as they are, after the check of their paths.
fn unredacted(transformer: &Transformer, rendered: Vec<(Subject, Result<Rendered, WithholdReason>)>) -> Done {
    let (mut good, mut entries, mut withheld) = (Vec::new(), Vec::new(), Vec::new());
    for (subject, outcome) in rendered {
        match outcome {
            Ok(rendered) => {
                entries.extend(rendered.entries.iter().cloned());
                good.push((subject, rendered));
            }
            Err(reason) => withheld.push(Withheld { subject, reason }),
        }
    }
    let (batch, refused) = RenderedBatch::new(transformer.context.clone(), &transformer.owned, good);
    withheld.extend(refused);
    Done::Unredacted {
        batch,
        entries,
        withheld,
    }
}

fn failed(error: impl std::error::Error + 'static) -> Failure {
    Failure::failed(&error)
}

/// Says what to do where the directory has less than is asked of it.
fn unread(error: &AttemptError) -> Failure {
    match error {
        AttemptError::Fetch(FetchError::Keboola(KeboolaError::NoService { .. })) => {
            Failure::message(format!(
                "{}, which has the runs of jobs; add it to the directory's answers, or leave runs out with `--only configs`",
                crate::app::chain(error)
            ))
        }
        _ => Failure::failed(error),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("cannot write `{}`: {error}", path.display()))
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

fn report(wanted: Wanted<'_>, tree: &Tree) {
    let files = tree.files;
    let withheld: Vec<_> = tree
        .withheld
        .iter()
        .map(|withheld| json!({ "subject": withheld.subject.to_string(), "reason": withheld.reason.to_string() }))
        .collect();
    if wanted.render.json {
        outln!(
            "{}",
            json!({
                "project": wanted.project,
                "files": files,
                "objects": tree.objects,
                "withheld": withheld,
                "unnamed": tree.unnamed,
                "counts": crate::status::inventory(&tree.inventory),
            })
        );
        return;
    }
    outln!("{files} files from {} objects", tree.objects);
    for withheld in &tree.withheld {
        errln!("withheld: {}: {}", withheld.subject, withheld.reason);
    }
    if tree.unnamed > 0 {
        errln!(
            "left out: {} listed objects without an id that can be read",
            tree.unnamed
        );
    }
}

#[cfg(test)]
mod tests;
