//! Is a window with more events than are read at a time the same commit as one with few?

use crate::support::{BOT, JANE, Keboola, PETR, Repository};
use fake_keboola::Change;
use jiff::{SignedDuration, Timestamp};
use mirror_core::cut::groups::EVENTS_MAX;
use mirror_it::{Rig, Settings, SourceAt};
use nats_server::NatsServer;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

/// Events in one batch of a publisher.
const POSTED_AT_ONCE: usize = 500;

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2036-11-20T08:00:00Z".parse().expect("it is a time");
    start + SignedDuration::from_secs(second)
}

/// Two mirrors of one project, one of which is told of every version and the other of as few as say the same.
struct World {
    keboola: Arc<Keboola>,
    busy: Rig,
    calm: Rig,
    told: u64,
}

impl World {
    async fn new(queue: &str) -> Self {
        let keboola = Keboola::small();
        let rig = async |lines: &str| {
            let source = SourceAt {
                url: keboola.url().to_owned(),
                token: keboola.token().to_owned(),
                project: keboola.project().project_id,
            };
            let settings = Settings {
                lines: lines.to_owned(),
                ..Settings::default()
            };
            let mut rig = Rig::new(source, settings).await;
            rig.attempt().await;
            rig
        };
        let told = keboola.outbox(0).last().map_or(0, |event| event.seq);
        let (busy, calm) = (rig(queue).await, rig("").await);
        Self {
            keboola,
            busy,
            calm,
            told,
        }
    }

    /// Has three people save two configurations again and again, for less than a window's time, and tells of it.
    async fn session(&mut self, second: i64, saves: usize) {
        let (orders, clean) = (self.keboola.orders(), self.keboola.clean());
        for save in 0..saves {
            let (id, name) = [JANE, BOT, PETR][save % 3];
            let made_at = at(second + i64::try_from(20 * save / saves).expect("it is small"));
            let change = Change::by(id, name, "Save", made_at);
            let at_work = if save % 2 == 0 { &orders } else { &clean };
            let made = self.keboola.update_configuration(at_work, &change, |content| {
                content["parameters"]["save"] = json!([second, save]);
            });
            assert!(made.expect("it is there").is_some());
        }
        let events = self.keboola.outbox(self.told);
        self.told = events.last().map_or(self.told, |event| event.seq);
        let events: Vec<String> = events.into_iter().map(|event| event.json).collect();
        assert_eq!(events.len(), saves);
        for batch in events.chunks(POSTED_AT_ONCE) {
            self.busy.post_at(batch, at(second + 20)).await;
        }
        // Everybody has saved both in the first six; the last two are the newest.
        let few: BTreeSet<usize> = (0..saves.min(6)).chain(saves.saturating_sub(2)..saves).collect();
        let few: Vec<String> = few.into_iter().map(|save| events[save].clone()).collect();
        self.calm.post_at(&few, at(second + 20)).await;
    }

    /// Commits of both since the snapshot, oldest first, which must be the same but for how much they were told; returns
    /// how many events those of the busy one stand for.
    fn counts(&self) -> Vec<usize> {
        let history = |rig: &Rig| -> Vec<(String, usize)> {
            let trailers = ["Keboola-Change", "Co-authored-by", "Mirror-Events"]
                .map(|key| format!("%(trailers:key={key},valueonly,separator=%x2C)"))
                .join("|");
            let format = format!("--format=%an|%ae|%at|%ct|%s|%T|{trailers}");
            let log = rig.git(&["log", "--reverse", &format, "main"]);
            let told = |line: &str| {
                let (told, events) = line.rsplit_once('|').expect("there are fields");
                let count = events.split(' ').next().expect("there is a first word");
                (told.to_owned(), count.parse().expect("it is a number"))
            };
            log.lines().skip(1).map(told).collect()
        };
        let (busy, calm) = (history(&self.busy), history(&self.calm));
        let told =
            |commits: &[(String, usize)]| commits.iter().map(|(told, _)| told.clone()).collect::<Vec<_>>();
        assert_eq!(told(&busy), told(&calm));
        assert!(
            busy.iter()
                .all(|(told, _)| told.contains("Co-authored-by") || told.contains(JANE.1))
        );
        busy.into_iter().map(|(_, count)| count).collect()
    }
}

async fn check(queue: &str) {
    let mut world = World::new(queue).await;
    let many = EVENTS_MAX + 500;
    world.session(0, many).await;
    let done = world.busy.attempt().await;
    assert!(done.landed.is_some_and(|landed| landed.events == many as u64) && done.caught_up.is_empty());
    world.calm.attempt().await;
    assert_eq!(world.counts(), [many]);
    // Through an outage, among others.
    let sessions = [(1_000, 60), (2_000, EVENTS_MAX + 200), (3_000, 70)];
    for (second, saves) in sessions {
        world.session(second, saves).await;
    }
    world.busy.settle().await;
    world.calm.settle().await;
    let counts: Vec<usize> = [many]
        .into_iter()
        .chain(sessions.map(|(_, saves)| saves))
        .collect();
    assert_eq!(world.counts(), counts);
    let before = world.busy.tree();
    world.busy.ask_for_all("is it all?").await;
    world.busy.settle().await;
    assert_eq!(world.busy.tree(), before);
    Repository::at(world.busy.repository()).fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_one_commit_however_many_events_it_has() {
    check("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_over_nats() {
    let nats = NatsServer::start();
    check(&format!(
        "[queue]\nbackend = \"jetstream\"\nservers = [\"{}\"]\nreplicas = 1\n",
        nats.url()
    ))
    .await;
}
