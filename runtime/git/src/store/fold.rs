//! Keeps the store small: few packs, and no more than the live trees need.
//!
//! Each push leaves a pack, and every look-up may have to ask every pack. So after a push small packs are joined into
//! one, by copying entries as they are; blobs are left behind, since nobody reads them again. When that has made as
//! much waste as there is use, only what the tips need is taken along.

use super::{Store, TRASH, Upkeep};
use crate::{
    commit,
    disk::{self, at},
    error::StoreError,
    idx,
    objects::Source,
    pack::{self, Encoder, Pack, Run},
    packfile::PackFile,
    tree::{BaseTree, Entry},
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// With this many packs besides the pending ones, they are folded.
pub(super) const PACKS_UNFOLDED_MAX: usize = 16;

/// A pack on disk, and its size.
struct OnDisk {
    file: PackFile,
    bytes: u64,
}

/// Folds if there are too many packs, and nobody relies on what is here.
pub(super) fn fold(store: &Store, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    upkeep.pending.retain(|pending| pending.alive.strong_count() > 0);
    if upkeep.holders > 0 {
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
        return Ok(());
    }
    packs.sort_by_key(|pack| std::cmp::Reverse(pack.bytes));
    let small: u64 = packs[1..].iter().map(|pack| pack.bytes).sum();
    if small < packs[0].bytes / 2 {
        join(store, &packs[1..], |_, kind| kind != Kind::Blob)
    } else {
        let live = live(store, upkeep)?;
        upkeep.known.forget_all_but(&live);
        join(store, &packs, |id, _| live.contains(id))
    }
}

/// Replaces `packs` by one with the wanted objects.
fn join(store: &Store, packs: &[OnDisk], wanted: impl Fn(&Oid, Kind) -> bool) -> Result<(), StoreError> {
    let mut run = Run::default();
    let mut seen = HashSet::new();
    let mut encoder = Encoder::new();
    for pack in packs {
        copy(
            store,
            &pack.file,
            &mut |id, kind| wanted(id, kind) && seen.insert(*id),
            &mut run,
            &mut encoder,
        )?;
    }
    let joined = Pack::assemble(vec![run]);
    if joined.objects > 0 {
        joined.store(&store.packs())?;
    }
    tracing::debug!(
        packs = packs.len(),
        objects = joined.objects,
        bytes = joined.bytes.len(),
        "folded packs"
    );
    for pack in packs.iter().filter(|pack| pack.file.name != joined.name) {
        pack.file.remove()?;
    }
    Ok(())
}

fn copy(
    store: &Store,
    pack: &PackFile,
    take: &mut impl FnMut(&Oid, Kind) -> bool,
    run: &mut Run,
    encoder: &mut Encoder,
) -> Result<(), StoreError> {
    for entry in pack.read()?.entries() {
        let entry = entry?;
        let id = entry.id();
        match entry.kind() {
            Some(kind) if take(&id, kind) => entry.copy_to(run)?,
            Some(_) => {}
            // A delta, from a pack that somebody else made: it is stored whole.
            None => {
                let (kind, content) = store.objects().find(id)?.ok_or(StoreError::Missing { id })?;
                if take(&id, kind) {
                    run.push(encoder, id, kind, &content);
                }
            }
        }
    }
    Ok(())
}

/// Returns the commits and trees that the next pushes may be built on.
fn live(store: &Store, upkeep: &mut Upkeep) -> Result<HashSet<Oid>, StoreError> {
    let mut live = HashSet::new();
    let mut is_whole = true;
    let pending = upkeep.pending.iter().map(|pending| pending.new);
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
        let bytes = match fs::metadata(&file.pack) {
            Ok(pack) => pack.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Lost, not ours to explain; an index without a pack only misleads.
                tracing::warn!(path = %file.pack.display(), "removing the index of a lost pack");
                disk::remove(&file.index)?;
                continue;
            }
            Err(error) => return Err(at(&file.pack)(error).into()),
        };
        packs.push(OnDisk { file, bytes });
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

/// Returns whether the index is whole and the pack has the length and the end that the index tells of.
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
    let mut trailer = [0; pack::TRAILER_BYTES];
    file.seek(SeekFrom::Start(body))
        .and_then(|_| file.read_exact(&mut trailer))
        .map_err(at(pack))?;
    let named = &content[content.len() - 2 * pack::TRAILER_BYTES..][..pack::TRAILER_BYTES];
    Ok(named == trailer && rows.iter().all(|row| row.offset < body))
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
