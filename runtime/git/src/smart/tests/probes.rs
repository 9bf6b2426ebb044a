//! The connection test, against repositories with something wrong.

use super::*;
use crate::{ProbeAuthor, ProbeOutcome, ProbeReport, ProbeTrials, probe, probe_with};
use git_servers::{Fault, On};
use jiff::Timestamp;

const AUTHOR: ProbeAuthor<'_> = ProbeAuthor {
    name: "Mirror",
    email: "mirror@example.com",
    signing: None,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn ask(remote: &dyn Remote) -> (Visibility, String) {
    match remote.visibility() {
        Ok(visibility) => (visibility, "it was asked".to_owned()),
        Err(error) => (Visibility::Unknown, error.to_string()),
    }
}

fn run(setup: &Setup, remote: &dyn Remote) -> ProbeReport {
    probe(remote, &setup.main, AUTHOR, now(), "x1", || ask(remote))
}

/// What there is on the server.
fn refs(setup: &Setup) -> String {
    setup.git(&["for-each-ref", "--format=%(refname:short)"])
}

/// Names what each check found.
fn found(report: &ProbeReport) -> String {
    let checks = report.checks.iter().map(|check| {
        let found = match &check.outcome {
            ProbeOutcome::Good(_) => "good",
            ProbeOutcome::Notice(_) => "notice",
            ProbeOutcome::Bad(problem) => problem.code(),
            ProbeOutcome::NotTried(_) => "-",
        };
        format!("{}: {found}", check.subject.code())
    });
    checks.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_good_repository_is_left_as_it_was() {
    for way in ways() {
        let setup = Setup::new(way);
        let empty = run(&setup, setup.remote.as_ref());
        assert!(empty.is_good(), "{way:?}: {empty}");
        assert_eq!((empty.is_empty, empty.tip), (Some(true), None));
        assert_eq!(setup.git(&["for-each-ref"]), "", "{way:?}");
        let first = setup.push("first", &[("a", "1")]);
        let report = run(&setup, setup.remote.as_ref());
        assert!(report.is_good(), "{way:?}: {report}");
        assert_eq!((report.is_empty, report.tip), (Some(false), Some(first)));
        assert_eq!(
            setup.git(&["for-each-ref", "--format=%(refname) %(objectname)"]),
            format!("refs/heads/main {first}")
        );
        let visibility = match way {
            Way::Local | Way::Https | Way::Nginx => Visibility::Private,
            Way::Ssh => Visibility::Unknown,
            Way::Http | Way::HttpV0 | Way::Git | Way::PlainHttpV0 => Visibility::Public,
        };
        assert_eq!(report.visibility, visibility, "{way:?}");
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let branch_hook = "while read old new ref; do if [ $ref = refs/heads/main ]; then echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2; exit 1; fi; done";
    let author_hook = "while read old new ref; do case $new in 0000*) continue;; esac; \
        for c in $(git rev-list $new --not --all); do e=$(git show -s --format=%ae $c); \
        case $e in *@allowed.example) ;; *) echo \"GitLab: Commit author's email '$e' does not follow the pattern\" >&2; exit 1;; esac; done; done";
    for (hook, expected) in [
        (
            branch_hook,
            "read: good, push_to_branch: protected_branch, author: good, visibility: notice",
        ),
        (
            author_hook,
            "read: good, push_to_branch: good, author: author_email, visibility: notice",
        ),
        (
            "echo 'This repository was archived so it is read-only.' >&2; exit 1",
            "read: good, push_to_branch: read_only, author: -, visibility: notice",
        ),
    ] {
        let setup = Setup::new(Way::Http);
        setup.push("first", &[("a", "1")]);
        setup.repositories.hook("r.git", "pre-receive", hook);
        let report = run(&setup, setup.remote.as_ref());
        assert_eq!(found(&report), expected, "{report}");
        assert_eq!(
            setup.git(&["for-each-ref", "--format=%(refname)"]),
            "refs/heads/main"
        );
    }
    let setup = Setup::new(Way::Http);
    setup.git(&["config", "receive.denyDeletes", "true"]);
    let report = run(&setup, setup.remote.as_ref());
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: notice, author: good, scratch: notice, visibility: notice"
    );
    assert!(report.to_string().contains("remove it by hand"), "{report}");
}

#[test]
fn a_branch_that_is_not_there_is_made_and_removed_again() {
    for way in ways() {
        let setup = Setup::new(way);
        // The default branch is another one, as in a repository that is used already.
        setup.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
        let side = make(&setup.store, &branch("trunk"), None, "side", &[("a", "1")]);
        setup.store.save(&side).unwrap();
        setup.remote.push(&side).unwrap();
        let report = run(&setup, setup.remote.as_ref());
        assert!(report.is_good(), "{way:?}: {report}");
        assert!(
            found(&report).starts_with("read: good, push_to_branch: good, author: good, visibility"),
            "{way:?}: {report}"
        );
        assert!(
            report.to_string().contains("made to find out, and removed again"),
            "{report}"
        );
        assert_eq!(refs(&setup), "trunk", "{way:?}");
    }
    let prepared = || {
        let setup = Setup::new(Way::Http);
        let side = make(&setup.store, &branch("side"), None, "side", &[("a", "1")]);
        setup.remote.push(&side).unwrap();
        setup
    };
    // A rule for the name is found out about.
    let setup = prepared();
    let hook = "while read old new ref; do if [ $ref = refs/heads/main ]; then echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2; exit 1; fi; done";
    setup.repositories.hook("r.git", "pre-receive", hook);
    let report = run(&setup, setup.remote.as_ref());
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: protected_branch, author: good, visibility: notice"
    );
    assert_eq!(refs(&setup), "side");
    // A rule for commits is told as such.
    let setup = prepared();
    let hook = "while read old new ref; do case $new in 0000*) continue;; esac; echo \"GitLab: Commit author's email 'x' does not follow the pattern\" >&2; exit 1; done";
    setup.repositories.hook("r.git", "pre-receive", hook);
    let report = run(&setup, setup.remote.as_ref());
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: -, author: author_email, visibility: notice"
    );
    // It is the default branch, which Git does not let go of.
    let setup = prepared();
    let report = run(&setup, setup.remote.as_ref());
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: notice, author: good, visibility: notice"
    );
    assert!(report.to_string().contains("could not be removed"), "{report}");
    assert_eq!(refs(&setup), "main\nside");
}

#[test]
fn a_lock_that_nobody_holds_is_not_taken_for_somebody_who_pushes() {
    for way in [Way::Http, Way::Ssh] {
        let setup = Setup::new(way);
        let first = setup.push("first", &[("a", "1")]);
        let lock = setup.path.join("refs/heads/main.lock");
        std::fs::write(&lock, "").unwrap();
        let report = run(&setup, setup.remote.as_ref());
        let expected = "read: good, push_to_branch: contended, author: good, visibility: notice";
        assert_eq!(found(&report), expected, "{way:?}");
        let problem = report.problems().next().unwrap();
        assert_eq!(problem.disposition(), crate::Disposition::NeedsCustomer);
        assert!(
            problem.to_string().contains("remove it on the server"),
            "{problem}"
        );
        std::fs::remove_file(lock).unwrap();
        assert!(run(&setup, setup.remote.as_ref()).is_good());
        assert_eq!(setup.local.tip(&setup.main).unwrap(), Some(first));
    }
}

#[test]
fn what_a_test_made_is_removed_or_named_and_swept_by_the_next_one() {
    let setup = Setup::new(Way::Local);
    setup.push("first", &[("a", "1")]);
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let remote = || open(&server.url("r.git"), settings());
    // The answer to the second push is lost, and where the branch is cannot be read.
    let lose = || {
        server.fail_next(On::Write, Fault::Pass);
        server.fail_next(On::Write, Fault::CutBeforeAnswer);
        // The first reading lists the branches.
        server.fail_next(On::Read, Fault::Pass);
        server.fail_next(On::Read, Fault::status(503));
    };
    lose();
    let report = run(&setup, &remote());
    assert!(server.faults_are_used(), "{report}");
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: unwritable, visibility: notice"
    );
    assert_eq!(refs(&setup), "main", "it was removed nevertheless");

    lose();
    server.fail_next(On::Write, Fault::status(503));
    let report = run(&setup, &remote());
    let left = refs(&setup);
    let left = left.lines().next().unwrap();
    assert!(left.starts_with("kbc-mirror-probe-x1-"), "{left}");
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: unwritable, scratch: notice, visibility: notice"
    );
    assert!(report.to_string().contains(left), "{report}");
    server.forget_faults();

    // Somebody's branch of such a name stays, and is named.
    setup.git(&["branch", "kbc-mirror-probe-theirs-0123456789abcdef", "main"]);
    let report = run(&setup, &remote());
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: good, scratch: good, scratch: notice, visibility: notice",
        "{report}"
    );
    assert_eq!(refs(&setup), "kbc-mirror-probe-theirs-0123456789abcdef\nmain");
}

#[test]
fn people_as_authors_and_sizes_are_tried_where_that_is_wanted() {
    let with = |setup: &Setup, trials| {
        let remote = setup.remote.as_ref();
        probe_with(remote, &setup.main, AUTHOR, trials, now(), "x1", || ask(remote))
    };
    let trials = ProbeTrials {
        author_domain: Some("example.com"),
        file_bytes: Some(200_000),
    };
    for way in ways() {
        let setup = Setup::new(way);
        setup.push("first", &[("a", "1")]);
        let report = with(&setup, trials);
        let expected = "read: good, push_to_branch: good, author: good, people: good, size: good, visibility";
        assert!(found(&report).starts_with(expected), "{way:?}: {report}");
        assert_eq!(refs(&setup), "main", "{way:?}");
        setup.is_sound();
    }
    let setup = Setup::new(Way::Http);
    setup.push("first", &[("a", "1")]);
    setup.git(&["config", "receive.maxInputSize", "100000"]);
    let author_hook = "while read old new ref; do case $new in 0000*) continue;; esac; \
        for c in $(git rev-list $new --not --all); do e=$(git show -s --format=%ae $c); \
        case $e in mirror@*) ;; *) echo \"GitLab: Commit author's email '$e' does not follow the pattern\" >&2; exit 1;; esac; done; done";
    setup.repositories.hook("r.git", "pre-receive", author_hook);
    let report = with(&setup, trials);
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: good, people: author_email, size: push_too_large, visibility: notice"
    );
    assert!(
        report.to_string().contains("connection.test@example.com"),
        "{report}"
    );
    // A limit that is in the way of everything is told once, under its own name.
    setup.git(&["config", "receive.maxInputSize", "40"]);
    let report = with(&setup, trials);
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: -, size: push_too_large, people: -, visibility: notice"
    );
    let options = HttpOptions {
        body_bytes_max: Some(100_000),
        ..HttpOptions::default()
    };
    let server = HttpServer::start(setup.repositories.root(), options);
    let limited = open(&server.url("r.git"), settings());
    setup.git(&["config", "--unset", "receive.maxInputSize"]);
    setup.repositories.unhook("r.git", "pre-receive");
    let remote: &dyn Remote = &limited;
    let report = probe_with(remote, &setup.main, AUTHOR, trials, now(), "x1", || ask(remote));
    assert_eq!(
        found(&report),
        "read: good, push_to_branch: good, author: good, people: good, size: request_too_large, visibility: notice"
    );
}

#[test]
fn what_the_server_answers_is_named() {
    let setup = Setup::new(Way::Local);
    setup.push("first", &[("a", "1")]);
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let check = |faults: &[(On, Fault)], expected: &str| {
        let remote = open(&server.url("r.git"), settings());
        server.forget_faults();
        for (on, fault) in faults {
            server.fail_next(*on, fault.clone());
        }
        let report = run(&setup, &remote);
        assert_eq!(found(&report), expected, "{report}");
        assert!(!report.is_good());
    };
    for (fault, code) in [
        (Fault::status(401), "credentials"),
        (Fault::status(403), "forbidden"),
        (Fault::status(404), "not_found"),
        (Fault::status(429), "rate_limited"),
        (Fault::html(200, "<html>"), "protocol"),
    ] {
        let expected = format!("read: {code}, push_to_branch: -, author: -, visibility: notice");
        check(&[(On::AdvertiseRead, fault)], &expected);
    }
    let archived = Fault::text(403, "This repository was archived so it is read-only.");
    check(
        &[(On::AdvertiseWrite, archived)],
        "read: good, push_to_branch: read_only, author: -, visibility: notice",
    );
    check(
        &[(On::AdvertiseWrite, Fault::status(403))],
        "read: good, push_to_branch: forbidden, author: -, visibility: notice",
    );
}
