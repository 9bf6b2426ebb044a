//! Listings of the source with objects that cannot be read.

use super::{CONFIG, TOKEN, mirrored, verify};
use crate::support::{Installation, JANE, Keboola, MIRROR, Options, until};
use fake_keboola::{ConfigAt, Fault, FaultKind};
use serde_json::Value;
use std::collections::BTreeMap;

/// Asks the fake for a listing.
async fn listing(keboola: &Keboola, path: &str) -> Value {
    serde_json::from_str(&listed(keboola, path).await).expect("the answer is JSON")
}

/// Asks the fake for a listing as text.
pub(super) async fn listed(keboola: &Keboola, path: &str) -> String {
    let url = format!("{}{path}", keboola.url().trim_end_matches('/'));
    let request = reqwest::Client::new()
        .get(url)
        .header("X-StorageApi-Token", keboola.token());
    let answer = request.send().await.expect("the fake listens");
    answer.text().await.expect("it answers")
}

/// Has the fake answer with a listing as it stands.
fn answer(keboola: &Keboola, path: String, body: &Value) {
    answer_bytes(keboola, path, body.to_string().into());
}

pub(super) fn answer_bytes(keboola: &Keboola, path: String, body: Vec<u8>) {
    keboola.fail(Fault {
        path,
        times: u32::MAX,
        kind: FaultKind::Answer {
            status: 200,
            content_type: "application/json".into(),
            body,
        },
    });
}

/// Breaks an object of each listing of the default branch: `orders` has a row without an id, and the other configuration,
/// a table and the bucket have none themselves.
async fn break_listings(keboola: &Keboola) {
    let branch = format!("/v2/storage/branch/{}", keboola.main());
    let mut components = listing(
        keboola,
        &format!("{branch}/components?include=configuration,rows"),
    )
    .await;
    for component in components.as_array_mut().expect("it is a list") {
        for configuration in component["configurations"].as_array_mut().expect("it is one") {
            match configuration["id"].as_str() {
                Some("orders") => configuration["rows"][0]["id"] = Value::Null,
                Some("clean") => configuration["id"] = Value::Null,
                _ => {}
            }
        }
    }
    let mut tables = listing(
        keboola,
        &format!("{branch}/tables?include=buckets,columns,metadata,columnMetadata"),
    )
    .await;
    tables[0]["id"] = Value::Null;
    let mut buckets = listing(
        keboola,
        &format!("{branch}/buckets?include=metadata,linkedBuckets"),
    )
    .await;
    buckets[0]["id"] = Value::Null;
    for (name, body) in [
        ("components", components),
        ("tables", tables),
        ("buckets", buckets),
    ] {
        // Each by itself is as it was.
        keboola.fail(Fault {
            path: format!("{branch}/{name}/"),
            times: u32::MAX,
            kind: FaultKind::Slow(std::time::Duration::ZERO),
        });
        answer(keboola, format!("{branch}/{name}"), &body);
    }
}

/// Returns the files of objects.
pub(super) fn content(site: &Installation) -> BTreeMap<String, String> {
    let files = site.repository.files("main").into_keys();
    let of_objects = files.filter(|path| path.starts_with("configs") || path.starts_with("storage/"));
    let paths: Vec<String> = of_objects.collect();
    let contents = site.repository.contents("main", &paths);
    paths.into_iter().zip(contents).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_objects_of_listings_hold_up_nothing_and_take_nothing_away() {
    let (site, mut server) = mirrored().await;
    let keboola = &site.keboola;
    let main = keboola.main();
    let before = content(&site);
    let withheld = |lane: &Value| lane["withheld"].as_array().map_or(0, Vec::len);
    for loses_data in [false, true] {
        break_listings(keboola).await;
        if loses_data {
            server.stop().await;
            site.lose_data();
            server = site.start().await;
        } else {
            site.answer(&["mirror", "resync", "--mirror", MIRROR]);
        }
        let lane = until("everything is read, but for what cannot be", async || {
            let lane = server.lane(&main).await;
            (lane["state"] == "in sync" && withheld(&lane) > 0).then_some(lane)
        })
        .await;
        assert_eq!(lane["outage"], Value::Null, "{lane}");
        assert!(lane["withheld"].to_string().contains("orders"), "{lane}");
        assert_eq!(content(&site), before, "loses_data: {loses_data}");

        keboola.heal();
        site.answer(&["mirror", "resync", "--mirror", MIRROR]);
        until("nothing is withheld any more", async || {
            let lane = server.lane(&main).await;
            (lane["state"] == "in sync" && withheld(&lane) == 0).then_some(())
        })
        .await;
        assert_eq!(verify(&site), Some(0));
    }
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    server.stop().await;
    site.repository.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_whose_ids_cannot_be_used_are_counted_and_told_and_change_nothing_else() {
    let keboola = Keboola::small();
    let ran = keboola.run(&keboola.orders(), "success", &[]);
    let mut jobs = listing(&keboola, "/queue/search/jobs?limit=500").await;
    let good = jobs[0].clone();
    for id in ["a\nb", "", "\0", &format!("{TOKEN}\n")] {
        let mut job = good.clone();
        job["id"] = id.into();
        job["runId"] = id.into();
        jobs.as_array_mut().expect("it is a list").push(job);
    }
    answer(&keboola, "/queue/search/jobs".into(), &jobs);
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;

    let withheld = until("they are told", async || {
        let withheld = server.lane(&keboola.main()).await["withheldRuns"].clone();
        (withheld != serde_json::json!({})).then_some(withheld)
    })
    .await;
    let told = "keboola lists runs whose ids cannot be used; they are left out of the mirror";
    let told = until("it is logged", async || {
        Some(server.logged(told)).filter(|told| !told.is_empty())
    })
    .await;
    let named = |name: &str| withheld[name].as_str();
    assert_eq!(
        named("job \"a\\nb\""),
        Some("run id is not printable"),
        "{withheld}"
    );
    assert_eq!(named("job \"\""), Some("run id is empty"), "{withheld}");
    assert_eq!(
        named("job \"\\0\""),
        Some("run id is not printable"),
        "{withheld}"
    );
    assert!(withheld.to_string().contains("job sha256:"), "{withheld}");
    assert_eq!(
        withheld.as_object().map(serde_json::Map::len),
        Some(4),
        "{withheld}"
    );
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["runs"], 4, "{told:?}");
    assert!(!server.log().join("").contains(TOKEN));
    assert!(!withheld.to_string().contains(TOKEN));
    assert_eq!(verify(&site), Some(0), "it is no difference");
    assert!(site.has_run("main", &ran));
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(
        (&lane["outage"], &lane["putAside"]),
        (&Value::Null, &0.into()),
        "{lane}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_objects_of_listings_do_not_stop_a_first_sync() {
    let keboola = Keboola::small();
    break_listings(&keboola).await;
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let files = site.repository.files("main");
    let of = |id: &str| files.keys().any(|path| path.contains(id));
    assert!(!of("the-orders") && of("wide.json"), "{:?}", files.keys());
    let withheld = server.lane(&keboola.main()).await["withheld"].to_string();
    assert!(
        withheld.contains("orders") && withheld.contains("`id` of a row is missing"),
        "{withheld}"
    );
    keboola.heal();
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("the rest comes with the next reading", async || {
        (verify(&site) == Some(0)).then_some(())
    })
    .await;
    server.stop().await;
}

/// Has the fake list the branches so that one of them has no id.
async fn break_branch(keboola: &Keboola, branch: &str) {
    let mut branches = listing(keboola, "/v2/storage/dev-branches").await;
    let listed = branches.as_array_mut().expect("it is a list");
    let broken = listed
        .iter_mut()
        .find(|listed| listed["id"].as_u64() == branch.parse().ok());
    broken.expect("it is listed")["id"] = Value::Null;
    answer(keboola, "/v2/storage/dev-branches".into(), &branches);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_dev_branch_ends_neither_its_lane_nor_its_git_branch() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    site.configure(|options| {
        options.dev = ", look_every_ms = 1000, deleted = \"delete\"";
        options.mirror =
            "poll = { enabled = true, every_ms = 1000, unversioned_every_ms = 1000, hints_every_ms = 0 }";
    });
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let [malformed, gone] = ["Malformed", "Gone"].map(|name| keboola.branch(name, JANE));
    let [malformed_ref, gone_ref] = [&malformed, &gone].map(|branch| site.git_branch(branch));
    for git_branch in [&malformed_ref, &gone_ref] {
        until("the branch is mirrored", async || site.repository.tip(git_branch)).await;
    }
    site.settle(&mut server).await;
    let meta = |git_branch: &str| site.repository.file(git_branch, "configs/main/meta.json");
    let named = meta(&malformed_ref);
    assert!(named.is_some());

    // Beside one that is no more indeed.
    let by = keboola.by(JANE, "");
    keboola.delete_branch(&gone, &by).expect("there is such a branch");
    break_branch(&keboola, &malformed).await;
    until("the other one ends", async || {
        let is_open = server.lane(&gone).await != Value::Null;
        (!is_open && site.repository.tip(&gone_ref).is_none()).then_some(())
    })
    .await;
    let warning = "listed branches without a readable id are left out; no branch is taken for deleted for it";
    assert_eq!(server.logged(warning).len(), 1, "it is said once");
    let at = ConfigAt {
        branch: malformed.clone(),
        ..keboola.orders()
    };
    let shows = |name: &str| {
        let file = site.repository.file(&malformed_ref, CONFIG);
        file.is_some_and(|file| file.contains(name)).then_some(())
    };
    keboola.set(&at, JANE, "zz_edited", 1);
    until("its changes are mirrored", async || shows("zz_edited")).await;
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    let lane = until("it is read as a whole, but for its name", async || {
        let lane = server.lane(&malformed).await;
        let is_withheld = lane["withheld"]
            .to_string()
            .contains("branches that cannot be read");
        (lane["state"] == "in sync" && is_withheld).then_some(lane)
    })
    .await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    assert_eq!(meta(&malformed_ref), named);
    server.stop().await;

    // A process that begins knows nothing of it, and takes it up once it can be read.
    let mut server = site.start().await;
    let looked = keboola.requests("/v2/storage/dev-branches");
    until("it has looked for branches several times", async || {
        (keboola.requests("/v2/storage/dev-branches") > looked + 5).then_some(())
    })
    .await;
    assert_eq!(meta(&malformed_ref), named, "its Git branch is there");
    keboola.heal();
    keboola.set(&at, JANE, "zz_again", 2);
    until("its changes are mirrored again", async || shows("zz_again")).await;
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    site.settle(&mut server).await;
    assert_eq!(verify(&site), Some(0));
    server.stop().await;
    site.repository.fsck();
}

/// Gives metadata to both configurations and to the branch.
fn put_metadata(keboola: &Keboola) {
    let by = keboola.by(JANE, "");
    for (at, value) in [(keboola.orders(), "first"), (keboola.clean(), "second")] {
        keboola
            .set_configuration_metadata(&at, &by, &[("KBC.configuration.folderName", value)])
            .expect("it is there");
    }
    keboola
        .set_branch_metadata(&keboola.main(), &by, &[("KBC.projectDescription", "Described")])
        .expect("it is there");
}

/// Breaks metadata of the default branch: of `orders` and of the branch an entry has no key, and of the other
/// configuration the listing does not say whose it is.
async fn break_metadata(keboola: &Keboola) {
    let branch = format!("/v2/storage/branch/{}", keboola.main());
    let search = format!("{branch}/search/component-configurations");
    let mut listed = listing(keboola, &format!("{search}?include=filteredMetadata")).await;
    for configuration in listed.as_array_mut().expect("it is a list") {
        match configuration["configurationId"].as_str() {
            Some("orders") => configuration["metadata"][0]["key"] = Value::Null,
            Some("clean") => configuration["configurationId"] = Value::Null,
            _ => {}
        }
    }
    answer(keboola, search, &listed);
    let mut own = listing(keboola, &format!("{branch}/metadata")).await;
    own[0]["key"] = Value::Null;
    answer(keboola, format!("{branch}/metadata"), &own);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_metadata_holds_up_nothing_and_takes_nothing_away() {
    let keboola = Keboola::small();
    put_metadata(&keboola);
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let main = keboola.main();
    let before = content(&site);
    assert!(site.repository.holds("Described") && site.repository.holds("second"));

    break_metadata(&keboola).await;
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    let lane = until("everything is read, but for what cannot be", async || {
        let lane = server.lane(&main).await;
        let withheld = lane["withheld"].as_array().map_or(0, Vec::len);
        (lane["state"] == "in sync" && withheld > 0).then_some(lane)
    })
    .await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    let withheld = lane["withheld"].to_string();
    assert!(withheld.contains("\"object\":\"branch\""), "{withheld}");
    assert!(
        withheld.contains("orders") && !withheld.contains("clean"),
        "{withheld}"
    );
    assert_eq!(content(&site), before);
    keboola.heal();
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("nothing is withheld any more", async || {
        (verify(&site) == Some(0)).then_some(())
    })
    .await;
    server.stop().await;

    // A first sync goes without.
    break_metadata(&keboola).await;
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let shows = |id: &str| site.repository.files("main").keys().any(|path| path.contains(id));
    assert!(!shows("the-orders"));
    assert!(site.repository.holds("second"), "it was asked for by itself");
    keboola.heal();
    site.answer(&["mirror", "resync", "--mirror", MIRROR]);
    until("the rest comes with the next reading", async || {
        (verify(&site) == Some(0)).then_some(())
    })
    .await;
    assert_eq!(content(&site), before);
    server.stop().await;
}
