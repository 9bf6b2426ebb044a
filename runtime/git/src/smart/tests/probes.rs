//! The connection test, against repositories with something wrong.

use super::*;
use crate::{ProbeAuthor, ProbeOutcome, ProbeReport, probe};
use git_servers::{Fault, On};
use jiff::Timestamp;

const AUTHOR: ProbeAuthor<'_> = ProbeAuthor {
    name: "Mirror",
    email: "mirror@example.com",
    signing: None,
};

fn run(setup: &Setup, remote: &dyn Remote) -> ProbeReport {
    probe(
        remote,
        &setup.main,
        AUTHOR,
        Timestamp::from_second(1_700_000_000).unwrap(),
        "x1",
        || match remote.visibility() {
            Ok(visibility) => (visibility, "it was asked".to_owned()),
            Err(error) => (Visibility::Unknown, error.to_string()),
        },
    )
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
        "read: good, push_to_branch: -, author: notice, visibility: notice"
    );
    assert!(report.to_string().contains("remove it by hand"), "{report}");
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
