//! Branches of a repository on disk, changed by compare-and-swap.
//!
//! Follows Git's files format: one file per branch, `packed-refs` for those that Git has packed, and a `.lock` file
//! beside whatever is being changed, so that Git and the mirror exclude each other.
//!
//! A lock file cannot tell whether its owner is alive. Ours can: every process first takes the system's lock on
//! `kbc-mirror.lock` in the repository, which dies with it, and its lock files carry a mark. Whoever holds the
//! system's lock and meets a lock file with our mark knows that its owner is dead, and removes it. A lock file without
//! the mark belongs to another program and is never removed, only reported.

mod swap;

use crate::{
    disk::{self, DiskError, at},
    patience::{Patience, lock_within},
    refname::RefName,
};
use mirror_core::ids::Oid;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use swap::SwapError;

/// The branches of the repository at a path.
#[derive(Debug)]
pub(crate) struct Refs {
    root: PathBuf,
}

#[derive(Debug)]
pub(crate) enum RefsError {
    Disk(DiskError),
    /// The branch is elsewhere.
    Moved(Option<Oid>),
    /// Another program's lock file is in the way.
    Locked(PathBuf),
    /// Another process of ours is in the way.
    Busy,
    /// The repository's other branches, or what the branch is, do not allow the change.
    Refused(String),
    Damaged(String),
}

impl From<DiskError> for RefsError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

const MARK: &[u8] = b"locked by kbc-mirror\n";
const OWN_LOCK: &str = "kbc-mirror.lock";
/// As long as Git itself waits for the lock of `packed-refs`; for that of a branch it waits a tenth of it.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Another worker may wait for two of Git's locks and for a slow disk.
const OWN_LOCK_WAIT: Duration = Duration::from_secs(3);

impl Refs {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Returns where a branch is; none if there is no such branch.
    pub(crate) fn read(&self, refname: &RefName) -> Result<Option<Oid>, RefsError> {
        let path = self.root.join(refname.as_str());
        // Packing moves a branch from its file to `packed-refs`; one that has just left its file is found there.
        let loose = if path.is_dir() {
            None
        } else {
            disk::read_optional(&path)?
        };
        match loose {
            Some(content) => parse_loose(refname.as_str(), &content).map(Some),
            None => Ok(self.packed()?.remove(refname.as_str())),
        }
    }

    /// Returns all branches that the mirror could name.
    pub(crate) fn list(&self) -> Result<Vec<(RefName, Oid)>, RefsError> {
        // The files first: packing moves a branch from its file to `packed-refs`, so the other way round one that is
        // packed meanwhile would be in neither.
        let mut loose: BTreeMap<String, Option<Oid>> = BTreeMap::new();
        let mut open = vec!["refs/heads".to_owned()];
        while let Some(directory) = open.pop() {
            let path = self.root.join(&directory);
            let files = match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                files => files.map_err(at(&path))?,
            };
            for file in files {
                let file = file.map_err(at(&path))?;
                let Ok(name) = file.file_name().into_string() else {
                    continue;
                };
                let full = format!("{directory}/{name}");
                if file.file_type().map_err(at(&path))?.is_dir() {
                    open.push(full);
                } else if let Ok(refname) = RefName::parse(&full) {
                    match self.read(&refname) {
                        Ok(Some(id)) => drop(loose.insert(full, Some(id))),
                        // A symbolic ref: no branch of its own.
                        Err(RefsError::Refused(_)) => drop(loose.insert(full, None)),
                        // Deleted meanwhile.
                        Ok(None) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let mut found = self.packed()?;
        found.retain(|name, _| name.starts_with("refs/heads/"));
        for (name, id) in loose {
            match id {
                Some(id) => drop(found.insert(name, id)),
                None => drop(found.remove(&name)),
            }
        }
        Ok(found
            .into_iter()
            .filter_map(|(name, id)| Some((RefName::parse(&name).ok()?, id)))
            .collect())
    }

    /// Makes durable where a branch is: who was killed may have moved it, or made its directory, without syncing that.
    pub(crate) fn sync(&self, refname: &RefName) -> Result<(), DiskError> {
        let path = self.root.join(refname.as_str());
        let within = |directory: &&Path| directory.starts_with(&self.root);
        for directory in path.ancestors().skip(1).take_while(within) {
            if directory.is_dir() {
                disk::sync_directory(directory)?;
            }
        }
        Ok(())
    }

    /// Makes the directory for a branch's file. Git allows no branch below another one.
    fn make_room(&self, refname: &RefName) -> Result<(), RefsError> {
        let full = refname.as_str();
        let in_the_way = |other: &str| {
            RefsError::Refused(format!(
                "branch `{other}` exists; rename or delete one of the two"
            ))
        };
        let packed = self.packed()?;
        let mut parents = full.match_indices('/').map(|(at, _)| &full[..at]).skip(2);
        if let Some(parent) =
            parents.find(|parent| self.root.join(parent).is_file() || packed.contains_key(*parent))
        {
            return Err(in_the_way(parent));
        }
        let below = format!("{full}/");
        if let Some((other, _)) = packed
            .range(below.clone()..)
            .next()
            .filter(|(other, _)| other.starts_with(&below))
        {
            return Err(in_the_way(other));
        }
        let path = self.root.join(full);
        if path.is_dir() {
            remove_empty(&path).map_err(|_| in_the_way(&below))?;
        }
        Ok(disk::create_directories(path.parent().unwrap_or(&self.root))?)
    }

    fn packed(&self) -> Result<BTreeMap<String, Oid>, RefsError> {
        match disk::read_optional(&self.root.join("packed-refs"))? {
            Some(content) => parse_packed(&content),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Waits until no other process of ours changes a branch here, but not for ever: the other one may hang, or be
    /// stopped, and who stops this one does not want to wait for it.
    fn take_own_lock(&self) -> Result<File, RefsError> {
        let path = self.root.join(OWN_LOCK);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        if !lock_within(&file, OWN_LOCK_WAIT).map_err(at(&path))? {
            return Err(RefsError::Busy);
        }
        if disk::read_optional(&path)?.as_deref() != Some(MARK) {
            file.set_len(0)
                .and_then(|()| file.write_all(MARK))
                .map_err(at(&path))?;
        }
        Ok(file)
    }

    /// Takes Git's lock on a file, for which another program gets the time that a change takes. Needs our own lock to be
    /// held.
    fn lock(&self, target: &Path) -> Result<LockFile, RefsError> {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let mut patience = Patience::new(LOCK_WAIT);
        loop {
            match self.make_lock_file(&path) {
                Ok(()) => return Ok(LockFile(path)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(at(&path)(error).into());
                }
                Err(_) => {}
            }
            match disk::read_optional(&path)? {
                Some(content) if content == MARK => {
                    tracing::warn!(path = %path.display(), "removing the lock of a process that died");
                    disk::remove(&path)?;
                }
                _ if patience.wait() => {}
                _ => return Err(RefsError::Locked(path)),
            }
        }
    }

    /// As a link to a file with our mark, so that there is no moment when the lock is there without it.
    fn make_lock_file(&self, path: &Path) -> io::Result<()> {
        match fs::hard_link(self.root.join(OWN_LOCK), path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                ) =>
            {
                // A file system without links.
                File::create_new(path).and_then(|mut file| file.write_all(MARK))
            }
            made => made,
        }
    }
}

/// A lock file, removed when it goes out of scope.
struct LockFile(PathBuf);

impl Drop for LockFile {
    fn drop(&mut self) {
        // If this fails, the next one to take the lock finds our mark.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a directory that holds nothing but empty directories.
fn remove_empty(directory: &Path) -> io::Result<()> {
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        if !path.is_dir() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        remove_empty(&path)?;
    }
    fs::remove_dir(directory)
}

fn parse_loose(name: &str, content: &[u8]) -> Result<Oid, RefsError> {
    let text = std::str::from_utf8(content).unwrap_or_default().trim_end();
    if text.starts_with("ref:") {
        return Err(RefsError::Refused(format!(
            "`{name}` is a symbolic ref; name the branch that it points to"
        )));
    }
    Oid::parse(text).map_err(|_| RefsError::Damaged(format!("`{name}` does not hold an object id")))
}

/// Parses `packed-refs`: comments, `<id> <name>`, and `^<id>` with what the tag before it points to.
fn parse_packed(content: &[u8]) -> Result<BTreeMap<String, Oid>, RefsError> {
    let damaged = || RefsError::Damaged("`packed-refs` has a line without id and name".to_owned());
    let mut refs = BTreeMap::new();
    for line in content
        .split(|byte| *byte == b'\n')
        .filter(|line| !matches!(line.first(), None | Some(b'#' | b'^')))
    {
        let (id, name) = line.split_at_checked(40).ok_or_else(damaged)?;
        let id = std::str::from_utf8(id)
            .ok()
            .and_then(|id| Oid::parse(id).ok())
            .ok_or_else(damaged)?;
        let name = name.strip_prefix(b" ").ok_or_else(damaged)?;
        // A name that is not UTF-8 is not a branch of ours.
        if let Ok(name) = std::str::from_utf8(name) {
            refs.insert(name.trim_end().to_owned(), id);
        }
    }
    Ok(refs)
}

/// Returns `packed-refs` without one name (and what follows it, if it is a tag).
fn without(content: &[u8], name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut dropping = false;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let own = line
            .get(41..)
            .is_some_and(|rest| rest.trim_ascii_end() == name.as_bytes());
        dropping = own || (dropping && line.starts_with(b"^"));
        if !dropping {
            out.extend_from_slice(line);
        }
    }
    out
}
