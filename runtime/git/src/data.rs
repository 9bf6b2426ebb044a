//! Bytes that are made once, in order, and then read: few of them in memory, many in a file.
//!
//! A first push may have hundreds of megabytes, made entry by entry and sent part by part. Nobody needs them at once.
//! Knows nothing of Git.

use crate::disk::{self, DiskError, at};
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// So many bytes of one scratch stay in memory.
pub(crate) const IN_MEMORY_MAX: usize = 8 << 20;
/// So much of what was written last stays in memory at least; a longer piece goes to the file at once.
const END_BYTES: usize = 256 << 10;
/// What goes into a file is gathered into parts of this size, and copied in them.
const PART_BYTES: usize = 1 << 20;

/// Bytes that do not change any more. A copy is cheap.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Memory(Bytes),
    File(Stretch),
}

/// A stretch of a file without a name: it is gone with its last reader, however the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    file: Arc<Nameless>,
    range: Range<u64>,
}

#[derive(Debug)]
struct Nameless {
    file: File,
    /// Where it was made.
    path: PathBuf,
    end: Mutex<End>,
}

/// The end of a file's content: what was made last is read first, and small pieces are written together.
#[derive(Debug, Default)]
struct End {
    /// So much is in the file.
    written: u64,
    /// What comes after it.
    rest: Vec<u8>,
}

impl Nameless {
    fn append(&self, bytes: &[u8]) -> Result<Range<u64>, DiskError> {
        let mut end = self.end();
        let start = end.written + end.rest.len() as u64;
        if bytes.len() >= END_BYTES {
            self.write(&mut end, 0)?;
            self.file.write_all_at(bytes, start).map_err(at(&self.path))?;
            end.written += bytes.len() as u64;
        } else {
            end.rest.extend_from_slice(bytes);
            if end.rest.len() >= 2 * END_BYTES {
                self.write(&mut end, END_BYTES)?;
            }
        }
        Ok(start..start + bytes.len() as u64)
    }

    /// Writes the rest but for some bytes.
    fn write(&self, end: &mut End, but_for: usize) -> Result<(), DiskError> {
        let count = end.rest.len() - but_for;
        let written = self.file.write_all_at(&end.rest[..count], end.written);
        written.map_err(at(&self.path))?;
        end.rest.drain(..count);
        end.written += count as u64;
        Ok(())
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, DiskError> {
        let mut bytes = vec![0; size(range.end - range.start)];
        let end = self.end();
        let in_file = size(end.written.clamp(range.start, range.end) - range.start);
        let (from_file, from_rest) = bytes.split_at_mut(in_file);
        if !from_rest.is_empty() {
            let start = size(range.start + in_file as u64 - end.written);
            from_rest.copy_from_slice(&end.rest[start..][..from_rest.len()]);
        }
        drop(end);
        let read = self.file.read_exact_at(from_file, range.start);
        read.map_err(at(&self.path))?;
        Ok(bytes)
    }

    fn end(&self) -> MutexGuard<'_, End> {
        // Whatever panics, what counts as written is.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Data {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(Stretch { range, .. }) => range.end - range.start,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a part.
    ///
    /// # Panics
    /// A part that is beyond the end.
    pub(crate) fn read(&self, part: Range<u64>) -> Result<Bytes, DiskError> {
        assert!(
            part.start <= part.end && part.end <= self.len(),
            "a part of what is there"
        );
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(size(part.start)..size(part.end))),
            Self::File(Stretch { file, range }) => {
                let part = range.start + part.start..range.start + part.end;
                Ok(file.read(part)?.into())
            }
        }
    }

    /// Reads everything.
    pub(crate) fn read_all(&self) -> Result<Bytes, DiskError> {
        self.read(0..self.len())
    }

    /// Takes the first bytes off, as many as there are up to `bytes_max`.
    pub(crate) fn take_front(&mut self, bytes_max: usize) -> Result<Bytes, DiskError> {
        let taken = self.len().min(bytes_max as u64);
        let front = self.read(0..taken)?;
        match self {
            Self::Memory(bytes) => drop(bytes.split_to(size(taken))),
            Self::File(Stretch { range, .. }) => range.start += taken,
        }
        Ok(front)
    }

    /// Returns the parts of it, one after the other.
    pub(crate) fn parts(mut self, bytes_max: usize) -> impl Iterator<Item = Result<Bytes, DiskError>> {
        std::iter::from_fn(move || (!self.is_empty()).then(|| self.take_front(bytes_max)))
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

/// Where files without a name may be made; nowhere by default, so that everything stays in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(Option<PathBuf>);

impl Place {
    pub(crate) fn directory(directory: &Path) -> Self {
        Self(Some(directory.to_owned()))
    }
}

/// Where bytes are put aside: in memory as long as they are few, and then in one file without a name.
#[derive(Debug)]
pub(crate) struct Scratch {
    place: Place,
    in_memory: usize,
    file: Option<Arc<Nameless>>,
    /// How long the file is.
    end: u64,
}

impl Scratch {
    /// Names of its files begin with this until they have none. A crash in between leaves one, empty.
    pub(crate) const TEMPORARY: &str = "tmp_scratch_";

    pub(crate) fn new(place: &Place) -> Self {
        Self {
            place: place.clone(),
            in_memory: 0,
            file: None,
            end: 0,
        }
    }

    /// Puts bytes aside.
    pub(crate) fn keep(&mut self, mut bytes: Vec<u8>) -> Result<Data, DiskError> {
        if self.has_room(bytes.len()) {
            bytes.shrink_to_fit();
            self.in_memory += bytes.len();
            return Ok(bytes.into());
        }
        self.append(&bytes)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.place.0.is_none() || self.in_memory + bytes <= IN_MEMORY_MAX
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Data, DiskError> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let directory = self.place.0.as_deref();
                let directory = directory.expect("where there is no place there is always room");
                let file = Arc::new(nameless(directory)?);
                self.file = Some(Arc::clone(&file));
                file
            }
        };
        let range = file.append(bytes)?;
        self.end = range.end;
        Ok(Data::File(Stretch { file, range }))
    }
}

/// Pieces that are put aside one by one, and read back whole: all but the newest in a file without a name.
///
/// Unlike [`Data`], where a piece lies takes a few bytes, so that there may be very many.
#[derive(Debug)]
pub(crate) struct Shelf {
    place: Place,
    file: Option<Nameless>,
}

/// Where a piece lies on its shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) start: u64,
    pub(crate) bytes: u32,
}

impl Shelf {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            place: place.clone(),
            file: None,
        }
    }

    /// Puts a piece aside; none where nothing can be, or the piece is larger than 4 GB.
    pub(crate) fn put(&mut self, piece: &[u8]) -> Result<Option<Spot>, DiskError> {
        let (Some(directory), Ok(bytes)) = (&self.place.0, u32::try_from(piece.len())) else {
            return Ok(None);
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(directory)?),
        };
        let start = file.append(piece)?.start;
        Ok(Some(Spot { start, bytes }))
    }

    /// Reads a piece back.
    ///
    /// # Panics
    /// A spot of another shelf.
    pub(crate) fn read(&self, Spot { start, bytes }: Spot) -> Result<Vec<u8>, DiskError> {
        let file = self.file.as_ref().expect("a spot is of a shelf with a file");
        file.read(start..start + u64::from(bytes))
    }
}

fn nameless(directory: &Path) -> Result<Nameless, DiskError> {
    let path = directory.join(disk::unique_name(Scratch::TEMPORARY));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let file = file.map_err(at(&path))?;
    disk::remove(&path)?;
    Ok(Nameless {
        file,
        path,
        end: Mutex::default(),
    })
}

/// Bytes while they are written.
#[derive(Debug)]
pub(crate) struct Writing {
    scratch: Scratch,
    /// What is not in the file yet.
    waiting: Vec<u8>,
}

impl Writing {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            scratch: Scratch::new(place),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.scratch.end + self.waiting.len() as u64
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let (is_in_file, more) = (self.scratch.file.is_some(), self.waiting.len() + bytes.len());
        if (is_in_file && more > PART_BYTES) || (!is_in_file && !self.scratch.has_room(more)) {
            self.flush()?;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.scratch.append(&self.waiting)?;
        self.waiting.clear();
        self.waiting.shrink_to(PART_BYTES);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Data, DiskError> {
        if self.scratch.file.is_some() {
            self.flush()?;
        }
        Ok(match self.scratch.file {
            Some(file) => Data::File(Stretch {
                file,
                range: 0..self.scratch.end,
            }),
            None => {
                self.waiting.shrink_to_fit();
                self.waiting.into()
            }
        })
    }
}

/// Copies everything into a file.
pub(crate) fn copy(data: &Data, file: &mut File) -> io::Result<()> {
    let mut parts = data.clone().parts(PART_BYTES);
    parts.try_for_each(|part| file.write_all(&part?))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a part that is read fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pseudo_random_bytes;

    #[test]
    fn few_bytes_stay_in_memory_and_many_are_read_back_from_a_file_without_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::directory(directory.path());
        for size in [0, 1, IN_MEMORY_MAX, IN_MEMORY_MAX + 1, 3 * IN_MEMORY_MAX] {
            let content = pseudo_random_bytes(3, size);
            let mut writing = Writing::new(&place);
            for part in content.chunks(777_777) {
                writing.push(part).unwrap();
            }
            assert_eq!(writing.len(), size as u64);
            let data = writing.finish().unwrap();
            assert_eq!(matches!(data, Data::File(_)), size > IN_MEMORY_MAX);
            assert_eq!(data.read_all().unwrap(), content);
            let parts: Vec<Bytes> = data.clone().parts(1_000_000).map(Result::unwrap).collect();
            assert!(parts.concat() == content);
            let (start, end) = (size / 3, size / 2);
            assert_eq!(data.read(start as u64..end as u64).unwrap(), content[start..end]);
            let copied = directory.path().join("copied");
            copy(&data, &mut File::create(&copied).unwrap()).unwrap();
            assert!(std::fs::read(&copied).unwrap() == content);
            std::fs::remove_file(&copied).unwrap();
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_is_put_aside_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        for place in [Place::default(), Place::directory(directory.path())] {
            let mut scratch = Scratch::new(&place);
            let contents: Vec<Vec<u8>> = (0..30).map(|seed| pseudo_random_bytes(seed, 1 << 20)).collect();
            let kept: Vec<Data> = contents
                .iter()
                .map(|content| scratch.keep(content.clone()).unwrap())
                .collect();
            let in_memory = kept.iter().filter(|data| matches!(data, Data::Memory(_)));
            assert_eq!(in_memory.count(), if place.0.is_some() { 8 } else { 30 });
            drop(scratch);
            for (data, content) in kept.iter().zip(&contents) {
                assert!(data.read_all().unwrap() == content[..]);
            }
        }
    }

    #[test]
    fn small_pieces_are_read_back_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(&Place::directory(directory.path()));
        scratch.keep(vec![0; IN_MEMORY_MAX]).unwrap();
        let piece = |seed: usize| {
            let long = if seed.is_multiple_of(97) { END_BYTES } else { 0 };
            pseudo_random_bytes(seed as u64, long + seed * 7919 % 5000)
        };
        let mut kept: Vec<Data> = Vec::new();
        for seed in 0..500 {
            kept.push(scratch.keep(piece(seed)).unwrap());
            // Just made, and some time ago.
            for earlier in [seed, seed / 2] {
                assert!(kept[earlier].read_all().unwrap() == piece(earlier)[..]);
            }
        }
        let files = kept.iter().filter_map(|data| match data {
            Data::File(stretch) => Some(stretch),
            Data::Memory(_) => None,
        });
        let last = files.last().unwrap();
        let whole = Data::File(Stretch {
            file: Arc::clone(&last.file),
            range: 0..last.range.end,
        });
        let pieces: Vec<u8> = (0..500).flat_map(piece).collect();
        assert!(whole.read_all().unwrap() == pieces[..]);
        let end = last.file.end();
        assert!(end.written > 0 && (1..2 * END_BYTES).contains(&end.rest.len()));
    }

    #[test]
    fn a_shelf_gives_back_each_piece_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::new(&Place::directory(directory.path()));
        let piece = |seed: usize| pseudo_random_bytes(seed as u64, seed * 7919 % 5000);
        let spots: Vec<Spot> = (0..500)
            .map(|seed| shelf.put(&piece(seed)).unwrap().unwrap())
            .collect();
        for (seed, spot) in spots.into_iter().enumerate() {
            assert!(shelf.read(spot).unwrap() == piece(seed));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(Shelf::new(&Place::default()).put(b"piece").unwrap(), None);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let mut scratch = Scratch::new(&Place::directory(&missing));
        let error = scratch.keep(vec![0; IN_MEMORY_MAX + 1]).unwrap_err();
        assert!(error.path.starts_with(&missing));
    }
}
