//! The spool: objects as they were fetched, between finding out where they belong and rendering them.
//!
//! A little is held in memory. What is more lies in a file without a name, sealed with a key that only this
//! spool has: raw objects hold secrets, which must not be read from a disk, be it after a crash. What does
//! not fit there either is not kept, and has to be fetched again. Knows nothing of what objects mean.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Key},
};
use mirror_core::{cut::ConfigKey, ids::ObjectKey, layout::SourceObject};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// How much a spool keeps, and where.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Bytes of objects that are held in memory.
    pub held_bytes_max: usize,
    /// Bytes of the file. Buckets and runs are let in above it: there are few, and they cannot be asked for one
    /// by one.
    pub file_bytes_max: u64,
    /// Where the file is made, which has no name there.
    pub directory: PathBuf,
}

/// Why the spool failed. The attempt ends, and begins anew.
#[derive(Debug, Error)]
pub enum SpoolError {
    #[error("no file for fetched objects can be made in `{}`", directory.display())]
    Create {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the file of fetched objects cannot be {done}")]
    File {
        done: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the file of fetched objects is not what was written; the disk may be failing")]
    Changed,
}

/// What a spool has of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on its way to the renderer"
)]
pub enum Spooled {
    Object(SourceObject),
    /// There was no room: it has to be fetched again.
    NotKept,
}

/// Fetched objects by key.
#[derive(Debug)]
pub struct Spool {
    limits: SpoolLimits,
    slots: BTreeMap<ObjectKey, Slot>,
    held_bytes: usize,
    file: Option<SealedFile>,
}

#[derive(Debug)]
enum Slot {
    Held(Box<SourceObject>),
    Sealed { offset: u64, bytes: u32 },
    NotKept,
}

impl Spool {
    #[must_use]
    pub fn new(limits: SpoolLimits) -> Self {
        Self {
            limits,
            slots: BTreeMap::new(),
            held_bytes: 0,
            file: None,
        }
    }

    /// Keeps an object, in place of an earlier one of the same key.
    ///
    /// # Errors
    /// A file that cannot be made or written. A full disk is no error: then the object is not kept.
    ///
    /// # Panics
    /// Never: objects are plain data.
    pub fn put(&mut self, object: SourceObject) -> Result<(), SpoolError> {
        self.remove(&object.key);
        let bytes = weight(&object);
        let key = object.key.clone();
        let slot = if self.held_bytes + bytes <= self.limits.held_bytes_max {
            self.held_bytes += bytes;
            Slot::Held(Box::new(object))
        } else {
            let text = serde_json::to_vec(&object).expect("objects are plain data");
            let bytes_max = match key {
                ObjectKey::Config { .. }
                | ObjectKey::Row { .. }
                | ObjectKey::Table(_)
                | ObjectKey::Sample(_) => self.limits.file_bytes_max,
                ObjectKey::Branch | ObjectKey::Bucket(_) | ObjectKey::Job(_) => u64::MAX,
            };
            self.seal(&text, bytes_max)?
        };
        self.slots.insert(key, slot);
        Ok(())
    }

    fn seal(&mut self, text: &[u8], bytes_max: u64) -> Result<Slot, SpoolError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SealedFile::create(&self.limits.directory)?),
        };
        file.append(text, bytes_max)
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Some(Slot::Held(object)) = self.slots.remove(key) {
            self.held_bytes -= weight(&object);
        }
    }

    /// Forgets a configuration and its rows.
    pub fn forget(&mut self, key: &ConfigKey) {
        let own = |object: &&ObjectKey| object.config() == Some((&key.component, &key.config));
        let keys: Vec<ObjectKey> = self.slots.keys().filter(own).cloned().collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// Returns an object; none where it was never put.
    ///
    /// # Errors
    /// A file that cannot be read or was changed.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Spooled>, SpoolError> {
        let found = match self.slots.get(key) {
            None => return Ok(None),
            Some(Slot::Held(object)) => Spooled::Object((**object).clone()),
            Some(Slot::NotKept) => Spooled::NotKept,
            Some(Slot::Sealed { offset, bytes }) => {
                let file = self.file.as_ref().ok_or(SpoolError::Changed)?;
                let text = file.read(*offset, *bytes)?;
                Spooled::Object(serde_json::from_slice(&text).map_err(|_| SpoolError::Changed)?)
            }
        };
        Ok(Some(found))
    }

    #[must_use]
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.slots.contains_key(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.slots.keys()
    }
}

/// Returns how many bytes of memory an object takes, about.
#[must_use]
pub fn weight(object: &SourceObject) -> usize {
    let metadata = object
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len() + 48);
    object.source.len() + metadata.sum::<usize>() + 256
}

/// A file that only this process can read, and only as long as it is open.
struct SealedFile {
    file: File,
    cipher: XChaCha20Poly1305,
    end: u64,
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedFile({} bytes)", self.end)
    }
}

impl SealedFile {
    fn create(directory: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Create {
            directory: directory.to_owned(),
            source,
        };
        let file = tempfile::tempfile_in(directory).map_err(failed)?;
        let key = Key::<XChaCha20Poly1305>::try_generate();
        let key = key.map_err(|error| failed(io::Error::other(error.to_string())))?;
        Ok(Self {
            file,
            cipher: XChaCha20Poly1305::new(&key),
            end: 0,
        })
    }

    /// Under one key no two texts are sealed at the same offset, so it is the nonce, and a text that was moved
    /// to another place does not open.
    fn nonce(offset: u64) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&offset.to_le_bytes());
        nonce.into()
    }

    fn append(&mut self, text: &[u8], bytes_max: u64) -> Result<Slot, SpoolError> {
        let sealed = self.cipher.encrypt(&Self::nonce(self.end), text);
        let sealed = sealed.map_err(|_| SpoolError::Changed)?;
        let (Ok(bytes), offset) = (u32::try_from(sealed.len()), self.end) else {
            return Ok(Slot::NotKept);
        };
        if offset + u64::from(bytes) > bytes_max {
            return Ok(Slot::NotKept);
        }
        match self.file.write_all_at(&sealed, offset) {
            Ok(()) => {}
            Err(error)
                if bytes_max < u64::MAX
                    && matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                // What was written of it is never read, and its offset never used again.
                self.end += u64::from(bytes);
                return Ok(Slot::NotKept);
            }
            Err(source) => {
                return Err(SpoolError::File {
                    done: "written",
                    source,
                });
            }
        }
        self.end += u64::from(bytes);
        Ok(Slot::Sealed { offset, bytes })
    }

    fn read(&self, offset: u64, bytes: u32) -> Result<Vec<u8>, SpoolError> {
        let length = usize::try_from(bytes).map_err(|_| SpoolError::Changed)?;
        let mut sealed = vec![0; length];
        self.file
            .read_exact_at(&mut sealed, offset)
            .map_err(|source| SpoolError::File { done: "read", source })?;
        let opened = self.cipher.decrypt(&Self::nonce(offset), sealed.as_slice());
        opened.map_err(|_| SpoolError::Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn object(id: &str, text: &str) -> SourceObject {
        SourceObject {
            key: key(id),
            component: None,
            source: text.to_owned(),
            metadata: vec![("a".into(), "b".into())],
        }
    }

    fn key(id: &str) -> ObjectKey {
        ObjectKey::Config {
            component: "c".parse().expect("an id"),
            config: id.parse().expect("an id"),
        }
    }

    fn spool(held_bytes_max: usize, file_bytes_max: u64) -> (Spool, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let limits = SpoolLimits {
            held_bytes_max,
            file_bytes_max,
            directory: directory.path().to_owned(),
        };
        (Spool::new(limits), directory)
    }

    #[test]
    fn what_does_not_fit_into_memory_is_sealed_and_what_does_not_fit_there_is_not_kept() {
        let (mut spool, directory) = spool(600, 1_000);
        let secret = "plain-secret ".repeat(20);
        for id in ["1", "2", "3", "4"] {
            spool
                .put(object(id, &format!("{id} {secret}")))
                .expect("there is room");
        }
        let kept = |id: &str| match spool.get(&key(id)).expect("it can be read") {
            Some(Spooled::Object(found)) => {
                assert_eq!(found, object(id, &format!("{id} {secret}")));
                "kept"
            }
            Some(Spooled::NotKept) => "not kept",
            None => "unknown",
        };
        assert_eq!(
            ["1", "2", "3", "4", "5"].map(kept),
            ["kept", "kept", "kept", "not kept", "unknown"]
        );
        let file = spool.file.as_ref().expect("not all is held");
        let mut raw = Vec::new();
        (&file.file).read_to_end(&mut raw).expect("it can be read");
        assert!(!raw.is_empty());
        assert!(!String::from_utf8_lossy(&raw).contains("secret"), "it is sealed");
        let names = std::fs::read_dir(directory.path()).expect("it is there").count();
        assert_eq!(names, 0, "the file has no name");
    }

    #[test]
    fn a_changed_file_does_not_open() {
        let (mut spool, _directory) = spool(0, 10_000);
        spool.put(object("1", "text")).expect("there is room");
        let file = spool.file.as_ref().expect("nothing is held");
        file.file.write_all_at(b"x", 3).expect("it can be written");
        assert!(matches!(spool.get(&key("1")), Err(SpoolError::Changed)));
    }

    #[test]
    fn a_configuration_is_forgotten_with_its_rows() {
        let (mut spool, _directory) = spool(10_000, 0);
        let row = ObjectKey::Row {
            component: "c".parse().expect("an id"),
            config: "1".parse().expect("an id"),
            row: "r".parse().expect("an id"),
        };
        for key in [key("1"), row.clone(), key("2")] {
            let object = SourceObject {
                key,
                ..object("1", "text")
            };
            spool.put(object).expect("there is room");
        }
        spool.forget(&ConfigKey::of(&row).expect("rows are of configurations"));
        assert_eq!(spool.keys().collect::<Vec<_>>(), [&key("2")]);
        assert_eq!(spool.held_bytes, weight(&object("2", "text")));
    }
}
