//! The journal: every change as a line, on disk before its caller goes on.
//!
//! The first line names the project it was written over. A last line that was not written to its
//! end is dropped, for its caller was never told that the change was made.

use crate::{FakeError, op::Op};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: u32,
    base: String,
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    /// Set once a write failed: what follows would stand on a change that is not there.
    is_broken: bool,
}

impl Journal {
    /// Opens the journal in a directory, which is made if need be, and returns the changes in it.
    pub(crate) fn open(directory: &Path, base: String) -> Result<(Self, Vec<Op>), FakeError> {
        let path = directory.join("keboola.jsonl");
        let failed = |source| FakeError::Journal {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FakeError::JournalBusy { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let head = Head { format: FORMAT, base };
        let ops = read(&path, &text[..whole], &head)?;
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut journal = Self {
            path: path.clone(),
            file,
            is_broken: false,
        };
        if whole == 0 {
            journal.write(&head)?;
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(failed)?;
        }
        Ok((journal, ops))
    }

    /// Says whether changes can still be added.
    pub(crate) fn check(&self) -> Result<(), FakeError> {
        let source = || io::Error::other("an earlier write failed");
        if self.is_broken {
            Err(FakeError::Journal {
                path: self.path.clone(),
                source: source(),
            })
        } else {
            Ok(())
        }
    }

    /// Adds a change; it is on disk when this returns.
    pub(crate) fn append(&mut self, op: &Op) -> Result<(), FakeError> {
        let written = self.write(op);
        self.is_broken |= written.is_err();
        written
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), FakeError> {
        let failed = |source| FakeError::Journal {
            path: self.path.clone(),
            source,
        };
        let mut text = serde_json::to_vec(line).map_err(|error| failed(io::Error::other(error)))?;
        text.push(b'\n');
        self.file
            .write_all(&text)
            .and_then(|()| self.file.sync_data())
            .map_err(failed)
    }
}

fn read(path: &Path, text: &[u8], head: &Head) -> Result<Vec<Op>, FakeError> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    let damaged = |index: usize| FakeError::JournalDamaged {
        path: path.into(),
        line: index + 1,
    };
    let Some((_, first)) = lines.next() else {
        return Ok(Vec::new());
    };
    let found: Head = serde_json::from_slice(first).map_err(|_| damaged(0))?;
    if found != *head {
        return Err(FakeError::JournalOfAnother { path: path.into() });
    }
    lines
        .map(|(index, line)| serde_json::from_slice(line).map_err(|_| damaged(index)))
        .collect()
}
