//! What does a first sync take, and what one change after it, in projects of different sizes?
//!
//! Counts are asserted; times and memory are printed. The mirror is a process of its own, so that time and memory
//! are its alone. `KBC_MIRROR_SIZES` names other numbers of configurations, such as `300,3000,30000`;
//! `KBC_MIRROR_UNDER` a program to run the mirror under, such as `heaptrack`.

#![expect(clippy::print_stdout, reason = "the bench's report")]

use fake_keboola::{Change, ConfigAt, Fake, FakeConfig};
use mirror_benches::process::{cpu_ms, peak_kb};
use mirror_it::{Rig, Settings, SourceAt};
use sample_project::{Shape, generate};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

const COMPONENT: &str = "keboola.ex-http";
/// Edits of which the mean is told.
const EDITS: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let executor = executor.expect("a runtime can be made");
    if let [_, sync, url, token, project] = arguments.as_slice()
        && sync == "--sync"
    {
        let source = SourceAt {
            url: url.clone(),
            token: token.clone(),
            project: project.parse().expect("a number"),
        };
        return executor.block_on(mirror(source));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        // What a test runner asks for first.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("scale: test");
        }
        return;
    }
    let is_timed = arguments.iter().any(|argument| argument == "--bench");
    let sizes = std::env::var("KBC_MIRROR_SIZES").unwrap_or_else(|_| "300,3000".into());
    let sizes = if is_timed { sizes } else { "60".into() };
    let _inside = executor.enter();
    for size in sizes.split(',') {
        measure(size.parse().expect("KBC_MIRROR_SIZES holds numbers"));
    }
}

/// The mirror and the pipes to it.
struct Mirror {
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Mirror {
    fn answer(&mut self) -> Value {
        let line = self
            .from
            .next()
            .expect("the mirror answers")
            .expect("it can be read");
        serde_json::from_str(&line).expect("it answers JSON")
    }

    fn told(&mut self, fake: &Fake, after: &mut u64) -> Value {
        let event = fake.outbox(*after).pop().expect("a change tells an event");
        *after = event.seq;
        writeln!(self.to, "{}", event.json).expect("the mirror listens");
        self.answer()
    }
}

fn measure(configurations: usize) {
    let project = generate(&Shape {
        configurations,
        dev_branches: 0,
        jobs: 100,
        versions_max: 1,
        previews: 0,
        events_max: 0,
        ..Shape::default()
    });
    let number = project.project_id.to_string();
    let main = project.default_branch().id().to_string();
    let fake = Fake::start(project, FakeConfig::default()).expect("the fake Keboola starts");
    let mirror = std::env::current_exe().expect("a bench knows where it is");
    let mut command = match std::env::var("KBC_MIRROR_UNDER") {
        Ok(under) => {
            let mut command = Command::new(under);
            command.arg(&mirror);
            command
        }
        Err(_) => Command::new(&mirror),
    };
    let mut child = command
        .args(["--sync", fake.url(), fake.token(), &number])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a bench can start itself");
    let mut mirror = Mirror {
        to: child.stdin.take().expect("it is a pipe"),
        from: BufReader::new(child.stdout.take().expect("it is a pipe")).lines(),
    };
    println!("{configurations} configurations");
    report("first sync", &mirror.answer());

    let mut second = 1_793_606_400;
    let mut change = || {
        second += 1;
        let now = jiff::Timestamp::from_second(second).expect("a time");
        Change::by(1, "jane@example.com", "Bench", now)
    };
    let at = ConfigAt::new(&main, COMPONENT, "probe");
    let content = json!({"parameters": {"baseUrl": "https://example.com/", "note": 0}});
    let mut after = 0;
    fake.create_configuration(&at, &change(), "Probe of the cost", content)
        .expect("the id is free");
    report("create", &mirror.told(&fake, &mut after));
    let mut edits: Vec<Value> = Vec::new();
    for note in 1..=EDITS {
        let edit = |configuration: &mut Value| configuration["parameters"]["note"] = note.into();
        fake.update_configuration(&at, &change(), edit)
            .expect("it is there");
        edits.push(mirror.told(&fake, &mut after));
    }
    let first = edits.first().expect("there were edits");
    for edit in &edits {
        for count in ["inspected", "rendered", "gathered", "files", "gitObjects", "rows"] {
            assert_eq!(edit[count], first[count], "{count} of an edit");
        }
    }
    assert_eq!((&first["rendered"], &first["gathered"]), (&json!(1), &json!(0)));
    let mut mean = first.clone();
    for figure in ["cpuMs", "ms", "fetchMs"] {
        let sum: f64 = edits.iter().filter_map(|edit| edit[figure].as_f64()).sum();
        mean[figure] = json!(sum / f64::from(EDITS));
    }
    report("edit", &mean);
    fake.rename_configuration(&at, &change(), "Another name for it")
        .expect("it is there");
    report("rename", &mirror.told(&fake, &mut after));
    fake.delete_configuration(&at, &change()).expect("it is there");
    report("delete", &mirror.told(&fake, &mut after));
    drop(mirror);
    assert!(child.wait().expect("it ends").success());
}

fn report(what: &str, figures: &Value) {
    let number = |name: &str| figures[name].as_f64().unwrap_or_default();
    println!(
        "  {what:<11} {:>9.1} ms CPU {:>9.1} ms, {:>8.1} of them fetching; rendered {}, shards {} of {} entries, \
         files {} of {} bytes, Git objects {}, rows {}; peak {:.0} MB",
        number("cpuMs"),
        number("ms"),
        number("fetchMs"),
        figures["rendered"],
        figures["gathered"],
        figures["entries"],
        figures["files"],
        figures["bytes"],
        figures["gitObjects"],
        figures["rows"],
        number("peakKb") / 1024.0,
    );
}

/// Mirrors a project, then each change whose event stands on a line, and answers with figures.
async fn mirror(source: SourceAt) {
    let mut rig = Rig::new(source, Settings::default()).await;
    answer(&mut rig).await;
    for line in std::io::stdin().lines() {
        rig.post(&[line.expect("it can be read")]).await;
        answer(&mut rig).await;
    }
}

async fn answer(rig: &mut Rig) {
    let (started, cpu) = (Instant::now(), cpu_ms());
    let done = rig.attempt().await;
    let work = done.work;
    assert!(done.landed.is_some(), "a change makes a commit");
    println!(
        "{}",
        json!({
            "ms": started.elapsed().as_secs_f64() * 1000.0, "cpuMs": cpu_ms() - cpu,
            "fetchMs": done.fetching.as_secs_f64() * 1000.0, "inspected": work.inspected,
            "rendered": work.rendered, "gathered": work.gathered, "entries": work.gathered_entries,
            "files": work.files, "bytes": work.bytes, "gitObjects": work.git_objects, "rows": work.rows,
            "peakKb": peak_kb(),
        })
    );
}
