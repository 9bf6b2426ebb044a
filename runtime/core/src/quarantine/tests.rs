use super::*;
use crate::layout::IndexKind;
use expect_test::{Expect, expect};

fn oid(byte: u8) -> Oid {
    Oid::from_bytes([byte; 20])
}

fn config(id: &str) -> ObjectKey {
    ObjectKey::Config {
        component: "keboola.ex-shop".parse().unwrap(),
        config: id.parse().unwrap(),
    }
}

fn path(raw: &str) -> MirrorPath {
    MirrorPath::parse(raw).unwrap()
}

fn own(at: &str, blob: u8, id: &str) -> PushedFile {
    PushedFile {
        path: path(at),
        blob: oid(blob),
        subject: Subject::Object(config(id)),
        shared: None,
    }
}

/// A push of two configurations with a file of their own each, and of a catalog with a line for each.
fn pushed() -> Vec<PushedFile> {
    let gift = |id: &str, piece: u8| Gift {
        object: config(id),
        names: vec![format!("\"{id}\"")],
        piece: oid(piece),
    };
    let catalog = PushedFile {
        path: path("ai/catalog/shop.jsonl"),
        blob: oid(9),
        subject: Subject::Index {
            kind: IndexKind::Catalog,
            shard: "component/shop".to_owned(),
        },
        shared: Some(Shared {
            text: "{\"id\":\"a\"}\n{\"id\":\"b\"}\nwhose?\n".to_owned(),
            gifts: vec![gift("a", 11), gift("b", 12)],
        }),
    };
    vec![
        own("configs/a.json", 1, "a"),
        own("configs/b.json", 2, "b"),
        catalog,
    ]
}

fn named(path: Option<&str>, line: Option<u64>, blob: Option<&str>) -> Named {
    Named {
        objection: Objection::Secret,
        kind: Some("GitHub <token>\n".to_owned()),
        path: path.map(str::to_owned),
        line,
        blob: blob.map(str::to_owned),
    }
}

#[track_caller]
fn check(named: &[Named], expected: &Expect) {
    let line = |hold: Hold| {
        format!(
            "{} {}: {}",
            hold.subject,
            hold.piece.as_bytes()[0],
            place(&hold.reason)
        )
    };
    let holds: Vec<String> = decide(named, &pushed()).into_iter().map(line).collect();
    expected.assert_eq(&holds.join("\n"));
}

fn place(reason: &WithholdReason) -> &str {
    match reason {
        WithholdReason::RefusedByRemote { place, .. } => place,
        other => panic!("{other}"),
    }
}

#[test]
fn what_stands_in_an_objects_own_file_is_that_objects() {
    check(
        &[named(Some("configs/b.json"), Some(7), None)],
        &expect!["keboola.ex-shop/b 2: configs/b.json, line 7 (GitHub token)"],
    );
}

#[test]
fn a_file_is_known_by_its_content_where_its_path_is_not_told_or_not_ours() {
    for (path, blob) in [
        (None, "01010101"),
        (
            Some("b/configs/a.json"),
            "0101010101010101010101010101010101010101",
        ),
    ] {
        check(
            &[named(path, None, Some(blob))],
            &expect!["keboola.ex-shop/a 1: configs/a.json (GitHub token)"],
        );
    }
    check(&[named(None, None, Some("010101"))], &expect![""]);
}

#[test]
fn in_a_shared_file_it_is_the_object_that_the_line_names() {
    check(
        &[named(Some("ai/catalog/shop.jsonl"), Some(2), None)],
        &expect!["keboola.ex-shop/b 12: ai/catalog/shop.jsonl, line 2 (GitHub token)"],
    );
}

#[test]
fn in_a_shared_file_it_is_rather_the_object_that_is_kept_back_anyway() {
    check(
        &[
            named(Some("ai/catalog/shop.jsonl"), None, None),
            named(Some("configs/a.json"), None, None),
        ],
        &expect![[r#"
            keboola.ex-shop/a 1: configs/a.json (GitHub token)
            keboola.ex-shop/a 11: ai/catalog/shop.jsonl (GitHub token)"#]],
    );
}

#[test]
fn a_shared_file_is_kept_back_whole_where_nobody_can_be_told() {
    check(
        &[named(Some("ai/catalog/shop.jsonl"), Some(3), None)],
        &expect!["catalog component/shop 9: ai/catalog/shop.jsonl, line 3 (GitHub token)"],
    );
}

#[test]
fn places_in_no_file_of_the_push_come_to_nothing() {
    check(
        &[
            named(None, None, None),
            named(Some("README.md"), Some(1), None),
            named(Some("configs"), None, Some("ffffffff")),
        ],
        &expect![""],
    );
}

#[test]
fn the_same_content_is_refused_once_and_another_is_tried() {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let mut quarantine = Quarantine::default();
    let holds = || decide(&[named(Some("configs/a.json"), None, None)], &pushed());
    assert_eq!(quarantine.add(holds(), now).len(), 1);
    assert!(
        quarantine.add(holds(), now).is_empty(),
        "nothing new: it would go on for ever"
    );
    let other = Hold {
        piece: oid(5),
        ..holds().remove(0)
    };
    assert_eq!(quarantine.add(vec![other], now).len(), 1);
    let stored = serde_json::to_string(&quarantine).unwrap();
    assert_eq!(serde_json::from_str::<Quarantine>(&stored).unwrap(), quarantine);

    assert!(!quarantine.settle(|key| *key == config("a")));
    assert!(
        quarantine.settle(|_| false),
        "it is in the tip in another form by now"
    );
    assert!(quarantine.is_empty());
}

#[test]
fn remembered_contents_are_bounded() {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let mut quarantine = Quarantine::default();
    for byte in 0..=u8::MAX {
        let hold = Hold {
            subject: Subject::Object(config("a")),
            piece: oid(byte),
            reason: WithholdReason::RefusedByRemote {
                what: "secret".to_owned(),
                place: String::new(),
            },
        };
        assert_eq!(quarantine.add(vec![hold], now).len(), 1);
        assert!(quarantine.held[0].pieces.len() <= PIECES_MAX);
    }
}
