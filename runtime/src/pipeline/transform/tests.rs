use super::*;
use crate::{
    config::SandboxLimits,
    system::{Guests, guest_limits},
};
use mirror_core::{
    document::DocumentKind,
    layout::{Component, IndexKind},
    marker::TagKey,
    placement::{Change, Placement, normalize_name},
    redaction::{SecretsMode, plaintexts},
};
use mirror_sandbox::{Limits, SandboxConfig};
use serde_json::json;
use std::sync::OnceLock;

#[test]
fn work_in_parallel_keeps_the_order_and_gives_the_first_failure() {
    let squares = in_parallel((0..500).collect(), |n: u64| Ok::<_, ()>(n * n)).expect("no failure");
    assert_eq!(squares, (0..500).map(|n| n * n).collect::<Vec<u64>>());
    let failed = in_parallel((0..500).collect(), |n: u64| if n == 250 { Err(n) } else { Ok(n) });
    assert_eq!(failed, Err(250));
    assert_eq!(in_parallel(Vec::<u8>::new(), Ok::<_, ()>), Ok(Vec::new()));
}

/// A Storage token. No pattern knows it any more once it is slugged.
const TOKEN: &str = "4021-5567-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
/// A secret that the guard does not know.
const ONLY_OF_A_POLICY: &str = "password=Tr0ub4dor-and-3";
const CREDENTIAL: &str = "Run-Credential-7f3a99";

fn transformer() -> Transformer {
    static GUESTS: OnceLock<Guests> = OnceLock::new();
    let limits = guest_limits(SandboxLimits {
        memory_bytes_max: 1 << 30,
        deadline_ms: 60_000,
    });
    let config = SandboxConfig::offline(limits, Limits::default());
    let guests = GUESTS
        .get_or_init(|| Guests::prepare(config).expect("the guests are built in"))
        .clone();
    let mut own_secrets = KnownSecrets::new();
    own_secrets.add_credential(CREDENTIAL);
    Transformer {
        layout: guests.layout,
        policies: vec![guests.redaction.into()],
        shadows: Vec::new(),
        filter: guests.filter,
        redaction: Redaction::new(SecretsMode::Encrypted, TagKey::none()),
        own_secrets: Arc::new(OwnSecrets::new(own_secrets)),
        seen: Arc::default(),
        guard: Mutex::default(),
        names: Mutex::default(),
        words: Mutex::default(),
        owned: OwnedPaths::new(None),
        sample_limits: mirror_core::sample::SampleLimits::default(),
        context: Context {
            stack: "connection.example.com".parse().expect("a stack"),
            project: "7".parse().expect("a project"),
            branch: "11".parse().expect("a branch"),
        },
        settings: "{}".into(),
        stages: Arc::default(),
    }
}

fn config(component: &str, id: &str) -> ObjectKey {
    ObjectKey::Config {
        component: component.parse().expect("an id"),
        config: id.parse().expect("an id"),
    }
}

fn object(key: ObjectKey, source: &serde_json::Value) -> SourceObject {
    let component = key.config().map(|(component, _)| Component {
        id: component.to_string(),
        component_type: "other".into(),
        name: component.to_string(),
        generic_code_blocks_ui: component.as_str().ends_with("transformation"),
        default_bucket_stage: None,
    });
    SourceObject {
        key,
        component,
        source: source.to_string(),
        metadata: Vec::new(),
    }
}

fn inspected(transformer: &Transformer, objects: &[SourceObject]) -> Vec<Inspection> {
    let inspected = transformer.inspect(objects).expect("no guest fails");
    inspected
        .into_iter()
        .map(|outcome| outcome.expect("it can be read"))
        .collect()
}

fn placed(transformer: &Transformer, objects: Vec<SourceObject>) -> Vec<PlacedObject> {
    let mut placement = Placement::new();
    let keys = objects.iter().map(|object| object.key.clone());
    let changes = keys.zip(inspected(transformer, &objects));
    placement.apply(changes.map(|(key, wish)| Change::Put(key, wish)).collect());
    objects
        .into_iter()
        .map(|object| placement.placed(&object.key.clone(), object))
        .collect()
}

#[test]
fn what_is_remembered_of_a_name_with_a_secret_is_the_id() {
    let transformer = transformer();
    let row = ObjectKey::Row {
        component: "acme.ex".parse().expect("an id"),
        config: "1".parse().expect("an id"),
        row: "r7".parse().expect("an id"),
    };
    let objects = [
        object(
            config("acme.ex", "1"),
            &json!({"name": format!("Orders {TOKEN}"), "configuration": {}}),
        ),
        object(row.clone(), &json!({"name": TOKEN, "configuration": {}})),
        object(row, &json!({"name": "", "configuration": {"name": TOKEN}})),
        object(
            config("acme.ex", "2"),
            &json!({"name": CREDENTIAL.replace('-', "_"), "configuration": {}}),
        ),
        object(
            config("acme.ex", "3"),
            &json!({"name": "Orders", "configuration": {}}),
        ),
    ];
    let inspected = inspected(&transformer, &objects);
    let segments: Vec<&str> = inspected.iter().map(|one| one.segment.as_str()).collect();
    let expected = [
        "other/acme.ex/1",
        "rows/r7",
        "rows/r7",
        "other/acme.ex/2",
        "other/acme.ex/orders",
    ];
    assert_eq!(segments, expected);
    let slugs = Slugs::new([TOKEN, CREDENTIAL]);
    for one in &inspected {
        let stored = serde_json::to_string(one).expect("plain data");
        assert!(!slugs.is_in(&stored), "{stored}");
    }
    assert_eq!(inspected[1].sort_name, "r7");
}

#[test]
fn a_source_that_is_no_json_withholds_its_object_alone() {
    let transformer = transformer();
    let mut broken = object(config("acme.ex", "1"), &json!({}));
    broken.source.push('x');
    let fine = object(config("acme.ex", "2"), &json!({"name": "Orders"}));
    let outcomes = transformer
        .inspect(&[broken.clone(), fine.clone()])
        .expect("no guest fails");
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    let place = |object: SourceObject| PlacedObject {
        path: Some(object.key.to_string()),
        object,
        parent: None,
        claimed_by: Vec::new(),
        references: Vec::new(),
    };
    let clean = transformer
        .objects(vec![place(broken.clone()), place(fine)], &transformer.guard())
        .expect("no guest fails");
    assert_eq!(clean.withheld.len(), 1);
    assert_eq!(clean.withheld[0].subject, Subject::Object(broken.key));
    assert_eq!(clean.withheld[0].reason.kind(), "source");
}

#[test]
fn secrets_in_names_of_blocks_codes_phases_and_tasks_are_in_no_path_and_no_file() {
    let transformer = transformer();
    let named = |what: &str| format!("{what} {TOKEN}");
    let sources = [
        object(
            config("keboola.snowflake-transformation", "1"),
            &json!({"name": "Clean", "configuration": {"parameters": {"blocks": [
                {"name": named("block"), "codes": [{"name": named("code"), "script": ["SELECT 1"]}]},
            ]}}}),
        ),
        object(
            config("keboola.orchestrator", "2"),
            &json!({"name": "Nightly", "configuration": {
                "phases": [{"id": 1, "name": named("first"), "dependsOn": []},
                           {"id": 2, "name": "second", "dependsOn": [1]}],
                "tasks": [{"id": 3, "phase": 1, "name": named("task"), "task": {
                    "componentId": "keboola.snowflake-transformation", "configId": "1", "mode": "run"}}],
            }}),
        ),
    ];
    let clean = transformer
        .objects(placed(&transformer, sources.into()), &transformer.guard())
        .expect("no guest fails");
    assert_eq!(clean.withheld, []);
    let slugs = Slugs::new([TOKEN]);
    let mut paths = Vec::new();
    let mut masked = 0;
    for object in clean.batch.into_objects() {
        masked += object.stats().masked;
        for file in object.files() {
            assert!(!slugs.is_in(file.path().as_str()), "{}", file.path());
            assert!(
                !slugs.is_in(file.content()),
                "{}: {}",
                file.path(),
                file.content()
            );
            paths.push(file.path().to_string());
        }
    }
    assert_eq!(masked, 4, "what was taken from names is counted");
    for ending in ["code.sql", "task.json"] {
        let path = paths.iter().find(|path| path.ends_with(ending));
        assert!(
            path.is_some_and(|path| path.matches("/001-").count() == 2 && path.contains("redacted")),
            "{paths:?}"
        );
    }
}

fn file(path: &str, content: &str) -> RawFile {
    RawFile {
        path: path.into(),
        kind: DocumentKind::Config,
        content: content.into(),
    }
}

#[test]
fn a_renderer_that_makes_a_path_of_a_secret_gets_its_object_withheld() {
    let transformer = transformer();
    let rendered = |id: &str, path: String, content: &str| {
        let files = vec![
            file(&format!("configs/main/{path}/x.txt"), ""),
            file(&format!("configs/main/{id}/note.md"), content),
        ];
        let entries = Vec::new();
        (
            Subject::Object(config("acme.ex", id)),
            Rendered { files, entries },
        )
    };
    let content = format!("use {TOKEN} here");
    let mut withheld = Vec::new();
    let batch = vec![
        rendered("1", format!("a-{}", normalize_name(TOKEN)), &content),
        rendered("2", "a".into(), &content),
        // No policy finds it; the run knows it.
        rendered("3", format!("b-{}", CREDENTIAL.to_lowercase()), "nothing"),
    ];
    let redacted = transformer.redact(batch, Vec::new(), &mut withheld, &transformer.guard());
    let redacted = redacted.expect("no guest fails");
    let filtered = transformer.choose(redacted, &mut withheld);
    let filtered = filtered.expect("no guest fails");
    let reason = |withheld: &Withheld| (withheld.subject.to_string(), withheld.reason.clone());
    assert_eq!(withheld.len(), 1, "{withheld:?}");
    let (subject, WithholdReason::Guarded { file, .. }) = reason(&withheld[0]) else {
        panic!("{withheld:?}");
    };
    assert_eq!((subject.as_str(), file.as_str()), ("acme.ex/1", "a path"));

    let (batch, refused) = filtered.guard(&transformer.guard());
    let passed = batch.objects().iter();
    let passed: Vec<String> = passed.map(|object| object.subject().to_string()).collect();
    assert_eq!(passed, ["acme.ex/2"]);
    assert_eq!(refused[0].reason.public(), "guarded guard-known-secret");
}

#[test]
fn a_name_is_judged_as_it_was_typed_and_as_it_is_shown() {
    let transformer = transformer();
    let may_be_shown = |name: &str| transformer.judge_name(name).expect("no guest fails");
    assert!(may_be_shown(""));
    assert!(may_be_shown("Orders 2026 (new)"));
    assert!(!may_be_shown(&format!("try {TOKEN}")));
    assert!(!may_be_shown(CREDENTIAL));
    assert!(!may_be_shown(&CREDENTIAL.replace('-', " ")));
}

#[test]
fn what_is_a_secret_in_the_place_of_an_id_is_called_by_a_digest_and_ordinary_ids_stay() {
    let transformer = transformer();
    let told = |text: String| transformer.told(&[text]).remove(0);
    let ordinary = [
        config("keboola.ex-db-mysql", "01k0vea53rhcw3anmg57w2k2aj"),
        config("keboola.python-transformation-v2", "493493"),
        config("kds-team.app-custom-python", "daily-orders_2026.v2 (new)"),
        config("keboola.scheduler", "0b5f6a2c-7c1e-4d5f-9a3b-2f6f0c9d1e77"),
        ObjectKey::Table("in.c-kds-team-ex-shopify-493493.order_lines".parse().unwrap()),
        ObjectKey::Bucket("out.c-main".parse().unwrap()),
        ObjectKey::Job("1234567890.1234567891".parse().unwrap()),
        ObjectKey::Branch,
    ];
    let called = transformer.called(&ordinary);
    for (called, object) in called.iter().zip(&ordinary) {
        assert_eq!(*called, object.to_string());
        let reason =
            format!("keboola failed on version 3 of {object} in branch 1001 (status 500, `e-9f1c2b`)");
        assert_eq!(told(reason.clone()), reason);
    }
    for reason in [
        "branch `refs/heads/keboola/new-menu-1002` was rewritten: commit 8f14e45fceea167a5a36dedd4bea2543d3b07c4e, which the mirror pushed, is no longer in its history",
        "commit 8f14e45fceea167a5a36dedd4bea2543d3b07c4e is not sent again before 2026-11-02T08:00:00Z: remote `https://github.com/acme/retail.git` refused it",
        "keboola does not accept the token for the branches (code `storage.tokenInvalid`, connection-azure-8f14e45fceea167a5a36dedd4bea2543)",
        "held: this would delete 12 of 20 configurations; accept batch `3f2b9c0d11aa`: set `accept_deletions = \"3f2b9c0d11aa\"` in `[[mirror]]`",
        "cannot reach keboola for table in.c-main.users: error sending request: connection refused (os error 111)",
    ] {
        assert_eq!(told(reason.to_owned()), reason);
    }
    let hidden = [config("acme.ex", TOKEN), config("acme.ex", CREDENTIAL)];
    let called = transformer.called(&hidden);
    assert_eq!(called, [hidden[0].hidden(), hidden[1].hidden()]);
    for secret in [TOKEN, CREDENTIAL] {
        let said = told(format!("version 3 of acme.ex/{secret} is not visible yet"));
        assert!(said.starts_with("version 3 of acme.ex/id sha256:"), "{said}");
        assert!(said.ends_with(" is not visible yet"), "{said}");
    }
    let words = CREDENTIAL.replace('-', " ");
    let said = told(format!("version 3 of acme.ex/{words} is not visible yet"));
    assert!(said.starts_with("a text that shows a secret, sha256:"), "{said}");

    assert_eq!(transformer.called_raw("job", "a\n\"b"), r#"job "a\n\"b""#);
    let (head, tail) = TOKEN.split_at(20);
    for raw in [format!("{TOKEN}\0"), format!("{head}\n{tail}"), "7".repeat(101)] {
        let called = transformer.called_raw("job", &raw);
        assert!(called.starts_with("job sha256:"), "{called}");
    }
}

#[test]
fn what_the_policy_was_asked_about_once_it_is_not_asked_about_again() {
    let mut transformer = transformer();
    let objects = ["1234", ONLY_OF_A_POLICY].map(|id| config("acme.ex", id));
    let called = transformer.called(&objects);
    assert_eq!(called, [objects[0].to_string(), objects[1].hidden()]);
    let policies = std::mem::take(&mut transformer.policies);
    assert_eq!(transformer.called(&objects), called);
    let reason = [format!("version 3 of acme.ex/{ONLY_OF_A_POLICY}")];
    assert!(
        transformer.told(&reason)[0].contains("sha256:"),
        "in a text it is the same word"
    );

    // What had no answer is asked about again, and the guard is always asked.
    transformer.rest();
    assert_eq!(transformer.called(&objects)[1], objects[1].to_string());
    transformer.policies = policies;
    assert_eq!(transformer.called(&objects), called);
    let late = "1234-Renewed-Token-5678";
    let object = [config("acme.ex", late)];
    assert_eq!(transformer.called(&object), [object[0].to_string()]);
    transformer.own_secrets.learn(&secrecy::SecretString::from(late));
    assert_eq!(transformer.called(&object), [object[0].hidden()]);
}

#[test]
fn a_ciphertext_in_a_name_is_shown_nowhere_unless_the_mode_keeps_it() {
    const CIPHER: &str = "KBC::ProjectSecure::eJwVykEKwCAMBC5oYh7mRlZjUwMjAw";
    let name = format!("DB {CIPHER}");
    let row = |mode| {
        let mut transformer = transformer();
        transformer.redaction.mode = mode;
        let source = json!({ "name": name, "configuration": {} });
        let objects = [object(config("acme.ex", "77"), &source)];
        let segment = inspected(&transformer, &objects).remove(0).segment;
        (transformer.judge_name(&name).expect("no guest fails"), segment)
    };
    let (may_be_shown, segment) = row(SecretsMode::Encrypted);
    assert!(may_be_shown);
    assert!(segment.contains(&normalize_name(CIPHER)), "{segment}");
    for mode in [SecretsMode::Masked, SecretsMode::Omitted] {
        let (may_be_shown, segment) = row(mode);
        assert!(!may_be_shown);
        assert!(
            segment.ends_with("77") && !segment.contains("secure"),
            "{segment}"
        );
    }
}

#[test]
fn a_policy_that_withholds_wins_and_findings_add_up() {
    let reason = WithholdReason::Source { detail: "x".into() };
    let withhold = || Verdict::Withhold(reason.clone());
    let none = || Verdict::Findings(Vec::new());
    assert_eq!(
        joined(vec![vec![none(), withhold()], vec![withhold(), none()]]),
        vec![withhold(), withhold()]
    );
    assert_eq!(joined(vec![]), Vec::new());
}

#[test]
fn the_guard_knows_what_was_learnt() {
    const PLAINTEXT: &str = "Pl4in-Text-Of-Another-Object";
    let transformer = transformer();
    let placed = || {
        let code = object(
            config("acme.ex", "1"),
            &json!({"name": "Orders", "configuration": {"query": format!("say '{PLAINTEXT}'")}}),
        );
        placed(&transformer, vec![code])
    };
    let before = transformer.guard();
    let passed = transformer.objects(placed(), &before).expect("no guest fails");
    assert_eq!(passed.withheld, []);
    let learnt = plaintexts(&json!({"#password": PLAINTEXT}).to_string());
    assert!(transformer.learn(&learnt), "it is new");
    assert!(!transformer.learn(&learnt), "it is known");
    let refused = transformer
        .objects(placed(), &transformer.guard())
        .expect("no guest fails");
    assert_eq!(refused.withheld.len(), 1);
    assert_eq!(refused.withheld[0].reason.public(), "guarded guard-known-secret");
}

#[test]
fn a_name_of_which_a_further_policy_takes_a_piece_of_a_secret_withholds_its_object() {
    const PLAINTEXT: &str = "Tr0ub4dor-and-3 is what we all know";
    let mut transformer = transformer();
    transformer.learn(&plaintexts(&json!({"#password": PLAINTEXT}).to_string()));
    let named = |name: &str| {
        object(
            config("acme.ex", "1"),
            &json!({"name": name, "configuration": {}}),
        )
    };
    let reasons = |transformer: &Transformer, name: &str| {
        let placed = placed(transformer, vec![named(name)]);
        let clean = transformer.objects(placed, &transformer.guard());
        let withheld = clean.expect("no guest fails").withheld;
        withheld.iter().map(|one| one.reason.public()).collect::<Vec<_>>()
    };
    let name = format!("password={PLAINTEXT}");
    assert_eq!(reasons(&transformer, &name), [""; 0], "the built-in policy alone");
    // In place of a customer's, which has the same to say.
    transformer.policies.push(transformer.policies[0].clone());
    transformer.rest();
    assert_eq!(reasons(&transformer, &name), ["guarded guard-known-secret"]);
    assert_eq!(reasons(&transformer, "password=Tr0ub4dor-and-4"), [""; 0]);
}

#[test]
fn a_shared_file_that_cannot_be_made_of_redacted_names_names_the_policy() {
    let mut transformer = transformer();
    let rule = transformer.policies[0].guest().info().rules[0].id.clone();
    let reason = |transformer: &Transformer, value: &str| {
        let (kind, shard) = (IndexKind::Catalog, "acme.ex".to_owned());
        let entry = Entry {
            kind,
            shard: shard.clone(),
            key: "acme.ex/1".into(),
            value: value.into(),
        };
        let shards = vec![(kind, shard, vec![entry])];
        let (clean, _) = transformer
            .shards(shards, &transformer.guard())
            .expect("no guest fails");
        clean
            .withheld
            .iter()
            .map(|one| one.reason.to_string())
            .collect::<Vec<_>>()
    };
    let hidden = json!({ format!("[REDACTED:{}:0]", rule.as_str()): 1 }).to_string();
    // Only what a customer's policy may have done is said of one.
    let renderers = reason(&transformer, &hidden);
    assert!(
        renderers[0].starts_with("the layout renderer refused it"),
        "{renderers:?}"
    );
    transformer.policies.push(transformer.policies[0].clone());
    assert_eq!(reason(&transformer, "{}"), renderers);
    assert_eq!(
        reason(&transformer, &hidden),
        [format!(
            "the {} answered with something malformed: its rule `{}` takes out names of members that the mirror's own files are made of",
            transformer.policies[0].guest().name(),
            rule.as_str()
        )]
    );
}

#[test]
fn the_guard_of_names_is_made_once_for_all_that_the_run_knows() {
    let transformer = transformer();
    let late = "1234-Renewed-Token-5678";
    let (_, first) = transformer.names_guard();
    assert!(transformer.judge_name(late).expect("no guest fails"));
    assert!(!transformer.judge_name(CREDENTIAL).expect("no guest fails"));
    assert!(Arc::ptr_eq(&first, &transformer.names_guard().1));
    transformer.own_secrets.learn(&secrecy::SecretString::from(late));
    assert!(!transformer.judge_name(late).expect("no guest fails"));
    assert!(!Arc::ptr_eq(&first, &transformer.names_guard().1));
}
