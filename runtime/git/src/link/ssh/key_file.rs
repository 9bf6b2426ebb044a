//! A private key for one connection of the `ssh` program, which takes it only as a file.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A directory with the key and the server's keys, which nobody else can read; removed when dropped.
#[derive(Debug)]
pub(super) struct KeyFiles(PathBuf);

const NAME: &str = "kbc-mirror-ssh-";
/// In memory where there is such a place, so that the key never gets to a disk.
const PLACES: [&str; 2] = ["/dev/shm", "/run/shm"];

impl KeyFiles {
    pub(super) fn create(private_key: &str, known_hosts: &str) -> io::Result<Self> {
        let temporary = std::env::temp_dir();
        let places = PLACES
            .iter()
            .map(Path::new)
            .filter(|place| place.is_dir())
            .chain([temporary.as_path()]);
        let mut last = io::ErrorKind::NotFound.into();
        for place in places {
            sweep(place);
            let directory = place.join(crate::disk::unique_name(NAME));
            match fs::DirBuilder::new().mode(0o700).create(&directory) {
                Ok(()) => {
                    let files = Self(directory);
                    // `ssh` reads no key without a line feed at its end.
                    write(&files.private_key(), &format!("{}\n", private_key.trim_end()))?;
                    write(&files.known_hosts(), known_hosts)?;
                    return Ok(files);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn private_key(&self) -> PathBuf {
        self.0.join("key")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }
}

impl Drop for KeyFiles {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a temporary key file cannot be removed");
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

/// Removes what processes left that were killed.
fn sweep(place: &Path) {
    let Ok(files) = fs::read_dir(place) else { return };
    for file in files.flatten() {
        let name = file.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME)?.split('_').next()?.parse::<u32>().ok());
        let is_dead = |process: u32| {
            Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists()
        };
        if process.is_some_and(is_dead) {
            // Another user's is not ours to remove.
            let _ = fs::remove_dir_all(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_we_can_read_the_key_and_it_is_gone_afterwards() {
        let files = KeyFiles::create("KEY", "h ssh-ed25519 AAAA\n").unwrap();
        let (directory, key) = (files.0.clone(), files.private_key());
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
    fn what_a_killed_process_left_is_removed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join(format!("{NAME}{}_1_2", child.id()));
        let own = place.path().join(format!("{NAME}{}_1_2", std::process::id()));
        fs::create_dir(&left).unwrap();
        fs::create_dir(&own).unwrap();
        fs::write(left.join("key"), "x").unwrap();
        sweep(place.path());
        assert!(!left.exists() && own.exists());
    }
}
