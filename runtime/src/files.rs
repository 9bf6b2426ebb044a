//! Files as users name them: read within bounds, and written as a whole or not at all.
//!
//! A pipe may never end, and a device has no end. So only regular files are read.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of a file of certificates.
pub(crate) const CERTIFICATES_BYTES_MAX: u64 = 16 << 20;

/// Opens a regular file for reading, without waiting for anything.
///
/// # Errors
/// What cannot be opened, or is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // A pipe would be opened only when somebody writes to it.
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// What cannot be read, is no regular file, or has more bytes ([`ErrorKind::FileTooLarge`]).
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_of(open(path)?, bytes_max)
}

fn read_of(source: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The same for a text in UTF-8.
///
/// # Errors
/// Those of [`read`], and bytes that are no such text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    text(read(path, bytes_max)?)
}

/// The same of a source that is open: a pipe is waited for, since somebody gave it.
///
/// # Errors
/// As [`read_text`].
pub(crate) fn read_text_of(source: impl Read, bytes_max: u64) -> io::Result<String> {
    text(read_of(source, bytes_max)?)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

/// Writes a file as a whole or not at all: beside it first, then in its place. What is there and is no regular file,
/// such as a pipe, is written to.
///
/// # Errors
/// A directory that cannot be written, a full disk; what was there before is still there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Through a link, to what it leads to.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fs::write(path, bytes);
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| {
        if let Some(there) = &there {
            file.set_permissions(there.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Checks that something can be made in a directory, which need not be there itself, and leaves nothing behind.
///
/// # Errors
/// Why it cannot be written, or made.
pub(crate) fn can_be_filled(directory: &Path) -> io::Result<()> {
    let directory = std::path::absolute(directory)?;
    for place in directory.ancestors() {
        match fs::metadata(place) {
            Ok(there) if there.is_dir() => return try_to_fill(place),
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            // It would be made in what is above it; a link that leads nowhere is in the way.
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(place).is_err() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::NotFound.into())
}

fn try_to_fill(directory: &Path) -> io::Result<()> {
    let trial = directory.join(format!(".kbc-mirror.{}.tmp", std::process::id()));
    match fs::create_dir(&trial) {
        // Of one who was killed in between.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    fs::remove_dir(&trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_or_never_begins_is_not_read() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let at = |name: &str| directory.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.expect("coreutils are there").success());
        fs::write(at("file"), "five!").expect("it can be written");
        for (path, expected) in [
            (at("pipe"), "it is no regular file"),
            ("/dev/zero".into(), "it is no regular file"),
            (at(""), "is a directory"),
            (at("file"), "it has more than 4 bytes"),
        ] {
            let told = read(&path, 4).expect_err("it is not read").to_string();
            assert_eq!(told, expected, "{}", path.display());
        }
        assert_eq!(read_text(&at("file"), 5).expect("it is a text"), "five!");
    }

    #[test]
    fn a_directory_can_be_filled_where_it_is_or_could_be_made() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "x").expect("it can be written");
        std::os::unix::fs::symlink(at("nowhere"), at("link")).expect("a link can be made");
        for (path, expected) in [
            (at(""), None),
            (at("new/and/deeper"), None),
            (at("file"), Some("not a directory")),
            (at("file/below"), Some("Not a directory (os error 20)")),
            (at("link"), Some("No such file or directory (os error 2)")),
            (at("link/below"), Some("No such file or directory (os error 2)")),
            // Not even to root.
            (
                "/proc/kbc-mirror".into(),
                Some("No such file or directory (os error 2)"),
            ),
        ] {
            let told = can_be_filled(&path).err().map(|error| error.to_string());
            assert_eq!(told.as_deref(), expected, "{}", path.display());
        }
        let left = fs::read_dir(directory.path()).expect("it is there").count();
        assert_eq!(left, 2, "nothing is left behind");
    }

    #[test]
    fn a_file_is_written_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        write(&file, b"one").expect("it can be written");
        std::os::unix::fs::symlink(&file, &link).expect("a link can be made");
        write(&link, b"two").expect("it can be written");
        assert_eq!(fs::read(&file).expect("it is there"), b"two");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert!(write(&directory.path().join("none/file"), b"x").is_err());
        let left = fs::read_dir(directory.path()).expect("it is there").count();
        assert_eq!(left, 2, "nothing else is left behind");
    }
}
