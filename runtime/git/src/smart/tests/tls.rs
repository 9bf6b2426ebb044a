//! Connections with TLS that end between and within records, without a farewell.

use super::*;
use crate::Disposition;
use git_servers::CuttingProxy;

#[test]
fn wherever_a_connection_with_tls_is_cut_the_outcome_is_known_or_the_branch_is_where_it_was() {
    let setup = Setup::new(Way::Local);
    let mut tip = setup.push("first", &[("a", "1")]);
    let authority = Arc::new(Authority::new());
    let options = HttpOptions {
        authority: Some(Arc::clone(&authority)),
        anonymous: Access::Nothing,
        ..HttpOptions::default()
    };
    let options = options.account("x-access-token", TOKEN, Access::Write);
    let server = HttpServer::start(setup.repositories.root(), options);
    let proxy = CuttingProxy::start(server.port());
    let port = |port: u16| format!(":{port}");
    let url = server
        .url("r.git")
        .replace(&port(server.port()), &port(proxy.port()));
    let settings = RemoteSettings {
        credential: Some(Credential::token(password(TOKEN))),
        certificates_pem: authority.pem().into(),
        ..settings()
    };
    // Records have heads of five bytes. First comes the greeting, then what is asked and the pack; the other side shows a
    // certificate of some 700 bytes, then its advertisement and the report.
    let sent = [0, 1, 4, 5, 6, 200, 500, 700, 900, 1000, 1100, 1200, 1400, 1600];
    let answered = [
        0, 3, 5, 6, 100, 130, 700, 1000, 1200, 1400, 1600, 1700, 1750, 1800, 1850, 1900,
    ];
    let cuts = sent.map(|bytes| (true, bytes)).into_iter();
    let cuts = cuts.chain(answered.map(|bytes| (false, bytes)));
    let (mut succeeded, mut failed) = (0, 0);
    for (is_sent, bytes) in cuts {
        let push = setup.make(Some(tip), "next", &[("a", &format!("{is_sent} {bytes}"))]);
        setup.store.save(&push).unwrap();
        match is_sent {
            true => proxy.cut_next_after_sent(bytes),
            false => proxy.cut_next_after_answered(bytes),
        }
        let remote = open(&url, settings.clone());
        let pushed = remote.push(&push);
        let now = setup.local.tip(&setup.main).unwrap();
        match pushed {
            Ok(()) => {
                succeeded += 1;
                assert_eq!(now, Some(push.new_tip()), "{is_sent} {bytes}");
            }
            Err(error) => {
                failed += 1;
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
    assert!(
        failed > 10 && succeeded > 0 && proxy.met() > 20,
        "{failed} failed, {succeeded} succeeded, {} cut",
        proxy.met()
    );
    setup.is_sound();
}
