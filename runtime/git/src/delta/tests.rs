//! Whatever the contents: applied to its base, a delta gives its target; and Git agrees.

use super::*;
use crate::testing::{Random, pseudo_random_bytes};
use proptest::prelude::*;

/// Follows a delta's instructions as the format says, sharing nothing with the encoder.
#[track_caller]
pub(crate) fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
    fn number(bytes: &mut std::slice::Iter<'_, u8>) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = *bytes.next().unwrap();
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut bytes = delta.iter();
    assert_eq!(number(&mut bytes), base.len(), "length of the base");
    let target_length = number(&mut bytes);
    let mut target = Vec::new();
    while let Some(instruction) = bytes.next() {
        assert_ne!(*instruction, 0, "reserved");
        if instruction & 0x80 == 0 {
            let inserted = bytes.by_ref().take(usize::from(*instruction)).copied();
            target.extend(inserted);
            continue;
        }
        let mut operand = |flags: u8, count: u32| {
            (0..count).fold(0, |value, byte| match flags & (1 << byte) {
                0 => value,
                _ => value | usize::from(*bytes.next().unwrap()) << (8 * byte),
            })
        };
        let offset = operand(instruction & 0x0f, 4);
        let size = match operand((instruction >> 4) & 0x07, 3) {
            0 => 0x1_0000,
            size => size,
        };
        target.extend_from_slice(&base[offset..offset + size]);
    }
    assert_eq!(target.len(), target_length, "length of the target");
    target
}

/// Encodes and checks; returns the length of the delta.
#[track_caller]
fn check(base: &[u8], target: &[u8]) -> usize {
    let delta = encode(&mut Index::default(), base, target, usize::MAX).expect("nothing is too long");
    assert!(
        apply(base, &delta) == target,
        "{} to {} bytes",
        base.len(),
        target.len()
    );
    delta.len()
}

/// Changes a content here and there, as people and programs do.
fn edited(random: &mut Random, base: &[u8]) -> Vec<u8> {
    let mut target = base.to_vec();
    for _ in 0..random.below(6) {
        let at = random.below(target.len() + 1);
        let end = at + random.below((target.len() - at).min(300) + 1);
        let part = target[at..end].to_vec();
        match random.below(5) {
            0 => drop(target.splice(at..end, [])),
            1 => {
                let new = pseudo_random_bytes(random.next(), random.below(200));
                target.splice(at..end, new);
            }
            2 => drop(target.splice(at..at, part)),
            3 => {
                target.drain(at..end);
                let other = random.below(target.len() + 1);
                target.splice(other..other, part);
            }
            _ => target.iter_mut().skip(at).step_by(97).for_each(|byte| *byte ^= 1),
        }
    }
    target
}

#[test]
fn edits_of_every_kind_and_size_survive() {
    let mut random = Random(11);
    for round in 0..200 {
        let length = random.below(if round % 20 == 0 { 100_000 } else { 2000 });
        let base = match round % 4 {
            0 => pseudo_random_bytes(round, length),
            1 => vec![b'x'; length],
            2 => b"{\"key\": \"value\"},\n".repeat(length / 18 + 1),
            _ => (0..length / 12)
                .flat_map(|line| format!("line {line}\n").into_bytes())
                .collect(),
        };
        let target = edited(&mut random, &base);
        check(&base, &target);
        check(&target, &base);
    }
}

#[test]
fn unlike_and_empty_contents_survive_and_long_copies_are_split() {
    let large = pseudo_random_bytes(1, 300_000);
    let other = pseudo_random_bytes(2, 300_000);
    check(&large, &other);
    check(&large, b"");
    check(b"", &large);
    check(b"", b"");
    check(b"short", b"shorter");
    for length in [0xff, 0x100, 0xffff, 0x1_0000, 0x1_0001, 0x2_0000, 0x1_0100] {
        // The offset's and the size's zero bytes are left out.
        let target = [b"new".as_slice(), &large[length..2 * length.min(150_000)]].concat();
        assert!(check(&large, &target) < 40, "{length}");
        assert!(check(&large, &large[..length]) < 24, "{length}");
    }
    let both = [&other[..], &large[..]].concat();
    assert!(check(&both, &[&large[..], &other[..]].concat()) < 100);
}

#[test]
fn small_changes_give_small_deltas() {
    let lines: Vec<String> = (0..5000)
        .map(|run| format!("{{\"runId\":\"{run}\",\"status\":\"SUCCESS\",\"startedAt\":\"2026-11-25T10:{:02}:00Z\",\"table\":\"out.c-main.t{}\"}}\n", run % 60, run % 17))
        .collect();
    let base = lines.concat().into_bytes();
    let appended = [&base[..], lines[77].replace("SUCCESS", "FAILED").as_bytes()].concat();
    assert!(check(&base, &appended) < 90);
    let mut twice = base.clone();
    twice[1000] ^= 1;
    twice[400_000] ^= 1;
    assert!(check(&base, &twice) < 80);
}

#[test]
fn a_delta_that_is_not_worth_it_is_given_up() {
    let (base, target) = (pseudo_random_bytes(1, 100_000), pseudo_random_bytes(2, 100_000));
    let mut index = Index::default();
    assert_eq!(encode(&mut index, &base, &target, 50_000), None);
    assert_eq!(encode(&mut index, &base, &base[..90_000], 8), None);
    let delta = encode(&mut index, &base, &base[..90_000], 11).unwrap();
    assert_eq!(apply(&base, &delta), &base[..90_000]);
}

#[test]
fn one_index_serves_one_base_after_the_other() {
    let mut random = Random(5);
    let mut index = Index::default();
    for round in 0..100 {
        let base = pseudo_random_bytes(round, random.below(5000));
        let target = edited(&mut random, &base);
        let delta = encode(&mut index, &base, &target, usize::MAX).unwrap();
        assert_eq!(
            delta,
            encode(&mut Index::default(), &base, &target, usize::MAX).unwrap()
        );
        assert!(apply(&base, &delta) == target);
    }
}

proptest! {
    #[test]
    fn applied_to_its_base_a_delta_gives_its_target(base: Vec<u8>, target: Vec<u8>) {
        check(&base, &target);
    }

    /// Few different bytes, so that there are many places to confuse.
    #[test]
    fn also_where_everything_looks_alike(
        base in prop::collection::vec(0..3_u8, 0..600),
        target in prop::collection::vec(0..3_u8, 0..600),
    ) {
        check(&base, &target);
    }

    #[test]
    fn also_where_parts_of_the_base_come_back_in_any_order(
        base in prop::collection::vec(any::<u8>(), 1..2000),
        parts in prop::collection::vec((any::<prop::sample::Index>(), 0..400_usize, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
    ) {
        let mut target = Vec::new();
        for (start, length, new) in parts {
            let start = start.index(base.len());
            target.extend_from_slice(&base[start..base.len().min(start + length)]);
            target.extend(new);
        }
        check(&base, &target);
    }
}
