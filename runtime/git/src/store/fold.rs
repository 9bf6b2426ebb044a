//! Keeps the store small: few packs, and no more than the live trees need.
//!
//! Each push leaves a pack. The last ones are gathered in one file (`recent`) and made a pack together; but every look-up
//! may have to ask every pack. So when there are many the smallest ones are joined, as few as will do, by copying entries as
//! they are. A larger one is left alone and not even read as long as it is twice as large as they are together, so that an
//! object is copied a number of times that is logarithmic in what there is. Of blobs the newest are taken along as far as
//! there is room for them, but not those that others were written over. When all that is beside the largest pack is half as
//! much as that, it has made much waste, and of everything only what the tips need is taken.
//!
//! A joined pack is durable before those that it is made of go: unlike a push, it may hold what was brought long ago.

mod joining;
#[cfg(test)]
mod tests;

use super::{Store, TRASH, Upkeep};
use crate::{
    commit,
    disk::{self, at},
    error::StoreError,
    idx,
    pack::{self, Durability},
    packfile::PackFile,
    tree::{BaseTree, Entry},
};
use gix::objs::Kind;
use joining::Joining;
use mirror_core::ids::Oid;
use std::{
    cmp::Reverse,
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::SystemTime,
};

/// With this many packs besides the pending ones, they are folded.
pub(super) const PACKS_UNFOLDED_MAX: usize = 8;

/// A pack on disk.
struct OnDisk {
    file: PackFile,
    bytes: u64,
    modified: SystemTime,
}

/// Makes a pack of the last pushes, but for those that are still pending.
pub(super) fn put_together(store: &Store, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    upkeep.pending.retain(|pending| pending.alive.strong_count() > 0);
    let Upkeep {
        pending,
        holders,
        replaced,
        ..
    } = &*upkeep;
    let stays = |name| pending.iter().any(|pending| pending.pack == name);
    let is_wanted = |id: &Oid, kind| *holders > 0 || kind != Kind::Blob || !replaced.contains(id);
    upkeep.has_new_packs |= store.objects().put_together(stays, is_wanted)?;
    Ok(())
}

/// Folds if there are too many packs, and nobody relies on what is here.
pub(super) fn fold(store: &Store, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    if store.objects().has_much_recent() {
        put_together(store, upkeep)?;
    }
    upkeep.pending.retain(|pending| pending.alive.strong_count() > 0);
    if upkeep.holders > 0 || !upkeep.has_new_packs {
        return Ok(());
    }
    let directory = store.packs();
    let mut packs = list(&directory)?;
    packs.retain(|pack| {
        upkeep
            .pending
            .iter()
            .all(|pending| pending.pack != pack.file.name)
    });
    if packs.len() <= PACKS_UNFOLDED_MAX {
        upkeep.has_new_packs = false;
        return Ok(());
    }
    packs.sort_by_key(|pack| pack.bytes);
    let sizes: Vec<u64> = packs.iter().map(|pack| pack.bytes).collect();
    let is_blob_of_use = |upkeep: &Upkeep, id: &Oid| !upkeep.replaced.contains(id);
    let count = smallest_to_join(&sizes);
    if count < packs.len() {
        packs.truncate(count);
        join(store, packs, |id, kind| {
            kind != Kind::Blob || is_blob_of_use(upkeep, id)
        })?;
    } else {
        let live = live(store, upkeep)?;
        upkeep.known.forget_all_but(&live);
        join(store, packs, |id, kind| match kind {
            Kind::Blob => is_blob_of_use(upkeep, id),
            _ => live.contains(id),
        })?;
        upkeep.replaced.clear();
    }
    upkeep.has_new_packs = false;
    Ok(())
}

/// Decides how many of the smallest packs to join; `sizes` are in ascending order, in bytes, and too many.
///
/// Each further one is at least twice as large as these together. It is all packs if those beside the largest are
/// half as much as that, or more.
fn smallest_to_join(sizes: &[u64]) -> usize {
    let (largest, small) = sizes.split_last().expect("there are too many packs");
    if small.iter().sum::<u64>() >= largest / 2 {
        return sizes.len();
    }
    // One takes their place.
    let least = sizes.len() - PACKS_UNFOLDED_MAX + 1;
    let (mut count, mut sum) = (0, 0);
    while count < least || sizes[count] < 2 * sum {
        sum += sizes[count];
        count += 1;
    }
    count
}

/// Replaces `packs` by one with the wanted objects; of blobs, with as many of the newest as there is room for.
fn join(
    store: &Store,
    mut packs: Vec<OnDisk>,
    wanted: impl Fn(&Oid, Kind) -> bool,
) -> Result<(), StoreError> {
    packs.sort_by_key(|pack| Reverse(pack.modified));
    let mut joining = Joining::new(store);
    for pack in &packs {
        joining.add(&pack.file, &wanted)?;
    }
    let joined = joining.finish()?;
    if let Some(joined) = &joined {
        store.objects().store(joined, Durability::Synced)?;
    }
    tracing::debug!(
        packs = packs.len(),
        read = packs.iter().map(|pack| pack.bytes).sum::<u64>(),
        objects = joined.as_ref().map(|joined| joined.objects),
        bytes = joined.as_ref().map(|joined| joined.data.len()),
        "folded packs"
    );
    let files = packs.iter().map(|pack| &pack.file);
    let name = joined.map(|joined| joined.name);
    Ok(store
        .objects()
        .remove(files.filter(|file| Some(file.name) != name))?)
}

/// Returns the commits and trees that the next pushes may be built on.
fn live(store: &Store, upkeep: &mut Upkeep) -> Result<HashSet<Oid>, StoreError> {
    let mut live = HashSet::new();
    let mut is_whole = true;
    let pending = upkeep
        .pending
        .iter()
        .flat_map(|pending| pending.new.iter().copied());
    let mut open: Vec<Oid> = Vec::new();
    for tip in store
        .tips()?
        .into_iter()
        .chain(pending)
        .chain(upkeep.known.fetched())
    {
        match commit::read(store.objects(), tip) {
            Ok(commit) => {
                live.insert(tip);
                open.push(commit.tree);
            }
            // A branch that moved where this store was not told of.
            Err(StoreError::Missing { .. }) => is_whole = false,
            Err(error) => return Err(error),
        }
    }
    while let Some(tree) = open.pop() {
        if !live.insert(tree) {
            continue;
        }
        match BaseTree::load(store.objects(), tree) {
            Ok(entries) => open.extend(entries.entries().filter(Entry::is_tree).map(|entry| entry.id)),
            Err(StoreError::Missing { .. }) => is_whole = false,
            Err(error) => return Err(error),
        }
    }
    if !is_whole {
        // Maybe only of a tip that nobody fetched; looking once more costs little.
        upkeep.known.forget();
    }
    Ok(live)
}

fn list(directory: &Path) -> Result<Vec<OnDisk>, StoreError> {
    let mut packs = Vec::new();
    for file in fs::read_dir(directory).map_err(at(directory))? {
        let index = file.map_err(at(directory))?.path();
        let name = index.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".idx"));
        let Some(Ok(name)) = name.map(Oid::parse) else {
            continue;
        };
        let file = PackFile::new(directory, name);
        let (bytes, modified) =
            match fs::metadata(&file.pack).and_then(|pack| Ok((pack.len(), pack.modified()?))) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Lost, not ours to explain; an index without a pack only misleads.
                    tracing::warn!(path = %file.pack.display(), "removing the index of a lost pack");
                    disk::remove(&file.index)?;
                    continue;
                }
                Err(error) => return Err(at(&file.pack)(error).into()),
            };
        packs.push(OnDisk {
            file,
            bytes,
            modified,
        });
    }
    Ok(packs)
}

/// Removes what a killed process left: files being written, and packs without an index.
pub(super) fn sweep(directory: &Path) -> Result<(), StoreError> {
    for file in fs::read_dir(directory).map_err(at(directory))? {
        let path = file.map_err(at(directory))?.path();
        let temporary = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("tmp_"));
        let extension = path.extension().and_then(|extension| extension.to_str());
        let (index, pack) = (path.with_extension("idx"), path.with_extension("pack"));
        if temporary
            || (extension == Some("pack") && !index.exists())
            || (extension == Some("idx") && !pack.exists())
        {
            disk::remove(&path)?;
        } else if extension == Some("idx") && !are_one(&pack, &index)? {
            // Cut off, or overwritten: gix could not read it, and a fetch brings back what was in it.
            tracing::warn!(path = %pack.display(), "removing a damaged pack");
            disk::remove(&index)?;
            disk::remove(&pack)?;
        }
    }
    Ok(())
}

/// Returns whether the index is whole, and the pack is the one that it was made for, byte for byte.
///
/// Nothing here was synced, so after a power cut any part of a file may be anything.
fn are_one(pack: &Path, index: &Path) -> Result<bool, StoreError> {
    let content = fs::read(index).map_err(at(index))?;
    let Some(rows) = idx::decode(&content) else {
        return Ok(false);
    };
    let mut file = File::open(pack).map_err(at(pack))?;
    let bytes = file.metadata().map_err(at(pack))?.len();
    let Some(body) = bytes.checked_sub(pack::TRAILER_BYTES as u64) else {
        return Ok(false);
    };
    let actual = pack::checksum_of(&mut (&mut file).take(body)).map_err(at(pack))?;
    let mut trailer = [0; pack::TRAILER_BYTES];
    file.read_exact(&mut trailer).map_err(at(pack))?;
    let named = &content[content.len() - 2 * pack::TRAILER_BYTES..][..pack::TRAILER_BYTES];
    Ok(actual.is_some_and(|actual| *actual.as_bytes() == trailer)
        && named == trailer
        && rows.iter().all(|row| row.offset < body))
}

/// Removes what a killed process left at the top of a store.
pub(super) fn sweep_root(root: &Path) -> Result<(), StoreError> {
    for file in fs::read_dir(root).map_err(at(root))? {
        let path = file.map_err(at(root))?.path();
        let starts = |prefix| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(prefix))
        };
        if starts(TRASH) {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        } else if starts("tmp_") {
            disk::remove(&path)?;
        }
    }
    Ok(())
}
