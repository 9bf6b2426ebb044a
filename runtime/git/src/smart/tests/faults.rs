//! A push that is cut, or answered wrongly, at every place: afterwards everybody knows where the branch is.

use super::*;
use crate::Disposition;
use data_encoding::HEXLOWER;
use git_servers::{CuttingProxy, Fault, On};
use std::sync::LazyLock;

/// A repository with one commit behind a web server.
struct Faulty {
    setup: Setup,
    server: HttpServer,
    remote: SmartRemote,
    first: Oid,
}

impl Faulty {
    fn new() -> Self {
        Self::with(Timeouts::default())
    }

    fn with(timeouts: Timeouts) -> Self {
        let setup = Setup::new(Way::Local);
        let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
        let settings = RemoteSettings {
            timeouts,
            ..settings()
        };
        let remote = open(&server.url("r.git"), settings);
        let first = setup.push("first", &[("a", "1")]);
        Self {
            setup,
            server,
            remote,
            first,
        }
    }

    /// Pushes a commit on top of the first one, with more than fits into a few buffers.
    fn second(&self) -> PendingPush {
        // Made once: there are a hundred of these pushes.
        static BIG: LazyLock<String> =
            LazyLock::new(|| HEXLOWER.encode(&crate::testing::pseudo_random_bytes(3, 1 << 20)));
        self.setup.make(Some(self.first), "second", &[("b", &BIG)])
    }

    fn tip(&self) -> Option<Oid> {
        self.setup.local.tip(&self.setup.main).unwrap()
    }
}

#[test]
fn a_push_that_is_cut_anywhere_is_found_out_about() {
    let cuts = [
        Fault::CutBeforeBody,
        Fault::CutInBody(1),
        Fault::CutInBody(300_000),
        Fault::CutAfterBody,
        Fault::CutBeforeAnswer,
        Fault::CutInAnswer(0),
        Fault::CutInAnswer(7),
        Fault::CutInAnswer(30),
    ];
    for cut in cuts {
        // Once it is only a connection that broke, and the push is sent again if it has not arrived.
        let faulty = Faulty::new();
        let push = faulty.second();
        faulty.server.fail_next(On::Write, cut.clone());
        let pushed = faulty.remote.push(&push);
        assert!(pushed.is_ok(), "{cut:?}: {pushed:?}");
        assert_eq!(faulty.tip(), Some(push.new_tip()), "{cut:?}");
        assert!(faulty.server.faults_are_used());
        let applied = matches!(cut, Fault::CutBeforeAnswer | Fault::CutInAnswer(_));
        let posts = faulty
            .server
            .take_seen()
            .iter()
            .filter(|seen| seen.path.ends_with("/git-receive-pack"))
            .count();
        assert_eq!(posts, if applied { 1 } else { 2 }, "{cut:?}");
        faulty.setup.is_sound();

        // Time and again it is trouble, and the branch is where it was, or where it has to be.
        let faulty = Faulty::new();
        let push = faulty.second();
        for _ in 0..4 {
            faulty.server.fail_next(On::Write, cut.clone());
        }
        match faulty.remote.push(&push) {
            Ok(()) => assert!(applied, "{cut:?}"),
            Err(error) => {
                assert!(!applied, "{cut:?}: {error:?}");
                assert!(
                    matches!(&error, PushError::Transport(TransportError::Unreachable { .. })),
                    "{error:?}"
                );
                assert_eq!(error.disposition(), Disposition::Retry);
                assert_eq!(faulty.tip(), Some(faulty.first));
            }
        }
        faulty.server.forget_faults();
        faulty.remote.push(&push).unwrap();
        assert_eq!(faulty.tip(), Some(push.new_tip()), "{cut:?}");
    }
}

#[test]
fn an_outcome_that_nobody_can_be_asked_about_is_unknown() {
    for (cut, applied) in [(Fault::CutAfterBody, false), (Fault::CutBeforeAnswer, true)] {
        let faulty = Faulty::new();
        let push = faulty.second();
        faulty.server.fail_next(On::Write, cut);
        for on in [On::AdvertiseRead, On::Read] {
            faulty.server.fail_next(on, Fault::status(503));
        }
        let error = faulty.remote.push(&push).unwrap_err();
        assert!(matches!(&error, PushError::OutcomeUnknown { .. }), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Retry);
        assert_eq!(faulty.tip() == Some(push.new_tip()), applied);
        faulty.server.forget_faults();
        faulty.remote.push(&push).unwrap();
        assert_eq!(faulty.tip(), Some(push.new_tip()));
    }
}

#[test]
fn a_lost_answer_after_which_somebody_else_moved_the_branch_is_no_success() {
    let faulty = Faulty::new();
    let push = faulty.second();
    let theirs = faulty.setup.make(Some(faulty.first), "theirs", &[("c", "1")]);
    faulty.remote.tip(&faulty.setup.main).unwrap();
    // The advertisement is known, the push never arrives, and then somebody else is there.
    let warm = make(&faulty.setup.store, &branch("x"), None, "x", &[("x", "1")]);
    faulty.remote.push(&warm).unwrap();
    faulty.setup.local.push(&theirs).unwrap();
    faulty.server.fail_next(On::Write, Fault::CutAfterBody);
    let error = faulty.remote.push(&push).unwrap_err();
    assert!(
        matches!(&error, PushError::RefMoved { actual: Some(actual), .. } if *actual == theirs.new_tip()),
        "{error:?}"
    );
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    // At once: each is little but waiting.
    std::thread::scope(|scope| {
        for (fault, applied) in [
            (Fault::Hang, false),
            (Fault::HangAfterwards, true),
            (Fault::HangInAnswer(5), true),
        ] {
            scope.spawn(move || is_not_waited_for(&fault, applied));
        }
    });
}

fn is_not_waited_for(fault: &Fault, applied: bool) {
    let faulty = Faulty::with(impatient());
    let push = faulty.second();
    faulty.server.fail_next(On::Write, fault.clone());
    match faulty.remote.push(&push) {
        Ok(()) => assert!(applied, "{fault:?}"),
        Err(error) => {
            assert!(!applied, "{fault:?}: {error:?}");
            let is_late = matches!(&error, PushError::Transport(TransportError::TimedOut { .. }));
            assert!(is_late, "{error:?}");
            assert_eq!(error.disposition(), Disposition::Retry);
        }
    }
    assert_eq!(faulty.tip() == Some(push.new_tip()), applied, "{fault:?}");
    faulty.server.fail_next(On::Any, fault.clone());
    if let Err(error) = faulty.remote.tip(&branch("none")) {
        assert!(
            matches!(&error, RemoteError::Transport(TransportError::TimedOut { .. })),
            "{fault:?}: {error:?}"
        );
    }
}

/// What an answer means, when reading and when pushing.
#[track_caller]
fn check(fault: &Fault, expected: &str, disposition: Disposition, retry_after: Option<u64>) {
    let faulty = Faulty::new();
    let push = faulty.second();
    let name = |shown: String| {
        shown
            .trim_start_matches("Transport(")
            .split([' ', '('])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    faulty.server.fail_next(On::AdvertiseRead, fault.clone());
    let error = faulty.remote.tip(&faulty.setup.main).unwrap_err();
    assert_eq!(name(format!("{error:?}")), expected, "reading: {error:?}");
    assert_eq!(error.disposition(), disposition, "{error:?}");
    let seconds = |after: Option<Duration>| after.map(|after| after.as_secs());
    assert_eq!(seconds(error.retry_after()), retry_after);
    for on in [On::AdvertiseWrite, On::Write] {
        faulty.server.fail_next(on, fault.clone());
        let error = faulty.remote.push(&push).unwrap_err();
        assert_eq!(name(format!("{error:?}")), expected, "pushing, {on:?}: {error:?}");
        assert_eq!(error.disposition(), disposition, "{error:?}");
        assert_eq!(seconds(error.retry_after()), retry_after);
        assert!(faulty.server.faults_are_used());
        assert_eq!(faulty.tip(), Some(faulty.first));
    }
    faulty.remote.push(&push).unwrap();
}

#[test]
fn statuses_are_told_apart() {
    use Disposition::{NeedsCustomer, Retry};
    check(&Fault::status(401), "Credentials", NeedsCustomer, None);
    check(
        &Fault::text(403, "Permission denied"),
        "Forbidden",
        NeedsCustomer,
        None,
    );
    check(
        &Fault::text(403, "This repository was archived so it is read-only."),
        "ReadOnly",
        NeedsCustomer,
        None,
    );
    let limited =
        Fault::text(403, "You have exceeded a secondary rate limit").with_header("retry-after", "60");
    check(&limited, "RateLimited", Retry, Some(60));
    // Who may is asked to wait, whatever the words.
    let used_up = Fault::status(403)
        .with_header("x-ratelimit-remaining", "0")
        .with_header("date", "Wed, 21 Oct 2015 07:28:00 GMT")
        .with_header("x-ratelimit-reset", "1445412540");
    check(&used_up, "RateLimited", Retry, Some(60));
    // When that is cannot be told without the time that it is there.
    let date = "Wed, 21 Oct 2015 07:29:30 GMT";
    let undated = Fault::status(403)
        .with_header("retry-after", date)
        .with_header("date", "late");
    check(&undated, "RateLimited", Retry, None);
    let some_left = Fault::text(403, "no").with_header("x-ratelimit-remaining", "10");
    check(&some_left, "Forbidden", NeedsCustomer, None);
    let archived = r#"{"message":"Repository was archived so is read-only.","status":"403"}"#;
    check(
        &Fault::status(403).with_content_type("application/json; charset=utf-8", archived),
        "ReadOnly",
        NeedsCustomer,
        None,
    );
    check(
        &Fault::html(403, "<html><h1>You have exceeded a rate limit</h1></html>"),
        "RateLimited",
        Retry,
        None,
    );
    check(
        &Fault::text(404, "Repository not found."),
        "NotFound",
        NeedsCustomer,
        None,
    );
    check(
        &Fault::html(413, "<html>too large</html>"),
        "RequestTooLarge",
        NeedsCustomer,
        None,
    );
    check(
        &Fault::status(429).with_header("retry-after", "7"),
        "RateLimited",
        Retry,
        Some(7),
    );
    check(&Fault::status(500), "Unavailable", Retry, None);
    check(
        &Fault::html(502, "<html>Bad Gateway</html>"),
        "Unavailable",
        Retry,
        None,
    );
    check(
        &Fault::status(503).with_header("retry-after", "120"),
        "Unavailable",
        Retry,
        Some(120),
    );
    check(&Fault::html(200, "<html>Welcome</html>"), "Protocol", Retry, None);
    check(
        &Fault::html(203, "<html>Sign in</html>"),
        "Credentials",
        NeedsCustomer,
        None,
    );
    check(&Fault::status(418), "Protocol", Retry, None);
}

#[test]
fn what_a_failure_says_is_told_whatever_it_is_written_in() {
    let faulty = Faulty::new();
    let page = "<html><head><title>403</title></head><body><h1>Your IP is not on the allow list</h1>";
    let json = r#"{"message":"Your IP is not on the allow list"}"#;
    for fault in [
        Fault::text(403, "Your IP is not on the allow list"),
        Fault::html(403, page),
        Fault::status(403).with_content_type("application/json", json),
    ] {
        faulty.server.fail_next(On::AdvertiseWrite, fault);
        let error = faulty.remote.push(&faulty.second()).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("Your IP is not on the allow list)"), "{shown}");
        assert!(!shown.contains('<') && !shown.contains('{'), "{shown}");
    }
}

#[test]
fn a_gateway_that_lost_patience_after_the_push_is_no_failure() {
    let faulty = Faulty::new();
    let push = faulty.second();
    faulty
        .server
        .fail_next(On::Write, Fault::AnswerAfterwards { status: 504 });
    faulty.remote.push(&push).unwrap();
    assert_eq!(faulty.tip(), Some(push.new_tip()));
}

#[test]
fn an_answer_that_is_cut_or_garbled_is_no_data() {
    let faulty = Faulty::new();
    for cut in [
        Fault::CutInAnswer(0),
        Fault::CutInAnswer(3),
        Fault::CutInAnswer(200),
    ] {
        let remote = open(&faulty.server.url("r.git"), settings());
        faulty.server.fail_next(On::Read, cut.clone());
        let tip = remote.tip(&faulty.setup.main);
        if let Ok(tip) = tip {
            // So little was asked for that it had come already.
            assert_eq!((tip, &cut), (Some(faulty.first), &Fault::CutInAnswer(200)));
        }
        faulty.server.forget_faults();
        faulty.server.fail_next(On::Read, cut.clone());
        let fetched = remote.fetch(
            faulty.first,
            &faulty.setup.other_store(),
            FetchScope::TreesOnly { commits_max: 1 },
        );
        let error = fetched.unwrap_err();
        assert!(
            matches!(&error, RemoteError::Transport(TransportError::Unreachable { .. })),
            "{cut:?}: {error:?}"
        );
    }
    let remote = open(&faulty.server.url("r.git"), settings());
    let garbled = |body: &str| Fault::Answer {
        status: 200,
        headers: vec![(
            "content-type",
            "application/x-git-upload-pack-advertisement".to_owned(),
        )],
        body: body.to_owned(),
    };
    for body in [
        "",
        "zzzz",
        "0009ab",
        "001e# service=git-upload-pack\n",
        "<html>",
        "000bhello\n0000",
    ] {
        faulty.server.fail_next(On::AdvertiseRead, garbled(body));
        let error = remote.tip(&faulty.setup.main).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry, "{body}: {error:?}");
    }
    let limits = Limits {
        answer_bytes_max: 100,
        ..Limits::default()
    };
    let remote = open(
        &faulty.server.url("r.git"),
        RemoteSettings { limits, ..settings() },
    );
    let too_large = |remote: &SmartRemote, expected: u64| {
        let error = remote.tip(&faulty.setup.main).unwrap_err();
        assert!(
            matches!(
                &error,
                RemoteError::Transport(TransportError::AnswerTooLarge { bytes_max, .. }) if *bytes_max == expected
            ),
            "{error:?}"
        );
    };
    too_large(&remote, 100);
    let daemon = GitDaemon::start(faulty.setup.repositories.root());
    let limits = Limits {
        answer_bytes_max: 90,
        ..Limits::default()
    };
    let remote = open(&daemon.url("r.git"), RemoteSettings { limits, ..settings() });
    too_large(&remote, 90);
}

#[test]
fn what_took_too_long_is_told_as_it_was_set() {
    let setup = Setup::new(Way::Local);
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let seconds = Duration::from_secs;
    for scheme in ["git", "http"] {
        for (idle, total, expected, after) in [
            (seconds(1), seconds(60), "the next byte", 1),
            (seconds(60), seconds(2), "the ", 2),
        ] {
            let timeouts = Timeouts {
                connect: seconds(1),
                idle,
                total,
            };
            let url = format!("{scheme}://127.0.0.1:{port}/r.git");
            let remote = open(
                &url,
                RemoteSettings {
                    timeouts,
                    ..settings()
                },
            );
            let error = remote.tip(&setup.main).unwrap_err();
            let RemoteError::Transport(TransportError::TimedOut {
                what, after: told, ..
            }) = &error
            else {
                panic!("{error:?}")
            };
            assert!(what.starts_with(expected), "{scheme}: {error}");
            assert_eq!(
                (*what == "the next byte", told.as_secs()),
                (after == 1, after),
                "{error}"
            );
        }
    }
}

#[test]
fn what_a_fetch_unpacks_to_is_bounded() {
    let faulty = Faulty::new();
    faulty.remote.push(&faulty.second()).unwrap();
    let limits = Limits {
        unpacked_bytes_max: 100,
        ..Limits::default()
    };
    let remote = open(
        &faulty.server.url("r.git"),
        RemoteSettings { limits, ..settings() },
    );
    let blob = Oid::parse(&faulty.setup.git(&["rev-parse", "main:b"])).unwrap();
    let error = remote.read_blobs(&[blob]).unwrap_err();
    assert!(
        matches!(
            &error,
            RemoteError::Transport(TransportError::AnswerTooLarge { .. })
        ),
        "{error:?}"
    );
}

#[test]
fn very_many_small_objects_are_bounded_by_what_they_take_not_by_what_they_say() {
    let faulty = Faulty::new();
    let files: Vec<(String, String)> = (0..2000).map(|n| (format!("f{n}"), format!("{n}"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let push = faulty.setup.make(Some(faulty.first), "many", &files);
    faulty.remote.push(&push).unwrap();
    let listed = faulty
        .setup
        .git(&["ls-tree", "-r", "main", "--format=%(objectname)"]);
    let blobs: Vec<Oid> = listed
        .lines()
        .map(|id| Oid::parse(id).unwrap())
        .take(400)
        .collect();
    let read = |unpacked_bytes_max| {
        let limits = Limits {
            unpacked_bytes_max,
            ..Limits::default()
        };
        let remote = open(
            &faulty.server.url("r.git"),
            RemoteSettings { limits, ..settings() },
        );
        remote.read_blobs(&blobs)
    };
    // Four bytes each at most.
    let error = read(50_000).unwrap_err();
    assert!(
        matches!(
            &error,
            RemoteError::Transport(TransportError::AnswerTooLarge { .. })
        ),
        "{error:?}"
    );
    assert_eq!(read(200_000).unwrap().len(), 400);
}

#[test]
fn a_connection_through_ssh_or_git_that_is_cut_is_found_out_about() {
    for way in [Way::Ssh, Way::Git] {
        let setup = Setup::new(Way::Local);
        let first = setup.push("first", &[("a", "1")]);
        let (ssh, daemon);
        let (port, url, credential) = match way {
            Way::Ssh => {
                ssh = SshServer::start(setup.repositories.root());
                let known = ssh.known_hosts();
                (ssh.port(), ssh.url("r.git"), Some((ssh.client_key(), known)))
            }
            _ => {
                daemon = GitDaemon::start(setup.repositories.root());
                (daemon.port(), daemon.url("r.git"), None)
            }
        };
        let proxy = CuttingProxy::start(port);
        let through = |text: &str| text.replace(&format!(":{port}"), &format!(":{}", proxy.port()));
        let settings = RemoteSettings {
            credential: credential.map(|(key, known)| Credential::SshKey {
                private_key: password(&key),
                known_hosts: through(&known),
            }),
            timeouts: Timeouts {
                idle: Duration::from_secs(20),
                ..Timeouts::default()
            },
            ..settings()
        };
        let remote = open(&through(&url), settings);
        // Each is so unlike the others that it does not become a small difference.
        let big = |number: u64| -> String {
            HEXLOWER.encode(&crate::testing::pseudo_random_bytes(number + 10, 100_000))
        };
        let mut tip = first;
        // Before anything, in the middle, after the pack (as far as its length is known here), and in the answer.
        for (number, cut) in [(0, 10), (1, 20_000), (2, 60_000)] {
            let push = setup.make(Some(tip), "next", &[("b", &big(number))]);
            setup.store.save(&push).unwrap();
            proxy.cut_next_after_sent(cut);
            let pushed = remote.push(&push);
            let now = setup.local.tip(&setup.main).unwrap();
            match pushed {
                Ok(()) => assert_eq!(now, Some(push.new_tip()), "{way:?} {cut}"),
                Err(error) => {
                    assert_eq!(
                        error.disposition(),
                        Disposition::Retry,
                        "{way:?} {cut}: {error:?}"
                    );
                    assert_eq!(now, Some(tip), "{way:?} {cut}");
                    remote.push(&push).unwrap();
                }
            }
            tip = push.new_tip();
        }
        let push = setup.make(Some(tip), "last", &[("b", "last")]);
        proxy.cut_next_after_answered(if way == Way::Ssh { 3_000 } else { 200 });
        let pushed = remote.push(&push);
        let now = setup.local.tip(&setup.main).unwrap();
        assert_eq!(pushed.is_ok(), now == Some(push.new_tip()), "{way:?}: {pushed:?}");
        remote.push(&push).unwrap();
        assert_eq!(proxy.met(), 4, "{way:?}: every cut met its connection");
        setup.is_sound();
    }
}

#[test]
fn an_advertisement_or_a_report_that_is_cut_at_any_kind_of_byte_is_found_out_about() {
    let faulty = Faulty::new();
    let mut tip = faulty.first;
    let next = |tip: Oid, cut: usize| {
        let push = faulty.setup.make(Some(tip), "next", &[("b", &format!("{cut}"))]);
        faulty.setup.store.save(&push).unwrap();
        push
    };
    // In the length of a packet, in its content, in the id and the name of a ref, in the capabilities.
    for cut in [0, 1, 3, 4, 20, 33, 34, 36, 38, 40, 60, 83, 95, 99, 120, 180] {
        let push = next(tip, cut);
        let remote = open(&faulty.server.url("r.git"), settings());
        faulty
            .server
            .fail_next(On::AdvertiseWrite, Fault::CutInAnswer(cut));
        let error = remote.push(&push).unwrap_err();
        assert!(
            matches!(&error, PushError::Transport(TransportError::Unreachable { .. })),
            "{cut}: {error:?}"
        );
        assert_eq!(faulty.tip(), Some(tip), "{cut}");
        remote.push(&push).unwrap();
        tip = push.new_tip();
    }
    // In the length of the outer packet, before and after its band, in the length and the content of the inner ones,
    // and before the last of the packets that end it all.
    let posts = |seen: Vec<git_servers::Seen>| {
        let posts = seen
            .iter()
            .filter(|seen| seen.path.ends_with("/git-receive-pack"));
        posts.count()
    };
    for cut in (0..12).chain([18, 22, 24, 26, 40, 44, 45, 46, 47, 48, 49, 50, 52, 53, 54, 60]) {
        let push = next(tip, cut);
        let _ = faulty.server.take_seen();
        faulty.server.fail_next(On::Write, Fault::CutInAnswer(cut));
        faulty.remote.push(&push).unwrap();
        assert_eq!(faulty.tip(), Some(push.new_tip()), "{cut}");
        assert_eq!(
            posts(faulty.server.take_seen()),
            1,
            "{cut}: what arrived is not sent again"
        );
        tip = push.new_tip();
    }
    faulty.setup.is_sound();
}

#[test]
fn wherever_a_connection_of_its_own_is_cut_the_outcome_is_known_or_the_branch_is_where_it_was() {
    let setup = Setup::new(Way::Local);
    let mut tip = setup.push("first", &[("a", "1")]);
    let daemon = GitDaemon::start(setup.repositories.root());
    let proxy = CuttingProxy::start(daemon.port());
    let url = daemon.url("r.git");
    let url = url.replace(&format!(":{}", daemon.port()), &format!(":{}", proxy.port()));
    let remote = open(&url, settings());
    let mut failures = 0;
    // What the daemon says is some 260 bytes of advertisement and 60 of report; what is sent, 60 of greeting, 180 of
    // command and the pack.
    let answered = (0..340).step_by(17).map(|bytes| (false, bytes));
    let sent = (0..480).step_by(24).map(|bytes| (true, bytes));
    for (is_sent, bytes) in answered.chain(sent) {
        let push = setup.make(Some(tip), "next", &[("a", &format!("{is_sent} {bytes}"))]);
        setup.store.save(&push).unwrap();
        match is_sent {
            true => proxy.cut_next_after_sent(bytes),
            false => proxy.cut_next_after_answered(bytes),
        }
        let pushed = remote.push(&push);
        let now = setup.local.tip(&setup.main).unwrap();
        match pushed {
            Ok(()) => assert_eq!(now, Some(push.new_tip()), "{is_sent} {bytes}"),
            Err(error) => {
                failures += 1;
                assert_eq!(
                    error.disposition(),
                    Disposition::Retry,
                    "{is_sent} {bytes}: {error:?}"
                );
                assert_eq!(now, Some(tip), "{is_sent} {bytes}: {error:?}");
                remote.push(&push).unwrap();
            }
        }
        tip = push.new_tip();
    }
    assert!(failures > 0, "some were cut before there was anything to send");
    setup.is_sound();
}
