//! Packs of `git`, of a liar, and damaged ones.

use super::{unpack_whole as unpack, *};
use crate::pack::TRAILER_BYTES;
use crate::testing::{Bare, git_fed, pseudo_random_bytes};

/// Makes a repository whose pack has deltas of both kinds, and returns all its objects as `git` sees them.
fn packed_by_git(offsets: bool) -> (Vec<u8>, Vec<(Oid, Vec<u8>)>) {
    let bare = Bare::init();
    let mut ids = String::new();
    for number in 0..40_usize {
        let mut content = pseudo_random_bytes(7, 40_000);
        content.splice(
            number * 900..number * 900 + 10,
            pseudo_random_bytes(number as u64, 20),
        );
        let id = git_fed(bare.path(), &["hash-object", "-w", "--stdin"], &content).stdout;
        ids.push_str(std::str::from_utf8(&id).unwrap());
    }
    let entries: String = ids
        .lines()
        .enumerate()
        .map(|(n, id)| format!("100644 blob {id}\tfile-{n}\n"))
        .collect();
    let tree = git_fed(bare.path(), &["mktree"], entries.as_bytes()).stdout;
    ids.push_str(std::str::from_utf8(&tree).unwrap());
    let mut args = vec!["pack-objects", "--stdout", "--window=20", "--depth=10", "-q"];
    if offsets {
        args.push("--delta-base-offset");
    }
    let pack = git_fed(bare.path(), &args, ids.as_bytes()).stdout;
    let contents = ids.lines().map(|id| {
        let kind = bare.git(&["cat-file", "-t", id]);
        (Oid::parse(id).unwrap(), bare.git_bytes(&["cat-file", &kind, id]))
    });
    let contents = contents.collect();
    (pack, contents)
}

#[test]
fn a_pack_with_deltas_of_every_kind_gives_what_git_reads() {
    for offsets in [true, false] {
        let (pack, contents) = packed_by_git(offsets);
        assert!(pack.len() < 200_000, "there are deltas: {}", pack.len());
        let found = unpack(&pack, Blobs::Keep, 100 << 20).unwrap();
        assert_eq!(found.len(), contents.len());
        for (id, content) in &contents {
            assert_eq!(&found.find(*id).unwrap().unwrap().1, content);
        }
        let trees = unpack(&pack, Blobs::Skip, 100 << 20).unwrap();
        assert_eq!(trees.len(), 1, "offsets {offsets}");
        assert_eq!(
            unpack(&pack, Blobs::Keep, 100_000).unwrap_err(),
            UnpackError::TooLarge
        );
    }
}

fn seal(mut content: Vec<u8>) -> Vec<u8> {
    let sum = pack::checksum(&content);
    content.extend_from_slice(sum.as_bytes());
    content
}

/// Makes a pack of so many entries, each as it is given.
fn pack_of(count: usize, entries: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut content = b"PACK\0\0\0\x02".to_vec();
    content.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
    entries.for_each(|entry| content.extend(entry));
    seal(content)
}

/// A stream of zlib that holds this, not compressed.
fn stored(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in content {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let head = [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
    ];
    [&head.concat(), content, &((b << 16) | a).to_be_bytes()].concat()
}

#[test]
fn very_many_objects_of_nothing_are_bounded_like_large_ones() {
    const COUNT: usize = 100_000;
    let empty = |kind: u8| {
        let entry = [&[kind << 4][..], b"\x78\x9c\x03\0\0\0\0\x01"].concat();
        assert_eq!(entry.len(), SMALLEST_ENTRY_BYTES);
        pack_of(COUNT, std::iter::repeat_n(entry, COUNT))
    };
    let enough = COUNT as u64 * (ENTRY_BYTES + OBJECT_BYTES);
    let (trees, blobs) = (empty(2), empty(3));
    for (pack, blobs, enough) in [
        (&trees, Blobs::Skip, enough),
        (&blobs, Blobs::Keep, enough),
        (&blobs, Blobs::Skip, COUNT as u64 * ENTRY_BYTES),
    ] {
        let refused = unpack(pack, blobs, enough - 1).unwrap_err();
        assert_eq!(refused, UnpackError::TooLarge, "{blobs:?}");
        let found = unpack(pack, blobs, enough).unwrap();
        assert_eq!(found.len(), usize::from(enough > COUNT as u64 * ENTRY_BYTES));
    }
    // No room for so many.
    let entry = [&[0x20][..], b"\x78\x9c\x03\0\0\0\0\x01"].concat();
    let liar = pack_of(1001, std::iter::repeat_n(entry, 1000));
    assert!(matches!(unpack(&liar, Blobs::Keep, 1 << 40), Err(Damaged(_))));
}

#[test]
fn a_commit_or_tree_that_is_larger_than_any_is_refused_before_it_is_made() {
    let number = |mut value: u64| {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push((value & 0x7f) as u8);
        out
    };
    // The head of an object of this kind and size, of which nothing follows that would be so large.
    let head = |kind: u8, size: u64| {
        let mut out = vec![0x80 | kind << 4 | (size & 0x0f) as u8];
        out.extend(number(size >> 4));
        out
    };
    for kind in [1, 2, 4] {
        let object = [head(kind, NODE_BYTES_MAX + 1), stored(b"")].concat();
        let error = unpack(&pack_of(1, std::iter::once(object)), Blobs::Keep, 1 << 30).unwrap_err();
        assert_eq!(error, UnpackError::TooLargeObject, "{kind}");
    }
    // A small delta that makes much of its base.
    let tree = [head(2, 70), stored(&[7; 70])].concat();
    let base = pack::object_id(Kind::Tree, &[7; 70]).unwrap();
    let mut delta = [number(70), number(3 << 30)].concat();
    delta.extend([0x80 | 0x10, 70]);
    let delta = [
        head(7, delta.len() as u64),
        base.as_bytes().to_vec(),
        stored(&delta),
    ]
    .concat();
    let error = unpack(&pack_of(2, [tree, delta].into_iter()), Blobs::Keep, 8 << 30).unwrap_err();
    assert_eq!(error, UnpackError::TooLargeObject);
}

#[test]
fn what_is_passed_over_is_bounded_too() {
    let blob = [&[0xbf, 0x04][..], &stored(&[7; 79])].concat();
    let pack = pack_of(100, std::iter::repeat_n(blob, 100));
    let enough = 100 * ENTRY_BYTES;
    assert_eq!(unpack(&pack, Blobs::Skip, enough).unwrap().len(), 0);
    let large = [&[0xbf, 0xa0, 0x1f][..], &stored(&[7; 64_015])].concat();
    let pack = pack_of(3, std::iter::repeat_n(large, 3));
    assert_eq!(unpack(&pack, Blobs::Skip, 30_000).unwrap().len(), 0);
    let refused = unpack(&pack, Blobs::Skip, 20_000).unwrap_err();
    assert_eq!(refused, UnpackError::TooLarge);
}

#[test]
fn a_chain_of_deltas_in_the_worst_order_takes_no_longer_than_in_the_best() {
    const COUNT: usize = 40_000;
    // Each is the one before with another number at its end, and names it by id.
    let content = |number: usize| format!("{number:08}").into_bytes();
    let mut entries = vec![[&[0x38][..], &stored(&content(0))].concat()];
    for number in 1..COUNT {
        let base = pack::object_id(Kind::Blob, &content(number - 1)).unwrap();
        let delta = [&[8, 8, 8][..], &content(number)].concat();
        let entry = [&[0x7b][..], base.as_bytes(), &stored(&delta)].concat();
        entries.push(entry);
    }
    for backwards in [false, true] {
        let mut entries = entries.clone();
        if backwards {
            entries.reverse();
        }
        let pack = pack_of(COUNT, entries.into_iter());
        assert_eq!(unpack(&pack, Blobs::Keep, 100 << 20).unwrap().len(), COUNT);
    }
}

#[test]
fn no_damage_makes_a_panic_or_another_object() {
    let (pack, contents) = packed_by_git(true);
    let ids: std::collections::HashSet<Oid> = contents.iter().map(|(id, _)| *id).collect();
    let whole = &pack[..pack.len() - TRAILER_BYTES];
    for cut in (0..whole.len()).step_by(997) {
        assert!(
            unpack(&seal(whole[..cut].to_vec()), Blobs::Keep, 100 << 20).is_err(),
            "cut at {cut}"
        );
        assert!(unpack(&pack[..cut], Blobs::Keep, 100 << 20).is_err());
    }
    let mut random = crate::testing::Random(3);
    for _ in 0..300 {
        let mut damaged = whole.to_vec();
        let at = random.below(damaged.len());
        damaged[at] ^= 1 << random.below(8);
        assert!(
            unpack(
                &[&damaged[..], &pack[whole.len()..]].concat(),
                Blobs::Keep,
                100 << 20
            )
            .is_err()
        );
        if let Ok(found) = unpack(&seal(damaged), Blobs::Keep, 100 << 20) {
            // What is read has the id of what it is, so at worst something is missing.
            assert!(found.ids().filter(|id| !ids.contains(id)).count() <= found.len());
            for id in found.ids() {
                let (kind, content) = found.find(id).unwrap().unwrap();
                assert_eq!(pack::object_id(kind, &content), Some(id));
            }
        }
    }
    assert_eq!(
        unpack(&seal(b"PACK\0\0\0\x02\0\0\0\0".to_vec()), Blobs::Keep, 1)
            .unwrap()
            .len(),
        0
    );
    let liar = seal(b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec());
    assert!(matches!(unpack(&liar, Blobs::Keep, 1), Err(Damaged(_))));
    let bomb = seal(b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\xff\x01\x78\x9c\x03".to_vec());
    assert_eq!(
        unpack(&bomb, Blobs::Keep, 1 << 30).unwrap_err(),
        UnpackError::TooLarge
    );
}
