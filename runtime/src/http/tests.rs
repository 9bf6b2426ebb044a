//! The listener over real connections: who is let in, what is answered, and that nothing hangs.

use super::*;
use crate::{
    database::{Database, DatabaseOptions},
    queue::embedded::EmbeddedLog,
    status::LaneStatus,
};
use mirror_core::{
    cut::{Position, Stream},
    ids::{LaneId, Topic},
};
use std::{path::Path, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

const WIDE: &str = "token-of-the-whole-stack";
const NARROW: &str = "token-of-project-5678";
/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    directory: tempfile::TempDir,
    address: SocketAddr,
    log: Arc<EmbeddedLog>,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn start(http: &str, grace: Duration) -> Site {
    let directory = tempfile::tempdir().unwrap();
    for (name, token) in [("wide", WIDE), ("narrow", NARROW)] {
        std::fs::write(directory.path().join(name), token).unwrap();
    }
    let mirror = |id: &str, stack: &str, project: &str| {
        format!(
            "[[mirror]]\nid = \"{id}\"\nstack = \"{stack}\"\nproject_id = \"{project}\"\n\
             token = \"env:X\"\nrepository = \"file:{id}.git\"\n"
        )
    };
    let text = format!(
        "data_dir = \"data\"\ntag_root = \"env:X\"\n[http]\n{http}\n\
         [[http.ingest]]\nname = \"wide\"\ntoken = \"file:wide\"\nstack = \"https://A.keboola.com\"\n\
         [[http.ingest]]\nname = \"narrow\"\ntoken = \"file:narrow\"\nstack = \"a.keboola.com\"\nprojects = [\"5678\"]\n\
         {}{}{}",
        mirror("one", "https://a.keboola.com", "5678"),
        mirror("two", "https://a.keboola.com", "6789"),
        mirror("other", "https://b.keboola.com", "5678"),
    );
    let config = Config::parse(&text, &directory.path().join("mirror.toml")).unwrap();
    let database = Database::open(&directory.path().join("data"), DatabaseOptions::default()).unwrap();
    let log = Arc::new(EmbeddedLog::open(database).await.unwrap());
    let (status, metrics) = (Arc::<Status>::default(), Arc::<Metrics>::default());
    for mirror in ["one", "two", "other"] {
        status.update(&lane(mirror), |lane: &mut LaneStatus| {
            lane.refname = "refs/heads/main".into();
        });
    }
    let listener = Listener::bind(
        "127.0.0.1:0".parse().unwrap(),
        &config,
        Arc::clone(&log) as Arc<dyn EventLog>,
        Arc::clone(&metrics),
        Arc::clone(&status),
        crate::system::wall_clock,
    );
    let listener = listener.await.unwrap();
    let address = listener.address().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(stop.clone(), grace));
    Site {
        directory,
        address,
        log,
        status,
        metrics,
        stop,
        serving,
    }
}

fn lane(mirror: &str) -> LaneId {
    LaneId {
        mirror: mirror.parse().unwrap(),
        branch: "1".parse().unwrap(),
    }
}

fn event(project: &str, version: u64) -> String {
    json!({
        "type": "config_changed", "projectId": project, "branchId": "1", "componentId": "c", "configId": "a",
        "newVersion": version,
    })
    .to_string()
}

impl Site {
    async fn post(&self, token: &str, body: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client
            .post(format!("http://{}/v1/events", self.address))
            .bearer_auth(token)
            .body(body.to_owned());
        let answer = sent.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn logged(&self, stack: &str, project: &str) -> usize {
        let topic = Topic {
            stack: stack.parse().unwrap(),
            project: project.parse().unwrap(),
            branch: "1".parse().unwrap(),
        };
        let read = self.log.read(&topic, Position::START, Some(Stream::Change), 100);
        read.await.unwrap().len()
    }

    async fn mirrors_shown_to(&self, token: &str) -> Vec<String> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client
            .get(format!("http://{}/v1/status", self.address))
            .bearer_auth(token);
        let page: Value = sent.send().await.unwrap().json().await.unwrap();
        let lanes = page["lanes"].as_array().unwrap().iter();
        let problems = page["mirrors"].as_array().unwrap().iter();
        let mirror = |told: &Value| told["mirror"].as_str().unwrap().to_owned();
        lanes.chain(problems).map(mirror).collect()
    }

    /// Sends a text as it is.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Sends a text as it is, and returns all that comes until the connection is closed.
    async fn talk(&self, text: &str) -> String {
        let mut stream = self.send(text).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        // Closed with something unread, a connection is reset; what came before counts.
        drop(
            tokio::time::timeout(PATIENCE, read)
                .await
                .expect("the connection is closed"),
        );
        String::from_utf8(answer).unwrap()
    }

    async fn end(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.serving)
            .await
            .expect("it ends")
            .unwrap();
        assert!(Path::new(self.directory.path()).exists());
        began.elapsed()
    }
}

fn head(token: &str, length: usize) -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn who_has_no_token_is_answered_before_the_body_is_read() {
    let site = start("read_timeout_ms = 20000", PATIENCE).await;
    let mut stream = site.send(&head("nobody", 1 << 20)).await;
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer);
    tokio::time::timeout(PATIENCE / 2, read)
        .await
        .expect("at once")
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    drop(stream);
    site.end().await;
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_come_is_not_waited_for() {
    let site = start("read_timeout_ms = 200", PATIENCE).await;
    let answer = site.talk(&format!("{}[", head(WIDE, 1000))).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("`http.read_timeout_ms`"), "{answer}");
    site.talk("POST /v1/events HT").await;
    // One that is kept open without a word, too.
    let answer = site.talk("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    site.end().await;
}

#[tokio::test]
async fn a_request_that_is_only_half_there_does_not_outlast_the_grace_period() {
    let site = start("read_timeout_ms = 600000", Duration::from_millis(200)).await;
    let half = site.send(&format!("{}[", head(WIDE, 1000))).await;
    let silent = site.send("").await;
    let slow_head = site.send("GET /livez HT").await;
    // All three were accepted once a later one is answered.
    assert_eq!(site.post(WIDE, &event("5678", 1)).await.0, 202);
    assert!(site.end().await < Duration::from_secs(10));
    drop((half, silent, slow_head));
}

#[tokio::test]
async fn past_the_most_connections_the_next_one_waits_for_a_place() {
    let site = start("connections_max = 1\nread_timeout_ms = 500", PATIENCE).await;
    let first = site.send("").await;
    // The first one has the place until its time is over.
    let answer = site.talk("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let began = Instant::now();
    assert!(answer.await.starts_with("HTTP/1.1 200"));
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
    drop(first);
    site.end().await;
}

#[tokio::test]
async fn who_asks_nothing_gives_up_the_place_to_who_does() {
    let site = start("connections_max = 2\nread_timeout_ms = 30000", PATIENCE).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(site.send("GET /li").await);
    }
    let began = Instant::now();
    let answer = site.talk("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.await.starts_with("HTTP/1.1 200"));
    // Long before their time is over.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(silent);
    site.end().await;
}

#[tokio::test]
async fn one_bad_event_never_holds_up_its_neighbours() {
    let site = start("", PATIENCE).await;
    let body = format!(
        "[{},{{\"type\":\"config_changed\",\"projectId\":7}},{},5]",
        event("5678", 1),
        event("5678", 2)
    );
    let (status, said) = site.post(WIDE, &body).await;
    assert_eq!(status, 400, "{said}");
    assert_eq!((&said["accepted"], &said["duplicates"]), (&json!(2), &json!(0)));
    assert_eq!(
        (&said["event"], &said["field"]),
        (&json!(1), &json!("branchId")),
        "{said}"
    );
    let refused = said["refused"].as_array().unwrap();
    let events: Vec<&Value> = refused.iter().map(|one| &one["event"]).collect();
    assert_eq!(events, [&json!(1), &json!(3)]);
    assert_eq!(site.logged("a.keboola.com", "5678").await, 2);
    assert_eq!(site.log.dead_letters(None, 10).await.unwrap().len(), 2);
    let page = site.metrics.encode();
    for line in [
        "events_accepted_total{kind=\"config_changed\",result=\"accepted\"} 2",
        "events_accepted_total{kind=\"unknown\",result=\"refused\"} 2",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    // What is sent again does no harm.
    let (status, said) = site.post(WIDE, &format!("[{}]", event("5678", 1))).await;
    assert_eq!((status, &said["duplicates"]), (202, &json!(1)));
    site.end().await;
}

#[tokio::test]
async fn a_token_sees_and_posts_what_is_of_its_stack_and_projects() {
    let site = start("backlog_max = 10", PATIENCE).await;
    assert_eq!(site.mirrors_shown_to(WIDE).await, ["one", "two"]);
    assert_eq!(site.mirrors_shown_to(NARROW).await, ["one"]);
    // A mirror without lanes is told of to the same people.
    for mirror in ["two", "other"] {
        let mirror = mirror.parse().unwrap();
        site.status
            .set_problem(&mirror, Some("the token is refused".into()));
    }
    assert_eq!(site.mirrors_shown_to(WIDE).await, ["one", "two", "two"]);
    assert_eq!(site.mirrors_shown_to(NARROW).await, ["one"]);
    site.status.set_problem(&"two".parse().unwrap(), None);
    assert_eq!(site.mirrors_shown_to(WIDE).await, ["one", "two"]);
    let batch = format!("[{},{}]", event("5678", 1), event("6789", 1));
    let (status, said) = site.post(NARROW, &batch).await;
    assert_eq!((status, &said["event"]), (403, &json!(1)), "{said}");
    assert_eq!(
        site.logged("a.keboola.com", "5678").await,
        0,
        "as a whole or not at all"
    );
    // What waits on another stack, or for another project, is of no concern.
    for (mirror, backlog) in [("one", 9), ("two", 10), ("other", 10)] {
        site.status.update(&lane(mirror), |lane| lane.backlog = backlog);
    }
    assert_eq!(site.post(NARROW, &event("5678", 1)).await.0, 202);
    let (status, said) = site.post(WIDE, &batch).await;
    assert_eq!((status, &said["event"]), (429, &json!(1)), "{said}");
    assert_eq!(site.logged("b.keboola.com", "5678").await, 0);
    // So does what waits for a mirror whose lanes cannot be opened.
    site.status.remove(&lane("one"));
    let unopened = |events| std::collections::BTreeMap::from([("one".parse().unwrap(), events)]);
    site.status.set_unopened(unopened(10));
    assert_eq!(site.post(NARROW, &event("5678", 2)).await.0, 429);
    site.status.set_unopened(unopened(0));
    assert_eq!(site.post(NARROW, &event("5678", 2)).await.0, 202);
    site.end().await;
}
