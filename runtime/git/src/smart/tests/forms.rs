//! Servers that do not take every form of a pack.

use super::*;
use crate::{
    data::{Data, IN_MEMORY_MAX},
    encoder::EntryKind,
    pack,
    packfile::PackFile,
    testing::{Bare, git_fed, pseudo_random_bytes},
};
use std::sync::LazyLock;

/// How many entries of a pack are whole, deltas by id, and deltas by distance.
#[derive(Debug, PartialEq, Eq)]
struct Forms {
    whole: usize,
    by_id: usize,
    by_offset: usize,
}

/// Lets Git read a pack with nothing beside it, and counts the forms of its entries.
fn read_alone(pack: &[u8]) -> Forms {
    let bare = Bare::init();
    git_fed(bare.path(), &["index-pack", "--stdin"], pack);
    let name = pack::checksum(&pack[..pack.len() - 20]);
    let file = PackFile::new(&bare.path().join("objects/pack"), name);
    let content = file.open().unwrap();
    let mut reader = content.reader();
    let mut forms = Forms {
        whole: 0,
        by_id: 0,
        by_offset: 0,
    };
    for number in 0..content.len() {
        match reader.kind(number).unwrap() {
            EntryKind::Whole(_) => forms.whole += 1,
            EntryKind::Delta { .. } => forms.by_id += 1,
            EntryKind::DeltaBefore { .. } => forms.by_offset += 1,
        }
    }
    forms
}

/// A file of many lines, all of which but one stay the same.
fn lines(changed: usize) -> String {
    let line = |n: usize| {
        format!(
            "line {n} is {}\n",
            if n == changed { "changed" } else { "as it was" }
        )
    };
    (0..500).map(line).collect()
}

/// Makes a push of two commits on top of `first`, each of which changes the same file.
fn twice_changed(setup: &Setup, first: Oid) -> PendingPush {
    let mut draft = setup.store.draft();
    let mut tree = draft.tree_of(first).unwrap();
    let mut parent = first;
    for number in [1, 2] {
        let mut writer = draft.tree_writer(Some(tree)).unwrap();
        let path = crate::testing::path("a/b.json");
        writer.write_files(&[(path, lines(number))]).unwrap();
        tree = writer.finish().unwrap().tree;
        let text = crate::testing::text("change", 1_700_000_000);
        parent = draft.commit_text(tree, &[parent], text, None).unwrap();
    }
    draft.into_push(setup.main.clone(), Some(first), parent).unwrap()
}

#[test]
fn a_server_gets_only_the_deltas_that_it_takes() {
    let mut seen = Vec::new();
    for (offers, conceals) in [
        (&[][..], &[][..]),
        (&["no-thin"], &[]),
        (&[], &["ofs-delta"]),
        (&["no-thin"], &["ofs-delta"]),
    ] {
        let setup = Setup::new(Way::Local);
        // The server stores what it gets as it is, and checks it.
        setup.git(&["config", "receive.unpackLimit", "1"]);
        setup.git(&["config", "receive.fsckObjects", "true"]);
        let options = HttpOptions {
            offers: offers.to_vec(),
            conceals: conceals.to_vec(),
            ..HttpOptions::default()
        };
        let server = HttpServer::start(setup.repositories.root(), options);
        let remote = open(&server.url("r.git"), settings());
        let first = setup.push("first", &[("a/b.json", &lines(0)), ("c", "1")]);
        let push = twice_changed(&setup, first);
        assert!(push.is_thin());
        remote.push(&push).unwrap();
        setup.is_sound();
        assert_eq!(setup.git(&["show", "main:a/b.json"]), lines(2).trim_end());
        let posts = server.take_seen();
        let body = &posts.iter().find(|seen| seen.method == "POST").unwrap().body;
        let start = body.windows(4).position(|window| window == b"PACK").unwrap();
        let sent = body.slice(start..);
        if conceals.is_empty() && offers.is_empty() {
            assert_eq!(sent, push.pack_bytes().unwrap());
        }
        if offers.is_empty() {
            let bare = Bare::init();
            let own = setup.path.to_string_lossy().into_owned();
            bare.git(&["fetch", "--quiet", &own, &format!("{first}:refs/heads/main")]);
            git_fed(
                bare.path(),
                &["index-pack", "--strict", "--fix-thin", "--stdin"],
                &sent,
            );
        } else {
            seen.push(read_alone(&sent));
        }
        assert_eq!(
            *push.complete_pack_bytes().unwrap() == sent[..],
            offers == ["no-thin"] && conceals.is_empty()
        );
    }
    // Two commits, and on the old whole file and trees the two newer forms of each.
    let [with_offsets, without] = [&seen[0], &seen[1]];
    assert!(with_offsets.by_offset > 0 && without.by_offset == 0, "{seen:?}");
    assert_eq!(with_offsets.whole, without.whole);
    assert_eq!(with_offsets.by_id + with_offsets.by_offset, without.by_id);
}

#[test]
fn a_base_that_is_gone_from_the_store_is_said_and_nothing_is_sent() {
    let setup = Setup::new(Way::Local);
    let options = HttpOptions {
        offers: vec!["no-thin"],
        ..HttpOptions::default()
    };
    let server = HttpServer::start(setup.repositories.root(), options);
    let remote = open(&server.url("r.git"), settings());
    let first = setup.push("first", &[("a/b.json", &lines(0)), ("c", "1")]);
    let push = twice_changed(&setup, first);
    setup.store.reset().unwrap();
    let error = remote.push(&push).unwrap_err();
    assert!(
        matches!(&error, PushError::Store(crate::StoreError::Missing { .. })),
        "{error:?}"
    );
    assert_eq!(error.disposition(), crate::Disposition::Retry);
    assert!(!error.is_store_damage());
    assert!(server.take_seen().iter().all(|seen| seen.method == "GET"));
    // Made again, from what a fetch brings.
    let scope = FetchScope::TreesOnly { commits_max: 1 };
    remote.fetch(first, &setup.store, scope).unwrap();
    let push = twice_changed(&setup, first);
    remote.push(&push).unwrap();
    setup.is_sound();
}

/// A megabyte that hardly compresses, in which a little differs with the number.
fn large(file: u64, number: u64) -> String {
    static LETTERS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let letters = |file| {
            let bytes = pseudo_random_bytes(file, 1 << 20);
            let letters: Vec<u8> = bytes.into_iter().map(|byte| byte & 0x7f).collect();
            String::from_utf8(letters).unwrap()
        };
        (0..LARGE).map(letters).collect()
    });
    format!("{number}\n{}", LETTERS[usize::try_from(file).unwrap()])
}

const LARGE: u64 = 10;

fn large_push(setup: &Setup, tip: Option<Oid>, number: u64) -> PendingPush {
    let files: Vec<(String, String)> = (0..LARGE)
        .map(|file| (format!("a/{file}"), large(file, number + file % 2)))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    setup.make(tip, &format!("push {number}"), &files)
}

#[test]
fn a_push_of_many_megabytes_waits_in_a_file_and_arrives_whole() {
    super::contract::everywhere(|setup, _| {
        let push = large_push(setup, None, 0);
        assert!(matches!(push.outgoing.sent.data, Data::File(_)));
        let first = setup.deliver(push);
        // All are there, though not all are kept here: some are differences, and some are whole.
        let second = setup.deliver(large_push(setup, Some(first), 1));
        assert_eq!(setup.remote.tip(&setup.main).unwrap(), Some(second));
        for file in [0, LARGE - 1] {
            let id = crate::blob_id(large(file, 1 + file % 2).as_bytes()).unwrap();
            assert_eq!(
                setup.git(&["rev-parse", &format!("main:a/{file}")]),
                id.to_string()
            );
        }
        setup.is_sound();
        let left = std::fs::read_dir(setup.cache.path().join("store")).unwrap();
        let left = left.filter_map(|file| file.unwrap().file_name().into_string().ok());
        let left: Vec<String> = left.filter(|name| name.starts_with("tmp_")).collect();
        assert_eq!(left, [""; 0]);
    });
}

#[test]
fn a_large_push_takes_other_forms_too() {
    let setup = Setup::new(Way::Local);
    setup.git(&["config", "receive.fsckObjects", "true"]);
    let options = HttpOptions {
        offers: vec!["no-thin"],
        conceals: vec!["ofs-delta"],
        ..HttpOptions::default()
    };
    let server = HttpServer::start(setup.repositories.root(), options);
    let remote = open(&server.url("r.git"), settings());
    let first = setup.deliver(large_push(&setup, None, 0));
    let push = large_push(&setup, Some(first), 1);
    assert!(push.is_thin());
    remote.push(&push).unwrap();
    setup.is_sound();
    let id = crate::blob_id(large(5, 2).as_bytes()).unwrap();
    assert_eq!(setup.git(&["rev-parse", "main:a/5"]), id.to_string());
    let complete = push.complete_pack_bytes().unwrap();
    assert!(complete.len() > IN_MEMORY_MAX);
}
