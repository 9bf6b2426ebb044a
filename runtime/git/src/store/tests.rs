//! The store over many pushes, crashes and losses.

use super::*;
use crate::{
    FetchScope, HistoryEnd, Remote, RemoteError,
    testing::{Mirror, git, make, packs, path},
};
use std::collections::BTreeMap;

#[test]
fn a_hundred_pushes_in_one_process_leave_few_packs_and_a_sound_remote() {
    let mirror = Mirror::new();
    let mut expected = BTreeMap::new();
    let mut tips = Vec::new();
    for number in 0..100 {
        let (file, content) = (
            format!("configs/{}/{}.json", number % 7, number % 23),
            format!("{number}\n"),
        );
        tips.push(mirror.push("change", &[(&file, &content)]));
        expected.insert(file, content);
        let here = packs(&mirror.directory.path().join("store"), "pack").len();
        assert!(
            here <= fold::PACKS_UNFOLDED_MAX + 1,
            "{here} packs after push {number}"
        );
    }
    let tip = *tips.last().unwrap();
    assert_eq!(mirror.store.tip(&mirror.main).unwrap(), Some(tip));
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "100");
    let clone = mirror.directory.path().join("clone");
    git(
        mirror.directory.path(),
        &["clone", "--quiet", "remote.git", "clone"],
    );
    for (file, content) in &expected {
        assert_eq!(&std::fs::read_to_string(clone.join(file)).unwrap(), content);
    }
    let tree = mirror.store.commit(tip).unwrap().tree;
    let files: Vec<_> = mirror
        .store
        .files_below(tree, None)
        .unwrap()
        .map(|file| file.unwrap().mirror_path().unwrap())
        .collect();
    assert_eq!(files.len(), expected.len());
    let Mirror { directory, store, .. } = mirror;
    drop(store);
    let store = Store::open_or_create(&directory.path().join("store")).unwrap();
    // Only what the next push needs is certain to be here.
    let history = store.history(tip, 1000).unwrap();
    assert!(!history.commits.is_empty() && history.commits.len() < 100);
    assert!(matches!(history.end, HistoryEnd::NotHere(_)));
}

#[test]
fn folding_keeps_every_tip_and_every_push_that_is_not_confirmed() {
    let mirror = Mirror::new();
    let dev = RefName::branch("keboola/dev").unwrap();
    let first = mirror.push("first", &[("a/x", "1"), ("b/y", "2")]);
    let branch = make(&mirror.store, &dev, Some(first), "dev", &[("dev/z", "3")]);
    let dev_tip = branch.new_tip();
    mirror.store.save(&branch).unwrap();
    mirror.store.set_tip(&dev, Some(dev_tip)).unwrap();
    drop(branch);
    let waiting = make(&mirror.store, &dev, Some(dev_tip), "waiting", &[("dev/w", "4")]);
    mirror.store.save(&waiting).unwrap();
    for number in 0..60 {
        mirror.push("change", &[("a/x", &format!("{number}"))]);
    }
    let files = |tip| {
        let tree = mirror.store.commit(tip).unwrap().tree;
        let files: Result<Vec<_>, _> = mirror.store.files_below(tree, None).unwrap().collect();
        files.unwrap().len()
    };
    assert_eq!((files(dev_tip), files(waiting.new_tip())), (3, 4));
    assert!(!mirror.store.contains(first), "nobody needs the first commit");
    let next = make(
        &mirror.store,
        &dev,
        Some(waiting.new_tip()),
        "next",
        &[("dev/v", "5")],
    );
    assert_eq!(next.objects(), 4);
    mirror.store.set_tip(&dev, None).unwrap();
    assert_eq!(mirror.store.tip(&dev).unwrap(), None);
}

#[test]
fn a_lost_store_is_rebuilt_from_the_remote_and_goes_on() {
    let mirror = Mirror::new();
    for number in 0..20 {
        mirror.push(
            &format!("change {number}"),
            &[
                (&format!("configs/{number}/x"), "1"),
                ("top", &format!("{number}")),
            ],
        );
    }
    // What Git itself makes of the packs has deltas.
    mirror.git(&["repack", "-adfq"]);
    let Mirror {
        directory,
        store,
        remote,
        main,
    } = mirror;
    drop(store);
    std::fs::remove_dir_all(directory.path().join("store")).unwrap();

    let store = Store::open_or_create(&directory.path().join("store")).unwrap();
    let tip = remote.tip(&main).unwrap().unwrap();
    let error = store.draft().tree_of(tip).unwrap_err();
    assert!(
        matches!(error, StoreError::Missing { id } if id == tip),
        "{error}"
    );

    let fetched = remote
        .fetch(tip, &store, FetchScope::CommitsOnly { commits_max: 5 })
        .unwrap();
    assert_eq!(fetched.objects, 5);
    let history = store.history(tip, 3).unwrap();
    assert_eq!((history.commits.len(), history.end), (3, HistoryEnd::Limit));
    assert_eq!(history.commits[0].message, "change 19\n");
    assert_eq!(
        store.history(tip, 9).unwrap().end,
        HistoryEnd::NotHere(history.commits[2].parents[0]).deeper(&store, 2)
    );

    let fetched = remote
        .fetch(tip, &store, FetchScope::TreesOnly { commits_max: 1000 })
        .unwrap();
    assert_eq!(
        fetched.objects,
        15 + 1 + 1 + 1,
        "the other commits, root, configs, and the one tree that all share"
    );
    assert_eq!(store.history(tip, 1000).unwrap().end, HistoryEnd::Root);
    assert_eq!(
        remote
            .fetch(tip, &store, FetchScope::TreesOnly { commits_max: 1000 })
            .unwrap()
            .objects,
        0
    );

    let mirror = Mirror {
        directory,
        store,
        remote,
        main,
    };
    mirror.push("after the loss", &[("configs/7/x", "2")]);
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
    assert_eq!(
        mirror.git(&["diff-tree", "-r", "--name-status", "--format=", "main"]),
        "M\tconfigs/7/x"
    );
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "21");
}

impl HistoryEnd {
    /// Where the history ends this many commits further down.
    fn deeper(self, store: &Store, commits: usize) -> Self {
        let Self::NotHere(id) = self else {
            panic!("{self:?}")
        };
        (0..commits).fold(Self::NotHere(id), |end, _| match end {
            Self::NotHere(id) => Self::NotHere(store.commit(id).unwrap().parents[0]),
            other => other,
        })
    }
}

#[test]
fn blobs_are_read_from_the_remote_by_path() {
    let mirror = Mirror::new();
    let tip = mirror.push(
        "state",
        &[("ai/state.json", "{}"), ("ai/ž/y", "yes"), ("x", "no")],
    );
    let tree = mirror.store.commit(tip).unwrap().tree;
    let file = |raw: &str| mirror.store.file(tree, &path(raw)).unwrap();
    let state = file("ai/state.json").unwrap();
    assert!(state.ordinary);
    for missing in ["ai", "ai/state.json/x", "ai/none", "none/x", "x/y"] {
        assert_eq!(file(missing), None, "{missing}");
    }
    let below: Vec<TreeFile> = mirror
        .store
        .files_below(tree, Some(&path("ai")))
        .unwrap()
        .map(|file| file.unwrap())
        .collect();
    assert_eq!(
        below
            .iter()
            .map(|file| file.mirror_path().unwrap().to_string())
            .collect::<Vec<_>>(),
        ["ai/state.json", "ai/ž/y"]
    );
    for nothing in ["x", "none", "ai/none/y"] {
        assert_eq!(
            mirror
                .store
                .files_below(tree, Some(&path(nothing)))
                .unwrap()
                .count(),
            0,
            "{nothing}"
        );
    }
    let ids: Vec<Oid> = below.iter().rev().map(|file| file.id).collect();
    assert_eq!(
        mirror.remote.read_blobs(&ids).unwrap(),
        [b"yes".to_vec(), b"{}".to_vec()]
    );
    assert_eq!(
        mirror.store.blob(state.id).unwrap().as_deref(),
        Some(b"{}".as_slice())
    );
    assert!(matches!(
        mirror.store.blob(tree),
        Err(StoreError::WrongKind { .. })
    ));
    let unknown = Oid::from_bytes([9; 20]);
    assert_eq!(mirror.store.blob(unknown).unwrap(), None);
    let error = mirror.remote.read_blobs(&[ids[0], unknown]).unwrap_err();
    assert!(
        matches!(error, RemoteError::Missing { id, .. } if id == unknown),
        "{error}"
    );
    let error = mirror
        .remote
        .fetch(unknown, &mirror.store, FetchScope::CommitsOnly { commits_max: 1 })
        .unwrap_err();
    assert!(
        matches!(error, RemoteError::Missing { id, .. } if id == unknown),
        "{error}"
    );
}

#[test]
fn a_store_has_one_owner_and_sweeps_what_a_killed_one_left() {
    let mirror = Mirror::new();
    let tip = mirror.push("one", &[("a", "1")]);
    let root = mirror.directory.path().join("store");
    assert!(matches!(
        Store::open_or_create(&root),
        Err(StoreError::InUse { .. })
    ));
    let Mirror {
        directory: _directory,
        store,
        ..
    } = mirror;
    drop(store);
    let left = [
        "tmp_pack_1_2",
        "tmp_idx_1_3",
        "pack-0123456789012345678901234567890123456789.pack",
    ];
    for name in left {
        std::fs::write(root.join("objects/pack").join(name), "PACK").unwrap();
    }
    let store = Store::open_or_create(&root).unwrap();
    assert_eq!(store.commit(tip).unwrap().message, "one\n");
    assert!(
        left.iter()
            .all(|name| !root.join("objects/pack").join(name).exists())
    );
}

#[test]
fn a_damaged_pack_is_reported_and_never_copied() {
    let mirror = Mirror::new();
    mirror.push("one", &[("a", "1"), ("b/c", "2"), ("kept/d", "3")]);
    let root = mirror.directory.path().join("store");
    let pack = packs(&root, "pack").pop().unwrap();
    let tree = Oid::parse(&mirror.git(&["rev-parse", "main:kept"])).unwrap();
    let rows = crate::idx::decode(&std::fs::read(pack.with_extension("idx")).unwrap()).unwrap();
    let row = rows.iter().find(|row| row.id == tree).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[pack::index(row.offset) + 8] ^= 0xff;
    std::fs::write(&pack, bytes).unwrap();
    let mut problem = None;
    for number in 0..40 {
        let tip = mirror.remote.tip(&mirror.main).unwrap().unwrap();
        let push = mirror.make(Some(tip), "more", &[("b/c", &format!("{number} again"))]);
        mirror.store.save(&push).unwrap();
        mirror.remote.push(&push).unwrap();
        if let Err(error) = mirror.store.confirm(push) {
            problem = Some(error);
            break;
        }
    }
    let error = problem.expect("folding meets the damage");
    assert!(
        matches!(error, StoreError::DamagedFile { .. } | StoreError::Damaged { .. }),
        "{error}"
    );
    assert!(pack.exists(), "what is damaged is left for a look");
}

#[test]
fn the_same_work_gives_the_same_push_on_any_machine() {
    let make_one = || {
        let mirror = Mirror::new();
        let files: Vec<(String, String)> = (0..300)
            .map(|n| (format!("d{}/f{n}", n % 9), format!("{n}").repeat(4000)))
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        let push = mirror.make(None, "snapshot", &files);
        (push.new_tip(), push.pack_bytes().to_vec())
    };
    assert_eq!(make_one(), make_one());
}
