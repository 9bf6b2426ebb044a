//! Compiled guests on disk, so that a start need not compile them.
//!
//! Compiled code is trusted code: who can put a file into the directory could run anything in this
//! process. So each file carries a keyed code over its content and over what it was compiled from
//! and for. A file without the right code is never loaded; it is compiled anew and replaced.

use crate::error::SandboxError;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    fs::{self, File},
    hash::{Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
};
use tracing::{debug, warn};
use wasmtime::{Engine, component::Component};

/// Changes when the form of the files does.
const FORMAT: &[u8] = b"kbc-mirror compiled guest 1\n";
const MAC_BYTES: usize = 32;
const SUFFIX: &str = "cwasm";
/// Files that stay. An upgrade or a changed policy leaves its old files behind.
const FILES_MAX: usize = 256;
/// Loads that find the kernel busy before it counts as a failure.
const BUSY_MAX: u32 = 20;

/// A directory of compiled guests, or none.
pub(crate) struct Cache {
    dir: Option<PathBuf>,
    key: [u8; 32],
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// Makes the directory, for its owner only.
    pub(crate) fn open(dir: Option<PathBuf>, key: [u8; 32]) -> Result<Self, SandboxError> {
        if let Some(path) = &dir {
            create_private(path).map_err(|source| SandboxError::CacheDir {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Self { dir, key })
    }

    /// Loads the component that was compiled from the bytes with this digest for this engine.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest)?;
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(file = %path.display(), %error, "cannot read a compiled guest; it is compiled anew");
                return None;
            }
        };
        let Some(code) = self.authentic(&file, engine, digest) else {
            warn!(file = %path.display(), "a compiled guest is damaged or not ours; it is compiled anew");
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => {
                touch(&path);
                Some(component)
            }
            Err(error) => {
                debug!(file = %path.display(), %error, "a compiled guest does not load; it is compiled anew");
                None
            }
        }
    }

    /// Keeps a compiled component. A failure costs time at the next start and nothing else.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let Some(path) = self.path(engine, digest) else {
            return;
        };
        let stored = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| replace(&path, &[FORMAT, &self.mac(engine, digest, &code), &code]));
        if let Err(error) = stored {
            warn!(file = %path.display(), %error, "cannot keep a compiled guest; the next start compiles it again");
        }
        if let Some(dir) = &self.dir
            && let Err(error) = drop_oldest(dir, &path)
        {
            warn!(dir = %dir.display(), %error, "cannot tidy the compiled guests");
        }
    }

    fn path(&self, engine: &Engine, digest: &str) -> Option<PathBuf> {
        let compatibility = data_encoding::HEXLOWER.encode(&compatibility(engine)[..8]);
        self.dir
            .as_ref()
            .map(|dir| dir.join(format!("{digest}-{compatibility}.{SUFFIX}")))
    }

    /// Returns the compiled code in a file that carries the right code.
    fn authentic<'f>(&self, file: &'f [u8], engine: &Engine, digest: &str) -> Option<&'f [u8]> {
        let (mac, code) = file.strip_prefix(FORMAT)?.split_at_checked(MAC_BYTES)?;
        self.keyed(engine, digest, code)
            .verify_slice(mac)
            .ok()
            .map(|()| code)
    }

    fn mac(&self, engine: &Engine, digest: &str, code: &[u8]) -> [u8; MAC_BYTES] {
        self.keyed(engine, digest, code).finalize().into_bytes().into()
    }

    fn keyed(&self, engine: &Engine, digest: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // All parts but the last have a fixed length, so no two inputs run together.
        mac.update(FORMAT);
        mac.update(&Sha256::digest(digest));
        mac.update(&compatibility(engine));
        mac.update(code);
        mac
    }
}

/// Loads compiled code.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot check compiled code, so loading it is unsafe"
)]
pub(crate) fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` must come from `Component::serialize` unchanged. One caller has verified a
    // keyed code over these very bytes, and only `Cache::store` makes one, over what `serialize`
    // returned. The other has them from a pipe to a child process of this very program, which ran nothing
    // but the compiler and, in the sandbox, the guest. wasmtime itself checks that its version and the
    // engine's settings are the same.
    patient(|| unsafe { Component::deserialize(engine, code) })
}

/// Loads again what could not be loaded since the kernel had pages of its memory image in use: under memory pressure
/// they may be isolated for reclaim or migration while wasmtime seals the image, and then `F_ADD_SEALS` fails with
/// `EBUSY` (fcntl(2)), whatever the component is.
fn patient<T>(mut load: impl FnMut() -> wasmtime::Result<T>) -> wasmtime::Result<T> {
    for _ in 0..BUSY_MAX {
        match load() {
            // The kernel has waited for the pages by itself, up to 150 ms.
            Err(error) if is_busy(&error) => {
                debug!("the kernel is busy with pages of a guest's memory; it is loaded again");
            }
            loaded => return loaded,
        }
    }
    load()
}

fn is_busy(error: &wasmtime::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let system = cause.downcast_ref::<io::Error>();
        system.is_some_and(|system| system.kind() == io::ErrorKind::ResourceBusy)
    })
}

/// Returns a digest of what compiled code depends on beside the component: wasmtime, its settings
/// and the processor.
fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Digesting(Sha256);
    impl Hasher for Digesting {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            let digest: [u8; 32] = self.0.clone().finalize().into();
            u64::from_le_bytes([
                digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
            ])
        }
    }
    let mut hasher = Digesting(Sha256::new_with_prefix(env!("CARGO_PKG_VERSION")));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

fn create_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Writes a file so that it is there as a whole or not at all.
///
/// Two writers may share the temporary file: the worst of it is a file without the right code.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Notes that a file was used now, so that others are dropped before it. That it cannot be noted costs a compilation at most.
#[expect(
    clippy::disallowed_methods,
    reason = "the time of a file, which only says which of them goes first"
)]
fn touch(path: &Path) {
    let touched = File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    if let Err(error) = touched {
        debug!(file = %path.display(), %error, "cannot note that a compiled guest was used");
    }
}

/// Removes the files that were written or loaded longest ago, where there are too many. Never `keep`.
fn drop_oldest(dir: &Path, keep: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) && path != keep {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    let surplus = (files.len() + 1).saturating_sub(FILES_MAX);
    files
        .iter()
        .take(surplus)
        .try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let name = |number: usize| root.path().join(format!("{number:03}.{SUFFIX}"));
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        for number in 0..FILES_MAX {
            let file = File::create(name(number)).unwrap();
            let minutes = std::time::Duration::from_secs(60 * number as u64);
            file.set_modified(long_ago + minutes).unwrap();
        }
        // The oldest is in use.
        touch(&name(0));
        let new = root.path().join(format!("new.{SUFFIX}"));
        File::create(&new).unwrap();
        drop_oldest(root.path(), &new).unwrap();
        let is_there = [&name(0), &name(1), &name(2), &new].map(|path| path.exists());
        assert_eq!(is_there, [true, false, true, true]);
    }

    #[test]
    fn a_busy_kernel_is_asked_again_and_nothing_else_is() {
        let fails = |kind: ErrorKind, times: u32| {
            let mut loads = 0;
            let loaded = patient(|| {
                loads += 1;
                match loads <= times {
                    true => Err(wasmtime::Error::from(io::Error::from(kind)).context("cannot load it")),
                    false => Ok(()),
                }
            });
            (loaded.is_ok(), loads)
        };
        assert_eq!(fails(ErrorKind::ResourceBusy, 3), (true, 4));
        assert_eq!(fails(ErrorKind::ResourceBusy, u32::MAX), (false, BUSY_MAX + 1));
        assert_eq!(fails(ErrorKind::InvalidData, 3), (false, 1));
    }
}
