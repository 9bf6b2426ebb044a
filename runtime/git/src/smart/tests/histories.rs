//! The trees of many commits, in few exchanges.

use super::{contract::everywhere, *};
use crate::HistoryEnd;
use std::collections::BTreeSet;

/// Pushes commits that add, change, delete and bring back; returns them, oldest first.
fn pushed(setup: &Setup, commits: usize) -> Vec<Oid> {
    let push = |number: usize| {
        let content = number.to_string();
        let other = format!("d{}/e/{}", number % 3, number % 5);
        let comes_and_goes = if number.is_multiple_of(4) { "here" } else { "-" };
        let mut files = vec![
            ("a/b/c.json", content.as_str()),
            (other.as_str(), "x"),
            ("stays/x", "x"),
        ];
        if number > 0 {
            files.push(("gone/again", comes_and_goes));
        }
        setup.push(&content, &files)
    };
    (0..commits).map(push).collect()
}

/// Returns the commits and their trees as `git` lists them.
fn with_trees(setup: &Setup, commits: &[Oid]) -> BTreeSet<Oid> {
    let commits: Vec<String> = commits.iter().map(Oid::to_string).collect();
    let list = [
        "rev-list",
        "--no-walk",
        "--objects",
        "--no-object-names",
        "--filter=blob:none",
    ];
    let commits = commits.iter().map(String::as_str);
    let listed = setup.git(&list.into_iter().chain(commits).collect::<Vec<_>>());
    listed.lines().map(|id| Oid::parse(id).unwrap()).collect()
}

/// Checks that a store has these commits whole, and no blob. What ids name is what they name at the remote.
#[track_caller]
fn check_whole(store: &Store, commits: &[Oid]) {
    for commit in commits {
        let tree = store.commit(*commit).unwrap().tree;
        let files = store.files_below(tree, None).unwrap().map(Result::unwrap);
        let blobs: Vec<Option<Vec<u8>>> = files.map(|file| store.blob(file.id).unwrap()).collect();
        assert!(blobs.len() >= 3 && blobs.iter().all(Option::is_none), "{blobs:?}");
    }
}

#[test]
fn the_trees_of_several_commits_come_together_and_each_once() {
    everywhere(|setup, way| {
        let commits = pushed(setup, 12);
        let other = setup.other_store();
        let fetch = |commits: &[Oid]| setup.remote.fetch_trees(commits, &other);
        // With others between them, and neither in order nor only once.
        let some = [commits[7], commits[1], commits[4], commits[1]];
        let mut expected = with_trees(setup, &some);
        assert_eq!(fetch(&some).unwrap().objects, expected.len(), "{way:?}");
        check_whole(&other, &some);
        let fetched = fetch(&commits).unwrap();
        let before = expected.len();
        expected.extend(with_trees(setup, &commits));
        assert_eq!(fetched.objects, expected.len() - before, "{way:?}");
        check_whole(&other, &commits);
        assert_eq!(fetch(&commits).unwrap(), Fetched::default());
        assert_eq!(fetch(&[]).unwrap(), Fetched::default());
        let unknown = Oid::from_bytes([7; 20]);
        let error = fetch(&[commits[3], unknown]).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Missing { id, .. } if *id == unknown),
            "{error:?}"
        );
        // The store can be built on.
        let next = make(
            &other,
            &setup.main,
            Some(commits[11]),
            "next",
            &[("a/b/c.json", "new")],
        );
        setup.remote.push(&next).unwrap();
        setup.is_sound();
    });
}

/// Fetches the trees of 70 commits into an empty store, and returns how often the server was asked for objects.
fn exchanges(plain: bool, limits: Limits) -> usize {
    let setup = Setup::new(Way::Local);
    let commits = pushed(&setup, 70);
    if plain {
        setup.git(&["config", "uploadpack.allowFilter", "false"]);
        setup.git(&["config", "uploadpack.allowAnySHA1InWant", "false"]);
    }
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let remote = open(&server.url("r.git"), RemoteSettings { limits, ..settings() });
    let other = setup.other_store();
    let fetched = remote.fetch_trees(&commits, &other).unwrap();
    assert_eq!(fetched.objects, with_trees(&setup, &commits).len());
    check_whole(&other, &commits);
    let seen = server.take_seen();
    seen.iter().filter(|seen| seen.method == "POST").count()
}

#[test]
fn exchanges_are_few_and_more_where_an_answer_would_be_too_large() {
    assert_eq!(exchanges(false, Limits::default()), 1);
    assert_eq!(exchanges(true, Limits::default()), 3, "32 at a time");
    let small = Limits {
        answer_bytes_max: 8_000,
        ..Limits::default()
    };
    let halved = exchanges(false, small);
    assert!((3..=16).contains(&halved), "{halved}");
}

#[test]
fn without_a_filter_history_comes_in_parts_whatever_is_here_already() {
    let setup = Setup::new(Way::Local);
    let commits = pushed(&setup, 40);
    setup.git(&["config", "uploadpack.allowFilter", "false"]);
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let remote = open(&server.url("r.git"), settings());
    let other = setup.other_store();
    let tip = commits[39];
    // One more than comes at once is here, and not what that is built on.
    remote.fetch_history(&commits[38..39], &other, 100).unwrap();
    let scope = FetchScope::CommitsOnly { commits_max: 100 };
    remote.fetch(tip, &other, scope).unwrap();
    let history = other.history(tip, 100).unwrap();
    assert_eq!(history.commits.len(), 33);
    let HistoryEnd::NotHere(next) = history.end else {
        panic!("there is more: {:?}", history.end)
    };
    remote.fetch_history(&[next], &other, 100).unwrap();
    let history = other.history(tip, 100).unwrap();
    assert_eq!((history.commits.len(), history.end), (40, HistoryEnd::Root));
}
