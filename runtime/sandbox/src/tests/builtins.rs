//! Our own guests, as they are built into the program.

use super::support::{context, documents, limits};
use crate::{FilledShard, Sandbox, SandboxConfig};
use mirror_core::{
    document::{Document, DocumentKind, Leaf, LeafRole, Leaves},
    finding::Verdict,
    ids::{ComponentId, ConfigId, ObjectKey},
    layout::{Component, Entry, IndexKind, PlacedObject, SourceObject},
    path::MirrorPath,
    sample::{Column, Sample},
};
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, thread};

/// Our guests are large, so they are compiled once for all runs of the tests.
fn shared() -> Sandbox {
    kept_in(&Path::new(env!("OUT_DIR")).join("compiled"))
}

fn kept_in(dir: &Path) -> Sandbox {
    let cache_dir = Some(dir.to_owned());
    Sandbox::new(SandboxConfig {
        cache_dir,
        cache_key: [3; 32],
        ..SandboxConfig::offline(limits(), limits())
    })
    .expect("the engine starts")
}

fn config() -> SourceObject {
    SourceObject {
        key: ObjectKey::Config {
            component: ComponentId::parse("keboola.ex-db-mysql").expect("an id"),
            config: ConfigId::parse("1").expect("an id"),
        },
        component: Some(Component {
            id: "keboola.ex-db-mysql".to_owned(),
            component_type: "extractor".to_owned(),
            name: "MySQL".to_owned(),
            generic_code_blocks_ui: false,
            default_bucket_stage: None,
        }),
        source: r#"{"id":"1","name":"Orders","description":"","version":3,"configuration":{"a":1}}"#
            .to_owned(),
        metadata: vec![],
    }
}

#[test]
fn the_renderer_places_renders_and_gathers_a_configuration() {
    let renderer = shared().layout_renderer().expect("it is built in");
    let inspected = renderer
        .inspect(&context(), "{}", &[config()])
        .expect("no deadline is hit")
        .remove(0);
    let segment = inspected.expect("it is a plain configuration").segment;
    assert_eq!(segment, "extractor/keboola.ex-db-mysql/orders");
    let placed = PlacedObject {
        object: config(),
        path: Some(segment),
        parent: None,
        claimed_by: vec![],
        references: vec![],
    };
    let rendered = renderer
        .render(&context(), "{}", &[placed])
        .expect("no deadline is hit")
        .remove(0);
    let rendered = rendered.expect("it is a plain configuration");
    assert!(
        rendered
            .files
            .iter()
            .any(|file| file.path.ends_with("/orders/config.json")),
        "{:?}",
        rendered.files
    );
    let manifest: Vec<_> = rendered
        .entries
        .into_iter()
        .filter(|entry| entry.kind == IndexKind::Manifest)
        .collect();
    let gathered = renderer
        .gather(
            &context(),
            "{}",
            &[(IndexKind::Manifest, String::new(), manifest)],
        )
        .expect("no deadline is hit")
        .remove(0);
    let files = gathered.expect("the entries are its own").files;
    assert!(
        files
            .iter()
            .any(|file| file.path.ends_with("manifest.json") && file.kind == DocumentKind::Index),
        "{files:?}"
    );
    let mut files = [rendered.files, files].concat();
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let mut wanted = renderer
        .recoverable("{}", &paths)
        .expect("no deadline is hit")
        .into_iter();
    files.retain(|_| wanted.next().unwrap_or(false));
    assert!(!files.is_empty() && files.len() < paths.len(), "{paths:?}");
    let recovered = renderer.recover(&context(), "{}", &files).expect("its own files");
    assert!(
        recovered.objects.iter().any(|object| object.key == config().key),
        "{recovered:?}"
    );
}

#[test]
fn shards_of_a_batch_are_gathered_as_each_would_be_alone() {
    let renderer = shared().layout_renderer().expect("the built-in renderer");
    let shard = |table: &str, value: &str| {
        let entry = Entry {
            kind: IndexKind::Lineage,
            shard: format!("table/{table}"),
            key: "=".to_owned(),
            value: value.to_owned(),
        };
        (entry.kind, entry.shard.clone(), vec![entry])
    };
    let shards = [
        shard("in.c-main.a", r#"{"id":"in.c-main.a"}"#),
        shard("in.c-main.b", "no JSON"),
        shard("in.c-main.c", r#"{"id":"in.c-main.c"}"#),
        (IndexKind::Catalog, "nowhere".to_owned(), Vec::new()),
        shard("in.c-main.d", r#"{"id":"in.c-main.d"}"#),
    ];
    let gather = |shards: &[FilledShard]| {
        let gathered = renderer.gather(&context(), "{}", shards);
        gathered.expect("no deadline is hit")
    };
    let together = gather(&shards);
    let alone: Vec<_> = shards
        .iter()
        .flat_map(|shard| gather(std::slice::from_ref(shard)))
        .collect();
    assert_eq!(together, alone);
    let passed: Vec<bool> = together.iter().map(Result::is_ok).collect();
    assert_eq!(passed, [true, false, true, false, true]);
}

#[test]
fn one_unreadable_object_is_withheld_alone() {
    let renderer = shared().layout_renderer().expect("it is built in");
    let broken = SourceObject {
        source: "{".to_owned(),
        ..config()
    };
    let outcomes = renderer
        .inspect(&context(), "{}", &[config(), broken, config()])
        .expect("no deadline is hit");
    assert_eq!(
        outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[test]
fn the_policy_finds_a_token_and_leaves_prose_alone() {
    let policy = shared().secret_redaction().expect("it is built in");
    let token = format!("{}_{}", "ghp", "0123456789abcdefghijABCDEFGHIJ012345");
    let verdicts = policy
        .redact(
            &context(),
            &documents(&["The orders of the last month.", &format!("use {token} here")]),
        )
        .expect("no deadline is hit");
    assert_eq!(verdicts[0], Verdict::Findings(vec![]));
    assert!(
        matches!(&verdicts[1], Verdict::Findings(found) if !found.is_empty()),
        "{verdicts:?}"
    );
    assert!(!policy.info().rules.is_empty());
}

#[test]
fn a_batch_that_is_judged_piece_by_piece_is_judged_as_each_document_alone() {
    let policy = shared().secret_redaction().expect("it is built in");
    let token = format!("{}_{}", "ghp", "0123456789abcdefghijABCDEFGHIJ012345");
    // Some pieces of several documents, and some documents longer than a piece.
    let text = |number: usize| {
        let prose = "The orders of the last month. ".repeat(number * 613 % 3_000);
        let secret = if number.is_multiple_of(3) { &token } else { "" };
        format!("{prose}{secret}")
    };
    let texts: Vec<String> = (0..40).map(text).collect();
    let documents = documents(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let judge = |documents: &[Document]| policy.redact(&context(), documents).expect("no deadline is hit");
    let together = judge(&documents);
    let alone: Vec<Verdict> = documents.chunks(1).flat_map(judge).collect();
    assert_eq!(together, alone);
    let found = |verdict: &&Verdict| matches!(verdict, Verdict::Findings(found) if !found.is_empty());
    assert_eq!(together.iter().filter(found).count(), 14);
}

#[test]
fn the_filter_chooses_within_the_sample() {
    let filter = shared().sample_filter("{}").expect("it is built in");
    let column = |name: &str| Column {
        name: name.to_owned(),
        base_type: "STRING".to_owned(),
    };
    let sample = Sample {
        table_id: "in.c-main.orders".to_owned(),
        columns: vec![column("id"), column("total")],
        rows: vec![vec!["1".to_owned(), "9.90".to_owned()]],
    };
    let choice = filter
        .choose(&context(), &[sample])
        .expect("no deadline is hit")
        .remove(0)
        .expect("a plain sample");
    assert_eq!(choice.rows, [0]);
    assert!(filter.digest() != shared().secret_redaction().expect("it is built in").digest());
}

#[test]
fn a_large_list_is_judged_as_if_all_of_it_were_asked_about_at_once() {
    let policy = shared().secret_redaction().expect("it is built in");
    let list = |note: &dyn Fn(usize) -> &'static str| {
        let mut leaves = Leaves::default();
        for number in 0..8_000 {
            for (name, value) in [
                ("name", "an object of a large project, one of many"),
                ("note", note(number)),
            ] {
                let pointer = &format!("/configurations/{number}/{name}");
                let role = LeafRole::Key;
                leaves.push(Leaf {
                    pointer,
                    role,
                    value: name,
                });
                let role = LeafRole::Text;
                leaves.push(Leaf { pointer, role, value });
            }
        }
        let document = documents(&["x"]).remove(0);
        Document { leaves, ..document }
    };
    let plain = list(&|_| "nothing to see");
    let secret = list(&|number| match number {
        5_000 => "user=etl password=Xk7vR2mpQz",
        // Only by the one above is it known what this is.
        10 | 7_999 => "see Xk7vR2mpQz",
        _ => "nothing to see",
    });
    for (document, count) in [(plain, 0), (secret, 3)] {
        let batch = [document];
        let asked = policy.redact(&context(), &batch).expect("no deadline is hit");
        let at_once = policy
            .measure_unpacked(&context(), &batch)
            .expect("no deadline is hit");
        let at_once = at_once.findings.expect("it is answered").remove(0);
        assert_eq!(at_once.len(), count);
        assert_eq!(asked, [Verdict::Findings(at_once)]);
    }
}

/// By its own interface it is asked about many documents at once, whose parts are cut anew on the other side.
#[test]
fn the_secret_policy_answers_as_it_does_by_the_interface_that_all_policies_have() {
    let policy = shared().secret_redaction().expect("it is built in");
    let document = |number: usize| {
        let kind = [DocumentKind::Config, DocumentKind::Message, DocumentKind::Code][number % 3];
        let mut leaves = Leaves::default();
        for leaf in 0..number % 5 {
            let pointer = &format!("/č{number}/#{leaf}");
            for (role, value) in [
                (LeafRole::Key, "#key"),
                (LeafRole::Text, "KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0"),
                (LeafRole::Scalar, "1234"),
            ] {
                leaves.push(Leaf { pointer, role, value });
            }
            let (role, pointer) = (LeafRole::Text, "/ž");
            let value = &format!("ě {number} password=Xk7vR2mpQz{leaf}");
            leaves.push(Leaf { pointer, role, value });
        }
        let path = number
            .is_multiple_of(2)
            .then(|| MirrorPath::parse(&format!("configs/{number}.json")).expect("a path"));
        Document {
            path,
            kind,
            leaves,
            ..documents(&["x"]).remove(0)
        }
    };
    for count in [0, 1, 2, 999] {
        let batch: Vec<Document> = (0..count).map(document).collect();
        let asked = policy.measure(&context(), &batch).expect("no deadline is hit");
        let unpacked = policy
            .measure_unpacked(&context(), &batch)
            .expect("no deadline is hit");
        let found = asked.findings.expect("it is answered");
        assert_eq!(Ok(&found), unpacked.findings.as_ref());
        assert_eq!(
            found.iter().map(Vec::is_empty).filter(|is| !is).count(),
            count - count.div_ceil(5)
        );
    }
}

#[test]
fn calls_may_run_in_parallel_and_outlive_the_sandbox() {
    let policy = shared().secret_redaction().expect("it is built in");
    let expected = policy
        .redact(&context(), &documents(&["a", "b"]))
        .expect("no deadline is hit");
    thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    policy
                        .redact(&context(), &documents(&["a", "b"]))
                        .expect("no deadline is hit")
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.join().expect("no call panics"), expected);
        }
    });
}

#[test]
fn a_second_start_takes_compiled_guests_from_the_directory() {
    let root = tempfile::tempdir().expect("a directory");
    let written = || {
        kept_in(root.path()).sample_filter("{}").expect("it is built in");
        let files = fs::read_dir(root.path()).expect("a directory");
        // What is written anew is another file; when one was used last is its time.
        let files = files.map(|file| file.expect("a file").metadata().expect("it is there").ino());
        files.collect::<Vec<_>>()
    };
    let first = written();
    assert_eq!((first.len(), written()), (1, first));
}

#[test]
fn the_policy_is_set_up_once_and_not_for_every_batch() {
    let dir = tempfile::tempdir().expect("temporary directories can be made");
    for _ in ["taken", "from the cache"] {
        let policy = kept_in(dir.path()).secret_redaction().expect("it is built in");
        assert!(policy.is_configured());
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 1);
}
