//! Walks over histories of every shape, with Git as the judge.

use super::*;
use crate::{
    Disposition, FetchScope, LocalBare,
    testing::{Mirror, Random, git, git_fed},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// One commit of a drawn history; its name is the first line of its message.
struct Drawn {
    name: String,
    parents: Vec<usize>,
    second: i64,
}

/// A remote with a drawn history, and a store that has nothing of it.
struct History {
    mirror: Mirror,
    ids: Vec<Oid>,
}

impl History {
    fn new(drawn: &[Drawn]) -> Self {
        let mirror = Mirror::new();
        let mut script = String::new();
        for (number, commit) in drawn.iter().enumerate() {
            let Drawn {
                name,
                parents,
                second,
            } = commit;
            // Each on a branch of its own, so that all stay.
            write!(
                script,
                "reset refs/heads/c{number}\ncommit refs/heads/c{number}\nmark :{}\n\
                 committer A <a@example.com> {second} +0000\ndata {}\n{name}\n",
                number + 1,
                name.len(),
            )
            .unwrap();
            for (at, parent) in parents.iter().enumerate() {
                let word = if at == 0 { "from" } else { "merge" };
                writeln!(script, "{word} :{}", parent + 1).unwrap();
            }
            write!(script, "M 100644 inline f{number}\ndata 1\nx\n\n").unwrap();
        }
        git_fed(
            mirror.remote.path(),
            &["fast-import", "--quiet"],
            script.as_bytes(),
        );
        let shown = mirror.git(&["for-each-ref", "--format=%(refname:lstrip=2) %(objectname)"]);
        let ids: BTreeMap<usize, Oid> = shown
            .lines()
            .map(|line| {
                let (name, id) = line.split_once(' ').unwrap();
                (name[1..].parse().unwrap(), Oid::parse(id).unwrap())
            })
            .collect();
        Self {
            mirror,
            ids: ids.into_values().collect(),
        }
    }

    /// Draws from `name: parents @ second`, one commit each; without a second, one later than the one before.
    fn of(script: &str) -> (Self, BTreeMap<String, Oid>) {
        let mut drawn: Vec<Drawn> = Vec::new();
        for commit in script
            .split(';')
            .map(str::trim)
            .filter(|commit| !commit.is_empty())
        {
            let (name, rest) = commit.split_once(':').unwrap();
            let (parents, second) = rest.split_once('@').unwrap_or((rest, ""));
            let position = |parent| drawn.iter().position(|commit| commit.name == parent).unwrap();
            let parents = parents.split_whitespace().map(position).collect();
            let before = drawn.last().map_or(1_700_000_000, |commit| commit.second);
            let second = second.trim().parse().unwrap_or(before + 1);
            drawn.push(Drawn {
                name: name.to_owned(),
                parents,
                second,
            });
        }
        let history = Self::new(&drawn);
        let names = drawn.into_iter().map(|commit| commit.name);
        let named = names.zip(history.ids.iter().copied()).collect();
        (history, named)
    }

    /// A store that has nothing.
    fn store(&self) -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(directory.path()).unwrap();
        (directory, store)
    }
}

/// Asks for every two commits of a history, with an empty store and with a full one; Git must say the same.
#[track_caller]
fn check_all(script: &str) {
    let (history, named) = History::of(script);
    for (tip_name, tip) in &named {
        let (_directory, store) = history.store();
        let below = history.mirror.git(&["rev-list", &tip.to_string()]);
        for (name, wanted) in &named {
            let expected = if below.lines().any(|id| id == wanted.to_string()) {
                Ancestry::Yes
            } else {
                Ancestry::No
            };
            for store in [&store, &history.mirror.store] {
                let actual = store.is_ancestor(&history.mirror.remote, *wanted, *tip).unwrap();
                assert_eq!(actual, expected, "is {name} in {tip_name}?");
            }
        }
    }
    let trees = named
        .values()
        .map(|id| history.mirror.store.commit(*id).unwrap().tree);
    assert_eq!(
        trees.filter(|tree| history.mirror.store.contains(*tree)).count(),
        0
    );
}

#[test]
fn every_shape_of_history_is_searched_along_all_parents() {
    check_all("a:; b: a; c: b");
    // A person's merge: the mirror's commit is the second parent.
    check_all("base:; ours: base; theirs: base; merge: theirs ours");
    check_all("base:; x: base; y: base; z: base; octopus: x y z; next: octopus");
    // Criss-cross.
    check_all("base:; a: base; b: base; ab: a b; ba: b a; top: ab ba");
    // Two beginnings, joined or not.
    check_all("a:; b: a; other:; another: other; joined: b another; after: joined");
    // Clocks that run backwards, stand still, or are far ahead on one side.
    check_all("a: @ 900; b: a @ 800; c: b @ 700; d: c @ 600; side: a @ 5000; m: side d @ 1");
    check_all("a: @ 5; b: a @ 5; c: a @ 5; m: b c @ 5; n: m @ 5");
    check_all("a: @ 10; b: a @ 3000000000; c: a @ 20; d: c @ 30; m: d b @ 40; old: @ 0; top: m old @ 1");
}

#[test]
fn random_histories_with_wrong_clocks_are_seen_as_git_sees_them() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let mut drawn: Vec<Drawn> = Vec::new();
        let commits = [6, 20, 70, 200][random.below(4)];
        let skew = [1, 20, 1000][random.below(3)];
        // Times are all different: how Git orders equal ones depends on the way it went.
        let mut seconds: Vec<i64> = (0..commits).collect();
        for at in 0..seconds.len() {
            let other = (at + random.below(skew)).min(seconds.len() - 1);
            seconds.swap(at, other);
        }
        for (number, second) in seconds.into_iter().enumerate() {
            let count = match random.below(12) {
                0 => 0,
                1..=6 => 1,
                7..=10 => 2,
                _ => 4,
            };
            let near = |random: &mut Random| number - 1 - random.below(number.min(8));
            let mut parents: Vec<usize> = (0..if number == 0 { 0 } else { count })
                .map(|_| near(&mut random))
                .collect();
            let mut seen = std::collections::HashSet::new();
            parents.retain(|parent| seen.insert(*parent));
            let own = if random.below(5) == 0 { "own" } else { "other" };
            drawn.push(Drawn {
                name: format!("{own} {number}"),
                parents,
                second: 1_700_000_000 + second,
            });
        }
        let history = History::new(&drawn);
        for _ in 0..6 {
            let tip = history.ids[history.ids.len() - 1 - random.below(history.ids.len().min(10))];
            let log = history
                .mirror
                .git(&["log", "--date-order", "--format=%H %s", &tip.to_string()]);
            let below: Vec<(Oid, bool)> = log
                .lines()
                .map(|line| (Oid::parse(&line[..40]).unwrap(), line[41..].starts_with("own")))
                .collect();
            let (_directory, store) = history.store();
            let newest = store.newest_matching(&history.mirror.remote, tip, 10_000, |commit| {
                commit.message.starts_with("own")
            });
            let expected = below.iter().find(|(_, own)| *own).map(|(id, _)| *id);
            assert_eq!(
                newest.unwrap().map(|commit| commit.id),
                expected,
                "seed {seed}, tip {tip}"
            );
            for _ in 0..20 {
                let wanted = history.ids[random.below(history.ids.len())];
                let expected = if below.iter().any(|(id, _)| *id == wanted) {
                    Ancestry::Yes
                } else {
                    Ancestry::No
                };
                let actual = store.is_ancestor(&history.mirror.remote, wanted, tip).unwrap();
                assert_eq!(actual, expected, "seed {seed}, is {wanted} in {tip}?");
            }
        }
    }
}

#[test]
fn a_persons_merge_that_was_pushed_keeps_our_commit_in_the_history() {
    let mirror = Mirror::new();
    mirror.push("first", &[("a", "1")]);
    let clone = mirror.directory.path().join("clone");
    git(
        mirror.directory.path(),
        &["clone", "--quiet", "remote.git", "clone"],
    );
    std::fs::write(clone.join("readme"), "theirs").unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "--quiet", "-m", "theirs"]);
    let ours = mirror.push("ours", &[("a", "2")]);
    git(&clone, &["fetch", "--quiet"]);
    git(&clone, &["merge", "--quiet", "--no-edit", "origin/main"]);
    git(&clone, &["push", "--quiet"]);

    let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
    let commit = || {
        let scope = FetchScope::TreesOnly { commits_max: 1 };
        mirror.remote.fetch(tip, &mirror.store, scope).unwrap();
        mirror.store.commit(tip).unwrap()
    };
    assert_eq!(commit().parents[1], ours);
    let is_ancestor = |wanted| mirror.store.is_ancestor(&mirror.remote, wanted, tip).unwrap();
    assert_eq!(is_ancestor(ours), Ancestry::Yes);
    let newest = mirror
        .store
        .newest_matching(&mirror.remote, tip, 100, |commit| commit.message == "ours\n");
    assert_eq!(newest.unwrap().unwrap().id, ours);
    // And the mirror goes on from there.
    let next = mirror.push("next", &[("a", "3")]);
    assert_eq!(mirror.git(&["show", "main:readme"]), "theirs");
    assert_eq!(
        mirror.store.is_ancestor(&mirror.remote, ours, next).unwrap(),
        Ancestry::Yes
    );
}

#[test]
fn the_newest_is_the_first_that_supersedes_and_few_commits_are_read_for_it() {
    /// Finds the newest whose name starts with `own`, and counts the commits that were looked at.
    #[track_caller]
    fn check(script: &str, limit: usize, expected: Option<&str>, looked_at: usize) {
        let (history, named) = History::of(script);
        let tip = named["tip"];
        let mut seen = Vec::new();
        let newest = history
            .mirror
            .store
            .newest_matching(&history.mirror.remote, tip, limit, |commit| {
                seen.push(commit.message.trim_end().to_owned());
                commit.message.starts_with("own")
            })
            .unwrap();
        let newest = newest.map(|commit| commit.message.trim_end().to_owned());
        assert_eq!((newest.as_deref(), seen.len()), (expected, looked_at), "{seen:?}");
    }
    check("own1:; own2: own1; x: own2; tip: x", 100, Some("own2"), 3);
    check("a:; b: a; tip: b", 100, None, 3);
    check("own1:; b: own1; tip: b", 2, None, 2);
    check("own1:; b: own1; tip: b", 3, Some("own1"), 3);
    check("own1:; tip: own1", 0, None, 0);
    // The side that has none is walked to where it left.
    check(
        "base:; own1: base; x: base; y: x; tip: y own1",
        100,
        Some("own1"),
        4,
    );
    // `own2` is built on `own1`, whatever the clocks say.
    check(
        "base: @ 10; own1: base @ 90; own2: own1 @ 20; x: own1 @ 95; tip: x own2 @ 99",
        100,
        Some("own2"),
        4,
    );
    // Here the way from one to the other leads past a commit that neither matches nor is dated well.
    check(
        "own1: @ 90; m: own1 @ 1; own2: m @ 20; x: own1 @ 95; tip: x own2 @ 99",
        100,
        Some("own2"),
        4,
    );
    // Two that know nothing of each other: the later one.
    check(
        "base:; own1: base @ 50; own2: base @ 40; tip: own1 own2 @ 60",
        100,
        Some("own1"),
        3,
    );
}

#[test]
fn of_two_equal_ones_it_is_always_the_same() {
    let (history, named) =
        History::of("base: @ 1; own1: base @ 5; own2: base @ 5; left: own1 own2 @ 9; right: own2 own1 @ 9");
    let expected = named["own1"].min(named["own2"]);
    for tip in ["left", "right"] {
        let (_directory, store) = history.store();
        for store in [&store, &history.mirror.store] {
            let newest = store.newest_matching(&history.mirror.remote, named[tip], 100, |commit| {
                commit.message.starts_with("own")
            });
            assert_eq!(newest.unwrap().unwrap().id, expected);
        }
    }
}

#[test]
fn a_bound_and_an_end_that_is_not_the_beginning_leave_it_unknown() {
    let (history, named) = History::of("a:; b: a; c: b; d: c; e: d; side: a");
    let ask = |wanted: Oid, max| {
        let (_directory, store) = history.store();
        store
            .is_ancestor_within(&history.mirror.remote, wanted, named["e"], max)
            .unwrap()
    };
    let nobody_has = Oid::from_bytes([7; 20]);
    assert_eq!(ask(nobody_has, 5), Ancestry::No);
    assert_eq!(ask(nobody_has, 4), Ancestry::Unknown);
    assert_eq!(ask(named["a"], 3), Ancestry::Unknown);
    assert_eq!(ask(named["a"], 5), Ancestry::Yes);
    assert_eq!(ask(named["e"], 0), Ancestry::Yes);
    let error = history
        .mirror
        .store
        .is_ancestor(&history.mirror.remote, named["a"], nobody_has)
        .unwrap_err();
    assert!(
        matches!(error, RemoteError::Missing { id, .. } if id == nobody_has),
        "{error}"
    );
    assert_eq!(error.disposition(), Disposition::Retry);

    let url = format!("file://{}", history.mirror.remote.path().display());
    git(
        history.mirror.directory.path(),
        &[
            "clone",
            "--quiet",
            "--bare",
            "--depth=3",
            "--branch=c4",
            &url,
            "shallow.git",
        ],
    );
    let shallow = LocalBare::open(&history.mirror.directory.path().join("shallow.git")).unwrap();
    let (_directory, store) = history.store();
    for (wanted, expected) in [
        (named["c"], Ancestry::Yes),
        (named["b"], Ancestry::Yes),
        (named["a"], Ancestry::Unknown),
        (named["side"], Ancestry::Unknown),
        (nobody_has, Ancestry::Unknown),
    ] {
        assert_eq!(store.is_ancestor(&shallow, wanted, named["e"]).unwrap(), expected);
    }
    let newest = store.newest_matching(&shallow, named["e"], 100, |commit| commit.message == "a\n");
    assert_eq!(newest.unwrap(), None);
    for scope in [
        FetchScope::CommitsOnly { commits_max: 1000 },
        FetchScope::TreesOnly { commits_max: 1000 },
    ] {
        shallow.fetch(named["e"], &store, scope).unwrap();
    }
    let walked = store.history(named["e"], 1000).unwrap();
    assert_eq!(
        (walked.commits.len(), walked.end),
        (3, crate::HistoryEnd::NotHere(named["b"]))
    );
}

#[test]
fn a_long_history_is_brought_in_few_packs() {
    let mut drawn = Vec::new();
    for number in 0..3000_usize {
        // Every other commit merges a side branch of one commit.
        let parents = match number {
            0 => vec![],
            1 => vec![0],
            _ if number % 3 == 2 => vec![number - 1, number - 2],
            _ => vec![number - 1 - usize::from(number % 3 == 1)],
        };
        drawn.push(Drawn {
            name: number.to_string(),
            parents,
            second: 1_700_000_000 + i64::try_from(number).unwrap(),
        });
    }
    let history = History::new(&drawn);
    let Mirror { store, remote, .. } = &history.mirror;
    let tip = *history.ids.last().unwrap();
    assert_eq!(
        store.is_ancestor(remote, history.ids[0], tip).unwrap(),
        Ancestry::Yes
    );
    let here = history.ids.iter().filter(|id| store.contains(**id)).count();
    let packs = crate::testing::packs(&history.mirror.directory.path().join("store"), "pack").len();
    assert!(here > 2900 && packs <= 12, "{here} commits in {packs} packs");
    assert_eq!(
        store.is_ancestor(remote, Oid::from_bytes([7; 20]), tip).unwrap(),
        Ancestry::No
    );
}
