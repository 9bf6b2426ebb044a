//! The last run of the same bench, to compare with: one file each, of figures and nothing else.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Raised when figures change their meaning: they are then not compared.
const FORMAT: u64 = 1;

/// Where the runs of one bench on one project are kept.
#[derive(Debug)]
pub(super) struct LastRun(PathBuf);

impl LastRun {
    /// Names the place by what was measured; below `directory`, else in the user's cache. None where there is neither.
    pub(super) fn of(directory: Option<&Path>, bench: &str, subject: &Value) -> Option<Self> {
        let directory = match directory {
            Some(data_dir) => data_dir.join("bench"),
            None => cache()?.join("kbc-mirror").join("bench"),
        };
        // Figures of a build without optimisation are another matter.
        let build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        let name = Sha256::new_with_prefix(format!("{subject} {build}")).finalize();
        let name = data_encoding::HEXLOWER.encode(&name[..8]);
        Some(Self(directory.join(format!("{bench}-{name}.json"))))
    }

    /// Returns the figures of the last run, if there was one that can be compared with.
    pub(super) fn read(&self) -> Option<Value> {
        let text = fs::read_to_string(&self.0).ok()?;
        let mut run: Value = serde_json::from_str(&text).ok()?;
        (run["format"] == FORMAT).then(|| run["run"].take())
    }

    /// Keeps this run for the next one.
    pub(super) fn keep(&self, run: &Value) -> io::Result<()> {
        if let Some(directory) = self.0.parent() {
            fs::create_dir_all(directory)?;
        }
        let beside = self.0.with_extension("new");
        fs::write(
            &beside,
            serde_json::json!({ "format": FORMAT, "run": run }).to_string(),
        )?;
        fs::rename(beside, &self.0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// The directory of what can be made again, as the platform has it.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME").or_else(|| {
        let home = absolute("HOME")?;
        Some(if cfg!(target_vendor = "apple") {
            home.join("Library/Caches")
        } else {
            home.join(".cache")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_compared_with_the_last_of_the_same_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let of = |bench: &str, project: &str| {
            LastRun::of(Some(directory.path()), bench, &json!({ "project": project })).unwrap()
        };
        assert_eq!(of("snapshot", "a").read(), None);
        of("snapshot", "a").keep(&json!({ "wall_ms": 1 })).unwrap();
        of("snapshot", "a").keep(&json!({ "wall_ms": 2 })).unwrap();
        assert_eq!(of("snapshot", "a").read(), Some(json!({ "wall_ms": 2 })));
        assert_eq!(of("snapshot", "b").read(), None);
        assert_eq!(of("commit", "a").read(), None);
        fs::write(of("snapshot", "a").path(), "no JSON").unwrap();
        assert_eq!(of("snapshot", "a").read(), None);
        fs::write(of("snapshot", "a").path(), r#"{"format": 0, "run": {}}"#).unwrap();
        assert_eq!(of("snapshot", "a").read(), None, "of another format");
    }
}
