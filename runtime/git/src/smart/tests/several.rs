//! Several branches in one push.

use super::{contract::everywhere, *};
use crate::{Disposition, InvalidRefUpdates, Offer, PushOption, RefUpdate, Refusal, WriteError};
use git_servers::{Fault, On};

fn atomic() -> PushMode {
    PushMode {
        atomic: true,
        ..PushMode::default()
    }
}

/// A push that creates branch `new`, moves `main` from `first`, and does what else it is told to.
fn several(setup: &Setup, first: Oid, others: impl IntoIterator<Item = RefUpdate>) -> PendingPush {
    let mut draft = setup.store.draft();
    let base = draft.tree_of(first).unwrap();
    let mut commit = |message: &str, content: &str| {
        let mut writer = draft.tree_writer(Some(base)).unwrap();
        let path = crate::testing::path("d/file.json");
        writer.write_files(&[(path, content)]).unwrap();
        let tree = writer.finish().unwrap().tree;
        let text = crate::testing::text(message, 1_700_000_000);
        draft.commit_text(tree, &[first], text, None).unwrap()
    };
    let (on_main, on_new) = (commit("main", "for main"), commit("new", "for new"));
    let created = RefUpdate::create(branch("new"), on_new);
    let others = std::iter::once(created).chain(others).collect();
    let push = draft.into_push_with(setup.main.clone(), Some(first), on_main, others);
    push.unwrap()
}

/// Makes a branch at a commit, from elsewhere.
fn put(setup: &Setup, short: &str, at: Oid) {
    setup.git(&["update-ref", &format!("refs/heads/{short}"), &at.to_string()]);
}

fn tip(setup: &Setup, short: &str) -> Option<Oid> {
    setup.local.tip(&branch(short)).unwrap()
}

/// The outcomes as words, by branch.
fn words(report: &PushReport) -> Vec<String> {
    let word = |outcome: &Result<(), PushError>| match outcome {
        Ok(()) => "ok".to_owned(),
        Err(PushError::RefMoved { actual, .. }) => {
            let at = if actual.is_some() { "elsewhere" } else { "nowhere" };
            format!("moved, {at}")
        }
        Err(PushError::HeldBack { .. }) => "held back".to_owned(),
        Err(PushError::Refused { refusal, .. }) => format!("refused, {}", refusal.code()),
        Err(PushError::Transport(error)) => error.code().to_owned(),
        Err(PushError::OutcomeUnknown { .. }) => "unknown".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    let all = report.refs.iter();
    all.map(|one| format!("{}: {}", one.refname.short(), word(&one.outcome)))
        .collect()
}

#[test]
fn branches_are_made_moved_and_deleted_in_one_push() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("d/file.json", "1"), ("a", "2")]);
        for short in ["side", "old/one", "old/two"] {
            put(setup, short, first);
        }
        setup.git(&["pack-refs", "--all"]);
        put(setup, "old/two", first);
        for mode in [PushMode::default(), atomic()] {
            let second = setup.remote.tip(&setup.main).unwrap().unwrap();
            let push = several(
                setup,
                second,
                [
                    RefUpdate::advance(branch("side"), first, first),
                    RefUpdate::create(branch("copy"), first),
                    RefUpdate::delete(branch("old/one"), first),
                    RefUpdate::delete(branch("old/two"), first),
                ],
            );
            let news: Vec<Option<Oid>> = push.updates().iter().map(RefUpdate::new_tip).collect();
            setup.store.save(&push).unwrap();
            let report = setup.remote.push_with(&push, &mode).unwrap();
            assert!(report.is_whole(), "{way:?}: {:?}", words(&report));
            // What was done already is a success.
            let again = setup.remote.push_with(&push, &mode).unwrap();
            assert!(again.is_whole(), "{way:?}: {:?}", words(&again));
            setup.store.confirm_reported(push, &report).unwrap();
            for (short, new) in ["main", "new", "side", "copy", "old/one", "old/two"]
                .iter()
                .zip(news)
            {
                assert_eq!(tip(setup, short), new, "{way:?}: {short}");
            }
            assert_eq!(setup.store.tip(&branch("new")).unwrap(), tip(setup, "new"));
            assert_eq!(setup.store.tip(&branch("old/one")).unwrap(), None);
            assert_eq!(setup.git(&["show", "new:d/file.json"]), "for new");
            assert_eq!(setup.git(&["show", "main:d/file.json"]), "for main");
            setup.is_sound();
            // Once more for the other mode.
            setup.git(&["update-ref", "-d", "refs/heads/new"]);
            setup.git(&["update-ref", "-d", "refs/heads/copy"]);
            put(setup, "old/one", first);
            put(setup, "old/two", first);
            setup.git(&["pack-refs", "--all"]);
        }
    });
}

#[test]
fn a_branch_that_moved_stops_the_others_only_if_the_push_is_all_or_none() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("a", "1")]);
        put(setup, "side", first);
        // Without and with an advertisement that is known from before.
        for warm in [false, true] {
            let stale = [
                RefUpdate::advance(branch("gone"), first, first),
                RefUpdate::delete(branch("side"), Oid::from_bytes([7; 20])),
            ];
            let push = several(setup, first, stale);
            let new = several(setup, first, []);
            let remote = setup.reopen();
            if warm {
                let warm = make(&setup.store, &branch("warm"), None, "warm", &[("w", "1")]);
                remote.push(&warm).unwrap();
            }
            let report = remote.push_with(&push, &atomic()).unwrap();
            assert_eq!(
                words(&report),
                [
                    "main: held back",
                    "new: held back",
                    "gone: moved, nowhere",
                    "side: moved, elsewhere"
                ],
                "{way:?}, {warm}"
            );
            assert_eq!(
                report.refs[0].outcome.as_ref().unwrap_err().disposition(),
                Disposition::Retry
            );
            let error = report.into_result().unwrap_err();
            assert_eq!(error.disposition(), Disposition::RefMoved);
            assert_eq!(
                (tip(setup, "main"), tip(setup, "new")),
                (Some(first), None),
                "{way:?}"
            );

            let report = remote.push_with(&push, &PushMode::default()).unwrap();
            assert_eq!(
                words(&report),
                [
                    "main: ok",
                    "new: ok",
                    "gone: moved, nowhere",
                    "side: moved, elsewhere"
                ],
                "{way:?}, {warm}"
            );
            assert_eq!(tip(setup, "main"), Some(push.new_tip()), "{way:?}");
            // All or none of what is left to do is no contradiction.
            let report = remote.push_with(&new, &atomic()).unwrap();
            assert!(report.is_whole(), "{way:?}: {:?}", words(&report));
            setup.is_sound();
            put(setup, "main", first);
            setup.git(&["update-ref", "-d", "refs/heads/new"]);
        }
    });
}

#[test]
fn a_hook_that_refuses_one_branch_is_told_from_those_that_are_held_back() {
    for way in [Way::Http, Way::HttpV0, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        let says_no = "case $1 in */new) echo 'not this one' >&2; exit 1;; esac";
        setup.repositories.hook("r.git", "update", says_no);
        let push = several(&setup, first, []);
        let report = setup.remote.push_with(&push, &atomic()).unwrap();
        assert_eq!(
            words(&report),
            ["main: held back", "new: refused, hook"],
            "{way:?}"
        );
        assert_eq!(tip(&setup, "main"), Some(first));
        let report = setup.remote.push_with(&push, &PushMode::default()).unwrap();
        assert_eq!(words(&report), ["main: ok", "new: refused, hook"], "{way:?}");
        assert!(
            matches!(&report.refs[1].outcome, Err(PushError::Refused { said, .. }) if said.contains("not this one"))
        );
        setup.store.confirm_reported(push, &report).unwrap();
        assert_eq!(setup.store.tip(&branch("main")).unwrap(), tip(&setup, "main"));
        assert_eq!(setup.store.tip(&branch("new")).unwrap(), None);
        setup.is_sound();
    }
}

#[test]
fn what_a_server_does_not_offer_is_said_and_options_reach_the_hooks_where_they_can() {
    for way in [Way::Http, Way::Ssh, Way::Git] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        let seen = setup.repositories.root().join("seen");
        let shows = format!(
            "echo \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1\" >{}",
            seen.display()
        );
        setup.repositories.hook("r.git", "pre-receive", &shows);
        let mode = PushMode {
            atomic: true,
            options: ["ci.skip", "note=a b é"]
                .map(|text| PushOption::parse(text).unwrap())
                .into(),
        };
        let push = several(&setup, first, []);
        let report = setup.remote.push_with(&push, &mode).unwrap();
        assert!(report.is_whole() && report.options_sent, "{way:?}: {report:?}");
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "2 ci.skip note=a b é\n");

        setup.git(&["config", "receive.advertiseAtomic", "false"]);
        setup.git(&["config", "receive.advertisePushOptions", "false"]);
        put(&setup, "main", first);
        setup.git(&["update-ref", "-d", "refs/heads/new"]);
        let remote = setup.reopen();
        let error = remote.push_with(&push, &mode).unwrap_err();
        let is_said = matches!(
            &error,
            PushError::NotOffered {
                what: Offer::Atomic,
                ..
            }
        );
        assert!(
            is_said && error.to_string().contains("`atomic`"),
            "{way:?}: {error}"
        );
        assert_eq!(error.disposition(), Disposition::NeedsCustomer);
        assert_eq!(tip(&setup, "main"), Some(first));
        let mode = PushMode {
            atomic: false,
            ..mode
        };
        let report = remote.push_with(&push, &mode).unwrap();
        assert!(report.is_whole() && !report.options_sent, "{way:?}: {report:?}");
        let said = std::fs::read_to_string(&seen).unwrap();
        assert_eq!(said.trim_end().trim_start_matches('0'), "", "{way:?}");
    }
}

#[test]
fn a_branch_is_not_put_where_nothing_is() {
    everywhere(|setup, way| {
        let first = setup.push("first", &[("a", "1")]);
        let nowhere = RefUpdate::create(branch("nowhere"), Oid::from_bytes([7; 20])).into();
        let report = setup.remote.update_refs(&nowhere, None, &PushMode::default());
        let error = report.unwrap().into_result().unwrap_err();
        assert!(
            matches!(
                &error,
                PushError::Refused {
                    refusal: Refusal::MissingObjects,
                    ..
                }
            ),
            "{way:?}: {error:?}"
        );
        let here = RefUpdate::create(branch("here"), first).into();
        let report = setup.remote.update_refs(&here, None, &PushMode::default());
        assert!(report.unwrap().is_whole());
        assert_eq!(tip(setup, "here"), Some(first), "{way:?}");
    });
}

#[test]
fn updates_that_collide_are_refused_before_anything_is_sent() {
    let setup = Setup::new(Way::Local);
    let first = setup.push("first", &[("a", "1")]);
    let mut draft = setup.store.draft();
    let tree = draft.tree_of(first).unwrap();
    let text = crate::testing::text("x", 1);
    let commit = draft.commit_text(tree, &[first], text, None).unwrap();
    let below = RefUpdate::delete(branch("main/x"), first);
    let error = draft.into_push_with(setup.main.clone(), Some(first), commit, vec![below]);
    assert!(matches!(
        error.unwrap_err(),
        WriteError::Updates(InvalidRefUpdates::Nested { .. })
    ));
}

/// A repository behind a web server that fails, and a push of `main`, `new` and `side` to it.
struct Broken {
    setup: Setup,
    server: HttpServer,
    remote: SmartRemote,
    first: Oid,
    push: PendingPush,
}

impl Broken {
    fn new() -> Self {
        let setup = Setup::new(Way::Local);
        let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
        let remote = open(&server.url("r.git"), settings());
        let first = setup.push("first", &[("a", "1")]);
        put(&setup, "side", first);
        let push = several(&setup, first, [RefUpdate::delete(branch("side"), first)]);
        Self {
            setup,
            server,
            remote,
            first,
            push,
        }
    }

    fn tips(&self) -> [Option<Oid>; 3] {
        ["main", "new", "side"].map(|short| tip(&self.setup, short))
    }
}

#[test]
fn after_a_lost_answer_each_branch_is_read_back() {
    for mode in [PushMode::default(), atomic()] {
        // It arrived, and only the answer is lost.
        for cut in [
            Fault::CutBeforeAnswer,
            Fault::CutInAnswer(0),
            Fault::CutInAnswer(30),
        ] {
            let broken = Broken::new();
            broken.server.fail_next(On::Write, cut.clone());
            let report = broken.remote.push_with(&broken.push, &mode).unwrap();
            assert!(report.is_whole(), "{cut:?}: {:?}", words(&report));
            let seen = broken.server.take_seen();
            let count = |tail: &str| seen.iter().filter(|seen| seen.path.ends_with(tail)).count();
            // One request reads all of them.
            assert_eq!(
                (count("/git-receive-pack"), count("/git-upload-pack")),
                (1, 1),
                "{cut:?}"
            );
        }
        // It did not arrive: once more, then it is trouble.
        let broken = Broken::new();
        broken.server.fail_next(On::Write, Fault::CutAfterBody);
        let report = broken.remote.push_with(&broken.push, &mode).unwrap();
        assert!(report.is_whole(), "{:?}", words(&report));
        let broken = Broken::new();
        for _ in 0..2 {
            broken.server.fail_next(On::Write, Fault::CutAfterBody);
        }
        let report = broken.remote.push_with(&broken.push, &mode).unwrap();
        assert_eq!(
            words(&report),
            ["main: unreachable", "new: unreachable", "side: unreachable"]
        );
        assert_eq!(broken.tips(), [Some(broken.first), None, Some(broken.first)]);
        // Nobody can be asked.
        let broken = Broken::new();
        broken.server.fail_next(On::Write, Fault::CutBeforeAnswer);
        broken.server.fail_next(On::AdvertiseRead, Fault::status(503));
        let report = broken.remote.push_with(&broken.push, &mode).unwrap();
        assert_eq!(words(&report), ["main: unknown", "new: unknown", "side: unknown"]);
        assert_eq!(
            broken.tips(),
            [Some(broken.push.new_tip()), tip(&broken.setup, "new"), None]
        );
    }
}

#[test]
fn ours_old_and_other_are_told_apart_when_the_answer_is_lost() {
    // The push never arrives. Meanwhile `main` was moved by somebody else, `new` is made as we would, `side` is as it was.
    for is_atomic in [false, true] {
        let mode = if is_atomic { atomic() } else { PushMode::default() };
        let broken = Broken::new();
        let Broken { setup, push, .. } = &broken;
        let warm = make(&setup.store, &branch("warm"), None, "warm", &[("w", "1")]);
        broken.remote.push(&warm).unwrap();
        let theirs = setup.make(Some(broken.first), "theirs", &[("b", "2")]);
        setup.local.push(&theirs).unwrap();
        let ours = push.updates().iter().nth(1).unwrap();
        let objects = make(&setup.store, &branch("objects"), None, "objects", &[("o", "1")]);
        setup.local.push(&objects).unwrap();
        setup
            .local
            .update_refs(&ours.clone().into(), Some(push), &PushMode::default())
            .unwrap();
        broken.server.fail_next(On::Write, Fault::CutAfterBody);
        let report = broken.remote.push_with(push, &mode).unwrap();
        let last = if is_atomic { "side: held back" } else { "side: ok" };
        assert_eq!(words(&report), ["main: moved, elsewhere", "new: ok", last]);
        let side = is_atomic.then_some(broken.first);
        assert_eq!(broken.tips(), [Some(theirs.new_tip()), ours.new_tip(), side]);
        setup.is_sound();
    }
}

#[test]
fn a_local_repository_moves_nothing_if_another_program_locks_one_of_the_branches() {
    let setup = Setup::new(Way::Local);
    let first = setup.push("first", &[("a", "1")]);
    put(&setup, "side", first);
    let push = several(&setup, first, [RefUpdate::delete(branch("side"), first)]);
    let lock = setup.path.join("refs/heads/side.lock");
    std::fs::write(&lock, "").unwrap();
    let report = setup.remote.push_with(&push, &atomic()).unwrap();
    assert!(matches!(&report.refs[2].outcome, Err(PushError::Locked { path, .. }) if *path == lock));
    assert_eq!(words(&report)[..2], ["main: held back", "new: held back"]);
    assert_eq!((tip(&setup, "main"), tip(&setup, "new")), (Some(first), None));
    std::fs::remove_file(&lock).unwrap();
    // The list of packed branches, too, is locked before anything moves.
    setup.git(&["pack-refs", "--all", "--prune"]);
    let lock = setup.path.join("packed-refs.lock");
    std::fs::write(&lock, "").unwrap();
    let report = setup.remote.push_with(&push, &atomic()).unwrap();
    assert!(matches!(&report.refs[2].outcome, Err(PushError::Locked { path, .. }) if *path == lock));
    assert_eq!((tip(&setup, "main"), tip(&setup, "new")), (Some(first), None));
    std::fs::remove_file(&lock).unwrap();
    assert!(setup.remote.push_with(&push, &atomic()).unwrap().is_whole());
    let left = std::fs::read_dir(&setup.path)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().starts_with("kbc-mirror."))
        .collect();
    assert!(
        left.iter()
            .all(|name| name == "kbc-mirror.lock" || name == "kbc-mirror.packs"),
        "{left:?}"
    );
    setup.is_sound();
}
