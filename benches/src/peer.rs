//! A straightforward mirror, as the peer of the product: what it fetched is laid out and redacted by the same code
//! compiled natively, written as files, and given to the `git` program.
//!
//! It keeps nothing durable, isolates nothing, and does not look for secrets in names: whatever that costs the product is a part of its time
//! only.

use crate::{judge, layout::rendered};
use anyhow::{Context as _, Result, ensure};
use layout_cases::host;
use layout_renderer as guest;
use mirror_core::{
    batch::{RenderedBatch, Subject},
    guard::{Guard, KnownSecrets},
    ids::ObjectKey,
    layout::{Entry, IndexKind, Rendered, SourceObject, heirs},
    placement::{Change, Placement},
    redaction::plaintexts,
};
use mirror_git_benches::git;
use mirror_runtime::pipeline::{
    attempt::Lane,
    fetch::{Listed, Outlet, Scope},
    transform::{CHUNK, Transformer},
};
use secret_redaction::{engine::Engine, settings::Settings};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A path below the root of the repository, and a content.
pub type File = (String, String);

/// Fetches all of a lane's branch, as the product does.
///
/// # Errors
/// A source that fails.
pub async fn fetch(lane: &Lane) -> Result<Vec<SourceObject>> {
    let nothing = BTreeMap::new();
    let (mut outlet, mut out) = Outlet::new();
    let (source, branch, scope) = (&lane.source, &lane.branch, scope(lane));
    let listing = async move {
        let fetched = source.whole(branch, scope, &nothing, &mut outlet).await;
        drop(outlet);
        fetched
    };
    let collecting = async {
        let mut objects = Vec::new();
        while let Some(listed) = out.recv().await {
            match listed {
                Listed::Objects(batch) => objects.extend(batch),
                Listed::TakenBack(key) => objects.retain(|object: &SourceObject| {
                    object.key.config() != Some((&key.component, &key.config))
                }),
            }
        }
        objects
    };
    let (listed, objects) = tokio::join!(listing, collecting);
    listed?;
    Ok(objects)
}

/// Fetches one configuration at its newest version.
///
/// # Errors
/// A source that fails, or a configuration that is not there.
pub async fn fetch_one(lane: &Lane, key: &ObjectKey) -> Result<Vec<SourceObject>> {
    let keys = BTreeSet::from([key.clone()]);
    let unknown = BTreeMap::new();
    let fetched = lane
        .source
        .again(&lane.branch, &keys, &unknown, scope(lane))
        .await?;
    ensure!(!fetched.objects.is_empty(), "there is no {key}");
    Ok(fetched.objects)
}

fn scope(lane: &Lane) -> Scope {
    Scope {
        storage: true,
        samples: None,
        jobs: lane.spec.jobs.is_some(),
        now: (lane.now)(),
    }
}

/// Makes files of objects.
#[derive(Debug)]
pub struct Transform {
    /// Whose settings hold here too; its guests are not asked.
    settings: Arc<Transformer>,
    context: guest::Context,
    engine: Engine,
    placement: Placement,
    known: KnownSecrets,
    /// With how many of the known secrets it was made.
    guard: (usize, Guard),
    /// Entries of shared files, by key: one each but for those of runs, which the renderer folds.
    shards: BTreeMap<(IndexKind, String), BTreeMap<String, Vec<Entry>>>,
}

impl Transform {
    #[must_use]
    pub fn new(settings: Arc<Transformer>) -> Self {
        let (_, known) = settings.own_secrets.known();
        Self {
            context: guest::Context {
                stack: settings.context.stack.to_string(),
                project_id: settings.context.project.to_string(),
                branch_id: settings.context.branch.to_string(),
            },
            engine: Engine::new(Settings::default()),
            placement: Placement::new(),
            guard: (known.len(), Guard::new(&known)),
            known,
            shards: BTreeMap::new(),
            settings,
        }
    }

    /// Makes files of objects, and of shared files those that change with them.
    ///
    /// # Errors
    /// What the renderer refuses, and files that are withheld: the sample project has none.
    pub fn files(&mut self, mut objects: Vec<SourceObject>) -> Result<Vec<File>> {
        for object in &objects {
            self.known.merge(&plaintexts(&object.source));
        }
        if self.known.len() != self.guard.0 {
            self.guard = (self.known.len(), Guard::new(&self.known));
        }
        // Runs have no place.
        let has_place = |object: &&SourceObject| !matches!(object.key, ObjectKey::Job(_));
        let asked: Vec<guest::Object> = objects.iter().filter(has_place).map(host::object).collect();
        let inspected = guest::inspect(&self.context, &self.settings.settings, &asked)?;
        drop(asked);
        let changes = objects.iter().filter(has_place).zip(inspected);
        let changes =
            changes.map(|(object, found)| Ok(Change::Put(object.key.clone(), host::inspection(found)?)));
        let delta = self.placement.apply(changes.collect::<Result<_>>()?);
        let (mut files, mut changed) = (Vec::new(), BTreeSet::new());
        let given: BTreeSet<ObjectKey> = objects.iter().map(|object| object.key.clone()).collect();
        ensure!(
            delta.stale.is_subset(&given),
            "objects depend on these that were not fetched"
        );
        // How a configuration fares is told by its runs in this order.
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        let mut objects = objects.into_iter().peekable();
        while objects.peek().is_some() {
            let chunk: Vec<guest::PlacedObject> = objects
                .by_ref()
                .take(CHUNK)
                .map(|object| {
                    let key = object.key.clone();
                    host::placed(&self.placement.placed(&key, object))
                })
                .collect();
            let answers = guest::render(&self.context, &self.settings.settings, &chunk)?;
            let subjects = chunk.iter().map(|placed| host::host_key(&placed.object.key));
            let subjects = subjects.map(|key| Ok(Subject::Object(key?)));
            let subjects: Vec<Subject> = subjects.collect::<Result<_>>()?;
            let answers = subjects.into_iter().zip(answers.into_iter().map(rendered));
            for entry in self.clean(answers.collect(), &mut files)? {
                let shard = (entry.kind, entry.shard.clone());
                let entries = self.shards.entry(shard.clone()).or_default();
                let same = entries.entry(entry.key.clone()).or_default();
                if same.contains(&entry) {
                    continue;
                }
                if !matches!(entry.kind, IndexKind::JobDay | IndexKind::JobHealth) {
                    same.clear();
                }
                same.push(entry);
                changed.insert(shard);
            }
        }
        if given.contains(&ObjectKey::Branch) {
            changed.insert((IndexKind::Guide, String::new()));
            self.shards.entry((IndexKind::Guide, String::new())).or_default();
        }
        // The tables of a bucket are told who writes it.
        let prefixes: Vec<_> = changed
            .iter()
            .filter_map(|(kind, shard)| Some((*kind, heirs::tables_of(*kind, shard)?)))
            .collect();
        for (kind, prefix) in prefixes {
            let tables = self.shards.range((kind, prefix.clone())..);
            let tables = tables.map(|(shard, _)| shard);
            let is_heir = |(of, shard): &&(IndexKind, String)| *of == kind && shard.starts_with(&prefix);
            changed.extend(tables.take_while(is_heir).cloned());
        }
        let mut gathered = Vec::new();
        for (kind, shard) in changed {
            let own = self.shards[&(kind, shard.clone())].values().flatten();
            let mut entries: Vec<Entry> = own.cloned().collect();
            let bucket = heirs::bucket_of(kind, &shard).and_then(|bucket| self.shards.get(&(kind, bucket)));
            let of_bucket = bucket.into_iter().flat_map(BTreeMap::values).flatten();
            entries.extend(heirs::handed_on(of_bucket.cloned().collect()));
            entries.sort_by(|one, other| one.key.cmp(&other.key));
            let entries: Vec<guest::Entry> = entries.iter().map(entry).collect();
            let settings = &self.settings.settings;
            let made = guest::gather(&self.context, settings, index_kind(kind), &shard, &entries)?;
            let made = guest::Rendered {
                files: made.files,
                entries: Vec::new(),
            };
            gathered.push((Subject::Index { kind, shard }, rendered(made)));
        }
        self.clean(gathered, &mut files)?;
        Ok(files)
    }

    /// Redacts and guards; adds the files to others, and returns the entries.
    fn clean(&self, made: Vec<(Subject, Rendered)>, files: &mut Vec<File>) -> Result<Vec<Entry>> {
        let Transformer {
            context,
            owned,
            redaction,
            sample_limits,
            ..
        } = &*self.settings;
        let (batch, refused) = RenderedBatch::new(context.clone(), owned, made);
        let documents = batch.documents();
        let verdicts = judge::verdicts(&self.engine, &documents);
        let (redacted, withheld) = batch.redact(verdicts, redaction);
        let (chosen, unchosen) = redacted.choose(Vec::new());
        let (chosen, above) = chosen.within(sample_limits);
        let (guarded, caught) = chosen.guard(&self.guard.1);
        for reasons in [refused, withheld, unchosen, above, caught] {
            ensure!(reasons.is_empty(), "withheld: {reasons:?}");
        }
        let mut all = Vec::new();
        for object in guarded.into_objects() {
            let (_, made, entries, _) = object.into_parts();
            all.extend(entries);
            files.extend(made.into_iter().map(|file| {
                let (path, content) = file.into_parts();
                (path.to_string(), content)
            }));
        }
        Ok(all)
    }
}

fn entry(entry: &Entry) -> guest::Entry {
    guest::Entry {
        kind: index_kind(entry.kind),
        shard: entry.shard.clone(),
        key: entry.key.clone(),
        value: entry.value.clone(),
    }
}

fn index_kind(kind: IndexKind) -> guest::IndexKind {
    match kind {
        IndexKind::Manifest => guest::IndexKind::Manifest,
        IndexKind::JobDay => guest::IndexKind::JobDay,
        IndexKind::JobHealth => guest::IndexKind::JobHealth,
        IndexKind::Withheld => guest::IndexKind::Withheld,
        IndexKind::Guide => guest::IndexKind::Guide,
        IndexKind::Catalog => guest::IndexKind::Catalog,
        IndexKind::Lineage => guest::IndexKind::Lineage,
    }
}

/// A work tree, and the bare repository that it is pushed to.
#[derive(Debug)]
pub struct WorkTree {
    directory: PathBuf,
    remote: PathBuf,
}

impl WorkTree {
    /// Makes both below a directory. `git` is as it comes, but that it never tidies up.
    ///
    /// # Errors
    /// A directory that cannot be written, or no `git`.
    pub fn new(below: &Path) -> Result<Self> {
        let made = Self {
            directory: below.join("work"),
            remote: below.join("remote.git"),
        };
        fs::create_dir(&made.directory)?;
        git(
            below,
            &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"],
            b"",
        )?;
        git(below, &["init", "--quiet", "--initial-branch=main", "work"], b"")?;
        for (repository, name) in [(&made.directory, "gc.auto"), (&made.remote, "receive.autogc")] {
            git(repository, &["config", name, "0"], b"")?;
        }
        git(
            &made.directory,
            &["remote", "add", "origin", "../remote.git"],
            b"",
        )?;
        Ok(made)
    }

    /// Returns where the bare repository lies.
    #[must_use]
    pub fn remote(&self) -> &Path {
        &self.remote
    }

    /// Writes files, in place of what is there.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn write(&self, files: &[File]) -> Result<()> {
        for (path, content) in files {
            let path = self.directory.join(path);
            fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
            fs::write(path, content)?;
        }
        Ok(())
    }

    /// Finds what changed.
    ///
    /// # Errors
    /// A `git` that fails, as with the others.
    pub fn add(&self) -> Result<()> {
        git(&self.directory, &["add", "--all"], b"").map(drop)
    }

    /// Commits what was found.
    ///
    /// # Errors
    /// As above; also where nothing changed.
    pub fn commit(&self) -> Result<()> {
        git(&self.directory, &["commit", "--quiet", "-m", "Mirrored"], b"").map(drop)
    }

    /// Pushes it.
    ///
    /// # Errors
    /// As above.
    pub fn push(&self) -> Result<()> {
        git(&self.directory, &["push", "--quiet", "origin", "main"], b"").map(drop)
    }

    /// Returns the id of the tree that the remote has.
    ///
    /// # Errors
    /// As above.
    pub fn tree(&self) -> Result<String> {
        git(&self.remote, &["rev-parse", "main^{tree}"], b"")
    }
}
