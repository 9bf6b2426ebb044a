use super::{change, client, config, main_branch, orders, orders_at, shop, start};
use crate::{ClientConfig, Disposition, KeboolaClient, KeboolaError};
use fake_keboola::{Fake, FakeConfig, Fault, FaultKind, small_project};
use secrecy::SecretString;
use serde_json::json;
use std::time::Duration;

const BRANCHES: &str = "/v2/storage/dev-branches";

fn answer(status: u16, content_type: &str, body: &str) -> FaultKind {
    FaultKind::Answer {
        status,
        content_type: content_type.into(),
        body: body.into(),
    }
}

fn json_answer(status: u16, body: &str) -> FaultKind {
    answer(status, "application/json", body)
}

/// Asks for the branches while the fault holds, and returns the error and the number of requests.
async fn fail(kind: FaultKind) -> (KeboolaError, u64) {
    let fake = start();
    fake.fail(Fault {
        path: BRANCHES.into(),
        times: 100,
        kind,
    });
    let client = KeboolaClient::new(ClientConfig {
        retries_max: 2,
        response_bytes_max: 4096,
        ..config(&fake)
    })
    .unwrap();
    let error = client.dev_branches().await.unwrap_err();
    (error, fake.requests(BRANCHES))
}

/// Checks the beginning of the error's name, its disposition and the requests made.
async fn check(kind: FaultKind, name: &str, disposition: Disposition, requests: u64) {
    let said = format!("{kind:?}");
    let (error, asked) = fail(kind).await;
    assert!(format!("{error:?}").starts_with(name), "{said}: {error:?}");
    assert_eq!((error.disposition(), asked), (disposition, requests), "{said}");
    assert!(
        !format!("{error:?} {error}").contains("fakeStorageToken"),
        "{said}"
    );
}

const LATER: Disposition = Disposition::Retry { after: None };

fn after(seconds: u64) -> Disposition {
    Disposition::Retry {
        after: Some(Duration::from_secs(seconds)),
    }
}

#[tokio::test]
async fn each_failure_has_its_class_and_is_repeated_only_if_it_may_pass() {
    check(
        FaultKind::Unauthorized,
        "Unauthorized",
        Disposition::NeedsCustomer,
        1,
    )
    .await;
    check(FaultKind::Forbidden, "Forbidden", Disposition::NeedsCustomer, 1).await;
    check(FaultKind::NotFound, "NotFound", Disposition::Gone, 1).await;
    check(
        json_answer(400, r#"{"error":"no","code":"validation"}"#),
        "Rejected",
        Disposition::Permanent,
        1,
    )
    .await;
    check(
        FaultKind::RateLimited { retry_after: None },
        "RateLimited",
        LATER,
        3,
    )
    .await;
    check(FaultKind::ServerError, "Server", LATER, 3).await;
    check(json_answer(504, ""), "Unavailable", LATER, 3).await;
    check(json_answer(423, r#"{"error":"locked"}"#), "Unavailable", LATER, 3).await;
    check(FaultKind::Cut { after_bytes: 0 }, "Unreachable", LATER, 3).await;
    check(FaultKind::Cut { after_bytes: 200 }, "Unreachable", LATER, 3).await;
}

#[tokio::test]
async fn what_is_not_keboolas_answer_is_not_taken_for_one() {
    let page = "<html>Sign in to the proxy</html>";
    check(answer(200, "text/html", page), "Foreign", LATER, 3).await;
    check(answer(404, "text/html", page), "Foreign", LATER, 3).await;
    check(answer(302, "text/html", ""), "Foreign", LATER, 3).await;
    check(
        json_answer(200, "{\"a\":"),
        "Malformed",
        Disposition::Permanent,
        1,
    )
    .await;
    check(
        json_answer(200, r#"[{"name":"a list"}"#),
        "Malformed",
        Disposition::Permanent,
        1,
    )
    .await;
    check(json_answer(200, "5"), "Malformed", Disposition::Permanent, 1).await;
}

#[tokio::test]
async fn an_answer_above_the_limit_is_not_read_on() {
    let huge = format!("[\"{}\"]", "x".repeat(5000));
    check(json_answer(200, &huge), "TooLarge", Disposition::Permanent, 1).await;
}

#[tokio::test]
async fn retry_after_is_told_when_it_is_too_long_to_wait() {
    let limited = |value: &str| FaultKind::RateLimited {
        retry_after: Some(value.into()),
    };
    check(limited("3"), "RateLimited", after(3), 1).await;
    check(
        FaultKind::Maintenance {
            retry_after_seconds: 600,
        },
        "Maintenance",
        after(600),
        1,
    )
    .await;
    let (error, _) = fail(limited("Fri, 31 Dec 2100 23:59:59 GMT")).await;
    let Disposition::Retry { after: Some(after) } = error.disposition() else {
        panic!("{error}")
    };
    assert!(after > Duration::from_secs(365 * 24 * 3600), "{after:?}");
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let fake = start();
    let kind = FaultKind::RateLimited {
        retry_after: Some("1".into()),
    };
    fake.fail(Fault {
        path: BRANCHES.into(),
        times: 1,
        kind,
    });
    let begun = std::time::Instant::now();
    assert_eq!(client(&fake).dev_branches().await.unwrap().len(), 1);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(fake.requests(BRANCHES), 2);
}

#[tokio::test]
async fn a_passing_failure_is_not_seen_by_the_caller() {
    let fake = start();
    for kind in [
        FaultKind::ServerError,
        FaultKind::Cut { after_bytes: 150 },
        json_answer(502, ""),
    ] {
        fake.fail(Fault {
            path: BRANCHES.into(),
            times: 1,
            kind,
        });
    }
    assert_eq!(client(&fake).dev_branches().await.unwrap().len(), 1);
    assert_eq!(fake.requests(BRANCHES), 4);
    let list = "/v2/storage/branch/5/components";
    fake.fail(Fault {
        path: list.into(),
        times: 1,
        kind: FaultKind::Cut { after_bytes: 600 },
    });
    assert_eq!(
        client(&fake)
            .list_configurations(&main_branch())
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(fake.requests(list), 2);
}

#[tokio::test]
async fn a_call_ends_with_its_deadline() {
    let fake = start();
    fake.fail(Fault {
        path: BRANCHES.into(),
        times: 9,
        kind: FaultKind::Slow(Duration::from_secs(60)),
    });
    let client = KeboolaClient::new(ClientConfig {
        total_timeout_ms: 50,
        ..config(&fake)
    })
    .unwrap();
    let error = client.dev_branches().await.unwrap_err();
    assert!(matches!(error, KeboolaError::Timeout { .. }), "{error}");
    assert_eq!(error.disposition(), LATER);
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let fake = start();
    fake.fail(Fault {
        path: BRANCHES.into(),
        times: 1,
        kind: FaultKind::Slow(Duration::from_secs(60)),
    });
    let client = KeboolaClient::new(ClientConfig {
        read_timeout_ms: 50,
        ..config(&fake)
    })
    .unwrap();
    assert_eq!(client.dev_branches().await.unwrap().len(), 1);
    assert_eq!(fake.requests(BRANCHES), 2);
}

#[tokio::test]
async fn a_stream_tells_where_it_broke_and_ends() {
    let fake = start();
    let list = "/v2/storage/branch/5/components";
    fake.fail(Fault {
        path: list.into(),
        times: 1,
        kind: FaultKind::Cut { after_bytes: 2000 },
    });
    let mut stream = client(&fake).configurations(&main_branch()).await.unwrap();
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut list must not look complete"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, KeboolaError::Unreachable { .. }), "{error}");
    assert_eq!(stream.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_is_bounded_by_the_item_not_by_the_list() {
    let fake = start();
    let list = "/v2/storage/branch/5/tables";
    let item = r#"{"id":"in.c-shop.t"}"#;
    let body = format!("[{}]", [item; 500].join(","));
    fake.fail(Fault {
        path: list.into(),
        times: 1,
        kind: json_answer(200, &body),
    });
    let small = || {
        KeboolaClient::new(ClientConfig {
            response_bytes_max: 100,
            ..config(&fake)
        })
        .unwrap()
    };
    assert_eq!(
        small()
            .tables(&main_branch())
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .len(),
        500
    );
    let error = small()
        .tables(&main_branch())
        .await
        .unwrap()
        .collect()
        .await
        .unwrap_err();
    assert!(
        matches!(error, KeboolaError::TooLarge { limit: 100, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn the_client_keeps_to_its_parallelism() {
    let config_of_fake = FakeConfig {
        parallel_max: 3,
        ..FakeConfig::default()
    };
    let fake = Fake::start(small_project(), config_of_fake).unwrap();
    let client = KeboolaClient::new(ClientConfig {
        parallel_max: 3,
        retries_max: 0,
        ..config(&fake)
    })
    .unwrap();
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.configuration(&main_branch(), &shop(), &orders()).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(fake.parallel_seen() <= 3, "{}", fake.parallel_seen());
}

#[tokio::test]
async fn calls_go_on_while_a_stream_is_open() {
    let fake = start();
    let client = KeboolaClient::new(ClientConfig {
        parallel_max: 1,
        ..config(&fake)
    })
    .unwrap();
    let mut stream = client.configurations(&main_branch()).await.unwrap();
    let first = stream.next().await.unwrap().unwrap().unwrap();
    let found = &first.configurations[0];
    client
        .configuration(&main_branch(), &found.component_id, &found.id)
        .await
        .unwrap();
    assert!(stream.next().await.unwrap().is_some());
}

#[tokio::test]
async fn a_late_version_is_read_as_the_one_before() {
    let fake = start();
    fake.hide_new_versions(1);
    fake.update_configuration(&orders_at(), &change(0), |found| *found = json!({}))
        .unwrap();
    let client = client(&fake);
    let mut versions = Vec::new();
    for _ in 0..2 {
        versions.push(
            client
                .configuration(&main_branch(), &shop(), &orders())
                .await
                .unwrap()
                .revision
                .version,
        );
    }
    assert_eq!(versions, [2, 3]);
}

#[tokio::test]
async fn a_wrong_token_needs_the_customer() {
    let fake = start();
    let wrong = ClientConfig {
        token: SecretString::from("123-9-wrong"),
        ..config(&fake)
    };
    let error = KeboolaClient::new(wrong)
        .unwrap()
        .verify_token()
        .await
        .unwrap_err();
    assert_eq!(error.disposition(), Disposition::NeedsCustomer);
    assert_eq!(
        error.to_string(),
        "keboola does not accept the token for token verification (code `storage.tokenInvalid`, exception-fake-1); give the mirror a valid one"
    );
}

#[tokio::test]
async fn a_renewed_token_is_sent_by_all_clones_and_one_that_cannot_be_changes_nothing() {
    let fake = start();
    let client = client(&fake);
    let clone = client.clone();
    client.verify_token().await.unwrap();
    fake.renew_token("123-2-renewed");
    client.verify_token().await.unwrap_err();
    client.renew_token(&SecretString::from("123-2-renewed")).unwrap();
    clone.verify_token().await.unwrap();
    for unusable in ["", "two\nlines"] {
        let error = client.renew_token(&SecretString::from(unusable)).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Permanent, "{error}");
    }
    clone.verify_token().await.unwrap();
}

#[tokio::test]
async fn an_index_without_a_queue_or_with_an_unsafe_one_is_refused() {
    let fake = start();
    let client = client(&fake);
    let index = |body: &str| {
        fake.fail(Fault {
            path: "/v2/storage".into(),
            times: 1,
            kind: json_answer(200, body),
        });
    };
    index(r#"{"services":[]}"#);
    assert!(matches!(
        client.job("901").await,
        Err(KeboolaError::NoService { service: "queue" })
    ));
    index(r#"{"services":[{"id":"queue","url":"http://queue.example.com"}]}"#);
    assert!(matches!(
        client.job("901").await,
        Err(KeboolaError::Settings {
            field: "services.queue",
            ..
        })
    ));
    assert_eq!(client.job("901").await.unwrap().id, "901");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let of = |base_url: &str, token: &str| ClientConfig::new(base_url, SecretString::from(token));
    let refused = [
        of("http://connection.keboola.com", "x"),
        of("https://connection.keboola.com", ""),
        of("https://connection.keboola.com", "a\nb"),
        ClientConfig {
            parallel_max: 0,
            ..of("https://connection.keboola.com", "x")
        },
    ];
    for config in refused {
        let error = KeboolaClient::new(config).unwrap_err();
        assert_eq!(
            (
                matches!(error, KeboolaError::Settings { .. }),
                error.disposition()
            ),
            (true, Disposition::Permanent)
        );
    }
}
