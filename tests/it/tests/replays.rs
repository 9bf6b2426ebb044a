//! What does it cost to replay a policy over a long history, in exchanges with the Git server, and does the server change
//! what is said?

use crate::support::{Installation, Keboola, Options, policy};
use serde_json::Value;

const CONFIG: &str = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
const MANIFEST: &str = "configs/.keboola/manifest.json";
/// Longer than a page of history.
const COMMITS: usize = 70;

/// Makes commits of which each has another number in the same file, another manifest, and every third one a file that the
/// next does not have. Returns their ids, oldest first.
fn grow(site: &Installation) -> Vec<String> {
    let message = site.repository.log("main")[0].message.clone();
    let config = site.repository.file("main", CONFIG).expect("it is there");
    let manifest = site.repository.file("main", MANIFEST).expect("it is there");
    let beside = CONFIG.replace("config.json", "beside.json");
    let commit = |number: usize| {
        let mut content: Value = serde_json::from_str(&config).expect("it is JSON");
        content["parameters"]["note"] = format!("CUST-{number:08}").into();
        let manifest = format!("{manifest}{}", "\n".repeat(number + 1));
        let comes = number
            .is_multiple_of(3)
            .then(|| format!("[\"CUST-9{number:07}\"]"));
        site.repository.human_commit(
            "main",
            &[
                (CONFIG, Some(&content.to_string())),
                (MANIFEST, Some(&manifest)),
                (&beside, comes.as_deref()),
            ],
            &message,
        )
    };
    (0..COMMITS).map(commit).collect()
}

/// Replays the newest commits, and returns what is said of the branch, and how many requests the server saw.
fn replay(site: &Installation, commits: usize) -> (Value, usize) {
    let seen = || {
        site.served
            .as_ref()
            .map_or_else(Vec::new, |served| served.http().take_seen())
    };
    drop(seen());
    let told = policy::replay(site, &["--since", "1h", "--commits-max", &commits.to_string()]);
    (told["branches"][0].clone(), seen().len())
}

/// Checks what is said of the newest commits against how they were made.
#[track_caller]
fn check(told: &Value, commits: &[String], of: usize, owner: &str) {
    let newest = &commits[commits.len() - of..];
    assert_eq!(told["commitsLookedAt"], of);
    assert_eq!(told["cut"], true, "there are older ones");
    let listed = told["commits"].as_array().expect("they are listed");
    let ids: Vec<&str> = listed
        .iter()
        .filter_map(|commit| commit["commit"].as_str())
        .collect();
    assert_eq!(ids, newest);
    let has_beside = |number: usize| number.is_multiple_of(3);
    let number = |commit: &Value, key: &str| commit[key].as_u64().expect("it is a number");
    // What the first one has, every one has, but for the file that comes and goes.
    let first = number(&listed[0], "files") - u64::from(has_beside(commits.len() - of));
    for (n, (commit, nth)) in listed.iter().zip(commits.len() - of..).enumerate() {
        let beside = u64::from(has_beside(nth));
        assert_eq!(number(commit, "files"), first + beside, "{commit:#}");
        if n > 0 {
            assert_eq!(number(commit, "newFindings"), 1 + beside, "{commit:#}");
        }
    }
    let files = told["files"].as_array().expect("they are listed");
    let file = |name: &str| {
        files
            .iter()
            .find(|file| file["path"] == name)
            .expect("it is told of")
    };
    let config = file(CONFIG);
    assert_eq!(config["configId"], owner);
    assert_eq!(config["contents"], of);
    assert_eq!(
        (config["first"].as_str(), config["last"].as_str()),
        (
            newest.first().map(String::as_str),
            newest.last().map(String::as_str)
        )
    );
    let beside = file(&CONFIG.replace("config.json", "beside.json"));
    assert_eq!(beside["configId"], owner);
    let with_beside = (commits.len() - of..commits.len())
        .filter(|number| has_beside(*number))
        .count();
    assert_eq!(beside["contents"], with_beside);
    assert_eq!(told["inAll"]["byRule"]["customer-number"], of + with_beside);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_history_within_a_page_costs_no_more_exchanges() {
    let mut site = Installation::over_https(&Keboola::small(), Options::default());
    policy::put_to_replay(&site);
    assert_eq!(site.once().status.code(), Some(0));
    let commits = grow(&site);
    let owner = site.keboola.orders().config.clone();

    let (ten, with_ten) = replay(&site, 10);
    check(&ten, &commits, 10, &owner);
    let (sixty, with_sixty) = replay(&site, 60);
    check(&sixty, &commits, 60, &owner);
    let (all, with_all) = replay(&site, COMMITS);
    check(&all, &commits, COMMITS, &owner);
    assert_eq!(with_ten, with_sixty);
    // A second page of commits, and another batch of manifests.
    assert_eq!(with_all, with_sixty + 2);

    // A server that filters nothing sends all files with each commit, so that fewer are asked for at once.
    for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
        site.repository.git(&["config", key, "false"]);
    }
    let (unfiltered, with_files) = replay(&site, COMMITS);
    assert_eq!(unfiltered, all);
    assert!(with_files > with_all && with_files < 2 * with_all, "{with_files}");

    // And so is what is said without a server.
    site.served = None;
    site.configure(|_| {});
    assert_eq!(replay(&site, COMMITS).0, all);
}

/// Each number stands where the policy finds it, and in the other file where it does not: in a longer word or number.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_a_file_has_nothing_of_what_was_found_in_any() {
    let site = Installation::new(&Keboola::small(), Options::default());
    policy::put_to_replay(&site);
    assert_eq!(site.once().status.code(), Some(0));
    let message = site.repository.log("main")[0].message.clone();
    let beside = CONFIG.replace("config.json", "beside.json");
    let files = [
        (CONFIG, r#"["CUST-00000001 with xCUST-00000002"]"#),
        (&beside, r#"["CUST-00000002 and not CUST-000000019"]"#),
    ];
    let changes = files.map(|(path, text)| (path, Some(text)));
    site.repository.human_commit("main", &changes, &message);
    let told = policy::replay(&site, &[]);
    let listed = told["branches"][0]["files"].as_array().expect("they are listed");
    for (path, before) in [
        (CONFIG, r#"["•••••• with x••••••"]"#),
        (&beside, r#"["•••••• and not ••••••9"]"#),
    ] {
        let file = listed.iter().find(|file| file["path"] == path);
        let file = file.expect("it is told of");
        assert_eq!(file["examples"][0]["before"], before, "{file:#}");
        assert!(!file.to_string().contains("CUST-0"), "{file:#}");
    }
}
