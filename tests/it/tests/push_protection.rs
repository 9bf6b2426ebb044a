//! A server that does not take what it takes for a secret: that is kept back, and everything else goes on.

use crate::support::{BOT, Installation, JANE, Keboola, Options, PETR, Repository, Server, until};
use fake_keboola::{Author, JobSpec};
use git_servers::{HttpOptions, HttpServer};
use jiff::SignedDuration;
use mirror_it::{Rig, Settings, SourceAt};
use mirror_runtime::pipeline::error::AttemptError;
use serde_json::Value;

/// To the server a secret; to our policies some words.
const PHRASE: &str = "bluebird over the harbour";
const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";

/// Looks for the phrase in what is pushed, notes that it refused, and says so as GitHub does, of so many places.
fn github(places_max: usize) -> String {
    format!(
        r#"while read old new ref; do
    git grep -n --full-name -I -e '{PHRASE}' "$new" >found || continue
    echo "$new" >>refusals
    echo 'error: GH013: Repository rule violations found for '"$ref"'.'
    echo
    echo '- GITHUB PUSH PROTECTION'
    echo '  —————————————————————————————————————————'
    echo '    Resolve the following violations before pushing again'
    echo
    echo '    - Push cannot contain secrets'
    echo
    echo '      —— Harbour Phrase ————————————————————————————————'
    echo '       locations:'
    head -n {places_max} found | while IFS=: read commit path line rest; do
        echo "         - commit: $commit"
        echo "           path: $path:$line"
    done
    echo
    echo '       (?) To push, remove secret from commit(s) or follow this URL to allow the secret.'
    exit 1
done >&2"#
    )
}

/// As GitLab says it.
const GITLAB: &str = r#"while read old new ref; do
    git grep -n --full-name -I -e 'bluebird over the harbour' "$new" >found || continue
    echo "$new" >>refusals
    echo 'PUSH BLOCKED: Secrets detected in code changes'
    echo "Secret push protection found the following secrets in commit: $new"
    while IFS=: read commit path line rest; do echo "-- $path:$line | Harbour phrase"; done <found
    exit 1
done >&2"#;

/// Says that there is something, and not where.
const SILENT: &str = r#"while read old new ref; do
    git grep -q -I -e 'bluebird over the harbour' "$new" || continue
    echo "$new" >>refusals
    echo 'error: GH013: Repository rule violations found for '"$ref"'.'
    echo '- Push cannot contain secrets'
    exit 1
done >&2"#;

/// Refuses large files, as GitLab does.
const LARGE: &str = r#"while read old new ref; do
    git ls-tree -r -l --full-tree "$new" | awk '$4 > 20000 {print $5}' >found
    test -s found || continue
    echo "$new" >>refusals
    while read path; do echo "GitLab: File \"$path\" is larger than the allowed size of 20 KB"; done <found
    exit 1
done >&2"#;

/// An installation behind a server with such a hook, in sync.
async fn mirrored(hook: &str) -> (Installation, Server) {
    let site = Installation::over_https(&Keboola::small(), Options::default());
    site.repository.hook("pre-receive", hook);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(refusals(&site), 0);
    (site, server)
}

/// So often the server has refused a push.
fn refusals(site: &Installation) -> usize {
    let told = std::fs::read_to_string(site.repository.path().join("refusals"));
    told.unwrap_or_default().lines().count()
}

/// Returns the lines of `ai/withheld.jsonl`.
fn withheld(site: &Installation) -> Vec<Value> {
    let listed = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .unwrap_or_default();
    let line = |line| serde_json::from_str(line).expect("a line is JSON");
    listed.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_takes_for_a_secret_is_kept_back_until_it_changes() {
    for hook in [github(100), GITLAB.to_owned()] {
        let (site, mut server) = mirrored(&hook).await;
        let keboola = &site.keboola;
        let before = site.repository.file("main", CONFIG).expect("it is mirrored");
        // One window, one commit; only one of the two is to blame.
        keboola.set(&keboola.orders(), JANE, "note", PHRASE);
        keboola.set(&keboola.clean(), PETR, "note", "harmless");
        site.settle(&mut server).await;
        assert_eq!(refusals(&site), 1, "one push was refused, the next one taken");
        assert!(!site.repository.holds(PHRASE), "not even unreachable");
        assert_eq!(site.repository.file("main", CONFIG), Some(before));
        assert_eq!(site.repository.count("main"), 2);
        let listed = withheld(&site);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["object"], "keboola.ex-shop/orders");
        assert_eq!(listed[0]["reason"], "refused_by_remote secret");

        // Whoever runs it is told where and what to do.
        let lane = server.lane(&keboola.main()).await;
        let reason = lane["withheld"][0]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            reason.contains(CONFIG) && reason.contains("Harbour") && reason.contains("--release-refused"),
            "{lane}"
        );
        assert_eq!(lane["outage"], Value::Null, "{lane}");
        let told = server.logged("notice");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["notice"], "KeptBack", "{told:?}");
        let refused = server.metric("pushes_refused_total{reason=\"secrets\"}").await;
        assert_eq!(refused, Some(1.0));
        let kept = server
            .metric("objects_withheld_total{reason=\"refused_by_remote\"}")
            .await;
        assert_eq!(kept, Some(1.0));

        // Other changes pass without another refusal, whatever they have rendered anew.
        keboola.set(&keboola.clean(), JANE, "note", "still harmless");
        keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
        site.settle(&mut server).await;
        assert_eq!((refusals(&site), withheld(&site).len()), (1, 1));

        // Without the phrase it is taken again.
        keboola.set(&keboola.orders(), PETR, "note", "see the wiki");
        site.settle(&mut server).await;
        assert_eq!((refusals(&site), withheld(&site).len()), (1, 0));
        site.check_after_withholding(1);
        site.check_status(&server).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_back_over_restarts_and_full_renders_and_a_lost_disk_costs_one_refusal() {
    let (site, mut server) = mirrored(&github(100)).await;
    let keboola = &site.keboola;
    let before = site.repository.file("main", CONFIG).expect("it is mirrored");
    keboola.set(&keboola.orders(), JANE, "note", PHRASE);
    site.settle(&mut server).await;
    assert_eq!(refusals(&site), 1);
    server.stop().await;

    // Everything is rendered anew.
    let theirs = [(CONFIG, Some("{}\n"))];
    site.repository.human_commit("main", &theirs, "Try something");
    let mut server = site.start().await;
    until("everything is rendered anew", async || {
        let log = site.repository.log("main");
        (log.len() > 3).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (1, 1));
    assert_eq!(site.repository.file("main", CONFIG).as_ref(), Some(&before));
    server.stop().await;

    site.lose_data();
    let mut server = site.start().await;
    until("the lane is in sync", async || {
        let lane = server.lane(&keboola.main()).await;
        (lane["state"] == "in sync").then_some(())
    })
    .await;
    keboola.set(&keboola.clean(), PETR, "note", "harmless");
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (2, 1));
    assert_eq!(site.repository.file("main", CONFIG).as_ref(), Some(&before));
    assert!(!site.repository.holds(PHRASE));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_at_the_server_is_released_by_a_command() {
    let (site, mut server) = mirrored(&github(100)).await;
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "note", PHRASE);
    site.settle(&mut server).await;
    server.stop().await;
    site.once().ok();
    assert_eq!(withheld(&site).len(), 1, "it is not let go by itself");
    site.repository.unhook("pre-receive");
    site.once_with(&["--release-refused"]).ok();
    assert_eq!(withheld(&site).len(), 0);
    assert!(
        site.repository
            .file("main", CONFIG)
            .is_some_and(|config| config.contains(PHRASE))
    );
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check_after_withholding(1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_one_place_at_a_time_is_asked_as_often() {
    let (site, mut server) = mirrored(&github(1)).await;
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "note", PHRASE);
    keboola.set(&keboola.clean(), JANE, "note", PHRASE);
    let other = keboola.create("customers", "Customers", PETR);
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (2, 2));
    assert!(!site.repository.holds(PHRASE));
    // One that never had an earlier form is not there at all.
    keboola.set(&other, JANE, "note", "x");
    let at = keboola.create("suppliers", "Suppliers", PETR);
    keboola.set(&at, PETR, "note", PHRASE);
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (3, 3));
    keboola.set(&at, PETR, "note", "y");
    keboola.set(&keboola.orders(), JANE, "note", "y");
    keboola.set(&keboola.clean(), JANE, "note", "y");
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (3, 0));
    site.check_after_withholding(3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_name_is_kept_out_of_shared_files_too() {
    let (site, mut server) = mirrored(&github(100)).await;
    let keboola = &site.keboola;
    keboola.rename(&keboola.orders(), JANE, PHRASE);
    keboola.set(&keboola.clean(), PETR, "note", "harmless");
    site.settle(&mut server).await;
    assert!(!site.repository.holds(PHRASE));
    let listed = withheld(&site);
    assert_eq!((refusals(&site), listed.len()), (1, 1), "{listed:?}");
    keboola.rename(&keboola.orders(), JANE, "Orders of the shop");
    site.settle(&mut server).await;
    assert_eq!((refusals(&site), withheld(&site).len()), (1, 0));
    site.check_after_withholding(1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_a_secret_in_its_message_is_left_out_and_the_others_are_told_of() {
    let (site, mut server) = mirrored(&github(100)).await;
    let keboola = &site.keboola;
    let ended = keboola.now();
    let bad = keboola.finish_job(JobSpec {
        at: keboola.orders(),
        status: "error".into(),
        author: Author {
            token_id: BOT.0,
            name: BOT.1.into(),
        },
        started: ended - SignedDuration::from_secs(60),
        ended,
        message: format!("cannot log in with {PHRASE}"),
        inputs: Vec::new(),
        outputs: Vec::new(),
        artifact_links: Vec::new(),
    });
    let bad = bad.expect("there is such a configuration");
    let good = keboola.run(&keboola.clean(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert!(!site.repository.holds(PHRASE));
    assert_eq!(refusals(&site), 1);
    let files = site.repository.files("main");
    let days: Vec<String> = files
        .into_keys()
        .filter(|path| path.starts_with("jobs/20"))
        .collect();
    let told = site.repository.contents("main", &days).concat();
    assert!(told.contains(&good) && !told.contains(&bad), "{told}");
    let listed = withheld(&site);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["object"], format!("job {bad}"));
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    assert_eq!(refusals(&site), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_names_nothing_stops_the_lane_and_is_not_repeated() {
    let (site, mut server) = mirrored(SILENT).await;
    let keboola = &site.keboola;
    let pushed = site.repository.tip("main");
    keboola.set(&keboola.orders(), JANE, "note", PHRASE);
    keboola.set(&keboola.clean(), PETR, "note", "harmless");
    site.deliver(&mut server).await.expect("the process lives");
    let reason = until("the lane says what is wrong", async || {
        let lane = server.lane(&keboola.main()).await;
        lane["outage"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        reason.contains("nothing is lost")
            && reason.contains("Remove it in keboola")
            && reason.contains("GH013"),
        "{reason}"
    );
    assert_eq!((refusals(&site), site.repository.tip("main")), (1, pushed));
    let told = server.logged("notice");
    assert!(
        told.iter().any(|line| line["notice"] == "NeedsCustomer"),
        "{told:?}"
    );

    // Mended at the source: the newest is sent, with everything that waited.
    keboola.set(&keboola.orders(), JANE, "note", "see the wiki");
    site.deliver(&mut server).await.expect("the process lives");
    server.stop().await;
    site.once().ok();
    assert_eq!(
        refusals(&site),
        2,
        "a new process tries what was refused once more"
    );
    assert_eq!(site.repository.count("main"), 2);
    assert!(!site.repository.holds(PHRASE));
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_one_process_a_refused_commit_is_sent_once() {
    let keboola = Keboola::small();
    let source = SourceAt {
        url: keboola.url().to_owned(),
        token: keboola.token().to_owned(),
        project: keboola.project().project_id,
    };
    let mut rig = Rig::new(source, Settings::default()).await;
    let repository = Repository::at(rig.repository());
    let root = rig.repository().parent().expect("it lies somewhere").to_owned();
    let start = || HttpServer::start(&root, HttpOptions::default());
    let server = std::thread::scope(|scope| scope.spawn(start).join()).expect("the server starts");
    rig.restart(|_, settings| {
        settings.lines = "[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n".to_owned();
        settings.repository = format!("repository = \"{}\"", server.url("repository.git"));
    })
    .await;
    repository.hook("pre-receive", SILENT);
    rig.attempt().await;
    let refused = || {
        let told = std::fs::read_to_string(repository.path().join("refusals"));
        told.unwrap_or_default().lines().count()
    };
    let mut told = 0;
    let mut post = async |rig: &Rig| {
        let events = keboola.outbox(told);
        told = events.last().map_or(told, |event| event.seq);
        let events: Vec<String> = events.into_iter().map(|event| event.json).collect();
        rig.post(&events).await;
    };
    keboola.set(&keboola.orders(), JANE, "note", PHRASE);
    post(&rig).await;
    let error = rig.try_attempt().await.expect_err("it is refused");
    assert!(matches!(error, AttemptError::Unnamed { .. }), "{error:?}");
    for _ in 0..3 {
        let error = rig.try_attempt().await.expect_err("it is not sent");
        assert!(matches!(error, AttemptError::NotSentAgain { .. }), "{error:?}");
    }
    assert_eq!((refused(), repository.count("main")), (1, 1));

    // Something else that is told does not mend it, but it is another commit.
    keboola.set(&keboola.clean(), PETR, "note", "harmless");
    post(&rig).await;
    let error = rig.try_attempt().await.expect_err("it is refused");
    assert!(matches!(error, AttemptError::Unnamed { .. }), "{error:?}");
    assert_eq!((refused(), repository.count("main")), (2, 1));

    keboola.set(&keboola.orders(), JANE, "note", "see the wiki");
    post(&rig).await;
    let done = rig.attempt().await;
    assert_eq!(done.landed.map(|landed| landed.events), Some(3));
    assert_eq!((refused(), repository.count("main")), (2, 2));
    repository.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_for_the_server_is_kept_back_too() {
    let (site, mut server) = mirrored(LARGE).await;
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "note", "x".repeat(50_000));
    keboola.set(&keboola.clean(), PETR, "note", "harmless");
    site.settle(&mut server).await;
    let listed = withheld(&site);
    assert_eq!((refusals(&site), listed.len()), (1, 1), "{listed:?}");
    assert_eq!(listed[0]["reason"], "refused_by_remote file-too-large");
    keboola.set(&keboola.orders(), JANE, "note", "x");
    site.settle(&mut server).await;
    site.check_after_withholding(1);
    server.stop().await;
}
