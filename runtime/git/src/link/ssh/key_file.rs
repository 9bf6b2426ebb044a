//! A private key for one connection of the `ssh` program, which takes it only as a file.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Once,
};

/// A directory with the key and the server's keys, which nobody else can read; removed when dropped.
#[derive(Debug)]
pub(super) struct KeyFiles {
    directory: PathBuf,
    /// Locked for as long as the files are used: whoever tidies up, in whatever container, leaves them alone.
    _lock: fs::File,
}

const NAME: &str = "kbc-mirror-ssh-";
/// In memory where there is such a place, so that the key never gets to a disk.
const PLACES: [&str; 2] = ["/dev/shm", "/run/shm"];
/// What others left is looked for once: there may be much else in these places.
static SWEPT: Once = Once::new();
/// Somebody may tidy up just when a directory is new.
const ATTEMPTS: usize = 5;

impl KeyFiles {
    pub(super) fn create(private_key: &str, known_hosts: &str) -> io::Result<Self> {
        let temporary = std::env::temp_dir();
        let places: Vec<&Path> = PLACES
            .iter()
            .map(Path::new)
            .filter(|place| place.is_dir())
            .chain([temporary.as_path()])
            .collect();
        SWEPT.call_once(|| places.iter().for_each(|place| sweep(place)));
        Self::create_in(&places, private_key, known_hosts)
    }

    /// Makes them in the first place that takes them.
    fn create_in(places: &[&Path], private_key: &str, known_hosts: &str) -> io::Result<Self> {
        let mut last = io::ErrorKind::NotFound.into();
        for place in places {
            let made = Self::directory_in(place).and_then(|files| {
                // `ssh` reads no key without a line feed at its end.
                write(&files.private_key(), &format!("{}\n", private_key.trim_end()))?;
                write(&files.known_hosts(), known_hosts)?;
                Ok(files)
            });
            match made {
                Ok(files) => return Ok(files),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn directory_in(place: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let directory = place.join(crate::disk::unique_name(NAME));
            fs::DirBuilder::new().mode(0o700).create(&directory)?;
            let Ok(lock) = fs::File::open(&directory) else {
                continue;
            };
            let is_locked = lock.try_lock().is_ok();
            // Unless it was removed between the two.
            let is_there = fs::metadata(&directory)
                .is_ok_and(|there| lock.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
            if is_locked && is_there {
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    pub(super) fn private_key(&self) -> PathBuf {
        self.directory.join("key")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }
}

impl Drop for KeyFiles {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(path = %self.directory.display(), %error, "a temporary key file cannot be removed");
        }
    }
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())
}

/// Removes what processes left that were killed: nobody holds its lock.
fn sweep(place: &Path) {
    let Ok(files) = fs::read_dir(place) else { return };
    for file in files.flatten() {
        let is_ours = file
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(NAME));
        if !is_ours || !file.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        // Another user's is not ours to open, nor to remove.
        if fs::File::open(file.path())
            .is_ok_and(|lock| lock.try_lock().is_ok() && remove(&file.path(), &lock))
        {
            tracing::debug!(path = %file.path().display(), "a key file that a killed process left was removed");
        }
    }
}

/// Removes a directory while its lock is held.
fn remove(directory: &Path, _held: &fs::File) -> bool {
    fs::remove_dir_all(directory).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_we_can_read_the_key_and_it_is_gone_afterwards() {
        let files = KeyFiles::create("KEY", "h ssh-ed25519 AAAA\n").unwrap();
        let (directory, key) = (files.directory.clone(), files.private_key());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&key)), (0o700, 0o600));
        assert_eq!(fs::read_to_string(&key).unwrap(), "KEY\n");
        let other = KeyFiles::create("KEY", "").unwrap();
        assert!(
            key.exists() && other.private_key() != key,
            "what is in use is not swept"
        );
        drop(files);
        assert!(!directory.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let place = tempfile::tempdir().unwrap();
        // Whatever process number is in its name: in another container it is another process, or none.
        let left = place.path().join(format!("{NAME}{}_1_2", std::process::id()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("key"), "x").unwrap();
        let others = place.path().join("kbc-mirror-other");
        fs::create_dir(&others).unwrap();
        let used = KeyFiles::create_in(&[place.path()], "KEY", "h").unwrap();
        sweep(place.path());
        assert!(!left.exists() && others.exists() && used.private_key().exists());
        let directory = used.directory.clone();
        drop(used);
        assert!(!directory.exists());
    }

    #[test]
    fn where_there_is_no_room_the_next_place_is_taken() {
        let (full, free) = (Path::new("/proc/self"), tempfile::tempdir().unwrap());
        let files = KeyFiles::create_in(&[full, free.path()], "KEY", "h").unwrap();
        assert!(files.directory.starts_with(free.path()));
        assert!(KeyFiles::create_in(&[full], "KEY", "h").is_err());
    }
}
