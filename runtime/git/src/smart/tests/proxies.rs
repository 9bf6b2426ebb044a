//! What stands between here and a server.

use super::*;
use git_servers::{ForwardProxy, Forwarded};

/// A server with TLS and one without, for the same repository, and a token for both.
struct Behind {
    setup: Setup,
    plain: HttpServer,
    secure: HttpServer,
    authority: Arc<Authority>,
}

impl Behind {
    fn new() -> Self {
        let setup = Setup::new(Way::Local);
        let authority = Arc::new(Authority::new());
        let options = |authority| {
            let options = HttpOptions {
                authority,
                anonymous: Access::Nothing,
                ..HttpOptions::default()
            };
            options.account("x-access-token", TOKEN, Access::Write)
        };
        let root = setup.repositories.root();
        Self {
            plain: HttpServer::start(root, options(None)),
            secure: HttpServer::start(root, options(Some(Arc::clone(&authority)))),
            setup,
            authority,
        }
    }

    fn remote(&self, server: &HttpServer, proxy: &ForwardProxy, user: Option<(&str, &str)>) -> SmartRemote {
        let settings = RemoteSettings {
            credential: Some(Credential::token(password(TOKEN))),
            certificates_pem: self.authority.pem().into(),
            proxy: Some(ProxySettings {
                url: proxy.url(),
                user: user.map(|(user, word)| (user.to_owned(), password(word))),
            }),
            ..settings()
        };
        open(&server.url("r.git"), settings)
    }
}

const PROXY_USER: Option<(&str, &str)> = Some(("corp", "pr0xy-s3cret"));

#[test]
fn everything_goes_through_the_proxy_and_each_gets_its_own_credentials_only() {
    for account in [None, PROXY_USER] {
        let behind = Behind::new();
        for (server, is_secure) in [(&behind.plain, false), (&behind.secure, true)] {
            let proxy = ForwardProxy::start(account);
            let remote = behind.remote(server, &proxy, account);
            let tip = behind.setup.local.tip(&behind.setup.main).unwrap();
            let push = behind.setup.make(tip, "next", &[("a", &format!("{is_secure}"))]);
            remote.push(&push).unwrap();
            assert_eq!(remote.tip(&behind.setup.main).unwrap(), Some(push.new_tip()));
            let scope = FetchScope::TreesOnly { commits_max: 1 };
            remote
                .fetch(push.new_tip(), &behind.setup.other_store(), scope)
                .unwrap();
            let forwarded = proxy.take_seen();
            assert!(!forwarded.is_empty() && forwarded.iter().all(|seen| seen.is_let_through));
            let token = data_encoding::BASE64.encode(format!("x-access-token:{TOKEN}").as_bytes());
            let has_token = |seen: &Forwarded| seen.headers.iter().any(|line| line.contains(&token));
            for seen in &forwarded {
                assert_eq!(seen.method == "CONNECT", is_secure, "{seen:?}");
                // With TLS the proxy sees nothing of what is said to the server.
                assert_eq!(has_token(seen), !is_secure, "{seen:?}");
            }
            let at_server = server.take_seen();
            assert!(at_server.iter().all(|seen| seen.authorization.is_some()));
            behind.setup.is_sound();
            let store = behind.setup.store.save(&push);
            store.unwrap();
        }
    }
}

#[test]
fn a_proxy_that_wants_other_credentials_is_told_from_a_server_that_does() {
    let behind = Behind::new();
    for server in [&behind.plain, &behind.secure] {
        for wrong in [None, Some(("corp", "wrong"))] {
            let proxy = ForwardProxy::start(PROXY_USER);
            let remote = behind.remote(server, &proxy, wrong);
            let push = behind.setup.make(None, "first", &[("a", "1")]);
            let error = remote.tip(&behind.setup.main).unwrap_err();
            assert!(
                matches!(
                    &error,
                    RemoteError::Transport(TransportError::ProxyCredentials { .. })
                ),
                "{error:?}"
            );
            assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
            let error = remote.push(&push).unwrap_err();
            assert!(
                matches!(
                    &error,
                    PushError::Transport(TransportError::ProxyCredentials { .. })
                ),
                "{error:?}"
            );
            assert_eq!(error.disposition(), crate::Disposition::NeedsCustomer);
            assert_eq!(server.take_seen(), []);
        }
    }
}

#[test]
fn what_a_proxy_says_of_its_own_credentials_is_not_shown() {
    let behind = Behind::new();
    let proxy = ForwardProxy::start(PROXY_USER);
    let remote = behind.remote(&behind.plain, &proxy, PROXY_USER);
    let (user, word) = PROXY_USER.unwrap();
    let pair = data_encoding::BASE64.encode(format!("{user}:{word}").as_bytes());
    for status in [403, 502] {
        for form in [word, &pair, pair.trim_end_matches('=')] {
            // Whoever answers: it passes on what the proxy was shown.
            let echo = format!("no way; you sent Proxy-Authorization: Basic {form}");
            let fault = git_servers::Fault::text(status, &echo);
            behind.plain.fail_next(git_servers::On::AdvertiseRead, fault);
            let error = remote.tip(&behind.setup.main).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("Proxy-Authorization: Basic ***"), "{shown}");
            assert!(!shown.contains(form), "{shown}");
        }
    }
}

#[test]
fn a_proxy_that_is_not_there_is_unreachable_and_nothing_goes_around_it() {
    let behind = Behind::new();
    let proxy = ForwardProxy::start(None);
    let remotes = [&behind.plain, &behind.secure].map(|server| behind.remote(server, &proxy, None));
    drop(proxy);
    for remote in remotes {
        let error = remote.tip(&behind.setup.main).unwrap_err();
        assert!(
            matches!(&error, RemoteError::Transport(TransportError::Unreachable { .. })),
            "{error:?}"
        );
    }
    assert_eq!(behind.plain.take_seen(), []);
}

#[test]
fn answers_may_come_compressed_and_are_bounded_by_what_they_unpack_to() {
    let setup = Setup::new(Way::Local);
    let options = HttpOptions {
        compresses: true,
        ..HttpOptions::default()
    };
    let server = HttpServer::start(setup.repositories.root(), options);
    let remote = open(&server.url("r.git"), settings());
    let push = setup.make(None, "first", &[("a", &"same ".repeat(100_000))]);
    remote.push(&push).unwrap();
    assert_eq!(remote.tip(&setup.main).unwrap(), Some(push.new_tip()));
    let scope = FetchScope::TreesOnly { commits_max: 1 };
    let fetched = remote.fetch(push.new_tip(), &setup.other_store(), scope).unwrap();
    assert_eq!(fetched.objects, 2);
    // What counts is what it is, not what is sent: two thousand branches at one commit compress well.
    let many: String = (0..2000)
        .map(|n| format!("create refs/heads/branch-{n:04} {}\n", push.new_tip()))
        .collect();
    crate::testing::git_fed(&setup.path, &["update-ref", "--stdin"], many.as_bytes());
    assert_eq!(remote.branches().unwrap().len(), 2001);
    let limits = Limits {
        answer_bytes_max: 60_000,
        ..Limits::default()
    };
    let remote = open(&server.url("r.git"), RemoteSettings { limits, ..settings() });
    let error = remote.branches().unwrap_err();
    assert!(
        matches!(
            &error,
            RemoteError::Transport(TransportError::AnswerTooLarge { .. })
        ),
        "{error:?}"
    );
}
