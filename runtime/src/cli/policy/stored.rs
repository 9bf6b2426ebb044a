//! What lies in the store of components: which they are, what is known of when and for whom they were handed in, and
//! `policy remove`.
//!
//! A component is stored by its digest, which is what a mirror is rolled back by. Beside it lies a note with what `policy add`
//! was told; without one, only the file itself says something.

use super::touched::printable;
use crate::{
    app::Failure,
    config::{Config, PolicySpec},
    files,
    output::{errln, outln},
};
use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes of a note.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// Digits of a digest by which one may be named.
const DIGITS_MIN: usize = 8;

#[derive(Debug, Args)]
pub struct Remove {
    /// The SHA-256 of a stored component, or its first 8 or more digits, as `policy list` tells it.
    #[arg(required = true)]
    digest: Vec<String>,
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What `policy add` was told when a component was handed in last.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) added: Timestamp,
    pub(super) mirror: String,
    /// How the mirror was to call it.
    pub(super) name: String,
    /// What the component says of itself.
    pub(super) policy: String,
    pub(super) version: String,
}

/// A stored component.
pub(super) struct Stored {
    pub(super) digest: String,
    pub(super) file: PathBuf,
    note: Option<Note>,
    /// When the file was written; none where the system does not say.
    written: Option<Timestamp>,
    /// Mirror and policy of each that names it.
    used_by: Vec<(String, String)>,
}

impl Note {
    /// Writes it beside the component. It is no more than a help, so one that cannot be written is told and that is all.
    pub(super) fn write(&self, component: &Path) {
        let text = json!(self).to_string();
        let path = Self::path(component);
        if let Err(error) = files::write(&path, text.as_bytes()) {
            errln!(
                "cannot write `{}`, so `policy list` will not know the name: {error}",
                path.display()
            );
        }
    }

    fn read(component: &Path) -> Option<Self> {
        let text = files::read_text(&Self::path(component), NOTE_BYTES_MAX).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn path(component: &Path) -> PathBuf {
        component.with_extension("json")
    }
}

/// Lists the stored components by their digests; none where there is no store.
pub(super) fn all(config: &Config) -> Vec<Stored> {
    let Ok(entries) = fs::read_dir(PolicySpec::store(&config.data_dir)) else {
        return Vec::new();
    };
    let mut stored: Vec<Stored> = entries
        .filter_map(|entry| Stored::of(config, entry.ok()?.path()))
        .collect();
    stored.sort_by(|a, b| a.digest.cmp(&b.digest));
    stored
}

impl Stored {
    fn of(config: &Config, file: PathBuf) -> Option<Self> {
        if file.extension()? != "wasm" {
            return None;
        }
        let digest = file.file_stem()?.to_str()?.to_owned();
        let written = fs::metadata(&file).and_then(|metadata| metadata.modified()).ok();
        let found = fs::canonicalize(&file).ok();
        let mut used_by = Vec::new();
        for mirror in &config.mirrors {
            for policy in &mirror.policies {
                // A table may name the file by another path.
                let is_it =
                    policy.file == file || found.is_some() && fs::canonicalize(&policy.file).ok() == found;
                if is_it {
                    used_by.push((mirror.id.to_string(), policy.name.clone()));
                }
            }
        }
        Some(Self {
            digest,
            note: Note::read(&file),
            written: written.and_then(|time| Timestamp::try_from(time).ok()),
            used_by,
            file,
        })
    }

    pub(super) fn is_used(&self) -> bool {
        !self.used_by.is_empty()
    }

    /// Says what is known of where it comes from.
    fn origin(&self) -> String {
        match (&self.note, &self.written) {
            (Some(note), _) => format!(
                "added {} as `{}` of mirror `{}` ({} {})",
                day(note.added),
                printable(&note.name),
                printable(&note.mirror),
                printable(&note.policy),
                printable(&note.version)
            ),
            (None, Some(written)) => format!("there since {}", day(*written)),
            (None, None) => "nothing is known of it".to_owned(),
        }
    }

    /// Returns it in a line, for people.
    pub(super) fn line(&self) -> String {
        format!("{}, {}", self.file.display(), self.origin())
    }

    pub(super) fn as_json(&self) -> Value {
        let used_by = self.used_by.iter();
        let used_by: Vec<Value> = used_by
            .map(|(mirror, policy)| json!({ "mirror": mirror, "policy": policy }))
            .collect();
        json!({
            "sha256": self.digest,
            "file": self.file.display().to_string(),
            "usedBy": used_by,
            "added": self.note.as_ref().map(|note| note.added.to_string()),
            "mirror": self.note.as_ref().map(|note| &note.mirror),
            "name": self.note.as_ref().map(|note| &note.name),
            "policy": self.note.as_ref().map(|note| &note.policy),
            "version": self.note.as_ref().map(|note| &note.version),
            "written": self.written.map(|written| written.to_string()),
        })
    }

    fn remove(&self) -> Result<(), Failure> {
        let failed = |error| Failure::message(format!("cannot remove `{}`: {error}", self.file.display()));
        fs::remove_file(&self.file).map_err(failed)?;
        // Without its component it says nothing.
        drop(fs::remove_file(Note::path(&self.file)));
        Ok(())
    }
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

pub(super) fn remove(remove: &Remove) -> Result<(), Failure> {
    let config = super::store::read(&remove.config)?;
    let all = all(&config);
    // Nothing goes before it is known that all may.
    let mut chosen: Vec<&Stored> = Vec::new();
    for digest in &remove.digest {
        let one = find(&all, digest)?;
        if !chosen.iter().any(|other| other.digest == one.digest) {
            chosen.push(one);
        }
    }
    let used = chosen.iter().filter(|stored| stored.is_used());
    let used: Vec<String> = used
        .map(|stored| {
            let by = stored.used_by.iter();
            let by: Vec<String> = by
                .map(|(mirror, policy)| format!("policy `{policy}` of mirror `{mirror}`"))
                .collect();
            format!("`{}` is used by {}", stored.digest, by.join(", "))
        })
        .collect();
    if !used.is_empty() {
        return Err(Failure::usage(format!(
            "{}; nothing is removed: take it out of `{}` first",
            used.join("; "),
            remove.config.display()
        )));
    }
    for stored in &chosen {
        stored.remove()?;
        if !remove.json {
            outln!("removed {}", stored.line());
        }
    }
    if remove.json {
        let removed: Vec<Value> = chosen.iter().map(|stored| stored.as_json()).collect();
        outln!("{}", json!({ "removed": removed }));
    }
    Ok(())
}

fn find<'s>(all: &'s [Stored], digest: &str) -> Result<&'s Stored, Failure> {
    let digits = digest.to_ascii_lowercase();
    let is_one = digits.len() >= DIGITS_MIN && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_one {
        return Err(Failure::usage(format!(
            "`{}` is no digest; give the SHA-256 of a stored component, or its first {DIGITS_MIN} or more digits, as `kbc-mirror policy list` tells it",
            printable(digest)
        )));
    }
    let mut found = all.iter().filter(|stored| stored.digest.starts_with(&digits));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "more than one stored component begins with `{digits}`; give more digits"
        ))),
        (None, _) => Err(Failure::usage(format!(
            "no component `{digits}` is stored; `kbc-mirror policy list` tells which are"
        ))),
    }
}
