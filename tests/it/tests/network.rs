//! A repository behind a server: others who push at the same time, a lost disk, signed commits.

use crate::support::{self, Installation, JANE, Keboola, Options, PETR, Server, run, until};
use git_servers::{ForwardProxy, HttpOptions};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";

async fn mirrored(site: Installation) -> (Installation, Server) {
    let mut server = site.start().await;
    site.settle(&mut server).await;
    (site, server)
}

async fn https() -> (Installation, Server) {
    mirrored(Installation::over_https(&Keboola::small(), Options::default())).await
}

/// Lets somebody else's commit land while the server takes a push, so often; `more` may add to its index.
fn race(site: &Installation, times: u32, more: &str) {
    let hook = format!(
        r#"n=$(cat races 2>/dev/null || echo 0)
test $n -lt {times} || exit 0
echo $((n + 1)) >races
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
export GIT_INDEX_FILE=race-index
tip=$(git rev-parse refs/heads/main)
git read-tree $tip
blob=$(printf 'theirs \377 %s' $n | git hash-object -w --stdin)
git update-index --add --cacheinfo 100755,$blob,docs/theirs-$n.bin
{more}
commit=$(git commit-tree $(git write-tree) -p $tip -m "Theirs $n")
git update-ref refs/heads/main $commit
rm race-index"#
    );
    site.repository.hook("pre-receive", &hook);
}

fn races(site: &Installation) -> u32 {
    let told = std::fs::read_to_string(site.repository.path().join("races")).unwrap_or_default();
    told.trim().parse().unwrap_or_default()
}

/// Checks that what others put into `docs/` is there as they put it.
fn check_theirs(site: &Installation, count: u32) {
    let files = site.repository.files("main");
    for number in 0..count {
        let (mode, blob) = &files[&format!("docs/theirs-{number}.bin")];
        let size = site.repository.git(&["cat-file", "-s", blob]);
        assert_eq!((mode.as_str(), size.as_str()), ("100755", "10"));
    }
    let subjects: Vec<String> = site
        .repository
        .log("main")
        .into_iter()
        .map(|commit| commit.subject)
        .collect();
    let theirs: BTreeSet<&String> = subjects
        .iter()
        .filter(|subject| subject.starts_with("Theirs"))
        .collect();
    assert_eq!(theirs.len(), count as usize, "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_others_that_land_during_a_push_are_built_upon() {
    let (site, mut server) = https().await;
    let keboola = &site.keboola;
    race(&site, 3, "");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(races(&site), 3);
    check_theirs(&site, 3);
    let log = site.repository.log("main");
    assert_eq!(log.len(), 5, "two of the mirror's and three of theirs");
    assert!(log[0].subject.starts_with("Update"), "{}", log[0].subject);
    assert!(!log[0].message.contains("somebody else"), "{}", log[0].message);
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    assert!(server.logged("notice").is_empty(), "nobody need know");
    site.check(&["docs/theirs-0.bin", "docs/theirs-1.bin", "docs/theirs-2.bin"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_the_repositorys_own_credential_is_withheld() {
    let (site, mut server) = https().await;
    let keboola = &site.keboola;
    // Nothing but that it is the run's own tells that it is a secret.
    keboola.set(
        &keboola.orders(),
        JANE,
        "note",
        format!("then {} it is", support::GIT_TOKEN),
    );
    keboola.set(&keboola.clean(), PETR, "neighbour", "passes");
    site.settle(&mut server).await;
    let reason = until("it is withheld", async || {
        let lane = server.lane(&keboola.main()).await;
        lane["withheld"][0]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(reason.contains("guard-known-secret"), "{reason}");
    for (path, (_, blob)) in site.repository.files("main") {
        let content = site.repository.git(&["cat-file", "-p", &blob]);
        assert!(!content.contains(support::GIT_TOKEN), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_in_the_mirrors_files_during_a_push_is_overwritten_and_said_so() {
    let (site, mut server) = https().await;
    let keboola = &site.keboola;
    let more = format!(
        "mine=$(echo mine | git hash-object -w --stdin)\ngit update-index --cacheinfo 100644,$mine,{CONFIG}\n\
         git update-index --force-remove storage/metadata/in.c-shop/orders.json"
    );
    race(&site, 1, &more);
    keboola.set(&keboola.clean(), PETR, "note", "x");
    site.settle(&mut server).await;
    check_theirs(&site, 1);
    let log = site.repository.log("main");
    assert_eq!(log.len(), 3);
    assert_eq!(log[0].parents, [log[1].id.as_str()]);
    assert!(log[0].author.starts_with("petr"), "{}", log[0].author);
    assert!(
        log[0]
            .message
            .contains("that somebody else had changed are again as Keboola has them"),
        "{}",
        log[0].message
    );
    site.check(&["docs/theirs-0.bin"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_always_overtaken_waits_and_says_so_and_loses_nothing() {
    let (site, mut server) = https().await;
    let keboola = &site.keboola;
    race(&site, 100, "");
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("the process lives");
    let reason = until("the lane says that it waits", async || {
        let lane = server.lane(&keboola.main()).await;
        lane["outage"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(reason.contains("moved since it was read"), "{reason}");
    let tried = races(&site);
    assert_eq!(tried, 6, "once, and five times at once");
    server.stop().await;
    site.repository.unhook("pre-receive");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    check_theirs(&site, tried);
    let foreign: Vec<String> = (0..tried)
        .map(|number| format!("docs/theirs-{number}.bin"))
        .collect();
    site.check(&foreign.iter().map(String::as_str).collect::<Vec<_>>());
    server.stop().await;
}

/// Loses the data directory, and expects the next commit to be as small as if nothing had been lost.
async fn check_recovery(options: HttpOptions, settings: &[(&str, &str)]) {
    let site = Installation::over_https_with(&Keboola::generated(60), Options::default(), options);
    for (key, value) in settings {
        site.repository.git(&["config", key, value]);
    }
    let (site, server) = mirrored(site).await;
    let keboola = &site.keboola;
    let http = |site: &Installation| site.served.as_ref().expect("it is served").http().take_seen();
    let size = |requests: &[git_servers::Seen]| -> usize {
        let pushes = requests
            .iter()
            .filter(|seen| seen.path.ends_with("/git-receive-pack"));
        pushes.map(|seen| seen.body.len()).sum()
    };
    let snapshot = size(&http(&site));
    server.stop().await;
    let before = site.repository.tip("main");
    site.lose_data();
    let mut server = site.start().await;
    until("the lane is in sync", async || {
        let lane = server.lane(&keboola.main()).await;
        (lane["state"] == "in sync").then_some(())
    })
    .await;
    assert_eq!(site.repository.tip("main"), before, "nothing differs");
    drop(http(&site));
    let at = keboola.project().default_branch().configurations[3].clone();
    let at = fake_keboola::ConfigAt::new(&keboola.main(), &at.component_id, at.id());
    keboola.set(&at, JANE, "z", 2);
    site.settle(&mut server).await;
    let change = size(&http(&site));
    assert!(
        change > 0 && change * 10 < snapshot,
        "{change} bytes after {snapshot}"
    );
    let log = site.repository.log("main");
    assert_eq!(log[0].parents, [before.expect("there was a commit")]);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_costs_one_fetch_without_files() {
    check_recovery(HttpOptions::default(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_made_good_by_a_server_that_filters_nothing() {
    let plain = [
        ("uploadpack.allowFilter", "false"),
        ("uploadpack.allowAnySHA1InWant", "false"),
    ];
    check_recovery(HttpOptions::default(), &plain).await;
    // Nor knows anything newer than the first version of the protocol.
    let old = HttpOptions {
        protocol_version_2: false,
        ..HttpOptions::default()
    };
    check_recovery(old, &plain).await;
}

/// Makes a key with `ssh-keygen` and returns its public half.
fn keygen(site: &Installation, name: &str, kind: &str, passphrase: &str) -> String {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "mirror", "-f"])
        .arg(site.path(name));
    run(&mut command).ok();
    std::fs::read_to_string(site.path(&format!("{name}.pub"))).expect("the key was made")
}

/// Checks each commit of each branch as Git does, and returns them.
fn check_signed(site: &Installation, public: &str) -> BTreeSet<String> {
    site.write("signers", &format!("mirror@example.com {public}"));
    let signers = format!("gpg.ssh.allowedSignersFile={}", site.path("signers").display());
    let mut seen = BTreeSet::new();
    for branch in site.repository.branches() {
        for commit in site.repository.log(&branch) {
            site.repository
                .git(&["-c", &signers, "verify-commit", &commit.id]);
            seen.insert(commit.id);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_months_are_signed_as_those_of_the_lanes_own_branch_are() {
    let options = Options {
        mirror: "signing_key = \"file:signing-key\"",
        jobs: ", log = \"month-refs\"",
        ..Options::default()
    };
    let site = Installation::over_https(&Keboola::small(), options);
    let public = keygen(&site, "signing-key", "ed25519", "");
    let keboola = &site.keboola;
    keboola.run(&keboola.orders(), "success", &[]);
    // The process that pushed the first month dies before it can note that.
    let mut server = site.start_armed("after-month-push").await;
    site.deliver(&mut server).await.ok();
    server.was_killed().await;
    let months = site.repository.months("main");
    let pushed: Vec<_> = months.iter().map(|month| site.repository.tip(month)).collect();
    let (site, mut server) = mirrored(site).await;
    for (month, pushed) in months.iter().zip(pushed) {
        assert!(pushed.is_some());
        assert_eq!(site.repository.tip(month), pushed, "it is not written twice");
    }
    // One on top of it, and one of another month.
    let keboola = &site.keboola;
    keboola.run(&keboola.orders(), "error", &[]);
    let earlier = keboola.now() - jiff::SignedDuration::from_hours(24 * 8);
    keboola.run_at(earlier, &keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    server.stop().await;
    let months = site.repository.months("main");
    assert!(months.len() >= 2, "{months:?}");
    let seen = check_signed(&site, &public);
    for month in months {
        let log = site.repository.log(&month);
        assert!(log.iter().all(|commit| seen.contains(&commit.id)));
    }
    let unsigned = site
        .repository
        .human_commit("keboola-jobs/main/2026-11", &[("a", Some("b"))], "By hand");
    let signers = format!("gpg.ssh.allowedSignersFile={}", site.path("signers").display());
    let checked = site
        .repository
        .try_git(&["-c", &signers, "verify-commit", &unsigned]);
    assert!(!checked.status.success(), "the check can fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_commit_is_signed_and_made_again_it_is_the_same() {
    let options = Options {
        mirror: "signing_key = \"file:signing-key\"",
        ..Options::default()
    };
    let site = Installation::over_https(&Keboola::small(), options);
    let public = keygen(&site, "signing-key", "ed25519", "");
    // The server refuses the first commit in its own way, and the process that made it dies.
    site.repository
        .hook("pre-receive", "while read old new ref; do echo $new >>told; done");
    let mut server = site.start_armed("after-push").await;
    server.was_killed().await;
    let pushed = site.repository.tip("main").expect("it was pushed");
    // As if it had never come: whoever comes next makes the same.
    site.repository.delete("main");
    let (site, mut server) = mirrored(site).await;
    assert_eq!(
        site.repository.tip("main"),
        Some(pushed),
        "the same commit, signature and all"
    );
    let keboola = &site.keboola;
    keboola.set(&keboola.orders(), JANE, "z", 2);
    keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    let branch = keboola.branch("Loyalty", JANE);
    let copy = fake_keboola::ConfigAt::new(&branch, "keboola.snowflake-transformation", "clean");
    keboola.set(&copy, PETR, "points", true);
    site.settle(&mut server).await;
    server.stop().await;

    let seen = check_signed(&site, &public);
    assert!(seen.len() >= 3, "{seen:?}");
    let mut test = support::command();
    test.args(["mirror", "test", "--mirror", support::MIRROR, "--config"])
        .arg(site.path("mirror.toml"));
    let tested = run(&mut test).ok();
    assert!(tested.contains("a signed commit by"), "{tested}");
    let mut site = site;
    // Whom the tree is compared with has no key.
    site.configure(|options| options.mirror = "");
    site.check(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_sign_is_told_at_the_start() {
    let keboola = Keboola::small();
    let options = Options {
        mirror: "signing_key = \"file:signing-key\"",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let check = |expected: &str| {
        let output = site.once();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(expected), "{}", output.stderr);
        for arguments in [
            &["config", "check", "--config"][..],
            &["mirror", "test", "--mirror", support::MIRROR, "--config"],
        ] {
            let mut command = support::command();
            command.args(arguments).arg(site.path("mirror.toml"));
            let output = run(&mut command);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            assert!(output.stderr.contains(expected), "{}", output.stderr);
        }
    };
    check("cannot read credential file");
    keygen(&site, "signing-key", "ed25519", "secret");
    check("protected by a passphrase");
    site.write("signing-key", "no key\n");
    check("not an OpenSSH private key");
    assert_eq!(site.repository.tip("main"), None);
}

/// Made up, like everything here.
const PROXY_PASSWORD: &str = "pr0xy-s3cret-4711";

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_for_a_password_gets_the_one_that_is_referred_to() {
    let proxy = ForwardProxy::start(Some(("corp", PROXY_PASSWORD)));
    let options = Options {
        git: format!(
            "proxy = \"{}\"\nproxy_credential = {{ user = \"corp\", password = \"file:proxy-password\" }}\n",
            proxy.url()
        ),
        ..Options::default()
    };
    let site = Installation::over_https(&Keboola::small(), options);
    let missing = site.once();
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    assert!(
        missing
            .stderr
            .contains("`git.proxy_credential.password` cannot be read"),
        "{missing:?}"
    );
    site.write("proxy-password", "another\n");
    let refused = site.once();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("did not accept its user and password"),
        "{refused:?}"
    );
    assert!(proxy.take_seen().iter().all(|seen| !seen.is_let_through));

    site.write("proxy-password", &format!("{PROXY_PASSWORD}\n"));
    let done = site.once();
    assert!(done.status.success(), "{done:?}");
    let seen = proxy.take_seen();
    assert!(
        !seen.is_empty()
            && seen
                .iter()
                .all(|seen| seen.is_let_through && seen.method == "CONNECT"),
        "{seen:?}"
    );
    let encoded = data_encoding::BASE64.encode(format!("corp:{PROXY_PASSWORD}").as_bytes());
    for told in [done.stdout, done.stderr, refused.stderr] {
        assert!(
            !told.contains(PROXY_PASSWORD) && !told.contains(&encoded),
            "{told}"
        );
    }
    assert!(!site.repository.holds(PROXY_PASSWORD));
    site.check(&[]);
}

/// Lets nobody in as author or committer who has no address of the company.
const OWN_ADDRESSES_ONLY: &str = r#"while read old new ref; do
case $new in 0000*) continue;; esac
for c in $(git rev-list $new --not --all); do for e in $(git show -s --format='%ae %ce' $c); do
case $e in *@allowed.example) ;; *) echo "GitLab: Commit author's email '$e' does not follow the pattern" >&2; exit 1;; esac
done; done; done"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_own_addresses_only_gets_commits_of_one_it_accepts() {
    let keboola = Keboola::small();
    let mut site = Installation::over_https(&keboola, Options::default());
    site.repository.hook("pre-receive", OWN_ADDRESSES_ONLY);
    let test = |site: &Installation| {
        let mut test = support::command();
        test.args(["mirror", "test", "--mirror", support::MIRROR, "--config"])
            .arg(site.path("mirror.toml"));
        run(&mut test)
    };
    let advice = "commit = { email = \"…\", authors = \"mirror\" }";
    for refused in [test(&site), site.once()] {
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = refused.stdout.clone() + &refused.stderr;
        assert!(told.contains(advice), "{told}");
    }
    assert_eq!(site.repository.tip("main"), None);

    site.configure(|options| {
        options.mirror =
            "commit = { name = \"ACME Mirror\", email = \"mirror@allowed.example\", authors = \"mirror\" }";
    });
    let tested = test(&site).ok();
    assert!(
        tested.contains("a commit by <mirror@allowed.example>"),
        "{tested}"
    );
    site.once().ok();
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.once().ok();
    let log = site.repository.log("main");
    assert_eq!(log.len(), 2);
    for commit in &log {
        let own = "ACME Mirror <mirror@allowed.example>";
        assert_eq!((commit.author.as_str(), commit.committer.as_str()), (own, own));
    }
    assert_eq!(log[0].values("Co-authored-by").len(), 1, "{}", log[0].message);
    site.check(&[]);

    // Another identity is for commits to come: nothing is rendered anew for it.
    site.configure(|options| {
        options.mirror = "commit = { email = \"other@allowed.example\", authors = \"mirror\" }";
    });
    site.once().ok();
    assert_eq!(site.repository.log("main").len(), 2);
}
