//! What if the source has suddenly nothing, or next to nothing, any more?

use crate::support::{Installation, JANE, Keboola, Options, Server, until};
use fake_keboola::{Fault, FaultKind};
use serde_json::{Value, json};

/// Waits until the status says that the lane is held, and returns the id of the batch.
async fn held(server: &Server, branch: &str) -> String {
    let lane = until("the lane is held", async || {
        let lane = server.lane(branch).await;
        (lane["state"] == "held").then_some(lane)
    });
    let lane = lane.await;
    let batch = lane["held"]["batch"].as_str().expect("the batch has an id");
    let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(batch), "it says what to accept: {lane}");
    batch.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_deletion_is_held_over_a_restart_until_it_is_accepted() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let main = keboola.main();
    let before = site.repository.tip("main");

    keboola.delete(&keboola.orders(), JANE);
    keboola.delete(&keboola.clean(), JANE);
    site.deliver(&mut server).await.expect("the process lives");
    let batch = held(&server, &main).await;
    assert_eq!(server.metric("lanes_held").await, Some(1.0));
    assert_eq!(site.repository.tip("main"), before);
    server.stop().await;

    let server = site.start().await;
    assert_eq!(
        held(&server, &main).await,
        batch,
        "a restart holds the same batch"
    );
    server.stop().await;

    site.configure(|options| options.mirror = "accept_deletions = \"0123456789abcdef\"");
    let server = site.start().await;
    assert_eq!(held(&server, &main).await, batch, "another batch was accepted");
    server.stop().await;

    let accepted: &'static str = Box::leak(format!("accept_deletions = \"{batch}\"").into_boxed_str());
    site.configure(|options| options.mirror = accepted);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(
        (log.len(), log[0].subject.as_str()),
        (2, "Delete 2 configurations of 2 components")
    );
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_goes_on_by_itself_once_the_source_has_it_again() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.delete(&keboola.orders(), JANE);
    keboola.delete(&keboola.clean(), JANE);
    site.deliver(&mut server).await.expect("the process lives");
    held(&server, &keboola.main()).await;

    keboola
        .restore_configuration(&keboola.orders(), &keboola.by(JANE, "A mistake"))
        .expect("it is in the trash");
    server.stop().await;
    // The repeated attempt comes at once with a new process.
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check(&[]);
    site.check_status(&server).await;
    let sidecars = site.repository.sidecars("main");
    assert!(sidecars.iter().any(|sidecar| sidecar.config == "orders"));
    assert!(sidecars.iter().all(|sidecar| sidecar.config != "clean"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_empty_deletes_nothing() {
    let keboola = Keboola::generated(40);
    let site = Installation::new(&keboola, Options::default());
    let first: Value = serde_json::from_str(&site.once_with(&["--json"]).ok()).expect("JSON");
    let counts = &first["commits"][0]["objects"];
    let configurations = counts["configurations"].as_object().expect("by component type");
    let expected: u64 = configurations
        .values()
        .filter_map(|tally| tally["expected"].as_u64())
        .sum();
    let listed = site.repository.manifest("main").len();
    assert_eq!(usize::try_from(expected).ok(), Some(listed));
    assert_eq!(counts["tables"]["withheld"], 0);
    // The message says the same.
    let log = site.repository.log("main");
    let tables = &counts["tables"];
    let line = format!("- tables: {}, {}, 0\n", tables["expected"], tables["rendered"]);
    assert!(log[0].message.contains(&line), "{}", log[0].message);

    let tip = site.repository.tip("main");
    for listing in ["components", "tables"] {
        // Everything is listed anew, for nothing is known any more; and one listing is empty.
        site.lose_data();
        keboola.fail(Fault {
            path: format!("/v2/storage/branch/{}/{listing}", keboola.main()),
            times: u32::MAX,
            kind: FaultKind::Answer {
                status: 200,
                content_type: "application/json".into(),
                body: "[]".into(),
            },
        });
        let refused = site.once();
        assert!(!refused.status.success(), "{listing}: {refused:?}");
        assert!(refused.stderr.contains("--accept-deletions"), "{refused:?}");
        assert_eq!(site.repository.tip("main"), tip, "{listing}");
        keboola.heal();
        site.once().ok();
        assert_eq!(
            site.repository.tree_id("main"),
            site.repository.tree_id(tip.as_deref().unwrap_or_default())
        );
    }
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_accept_whatever_goes() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    site.once().ok();
    keboola.delete(&keboola.orders(), JANE);
    keboola.delete(&keboola.clean(), JANE);
    assert!(!site.once().status.success());
    let told: Value =
        serde_json::from_str(&site.once_with(&["--json", "--accept-deletions"]).ok()).expect("JSON");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(site.repository.manifest("main").len(), 0);
    assert_eq!(json!(site.repository.count("main")), json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_of_which_nothing_is_left_goes_and_is_told_of() {
    for is_read_anew in [false, true] {
        let keboola = Keboola::small();
        let clients = keboola.create("clients", "Clients", JANE);
        let site = Installation::new(&keboola, Options::default());
        let once = || -> Value { serde_json::from_str(&site.once_with(&["--json"]).ok()).expect("JSON") };
        assert_eq!(once()["commits"][0]["vanished"], json!([]));
        // The transformation stays, so it is no mass deletion.
        keboola.delete(&keboola.orders(), JANE);
        keboola.delete(&clients, JANE);
        if is_read_anew {
            site.lose_data();
        }
        let done = once();
        let vanished = done["commits"][0]["vanished"].as_array().expect("a list");
        let message = &site.repository.log("main")[0].message;
        for told in [
            "extractor configurations: 2 before, 0 now",
            "rows: 2 before, 0 now",
        ] {
            assert!(vanished.contains(&json!(told)), "{told} is not in {vanished:?}");
            assert!(
                message.contains(&format!("- {told}\n")),
                "{told} is not in\n{message}"
            );
        }
        site.check(&[]);
    }
}
