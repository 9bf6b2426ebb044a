//! Trees against Git's own, and the rules of the writer.

use super::*;
use crate::{
    Store,
    testing::{Mirror, Random, git, git_fed, path, text},
};
use expect_test::{Expect, expect};
use std::collections::{BTreeMap, BTreeSet};

/// The files of a tree, by path.
type Model = BTreeMap<String, Vec<u8>>;

/// Lets Git make a tree of the files, in a repository of its own.
fn tree_by_git(repository: &std::path::Path, files: &Model) -> Oid {
    let mut stream =
        b"commit refs/heads/oracle\ncommitter O <o@example.com> 1 +0000\ndata 0\ndeleteall\n".to_vec();
    for (path, content) in files {
        stream.extend(format!("M 100644 inline \"{path}\"\ndata {}\n", content.len()).bytes());
        stream.extend(content);
        stream.push(b'\n');
    }
    git_fed(repository, &["fast-import", "--quiet", "--force"], &stream);
    Oid::parse(&git(repository, &["rev-parse", "oracle^{tree}"])).unwrap()
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Names that sort differently as files and as directories, and some that are not ASCII.
const NAMES: [&str; 12] = [
    "a", "a.b", "a-b", "a0", "A", "ä", "日本", "a b", "~", "aa", "€uro", "0",
];

fn random_path(random: &mut Random) -> String {
    let depth = 1 + random.below(4);
    let segments: Vec<&str> = (0..depth).map(|_| NAMES[random.below(NAMES.len())]).collect();
    segments.join("/")
}

#[derive(Debug, Default)]
struct Round {
    written: Model,
    deleted: BTreeSet<String>,
    cleared: BTreeSet<String>,
    kept: BTreeSet<String>,
}

impl Round {
    fn random(random: &mut Random, base: &Model) -> Self {
        let mut round = Self::default();
        let some = |random: &mut Random| base.keys().nth(random.below(base.len().max(1))).cloned();
        for _ in 0..random.below(12) {
            let path = random_path(random);
            if round
                .written
                .keys()
                .all(|other| !is_below(other, &path) && !is_below(&path, other))
            {
                round
                    .written
                    .insert(path, format!("content {}", random.below(5)).into_bytes());
            }
        }
        for _ in 0..random.below(6) {
            round.deleted.extend(some(random));
            round.deleted.insert(random_path(random));
            round.kept.extend(some(random));
        }
        if random.below(3) == 0 {
            let path = random_path(random);
            round.cleared.insert(path.split('/').next().unwrap().to_owned());
            round.cleared.insert(path);
        }
        round
    }

    /// What the writer promises, said in another way.
    fn apply(&self, base: &Model) -> Model {
        let gone = |path: &String| {
            let cleared = self.cleared.iter().any(|top| path == top || is_below(path, top));
            (cleared || self.deleted.contains(path)) && !self.kept.contains(path)
        };
        let in_the_way = |path: &String| {
            self.written
                .keys()
                .any(|new| is_below(path, new) || is_below(new, path))
        };
        let mut files: Model = base
            .iter()
            .filter(|(path, _)| !gone(path) && !in_the_way(path))
            .map(|(p, c)| (p.clone(), c.clone()))
            .collect();
        files.extend(self.written.clone());
        files
    }

    /// Gives the changes to a writer in a random order.
    fn feed(&self, random: &mut Random, writer: &mut TreeWriter<'_, '_>) {
        enum Call<'a> {
            Write(&'a str, &'a [u8]),
            Delete(&'a str),
            Clear(&'a str),
            Keep(&'a str),
        }
        let mut calls: Vec<Call<'_>> = self
            .written
            .iter()
            .map(|(path, content)| Call::Write(path, content))
            .collect();
        calls.extend(self.deleted.iter().map(|path| Call::Delete(path)));
        calls.extend(self.cleared.iter().map(|path| Call::Clear(path)));
        calls.extend(self.kept.iter().map(|path| Call::Keep(path)));
        while !calls.is_empty() {
            match calls.swap_remove(random.below(calls.len())) {
                Call::Write(raw, content) => drop(writer.write_files(&[(path(raw), content)]).unwrap()),
                Call::Delete(raw) => writer.delete(&path(raw)).unwrap(),
                Call::Clear(raw) => writer.delete_below(&path(raw)).unwrap(),
                Call::Keep(raw) => drop(writer.keep(&path(raw)).unwrap()),
            }
        }
    }
}

#[test]
fn random_changes_in_any_order_give_gits_tree_and_true_counts() {
    let mirror = Mirror::new();
    let oracle = crate::testing::Bare::init();
    let mut random = Random(7);
    let (mut files, mut tree, mut parent) = (Model::new(), None, None);
    let mut draft = mirror.store.draft();
    let mut unchanged = 0;
    for number in 0..200 {
        let round = Round::random(&mut random, &files);
        let wanted = round.apply(&files);
        let mut writer = draft.tree_writer(tree).unwrap();
        if number % 4 > 0 {
            // Directories are put aside after each few calls, one by one or with what is below.
            writer.limits = Limits {
                paths: 1 + random.below(4),
                together: random.below(4),
                names: [1, 100][random.below(2)],
            };
            writer.until_aside = random.below(2);
        }
        round.feed(&mut random, &mut writer);
        let outcome = writer.finish().unwrap();
        assert_eq!(
            outcome.tree,
            tree_by_git(oracle.path(), &wanted),
            "round {number}: {round:?} on {files:?}"
        );
        let added = wanted.keys().filter(|path| !files.contains_key(*path)).count();
        let deleted = files.keys().filter(|path| !wanted.contains_key(*path)).count();
        let modified = wanted
            .iter()
            .filter(|(path, content)| files.get(*path).is_some_and(|old| old != *content))
            .count();
        assert_eq!(
            (outcome.added, outcome.modified, outcome.deleted),
            (added, modified, deleted),
            "round {number}: {round:?}"
        );
        assert_eq!(outcome.changed, files != wanted, "round {number}");
        unchanged += usize::from(!outcome.changed);
        if !outcome.changed {
            assert_eq!(outcome.objects, 0);
        }
        (files, tree) = (wanted, Some(outcome.tree));
        // Some pushes have one commit, some have many.
        if random.below(3) == 0 {
            let parents: Vec<Oid> = parent.into_iter().collect();
            let tip = draft
                .commit_text(outcome.tree, &parents, text("round", number), None)
                .unwrap();
            let push = draft.into_push(mirror.main.clone(), parent, tip).unwrap();
            mirror.store.save(&push).unwrap();
            crate::Remote::push(&mirror.remote, &push).unwrap();
            mirror.store.confirm(push).unwrap();
            parent = Some(tip);
            draft = mirror.store.draft();
        }
    }
    assert!(
        (1..100).contains(&unchanged),
        "{unchanged} rounds changed nothing"
    );
    assert_eq!(mirror.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");

    let other = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(other.path()).unwrap();
    let mut draft = store.draft();
    let mut writer = draft.tree_writer(None).unwrap();
    let all: Vec<_> = files.iter().map(|(raw, content)| (path(raw), content)).collect();
    writer.write_files(&all).unwrap();
    assert_eq!(
        Some(writer.finish().unwrap().tree),
        tree,
        "incremental differs from full"
    );
}

/// Applies calls, one a line, to a tree with the base's files; shows the outcome and the files.
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a table's row ends in its expectation"
)]
fn check(base: &[&str], calls: &str, expected: Expect) {
    let mirror = Mirror::new();
    let base: Vec<(&str, &str)> = base.iter().map(|path| (*path, "base")).collect();
    let parent = mirror.push("base", &base);
    let mut draft = mirror.store.draft();
    let base = draft.tree_of(parent).unwrap();
    let mut writer = draft.tree_writer(Some(base)).unwrap();
    let mut shown = String::new();
    let mut conflict = false;
    for call in calls.split("; ") {
        let (verb, raw) = call.split_once(' ').unwrap();
        let (raw, content) = raw.split_once('=').unwrap_or((raw, ""));
        let done = match verb {
            "write" => writer.write_files(&[(path(raw), content)]).map(drop),
            "delete" => writer.delete(&path(raw)),
            "clear" => writer.delete_below(&path(raw)),
            "withdraw" => writer.withdraw(&path(raw)),
            "keep" => writer.keep(&path(raw)).map(|kept| {
                shown += if kept.is_some() {
                    "kept\n"
                } else {
                    "nothing to keep\n"
                }
            }),
            _ => panic!("no call {verb}"),
        };
        if let Err(error) = done {
            shown += &format!("{error}\n");
            conflict = true;
            break;
        }
    }
    if !conflict {
        let TreeOutcome {
            tree,
            changed,
            added,
            modified,
            deleted,
            objects,
        } = writer.finish().unwrap();
        shown += &format!(
            "+{added} ~{modified} -{deleted}, {objects} objects{}\n",
            if changed { "" } else { ", unchanged" }
        );
        let commit = draft.commit_text(tree, &[parent], text("next", 1), None).unwrap();
        let push = draft
            .into_push(mirror.main.clone(), Some(parent), commit)
            .unwrap();
        crate::Remote::push(&mirror.remote, &push).unwrap();
        for file in mirror
            .git(&["ls-tree", "-r", "-z", "--name-only", "main"])
            .split_terminator('\0')
        {
            shown += &format!("{file}: {}\n", mirror.git(&["show", &format!("main:{file}")]));
        }
        assert_eq!(
            mirror.git(&["fsck", "--full", "--strict"]),
            "",
            "nothing is dangling"
        );
    }
    expected.assert_eq(&shown);
}

#[test]
fn only_what_differs_becomes_an_object() {
    check(
        &["a/x", "a/y"],
        "write a/x=base; write a/y=base",
        expect![[r#"
        +0 ~0 -0, 0 objects, unchanged
        a/x: base
        a/y: base
    "#]],
    );
    check(
        &["a/x", "b/c/y"],
        "write b/c/y=new",
        expect![[r#"
        +0 ~1 -0, 4 objects
        a/x: base
        b/c/y: new
    "#]],
    );
    check(
        &["a/x"],
        "write b/x=base",
        expect![[r#"
        +1 ~0 -0, 3 objects
        a/x: base
        b/x: base
    "#]],
    );
}

#[test]
fn directories_without_files_vanish() {
    check(
        &["a/b/c/x", "z"],
        "delete a/b/c/x",
        expect![[r#"
        +0 ~0 -1, 1 objects
        z: base
    "#]],
    );
    check(
        &["a/b/c/x"],
        "clear a",
        expect![[r#"
        +0 ~0 -1, 1 objects
    "#]],
    );
    check(
        &["a/x"],
        "delete a; delete b/c; clear c; delete a/x/y",
        expect![[r#"
        +0 ~0 -0, 0 objects, unchanged
        a/x: base
    "#]],
    );
}

#[test]
fn files_and_directories_take_each_others_place() {
    check(
        &["a", "b"],
        "write a/x=new",
        expect![[r#"
        +1 ~0 -1, 3 objects
        a/x: new
        b: base
    "#]],
    );
    check(
        &["a/x", "a/y/z"],
        "write a=new",
        expect![[r#"
        +1 ~0 -2, 2 objects
        a: new
    "#]],
    );
    check(
        &["a/x"],
        "delete a/x; write a=new",
        expect![[r#"
        +1 ~0 -1, 2 objects
        a: new
    "#]],
    );
    check(
        &["x"],
        "write a=1; write a/b=2",
        expect![[r#"
        path `a/b` would be a file and a directory at once; give one of the two another name
    "#]],
    );
    check(
        &["x"],
        "write a/b/c=1; write a=2",
        expect![[r#"
        path `a` would be a file and a directory at once; give one of the two another name
    "#]],
    );
}

#[test]
fn writing_wins_over_keeping_and_keeping_over_deleting() {
    for calls in [
        "write a/x=new; keep a/y; clear a",
        "clear a; keep a/y; write a/x=new",
        "keep a/y; clear a; delete a/y; write a/x=new",
    ] {
        check(
            &["a/x", "a/y", "a/z"],
            calls,
            expect![[r#"
            kept
            +0 ~1 -1, 3 objects
            a/x: new
            a/y: base
        "#]],
        );
    }
    check(
        &["a/x"],
        "clear a; keep a/q; keep b/x; keep a",
        expect![[r#"
        nothing to keep
        nothing to keep
        nothing to keep
        +0 ~0 -1, 1 objects
    "#]],
    );
    check(
        &["a/x"],
        "write a/x=1; delete a/x; write a/x=2; clear a/x",
        expect![[r#"
        +0 ~1 -0, 3 objects
        a/x: 2
    "#]],
    );
}

#[test]
fn a_file_that_is_taken_back_was_never_written() {
    check(
        &["a/x", "a/y"],
        "write a/x=1; write b/z=1; withdraw a/x; withdraw b/z; withdraw c/q",
        expect![[r#"
            +0 ~0 -0, 0 objects, unchanged
            a/x: base
            a/y: base
        "#]],
    );
    check(
        &["a/x", "a/y"],
        "delete a/x; write a/x=1; write a/x=2; withdraw a/x",
        expect![[r#"
            +0 ~0 -1, 2 objects
            a/y: base
        "#]],
    );
    check(
        &["a/x", "a/y"],
        "delete a/x; write a=1; withdraw a; write a/z=2",
        expect![[r#"
            +1 ~0 -1, 3 objects
            a/y: base
            a/z: 2
        "#]],
    );
    check(
        &["a/x"],
        "write a/x=1; withdraw a/x; write a/x=2",
        expect![[r#"
            +0 ~1 -0, 3 objects
            a/x: 2
        "#]],
    );
}

#[test]
fn what_others_committed_stays_as_it_is() {
    let mirror = Mirror::new();
    let file = git_fed(mirror.remote.path(), &["hash-object", "-w", "--stdin"], b"theirs").stdout;
    let file = String::from_utf8(file).unwrap().trim().to_owned();
    let module = "1".repeat(40);
    let entries = format!(
        "100755 blob {file}\trun.sh\0120000 blob {file}\tlink\0160000 commit {module}\tmodule\0100644 blob {file}\tREADME.md\0"
    );
    let mut entries = entries.into_bytes();
    entries.extend(
        format!("100644 blob {file}\t")
            .bytes()
            .chain(*b"not utf-8 \xff\0"),
    );
    let tree = git_fed(mirror.remote.path(), &["mktree", "-z"], &entries).stdout;
    let tree = String::from_utf8(tree).unwrap().trim().to_owned();
    let commit = mirror.git(&["commit-tree", "-m", "theirs", &tree]);
    mirror.git(&["update-ref", "refs/heads/main", &commit]);
    let commit = Oid::parse(&commit).unwrap();
    let scope = crate::FetchScope::TreesOnly { commits_max: 1 };
    crate::Remote::fetch(&mirror.remote, commit, &mirror.store, scope).unwrap();

    mirror.push(
        "ours",
        &[("configs/x", "1"), ("run.sh", "ours"), ("link/below", "ours")],
    );
    let shown = mirror.git(&["diff-tree", "-r", "--no-renames", "--format=", "main"]);
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {} {}\n", fields[0], fields[1], fields[4], fields[5])
    };
    expect![[r#"
        :000000 100644 A configs/x
        :120000 000000 D link
        :000000 100644 A link/below
        :100755 100644 M run.sh
    "#]]
    .assert_eq(&shown.lines().map(fields).collect::<String>());
    let listed = git_fed(mirror.remote.path(), &["ls-tree", "-z", "main"], b"").stdout;
    let listed: Vec<&[u8]> = listed.split(|byte| *byte == 0).collect();
    assert!(
        listed
            .iter()
            .any(|line| line.starts_with(b"160000") && line.ends_with(b"\tmodule"))
    );
    assert!(listed.iter().any(|line| line.ends_with(b"\tnot utf-8 \xff")));
}

#[test]
fn a_blob_that_was_forgotten_meanwhile_is_sent_once() {
    let mirror = Mirror::new();
    let mut draft = mirror.store.draft();
    let mut writer = draft.tree_writer(None).unwrap();
    for round in 0..3 {
        let name = |name: &str| path(&format!("{round}/{name}"));
        let own = format!("of {round}");
        writer
            .write_files(&[(name("same"), "same"), (name("own"), own.as_str())])
            .unwrap();
        writer.encode_waiting().unwrap();
        writer.recent = Recent::default();
    }
    // Written over here, and wanted elsewhere; and what is wanted nowhere.
    writer
        .write_files(&[(path("0/same"), "other"), (path("1/own"), "other")])
        .unwrap();
    let outcome = writer.finish().unwrap();
    // The root and three directories; `same`, `of 0`, `of 2` and `other`.
    assert_eq!((outcome.added, outcome.objects), (6, 8));
    let tip = draft
        .commit_text(outcome.tree, &[], text("all", 1), None)
        .unwrap();
    let push = draft.into_push(mirror.main.clone(), None, tip).unwrap();
    assert_eq!(push.objects(), 9);
    crate::Remote::push(&mirror.remote, &push).unwrap();
    assert_eq!(mirror.git(&["fsck", "--full", "--strict"]), "");
    assert_eq!(mirror.git(&["show", "main:2/same"]), "same");
}

#[test]
fn of_a_large_tree_only_a_part_is_at_hand() {
    let mirror = Mirror::new();
    let files: Vec<(MirrorPath, String)> = (0..30_000)
        .map(|number| {
            let directory = format!("{}/{}/{}", number % 7, number / 70, number % 5);
            (path(&format!("{directory}/{number}")), number.to_string())
        })
        .collect();
    let tree_with = |limits: Limits| {
        let mut draft = mirror.store.draft();
        let mut writer = draft.tree_writer(None).unwrap();
        (writer.limits, writer.until_aside) = (limits, limits.paths);
        writer.write_files(&files).unwrap();
        let at_hand = writer.root.put_aside(&mut writer.shelf, limits).unwrap();
        // An early file comes late.
        writer.withdraw(&files[0].0).unwrap();
        writer.write_files(&[(files[7].0.clone(), "late")]).unwrap();
        (at_hand, writer.finish().unwrap())
    };
    let few = Limits {
        paths: 1_000,
        together: 20,
        names: 200,
    };
    let (at_hand, outcome) = tree_with(few);
    // The root, and its directories, which have too many names to be put aside.
    assert_eq!(at_hand, 7 + 7 * 429);
    assert_eq!(
        (outcome.added, outcome.objects),
        (29_999, 29_999 + 1 + 7 + 7 * 429 + 7 * 429 * 5)
    );
    let (_, whole) = tree_with(Limits {
        paths: usize::MAX,
        ..few
    });
    assert_eq!(whole, outcome);
}

#[test]
fn a_large_batch_is_shared_out_without_a_trace() {
    fn shared_out(items: &[usize], bytes: impl Fn(&usize) -> usize) -> Vec<usize> {
        let copy = |(): &mut (), part: &[usize]| part.to_vec();
        in_parallel(
            items,
            bytes,
            &mut Helpers::default(),
            &mut Vec::new(),
            || (),
            copy,
        )
        .concat()
    }
    let items: Vec<usize> = (0..1000).collect();
    for bytes in [1, 5_000, 1 << 20] {
        assert_eq!(shared_out(&items, |_| bytes), items, "{bytes}");
    }
    let one_is_huge = |item: &usize| if *item == 0 { 1 << 30 } else { 0 };
    assert_eq!(shared_out(&items, one_is_huge), items);
    assert!(shared_out(&[], |_| 1).is_empty());
}
