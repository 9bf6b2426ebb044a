//! Who may read the repository decides what is in it: private, public, in between and back.

use crate::support::{self, Installation, JANE, Keboola, Options, PETR, Repository, run, until};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PRIVATE: u8 = 0;
const PUBLIC: u8 = 1;
const IN_TROUBLE: u8 = 2;

/// A Git host: anonymous requests get what `git http-backend` says, or are turned away.
struct Host {
    address: String,
    mode: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

impl Host {
    /// Serves the repositories of a directory on loopback.
    async fn start(directory: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (mode, asked) = (Arc::new(AtomicU8::new(PRIVATE)), Arc::new(AtomicUsize::new(0)));
        let (switch, count) = (Arc::clone(&mode), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (directory, mode) = (directory.clone(), switch.load(Ordering::SeqCst));
                tokio::spawn(async move { answer(stream, directory, mode).await });
            }
        });
        Self { address, mode, asked }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

/// Answers one request, as a CGI bridge in front of `git http-backend` does.
async fn answer(mut stream: TcpStream, directory: PathBuf, mode: u8) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let answer = match mode {
        PRIVATE => b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\n".to_vec(),
        IN_TROUBLE => b"HTTP/1.1 503 Service Unavailable\r\n".to_vec(),
        _ => {
            let mut backend = Command::new("git");
            backend
                .arg("http-backend")
                .env("GIT_PROJECT_ROOT", &directory)
                .env("GIT_HTTP_EXPORT_ALL", "1")
                .env("REQUEST_METHOD", "GET")
                .env("PATH_INFO", path)
                .env("QUERY_STRING", query)
                .stdin(Stdio::null());
            let output = tokio::task::spawn_blocking(move || backend.output()).await;
            let output = output.expect("it does not panic").expect("git can be started");
            let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
            answer.extend(output.stdout);
            drop(stream.write_all(&answer).await);
            return;
        }
    };
    drop(stream.write_all(&answer).await);
    drop(
        stream
            .write_all(b"content-length: 0\r\nconnection: close\r\n\r\n")
            .await,
    );
}

/// An installation whose repository is also served by a host.
async fn hosted(keboola: &Arc<Keboola>, every_ms: u32) -> (Installation, Host) {
    let mut site = Installation::new(keboola, Options::default());
    let directory = site.repository.path().parent().expect("it lies somewhere");
    let host = Host::start(directory.to_owned()).await;
    let url = format!("visibility_url = \"http://{}/repository.git\"", host.address);
    let often = format!(
        "\n[visibility]\ncheck_every_ms = {every_ms}\n[git]\nallow_networks = [\"127.0.0.0/8\"]\nallow_plain_http = true\n"
    );
    let (url, often): (&'static str, &'static str) =
        (Box::leak(url.into_boxed_str()), Box::leak(often.into_boxed_str()));
    site.configure(|options| {
        options.mirror = url;
        options.keboola = often;
        // By the visibility.
        options.secrets = "";
    });
    (site, host)
}

/// What `mirror test` says of the repository's visibility, and of how it was found out.
fn tested(site: &Installation) -> (Value, Value) {
    let mut test = support::command();
    test.args([
        "mirror",
        "test",
        "--json",
        "--mirror",
        support::MIRROR,
        "--config",
    ])
    .arg(site.path("mirror.toml"));
    let report: Value = serde_json::from_str(&run(&mut test).ok()).expect("it is JSON");
    let checks = report["checks"].as_array().expect("there are checks");
    let check = checks.iter().find(|check| check["check"] == "visibility");
    let text = check.expect("visibility is one of them")["text"].clone();
    (report["visibility"].clone(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_test_asks_where_attempts_ask() {
    let (site, host) = hosted(&Keboola::small(), 3_600_000).await;
    let told = |visibility: &str, why: &str| {
        let (found, text) = tested(&site);
        assert_eq!(found, visibility);
        let text = text.as_str().expect("it is a text");
        assert!(text.contains(why), "{text}");
    };
    told("private", "an anonymous request is refused");
    host.set(PUBLIC);
    told("public", "make the repository private");
    host.set(IN_TROUBLE);
    told("unknown", "samples of data stay off");
    assert!(host.asked.load(Ordering::SeqCst) >= 3);
}

fn samples(repository: &Repository, revision: &str) -> usize {
    let files = repository.files(revision);
    files
        .keys()
        .filter(|path| path.starts_with("storage/samples/"))
        .count()
}

fn has_ciphertext(repository: &Repository, revision: &str) -> bool {
    let paths: Vec<String> = repository.files(revision).into_keys().collect();
    let contents = repository.contents(revision, &paths);
    contents
        .iter()
        .any(|content| content.contains("KBC::ProjectSecure::"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_turns_public_loses_samples_and_ciphertext_and_gets_them_back() {
    let keboola = Keboola::small();
    let (site, host) = hosted(&keboola, 1_000).await;
    let mut server = site.start().await;
    site.settle(&mut server).await;
    assert!(samples(&site.repository, "main") > 0 && has_ciphertext(&site.repository, "main"));

    host.set(PUBLIC);
    until("samples are removed", async || {
        (samples(&site.repository, "main") == 0).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(log.len(), 2, "one commit");
    assert!(
        log[0].subject.contains("public") && log[0].subject.contains("history"),
        "{}",
        log[0].subject
    );
    assert!(!has_ciphertext(&site.repository, "main"));
    let status = server.status().await;
    let told = &status["repositories"][0];
    assert_eq!(told["visibility"], "public", "{status}");
    assert_eq!(told["samplesBlocked"], true, "{status}");
    assert_eq!(told["secrets"], "masked", "{status}");
    let notices = server.log();
    let notices = notices.iter().filter(|line| line.contains("samples_off"));
    assert_eq!(notices.count(), 1, "the admin is told once");
    assert_eq!(
        server.metric("samples_export_off_on_public_repo").await,
        Some(1.0)
    );
    site.check(&[]);

    // To be in trouble is to be public: nothing changes.
    host.set(IN_TROUBLE);
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(
        (samples(&site.repository, "main"), site.repository.count("main")),
        (0, 3)
    );

    host.set(PRIVATE);
    until("samples are back", async || {
        (samples(&site.repository, "main") > 0).then_some(())
    })
    .await;
    site.settle(&mut server).await;
    assert_eq!(site.repository.count("main"), 4);
    assert!(has_ciphertext(&site.repository, "main"));
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_each_push_with_samples_it_is_asked() {
    let keboola = Keboola::small();
    let (site, host) = hosted(&keboola, 3_600_000).await;
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let before = host.asked.load(Ordering::SeqCst);
    keboola.set(&keboola.orders(), JANE, "z", 2);
    site.settle(&mut server).await;
    assert_eq!(host.asked.load(Ordering::SeqCst), before + 1);

    host.set(PUBLIC);
    keboola.set(&keboola.orders(), PETR, "z", 3);
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert_eq!(samples(&site.repository, "main"), 0, "{log:?}");
    let lane = server.lane(&keboola.main()).await;
    assert_eq!(lane["outage"], Value::Null, "{lane}");
    // Nothing was pushed after the change that still had samples.
    let with_samples = log
        .iter()
        .filter(|commit| samples(&site.repository, &commit.id) > 0);
    assert_eq!(with_samples.count(), 2);
    site.check(&[]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_in_between_pushes_no_samples_to_the_public() {
    let keboola = Keboola::small();
    let (site, host) = hosted(&keboola, 3_600_000).await;
    let mut server = site.start_armed("before-push").await;
    server.was_killed().await;
    host.set(PUBLIC);
    let mut server = site.start().await;
    site.settle(&mut server).await;
    let log = site.repository.log("main");
    assert!(
        log.iter()
            .all(|commit| samples(&site.repository, &commit.id) == 0)
    );
    server.stop().await;

    // The commit that brings them back, and the one that takes them out again.
    for (mode, there) in [(PRIVATE, true), (PUBLIC, false)] {
        host.set(mode);
        for place in ["after-prepare", "after-push"] {
            let mut server = site.start_armed(place).await;
            server.was_killed().await;
        }
        let mut server = site.start().await;
        site.settle(&mut server).await;
        let found = samples(&site.repository, "main") > 0;
        assert_eq!(found, there);
        site.check(&[]);
        server.stop().await;
    }
    assert_eq!(site.repository.count("main"), log.len() + 2);
}
