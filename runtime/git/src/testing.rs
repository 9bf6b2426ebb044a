//! What the tests of this room share: a bare repository with the `git` program as the judge, and seeded randomness.

use crate::{
    LocalBare, PendingPush, RefName, Remote, Store,
    commit::{CommitText, Stamp},
};
use jiff::Timestamp;
use mirror_core::{ids::Oid, path::MirrorPath};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A bare repository in a temporary directory.
pub(crate) struct Bare {
    directory: tempfile::TempDir,
}

impl Bare {
    pub(crate) fn init() -> Self {
        let bare = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        bare.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        bare
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(self.path(), args)
    }

    #[track_caller]
    pub(crate) fn git_bytes(&self, args: &[&str]) -> Vec<u8> {
        git_fed(self.path(), args, b"").stdout
    }

    pub(crate) fn succeeds(&self, args: &[&str]) -> bool {
        command(self.path(), args).output().unwrap().status.success()
    }
}

/// A call of `git` that is the same on every machine.
pub(crate) fn command(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).args(args);
    // Neither the machine's configuration nor the caller's repository may decide a test.
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("LC_ALL", "C"),
    ] {
        command.env(name, value);
    }
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_SSL_CAINFO"] {
        command.env_remove(name);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Somebody")
            .env(format!("GIT_{role}_EMAIL"), "somebody@example.com");
        command.env(format!("GIT_{role}_DATE"), "1700000000 +0000");
    }
    command
}

/// Runs `git`, which must succeed, and returns what it prints, without the last line feed.
#[track_caller]
pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    String::from_utf8(git_fed(directory, args, b"").stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// The same with something on its standard input.
#[track_caller]
pub(crate) fn git_fed(directory: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut command = command(directory, args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests need git");
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A store and a bare repository of its own to push to.
pub(crate) struct Mirror {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) remote: LocalBare,
    pub(crate) main: RefName,
}

impl Mirror {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let main = RefName::branch("main").unwrap();
        let store = Store::open_or_create(&directory.path().join("store")).unwrap();
        let remote = LocalBare::init(&directory.path().join("remote.git"), &main).unwrap();
        Self {
            directory,
            store,
            remote,
            main,
        }
    }

    /// Copies everything into a mirror of its own.
    pub(crate) fn copied(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy_below(self.directory.path(), directory.path());
        let store = Store::open_or_create(&directory.path().join("store")).unwrap();
        let remote = LocalBare::open(&directory.path().join("remote.git")).unwrap();
        Self {
            directory,
            store,
            remote,
            main: self.main.clone(),
        }
    }

    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(self.remote.path(), args)
    }

    /// Makes a push of one commit on top of `parent`; content `-` deletes.
    pub(crate) fn make(&self, parent: Option<Oid>, message: &str, files: &[(&str, &str)]) -> PendingPush {
        make(&self.store, &self.main, parent, message, files)
    }

    /// The same, on top of where the branch is, and pushed.
    #[track_caller]
    pub(crate) fn push(&self, message: &str, files: &[(&str, &str)]) -> Oid {
        let push = self.make(self.remote.tip(&self.main).unwrap(), message, files);
        let new = push.new_tip();
        self.store.save(&push).unwrap();
        self.remote.push(&push).unwrap();
        self.store.confirm(push).unwrap();
        new
    }
}

fn copy_below(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_below(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

#[track_caller]
pub(crate) fn make(
    store: &Store,
    refname: &RefName,
    parent: Option<Oid>,
    message: &str,
    files: &[(&str, &str)],
) -> PendingPush {
    let mut draft = store.draft();
    let base = parent.map(|parent| draft.tree_of(parent).unwrap());
    let mut writer = draft.tree_writer(base).unwrap();
    for (raw, content) in files {
        match *content {
            "-" => writer.delete(&path(raw)).unwrap(),
            content => drop(writer.write_files(&[(path(raw), content)]).unwrap()),
        }
    }
    let outcome = writer.finish().unwrap();
    let parents: Vec<Oid> = parent.into_iter().collect();
    let commit = draft
        .commit_text(outcome.tree, &parents, text(message, 1_700_000_000), None)
        .unwrap();
    draft.into_push(refname.clone(), parent, commit).unwrap()
}

pub(crate) fn path(raw: &str) -> MirrorPath {
    MirrorPath::parse(raw).unwrap()
}

/// A commit by somebody, at some second.
pub(crate) fn text(message: &str, second: i64) -> CommitText<'_> {
    let stamp = |name, email| Stamp {
        name,
        email,
        time: Timestamp::from_second(second).unwrap(),
    };
    CommitText {
        author: stamp("Anna Nováková", "anna@example.com"),
        committer: stamp("Mirror", "m@example.com"),
        message,
    }
}

/// The files of a pack directory with this extension.
pub(crate) fn packs(repository: &Path, extension: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository.join("objects/pack")).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect()
}

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

pub(crate) fn pseudo_random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    // Megabytes are made of it without optimisation, where adapters of iterators take ten times as long.
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
