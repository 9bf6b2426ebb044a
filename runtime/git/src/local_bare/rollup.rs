//! Keeps the number of packs small that pushes leave in a repository where nobody runs `git gc`.
//!
//! Each push leaves a small pack. When there are many of the mirror's, the small ones are joined into one by copying
//! their entries as they are, so that sizes grow geometrically: an object is copied a number of times that is
//! logarithmic in the size of a pack that is large enough to be left alone. What one push has to do is bounded.
//!
//! No object ever vanishes. The new pack is durable before anything else happens; the old ones stay until the *next*
//! joining, so that who began to read before finds them for as long as some ten pushes take. A process killed at any
//! line leaves at worst an object twice. Others' packs are not touched, nor those of the mirror's that another program
//! has taken up: with a `.keep` or a bitmap beside it, or named by a multi-pack index, a pack is not the mirror's any more.

mod joining;
#[cfg(test)]
mod tests;

use super::{
    own_packs::{Alone, OwnPack, OwnPacks, take_over},
    pack_directory::{self, PackDirectory, Presence},
};
use crate::{
    disk::{self, at},
    pack::{Durability, Pack},
    packfile::{PackFile, PackFileError},
};
use joining::Joining;
use mirror_core::ids::Oid;
use std::{collections::HashSet, fs, io, path::Path, time::Duration};

/// With more packs than this some are joined.
const PACKS_MAX: usize = 50;
/// What is read, and written, at once at most: some tens of milliseconds of work.
const JOINED_BYTES_MAX: u64 = 16 << 20;
/// A pack that large (with its index) is never joined, and not counted.
const SETTLED_BYTES: u64 = JOINED_BYTES_MAX / 2;
/// Older signs of another program's housekeeping are left over from a crash; Git thinks so too.
const HOUSEKEEPING_MAX: Duration = Duration::from_hours(12);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RolledUp {
    /// So many packs were joined into one.
    pub(super) joined: usize,
    /// So many that had been joined before were removed.
    pub(super) removed: usize,
}

/// Returns whether a pack of this size, with its index, may be worth joining.
pub(super) fn is_small(bytes: u64) -> bool {
    bytes < SETTLED_BYTES
}

/// Decides how many of the smallest packs to join; `sizes` are in ascending order, in bytes.
///
/// Afterwards every pack is at least twice as large as all smaller ones together, or the joined one is settled.
fn smallest_to_join(sizes: &[u64]) -> usize {
    if sizes.len() <= PACKS_MAX {
        return 0;
    }
    let (mut count, mut sum) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        if *size < 2 * sum {
            count = at + 1;
        }
        sum += size;
    }
    let mut bytes: u64 = sizes[..count].iter().sum();
    while bytes > JOINED_BYTES_MAX {
        count -= 1;
        bytes -= sizes[count];
    }
    count
}

/// Joins packs if there are many, and nobody else works on them.
pub(super) fn roll_up(root: &Path, own: &OwnPacks) -> Result<RolledUp, PackFileError> {
    let whole = |pack: &OwnPack| matches!(pack, OwnPack::Whole(_));
    if own.list()?.iter().filter(|pack| whole(pack)).count() <= PACKS_MAX {
        return Ok(RolledUp::default());
    }
    let Some(alone) = own.alone()? else {
        return Ok(RolledUp::default());
    };
    if is_housekeeping_running(root, &alone)? {
        return Ok(RolledUp::default());
    }
    let objects = root.join("objects");
    let packs = objects.join("pack");
    let found = PackDirectory::read(&packs)?;
    for left in &found.temporaries {
        disk::remove(left)?;
    }
    for (name, keep) in &found.orphans {
        take_over(keep, &own.path(OwnPack::Whole(*name)))?;
    }
    let removed = remove_joined(own, &packs, &found)?;
    let mut small = Vec::new();
    for pack in own.list()? {
        let OwnPack::Whole(name) = pack else { continue };
        match found.presence(name) {
            Presence::Whole(bytes) if is_small(bytes) => small.push((bytes, name)),
            // Stored by one who was killed before it was whole: nobody was told that it is there.
            Presence::Part => {
                PackFile::new(&packs, name).remove()?;
                own.forget(pack)?;
            }
            Presence::Whole(_) | Presence::TakenUp | Presence::Absent => own.forget(pack)?,
        }
    }
    small.sort_unstable();
    let sizes: Vec<u64> = small.iter().map(|(bytes, _)| *bytes).collect();
    small.truncate(smallest_to_join(&sizes));
    let mut names = Vec::with_capacity(small.len());
    for (_, name) in small {
        let pack = PackFile::new(&packs, name).pack;
        let modified = fs::metadata(&pack).and_then(|file| file.modified());
        names.push((modified.map_err(at(&pack))?, name));
    }
    // What was pushed first is what later ones differ from.
    names.sort_unstable();
    let names: Vec<Oid> = names.into_iter().map(|(_, name)| name).collect();
    let joined = join(own, &objects, &names)?;
    Ok(RolledUp { joined, removed })
}

/// Returns whether `git gc` or `git maintenance` is at work, which look for packs by name.
fn is_housekeeping_running(root: &Path, alone: &Alone) -> Result<bool, PackFileError> {
    for sign in ["gc.pid", "objects/maintenance.lock"] {
        let path = root.join(sign);
        match fs::metadata(&path).and_then(|file| file.modified()) {
            Ok(since) if alone.now.duration_since(since).unwrap_or_default() < HOUSEKEEPING_MAX => {
                return Ok(true);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error).into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(false)
}

/// Removes the packs whose objects are in another one, as long as that is there.
fn remove_joined(own: &OwnPacks, packs: &Path, found: &PackDirectory) -> Result<usize, PackFileError> {
    let mut gone = Vec::new();
    for pack in own.list()? {
        let OwnPack::JoinedInto { old, new } = pack else {
            continue;
        };
        if found.presence(old) == Presence::TakenUp {
            own.forget(pack)?;
        } else if found.has(new) {
            PackFile::new(packs, old).remove()?;
            gone.push(pack);
        } else {
            // Somebody removed the new one, or a power cut: begin again.
            own.change(pack, OwnPack::Whole(old))?;
        }
    }
    if !gone.is_empty() {
        // So that none comes back when it is no longer known as ours.
        disk::sync_directory(packs)?;
    }
    for pack in &gone {
        own.forget(*pack)?;
    }
    Ok(gone.len())
}

/// Puts the objects of these packs into one; returns how many packs were joined.
fn join(own: &OwnPacks, objects: &Path, names: &[Oid]) -> Result<usize, PackFileError> {
    let packs = objects.join("pack");
    let mut joining = Joining::default();
    let mut read = HashSet::new();
    for name in names {
        match joining.add(&PackFile::new(&packs, *name)) {
            Ok(()) => {
                read.insert(*name);
            }
            Err(PackFileError::Damaged { path, problem }) => {
                tracing::warn!(path = %path.display(), problem, "a damaged pack is left as it is; run `git fsck`");
                own.forget(OwnPack::Whole(*name))?;
            }
            Err(error) => return Err(error),
        }
    }
    if read.len() < 2 {
        return Ok(0);
    }
    let joined = Pack::in_memory(joining.into_run());
    if is_small(joined.byte_len()) {
        own.add(joined.name)?;
    }
    joined.store(&packs, Durability::Synced)?;
    read.remove(&joined.name);
    pack_directory::relist(objects, &read, joined.name)?;
    for old in &read {
        let new = joined.name;
        own.change(OwnPack::Whole(*old), OwnPack::JoinedInto { old: *old, new })?;
    }
    Ok(read.len())
}
