//! Where the mirror writes is changed: nothing of its own stays where it was, and nothing of others goes.

use crate::support::{Installation, JANE, Keboola, Options, Server, until};
use fake_keboola::ConfigAt;

const PREFIX: &str = "prefix = \"teams/data\"";
const BELOW: &str = "teams/data/";
/// What people keep in the repository, two of them in directories that are the mirror's.
const THEIRS: [&str; 3] = ["README.md", "configs/NOTES.md", "storage/plan.md"];

/// An installation over the small project with a run, in sync.
async fn mirrored(options: Options) -> (Installation, Server) {
    let site = Installation::new(&Keboola::small(), options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let keboola = &site.keboola;
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    (site, server)
}

/// Waits until the tip of a branch has the mirror's files below a prefix, and returns its files.
async fn moved(site: &Installation, branch: &str, prefix: &str) -> Vec<String> {
    until("everything is below the prefix", async || {
        let tip = site.repository.tip(branch)?;
        let files: Vec<String> = site.repository.files(&tip).into_keys().collect();
        files
            .contains(&format!("{prefix}configs/.keboola/manifest.json"))
            .then_some(files)
    })
    .await
}

/// Makes a dev branch with an edit of its own, and returns its id.
fn edited(site: &Installation, name: &str) -> String {
    let branch = site.keboola.branch(name, JANE);
    let at = ConfigAt {
        branch: branch.clone(),
        ..site.keboola.orders()
    };
    site.keboola.set(&at, JANE, "seen", name);
    branch
}

/// Returns what does not lie below the prefix.
fn elsewhere(files: &[String]) -> Vec<&str> {
    let files = files.iter().map(String::as_str);
    files.filter(|path| !path.starts_with(BELOW)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_a_former_prefix_goes_with_the_commit_that_writes_all_below_the_new_one() {
    let (mut site, server) = mirrored(Options::default()).await;
    server.stop().await;
    let commits = site.repository.count("main");
    let before = site.repository.files("main");
    let theirs: Vec<(&str, Option<&str>)> = THEIRS.iter().map(|path| (*path, Some("Of people\n"))).collect();
    site.repository.human_commit("main", &theirs, "Ours");
    site.configure(|options| options.mirror = PREFIX);

    // Before it is done, it is a difference, and is told.
    let verify = site.ask(&["verify", "--mirror", "shop"]);
    assert_eq!(verify.status.code(), Some(3), "{verify:?}");
    assert!(
        verify.stdout.contains("extra") && verify.stdout.contains("configs/.keboola/manifest.json"),
        "{}",
        verify.stdout
    );

    let mut server = site.start().await;
    let files = moved(&site, "main", BELOW).await;
    assert_eq!(elsewhere(&files), THEIRS);
    assert_eq!(site.repository.count("main"), commits + 2, "it is one commit");
    let after = site.repository.files("main");
    let missing = before
        .keys()
        .filter(|path| !after.contains_key(&format!("{BELOW}{path}")));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    for path in THEIRS {
        assert_eq!(site.repository.file("main", path).as_deref(), Some("Of people\n"));
    }
    let log = site.repository.log("main");
    assert_eq!(log[0].values("Mirror-Prefix"), ["teams%2Fdata"]);
    assert!(log[0].values("Keboola-Change").is_empty(), "{:?}", log[0]);

    // It goes on there.
    site.keboola.set(&site.keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    server.stop().await;
    let verify = site.ask(&["verify", "--mirror", "shop"]);
    assert_eq!(verify.status.code(), Some(0), "{verify:?}");
    assert_eq!(elsewhere(&moved(&site, "main", BELOW).await), THEIRS);

    // And back, without what this disk knew: people have put files where the mirror would write, which stops it.
    site.lose_data();
    site.share_guests();
    site.configure(|options| options.mirror = "");
    let mut server = site.start().await;
    let reason = until("somebody else's file stops it", async || {
        let lane = server.lane(&site.keboola.main()).await;
        lane["outage"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        reason.contains("configs/NOTES.md") && reason.contains("is not the mirror's"),
        "{reason}"
    );
    server.stop().await;
    let gone = [("configs/NOTES.md", None), ("storage/plan.md", None)];
    site.repository.human_commit("main", &gone, "Make room");
    server = site.start().await;
    moved(&site, "main", "").await;
    site.forget_deliveries();
    site.settle(&mut server).await;
    site.check(&["README.md"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_while_the_prefix_changes_leaves_neither_two_mirrors_nor_none() {
    for place in ["after-tree", "before-push", "after-push", "before-adopt"] {
        let (mut site, server) = mirrored(Options {
            dev_branches: false,
            ..Options::default()
        })
        .await;
        server.stop().await;
        let commits = site.repository.count("main");
        site.configure(|options| options.mirror = PREFIX);
        site.start_armed(place).await.was_killed().await;
        site.lose_data();
        site.share_guests();
        let mut server = site.start().await;
        let files = moved(&site, "main", BELOW).await;
        assert_eq!(elsewhere(&files), [""; 0], "{place}");
        site.forget_deliveries();
        site.settle(&mut server).await;
        assert_eq!(site.repository.count("main"), commits + 1, "{place}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_of_dev_branches_and_of_months_move_too() {
    let (mut site, mut server) = mirrored(Options {
        jobs: ", log = \"month-refs\"",
        ..Options::default()
    })
    .await;
    let dev = edited(&site, "Another look");
    site.settle(&mut server).await;
    server.stop().await;
    let months = site.repository.months("main");
    assert_eq!(months.len(), 1, "{months:?}");
    let runs = |site: &Installation| {
        let files: Vec<String> = site.repository.files(&months[0]).into_keys().collect();
        site.repository.contents(&months[0], &files)
    };
    let before = runs(&site);
    site.configure(|options| options.mirror = PREFIX);
    let mut server = site.start().await;
    let dev = site.git_branch(&dev);
    for branch in ["main", &dev] {
        assert_eq!(elsewhere(&moved(&site, branch, BELOW).await), [""; 0], "{branch}");
    }
    let files: Vec<String> = site.repository.files(&months[0]).into_keys().collect();
    assert_eq!(elsewhere(&files), [""; 0]);
    assert_eq!(runs(&site), before);

    // A dev branch that comes now starts where everything has moved.
    let later = edited(&site, "A later look");
    site.settle(&mut server).await;
    let later = site.git_branch(&later);
    assert_eq!(elsewhere(&moved(&site, &later, BELOW).await), [""; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_mirror_has_taken_over_stays() {
    let (mut site, server) = mirrored(Options::default()).await;
    server.stop().await;
    let before: Vec<String> = site.repository.files("main").into_keys().collect();
    let trailers = site.repository.log("main")[0].message.clone();
    let (_, trailers) = trailers
        .trim_end()
        .rsplit_once("\n\n")
        .expect("there are trailers");
    let theirs = format!(
        "Render everything anew\n\n{}",
        trailers.replace("Mirror-Lane: shop/", "Mirror-Lane: other/")
    );
    site.repository.human_commit("main", &[], &theirs);
    site.configure(|options| options.mirror = PREFIX);
    let mut server = site.start().await;
    let files = moved(&site, "main", BELOW).await;
    assert_eq!(elsewhere(&files), before);
    let warned = server.logged(
        "`prefix` was changed, and another mirror has committed since; what is below the former one stays, delete it where it is not the other's",
    );
    assert!(!warned.is_empty());
    site.settle(&mut server).await;
    server.stop().await;
}
