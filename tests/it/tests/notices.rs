//! Are the admins told what they have to know: once, everywhere, and whatever dies on the way?

use crate::support::{
    self, Installation, JANE, Keboola, MailServer, Options, Posted, Receiver, Server, each_round, run, until,
};
use fake_keboola::{Fault, FaultKind};
use git_servers::Authority;
use rusqlite::Connection;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::collections::BTreeSet;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Receivers on this machine are nothing that customers could name.
const LOOPBACK: &str = "[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n";

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// An installation whose admins are told by a signed webhook, and maybe in other ways.
fn installation(
    keboola: &std::sync::Arc<Keboola>,
    receiver: &Receiver,
    smtp: &str,
    more: &str,
) -> Installation {
    let webhook = receiver.url("/hook");
    let mirror = format!("notify = [{{ webhook = \"{webhook}\", secret = \"file:webhook-secret\" }}{more}]");
    let options = Options {
        retries_max: 0,
        keboola: leak(format!("{LOOPBACK}{smtp}")),
        mirror: leak(mirror),
        dev_branches: false,
        ..Options::default()
    };
    let site = Installation::new(keboola, options);
    site.write("webhook-secret", SECRET);
    site.write("slack-url", &receiver.url("/slack"));
    site
}

/// Mirrors, and then lets the source fail: an outage has begun when the process ends, and nobody was told.
async fn begin_outage(site: &Installation) {
    let keboola = &site.keboola;
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.fail(Fault {
        path: "/v2/storage/branch/5".into(),
        times: u32::MAX,
        kind: FaultKind::ServerError,
    });
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.deliver(&mut server).await.expect("the process lives");
    until("the lane waits", async || {
        (server.lane(&keboola.main()).await["state"] == "retrying").then_some(())
    })
    .await;
    server.stop().await;
}

/// Waits until so many were posted to the webhook; each must be signed as the standard says.
async fn hooked(receiver: &Receiver, count: usize) -> Vec<Posted> {
    let posted = until("notices arrive", async || {
        let posted = receiver.posted("/hook");
        (posted.len() >= count).then_some(posted)
    })
    .await;
    assert_eq!(posted.len(), count, "{posted:?}");
    for one in &posted {
        check_signed(one);
    }
    posted
}

fn check_signed(posted: &Posted) {
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in &posted.headers {
        let name: reqwest::header::HeaderName = name.parse().expect("it is a name");
        headers.insert(name, value.parse().expect("it is a value"));
    }
    let webhook = Webhook::new(SECRET).expect("the secret is one");
    let verified = webhook.verify(posted.body.as_bytes(), &headers);
    verified.unwrap_or_else(|error| panic!("{error}: {posted:?}"));
}

fn ids(posted: &[Posted]) -> BTreeSet<&str> {
    posted
        .iter()
        .map(|one| one.headers["webhook-id"].as_str())
        .collect()
}

/// Lets a stored outage have begun earlier. No process may be running.
fn age_outage(site: &Installation, by: jiff::SignedDuration) {
    let file = site.data_dir().join(mirror_runtime::database::DATABASE_FILE);
    let database = Connection::open(file).expect("the database is there");
    let stored: String = database
        .query_row("SELECT outage FROM lane WHERE outage IS NOT NULL", [], |row| {
            row.get(0)
        })
        .expect("there is an outage");
    let mut outage: Value = serde_json::from_str(&stored).expect("it is JSON");
    let since: jiff::Timestamp = outage["since"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a time");
    outage["since"] = (since - by).to_string().into();
    let changed = database.execute(
        "UPDATE lane SET outage = ? WHERE outage IS NOT NULL",
        [outage.to_string()],
    );
    assert_eq!(changed.expect("it can be written"), 1);
}

/// Starts, and waits until the lane has failed once in this process.
async fn start_failing(site: &Installation) -> Server {
    let server = site.start().await;
    until("the attempt fails", async || {
        (!server.logged("attempt failed; it is repeated").is_empty()).then_some(())
    })
    .await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_three_hours_is_told_once_on_every_channel_and_so_is_its_end() {
    let keboola = Keboola::small();
    let (receiver, mail) = (Receiver::start().await, MailServer::open());
    let more = ", { email = \"jane@example.com\" }, { slack = \"file:slack-url\" }";
    let site = installation(&keboola, &receiver, &mail.table("security = \"plain\""), more);
    begin_outage(&site).await;
    age_outage(&site, jiff::SignedDuration::from_mins(166));
    let server = start_failing(&site).await;
    let warned = server.logged("notice");
    assert!(
        warned.iter().any(|line| line["notice"] == "Warning"),
        "{warned:?}"
    );
    assert_eq!(
        server
            .metric("admin_notifications_total{reason=\"outage\"}")
            .await,
        Some(0.0)
    );
    server.stop().await;

    age_outage(&site, jiff::SignedDuration::from_mins(15));
    let server = start_failing(&site).await;
    let told = hooked(&receiver, 1).await;
    let data = &told[0].json()["data"];
    assert_eq!(told[0].json()["type"], "mirror.failing");
    assert_eq!(
        (data["reason"].as_str(), data["cause"].as_str()),
        (Some("outage"), Some("keboola"))
    );
    assert_eq!(
        data["branches"],
        json!([{ "branchId": keboola.main(), "gitBranch": "main" }])
    );
    let why = data["why"].as_str().unwrap_or_default();
    assert!(why.contains("status 500"), "{data}");
    let mails = until("mail arrives", async || {
        Some(mail.taken()).filter(|taken| !taken.is_empty())
    })
    .await;
    assert_eq!(mails[0]["to"], json!(["jane@example.com"]));
    let subject = mails[0]["subject"].as_str().unwrap_or_default();
    assert!(subject.contains("branch main: failing for 3 h"), "{subject}");
    assert!(
        mails[0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("What to do:")),
        "{mails:?}"
    );
    until("slack is told", async || {
        (receiver.posted("/slack").len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        server
            .metric("admin_notifications_total{reason=\"outage\"}")
            .await,
        Some(1.0)
    );
    assert_eq!(server.metric("retry_success_within_3h").await, Some(0.0));
    assert_eq!(server.lane(&keboola.main()).await["state"], "failing");
    server.stop().await;

    // A restart tells nothing anew.
    let server = start_failing(&site).await;
    assert_eq!(server.lane(&keboola.main()).await["state"], "failing");
    server.stop().await;
    keboola.heal();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let told = hooked(&receiver, 2).await;
    assert_eq!(told[1].json()["data"]["reason"], "recovered");
    until("mail arrives", async || (mail.taken().len() == 2).then_some(())).await;
    until("slack is told", async || {
        (receiver.posted("/slack").len() == 2).then_some(())
    })
    .await;
    assert_eq!(ids(&told).len(), 2);
    site.check(&[]);
    server.stop().await;
}

/// Kills the process on the way of a notice, and starts it again.
async fn check_killed(place: &str, posted: usize) {
    let keboola = Keboola::small();
    let receiver = Receiver::start().await;
    let site = installation(&keboola, &receiver, "", "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    server.stop().await;

    keboola.fail(Fault {
        path: "/v2/storage/branch/5".into(),
        times: u32::MAX,
        kind: FaultKind::Unauthorized,
    });
    keboola.set(&keboola.orders(), JANE, "z", 2);
    let mut server = site.start_armed(place).await;
    // It may be killed while it takes the event, which then waits at the bridge.
    let _ = site.deliver(&mut server).await;
    server.was_killed().await;

    let mut server = site.start().await;
    site.deliver(&mut server).await.expect("the process lives");
    until("the lane has failed again", async || {
        (!server.logged("attempt failed; it is repeated").is_empty()).then_some(())
    })
    .await;
    let told = hooked(&receiver, posted).await;
    assert_eq!(ids(&told).len(), 1, "{place}: {told:?}");
    assert_eq!(told[0].json()["data"]["reason"], "keboola_token");
    server.stop().await;
    assert_eq!(receiver.posted("/hook").len(), posted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_outlives_its_process() {
    each_round(async || {
        check_killed("notice-stored", 1).await;
        check_killed("notice-before-send", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_was_sent_and_not_noted_comes_again_as_itself() {
    each_round(async || check_killed("notice-sent", 2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_now_gets_it_later_and_others_at_once() {
    let keboola = Keboola::small();
    let receiver = Receiver::start().await;
    let mail = MailServer::start(&json!({ "refusals": 1 }));
    let smtp = mail.table("security = \"plain\"");
    let site = installation(&keboola, &receiver, &smtp, ", { email = \"jane@example.com\" }");
    receiver.answer(503, "retry-after: 1\r\n");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.delete(&keboola.orders(), JANE);
    keboola.delete(&keboola.clean(), JANE);
    site.deliver(&mut server).await.expect("the process lives");
    let told = hooked(&receiver, 2).await;
    assert_eq!(ids(&told).len(), 1);
    assert_eq!(told[1].json()["data"]["reason"], "mass_deletion");
    let mails = until("mail arrives", async || {
        Some(mail.taken()).filter(|taken| !taken.is_empty())
    })
    .await;
    let id = mails[0]["id"].as_str().unwrap_or_default();
    assert!(id.contains(&told[0].headers["webhook-id"]), "{id}");
    assert!(
        !server
            .logged("notice not delivered; it is tried again")
            .is_empty()
    );
    let status = until("nothing waits", async || {
        let status = server.status().await;
        let of_mirror = status["notices"].as_array().and_then(|all| all.first().cloned());
        of_mirror.is_none().then_some(status)
    });
    status.await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_plain_text_is_told_by_its_place_and_never_by_its_value() {
    const PLAIN: &str = "correct-horse-battery";
    let keboola = Keboola::small();
    let receiver = Receiver::start().await;
    let site = installation(&keboola, &receiver, "", "");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    keboola.set(&keboola.orders(), JANE, "#password", PLAIN);
    site.settle(&mut server).await;
    let told = hooked(&receiver, 1).await;
    let data = told[0].json()["data"].clone();
    assert_eq!(data["reason"], "plaintext_secrets");
    let item = data["items"][0].as_str().unwrap_or_default();
    assert!(
        item.starts_with("configs/main/") && item.ends_with(" at /parameters/#password"),
        "{data}"
    );
    assert!(!told[0].body.contains(PLAIN));
    // It is still there, and told already.
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(
        server
            .metric("admin_notifications_total{reason=\"plaintext_secrets\"}")
            .await,
        Some(1.0)
    );
    site.check(&[]);
    server.stop().await;
    assert_eq!(receiver.posted("/hook").len(), 1);
    let file = std::fs::read(site.data_dir().join(mirror_runtime::database::DATABASE_FILE));
    let file = file.expect("the database is there");
    assert!(!file.windows(PLAIN.len()).any(|part| part == PLAIN.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_opened_and_a_command_that_fails_are_told_too() {
    let keboola = Keboola::small();
    let receiver = Receiver::start().await;
    let site = installation(&keboola, &receiver, "", "");
    site.once().ok();
    keboola.fail(Fault {
        path: "/".into(),
        times: u32::MAX,
        kind: FaultKind::Unauthorized,
    });
    let server = site.start().await;
    let told = hooked(&receiver, 1).await;
    assert_eq!(told[0].json()["data"]["reason"], "keboola_token");
    server.stop().await;
    keboola.heal();
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert_eq!(
        hooked(&receiver, 2).await[1].json()["data"]["reason"],
        "recovered"
    );
    server.stop().await;

    keboola.delete(&keboola.orders(), JANE);
    keboola.delete(&keboola.clean(), JANE);
    for _ in 0..2 {
        assert!(!site.once().status.success());
    }
    assert_eq!(
        hooked(&receiver, 3).await[2].json()["data"]["reason"],
        "mass_deletion"
    );
    site.once_with(&["--accept-deletions"]).ok();
    // Nothing is left of either type, which is told whoever accepted it.
    let told = hooked(&receiver, 5).await;
    let mut reasons = [&told[3], &told[4]].map(|posted| posted.json()["data"]["reason"].to_string());
    reasons.sort();
    assert_eq!(reasons, [r#""recovered""#, r#""vanished""#]);
}

fn test_notice(site: &Installation) -> (bool, Value, String) {
    let mut command = support::command();
    command.args([
        "notify",
        "test",
        "--json",
        "--mirror",
        support::MIRROR,
        "--config",
    ]);
    let output = run(command.arg(site.path("mirror.toml")));
    let told = serde_json::from_str(&output.stdout).unwrap_or_default();
    (output.status.success(), told, output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_notice_says_of_each_address_whether_it_arrived() {
    let authority = Authority::new();
    let (receiver, keboola) = (Receiver::start().await, Keboola::small());
    let mut site = installation(&keboola, &receiver, "", "");
    let (certificate, key) = authority.server_pem(&["localhost".to_owned()]);
    for (name, content) in [
        ("mail.pem", certificate.as_str()),
        ("mail.key", &key),
        ("mail-ca.pem", authority.pem()),
        ("mail-password", "open sesame"),
    ] {
        site.write(name, content);
    }
    let mail = MailServer::start(&json!({
        "certificate": site.path("mail.pem"),
        "key": site.path("mail.key"),
        "password": "open sesame",
    }));
    let login = "user = \"mirror\"\npassword = \"file:mail-password\"";
    let trusting = format!("{login}\ncertificates = \"mail-ca.pem\"");
    let address = format!(
        "notify = [{{ email = \"jane@example.com\" }}, {{ webhook = \"{}\", secret = \"file:webhook-secret\" }}]",
        receiver.url("/hook")
    );
    let smtp = mail.table(&trusting);
    site.configure(|options| {
        options.keboola = leak(format!("{LOOPBACK}{smtp}"));
        options.mirror = leak(address);
    });
    let (good, told, _) = test_notice(&site);
    assert!(good, "{told}");
    let mails = mail.taken();
    assert_eq!(
        (mails[0]["encrypted"].as_bool(), mails[0]["login"].as_bool()),
        (Some(true), Some(true))
    );
    let hooked = hooked(&receiver, 1).await;
    assert_eq!(
        told["notice"].as_str(),
        Some(hooked[0].headers["webhook-id"].as_str())
    );
    assert_eq!(hooked[0].json()["type"], "mirror.test");

    // Neither an unknown authority nor this machine's own network is trusted because a customer says so.
    let smtp = mail.table(login);
    site.configure(|options| options.keboola = leak(format!("[git]\nallow_plain_http = true\n{smtp}")));
    let (good, told, said) = test_notice(&site);
    assert!(!good && said.contains("do not arrive everywhere"), "{said}");
    let problem = |number: usize| told["addresses"][number]["problem"].as_str().unwrap_or_default();
    assert!(problem(0).to_lowercase().contains("certificate"), "{told}");
    assert!(problem(1).contains("127.0.0.1 is a loopback address"), "{told}");
    assert_eq!((mail.taken().len(), receiver.posted("/hook").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_cannot_be_read_from_the_log_is_an_outage_like_any_other() {
    let keboola = Keboola::small();
    let receiver = Receiver::start().await;
    let site = installation(&keboola, &receiver, "", "");
    begin_outage(&site).await;
    keboola.heal();
    age_outage(&site, jiff::SignedDuration::from_mins(181));
    let rename = |from: &str, to: &str| {
        let file = site.data_dir().join(mirror_runtime::database::DATABASE_FILE);
        let database = Connection::open(file).expect("the database is there");
        let renamed = database.execute_batch(&format!("ALTER TABLE event RENAME COLUMN {from} TO {to}"));
        renamed.expect("it can be written");
    };
    rename("envelope", "lost");
    let server = start_failing(&site).await;
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(lane["state"], "failing", "{lane}");
    assert!(lane["outage"].to_string().contains("event log failed"), "{lane}");
    let failed = server.metric("exports_total{outcome=\"failed\"}").await;
    assert!(failed >= Some(1.0), "{failed:?}");
    let posted = hooked(&receiver, 1).await;
    assert!(posted[0].body.contains("event log failed"), "{posted:?}");
    server.stop().await;

    // Once it is mended, that is told too.
    rename("lost", "envelope");
    let mut server = site.start().await;
    site.settle(&mut server).await;
    hooked(&receiver, 2).await;
    assert_eq!(server.lane(&keboola.main()).await["outage"], Value::Null);
    server.stop().await;
}
