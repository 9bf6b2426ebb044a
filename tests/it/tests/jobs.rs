//! The history of runs: what is told at once, what stays, and that a late run finds its day.

use crate::support::{Installation, JANE, Keboola, Options, until};
use fake_keboola::ConfigAt;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;

fn at(day: u32, time: &str) -> Timestamp {
    format!("2026-10-{day:02}T{time}Z").parse().expect("a time")
}

/// Returns the run ids of a day's file, in order.
fn day(site: &Installation, day: u32) -> Option<Vec<String>> {
    let file = site
        .repository
        .file("main", &format!("jobs/2026/10/{day:02}.jsonl"))?;
    Some(file.lines().map(run_id).collect())
}

fn run_id(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    line["runId"].as_str().expect("a run has an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_run_finds_its_closed_day_and_days_that_are_too_old_go() {
    let keboola = Keboola::small();
    let options = Options {
        jobs: ", keep_days = 3",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let orders = keboola.orders();
    let first = keboola.run_at(at(1, "11:00:00"), &orders, "success", &[]);
    let third = keboola.run_at(at(3, "11:00:00"), &orders, "success", &[]);
    site.settle(&mut server).await;
    assert_eq!(day(&site, 1), Some(vec![first.clone()]));

    // The day is closed by now: only the repository has it.
    let before = site.repository.tip("main").expect("main is mirrored");
    let late = keboola.run_at(at(1, "10:00:00"), &orders, "error", &[]);
    site.settle(&mut server).await;
    assert_eq!(day(&site, 1), Some(vec![late.clone(), first.clone()]));
    let changed = site.repository.git(&["diff", "--name-only", &before, "main"]);
    let changed: BTreeSet<&str> = changed.lines().collect();
    assert_eq!(
        changed,
        BTreeSet::from(["jobs/2026/10/01.jsonl", "jobs/health.jsonl"])
    );
    // It is not told twice, and not after everything was lost either.
    let tip = site.repository.tip("main");
    site.forget_deliveries();
    site.settle(&mut server).await;
    server.stop().await;
    site.lose_data();
    let mut server = site.start().await;
    site.forget_deliveries();
    site.settle(&mut server).await;
    assert_eq!(
        site.repository
            .git(&["diff", tip.as_deref().unwrap_or_default(), "main"]),
        ""
    );
    site.check(&[]);

    // The newest run's day counts, whatever the clock says.
    let fourth = keboola.run_at(at(4, "00:00:00"), &orders, "success", &[]);
    site.settle(&mut server).await;
    assert_eq!(day(&site, 1), None, "it was kept for three days");
    assert_eq!(
        (day(&site, 3), day(&site, 4)),
        (Some(vec![third]), Some(vec![fourth]))
    );
    keboola.run_at(at(1, "12:00:00"), &orders, "success", &[]);
    site.settle(&mut server).await;
    assert_eq!(day(&site, 1), None, "a day that went does not come back");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_from_good_to_failing_and_back_does_not_wait_for_the_cadence() {
    let keboola = Keboola::small();
    let options = Options {
        // Longer than anything is waited for here.
        cadence: "24h",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let mut server = site.start().await;
    // One without runs: what has just changed twice flaps, and has to wait.
    let steady = keboola.create("steady", "Steady", JANE);
    site.settle(&mut server).await;
    let mut committed = site.repository.count("main");
    for (status, is_told) in [
        ("success", true),
        ("success", false),
        ("error", true),
        ("error", false),
        ("success", true),
    ] {
        keboola.run(&steady, status, &[]);
        site.deliver(&mut server).await.expect("the process lives");
        if is_told {
            // With those that waited.
            committed += 1;
            until("the run is mirrored", async || site.is_settled().then_some(())).await;
        }
        assert_eq!(site.repository.count("main"), committed, "{status}");
    }
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_allowance_a_day_has_totals_that_survive_repetition_and_the_loss_of_everything() {
    let keboola = Keboola::small();
    let options = Options {
        jobs: ", budget_bytes_month = 100000",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let (orders, clean) = (keboola.orders(), keboola.clean());
    for number in 0..60 {
        keboola.run(if number % 2 == 0 { &orders } else { &clean }, "success", &[]);
    }
    let failed = keboola.run(&orders, "error", &[]);
    site.settle(&mut server).await;
    let totals = site.repository.file("main", "jobs/2026/11/02-totals.jsonl");
    let totals = totals.expect("sixty lines are more than is allowed");
    assert_eq!(totals.matches("\"runs\":30,").count(), 2, "{totals}");
    let lines = site
        .repository
        .file("main", "jobs/2026/11/02.jsonl")
        .expect("failures stay");
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.contains(&format!("\"runId\":\"{failed}\"")));

    // One more, and everything else once more.
    keboola.run(&clean, "success", &[]);
    site.forget_deliveries();
    site.settle(&mut server).await;
    server.stop().await;
    site.lose_data();
    site.forget_deliveries();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let totals = site
        .repository
        .file("main", "jobs/2026/11/02-totals.jsonl")
        .unwrap_or_default();
    assert_eq!(totals.matches("\"runs\":30,").count(), 1, "{totals}");
    assert_eq!(totals.matches("\"runs\":31,").count(), 1, "{totals}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_mirrored_where_it_was_whoever_told_of_its_id_before() {
    let keboola = Keboola::small();
    let options = Options {
        keboola: "visible_within_ms = 0",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let branch = keboola.branch("Trial", JANE);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let run = keboola.run(
        &ConfigAt::new(&branch, "keboola.ex-shop", "orders"),
        "success",
        &[],
    );
    let event = site.hand_over().pop().expect("the end of a run is told");
    let post = async |event: &serde_json::Value| {
        let answer = server.post(&event.to_string()).await;
        answer.expect("the process listens").json()
    };
    let told_of = |project: &serde_json::Value, branch: &str| {
        let mut event = event.clone();
        event["projectId"] = project.clone();
        event["branchId"] = json!(branch);
        event
    };
    let accepted = |told: serde_json::Value| told["accepted"].as_u64();
    // By who may speak for another project only, and for a branch that the run was not in.
    let of_main = told_of(&event["projectId"], &keboola.main());
    for wrong in [told_of(&json!("999"), "1"), of_main] {
        assert_eq!(accepted(post(&wrong).await), Some(1));
    }
    until("the one of the wrong branch is put aside", async || {
        let letters = site.log()?.dead_letters;
        (letters == ["the run of this id is one of another branch"]).then_some(())
    })
    .await;
    assert_eq!(accepted(post(&event).await), Some(1));
    let git_branch = site.git_branch(&branch);
    until("the run is mirrored", async || {
        site.has_run(&git_branch, &run).then_some(())
    })
    .await;
    assert!(!site.has_run("main", &run));
    assert_eq!(accepted(post(&event).await), Some(0), "it is there once");
    site.settle(&mut server).await;
    server.stop().await;
}

/// Returns the run ids of a day's file on the branch of its month, in order.
fn day_of_month(site: &Installation, month: &str, day: &str) -> Option<Vec<String>> {
    let branch = format!("keboola-jobs/main/{month}");
    site.repository.tip(&branch)?;
    let file = site
        .repository
        .file(&branch, &format!("jobs/{}/{day}.jsonl", month.replace('-', "/")))?;
    Some(file.lines().map(run_id).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn months_have_branches_of_their_own_and_their_space_comes_back() {
    let keboola = Keboola::small();
    let options = Options {
        jobs: ", log = \"month-refs\", keep_days = 3",
        ..Options::default()
    };
    let site = Installation::new(&keboola, options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let orders = keboola.orders();
    let run = |at: &str, status| keboola.run_at(at.parse().expect("a time"), &orders, status, &[]);
    let september = run("2026-09-30T11:00:00Z", "success");
    let first = run("2026-10-01T11:00:00Z", "error");
    let second = run("2026-10-02T11:00:00Z", "success");
    site.settle(&mut server).await;
    assert_eq!(
        site.repository.months("main"),
        ["keboola-jobs/main/2026-09", "keboola-jobs/main/2026-10"]
    );
    assert_eq!(day_of_month(&site, "2026-10", "01"), Some(vec![first.clone()]));
    let on_main = site.repository.files("main").into_keys();
    let on_main: Vec<String> = on_main.filter(|path| path.starts_with("jobs/")).collect();
    assert_eq!(on_main, ["jobs/health.jsonl"]);
    let newest = &site.repository.log("keboola-jobs/main/2026-10")[0];
    assert!(newest.subject.starts_with("Record "), "{newest:?}");
    let guide = site
        .repository
        .file("main", "AGENTS.md")
        .expect("there is a guide");
    assert!(
        guide.contains("`keboola-jobs/<this branch>/<YYYY-MM>`"),
        "{guide}"
    );
    site.check(&[]);

    // The day is closed by now: only its month's branch has it.
    let late = run("2026-09-30T10:00:00Z", "success");
    site.settle(&mut server).await;
    let expected = Some(vec![late.clone(), september.clone()]);
    assert_eq!(day_of_month(&site, "2026-09", "30"), expected);
    // After a loss everything is read back, of all months, and nothing is new.
    let before = site.repository.git(&["for-each-ref"]);
    server.stop().await;
    site.lose_data();
    let mut server = site.start().await;
    site.forget_deliveries();
    site.settle(&mut server).await;
    site.check(&[]);
    assert_eq!(site.repository.git(&["for-each-ref"]), before);

    // The last day of September goes, and with it the branch.
    let gone = site
        .repository
        .tip("keboola-jobs/main/2026-09")
        .expect("it is there");
    let third = run("2026-10-03T11:00:00Z", "success");
    site.settle(&mut server).await;
    until("the month that is not kept is gone", async || {
        (site.repository.months("main") == ["keboola-jobs/main/2026-10"]).then_some(())
    })
    .await;
    site.repository.git(&["gc", "--quiet", "--prune=now"]);
    let found = site.repository.try_git(&["cat-file", "-e", &gone]);
    assert!(!found.status.success(), "Git still has the month");
    // A late run of it makes no branch, and October keeps what is older than three days.
    run("2026-09-30T09:00:00Z", "success");
    let tenth = run("2026-10-10T11:00:00Z", "success");
    site.settle(&mut server).await;
    assert_eq!(site.repository.months("main"), ["keboola-jobs/main/2026-10"]);
    for (day, expected) in [("01", first), ("02", second), ("03", third), ("10", tenth)] {
        assert_eq!(day_of_month(&site, "2026-10", day), Some(vec![expected]));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_move_to_branches_of_their_months_and_back() {
    let keboola = Keboola::small();
    let mut site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    let orders = keboola.orders();
    let first = keboola.run_at(at(1, "11:00:00"), &orders, "success", &[]);
    let fourth = keboola.run_at(at(4, "11:00:00"), &orders, "error", &[]);
    site.settle(&mut server).await;
    let (there, here) = ([Some(vec![first]), Some(vec![fourth])], [None, None]);
    let on_main = |site: &Installation| [1, 4].map(|n| day(site, n));
    let on_months = |site: &Installation| ["01", "04"].map(|n| day_of_month(site, "2026-10", n));
    assert_eq!((on_main(&site), on_months(&site)), (there.clone(), here.clone()));
    server.stop().await;

    site.configure(|options| options.jobs = ", log = \"month-refs\"");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the days are on the branch of their month", async || {
        (day(&site, 1).is_none()).then_some(())
    })
    .await;
    assert_eq!((on_main(&site), on_months(&site)), (here, there.clone()));
    site.check(&[]);
    server.stop().await;

    site.configure(|options| options.jobs = "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the days are on the branch of everything else", async || {
        (day(&site, 1).is_some()).then_some(())
    })
    .await;
    assert_eq!(on_main(&site), there);
    server.stop().await;

    site.configure(|options| options.jobs = ", enabled = false");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the history of runs is gone", async || {
        site.repository
            .file("main", "jobs/health.jsonl")
            .is_none()
            .then_some(())
    })
    .await;
    let files = site.repository.files("main");
    assert!(files.keys().all(|path| !path.starts_with("jobs/")), "{files:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_after_ten_newer_ones_counts_where_it_belongs() {
    let keboola = Keboola::small();
    let site = Installation::new(&keboola, Options::default());
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let orders = keboola.orders();
    for n in 0..12 {
        let at = at(1 + n / 4, &format!("{:02}:00:00", 10 + n));
        keboola.run_at(at, &orders, "error", &[]);
    }
    site.settle(&mut server).await;
    // Its day is closed by now, and so is the day after it but for what is read back.
    let late = keboola.run_at(at(1, "10:30:00"), &orders, "success", &[]);
    site.settle(&mut server).await;
    server.stop().await;
    let health = site.repository.file("main", "jobs/health.jsonl");
    let health = health.expect("there are runs");
    let line: Vec<serde_json::Value> = health
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .filter(|line: &serde_json::Value| line["lastSuccess"]["runId"] == json!(late))
        .collect();
    assert_eq!(line.len(), 1, "{health}");
    assert_eq!(
        line[0]["streak"],
        json!({"status": "FAILED", "count": 11, "since": "2026-10-01T11:00:00Z"})
    );
    site.check(&[]);
}
