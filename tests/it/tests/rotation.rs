//! Are renewed credentials taken while the process runs, and is nothing lost or shown by it?

use crate::support::{GIT_TOKEN, Installation, JANE, Keboola, MIRROR, Options, PETR, Server, run, until};
use serde_json::Value;
use std::process::Command;

const NEW_GIT_TOKEN: &str = "renewed-git-token-of-the-whole-system-tests";
/// Whom a server knows a token's owner by.
const USER: &str = "x-access-token";

fn options() -> Options {
    Options {
        dev_branches: false,
        retries_max: 0,
        ..Options::default()
    }
}

async fn mirrored(site: &Installation) -> Server {
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server
}

async fn rotations(server: &Server, purpose: &str) -> Option<f64> {
    let name = format!("credential_rotation_events_total{{purpose=\"{purpose}\"}}");
    server.metric(&name).await
}

async fn told(server: &Server, purpose: &str) -> Value {
    let status = server.status().await;
    let all = status["credentials"].as_array().cloned().unwrap_or_default();
    let of_it = |one: &Value| one["mirror"] == MIRROR && one["purpose"] == purpose;
    all.into_iter().find(of_it).unwrap_or(Value::Null)
}

/// Waits until the status says so of a credential.
async fn problem(server: &Server, purpose: &str, words: &str) {
    until(&format!("the status says `{words}`"), async || {
        let told = told(server, purpose).await;
        told["problem"]
            .as_str()
            .is_some_and(|problem| problem.contains(words))
            .then_some(())
    })
    .await;
}

/// Pastes secrets into configurations, of which none may leave.
async fn check_withheld(site: &Installation, server: &mut Server, secrets: [&str; 2]) {
    let keboola = &site.keboola;
    let places = [keboola.orders(), keboola.clean()];
    for (place, secret) in places.iter().zip(secrets) {
        keboola.set(place, JANE, "note", format!("then {secret} it is"));
    }
    site.settle(server).await;
    let reasons = until("both are withheld", async || {
        let lane = server.lane(&keboola.main()).await;
        let withheld = lane["withheld"].as_array().cloned().unwrap_or_default();
        (withheld.len() == 2).then_some(withheld)
    })
    .await;
    for withheld in reasons {
        let reason = withheld["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("guard-known-secret"), "{withheld}");
    }
    for (path, (_, blob)) in site.repository.files("main") {
        let content = site.repository.git(&["cat-file", "-p", &blob]);
        assert!(secrets.iter().all(|secret| !content.contains(secret)), "{path}");
    }
    let log = server.log();
    assert!(
        log.iter()
            .all(|line| secrets.iter().all(|secret| !line.contains(secret))),
        "nor is one logged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_git_token_is_taken_in_place_and_ends_the_wait_of_who_was_refused() {
    let site = Installation::over_https(&Keboola::small(), options());
    let mut server = mirrored(&site).await;
    let keboola = &site.keboola;
    let https = site.served.as_ref().expect("it is served").http();
    https.let_in_only(USER, NEW_GIT_TOKEN);
    // It is being written.
    site.write("git-token", "");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("the process lives");
    problem(&server, "repository", "is empty").await;
    until("the lane was refused", async || {
        let lane = server.lane(&keboola.main()).await;
        let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
        reason.contains("credentials").then_some(())
    })
    .await;
    assert_eq!(rotations(&server, "repository").await, Some(0.0));
    // In less than the five minutes after which it is tried again in any case.
    site.write("git-token", &format!("{NEW_GIT_TOKEN}\n"));
    site.settle(&mut server).await;
    site.check(&[]);
    assert_eq!(rotations(&server, "repository").await, Some(1.0));
    assert_eq!(rotations(&server, "keboola").await, Some(0.0));
    let told = told(&server, "repository").await;
    assert_eq!(told["problem"], Value::Null, "{told}");
    assert!(told["renewed"].is_string(), "{told}");
    let warned =
        server.logged("what stands in the place of a credential cannot be used; the former one stays in use");
    assert_eq!(warned.len(), 1, "once, whatever the number of looks: {warned:?}");
    check_withheld(&site, &mut server, [GIT_TOKEN, NEW_GIT_TOKEN]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_replaced_when_it_is_refused_costs_no_failure_and_sighup_ends_nothing() {
    let site = Installation::over_https(&Keboola::small(), options());
    let mut server = mirrored(&site).await;
    let keboola = &site.keboola;
    let https = site.served.as_ref().expect("it is served").http();
    for token in ["second-token-of-the-mirror", "third-token-of-the-mirror"] {
        https.let_in_only(USER, token);
        site.write("git-token", token);
        keboola.set(&keboola.clean(), PETR, "z", token.len());
        site.settle(&mut server).await;
    }
    assert_eq!(rotations(&server, "repository").await, Some(2.0));
    assert_eq!(
        server.metric("exports_total{outcome=\"failed\"}").await,
        Some(0.0),
        "nothing has failed"
    );
    // A file that is not there does no harm, also where somebody asks for it.
    std::fs::remove_file(site.path("git-token")).expect("it is there");
    run(Command::new("kill").args(["-HUP", &server.pid().to_string()])).ok();
    problem(&server, "repository", "cannot read credential file").await;
    keboola.set(&keboola.clean(), PETR, "z", 1);
    site.settle(&mut server).await;
    site.write("git-token", "third-token-of-the-mirror");
    until("the status is content", async || {
        told(&server, "repository").await["problem"]
            .is_null()
            .then_some(())
    })
    .await;
    assert_eq!(
        rotations(&server, "repository").await,
        Some(2.0),
        "it is the same"
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_keboola_token_is_taken_and_one_of_another_project_is_not() {
    const STRANGE: &str = "999-7-tokenOfAnotherProject0000";
    const NEW: &str = "123-2-renewedStorageToken000000";
    let options = Options {
        mirror: "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 1000 }",
        ..options()
    };
    let site = Installation::new(&Keboola::small(), options);
    let mut server = mirrored(&site).await;
    let keboola = &site.keboola;
    let old = keboola.token().to_owned();
    keboola.know_stranger(STRANGE, 999);
    site.write("keboola-token", STRANGE);
    problem(&server, "keboola", "the token is of project 999, not of 123").await;
    // The former one is used as before.
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    site.check(&[]);
    assert_eq!(rotations(&server, "keboola").await, Some(0.0));
    // Keboola takes no other one from now on, so who polls is refused.
    keboola.renew_token(NEW);
    until("the poller is refused", async || {
        let status = server.status().await;
        status["polls"][0]["problem"].is_string().then_some(())
    })
    .await;
    site.write("keboola-token", NEW);
    // Nobody delivers it: that is the poller's affair, who is not to wait for five minutes.
    keboola.set(&keboola.orders(), JANE, "z", 3);
    until("the poller finds the change", async || {
        let files = site.repository.files("main");
        let (_, blob) = files
            .iter()
            .find(|(path, _)| path.ends_with("the-orders/config.json"))?
            .1;
        let content = site.repository.git(&["cat-file", "-p", blob]);
        content.contains("\"z\": 3").then_some(())
    })
    .await;
    assert_eq!(rotations(&server, "keboola").await, Some(1.0));
    check_withheld(&site, &mut server, [&old, NEW]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_ssh_key_is_taken_once_it_is_whole() {
    let site = Installation::over_ssh(&Keboola::small(), options());
    let mut server = mirrored(&site).await;
    let keboola = &site.keboola;
    let ssh = site.served.as_ref().expect("it is served").ssh_server();
    let key = ssh.other_key();
    site.write("git-key", &key[..key.len() / 2]);
    problem(&server, "repository", "is not in the format of ssh-keygen").await;
    // The former one opens it still.
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    ssh.let_in_only_the_other_key();
    site.write("git-key", &key);
    keboola.set(&keboola.orders(), JANE, "z", 3);
    site.settle(&mut server).await;
    let files = site.repository.files("main");
    let config = files
        .iter()
        .find(|(path, _)| path.ends_with("the-orders/config.json"));
    let (_, (_, blob)) = config.expect("the configuration is mirrored");
    let content = site.repository.git(&["cat-file", "-p", blob]);
    assert!(content.contains("\"z\": 3"), "{content}");
    assert_eq!(rotations(&server, "repository").await, Some(1.0));
    server.stop().await;
}
