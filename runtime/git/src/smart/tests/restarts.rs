//! A process that begins again with the store that the one before it left.

use super::*;
use crate::remote::FetchScope;

const TREES: FetchScope = FetchScope::TreesOnly { commits_max: 1 };

struct Restarting {
    _repositories: Repositories,
    server: HttpServer,
    local: LocalBare,
    directory: tempfile::TempDir,
}

impl Restarting {
    fn new() -> Self {
        let repositories = Repositories::new();
        let path = repositories.init("r.git");
        Self {
            server: HttpServer::start(repositories.root(), HttpOptions::default()),
            local: LocalBare::open(&path).unwrap(),
            _repositories: repositories,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self) -> (Store, SmartRemote) {
        let store = Store::open_or_create(self.directory.path()).unwrap();
        let remote = open(&self.server.url("r.git"), settings());
        (store, remote)
    }

    fn push(store: &Store, remote: &dyn Remote, files: &[(&str, &str)]) -> Oid {
        let main = branch("main");
        let push = make(store, &main, remote.tip(&main).unwrap(), "more", files);
        let new = push.new_tip();
        store.save(&push).unwrap();
        remote.push(&push).unwrap();
        store.confirm(push).unwrap();
        new
    }

    /// Pushes many files with a process of its own.
    fn fill(&self) -> Oid {
        let (store, remote) = self.start();
        let files: Vec<(String, String)> = (0..300)
            .map(|number| {
                (
                    format!("d{}/e{}/{number}", number % 3, number % 30),
                    number.to_string(),
                )
            })
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        let tip = Self::push(&store, &remote, &files);
        drop(store);
        drop(self.server.take_seen());
        tip
    }

    /// Returns how many files the branch has.
    fn files(&self) -> usize {
        let listed = git(self.local.path(), &["ls-tree", "-r", "--name-only", "main"]);
        listed.lines().count()
    }

    /// Returns the files that objects of the store are in; an open store may have others.
    fn packs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("objects/pack")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn bodies(&self) -> Vec<String> {
        let seen = self.server.take_seen();
        let posted = seen.iter().filter(|seen| seen.method == "POST");
        posted
            .map(|seen| String::from_utf8_lossy(&seen.body).into_owned())
            .collect()
    }
}

#[test]
fn what_the_store_still_has_is_not_fetched_again() {
    let set = Restarting::new();
    let tip = set.fill();
    let (store, remote) = set.start();
    assert_eq!(remote.fetch(tip, &store, TREES).unwrap(), Fetched::default());
    assert_eq!(set.server.take_seen(), []);
    // The next one builds on it as if nothing had been.
    let next = Restarting::push(&store, &remote, &[("d1/e1/new", "x")]);
    assert_eq!(set.local.tip(&branch("main")).unwrap(), Some(next));
    assert_eq!(set.files(), 301);
    assert_eq!(git(set.local.path(), &["fsck", "--strict"]), "");
}

#[test]
fn a_branch_that_moved_meanwhile_is_fetched_as_the_difference() {
    let set = Restarting::new();
    let tip = set.fill();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Store::open_or_create(elsewhere.path()).unwrap();
    set.local.fetch(tip, &other, TREES).unwrap();
    let moved = Restarting::push(&other, &set.local, &[("d1/e1/new", "x")]);
    let (store, remote) = set.start();
    // The commit, and the trees on the way to the file.
    assert_eq!(remote.fetch(moved, &store, TREES).unwrap().objects, 4);
    let bodies = set.bodies();
    assert!(
        bodies.iter().any(|body| body.contains(&format!("have {tip}"))),
        "{bodies:?}"
    );
    Restarting::push(&store, &remote, &[("d2/e2/new", "y")]);
    assert_eq!(set.files(), 302);
}

#[test]
fn what_the_store_lost_comes_anew() {
    let set = Restarting::new();
    let tip = set.fill();
    // Opened, a store makes packs of what was pushed last.
    drop(set.start());
    for file in set.packs() {
        std::fs::remove_file(file).unwrap();
    }
    let (store, remote) = set.start();
    // The commit, the top tree, and 3 and 30 directories.
    assert_eq!(remote.fetch(tip, &store, TREES).unwrap().objects, 35);
    assert_eq!(remote.fetch(tip, &store, TREES).unwrap(), Fetched::default());
    let asked = set.bodies();
    assert!(asked.iter().all(|body| !body.contains("have")), "{asked:?}");
}

#[test]
fn a_commit_of_which_only_some_trees_are_there_is_not_taken_for_whole() {
    let set = Restarting::new();
    set.fill();
    drop(set.start());
    let old = set.packs();
    let (store, remote) = set.start();
    // Its pack has the commit and the trees on the way to the file, and no others.
    let tip = Restarting::push(&store, &remote, &[("d1/e1/new", "x")]);
    drop(store);
    drop(set.start());
    for file in old {
        std::fs::remove_file(file).unwrap();
    }
    let (store, remote) = set.start();
    assert_eq!(remote.fetch(tip, &store, TREES).unwrap().objects, 34 - 3);
    Restarting::push(&store, &remote, &[("d2/e2/new", "y")]);
    assert_eq!(set.files(), 302);
}

#[test]
fn commits_without_their_trees_are_not_taken_for_whole() {
    let set = Restarting::new();
    let tip = set.fill();
    let elsewhere = tempfile::tempdir().unwrap();
    {
        let store = Store::open_or_create(elsewhere.path()).unwrap();
        let remote = open(&set.server.url("r.git"), settings());
        remote
            .fetch(tip, &store, FetchScope::CommitsOnly { commits_max: 1 })
            .unwrap();
    }
    let store = Store::open_or_create(elsewhere.path()).unwrap();
    let remote = open(&set.server.url("r.git"), settings());
    assert_eq!(remote.fetch(tip, &store, TREES).unwrap().objects, 34);
}
