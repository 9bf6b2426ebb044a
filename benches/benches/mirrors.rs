//! What do many mirrors take in one process: while they are first synchronised, idle, and when all have something to do?
//!
//! All mirrors are of one project, each on a branch of its own of one repository, so one edit is an edit of all. The
//! mirrors' process is one of its own, so that time and memory are its alone. `KBC_MIRROR_MIRRORS` and
//! `KBC_MIRROR_CONFIGURATIONS` name other numbers, `KBC_MIRROR_SYNC` lines for the table `[sync]`.

#![expect(clippy::print_stdout, reason = "the bench's report")]

use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_benches::process::{cpu_ms, memory_kb, peak_kb};
use mirror_core::{event::parse_external, ids::Stack};
use mirror_git::{LocalBare, RefName};
use mirror_runtime::{config::Config, queue::NewEvent, runner::Runner, system::System};
use sample_project::{Shape, generate};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;

/// So long the mirrors are left alone: longer than they hold what makes them quick.
const IDLE: Duration = Duration::from_secs(75);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    if let [_, serve, config] = arguments.as_slice()
        && serve == "--serve"
    {
        return executor.block_on(mirrors(Path::new(config)));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        // What a test runner asks for first.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("mirrors: test");
        }
        return;
    }
    let is_timed = arguments.iter().any(|argument| argument == "--bench");
    let number = |name: &str, timed: usize, tested: usize| match std::env::var(name) {
        Ok(text) if is_timed => text.parse().expect("a number"),
        _ if is_timed => timed,
        _ => tested,
    };
    let _inside = executor.enter();
    measure(
        number("KBC_MIRROR_MIRRORS", 1_000, 3),
        number("KBC_MIRROR_CONFIGURATIONS", 60, 10),
        if is_timed { IDLE } else { Duration::ZERO },
    );
}

fn measure(mirrors: usize, configurations: usize, idle: Duration) {
    let project = generate(&Shape {
        configurations,
        dev_branches: 0,
        jobs: 20,
        versions_max: 1,
        previews: 0,
        events_max: 0,
        ..Shape::default()
    });
    let number = project.project_id.to_string();
    let main = project.default_branch().id().to_string();
    let edited = project.default_branch().configurations.iter();
    let mut edited = edited.filter(|found| found.component_id.contains(".ex-"));
    let edited = edited.next().expect("there are extractors");
    let at = ConfigAt::new(&main, &edited.component_id, edited.id());
    let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let write = |name: &str, content: &str| {
        fs::write(directory.path().join(name), content).expect("the directory is ours");
    };
    write("keboola-token", fake.token());
    write("tag-root", "dGhlIHRhZyByb290IG9mIHRoZSBiZW5jaGVzIG9ubHkgMDAwMQ==");
    write("mirror.toml", &configuration(&fake, &number, mirrors));
    let first = RefName::branch("mirror-0").expect("a branch name");
    LocalBare::init(&directory.path().join("repository.git"), &first).expect("the directory is ours");

    let mut child = Command::new(std::env::current_exe().expect("a bench knows where it is"))
        .arg("--serve")
        .arg(directory.path().join("mirror.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a bench can start itself");
    let mut to = child.stdin.take().expect("it is a pipe");
    let mut from = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
    let mut ask = |line: &Value| {
        writeln!(to, "{line}").expect("the mirrors listen");
        let answer = from.next().expect("the mirrors answer").expect("it can be read");
        serde_json::from_str::<Value>(&answer).expect("they answer JSON")
    };
    println!("{mirrors} mirrors of a project of {configurations} configurations");
    report("first sync of all", &ask(&json!({ "await": mirrors })));
    std::thread::sleep(idle);
    report(&format!("idle for {idle:?}"), &ask(&json!({ "await": 0 })));
    let change = Change::by(
        1,
        "jane@example.com",
        "Bench",
        jiff::Timestamp::from_second(1_793_606_400).expect("a time"),
    );
    let edit = |configuration: &mut Value| configuration["parameters"]["zz_bench"] = 1.into();
    fake.update_configuration(&at, &change, edit)
        .expect("it is there");
    let event = fake.outbox(0).pop().expect("a change tells an event");
    report(
        "one edit in all",
        &ask(&json!({ "await": mirrors, "event": event.json })),
    );
    drop(to);
    assert!(child.wait().expect("it ends").success());
}

fn configuration(fake: &Fake, project: &str, mirrors: usize) -> String {
    let mut text = format!(
        "data_dir = \"data\"\ntag_root = \"file:tag-root\"\n\n[window]\nspan_ms = 1000\n\n[sync]\n{}\n",
        std::env::var("KBC_MIRROR_SYNC").unwrap_or_default()
    );
    for mirror in 0..mirrors {
        write!(
            text,
            r#"
[[mirror]]
id = "mirror-{mirror}"
stack = "{}"
project_id = "{project}"
token = "file:keboola-token"
repository = "file:repository.git"
branch = "mirror-{mirror}"
dev_branches = {{ enabled = false }}
"#,
            fake.url()
        )
        .expect("text can be written to text");
    }
    text
}

fn report(what: &str, figures: &Value) {
    let number = |name: &str| figures[name].as_f64().unwrap_or_default();
    println!(
        "  {what:<18} {:>8.1} s CPU {:>8.1} s; commits {}; memory {:.0} MB, peak {:.0} MB",
        number("cpuMs") / 1000.0,
        number("ms") / 1000.0,
        figures["commits"],
        number("memoryKb") / 1024.0,
        number("peakKb") / 1024.0,
    );
}

/// Runs the mirrors of a configuration; for each line appends its event, waits for so many commits, and answers with
/// figures since the line before.
async fn mirrors(config: &Path) {
    let config = Config::read(config).expect("the configuration is right");
    let (started, cpu) = (Instant::now(), cpu_ms());
    let mut since = (started, cpu);
    let system = Arc::new(System::open(config).await.expect("the installation opens"));
    let runner = Runner::new(Arc::clone(&system));
    let mut landed = runner.landed();
    runner.start().await.expect("the mirrors open");
    for line in std::io::stdin().lines() {
        let line: Value = serde_json::from_str(&line.expect("it can be read")).expect("it is JSON");
        if let Some(event) = line["event"].as_str() {
            let stack = Stack::parse("127.0.0.1").expect("the constant is a host");
            let at = (system.now)();
            let envelope = parse_external(event.as_bytes(), None, &stack, None, None, at);
            let envelope = envelope.expect("the fake's events are well-formed");
            let appended = system.log.append(vec![NewEvent { envelope, at }]).await;
            appended.expect("the log takes events");
        }
        let wanted = line["await"].as_u64().expect("a number");
        let mut commits = 0;
        while commits < wanted {
            commits += match landed.recv().await {
                Ok(_) => 1,
                Err(RecvError::Lagged(missed)) => missed,
                Err(RecvError::Closed) => panic!("the runner is gone"),
            };
        }
        let (now, cpu) = (Instant::now(), cpu_ms());
        println!(
            "{}",
            json!({
                "ms": now.duration_since(since.0).as_secs_f64() * 1000.0, "cpuMs": cpu - since.1,
                "commits": commits, "memoryKb": memory_kb(), "peakKb": peak_kb(),
            })
        );
        since = (now, cpu);
    }
    runner.shut_down().await;
}
