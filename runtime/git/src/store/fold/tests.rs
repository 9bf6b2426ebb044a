//! What is joined when, and what is not even read.

use super::*;
use crate::{
    store::recent,
    testing::{Mirror, Random, packs, pseudo_random_bytes},
};
use std::path::PathBuf;

/// So many small pushes make so many packs that they are folded.
const UNTIL_FOLDED: usize = (PACKS_UNFOLDED_MAX + 1) * (recent::PACKS_MAX + 1);

/// Changes one small file so many times.
fn change(mirror: &Mirror, times: usize, salt: &str) {
    for number in 0..times {
        mirror.push("change", &[("small/file", &format!("{salt} {number}\n"))]);
    }
}

fn packs_of(mirror: &Mirror) -> Vec<PathBuf> {
    packs(&mirror.directory.path().join("store"), "pack")
}

#[test]
fn the_smallest_packs_are_joined_and_a_large_one_is_left_alone() {
    for (sizes, joined) in [
        (vec![1, 1, 1, 1, 1, 1, 1, 1, 1000], 8),
        (vec![1, 1, 1, 1, 1, 1, 1, 14, 1000], 7),
        (vec![1, 1, 1, 1, 1, 1, 1, 13, 1000], 8),
        // Larger ones may be joined when it is their turn.
        (vec![1, 1, 50, 50, 50, 50, 50, 50, 1000], 2),
        (vec![1, 2, 4, 8, 16, 32, 64, 128, 1000], 8),
        (vec![1, 3, 8, 24, 72, 216, 648, 1944, 9000], 2),
        // Many that nothing could be done with for a while.
        (vec![1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 120, 9999], 10),
        // Half as much as the largest.
        (vec![1, 1, 1, 1, 1, 1, 1, 1, 16], 9),
        (vec![1, 1, 1, 1, 1, 1, 1, 1, 18], 8),
        (vec![5; 9], 9),
    ] {
        assert_eq!(smallest_to_join(&sizes), joined, "{sizes:?}");
    }
}

#[test]
fn what_is_copied_is_logarithmic_and_does_not_grow_with_what_was_there() {
    let run = |pushes, mut sizes: Vec<u64>| {
        let mut random = Random(7);
        let (mut pushed, mut copied, mut everything) = (0, 0, 0);
        for _ in 0..pushes {
            let size = 50 + random.next() % 100;
            pushed += size;
            sizes.push(size);
            sizes.sort_unstable();
            if sizes.len() > PACKS_UNFOLDED_MAX {
                let count = smallest_to_join(&sizes);
                everything += usize::from(count == sizes.len());
                let joined = sizes.drain(..count).sum::<u64>();
                copied += joined;
                sizes.push(joined);
                sizes.sort_unstable();
            }
            assert!(sizes.len() <= PACKS_UNFOLDED_MAX);
        }
        (copied as f64 / pushed as f64, everything)
    };
    // A pack of these stands for seventeen pushes.
    for (pushes, copies) in [(300, 5.0), (3000, 11.0)] {
        let (alone, _) = run(pushes, Vec::new());
        assert!(alone < copies, "each byte was copied {alone} times");
        for large in [10_000_000, 1_000_000_000, 1_000_000_000_000_u64] {
            let (beside, everything) = run(pushes, vec![large, large / 12, large / 11]);
            assert!(beside < copies, "{large}: each byte was copied {beside} times");
            assert_eq!(everything, 0, "{large}");
        }
    }
}

#[test]
fn a_large_pack_is_not_read_when_small_ones_are_joined() {
    let mirror = Mirror::new();
    let large = data_encoding::HEXLOWER.encode(&pseudo_random_bytes(1, 1 << 20));
    mirror.push("first", &[("large", &large), ("small/file", "")]);
    let pack = packs_of(&mirror).pop().expect("it is worth a pack of its own");
    let is_same = |bytes: &[u8]| fs::read(&pack).unwrap() == bytes;
    // Whoever reads the large file meets it.
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&pack, &bytes).unwrap();
    let mut most = 0;
    for round in 0..2 {
        change(&mirror, UNTIL_FOLDED, &format!("round {round}"));
        most = most.max(packs_of(&mirror).len());
        assert!(is_same(&bytes), "it is where it was");
    }
    assert!(most <= PACKS_UNFOLDED_MAX + 1, "{most} packs");
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
}

#[test]
fn a_process_that_dies_between_a_joined_pack_and_the_removal_of_the_old_ones_leaves_a_store_that_goes_on() {
    let mut mirror = Mirror::new();
    change(&mirror, UNTIL_FOLDED - 1, "before");
    let before: Vec<(PathBuf, Vec<u8>)> = packs_of(&mirror)
        .into_iter()
        .flat_map(|pack| [pack.with_extension("idx"), pack])
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    assert_eq!(before.len(), 2 * PACKS_UNFOLDED_MAX);
    change(&mirror, recent::PACKS_MAX + 1, "joining");
    assert!(before.iter().any(|(path, _)| !path.exists()), "they were joined");
    for (path, content) in before {
        fs::write(path, content).unwrap();
    }
    let root = mirror.directory.path().join("store");
    let other = Store::open_or_create(&mirror.directory.path().join("other")).unwrap();
    drop(std::mem::replace(&mut mirror.store, other));
    mirror.store = Store::open_or_create(&root).unwrap();
    let tip = mirror.store.tip(&mirror.main).unwrap().expect("it was confirmed");
    let tree = mirror.store.commit(tip).unwrap().tree;
    assert_eq!(mirror.store.files_below(tree, None).unwrap().count(), 1);
    change(&mirror, UNTIL_FOLDED, "after");
    let here = packs_of(&mirror).len();
    assert!(here <= PACKS_UNFOLDED_MAX + 1, "{here} packs");
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
}
