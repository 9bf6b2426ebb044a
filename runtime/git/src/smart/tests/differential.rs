//! Random histories, pushed by us and judged by `git`, over every way to a repository.
//!
//! `KBC_MIRROR_SEEDS=50` plays so many on each way (the long run), `KBC_MIRROR_SEED=<seed>` one again, exactly.

use super::*;
use crate::testing::{Random, command};
use std::collections::BTreeMap;

/// Some changes of files, each a commit; a path never is below another one.
fn changes(random: &mut Random) -> Vec<Vec<(String, Option<String>)>> {
    let mut present: BTreeMap<String, ()> = BTreeMap::new();
    let commits = 4 + random.below(4);
    (0..commits)
        .map(|_| {
            let before = present.clone();
            let mut commit: BTreeMap<String, Option<String>> = BTreeMap::new();
            for _ in 0..=random.below(8) {
                let path = format!(
                    "d{}/e{}/f{}.json",
                    random.below(4),
                    random.below(3),
                    random.below(6)
                );
                if before.contains_key(&path) && random.below(3) == 0 {
                    present.remove(&path);
                    commit.insert(path, None);
                } else {
                    present.insert(path.clone(), ());
                    commit.insert(
                        path,
                        Some(format!("{:x}\n", random.next()).repeat(1 + random.below(200))),
                    );
                }
            }
            commit.into_iter().collect()
        })
        .collect()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn random_histories_are_what_git_makes_of_them() {
    for (number_of_way, way) in (100..).zip(ways()) {
        let seeds = match number("KBC_MIRROR_SEED") {
            Some(seed) => vec![seed],
            None => (0..number("KBC_MIRROR_SEEDS").unwrap_or(1))
                .map(|round| 1000 * round + number_of_way)
                .collect(),
        };
        for seed in seeds {
            // Shown where it fails.
            println!("{way:?}, KBC_MIRROR_SEED={seed}");
            play(seed, way);
        }
    }
}

fn play(seed: u64, way: Way) {
    let mut random = Random(seed);
    let setup = Setup::new(way);
    let work = setup.repositories.root().join("work");
    git(
        setup.repositories.root(),
        &["init", "--quiet", "--initial-branch=main", "work"],
    );
    let mut store = setup.other_store();
    let mut tip: Option<Oid> = None;
    for (number, commit) in changes(&mut random).into_iter().enumerate() {
        let files: Vec<(&str, &str)> = commit
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_deref().unwrap_or("-")))
            .collect();
        for (path, content) in &commit {
            let path = work.join(path);
            match content {
                Some(content) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, content).unwrap();
                }
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        git(&work, &["add", "-A"]);
        // Now and then another machine takes over, with nothing but the remote.
        if let Some(tip) = tip.filter(|_| random.below(2) == 0) {
            store = setup.other_store();
            setup
                .remote
                .fetch(tip, &store, FetchScope::TreesOnly { commits_max: 1 })
                .unwrap();
        }
        let push = make(&store, &setup.main, tip, &format!("{number}"), &files);
        store.save(&push).unwrap();
        setup.remote.push(&push).unwrap();
        tip = Some(push.new_tip());
        store.confirm(push).unwrap();
        let tree = setup.git(&["rev-parse", "main^{tree}"]);
        assert_eq!(tree, git(&work, &["write-tree"]), "{way:?}, commit {number}");
    }
    setup.is_sound();
    let clone = setup.repositories.root().join("clone");
    let (url, how) = setup.for_git();
    let mut args: Vec<&str> = how.iter().flat_map(|option| ["-c", option]).collect();
    args.extend(["clone", "--quiet", &url, "clone"]);
    let cloned = command(setup.repositories.root(), &args).output().unwrap();
    assert!(
        cloned.status.success(),
        "{way:?}: {}",
        String::from_utf8_lossy(&cloned.stderr)
    );
    assert_eq!(git(&clone, &["fsck", "--full", "--strict"]), "");
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    assert_eq!(
        git(&clone, &["rev-parse", "HEAD^{tree}"]),
        git(&work, &["write-tree"])
    );
}
