//! What is sent as the difference, and that the other side can read it.

use super::*;
use crate::{
    Remote,
    testing::{Bare, Mirror, Random, git_fed, make, path, pseudo_random_bytes, text},
};
use std::fmt::Write as _;

/// A file of so many lines, none like the other.
fn lines(seed: u64, count: usize) -> String {
    let mut random = Random(seed);
    (0..count).fold(String::new(), |mut text, line| {
        writeln!(text, "line {line}: {:x}", random.next()).unwrap();
        text
    })
}

/// Lets Git read what is sent, in a clone of the remote, as a server would.
#[track_caller]
fn received(mirror: &Mirror, push: &PendingPush) {
    let other = Bare::init();
    other.git(&[
        "fetch",
        "--quiet",
        &mirror.remote.path().display().to_string(),
        "+refs/*:refs/*",
    ]);
    git_fed(
        other.path(),
        &["index-pack", "--strict", "--fix-thin", "--stdin"],
        &push.pack_bytes().unwrap(),
    );
    other.git(&["update-ref", "refs/heads/main", &push.new_tip().to_string()]);
    assert_eq!(other.git(&["fsck", "--full", "--strict"]), "");
    let complete = push.complete_pack_bytes().unwrap();
    git_fed(Bare::init().path(), &["index-pack", "--stdin"], &complete);
}

#[track_caller]
fn deliver(mirror: &Mirror, push: PendingPush) -> Oid {
    received(mirror, &push);
    let new = push.new_tip();
    mirror.store.save(&push).unwrap();
    mirror.remote.push(&push).unwrap();
    mirror.store.confirm(push).unwrap();
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
    new
}

#[test]
fn a_changed_file_is_sent_as_the_difference() {
    let mirror = Mirror::new();
    let day = lines(1, 5000);
    let others: Vec<(String, String)> = (0..100)
        .map(|n| (format!("a/b/{n}.json"), lines(n, 20)))
        .collect();
    let mut files: Vec<(&str, &str)> = others.iter().map(|(path, text)| (&**path, &**text)).collect();
    files.push(("a/day", &day));
    let first = deliver(&mirror, mirror.make(None, "first", &files));
    let longer = format!("{day}one more\n");
    let push = mirror.make(Some(first), "second", &[("a/day", &longer)]);
    assert!(push.is_thin() && push.objects() == 4);
    assert!(push.byte_len() < 600, "{} bytes", push.byte_len());
    let second = deliver(&mirror, push);
    assert_eq!(mirror.git(&["show", "main:a/day"]), longer.trim_end());

    // The difference to what came last, and to what came before that.
    let longest = format!("{longer}another\n");
    let push = mirror.make(
        Some(second),
        "third",
        &[("a/day", &longest), ("a/b/7.json", &lines(7, 21))],
    );
    assert!(push.byte_len() < 900, "{} bytes", push.byte_len());
    let third = deliver(&mirror, push);

    // A store that is new, or was emptied, has no blobs: then the whole file goes, and the next time the difference.
    mirror.store.reset().unwrap();
    let scope = crate::FetchScope::TreesOnly { commits_max: 1 };
    mirror.remote.fetch(third, &mirror.store, scope).unwrap();
    let push = mirror.make(Some(third), "fourth", &[("a/day", &day)]);
    assert!(push.byte_len() > 50_000);
    let fourth = deliver(&mirror, push);
    let push = mirror.make(Some(fourth), "fifth", &[("a/day", &longer)]);
    assert!(push.byte_len() < 600, "{} bytes", push.byte_len());
    deliver(&mirror, push);
}

#[test]
fn what_changes_places_or_is_taken_back_leads_in_no_circle() {
    let mirror = Mirror::new();
    let [one, two, three] = [lines(1, 40), lines(1, 41), lines(1, 42)];
    let first = deliver(
        &mirror,
        mirror.make(None, "first", &[("a", &one), ("b", &two), ("c/d", &three)]),
    );
    let swapped = mirror.make(Some(first), "swapped", &[("a", &two), ("b", &one)]);
    assert!(swapped.objects() <= 3, "one of the two is there");
    let second = deliver(&mirror, swapped);
    let turned = [("a", &*three), ("b", &two), ("c/d", &one)];
    let third = deliver(&mirror, mirror.make(Some(second), "turned", &turned));
    assert_eq!(mirror.git(&["show", "main:c/d"]), one.trim_end());

    // There and back, several times, in one push.
    let mut draft = mirror.store.draft();
    let mut parent = third;
    for (number, content) in [&one, &two, &three, &one, &three, &two].into_iter().enumerate() {
        let base = draft.tree_of(parent).unwrap();
        let mut writer = draft.tree_writer(Some(base)).unwrap();
        writer
            .write_files(&[(path("c/d"), content), (path("a"), &format!("{content}{number}"))])
            .unwrap();
        let tree = writer.finish().unwrap().tree;
        parent = draft
            .commit_text(tree, &[parent], text("again", 1_700_000_000), None)
            .unwrap();
    }
    let push = draft.into_push(mirror.main.clone(), Some(third), parent).unwrap();
    deliver(&mirror, push);
    assert_eq!(mirror.git(&["show", "main:c/d"]), two.trim_end());
    assert_eq!(mirror.git(&["rev-list", "--count", "main"]), "9");
}

#[test]
fn without_the_base_on_the_remote_the_pack_has_all_it_needs() {
    let mirror = Mirror::new();
    let text_of = |count| lines(3, count);
    let first = deliver(
        &mirror,
        mirror.make(None, "first", &[("a", &text_of(50)), ("b", &text_of(60))]),
    );
    let base = mirror.store.commit(first).unwrap().tree;
    let mut draft = mirror.store.draft();
    let mut writer = draft.tree_writer(Some(base)).unwrap();
    writer
        .write_files(&[(path("a"), text_of(60)), (path("b"), text_of(50))])
        .unwrap();
    let tree = writer.finish().unwrap().tree;
    // A commit that does not stand on the one whose tree was changed.
    let commit = draft
        .commit_text(tree, &[], text("orphan", 1_700_000_000), None)
        .unwrap();
    let orphan = RefName::branch("orphan").unwrap();
    let push = draft.into_push(orphan, None, commit).unwrap();
    assert!(!push.is_thin());
    let empty = Bare::init();
    git_fed(
        empty.path(),
        &["index-pack", "--strict", "--stdin"],
        &push.pack_bytes().unwrap(),
    );
    empty.git(&["update-ref", "refs/heads/main", &commit.to_string()]);
    assert_eq!(
        empty
            .git(&["fsck", "--full", "--strict"])
            .lines()
            .filter(|line| !line.contains("dangling"))
            .count(),
        0
    );
    assert_eq!(empty.git(&["show", "main:a"]), text_of(60).trim_end());
}

#[test]
fn a_chain_of_differences_ends() {
    let mirror = Mirror::new();
    let mut content = lines(9, 60);
    let first = deliver(&mirror, mirror.make(None, "first", &[("x", &content)]));
    let mut draft = mirror.store.draft();
    let mut parent = first;
    for number in 0..120 {
        writeln!(content, "{number}").unwrap();
        let base = draft.tree_of(parent).unwrap();
        let mut writer = draft.tree_writer(Some(base)).unwrap();
        writer.write_files(&[(path("x"), &content)]).unwrap();
        let tree = writer.finish().unwrap().tree;
        parent = draft
            .commit_text(tree, &[parent], text("more", 1_700_000_000), None)
            .unwrap();
    }
    let push = draft.into_push(mirror.main.clone(), Some(first), parent).unwrap();
    deliver(&mirror, push);
    let packs = crate::testing::packs(mirror.remote.path(), "idx");
    let deepest = packs.iter().flat_map(|index| {
        let shown = mirror.git(&["verify-pack", "-v", &index.display().to_string()]);
        let depth = |line: &str| line.split_whitespace().nth(5)?.parse::<usize>().ok();
        shown.lines().filter_map(depth).max()
    });
    let deepest = deepest.max().unwrap();
    assert!((10..=usize::from(DEPTH_MAX)).contains(&deepest), "{deepest}");
}

#[test]
fn content_that_cannot_be_compressed_survives_every_way() {
    let mirror = Mirror::new();
    let noise = |seed, length| {
        let bytes = pseudo_random_bytes(seed, length);
        bytes
            .iter()
            .map(|byte| char::from(32 + byte % 95))
            .collect::<String>()
    };
    let first = make(
        &mirror.store,
        &mirror.main,
        None,
        "first",
        &[("x", &noise(1, 70_000)), ("y", "")],
    );
    let first = deliver(&mirror, first);
    let changed = format!("{}{}", noise(1, 70_000), noise(2, 300));
    let second = deliver(
        &mirror,
        mirror.make(Some(first), "second", &[("x", &changed), ("y", "z")]),
    );
    deliver(
        &mirror,
        mirror.make(Some(second), "third", &[("x", &noise(5, 70_000)), ("y", "")]),
    );
}
