//! A bare repository on this machine as the remote: for the demo and for operators' `file:` remotes.
//!
//! Works on the files directly, without the `git` program. Hooks are not run. The packs that pushes leave are joined
//! now and then (see [`rollup`]); all other housekeeping is the owner's: `git maintenance` as usual.

mod own_packs;
mod pack_directory;
mod rollup;
#[cfg(test)]
mod tests;

use crate::{
    bringing::{Bringing, Origin, object_error},
    disk::{self, DiskError, at},
    error::{PushError, RemoteError, StoreError},
    layout,
    objects::{Objects, Source, Writers},
    outgoing::PendingPush,
    pack::{Durability, Pack},
    packfile::PackFile,
    ref_update::{Outcomes, PushMode, PushReport, RefUpdate, RefUpdates},
    refname::RefName,
    refs::{Refs, RefsError, SwapError},
    refusal::Refusal,
    remote::{FetchScope, Fetched, Remote, Visibility},
    store::{Known, Store},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use own_packs::{Kept, OwnPack, OwnPacks};
use std::{
    collections::HashMap,
    error::Error as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A bare repository at a path.
#[derive(Debug)]
pub struct LocalBare {
    root: PathBuf,
    name: String,
    refs: Refs,
    objects: Objects,
    own_packs: OwnPacks,
    /// Where branches were when that was last made durable.
    durable: Mutex<HashMap<RefName, Option<Oid>>>,
}

impl LocalBare {
    /// Opens an existing bare repository.
    ///
    /// # Errors
    /// A path where there is none, or one of a kind that cannot be mirrored to: with a work tree, with SHA-256 ids, or
    /// with refs in another format than files.
    pub fn open(path: &Path) -> Result<Self, RemoteError> {
        let name = path.display().to_string();
        let unfit = |problem: &str| RemoteError::NotARepository {
            remote: name.clone(),
            problem: problem.to_owned(),
        };
        for (part, is_there) in [
            ("directory `objects`", path.join("objects").is_dir()),
            ("directory `refs`", path.join("refs").is_dir()),
            ("file `HEAD`", path.join("HEAD").is_file()),
        ] {
            if !is_there {
                return Err(unfit(&format!(
                    "it has no {part}; give the path of a bare repository"
                )));
            }
        }
        let config = disk::read_optional(&path.join("config"))
            .map_err(|error| RemoteError::from_disk(&name, error))?;
        if let Some(problem) = unfit_config(&config.unwrap_or_default()) {
            return Err(unfit(problem));
        }
        let objects = Objects::open(&path.join("objects"), Writers::Anyone)
            .map_err(|error| RemoteError::from_disk(&name, error))?;
        Ok(Self {
            root: path.to_owned(),
            name,
            refs: Refs::new(path),
            objects,
            own_packs: OwnPacks::new(path),
            durable: Mutex::default(),
        })
    }

    /// Makes a bare repository without commits and opens it; `head` is the branch that a clone checks out.
    ///
    /// # Errors
    /// A path where there is something already, or that cannot be written.
    pub fn init(path: &Path, head: &RefName) -> Result<Self, RemoteError> {
        let name = path.display().to_string();
        let occupied = match fs::read_dir(path) {
            Ok(mut files) => files.next().is_some(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if occupied {
            let problem = "there is something at this path already; give a new one".to_owned();
            return Err(RemoteError::NotARepository {
                remote: name,
                problem,
            });
        }
        // Writing a repository is what the store does too, and its errors say what to mend.
        layout::create_bare(path, head).map_err(StoreError::from)?;
        Self::open(path)
    }

    /// Returns the repository's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Reads where a branch is, and makes sure that a power cut does not move it back: who moved it may have been killed
    /// before that, and whoever reads it now builds on it.
    fn read_durably(&self, refname: &RefName) -> Result<Option<Oid>, RefsError> {
        let tip = self.refs.read(refname)?;
        if self.durable().get(refname) != Some(&tip) {
            self.refs.sync(refname)?;
            self.durable().insert(refname.clone(), tip);
        }
        Ok(tip)
    }

    fn durable(&self) -> MutexGuard<'_, HashMap<RefName, Option<Oid>>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a pack durably; it stays until what is returned is dropped.
    fn store_pack(&self, pack: &Pack) -> Result<Kept, PushError> {
        let at_disk = |error| self.disk_error(error);
        let held = self.own_packs.hold().map_err(at_disk)?;
        let held = held.ok_or_else(|| PushError::Busy {
            remote: self.name.clone(),
        })?;
        let packs = self.root.join("objects/pack");
        let file = PackFile::new(&packs, pack.name);
        // One that is there already may be somebody else's.
        let becomes_own = !file.pack.exists() && rollup::is_small(pack.byte_len());
        let own = becomes_own.then(|| self.own_packs.path(OwnPack::Whole(pack.name)));
        let kept = Kept::new(&file, held, own).map_err(at_disk)?;
        pack.store(&packs, Durability::Synced).map_err(at_disk)?;
        Ok(kept)
    }

    /// The push has succeeded whatever becomes of this; the next one tries again.
    fn roll_up(&self) {
        match rollup::roll_up(&self.root, &self.own_packs) {
            Ok(done) if done == rollup::RolledUp::default() => {}
            Ok(rollup::RolledUp { joined, removed }) => {
                tracing::debug!(remote = self.name, joined, removed, "joined packs");
            }
            Err(error) => {
                tracing::warn!(remote = self.name, %error, source = error.source().map(tracing::field::display), "packs cannot be joined; they pile up until `git gc` is run there");
            }
        }
    }

    fn read_error(&self, error: RefsError) -> RemoteError {
        let remote = self.name.clone();
        match error {
            RefsError::Disk(error) => RemoteError::from_disk(&self.name, error),
            RefsError::Refused(problem) => RemoteError::NotARepository { remote, problem },
            RefsError::Damaged(problem) => RemoteError::Damaged { remote, problem },
            RefsError::Moved(_) | RefsError::Locked(_) | RefsError::Busy => RemoteError::Unreachable {
                remote,
                source: Arc::new(io::ErrorKind::ResourceBusy.into()),
            },
        }
    }

    fn push_error(&self, refname: &RefName, error: RefsError) -> PushError {
        let (remote, refname) = (self.name.clone(), refname.clone());
        match error {
            RefsError::Disk(error) => self.disk_error(error),
            RefsError::Moved(actual) => PushError::RefMoved {
                remote,
                refname,
                actual,
            },
            RefsError::Busy => PushError::Busy { remote },
            RefsError::Locked(path) => PushError::Locked {
                remote,
                refname,
                path,
            },
            RefsError::Refused(said) => PushError::Refused {
                remote,
                refname,
                refusal: Refusal::BranchName,
                said,
            },
            RefsError::Damaged(problem) => PushError::Damaged { remote, problem },
        }
    }

    /// For the objects that the branch's own commit needs, and that are the bases of what is pushed.
    fn completing_error(&self, error: StoreError) -> PushError {
        match object_error(&self.name, error) {
            RemoteError::Unreachable { remote, source } | RemoteError::NotReadable { remote, source } => {
                PushError::Unreachable { remote, source }
            }
            error => PushError::Damaged {
                remote: self.name.clone(),
                problem: error.to_string(),
            },
        }
    }

    fn disk_error(&self, error: DiskError) -> PushError {
        if self.root.join("objects").is_dir() {
            return PushError::from_disk(&self.name, error);
        }
        let problem = "it is not there any more".to_owned();
        PushError::NotARepository {
            remote: self.name.clone(),
            problem,
        }
    }
}

/// Updating branches, step by step.
impl LocalBare {
    /// Settles the updates whose branch is there already, or not where it has to be.
    fn judge_before(&self, outcomes: &mut Outcomes<'_>) {
        for (number, update) in outcomes.open() {
            let refname = &update.refname;
            let actual = match update.new {
                Some(_) => self.read_durably(refname),
                None => self.refs.read(refname),
            };
            match actual {
                Ok(actual) if actual == update.new => outcomes.settle(number, Ok(())),
                Ok(actual) if actual == update.expected_old => {}
                Ok(actual) => {
                    outcomes.settle(number, Err(self.push_error(refname, RefsError::Moved(actual))));
                }
                Err(error) => outcomes.settle(number, Err(self.push_error(refname, error))),
            }
        }
    }

    /// Settles the updates to commits that are not here, as a server does.
    fn require_tips(&self, outcomes: &mut Outcomes<'_>, objects: Option<&PendingPush>) {
        for (number, update) in outcomes.open() {
            let Some(tip) = update.new else { continue };
            if !objects.is_some_and(|push| push.sends(tip)) && !self.objects.contains(tip) {
                let lacking = PushError::Refused {
                    remote: self.name.clone(),
                    refname: update.refname.clone(),
                    refusal: Refusal::MissingObjects,
                    said: format!("there is no object {tip}"),
                };
                outcomes.settle(number, Err(lacking));
            }
        }
    }

    /// Carries out updates, all or none.
    fn swap_all(&self, outcomes: &mut Outcomes<'_>, open: &[(usize, &RefUpdate)]) {
        let updates: Vec<&RefUpdate> = open.iter().map(|(_, update)| *update).collect();
        if updates.is_empty() {
            return;
        }
        let failed = self.refs.swap(&updates).err();
        let has_failed = failed.is_some();
        let mut cause = failed.map(|SwapError { number, error }| (open[number].0, error));
        for (number, update) in open {
            let outcome = match cause.take_if(|(failing, _)| failing == number) {
                Some((_, error)) => self.judge_failed(update, error),
                None if !has_failed => Ok(()),
                // The disk may have failed in the middle: where it is says which of the two it was.
                None => match self.refs.read(&update.refname) {
                    Ok(actual) if actual == update.new => Ok(()),
                    _ => Err(self.held_back(update)),
                },
            };
            if outcome.is_ok() {
                self.durable().insert(update.refname.clone(), update.new);
            }
            outcomes.settle(*number, outcome);
        }
    }

    fn judge_failed(&self, update: &RefUpdate, error: RefsError) -> Result<(), PushError> {
        match error {
            // Another worker was faster with the same.
            RefsError::Moved(actual) if actual == update.new => {
                let tip = self.read_durably(&update.refname);
                tip.map(drop)
                    .map_err(|error| self.push_error(&update.refname, error))
            }
            error => Err(self.push_error(&update.refname, error)),
        }
    }

    fn held_back(&self, update: &RefUpdate) -> PushError {
        PushError::HeldBack {
            remote: self.name.clone(),
            refname: update.refname.clone(),
        }
    }
}

impl Source for LocalBare {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        self.objects.find(id)
    }
}

impl Origin for LocalBare {
    fn remote_name(&self) -> &str {
        &self.name
    }

    fn is_shallow(&self, commit: Oid) -> Result<bool, RemoteError> {
        let list = disk::read_optional(&self.root.join("shallow"))
            .map_err(|error| RemoteError::from_disk(&self.name, error))?;
        let commit = commit.to_string();
        Ok(list
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .any(|line| line == commit.as_bytes()))
    }

    fn contains(&self, id: Oid) -> Result<bool, RemoteError> {
        Ok(self.objects.contains(id))
    }
}

impl Remote for LocalBare {
    fn name(&self) -> &str {
        &self.name
    }

    fn rest(&self) {
        self.objects.rest();
    }

    fn tip(&self, refname: &RefName) -> Result<Option<Oid>, RemoteError> {
        // A repository that vanished must not look like one without branches.
        fs::metadata(self.root.join("HEAD"))
            .map_err(|error| RemoteError::from_disk(&self.name, at(&self.root)(error)))?;
        self.read_durably(refname).map_err(|error| self.read_error(error))
    }

    fn branches(&self) -> Result<Vec<(RefName, Oid)>, RemoteError> {
        fs::metadata(self.root.join("HEAD"))
            .map_err(|error| RemoteError::from_disk(&self.name, at(&self.root)(error)))?;
        self.refs.list().map_err(|error| self.read_error(error))
    }

    fn fetch(&self, tip: Oid, store: &Store, scope: FetchScope) -> Result<Fetched, RemoteError> {
        let (commits_max, with_trees) = match scope {
            FetchScope::CommitsOnly { commits_max } => (commits_max, false),
            FetchScope::TreesOnly { commits_max } => (commits_max, true),
        };
        let mut bringing = Bringing::new(self, store);
        let commits = bringing.first_parents(tip, commits_max.max(1))?;
        let tree = match store.known(tip) {
            Some(known) => Some(known.tree),
            None if with_trees => Some(bringing.trees(tip)?),
            None => None,
        };
        bringing.finish(tree.map(|tree| Known {
            tip,
            tree,
            commits,
            fetched: true,
        }))
    }

    fn fetch_trees(&self, commits: &[Oid], store: &Store) -> Result<Fetched, RemoteError> {
        Bringing::new(self, store).commits_with_trees(commits)
    }

    fn fetch_history(&self, from: &[Oid], store: &Store, commits_max: usize) -> Result<Fetched, RemoteError> {
        Bringing::new(self, store).history(from, commits_max)
    }

    fn read_blobs(&self, ids: &[Oid]) -> Result<Vec<Vec<u8>>, RemoteError> {
        let read = |id: &Oid| {
            self.objects
                .require(*id, Kind::Blob)
                .map_err(|error| object_error(&self.name, error))
        };
        ids.iter().map(read).collect()
    }

    fn update_refs(
        &self,
        updates: &RefUpdates,
        objects: Option<&PendingPush>,
        mode: &PushMode,
    ) -> Result<PushReport, PushError> {
        let mut outcomes = Outcomes::new(updates);
        self.judge_before(&mut outcomes);
        if mode.atomic && outcomes.has_failure() {
            outcomes.settle_rest(|update| self.held_back(update));
        }
        let has_moves = |open: &[(usize, &RefUpdate)]| open.iter().any(|(_, update)| update.new.is_some());
        // If no branch moves now the pack stays as waste. It must: another worker may have pushed the same bytes.
        let kept = match objects.filter(|_| has_moves(&outcomes.open())) {
            Some(push) => {
                let completed = push.completed(&self.objects);
                let completed = completed.map_err(|error| self.completing_error(error))?;
                Some(self.store_pack(&completed.pack())?)
            }
            None => None,
        };
        self.require_tips(&mut outcomes, objects);
        if mode.atomic && outcomes.has_failure() {
            outcomes.settle_rest(|update| self.held_back(update));
        }
        let open = outcomes.open();
        if mode.atomic {
            self.swap_all(&mut outcomes, &open);
        } else {
            for one in open {
                self.swap_all(&mut outcomes, &[one]);
            }
        }
        if kept.is_some() {
            drop(kept);
            self.roll_up();
        }
        // There is nobody to hand push options to.
        Ok(outcomes.report(false))
    }

    fn visibility(&self) -> Result<Visibility, RemoteError> {
        // Who may read the operator's own disk is the operator's affair.
        Ok(Visibility::Private)
    }
}

/// Says why a repository with this configuration cannot be mirrored to.
fn unfit_config(content: &[u8]) -> Option<&'static str> {
    let Ok(config) = gix::config::File::try_from(String::from_utf8_lossy(content).as_ref()) else {
        return Some("its `config` cannot be read");
    };
    let text = |key: &str| {
        config
            .string(key)
            .map(|value| value.to_string().to_ascii_lowercase())
    };
    let bare = config.boolean("core.bare").ok().flatten().unwrap_or(true);
    if !bare || text("core.worktree").is_some() {
        Some("it has a work tree, whose files would not follow; give the path of a bare repository")
    } else if text("extensions.objectFormat").is_some_and(|format| format != "sha1") {
        Some(
            "its object ids are SHA-256, and the mirror writes SHA-1; give one made with `git init --bare --object-format=sha1`",
        )
    } else if text("extensions.refStorage").is_some_and(|format| format != "files") {
        Some("its refs are not kept in files (`git refs migrate --ref-format=files` changes that)")
    } else if text("core.repositoryFormatVersion")
        .is_some_and(|version| !matches!(version.as_str(), "0" | "1"))
    {
        Some("its format is newer than this program")
    } else {
        None
    }
}
