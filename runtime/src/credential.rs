//! References to credentials, and reading what they refer to.
//!
//! A configuration file never holds a credential itself. What is read here lives in a
//! [`SecretString`], whose `Debug` prints nothing.

use secrecy::SecretString;
use std::{
    fmt, fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Bytes of a credential; the longest there are, keys, have some thousands.
const BYTES_MAX: u64 = 1 << 20;

/// Where a credential is to be found.
#[derive(Clone, PartialEq, Eq)]
pub enum CredentialRef {
    /// `env:NAME`: an environment variable of the process.
    Environment(String),
    /// `file:PATH`: the whole file, less one trailing line break.
    File(PathBuf),
    /// `cred:NAME`: a systemd credential, `$CREDENTIALS_DIRECTORY/NAME`.
    Systemd(String),
}

/// A text that is no reference. It may be the credential itself, so it is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "is not a reference; write `env:NAME`, `file:PATH` or `cred:NAME` and keep the credential itself out of the configuration"
)]
pub struct NotAReference;

/// A reference that leads to nothing usable.
#[derive(Debug, Error)]
pub enum CredentialError {
    #[error("environment variable `{name}` is not set or not UTF-8; set it before the start")]
    Environment { name: String },
    #[error("cannot read credential file `{}`; check that it exists and that this user may read it", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`cred:{name}` needs systemd: $CREDENTIALS_DIRECTORY is not set; add `LoadCredential={name}:PATH` to the unit"
    )]
    Systemd { name: String },
    #[error("credential `{reference}` is empty")]
    Empty { reference: CredentialRef },
}

impl CredentialRef {
    /// Parses a reference.
    ///
    /// # Errors
    /// Anything that is not one of the three forms.
    pub fn parse(raw: &str) -> Result<Self, NotAReference> {
        match raw.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Environment(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("cred", name)) if !name.is_empty() && !name.contains('/') => Ok(Self::Systemd(name.into())),
            _ => Err(NotAReference),
        }
    }

    /// Returns what is wrong with who may write the file; none where nothing is, or it is no file.
    #[must_use]
    pub fn writable_by_others(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let mode = fs::metadata(path)
            .ok()
            .filter(fs::Metadata::is_file)?
            .permissions()
            .mode();
        (mode & 0o002 != 0).then(|| {
            format!(
                "credential file `{}` may be changed by every user of this machine (mode {:o}); take that away with `chmod o-rwx`",
                path.display(),
                mode & 0o777
            )
        })
    }

    /// Reads the credential anew where it may have changed; none for an environment variable, which is the same as long as
    /// the process lives, and for a pipe, which can be read once.
    ///
    /// # Errors
    /// As [`Self::read`].
    #[must_use]
    pub fn read_again(&self) -> Option<Result<SecretString, CredentialError>> {
        let path = match self {
            Self::Environment(_) => return None,
            Self::File(path) => path.clone(),
            Self::Systemd(name) => PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name),
        };
        // One that cannot be asked about cannot be read, which says why.
        let is_pipe = fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        (!is_pipe).then(|| self.read())
    }

    /// Reads the credential.
    ///
    /// # Errors
    /// A reference that leads nowhere, or to an empty text.
    pub fn read(&self) -> Result<SecretString, CredentialError> {
        let file = |path: PathBuf| {
            text(&path).map_err(|source| CredentialError::File {
                path: path.clone(),
                source,
            })
        };
        let text = match self {
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| CredentialError::Environment { name: name.clone() })?
            }
            Self::File(path) => file(path.clone())?,
            Self::Systemd(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| CredentialError::Systemd { name: name.clone() })?;
                file(PathBuf::from(directory).join(name))?
            }
        };
        let text = text
            .strip_suffix('\n')
            .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(CredentialError::Empty {
                reference: self.clone(),
            });
        }
        Ok(SecretString::from(text.to_owned()))
    }
}

/// Reads a file that may also be a pipe, such as of a shell, but has an end.
fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = fs::File::open(path)?.take(BYTES_MAX + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        let problem = format!("it has more than {BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

/// Says whether a text can be the name of a variable (POSIX). A credential after `env:` hardly is one,
/// and so is not repeated as a name.
fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() && name.bytes().all(plain)
}

impl fmt::Display for CredentialRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Systemd(name) => write!(f, "cred:{name}"),
        }
    }
}

impl fmt::Debug for CredentialRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_file_is_read_again_and_what_cannot_change_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let file = CredentialRef::File(path.clone());
        let again = || {
            let read = file.read_again().expect("a file may change");
            read.map(|text| text.expose_secret().to_owned())
                .map_err(|error| crate::app::chain(&error))
        };
        for text in ["one", "two"] {
            fs::write(&path, format!("{text}\n")).expect("the directory can be written");
            assert_eq!(again().as_deref(), Ok(text));
        }
        fs::write(&path, "\n").expect("the directory can be written");
        assert!(again().expect_err("there is none").contains("is empty"));
        fs::remove_file(&path).expect("it is there");
        assert!(again().expect_err("there is none").contains("cannot read"));
        // To open one that nobody writes to would wait for ever.
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|made| made.success()));
        assert!(file.read_again().is_none(), "a pipe is read once");
        assert!(CredentialRef::Environment("HOME".into()).read_again().is_none());
    }

    #[test]
    fn a_file_that_everybody_may_change_is_told_of() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let file = CredentialRef::File(path.clone());
        assert_eq!(file.writable_by_others(), None, "there is none");
        fs::write(&path, "one").expect("the directory can be written");
        for (mode, is_told) in [(0o600, false), (0o644, false), (0o666, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
            let told = file.writable_by_others();
            assert_eq!(told.is_some(), is_told, "{mode:o}");
            assert!(told.is_none_or(|told| told.contains(&format!("mode {mode:o}"))));
        }
    }

    #[test]
    fn a_file_without_end_is_no_credential() {
        let told = CredentialRef::File("/dev/zero".into())
            .read()
            .expect_err("it has no end");
        let told = crate::app::chain(&told);
        assert!(
            told.contains("`/dev/zero`") && told.contains("more than 1048576 bytes"),
            "{told}"
        );
    }
}
