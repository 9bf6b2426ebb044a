//! Who may talk to whom, with which credentials, and who gets to see them.

use super::*;
use git_servers::{Fault, On};

fn with(credential: Option<Credential>) -> RemoteSettings {
    RemoteSettings {
        credential,
        ..settings()
    }
}

fn token(text: &str) -> Option<Credential> {
    Some(Credential::token(password(text)))
}

fn options() -> HttpOptions {
    HttpOptions {
        anonymous: Access::Nothing,
        ..HttpOptions::default()
    }
    .account("x-access-token", TOKEN, Access::Write)
    .account("reader", TOKEN, Access::Read)
}

fn transport(error: RemoteError) -> TransportError {
    match error {
        RemoteError::Transport(error) => error,
        error => panic!("{error:?}"),
    }
}

#[test]
fn wrong_credentials_and_missing_rights_are_told_apart() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), options());
    let url = server.url("r.git");
    let push = setup.make(None, "first", &[("a", "1")]);
    for credential in [None, token("wrong"), Some(Credential::Bearer(password(TOKEN)))] {
        let remote = open(&url, with(credential));
        let error = transport(remote.tip(&setup.main).unwrap_err());
        assert!(matches!(error, TransportError::Credentials { .. }), "{error:?}");
        let error = remote.push(&push).unwrap_err();
        assert!(
            matches!(error, PushError::Transport(TransportError::Credentials { .. })),
            "{error:?}"
        );
    }
    let reader = Credential::Basic {
        user: "reader".to_owned(),
        password: password(TOKEN),
    };
    let remote = open(&url, with(Some(reader)));
    assert_eq!(remote.tip(&setup.main).unwrap(), None);
    let error = remote.push(&push).unwrap_err();
    assert!(
        matches!(error, PushError::Transport(TransportError::Forbidden { .. })),
        "{error:?}"
    );
    open(&url, with(token(TOKEN))).push(&push).unwrap();
}

#[test]
fn a_renewed_credential_is_used_from_the_next_conversation_on_and_one_that_cannot_be_changes_nothing() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), options());
    let url = server.url("r.git").parse().unwrap();
    let remote = SmartRemote::new(&url, with(token(TOKEN))).unwrap();
    assert_eq!(remote.tip(&setup.main).unwrap(), None);
    server.let_in_only("x-access-token", "another");
    assert!(remote.tip(&setup.main).is_err(), "it is refused by now");
    remote.renew(Credential::token(password("another"))).unwrap();
    let push = setup.make(None, "first", &[("a", "1")]);
    remote.push(&push).unwrap();
    // A key opens no web server; what was used before goes on.
    let key = Credential::SshKey {
        private_key: password("key"),
        known_hosts: "h ssh-ed25519 k".to_owned(),
    };
    let error = remote.renew(key).unwrap_err();
    assert!(matches!(error, TransportError::Settings { .. }), "{error:?}");
    assert_eq!(remote.tip(&setup.main).unwrap(), Some(push.new_tip()));
}

#[test]
fn many_pushes_need_one_advertisement() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), options());
    let remote = open(&server.url("r.git"), with(token(TOKEN)));
    let mut tip = None;
    assert!(remote.remembered(Service::ReceivePack).is_none());
    for number in 0..5 {
        let push = setup.make(tip, "next", &[("a", &format!("{number}"))]);
        setup.store.save(&push).unwrap();
        remote.push(&push).unwrap();
        tip = Some(push.new_tip());
    }
    // Another one, which the server tells more to: what it can do is remembered, not where everything is.
    let other = open(&server.url("r.git"), with(token(TOKEN)));
    let push = setup.make(tip, "last", &[("a", "last")]);
    let seen = server.take_seen();
    other.push(&push).unwrap();
    let remembered = other.remembered(Service::ReceivePack).clone().unwrap();
    assert!(remembered.refs.is_empty() && remembered.has("report-status"));
    let shown: Vec<&str> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(shown, ["GET", "POST", "POST", "POST", "POST", "POST"]);
    assert!(
        seen.iter()
            .all(|seen| seen.authorization.is_some() && seen.protocol.is_none())
    );
}

#[test]
fn the_very_bytes_of_a_push_are_sent() {
    let setup = Setup::new(Way::Http);
    setup.git(&["config", "receive.unpackLimit", "1"]);
    let push = setup.make(None, "first", &[("a", "1"), ("b/c", "2")]);
    setup.remote.push(&push).unwrap();
    let packs = crate::testing::packs(&setup.path, "pack");
    assert_eq!(packs.len(), 1);
    assert_eq!(std::fs::read(&packs[0]).unwrap(), push.pack_bytes().unwrap());
}

#[test]
fn credentials_go_nowhere_else() {
    let setup = Setup::new(Way::Local);
    let (server, other) = (
        HttpServer::start(setup.repositories.root(), options()),
        HttpServer::start(setup.repositories.root(), options()),
    );
    let remote = open(&server.url("old.git"), with(token(TOKEN)));
    let redirect = |to: String| Fault::status(301).with_header("location", &to);
    let tail = "/info/refs?service=git-upload-pack";
    // Renamed on the same server: followed, and remembered.
    server.fail_next(
        On::AdvertiseRead,
        redirect(format!("{}{tail}", server.url("r.git"))),
    );
    assert_eq!(remote.tip(&setup.main).unwrap(), None);
    assert_eq!(remote.tip(&setup.main).unwrap(), None);
    // Somewhere else, even on the same host: not followed.
    let remote = open(&server.url("old.git"), with(token(TOKEN)));
    server.fail_next(
        On::AdvertiseRead,
        redirect(format!("{}{tail}", other.url("r.git"))),
    );
    let error = transport(remote.tip(&setup.main).unwrap_err());
    assert!(
        matches!(&error, TransportError::Moved { to, .. } if *to == other.url("r.git")),
        "{error:?}"
    );
    assert_eq!(other.take_seen(), []);
    // When pushing, nothing is followed at all.
    let remote = open(&server.url("r.git"), with(token(TOKEN)));
    let push = setup.make(None, "first", &[("a", "1")]);
    server.fail_next(
        On::Write,
        Fault::status(307).with_header("location", &other.url("r.git/git-receive-pack")),
    );
    let error = remote.push(&push).unwrap_err();
    assert!(
        matches!(&error, PushError::Transport(TransportError::Moved { .. })),
        "{error:?}"
    );
    assert_eq!(other.take_seen(), []);
    // A circle ends.
    for _ in 0..20 {
        server.fail_next(
            On::AdvertiseRead,
            redirect(format!("{}{tail}", server.url("r.git"))),
        );
    }
    let error = transport(
        open(&server.url("r.git"), with(token(TOKEN)))
            .tip(&setup.main)
            .unwrap_err(),
    );
    assert!(matches!(&error, TransportError::Protocol { .. }), "{error:?}");
}

/// The forms in which a credential comes back.
fn forms(user: &str, secret: &str) -> Vec<String> {
    let pair = format!("{user}:{secret}");
    let basic = data_encoding::BASE64.encode(pair.as_bytes());
    let percent = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    vec![
        secret.to_owned(),
        pair.clone(),
        basic.trim_end_matches('=').to_owned(),
        data_encoding::BASE64URL_NOPAD.encode(format!("is {pair}").as_bytes()),
        data_encoding::BASE64.encode(format!("Authorization: Basic {basic}").as_bytes()),
        percent(secret),
        percent(&basic),
        basic,
    ]
}

#[test]
fn nothing_that_is_shown_holds_a_credential() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), options());
    let settings = with(token(TOKEN));
    let mut shown = format!("{settings:?}");
    let again = || open(&server.url("r.git"), settings.clone());
    let remote = again();
    shown.push_str(&format!("{remote:?} {}", remote.name()));
    let push = setup.make(None, "first", &[("a", "1")]);
    let forms = forms("x-access-token", TOKEN);
    // Servers that send back what they got, in their words, a page, a header or where they redirect to.
    for form in &forms {
        let echo = format!("bad token; you sent Authorization: Basic {form}");
        let faults = [401, 403, 404, 413, 429, 500, 503].map(|status| Fault::text(status, &echo));
        let page = format!("<html><title>{echo}</title></html>");
        let json = format!("{{\"message\":\"{echo}\"}}");
        let elsewhere = format!("http://example.com/{form}/r.git/info/refs?service=git-upload-pack");
        let more = [
            Fault::html(403, &page),
            Fault::status(403).with_content_type("application/json", &json),
            Fault::status(200).with_content_type(&format!("text/{form}"), "x"),
            Fault::status(200).with_header("content-encoding", form),
            Fault::status(301).with_header("location", &elsewhere),
        ];
        for fault in faults.into_iter().chain(more) {
            server.fail_next(On::AdvertiseRead, fault.clone());
            let error = again().tip(&setup.main).unwrap_err();
            shown.push_str(&format!("{error} {error:?} "));
            for on in [On::AdvertiseWrite, On::Write] {
                server.fail_next(on, fault.clone());
                let error = again().push(&push).unwrap_err();
                shown.push_str(&format!("{error} {error:?} "));
            }
            server.fail_next(On::AdvertiseRead, fault);
            let visibility = remote.visibility();
            shown.push_str(&format!("{visibility:?} "));
        }
        assert!(server.faults_are_used());
        let hook = format!("echo '{echo}' >&2; exit 1");
        setup.repositories.hook("r.git", "pre-receive", &hook);
        let error = remote.push(&push).unwrap_err();
        assert!(error.to_string().contains("you sent Authorization"), "{error}");
        shown.push_str(&format!("{error} {error:?} "));
        setup.repositories.unhook("r.git", "pre-receive");
    }
    assert!(
        shown.contains("bad token; you sent Authorization: Basic ***"),
        "{shown}"
    );
    for form in forms {
        assert!(!shown.contains(&form), "{form}: {shown}");
    }
}

#[test]
fn a_certificate_must_be_of_a_trusted_authority_and_for_that_host() {
    let setup = Setup::new(Way::Local);
    let (trusted, other) = (Arc::new(Authority::new()), Authority::new());
    let server = |names: &[&str]| {
        let options = HttpOptions {
            authority: Some(Arc::clone(&trusted)),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..HttpOptions::default()
        };
        HttpServer::start(setup.repositories.root(), options)
    };
    let good = server(&["localhost"]);
    let trusting = |pem: &str| RemoteSettings {
        certificates_pem: pem.into(),
        ..with(None)
    };
    assert_eq!(
        open(&good.url("r.git"), trusting(trusted.pem()))
            .tip(&setup.main)
            .unwrap(),
        None
    );
    for (url, settings) in [
        (good.url("r.git"), trusting("")),
        (good.url("r.git"), trusting(other.pem())),
        (server(&["example.com"]).url("r.git"), trusting(trusted.pem())),
    ] {
        let result = open(&url, settings).tip(&setup.main);
        let error = transport(result.unwrap_err());
        assert!(matches!(error, TransportError::Certificate { .. }), "{error:?}");
        assert_eq!(error.disposition(), crate::Disposition::NeedsCustomer);
    }
    let error =
        SmartRemote::new(&good.url("r.git").parse().unwrap(), trusting("no certificate")).unwrap_err();
    assert!(matches!(error, TransportError::Settings { .. }), "{error:?}");
}

#[test]
fn addresses_and_schemes_that_the_operator_does_not_allow_are_not_connected_to() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let strict = |addresses: AddressPolicy| RemoteSettings {
        addresses,
        ..RemoteSettings::default()
    };
    let plain = || AddressPolicy::default().allow_plain_http();
    let url = |text: &str| text.parse::<RepositoryUrl>().unwrap();
    let error = SmartRemote::new(&url(&server.url("r.git")), strict(AddressPolicy::default())).unwrap_err();
    assert!(
        matches!(error, TransportError::SchemeRefused { scheme: "http", .. }),
        "{error:?}"
    );
    let error = SmartRemote::new(&url(&server.url("r.git")), strict(plain())).unwrap_err();
    assert!(
        matches!(error, TransportError::AddressRefused { .. }),
        "{error:?}"
    );
    for url in [
        "http://[::1]/r",
        "http://169.254.169.254/r",
        "http://10.0.0.1/r",
        "http://[::ffff:127.0.0.1]/r",
    ] {
        let error = SmartRemote::new(&url.parse().unwrap(), strict(plain())).unwrap_err();
        assert!(
            matches!(error, TransportError::AddressRefused { .. }),
            "{url}: {error:?}"
        );
    }
    // A name is judged by what it resolves to, when it is connected to.
    let by_name = server.url("r.git").replace("127.0.0.1", "localhost");
    let remote = SmartRemote::new(&url(&by_name), strict(plain())).unwrap();
    let error = transport(remote.tip(&setup.main).unwrap_err());
    assert!(
        matches!(error, TransportError::AddressRefused { .. }),
        "{error:?}"
    );
    assert_eq!(server.take_seen(), []);
    let daemon = GitDaemon::start(setup.repositories.root());
    let addresses = AddressPolicy::default().allow_git_protocol();
    let remote = SmartRemote::new(&url(&daemon.url("r.git")), strict(addresses)).unwrap();
    let error = transport(remote.tip(&setup.main).unwrap_err());
    assert!(
        matches!(error, TransportError::AddressRefused { .. }),
        "{error:?}"
    );
}

#[test]
fn nobody_listening_is_unreachable() {
    let setup = Setup::new(Way::Local);
    let server = HttpServer::start(setup.repositories.root(), HttpOptions::default());
    let url = server.url("r.git");
    drop(server);
    for url in [url.clone(), url.replace("http:", "git:")] {
        let remote = open(&url, with(None));
        let error = transport(remote.tip(&setup.main).unwrap_err());
        assert!(matches!(error, TransportError::Unreachable { .. }), "{error:?}");
        let push = setup.make(None, "first", &[("a", "1")]);
        let error = remote.push(&push).unwrap_err();
        assert!(
            matches!(error, PushError::Transport(TransportError::Unreachable { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn ssh_trusts_the_pinned_key_only_and_shows_the_right_one() {
    let setup = Setup::new(Way::Local);
    let server = SshServer::start(setup.repositories.root());
    let url = server.url("r.git");
    let key = |private_key: String, known_hosts: String| {
        with(Some(Credential::SshKey {
            private_key: password(&private_key),
            known_hosts,
        }))
    };
    let tip = |settings| open(&url, settings).tip(&setup.main);
    assert_eq!(tip(key(server.client_key(), server.known_hosts())).unwrap(), None);
    let error = transport(tip(key(server.client_key(), server.wrong_known_hosts())).unwrap_err());
    assert!(matches!(error, TransportError::HostKey { .. }), "{error:?}");
    let elsewhere =
        "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
    let error = transport(tip(key(server.client_key(), elsewhere.to_owned())).unwrap_err());
    assert!(matches!(error, TransportError::HostKey { .. }), "{error:?}");
    let error = transport(tip(key(server.other_key(), server.known_hosts())).unwrap_err());
    assert!(matches!(error, TransportError::Credentials { .. }), "{error:?}");
    for (key, known) in [
        (String::new(), server.known_hosts()),
        (server.client_key(), "# nothing\n".to_owned()),
    ] {
        let credential = Credential::SshKey {
            private_key: password(&key),
            known_hosts: known,
        };
        let error = SmartRemote::new(&url.parse().unwrap(), with(Some(credential))).unwrap_err();
        assert!(matches!(error, TransportError::Settings { .. }), "{error:?}");
    }
    let error = SmartRemote::new(&url.parse().unwrap(), with(token(TOKEN))).unwrap_err();
    assert!(matches!(error, TransportError::Settings { .. }), "{error:?}");
    // Nothing of all that is left; tests beside this one have other keys.
    let own = format!("kbc-mirror-ssh-{}_", std::process::id());
    let keys = [server.client_key(), server.other_key()];
    for place in ["/dev/shm", "/tmp"] {
        let Ok(files) = std::fs::read_dir(place) else {
            continue;
        };
        let left = files
            .flatten()
            .filter(|file| file.file_name().to_string_lossy().starts_with(&own))
            .filter_map(|file| std::fs::read_to_string(file.path().join("key")).ok())
            .filter(|content| keys.iter().any(|key| content.trim() == key.trim()))
            .count();
        assert_eq!(left, 0, "{place}");
    }
}

#[test]
fn a_path_is_one_word_for_the_shell_at_the_other_end() {
    let setup = Setup::new(Way::Local);
    let server = SshServer::start(setup.repositories.root());
    setup.repositories.init("it's;touch${IFS}x.git");
    let remote = open(
        &server.url("it's;touch${IFS}x.git"),
        RemoteSettings {
            credential: Some(Credential::SshKey {
                private_key: password(&server.client_key()),
                known_hosts: server.known_hosts(),
            }),
            ..settings()
        },
    );
    let push = setup.make(None, "first", &[("a", "1")]);
    remote.push(&push).unwrap();
    assert_eq!(remote.tip(&setup.main).unwrap(), Some(push.new_tip()));
}

#[test]
fn who_may_read_is_asked_without_credentials() {
    let setup = Setup::new(Way::Local);
    let public = HttpOptions {
        anonymous: Access::Read,
        ..options()
    };
    for (options, expected) in [(public, Visibility::Public), (options(), Visibility::Private)] {
        let server = HttpServer::start(setup.repositories.root(), options);
        let remote = open(&server.url("r.git"), with(token(TOKEN)));
        assert_eq!(remote.visibility().unwrap(), expected);
        assert!(server.take_seen().iter().all(|seen| seen.authorization.is_none()));
        server.fail_next(On::AdvertiseRead, Fault::status(404));
        assert_eq!(remote.visibility().unwrap(), Visibility::Private);
        for fault in [Fault::status(500), Fault::html(200, "<html>"), Fault::status(429)] {
            server.fail_next(On::AdvertiseRead, fault);
            assert!(remote.visibility().is_err());
        }
    }
    let ssh = SshServer::start(setup.repositories.root());
    let credential = Credential::SshKey {
        private_key: password(&ssh.client_key()),
        known_hosts: ssh.known_hosts(),
    };
    let remote = open(&ssh.url("r.git"), with(Some(credential)));
    assert_eq!(remote.visibility().unwrap(), Visibility::Unknown);
}
