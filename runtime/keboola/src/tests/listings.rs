use super::{client, main_branch, start};
use crate::{Item, JobSearch, Unread, UnreadJobs};
use fake_keboola::{Fake, Fault, FaultKind};
use mirror_core::ids::{ComponentId, ConfigId};
use std::fmt::Debug;

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

/// Has the fake answer once with a listing of these bytes, which stand in the text as `(odd)`.
fn answer_odd(fake: &Fake, path: &str, text: &str) {
    let parts: Vec<&[u8]> = text.split("(odd)").map(str::as_bytes).collect();
    fake.fail(Fault {
        path: path.into(),
        times: 1,
        kind: FaultKind::Answer {
            status: 200,
            content_type: "application/json".into(),
            body: parts.join(&b"\xc3\x28\xff"[..]),
        },
    });
}

/// Says of each item which one it is, and what is wrong with it.
fn told<T, Id: Debug>(items: &[Item<T, Id>], id: impl Fn(&T) -> String) -> Vec<String> {
    let told = items.iter().map(|item| match item {
        Ok(item) => id(item),
        Err(Unread { id, detail }) => {
            let id = id.as_ref().map_or("?".to_owned(), |id| format!("{id:?}"));
            format!("{id}: {detail}")
        }
    });
    told.collect()
}

const NOT_TEXT: &str = "it has bytes that are not UTF-8; replace them in Keboola";

const COMPONENTS: &str = r#"[
    {"id":"c","name":"C","configurations":[{"id":"good","version":1,"name":"\ud800 �"},
        {"id":"odd","version":3,"name":"x(odd)y"},{"id":"od(odd)d","version":1},
        {"id":"row","version":1,"rows":[{"id":"r","configuration":{"(odd)":1}}]},
        {"id":"state","version":1,"state":{"last":"(odd)"}},{"id":"last","version":1}]},
    {"id":"d","name":"(odd)","configurations":[{"id":"e","version":1}]},
    {"id":"f(odd)","configurations":[]},
    {"id":"g"(odd),"configurations":[]},
    {"id":"h","configurations":[{"id":"i","version":1}]}]"#;

#[tokio::test]
async fn a_byte_that_is_not_utf_8_is_a_fault_of_its_configuration_or_component_alone() {
    let fake = start();
    let client = client(&fake);
    let path = "/v2/storage/branch/5/components";
    answer_odd(&fake, path, COMPONENTS);
    let listed = client.configurations(&main_branch()).await.unwrap();
    let listed = listed.collect().await.unwrap();
    let first = listed[0].as_ref().unwrap();
    let ids: Vec<&str> = first
        .configurations
        .iter()
        .map(|found| found.id.as_str())
        .collect();
    assert_eq!(ids, ["good", "last"]);
    let source = &first.configurations[0].source;
    assert!(source.contains(r#""\ud800 �""#), "{source}");
    let unread: Vec<(Option<&str>, &str)> = first
        .unread
        .iter()
        .map(|unread| (unread.id.as_ref().map(ConfigId::as_str), unread.detail.as_str()))
        .collect();
    let expected = [Some("odd"), None, Some("row"), Some("state")].map(|id| (id, NOT_TEXT));
    assert_eq!(unread, expected);
    assert_eq!(
        told(&listed[1..], |listed| listed.component.component.id.clone()),
        [
            &format!("ComponentId(d): {NOT_TEXT}"),
            &format!("?: {NOT_TEXT}"),
            "?: it is not JSON at line 1 column 10",
            "h"
        ]
    );

    answer_odd(&fake, path, COMPONENTS);
    let light = client.list_configurations(&main_branch()).await.unwrap();
    let ids: Vec<&str> = light.iter().map(|found| found.id.as_str()).collect();
    let expected = ["good", "odd", "row", "state", "last", "e", "i"];
    assert_eq!(ids, expected, "their ids and versions are text");

    answer_odd(
        &fake,
        &format!("{path}/c/configs/odd"),
        r#"{"id":"odd","version":1,"name":"(odd)"}"#,
    );
    let [component, config] = ["c", "odd"];
    let component = ComponentId::parse(component).unwrap();
    let config = ConfigId::parse(config).unwrap();
    let alone = client.configuration(&main_branch(), &component, &config).await;
    let refused = alone.unwrap_err().to_string();
    assert!(refused.ends_with(NOT_TEXT), "{refused}");
}

#[tokio::test]
async fn a_byte_that_is_not_utf_8_is_a_fault_of_its_object_alone_in_other_listings() {
    let fake = start();
    let client = client(&fake);
    let three = r#"[{"id":"in.c-a.t"},{"id":"in.c-a.u","description":"(odd)"},{"id":"in.c-a.v"}]"#;
    let expected = ["in.c-a.t", &format!("TableId(in.c-a.u): {NOT_TEXT}"), "in.c-a.v"];
    answer_odd(&fake, "/v2/storage/branch/5/tables", three);
    let tables = client.tables(&main_branch()).await.unwrap();
    let tables = tables.collect().await.unwrap();
    assert_eq!(told(&tables, |table| table.id.to_string()), expected);
    answer_odd(&fake, "/v2/storage/branch/5/buckets", three);
    let buckets = client.buckets(&main_branch()).await.unwrap();
    let expected = ["in.c-a.t", &format!("BucketId(in.c-a.u): {NOT_TEXT}"), "in.c-a.v"];
    assert_eq!(told(&buckets, |bucket| bucket.id.to_string()), expected);
    let two = r#"[{"id":5},{"id":6,"name":"(odd)"}]"#;
    answer_odd(&fake, "/v2/storage/dev-branches", two);
    let branches = client.dev_branches().await.unwrap();
    let expected = ["5", &format!("BranchId(6): {NOT_TEXT}")];
    assert_eq!(told(&branches, |branch| branch.id.to_string()), expected);
    let jobs = r#"[{"id":"1"},{"id":"2","error":"(odd)"},{"id":"3"}]"#;
    answer_odd(&fake, "/queue/search/jobs", jobs);
    let mut pages = client.job_pages(JobSearch::default());
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 2);
    assert_eq!(pages.unread().first[0].id.as_deref(), Some("2"));
    let events = r#"[{"uuid":"1","event":"a","message":"(odd)"},{"uuid":"(odd)"},{"uuid":"3","event":"b"}]"#;
    answer_odd(&fake, "/v2/storage/branch/5/events", events);
    let events = client.events(&main_branch(), 10).await.unwrap();
    let uuids: Vec<&str> = events.iter().map(|event| &*event.uuid).collect();
    assert_eq!(uuids, ["1", "3"]);
    let metadata = r#"[{"idComponent":"c","configurationId":"a","metadata":[{"key":"k","value":"(odd)"}]},
        {"idComponent":"c","configurationId":"b","metadata":[{"key":"k","value":"\ud800"}]},
        {"idComponent":"c","configurationId":"d","metadata":[{"key":"k","value":"v"}]}]"#;
    answer_odd(&fake, "/v2/storage/branch/5/search", metadata);
    let metadata = client.configurations_metadata(&main_branch()).await.unwrap();
    let half = "`value` has half of a surrogate pair; replace it in Keboola";
    assert_eq!(
        told(&metadata, |listed| listed.config_id.to_string()
            + &listed.metadata[0].value),
        [
            format!("(ComponentId(c), ConfigId(a)): {NOT_TEXT}"),
            format!("(ComponentId(c), ConfigId(b)): {half}"),
            "dv".to_owned()
        ]
    );
}
