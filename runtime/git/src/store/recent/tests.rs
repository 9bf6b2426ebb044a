//! What was pushed last, over kills and damage.

use super::{FILE, PACKS_MAX};
use crate::{
    Store,
    store::OBJECTS,
    testing::{Mirror, git, packs},
};
use mirror_core::ids::Oid;
use std::path::PathBuf;

/// What a process leaves that is killed after some pushes, of which the last one is not confirmed.
fn killed() -> (tempfile::TempDir, PathBuf, Vec<Oid>) {
    let mirror = Mirror::new();
    let mut tips = vec![
        mirror.push("first", &[("a/b", "1"), ("c", "2")]),
        mirror.push("second", &[("a/b", "3")]),
    ];
    let push = mirror.make(Some(tips[1]), "third", &[("c", "4")]);
    mirror.store.save(&push).unwrap();
    tips.push(push.new_tip());
    let root = mirror.directory.path().join("store");
    assert_eq!(
        packs(&root, "pack"),
        [] as [PathBuf; 0],
        "they are not worth a pack each"
    );
    (mirror.directory, root, tips)
}

#[test]
fn what_was_pushed_last_survives_a_kill_and_becomes_one_pack() {
    let (_directory, root, tips) = killed();
    for round in 0..3 {
        let store = Store::open_or_create(&root).unwrap();
        for (tip, message) in tips.iter().zip(["first\n", "second\n", "third\n"]) {
            let commit = store.commit(*tip).unwrap();
            assert_eq!(commit.message, message);
            assert_eq!(store.files_below(commit.tree, None).unwrap().count(), 2);
        }
        assert_eq!(packs(&root, "pack").len(), 1, "round {round}");
        drop(store);
    }
    git(&root, &["fsck", "--full", "--strict"]);
}

#[test]
fn of_what_was_pushed_last_whatever_is_damaged_is_not_believed() {
    let (_directory, root, tips) = killed();
    let file = root.join(OBJECTS).join(FILE);
    let whole = std::fs::read(&file).unwrap();
    let record = |number: usize| {
        // Each begins with its name and two lengths.
        (0..number).fold(0, |start, _| {
            let length = |at: usize| u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
            start + 16 + length(start + 8) + length(start + 12)
        })
    };
    assert_eq!(record(3), whole.len());
    let flipped = (0..whole.len()).step_by(5).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        (at, bytes)
    });
    let cut = (0..whole.len())
        .step_by(29)
        .map(|end| (end, whole[..end].to_vec()));
    for (at, bytes) in flipped.chain(cut) {
        for extension in ["idx", "pack"] {
            packs(&root, extension)
                .iter()
                .for_each(|path| std::fs::remove_file(path).unwrap());
        }
        std::fs::write(&file, bytes).unwrap();
        let store = Store::open_or_create(&root).unwrap();
        for (number, tip) in tips.iter().enumerate() {
            assert_eq!(
                store.contains(*tip),
                record(number + 1) <= at,
                "{number}, damaged at {at}"
            );
        }
    }
}

#[test]
fn the_file_of_the_last_pushes_does_not_grow_and_what_is_left_over_in_it_does_no_harm() {
    let mirror = Mirror::new();
    let root = mirror.directory.path().join("store");
    let file = root.join(OBJECTS).join(FILE);
    let mut longest = 0;
    for number in 0..3 * (PACKS_MAX + 1) {
        mirror.push("change", &[("a", &format!("{number}"))]);
        longest = longest.max(std::fs::metadata(&file).unwrap().len());
    }
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "they are in packs");
    assert!((1..100_000).contains(&longest), "{longest}");
    assert_eq!(packs(&root, "pack").len(), 3);
    // As a write that failed in the middle leaves it.
    std::fs::write(&file, vec![0xa5; 100_000]).unwrap();
    let tip = mirror.push("more", &[("a", "more")]);
    let Mirror { directory, store, .. } = mirror;
    drop(store);
    let store = Store::open_or_create(&directory.path().join("store")).unwrap();
    assert_eq!(store.commit(tip).unwrap().message, "more\n");
}
