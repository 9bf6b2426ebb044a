//! What every remote promises, whatever is in between.

use super::*;
use crate::{Ancestry, Disposition, HistoryEnd, RefUpdate};

/// Calls a test once for every way to a repository.
#[track_caller]
pub(super) fn everywhere(test: impl Fn(&Setup, Way)) {
    for way in ways() {
        println!("{way:?}");
        test(&Setup::new(way), way);
    }
}

#[test]
fn an_empty_repository_is_filled_and_read_back() {
    everywhere(|setup, _| {
        assert_eq!(setup.remote.tip(&setup.main).unwrap(), None);
        assert_eq!(setup.remote.branches().unwrap(), []);
        let first = setup.push("first", &[("a/b.json", "1"), ("c", "2")]);
        assert_eq!(setup.remote.tip(&setup.main).unwrap(), Some(first));
        assert_eq!(setup.git(&["rev-parse", "main"]), first.to_string());
        let second = setup.push("second", &[("a/b.json", "3"), ("c", "-"), ("d/e", "4")]);
        assert_eq!(setup.git(&["show", "main:a/b.json"]), "3");
        assert_eq!(
            setup.git(&["ls-tree", "-r", "--name-only", "main"]),
            "a/b.json\nd/e"
        );
        assert_eq!(setup.remote.branches().unwrap(), [(setup.main.clone(), second)]);
        setup.is_sound();
    });
}

#[test]
fn a_branch_that_moved_is_not_touched() {
    everywhere(|setup, _| {
        let first = setup.push("first", &[("a", "1")]);
        let stale = setup.make(Some(first), "stale", &[("a", "2")]);
        let second = setup.push("second", &[("a", "3")]);
        let error = setup.remote.push(&stale).unwrap_err();
        assert!(
            matches!(&error, PushError::RefMoved { actual: Some(actual), .. } if *actual == second),
            "{error:?}"
        );
        assert_eq!(error.disposition(), Disposition::RefMoved);
        let create = setup.make(None, "create", &[("a", "4")]);
        let error = setup.remote.push(&create).unwrap_err();
        assert!(
            matches!(error, PushError::RefMoved { actual: Some(_), .. }),
            "{error:?}"
        );
        let gone = make(&setup.store, &branch("gone"), Some(first), "gone", &[("a", "5")]);
        let error = setup.remote.push(&gone).unwrap_err();
        assert!(
            matches!(error, PushError::RefMoved { actual: None, .. }),
            "{error:?}"
        );
        assert_eq!(setup.remote.tip(&setup.main).unwrap(), Some(second));
        setup.is_sound();
    });
}

#[test]
fn a_branch_that_moves_between_two_pushes_is_seen() {
    everywhere(|setup, _| {
        let first = setup.push("first", &[("a", "1")]);
        let ours = setup.make(Some(first), "ours", &[("a", "2")]);
        // Somebody else is faster, after the remote has been talked to.
        let theirs = setup.make(Some(first), "theirs", &[("b", "3")]);
        setup.local.push(&theirs).unwrap();
        let error = setup.remote.push(&ours).unwrap_err();
        assert!(
            matches!(&error, PushError::RefMoved { actual: Some(actual), .. } if *actual == theirs.new_tip()),
            "{error:?}"
        );
        setup.is_sound();
    });
}

#[test]
fn a_push_that_arrived_already_is_a_success() {
    everywhere(|setup, _| {
        let push = setup.make(None, "first", &[("a", "1")]);
        setup.remote.push(&push).unwrap();
        setup.remote.push(&push).unwrap();
        setup.local.push(&push).unwrap();
        assert_eq!(setup.remote.tip(&setup.main).unwrap(), Some(push.new_tip()));
    });
}

#[test]
fn a_branch_starts_at_a_commit_that_is_there_and_is_deleted_where_it_is_expected() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("a", "1")]);
        let dev = branch("keboola/dev-1");
        let mut draft = setup.store.draft();
        let tree = draft.tree_of(first).unwrap();
        let commit = draft
            .commit_text(tree, &[first], crate::testing::text("dev", 1), None)
            .unwrap();
        let push = draft.into_push(dev.clone(), None, commit).unwrap();
        setup.remote.push(&push).unwrap();
        assert_eq!(
            setup.remote.branches().unwrap(),
            [(dev.clone(), commit), (setup.main.clone(), first)],
            "{way:?}"
        );
        let empty = setup
            .store
            .draft()
            .into_push(branch("same"), None, first)
            .unwrap();
        setup.remote.push(&empty).unwrap();
        assert_eq!(setup.remote.tip(&branch("same")).unwrap(), Some(first));
        let error = setup.remote.delete_branch(&dev, first).unwrap_err();
        assert!(
            matches!(error, PushError::RefMoved { actual: Some(_), .. }),
            "{error:?}"
        );
        setup.remote.delete_branch(&dev, commit).unwrap();
        setup.remote.delete_branch(&dev, commit).unwrap();
        assert_eq!(setup.remote.tip(&dev).unwrap(), None);
        // The name is free again, also below.
        let below = make(&setup.store, &branch("keboola/dev-1/x"), None, "x", &[("b", "1")]);
        setup.remote.push(&below).unwrap();
        let beside = make(&setup.store, &branch("keboola/dev-1"), None, "x", &[("b", "1")]);
        let error = setup.remote.push(&beside).unwrap_err();
        assert!(
            matches!(
                &error,
                PushError::Refused {
                    refusal: crate::Refusal::BranchName,
                    ..
                }
            ),
            "{error:?}"
        );
    });
}

#[test]
fn branches_are_listed_whatever_else_there_is() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("a", "1")]);
        setup.git(&["tag", "-a", "-m", "tag", "v1", "main"]);
        setup.git(&["update-ref", "refs/notes/x", "main"]);
        setup.git(&["update-ref", "refs/heads/main2", "main"]);
        setup.git(&["pack-refs", "--all"]);
        if !matches!(way, Way::HttpV0 | Way::PlainHttpV0) {
            // Before version 2 only `HEAD` is told to be symbolic.
            setup.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
        }
        let branches = setup.remote.branches().unwrap();
        assert_eq!(branches, [(setup.main.clone(), first), (branch("main2"), first)]);
        assert_eq!(setup.remote.tip(&branch("mai")).unwrap(), None);
    });
}

#[test]
fn an_empty_store_is_filled_with_what_the_next_commit_needs() {
    everywhere(|setup, way| {
        for number in 0..6 {
            let content = format!("{number}");
            setup.push(
                &content,
                &[("a/b/c.json", &content), (&format!("d/{number}"), "x")],
            );
        }
        let tip = setup.remote.tip(&setup.main).unwrap().unwrap();
        let other = setup.other_store();
        let scope = FetchScope::TreesOnly { commits_max: 1 };
        let fetched = setup.remote.fetch(tip, &other, scope).unwrap();
        // The commit, the root and `a`, `a/b`, `d`.
        assert_eq!(fetched.objects, 5, "{way:?}");
        let history = other.history(tip, 10).unwrap();
        assert_eq!(history.commits.len(), 1);
        assert!(matches!(history.end, HistoryEnd::NotHere(_)));
        let tree = history.commits[0].tree;
        let files = other.files_below(tree, None).unwrap().map(Result::unwrap).count();
        assert_eq!(files, 7);
        let nothing = setup.remote.fetch(tip, &other, scope).unwrap();
        assert_eq!((nothing.objects, nothing.bytes), (0, 0));
        // More of the history, without another tree.
        let fetched = setup
            .remote
            .fetch(tip, &other, FetchScope::TreesOnly { commits_max: 4 })
            .unwrap();
        assert_eq!(fetched.objects, 3);
        assert_eq!(other.history(tip, 10).unwrap().commits.len(), 4);
        // Another machine goes on from there.
        let next = make(&other, &setup.main, Some(tip), "next", &[("a/b/c.json", "new")]);
        setup.remote.push(&next).unwrap();
        assert_eq!(setup.git(&["show", "main:a/b/c.json"]), "new");
        setup.is_sound();
    });
}

#[test]
fn a_server_without_filters_or_depths_gives_all_and_the_next_commit_needs_no_more() {
    for protocol_version_2 in [true, false] {
        for (conceals, asked) in [
            (vec!["filter"], "deepen 1"),
            (vec!["shallow"], "filter blob:none"),
            (vec!["filter", "shallow"], ""),
        ] {
            let setup = Setup::new(Way::Local);
            for number in 0..4 {
                let content = format!("{number}");
                setup.push(&content, &[("a/b.json", &content), (&format!("d/{number}"), "x")]);
            }
            let options = HttpOptions {
                protocol_version_2,
                conceals_reading: conceals.clone(),
                ..HttpOptions::default()
            };
            let server = HttpServer::start(setup.repositories.root(), options);
            let remote = open(&server.url("r.git"), settings());
            let tip = remote.tip(&setup.main).unwrap().unwrap();
            let other = setup.other_store();
            let scope = FetchScope::TreesOnly { commits_max: 1 };
            let fetched = remote.fetch(tip, &other, scope).unwrap();
            let reads: String = server
                .take_seen()
                .iter()
                .map(|seen| String::from_utf8_lossy(&seen.body).into_owned())
                .collect();
            for word in ["deepen 1", "filter blob:none"] {
                assert_eq!(reads.contains(word), word == asked, "{conceals:?}: {reads}");
            }
            // Whatever came: the commit, the root, `a` and `d` are kept.
            assert_eq!(fetched.objects, 4, "{conceals:?}");
            let next = make(&other, &setup.main, Some(tip), "next", &[("a/b.json", "new")]);
            remote.push(&next).unwrap();
            assert_eq!(setup.git(&["show", "main:a/b.json"]), "new");
            assert_eq!(setup.git(&["show", "main:d/3"]), "x");
            setup.is_sound();
        }
    }
}

#[test]
fn commits_come_without_trees_and_to_the_beginning() {
    everywhere(|setup, way| {
        let tips: Vec<Oid> = (0..5)
            .map(|n| setup.push(&format!("{n}"), &[("a", &format!("{n}"))]))
            .collect();
        let tip = tips[4];
        let other = setup.other_store();
        let commits = |commits_max| FetchScope::CommitsOnly { commits_max };
        assert_eq!(
            setup.remote.fetch(tip, &other, commits(2)).unwrap().objects,
            2,
            "{way:?}"
        );
        assert_eq!(
            setup.remote.fetch(tip, &other, commits(100)).unwrap().objects,
            3,
            "{way:?}"
        );
        let history = other.history(tip, 100).unwrap();
        let ids: Vec<Oid> = history.commits.iter().rev().map(|commit| commit.id).collect();
        assert_eq!((ids, history.end), (tips, HistoryEnd::Root));
        assert!(!other.contains(history.commits[0].tree));
    });
}

#[test]
fn what_others_committed_is_fetched_on_top_of_what_is_here() {
    everywhere(|setup, way| {
        let files: Vec<(String, String)> = (0..50)
            .map(|n| (format!("d{}/f{n}", n % 10), format!("{n}")))
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        let first = setup.push("first", &files);
        setup.push("removed", &[("d3/f3", "-"), ("d3/f13", "-")]);
        let mine = setup.remote.tip(&setup.main).unwrap().unwrap();
        // Somebody else commits, and brings back a directory that only an older commit had.
        let work = setup.repositories.root().join("work");
        setup.git(&[
            "worktree",
            "add",
            "--quiet",
            "--force",
            &work.to_string_lossy(),
            "main",
        ]);
        git(&work, &["checkout", "--quiet", &first.to_string(), "--", "d3"]);
        std::fs::write(work.join("theirs"), "x").unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "--quiet", "-m", "theirs"]);
        setup.git(&["worktree", "remove", "--force", &work.to_string_lossy()]);
        let theirs = setup.remote.tip(&setup.main).unwrap().unwrap();
        assert_ne!(mine, theirs);
        let other = setup.other_store();
        let scope = FetchScope::TreesOnly { commits_max: 1 };
        setup.remote.fetch(mine, &other, scope).unwrap();
        let fetched = setup.remote.fetch(theirs, &other, scope).unwrap();
        // The commit, the root and the directory that came back.
        assert_eq!(fetched.objects, 3, "{way:?}");
        let tree = other.commit(theirs).unwrap().tree;
        assert_eq!(
            other.files_below(tree, None).unwrap().map(Result::unwrap).count(),
            51
        );
        let next = make(&other, &setup.main, Some(theirs), "next", &[("d3/f3", "new")]);
        setup.remote.push(&next).unwrap();
        setup.is_sound();
    });
}

#[test]
fn histories_are_walked_along_all_parents_and_what_is_not_there_is_passed_over() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("a", "1")]);
        let second = setup.push("second", &[("a", "2")]);
        let mut draft = setup.store.draft();
        let tree = draft.tree_of(first).unwrap();
        let side = draft
            .commit_text(tree, &[first], crate::testing::text("side", 5), None)
            .unwrap();
        let side = draft.into_push(branch("side"), None, side).unwrap();
        setup.store.save(&side).unwrap();
        setup.remote.push(&side).unwrap();
        let mut draft = setup.store.draft();
        let tree = draft.tree_of(second).unwrap();
        let parents = [second, side.new_tip()];
        let merge = draft
            .commit_text(tree, &parents, crate::testing::text("merge", 1_800_000_000), None)
            .unwrap();
        let push = draft.into_push(setup.main.clone(), Some(second), merge).unwrap();
        setup.remote.push(&push).unwrap();
        let unknown = Oid::from_bytes([7; 20]);
        let other = setup.other_store();
        let fetched = setup
            .remote
            .fetch_history(&[merge, unknown], &other, 100)
            .unwrap();
        assert_eq!(fetched.objects, 4, "{way:?}");
        let fetched = setup.remote.fetch_history(&[unknown], &other, 100).unwrap();
        assert_eq!(fetched.objects, 0);
        let other = setup.other_store();
        assert_eq!(
            setup.remote.fetch_history(&[merge], &other, 2).unwrap().objects,
            2
        );
        let answer = |wanted, tip| {
            setup
                .other_store()
                .is_ancestor(setup.remote.as_ref(), wanted, tip)
                .unwrap()
        };
        assert_eq!(answer(first, merge), Ancestry::Yes);
        assert_eq!(answer(side.new_tip(), merge), Ancestry::Yes);
        if way != Way::PlainHttpV0 {
            assert_eq!(answer(side.new_tip(), second), Ancestry::No);
        }
    });
}

#[test]
fn blobs_are_read_by_id_in_order() {
    everywhere(|setup, _| {
        let big = String::from_utf8_lossy(&crate::testing::pseudo_random_bytes(1, 300_000)).into_owned();
        setup.push("first", &[("a", "one"), ("b", &big), ("c", "")]);
        let id = |path: &str| Oid::parse(&setup.git(&["rev-parse", &format!("main:{path}")])).unwrap();
        let ids = [id("b"), id("a"), id("c"), id("a")];
        let blobs = setup.remote.read_blobs(&ids).unwrap();
        let expected = [big.as_bytes(), b"one", b"", b"one"];
        assert!(
            blobs
                .iter()
                .zip(expected)
                .all(|(found, expected)| found == expected)
        );
        assert_eq!(setup.remote.read_blobs(&[]).unwrap(), Vec::<Vec<u8>>::new());
        let unknown = Oid::from_bytes([7; 20]);
        let error = setup.remote.read_blobs(&[id("a"), unknown]).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Missing { id, .. } if *id == unknown),
            "{error:?}"
        );
    });
}

#[test]
fn a_commit_that_is_not_there_is_said_to_be_missing() {
    everywhere(|setup, way| {
        setup.push("first", &[("a", "1")]);
        let unknown = Oid::from_bytes([9; 20]);
        for scope in [
            FetchScope::TreesOnly { commits_max: 1 },
            FetchScope::CommitsOnly { commits_max: 3 },
        ] {
            let error = setup
                .remote
                .fetch(unknown, &setup.other_store(), scope)
                .unwrap_err();
            assert!(
                matches!(&error, RemoteError::Missing { id, .. } if *id == unknown),
                "{way:?}: {error:?}"
            );
            assert_eq!(error.disposition(), Disposition::Retry);
        }
    });
}

#[test]
fn of_two_that_race_exactly_one_wins() {
    everywhere(|setup, way| {
        let mut tip = setup.push("first", &[("a", "1")]);
        let rounds = if way == Way::Ssh { 2 } else { 4 };
        for round in 0..rounds {
            let pushes =
                ["left", "right"].map(|who| setup.make(Some(tip), who, &[("a", &format!("{who} {round}"))]));
            pushes.iter().for_each(|push| setup.store.save(push).unwrap());
            let start = std::sync::Barrier::new(2);
            let results: Vec<_> = std::thread::scope(|scope| {
                let running: Vec<_> = pushes
                    .iter()
                    .map(|push| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            setup.remote.push(push)
                        })
                    })
                    .collect();
                running.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let winners: Vec<Oid> = pushes
                .iter()
                .zip(&results)
                .filter(|(_, result)| result.is_ok())
                .map(|(push, _)| push.new_tip())
                .collect();
            assert_eq!(winners.len(), 1, "{way:?}: {results:?}");
            for error in results.iter().filter_map(|result| result.as_ref().err()) {
                assert!(
                    matches!(error, PushError::RefMoved { .. } | PushError::Contended { .. }),
                    "{way:?}: {error:?}"
                );
            }
            tip = winners[0];
            assert_eq!(setup.remote.tip(&setup.main).unwrap(), Some(tip));
        }
        setup.is_sound();
    });
}

#[test]
fn a_store_that_is_damaged_is_found_to_be_and_mended_from_the_remote() {
    everywhere(|setup, way| {
        setup.push("first", &[("a/b/c.json", "1"), ("d/e.json", "2"), ("x", "3")]);
        let tip = setup.push("second", &[("a/b/c.json", "4")]);
        for while_open in [false, true] {
            let root = setup.cache.path().join(crate::disk::unique_name("damaged"));
            let mut store = Store::open_or_create(&root).unwrap();
            let scope = FetchScope::TreesOnly { commits_max: 1 };
            setup.remote.fetch(tip, &store, scope).unwrap();
            let damage = || {
                for pack in crate::testing::packs(&root, "pack") {
                    let mut bytes = std::fs::read(&pack).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle..middle + 8].fill(0xa5);
                    std::fs::remove_file(&pack).unwrap();
                    std::fs::write(&pack, bytes).unwrap();
                }
            };
            if while_open {
                damage();
                store.objects().reopen().unwrap();
            } else {
                drop(store);
                damage();
                store = Store::open_or_create(&root).unwrap();
            }
            // As an attempt does it: what is missing is fetched, what is damaged is dropped first.
            let walk = |store: &Store| {
                let files = store.files_below(store.commit(tip)?.tree, None)?;
                files.collect::<Result<Vec<_>, _>>()
            };
            let error = walk(&store).unwrap_err();
            assert!(
                error.is_damage() || matches!(error, crate::StoreError::Missing { .. }),
                "{way:?}: {error:?}"
            );
            if error.is_damage() {
                store.reset().unwrap();
            }
            assert!(setup.remote.fetch(tip, &store, scope).unwrap().objects > 0);
            assert_eq!(walk(&store).unwrap().len(), 3, "{way:?}");
            let branch = branch(if while_open { "one" } else { "two" });
            let push = make(&store, &branch, Some(tip), "next", &[("d/e.json", "new")]);
            let push = store.save(&push).map(|()| push).unwrap();
            let update = RefUpdate::create(branch, push.new_tip()).into();
            let report = setup
                .remote
                .update_refs(&update, Some(&push), &PushMode::default());
            report.unwrap().into_result().unwrap();
            setup.is_sound();
        }
    });
}
