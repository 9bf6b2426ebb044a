//! `once` by itself, as cron runs it: no event ever arrives, all is found by comparing.

use super::*;
use fake_keboola::{Author, Change, ConfigAt, Fake, FakeConfig, JobSpec, small_project};
use jiff::{SignedDuration, Timestamp};
use mirror_core::ids::TableId;
use mirror_git::{LocalBare, RefName};

struct Site {
    /// Holds the data.
    _directory: tempfile::TempDir,
    fake: Fake,
    system: System,
    spec: MirrorSpec,
    now: Timestamp,
}

async fn start() -> Site {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(small_project(), FakeConfig::default()).unwrap();
    std::fs::write(directory.path().join("token"), fake.token()).unwrap();
    std::fs::write(directory.path().join("tag-root"), "x".repeat(44)).unwrap();
    let main = RefName::branch("main").unwrap();
    LocalBare::init(&directory.path().join("r.git"), &main).unwrap();
    let text = format!(
        "data_dir = \"data\"\ntag_root = \"file:tag-root\"\n[[mirror]]\nid = \"shop\"\nstack = \"{}\"\n\
         project_id = \"{}\"\ntoken = \"file:token\"\nrepository = \"file:r.git\"\n",
        fake.url(),
        fake.project().project_id
    );
    let config = Config::parse(&text, &directory.path().join("mirror.toml")).unwrap();
    let spec = config.mirrors[0].clone();
    Site {
        _directory: directory,
        fake,
        system: System::open(config).await.unwrap(),
        spec,
        now: "2026-11-02T08:00:00Z".parse().unwrap(),
    }
}

impl Site {
    /// Runs `once`; returns the subjects of its commits and how often single tables were asked for.
    async fn once(&self) -> (Vec<String>, u64) {
        self.fake.forget_requests();
        let done = bring_up_to_date(&self.system, &self.spec, false).await;
        let done = done.map_err(|error| format!("{error:?}")).unwrap();
        assert!(done.failure().is_none(), "{:?}", done.failure());
        let Synchronised { lanes, branches } = done;
        tidy(
            &self.system,
            std::slice::from_ref(&self.spec),
            &self.spec.id,
            &lanes,
        )
        .await;
        let subject = |landed: &Landed| landed.message.lines().next().unwrap_or_default().to_owned();
        let asked = self.fake.requests("/v2/storage/branch/5/tables/");
        let landed = branches.iter().flat_map(|branch| &branch.landed);
        (landed.map(subject).collect(), asked)
    }

    #[track_caller]
    fn change(&self) -> Change {
        Change::by(9001, "jane.novak@example.com", "", self.now)
    }

    fn run(&self, ended: Timestamp) {
        let job = JobSpec {
            at: ConfigAt::new("5", "keboola.ex-shop", "orders"),
            status: "success".into(),
            author: Author {
                token_id: 9004,
                name: "bot".into(),
            },
            started: ended - SignedDuration::from_secs(60),
            ended,
            message: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            artifact_links: Vec::new(),
        };
        self.fake.finish_job(job).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_and_jobs_are_found_without_any_event() {
    let site = start().await;
    let nothing = (Vec::new(), 0);
    let (first, _) = site.once().await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(site.once().await, nothing, "what the first sync brought is known");

    // A load changes figures, not structure.
    let csv = "\"id\",\"name\"\n\"3\",\"Butter\"\n";
    site.fake
        .change_preview("in.c-shop.orders", csv, &site.change())
        .unwrap();
    assert_eq!(site.once().await, nothing);

    let mut table = site
        .fake
        .project()
        .tables
        .into_iter()
        .find(|table| table["id"] == "in.c-shop.orders")
        .unwrap();
    table["columns"].as_array_mut().unwrap().push(json!("price"));
    site.fake.put_table(table.clone(), &site.change()).unwrap();
    let (commits, asked) = site.once().await;
    assert_eq!((commits.len(), asked), (1, 1), "{commits:?}");
    assert_eq!(site.once().await, nothing);

    // There and back again: each way is a change.
    for _ in 0..2 {
        for columns in [json!(["id", "name"]), json!(["id", "name", "price"])] {
            table["columns"] = columns;
            site.fake.put_table(table.clone(), &site.change()).unwrap();
            assert_eq!(site.once().await.0.len(), 1);
        }
    }

    site.run(site.now);
    site.run(site.now + SignedDuration::from_secs(1));
    assert_eq!(site.once().await.0.len(), 1);
    assert_eq!(site.once().await, nothing, "no run is told twice");
    assert_eq!(site.system.log.dead_letters(None, 1).await.unwrap(), []);

    // Nothing was seen yet, as where `serve` has mirrored so far: one look at each table, and no commit.
    let lane = LaneId {
        mirror: site.spec.id.clone(),
        branch: "5".parse().unwrap(),
    };
    site.system
        .state
        .put_seen(&lane, std::collections::BTreeMap::new())
        .await
        .unwrap();
    let tables: Vec<TableId> = site
        .fake
        .project()
        .tables
        .iter()
        .map(|table| table["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(site.once().await, (Vec::new(), tables.len() as u64));
    assert_eq!(site.once().await, nothing);
}
