//! What the log over JetStream promises beyond the contract: over kills of the server, with what others
//! publish, and in an account that others changed.

use super::super::contract::{
    Memory, at, change, contract, lane, read_all, topic, unreadable::unreadable_entries_are_passed,
};
use super::*;
use crate::{
    config::{NatsAuth, NatsTls},
    credential::CredentialRef,
    metrics::Metrics,
    nats::{settings::Unfit, testing::config},
};
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use git_servers::Authority;
use nats_server::{NatsOptions, NatsServer};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};

async fn open_with(config: &JetStreamConfig) -> Result<JetStreamLog, NatsError> {
    JetStreamLog::open(Nats::connect(config).await?, config).await
}

async fn open(server: &NatsServer) -> JetStreamLog {
    open_with(&config(&[server], 1)).await.unwrap()
}

/// Waits for a condition; a test that waits in vain fails with `what`.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_over_jetstream_keeps_the_contract() {
    let server = NatsServer::start();
    contract(open(&server).await, Memory::OfServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_cannot_be_read_are_passed() {
    let server = NatsServer::start();
    let log = open(&server).await;
    unreadable_entries_are_passed(&log, async |envelope| {
        let (topic, stream) = (&envelope.topic, envelope.stream());
        let newer = serde_json::to_string(&StoredEvent {
            appended_at: envelope.published_at,
            envelope: Envelope {
                schema: ENVELOPE_SCHEMA + 1,
                ..envelope.clone()
            },
        });
        publish(&server, &log.names.topic(topic, stream), &[], &newer.unwrap()).await;
        log.newest(topic, stream).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_keeps_the_contract_and_survives_its_leader() {
    let mut servers = NatsServer::cluster();
    let config = config(&servers.each_ref(), 3);
    let log = until("the cluster places streams", async || {
        open_with(&config).await.ok()
    })
    .await;
    contract(log.clone(), Memory::OfServer).await;
    let before = log.append(vec![change("failover", "a", 1)]).await.unwrap()[0].position;
    // Whichever leads: each is killed once.
    for (version, index) in (2..).zip([0, 1, 2]) {
        servers[index].kill();
        let appended = until("another one leads", async || {
            log.append(vec![change("failover", "a", version)]).await.ok()
        });
        assert!(appended.await[0].position > before);
        servers[index].restart();
    }
    let versions: Vec<_> = read_all(&log, "failover")
        .await
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let written: Vec<_> = (1..=4)
        .map(|version| change("failover", "a", version).envelope)
        .collect();
    assert_eq!(versions, written, "all, once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_of_the_server() {
    let mut server = NatsServer::start();
    let log = open(&server).await;
    let mut tail = log.tail();
    let appending = tokio::spawn({
        let log = log.clone();
        async move {
            let mut acknowledged = Vec::new();
            for version in 1..=150 {
                let batch = vec![change("kill", "a", version), change("kill", "b", version)];
                // Who gets no answer asks again.
                let appended = loop {
                    if let Ok(appended) = log.append(batch.clone()).await {
                        break appended;
                    }
                };
                acknowledged.extend(appended.iter().map(|one| one.position));
            }
            acknowledged
        }
    });
    for kill in 1..=3 {
        until("the log has grown", async || {
            let newest = log.newest(&topic("kill"), Stream::Change).await.ok()?;
            (newest.0 >= kill * 60).then_some(())
        })
        .await;
        server.kill();
        server.restart();
    }
    let acknowledged = appending.await.unwrap();
    let events = read_all(&log, "kill").await;
    let positions: Vec<Position> = events.iter().map(|(position, _)| *position).collect();
    assert_eq!(
        positions, acknowledged,
        "nothing acknowledged is missing, nothing is there twice"
    );
    let keys: BTreeSet<_> = events.iter().map(|(_, event)| event.key.clone()).collect();
    assert_eq!(keys.len(), 300);
    // And whoever listened heard of all of it.
    let mut told = BTreeSet::new();
    while told.len() < 300 {
        let news = tokio::time::timeout(Duration::from_secs(60), tail.recv()).await;
        told.insert(news.expect("news go on after a kill").unwrap().position);
    }
    assert_eq!(told.into_iter().collect::<Vec<_>>(), positions);
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_a_new_stream_is_another_log() {
    let mut server = NatsServer::start();
    let log = open(&server).await;
    let id = log.log_id().clone();
    let first = log.append(vec![change("1", "a", 1)]).await.unwrap()[0];
    let cursor = LaneCursor {
        change: first.position,
        ..LaneCursor::start(id.clone())
    };
    log.commit(&lane("m", "1"), None, &cursor).await.unwrap();
    drop(log);
    server.kill();
    server.restart();

    let log = open(&server).await;
    assert_eq!(log.log_id(), &id, "the same log");
    assert_eq!(log.cursor(&lane("m", "1")).await.unwrap(), Some(cursor));
    let again = log
        .append(vec![change("1", "a", 1), change("1", "a", 2)])
        .await
        .unwrap();
    assert!(again[0].duplicate, "repetitions are known");
    assert_eq!(again[0].position, first.position);
    assert!(!again[1].duplicate && again[1].position > first.position);

    log.nats.jetstream().delete_stream("KBC_LOG").await.unwrap();
    let log = open(&server).await;
    assert_ne!(log.log_id(), &id, "its positions mean something else");
    assert_eq!(log.cursor(&lane("m", "1")).await.unwrap(), None);
    let start = LaneCursor::start(log.log_id().clone());
    log.commit(&lane("m", "1"), None, &start).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_deleted_while_it_is_used_is_no_empty_log_and_one_made_anew_is_another() {
    let server = NatsServer::start();
    let log = open(&server).await;
    log.append((1..=3).map(|version| change("1", "a", version)).collect())
        .await
        .unwrap();
    let lane = lane("m", "1");
    let start = LaneCursor::start(log.log_id().clone());
    log.commit(&lane, None, &start).await.unwrap();
    assert!(log.is_ready() && log.over().is_none());

    log.nats.jetstream().delete_stream("KBC_LOG").await.unwrap();
    let read = log.nats.last("KBC_LOG", "KBC.log.>").await;
    assert!(
        read.as_ref().is_err_and(NatsError::is_without_stream),
        "there is no such stream, which is not that it is empty: {read:?}"
    );
    until("it is noticed", async || (!log.is_ready()).then_some(())).await;
    assert!(matches!(log.over(), Some(LogError::Gone { .. })));
    let told = log.over().unwrap().to_string();
    assert!(told.contains("`KBC_LOG`"), "{told}");
    for refused in [
        log.append(vec![change("1", "a", 4)]).await.err(),
        log.read(&topic("1"), Position::START, None, 10).await.err(),
        log.cursor(&lane).await.err(),
        log.commit(&lane, Some(&start), &start).await.err(),
    ] {
        assert!(matches!(refused, Some(LogError::Gone { .. })), "{refused:?}");
    }

    // Another worker starts.
    let another = open(&server).await;
    until("it is told from the one before", async || {
        matches!(log.over(), Some(LogError::MadeAnew { .. })).then_some(())
    })
    .await;
    let appended = another.append(vec![change("1", "a", 4)]).await.unwrap();
    assert_eq!(appended[0].position, Position(1), "positions begin again");
    let refused = log.append(vec![change("1", "a", 5)]).await;
    assert!(matches!(refused, Err(LogError::MadeAnew { .. })), "{refused:?}");
    assert!(!log.is_ready() && another.is_ready() && another.over().is_none());
    assert_eq!(another.cursor(&lane).await.unwrap(), None);
}

/// Says of all that was appended that nobody waits for it.
async fn prune_all(log: &JetStreamLog, events_max: usize) -> u64 {
    let retention = Retention {
        lanes: ["1", "2"].map(|branch| (lane("m", branch), topic(branch))).into(),
        held: Vec::new(),
        events_before: at(100_000),
        keys_before: at(0),
        unmirrored_max: 1_000,
        batch_max: events_max,
    };
    log.prune(&retention).await.unwrap().events
}

#[tokio::test]
async fn what_others_delete_counts_as_missed_and_what_is_pruned_does_not() {
    let server = NatsServer::start();
    let log = open(&server).await;
    let pruned = async |branch: &str, stream| log.pruned(&topic(branch), stream).await.unwrap();
    log.append((1..=4).map(|version| change("1", "a", version)).collect())
        .await
        .unwrap();
    assert_eq!(prune_all(&log, 3).await, 3);
    assert_eq!(pruned("1", Stream::Change).await, Position(3));
    assert_eq!(
        pruned("2", Stream::Change).await,
        Position::START,
        "it had nothing there"
    );
    assert_eq!(pruned("1", Stream::Jobs).await, Position::START);

    // An operator deletes all of it.
    log.append(vec![change("2", "b", 1)]).await.unwrap();
    log.nats.purge("KBC_LOG", &json!({})).await.unwrap();
    for (branch, stream) in [("1", Stream::Change), ("2", Stream::Change), ("2", Stream::Jobs)] {
        assert_eq!(
            pruned(branch, stream).await,
            Position(5),
            "whose it was is not known"
        );
        assert_eq!(log.newest(&topic(branch), stream).await.unwrap(), Position(5));
    }
    // Also where the log is pruned before anybody has looked, and once more.
    log.append((2..=5).map(|version| change("2", "b", version)).collect())
        .await
        .unwrap();
    log.nats.purge("KBC_LOG", &json!({ "seq": 8 })).await.unwrap();
    assert_eq!(prune_all(&log, 1).await, 1);
    assert_eq!(pruned("1", Stream::Change).await, Position(7));
    assert_eq!(pruned("2", Stream::Change).await, Position(8));

    // Of another stream all this means nothing.
    log.nats.jetstream().delete_stream("KBC_LOG").await.unwrap();
    let log = open(&server).await;
    for branch in ["1", "2"] {
        let pruned = log.pruned(&topic(branch), Stream::Change).await.unwrap();
        assert_eq!(pruned, Position::START);
    }
}

#[tokio::test]
async fn a_cut_larger_than_a_message_comes_back_as_it_was() {
    let server = NatsServer::start();
    let log = open(&server).await;
    let long = "x".repeat(400);
    let events = |count: u64| {
        (1..=count)
            .map(|number| change("large", &format!("{number}-{long}"), 1))
            .collect()
    };
    log.append(events(3_000)).await.unwrap();
    let lane = lane("m", "large");
    let start = LaneCursor::start(log.log_id().clone());
    let logged = log
        .read(&topic("large"), Position::START, None, 10_000)
        .await
        .unwrap();
    assert_eq!(logged.len(), 3_000);
    let cut = Cut::of(&lane.mirror, &start, &logged, at(0));
    let size = serde_json::to_vec(&cut).unwrap().len();
    assert!(size > log.nats.message_bytes_max(), "{size} bytes");
    log.put_cut(&lane, None, &cut).await.unwrap();
    assert_eq!(log.cut(&lane).await.unwrap().as_ref(), Some(&cut));
    let parts = async || {
        log.nats
            .subjects(&log.state.stream(), &log.state.subject("cut.>"))
            .await
            .unwrap()
            .len()
    };
    assert!(parts().await > 1);
    log.commit(&lane, None, &cut.cursor(None)).await.unwrap();
    assert_eq!((log.cut(&lane).await.unwrap(), parts().await), (None, 0));
}

#[tokio::test]
async fn an_event_that_no_message_can_hold_is_refused_and_a_full_log_says_so() {
    let server = NatsServer::start();
    let log = open(&server).await;
    let large = change("1", "a", 1);
    let too_large = NewEvent {
        envelope: Envelope {
            traceparent: Some("x".repeat(2 << 20)),
            ..large.envelope.clone()
        },
        ..large
    };
    let refused = log.fits(&too_large);
    assert!(matches!(refused, Err(LogError::TooLarge { .. })), "{refused:?}");
    log.fits(&change("1", "a", 1)).unwrap();
    let refused = log.append(vec![too_large]).await;
    assert!(matches!(refused, Err(LogError::TooLarge { .. })), "{refused:?}");
    let mut stream = log.nats.jetstream().get_stream("KBC_LOG").await.unwrap();
    let full = Config {
        max_bytes: 1_000,
        ..stream.info().await.unwrap().config.clone()
    };
    log.nats.jetstream().update_stream(full).await.unwrap();
    let mut refused = None;
    for version in 2..10 {
        refused = log.append(vec![change("1", "a", version)]).await.err();
    }
    assert!(matches!(refused, Some(LogError::NoSpace)), "{refused:?}");
}

#[tokio::test]
async fn a_stream_that_could_lose_something_is_refused() {
    let server = NatsServer::start();
    let config = config(&[&server], 1);
    let nats = Nats::connect(&config).await.unwrap();
    let theirs = Config {
        name: "KBC_LOG".to_owned(),
        subjects: vec!["KBC.log.>".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        num_replicas: 1,
        ..Config::default()
    };
    nats.jetstream().create_stream(theirs).await.unwrap();
    let error = JetStreamLog::open(nats, &config).await.unwrap_err();
    let NatsError::Stream(Unfit { stream, problems }) = &error else {
        panic!("{error}")
    };
    assert_eq!(stream, "KBC_LOG");
    let all = problems.join("\n");
    for part in [
        "`workqueue`",
        "--discard=new",
        "--dupe-window=120m",
        "--allow-batch",
        "--allow-direct",
    ] {
        assert!(all.contains(part), "{part}: {error}");
    }
    let nobody = JetStreamConfig {
        replicas: 3,
        prefix: "OTHER".to_owned(),
        ..config
    };
    let error = open_with(&nobody).await.unwrap_err();
    assert!(error.to_string().contains("`queue.replicas = 1`"), "{error}");
}

/// Publishes as somebody who knows nothing of us; returns the answer of JetStream.
async fn publish(server: &NatsServer, subject: &str, headers: &[(&str, &str)], body: &str) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut map = async_nats::HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let context = async_nats::jetstream::new(client);
    let sent = context.publish_with_headers(subject.to_owned(), map, body.to_owned().into());
    sent.await.unwrap().await.expect("the stream acknowledges it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_publish_is_taken_in_once_and_what_is_no_event_becomes_a_dead_letter() {
    let mut server = NatsServer::start();
    let log = open(&server).await;
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let now = || at(100_000_000);
    let stack = topic("x").stack;
    let intake = tokio::spawn(intake::run(
        log.clone(),
        stack,
        Arc::clone(&metrics),
        now,
        stop.clone(),
    ));
    let body = r#"{"projectId":"4021","branchId":"1187","componentId":"c","configId":"7","newVersion":3}"#;
    let subject = "kbc.events.4021.1187.config_changed";
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let published = "2026-09-21T10:00:00Z";
    let headers = [("traceparent", trace), ("x-published-at", published)];
    publish(&server, subject, &headers, body).await;
    publish(&server, subject, &[], body).await;
    publish(&server, "kbc.events.4021.9999.config_changed", &[], body).await;
    publish(
        &server,
        "kbc.events.4021.1187.config_changed",
        &[],
        "[\"#password\"]",
    )
    .await;
    let letters = until("both are filed", async || {
        let letters = log.dead_letters(None, 10).await.ok()?;
        (letters.len() == 2).then_some(letters)
    });
    let letters = letters.await;
    let reasons: Vec<&str> = letters.iter().map(|filed| filed.letter.reason.as_str()).collect();
    assert!(
        reasons[0].contains("`branchId` must be that of the subject"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("not a JSON object"), "{reasons:?}");
    assert!(!letters[1].letter.body.contains("password"), "no content");
    // The server may go away meanwhile.
    server.kill();
    server.restart();
    publish(&server, "kbc.events.4021.1187.job_finished", &[], r#"{"projectId":"4021","branchId":"1187","componentId":"c","runId":"5","status":"SUCCESS","outputs":[{"table":"in.c-a.b"}]}"#).await;
    let events = until("all are in the log", async || {
        let events = log.read(&topic("1187"), Position::START, None, 10).await.ok()?;
        (events.len() >= 3).then_some(events)
    });
    let events = events.await;
    let kinds: Vec<&str> = events
        .iter()
        .map(|logged| logged.envelope.kind().as_str())
        .collect();
    assert_eq!(
        kinds,
        ["config_changed", "job_finished", "storage_changed"],
        "each once"
    );
    assert_eq!(events[0].envelope.traceparent.as_deref(), Some(trace));
    assert_eq!(events[0].envelope.published_at.to_string(), published);
    // Consumers of the log itself see whose trace it is.
    let stored = log.nats.jetstream().get_stream("KBC_LOG").await.unwrap();
    let message = stored.get_raw_message(events[0].position.0).await.unwrap();
    assert_eq!(
        message
            .headers
            .get("traceparent")
            .map(async_nats::HeaderValue::as_str),
        Some(trace)
    );
    stop.cancel();
    intake.await.unwrap();
}

#[tokio::test]
async fn two_logs_see_what_each_appends_and_only_one_moves_a_cursor() {
    let server = NatsServer::start();
    let (one, two) = (open(&server).await, open(&server).await);
    assert_eq!(one.log_id(), two.log_id());
    let mut tail = two.tail();
    let position = one.append(vec![change("1", "a", 1)]).await.unwrap()[0].position;
    assert_eq!(tail.recv().await.unwrap().position, position);
    let start = LaneCursor::start(one.log_id().clone());
    let next = LaneCursor {
        change: position,
        ..start.clone()
    };
    one.commit(&lane("m", "1"), None, &start).await.unwrap();
    let lane = lane("m", "1");
    let (first, second) = tokio::join!(
        one.commit(&lane, Some(&start), &next),
        two.commit(&lane, Some(&start), &next)
    );
    assert_eq!(
        [first.is_ok(), second.is_ok()]
            .iter()
            .filter(|done| **done)
            .count(),
        1,
        "{first:?} {second:?}"
    );
}

/// Writes a secret to a file and refers to it.
fn secret(directory: &std::path::Path, name: &str, content: &str) -> CredentialRef {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    CredentialRef::File(path)
}

#[tokio::test]
async fn every_way_to_be_let_in_works_over_tls_and_a_wrong_one_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    let (certificate, key) = authority.server_pem(&["localhost".to_owned()]);
    std::fs::write(path("server.pem"), certificate).unwrap();
    std::fs::write(path("server.key"), key).unwrap();
    let tls = format!(
        "tls {{\n  cert_file: {:?}\n  key_file: {:?}\n}}\n",
        path("server.pem"),
        path("server.key")
    );
    let pair = nkeys::KeyPair::new_user();
    let (seed, public) = (pair.seed().unwrap(), pair.public_key());
    let users = [
        (
            "token: \"t0ken\"".to_owned(),
            NatsAuth::Token(secret(directory.path(), "token", "t0ken")),
        ),
        (
            "users: [{user: mirror, password: \"passw0rd\"}]".to_owned(),
            NatsAuth::User {
                user: "mirror".to_owned(),
                password: secret(directory.path(), "password", "passw0rd\n"),
            },
        ),
        (
            format!("users: [{{nkey: {public}}}]"),
            NatsAuth::NKey(secret(directory.path(), "seed", &seed)),
        ),
    ];
    for (authorization, auth) in users {
        let server = NatsServer::start_with(&NatsOptions {
            lines: format!("{tls}authorization {{ {authorization} }}\n"),
        });
        let config = JetStreamConfig {
            servers: vec![server.tls_url()],
            auth: auth.clone(),
            tls: NatsTls {
                required: true,
                certificates: Some(path("ca.pem")),
                client: None,
            },
            ..config(&[&server], 1)
        };
        let log = open_with(&config)
            .await
            .unwrap_or_else(|error| panic!("{auth:?}: {error}"));
        log.append(vec![change("1", "a", 1)]).await.unwrap();
        let wrong = JetStreamConfig {
            auth: NatsAuth::Token(secret(directory.path(), "wrong", "s0mething-else")),
            ..config.clone()
        };
        let error = open_with(&wrong).await.unwrap_err();
        assert!(matches!(error, NatsError::NotLetIn { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("s0mething-else"));
    }
}
