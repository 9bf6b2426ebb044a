//! What if the branch of a month of runs takes no pushes? Everything else goes on, no run is lost, and admins are told once.

use crate::support::{
    BOT, Installation, JANE, Keboola, MIRROR, Options, PETR, Receiver, Server, each_round, until,
};
use fake_keboola::{Author, JobSpec};
use jiff::{SignedDuration, Timestamp};
use mirror_runtime::crash::MONTH_PLACES;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

const MONTH: &str = "keboola-jobs/main/2026-11";
/// Refuses every month, and notes what it refused.
const PROTECTED: &str = r#"case "$1" in refs/heads/keboola-jobs/*)
    echo "$3" >>refusals
    echo 'error: GH006: Protected branch update failed for '"$1"'.' >&2
    exit 1
esac"#;
/// To the server a secret; to our policies some words.
const PHRASE: &str = "bluebird over the harbour";
/// Looks for the phrase in months, and says where it is as GitHub does.
const SECRETS: &str = r#"while read old new ref; do
    case "$ref" in refs/heads/keboola-jobs/*) ;; *) continue ;; esac
    git grep -n --full-name -I -e 'bluebird over the harbour' "$new" >found || continue
    echo "$new" >>refusals
    echo 'error: GH013: Repository rule violations found for '"$ref"'.'
    echo '- GITHUB PUSH PROTECTION'
    echo '    - Push cannot contain secrets'
    echo '      —— Harbour Phrase ————————————————————————————————'
    echo '       locations:'
    while IFS=: read commit path line rest; do
        echo "         - commit: $commit"
        echo "           path: $path:$line"
    done <found
    exit 1
done >&2"#;
/// Says that there is something, and not where.
const SILENT: &str = r#"while read old new ref; do
    case "$ref" in refs/heads/keboola-jobs/*) ;; *) continue ;; esac
    git grep -q -I -e 'bluebird over the harbour' "$new" || continue
    echo "$new" >>refusals
    echo 'error: GH013: Repository rule violations found for '"$ref"'.'
    echo '- Push cannot contain secrets'
    exit 1
done >&2"#;

fn options(receiver: Option<&Receiver>) -> Options {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mirror = receiver.map(|receiver| {
        let webhook = receiver.url("/hook");
        leak(format!(
            "notify = [{{ webhook = \"{webhook}\", secret = \"file:webhook-secret\" }}]"
        ))
    });
    Options {
        jobs: ", log = \"month-refs\"",
        dev_branches: false,
        mirror: mirror.unwrap_or_default(),
        ..Options::default()
    }
}

/// An installation behind a server, in sync, whose admins are told by a webhook.
async fn mirrored(receiver: &Receiver) -> (Installation, Server) {
    let site = Installation::over_https(&Keboola::small(), options(Some(receiver)));
    site.write("webhook-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let config = site.config();
    site.write(
        "mirror.toml",
        &config.replace("[git]\n", "[git]\nallow_plain_http = true\n"),
    );
    let mut server = site.start().await;
    begin(&site, &mut server).await;
    (site, server)
}

/// Brings the present month in, for which an old one of the project goes.
async fn begin(site: &Installation, server: &mut Server) {
    site.settle(server).await;
    site.keboola.run(&site.keboola.orders(), "success", &[]);
    site.settle(server).await;
    until("there is one month", async || {
        (site.repository.months("main") == [MONTH]).then_some(())
    })
    .await;
}

fn refusals(site: &Installation) -> usize {
    let told = std::fs::read_to_string(site.repository.path().join("refusals"));
    told.unwrap_or_default().lines().count()
}

/// Returns what the branches of months have.
fn lines(site: &Installation) -> String {
    let mut lines = String::new();
    for month in site.repository.months("main") {
        let files = site.repository.files(&month).into_keys();
        let days: Vec<String> = files.filter(|path| path.starts_with("jobs/")).collect();
        lines.extend(site.repository.contents(&month, &days));
    }
    lines
}

/// Returns the ids of the runs that the branches of months have.
fn runs(site: &Installation) -> BTreeSet<String> {
    let mut runs = BTreeSet::new();
    for line in lines(site).lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        runs.insert(line["runId"].as_str().expect("a run has an id").to_owned());
    }
    runs
}

/// Waits until the status names so many months as refused, and returns them.
async fn refused(server: &Server, site: &Installation, count: usize) -> Vec<Value> {
    until("the status says which months are refused", async || {
        let lane = server.lane(&site.keboola.main()).await;
        let months = lane["monthsRefused"].as_array().cloned().unwrap_or_default();
        (months.len() == count).then_some(months)
    })
    .await
}

/// Waits until so many notices were posted, and returns what they are and what they say.
async fn told(receiver: &Receiver, count: usize) -> Vec<(String, Value)> {
    let posted = until("notices arrive", async || {
        let mut seen = BTreeSet::new();
        // Whoever dies after sending sends once more, under the same id.
        let posted = receiver.posted("/hook").into_iter();
        let posted: Vec<_> = posted
            .filter(|one| seen.insert(one.headers["webhook-id"].clone()))
            .collect();
        (posted.len() >= count).then_some(posted)
    })
    .await;
    assert_eq!(posted.len(), count, "{posted:?}");
    let told = posted.iter().map(|posted| {
        let data = posted.json()["data"].clone();
        (data["reason"].as_str().unwrap_or_default().to_owned(), data)
    });
    told.collect()
}

fn note(site: &Installation) -> Option<String> {
    let path = "configs/main/extractor/keboola.ex-shop/the-orders/config.json";
    let config: Value = serde_json::from_str(&site.repository.file("main", path)?).expect("it is JSON");
    config["parameters"]["note"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_protected_holds_up_nothing_but_its_runs_and_gets_them_all() {
    let receiver = Receiver::start().await;
    let (site, mut server) = mirrored(&receiver).await;
    let keboola = &site.keboola;
    let orders = keboola.orders();
    site.repository.hook("update", PROTECTED);
    let before = runs(&site);
    let mut expected = before.clone();
    keboola.set(&orders, JANE, "note", "first");
    expected.insert(keboola.run(&orders, "error", &["in.c-shop.orders"]));
    site.settle(&mut server).await;
    assert_eq!(note(&site).as_deref(), Some("first"), "configurations go on");
    assert_eq!((runs(&site), refusals(&site)), (before.clone(), 1));
    let health = site
        .repository
        .file("main", "jobs/health.jsonl")
        .unwrap_or_default();
    assert!(health.contains("failing"), "{health}");

    let months = refused(&server, &site, 1).await;
    assert_eq!(
        (&months[0]["branch"], &months[0]["runs"]),
        (&MONTH.into(), &1.into())
    );
    let notices = told(&receiver, 1).await;
    let (kind, data) = &notices[0];
    assert_eq!(kind, "months_refused");
    let item = data["items"][0].as_str().unwrap_or_default();
    assert!(item.starts_with(MONTH) && item.contains("protected"), "{data}");
    assert!(
        data["whatToDo"]
            .as_str()
            .is_some_and(|what| what.contains("keboola-jobs/")),
        "{data}"
    );
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    let counted = server
        .metric("pushes_refused_total{reason=\"protected_branch\"}")
        .await;
    assert_eq!(counted, Some(1.0));

    // Runs that follow do not have it asked again before its time; another month is, once.
    expected.insert(keboola.run(&orders, "success", &[]));
    expected.insert(keboola.run_at(
        keboola.now() - SignedDuration::from_hours(96),
        &orders,
        "success",
        &[],
    ));
    keboola.set(&orders, PETR, "note", "second");
    site.settle(&mut server).await;
    assert_eq!((note(&site).as_deref(), refusals(&site)), (Some("second"), 2));
    let months = refused(&server, &site, 2).await;
    let waiting: u64 = months.iter().filter_map(|month| month["runs"].as_u64()).sum();
    assert_eq!(waiting, 3);

    // Killed and started again it is tried at once, and nobody is told twice.
    server.kill();
    server.was_killed().await;
    let mut server = site.start().await;
    expected.insert(keboola.run(&keboola.clean(), "success", &[]));
    site.settle(&mut server).await;
    until("both are tried again", async || {
        (refusals(&site) >= 4).then_some(())
    })
    .await;
    assert_eq!(runs(&site), before);

    // Who mends it resumes the mirror; the runs come without another event.
    site.repository.unhook("update");
    site.ask(&["mirror", "pause", "--mirror", MIRROR]).ok();
    site.ask(&["mirror", "resume", "--mirror", MIRROR]).ok();
    until("the months have all runs", async || {
        (runs(&site) == expected).then_some(())
    })
    .await;
    refused(&server, &site, 0).await;
    site.settle(&mut server).await;
    let told = told(&receiver, 3).await;
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["months_refused", "months_refused", "recovered"]);
    site.check(&[]);
    site.check_status(&server).await;
    server.stop().await;
}

/// A run whose message holds a text.
fn run_saying(keboola: &Keboola, message: &str, ended: Timestamp) -> String {
    let spec = JobSpec {
        at: keboola.orders(),
        status: "error".into(),
        author: Author {
            token_id: BOT.0,
            name: BOT.1.into(),
        },
        started: ended - SignedDuration::from_secs(60),
        ended,
        message: message.to_owned(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        artifact_links: Vec::new(),
    };
    keboola.finish_job(spec).expect("there is such a configuration")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_server_takes_for_a_secret_is_left_out_of_its_month_and_the_others_are_told_of() {
    let receiver = Receiver::start().await;
    let (site, mut server) = mirrored(&receiver).await;
    let keboola = &site.keboola;
    // Refused as a whole at first, so that what is objected to waits among others.
    site.repository.hook("update", PROTECTED);
    let mut expected = runs(&site);
    let bad = run_saying(keboola, &format!("cannot log in with {PHRASE}"), keboola.now());
    expected.insert(keboola.run(&keboola.clean(), "success", &[]));
    site.settle(&mut server).await;
    refused(&server, &site, 1).await;
    server.stop().await;
    site.repository.hook("pre-receive", SECRETS);
    site.repository.unhook("update");
    let mut server = site.start().await;
    until("the other runs are there", async || {
        (runs(&site) == expected).then_some(())
    })
    .await;
    // One of a day that only the branch has.
    let old = keboola.now() - SignedDuration::from_hours(24 * 9);
    let worse = run_saying(keboola, &format!("still {PHRASE}"), old);
    expected.insert(keboola.run_at(old, &keboola.orders(), "success", &[]));
    keboola.set(&keboola.orders(), JANE, "note", "goes on");
    site.settle(&mut server).await;
    until("the late run is there", async || {
        (runs(&site) == expected).then_some(())
    })
    .await;
    refused(&server, &site, 0).await;
    assert_eq!(note(&site).as_deref(), Some("goes on"));
    assert!(!lines(&site).contains(PHRASE));
    let withheld = site
        .repository
        .file("main", "ai/withheld.jsonl")
        .unwrap_or_default();
    for run in [bad, worse] {
        assert!(withheld.contains(&format!("job {run}")), "{withheld}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_what_is_in_a_month_that_names_nothing_holds_up_that_month_only() {
    let receiver = Receiver::start().await;
    let (site, mut server) = mirrored(&receiver).await;
    let keboola = &site.keboola;
    site.repository.hook("pre-receive", SILENT);
    let mut expected = runs(&site);
    expected.insert(run_saying(
        keboola,
        &format!("no login with {PHRASE}"),
        keboola.now(),
    ));
    keboola.set(&keboola.orders(), JANE, "note", "goes on");
    site.settle(&mut server).await;
    assert_eq!(note(&site).as_deref(), Some("goes on"));
    refused(&server, &site, 1).await;
    // Another month is taken.
    let earlier = keboola.now() - SignedDuration::from_hours(24 * 8);
    let other = keboola.run_at(earlier, &keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    until("the other month has its run", async || {
        runs(&site).contains(&other).then_some(())
    })
    .await;
    expected.insert(other);
    refused(&server, &site, 1).await;
    server.stop().await;
    // It is allowed at the server.
    site.repository.unhook("pre-receive");
    let server = site.start().await;
    until("the month has its run", async || {
        (runs(&site) == expected).then_some(())
    })
    .await;
    assert_eq!(told(&receiver, 2).await[1].0, "recovered");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_commit_on_a_month_stays_and_one_that_was_rewritten_waits_for_its_owner() {
    let receiver = Receiver::start().await;
    let (site, mut server) = mirrored(&receiver).await;
    let keboola = &site.keboola;
    let orders = keboola.orders();
    let first = site.repository.tip(MONTH).expect("it is there");
    keboola.run(&orders, "success", &[]);
    site.settle(&mut server).await;
    let mut expected = runs(&site);
    let theirs = [("NOTES.md", Some("seen\n"))];
    let commit = site.repository.human_commit(MONTH, &theirs, "Look through it");
    expected.insert(keboola.run(&orders, "error", &[]));
    site.settle(&mut server).await;
    let log = site.repository.log(MONTH);
    assert_eq!(log[0].parents, [commit]);
    assert_eq!(site.repository.file(MONTH, "NOTES.md").as_deref(), Some("seen\n"));
    refused(&server, &site, 0).await;

    // Somebody takes the mirror's newest commits out of the history.
    let tip = log[0].id.clone();
    site.repository.reset(MONTH, &first);
    let run = keboola.run(&orders, "success", &[]);
    keboola.set(&orders, JANE, "note", "goes on");
    site.settle(&mut server).await;
    assert_eq!(note(&site).as_deref(), Some("goes on"));
    assert_eq!(
        site.repository.tip(MONTH),
        Some(first),
        "nothing is written on it"
    );
    let months = refused(&server, &site, 1).await;
    let reason = months[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("rewritten") && reason.contains(&tip), "{reason}");
    assert_eq!(told(&receiver, 1).await[0].0, "months_refused");
    server.stop().await;

    // Put back, it is gone on with.
    site.repository.reset(MONTH, &tip);
    expected.insert(run);
    let server = site.start().await;
    until("the month goes on", async || {
        let has_notes = site.repository.file(MONTH, "NOTES.md").is_some();
        (has_notes && runs(&site) == expected).then_some(())
    })
    .await;
    assert_eq!(told(&receiver, 2).await[1].0, "recovered");
    server.stop().await;
}

/// Kills a process at a place while a month is refused, and one while it is taken again.
async fn check_kill(place: &str, keboola: &Arc<Keboola>) {
    let site = Installation::over_https(keboola, options(None));
    let mut server = site.start().await;
    begin(&site, &mut server).await;
    server.stop().await;
    let mut expected = runs(&site);
    site.repository.hook("update", PROTECTED);
    let orders = keboola.orders();
    // Kept at once, and, of a day that is closed by then, later.
    for protected in [true, false] {
        if !protected {
            site.repository.unhook("update");
        }
        let mut server = site.start_armed(place).await;
        keboola.set(&orders, JANE, "note", format!("{place} {protected}"));
        expected.insert(keboola.run(&orders, "error", &["in.c-shop.orders"]));
        expected.insert(keboola.run_at(
            keboola.now() - SignedDuration::from_hours(24 * 8),
            &orders,
            "success",
            &[],
        ));
        let mut deaths = 0;
        while site.try_settle(&mut server).await.is_err() {
            server.was_killed().await;
            deaths += 1;
            server = site.start().await;
        }
        // Nothing is pushed to a month that is refused; and the last place lies behind where everything looks done.
        let is_passed = !(protected && place == "after-month-push");
        if deaths == 0 && place == "after-cursor" {
            server.was_killed().await;
            deaths += 1;
            server = site.start().await;
            site.settle(&mut server).await;
        }
        assert_eq!(
            deaths,
            u32::from(is_passed),
            "{place} while protected is {protected}"
        );
        assert_eq!(note(&site), Some(format!("{place} {protected}")));
        if !protected {
            until("the months have all runs", async || {
                (runs(&site) == expected).then_some(())
            })
            .await;
            refused(&server, &site, 0).await;
            site.settle(&mut server).await;
            site.check(&[]);
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_meanwhile_no_run_is_lost() {
    each_round(async || {
        let places = [
            "after-month-push",
            "after-prepare",
            "before-push",
            "after-push",
            "before-adopt",
            "after-adopt",
            "after-cursor",
        ];
        for place in places.iter().chain(&MONTH_PLACES) {
            check_kill(place, &Keboola::small()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_given_up_while_it_is_protected_goes_when_months_take_pushes_again() {
    let keboola = Keboola::small();
    let options = Options {
        jobs: ", log = \"month-refs\", keep_days = 3",
        ..options(None)
    };
    let site = Installation::over_https(&keboola, options);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let earlier = keboola.now() - SignedDuration::from_hours(24 * 40);
    keboola.run_at(earlier, &keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    until("there is one month", async || {
        (site.repository.months("main") == ["keboola-jobs/main/2026-09"]).then_some(())
    })
    .await;
    site.repository.hook("update", PROTECTED);
    let run = keboola.run(&keboola.orders(), "success", &[]);
    site.settle(&mut server).await;
    let months = refused(&server, &site, 1).await;
    assert_eq!(months[0]["branch"], MONTH);
    assert_eq!(site.repository.months("main"), ["keboola-jobs/main/2026-09"]);
    server.stop().await;
    site.repository.unhook("update");
    let server = site.start().await;
    until("the month that is not kept is gone", async || {
        (site.repository.months("main") == [MONTH]).then_some(())
    })
    .await;
    assert_eq!(runs(&site), BTreeSet::from([run]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_wait_for_a_month_outlive_another_layout_and_come_to_the_lanes_own_branch() {
    let keboola = Keboola::small();
    let mut site = Installation::over_https(&keboola, options(None));
    site.repository.hook("update", PROTECTED);
    let mut server = site.start().await;
    let run = keboola.run(&keboola.orders(), "success", &["in.c-shop.orders"]);
    site.settle(&mut server).await;
    refused(&server, &site, 1).await;
    assert_eq!(site.repository.months("main"), [""; 0]);
    server.stop().await;
    site.configure(|options| options.jobs = "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    until("the run is on the branch of everything else", async || {
        let day = site.repository.file("main", "jobs/2026/11/02.jsonl")?;
        day.contains(&run).then_some(())
    })
    .await;
    refused(&server, &site, 0).await;
    site.settle(&mut server).await;
    site.check(&[]);
    server.stop().await;
}
