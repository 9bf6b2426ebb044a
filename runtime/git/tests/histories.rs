//! Random histories by the engine and by other people, beside the `git` program: the same trees, a sound repository,
//! equal clones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use mirror_core::{ids::Oid, path::MirrorPath};
use mirror_git::{FetchScope, LocalBare, RefName, Remote, Store};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use support::{batch, git, message};

/// The files of a tree: content, and whether it is executable.
type Model = BTreeMap<String, (String, bool)>;

/// Numbers that look random and are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    /// Names that sort in surprising ways as files and as directories, and some that need quoting.
    fn path(&mut self) -> String {
        let names = [
            "a",
            "a-b",
            "a.b",
            "a0",
            "A1",
            "ž",
            "日本",
            "with space",
            "-dash",
            "quote\"d",
            "z",
        ];
        let mut segments = vec!["configs"];
        segments.extend((0..=self.below(3)).map(|_| names[self.below(names.len())]));
        segments.join("/")
    }

    fn content(&mut self, old: Option<&str>) -> String {
        let mut lines: Vec<String> = old.unwrap_or_default().lines().map(str::to_owned).collect();
        for _ in 0..=self.below(4) {
            let at = self.below(lines.len() + 1);
            match self.below(4) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines[at].push('x'),
                _ => lines.insert(at, format!("{{\"value\": {}}}", self.below(1000))),
            }
        }
        // Now and then a long one, so that differences are worth it.
        if self.below(8) == 0 {
            lines.extend((0..200).map(|line| format!("line {line} of {}", self.below(50))));
        }
        lines.join("\n") + "\n"
    }

    fn pick(&mut self, files: &Model) -> Option<String> {
        let at = (!files.is_empty()).then(|| self.below(files.len()))?;
        files.keys().nth(at).cloned()
    }
}

/// Makes room for a file: what is at a parent of it, or below it, goes.
fn make_room(files: &mut Model, path: &str) {
    let below = format!("{path}/");
    files.retain(|other, _| !other.starts_with(&below) && !path.starts_with(&format!("{other}/")));
}

/// Changes files as the mirror does: adds, edits, renames, deletes.
fn change(random: &mut Random, files: &Model) -> Model {
    let mut files = files.clone();
    for _ in 0..=random.below(6) {
        let old = random.pick(&files);
        match (random.below(6), old) {
            (0, Some(old)) => drop(files.remove(&old)),
            (1, Some(old)) => {
                let (content, _) = files.remove(&old).unwrap();
                let new = random.path();
                make_room(&mut files, &new);
                files.insert(new, (content, false));
            }
            (2 | 3, Some(old)) => {
                let content = random.content(Some(&files[&old].0));
                files.insert(old, (content, false));
            }
            _ => {
                let new = random.path();
                make_room(&mut files, &new);
                files.insert(new.clone(), (random.content(None), false));
            }
        }
    }
    files
}

/// What the engine calls `mirror`: writes the difference of two states as a commit.
fn write(store: &Store, remote: &LocalBare, number: u64, old: &Model, new: &Model) -> Oid {
    let main = RefName::branch("main").unwrap();
    let tip = remote.tip(&main).unwrap();
    if let Some(tip) = tip {
        remote
            .fetch(tip, store, FetchScope::TreesOnly { commits_max: 1 })
            .unwrap();
    }
    let mut draft = store.draft();
    let base = tip.map(|tip| draft.tree_of(tip).unwrap());
    let mut writer = draft.tree_writer(base).unwrap();
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        writer.delete(&MirrorPath::parse(path).unwrap()).unwrap();
    }
    let written = new.iter().filter(|(path, file)| old.get(*path) != Some(file));
    let written: Vec<(&str, &str)> = written
        .map(|(path, (content, _))| (&**path, &**content))
        .collect();
    if !written.is_empty() {
        writer.write(batch(&written)).unwrap();
    }
    let outcome = writer.finish().unwrap();
    if !outcome.changed {
        return outcome.tree;
    }
    let parents: Vec<Oid> = tip.into_iter().collect();
    let commit = draft.commit(outcome.tree, &parents, &message(number)).unwrap();
    let push = draft.into_push(main, tip, commit).unwrap();
    store.save(&push).unwrap();
    remote.push(&push).unwrap();
    store.confirm(push).unwrap();
    outcome.tree
}

/// Lets somebody change files in a clone, with the modes that the mirror never writes, and push.
fn somebody_commits(random: &mut Random, clone: &Path, files: &Model) -> Model {
    git(clone, &["fetch", "--quiet", "origin"]);
    git(clone, &["reset", "--quiet", "--hard", "origin/main"]);
    let mut files = change(random, files);
    if let Some(path) = random.pick(&files) {
        files.get_mut(&path).unwrap().1 = true;
    }
    check_out(clone, &files);
    git(clone, &["add", "--all"]);
    git(clone, &["commit", "--quiet", "--allow-empty", "-m", "somebody's"]);
    git(clone, &["push", "--quiet", "origin", "HEAD:main"]);
    files
}

fn check_out(directory: &Path, files: &Model) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != ".git" {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    for (path, (content, executable)) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Lets Git make a tree of the files.
fn tree_by_git(directory: &Path, files: &Model) -> String {
    check_out(directory, files);
    git(directory, &["add", "--all"]);
    git(directory, &["write-tree"])
}

#[test]
fn the_engine_and_git_agree_on_random_histories() {
    for seed in 1..=2 {
        let mut random = Random(seed);
        let directory = tempfile::tempdir().unwrap();
        let main = RefName::branch("main").unwrap();
        let remote = LocalBare::init(&directory.path().join("remote.git"), &main).unwrap();
        let mut store = Store::open_or_create(&directory.path().join("store")).unwrap();
        git(directory.path(), &["init", "--quiet", "oracle"]);
        let oracle = directory.path().join("oracle");
        let mut files = Model::new();
        files.insert("configs/first".to_owned(), ("1\n".to_owned(), false));
        write(&store, &remote, 0, &Model::new(), &files);
        git(directory.path(), &["clone", "--quiet", "remote.git", "people"]);
        let people = directory.path().join("people");
        let mut trees = BTreeSet::new();
        for number in 1..40 {
            let new = match random.below(6) {
                0 => somebody_commits(&mut random, &people, &files),
                1 => {
                    // Another worker takes over, with nothing but the remote.
                    drop(store);
                    store = Store::open_or_create(&directory.path().join(format!("store{number}"))).unwrap();
                    files.clone()
                }
                _ => {
                    let new = change(&mut random, &files);
                    let tree = write(&store, &remote, number, &files, &new);
                    assert_eq!(
                        tree.to_string(),
                        tree_by_git(&oracle, &new),
                        "seed {seed}, round {number}"
                    );
                    new
                }
            };
            files = new;
            trees.insert(git(remote.path(), &["rev-parse", "main^{tree}"]));
        }
        assert!(trees.len() > 20, "{} trees", trees.len());
        assert_eq!(git(remote.path(), &["fsck", "--full", "--strict"]), "");
        git(
            directory.path(),
            &["clone", "--quiet", "--no-local", "remote.git", "clone"],
        );
        let clone = directory.path().join("clone");
        for (path, (content, _)) in &files {
            assert_eq!(&fs::read_to_string(clone.join(path)).unwrap(), content, "{path}");
        }
        assert_eq!(
            git(&clone, &["rev-parse", "HEAD^{tree}"]),
            tree_by_git(&oracle, &files)
        );
        git(remote.path(), &["gc", "--quiet", "--prune=now"]);
        assert_eq!(git(remote.path(), &["fsck", "--full", "--strict"]), "");
    }
}
