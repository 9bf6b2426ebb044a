//! Which default buckets there are is known by the stack, too: is it asked for as seldom as it can be, and is the tree the
//! same however it comes about?

use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_it::{Rig, Settings, SourceAt};
use sample_project::{Shape, generate};
use serde_json::{Value, json};

const INDEX: &str = "/v2/storage";
const READER: &str = "keboola.wr-http";
/// Of the stack, with default buckets; the branch has no configuration of it at first.
const ELSEWHERE: &str = "acme.ex-elsewhere";

struct Site {
    fake: Fake,
    rig: Rig,
    told: u64,
    second: i64,
}

impl Site {
    async fn new() -> Self {
        let mut project = generate(&Shape {
            configurations: 0,
            dev_branches: 0,
            jobs: 0,
            events_max: 0,
            ..Shape::default()
        });
        let of_stack = json!({
            "id": ELSEWHERE, "type": "extractor", "name": "Elsewhere", "flags": [],
            "data": {"default_bucket": true, "default_bucket_stage": "in"},
        });
        let reader = json!({ "id": READER, "type": "writer", "name": "HTTP", "flags": [], "data": [] });
        let listed = project.index["components"].as_array_mut();
        // One of no use does not take the others with it.
        listed
            .expect("it has components")
            .push(json!({ "type": "other" }));
        for component in [of_stack, reader] {
            let listed = project.index["components"].as_array_mut();
            listed.expect("it has components").push(component.clone());
            project.components.push(component);
        }
        let number = project.project_id;
        let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
        let source = SourceAt {
            url: fake.url().to_owned(),
            token: fake.token().to_owned(),
            project: number,
        };
        let rig = Rig::new(source, Settings::default()).await;
        Self {
            fake,
            rig,
            told: 0,
            second: 1_790_000_000,
        }
    }

    fn change(&mut self) -> Change {
        self.second += 1;
        let now = jiff::Timestamp::from_second(self.second).expect("a time");
        Change::by(1, "jane@example.com", "Test", now)
    }

    fn at(&self, component: &str, config: &str) -> ConfigAt {
        let main = self.fake.project().default_branch().id().to_string();
        ConfigAt::new(&main, component, config)
    }

    fn create(&mut self, component: &str, config: &str, configuration: Value) {
        let (at, change) = (self.at(component, config), self.change());
        let created = self
            .fake
            .create_configuration(&at, &change, config, configuration);
        created.expect("the id is free");
    }

    fn asked(&self) -> u64 {
        let requests = self.fake.requests_by_path();
        requests.get(INDEX).copied().unwrap_or_default()
    }

    /// Delivers what was told and mirrors it; returns how often the index was asked for.
    async fn mirror(&mut self) -> u64 {
        let before = self.asked();
        let told = self.fake.outbox(self.told);
        self.told = told.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = told.into_iter().map(|event| event.json).collect();
        self.rig.post(&events).await;
        self.rig.settle().await;
        self.asked() - before
    }

    fn sources(&self, config: &str) -> Vec<String> {
        let path = format!("main:configs/main/writer/{READER}/{config}/config.json");
        let content: Value = serde_json::from_str(&self.rig.git(&["show", &path])).expect("it is JSON");
        let tables = content["storage"]["input"]["tables"].as_array().cloned();
        let source = |table: Value| table["source"].as_str().unwrap_or_default().to_owned();
        tables.unwrap_or_default().into_iter().map(source).collect()
    }
}

fn reads(sources: &[&str]) -> Value {
    let tables: Vec<Value> = sources.iter().map(|source| json!({ "source": source })).collect();
    json!({"storage": {"input": {"tables": tables}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_is_asked_once_and_where_it_matters_and_the_tree_is_the_same_however_it_is_made() {
    let mut site = Site::new().await;
    site.rig.settle().await;
    site.create(ELSEWHERE, "1", json!({}));
    site.create(
        READER,
        "own",
        reads(&["in.c-acme-ex-elsewhere-1.t", "in.c-main.t"]),
    );
    assert_eq!(site.mirror().await, 1, "the stack says whose bucket it is");
    let owner = format!("{{{{:default-bucket:extractor/{ELSEWHERE}/1}}}}.t");
    assert_eq!(site.sources("own"), [owner.as_str(), "in.c-main.t"]);

    // What is of nobody does not matter to those that follow; what is of a component without this configuration does.
    site.create(
        READER,
        "nobody",
        reads(&["in.c-no-component-1.t", "in.c-acme-ex-elsewhere-1.t"]),
    );
    site.create(
        READER,
        "other",
        reads(&["in.c-acme-ex-elsewhere-9.t", "in.c-acme-ex-elsewhere-1.t"]),
    );
    assert_eq!(site.mirror().await, 0, "it has been asked");
    assert_eq!(site.sources("nobody"), ["in.c-no-component-1.t", owner.as_str()]);
    assert_eq!(
        site.sources("other"),
        ["in.c-acme-ex-elsewhere-9.t", "in.c-acme-ex-elsewhere-1.t"]
    );

    // Without any configuration of it in the branch, the stack still has the component.
    site.create("keboola.ex-http", "shop", json!({}));
    site.create(
        READER,
        "after",
        reads(&["in.c-acme-ex-elsewhere-9.t", "in.c-keboola-ex-http-shop.t"]),
    );
    assert_eq!(site.mirror().await, 0);
    let (at, change) = (site.at(ELSEWHERE, "1"), site.change());
    site.fake.delete_configuration(&at, &change).expect("it is there");
    assert_eq!(site.mirror().await, 0);
    assert_eq!(
        site.sources("after"),
        ["in.c-acme-ex-elsewhere-9.t", "in.c-keboola-ex-http-shop.t"]
    );
    assert_eq!(site.sources("own"), ["in.c-acme-ex-elsewhere-1.t", "in.c-main.t"]);

    let step_by_step = site.rig.tree();
    site.rig.ask_for_all("all anew").await;
    site.rig.settle().await;
    assert_eq!(site.rig.tree(), step_by_step);
    site.rig.lose_data().await;
    site.rig.settle().await;
    assert_eq!(site.rig.tree(), step_by_step);
}
