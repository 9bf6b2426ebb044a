//! What lies in `objects/pack`, and what of it other programs have taken up.

use super::own_packs::{KEEP, KEEP_OWN};
use crate::{
    disk::{self, at},
    pack,
    packfile::PackFileError,
};
use mirror_core::ids::Oid;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct PackDirectory {
    files: HashMap<Oid, Files>,
    /// Packs that a multi-pack index names: without them it would be damaged.
    indexed: HashSet<Oid>,
    /// What processes of the mirror left that died while they pushed.
    pub(super) temporaries: Vec<PathBuf>,
    /// `.keep` files of such processes beside packs that are the mirror's own.
    pub(super) orphans: Vec<(Oid, PathBuf)>,
}

#[derive(Debug, Default)]
struct Files {
    pack: Option<u64>,
    index: Option<u64>,
    /// `.keep`, `.bitmap` and whatever else belongs to a pack: somebody has plans for it.
    others: bool,
}

/// What there is of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Absent,
    /// Pack or index without the other.
    Part,
    /// Pack and index, of so many bytes together.
    Whole(u64),
    /// Another program relies on it.
    TakenUp,
}

const MULTI_PACK_INDEX: &str = "multi-pack-index";

impl PackDirectory {
    pub(super) fn read(directory: &Path) -> Result<Self, PackFileError> {
        let mut this = Self {
            files: HashMap::new(),
            indexed: HashSet::new(),
            temporaries: Vec::new(),
            orphans: Vec::new(),
        };
        for file in fs::read_dir(directory).map_err(at(directory))? {
            let file = file.map_err(at(directory))?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(pack::TEMPORARY) {
                this.temporaries.push(file.path());
            } else if let Some((name, extension)) = split(name) {
                let bytes = match file.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.map_err(at(&file.path()))?.len(),
                };
                let files = this.files.entry(name).or_default();
                match extension {
                    "keep" => match disk::read_optional(&file.path())?.as_deref() {
                        Some(KEEP) => this.temporaries.push(file.path()),
                        Some(KEEP_OWN) => this.orphans.push((name, file.path())),
                        _ => files.others = true,
                    },
                    "pack" => files.pack = Some(bytes),
                    "idx" => files.index = Some(bytes),
                    _ => files.others = true,
                }
            }
        }
        let mut indexes = vec![directory.join(MULTI_PACK_INDEX)];
        let chain = directory.join("multi-pack-index.d");
        match fs::read_dir(&chain) {
            Ok(files) => {
                for file in files {
                    indexes.push(file.map_err(at(&chain))?.path());
                }
                indexes.retain(|path| path.extension().is_none_or(|extension| extension == "midx"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&chain)(error).into()),
        }
        for path in indexes {
            this.indexed.extend(indexed(&path)?);
        }
        Ok(this)
    }

    pub(super) fn presence(&self, name: Oid) -> Presence {
        let files = self.files.get(&name);
        if self.indexed.contains(&name) || files.is_some_and(|files| files.others) {
            return Presence::TakenUp;
        }
        match files.map(|files| (files.pack, files.index)) {
            None | Some((None, None)) => Presence::Absent,
            Some((Some(pack), Some(index))) => Presence::Whole(pack + index),
            Some(_) => Presence::Part,
        }
    }

    /// Returns whether pack and index are there, whoever relies on them.
    pub(super) fn has(&self, name: Oid) -> bool {
        let files = self.files.get(&name);
        files.is_some_and(|files| files.pack.is_some() && files.index.is_some())
    }
}

/// Splits `pack-<name>.<extension>`.
fn split(file: &str) -> Option<(Oid, &str)> {
    let (name, extension) = file.strip_prefix("pack-")?.split_once('.')?;
    Some((Oid::parse(name).ok()?, extension))
}

/// Returns the packs that a multi-pack index names.
fn indexed(path: &Path) -> Result<Vec<Oid>, PackFileError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(at(path))?,
    };
    let names = match pack_names(&mut file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        names => names.map_err(at(path))?,
    };
    let Some(names) = names else {
        return Err(PackFileError::Damaged {
            path: path.to_owned(),
            problem: "it is no multi-pack index that is understood",
        });
    };
    let names = names.split(|byte| *byte == 0);
    let names = names.filter_map(|name| split(std::str::from_utf8(name).ok()?));
    Ok(names.map(|(name, _)| name).collect())
}

/// Reads the names of packs, each followed by a zero byte; none from a file of another kind.
fn pack_names(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    // Signature, version, kind of hash, number of chunks, number of indexes below, number of packs.
    let mut header = [0; 12];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"MIDX") || !matches!(header[4], 1 | 2) {
        return Ok(None);
    }
    // One more row than there are chunks, since each ends where the next one starts.
    let mut rows = vec![[0_u8; 12]; usize::from(header[6]) + 1];
    for row in &mut rows {
        file.read_exact(row)?;
    }
    let offset = |row: &[u8; 12]| row[4..].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    let Some(at) = rows.iter().position(|row| row.starts_with(b"PNAM")) else {
        return Ok(None);
    };
    let (start, Some(end)) = (offset(&rows[at]), rows.get(at + 1).map(offset)) else {
        return Ok(None);
    };
    let mut names = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    let length = end.saturating_sub(start);
    let read = file.take(length).read_to_end(&mut names)?;
    Ok((read as u64 == length).then_some(names))
}

/// Says in the list for clients that fetch over plain HTTP, if there is one, that objects have moved from pack to pack.
pub(super) fn relist(objects: &Path, old: &HashSet<Oid>, new: Oid) -> Result<(), disk::DiskError> {
    let path = objects.join("info/packs");
    let Some(content) = disk::read_optional(&path)? else {
        return Ok(());
    };
    let is_old = |line: &&[u8]| {
        let name = line
            .strip_prefix(b"P ")
            .and_then(|name| std::str::from_utf8(name).ok());
        name.and_then(|name| split(name.trim_end()))
            .is_some_and(|(name, _)| old.contains(&name))
    };
    let lines = || content.split_inclusive(|byte| *byte == b'\n');
    if !lines().any(|line| is_old(&line)) {
        return Ok(());
    }
    let mut listed = format!("P pack-{new}.pack\n").into_bytes();
    lines()
        .filter(|line| !is_old(line))
        .for_each(|line| listed.extend_from_slice(line));
    disk::replace(
        &objects.join("info").join(disk::unique_name("tmp_packs_")),
        &path,
        &listed,
    )
}
