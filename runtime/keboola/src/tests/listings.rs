use super::{client, main_branch, start};
use crate::{JobSearch, UnreadJobs};
use fake_keboola::{Fault, FaultKind};
use mirror_core::ids::ConfigId;

#[tokio::test]
async fn what_cannot_be_read_of_a_listing_is_told_beside_the_rest() {
    let fake = start();
    let client = client(&fake);
    let answer = |path: &str, body: &str| {
        fake.fail(Fault {
            path: path.into(),
            times: 1,
            kind: FaultKind::Answer {
                status: 200,
                content_type: "application/json".into(),
                body: body.into(),
            },
        });
    };
    let component = r#"{"id":"c","configurations":[{"id":"good","version":1},
        {"id":"row","version":1,"rows":[{"name":"x"}]},{"id":"no-version","version":null},{"id":"a\u0001b","version":1},{"version":1}]}"#;
    let components = format!(r#"[{component},{{"configurations":[]}},{{"id":"d","configurations":[]}}]"#);
    answer("/v2/storage/branch/5/components", &components);
    let listed = client
        .configurations(&main_branch())
        .await
        .unwrap()
        .collect()
        .await;
    let listed = listed.unwrap();
    let first = listed[0].as_ref().unwrap();
    assert_eq!(first.configurations.len(), 1);
    let unread: Vec<Option<&str>> = first
        .unread
        .iter()
        .map(|unread| unread.id.as_ref().map(ConfigId::as_str))
        .collect();
    assert_eq!(unread, [Some("row"), Some("no-version"), None, None]);
    assert_eq!(first.unread[1].detail, "`version` is missing");
    assert_eq!(listed[1].as_ref().unwrap_err().id, None);
    assert_eq!(listed[2].as_ref().unwrap().configurations.len(), 0);

    answer("/v2/storage/branch/5/components", &components);
    let light = client.list_configurations(&main_branch()).await.unwrap();
    let ids: Vec<&str> = light.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["good", "row"], "rows are not looked at");

    let two = r#"[{"id":"in.c-a.t"},{"id":null},{"id":"in.c-a.u"}]"#;
    answer("/v2/storage/branch/5/tables", two);
    let tables = client.tables(&main_branch()).await.unwrap().collect().await;
    let tables = tables.unwrap();
    assert!(tables[0].is_ok() && tables[1].is_err() && tables[2].is_ok());
    answer("/v2/storage/branch/5/buckets", two);
    let buckets = client.buckets(&main_branch()).await.unwrap();
    assert!(buckets[0].is_ok() && buckets[1].is_err() && buckets[2].is_ok());
    answer(
        "/v2/storage/dev-branches",
        r#"[{"id":5,"isDefault":true},{"name":"x"},{"id":6,"name":[]}]"#,
    );
    let branches = client.dev_branches().await.unwrap();
    let ids: Vec<Option<&str>> = branches
        .iter()
        .map(|branch| branch.as_ref().ok().map(|branch| branch.id.as_str()))
        .collect();
    assert_eq!(ids, [Some("5"), None, Some("6")]);
    let metadata = r#"[{"idComponent":"c","configurationId":"a","metadata":[{"key":"k"}]},
        {"idComponent":"c","configurationId":"b","metadata":[{"value":"v"}]},{"idComponent":"c","metadata":[]}]"#;
    answer("/v2/storage/branch/5/search", metadata);
    let metadata = client.configurations_metadata(&main_branch()).await.unwrap();
    let unread = |index: usize| metadata[index].as_ref().unwrap_err();
    assert_eq!(metadata[0].as_ref().unwrap().metadata[0].key, "k");
    assert_eq!(unread(1).detail, "`key` of metadata is missing");
    assert_eq!(
        unread(1).id.as_ref().map(|(_, config)| config.as_str()),
        Some("b")
    );
    assert_eq!(unread(2).id, None);
    answer("/queue/search/jobs", r#"[{"id":"1"},{"runId":"2"}]"#);
    let jobs = client.search_jobs(&JobSearch::default()).await.unwrap();
    assert_eq!(jobs.len(), 1);

    answer(
        "/queue/search/jobs",
        r#"[{"id":"a\nb"},{"id":"1"},{"id":"9","runId":"\u0000"},{"id":""},{"status":"error"}]"#,
    );
    let mut pages = client.job_pages(JobSearch::default());
    let jobs = pages.next().await.unwrap().unwrap();
    assert_eq!(jobs.len(), 1);
    let UnreadJobs { count, first } = pages.unread();
    let first: Vec<(Option<&str>, &str)> = first
        .iter()
        .map(|unread| (unread.id.as_deref(), unread.detail.as_str()))
        .collect();
    let expected = [
        (Some("a\nb"), "run id is not printable"),
        (Some("\0"), "run id is not printable"),
        (Some(""), "run id is empty"),
        (None, "`id` of a job is missing"),
    ];
    assert_eq!((*count, &first[..]), (4, &expected[..]));
}
