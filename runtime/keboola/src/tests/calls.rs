use super::{change, client, config, main_branch, orders, orders_at, shop, start};
use crate::{JobSearch, JobStatus, KeboolaClient, KeboolaError, PreviewRequest};
use expect_test::{Expect, expect};
use fake_keboola::{Author, Fake, FakeConfig, Fault, FaultKind, JobSpec, small_project};
use mirror_core::ids::{BranchId, ComponentId, ConfigId, TableId};
use sample_project::{Shape, generate};
use serde_json::{Value, json};

#[track_caller]
fn check(found: &impl std::fmt::Debug, expected: &Expect) {
    expected.assert_eq(&format!("{found:#?}\n"));
}

#[tokio::test]
async fn the_token_tells_its_project_and_is_not_kept() {
    let fake = start();
    let client = client(&fake);
    let info = client.verify_token().await.unwrap();
    check(
        &info,
        &expect![[r#"
        TokenInfo {
            id: "27978",
            description: "anna@example.com",
            is_master: true,
            can_manage_buckets: true,
            expires: None,
            is_expired: false,
            is_disabled: false,
            project_id: ProjectId(123),
            project_name: "Small project",
            organization_id: Some(
                "77",
            ),
            features: [
                "queuev2",
            ],
        }
    "#]],
    );
    let printed = format!("{info:?} {client:?}");
    assert!(!printed.contains(fake.token()), "{printed}");
}

#[tokio::test]
async fn the_index_names_components_and_services() {
    let fake = start();
    let index = client(&fake).index().await.unwrap();
    assert_eq!(index.services["queue"], format!("{}/queue", fake.url()));
    check(
        &index.components,
        &expect![[r#"
        [
            ComponentInfo {
                component: Component {
                    id: "keboola.ex-shop",
                    component_type: "extractor",
                    name: "ex-shop",
                    generic_code_blocks_ui: false,
                    default_bucket_stage: Some(
                        "in",
                    ),
                },
                flags: [],
            },
            ComponentInfo {
                component: Component {
                    id: "keboola.flow",
                    component_type: "other",
                    name: "flow",
                    generic_code_blocks_ui: false,
                    default_bucket_stage: None,
                },
                flags: [],
            },
            ComponentInfo {
                component: Component {
                    id: "keboola.snowflake-transformation",
                    component_type: "transformation",
                    name: "snowflake-transformation",
                    generic_code_blocks_ui: true,
                    default_bucket_stage: None,
                },
                flags: [
                    "genericCodeBlocksUI",
                ],
            },
        ]
    "#]],
    );
    let one = client(&fake).component(&shop()).await.unwrap();
    assert_eq!(one, index.components[0]);
}

#[tokio::test]
async fn branches_come_with_their_text() {
    let fake = start();
    fake.create_branch("Feature", "why", &change(0)).unwrap();
    let branches = client(&fake).dev_branches().await.unwrap();
    let branches: Vec<_> = branches.into_iter().map(Result::unwrap).collect();
    let seen: Vec<(&str, &str, bool)> = branches
        .iter()
        .map(|branch| (branch.id.as_str(), &*branch.name, branch.is_default))
        .collect();
    assert_eq!(seen, [("5", "Main", true), ("6", "Feature", false)]);
    assert!(branches[0].source.starts_with(r#"{"id":5,"name":"Main""#));
}

#[tokio::test]
async fn a_configuration_has_the_same_text_in_the_list_and_by_itself() {
    let fake = start();
    let client = client(&fake);
    let mut stream = client.configurations(&main_branch()).await.unwrap();
    let mut listed = Vec::new();
    while let Some(component) = stream.next().await.unwrap() {
        let component = component.unwrap();
        listed.push((component.component.component.id, component.configurations));
    }
    let ids: Vec<(&str, usize)> = listed
        .iter()
        .map(|(id, configs)| (id.as_str(), configs.len()))
        .collect();
    assert_eq!(
        ids,
        [("keboola.ex-shop", 1), ("keboola.snowflake-transformation", 1)]
    );
    let detail = client
        .configuration(&main_branch(), &shop(), &orders())
        .await
        .unwrap();
    assert_eq!(listed[0].1[0], detail);
    assert!(
        !format!("{detail:?}").contains("never mirrored"),
        "state is dropped"
    );
    check(
        &detail,
        &expect![[r##"
        ConfigurationDetail {
            component_id: ComponentId(keboola.ex-shop),
            id: ConfigId(orders),
            name: "The orders",
            revision: Revision {
                version: 2,
                identifier: Some(
                    "01KE6PMK6000000000000000R2",
                ),
                created: Some(
                    2026-01-06T08:00:00Z,
                ),
                author: Some(
                    Author {
                        token_id: Some(
                            "27979",
                        ),
                        description: "author-2@example.com",
                    },
                ),
                change_description: "Row second added",
                is_deleted: false,
            },
            first_created: Some(
                2026-01-05T08:00:00Z,
            ),
            source: "{\"id\":\"orders\",\"name\":\"The orders\",\"description\":\"\",\"created\":\"2026-01-05T09:00:00+0100\",\"creatorToken\":{\"id\":27978,\"description\":\"author-1@example.com\"},\"version\":2,\"changeDescription\":\"Row second added\",\"isDisabled\":false,\"isDeleted\":false,\"configuration\":{\"parameters\":{\"z\":1.5,\"#token\":\"KBC::ProjectSecure::eJwB\",\"a\":{\"b\":[1,2]}}},\"rowsSortOrder\":[],\"currentVersion\":{\"created\":\"2026-01-06T09:00:00+0100\",\"creatorToken\":{\"id\":27979,\"description\":\"author-2@example.com\"},\"changeDescription\":\"Row second added\",\"versionIdentifier\":\"01KE6PMK6000000000000000R2\"}}",
            rows: [
                Row {
                    id: RowId(first),
                    name: "Orders of today",
                    version: 1,
                    version_identifier: Some(
                        "01KE6PMK60000000000000000R",
                    ),
                    source: "{\"id\":\"first\",\"name\":\"Orders of today\",\"description\":\"\",\"isDisabled\":false,\"configuration\":{\"parameters\":{\"table\":\"first\"}},\"version\":1,\"created\":\"2026-01-05T09:00:00+0100\",\"creatorToken\":{\"id\":27978,\"description\":\"anna@example.com\"},\"changeDescription\":null,\"versionIdentifier\":\"01KE6PMK60000000000000000R\"}",
                },
                Row {
                    id: RowId(second),
                    name: "",
                    version: 1,
                    version_identifier: Some(
                        "01KE6PMK60000000000000000R",
                    ),
                    source: "{\"id\":\"second\",\"name\":\"\",\"description\":\"\",\"isDisabled\":false,\"configuration\":{\"parameters\":{\"table\":\"second\"}},\"version\":1,\"created\":\"2026-01-05T09:00:00+0100\",\"creatorToken\":{\"id\":27978,\"description\":\"anna@example.com\"},\"changeDescription\":null,\"versionIdentifier\":\"01KE6PMK60000000000000000R\"}",
                },
            ],
        }
    "##]],
    );
}

#[tokio::test]
async fn the_light_list_is_enough_to_see_what_changed() {
    let fake = start();
    let client = client(&fake);
    let before = client.list_configurations(&main_branch()).await.unwrap();
    fake.update_row(&orders_at(), "first", &change(0), |row| row["name"] = json!("x"))
        .unwrap();
    let after = client.list_configurations(&main_branch()).await.unwrap();
    let changed: Vec<_> = after.iter().filter(|listed| !before.contains(listed)).collect();
    check(
        &changed,
        &expect![[r#"
        [
            ListedConfiguration {
                component_id: ComponentId(keboola.ex-shop),
                id: ConfigId(orders),
                name: "The orders",
                revision: Revision {
                    version: 3,
                    identifier: Some(
                        "01KSR49200QVNRV8B5HVP6ENAY",
                    ),
                    created: Some(
                        2026-05-28T20:26:40Z,
                    ),
                    author: Some(
                        Author {
                            token_id: Some(
                                "7",
                            ),
                            description: "jane@example.com",
                        },
                    ),
                    change_description: "Tried",
                    is_deleted: false,
                },
            },
        ]
    "#]],
    );
    assert_eq!(fake.requests("/v2/storage/branch/5/components/"), 0);
}

#[tokio::test]
async fn the_trash_is_listed_apart() {
    let fake = start();
    let client = client(&fake);
    fake.delete_configuration(&orders_at(), &change(0)).unwrap();
    let trash = client.list_deleted(&main_branch()).await.unwrap();
    assert_eq!(
        (
            trash[0].id.as_str(),
            trash[0].revision.version,
            trash[0].revision.is_deleted
        ),
        ("orders", 3, true)
    );
    assert_eq!(client.list_configurations(&main_branch()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_past_version_equals_what_the_configuration_was() {
    let fake = start();
    let client = client(&fake);
    let then = client
        .configuration(&main_branch(), &shop(), &orders())
        .await
        .unwrap();
    fake.update_configuration(&orders_at(), &change(0), |configuration| {
        *configuration = json!({});
    })
    .unwrap();
    let now = client
        .configuration(&main_branch(), &shop(), &orders())
        .await
        .unwrap();
    let past = client
        .configuration_version(&main_branch(), &now, 2)
        .await
        .unwrap();
    assert_eq!(
        (&past.revision, &past.rows, &past.name, past.first_created),
        (&then.revision, &then.rows, &then.name, then.first_created)
    );
    // Who made the first version too, which no version tells.
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(read(&past.source), read(&then.source));
}

#[tokio::test]
async fn versions_are_paged_until_the_known_one() {
    let fake = start();
    let client = client(&fake);
    for number in 0..250 {
        fake.update_configuration(&orders_at(), &change(number), |found| found["n"] = json!(number))
            .unwrap();
    }
    let newer = client
        .versions_above(&main_branch(), &shop(), &orders(), 7)
        .await
        .unwrap();
    let numbers: Vec<u64> = newer.iter().map(|revision| revision.version).collect();
    assert_eq!(numbers, (8..=252).collect::<Vec<_>>());
    assert_eq!(
        fake.requests("/v2/storage/branch/5/components/keboola.ex-shop/configs/orders/versions"),
        3
    );
    assert_eq!(newer[0].author.as_ref().unwrap().description, "jane@example.com");
    let page = client
        .versions(&main_branch(), &shop(), &orders(), 2, 250)
        .await
        .unwrap();
    assert_eq!(
        page.iter().map(|revision| revision.version).collect::<Vec<_>>(),
        [2, 1]
    );
}

#[tokio::test]
async fn metadata_of_branch_and_configurations() {
    let fake = start();
    let client = client(&fake);
    let all = client.configurations_metadata(&main_branch()).await.unwrap();
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    check(
        &all,
        &expect![[r#"
        [
            ConfigurationMetadata {
                component_id: ComponentId(keboola.snowflake-transformation),
                config_id: ConfigId(clean),
                metadata: [
                    Metadata {
                        key: "KBC.configuration.folderName",
                        value: "Cleaning",
                        provider: "user",
                        timestamp: Some(
                            2026-01-05T08:00:00Z,
                        ),
                    },
                ],
            },
        ]
    "#]],
    );
    let one = client
        .configuration_metadata(&main_branch(), &all[0].component_id, &all[0].config_id)
        .await
        .unwrap();
    assert_eq!(one, all[0].metadata);
    assert_eq!(
        client.branch_metadata(&main_branch()).await.unwrap()[0].key,
        "KBC.projectDescription"
    );
}

#[tokio::test]
async fn storage_is_read_table_by_table() {
    let fake = start();
    let client = client(&fake);
    let buckets = client.buckets(&main_branch()).await.unwrap();
    let bucket = buckets[0].as_ref().unwrap();
    assert_eq!((bucket.id.as_str(), &*bucket.stage), ("in.c-shop", "in"));
    let tables = client.tables(&main_branch()).await.unwrap().collect().await;
    let tables: Vec<_> = tables.unwrap().into_iter().map(Result::unwrap).collect();
    let sizes: Vec<(&str, usize)> = tables
        .iter()
        .map(|table| (&*table.name, table.columns.len()))
        .collect();
    assert_eq!(sizes, [("orders", 2), ("wide", 40)]);
    assert_eq!(
        client.table(&main_branch(), &tables[0].id).await.unwrap(),
        tables[0]
    );
}

#[tokio::test]
async fn a_preview_is_ordered_by_the_key() {
    let fake = start();
    let client = client(&fake);
    let table = client
        .table(&main_branch(), &TableId::parse("in.c-shop.orders").unwrap())
        .await
        .unwrap();
    let preview = client
        .preview(&main_branch(), &PreviewRequest::of(&table, 100))
        .await
        .unwrap();
    assert_eq!(
        preview.csv,
        "\"id\",\"name\"\n\"1\",\"Bread\"\n\"2\",\"Milk, 1 l\"\n"
    );
    assert!(!preview.is_narrowed);
}

#[tokio::test]
async fn a_preview_of_too_many_columns_is_narrowed() {
    let fake = start();
    let client = client(&fake);
    let table = client
        .table(&main_branch(), &TableId::parse("in.c-shop.wide").unwrap())
        .await
        .unwrap();
    let preview = client
        .preview(&main_branch(), &PreviewRequest::of(&table, 100))
        .await
        .unwrap();
    assert!(preview.is_narrowed);
    assert_eq!(preview.csv.split(',').count(), 30);
    // A refusal for another reason stays one.
    let wrong = PreviewRequest {
        columns: vec!["nope".into()],
        ..PreviewRequest::of(&table, 100)
    };
    let refused = client.preview(&main_branch(), &wrong).await.unwrap_err();
    assert!(
        matches!(refused, KeboolaError::Rejected { status: 400, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn jobs_come_by_their_end_page_by_page() {
    let fake = start();
    let client = client(&fake);
    for number in 0..5_i64 {
        let job = JobSpec {
            at: orders_at(),
            status: if number == 3 {
                "cancelled".into()
            } else {
                "success".into()
            },
            author: Author {
                token_id: 7,
                name: "ci-bot".into(),
            },
            started: change(number).now,
            ended: change(100 - number).now,
            message: "done".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            artifact_links: Vec::new(),
        };
        fake.finish_job(job).unwrap();
    }
    let mut search = JobSearch {
        ended_from: Some(change(0).now),
        limit: 2,
        ..JobSearch::default()
    };
    let mut found = Vec::new();
    loop {
        let page = client.search_jobs(&search).await.unwrap();
        search.offset += search.limit;
        found.extend(page.iter().map(|job| job.id.clone()));
        if page.len() < search.limit as usize {
            break;
        }
    }
    assert_eq!(found, ["907", "906", "905", "904", "903"]);
    let cancelled = JobSearch {
        statuses: vec![JobStatus::Cancelled],
        ..JobSearch::default()
    };
    let cancelled = client.search_jobs(&cancelled).await.unwrap();
    assert_eq!(
        (cancelled.len(), &cancelled[0]),
        (1, &client.job("906").await.unwrap())
    );
    check(
        &client.job("901").await.unwrap(),
        &expect![[r#"
        Job {
            id: "901",
            run_id: RunId(901),
            branch_id: Some(
                BranchId(5),
            ),
            component_id: Some(
                ComponentId(keboola.ex-shop),
            ),
            config_id: Some(
                ConfigId(orders),
            ),
            status: Success,
            created: Some(
                2026-01-06T09:00:00Z,
            ),
            started: Some(
                2026-01-06T09:00:01Z,
            ),
            ended: Some(
                2026-01-06T09:05:00Z,
            ),
            config_version: Some(
                2,
            ),
            source: "{\"id\":\"901\",\"runId\":\"901\",\"parentRunId\":\"\",\"project\":{\"id\":\"123\",\"name\":\"Small project\"},\"token\":{\"id\":\"27978\",\"description\":\"anna@example.com\"},\"status\":\"success\",\"desiredStatus\":\"processing\",\"mode\":\"run\",\"component\":\"keboola.ex-shop\",\"config\":\"orders\",\"configData\":[],\"configRowIds\":[],\"createdTime\":\"2026-01-06T09:00:00+00:00\",\"startTime\":\"2026-01-06T09:00:01+00:00\",\"endTime\":\"2026-01-06T09:05:00+00:00\",\"durationSeconds\":299,\"result\":{\"message\":\"done\",\"configVersion\":\"2\"},\"isFinished\":true,\"branchId\":\"5\",\"branchType\":\"default\",\"metrics\":[],\"type\":\"standard\"}",
        }
    "#]],
    );
    assert_eq!(fake.requests("/v2/storage"), 1, "the service is looked up once");
}

#[tokio::test]
async fn connecting_finds_the_services_once() {
    let fake = start();
    let client = client(&fake);
    client.connect().await.unwrap();
    client.connect().await.unwrap();
    client.job("901").await.unwrap();
    assert_eq!(fake.requests("/v2/storage"), 1);
}

/// Not what a parser would write: spaces, escapes, digits beyond 64 bits, keys out of order.
const STRANGE: &str =
    r#"{ "z":12345678901234567890123, "a" : 1.10, "e":1E+2,"u":"\u017e\/é", "m":{"b":-0, "a":0.1e-7} }"#;

#[tokio::test]
async fn the_text_of_objects_survives_byte_for_byte() {
    let fake = start();
    let client = client(&fake);
    let answer = |path: &str, body: String| {
        let kind = FaultKind::Answer {
            status: 200,
            content_type: "application/json".into(),
            body: body.into(),
        };
        fake.fail(Fault {
            path: path.into(),
            times: 1,
            kind,
        });
    };
    let orders_path = "/v2/storage/branch/5/components/keboola.ex-shop/configs/orders";
    let row = format!(r#"{{"id":"r","configuration":{STRANGE},"state":{{}}}}"#);
    let config = format!(r#"{{"configuration":{STRANGE},"rows":[{row}],"version":7,"id":"orders"}}"#);
    answer(orders_path, config.clone());
    let detail = client
        .configuration(&main_branch(), &shop(), &orders())
        .await
        .unwrap();
    assert_eq!(
        detail.source,
        format!(r#"{{"configuration":{STRANGE},"version":7,"id":"orders"}}"#)
    );
    assert_eq!(
        detail.rows[0].source,
        format!(r#"{{"id":"r","configuration":{STRANGE}}}"#)
    );

    answer(&format!("{orders_path}/versions/7"), config.clone());
    let past = client
        .configuration_version(&main_branch(), &detail, 7)
        .await
        .unwrap();
    assert!(past.source.contains(STRANGE) && past.rows[0].source.contains(STRANGE));

    answer(
        "/v2/storage/branch/5/components",
        format!(r#"[{{"id":"keboola.ex-shop","configurations":[{config}]}}]"#),
    );
    let listed = client
        .configurations(&main_branch())
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(listed[0].as_ref().unwrap().configurations[0], detail);

    let table = format!(r#"{{ "id":"in.c-shop.t", "x":{STRANGE} }}"#);
    answer("/v2/storage/branch/5/tables", format!("[{table} , {table}]"));
    let tables = client
        .tables(&main_branch())
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(tables[0].as_ref().unwrap().source.trim_end(), table);
    let job = format!(r#"{{"id":"1","result":{STRANGE}}}"#);
    answer("/queue/search/jobs", format!("[{job}]"));
    assert_eq!(
        client.search_jobs(&JobSearch::default()).await.unwrap()[0].source,
        job
    );
}

#[tokio::test]
async fn ids_stay_in_their_place_of_the_address() {
    let fake = start();
    let client = client(&fake);
    let strange = "a/b?c#d %2F ž";
    let at = fake_keboola::ConfigAt::new("5", "keboola.flow", strange);
    fake.create_configuration(&at, &change(0), "x", json!({}))
        .unwrap();
    let (flow, id) = (
        ComponentId::parse("keboola.flow").unwrap(),
        ConfigId::parse(strange).unwrap(),
    );
    let found = client.configuration(&main_branch(), &flow, &id).await.unwrap();
    assert_eq!(found.id.as_str(), strange);
    let dots = client
        .configuration(&main_branch(), &flow, &ConfigId::parse("..").unwrap())
        .await
        .unwrap_err();
    assert!(matches!(dots, KeboolaError::Malformed { .. }), "{dots}");
}

#[tokio::test]
async fn a_generated_project_is_read_as_it_is() {
    let project = generate(&Shape::default());
    let fake = Fake::start(project.clone(), FakeConfig::default()).unwrap();
    let client = KeboolaClient::new(config(&fake)).unwrap();
    let mut count = 0;
    for branch in &project.branches {
        let id = BranchId::parse(&branch.id().to_string()).unwrap();
        let mut stream = client.configurations(&id).await.unwrap();
        while let Some(component) = stream.next().await.unwrap() {
            for found in component.unwrap().configurations {
                let wanted = branch
                    .configuration(found.component_id.as_str(), found.id.as_str())
                    .unwrap();
                assert_eq!(found.revision.version, wanted.version(), "{}", found.id);
                assert!(
                    found.revision.author.is_some() && found.revision.created.is_some(),
                    "{}",
                    found.id
                );
                let mut members = wanted.detail.clone();
                let rows = members.as_object_mut().unwrap().shift_remove("rows").unwrap();
                members.as_object_mut().unwrap().shift_remove("state");
                assert_eq!(found.source, members.to_string());
                assert_eq!(found.rows.len(), rows.as_array().unwrap().len(), "{}", found.id);
                count += 1;
            }
        }
        assert_eq!(
            client.list_configurations(&id).await.unwrap().len(),
            branch.configurations.len()
        );
    }
    assert_eq!(
        count,
        project
            .branches
            .iter()
            .map(|branch| branch.configurations.len())
            .sum::<usize>()
    );
    let default = BranchId::parse(&project.default_branch().id().to_string()).unwrap();
    let tables = client.tables(&default).await.unwrap().collect().await.unwrap();
    assert_eq!(tables.len(), project.tables.len());
    assert_eq!(
        client.buckets(&default).await.unwrap().len(),
        project.buckets.len()
    );
    assert_eq!(
        client.index().await.unwrap().components.len(),
        project.components.len()
    );
    let jobs = client
        .search_jobs(&JobSearch {
            limit: 500,
            ..JobSearch::default()
        })
        .await
        .unwrap();
    assert_eq!(jobs.len(), project.jobs.len().min(500));
    assert_eq!(fake.write_attempts(), 0);
}

#[tokio::test]
async fn the_small_project_and_the_client_agree_on_the_project() {
    let fake = start();
    let info = client(&fake).verify_token().await.unwrap();
    assert_eq!(
        info.project_id.to_string(),
        small_project().project_id.to_string()
    );
}
