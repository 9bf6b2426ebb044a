mod anew;
mod mirror;
mod runs;

use super::*;
use crate::{
    cut::{LaneCursor, LogId, Logged, Position},
    event::{Body, BranchChanged, Envelope, RenderChanged, StorageCause, StorageChanged},
    finding::{Finding, RuleId, Target, Verdict, WithholdReason},
    guard::{Guard, KnownSecrets},
    ids::{ObjectKey, Topic},
    inventory::ObjectType,
    marker::TagKey,
    path::OwnedPaths,
    redaction::{Redaction, SecretsMode},
};
use expect_test::{Expect, expect};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn change(config: &str, version: u64) -> CoveredChange {
    CoveredChange {
        key: ConfigKey {
            component: "keboola.ex-db-mysql".parse().unwrap(),
            config: config.parse().unwrap(),
        },
        name: Some(format!("Orders {config}")),
        version,
        identifier: Some("01H2W8N0ZJJB6V126C8ZSND28N".to_owned()),
        deleted: false,
        created: Some(at("2026-05-11T12:00:00Z")),
        author: Some(Author {
            token: Some("67".to_owned()),
            text: "dev@keboola.com".to_owned(),
        }),
        description: Some("Row 12 added".to_owned()),
        earlier_authors: Vec::new(),
    }
}

fn logged(body: Body) -> Vec<Logged> {
    let topic = Topic {
        stack: "s".parse().unwrap(),
        project: "4021".parse().unwrap(),
        branch: "1187".parse().unwrap(),
    };
    let appended_at = at("2026-05-11T12:00:05Z");
    vec![Logged {
        position: Position(4),
        appended_at,
        envelope: Envelope::internal(topic, body, appended_at),
    }]
}

fn cut(events: &[Logged]) -> Cut {
    Cut::of(
        &"acme".parse().unwrap(),
        &LaneCursor::start(LogId::parse("log").unwrap()),
        events,
        at("2026-05-11T12:00:05Z"),
    )
}

fn draft_of(cut: &Cut, changes: Vec<CoveredChange>) -> CommitDraft {
    CommitDraft::new(CommitFacts {
        lane: &LaneId {
            mirror: "acme".parse().unwrap(),
            branch: "1187".parse().unwrap(),
        },
        project: &"4021".parse().unwrap(),
        cut,
        render: &RenderDigest::parse("0123456789abcdef0123456789abcdef").unwrap(),
        owned: &OwnedPaths::new(None),
        parent_committed_at: Some(at("2026-05-11T12:00:01Z")),
        changes,
        inventory: Inventory::default(),
        overwrites: Overwrites::default(),
    })
}

fn draft(changes: Vec<CoveredChange>) -> CommitDraft {
    draft_of(&cut(&[]), changes)
}

fn redaction() -> Redaction {
    Redaction::new(SecretsMode::Encrypted, TagKey::none())
}

fn seal(draft: CommitDraft) -> GuardedMessage {
    let verdicts = draft
        .documents()
        .iter()
        .map(|_| Verdict::Findings(Vec::new()))
        .collect();
    draft.seal(verdicts, &redaction(), &Guard::new(&KnownSecrets::default()))
}

fn shown(sealed: &GuardedMessage) -> String {
    let signature = |of: &Signature| format!("{} <{}> {}", of.name(), of.email(), of.time());
    let (author, committer) = (signature(sealed.author()), signature(sealed.committer()));
    format!("author {author}\ncommitter {committer}\n\n{}", sealed.message())
}

#[track_caller]
fn check(draft: CommitDraft, expected: &Expect) {
    let sealed = seal(draft);
    assert!(
        Trailers::parse(sealed.message()).is_some(),
        "the mirror can read its own commit"
    );
    expected.assert_eq(&shown(&sealed));
}

#[track_caller]
fn check_subject(draft: CommitDraft, expected: &str) {
    assert_eq!(seal(draft).message().lines().next(), Some(expected));
}

#[test]
fn one_change_says_all_in_its_subject() {
    check(
        draft(vec![change("a", 42)]),
        &expect![[r#"
            author dev@keboola.com <dev@keboola.com> 2026-05-11T12:00:00Z
            committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:05Z

            Update keboola.ex-db-mysql "Orders a": Row 12 added

            - keboola.ex-db-mysql/a "Orders a": version 42, Row 12 added

            Mirror-Log: log
            Mirror-Lane: acme/1187
            Mirror-Through: change=0 jobs=0
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Prefix: -
            Mirror-Events: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            Keboola-Change: keboola.ex-db-mysql/a@42 01H2W8N0ZJJB6V126C8ZSND28N
        "#]],
    );
}

#[test]
fn several_changes_are_listed_and_the_last_maker_is_the_author() {
    let by = |token: &str, text: &str| Author {
        token: Some(token.to_owned()),
        text: text.to_owned(),
    };
    let last = CoveredChange {
        author: Some(by("70", "ci-bot")),
        created: Some(at("2026-05-11T12:00:03.5Z")),
        description: Some("First line\n\nKeboola-Change: x/y@1 z".to_owned()),
        ..change("b", 1)
    };
    let earlier_authors = vec![by("71", "Ann <ann@example.com>"), by("67", "dev@keboola.com")];
    let deleted = CoveredChange {
        deleted: true,
        name: None,
        description: None,
        earlier_authors,
        ..change("c", 7)
    };
    check(
        draft(vec![last, deleted, change("a", 42)]),
        &expect![[r#"
            author ci-bot <70@tokens.4021.invalid> 2026-05-11T12:00:03Z
            committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:05Z

            Change 3 configurations in keboola.ex-db-mysql

            - keboola.ex-db-mysql/a "Orders a": version 42, Row 12 added
            - keboola.ex-db-mysql/b "Orders b": version 1, First line Keboola-Change: x/y@1 z
            - keboola.ex-db-mysql/c: deleted

            Mirror-Log: log
            Mirror-Lane: acme/1187
            Mirror-Through: change=0 jobs=0
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Prefix: -
            Mirror-Events: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            Keboola-Change: keboola.ex-db-mysql/a@42 01H2W8N0ZJJB6V126C8ZSND28N
            Keboola-Change: keboola.ex-db-mysql/b@1 01H2W8N0ZJJB6V126C8ZSND28N
            Keboola-Change: keboola.ex-db-mysql/c@7 01H2W8N0ZJJB6V126C8ZSND28N deleted
            Co-authored-by: Ann ann@example.com <71@tokens.4021.invalid>
            Co-authored-by: dev@keboola.com <dev@keboola.com>
        "#]],
    );
}

#[test]
fn what_no_person_made_is_the_mirrors_or_of_an_unknown_author() {
    let cursor = LaneCursor::start(LogId::parse("log").unwrap());
    let snapshot = Cut {
        snapshot: true,
        change_through: Position(3),
        jobs_through: Position(2),
        ..Cut::of(&"acme".parse().unwrap(), &cursor, &[], at("2026-05-11T11:59:00Z"))
    };
    check(
        draft_of(&snapshot, vec![change("a", 1), change("b", 2)]),
        &expect![[r#"
            author Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:01Z
            committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:01Z

            Snapshot of project 4021, branch 1187: 2 configurations

            Mirror-Log: log
            Mirror-Lane: acme/1187
            Mirror-Through: change=3 jobs=2
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Prefix: -
            Mirror-Events: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            Keboola-Changes: 2 840214b78940a008b3eb9e6129f58b2a87fda7d911e9d6c36252761f128cb021
        "#]],
    );
    let mut some_withheld = Inventory::default();
    for (config, is_withheld) in [("a", false), ("b", true)] {
        let key = ObjectKey::from(change(config, 1).key);
        some_withheld.count(ObjectType::of(&key, Some("extractor")), is_withheld);
    }
    check_subject(
        CommitDraft {
            inventory: some_withheld,
            ..draft_of(&snapshot, vec![change("a", 1), change("b", 2)])
        },
        "Snapshot of project 4021, branch 1187: 1 of 2 configurations",
    );
    let branch = logged(Body::BranchChanged(BranchChanged {
        digest: "d".to_owned(),
        deleted: false,
    }));
    check(
        draft_of(&cut(&branch), Vec::new()),
        &expect![[r#"
            author Unknown author <unknown@tokens.4021.invalid> 2026-05-11T12:00:05Z
            committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:05Z

            Update the branch

            Mirror-Log: log
            Mirror-Lane: acme/1187
            Mirror-Through: change=4 jobs=0
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Prefix: -
            Mirror-Events: 1 13810cedcc8043ac600bd6ff3ed107efb7f63fb1505ebca2389ffe5cbccdf4e8
        "#]],
    );
    let unknown = CoveredChange {
        author: None,
        ..change("a", 2)
    };
    assert_eq!(seal(draft(vec![unknown])).author().name(), UNKNOWN_NAME);
}

#[test]
fn subjects_say_what_changed() {
    let gone = |config: &str| CoveredChange {
        deleted: true,
        ..change(config, 3)
    };
    let elsewhere = || {
        let mut change = change("z", 2);
        change.key.component = "keboola.wr".parse().unwrap();
        change
    };
    let nameless = CoveredChange {
        name: None,
        description: None,
        ..change("a", 1)
    };
    check_subject(draft(vec![nameless]), "Create keboola.ex-db-mysql a");
    check_subject(
        draft(vec![gone("a")]),
        "Delete keboola.ex-db-mysql \"Orders a\": Row 12 added",
    );
    check_subject(
        draft(vec![change("a", 2), change("b", 3)]),
        "Update 2 configurations in keboola.ex-db-mysql",
    );
    check_subject(
        draft(vec![gone("a"), gone("b")]),
        "Delete 2 configurations in keboola.ex-db-mysql",
    );
    check_subject(
        draft(vec![change("a", 1), gone("b"), elsewhere()]),
        "Change 3 configurations of 2 components",
    );
    let render = logged(Body::RenderChanged(RenderChanged {
        mirror: None,
        reason: "format 2".to_owned(),
        digest: "x".to_owned(),
    }));
    check_subject(
        draft_of(&cut(&render), Vec::new()),
        "Render everything anew: format 2",
    );
    let storage = StorageChanged {
        tables: vec!["in.c-a.x".parse().unwrap()],
        buckets: Vec::new(),
        cause: StorageCause::Seen("d".to_owned()),
    };
    check_subject(
        draft_of(&cut(&logged(Body::StorageChanged(storage))), Vec::new()),
        "Update 1 table",
    );
    let nothing_of_its_own = StorageChanged {
        tables: Vec::new(),
        buckets: Vec::new(),
        cause: StorageCause::Seen("d".to_owned()),
    };
    check_subject(
        draft_of(
            &cut(&logged(Body::StorageChanged(nothing_of_its_own))),
            Vec::new(),
        ),
        "Update shared files",
    );
    let long = CoveredChange {
        description: Some("word ".repeat(100)),
        ..change("a", 2)
    };
    let sealed = seal(draft(vec![long]));
    let subject = sealed.message().lines().next().unwrap();
    assert!(
        subject.ends_with("word…") && subject.chars().count() <= 120,
        "{subject}"
    );
}

#[test]
fn past_a_hundred_changes_the_rest_is_counted() {
    let sealed = seal(draft((0..250).map(|n| change(&format!("{n:03}"), 2)).collect()));
    let trailers = Trailers::parse(sealed.message()).unwrap();
    assert_eq!(
        (trailers.changes.len(), trailers.all_changes.map(|all| all.count)),
        (100, Some(250))
    );
    assert!(sealed.message().contains("\n- and 150 more\n"));
    assert!(sealed.message().len() < 40_000);
}

#[test]
fn the_committer_is_never_before_the_parent_and_all_is_the_same_each_time() {
    assert_eq!(
        seal(draft(Vec::new())).committer().time(),
        at("2026-05-11T12:00:05Z"),
        "the parent is older"
    );
    let early = Cut {
        appended_at: at("2026-05-11T11:00:00Z"),
        ..cut(&[])
    };
    assert_eq!(
        seal(draft_of(&early, Vec::new())).committer().time(),
        at("2026-05-11T12:00:01Z"),
        "the parent's"
    );
    let (one, other) = (
        vec![change("a", 1), change("b", 2)],
        vec![change("b", 2), change("a", 1)],
    );
    assert_eq!(seal(draft(one)), seal(draft(other)));
}

/// Judges each text by what it holds.
fn judge(draft: &CommitDraft, verdict: impl Fn(&str) -> Verdict) -> Vec<Verdict> {
    draft
        .documents()
        .iter()
        .map(|document| verdict(document.leaves.get(0).unwrap().value))
        .collect()
}

#[test]
fn every_text_of_the_project_is_judged_and_what_is_found_goes() {
    let secret = "hunter2";
    let hostile = CoveredChange {
        name: Some(format!("Orders {secret}")),
        description: Some(format!("password is {secret}")),
        author: Some(Author {
            token: Some("67".to_owned()),
            text: format!("bot {secret}"),
        }),
        earlier_authors: vec![Author {
            token: None,
            text: format!("{secret}@example.com"),
        }],
        ..change("a", 2)
    };
    let draft = draft(vec![hostile]);
    assert_eq!(draft.documents().len(), 4);
    let rule = RuleId::parse("password").unwrap();
    let found = |text: &str| {
        let literal = Finding {
            leaf: 0,
            target: Target::Literal(secret.to_owned()),
            rule: rule.clone(),
        };
        Verdict::Findings(if text.contains(secret) {
            vec![literal]
        } else {
            Vec::new()
        })
    };
    let verdicts = judge(&draft, found);
    let sealed = draft.seal(verdicts, &redaction(), &Guard::new(&KnownSecrets::default()));
    assert!(!shown(&sealed).contains(secret));
    expect![[r#"
        author bot [REDACTED:password:0] <67@tokens.4021.invalid> 2026-05-11T12:00:00Z
        committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:05Z

        Update keboola.ex-db-mysql "Orders [REDACTED:password:0]": password is [REDACTED:password:0]

        - keboola.ex-db-mysql/a "Orders [REDACTED:password:0]": version 2, password is [REDACTED:password:0]

        Mirror-Log: log
        Mirror-Lane: acme/1187
        Mirror-Through: change=0 jobs=0
        Mirror-Render: 0123456789abcdef0123456789abcdef
        Mirror-Prefix: -
        Mirror-Events: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        Keboola-Change: keboola.ex-db-mysql/a@2 01H2W8N0ZJJB6V126C8ZSND28N
        Co-authored-by: [REDACTED:password:0]@ example.com <unknown@tokens.4021.invalid>
    "#]]
    .assert_eq(&shown(&sealed));
}

#[test]
fn a_text_without_an_answer_is_withheld() {
    let guard = Guard::new(&KnownSecrets::default());
    let none = draft(vec![change("a", 2)]).seal(Vec::new(), &redaction(), &guard);
    assert_eq!(none.withheld(), 3);
    assert_eq!(
        none.message().lines().next(),
        Some("Update keboola.ex-db-mysql \"[withheld]\": [withheld]")
    );
    assert_eq!(
        (none.author().name(), none.author().email()),
        (UNKNOWN_NAME, "67@tokens.4021.invalid")
    );
    let reason = WithholdReason::Trapped {
        guest: "policy".to_owned(),
        detail: "x".to_owned(),
    };
    let drafted = draft(vec![change("a", 2)]);
    let verdicts = judge(&drafted, |_| Verdict::Withhold(reason.clone()));
    assert_eq!(drafted.seal(verdicts, &redaction(), &guard), none);
    let drafted = draft(vec![change("a", 2)]);
    let clean = judge(&drafted, |_| Verdict::Findings(Vec::new()));
    let kept = drafted
        .redact(Vec::new(), &redaction())
        .seal(clean, &redaction(), &guard);
    assert_eq!(kept, none, "what one policy withheld, no later one brings back");
}

#[test]
fn a_piece_that_a_further_policy_takes_hides_no_credential_in_a_message() {
    let draft = || {
        draft(vec![CoveredChange {
            description: Some(format!("now with {CREDENTIAL}")),
            ..change("a", 2)
        }])
    };
    let mut known = KnownSecrets::new();
    known.add_credential(CREDENTIAL);
    let guard = Guard::new(&known);
    let nothing = |draft: &CommitDraft| judge(draft, |_| Verdict::Findings(Vec::new()));
    let a_piece = |draft: &CommitDraft| {
        judge(draft, |text| {
            let rule = RuleId::parse("word").unwrap();
            let target = Target::Literal("credential".to_owned());
            let found = text.contains("credential").then_some(Finding {
                leaf: 0,
                target,
                rule,
            });
            Verdict::Findings(found.into_iter().collect())
        })
    };
    let (alone, with) = (draft(), draft());
    let verdicts = nothing(&alone);
    let alone = alone.seal(verdicts, &redaction(), &guard);
    assert_eq!(alone.withheld(), 1);
    let (builtin, all) = (nothing(&with), a_piece(&with));
    let with = with
        .guard_first(&builtin, &redaction(), &guard)
        .seal(all, &redaction(), &guard);
    assert_eq!(with, alone);
}

/// A credential of the run, which may stand nowhere.
const CREDENTIAL: &str = "4021-run-credential-7f3a";

#[track_caller]
fn check_guarded(changed: CoveredChange, expected: &Expect) {
    let draft = draft(vec![changed, change("b", 2)]);
    let verdicts = judge(&draft, |_| Verdict::Findings(Vec::new()));
    let mut known = KnownSecrets::new();
    known.add_credential(CREDENTIAL);
    let sealed = draft.seal(verdicts, &redaction(), &Guard::new(&known));
    assert!(!shown(&sealed).contains(CREDENTIAL), "{}", sealed.message());
    assert!(Trailers::parse(sealed.message()).is_some());
    expected.assert_eq(sealed.message().split("\n\nMirror-").next().unwrap());
}

#[test]
fn the_guard_has_the_last_word_over_texts_identities_and_ids() {
    let guarded = |edit: fn(&mut CoveredChange)| {
        let mut changed = change("a", 2);
        edit(&mut changed);
        changed
    };
    check_guarded(
        guarded(|a| a.description = Some(format!("use {CREDENTIAL}"))),
        &expect![[r#"
        Update 2 configurations in keboola.ex-db-mysql

        - keboola.ex-db-mysql/a "Orders a": version 2, [withheld]
        - keboola.ex-db-mysql/b "Orders b": version 2, Row 12 added"#]],
    );
    let author = |text: &str| {
        Some(Author {
            token: None,
            text: text.to_owned(),
        })
    };
    check_guarded(
        CoveredChange {
            author: author(CREDENTIAL),
            ..change("c", 2)
        },
        &expect![[r#"
        Update 2 configurations in keboola.ex-db-mysql

        - keboola.ex-db-mysql/b "Orders b": version 2, Row 12 added
        - keboola.ex-db-mysql/c "Orders c": version 2, Row 12 added"#]],
    );
    // Split by a character that does not show: it is taken out before anybody judges.
    let (start, end) = CREDENTIAL.split_at(9);
    check_guarded(
        CoveredChange {
            name: Some(format!("{start}\u{200b}{end}")),
            ..change("a", 2)
        },
        &expect![[r#"
        Update 2 configurations in keboola.ex-db-mysql

        - keboola.ex-db-mysql/a "[withheld]": version 2, Row 12 added
        - keboola.ex-db-mysql/b "Orders b": version 2, Row 12 added"#]],
    );
    check_guarded(
        guarded(|a| a.key.config = CREDENTIAL.parse().unwrap()),
        &expect!["Update 2 configurations"],
    );
    // Where a publisher says something else than an identifier, the trailer has a digest of it.
    check_guarded(
        guarded(|a| a.identifier = Some(CREDENTIAL.to_owned())),
        &expect![[r#"
        Update 2 configurations in keboola.ex-db-mysql

        - keboola.ex-db-mysql/a "Orders a": version 2, Row 12 added
        - keboola.ex-db-mysql/b "Orders b": version 2, Row 12 added"#]],
    );
}

#[test]
fn a_trailer_has_identifiers_and_of_any_other_text_a_digest() {
    let shown = |identifier: &str| {
        let changed = CoveredChange {
            identifier: Some(identifier.to_owned()),
            ..change("a", 2)
        };
        super::trailer_change(&changed).identifier.unwrap()
    };
    for plain in ["01H2W8N0ZJJB6V126C8ZSND28N", "01k0vea53rhcw3anmg57w2k2aj"] {
        assert_eq!(shown(plain), plain);
    }
    let token = concat!("ghp", "_MZ5r7hlKmvbynyIOcAAKXhQXhNPeqb37eqlz");
    for other in [
        token,
        "hunter2",
        "01H2W8N0ZJJB6V126C8ZSND28NA",
        "01H2W8N0ZJJB6V126C8ZSNDILO",
    ] {
        let shown = shown(other);
        assert!(shown.len() == 39 && shown.starts_with("sha256:"), "{shown}");
    }
    assert_ne!(shown("hunter2"), shown("hunter3"));
}

#[test]
fn nothing_that_people_typed_acts_on_a_git_host() {
    let typed = |text: &str| Some(text.to_owned());
    let by = |text: &str| Author {
        token: None,
        text: text.to_owned(),
    };
    let changed = CoveredChange {
        name: typed("Orders @octocat"),
        author: Some(by("bot (fixes #4)")),
        description: typed("fixes #12,\ncloses acme/app#3 [skip\nci]"),
        earlier_authors: vec![by("@acme/team")],
        ..change("a", 2)
    };
    check(
        draft(vec![changed]),
        &expect![[r#"
            author bot (fixes # 4) <unknown@tokens.4021.invalid> 2026-05-11T12:00:00Z
            committer Keboola Mirror <mirror@keboola-mirror.invalid> 2026-05-11T12:00:05Z

            Update keboola.ex-db-mysql "Orders @ octocat": fixes # 12, closes acme/app# 3 (skip ci)

            - keboola.ex-db-mysql/a "Orders @ octocat": version 2, fixes # 12, closes acme/app# 3 (skip ci)

            Mirror-Log: log
            Mirror-Lane: acme/1187
            Mirror-Through: change=0 jobs=0
            Mirror-Render: 0123456789abcdef0123456789abcdef
            Mirror-Prefix: -
            Mirror-Events: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
            Keboola-Change: keboola.ex-db-mysql/a@2 01H2W8N0ZJJB6V126C8ZSND28N
            Co-authored-by: @ acme/team <unknown@tokens.4021.invalid>
        "#]],
    );
}

/// Draws author and co-authors of changes, the newest first, each made by those named after it.
#[track_caller]
fn check_makers(makers: &[&[(Option<&str>, &str)]], expected: &[&str]) {
    let author = |(token, text): &(Option<&str>, &str)| Author {
        token: token.map(str::to_owned),
        text: (*text).to_owned(),
    };
    let changes = makers.iter().enumerate().map(|(age, makers)| CoveredChange {
        created: Some(Timestamp::from_second(1_000 - i64::try_from(age).unwrap()).unwrap()),
        author: makers.first().map(author),
        earlier_authors: makers.iter().skip(1).map(author).collect(),
        ..change(&age.to_string(), 2)
    });
    let sealed = seal(draft(changes.collect()));
    let first = format!("{} <{}>", sealed.author().name(), sealed.author().email());
    let others = sealed
        .message()
        .lines()
        .filter_map(|line| line.strip_prefix("Co-authored-by: "));
    let named: Vec<&str> = std::iter::once(first.as_str()).chain(others).collect();
    assert_eq!(named, expected);
}

#[test]
fn the_same_person_is_named_once_whoever_tells_of_them() {
    let (source, event) = ((Some("67"), "ci-bot"), (None, "ci-bot"));
    check_makers(&[&[source, event]], &["ci-bot <67@tokens.4021.invalid>"]);
    check_makers(&[&[event], &[source]], &["ci-bot <67@tokens.4021.invalid>"]);
    check_makers(
        &[&[source], &[(None, " CI-bot")]],
        &["ci-bot <67@tokens.4021.invalid>"],
    );
    check_makers(
        &[&[source], &[(Some("67"), "what it was called before")]],
        &["ci-bot <67@tokens.4021.invalid>"],
    );
    check_makers(
        &[&[source], &[(Some("68"), "ci-bot")]],
        &[
            "ci-bot <67@tokens.4021.invalid>",
            "ci-bot <68@tokens.4021.invalid>",
        ],
    );
    check_makers(
        &[&[], &[source, event]],
        &[
            "Unknown author <unknown@tokens.4021.invalid>",
            "ci-bot <67@tokens.4021.invalid>",
        ],
    );
}
