//! Wrong input, and machines in trouble: the process says what is wrong and what to do about it, ends
//! with the right code, loses nothing, and never repeats a secret.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or configuration.

mod command_line;
mod configuration;
mod disk;
mod gone;
mod http;
mod places;
mod stop;
use crate::support::{Installation, Keboola, MIRROR, PATIENCE, Server, binary};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Stands where a secret was pasted into the wrong place.
const PASTED: &str = "5001-1234-hunter2Hunter2hunter2Hunter2hunter2Hunt";

/// How a command ended, and what it printed.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end; one that does not end is killed, and the test fails.
#[track_caller]
fn run(command: &mut Command) -> Said {
    let file = || tempfile::tempfile().expect("temporary files can be made");
    let (mut stdout, mut stderr) = (file(), file());
    let handle = |file: &File| file.try_clone().expect("a file has a second handle");
    command
        .stdin(Stdio::null())
        .stdout(handle(&stdout))
        .stderr(handle(&stderr));
    let mut child = command.spawn().expect("the program can be started");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            break Some(status);
        }
        if Instant::now() > deadline {
            drop(child.kill());
            drop(child.wait());
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = Said {
        code: status.and_then(|status| status.code()),
        stdout: read(&mut stdout),
        stderr: read(&mut stderr),
    };
    assert!(status.is_some(), "{command:?} does not end\n{}", said.stderr);
    said
}

fn read(file: &mut File) -> String {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).expect("files can be read anew");
    file.read_to_string(&mut text).expect("the product prints UTF-8");
    text
}

/// A command of the product, as a user types it.
fn product(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let unset = [
        mirror_runtime::crash::VARIABLE,
        "CREDENTIALS_DIRECTORY",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    for name in unset {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// A command with the configuration file of an installation.
fn with_config(site: &Installation, arguments: &[&str]) -> Command {
    let mut command = product(arguments);
    command.arg("--config").arg(site.path("mirror.toml"));
    command
}

fn once(site: &Installation) -> Command {
    with_config(site, &["once", "--mirror", MIRROR])
}

impl Said {
    /// The last word, which is the message for the user.
    fn message(&self) -> &str {
        self.stderr
            .find("error: ")
            .map_or("", |start| self.stderr[start..].trim_end())
    }

    /// Checks that the command ended with this code and a message that has all these parts.
    #[track_caller]
    fn must(&self, code: i32, parts: &[&str]) {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        assert_eq!(self.code, Some(code), "{stdout}{stderr}");
        for part in parts {
            assert!(self.message().contains(part), "`{part}` is not said:\n{stderr}");
        }
        self.must_be_decent();
    }

    /// No panic, no backtrace, no secret.
    #[track_caller]
    fn must_be_decent(&self) {
        decent(&self.stdout);
        decent(&self.stderr);
    }
}

#[track_caller]
fn decent(text: &str) {
    for word in [
        "panicked",
        "backtrace",
        "hunter2",
        "ingest-token-of",
        "dGFnIHJvb3Q",
        "fakeStorageToken",
    ] {
        assert!(!text.contains(word), "`{word}` was printed:\n{text}");
    }
}

fn every_command() -> [Vec<&'static str>; 3] {
    [
        vec!["config", "check"],
        vec!["serve"],
        vec!["once", "--mirror", MIRROR],
    ]
}

/// Spoils one place of a good configuration file: every command must refuse it in the same words.
#[track_caller]
fn check_config(site: &Installation, from: &str, to: &str, parts: &[&str]) {
    let good = site.config();
    assert!(good.contains(from), "the case changes nothing: {from}");
    site.write("mirror.toml", &good.replacen(from, to, 1));
    for arguments in every_command() {
        run(&mut with_config(site, &arguments)).must(2, parts);
    }
    site.write("mirror.toml", &good);
}

/// Spoils what is one mirror's own: commands that work on it refuse it. The runtime does not, it has others.
#[track_caller]
fn check_mirror(site: &Installation, from: &str, to: &str, parts: &[&str]) {
    let good = site.config();
    assert!(good.contains(from), "the case changes nothing: {from}");
    site.write("mirror.toml", &good.replacen(from, to, 1));
    run(&mut with_config(site, &["config", "check"])).must(2, parts);
    run(&mut once(site)).must(2, parts);
    site.write("mirror.toml", &good);
}

/// A change of a configuration that there is, as its event.
fn event(keboola: &Keboola) -> Value {
    json!({
        "type": "config_changed", "projectId": keboola.project().project_id.to_string(), "branchId": keboola.main(),
        "componentId": "keboola.ex-shop", "configId": "orders", "newVersion": 1,
    })
}

fn with(mut event: Value, field: &str, value: Value) -> String {
    event[field] = value;
    event.to_string()
}

/// An answer of the listener with what a client needs of its head.
struct Told {
    status: u16,
    kind: String,
    body: String,
    allow: String,
    retry_after: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

async fn ask(server: &Server, method: &str, path: &str, authorization: Option<&str>, body: &str) -> Told {
    let url = format!("http://{}{path}", server.address());
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("the client's settings are fine");
    let mut request = http.request(method, url).body(body.to_owned());
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let answer = request.send().await.expect("it answers");
    let head = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (kind, allow, retry_after) = (head("content-type"), head("allow"), head("retry-after"));
    let status = answer.status().as_u16();
    Told {
        status,
        kind,
        body: answer.text().await.expect("the body is whole"),
        allow,
        retry_after,
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Starts the process anew on what the trouble left, delivers what was refused, and checks that all
/// is there, once.
async fn all_is_well_after_a_restart(site: &Installation) {
    let mut server = site.start().await;
    site.settle(&mut server).await;
    site.check_status(&server).await;
    server.stop().await;
    site.check(&[]);
}
